//! Work that others do: workers as processes of this machine, and what becomes of it when they die.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use catgen_api::Digest;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::{
    home::{Home, Running, SMALL, TRAIN, has_trainer, wait_until},
    shared_cache::{check_same, sum},
};

/// [`SMALL`] with a shared cache, computed by two workers.
pub(crate) fn pipeline(remote: &Path, executor: &str) -> String {
    let address = url::Url::from_directory_path(remote).unwrap();
    format!("{SMALL}\n[cache]\nremote = \"{address}\"\n\n[executor]\n{executor}\nmin_items = 1\nhead_start = 0\npublish_every = 1\n")
}

const TWO: &str = "kind = \"processes\"\nshards = 2";

/// Per stage what came of it, without how long it took.
fn counts(lines: &[Value]) -> Vec<(String, u64, u64, u64)> {
    let stages = lines.iter().filter(|line| line["event"] == "stage");
    let count = |line: &Value, key: &str| line[key].as_u64().unwrap();
    stages.map(|line| (line["stage"].to_string(), count(line, "items_out"), count(line, "computed"), count(line, "reused"))).collect()
}

#[test]
fn what_workers_compute_is_what_one_process_computes() {
    let remote = tempfile::tempdir().unwrap();
    let alone = Home::with_cats(SMALL, 6);
    let home = Home::with_cats(&pipeline(remote.path(), TWO), 6);
    let [by_one, by_workers] = [alone.run(&[]), home.run(&[])];
    assert_eq!(counts(&by_one), counts(&by_workers));
    check_same(&alone, &home);
    assert!(counts(&home.run(&[])).iter().all(|(.., computed, _)| *computed == 0));
    // Whatever they did is in the shared cache: a workspace without workers needs none.
    let third = Home::with_cats(&pipeline(remote.path(), "kind = \"local\""), 6);
    assert_eq!(sum(&third.run(&[]), "stage", "computed"), 0);
}

#[test]
fn a_shard_that_is_done_is_not_done_again() {
    let remote = tempfile::tempdir().unwrap();
    let home = Home::with_cats(&pipeline(remote.path(), TWO), 4);
    home.run(&["--until", "3.Zoom_photos"]);
    let address = url::Url::from_directory_path(remote.path()).unwrap();
    let mut pictures = 0;
    for (digest, order) in orders(remote.path()) {
        for shard in 0..order["shards"].as_array().unwrap().len() {
            let args = ["worker", "--json", "--remote", address.as_str(), "--plan", &digest, "--shard", &shard.to_string()];
            let worked = home.lines(&args).remove(0);
            assert_eq!((&worked["items"], worked["actions"].as_u64()), (&worked["known"], Some(0)), "{worked}");
            pictures += worked["items"].as_u64().unwrap();
        }
    }
    assert!(pictures > 0);
    let (digest, _) = orders(remote.path()).remove(0);
    let words = home.fails(&["worker", "--remote", address.as_str(), "--plan", &digest, "--shard", "2"]);
    assert!(words.contains("there is no shard 2: the plan has 2, counted from 0"), "{words}");
}

#[test]
fn a_worker_goes_on_from_what_is_known() {
    let remote = tempfile::tempdir().unwrap();
    let home = Home::with_cats(&pipeline(remote.path(), TWO), 4);
    // All of it, and then the first stages with another parameter: the old one set again, those are asked again, and know everything.
    home.run(&["--until", "6.Photos_64px", "--set", "executor.kind=local"]);
    home.run(&["--until", "2.No_background", "--set", "executor.kind=local", "--set", "2.No_background.max_side=200"]);
    let actions = || home.lines(&["cache", "stats", "--json"]).remove(0)["actions"].as_u64().unwrap();
    let before = actions();
    home.run(&["--until", "6.Photos_64px", "--set", "6.Photos_64px.side=32"]);
    let said: String = logs(&home).iter().map(|log| fs::read_to_string(log).unwrap()).collect();
    let results = said.split(" known, ").skip(1).map(|rest| rest.split(' ').next().unwrap().parse::<u64>().unwrap());
    assert_eq!(results.sum::<u64>(), actions() - before, "{said}");
    assert!(actions() > before);
}

#[test]
fn few_facts_are_no_job() {
    let remote = tempfile::tempdir().unwrap();
    let home = Home::with_cats(&pipeline(remote.path(), TWO), 3);
    home.run(&["--until", "1.No_duplicates", "--set", "executor.head_start=60"]);
    assert!(logs(&home).is_empty() && !remote.path().join("plans").exists());
    home.run(&["--until", "1.No_duplicates", "--set", "1.No_duplicates.bits=256"]);
    assert_eq!(orders(remote.path()).len(), 1);
}

/// What workers of a workspace said.
fn logs(home: &Home) -> Vec<PathBuf> {
    let files = fs::read_dir(home.path(".catgen/jobs")).into_iter().flatten().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|it| it == "log")).collect()
}

/// The plans in a shared folder, by digest.
fn orders(remote: &Path) -> Vec<(String, Value)> {
    let files = fs::read_dir(remote.join("plans")).unwrap().map(|entry| entry.unwrap());
    let order = |file: fs::DirEntry| {
        let value: Value = serde_json::from_slice(&fs::read(file.path()).unwrap()).ok()?;
        value.get("order").is_some().then(|| (file.file_name().into_string().unwrap(), value))
    };
    files.filter_map(order).collect()
}

#[test]
fn decisions_and_other_files_of_the_workspace_reach_the_workers() {
    let remote = tempfile::tempdir().unwrap();
    let [alone, home] = [SMALL.to_owned(), pipeline(remote.path(), TWO)].map(|text| Home::with_cats(&text, 3));
    for home in [&alone, &home] {
        home.run(&["--until", "4.Verified"]);
        let picture = home.lines(&["inspect", "4.Verified", "--json"]).remove(0);
        home.ok(&["verify", "reject", picture["name"].as_str().unwrap()]);
    }
    assert_eq!(counts(&alone.run(&[])), counts(&home.run(&[])));
    check_same(&alone, &home);
}

#[test]
fn a_worker_that_cannot_work_is_tried_again_and_then_named() {
    let remote = tempfile::tempdir().unwrap();
    let home = Home::with_cats(&pipeline(remote.path(), &format!("{TWO}\nattempts = 2")), 2);
    // No worker can make its folder there.
    let mut command = home.command(&["run", "--until", "1.No_duplicates"]);
    let output = command.env("TMPDIR", "/there/is/no/such/folder").output().unwrap();
    let words = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{words}");
    assert!(words.contains("trying again") && words.contains("still missing after 2 attempts: "), "{words}");
    assert!(fs::read_to_string(&logs(&home)[0]).unwrap().contains("/there/is/no/such/folder"));
    // Nothing is lost by that.
    home.run(&["--until", "1.No_duplicates"]);
}

#[test]
fn work_elsewhere_needs_a_shared_cache() {
    let home = Home::with_cats(SMALL, 1);
    insta::assert_snapshot!(home.fails(&["run", "--set", "executor.kind=processes", "--set", "executor.min_items=1"]), @r#"
    exit 2
    error: work can be done elsewhere only with a shared cache, and pipeline.toml names none
    hint: add `[cache]` with `remote = "file:///a/folder/that/all/machines/see"` or `remote = "s3://bucket/prefix"`
    "#);
    insta::assert_snapshot!(home.fails(&["run", "--set", "executor.kind=slurn"]), @r#"
    exit 2
    error: --set executor.kind=slurn: unknown kind of executor "slurn"; did you mean "slurm"?
    "#);
}

#[test]
fn a_plan_of_another_program_says_what_differs() {
    let remote = tempfile::tempdir().unwrap();
    let home = Home::with_cats(&pipeline(remote.path(), TWO), 1);
    home.run(&["--until", "1.No_duplicates"]);
    let (digest, _) = orders(remote.path()).remove(0);
    let plan = fs::read_to_string(remote.path().join("plans").join(digest)).unwrap();
    let address = url::Url::from_directory_path(remote.path()).unwrap();
    let worker = |text: &str| {
        let digest = Digest::of(text.as_bytes()).to_string();
        fs::write(remote.path().join("plans").join(&digest), text).unwrap();
        home.fails(&["worker", "--remote", address.as_str(), "--plan", &digest, "--shard", "0"])
    };
    let other = plan.replace("[\"version\",\"", "[\"version\",\"9");
    assert_ne!(plan, other);
    let words = worker(&other);
    assert!(words.contains("exit 3") && words.contains("on this machine it is not what it is where the plan was made"), "{words}");
    let outside =
        plan.replace("\"files\":{", "\"files\":{\"../evil\":\"0000000000000000000000000000000000000000000000000000000000000000\",");
    let words = worker(&outside.replace(",}", "}"));
    assert!(words.contains("outside of its workspace"), "{words}");
    let missing = home.fails(&["worker", "--remote", address.as_str(), "--plan", &"0".repeat(64), "--shard", "0"]);
    assert!(missing.contains("is not in the shared cache"), "{missing}");
}

#[test]
fn a_training_by_a_worker_is_that_of_this_process_and_everybody_has_it() {
    let test = "a_training_by_a_worker_is_that_of_this_process_and_everybody_has_it";
    if !has_trainer(test) {
        return;
    }
    let remote = tempfile::tempdir().unwrap();
    let alone = Home::with_cats(&format!("{SMALL}{TRAIN}"), 12);
    let by_workers = pipeline(remote.path(), TWO).replace("[cache]", &format!("{TRAIN}\n[cache]"));
    let home = Home::with_cats(&by_workers, 12);
    let third = Home::with_cats(&by_workers.replace("\"processes\"", "\"local\""), 12);
    assert_eq!(counts(&alone.run(&[])), counts(&home.run(&[])));
    let fourth = Home::with_cats(&by_workers, 12);
    assert_eq!(trained(&alone), trained(&home));
    for other in [&third, &fourth] {
        assert_eq!(sum(&other.run(&[]), "stage", "computed"), 0, "what was brought was computed by nobody");
        assert_eq!(trained(&alone), trained(other));
    }
    // What it came to is in the record of whoever has it, and a generator is a generator.
    for home in [&home, &third] {
        let run = home.lines(&["runs", "--json"]).remove(0);
        assert_eq!(run["metrics"]["7.Train"]["epoch"], 2, "{run}");
        assert!(run["metrics"]["7.Train"]["best"]["kid"].is_number(), "{run}");
    }
    home.ok(&["generate", "--count", "2", "--out", "made"]);
    // Trained again it is another training, which others do as well.
    let lines: Vec<Value> = home.ok(&["train", "--json"]).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(sum(&lines, "stage", "computed"), 1, "{lines:?}");
}

#[test]
fn a_training_whose_worker_has_to_go_is_taken_up_where_it_was() {
    let test = "a_training_whose_worker_has_to_go_is_taken_up_where_it_was";
    if !has_trainer(test) {
        return;
    }
    let (remote, scratch) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let train = TRAIN.replace("epochs = 2", "epochs = 40");
    let alone = Home::with_cats(&format!("{SMALL}{train}"), 12);
    alone.run(&[]);
    let home = Home::with_cats(&pipeline(remote.path(), TWO).replace("[cache]", &format!("{train}\n[cache]")), 12);
    home.run(&["--until", "Export"]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_catgen-pipe"));
    let command = command.arg("run").current_dir(home.folder.path()).env("TMPDIR", scratch.path()).env("CATGEN_LOG", "info");
    let run = Running::start(command);
    let is_checkpoint = |entry: walkdir::DirEntry| entry.path().extension().is_some_and(|extension| extension == "safetensors");
    let files = || walkdir::WalkDir::new(scratch.path()).into_iter().filter_map(Result::ok);
    wait_until("an epoch is trained", || files().any(is_checkpoint));
    end_workers(run.id());
    let output = run.output();
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && words.contains("trying again"), "{words}");
    let said: String = logs(&home).iter().map(|log| fs::read_to_string(log).unwrap()).collect();
    assert!(said.contains("going on from part 1"), "{said}");
    assert_eq!(trained(&alone), trained(&home));
}

#[test]
fn a_training_that_was_begun_here_goes_on_elsewhere() {
    let test = "a_training_that_was_begun_here_goes_on_elsewhere";
    if !has_trainer(test) {
        return;
    }
    let remote = tempfile::tempdir().unwrap();
    let train = TRAIN.replace("epochs = 2", "epochs = 24");
    let home = Home::with_cats(&pipeline(remote.path(), TWO).replace("[cache]", &format!("{train}\n[cache]")), 12);
    let stopped = home.output(&["run", "--set", "executor.kind=local", "--time-budget", "0.02"]);
    assert_eq!(stopped.status.code(), Some(130), "{}", String::from_utf8_lossy(&stopped.stderr));
    let epochs = || home.lines(&["runs", "--json"]).iter().filter_map(|run| run["metrics"]["7.Train"]["epoch"].as_u64()).max();
    let before = epochs().unwrap();
    assert!(0 < before && before < 24, "{before}");
    let output = home.command(&["run", "--set", "executor.kind=processes"]).env("CATGEN_LOG", "info").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said: String = logs(&home).iter().map(|log| fs::read_to_string(log).unwrap()).collect();
    assert!(said.contains("going on from part 1") && epochs() == Some(24), "{said}");
}

/// Tells the workers of a run to end.
fn end_workers(run: u32) {
    let processes = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    let is_worker = |pid: &i32| {
        let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
        let parent = read("stat").rsplit(") ").next().and_then(|rest| rest.split(' ').nth(1)?.parse::<u32>().ok());
        parent == Some(run) && read("cmdline").contains("worker")
    };
    let workers: Vec<i32> = processes.filter(is_worker).collect();
    assert!(!workers.is_empty());
    workers.iter().for_each(|pid| kill_process(Pid::from_raw(*pid).unwrap(), Signal::TERM).unwrap());
}

/// The weights of a workspace's newest training, by file.
pub(crate) fn trained(home: &Home) -> Vec<(String, Digest)> {
    let files = walkdir::WalkDir::new(home.path("runs")).into_iter().map(Result::unwrap);
    let files = files.filter(|entry| entry.path().extension().is_some_and(|extension| extension == "safetensors"));
    let mut found: Vec<_> =
        files.map(|entry| (entry.file_name().to_string_lossy().into_owned(), Digest::of_file(entry.path()).unwrap())).collect();
    assert!(!found.is_empty());
    found.sort();
    found
}
