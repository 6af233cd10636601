//! Stages of the user's own, with real programs through the whole engine: what is asked again and what is not, what Ctrl-C and
//! `kill -9` leave, and the examples of the documents.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use catgen_picture::{Picture, Rgb, RgbImage};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::home::{Home, has_python, wait_until};

const PIPELINE: &str = r#"
[[stage]]
name = "0.ORIGINAL"
use = "original"

[[stage]]
name = "1.Mine"
use = "command"
from = "0.ORIGINAL"
run = ["python3", "mine.py"]
files = ["lib"]

[[stage]]
name = "2.Other"
use = "command"
from = "0.ORIGINAL"
run = ["python3", "other.py"]

[[stage]]
name = "3.Small"
use = "resize"
from = "1.Mine"
side = 8
"#;

/// Copies each picture, slowly if told to; notes when it begins, what it is asked, and when it ends.
const MINE: &str = r#"
import json, os, shutil, sys, time
def note(text):
    with open(os.path.basename(sys.argv[0]) + ".log", "a") as log: log.write(text + "\n")
note("start")
for line in sys.stdin:
    r = json.loads(line)
    note("asked " + r["digest"])
    time.sleep(r["options"].get("sleep", 0))
    shutil.copy(r["input"], r["out"] + "/a.png")
    answer = {"outputs": [{"file": "a.png", "facts": {"seed": r.get("seed", -1)}}]}
    for word in r["options"]:
        if word == r["digest"]: answer = r["options"][word]
    print(json.dumps({"id": r["id"], **answer}), flush=True)
note("end")
"#;

/// A workspace with five photos and two programs.
fn home(pipeline: &str) -> Home {
    let home = Home::new(pipeline);
    fs::create_dir(home.path("lib")).unwrap();
    for (name, text) in [("mine.py", MINE), ("other.py", MINE), ("lib/part.py", "")] {
        fs::write(home.path(name), text).unwrap();
    }
    (0..5).for_each(|n| photo(&home, n));
    home
}

fn photo(home: &Home, n: u8) {
    photo_called(home, &format!("cat{n}.png"), n);
}

fn photo_called(home: &Home, name: &str, blue: u8) {
    let picture = RgbImage::from_fn(40, 30, |x, y| Rgb([x as u8 * 5, y as u8 * 8, blue]));
    fs::write(home.path("data/0.ORIGINAL").join(name), catgen_picture::encode_png(&Picture::Rgb(picture))).unwrap();
}

/// How often a word begins a line of a program's log.
fn noted(home: &Home, program: &str, word: &str) -> usize {
    let log = fs::read_to_string(home.path(&format!("{program}.log"))).unwrap_or_default();
    log.lines().filter(|line| line.split(' ').next() == Some(word)).count()
}

/// `computed` of the two programs' stages.
fn computed(home: &Home, args: &[&str]) -> [u64; 2] {
    let counts = home.computed(args);
    [counts[1], counts[2]]
}

#[test]
fn only_the_program_that_changed_is_asked_again() {
    if !has_python("only_the_program_that_changed_is_asked_again") {
        return;
    }
    let home = home(PIPELINE);
    assert_eq!(home.computed(&[]), [5, 5, 5, 5]);
    assert_eq!((noted(&home, "mine.py", "asked"), noted(&home, "other.py", "asked")), (5, 5));
    assert_eq!(noted(&home, "mine.py", "start"), noted(&home, "mine.py", "end"), "a worker did not end well");
    assert_eq!(home.computed(&[]), [0; 4]);
    assert_eq!(fs::read_dir(home.path(".catgen/tmp")).unwrap().count(), 0);

    // An edited program; the same pictures come of it, so that nothing after it is done again.
    fs::write(home.path("mine.py"), MINE.replace("note(\"start\")", "note(\"start\") # again")).unwrap();
    let why = home.ok(&["why", "data/1.Mine/cat0.png"]);
    assert!(why.contains("Mine.file mine.py in use"), "{why}");
    assert_eq!(home.computed(&[]), [0, 5, 0, 0]);
    fs::write(home.path("mine.py"), MINE).unwrap();
    assert_eq!(computed(&home, &[]), [0, 0], "changed back costs nothing");

    // What else it reads, and what Python leaves beside it.
    fs::write(home.path("lib/part.py"), "pass").unwrap();
    assert_eq!(computed(&home, &[]), [5, 0]);
    fs::create_dir(home.path("lib/__pycache__")).unwrap();
    fs::write(home.path("lib/__pycache__/part.pyc"), "x").unwrap();
    assert_eq!(computed(&home, &[]), [0, 0]);

    // Options are in the key whatever their order; how the work is done is not.
    assert_eq!(computed(&home, &["--set", "2.Other.options={b=1,a=2}"]), [0, 5]);
    assert_eq!(computed(&home, &["--set", "2.Other.options={a=2,b=1}"]), [0, 0]);
    assert_eq!(computed(&home, &["--set", "1.Mine.workers=1", "--set", "1.Mine.timeout=7"]), [0, 0]);

    // The seed, for those that want one.
    assert_eq!(computed(&home, &["--set", "pipeline.seed=5"]), [0, 0]);
    assert_eq!(computed(&home, &["--set", "pipeline.seed=5", "--set", "1.Mine.random=true"]), [5, 0]);
    assert_eq!(computed(&home, &["--set", "pipeline.seed=6", "--set", "1.Mine.random=true"]), [5, 0]);

    // A renamed photo is no new picture.
    fs::rename(home.path("data/0.ORIGINAL/cat0.png"), home.path("data/0.ORIGINAL/dog.png")).unwrap();
    photo(&home, 5);
    assert_eq!(computed(&home, &[]), [1, 1]);
}

#[test]
fn a_refusal_is_remembered_and_a_failure_is_asked_again() {
    if !has_python("a_refusal_is_remembered_and_a_failure_is_asked_again") {
        return;
    }
    let home = home(PIPELINE);
    let digest = |n: u8| catgen_api::Digest::of_file(&home.path(&format!("data/0.ORIGINAL/cat{n}.png"))).unwrap();
    let (dark, failing) = (digest(1), digest(2));
    let options = format!("1.Mine.options={{\"{dark}\"={{reject=\"too dark\"}},\"{failing}\"={{error=\"no memory\"}}}}");
    let args = ["--set", &options, "--until", "1.Mine"];
    home.run(&args);
    let rejected = home.lines(&["inspect", "1.Mine", "--rejected", "--json"]);
    let kinds: BTreeMap<_, _> = rejected.iter().map(|line| (line["kind"].as_str().unwrap(), line["reason"].as_str().unwrap())).collect();
    assert_eq!(kinds["rejected"], "too dark");
    assert_eq!(kinds["failed"], "`python3 mine.py` could not do this picture: no memory");
    assert_eq!(noted(&home, "mine.py", "asked"), 5);
    home.run(&args);
    let asked = fs::read_to_string(home.path("mine.py.log")).unwrap();
    assert_eq!(asked.matches(&format!("asked {failing}")).count(), 2);
    assert_eq!(noted(&home, "mine.py", "asked"), 6);
}

#[test]
fn a_program_that_cannot_work_is_one_message() {
    if !has_python("a_program_that_cannot_work_is_one_message") {
        return;
    }
    let home = home(PIPELINE);
    let said = home.fails(&["run", "--set", "1.Mine.run=[\"python3\", \"min.py\"]"]);
    assert!(said.starts_with("exit 3\n"), "{said}");
    assert!(said.contains("\nerror: 1.Mine: `python3 min.py` breaks down before it looks at a picture (exit status: 2)\n"), "{said}");
    assert!(said.contains("can't open file") && said.contains("hint: try it by itself, in the workspace"), "{said}");
    let said = home.fails(&["run", "--set", "1.Mine.run=[\"no-such-program\"]"]);
    assert!(said.starts_with("exit 3\n") && said.contains("\nhint: install no-such-program, or correct `run`"), "{said}");
    assert!(said.contains("\nerror: 1.Mine: cannot start `no-such-program`: "), "{said}");
    let said = home.fails(&["run", "--set", "1.Mine.run=[]"]);
    assert!(said.starts_with("exit 2\nerror: 1.Mine: run: name a program"), "{said}");
    let said = home.fails(&["run", "--set", "1.Mine.files=[\"lob\"]"]);
    assert!(said.starts_with("exit 3\nerror: 1.Mine: `files` names \"lob\", and there is no such file"), "{said}");
    assert!(!home.path("mine.py.log").exists());
}

#[test]
fn workers_end_with_their_stage_and_not_with_the_run() {
    if !has_python("workers_end_with_their_stage_and_not_with_the_run") {
        return;
    }
    // What comes after may take hours: this looks at the log of the workers before it.
    let after = r#"
[[stage]]
name = "4.After"
use = "command"
mode = "batch"
from = "3.Small"
run = ["sh", "-c", "cp mine.py.log seen; exit 1"]
"#;
    let home = home(&format!("{PIPELINE}{after}"));
    assert!(home.fails(&["run", "--until", "4.After"]).starts_with("exit 3\n"));
    let seen = fs::read_to_string(home.path("seen")).unwrap();
    assert!(seen.contains("start\n"), "{seen}");
    assert_eq!(seen.matches("start\n").count(), seen.matches("end\n").count(), "{seen}");
}

/// A run in a process group of its own, as a terminal would start it.
fn start(home: &Home, args: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_catgen-pipe"));
    command.current_dir(home.folder.path()).args(["run", "--jobs", "2"]).args(args);
    command.stdout(Stdio::null()).stderr(Stdio::null()).process_group(0).spawn().unwrap()
}

#[test]
fn ctrl_c_lets_workers_finish_what_is_in_flight() {
    if !has_python("ctrl_c_lets_workers_finish_what_is_in_flight") {
        return;
    }
    let home = home(PIPELINE);
    let args = ["--until", "1.Mine", "--set", "1.Mine.options={sleep=0.5}"];
    let mut run = start(&home, &args);
    wait_until("a third request", || noted(&home, "mine.py", "asked") >= 3);
    kill_process_group(Pid::from_child(&run), Signal::INT).unwrap();
    assert_eq!(run.wait().unwrap().code(), Some(130));
    let asked = noted(&home, "mine.py", "asked");
    assert!(asked < 5, "it was done before it could be stopped");
    assert_eq!(noted(&home, "mine.py", "start"), noted(&home, "mine.py", "end"), "a worker did not end well");
    home.run(&args);
    assert_eq!(noted(&home, "mine.py", "asked"), 5, "what was in flight was asked again");
}

#[test]
fn a_killed_run_leaves_no_worker_and_no_folder_behind() {
    if !has_python("a_killed_run_leaves_no_worker_and_no_folder_behind") {
        return;
    }
    let home = home(PIPELINE);
    let args = ["--until", "1.Mine", "--set", "1.Mine.options={sleep=0.5}"];
    let mut run = start(&home, &args);
    wait_until("a third request", || noted(&home, "mine.py", "asked") >= 3);
    run.kill().unwrap();
    run.wait().unwrap();
    // Each notes its end, or breaks down because nobody listens to its answer: then Python says so and is gone as well.
    wait_until("the end of the workers", || !is_used(&home));
    let asked = noted(&home, "mine.py", "asked");
    home.run(&args);
    assert!(noted(&home, "mine.py", "asked") <= 5 + 2, "more was done again than two threads had in flight");
    assert!(asked < 5, "it was done before it could be killed");
    assert_eq!(fs::read_dir(home.path(".catgen/tmp")).unwrap().count(), 0);
}

const BATCH: &str = r#"
[[stage]]
name = "0.ORIGINAL"
use = "original"

[[stage]]
name = "1.Mine"
use = "command"
from = "0.ORIGINAL"
mode = "batch"
run = ["sh", "batch.sh"]
"#;

/// A batch that copies, half a second each if a file `slowly` is there, and fails at the id in the file `fail_at`.
const BATCH_SH: &str = r#"
echo start >> batch.sh.log
cut -f 1,5 "$CATGEN_DELTA" > delta
tab=$(printf '\t')
while IFS="$tab" read -r change id input out rest; do
    [ "$change" = removed ] && continue
    if [ "$id" = "$(cat fail_at)" ]; then echo "disk on fire" >&2; exit 4; fi
    echo asked >> batch.sh.log
    [ -e slowly ] && sleep 0.5
    cp "$input" "$out/a.png"
    echo "{\"id\":$id}"
done < "$CATGEN_DELTA"
"#;

fn batch_home() -> Home {
    let home = Home::new(BATCH);
    fs::write(home.path("batch.sh"), BATCH_SH).unwrap();
    fs::write(home.path("fail_at"), "").unwrap();
    (0..5).for_each(|n| photo(&home, n));
    home
}

#[test]
fn a_batch_is_started_for_what_is_missing_and_keeps_what_it_finished() {
    let home = batch_home();
    fs::write(home.path("fail_at"), "3").unwrap();
    let said = home.fails(&["run"]);
    assert!(said.starts_with("exit 3\n"), "{said}");
    let words =
        "\nerror: 1.Mine: `sh batch.sh` failed (exit status: 4); what was finished is kept, 3 of this start are missing\n  disk on fire\n";
    assert!(said.contains(words), "{said}");
    fs::write(home.path("fail_at"), "").unwrap();
    assert_eq!(home.computed(&[]), [0, 3]);
    assert_eq!((noted(&home, "batch.sh", "start"), noted(&home, "batch.sh", "asked")), (2, 5));
    assert_eq!(home.computed(&[]), [0, 0]);
    assert_eq!(noted(&home, "batch.sh", "start"), 2, "it was started for nothing");

    photo_called(&home, "cat1.png", 101);
    photo_called(&home, "dog.png", 102);
    fs::remove_file(home.path("data/0.ORIGINAL/cat3.png")).unwrap();
    assert_eq!(home.computed(&[]), [2, 2]);
    assert_eq!(fs::read_to_string(home.path("delta")).unwrap(), "changed\tcat1.png\nadded\tdog.png\nremoved\tcat3.png\n");
    fs::write(home.path("batch.sh"), format!("{BATCH_SH}# again\n")).unwrap();
    assert_eq!(home.computed(&[]), [0, 5]);
    assert_eq!(fs::read_dir(home.path(".catgen/tmp")).unwrap().count(), 0);
}

#[test]
fn a_batch_that_is_interrupted_or_killed_loses_what_was_in_flight() {
    for kill in [false, true] {
        let home = batch_home();
        fs::write(home.path("slowly"), "").unwrap();
        let mut run = start(&home, &[]);
        wait_until("a third picture", || noted(&home, "batch.sh", "asked") >= 3);
        // The engine has to hear of the second, too, and is at it for half a second.
        std::thread::sleep(Duration::from_millis(250));
        if kill {
            run.kill().unwrap();
        } else {
            kill_process_group(Pid::from_child(&run), Signal::INT).unwrap();
        }
        let code = run.wait().unwrap().code();
        assert!(kill || code == Some(130), "{code:?}");
        wait_until("the end of the program", || !is_used(&home));
        let asked = noted(&home, "batch.sh", "asked");
        assert!(asked < 5, "it was done before it could be stopped");
        fs::remove_file(home.path("slowly")).unwrap();
        let computed = home.computed(&[])[1];
        assert!(computed <= 3, "what was finished is done again: {computed} (killed: {kill})");
        assert_eq!(fs::read_dir(home.path(".catgen/tmp")).unwrap().count(), 0);
    }
}

/// Whether a process works in the workspace.
fn is_used(home: &Home) -> bool {
    let folder = home.folder.path().canonicalize().unwrap();
    let Ok(processes) = fs::read_dir("/proc") else { return false };
    processes.filter_map(Result::ok).any(|process| fs::read_link(process.path().join("cwd")).is_ok_and(|cwd| cwd == folder))
}

const GUIDE: &str = include_str!("../../docs/command-stages.md");

/// What stands between lines that begin with three back ticks and `language`, and those that end such a block.
fn blocks(language: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut lines = GUIDE.lines();
    while let Some(line) = lines.next() {
        if line == format!("```{language}") {
            blocks.push(lines.by_ref().take_while(|line| *line != "```").map(|line| format!("{line}\n")).collect());
        }
    }
    blocks
}

#[test]
fn the_programs_of_the_guide_are_those_beside_it() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/examples");
    for (language, name) in [("python", "denoise.py"), ("sh", "detail.sh")] {
        assert_eq!(blocks(language), [fs::read_to_string(examples.join(name)).unwrap()], "{name}");
    }
}

#[test]
fn the_stages_of_the_guide_run() {
    if !has_python("the_stages_of_the_guide_run") {
        return;
    }
    let before = r#"
[[stage]]
name = "0.ORIGINAL"
use = "original"

[[stage]]
name = "1.No_duplicates"
use = "duplicates"
from = "0.ORIGINAL"
"#;
    let stages = blocks("toml");
    assert_eq!(stages.len(), 3);
    let has_pillow = Command::new("python3").args(["-c", "import PIL"]).stderr(Stdio::null()).status().unwrap().success();
    if !has_pillow {
        eprintln!("skipped: docs/examples/denoise.py needs Pillow");
    }
    let stages: Vec<String> = stages.into_iter().filter(|stage| has_pillow || !stage.contains("denoise.py")).collect();
    let home = Home::with_cats(&format!("{before}\n{}", stages.join("\n")), 12);
    photo(&home, 0);
    let flat = Picture::Rgb(RgbImage::from_pixel(300, 300, Rgb([9, 120, 50])));
    fs::write(home.path("data/0.ORIGINAL/flat.png"), catgen_picture::encode_png(&flat)).unwrap();
    fs::create_dir(home.path("tools")).unwrap();
    for example in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/examples")).unwrap() {
        let example = example.unwrap();
        fs::copy(example.path(), home.path("tools").join(example.file_name())).unwrap();
    }
    let lines = home.run(&[]);
    let line = |stage: &str| lines.iter().find(|line| line["stage"] == stage).unwrap_or_else(|| panic!("{stage}: {lines:?}"));
    let kinds = |stage: &str| -> BTreeMap<String, usize> {
        let mut kinds = BTreeMap::new();
        for rejected in home.lines(&["inspect", stage, "--rejected", "--json"]) {
            *kinds.entry(rejected["kind"].as_str().unwrap().to_owned()).or_default() += 1;
        }
        kinds
    };
    let photos = line("1.No_duplicates")["items_out"].as_u64().unwrap();
    for (stage, refused) in [("2.Denoised", "not_sharp"), ("3.For_training", "held_out"), ("4.With_detail", "no_detail")] {
        if !has_pillow && stage == "2.Denoised" {
            continue;
        }
        let (kept, rejected) = (line(stage)["items_out"].as_u64().unwrap(), line(stage)["rejected"].as_u64().unwrap());
        assert_eq!(kept + rejected, photos, "{stage}");
        assert!(kept > photos / 2 && rejected > 0, "{stage} keeps {kept} of {photos}");
        assert_eq!(kinds(stage).into_keys().collect::<Vec<_>>(), [refused], "{stage}");
    }
    assert_eq!(home.computed(&[]).iter().sum::<u64>(), 0);
}
