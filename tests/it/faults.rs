//! Faults with real processes: whatever a `kill -9` leaves behind, a plain `run` finishes as if nothing had happened.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::home::{Home, SMALL, TRAIN, has_trainer};
use catgen_api::{Digest, Draw};

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
    let mut kills = 0;
    for attempt in 0..12u64 {
        let mut draw = Draw::new(7439, "kill", &Digest::of(b""), attempt);
        let mut child = start(&home);
        std::thread::sleep(took.mul_f64(draw.uniform(0.02, 0.6)));
        let killed = child.try_wait().unwrap().is_none();
        child.kill().unwrap();
        child.wait().unwrap();
        kills += u32::from(killed);
    }
    assert!(kills > 0, "every run was done before it could be killed");
    home.ok(&["run"]);
    let found = results(&home);
    let names = |results: &BTreeMap<String, Vec<u8>>| results.keys().cloned().collect::<BTreeSet<_>>();
    let odd: Vec<String> = names(&found).symmetric_difference(&names(&expect)).cloned().collect();
    assert!(odd.is_empty(), "after {kills} kills these are missing or too many: {odd:?}");
    for (name, content) in &expect {
        assert!(found[name] == *content, "{name} differs after {kills} kills");
    }
    assert!(home.computed(&[]).iter().all(|computed| *computed == 0));
    assert!(!home.path(".catgen/set-aside").exists(), "a file of our own was taken for somebody's");
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
    home.ok(&["generate", "2", "--seed", "5", "-n", "3", "--out", "a"]);
    home.ok(&["generate", "2", "--seed", "6", "-n", "1", "--out", "b"]);
    assert_eq!(fs::read(home.path("a/seed-000006.png")).unwrap(), fs::read(home.path("b/seed-000006.png")).unwrap());
    home.ok(&["train", "--set", "epochs=1"]);
    assert_eq!(home.lines(&["runs", "--json"]).len(), 5);
}

fn checkpoints(folder: &Path) -> usize {
    let Ok(files) = fs::read_dir(folder.join("checkpoints")) else { return 0 };
    files.filter_map(Result::ok).filter(|file| file.path().extension().is_some_and(|extension| extension == "safetensors")).count()
}
