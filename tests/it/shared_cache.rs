//! Workspaces that share what they computed.

use std::{collections::BTreeMap, fs, path::Path};

use serde_json::Value;

use crate::home::{Home, SMALL};

/// [`SMALL`] with a shared cache in that folder.
fn pipeline(remote: &Path) -> String {
    let address = url::Url::from_directory_path(remote).unwrap();
    format!("{SMALL}\n[cache]\nremote = \"{address}\"\n")
}

/// Two workspaces with the same photos, and what they share.
fn two_homes() -> (tempfile::TempDir, Home, Home) {
    let remote = tempfile::tempdir().unwrap();
    let [one, other] = [0, 1].map(|_| Home::with_cats(&pipeline(remote.path()), 6));
    (remote, one, other)
}

/// Every file below `data/`, with its content; but for people's decisions, which say when.
fn folders(home: &Home) -> BTreeMap<String, Vec<u8>> {
    let files = walkdir::WalkDir::new(home.path("data"))
        .into_iter()
        .map(Result::unwrap)
        .filter(|entry| entry.file_type().is_file() && entry.file_name() != "decisions.jsonl");
    let named = |entry: walkdir::DirEntry| {
        let name = entry.path().strip_prefix(home.folder.path()).unwrap().to_string_lossy().into_owned();
        (name, fs::read(entry.path()).unwrap())
    };
    files.map(named).collect()
}

pub(crate) fn sum(lines: &[Value], event: &str, key: &str) -> u64 {
    lines.iter().filter(|line| line["event"] == event).map(|line| line[key].as_u64().unwrap()).sum()
}

/// Whether two workspaces hold the same pictures, without saying megabytes where they do not.
pub(crate) fn check_same(one: &Home, other: &Home) {
    let (one, other) = (folders(one), folders(other));
    assert_eq!(one.keys().collect::<Vec<_>>(), other.keys().collect::<Vec<_>>());
    assert!(one == other);
}

#[test]
fn a_second_workspace_pulls_everything_and_computes_nothing() {
    let (_remote, one, other) = two_homes();
    let first = one.run(&[]);
    assert!(sum(&first, "stage", "computed") > 0 && sum(&first, "cache", "pushed") > 0);
    let second = other.run(&[]);
    assert_eq!((sum(&second, "stage", "computed"), sum(&second, "cache", "pushed")), (0, 0), "{second:?}");
    assert!(sum(&second, "cache", "pulled") > 0);
    check_same(&one, &other);
    assert_eq!(sum(&other.run(&[]), "cache", "pulled"), 0);
    // From here on it needs nobody.
    let again = other.run(&["--set", "cache.remote=s3://there.is.none/at-all"]);
    assert_eq!((sum(&again, "stage", "computed"), sum(&again, "cache", "pulled")), (0, 0));
}

#[test]
fn a_photo_that_one_has_more_is_all_that_it_computes() {
    let (_remote, one, other) = two_homes();
    one.run(&[]);
    catgen_sample::write(&other.path("more"), None, 1, 1).unwrap();
    let files = walkdir::WalkDir::new(other.path("more")).into_iter().map(|entry| entry.unwrap().into_path());
    let cat = files.filter(|path| path.is_file()).min().unwrap();
    fs::rename(cat, other.path("data/0.ORIGINAL/a-new-cat.png")).unwrap();
    let lines = other.run(&[]);
    let computed: Vec<u64> = lines.iter().filter(|line| line["event"] == "stage").map(|line| line["computed"].as_u64().unwrap()).collect();
    assert_eq!(computed[..5], [1; 5], "{lines:?}");
    fs::copy(other.path("data/0.ORIGINAL/a-new-cat.png"), one.path("data/0.ORIGINAL/a-new-cat.png")).unwrap();
    assert_eq!(sum(&one.run(&[]), "stage", "computed"), 0);
    check_same(&one, &other);
}

#[test]
fn what_the_shared_cache_lost_is_computed_again_and_put_again() {
    let (remote, one, other) = two_homes();
    one.run(&[]);
    for entry in fs::read_dir(remote.path().join("packs")).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
    let lines = other.run(&[]);
    assert!(sum(&lines, "stage", "computed") > 0 && sum(&lines, "cache", "pushed") > 0, "{lines:?}");
    check_same(&one, &other);
    let third = Home::with_cats(&pipeline(remote.path()), 6);
    assert_eq!(sum(&third.run(&[]), "stage", "computed"), 0);
    check_same(&one, &third);
}

#[test]
fn pictures_that_nobody_kept_are_known_all_the_same() {
    let remote = tempfile::tempdir().unwrap();
    let text = pipeline(remote.path()).replace("combine = \"each\"", "combine = \"each\"\nstore = \"none\"");
    let [one, other] = [0, 1].map(|_| Home::with_cats(&text, 4));
    one.run(&[]);
    assert_eq!(sum(&other.run(&[]), "stage", "computed"), 0);
    check_same(&one, &other);
}

#[test]
fn who_does_not_push_can_do_it_later_and_who_pulls_computes_nothing() {
    let (_remote, one, other) = two_homes();
    let lines = one.run(&["--set", "cache.push=false"]);
    assert_eq!(sum(&lines, "cache", "pushed"), 0);
    let stats = || one.lines(&["cache", "stats", "--json"]).remove(0);
    assert_eq!((stats()["actions"].as_u64(), stats()["blobs"].as_u64()), (Some(0), Some(0)));
    let pushed = one.lines(&["cache", "push", "--json"]);
    assert!(sum(&pushed, "cache", "pushed") > 0);
    assert_eq!(stats()["blobs"].as_u64().unwrap(), sum(&pushed, "cache", "pushed"));
    assert_eq!(sum(&one.lines(&["cache", "push", "--json"]), "cache", "pushed"), 0);
    let pulled = other.lines(&["cache", "pull", "--json"]);
    assert!(sum(&pulled, "cache", "pulled") > 0);
    let lines = other.run(&["--set", "cache.remote=s3://there.is.none/at-all"]);
    assert_eq!((sum(&lines, "stage", "computed"), sum(&lines, "cache", "pulled")), (0, 0), "{lines:?}");
    check_same(&one, &other);
    // Asked for on the command line, it is put there though the pipeline says no.
    let lines = one.run(&["--set", "cache.push=false", "--push", "--set", "6.Photos_64px.side=32"]);
    assert!(sum(&lines, "cache", "pushed") > 0);
}

#[test]
fn a_shared_cache_that_is_out_of_reach_costs_a_word() {
    let home = Home::with_cats(SMALL, 2);
    let mut command = home.command(&["run", "--json", "--until", "1.No_duplicates", "--set", "cache.remote=s3://cats/here"]);
    // Nothing listens there.
    let command =
        command.env("AWS_ENDPOINT_URL", "http://127.0.0.1:9").env("AWS_ACCESS_KEY_ID", "key").env("AWS_SECRET_ACCESS_KEY", "a-secret");
    let output = command.output().unwrap();
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{words}");
    assert_eq!(words.matches("going on without it").count(), 1, "{words}");
    assert!(!words.contains("a-secret"));
}

#[test]
fn a_shared_cache_that_cannot_be_is_said_before_anything_is_done() {
    let home = Home::with_cats(SMALL, 1);
    insta::assert_snapshot!(home.fails(&["cache", "stats"]), @r#"
    exit 2
    error: there is no shared cache: pipeline.toml does not say where it is
    hint: add `[cache]` with `remote = "s3://bucket/prefix"` or `remote = "file:///a/shared/folder"`, or say --remote
    "#);
    insta::assert_snapshot!(home.fails(&["run", "--set", "cache.remote=file:///there/is/no/such/folder"]), @r"
    exit 2
    error: the folder of the shared cache, /there/is/no/such/folder, cannot be used: it is not there
    hint: make that folder, or bring back the disk or network drive that it is on
    ");
    insta::assert_snapshot!(home.fails(&["run", "--set", "cache.remot=file:///x"]), @r#"
    exit 2
    error: --set cache.remot=file:///x: unknown key "remot"; did you mean "remote"?
    "#);
    assert!(!home.path("data/1.No_duplicates").exists());
}
