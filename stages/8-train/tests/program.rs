//! The program as the engine runs it: a child process, killed, stopped, resumed and misled.
#![expect(clippy::unwrap_used, reason = "a test's helpers are tests too")]

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use catgen_api::Digest;
use catgen_train::{Event, Status};

/// A folder with a dataset of 64 small pictures: discs of random place and colour, which quick tiny networks can begin to learn.
struct Bench {
    folder: tempfile::TempDir,
}

const OPTIONS: &str = r#"{"width": 8, "latent": 16, "batch": 8, "epochs": 5, "samples": 9, "flip": true, "device": "cpu", "keep_checkpoints": 3, "evaluate_images": 0}"#;

impl Bench {
    fn new() -> Self {
        let bench = Self { folder: tempfile::tempdir().unwrap() };
        bench.write_dataset("dataset.npy", 64, 32);
        fs::write(bench.path("options.json"), OPTIONS).unwrap();
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write_dataset(&self, name: &str, count: usize, side: usize) {
        let header = format!("{:<117}\n", format!("{{'descr': '|u1', 'fortran_order': False, 'shape': ({count}, 3, {side}, {side}), }}"));
        let mut bytes = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
        bytes.extend(header.bytes());
        for picture in 0..count {
            let of = |prime: usize, range: usize| picture * prime % range;
            let (cx, cy, radius) = (side / 4 + of(7, side / 2), side / 4 + of(11, side / 2), side / 8 + of(5, side / 4));
            for channel in 0..3 {
                let colour = (64 + (picture * (37 + channel * 16)) % 192) as u8;
                for at in 0..side * side {
                    let (x, y) = (at % side, at / side);
                    let inside = x.abs_diff(cx).pow(2) + y.abs_diff(cy).pow(2) < radius * radius;
                    bytes.push(if inside { colour } else { 240 });
                }
            }
        }
        fs::write(self.path(name), bytes).unwrap();
    }

    fn train(&self, out: &str, more: &[&str]) -> Command {
        let digest = Digest::of_file(&self.path("dataset.npy")).unwrap().to_string();
        let mut command = Command::new(env!("CARGO_BIN_EXE_catgen-train"));
        command.arg("train").arg("--dataset").arg(self.path("dataset.npy")).args(["--dataset-digest", &digest]);
        command.arg("--options").arg(self.path("options.json")).args(["--seed", "7439"]).arg("--out").arg(self.path(out));
        if !more.contains(&"--threads") {
            command.args(["--threads", "1"]);
        }
        command.args(more);
        command
    }

    /// Runs to the end and answers the events.
    fn done(&self, out: &str, more: &[&str]) -> Vec<Event> {
        let output = self.train(out, more).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        events(&output)
    }

    /// Starts it, and lets `act` end it once `when` was said that often.
    fn interrupt(&self, out: &str, more: &[&str], when: fn(&Event) -> bool, times: usize, act: fn(&mut Child)) -> Vec<Event> {
        let mut child = self.train(out, more).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut seen = 0;
        let mut said = Vec::new();
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let event = Event::parse(&line.unwrap()).unwrap();
            seen += usize::from(when(&event));
            said.push(event);
            if seen == times {
                act(&mut child);
                seen += 1;
            }
        }
        child.wait().unwrap();
        said
    }

    /// Kills it in the second epoch or so, and when it went on from there, around the fourth; answers false if it came to its end before that.
    fn is_killed_twice(&self, out: &str, more: &[&str]) -> bool {
        let is_done = |said: &[Event]| said.iter().any(|event| matches!(event, Event::Done { .. }));
        let first = self.interrupt(out, more, is_checkpoint, 1, kill);
        if is_done(&first) {
            return false;
        }
        let second = self.interrupt(out, more, is_checkpoint, 2, kill);
        assert!(resumed_from(&second).is_some_and(|step| step >= 8));
        !is_done(&second)
    }

    fn stats(&self, out: &str) -> String {
        fs::read_to_string(self.path(out).join("stats.jsonl")).unwrap()
    }

    /// What an undisturbed training and a resumed one must have in common, to the byte.
    fn assert_same(&self, a: &str, b: &str) {
        assert_eq!(self.stats(a), self.stats(b));
        let read = |out: &str, name: &str| fs::read(self.path(out).join(name)).unwrap();
        let last = newest(&self.path(a));
        for name in
            [&format!("checkpoints/{last}.safetensors"), "samples/epoch-0005.png", "samples/epoch-0000.png", "reals.png", "options.json"]
        {
            assert!(read(a, name) == read(b, name), "{name} differs");
        }
    }
}

fn events(output: &Output) -> Vec<Event> {
    String::from_utf8(output.stdout.clone()).unwrap().lines().map(|line| Event::parse(line).unwrap()).collect()
}

fn newest(out: &Path) -> String {
    let names = fs::read_dir(out.join("checkpoints")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter_map(|name| name.strip_suffix(".json").map(str::to_owned)).max().unwrap()
}

fn resumed_from(events: &[Event]) -> Option<u64> {
    match events.first() {
        Some(Event::Start { resumed_from_step, .. }) => *resumed_from_step,
        other => panic!("{other:?}"),
    }
}

fn is_checkpoint(event: &Event) -> bool {
    matches!(event, Event::Checkpoint { .. })
}

fn kill(child: &mut Child) {
    child.kill().unwrap(); // SIGKILL
}

fn terminate(child: &mut Child) {
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
}

#[test]
fn a_training_says_and_leaves_what_it_promises() {
    let bench = Bench::new();
    let said = bench.done("out", &[]);
    assert!(matches!(
        said[0],
        Event::Start { images: 64, side: 32, epochs: 5, steps_per_epoch: 8, steps: 40, resumed_from_step: None, .. }
    ));
    assert!(matches!(said.last(), Some(Event::Done { status: Status::Done, epochs: 5, steps: 40, images_seen: 320, .. })));
    assert_eq!(said.iter().filter(|event| matches!(event, Event::Epoch { .. })).count(), 5);
    let out = bench.path("out");
    for name in ["options.json", "reals.png", "stats.jsonl", "timing.jsonl", "samples/epoch-0000.png", "samples/epoch-0005.png"] {
        assert!(out.join(name).exists(), "{name}");
    }
    // The three newest, and nothing half-written.
    let mut files: Vec<String> =
        fs::read_dir(out.join("checkpoints")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    files.sort();
    let kept = ["step-00000024", "step-00000032", "step-00000040"]
        .into_iter()
        .flat_map(|step| ["json", "safetensors"].map(|end| format!("{step}.{end}")));
    assert!(files.iter().eq(kept.collect::<Vec<_>>().iter()), "{files:?}");
    for event in &said {
        if let Event::Epoch { grid: path, .. } | Event::Checkpoint { path, .. } = event {
            assert!(path.starts_with("checkpoints/step-000000") || out.join(path).exists(), "{path}");
        }
    }
    // Asked again it has nothing to do, and leaves everything as it is.
    let stats = bench.stats("out");
    let again = bench.done("out", &[]);
    assert_eq!(resumed_from(&again), Some(40));
    assert!(matches!(again[..], [Event::Start { .. }, Event::Done { status: Status::Done, steps: 40, .. }]));
    assert_eq!(bench.stats("out"), stats);
}

/// Every preset, and what else a checkpoint must know: the average, the probability of changes, where the schedule is.
const TRAININGS: [&str; 4] = [
    r#"{"#,
    r#"{"loss": "ralsgan-gp", "augment": "adaptive", "augment_images": 100, "ema_images": 64, "penalty_every": 3, "#,
    r#"{"preset": "dcgan-keras", "#,
    r#"{"preset": "r3gan-s", "augment": "adaptive", "augment_images": 200, "augment_strength": 0.2, "schedule_images": 300, "#,
];

/// A training that nobody disturbs, and one that is killed twice: the bench with both, and the folder of the second.
fn killed_and_resumed(begin: &str, threads: &str) -> (Bench, String) {
    let bench = Bench::new();
    let options = OPTIONS.replace('{', begin);
    let options = if begin.contains("r3gan") { options.replace("\"width\": 8", "\"width\": 16") } else { options };
    fs::write(bench.path("options.json"), options).unwrap();
    let threads = ["--threads", threads];
    bench.done("whole", &threads);
    // The trainings are short, and a kill may come too late on a busy machine: then another one is killed.
    let killed = (0..20).map(|attempt| format!("killed {attempt}")).find(|out| bench.is_killed_twice(out, &threads));
    let killed = killed.expect("a training that is not faster than the kill");
    assert!(resumed_from(&bench.done(&killed, &threads)).is_some_and(|step| step >= 16));
    (bench, killed)
}

#[test]
fn killed_and_resumed_every_preset_ends_with_the_same_bytes() {
    for begin in TRAININGS {
        let (bench, killed) = killed_and_resumed(begin, if begin.contains("r3gan") { "1" } else { "2" });
        bench.assert_same("whole", &killed);
        let augments = !bench.stats("whole").lines().last().unwrap().contains("\"augment\":0.0");
        assert_eq!(augments, begin.contains("adaptive"), "{}", bench.stats("whole"));
    }
}

/// With more than one thread libtorch now and then rounds `r3gan-s` otherwise, see `docs/training.md`.
#[test]
fn killed_and_resumed_with_two_threads_r3gan_ends_with_the_same_numbers() {
    let (bench, killed) = killed_and_resumed(TRAININGS[3], "2");
    let [whole, killed] = ["whole", &killed]
        .map(|out| -> Vec<serde_json::Value> { bench.stats(out).lines().map(|line| serde_json::from_str(line).unwrap()).collect() });
    assert_eq!((whole.len(), killed.len()), (5, 5));
    for (whole, killed) in whole.iter().zip(&killed) {
        for name in ["loss_d", "loss_g", "d_real", "d_fake", "penalty"] {
            let [a, b] = [whole, killed].map(|line| line[name].as_f64().unwrap());
            assert!((a - b).abs() <= 1e-4 * a.abs(), "{name}: {whole} {killed}");
        }
    }
}

#[test]
fn stopped_within_an_epoch_it_saves_goes_on_and_ends_with_the_same_bytes() {
    let bench = Bench::new();
    bench.done("whole", &[]);
    // As with kills, a signal may come too late.
    let stopped = |out: String| {
        let said = bench.interrupt(&out, &[], is_checkpoint, 1, terminate);
        let Some(Event::Done { status, steps, .. }) = said.last() else { panic!("{:?}", said.last()) };
        assert!(matches!(said[said.len() - 2], Event::Checkpoint { step, .. } if step == *steps));
        matches!(status, Status::Stopped).then_some((out, *steps))
    };
    let (stopped, steps) =
        (0..20).find_map(|attempt| stopped(format!("stopped {attempt}"))).expect("a training that is not faster than the signal");
    assert_eq!(resumed_from(&bench.done(&stopped, &[])), Some(steps));
    bench.assert_same("whole", &stopped);
}

#[test]
fn ended_by_max_images_it_can_be_prolonged() {
    let bench = Bench::new();
    bench.done("whole", &[]);
    fs::write(bench.path("options.json"), OPTIONS.replace('{', r#"{"max_images": 155, "#)).unwrap();
    let said = bench.done("short", &[]);
    // 155 pictures are 20 steps of 8: two epochs and a half.
    assert!(matches!(said.last(), Some(Event::Done { status: Status::Done, epochs: 2, steps: 20, images_seen: 160, .. })));
    assert_eq!(bench.stats("short").lines().count(), 3);
    bench.done("short", &[]);
    assert_eq!(bench.stats("short").lines().count(), 3);
    fs::write(bench.path("options.json"), OPTIONS).unwrap();
    assert_eq!(resumed_from(&bench.done("short", &[])), Some(20));
    bench.assert_same("whole", "short");
}

#[test]
fn a_damaged_checkpoint_is_passed_over() {
    let bench = Bench::new();
    bench.done("whole", &[]);
    bench.done("damaged", &[]);
    let path = bench.path("damaged/checkpoints/step-00000040.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x40;
    fs::write(&path, bytes).unwrap();
    let output = bench.train("damaged", &[]).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("skipping the checkpoint"));
    assert_eq!(resumed_from(&events(&output)), Some(32));
    bench.assert_same("whole", "damaged");
}

#[test]
fn what_does_not_fit_is_refused_with_status_2() {
    let bench = Bench::new();
    bench.done("out", &[]);
    let check = |out: &str, more: &[&str], said: &str| {
        let output = bench.train(out, more).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        let Some(Event::Error { message, .. }) = events(&output).pop() else { panic!("{said}: no error event") };
        assert!(message.contains(said), "{message}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("hint: "));
    };
    fs::write(bench.path("options.json"), OPTIONS.replace("\"batch\": 8", "\"batch\": 16")).unwrap();
    check("out", &[], "batch 8, not 16");
    fs::write(bench.path("options.json"), r#"{"bach": 8}"#).unwrap();
    check("new", &[], "did you mean \"batch\"?");
    fs::write(bench.path("options.json"), OPTIONS.replace("cpu", "cuda")).unwrap();
    if !doctor()["cuda"].as_bool().unwrap() {
        check("new", &[], "sees none");
        fs::write(bench.path("options.json"), OPTIONS.replace('{', r#"{"graph": "on", "#)).unwrap();
        check("new", &[], "CUDA graph");
    }
    fs::write(bench.path("options.json"), OPTIONS.replace('{', r#"{"preset": "r3gan-s", "#)).unwrap();
    check("new", &[], "multiple of 16");
    fs::write(bench.path("options.json"), OPTIONS).unwrap();
    bench.write_dataset("dataset.npy", 65, 32);
    check("out", &[], "dataset ");
    bench.write_dataset("dataset.npy", 64, 48);
    check("new", &[], "48 × 48");
    fs::write(bench.path("dataset.npy"), "no").unwrap();
    check("new", &[], "not a NumPy file");
    let output = Command::new(env!("CARGO_BIN_EXE_catgen-train")).arg("train").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}

/// Ends epochs 1 and 2, and then makes weights of the checkpoint of step 16 so large that logits overflow: stands for a training gone
/// wrong. The card says that the checkpoint of step `best` is the best one.
fn gone_wrong(bench: &Bench, out: &str, best: u64) {
    fs::write(bench.path("options.json"), OPTIONS.replace("\"epochs\": 5", "\"epochs\": 2")).unwrap();
    bench.done(out, &[]);
    let path = bench.path(out).join("checkpoints/step-00000016.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let table: serde_json::Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    let at = |end: usize| table["discriminator.main.8.weight"]["data_offsets"][end].as_u64().unwrap() as usize + 8 + length;
    for number in bytes[at(0)..at(1)].chunks_exact_mut(4) {
        number.copy_from_slice(&3e38f32.to_le_bytes());
    }
    rewrite(&path, &bytes, |card| card["best"] = serde_json::json!({"step": best, "score": null}));
    fs::write(bench.path("options.json"), OPTIONS).unwrap();
}

/// Other tensors for a checkpoint, and a card that names them.
fn rewrite(path: &Path, bytes: &[u8], change: impl FnOnce(&mut serde_json::Value)) {
    fs::write(path, bytes).unwrap();
    let card = fs::read_to_string(path.with_extension("json")).unwrap();
    let mut card: serde_json::Value = serde_json::from_str(&card).unwrap();
    card["tensors"] = Digest::of(bytes).to_string().into();
    change(&mut card);
    fs::write(path.with_extension("json"), card.to_string()).unwrap();
}

fn alarms(events: &[Event]) -> Vec<String> {
    events.iter().filter_map(|event| if let Event::Alarm { action, .. } = event { Some(action.clone()) } else { None }).collect()
}

#[test]
fn a_training_that_breaks_down_goes_back_to_the_best_checkpoint_however_often_it_is_killed() {
    let bench = Bench::new();
    gone_wrong(&bench, "whole", 8);
    gone_wrong(&bench, "killed", 8);
    let said = bench.done("whole", &[]);
    assert_eq!(resumed_from(&said), Some(16));
    assert_eq!(alarms(&said), ["going back to step 8 with half of the learning rate and more changes to the pictures (1 of 2)"]);
    assert!(matches!(said.last(), Some(Event::Done { status: Status::Done, steps: 40, .. })));
    // After the alarm the changes are there that a rollback brings.
    let augment: Vec<bool> = bench.stats("whole").lines().map(|line| line.contains("\"augment\":0.30")).collect();
    assert_eq!(augment, [false, true, true, true, true], "{}", bench.stats("whole"));
    // The checkpoint that is saved after going back is the first; it is killed after the next but one.
    let killed = bench.interrupt("killed", &[], is_checkpoint, 3, kill);
    assert_eq!(alarms(&killed).len(), 1);
    assert_eq!(alarms(&bench.done("killed", &[])).len(), 0);
    bench.assert_same("whole", "killed");
}

#[test]
fn a_training_that_breaks_down_again_and_again_stops_and_says_so() {
    let bench = Bench::new();
    // The best there is is the one gone wrong itself.
    gone_wrong(&bench, "again", 16);
    // No checkpoint yet: the way back is to the beginning. Nothing holds the numbers of r3gan at such a rate, nor at a quarter of it.
    let check = |out: &str, to: &str| {
        let output = bench.train(out, &[]).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let said = events(&output);
        let actions = alarms(&said);
        assert!(actions.len() == 2 && actions.iter().all(|action| action.starts_with(&format!("going back to {to} "))), "{actions:?}");
        let Some(Event::Error { message, hint }) = said.last() else { panic!("no error event") };
        assert!(message.contains("although it went back twice") && message.contains("no longer a number"), "{message}");
        assert!(hint.contains("learning_rate") && hint.contains("is kept"), "{hint}");
        assert!(bench.path(out).join(format!("checkpoints/{}.safetensors", newest(&bench.path(out)))).exists());
    };
    check("again", "step 16");
    let options = OPTIONS.replace("\"width\": 8", "\"width\": 16").replace('{', r#"{"preset": "r3gan-s", "learning_rate": 1.0, "#);
    fs::write(bench.path("options.json"), options).unwrap();
    check("new", "the beginning");
}

#[test]
fn a_full_disk_costs_what_came_after_the_last_checkpoint() {
    let bench = Bench::new();
    bench.done("whole", &[]);
    let size = fs::metadata(bench.path("whole/checkpoints/step-00000040.safetensors")).unwrap().len();
    // Room for two checkpoints and a half, on a disk of its own that goes when the commands are done.
    let room = size * 5 / 2;
    let trainer = bench.train("small/out", &[]);
    let words: Vec<String> =
        std::iter::once(trainer.get_program()).chain(trainer.get_args()).map(|word| word.to_str().unwrap().to_owned()).collect();
    let script = r#"mount -t tmpfs -o size=$ROOM tmpfs "$SMALL" || exit 77; "$@"; code=$?; cp -r "$SMALL/out" "$KEPT"; exit $code"#;
    fs::create_dir(bench.path("small")).unwrap();
    let output = Command::new("unshare")
        .args(["-rm", "sh", "-c", script, "sh"])
        .args(words)
        .env("ROOM", room.to_string())
        .env("SMALL", bench.path("small"))
        .env("KEPT", bench.path("kept"))
        .output();
    let output = match output {
        Ok(output) if output.status.code() != Some(77) && !output.stdout.is_empty() => output,
        _ => {
            println!("skipped: no small disk can be mounted here");
            return;
        }
    };
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    let Some(Event::Error { message, hint }) = events(&output).pop() else { panic!("no error event") };
    assert!(message.contains("No space left") && hint.contains("the checkpoint of step 16 is kept"), "{message} / {hint}");
    // With room again it goes on from there, and ends as if nothing had been.
    assert_eq!(resumed_from(&bench.done("kept", &[])), Some(16));
    bench.assert_same("whole", "kept");
}

#[test]
fn when_its_time_is_up_it_saves_and_can_go_on() {
    let bench = Bench::new();
    bench.done("whole", &[]);
    let said = bench.done("timed", &["--time-budget", "0.0005"]);
    let Some(Event::Done { status: Status::Stopped, steps, .. }) = said.last() else { panic!("{:?}", said.last()) };
    assert!(*steps < 40 && matches!(said[said.len() - 2], Event::Checkpoint { step, .. } if step == *steps));
    assert_eq!(resumed_from(&bench.done("timed", &[])), Some(*steps));
    bench.assert_same("whole", "timed");
}

#[test]
fn a_checkpoint_of_the_first_format_is_taken_up() {
    let bench = Bench::new();
    bench.done("out", &[]);
    let folder = bench.path("out/checkpoints");
    let path = folder.join("step-00000040.safetensors");
    // As the first version wrote it: no average, no probability, four sums.
    let bytes = fs::read(&path).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let table: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    let (mut old, mut data) = (serde_json::Map::new(), Vec::new());
    for (name, mut entry) in table.into_iter().filter(|(name, _)| !name.starts_with("ema.") && name != "augment_probability") {
        if name != "__metadata__" {
            let at = |place: usize| entry["data_offsets"][place].as_u64().unwrap() as usize + 8 + length;
            let mut range = at(0)..at(1);
            if name == "epoch_sums" {
                range.end = range.start + 32;
                entry["shape"] = serde_json::json!([4]);
            }
            let begin = data.len();
            data.extend(&bytes[range]);
            entry["data_offsets"] = serde_json::json!([begin, data.len()]);
        }
        old.insert(name, entry);
    }
    let mut table = serde_json::to_vec(&old).unwrap();
    table.resize(table.len().next_multiple_of(8), b' ');
    let bytes = [&(table.len() as u64).to_le_bytes()[..], &table, &data].concat();
    rewrite(&path, &bytes, |card| {
        card["format"] = 1.into();
        card["options"] = serde_json::json!({"preset": "dcgan", "loss": "bce", "epochs": 5, "batch": 8, "max_images": 0, "learning_rate": 0.0002,
            "beta1": 0.5, "beta2": 0.999, "latent": 16, "width": 8, "flip": true, "device": "cpu", "checkpoint_every": 1,
            "keep_checkpoints": 3, "samples": 9});
        for later in ["best", "rollbacks"] {
            card.as_object_mut().unwrap().remove(later);
        }
    });
    fs::write(bench.path("options.json"), OPTIONS.replace("\"epochs\": 5", "\"epochs\": 6")).unwrap();
    let output = bench.train("out", &[]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stderr).contains("an earlier version"));
    let said = events(&output);
    assert_eq!(resumed_from(&said), Some(40));
    assert!(matches!(said.last(), Some(Event::Done { status: Status::Done, steps: 48, .. })));
}

#[test]
fn a_reader_that_goes_away_stops_it_with_a_checkpoint() {
    let bench = Bench::new();
    fs::write(bench.path("options.json"), OPTIONS.replace("\"epochs\": 5", "\"epochs\": 300")).unwrap();
    let mut child = bench.train("out", &[]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    reader.read_line(&mut String::new()).unwrap();
    drop(reader);
    assert!(child.wait().unwrap().success());
    assert_ne!(newest(&bench.path("out")), "step-00002400", "it went on to the end");
}

#[test]
fn a_seed_has_one_picture_whatever_is_drawn_beside_it() {
    let bench = Bench::new();
    bench.done("out", &[]);
    let generate = |checkpoint: &str, seed: &str, count: &str, to: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_catgen-train"));
        command.args(["generate", "--seed", seed, "--count", count, "--device", "cpu"]).arg("--checkpoint").arg(bench.path(checkpoint));
        let output = command.arg("--out").arg(bench.path(to)).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let count: u64 = count.parse().unwrap();
        assert!(matches!(events(&output)[..], [Event::Generated { count: found, step: 40, .. }] if found == count));
    };
    generate("out", "120", "7", "many");
    generate("out/checkpoints/step-00000040.safetensors", "123", "1", "one");
    let read = |name: &str| fs::read(bench.path(name)).unwrap();
    assert_eq!(read("many/seed-000123.png"), read("one/seed-000123.png"));
    assert_ne!(read("many/seed-000123.png"), read("many/seed-000124.png"));
    assert!(bench.path("many/grid.png").exists());
    // The pictures, their sheet, and what is known of each.
    assert_eq!(fs::read_dir(bench.path("many")).unwrap().count(), 9);
}

fn doctor() -> serde_json::Value {
    let mut child = Command::new(env!("CARGO_BIN_EXE_catgen-train")).arg("doctor").stdout(Stdio::piped()).spawn().unwrap();
    let mut text = String::new();
    child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert!(child.wait().unwrap().success());
    serde_json::from_str(&text).unwrap()
}

#[test]
fn the_bench_measures_a_step() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_catgen-train"));
    command.args(["bench", "--side", "32", "--seconds", "0.1", "--threads", "1", "--options"]);
    let output = command.arg(r#"{"width": 8, "batch": 4, "device": "cpu"}"#).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let (images, milliseconds) = (found["images_per_second"].as_f64().unwrap(), found["ms_per_step"].as_f64().unwrap());
    assert!((images * milliseconds / 4000.0 - 1.0).abs() < 1e-6 && found["steps"].as_u64().unwrap() > 0, "{found}");
}

#[test]
fn the_doctor_knows_its_libtorch() {
    assert_eq!(doctor()["libtorch"], "2.11.0");
    assert!(doctor()["cuda"].is_boolean());
}
