//! Work on a real Slurm cluster, and results in a real object store.

use std::{
    collections::HashMap,
    fs,
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::Value;

use crate::{
    home::{Home, Running, SMALL, TRAIN, has_python, has_trainer, shared, wait_until},
    real_photos::unzip,
    servers::{Cluster, S3},
    shared_cache::{check_same, sum},
    workers,
};

const SLURM: &str = "kind = \"slurm\"\nshards = 4\npartition = \"cats\"\ntime = \"10\"";

fn lines(stdout: &[u8]) -> Vec<Value> {
    String::from_utf8_lossy(stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn real_photos_go_through_two_nodes_as_through_this_process() {
    let test = "the whole flow on two nodes";
    let (Some(cluster), Some(shared)) = (Cluster::start(test, 2, 1), shared(test)) else { return };
    let remote = tempfile::tempdir().unwrap();
    let [alone, home] = [SMALL.to_owned(), workers::pipeline(remote.path(), SLURM)].map(|text| {
        let home = Home::new(&text.replace("model = \"border\"\nmax_side = 256", "model = \"u2netp\"\nmax_side = 512"));
        let folder = home.path("data/0.ORIGINAL");
        assert!(unzip(&shared.join("data/photos/cats-personal-1.zip"), &folder));
        let files = walkdir::WalkDir::new(&folder).into_iter().map(|entry| entry.unwrap().into_path());
        let mut photos: Vec<_> = files.filter(|path| path.is_file()).collect();
        photos.sort();
        photos[10..].iter().for_each(|photo| fs::remove_file(photo).unwrap());
        home
    });
    let models = shared.join("models");
    let with_models = |command: &mut assert_cmd::Command| command.env("CATGEN_MODELS", &models).output().unwrap();
    let by_one = with_models(&mut alone.command(&["run", "--json"]));
    let by_nodes = with_models(cluster.on(&mut home.command(&["run", "--json"])));
    for output in [&by_one, &by_nodes] {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let [by_one, by_nodes] = [by_one, by_nodes].map(|output| lines(&output.stdout));
    assert_eq!(sum(&by_one, "stage", "computed"), sum(&by_nodes, "stage", "computed"));
    assert!(sum(&by_nodes, "cache", "pulled") > 0, "nobody else did anything: {by_nodes:?}");
    check_same(&alone, &home);
}

#[test]
fn a_training_is_one_job_on_the_node_with_a_graphics_processor() {
    let test = "training on a cluster";
    if !has_trainer(test) {
        return;
    }
    let Some(cluster) = Cluster::start(test, 2, 1) else { return };
    let remote = tempfile::tempdir().unwrap();
    let with_training = |text: &str| text.replace("\n[cache]", &format!("{TRAIN}\n[cache]"));
    let alone = Home::with_cats(&format!("{SMALL}{TRAIN}"), 12);
    let home = Home::with_cats(&with_training(&workers::pipeline(remote.path(), &format!("{SLURM}\ngpus = 1"))), 12);
    // A job has one processor here, and sums come out a little different with another number of threads.
    assert!(alone.command(&["run"]).env("OMP_NUM_THREADS", "1").output().unwrap().status.success());
    let output = cluster.on(&mut home.command(&["run", "--json"])).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(workers::trained(&alone), workers::trained(&home));
    let jobs = cluster.ask("squeue", &["-h", "--states=all", "--array", "-o", "%b %N %T"]);
    let trainings: Vec<&str> = jobs.lines().filter(|job| job.contains("gpu:1")).collect();
    assert!(matches!(trainings[..], [only] if only.contains("n1 COMPLETED")), "{jobs}");
}

/// A stage that takes half a second a picture and writes down each.
const SLOW: &str = r#"
import json, os, shutil, sys, time
for line in sys.stdin:
    r = json.loads(line)
    time.sleep(0.5)
    with open(LOG + "/" + str(os.getpid()), "a") as log: log.write(r["digest"] + "\n")
    shutil.copy(r["input"], r["out"] + "/a.png")
    print(json.dumps({"id": r["id"], "outputs": [{"file": "a.png"}]}), flush=True)
"#;

/// A workspace whose one stage is slow, where its pictures are written down, and the shared folder.
struct Slow {
    home: Home,
    log: tempfile::TempDir,
    _remote: tempfile::TempDir,
}

impl Slow {
    fn new() -> Self {
        Self::with("publish_every = 1")
    }

    /// With other settings of the executor.
    fn with(settings: &str) -> Self {
        let (remote, log) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let address = url::Url::from_directory_path(remote.path()).unwrap();
        let home = Home::new(&format!(
            "[[stage]]\nname = \"0.ORIGINAL\"\nuse = \"original\"\n\n[[stage]]\nname = \"1.Slow\"\nuse = \"command\"\nfrom = \"0.ORIGINAL\"\n\
             run = [\"python3\", \"slow.py\"]\n\n[cache]\nremote = \"{address}\"\n\n[executor]\n{SLURM}\nmin_items = 1\n{settings}\n"
        ));
        fs::write(home.path("slow.py"), SLOW.replace("LOG", &format!("{:?}", log.path().display().to_string()))).unwrap();
        for n in 0..24_u8 {
            let picture = catgen_picture::Picture::Rgb(catgen_picture::RgbImage::from_pixel(32, 32, catgen_picture::Rgb([n, 100, 9 * n])));
            fs::write(home.path(&format!("data/0.ORIGINAL/{n:02}.png")), catgen_picture::encode_png(&picture)).unwrap();
        }
        Self { home, log, _remote: remote }
    }

    /// A `run` in the background.
    fn start(&self, cluster: &Cluster) -> Running {
        let mut command = Command::new(env!("CARGO_BIN_EXE_catgen-pipe"));
        let command = command.args(["run", "--json"]).current_dir(self.home.folder.path()).env("SLURM_CONF", cluster.conf());
        Running::start(command)
    }

    /// How often each picture was worked on.
    fn worked(&self) -> HashMap<String, usize> {
        let mut counts = HashMap::new();
        for file in fs::read_dir(self.log.path()).unwrap() {
            for digest in fs::read_to_string(file.unwrap().path()).unwrap_or_default().lines() {
                *counts.entry(digest.to_owned()).or_default() += 1;
            }
        }
        counts
    }

    fn wait_for_both_nodes(&self) {
        wait_until("both nodes work", || self.worked().len() >= 4 && fs::read_dir(self.log.path()).unwrap().count() >= 2);
    }

    /// Waits for a run and looks whether all is there, and nothing was worked on more often than that.
    fn check(&self, run: Running, at_most: usize) -> String {
        let output = run.output();
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{words}");
        assert_eq!(fs::read_dir(self.home.path("data/1.Slow")).unwrap().count(), 24, "{words}");
        let worked = self.worked();
        assert!(worked.len() == 24 && worked.values().all(|count| *count <= at_most), "{worked:?}\n{words}");
        assert_eq!(self.home.computed(&["--set", "executor.kind=local"]), [0, 0]);
        words
    }
}

#[test]
fn a_node_that_is_lost_costs_no_picture_and_none_is_worked_on_three_times() {
    let test = "losing a node";
    let Some(mut cluster) = Cluster::start(test, 2, 1).filter(|_| has_python(test)) else { return };
    let slow = Slow::new();
    let run = slow.start(&cluster);
    slow.wait_for_both_nodes();
    cluster.kill_node(2);
    slow.check(run, 2);
}

#[test]
fn a_controller_that_dies_after_the_work_was_handed_in_is_survived() {
    let test = "losing the controller";
    let Some(mut cluster) = Cluster::start(test, 2, 1).filter(|_| has_python(test)) else { return };
    let slow = Slow::new();
    let mut run = slow.start(&cluster);
    wait_until("a job is handed in", || slow.home.path(".catgen/jobs/jobs.json").is_file());
    std::thread::sleep(Duration::from_secs(2));
    cluster.kill_controller();
    std::thread::sleep(Duration::from_secs(3));
    cluster.start_controller();
    // It uses numbers again that its nodes still know, and takes such a node out of use until somebody says that all is well.
    while run.child().try_wait().unwrap().is_none() {
        for node in ["n1", "n2"] {
            if cluster.ask("sinfo", &["-h", "-n", node, "-o", "%T"]).contains("drain") {
                cluster.ask("scontrol", &["update", &format!("nodename={node}"), "state=resume"]);
            }
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    slow.check(run, 2);
}

#[test]
fn a_run_that_is_killed_finds_its_job_again() {
    let test = "a run that is killed";
    let Some(cluster) = Cluster::start(test, 2, 1).filter(|_| has_python(test)) else { return };
    let slow = Slow::new();
    let mut run = slow.start(&cluster);
    wait_until("work begins", || slow.worked().len() >= 2);
    let status = cluster.on(&mut slow.home.command(&["status"])).output().unwrap();
    assert!(String::from_utf8_lossy(&status.stderr).contains("job "), "{status:?}");
    run.child().kill().unwrap();
    drop(run);
    slow.check(slow.start(&cluster), 1);
    assert_eq!(
        cluster.ask("squeue", &["-h", "--states=all", "--array", "-o", "%A"]).lines().collect::<std::collections::HashSet<_>>().len(),
        4
    );
}

#[test]
fn ctrl_c_leaves_the_job_and_says_how_to_end_it() {
    let test = "Ctrl-C while a cluster works";
    let Some(cluster) = Cluster::start(test, 1, 1).filter(|_| has_python(test)) else { return };
    let slow = Slow::new();
    let mut run = slow.start(&cluster);
    wait_until("work begins", || !slow.worked().is_empty());
    let pid = rustix::process::Pid::from_raw(run.child().id().cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let output = run.output();
    let words = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{words}");
    assert!(words.contains("goes on: `catgen-pipe run` waits for it again, `scancel --name=catgen-"), "{words}");
    assert!(!cluster.ask("squeue", &["-h"]).is_empty());
}

#[test]
fn workers_that_have_to_make_room_lose_nothing() {
    let test = "jobs at their time limit";
    let Some(cluster) = Cluster::start(test, 2, 1).filter(|_| has_python(test)) else { return };
    // Nobody tells of anything before the signal.
    let slow = Slow::with("publish_every = 600");
    let run = slow.start(&cluster);
    slow.wait_for_both_nodes();
    let jobs = cluster.ask("squeue", &["-h", "--array", "--states=R", "-o", "%A"]);
    jobs.lines().for_each(|job| drop(cluster.ask("scancel", &["--batch", "--signal=USR1", job.trim()])));
    slow.check(run, 1);
}

#[test]
fn jobs_that_others_take_the_place_of_are_taken_up_again() {
    let test = "preemption";
    let Some(cluster) = Cluster::start(test, 2, 1).filter(|_| has_python(test)) else { return };
    let slow = Slow::with("publish_every = 600\nattempts = 1");
    let run = slow.start(&cluster);
    slow.wait_for_both_nodes();
    cluster.ask("sbatch", &["--partition=first", "--array=0-1", "--output=/dev/null", "--wrap=sleep 2"]);
    // Once is all that is granted to work that comes to nothing.
    let words = slow.check(run, 1);
    assert!(words.contains("trying again"), "nobody had to go: {words}");
}

#[test]
fn a_job_that_the_cluster_does_not_take_says_why() {
    let test = "a job that is not taken";
    let Some(cluster) = Cluster::start(test, 1, 1).filter(|_| has_python(test)) else { return };
    let slow = Slow::new();
    let output = cluster.on(&mut slow.home.command(&["run", "--set", "executor.partition=dogs"])).output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{words}");
    assert!(words.contains("Slurm does not take the job") && words.contains("invalid partition"), "{words}");
}

fn on_s3(s3: &S3, home: &Home, args: &[&str]) -> Vec<Value> {
    let output = s3.on(&mut home.command(args)).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    lines(&output.stdout)
}

#[test]
fn an_object_store_shares_what_was_computed() {
    let Some(s3) = S3::start("sharing through S3") else { return };
    let text = format!("{SMALL}\n[cache]\nremote = \"s3://cats/one/place\"\n");
    let [one, other] = [0, 1].map(|_| Home::with_cats(&text, 4));
    let first = on_s3(&s3, &one, &["run", "--json"]);
    assert!(sum(&first, "stage", "computed") > 0 && sum(&first, "cache", "pushed") > 0);
    let second = on_s3(&s3, &other, &["run", "--json"]);
    assert_eq!(sum(&second, "stage", "computed"), 0, "{second:?}");
    check_same(&one, &other);
    let stats = on_s3(&s3, &one, &["cache", "stats", "--json"]);
    assert_eq!(stats[0]["blobs"].as_u64().unwrap(), sum(&first, "cache", "pushed"));
    // Many who put the same at once do not disturb each other.
    let third = Home::with_cats(&text.replace("one/place", "another"), 3);
    on_s3(&s3, &third, &["run", "--json", "--set", "cache.push=false"]);
    let pushes: Vec<Child> = (0..4)
        .map(|_| {
            let mut command = assert_cmd::Command::cargo_bin("catgen-pipe").unwrap();
            let mut push = Command::new(env!("CARGO_BIN_EXE_catgen-pipe"));
            push.args(["cache", "push"]).current_dir(third.folder.path());
            for (name, value) in s3.on(&mut command).get_envs() {
                match value {
                    Some(value) => push.env(name, value),
                    None => push.env_remove(name),
                };
            }
            push.stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    for push in pushes {
        let output = push.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let fourth = Home::with_cats(&text.replace("one/place", "another"), 3);
    assert_eq!(sum(&on_s3(&s3, &fourth, &["run", "--json"]), "stage", "computed"), 0);
    check_same(&third, &fourth);
}

#[test]
fn wrong_credentials_and_a_missing_bucket_are_one_clear_error() {
    let Some(s3) = S3::start("what S3 refuses") else { return };
    let home = Home::with_cats(SMALL, 1);
    let check = |remote: &str, secret: &str, says: &str| {
        for args in [&["run"][..], &["cache", "stats"]] {
            let mut command = home.command(args);
            let remote = format!("cache.remote={remote}");
            let args: Vec<&str> =
                if args[0] == "run" { vec!["--set", &remote] } else { vec!["--remote", remote.trim_start_matches("cache.remote=")] };
            let output = s3.on(command.args(args)).env("AWS_SECRET_ACCESS_KEY", secret).output().unwrap();
            let words = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{words}");
            assert!(words.contains(says) && words.matches("error: ").count() == 1 && words.contains("hint: "), "{words}");
            assert!(!words.contains("not-the-secret") && !words.contains("the-secret"), "{words}");
        }
    };
    check("s3://cats/here", "not-the-secret", "the credentials are refused");
    check("s3://dogs/here", "the-secret", "there is no such bucket");
    assert!(!home.path("data/1.No_duplicates").exists());
}

#[test]
fn workers_read_their_work_from_an_object_store() {
    let test = "workers and S3";
    let Some(s3) = S3::start(test) else { return };
    let alone = Home::with_cats(SMALL, 4);
    alone.run(&[]);
    let check = |executor: &str, place: &str, cluster: Option<&Cluster>| {
        let remote = format!("[cache]\nremote = \"s3://cats/{place}\"\n\n[executor]\n{executor}\nmin_items = 1\nhead_start = 0\n");
        let home = Home::with_cats(&format!("{SMALL}\n{remote}"), 4);
        let mut command = home.command(&["run", "--json"]);
        if let Some(cluster) = cluster {
            cluster.on(&mut command);
        }
        let output = s3.on(&mut command).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(sum(&lines(&output.stdout), "cache", "pulled") > 0);
        check_same(&alone, &home);
    };
    check("kind = \"processes\"\nshards = 2", "processes", None);
    // What Slurm starts has the credentials from the environment in which the work was handed in.
    if let Some(cluster) = Cluster::start(test, 2, 1) {
        check(SLURM, "slurm", Some(&cluster));
    }
}
