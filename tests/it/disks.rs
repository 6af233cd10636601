//! Full, read-only and second disks, clocks that are wrong, and two runs at once.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Output, Stdio},
    time::{Duration, SystemTime},
};

use crate::{
    bench::{Bench, Listener, PIPELINE, files},
    home::{Home, SMALL},
};

/// Runs a script where it may mount and nobody else sees it; `None`, with a word about it, where that is not allowed.
fn with_mounts(test: &str, script: &str, env: &[(&str, &Path)]) -> Option<Output> {
    let unshare = |flags: &[&str], script: &str| {
        let mut command = Command::new("unshare");
        command.args(flags).args(["--mount", "sh", "-euc", script]).envs(env.iter().copied()).env("BIN", env!("CARGO_BIN_EXE_catgen-pipe"));
        command.output()
    };
    let works = |flags: &&&[&str]| unshare(flags, "mount -t tmpfs -o size=64k none /tmp").is_ok_and(|output| output.status.success());
    let flags: [&[&str]; 2] = [&[], &["--user", "--map-root-user"]];
    let Some(flags) = flags.iter().find(works) else {
        eprintln!("skipped: {test} needs to mount (as root, or with user namespaces)");
        return None;
    };
    Some(unshare(flags, script).unwrap())
}

/// What the script wrote into a file.
fn text(folder: &Path, name: &str) -> String {
    fs::read_to_string(folder.join(name)).unwrap_or_default()
}

fn folder_of(home: &Home) -> BTreeMap<String, Vec<u8>> {
    results(home.folder.path())
}

/// Views and manifests.
fn results(workspace: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = files(&workspace.join("data"));
    found.extend(files(&workspace.join(".catgen/manifests")));
    found
}

/// Fills a disk of `size` with a run, makes room, and runs again.
const FULL: &str = r#"
mount -t tmpfs -o size=$SIZE none "$DISK"
cp -r "$FROM"/. "$DISK"
cd "$DISK"
code() { "$@" >"$OUT/out" 2>>"$OUT/err" && echo $? >>"$OUT/codes" || echo $? >>"$OUT/codes"; }
code "$BIN" run
code "$BIN" gc
code "$BIN" status
mount -o remount,size=64m "$DISK"
"$BIN" fsck --json >"$OUT/fsck" 2>/dev/null || true
code "$BIN" run
"$BIN" run --json >"$OUT/again" 2>/dev/null
mkdir "$OUT/result" "$OUT/result/.catgen"
cp -r data "$OUT/result"
cp -r .catgen/manifests "$OUT/result/.catgen"
test ! -e .catgen/set-aside
"#;

#[test]
fn a_full_disk_is_named_and_corrupts_nothing() {
    let undisturbed = Home::with_cats(SMALL, 2);
    undisturbed.ok(&["run"]);
    let expect = folder_of(&undisturbed);
    let photos = files(&undisturbed.path("data/0.ORIGINAL")).values().map(|bytes| bytes.len().next_multiple_of(4096)).sum::<usize>() / 1024;
    let mut filled = 0;
    // From hardly room for the photos to almost enough: each size is full at another moment.
    for more in [24, 60, 120, 240, 400, 560, 700] {
        let home = Home::with_cats(SMALL, 2);
        let (disk, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let size = format!("{}k", photos + more);
        let env = [("DISK", disk.path()), ("OUT", out.path()), ("FROM", home.folder.path()), ("SIZE", Path::new(&size))];
        let Some(output) = with_mounts("a_full_disk_is_named_and_corrupts_nothing", FULL, &env) else { return };
        let err = text(out.path(), "err");
        assert!(output.status.success(), "{size}: {}{err}", String::from_utf8_lossy(&output.stderr));
        let codes = text(out.path(), "codes");
        let codes: Vec<&str> = codes.lines().collect();
        if codes[0] == "0" {
            continue;
        }
        filled += 1;
        assert_eq!(codes, ["3", "0", "0", "0"], "{size}: run, gc and status on the full disk, run with room: {err}");
        assert!(err.contains("No space left on device"), "{size}: {err}");
        assert!(err.contains(&format!("hint: the disk mounted at {} (", disk.path().canonicalize().unwrap().display())), "{size}: {err}");
        assert!(err.contains("is full: make room there") && !err.contains("panicked"), "{size}: {err}");
        // Folders are behind, nothing else is wrong.
        for line in text(out.path(), "fsck").lines().filter(|line| line.contains("\"damage\"")) {
            assert!(line.contains("\"part\":\"folder\"") && line.contains("are missing"), "{size}: {line}");
        }
        assert!(!text(out.path(), "again").lines().any(|line| line.contains("\"stage\"") && !line.contains("\"computed\":0,")), "{size}");
        let found = results(&out.path().join("result"));
        assert!(found == expect, "{size}: it is not as on a disk with room");
    }
    assert!(filled >= 3, "only {filled} sizes were full");
}

#[test]
fn a_limit_on_the_size_of_files_is_named_and_corrupts_nothing() {
    let undisturbed = Home::with_cats(SMALL, 2);
    undisturbed.ok(&["run"]);
    let mut refused = 0;
    for limit in [4, 16, 40, 100] {
        let home = Home::with_cats(SMALL, 2);
        // The signal that comes with the limit would end the program before it could say a word.
        let script = format!("trap '' XFSZ; ulimit -f {limit}; exec \"$BIN\" run");
        let mut command = Command::new("sh");
        command.args(["-c", &script]).env("BIN", env!("CARGO_BIN_EXE_catgen-pipe")).current_dir(home.folder.path());
        let output = command.output().unwrap();
        let words = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            refused += 1;
            assert_eq!(output.status.code(), Some(3), "{limit}: {words}");
            assert!(words.contains("File too large") && words.contains("hint: a limit (`ulimit -f`)"), "{limit}: {words}");
        }
        home.ok(&["run"]);
        assert!(folder_of(&home) == folder_of(&undisturbed), "{limit}");
        assert!(!home.path(".catgen/set-aside").exists() && home.computed(&[]).iter().all(|computed| *computed == 0), "{limit}");
    }
    assert!(refused >= 2, "only {refused} limits were in the way");
}

const READ_ONLY: &str = r#"
mount --bind "$DISK" "$DISK"
mount -o remount,bind,ro "$DISK"
cd "$DISK"
for command in "run" "gc" "fsck --repair" "status" "plan" "runs" "inspect 6.Photos_64px" "why $FILE" "fsck" "gc --dry-run"; do
  "$BIN" $command >>"$OUT/out" 2>"$OUT/err" && code=$? || code=$?
  echo "$command: $code $(tr '\n' ' ' <"$OUT/err")" >>"$OUT/codes"
done
"#;

#[test]
fn a_read_only_workspace_can_be_looked_at_and_says_so_when_asked_for_more() {
    let home = Home::with_cats(SMALL, 1);
    home.ok(&["run"]);
    let file = home.lines(&["inspect", "6.Photos_64px", "--json"])[0]["path"].as_str().unwrap().to_owned();
    let before = files(home.folder.path());
    let out = tempfile::tempdir().unwrap();
    let env = [("DISK", home.folder.path()), ("OUT", out.path()), ("FILE", Path::new(&file))];
    let Some(output) = with_mounts("a_read_only_workspace", READ_ONLY, &env) else { return };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let codes = text(out.path(), "codes");
    let lines: Vec<&str> = codes.lines().collect();
    for (at, line) in lines.iter().enumerate() {
        let (command, said) = line.split_once(": ").unwrap();
        if at < 3 {
            assert!(said.starts_with("3 error: cannot ") && said.contains("Read-only file system"), "{line}");
            assert!(said.contains("hint: the disk mounted at ") && said.contains("can only be read: make it writable"), "{line}");
        } else {
            assert!(said.starts_with("0 "), "{command}: {line}");
        }
    }
    assert_eq!(lines.len(), 10);
    assert!(files(home.folder.path()) == before);
}

/// A folder on another file system than that of temporary files.
fn other_disk(test: &str) -> Option<tempfile::TempDir> {
    use std::os::unix::fs::MetadataExt;
    let device = |path: &Path| fs::metadata(path).ok().map(|metadata| metadata.dev());
    match tempfile::tempdir_in("/dev/shm") {
        Ok(folder) if device(folder.path()) != device(&std::env::temp_dir()) => Some(folder),
        _ => {
            eprintln!("skipped: {test} needs /dev/shm to be another file system than the folder of temporary files");
            None
        }
    }
}

#[test]
fn the_store_may_be_a_link_to_another_disk() {
    let Some(disk) = other_disk("the_store_may_be_a_link_to_another_disk") else { return };
    let undisturbed = Home::with_cats(SMALL, 2);
    undisturbed.ok(&["run"]);
    let home = Home::with_cats(SMALL, 2);
    std::os::unix::fs::symlink(disk.path(), home.path(".catgen")).unwrap();
    // Files are copied here, and copying takes time in which a kill leaves half of one.
    #[cfg(debug_assertions)]
    for moment in [60, 90, 120, 150, 180] {
        drop(home.command(&["run"]).env("CATGEN_DIE_AT", moment.to_string()).output().unwrap());
    }
    home.ok(&["run"]);
    assert!(folder_of(&home) == folder_of(&undisturbed));
    assert!(!home.path(".catgen/set-aside").exists(), "half a file of our own was taken for somebody's");
    assert!(home.computed(&[]).iter().all(|computed| *computed == 0));
    let mode = fs::metadata(home.path("data/Export/train.npy")).unwrap().permissions();
    assert!(mode.readonly(), "a copy is as read-only as a link");

    // A changed copy is restored and kept aside across the disks; the blob is a file of its own and stays good.
    let path = home.path("data/Export/train.npy");
    fs::remove_file(&path).unwrap();
    fs::write(&path, "mine").unwrap();
    assert_eq!(home.computed(&[]).iter().sum::<u64>(), 0);
    assert!(folder_of(&home) == folder_of(&undisturbed));
    assert_eq!(fs::read(home.path(".catgen/set-aside/Export/train.npy")).unwrap(), b"mine");
    // A copy that went bad is found by reading it, although it looks as it did.
    let times = fs::metadata(&path).unwrap().modified().unwrap();
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::os::unix::fs::PermissionsExt::set_mode(&mut fs::metadata(&path).unwrap().permissions(), 0o644);
    let file = fs::OpenOptions::new().write(true).open(&path);
    if let Ok(mut file) = file {
        std::io::Write::write_all(&mut file, &bytes).unwrap();
        file.set_modified(times).unwrap();
        drop(file);
        let said = home.fails(&["fsck"]);
        assert!(said.starts_with("exit 3"), "{said}");
        home.ok(&["fsck", "--repair"]);
        assert_eq!(home.computed(&[]).iter().sum::<u64>(), 0);
        assert!(folder_of(&home) == folder_of(&undisturbed));
    }

    drop(disk);
    let said = home.fails(&["run"]);
    assert!(said.starts_with("exit 2\nerror: the store is not there: .catgen leads to /dev/shm/"), "{said}");
    assert!(said.contains("hint: bring back the disk"), "{said}");
}

#[test]
fn clocks_may_be_wrong() {
    let bench = Bench::new(PIPELINE);
    let now = SystemTime::now();
    let years = |n: u64| Duration::from_secs(n * 365 * 24 * 3600);
    // The future, as after the clock was set back; the past; the day time began; before that.
    let times = [now + years(3), now - years(30), SystemTime::UNIX_EPOCH, SystemTime::UNIX_EPOCH - years(1), now + years(60)];
    let set = |n: usize| {
        let file = fs::OpenOptions::new().write(true).open(bench.path("data/0.ORIGINAL").join(format!("cat{n}.png"))).unwrap();
        file.set_modified(times[n]).unwrap();
    };
    for n in 0..times.len() {
        bench.photo(&format!("cat{n}.png"), [100 + 2 * n as u8, 40, 7]);
        set(n);
    }
    bench.run(&[]);
    let tampered = |bench: &Bench| {
        let listener = Listener::default();
        bench.try_run(&[], &listener).unwrap();
        listener.warnings.into_inner().unwrap().join("\n")
    };
    for _ in 0..2 {
        assert!(bench.counts(&[]).iter().all(|(computed, _, _)| *computed == 0));
    }
    // Changed, with the same length and the same wrong time: the time alone says nothing.
    for n in 0..times.len() {
        bench.photo(&format!("cat{n}.png"), [160 + 2 * n as u8, 41, 8]);
        set(n);
    }
    assert_eq!(bench.counts(&[])[1..3], [(5, 0, 0), (5, 0, 0)], "an edit was not seen");
    // A folder's file with a time from the future is named and restored like any other.
    let path = bench.path("data/4.Tiny/cat1_00.png");
    let blob = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    fs::write(&path, "mine").unwrap();
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_modified(times[0]).unwrap();
    assert!(tampered(&bench).contains("cat1_00.png"));
    assert_eq!(fs::read(&path).unwrap(), blob);
    assert!(tampered(&bench).is_empty());
}

#[test]
fn two_runs_at_once_take_turns_and_the_death_of_one_lets_the_other_go_on() {
    let home = Home::with_cats(SMALL, 4);
    let start = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_catgen-pipe"));
        command.current_dir(home.folder.path()).args(args).stdout(Stdio::null()).stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    let mut first = start(&["run"]);
    let pid = first.id().to_string();
    let lock = home.path(".catgen/lock");
    while !fs::read_to_string(&lock).unwrap_or_default().contains(&pid) {
        assert!(first.try_wait().unwrap().is_none(), "it was done before anybody could wait for it");
        std::thread::sleep(Duration::from_millis(1));
    }
    // Stopped in the middle of its work, as a laptop that sleeps.
    let signal = |name: &str| assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    signal("-STOP");
    for command in [&["run", "--no-wait"][..], &["gc", "--no-wait"], &["fsck", "--repair", "--no-wait"], &["fsck", "--no-wait"]] {
        let said = home.fails(command);
        assert!(said.starts_with(&format!("exit 5\nerror: the workspace is busy: process {pid} since ")), "{command:?}: {said}");
    }
    // Readers do not wait.
    for command in [&["status"][..], &["runs"], &["gc", "--dry-run"]] {
        home.ok(command);
    }
    let mut second = start(&["run"]);
    let mut words = BufReader::new(second.stderr.take().unwrap());
    let mut line = String::new();
    words.read_line(&mut line).unwrap();
    assert!(line.starts_with(&format!("note: waiting for another run in this workspace: process {pid} since ")), "{line}");
    assert!(second.try_wait().unwrap().is_none(), "it did not wait");
    signal("-KILL");
    first.wait().unwrap();
    let drained = std::thread::spawn(move || std::io::copy(&mut words, &mut std::io::sink()));
    assert!(second.wait().unwrap().success());
    drained.join().unwrap().unwrap();
    assert!(home.computed(&[]).iter().all(|computed| *computed == 0));
    assert!(home.output(&["fsck"]).status.success());
}

/// Runs with a shared cache on a disk that is too small, then with room there.
const SMALL_SHARE: &str = r#"
mount -t tmpfs -o size=300k none "$DISK"
cd "$FROM"
"$BIN" run --set "cache.remote=file://$DISK" >"$OUT/out" 2>"$OUT/err" && echo 0 >"$OUT/codes" || echo $? >"$OUT/codes"
mount -o remount,size=64m "$DISK"
"$BIN" run --set "cache.remote=file://$DISK" >"$OUT/out" 2>"$OUT/err2" && echo 0 >>"$OUT/codes" || echo $? >>"$OUT/codes"
"$BIN" cache push --remote "file://$DISK" >"$OUT/out" 2>"$OUT/err3" && echo 0 >>"$OUT/codes" || echo $? >>"$OUT/codes"
"#;

#[test]
fn a_full_disk_of_a_shared_cache_is_one_error() {
    let home = Home::with_cats(SMALL, 4);
    let [disk, out] = [0, 1].map(|_| tempfile::tempdir().unwrap());
    let env = [("DISK", disk.path()), ("OUT", out.path()), ("FROM", home.folder.path())];
    let Some(output) = with_mounts("a full disk of a shared cache", SMALL_SHARE, &env) else { return };
    let words = text(out.path(), "err");
    assert_eq!(text(out.path(), "codes"), "3\n0\n0\n", "{words}{}{}{output:?}", text(out.path(), "err2"), text(out.path(), "err3"));
    assert!(words.contains("error: cannot write") && words.contains("is full") && words.matches("error: ").count() == 1, "{words}");
}
