//! What is drawn without the trainer: explanations, reels; and what is said where no generator is.

use std::fs;

use super::home::{Home, SMALL};

#[test]
fn a_convolution_is_explained_without_any_workspace() {
    let home = Home { folder: tempfile::tempdir().unwrap() };
    let said = |args: &[&str]| String::from_utf8(home.output(args).stderr).unwrap();
    let words = said(&["explain-conv", "--input", "3x2", "--kernel", "1 2; 3 4", "--stride", "2", "--out", "a.gif"]);
    assert_eq!(words, "drew 8 frames into a.gif; all of them on a.png; the output has 6 x 4 cells\n");
    assert!(fs::read(home.path("a.gif")).unwrap().starts_with(b"GIF89a"));
    assert!(fs::read(home.path("a.png")).unwrap().starts_with(b"\x89PNG"));
    // The same numbers are drawn from the same seed, and others from another.
    let made = |seed: &str, name: &str| {
        home.output(&["explain-conv", "--seed", seed, "--input", "2x2", "--out", name]);
        fs::read(home.path(name)).unwrap()
    };
    assert_eq!(made("1", "b.gif"), made("1", "c.gif"));
    assert_ne!(made("1", "b.gif"), made("2", "c.gif"));
    let line = &home.lines(&["explain-conv", "--json", "--padding", "same", "--input", "2x3", "--out", "d.gif"])[0];
    assert_eq!((&line["frames"], &line["output"]), (&8.into(), &serde_json::json!([4, 6])));
}

#[test]
fn what_makes_no_layer_is_said() {
    let home = Home { folder: tempfile::tempdir().unwrap() };
    let check = |args: &[&str], said: &str| {
        let words = home.fails(&[&["explain-conv"], args].concat());
        assert!(words.starts_with("exit 2\n") && words.contains(said), "{args:?}: {words}");
    };
    check(&["--output-padding", "2"], "output padding has to be less than the stride");
    check(&["--padding", "9"], "the padding takes everything away");
    check(&["--stride", "0"], "at least 1");
    check(&["--out", "a.png"], "ends in .gif");
    check(&["--input", "1 2; 3"], "same number");
    check(&["--checkpoint", "best"], "which layer");
    assert_eq!(fs::read_dir(home.folder.path()).unwrap().count(), 0, "nothing was written");
}

#[test]
fn where_nothing_was_trained_every_command_says_so() {
    let home = Home::with_cats(SMALL, 1);
    let none = "exit 2\nerror: no run of this workspace has trained anything yet\nhint: ";
    let commands: [&[&str]; 6] = [
        &["generate"],
        &["interpolate", "--seeds", "1,2"],
        &["export", "--to", "onnx"],
        &["features"],
        &["reel"],
        &["explain-conv", "--layer", "1"],
    ];
    for command in commands {
        let said = home.fails(command);
        assert!(said.starts_with(none), "{command:?}: {said}");
    }
    assert!(home.fails(&["generate", "--run", "7"]).contains("there is no run \"7\""));
    assert!(home.fails(&["generate", "--checkpoint", "nowhere.safetensors"]).contains("there is no checkpoint nowhere.safetensors"));
    assert!(home.fails(&["import", "nowhere.pth"]).contains("there is no file nowhere.pth"));
    assert!(home.fails(&["interpolate", "--seeds", "3"]).contains("one seed is no way"));
}

#[test]
fn a_reel_is_made_of_the_grids_that_are_there_and_a_training_without_checkpoint_is_not_drawn_with() {
    let home = Home::with_cats(SMALL, 1);
    home.ok(&["run"]);
    let id = home.lines(&["runs", "--json"])[0]["id"].as_str().unwrap().to_owned();
    let record = home.path("runs").join(&id).join("run.json");
    let mut run: serde_json::Value = serde_json::from_slice(&fs::read(&record).unwrap()).unwrap();
    run["metrics"]["7.Train"] = serde_json::json!({ "folder": format!("runs/{id}/Train") });
    fs::write(&record, run.to_string()).unwrap();
    let folder = home.path(&format!("runs/{id}/Train"));
    for part in ["samples", "checkpoints"] {
        fs::create_dir_all(folder.join(part)).unwrap();
    }
    assert!(home.fails(&["reel"]).contains("there is no grid in"));
    assert!(home.fails(&["generate"]).contains("has no checkpoint yet"));
    for epoch in 0..3 {
        let grid = image::RgbImage::from_pixel(64, 64, image::Rgb([epoch * 80; 3]));
        grid.save(folder.join(format!("samples/epoch-{epoch:04}.png"))).unwrap();
    }
    let line = &home.lines(&["reel", "--json"])[0];
    assert_eq!((&line["epochs"], &line["frames"]), (&3.into(), &3.into()));
    assert!(fs::read(folder.join("reel.gif")).unwrap().starts_with(b"GIF89a"));
}
