//! Looking at things: `preview`, `inspect --sheet` and `--stats`, reports; and what must not depend on how many work at it.

use std::{collections::BTreeMap, fs, path::Path};

use catgen_picture::{Picture, decode};
use serde_json::Value;

use crate::home::{Home, SMALL};

/// Every file below a folder with its bytes, and for `.catgen` and the like even its time of change.
fn everything(home: &Home) -> BTreeMap<String, (Vec<u8>, std::time::SystemTime)> {
    let mut files = BTreeMap::new();
    for entry in walkdir::WalkDir::new(home.folder.path()).into_iter().filter_map(Result::ok).filter(|entry| entry.file_type().is_file()) {
        let bytes = fs::read(entry.path()).unwrap();
        let name = entry.path().strip_prefix(home.folder.path()).unwrap().to_string_lossy().into_owned();
        files.insert(name, (bytes, entry.metadata().unwrap().modified().unwrap()));
    }
    files
}

fn picture(path: &Path) -> Picture {
    decode(&fs::read(path).unwrap(), None).unwrap().picture
}

#[test]
fn a_preview_shows_what_a_run_would_make_and_stores_nothing() {
    let home = Home::with_cats(SMALL, 5);
    let before = everything(&home);
    let elsewhere = tempfile::tempdir().unwrap();
    let sheet = elsewhere.path().join("sheet.png");
    let shown = |stage: &str, more: &[&str]| -> Vec<Value> {
        let args: Vec<&str> =
            ["preview", stage, "-n", "3", "--json", "--out", sheet.to_str().unwrap()].iter().chain(more).copied().collect();
        home.lines(&args)
    };
    // Nothing has run: everything on the way is worked out now.
    let zoomed = shown("3.Zoom_photos", &[]);
    assert_eq!(zoomed.len(), 3);
    assert!(zoomed.iter().all(|line| line["cached"] == false && line["after"].as_array().unwrap().len() == 1), "{zoomed:?}");
    assert!(picture(&sheet).width() > 500);
    let augmented = shown("5.Augmented_data", &[]);
    assert_eq!(augmented[0]["after"].as_array().unwrap().len(), 7);
    shown("1.No_duplicates", &[]);
    assert_eq!(everything(&home), before, "a preview wrote something");

    // The run makes the very same pictures: same facts of the same photos, down to the values drawn.
    home.ok(&["run"]);
    let made = home.lines(&["inspect", "5.Augmented_data", "--json"]);
    for line in &augmented {
        for after in line["after"].as_array().unwrap() {
            let same = |item: &&Value| {
                item["photo"] == line["photo"]
                    && item["name"].as_str().unwrap().ends_with(&format!("{}.png", after["tag"].as_str().unwrap()))
            };
            match made.iter().find(same) {
                Some(item) => assert_eq!(item["facts"], after["facts"]),
                // A duplicate, which a preview of a few photos cannot know.
                None => assert!(made.iter().all(|item| item["photo"] != line["photo"]), "{line}"),
            }
        }
    }

    // Now it reads what is there, and tries what is not.
    let before = everything(&home);
    let zoomed = shown("3.Zoom_photos", &[]);
    assert!(zoomed.iter().all(|line| line["cached"] == true), "{zoomed:?}");
    let wider = shown("3.Zoom_photos", &["--set", "margin=0.5"]);
    assert!(wider.iter().all(|line| line["cached"] == false), "{wider:?}");
    for (tight, wide) in zoomed.iter().zip(&wider) {
        assert_eq!(tight["photo"], wide["photo"]);
        let area = |line: &Value| line["after"][0]["size"].as_array().unwrap().iter().map(|side| side.as_u64().unwrap()).product::<u64>();
        assert!(area(wide) > area(tight), "{tight} {wide}");
    }
    // A change upstream is worked out in memory, too, and what the user set is beside it.
    shown("6.Photos_64px", &["--set", "2.No_background.max_side=128", "--set", "side=32"]);
    shown("1.No_duplicates", &["--set", "max_distance=0"]);
    assert_eq!(everything(&home), before, "a preview wrote something");
    assert!(home.lines(&["plan", "--json"]).iter().all(|line| line["state"] == "fresh"));
}

#[test]
fn a_preview_says_what_it_cannot_show() {
    let home = Home::new(SMALL);
    let said = |stage: &str| home.fails(&["preview", stage]);
    assert!(
        said("3.Zoom_photos").starts_with("exit 2\nerror: there are no photos in data/0.ORIGINAL\nhint: "),
        "{}",
        said("3.Zoom_photos")
    );
    assert!(said("1.No_duplicates").starts_with("exit 2\nerror: there are no photos"), "{}", said("1.No_duplicates"));
    for stage in ["0.ORIGINAL", "Export"] {
        assert!(said(stage).starts_with(&format!("exit 2\nerror: {stage} has no before and after to show\nhint: ")), "{}", said(stage));
    }
    fs::write(home.path("data/0.ORIGINAL/notes.txt"), "no photo").unwrap();
    let output = home.output(&["preview", "3.Zoom_photos"]);
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && words.contains("notes.txt does not come this far: 0.ORIGINAL: "), "{words}");
    assert!(!home.path("preview.png").exists());
}

#[test]
fn sheets_hold_pictures_and_words() {
    let home = Home::with_cats(SMALL, 6);
    home.ok(&["run"]);
    let sheet = home.path("sheet.png");
    let drawn = |args: &[&str]| {
        let all: Vec<&str> = args.iter().copied().chain(["--sheet", "sheet.png"]).collect();
        let output = home.output(&[&["inspect"], &all[..]].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        (picture(&sheet), String::from_utf8(output.stderr).unwrap())
    };
    let (one, _) = drawn(&["6.Photos_64px", "--limit", "1"]);
    let (many, said) = drawn(&["6.Photos_64px", "--limit", "20"]);
    assert!(many.height() > one.height() && said.contains("drew 20 pictures"), "{said}");
    // Both ways to the duplicates: each beside what is kept in its place.
    let (groups, said) = drawn(&["1.No_duplicates"]);
    let rejected = home.lines(&["inspect", "1.No_duplicates", "--rejected", "--json"]);
    let kept: std::collections::BTreeSet<&str> = rejected.iter().filter_map(|line| line["of"].as_str()).collect();
    assert!(said.contains(&format!("drew {} pictures", rejected.len() + kept.len())), "{said} {rejected:?}");
    let (rejected, said_again) = drawn(&["1.No_duplicates", "--rejected"]);
    assert_eq!((rejected.height(), said_again), (groups.height(), said));
    let said = home.fails(&["inspect", "6.Photos_64px", "no such photo", "--sheet", "sheet.png"]);
    assert!(said.starts_with("exit 2\nerror: there is no picture to put on the sheet"), "{said}");
}

#[test]
fn stats_count_every_picture() {
    let home = Home::with_cats(SMALL, 6);
    home.ok(&["run"]);
    let stats = |stage: &str| home.lines(&["inspect", stage, "--stats", "--json"]);
    let find = |lines: &[Value], measure: &str| {
        lines.iter().find(|line| line["measure"] == measure).unwrap_or_else(|| panic!("no {measure}")).clone()
    };
    let originals = stats("0.ORIGINAL");
    let count = home.lines(&["inspect", "0.ORIGINAL", "--json"]).len();
    for measure in ["short_side", "bytes", "sharpness", "shadows", "highlights"] {
        let spread = find(&originals, measure);
        assert_eq!(spread["count"], count, "{measure}");
        let bins = spread["bins"].as_array().unwrap();
        assert_eq!(bins.iter().map(|bin| bin["count"].as_u64().unwrap()).sum::<u64>() as usize, count, "{measure}");
    }
    let formats = find(&originals, "format");
    assert_eq!(formats["words"].as_array().unwrap().iter().map(|word| word[1].as_u64().unwrap()).sum::<u64>() as usize, count);
    // What the stage noted down itself is what is counted.
    let shares: Vec<f64> =
        home.lines(&["inspect", "2.No_background", "--json"]).iter().map(|item| item["facts"]["subject_share"].as_f64().unwrap()).collect();
    let share = find(&stats("2.No_background"), "subject_share");
    assert_eq!(share["max"].as_f64().unwrap(), shares.iter().copied().fold(0.0, f64::max));
    let text = home.ok(&["inspect", "6.Photos_64px", "--stats"]);
    assert!(text.contains("short_side (px): ") && text.contains(" pictures, all 64") && text.contains('█'), "{text}");
    assert!(home.fails(&["inspect", "Export", "--stats", "images"]).starts_with("exit 2\nerror: there is no picture to measure"));
}

#[test]
fn a_run_that_does_something_leaves_its_report() {
    let home = Home::with_cats(SMALL, 4);
    fs::copy(home.path("data/0.ORIGINAL").join(first_photo(&home)), home.path("data/0.ORIGINAL/<b>bold & \"odd\".jpg")).unwrap();
    fs::write(home.path("data/0.ORIGINAL/broken.jpg"), "no picture").unwrap();
    let output = home.output(&["run"]);
    assert!(output.status.success());
    let id = home.lines(&["runs", "--json"])[0]["id"].as_str().unwrap().to_owned();
    let path = format!("runs/{id}/report.html");
    assert!(String::from_utf8_lossy(&output.stderr).contains(&path));
    let page = fs::read_to_string(home.path(&path)).unwrap();
    assert!(page.matches("data:image/jpeg;base64,").count() > 20 && page.len() < 4_000_000, "{}", page.len());
    assert!(!page.contains("<b>bold") && page.contains("&lt;b&gt;bold &amp; &quot;odd&quot;"), "names are escaped");
    assert!(page.contains("broken.jpg: this is not a picture"), "rejections have their reasons");
    assert!(page.contains("duplicate"));
    for wild in ["http:", "https:", "<script", "<link", "url("] {
        assert!(!page.contains(wild), "{wild}");
    }
    // Nothing done, nothing written.
    home.ok(&["run"]);
    let second = home.lines(&["runs", "--json"])[1]["id"].as_str().unwrap().to_owned();
    assert!(!home.path(&format!("runs/{second}/report.html")).exists());
    // A run that fails before it does anything leaves the older run's page alone.
    fs::write(home.path("data/decisions.jsonl"), "no decision\n").unwrap();
    assert!(home.fails(&["run"]).starts_with("exit 2\nerror: 4.Verified: "));
    fs::remove_file(home.path("data/decisions.jsonl")).unwrap();
    assert_eq!(fs::read_to_string(home.path(&path)).unwrap(), page);
    // Asked for, it is: without pictures for an older run, unless it still has its own page.
    assert_eq!(home.ok(&["report"]).trim(), format!("runs/{second}/report.html"));
    assert_eq!(home.ok(&["report", "1"]).trim(), path);
    assert_eq!(fs::read_to_string(home.path(&path)).unwrap(), page, "an older run's page stays");
    fs::remove_file(home.path(&path)).unwrap();
    home.ok(&["report", "1"]);
    let later = fs::read_to_string(home.path(&path)).unwrap();
    assert!(!later.contains("data:image") && later.contains("the newest run's report has them"));
    assert!(home.fails(&["report", "77"]).starts_with("exit 2\nerror: there is no run \"77\""));
    assert!(home.fails(&["-C", ".", "report", "nothing"]).starts_with("exit 2"));
}

#[test]
fn a_report_shows_a_training_from_its_folder() {
    let home = Home::with_cats(SMALL, 2);
    home.ok(&["run"]);
    let id = home.lines(&["runs", "--json"])[0]["id"].as_str().unwrap().to_owned();
    let folder = home.path(&format!("runs/{id}/7.Train"));
    fs::create_dir_all(folder.join("samples")).unwrap();
    let grid = catgen_picture::encode_png(&Picture::Rgb(catgen_picture::RgbImage::new(64, 64)));
    for epoch in 0..6 {
        fs::write(folder.join(format!("samples/epoch-{epoch:04}.png")), &grid).unwrap();
    }
    fs::write(folder.join("reals.png"), &grid).unwrap();
    let lines: String = (1..6).map(|epoch| format!("{{\"epoch\":{epoch},\"step\":{epoch},\"loss_d\":0.{epoch},\"loss_g\":1.{epoch},\"d_real\":0.5,\"d_fake\":0.4,\"kid\":0.0{epoch}}}\n")).collect();
    fs::write(folder.join("stats.jsonl"), lines).unwrap();
    let record = home.path(&format!("runs/{id}/run.json"));
    let mut run: Value = serde_json::from_slice(&fs::read(&record).unwrap()).unwrap();
    run["metrics"]["7.Train"] = serde_json::json!({ "epoch": 5, "loss_d": 0.5, "folder": format!("runs/{id}/7.Train") });
    fs::write(&record, run.to_string()).unwrap();
    let path = home.path(home.ok(&["report"]).trim());
    let page = fs::read_to_string(path).unwrap();
    assert_eq!(page.matches("<polyline").count(), 5, "two losses, two opinions, and a measure of its own");
    for name in ["Training: 7.Train", "epoch-0001", "epoch-0003", "epoch-0005", "real pictures"] {
        assert!(page.contains(name), "{name}");
    }
}

#[test]
fn any_number_of_threads_makes_the_same_bytes() {
    let pipeline = format!("{SMALL}webdataset = true\nnpz = true\nstylegan = true\n")
        .replace("combine = \"each\"", "combine = \"random\"\ncopies = 5");
    let made = |jobs: &str| {
        let home = Home::with_cats(&pipeline, 4);
        home.ok(&["run", "--jobs", jobs]);
        let files = walkdir::WalkDir::new(home.path("data")).into_iter().filter_map(Result::ok).filter(|entry| entry.file_type().is_file());
        let files = files.map(|entry| {
            let name = entry.path().strip_prefix(home.path("data")).unwrap().to_string_lossy().into_owned();
            (name, fs::read(entry.path()).unwrap())
        });
        files.collect::<BTreeMap<_, _>>()
    };
    let one = made("1");
    for name in ["Export/train.npy", "Export/images.npz", "Export/stylegan.zip", "Export/webdataset/shard-000000.tar"] {
        assert!(one.contains_key(name), "{name}");
    }
    assert!(one.keys().filter(|name| name.starts_with("6.Photos_64px/")).count() >= 15);
    assert!(one == made("3"), "three threads made something else");
}

fn first_photo(home: &Home) -> String {
    let mut names: Vec<String> = walkdir::WalkDir::new(home.path("data/0.ORIGINAL"))
        .into_iter()
        .filter_map(Result::ok)
        .filter(|entry| entry.path().extension().is_some_and(|extension| extension == "jpg"))
        .map(|entry| entry.path().strip_prefix(home.path("data/0.ORIGINAL")).unwrap().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names.remove(0)
}
