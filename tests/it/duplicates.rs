//! What a person sees of the search for duplicates.

use std::fs;

use catgen_picture::{Filter, Picture, crop_resize, decode, encode_png};

use crate::home::{Home, SMALL};

/// A photo and a crop of it: one and a copy by default, two that are alike where the rules are strict.
fn with_a_crop() -> Home {
    let home = Home::new(SMALL);
    let photos = home.path("data/0.ORIGINAL");
    for index in [1, 2, 3] {
        let whole = Picture::Rgb(catgen_sample::draw(7439, index).picture);
        fs::write(photos.join(format!("cat {index}.png")), encode_png(&whole)).unwrap();
        if index == 1 {
            let [width, height] = whole.size().map(f64::from);
            let part = [0.025 * width, 0.05 * height, 0.925 * width, 0.925 * height];
            let cut = crop_resize(&whole, part, part[2] as u32, part[3] as u32, Filter::Lanczos);
            fs::write(photos.join("crop.png"), encode_png(&cut)).unwrap();
        }
    }
    home
}

#[test]
fn a_crop_is_dropped_and_shown_beside_its_whole() {
    let home = with_a_crop();
    home.ok(&["run", "--until", "1.No_duplicates"]);
    let rejected = home.lines(&["inspect", "1.No_duplicates", "--rejected", "--json"]);
    assert_eq!(rejected.len(), 1, "{rejected:?}");
    assert_eq!((rejected[0]["name"].as_str(), rejected[0]["of"].as_str()), (Some("crop.png"), Some("cat 1.png")));
    home.ok(&["inspect", "1.No_duplicates", "--sheet", "sheet.png"]);
    let Picture::Rgb(sheet) = decode(&fs::read(home.path("sheet.png")).unwrap(), None).unwrap().picture else {
        panic!("a sheet is opaque")
    };
    // The words under what was kept are green, under what was dropped red.
    let has = |colour: [u8; 3]| sheet.pixels().any(|pixel| pixel.0 == colour);
    assert!(has([130, 210, 130]) && has([245, 140, 110]), "the words are missing");
    assert!(home.lines(&["inspect", "1.No_duplicates", "--possible", "--json"]).is_empty());
}

#[test]
fn what_is_alike_and_went_on_is_named_for_review() {
    let home = with_a_crop();
    home.ok(&["run", "--until", "1.No_duplicates", "--set", "1.No_duplicates.strictness=strict"]);
    assert!(home.lines(&["inspect", "1.No_duplicates", "--rejected", "--json"]).is_empty());
    let pairs = home.lines(&["inspect", "1.No_duplicates", "--possible", "--json"]);
    assert_eq!(pairs.len(), 1, "{pairs:?}");
    assert_eq!((pairs[0]["name"].as_str(), pairs[0]["like"].as_str()), (Some("crop.png"), Some("cat 1.png")));
    assert!(pairs[0]["agreement"].as_f64().unwrap() > 0.97 && pairs[0]["distance"].as_u64().is_some(), "{pairs:?}");
    let output = home.output(&["inspect", "1.No_duplicates"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("1 pair is alike and both went on"), "{output:?}");
    assert!(!String::from_utf8_lossy(&output.stdout).contains("similar="), "{output:?}");
    home.ok(&["inspect", "1.No_duplicates", "--possible", "--sheet", "sheet.png"]);
    assert!(fs::metadata(home.path("sheet.png")).unwrap().len() > 1000);
    assert!(home.fails(&["inspect", "2.No_background", "--possible", "--sheet", "no.png"]).starts_with("exit 2"));
}

#[test]
fn people_decide_about_duplicates_and_the_next_run_obeys_without_looking_at_a_photo_again() {
    let home = with_a_crop();
    let until = ["--until", "1.No_duplicates"];
    home.ok(&["run", "--until", "1.No_duplicates"]);
    let kept = || -> Vec<String> {
        let mut names: Vec<String> =
            home.lines(&["duplicates", "list", "--json"]).iter().map(|group| group["kept"].as_str().unwrap().to_owned()).collect();
        names.sort();
        names
    };
    let run = || {
        assert_eq!(home.computed(&until).iter().sum::<u64>(), 0, "a photo was looked at again");
        let names = fs::read_dir(home.path("data/1.No_duplicates")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    };
    assert_eq!(kept(), ["cat 1.png"]);
    let bits = home.lines(&["duplicates", "list", "--json"])[0]["dropped"][0]["distance"].as_u64().unwrap();
    assert_eq!(home.ok(&["duplicates"]), format!("dropped   kept       bits  decision\ncrop.png  cat 1.png  {bits:>4}\n"));

    home.ok(&["duplicates", "keep", "crop.png"]);
    assert!(home.ok(&["duplicates"]).contains("  keep\n"));
    assert!(home.ok(&["plan"]).contains("decisions taken"), "{}", home.ok(&["plan"]));
    assert_eq!(run(), ["cat 2.png", "cat 3.png", "crop.png"]);
    assert_eq!(kept(), ["crop.png"]);
    // The other one instead: the last word counts.
    home.ok(&["duplicates", "keep", "cat 1.png"]);
    assert_eq!(run(), ["cat 1.png", "cat 2.png", "cat 3.png"]);
    home.ok(&["duplicates", "undo", "cat 1.png"]);
    home.ok(&["duplicates", "different", "crop.png", "cat 1.png"]);
    assert_eq!(run(), ["cat 1.png", "cat 2.png", "cat 3.png", "crop.png"]);
    home.ok(&["duplicates", "undo", "cat 1.png", "crop.png"]);
    assert_eq!(run(), ["cat 1.png", "cat 2.png", "cat 3.png"]);
    assert!(home.output(&["duplicates", "undo", "crop.png"]).status.success());

    for (words, expected) in [
        (["duplicates", "keep", "nobody.png"].as_slice(), "there is no photo \"nobody.png\""),
        (&["duplicates", "different", "crop.png", "crop.png"], "byte-equal"),
        (&["duplicates", "list", "--stage", "4.Verified"], "is not a `duplicates` stage"),
    ] {
        let said = home.fails(words);
        assert!(said.starts_with("exit 2\n") && said.contains(expected), "{words:?}: {said}");
    }
    fs::write(home.path("data/duplicates.jsonl"), "{\"digest\":\"no\"}\n").unwrap();
    let said = home.fails(&["run", "--until", "1.No_duplicates"]);
    assert!(
        said.starts_with("exit 2\n") && said.contains("duplicates.jsonl, line 1") && said.contains("correct or delete that line"),
        "{said}"
    );
}
