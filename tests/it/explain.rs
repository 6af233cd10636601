//! `trace`, `impact` and `compare`: where a picture comes from, what came of a photo, how two runs differ.

use std::fs;

use crate::home::{Home, SMALL};

/// A workspace that ran once, one of its augmented pictures, and that one's photo.
fn finished() -> (Home, String, String) {
    let home = Home::with_cats(SMALL, 4);
    home.run(&[]);
    let items = home.lines(&["inspect", "6.Photos_64px", "--json"]);
    let item = items.iter().find(|item| item["name"].as_str().unwrap().contains("Contrast")).unwrap();
    let text = |key: &str| item[key].as_str().unwrap().to_owned();
    let (path, photo) = (text("path"), text("photo"));
    (home, path, photo)
}

#[test]
fn trace_goes_back_to_the_photo_with_the_values_that_were_drawn() {
    let (home, path, photo) = finished();
    let steps = home.lines(&["trace", &path, "--json"]);
    let stages: Vec<&str> = steps.iter().map(|step| step["stage"].as_str().unwrap()).collect();
    let all = ["6.Photos_64px", "5.Augmented_data", "4.Verified", "3.Zoom_photos", "2.No_background", "1.No_duplicates", "0.ORIGINAL"];
    assert_eq!(stages, all);
    assert_eq!((steps[0]["path"].as_str(), steps[6]["name"].as_str()), (Some(&*path), Some(&*photo)));
    assert_eq!(steps[1]["facts"]["transforms"][0][0], "Contrast");
    assert!(steps[1]["facts"]["transforms"][0][1].is_f64(), "{}", steps[1]);
    assert_eq!(steps[1]["made_with"]["combine"], "\"each\"");
    for step in &steps {
        let bytes = fs::read(home.path(step["path"].as_str().unwrap())).unwrap();
        assert_eq!(step["digest"], blake3::hash(&bytes).to_hex().to_string(), "{step}");
    }
    let said = home.ok(&["trace", &path]);
    assert!(said.contains("found: transforms=[[\"Contrast\",") && said.contains("by: kind=resize version="), "{said}");
    // A dataset is made from all, a file that is not there from none.
    assert_eq!(home.lines(&["trace", "data/Export/train.npy", "--json"]).len(), 1);
    assert!(home.fails(&["trace", "data/6.Photos_64px/none.png"]).starts_with("exit 2\nerror: 6.Photos_64px put out no none.png"));
}

#[test]
fn impact_goes_forward_to_everything_made_from_a_photo() {
    let (home, path, photo) = finished();
    let lines = home.lines(&["impact", &photo, "--json"]);
    let count = |stage: &str| lines.iter().filter(|line| line["stage"] == stage).count();
    assert_eq!(["0.ORIGINAL", "4.Verified", "5.Augmented_data", "6.Photos_64px", "Export"].map(count), [1, 1, 7, 7, 7]);
    // Any file made from it means the photo.
    assert_eq!(home.lines(&["impact", &path, "--json"]), lines);
    let said = home.ok(&["impact", &photo]);
    assert!(said.contains(" and 6 more"), "{said}");
    assert_eq!(home.ok(&["impact", &photo, "--all"]).lines().count(), lines.len());
    // A duplicate reaches the stage that rejects it.
    let duplicate = &home.lines(&["inspect", "1.No_duplicates", "--rejected", "--json"])[0];
    let lines = home.lines(&["impact", duplicate["photo"].as_str().unwrap(), "--json"]);
    assert_eq!((lines.len(), lines[1]["rejected"].as_str()), (2, Some("duplicate")));
    assert!(home.fails(&["impact", "none.jpg"]).starts_with("exit 2\nerror: nothing was made from none.jpg"));
}

#[test]
fn compare_says_what_differs_from_one_run_to_another() {
    let (home, _, photo) = finished();
    fs::remove_file(home.path("data/0.ORIGINAL").join(&photo)).unwrap();
    home.run(&["--set", "6.Photos_64px.side=32"]);
    let lines = home.lines(&["compare", "1", "2", "--json"]);
    let stage = |name: &str| lines.iter().find(|line| line["stage"] == name).unwrap();
    // A copy of that photo may have taken its place.
    let gone = stage("0.ORIGINAL");
    assert_eq!((&gone["pictures"]["removed"], &gone["pictures"]["added"]), (&1.into(), &0.into()));
    assert_eq!(stage("6.Photos_64px")["parameters"], serde_json::json!([{ "name": "side", "then": "64", "now": "32" }]));
    assert_eq!(stage("3.Zoom_photos")["parameters"], serde_json::json!([]));
    assert_eq!(stage("6.Photos_64px")["pictures"]["same"], 0);
    let said = home.ok(&["compare", "1"]);
    assert!(said.contains("\n  6.Photos_64px\n    side 64 → 32\n"), "{said}");
    assert!(home.ok(&["compare", "2", "2"]).ends_with("no difference\n"));
    assert!(home.fails(&["compare", "1", "9"]).starts_with("exit 2\nerror: there is no run \"9\""));
}

#[test]
fn the_pictures_of_a_stage_that_keeps_none_can_be_looked_at() {
    let home = Home::with_cats(&SMALL.replace("combine = \"each\"", "combine = \"each\"\nstore = \"none\""), 2);
    home.run(&[]);
    assert_eq!(fs::read_dir(home.path("data/5.Augmented_data")).unwrap().count(), 1);
    home.ok(&["inspect", "5.Augmented_data", "--sheet", "sheet.png"]);
    let kept = Home::with_cats(SMALL, 2);
    kept.run(&[]);
    kept.ok(&["inspect", "5.Augmented_data", "--sheet", "sheet.png"]);
    assert_eq!(fs::read(home.path("sheet.png")).unwrap(), fs::read(kept.path("sheet.png")).unwrap());
}
