//! Faults with real processes: whatever a `kill -9` leaves behind, a plain `run` finishes as if nothing had happened.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::{
    bench::{self, Bench, PIPELINE},
    home::{Home, SMALL, TRAIN, has_trainer},
};
use catgen_api::{Digest, Draw};
use catgen_pipe::{progress::Silent, run};
use serde_json::Value;

fn start(home: &Home) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_catgen-pipe"));
    command.current_dir(home.folder.path()).args(["run", "--jobs", "2"]).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

/// Every view and every manifest, with content.
fn results(home: &Home) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for root in ["data", ".catgen/manifests"] {
        for entry in walkdir::WalkDir::new(home.path(root)).into_iter().map(Result::unwrap).filter(|entry| entry.file_type().is_file()) {
            found.insert(
                entry.path().strip_prefix(home.folder.path()).unwrap().to_string_lossy().into_owned(),
                fs::read(entry.path()).unwrap(),
            );
        }
    }
    found
}

#[test]
fn a_run_killed_at_any_moment_ends_as_an_undisturbed_one() {
    let undisturbed = Home::with_cats(SMALL, 6);
    let began = Instant::now();
    assert!(start(&undisturbed).wait().unwrap().success());
    let took = began.elapsed();
    let expect = results(&undisturbed);

    let home = Home::with_cats(SMALL, 6);
    let (seed, mut kills) = (seed(), 0);
    for attempt in 0..12u64 {
        let mut draw = Draw::new(seed, "kill", &Digest::of(b""), attempt);
        let mut child = start(&home);
        std::thread::sleep(took.mul_f64(draw.uniform(0.02, 0.6)));
        let killed = child.try_wait().unwrap().is_none();
        child.kill().unwrap();
        child.wait().unwrap();
        kills += u32::from(killed);
    }
    assert!(kills > 0, "every run was done before it could be killed");
    home.ok(&["run"]);
    check_as_undisturbed(&home, &expect, &format!("{kills} kills"));
}

/// The seed of what is drawn here. `CATGEN_TEST_SEED` draws other moments; a failure says which were drawn.
fn seed() -> u64 {
    let seed = std::env::var("CATGEN_TEST_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(7439);
    eprintln!("CATGEN_TEST_SEED={seed}");
    seed
}

/// The workspace must hold exactly these views and manifests, find nothing to do, and have taken nothing of ours for somebody's.
fn check_as_undisturbed(home: &Home, expect: &BTreeMap<String, Vec<u8>>, after: &str) {
    let found = results(home);
    let names = |results: &BTreeMap<String, Vec<u8>>| results.keys().cloned().collect::<BTreeSet<_>>();
    let odd: Vec<String> = names(&found).symmetric_difference(&names(expect)).cloned().collect();
    assert!(odd.is_empty(), "after {after} these are missing or too many: {odd:?}");
    for (name, content) in expect {
        assert!(found[name] == *content, "{name} differs after {after}");
    }
    assert!(home.computed(&[]).iter().all(|computed| *computed == 0), "after {after}");
    assert!(!home.path(".catgen/set-aside").exists(), "after {after} a file of our own was taken for somebody's");
}

/// Runs a command that dies at a moment between two changes of the disk, if it lasts so long; answers whether it died.
fn dies_at(home: &Home, moment: u64, args: &[&str]) -> bool {
    let output = home.command(args).env("CATGEN_DIE_AT", moment.to_string()).output().unwrap();
    let died = std::os::unix::process::ExitStatusExt::signal(&output.status) == Some(9);
    assert!(died || output.status.success(), "{args:?} at {moment}: {}", String::from_utf8_lossy(&output.stderr));
    died
}

#[cfg(debug_assertions)]
#[test]
fn a_run_or_gc_that_dies_between_two_changes_of_the_disk_leaves_what_a_plain_run_finishes() {
    let undisturbed = Home::with_cats(SMALL, 2);
    undisturbed.ok(&["run"]);
    let expect = results(&undisturbed);
    let seed = seed();
    // Moments far apart, so that a run gets somewhere; early ones; and those of a folder's change, after other copies were made.
    for (round, longest) in [(0, 150), (1, 12), (2, 60)] {
        let home = Home::with_cats(SMALL, 2);
        if round == 2 {
            home.ok(&["run", "--set", "5.Augmented_data.combine=random", "--set", "5.Augmented_data.copies=9"]);
        }
        let mut deaths = Vec::new();
        for attempt in 0..14 {
            let mut draw = Draw::new(seed, "moment", &Digest::of(b""), 100 * round + attempt);
            let moment = 1 + draw.below(longest);
            let args = if attempt % 3 == 2 { &["gc", "--keep-runs", "0"][..] } else { &["run", "--jobs", "2"] };
            if dies_at(&home, moment, args) {
                deaths.push((moment, args[0]));
            }
        }
        assert!(deaths.len() >= 2, "round {round}: hardly anything died: {deaths:?}");
        home.ok(&["run"]);
        home.ok(&["gc", "--keep-runs", "0"]);
        let said = home.output(&["fsck"]);
        assert!(said.status.success(), "round {round}, {deaths:?}: {}", String::from_utf8_lossy(&said.stdout));
        check_as_undisturbed(&home, &expect, &format!("deaths at {deaths:?} in round {round}"));
    }
}

#[cfg(debug_assertions)]
#[test]
fn gc_that_dies_at_any_moment_loses_nothing_that_is_shown_and_can_be_done_again() {
    let home = Home::with_cats(SMALL, 1);
    home.ok(&["run", "--set", "6.Photos_64px.side=32"]);
    home.ok(&["run"]);
    let expect = crate::bench::files(&home.path("data"));
    let mut moment = 0;
    loop {
        moment += 1;
        let died = dies_at(&home, moment, &["gc", "--keep-runs", "0"]);
        let fsck = home.output(&["fsck"]);
        assert!(fsck.status.success(), "died at {moment}: {}", String::from_utf8_lossy(&fsck.stdout));
        if !died {
            break;
        }
    }
    assert!(moment > 5, "it had nothing to do");
    assert_eq!(home.computed(&[]).iter().sum::<u64>(), 0);
    assert!(crate::bench::files(&home.path("data")) == expect);
    let last = home.lines(&["gc", "--keep-runs", "0", "--json"]).pop().unwrap();
    assert_eq!((&last["freed"]["files"], &last["records"]), (&0.into(), &0.into()), "{last}");
}

/// Not a test: a run of counting stages, as a process that the next test can let die.
#[test]
#[ignore = "it is started by the test of the work that a death costs"]
fn worker() {
    let root = std::env::var_os("CATGEN_TEST_WORKSPACE").unwrap();
    run::run(&mut bench::project(Path::new(&root), &[]).unwrap(), &run::Options::default(), &Silent).unwrap();
}

#[cfg(debug_assertions)]
#[test]
fn a_death_costs_no_more_than_one_item_a_thread() {
    const THREADS: usize = 2;
    let undisturbed = Bench::new(PIPELINE);
    let bench = Bench::new(PIPELINE);
    for bench in [&undisturbed, &bench] {
        (0..12u8).for_each(|n| bench.photo(&format!("cat{n}.png"), [100 + 2 * n, 40, n]));
    }
    undisturbed.run(&[]);
    let (seed, tally) = (seed(), bench.path("tally"));
    let mut deaths = 0;
    for attempt in 0.. {
        assert!(attempt < 200, "it gets nowhere");
        let moment = 10 + Draw::new(seed, "work", &Digest::of(b""), attempt).below(170);
        let mut worker = Command::new(std::env::current_exe().unwrap());
        worker.args(["--exact", "faults::worker", "--ignored"]);
        worker.env("CATGEN_TEST_WORKSPACE", bench.folder.path()).env("CATGEN_TEST_TALLY", &tally);
        worker.env("CATGEN_DIE_AT", moment.to_string()).env("RAYON_NUM_THREADS", THREADS.to_string());
        let output = worker.output().unwrap();
        if output.status.success() {
            break;
        }
        let died = std::os::unix::process::ExitStatusExt::signal(&output.status) == Some(9);
        assert!(died, "{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        deaths += 1;
    }
    // Twelve photos: a fact, a darkened picture and three copies by one call for each, and 36 tiny pictures.
    let needed = 12 + 12 + 12 + 36;
    let worked = fs::metadata(&tally).unwrap().len() as usize;
    eprintln!("{deaths} deaths, {worked} calls of stage code, {needed} are needed");
    assert!(deaths >= 4, "it died too seldom");
    assert!(
        (needed..=needed + THREADS * deaths).contains(&worked),
        "{worked} calls of stage code after {deaths} deaths, {needed} are needed"
    );
    assert_eq!(bench.views(), undisturbed.views());
    assert!(bench.counts(&[]).iter().all(|(computed, _, _)| *computed == 0));
}

#[test]
fn the_work_that_a_kill_costs_is_what_was_in_flight() {
    let home = Home::with_cats(SMALL, 8);
    let mut child = start(&home);
    let log = home.path(".catgen/actions.log");
    // Let it finish the originals, the facts, and some photos.
    let deadline = Instant::now() + Duration::from_secs(120);
    while cut_outs(&log) < 4 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let done = cut_outs(&log);
    assert!(done >= 4, "nothing was finished before the deadline");
    let stages = home.run(&[]);
    let background = stages.iter().find(|line| line["stage"] == "2.No_background").unwrap();
    assert_eq!(background["reused"].as_u64().unwrap() as usize, done, "finished work was done again");
}

/// How many photos the log says were cut out: only that stage records its model's name.
fn cut_outs(log: &Path) -> usize {
    let bytes = fs::read(log).unwrap_or_default();
    let mark = b"\"model\":\"border\"";
    bytes.windows(mark.len()).filter(|window| window == mark).count()
}

#[test]
fn a_training_killed_in_an_epoch_goes_on_from_its_last_checkpoint() {
    if !has_trainer("a_training_killed_in_an_epoch_goes_on_from_its_last_checkpoint") {
        return;
    }
    let epochs = 30;
    let home = Home::with_cats(
        &format!("{SMALL}{}", TRAIN.replace("epochs = 2", &format!("epochs = {epochs}")).replace("width = 4", "width = 8")),
        6,
    );
    home.ok(&["run", "--until", "Export"]);
    let mut child = start(&home);
    let deadline = Instant::now() + Duration::from_secs(120);
    let training = loop {
        let found =
            fs::read_dir(home.path("runs")).unwrap().map(|run| run.unwrap().path().join("7.Train")).find(|folder| checkpoints(folder) >= 2);
        match found {
            Some(folder) => break folder,
            None => assert!(Instant::now() < deadline, "no checkpoint was written"),
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    child.kill().unwrap();
    child.wait().unwrap();
    // The orphaned trainer ends with its parent: else two would write here.
    let lines = || fs::read_to_string(training.join("stats.jsonl")).unwrap().lines().count();
    std::thread::sleep(Duration::from_millis(1500));
    let killed_at = lines();
    std::thread::sleep(Duration::from_millis(700));
    assert_eq!(lines(), killed_at, "the trainer works on without its parent");
    assert!(killed_at < epochs, "it was done before it could be killed");

    let output = home.output(&["run"]);
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && words.contains("going on from step"), "{words}");
    assert_eq!(lines(), epochs, "an epoch is missing or there twice");
    let runs = home.lines(&["runs", "--json"]);
    assert_eq!(runs.len(), 2, "the killed run goes on under its own id: {runs:?}");
    assert_eq!(runs[1]["metrics"]["7.Train"]["epoch"], epochs);
    assert_eq!(home.computed(&[]).last(), Some(&0), "a finished training is not done again");
    // Another learning rate trains again and touches no picture.
    let computed = home.computed(&["--set", "7.Train.learning_rate=0.001", "--set", "7.Train.epochs=1"]);
    assert_eq!((computed.last(), computed[..8].iter().sum::<u64>()), (Some(&1), 0));
    // The same seed draws the same picture, and `train` makes a new run.
    home.ok(&["generate", "--run", "2", "--seed", "5", "-n", "3", "--out", "a"]);
    home.ok(&["generate", "--run", "2", "--seed", "6", "-n", "1", "--out", "b"]);
    assert_eq!(fs::read(home.path("a/seed-000006.png")).unwrap(), fs::read(home.path("b/seed-000006.png")).unwrap());
    home.ok(&["train", "--set", "epochs=1"]);
    assert_eq!(home.lines(&["runs", "--json"]).len(), 5);
}

#[test]
fn a_time_budget_ends_a_training_with_a_checkpoint_that_a_plain_run_goes_on_from() {
    if !has_trainer("a_time_budget_ends_a_training_with_a_checkpoint_that_a_plain_run_goes_on_from") {
        return;
    }
    let epochs = 6;
    let pipeline = format!("{SMALL}{}", TRAIN.replace("epochs = 2", &format!("epochs = {epochs}")));
    let (home, undisturbed) = (Home::with_cats(&pipeline, 6), Home::with_cats(&pipeline, 6));
    // 0.03 milliseconds: over before the first step, whatever the machine. The trainer's own tests stop later.
    let output = home.output(&["run", "--time-budget", "0.0000005"]);
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(130), "{words}");
    assert!(words.contains("stopped") && words.contains("run again: it goes on from here"), "{words}");
    let runs = home.lines(&["runs", "--json"]);
    assert_eq!((runs.len(), &runs[0]["status"]), (1, &"stopped".into()));
    let id = runs[0]["id"].as_str().unwrap().to_owned();
    let training = home.path("runs").join(&id).join("7.Train");
    assert_eq!(checkpoints(&training), 1);
    let lines = |training: &Path| fs::read_to_string(training.join("stats.jsonl")).map_or(0, |text| text.lines().count());
    assert!(lines(&training) < epochs);
    // `train` knows the flag, too.
    assert_eq!(home.output(&["train", "--time-budget", "0.0000005"]).status.code(), Some(130));
    assert_eq!(home.lines(&["runs", "--json"])[1]["status"], "stopped");
    for budget in ["0", "inf", "soon"] {
        let words = home.fails(&["run", "--time-budget", budget]);
        assert!(words.starts_with("exit 2\n") && words.contains("--time-budget"), "{words}");
    }

    let output = home.output(&["run"]);
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && words.contains("going on from step"), "{words}");
    let runs = home.lines(&["runs", "--json"]);
    let done = runs.last().unwrap();
    assert_eq!((&done["status"], &done["metrics"]["7.Train"]["epoch"]), (&"done".into(), &epochs.into()));
    assert_eq!(home.computed(&[]).last(), Some(&0), "a finished training is not done again");

    // As if its time had never been up: the same lines, the same networks.
    undisturbed.ok(&["run"]);
    let folder = |home: &Home, run: &Value| home.path(run["metrics"]["7.Train"]["folder"].as_str().unwrap());
    let (went_on, whole) = (folder(&home, done), folder(&undisturbed, &undisturbed.lines(&["runs", "--json"])[0]));
    assert_eq!(lines(&went_on), epochs);
    let (went_on, whole) = (newest(&went_on), newest(&whole));
    assert_eq!(went_on.file_name(), whole.file_name());
    assert!(fs::read(went_on).unwrap() == fs::read(whole).unwrap(), "the networks differ");
}

/// The newest checkpoint.
fn newest(training: &Path) -> PathBuf {
    let files = fs::read_dir(training.join("checkpoints")).unwrap().map(|file| file.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "safetensors")).max().unwrap()
}

fn checkpoints(folder: &Path) -> usize {
    let Ok(files) = fs::read_dir(folder.join("checkpoints")) else { return 0 };
    files.filter_map(Result::ok).filter(|file| file.path().extension().is_some_and(|extension| extension == "safetensors")).count()
}
