//! `verify`: people's decisions, by name, by table, and by deleting files.

use std::{fs, path::Path};

use crate::home::{Home, SMALL};

/// A finished run over cartoon cats, with nothing flagged away.
fn finished(count: usize) -> Home {
    let home = Home::with_cats(SMALL, count);
    home.ok(&["run"]);
    home
}

/// The names of what stage 4 puts out, or of what it stopped.
fn names(home: &Home, rejected: bool) -> Vec<String> {
    let args: &[&str] = if rejected { &["inspect", "4.Verified", "--rejected", "--json"] } else { &["inspect", "4.Verified", "--json"] };
    home.lines(args).iter().map(|line| line["name"].as_str().unwrap().to_owned()).collect()
}

fn delete(home: &Home, name: &str) {
    fs::remove_file(home.path("data/4.Verified").join(name)).unwrap();
}

/// What a command that must succeed says to people.
fn says(home: &Home, args: &[&str]) -> String {
    let output = home.output(args);
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{args:?}: {words}");
    words
}

fn decisions(home: &Home) -> usize {
    fs::read_to_string(home.path("data/decisions.jsonl")).map_or(0, |text| text.lines().count())
}

#[test]
fn what_is_deleted_from_the_folder_is_rejected_once_and_can_be_undone() {
    let home = finished(6);
    let before = names(&home, false);
    delete(&home, &before[0]);
    delete(&home, &before[2]);
    let said = says(&home, &["verify", "--from-folder"]);
    assert!(said.contains(&format!("rejected: {}\n", before[0])) && said.contains("reject: 2 pictures; `catgen-pipe run` obeys"), "{said}");
    assert_eq!(decisions(&home), 2);
    assert!(says(&home, &["verify", "--from-folder"]).contains("nothing that was not rejected before was deleted"));
    let said = says(&home, &["run"]);
    assert!(!said.contains("restored"), "{said}");
    assert_eq!(names(&home, true), [before[0].clone(), before[2].clone()]);
    assert!(says(&home, &["verify", "--from-folder"]).contains("nothing was deleted"));
    assert_eq!(decisions(&home), 2);
    home.ok(&["verify", "undo", "*"]);
    home.ok(&["run"]);
    assert_eq!(names(&home, false), before);
}

#[test]
fn a_run_puts_back_what_was_deleted_and_says_how_to_reject_it() {
    let home = finished(4);
    let name = names(&home, false)[1].clone();
    delete(&home, &name);
    let said = says(&home, &["run"]);
    assert!(said.contains("verify --from-folder") && said.contains(&name), "{said}");
    assert!(says(&home, &["verify", "--from-folder"]).contains("nothing was deleted"), "it is back");
    assert_eq!(decisions(&home), 0);
}

#[test]
fn a_folder_that_was_cleaned_out_rejects_nobody_unless_asked_twice() {
    let home = finished(12);
    let all = names(&home, false);
    assert!(all.len() > 5, "{all:?}");
    fs::remove_dir_all(home.path("data/4.Verified")).unwrap();
    let said = home.fails(&["verify", "--from-folder"]);
    assert!(said.starts_with("exit 2\nerror: data/4.Verified is gone: that looks like cleaning up"), "{said}");
    fs::create_dir(home.path("data/4.Verified")).unwrap();
    let said = home.fails(&["verify", "--from-folder"]);
    assert!(said.starts_with(&format!("exit 2\nerror: {0} of {0} pictures are gone from data/4.Verified", all.len())), "{said}");
    assert_eq!(decisions(&home), 0);
    home.ok(&["verify", "--from-folder", "--yes"]);
    assert_eq!(decisions(&home), all.len());
}

#[test]
fn a_stage_that_is_stale_or_half_done_rejects_only_what_a_person_deleted() {
    let home = finished(6);
    let before = names(&home, false);
    fs::write(home.path("pipeline.toml"), SMALL.replace("max_side = 256", "max_side = 200")).unwrap();
    delete(&home, &before[1]);
    let said = says(&home, &["verify", "--from-folder"]);
    assert!(said.contains("reject: 1 pictures"), "{said}");

    // As a run leaves it that was killed while it brought the folder up to date.
    let index = home.path(".catgen/views/4.Verified");
    fs::remove_file(&index).unwrap();
    delete(&home, &before[2]);
    let said = home.fails(&["verify", "--from-folder"]);
    assert!(said.starts_with("exit 2\nerror: data/4.Verified is not as a finished run left it"), "{said}");
    assert_eq!(decisions(&home), 1);
}

#[test]
fn a_file_that_was_only_moved_within_the_folder_is_not_rejected() {
    let home = finished(4);
    let name = &names(&home, false)[0];
    let folder = home.path("data/4.Verified");
    fs::create_dir(folder.join("the best")).unwrap();
    fs::rename(folder.join(name), folder.join("the best/one.png")).unwrap();
    let said = says(&home, &["verify", "--from-folder"]);
    assert!(said.contains(&format!("note: {name} is gone, but the same picture is still in data/4.Verified")), "{said}");
    assert_eq!(decisions(&home), 0);
}

#[test]
fn deleting_is_not_looked_at_while_a_run_works_nor_beside_another_decision() {
    let home = finished(2);
    let said = home.fails(&["verify", "--from-folder", "accept", "*"]);
    assert!(said.starts_with("exit 2\n"), "{said}");
    let workspace = catgen_pipe::Workspace::open(home.folder.path()).unwrap();
    let _lock = workspace.lock(false, |_| {}).unwrap();
    let said = home.fails(&["verify", "--from-folder"]);
    assert!(said.starts_with("exit 5\n"), "{said}");
}

#[test]
fn a_decision_survives_a_new_name_and_one_about_the_photo_new_parameters() {
    let home = finished(4);
    let all = home.lines(&["inspect", "4.Verified", "--json"]);
    let text = |at: usize, key: &str| all[at][key].as_str().unwrap().to_owned();
    home.ok(&["verify", "reject", &text(0, "name")]);
    home.ok(&["verify", "reject", "--photo", &text(1, "digest")[..8]]);
    home.ok(&["run"]);
    assert_eq!(names(&home, true), [text(0, "name"), text(1, "name")]);

    let originals = home.path("data/0.ORIGINAL");
    let extension = Path::new(&text(0, "photo")).extension().unwrap().to_str().unwrap().to_owned();
    fs::rename(originals.join(text(0, "photo")), originals.join(format!("another name.{extension}"))).unwrap();
    home.ok(&["run"]);
    assert!(names(&home, true).contains(&"another name.png".to_owned()), "{:?}", names(&home, true));

    fs::write(home.path("pipeline.toml"), SMALL.replace("max_side = 256", "max_side = 200")).unwrap();
    home.ok(&["run"]);
    assert_eq!(names(&home, true), [text(1, "name")], "the picture of the first is another one now, the second is its photo's");
    home.ok(&["verify", "undo", "--photo", &text(1, "name")]);
    home.ok(&["run"]);
    assert_eq!(names(&home, true).len(), 0);
}

#[test]
fn a_table_goes_out_is_changed_and_comes_back() {
    let home = Home::with_cats(SMALL, 4);
    let photos = home.path("data/0.ORIGINAL");
    let odd = "she said \"no\", twice; é*?.png";
    fs::write(photos.join(odd), catgen_picture::encode_png(&catgen_picture::Picture::Rgb(catgen_sample::draw(7439, 95).picture))).unwrap();
    home.ok(&["run"]);
    let all = names(&home, false);
    home.ok(&["verify", "export", "table.csv"]);
    let table = fs::read_to_string(home.path("table.csv")).unwrap();
    assert_eq!(table, home.ok(&["verify", "export"]));
    assert_eq!(table.lines().count(), all.len() + 1);

    // As a spreadsheet saves it that a person filled in: other columns, other separators, no digests.
    let quoted = odd.replace('"', "\"\"");
    let filled = format!("\u{feff}decision;name;my note\r\nReject;\"{quoted}\";\"not; this one\"\r\n;{};\r\n", all[0]);
    fs::write(home.path("filled.csv"), &filled).unwrap();
    let said = says(&home, &["verify", "import", "filled.csv"]);
    assert!(said.starts_with("0 accepted, 1 rejected, 0 undone, 0 as they were, 1 without a decision\n"), "{said}");
    home.ok(&["run"]);
    assert_eq!(names(&home, true), [odd]);
    let said = says(&home, &["verify", "import", "filled.csv"]);
    assert!(said.starts_with("0 accepted, 0 rejected, 0 undone, 1 as they were"), "{said}");
    assert_eq!(decisions(&home), 1);

    // Out again, with the decision, and back as an undo.
    let table = home.ok(&["verify", "export"]);
    assert!(table.contains(",reject,"), "{table}");
    fs::write(home.path("undone.csv"), table.replace(",reject,", ",undo,")).unwrap();
    let said = says(&home, &["verify", "import", "undone.csv"]);
    assert!(said.contains("1 undone"), "{said}");
    home.ok(&["run"]);
    assert_eq!(names(&home, false), all);

    for (text, expect) in [
        (format!("name,decision\n{0},accept\n{0},reject\n", all[0]), "line 2 says accept and line 3 says reject"),
        (format!("name,decision\n{},accept\nnobody.png,reject\n", all[0]), "line 3: no picture of this stage is called \"nobody.png\""),
        ("name\nx\n".to_owned(), "it has no column \"decision\""),
    ] {
        fs::write(home.path("bad.csv"), text).unwrap();
        let before = decisions(&home);
        let said = home.fails(&["verify", "import", "bad.csv"]);
        assert!(said.starts_with(&format!("exit 2\nerror: bad.csv: {expect}")), "{said}");
        assert_eq!(decisions(&home), before, "all of it or nothing");
    }
    let said = home.fails(&["verify", "import", "absent.csv"]);
    assert!(said.contains("cannot read absent.csv"), "{said}");
}

#[test]
fn a_name_that_holds_a_star_means_itself_and_a_pattern_means_many() {
    let home = Home::with_cats(SMALL, 4);
    let photos = home.path("data/0.ORIGINAL");
    let write = |name: &str, number| {
        fs::write(photos.join(name), catgen_picture::encode_png(&catgen_picture::Picture::Rgb(catgen_sample::draw(7439, number).picture)))
            .unwrap();
    };
    write("star*.png", 95);
    write("starfish.png", 96);
    home.ok(&["run"]);
    assert!(says(&home, &["verify", "reject", "star*.png"]).starts_with("reject: 1 pictures"));
    assert!(says(&home, &["verify", "reject", "star????.png"]).starts_with("reject: 1 pictures"));
    assert!(says(&home, &["verify", "undo", "s*.png"]).starts_with("undo: 2 pictures"));
}
