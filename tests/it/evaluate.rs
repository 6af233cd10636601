//! Photos that are held out, and pictures judged by them.

use catgen_api::{Digest, Draw};
use catgen_picture::{Picture, Rgb, RgbImage, encode_png};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use serde_json::Value;

use crate::home::{Home, SMALL, TRAIN, has_trainer};

/// For each photo, by its name, the file that its pictures are in; each photo is in one.
fn sides(home: &Home) -> BTreeMap<String, String> {
    let text = fs::read_to_string(home.path("data/Export/index.jsonl")).unwrap();
    let mut sides: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in text.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let (photo, file) = (line["photo"].as_str().unwrap().to_owned(), line["file"].as_str().unwrap().to_owned());
        sides.entry(photo).or_default().insert(file);
    }
    sides
        .into_iter()
        .map(|(photo, files)| {
            assert_eq!(files.len(), 1, "{photo} is on both sides: {files:?}");
            (photo, files.into_iter().next().unwrap())
        })
        .collect()
}

fn held_out(home: &Home) -> BTreeSet<String> {
    sides(home).into_iter().filter(|(_, file)| file == "held_out.npy").map(|(photo, _)| photo).collect()
}

/// A photo of that file of which there is no copy: renamed, it is still the one that is kept.
fn lone(home: &Home, file: &str) -> String {
    let sides = sides(home);
    let kept = home.lines(&["inspect", "1.No_duplicates", "--json"]);
    let copies = home.lines(&["inspect", "1.No_duplicates", "--rejected", "--json"]);
    let is_lone = |item: &&serde_json::Value| copies.iter().all(|copy| copy["of"] != item["photo"]);
    let mut lone = kept.iter().filter(is_lone).map(|item| item["photo"].as_str().unwrap());
    lone.find(|photo| sides.get(*photo).is_some_and(|found| found == file)).unwrap().to_owned()
}

fn read(home: &Home, name: &str) -> Vec<u8> {
    fs::read(home.path("data/Export").join(name)).unwrap()
}

#[test]
fn photos_are_held_out_by_their_content() {
    let home = Home::with_cats(SMALL, 40);
    home.ok(&["run", "--until", "Export"]);
    let before = held_out(&home);
    assert!((4..=12).contains(&before.len()), "{before:?}");
    let arrays = ["train.npy", "held_out.npy"].map(|name| read(&home, name));

    // Renamed: the same pictures on the same sides, to the byte.
    let moved = lone(&home, "held_out.npy");
    fs::create_dir_all(home.path("data/0.ORIGINAL/moved")).unwrap();
    let extension = moved.rsplit_once('.').unwrap().1;
    let new = format!("moved/renamed.{extension}");
    fs::rename(home.path("data/0.ORIGINAL").join(&moved), home.path("data/0.ORIGINAL").join(&new)).unwrap();
    home.ok(&["run", "--until", "Export"]);
    assert!(held_out(&home).contains(&new));
    assert_eq!(["train.npy", "held_out.npy"].map(|name| read(&home, name)), arrays);
    fs::rename(home.path("data/0.ORIGINAL").join(&new), home.path("data/0.ORIGINAL").join(&moved)).unwrap();

    // Added, and like none that is there: nobody is taken out of training. One may go back to it, because among more photos fewer
    // have to be rounded up.
    let all: BTreeSet<String> = sides(&home).into_keys().collect();
    for number in 200..230 {
        let mut draw = Draw::new(7439, "tiles", &Digest::of(b""), number);
        let tiles: Vec<Rgb<u8>> = (0..64).map(|_| Rgb([0; 3].map(|_: u8| draw.below(256) as u8))).collect();
        let picture = RgbImage::from_fn(256, 256, |x, y| tiles[(y / 32 * 8 + x / 32) as usize]);
        fs::write(home.path("data/0.ORIGINAL").join(format!("new{number}.png")), encode_png(&Picture::Rgb(picture))).unwrap();
    }
    home.ok(&["run", "--until", "Export"]);
    let after = held_out(&home);
    assert!(after.len() > before.len(), "{after:?}");
    let stayed: BTreeSet<String> = after.iter().filter(|photo| all.contains(*photo)).cloned().collect();
    let taken: Vec<_> = stayed.difference(&before).collect();
    assert!(taken.is_empty(), "{taken:?} were taken out of training");

    // None held out, and then there is no file of them.
    home.ok(&["run", "--until", "Export", "--set", "Export.held_out=0"]);
    assert!(held_out(&home).is_empty() && !home.path("data/Export/held_out.npy").exists());
}

#[test]
fn a_folder_of_pictures_is_judged_without_the_trainer() {
    let home = Home::with_cats(SMALL, 40);
    home.ok(&["run", "--until", "Export"]);
    // What was trained on, judged as if it were generated: copies, and said to be.
    let judge = |folder: &str| {
        let lines = home.lines(&["evaluate", "--folder", folder, "--features", "random", "--json"]);
        assert_eq!(lines.len(), 1);
        lines[0].clone()
    };
    let copies = judge("data/6.Photos_64px");
    assert_eq!(copies["features"], "random-convolution-v1");
    assert!(copies["held_out"]["photos"].as_u64().unwrap() >= 4 && copies["copied"]["by_held_out"] == true);
    assert!(copies["copied"]["nearest"][0]["distance"].as_f64().unwrap() < 1e-3, "{copies}");
    assert!(copies["copied"]["nearest"][0]["photo"].as_str().is_some_and(|photo| home.path("data/0.ORIGINAL").join(photo).exists()));
    assert!(copies["training"]["recall"].as_f64().unwrap() > 0.95, "{copies}");

    // Noise is far from everything.
    fs::create_dir(home.path("noise")).unwrap();
    for number in 0..20u32 {
        let noise = catgen_picture::RgbImage::from_fn(64, 64, |x, y| {
            let value = (x * 7919 + y * 104_729 + number * 1_299_709).wrapping_mul(2_654_435_761);
            catgen_picture::Rgb([(value >> 8) as u8, (value >> 16) as u8, (value >> 24) as u8])
        });
        fs::write(home.path(&format!("noise/{number}.png")), catgen_picture::encode_png(&noise.into())).unwrap();
    }
    let noise = judge("noise");
    assert!(noise["held_out"]["kid"].as_f64() > copies["held_out"]["kid"].as_f64());
    assert_eq!((noise["pictures"].as_u64(), noise["training"]["precision"].as_f64()), (Some(20), Some(0.0)));
    let words = home.ok(&["evaluate", "--folder", "noise", "--features", "random"]);
    for part in ["20 pictures of noise, by the features random-convolution-v1", "held-out photos", "Fréchet distance", "copies: 0.0 %"] {
        assert!(words.contains(part), "{part:?} is not in {words}");
    }
    // Where the best network found is none, that is said; who asks for random convolutions knows.
    for (network, is_said) in [("auto", true), ("random", false)] {
        let mut command = home.command(&["evaluate", "--folder", "noise", "--features", network]);
        let nothing = home.path("noise");
        let output = command.env("CATGEN_MODELS", &nothing).env("CATGEN_CACHE", &nothing).output().unwrap();
        let words = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(words.contains("by the features random-convolution-v1"), "{words}");
        assert_eq!(words.contains("note: no feature network was found") && words.contains("`catgen-pipe doctor`"), is_said, "{words}");
    }

    for (args, said) in [
        (["--folder", "nowhere"], "exit 2\nerror: there is no nowhere"),
        (["--folder", "data/0.ORIGINAL/nothing"], "exit 2\nerror: there is no data/0.ORIGINAL/nothing"),
        (["--features", "resnet"], "exit 2\nerror: no run of this workspace has trained anything yet"),
    ] {
        let found = home.fails(&["evaluate", args[0], args[1]]);
        assert!(found.starts_with(said), "{found}");
    }
    let found = home.fails(&["evaluate", "--folder", "noise", "--features", "resnet"]);
    assert!(found.starts_with("exit 3\n") && found.contains("cannot find the feature network \"resnet\""), "{found}");
    let found = home.fails(&["evaluate", "--folder", "noise", "--dataset", "noise"]);
    assert!(found.starts_with("exit 2\nerror: there is no train.npy in noise"), "{found}");
}

#[test]
fn a_training_is_measured_and_can_be_measured_again() {
    if !has_trainer("a_training_is_measured_and_can_be_measured_again") {
        return;
    }
    let home = Home::with_cats(&format!("{SMALL}{TRAIN}"), 40);
    home.ok(&["run", "--set", "7.Train.evaluate_every=1"]);
    let result = &home.lines(&["runs", "--json"])[0]["metrics"]["7.Train"];
    assert_eq!((&result["evaluation"]["epoch"], &result["evaluation"]["features"]), (&2.into(), &"random-convolution-v1".into()));
    assert_eq!(result["evaluation"]["against"], "held-out photos");
    assert!(result["best"]["kid"].as_f64() <= result["evaluation"]["kid"].as_f64());
    assert!(home.ok(&["runs"]).contains("best KID ×1000 "));

    // Judged afterwards by the same pictures it is the same number; all training photos are looked at both times.
    let evaluated = home.lines(&["evaluate", "-n", "16", "--features", "random", "--json"])[0].clone();
    let (now, then) = (evaluated["held_out"]["kid"].as_f64().unwrap(), result["evaluation"]["kid"].as_f64().unwrap());
    assert!((now - then).abs() < 1e-6 * then.abs(), "{now}, and {then} while training");
    let words = home.ok(&["evaluate", "last", "-n", "16", "--features", "random"]);
    assert!(words.contains("16 pictures of the generator after ") && words.contains("seed "), "{words}");

    // A photo renamed is nothing to train again for; one more is.
    let photo = lone(&home, "train.npy");
    fs::rename(home.path("data/0.ORIGINAL").join(&photo), home.path("data/0.ORIGINAL").join(format!("x-{}", photo.replace('/', "-"))))
        .unwrap();
    let computed = |lines: Vec<Value>| lines.iter().find(|line| line["stage"] == "7.Train").unwrap()["computed"].as_u64().unwrap();
    assert_eq!(computed(home.run(&["--set", "7.Train.evaluate_every=1"])), 0, "a rename");
    assert_eq!(computed(home.run(&["--set", "7.Train.evaluate_every=1", "--set", "Export.held_out=0"])), 1, "none held out");
    assert_eq!(home.lines(&["runs", "--json"]).last().unwrap()["metrics"]["7.Train"]["evaluation"]["against"], "training photos");
}
