//! `gc`, `fsck` and pins: what goes, what never goes, and what a repair costs.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use crate::{
    bench::{Bench, PIPELINE, files},
    home::{Home, SMALL},
};
use catgen_pipe::cache::gc::{self, Options, Report};
use serde_json::Value;

fn bench() -> Bench {
    let bench = Bench::new(PIPELINE);
    (0..6u8).for_each(|n| bench.photo(&format!("cat{n}.png"), [100 + 2 * n, 40, n]));
    bench
}

fn collect(bench: &Bench, options: &Options) -> Report {
    let project = bench.project(&[]).unwrap();
    gc::collect(&project.workspace, &project.store, &project.pipeline, options).unwrap()
}

fn keep(runs: usize) -> Options {
    Options { keep_runs: runs, ..Options::default() }
}

fn computed(bench: &Bench, set: &[&str]) -> usize {
    bench.counts(set).iter().map(|(computed, _, _)| computed).sum()
}

#[test]
fn what_the_folders_show_and_the_last_runs_put_out_stays() {
    let bench = bench();
    bench.run(&["3.Copies.copies=5"]);
    bench.run(&["3.Copies.copies=4"]);
    bench.run(&[]);
    let views = bench.views();
    // Runs that find nothing to do put out what the last one did: they do not push others out.
    (0..3).for_each(|_| drop(bench.run(&[])));
    let dry = collect(&bench, &Options { dry_run: true, ..keep(3) });
    assert_eq!((dry.freed.files, dry.records, dry.manifests.files), (0, 0, 0), "{dry:?}");

    // 6 photos: the fifth copy of each and its tiny picture go with the first run.
    let store = files(&bench.path(".catgen"));
    let dry = collect(&bench, &Options { dry_run: true, ..keep(2) });
    assert_eq!(files(&bench.path(".catgen")), store, "a dry run removed something");
    assert_eq!((dry.freed.files, dry.freed.bytes), (12, 12 * 4096));
    let by_stage: Vec<(&str, usize)> = dry.stages.iter().map(|line| (line.stage.as_deref().unwrap(), line.freed.files)).collect();
    assert_eq!(by_stage, [("0.ORIGINAL", 0), ("2.Dark", 0), ("in/3.Copies", 6), ("4.Tiny", 6)]);
    let by_run: Vec<(bool, usize, usize)> = dry.runs.iter().map(|line| (line.kept, line.alone.files, line.freed.files)).collect();
    assert_eq!(by_run[..3], [(false, 12, 12), (true, 0, 0), (true, 0, 0)], "the fourth copy is in two runs");
    let done = collect(&bench, &keep(2));
    assert_eq!(done, dry, "it did something else than it said");
    assert_eq!(computed(&bench, &[]), 0);
    assert_eq!(bench.views(), views);
    assert_eq!(computed(&bench, &["3.Copies.copies=4"]), 0);
    bench.ran("copy");
    assert_eq!(computed(&bench, &["3.Copies.copies=5"]), 6 * 5 + 6, "what went is made again, and nothing else");
    assert_eq!(bench.ran("copy"), 6);
    bench.run(&[]);

    collect(&bench, &keep(0));
    assert_eq!(computed(&bench, &[]), 0);
    assert_eq!(bench.views(), views);
    let again = collect(&bench, &keep(0));
    assert_eq!((again.freed.files, again.records, again.manifests.files), (0, 0, 0), "{again:?}");
}

#[test]
fn a_pinned_run_stays_until_it_is_unpinned() {
    let home = Home::with_cats(SMALL, 2);
    home.ok(&["run", "--set", "6.Photos_64px.side=32"]);
    home.ok(&["run"]);
    home.ok(&["runs", "pin", "1"]);
    let said = String::from_utf8(home.output(&["runs", "pin", "1"]).stderr).unwrap();
    assert!(said.contains("was already pinned"), "{said}");
    assert_eq!(home.lines(&["runs", "--json"]).iter().map(|run| run["pinned"] == true).collect::<Vec<_>>(), [true, false]);
    assert!(home.ok(&["runs"]).contains("done, pinned"));
    let freed = |args: &[&str]| {
        let lines = home.lines(&[&["gc", "--json"], args].concat());
        assert_eq!(lines.last().unwrap()["event"], "gc");
        lines.last().unwrap()["freed"]["files"].as_u64().unwrap()
    };
    assert_eq!(freed(&["--keep-runs", "0"]), 0);
    assert_eq!(home.computed(&["--set", "6.Photos_64px.side=32"]).iter().sum::<u64>(), 0);
    home.ok(&["run"]);
    home.ok(&["runs", "unpin", "1"]);
    assert!(freed(&["--keep-runs", "0", "--dry-run"]) > 0);
    assert!(freed(&["--keep-runs", "0"]) > 0);
    assert_eq!(home.computed(&[]).iter().sum::<u64>(), 0);
    assert!(home.fails(&["runs", "pin", "9"]).starts_with("exit 2\nerror: there is no run \"9\""));
}

#[test]
fn with_a_size_as_much_stays_as_fits_and_never_less_than_what_is_in_use() {
    let bench = bench();
    bench.run(&["3.Copies.copies=5"]);
    bench.run(&[]);
    let size = |report: &Report| report.kept.bytes + report.freed.bytes;
    let everything = collect(&bench, &Options { max_size: Some(1 << 30), ..keep(0) });
    assert_eq!((everything.freed.files, everything.over, everything.manifests.files), (0, 0, 0));
    // The old run's lists go first, then what it alone put out, one result at a time: five copies or one tiny picture.
    let all = size(&everything) + 4096 * store_blocks(&bench);
    let of = |blocks: u64, dry_run| Options { max_size: Some(all - blocks * 4096), dry_run, ..keep(0) };
    let blocks = (1..).find(|blocks| collect(&bench, &of(*blocks, true)).freed.files > 0).unwrap();
    let some = collect(&bench, &of(blocks, false));
    assert!((1..=5).contains(&some.freed.files) && some.manifests.files == 2 && some.over == 0, "{some:?}");
    // Of the last runs the oldest goes when nothing else is left; the folders stay though they are too large.
    let least = collect(&bench, &Options { max_size: Some(1), ..keep(10) });
    assert!(least.over > 0 && least.runs.iter().map(|run| run.kept).collect::<Vec<_>>() == [false, false], "{least:?}");
    assert_eq!(computed(&bench, &[]), 0);
}

/// What the store holds besides blobs, in blocks, as `gc` counts it.
fn store_blocks(bench: &Bench) -> u64 {
    let rest = ["actions.log", "memo", "stages.json", "manifests", "views"].map(|name| bench.path(".catgen").join(name));
    let files = rest.iter().flat_map(walkdir::WalkDir::new).map(Result::unwrap).filter(|entry| entry.file_type().is_file());
    files.map(|entry| entry.metadata().unwrap().len().div_ceil(4096)).sum()
}

#[test]
fn a_stage_that_left_the_pipeline_goes_with_its_folder_and_not_before() {
    let bench = bench();
    bench.run(&[]);
    let without = PIPELINE.split("[[stage]]\nname = \"4.Tiny\"").next().unwrap();
    bench.pipeline(without);
    bench.run(&[]);
    let report = collect(&bench, &keep(0));
    assert_eq!((report.leftovers, report.freed.files), (vec!["4.Tiny".to_owned()], 0));
    fs::remove_dir_all(bench.path("data/4.Tiny")).unwrap();
    let report = collect(&bench, &keep(0));
    assert_eq!((report.leftovers.len(), report.freed.files), (0, 18));
    assert!(!bench.path(".catgen/views/4.Tiny").exists());
    bench.pipeline(PIPELINE);
    assert_eq!(computed(&bench, &[]), 18);
}

#[test]
fn the_folder_of_a_renamed_stage_is_mentioned_until_it_is_deleted() {
    let pipeline =
        "[[stage]]\nname = \"0.ORIGINAL\"\nuse = \"original\"\n\n[[stage]]\nname = \"small\"\nuse = \"resize\"\nfrom = \"0.ORIGINAL\"\n";
    let home = Home::with_cats(pipeline, 2);
    let notes = |command: &str| {
        let words = String::from_utf8(home.output(&[command]).stderr).unwrap();
        words.lines().filter(|line| line.contains("no stage is called")).map(str::to_owned).collect::<Vec<_>>()
    };
    let said = |stage: &str| {
        vec![format!(
            "note: no stage is called {stage} any more; data/{stage} stays until you delete that folder, and `catgen-pipe gc` then frees its room"
        )]
    };
    let nothing = || [notes("run"), notes("status")].concat().is_empty();
    assert!(nothing());
    fs::write(home.path("pipeline.toml"), pipeline.replace("small", "tiny/64px")).unwrap();
    assert_eq!([notes("plan"), notes("run"), notes("run"), notes("status")], [said("small"), said("small"), said("small"), said("small")]);
    fs::remove_dir_all(home.path("data/small")).unwrap();
    assert!(nothing());
    // Deleting the folder of a stage of old that holds one of today would be no help.
    fs::write(home.path("pipeline.toml"), pipeline.replace("small", "tiny/64px/large")).unwrap();
    assert!(nothing());
}

#[test]
fn what_a_stage_knows_of_pictures_that_it_does_not_keep_stays() {
    let bench = bench();
    bench.run(&[]);
    // From kept to not kept: the pictures go, and what is known of them is what spares making them again.
    bench.pipeline(&PIPELINE.replace("copies = 3", "copies = 3\nstore = \"none\""));
    bench.run(&[]);
    let report = collect(&bench, &keep(0));
    assert_eq!((report.freed.files, report.records), (18, 0), "{report:?}");
    // A note in the folder instead of pictures, and nothing to look up.
    assert_eq!(computed(&bench, &[]), 0);
    // An edited photo makes every stage look up every item.
    bench.photo("cat1.png", [222, 40, 1]);
    bench.ran("copy");
    assert_eq!(bench.counts(&[])[1..].iter().map(|(computed, _, _)| *computed).collect::<Vec<_>>(), [1, 1, 3, 3]);
    assert_eq!(bench.ran("copy"), 1);
    collect(&bench, &keep(0));
    let again = collect(&bench, &keep(0));
    assert_eq!((again.freed.files, again.records, again.manifests.files), (0, 0, 0), "{again:?}");
}

#[test]
fn files_moved_aside_are_deleted_only_when_asked() {
    let home = Home::with_cats(SMALL, 1);
    home.ok(&["run"]);
    fs::write(home.path("data/4.Verified/mine.txt"), "notes").unwrap();
    home.ok(&["run"]);
    let aside = home.path(".catgen/set-aside/4.Verified/mine.txt");
    let said = String::from_utf8(home.output(&["gc", "--keep-runs", "0"]).stderr).unwrap();
    assert!(aside.is_file() && said.contains("1 files of yours"), "{said}");
    home.ok(&["gc", "--set-aside", "--dry-run"]);
    assert!(aside.is_file());
    home.ok(&["gc", "--set-aside"]);
    assert!(!aside.exists());
}

#[test]
fn half_written_files_go_and_sizes_are_checked() {
    let home = Home::with_cats(SMALL, 1);
    home.ok(&["run"]);
    fs::write(home.path(".catgen/tmp/half"), "a pict").unwrap();
    fs::write(home.path(".catgen/.part-memo"), "me").unwrap();
    home.ok(&["gc", "--dry-run"]);
    assert!(home.path(".catgen/tmp/half").exists());
    home.ok(&["gc"]);
    assert!(!home.path(".catgen/tmp/half").exists() && !home.path(".catgen/.part-memo").exists());
    assert!(home.fails(&["gc", "--max-size", "5 cats"]).contains("is not a size, for instance 5GB"));
}

// ---- fsck ------------------------------------------------------------------------------------------------------------

/// What `fsck --json` found, without its last line, and the exit code.
fn fsck(home: &Home, args: &[&str]) -> (Vec<Value>, i32) {
    let output = home.output(&[&["fsck", "--json"], args].concat());
    let mut lines: Vec<Value> = String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let last = lines.pop().unwrap();
    assert_eq!((&last["event"], last["damaged"].as_u64()), (&"fsck".into(), Some(lines.len() as u64)));
    (lines, output.status.code().unwrap())
}

/// Flips a bit in a file and leaves its times as they were, as a bad disk does.
fn flip(path: &Path, at: usize) {
    let metadata = fs::metadata(path).unwrap();
    let times = (metadata.modified().unwrap(), metadata.permissions());
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 0x10;
    #[cfg(unix)]
    fs::set_permissions(path, <fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o644)).unwrap();
    fs::write(path, bytes).unwrap();
    fs::OpenOptions::new().write(true).open(path).unwrap().set_modified(times.0).unwrap();
    fs::set_permissions(path, times.1).unwrap();
}

fn blob(home: &Home, item: &Value) -> PathBuf {
    let hex = item["digest"].as_str().unwrap();
    home.path(".catgen/cas").join(&hex[..2]).join(&hex[2..])
}

/// Views and manifests.
fn results(home: &Home) -> BTreeMap<String, Vec<u8>> {
    let mut found = files(&home.path("data"));
    found.extend(files(&home.path(".catgen/manifests")));
    found
}

/// Damages a finished workspace, and expects that `fsck` names it so, that `fsck --repair` and `run` heal it, with so many
/// items computed again, and that nothing of it is left.
fn check_damage(damage: impl Fn(&Home), named: &[(&str, &str)], computed: u64) {
    let home = Home::with_cats(SMALL, 3);
    home.ok(&["run"]);
    let whole = results(&home);
    assert_eq!(fsck(&home, &[]), (vec![], 0));
    damage(&home);
    let before = files(&home.path(".catgen"));
    let (found, code) = fsck(&home, &[]);
    assert_eq!(code, 3);
    assert_eq!(files(&home.path(".catgen")), before, "it changed something without being asked");
    let said: Vec<(&str, String)> = found
        .iter()
        .map(|line| (line["part"].as_str().unwrap(), format!("{} {} {}", line["path"], line["problem"], line["items"])))
        .collect();
    assert_eq!(said.len(), named.len(), "{said:?}");
    for ((part, words), (expected_part, expected)) in said.iter().zip(named) {
        assert!(part == expected_part && words.contains(expected), "{part}: {words} is not {expected_part}: {expected}");
    }
    let (_, code) = fsck(&home, &["--repair"]);
    assert_eq!(code, 0);
    assert_eq!(home.computed(&[]).iter().sum::<u64>(), computed, "{named:?}");
    let healed = results(&home);
    assert_eq!(healed.keys().collect::<Vec<_>>(), whole.keys().collect::<Vec<_>>());
    assert!(healed == whole, "{named:?}: it is not as it was");
    assert_eq!(fsck(&home, &[]), (vec![], 0), "after repair and run");
    assert_eq!(home.computed(&[]).iter().sum::<u64>(), 0);
}

#[test]
fn a_bad_blob_is_named_with_its_picture_and_made_again() {
    let item = |home: &Home| home.lines(&["inspect", "3.Zoom_photos", "--json"])[0].clone();
    check_damage(|home| flip(&blob(home, &item(home)), 200), &[("blob", "data/3.Zoom_photos/")], 1);
    check_damage(|home| fs::remove_file(blob(home, &item(home))).unwrap(), &[("blob", "is gone, and a folder shows it")], 1);
}

#[test]
fn a_bad_log_costs_the_record_that_is_bad() {
    let damage = |home: &Home| {
        let path = home.path(".catgen/actions.log");
        let bytes = fs::read(&path).unwrap();
        let mark = b"\"model\":\"border\"";
        let at = bytes.windows(mark.len()).position(|window| window == mark).unwrap();
        flip(&path, at + 3);
    };
    // Nothing has to be looked up, so nothing is missed until something is.
    check_damage(damage, &[("log", "is damaged from byte")], 0);
}

#[test]
fn bad_lists_and_indexes_cost_looking_up() {
    let manifest = |home: &Home| {
        let states: Value = serde_json::from_slice(&fs::read(home.path(".catgen/stages.json")).unwrap()).unwrap();
        let digest = states["5.Augmented_data"]["output"].as_str().unwrap().to_owned();
        flip(&home.path(".catgen/manifests").join(digest), 300);
    };
    check_damage(manifest, &[("manifest", "5.Augmented_data")], 0);
    check_damage(|home| flip(&home.path(".catgen/stages.json"), 0), &[("index", "stages.json")], 0);
    check_damage(|home| flip(&home.path(".catgen/memo"), 2), &[("index", "every photo is read again")], 0);
    check_damage(|home| flip(&home.path(".catgen/views/4.Verified"), 60), &[("index", "4.Verified")], 0);
}

#[test]
fn a_changed_folder_is_named_file_by_file() {
    let damage = |home: &Home| {
        let folder = home.path("data/6.Photos_64px");
        let names = files(&folder).into_keys();
        names.take(2).for_each(|name| fs::remove_file(folder.join(name)).unwrap());
        fs::write(folder.join("mine.txt"), "notes").unwrap();
    };
    check_damage(damage, &[("folder", "1 files are not ours"), ("folder", "2 files are missing")], 0);
}

#[test]
fn fsck_says_it_in_words() {
    let home = Home::with_cats(SMALL, 2);
    home.ok(&["run"]);
    flip(&home.path(".catgen/memo"), 2);
    let said = home.fails(&["fsck"]);
    assert!(
        said.starts_with("exit 3\n") && said.contains("\nerror: one thing is not as it should be\nhint: `catgen-pipe fsck --repair`"),
        "{said}"
    );
}
