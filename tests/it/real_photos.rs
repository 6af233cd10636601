//! The whole picture flow on real photos; skipped, with a word, where the shared data are absent.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use crate::home::{Home, shared};

/// The six known byte-equal pairs and the two known near-duplicates are found, nothing that is known to differ is merged,
/// and every photo is an output, a duplicate or a rejection. The second run computes nothing.
#[test]
fn every_photo_is_accounted_for_and_known_duplicates_are_one_each() {
    let Some(shared) = shared("every_photo_is_accounted_for_and_known_duplicates_are_one_each") else { return };
    let pipeline = include_str!("../../pipeline.toml").replace("\"u2netp\"", "\"border\"");
    let home = Home::new(&pipeline);
    for archive in ["cats-personal-1.zip", "cats-personal-2.zip"] {
        if !unzip(&shared.join("data/photos").join(archive), &home.path("data/0.ORIGINAL")) {
            return;
        }
    }
    // Few copies: what is tested is who goes on, not how often.
    let args = [
        "--until",
        "6.Photos_64px",
        "--until",
        "3.Photos_64px",
        "--set",
        "5.Augmented_data.combine=each",
        "--set",
        "2.Augmented_data.combine=each",
    ];
    let lines = home.run(&args);
    assert_eq!(lines[0]["items_in"], 251);

    let photos: BTreeSet<String> = files(&home.path("data/0.ORIGINAL"));
    for last in ["6.Photos_64px", "3.Photos_64px"] {
        let mut seen: BTreeSet<String> = names(&home, &["inspect", last, "--json"]);
        for stage in [
            "0.ORIGINAL",
            "1.No_duplicates",
            "2.No_background",
            "3.Zoom_photos",
            "4.Verified",
            "5.Augmented_data",
            "2.Augmented_data",
            last,
        ] {
            seen.extend(names(&home, &["inspect", stage, "--rejected", "--json"]));
        }
        assert_eq!(seen, photos, "{last}");
    }

    let rejected = home.lines(&["inspect", "1.No_duplicates", "--rejected", "--json"]);
    let pairs: BTreeSet<(String, String)> =
        rejected.iter().map(|line| ordered(line["photo"].as_str().unwrap(), line["of"].as_str().unwrap_or_default())).collect();
    for line in fs::read_to_string(shared.join("data/photos/near-duplicates.csv")).unwrap().lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        let found = pairs.contains(&ordered(fields[0], fields[1]));
        match fields[2] {
            "exact" => assert!(found, "{line}"),
            "different" => assert!(!found, "{line}"),
            _ => {}
        }
    }
    assert!(home.computed(&args).iter().all(|computed| *computed == 0));
}

fn names(home: &Home, args: &[&str]) -> BTreeSet<String> {
    home.lines(args).iter().map(|line| line["photo"].as_str().unwrap().to_owned()).collect()
}

fn ordered(a: &str, b: &str) -> (String, String) {
    if a < b { (a.to_owned(), b.to_owned()) } else { (b.to_owned(), a.to_owned()) }
}

fn files(root: &Path) -> BTreeSet<String> {
    let files = walkdir::WalkDir::new(root).into_iter().map(Result::unwrap).filter(|entry| entry.file_type().is_file());
    files.map(|entry| entry.path().strip_prefix(root).unwrap().to_string_lossy().into_owned()).collect()
}

/// Unpacks with Python, which the set-up asks for anyway.
pub(crate) fn unzip(archive: &Path, into: &Path) -> bool {
    let done = Command::new("python3").args(["-m", "zipfile", "-e"]).arg(archive).arg(into).status();
    let done = done.is_ok_and(|status| status.success());
    if !done {
        eprintln!("skipped: python3 is needed to unpack {}", archive.display());
    }
    done
}
