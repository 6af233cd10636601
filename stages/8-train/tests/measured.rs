//! A training that is measured: what it says and keeps, and that going on with it measures the same.
#![expect(clippy::unwrap_used, reason = "a test's helpers are tests too")]

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output},
};

use catgen_api::Digest;
use catgen_train::Event;
use serde_json::Value;

const OPTIONS: &str = r#"{"width": 8, "latent": 16, "batch": 8, "epochs": 4, "samples": 4, "device": "cpu",
    "evaluate_images": 24, "evaluate_every": 2}"#;

/// A folder with 48 training photos, 12 held out, and options.
struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let bench = Self { folder: tempfile::tempdir().unwrap() };
        bench.write("train.npy", 0..48);
        bench.write("held_out.npy", 100..112);
        fs::write(bench.path("options.json"), OPTIONS).unwrap();
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Discs of a colour and place of their own, at 32 × 32 pixels.
    fn write(&self, name: &str, numbers: std::ops::Range<usize>) {
        let header = format!("{:<117}\n", format!("{{'descr': '|u1', 'fortran_order': False, 'shape': ({}, 3, 32, 32), }}", numbers.len()));
        let mut bytes = [b"\x93NUMPY\x01\x00\x76\x00".as_slice(), header.as_bytes()].concat();
        for number in numbers {
            let (cx, cy, radius) = (8 + number * 7 % 16, 8 + number * 11 % 16, 4 + number * 5 % 8);
            for channel in 0..3 {
                let colour = (64 + (number * (37 + channel * 16)) % 192) as u8;
                let inside = |at: usize| (at % 32).abs_diff(cx).pow(2) + (at / 32).abs_diff(cy).pow(2) < radius * radius;
                bytes.extend((0..32 * 32).map(|at| if inside(at) { colour } else { 240 }));
            }
        }
        fs::write(self.path(name), bytes).unwrap();
    }

    fn command(&self, command: &str, more: &[&str]) -> Command {
        let mut process = Command::new(env!("CARGO_BIN_EXE_catgen-train"));
        process.arg(command).arg("--dataset").arg(self.path("train.npy")).arg("--held-out").arg(self.path("held_out.npy"));
        process.args(["--threads", "1"]).args(more);
        process
    }

    fn train(&self, out: &str) -> Vec<Event> {
        let digest = Digest::of_file(&self.path("train.npy")).unwrap().to_string();
        let mut process = self.command("train", &["--dataset-digest", &digest, "--seed", "7"]);
        said(&process.arg("--options").arg(self.path("options.json")).arg("--out").arg(self.path(out)).output().unwrap())
    }

    fn stats(&self, out: &str) -> Vec<Value> {
        let text = fs::read_to_string(self.path(out).join("stats.jsonl")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn said(output: &Output) -> Vec<Event> {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap().lines().map(|line| Event::parse(line).unwrap()).collect()
}

#[test]
fn a_training_says_how_good_it_is_and_going_on_measures_the_same() {
    let bench = Bench::new();
    let events = bench.train("whole");
    let evaluated: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::Evaluated { epoch, logits, evaluation, .. } => Some((epoch.unwrap(), logits.is_some(), evaluation)),
            _ => None,
        })
        .collect();
    assert_eq!(evaluated.iter().map(|(epoch, logits, _)| (*epoch, *logits)).collect::<Vec<_>>(), [(2, true), (4, true)]);
    let (held_out, training) = (evaluated[1].2.held_out.as_ref().unwrap(), &evaluated[1].2.training);
    assert_eq!((held_out.photos, training.photos, evaluated[1].2.pictures), (12, 48, 24));
    let stats = bench.stats("whole");
    assert_eq!(stats.iter().map(|line| line.get("evaluation").is_some()).collect::<Vec<_>>(), [false, true, false, true]);
    assert_eq!(stats[3]["evaluation"]["features"], "random-convolution-v1");
    assert!(stats[3]["logits"]["held_out"].is_f64());

    // Two epochs, and then two more: the same lines, and nothing is found again about the photos.
    fs::write(bench.path("options.json"), OPTIONS.replace("\"epochs\": 4", "\"epochs\": 2")).unwrap();
    bench.train("parts");
    let features = || {
        let files = fs::read_dir(bench.path("parts/features")).unwrap().map(|entry| entry.unwrap());
        files.map(|file| (file.file_name(), file.metadata().unwrap().modified().unwrap())).collect::<std::collections::BTreeMap<_, _>>()
    };
    let found = features();
    assert_eq!(found.len(), 2);
    fs::write(bench.path("options.json"), OPTIONS).unwrap();
    bench.train("parts");
    assert_eq!(bench.stats("parts"), stats);
    assert_eq!(features(), found);

    // Another way of measuring is no other training.
    fs::write(bench.path("options.json"), OPTIONS.replace("\"evaluate_images\": 24", "\"evaluate_images\": 0")).unwrap();
    let unmeasured = bench.train("unmeasured");
    assert!(!unmeasured.iter().any(|event| matches!(event, Event::Evaluated { .. })));
    let tensors = |out: &str| {
        let cards = fs::read_dir(bench.path(out).join("checkpoints")).unwrap().map(|entry| entry.unwrap().path());
        let newest = cards.filter(|path| path.extension().is_some_and(|extension| extension == "safetensors")).max().unwrap();
        Digest::of_file(&newest).unwrap()
    };
    assert_eq!(tensors("unmeasured"), tensors("whole"), "measuring changes nothing that is learnt");
}

#[test]
fn what_another_network_measured_is_neither_the_best_nor_an_alarm() {
    let bench = Bench::new();
    // It learns nothing, so that no photo is ever found again.
    let options = |epochs: usize| {
        let often = OPTIONS.replace("\"epochs\": 4", &format!("\"epochs\": {epochs}, \"learning_rate\": 1e-9, \"checkpoint_every\": 25"));
        often.replace("\"evaluate_every\": 2", "\"evaluate_every\": 25")
    };
    fs::write(bench.path("options.json"), options(75)).unwrap();
    bench.train("out");
    // As if these epochs had been judged by a network that found most photos again, and the first of them had been much the best.
    let stats = bench.path("out/stats.jsonl");
    let mut lines = bench.stats("out");
    for line in lines.iter_mut().filter(|line| line.get("evaluation").is_some()) {
        line["evaluation"]["features"] = "another-v1".into();
        line["evaluation"]["variety"] = serde_json::json!({ "spread": 1.0, "nearest": 1.0 });
        line["evaluation"]["held_out"]["recall"] = 0.9.into();
    }
    fs::write(&stats, lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    let cards = fs::read_dir(bench.path("out/checkpoints")).unwrap().map(|entry| entry.unwrap().path());
    let card = cards.filter(|path| path.extension().is_some_and(|extension| extension == "json")).max().unwrap();
    let mut content: Value = serde_json::from_slice(&fs::read(&card).unwrap()).unwrap();
    content["best"] = serde_json::json!({ "step": lines[74]["step"], "score": -1.0 });
    fs::write(&card, content.to_string()).unwrap();

    fs::write(bench.path("options.json"), options(150)).unwrap();
    let events = bench.train("out");
    assert!(!events.iter().any(|event| matches!(event, Event::Alarm { .. })), "{events:?}");
    assert!(bench.stats("out")[149]["evaluation"]["held_out"]["recall"].as_f64() < Some(0.02));
    let stats = bench.stats("out");
    let cards = fs::read_dir(bench.path("out/checkpoints")).unwrap().map(|entry| entry.unwrap().path());
    let card = cards.filter(|path| path.extension().is_some_and(|extension| extension == "json")).max().unwrap();
    let content: Value = serde_json::from_slice(&fs::read(card).unwrap()).unwrap();
    let best = stats.iter().find(|line| line["step"] == content["best"]["step"]).unwrap();
    assert_eq!(best["evaluation"]["features"], "random-convolution-v1");
    assert_eq!(content["best"]["score"], best["evaluation"]["held_out"]["kid"]);
}

#[test]
fn a_checkpoint_and_a_folder_are_judged_alike() {
    let bench = Bench::new();
    bench.train("out");
    let out = bench.path("out").display().to_string();
    let judge = |more: &[&str]| {
        let events = said(&bench.command("evaluate", more).output().unwrap());
        let [Event::Evaluated { step, evaluation, .. }] = &events[..] else { panic!("{events:?}") };
        (*step, evaluation.clone())
    };
    let (step, of_checkpoint) = judge(&["--checkpoint", &out, "--count", "20", "--seed", "5"]);
    assert_eq!((step, of_checkpoint.pictures), (Some(24), 20));
    // The same seeds, drawn into files by `generate`.
    let drawn = bench.path("drawn").display().to_string();
    let grid = bench.path("grid.png").display().to_string();
    let args = ["generate", "--checkpoint", &out, "--seed", "5", "--count", "20", "--out", &drawn, "--grid", &grid, "--device", "cpu"];
    said(&Command::new(env!("CARGO_BIN_EXE_catgen-train")).args(args).output().unwrap());
    let (step, of_folder) = judge(&["--pictures", &drawn]);
    assert_eq!(step, None);
    let (a, b) = (of_checkpoint.headline(), of_folder.headline());
    assert!((a.kid - b.kid).abs() < 1e-3 * a.kid.abs() && (a.frechet - b.frechet).abs() < 1e-3 * a.frechet, "{a:?} {b:?}");

    let fails = |more: &[&str], words: &str| {
        let output = bench.command("evaluate", more).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{words}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(words), "{}", String::from_utf8_lossy(&output.stderr));
    };
    fails(&["--pictures", "/nowhere"], "/nowhere");
    fails(&["--checkpoint", &out, "--features", "/nowhere.onnx"], "cannot find the feature network");
    fails(&[], "--checkpoint");
}
