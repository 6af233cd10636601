//! The engine with stages that count: every test ends with how often stage code really ran.

use std::fs;

use crate::bench::{Bench, Listener, PIPELINE};
use catgen_api::Draw;
use catgen_pipe::{Error, plan::State};

/// Ten photos of ten colours.
fn bench() -> Bench {
    let bench = Bench::new(PIPELINE);
    for n in 0..10u8 {
        // Colours that stay different when they are halved.
        bench.photo(&format!("cat{n}.png"), [100 + 2 * n, 40, n]);
    }
    bench
}

fn ran(bench: &Bench) -> [usize; 4] {
    ["unique", "darken", "copy", "tiny"].map(|kind| bench.ran(kind))
}

#[test]
fn the_second_run_computes_nothing_and_changes_nothing() {
    let bench = bench();
    assert_eq!(bench.counts(&[]), [(10, 0, 0), (10, 0, 0), (10, 0, 0), (30, 0, 0), (30, 0, 0)]);
    assert_eq!(ran(&bench), [10, 10, 10, 30]);
    let views = bench.views();
    assert_eq!(views.len(), 10 + 10 + 30 + 30);
    assert!(views.contains_key("in/3.Copies/cat3_02.png"));
    assert_eq!(bench.counts(&[]), [(0, 10, 0), (0, 10, 0), (0, 10, 0), (0, 30, 0), (0, 30, 0)]);
    assert_eq!(ran(&bench), [0; 4]);
    assert_eq!(bench.views(), views);
    // Nor does it read the log of what was ever done: a folder in its place would be an error.
    fs::rename(bench.path(".catgen/actions.log"), bench.path("log")).unwrap();
    fs::create_dir(bench.path(".catgen/actions.log")).unwrap();
    assert!(bench.counts(&[]).iter().all(|(computed, _, _)| *computed == 0));
}

#[test]
fn new_photos_cost_themselves() {
    let bench = bench();
    bench.run(&[]);
    ran(&bench);
    bench.photo("new/a.png", [1, 1, 1]);
    bench.photo("new/b.png", [2, 1, 1]);
    assert_eq!(bench.counts(&[]), [(2, 10, 0), (2, 10, 0), (2, 10, 0), (6, 30, 0), (6, 30, 0)]);
    assert_eq!(ran(&bench), [2, 2, 2, 6]);
    // A byte-equal copy of a known photo has nothing to compute anywhere.
    bench.photo("new/c.png", [2, 1, 1]);
    assert_eq!(bench.counts(&[])[1..], [(0, 13, 0), (0, 12, 0), (0, 36, 0), (0, 36, 0)]);
    assert_eq!(ran(&bench), [0; 4]);
}

#[test]
fn an_edited_photo_is_one_photo_redone() {
    let bench = bench();
    bench.run(&[]);
    ran(&bench);
    bench.photo("cat4.png", [200, 9, 9]);
    assert_eq!(bench.counts(&[]), [(1, 9, 0), (1, 9, 0), (1, 9, 0), (3, 27, 0), (3, 27, 0)]);
    assert_eq!(ran(&bench), [1, 1, 1, 3]);
    assert_eq!(bench.views().len(), 80);
}

#[test]
fn touched_photos_are_hashed_and_nothing_else() {
    let bench = bench();
    bench.run(&[]);
    ran(&bench);
    (0..10).for_each(|n| bench.touch(&format!("cat{n}.png"), 50_000));
    assert!(bench.counts(&[]).iter().all(|(computed, _, removed)| (computed, removed) == (&0, &0)));
    assert_eq!(ran(&bench), [0; 4]);
}

#[test]
fn an_edit_that_keeps_size_and_time_is_seen() {
    let bench = bench();
    bench.run(&[]);
    ran(&bench);
    let path = bench.path("data/0.ORIGINAL/cat1.png");
    let times = fs::metadata(&path).unwrap().modified().unwrap();
    let mut bytes = fs::read(&path).unwrap();
    // Another photo of the same length under the same name with the same mtime: only ctime and inode tell.
    let twin = fs::read(bench.path("data/0.ORIGINAL/cat2.png")).unwrap();
    if twin.len() == bytes.len() {
        bytes.copy_from_slice(&twin);
        fs::write(&path, &bytes).unwrap();
        fs::OpenOptions::new().write(true).open(&path).unwrap().set_modified(times).unwrap();
        let summary = bench.run(&[]);
        assert_eq!(summary.stages[1].rejected, 1, "cat1 is now a duplicate of cat2");
    }
}

#[test]
fn removed_photos_leave_every_folder_in_the_same_run() {
    let bench = bench();
    bench.run(&[]);
    ran(&bench);
    bench.remove("cat0.png");
    bench.remove("cat9.png");
    assert_eq!(bench.counts(&[]), [(0, 8, 2), (0, 8, 2), (0, 8, 2), (0, 24, 6), (0, 24, 6)]);
    assert_eq!(ran(&bench), [0; 4]);
    let views = bench.views();
    assert_eq!(views.len(), 64);
    assert!(!views.keys().any(|name| name.contains("cat0") || name.contains("cat9")));
}

#[test]
fn a_parameter_costs_its_stage_and_what_follows_and_changed_back_nothing() {
    let bench = bench();
    bench.run(&[]);
    let views = bench.views();
    ran(&bench);
    assert_eq!(bench.counts(&["3.Copies.copies=4"])[2..], [(0, 10, 0), (40, 0, 0), (10, 30, 0)]);
    // The first three copies of each are the same pictures as before: tiny reuses them by content.
    assert_eq!(ran(&bench), [0, 0, 10, 10]);
    assert_eq!(bench.counts(&[])[2..], [(0, 10, 0), (0, 30, 10), (0, 30, 10)]);
    assert_eq!(ran(&bench), [0; 4]);
    assert_eq!(bench.views(), views);
}

#[test]
fn equal_output_stops_the_rerun() {
    let bench = bench();
    bench.run(&[]);
    ran(&bench);
    assert_eq!(bench.counts(&["2.Dark.nothing=5"])[2..], [(10, 0, 0), (0, 30, 0), (0, 30, 0)]);
    assert_eq!(ran(&bench), [0, 10, 0, 0]);
    // A parameter of the decision alone asks for no fact again.
    bench.run(&["1.Unique.nothing=5"]);
    assert_eq!(ran(&bench), [0; 4]);
}

#[test]
fn the_seed_is_in_the_keys_of_random_stages_only() {
    let bench = bench();
    bench.run(&[]);
    ran(&bench);
    bench.run(&["pipeline.seed=2"]);
    assert_eq!(ran(&bench), [0, 0, 10, 0]);
}

#[test]
fn comments_and_the_order_of_keys_change_nothing() {
    let bench = bench();
    bench.run(&[]);
    ran(&bench);
    bench.pipeline(&PIPELINE.replace("from = \"2.Dark\"\ncopies = 3", "# three of each\ncopies = 3\nfrom = \"2.Dark\""));
    assert!(bench.counts(&[]).iter().all(|(computed, _, _)| *computed == 0));
    assert_eq!(ran(&bench), [0; 4]);
}

#[test]
fn bad_pictures_are_rejections_and_stop_nothing() {
    let bench = bench();
    bench.photo("grey.png", [154, 154, 154]);
    bench.photo("panics.png", [132, 132, 132]);
    fs::write(bench.path("data/0.ORIGINAL/empty.jpg"), b"").unwrap();
    fs::write(bench.path("data/0.ORIGINAL/text.jpg"), b"not a photo").unwrap();
    let summary = bench.run(&[]);
    let rejected: Vec<_> = summary.stages.iter().map(|stage| stage.rejected).collect();
    assert_eq!(rejected, [2, 0, 0, 2, 0], "grey and panics are darkened first, then rejected");
    ran(&bench);
    assert!(bench.counts(&[]).iter().all(|(computed, _, _)| *computed == 0), "a rejection is remembered");
    assert_eq!(ran(&bench), [0; 4]);
}

#[test]
fn a_folder_that_somebody_changed_is_named_and_healed() {
    let bench = bench();
    bench.run(&[]);
    let views = bench.views();
    ran(&bench);
    let folder = bench.path("data/2.Dark");
    fs::remove_file(folder.join("cat1.png")).unwrap();
    fs::remove_file(folder.join("cat2.png")).unwrap();
    fs::write(folder.join("cat2.png"), b"scribble").unwrap();
    fs::write(folder.join("mine.txt"), b"notes").unwrap();
    #[cfg(unix)]
    fs::write(folder.join(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(b"zo\xE9")), b"not text").unwrap();
    let listener = Listener::default();
    bench.try_run(&[], &listener).unwrap();
    assert_eq!(ran(&bench), [0; 4]);
    assert_eq!(bench.views(), views);
    let warnings = listener.warnings.into_inner().unwrap().join("\n");
    for name in ["cat1.png", "cat2.png", "mine.txt"] {
        assert!(warnings.contains(name), "{name} is not named: {warnings}");
    }
    assert_eq!(fs::read(bench.path(".catgen/set-aside/2.Dark/mine.txt")).unwrap(), b"notes");
}

#[cfg(unix)]
#[test]
fn a_picture_changed_through_its_link_is_made_again() {
    use std::os::unix::fs::PermissionsExt;
    let bench = bench();
    bench.run(&[]);
    let views = bench.views();
    ran(&bench);
    let path = bench.path("data/2.Dark/cat1.png");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(&path, b"scribble").unwrap();
    bench.run(&[]);
    assert_eq!(bench.views(), views);
    let [_, dark, copy, tiny] = ran(&bench);
    assert!(dark <= 1 && copy == 0 && tiny == 0, "{dark} {copy} {tiny}");
}

/// Loses part of the store, asks for other copies and then for the old ones: both must come out as from a whole store.
fn check_loss(lose: impl Fn(&Bench), of_everything: bool) {
    let bench = bench();
    bench.run(&[]);
    let views = bench.views();
    lose(&bench);
    bench.run(&["3.Copies.copies=4"]);
    assert_eq!(bench.views().len(), 100);
    lose(&bench);
    bench.run(&[]);
    assert_eq!(bench.views(), views);
    // Where nothing at all is known any more, a picture that is no longer wanted may be somebody's.
    assert!(of_everything || !bench.path(".catgen/set-aside").exists(), "our own pictures were taken for somebody's");
    ran(&bench);
    assert!(bench.counts(&[]).iter().all(|(computed, _, _)| *computed == 0));
    assert_eq!(ran(&bench), [0; 4]);
}

#[test]
fn what_the_store_lost_is_made_again() {
    for part in ["cas", "manifests", "views", "actions.log", "stages.json", "memo", ""] {
        let lose = |bench: &Bench| {
            let path = bench.path(".catgen").join(part);
            if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
        };
        check_loss(lose, part.is_empty());
    }
}

#[test]
fn damaged_manifests_are_made_again() {
    let damage = |bench: &Bench| {
        for entry in fs::read_dir(bench.path(".catgen/manifests")).unwrap() {
            fs::write(entry.unwrap().path(), b"half a li").unwrap();
        }
    };
    check_loss(damage, false);
}

#[test]
fn what_from_skips_is_not_taken_for_done() {
    let bench = bench();
    bench.run(&[]);
    let set = ["2.Dark.nothing=3"];
    let mut project = bench.project(&set).unwrap();
    let from = project.pipeline.find("4.Tiny").unwrap();
    let options = catgen_pipe::run::Options { from: Some(from), ..Default::default() };
    let listener = Listener::default();
    catgen_pipe::run::run(&mut project, &options, &listener).unwrap();
    assert!(listener.warnings.into_inner().unwrap()[0].contains("2.Dark.nothing 0 → 3"), "nobody was told");
    assert_eq!(bench.plan(&set)[2].state, State::Stale);
    ran(&bench);
    bench.run(&set);
    assert_eq!(ran(&bench), [0, 10, 0, 0]);
}

#[test]
fn an_unplugged_disk_is_not_a_person_who_deleted_every_photo() {
    let bench = bench();
    bench.run(&[]);
    let views = bench.views();
    let runs = fs::read_dir(bench.path("runs")).unwrap().count();
    for empty in [false, true] {
        fs::rename(bench.path("data/0.ORIGINAL"), bench.path("away")).unwrap();
        if empty {
            fs::create_dir(bench.path("data/0.ORIGINAL")).unwrap();
            fs::write(bench.path("data/0.ORIGINAL/README.txt"), b"mount the disk here").unwrap();
        }
        let error = bench.try_run(&[], &catgen_pipe::progress::Silent).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{error}");
        let _ = fs::remove_dir_all(bench.path("data/0.ORIGINAL"));
        fs::rename(bench.path("away"), bench.path("data/0.ORIGINAL")).unwrap();
        assert_eq!(bench.views(), views);
    }
    assert_eq!(fs::read_dir(bench.path("runs")).unwrap().count(), runs, "a run that touched nothing was recorded");
}

#[test]
fn folders_and_files_in_each_others_place_stop_nothing() {
    let bench = bench();
    bench.run(&[]);
    let views = bench.views();
    let folder = bench.path("data/2.Dark");
    fs::write(folder.join("x"), b"a file").unwrap();
    bench.run(&[]);
    fs::create_dir(folder.join("x")).unwrap();
    fs::write(folder.join("x/y"), b"in a folder").unwrap();
    fs::remove_file(folder.join("cat1.png")).unwrap();
    fs::create_dir(folder.join("cat1.png")).unwrap();
    bench.run(&[]);
    assert_eq!(bench.views(), views);
    let aside: Vec<_> = crate::bench::files(&bench.path(".catgen")).into_iter().filter(|(name, _)| name.starts_with("set-aside")).collect();
    assert_eq!(aside.len(), 2, "{aside:?}");
}

#[test]
fn names_that_would_be_too_long_or_taken_are_made_to_fit() {
    let bench = Bench::new(PIPELINE);
    let long = format!("{}.png", "é".repeat(125));
    bench.photo(&long, [10, 1, 1]);
    bench.photo(&long.replacen('é', "e", 1), [20, 1, 1]);
    bench.photo("a.jpg", [30, 1, 1]);
    bench.photo("a.png/b.png", [40, 1, 1]);
    bench.run(&[]);
    assert_eq!(bench.views().len(), 4 + 4 + 12 + 12);
    assert!(bench.counts(&[]).iter().all(|(computed, _, _)| *computed == 0));
}

#[test]
fn photos_that_differ_in_extension_alone_keep_apart() {
    let bench = Bench::new(PIPELINE);
    bench.photo("cat.png", [10, 1, 1]);
    bench.photo("cat.jpg", [20, 1, 1]);
    bench.photo("dog.png", [30, 1, 1]);
    bench.run(&[]);
    let names: Vec<_> = bench.views().into_keys().filter(|name| name.starts_with("2.Dark")).collect();
    assert_eq!(names, ["2.Dark/cat.jpg.png", "2.Dark/cat.png.png", "2.Dark/dog.png"]);
}

#[test]
fn no_photos_is_an_error_that_says_where_to_put_them() {
    let error = Bench::new(PIPELINE).try_run(&[], &catgen_pipe::progress::Silent).unwrap_err();
    assert!(matches!(&error, Error::Usage { what, .. } if what == "there are no photos in data/0.ORIGINAL"), "{error}");
}

#[test]
fn a_second_run_at_once_is_refused_and_says_on_whom_it_would_wait() {
    let bench = bench();
    let project = bench.project(&[]).unwrap();
    let _lock = project.workspace.lock(true, |_| {}).unwrap();
    let options = catgen_pipe::run::Options { no_wait: true, ..Default::default() };
    let error = catgen_pipe::run::run(&mut bench.project(&[]).unwrap(), &options, &catgen_pipe::progress::Silent).unwrap_err();
    assert!(matches!(&error, Error::Busy { by } if by.contains(&std::process::id().to_string())), "{error}");
    assert_eq!(error.exit_code(), 5);
}

#[test]
fn plan_says_what_run_then_does_over_random_edits() {
    let bench = bench();
    bench.run(&[]);
    let mut copies = 3;
    for step in 0..24 {
        let mut draw = Draw::new(7439, "edits", &catgen_api::Digest::of(b""), step);
        for _ in 0..=draw.below(3) {
            let name = format!("cat{}.png", draw.below(14));
            match draw.below(4) {
                0 if bench.path("data/0.ORIGINAL").join(&name).exists() => bench.remove(&name),
                1 => copies = 1 + draw.below(5),
                2 if bench.path("data/0.ORIGINAL").join(&name).exists() => bench.touch(&name, 1000 + step),
                _ => bench.photo(&name, [(step * 9 + draw.below(9)) as u8, draw.below(256) as u8, draw.below(256) as u8]),
            }
        }
        let set = format!("3.Copies.copies={copies}");
        let planned = bench.plan(&[&set]);
        let ran = bench.run(&[&set]);
        for (plan, did) in planned.iter().zip(&ran.stages) {
            assert_eq!(plan.stage, did.stage);
            let (plan_counts, did_counts) = ((plan.compute, plan.reuse, plan.remove), (did.computed, did.reused, did.removed));
            // Where pictures not yet made turn out equal the plan may promise too much work, never too little, and it says so.
            if plan.exact || plan.stage != "4.Tiny" {
                assert_eq!(plan_counts, did_counts, "step {step}, {}: {plan:?} {did:?}", plan.stage);
            } else {
                assert!(plan.compute >= did.computed, "step {step}, {}: {plan:?} {did:?}", plan.stage);
            }
        }
        assert!(bench.plan(&[&set]).iter().all(|line| line.state == State::Fresh && line.compute == 0 && line.remove == 0), "step {step}");
    }
}

/// Photos → one per red value → a person's decisions → darken → K copies → tiny, and small ones of all beside it.
const BRANCHING: &str = r#"
[pipeline]
seed = 1

[[stage]]
name = "0.ORIGINAL"
use = "original"

[[stage]]
name = "1.Unique"
use = "unique"
from = "0.ORIGINAL"

[[stage]]
name = "2.Verified"
use = "verify"
from = "1.Unique"
checks = []

[[stage]]
name = "3.Dark"
use = "darken"
from = "2.Verified"

[[stage]]
name = "4.Copies"
use = "copy"
from = "3.Dark"

[[stage]]
name = "5.Tiny"
use = "tiny"
from = "4.Copies"

[[stage]]
name = "all/2.Tiny"
use = "tiny"
from = "1.Unique"

[[stage]]
name = "all/3.Verified"
use = "verify"
from = "all/2.Tiny"
checks = []

[[stage]]
name = "all/4.Dark"
use = "darken"
from = "all/3.Verified"
"#;

#[test]
fn whatever_was_edited_a_run_leaves_what_a_first_run_leaves() {
    use catgen_verify::decisions::{self, Choice, Decision};
    // Names that get into each other's way: by extension, by case, by the tag of a copy, as a folder.
    const NAMES: [&str; 9] = ["a.png", "a.jpg", "A.webp", "a_01.png", "a_02.jpg", "a.png.jpg", "b/a.png", "b.png", "a_01.png/c.png"];
    let bench = Bench::new(BRANCHING);
    let photos = bench.path("data/0.ORIGINAL");
    bench.photo("z.png", [9, 9, 9]);
    let (mut copies, mut nothing) = (3, 0);
    for step in 0..60 {
        let mut draw = Draw::new(7439, "branching edits", &catgen_api::Digest::of(b""), step);
        for _ in 0..=draw.below(2) {
            let name = NAMES[draw.below(NAMES.len() as u64) as usize];
            let path = photos.join(name);
            match draw.below(12) {
                0..4 if path.is_file() => bench.remove(name),
                0 => copies = 2 + draw.below(2),
                1 => nothing = draw.below(3),
                2 if photos.join("b.png").is_file() && !path.exists() && name != "a_01.png/c.png" => {
                    fs::create_dir_all(path.parent().unwrap()).unwrap();
                    fs::rename(photos.join("b.png"), &path).unwrap();
                }
                3 | 4 => {
                    let project = bench.project(&[]).unwrap();
                    let read = project.states.get("1.Unique").and_then(|state| project.store.manifest(&state.output)).unwrap_or_default();
                    if let Some(item) = read.items.get(draw.below(1 + read.items.len() as u64) as usize) {
                        let decision = [Choice::Reject, Choice::Accept, Choice::Undo][draw.below(3) as usize];
                        let decision = Decision { digest: item.digest, decision, who: String::new(), when: String::new() };
                        decisions::append(&bench.path("data/decisions.jsonl"), &[decision]).unwrap();
                    }
                }
                _ if path.is_dir() || path.parent().is_some_and(std::path::Path::is_file) => {}
                _ => bench.photo(name, [step as u8, draw.below(256) as u8, 1]),
            }
        }
        // A folder that is empty now would be in the way of a photo of its name.
        let _ = fs::remove_dir(photos.join("a_01.png"));
        let set = [format!("4.Copies.copies={copies}"), format!("3.Dark.nothing={nothing}")];
        let set: Vec<&str> = set.iter().map(String::as_str).collect();
        let planned = bench.plan(&set);
        let summary = bench.run(&set);
        for (plan, did) in planned.iter().zip(&summary.stages).filter(|(plan, _)| plan.exact) {
            let (plan_counts, did_counts) = ((plan.compute, plan.reuse, plan.remove), (did.computed, did.reused, did.removed));
            assert_eq!(plan_counts, did_counts, "step {step}, {}: {plan:?} {did:?}", plan.stage);
        }
        let first = Bench::new(BRANCHING);
        for (name, bytes) in crate::bench::files(&bench.path("data")) {
            if name.starts_with("0.ORIGINAL/") || name == "decisions.jsonl" {
                let path = first.path("data").join(name);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, bytes).unwrap();
            }
        }
        let afresh = first.run(&set);
        let counts = |summary: &catgen_pipe::run::Summary| -> Vec<_> {
            summary.stages.iter().map(|stage| (stage.items_in, stage.items_out, stage.rejected, stage.computed + stage.reused)).collect()
        };
        assert_eq!(counts(&summary), counts(&afresh), "step {step}");
        assert_eq!(bench.views(), first.views(), "step {step}");
        let outputs = |bench: &Bench| -> Vec<_> {
            bench.project(&set).unwrap().states.iter().map(|(name, state)| (name.to_owned(), state.output)).collect()
        };
        assert_eq!(outputs(&bench), outputs(&first), "step {step}");
    }
}

#[test]
fn what_is_only_rejected_is_no_news_for_the_stages_after() {
    let bench = bench();
    bench.run(&[]);
    ran(&bench);
    bench.photo("twin.png", [100, 77, 77]);
    assert_eq!(bench.counts(&[]), [(1, 10, 0), (1, 10, 0), (0, 10, 0), (0, 30, 0), (0, 30, 0)]);
    let project = bench.project(&[]).unwrap();
    let state = |name: &str| project.states.get(name).unwrap().clone();
    assert_eq!(state("1.Unique").rejections, 1);
    assert_ne!(state("1.Unique").run, state("2.Dark").run, "a stage after it was made again");
    assert!(bench.plan(&[]).iter().all(|line| line.state == State::Fresh));
}
