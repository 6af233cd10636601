//! What can be made with a trained generator, by the program as the engine starts it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails, and its helpers with it")]

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use catgen_api::Digest;
use catgen_picture::{Rgb, RgbImage, decode};
use catgen_train::{
    Event,
    serve::{Directions, Said},
};

/// A folder with a dataset of coloured discs and a short training on it.
struct Trained {
    folder: tempfile::TempDir,
}

const SIDE: usize = 32;
const COUNT: usize = 24;

impl Trained {
    fn new(options: &str) -> Self {
        let trained = Self { folder: tempfile::tempdir().unwrap() };
        let header = format!("{:<117}\n", format!("{{'descr': '|u1', 'fortran_order': False, 'shape': ({COUNT}, 3, {SIDE}, {SIDE}), }}"));
        let mut bytes = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
        bytes.extend(header.bytes());
        for picture in 0..COUNT {
            for channel in 0..3 {
                for at in 0..SIDE * SIDE {
                    let inside = (at % SIDE).abs_diff(16).pow(2) + (at / SIDE).abs_diff(16).pow(2) < 80 + picture * 3;
                    bytes.push(if inside { (picture * (9 + channel) + 30) as u8 } else { 240 });
                }
            }
        }
        fs::write(trained.path("dataset.npy"), bytes).unwrap();
        let rows = (0..COUNT).map(|row| format!("{{\"row\":{row},\"item\":\"{row}.png\",\"photo\":\"disc {row}.jpg\"}}\n"));
        fs::write(trained.path("index.jsonl"), rows.collect::<String>()).unwrap();
        fs::write(trained.path("options.json"), options).unwrap();
        let output = trained.train().output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        trained
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn train(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_catgen-train"));
        let digest = Digest::of_file(&self.path("dataset.npy")).unwrap().to_string();
        command.current_dir(self.folder.path()).args(["train", "--dataset", "dataset.npy", "--dataset-digest", &digest]);
        command.args(["--options", "options.json", "--seed", "1", "--out", "out", "--threads", "1"]);
        command
    }

    fn ask(&self, words: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_catgen-train"));
        command.current_dir(self.folder.path()).args(words);
        command.output().unwrap()
    }

    /// Does something with the training's generator; answers the last event.
    fn made(&self, words: &[&str]) -> Event {
        let output = self.ask(&[&[words[0], "--checkpoint", "out", "--device", "cpu", "--threads", "1"], &words[1..]].concat());
        assert!(output.status.success(), "{words:?}\n{}", String::from_utf8_lossy(&output.stderr));
        events(&output).pop().unwrap()
    }

    fn refused(&self, words: &[&str]) -> String {
        let output = self.ask(words);
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        match events(&output).pop() {
            Some(Event::Error { message, hint }) => format!("{message}\n{hint}"),
            other => panic!("{other:?}\n{}", String::from_utf8_lossy(&output.stderr)),
        }
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn lines(&self, name: &str) -> Vec<serde_json::Value> {
        String::from_utf8(self.read(name)).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn events(output: &Output) -> Vec<Event> {
    String::from_utf8(output.stdout.clone()).unwrap().lines().map(|line| Event::parse(line).unwrap()).collect()
}

fn pixels(bytes: &[u8]) -> RgbImage {
    decode(bytes, None).unwrap().picture.over(Rgb([0; 3])).into_owned()
}

fn count(folder: &Path) -> usize {
    fs::read_dir(folder).unwrap().count()
}

const OPTIONS: &str = r#"{"width": 4, "latent": 6, "batch": 8, "epochs": 3, "samples": 5, "device": "cpu", "keep_checkpoints": 2}"#;

#[test]
fn everything_that_can_be_made_with_a_generator() {
    let trained = Trained::new(OPTIONS);

    // A seed's picture is the same whatever is drawn beside it: fewer, more, across blocks, as arrays.
    let Event::Generated { count: drawn, step: 9, .. } = trained.made(&["generate", "--seed", "60", "--count", "9", "--out", "many"])
    else {
        panic!()
    };
    assert_eq!((drawn, count(&trained.path("many"))), (9, 9 + 2));
    trained.made(&["generate", "--seed", "66", "--count", "1", "--out", "one", "--which", "3"]);
    assert_eq!(trained.read("many/seed-000066.png"), trained.read("one/seed-000066.png"));
    assert_ne!(trained.read("many/seed-000065.png"), trained.read("many/seed-000066.png"));
    trained.made(&["generate", "--seed", "60", "--count", "9", "--npz", "nine.npz"]);
    let npz = trained.read("nine.npz");
    let picture = pixels(&trained.read("many/seed-000067.png"));
    let found = npz.windows(picture.as_raw().len()).position(|part| part == picture.as_raw()).unwrap();
    let first = pixels(&trained.read("many/seed-000060.png"));
    assert_eq!(found - npz.windows(first.as_raw().len()).position(|part| part == first.as_raw()).unwrap(), 7 * SIDE * SIDE * 3);
    let lines = trained.lines("many/index.jsonl");
    assert_eq!((lines.len(), &lines[6]["seed"], &lines[6]["file"]), (9, &66.into(), &"seed-000066.png".into()));
    assert_eq!(pixels(&trained.read("many/grid.png")).dimensions(), (3 * SIDE as u32, 3 * SIDE as u32));

    // The best of four seeds is one of the four, drawn as it is by itself, and has the highest score.
    trained.made(&["generate", "--seed", "60", "--count", "3", "--best-of", "4", "--out", "best"]);
    let best = trained.lines("best/index.jsonl");
    assert_eq!(best.len(), 3);
    for (row, line) in best.iter().enumerate() {
        let seed = line["seed"].as_u64().unwrap();
        assert!((60 + row as u64 * 4..64 + row as u64 * 4).contains(&seed), "{line}");
        let name = line["file"].as_str().unwrap();
        trained.made(&["generate", "--seed", &seed.to_string(), "--count", "1", "--out", "alone"]);
        assert_eq!(trained.read(&format!("best/{name}")), trained.read(&format!("alone/{name}")));
    }

    // Truncated to nothing, all are the same; to the whole, nothing changes.
    trained.made(&["generate", "--seed", "60", "--count", "2", "--truncation", "0", "--out", "mean"]);
    assert_eq!(trained.read("mean/seed-000060.png"), trained.read("mean/seed-000061.png"));
    trained.made(&["generate", "--seed", "66", "--count", "1", "--truncation", "1", "--out", "whole"]);
    assert_eq!(trained.read("whole/seed-000066.png"), trained.read("one/seed-000066.png"));

    // The neighbours are named, with their photos.
    let nearest = ["generate", "--count", "5", "--nearest-in", "dataset.npy", "--rows", "index.jsonl", "--out", "near"];
    assert!(matches!(trained.made(&nearest), Event::Generated { nearest: Some(_), .. }));
    for line in trained.lines("near/index.jsonl") {
        let near = &line["nearest"];
        assert_eq!(near["photo"], format!("disc {}.jpg", near["row"]), "{line}");
        assert!(near["distance"].as_f64().unwrap() > 0.0);
    }
    assert!(pixels(&trained.read("near/nearest.png")).width() > 100);

    // A way has its seeds' pictures at its ends.
    trained.made(&["interpolate", "--seeds", "60,66", "--frames", "4", "--out", "way"]);
    assert_eq!(count(&trained.path("way")), 5 + 1);
    for (frame, seed) in [("way/frame-0000.png", "many/seed-000060.png"), ("way/frame-0004.png", "many/seed-000066.png")] {
        let (frame, seed) = (pixels(&trained.read(frame)), pixels(&trained.read(seed)));
        assert!(frame.as_raw().iter().zip(seed.as_raw()).all(|(a, b)| a.abs_diff(*b) <= 1));
    }
    trained.made(&["interpolate", "--seeds", "60,66", "--frames", "4", "--loop", "--out", "loop"]);
    assert_eq!(count(&trained.path("loop")), 8 + 1);

    // What was exported draws the same, and can be exported again.
    trained.made(&["export", "--to", "safetensors", "--out", "model.safetensors", "--note", "photos=24"]);
    let card: serde_json::Value = serde_json::from_slice(&trained.read("model.json")).unwrap();
    assert_eq!((&card["notes"]["photos"], &card["training"]["steps"]), (&24.into(), &9.into()));
    let draw = [
        "generate",
        "--checkpoint",
        "model.safetensors",
        "--device",
        "cpu",
        "--threads",
        "1",
        "--seed",
        "66",
        "--count",
        "1",
        "--out",
        "again",
    ];
    assert!(trained.ask(&draw).status.success());
    assert_eq!(trained.read("again/seed-000066.png"), trained.read("one/seed-000066.png"));
    assert!(trained.refused(&[&draw[..], &["--best-of", "2"]].concat()).contains("discriminator"));
    for (kind, file) in [("onnx", "a.onnx"), ("torchscript", "b.pt")] {
        let Event::Written { files, .. } = trained.made(&["export", "--to", kind, "--out", file]) else { panic!() };
        assert!(files.iter().all(|file| trained.path(file).is_file()) && files.len() == 2, "{files:?}");
    }

    // What is inside.
    trained.made(&["features", "--seed", "3", "--out", "features.png"]);
    assert!(pixels(&trained.read("features.png")).height() > 500);
    trained.made(&["explain-conv", "--layer", "2", "--out", "layer.gif"]);
    assert!(trained.read("layer.gif").starts_with(b"GIF89a") && trained.path("layer.png").is_file());
    assert!(trained.refused(&["explain-conv", "--checkpoint", "out", "--layer", "9", "--out", "x.gif"]).contains("1 is main.0"));

    // What is not there.
    assert!(trained.refused(&["generate", "--checkpoint", "out", "--which", "1", "--out", "x"]).contains("there are those of 2, 3"));
    assert!(trained.refused(&["generate", "--checkpoint", "nothing", "--out", "x"]).contains("nothing"));
    assert!(trained.refused(&["import", "dataset.npy", "--out", "x"]).contains("torch.save"));
}

#[test]
fn a_training_leaves_curves_and_a_reel_also_when_it_goes_on() {
    let trained = Trained::new(OPTIONS);
    let reel = trained.read("out/reel.gif");
    assert!(reel.starts_with(b"GIF89a"));
    let board = trained.path("out/events.out.tfevents.0.catgen");
    let before = fs::read(&board).unwrap();
    // Asked again it has nothing to do: the curves stay as they are.
    assert!(trained.train().output().unwrap().status.success());
    assert_eq!(fs::read(&board).unwrap(), before);
    fs::write(trained.path("options.json"), OPTIONS.replace("\"epochs\": 3", "\"epochs\": 5")).unwrap();
    assert!(trained.train().output().unwrap().status.success());
    let after = fs::read(&board).unwrap();
    assert!(after.starts_with(&before) && after.len() > before.len());
    assert_ne!(trained.read("out/reel.gif"), reel);
    assert!(!trained.path("out/reel.gif.part").exists());
}

/// What `serve` says to some questions, with the first line that it says by itself.
fn served(trained: &Trained, arguments: &[&str], questions: &str) -> Vec<Said> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_catgen-train"));
    command.current_dir(trained.folder.path()).args(["serve", "--checkpoint", "out", "--device", "cpu", "--threads", "1"]).args(arguments);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(questions.as_bytes()).unwrap(); // and closes it
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn drawn(said: &Said) -> RgbImage {
    let Said::Picture { png, .. } = said else { panic!("{said:?}") };
    pixels(&STANDARD.decode(png).unwrap())
}

/// The largest difference of two pictures, in levels.
fn apart(a: &RgbImage, b: &RgbImage) -> u8 {
    a.as_raw().iter().zip(b.as_raw()).map(|(a, b)| a.abs_diff(*b)).max().unwrap()
}

#[test]
fn a_generator_that_stays_loaded_draws_what_generate_draws() {
    let trained = Trained::new(OPTIONS);
    trained.made(&["generate", "--seed", "5", "--count", "5", "--out", "some"]);
    let questions = [
        r#"{"ask":"draw","seed":5}"#,
        r#"{"ask":"draw","seed":5,"to":9,"way":1.0,"nearest":true}"#,
        r#"{"ask":"draw","seed":5,"to":9,"way":0.5,"truncation":50.0}"#,
        r#"{"ask":"draw","seed":5,"moves":[90.0]}"#,
        r#"{"ask":"draw","seed":5,"moves":[0.0,0.0]}"#,
        r#"{"ask":"draw","seed":5,"moves":[1e9]}"#,
        "hello",
        r#"{"ask":"maps","seed":5,"layer":0,"channels":3}"#,
        r#"{"ask":"maps","seed":5,"layer":99,"channels":3}"#,
        r#"{"ask":"draw","seed":6}"#,
        r#"{"ask":"draw","seed":9,"to":5,"way":0.5,"truncation":50.0}"#,
        r#"{"ask":"draw","seed":5,"truncation":50.0}"#,
    ];
    let said = served(&trained, &["--nearest-in", "dataset.npy", "--rows", "index.jsonl"], &(questions.join("\n") + "\n"));
    let Said::Ready { side: 32, latent: 6, step: 9, directions: Directions::Principal, weights, layers, .. } = &said[0] else {
        panic!("{:?}", said[0])
    };
    assert_eq!((weights.len(), said.len()), (6, 1 + questions.len()));
    let kept = |seed: u64| pixels(&trained.read(&format!("some/seed-{seed:06}.png")));
    // One picture is computed in a smaller tensor than 64 are: the last bit of a level may round otherwise.
    for (at, seed) in [(1, 5), (2, 9), (5, 5), (10, 6)] {
        assert!(apart(&drawn(&said[at]), &kept(seed)) <= 1, "answer {at} is not the picture of seed {seed}");
    }
    // So short a training draws much the same of everything: what differs is looked at far from the middle.
    assert!(apart(&drawn(&said[3]), &drawn(&said[11])) <= 1, "half of the way is the same from either end");
    assert!(apart(&drawn(&said[3]), &drawn(&said[12])) > 1, "half of the way is not its beginning");
    assert!(apart(&drawn(&said[4]), &kept(5)) > 1, "a move changes the picture");
    let Said::Picture { nearest: Some(near), .. } = &said[2] else { panic!("{:?}", said[2]) };
    assert_eq!(near.photo.as_deref(), Some(format!("disc {}.jpg", near.row).as_str()));
    assert_eq!(pixels(&STANDARD.decode(&near.png).unwrap()).dimensions(), (32, 32));
    // What cannot be answered is said, and the next question is answered all the same.
    assert!([6, 7, 9].iter().all(|at| matches!(said[*at], Said::Error { .. })));
    let Said::Maps { channels, full } = &said[8] else { panic!("{:?}", said[8]) };
    let [all, rows, columns] = layers[0].size;
    assert_eq!((channels.len() as u64, *full > 0.0), (all.min(3), true));
    assert_eq!(pixels(&STANDARD.decode(&channels[0].1).unwrap()).dimensions(), (columns as u32, rows as u32));
}
