//! Real programs: a worker in Python that does, for each picture, what the test says.

#![cfg(unix)]

use std::{
    cell::RefCell,
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use catgen_api::{Batch, BatchItem, BuildContext, Digest, Input, ItemStage, Made, Params, Picture, Reason, StageError, Verdict};
use catgen_picture::{Rgb, RgbImage, Rgba, RgbaImage};
use serde_json::{Value, json};

use crate::{KIND, build};

/// A worker whose options say what to do with which picture, by digest. Notes each start, each request and each good end.
const WORKER: &str = r#"
import json, os, shutil, signal, subprocess, sys, time
def note(text):
    with open("log", "a") as log: log.write(text + "\n")
def say(text): sys.stdout.write(text + "\n"); sys.stdout.flush()
note("start")
for line in sys.stdin:
    r = json.loads(line)
    out, act = r["out"], r["options"].get(r["digest"], r["options"].get("all", "keep"))
    note("asked " + act)
    def copy(*names): [shutil.copy(r["input"], os.path.join(out, name)) for name in names]
    def answer(**words): say(json.dumps({"id": r["id"], **words}))
    def put(*files): answer(outputs=[{"file": file} for file in files])
    if act == "keep": copy("a.png"); put("a.png")
    elif act == "same": answer(outputs=[{"same": True, "facts": {"sharp": 0.5}}])
    elif act == "deep": os.mkdir(out + "/d"); copy("d/a.png"); put("d/a.png")
    elif act == "absolute": copy("a.png"); put(os.path.abspath(out + "/a.png"))
    elif act == "folder": copy("b.png", "a.png", ".c.png"); open(out + "/notes.txt", "w").write("x"); answer()
    elif act == "folder of none": answer()
    elif act == "several": copy("b.png", "a.png"); answer(outputs=[{"file": "b.png", "facts": {"n": 1}}, {"file": "a.png", "tag": "left"}])
    elif act == "two of a tag": copy("b.png", "a.png"); answer(outputs=[{"file": "b.png", "tag": "X"}, {"file": "a.png", "tag": "x"}])
    elif act == "same twice": answer(outputs=[{"same": True}, {"same": True, "tag": "x"}])
    elif act == "no tag": copy("a b.png", "a.png"); put("a b.png", "a.png")
    elif act == "reject": answer(reject="too dark", kind="dark")
    elif act == "error": answer(error="no memory left")
    elif act == "crash": sys.stderr.write("Traceback\nboom\n"); sys.stderr.flush(); os._exit(3)
    elif act == "segfault": os.kill(os.getpid(), signal.SIGSEGV)
    elif act == "crash once":
        if not os.path.exists("crashed"): open("crashed", "w"); copy("half.png"); os._exit(3)
        copy("a.png"); answer()
    elif act == "crash, leaving a child": subprocess.Popen(["sleep", "30"]); os._exit(3)
    elif act == "give up": sys.exit(0)
    elif act == "hang": note("pid %d" % subprocess.Popen(["sleep", "30"]).pid); time.sleep(30)
    elif act == "buffer": time.sleep(0.1) ; held = r; line = sys.stdin.readline(); answer(outputs=[{"same": True}])
    elif act == "noise": say("Loading model"); put("a.png")
    elif act == "wrong id": say(json.dumps({"id": r["id"] + 100}))
    elif act == "bad facts": answer(outputs=[{"same": True, "facts": {"box": [1, 2]}}])
    elif act == "outside": copy("../b.png"); put("../b.png")
    elif act == "input": put(r["input"])
    elif act == "link": os.symlink(os.path.abspath("pipeline"), out + "/a.png"); put("a.png")
    elif act == "missing": put("a.png")
    elif act == "a folder": os.mkdir(out + "/d"); put("d")
    elif act == "no picture": open(out + "/a.png", "w").write("hello"); put("a.png")
    elif act == "cut short": open(out + "/a.png", "wb").write(open(r["input"], "rb").read()[:-30]); put("a.png")
    elif act == "much to say": [sys.stderr.write("x" * 99 + "\n") for _ in range(50000)]; copy("a.png"); put("a.png")
    elif act == "tell": answer(outputs=[{"same": True, "facts": {"input": r["input"], "seed": r.get("seed", -1), "keys": " ".join(r)}}])
note("end")
"#;

fn has_python(test: &str) -> bool {
    let found = std::process::Command::new("python3").args(["-c", ""]).stderr(Stdio::null()).status().is_ok_and(|status| status.success());
    if !found {
        eprintln!("skipped: {test} needs python3");
    }
    found
}

/// A workspace with a program in it.
struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let bench = Self { folder: tempfile::tempdir().unwrap() };
        bench.write("worker.py", WORKER);
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn try_stage(&self, params: &Value, seed: u64) -> Result<Box<dyn ItemStage>, StageError> {
        let mut all = Params::defaults(KIND.params);
        for (name, value) in params.as_object().unwrap() {
            all.set(KIND.params, name, value).unwrap();
        }
        let scratch = self.path("scratch");
        build(&all, &BuildContext { workspace: self.folder.path().to_owned(), scratch, seed, ..BuildContext::default() })
    }

    /// The Python worker with these options.
    fn worker(&self, options: &Value) -> Box<dyn ItemStage> {
        self.try_stage(&json!({"run": ["python3", "worker.py"], "options": options}), 1).unwrap()
    }

    /// The lines that programs noted, by number of occurrences.
    fn log(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for line in fs::read_to_string(self.path("log")).unwrap_or_default().lines() {
            *counts.entry(line.split(' ').next().unwrap().to_owned()).or_default() += 1;
        }
        counts
    }

    fn count(&self, word: &str) -> usize {
        self.log().get(word).copied().unwrap_or(0)
    }
}

fn picture() -> Picture {
    Picture::Rgb(RgbImage::from_fn(40, 30, |x, y| Rgb([x as u8 * 5, y as u8 * 7, (x * y) as u8])))
}

fn try_ask(stage: &dyn ItemStage, content: &str) -> Result<Verdict, StageError> {
    stage.apply(&Input { digest: Digest::of(content.as_bytes()), picture: &picture(), inputs: &[] })
}

fn ask(stage: &dyn ItemStage, content: &str) -> String {
    shown(&try_ask(stage, content).unwrap())
}

/// A verdict in one line: the outputs, or the kind and text of the refusal.
fn shown(verdict: &Verdict) -> String {
    let outputs = match verdict {
        Verdict::Reject(reason) => return format!("{}: {}", reason.kind, reason.text),
        Verdict::Keep(outputs) => outputs,
    };
    let output = |output: &catgen_api::Output| {
        let made = match &output.made {
            Made::Same => "same".to_owned(),
            Made::Picture(made) if *made == picture() => "copy".to_owned(),
            Made::Picture(made) => format!("{:?}", made.size()),
        };
        let facts = if output.facts.is_empty() { String::new() } else { Value::Object(output.facts.clone()).to_string() };
        format!("{}={made}{facts}", output.tag)
    };
    outputs.iter().map(output).collect::<Vec<_>>().join(", ")
}

/// What a worker told to do `act` with a picture comes to; `…` in `expect` stands for anything.
fn check(act: &str, expect: &str) {
    let bench = Bench::new();
    let stage = bench.worker(&json!({"all": act}));
    let found = ask(&*stage, "cat");
    let mut rest = found.as_str();
    let fits = expect.split('…').enumerate().all(|(nth, part)| {
        let at = rest.find(part).filter(|at| nth > 0 || *at == 0);
        at.map(|at| rest = &rest[at + part.len()..]).is_some()
    });
    assert!(fits && (rest.is_empty() || expect.ends_with('…')), "{act}: {found}\ninstead of {expect}");
    drop(stage);
    assert_eq!(fs::read_dir(bench.path("scratch")).unwrap().count(), 0, "{act} leaves a folder behind");
}

#[test]
fn what_a_worker_makes_comes_back() {
    if !has_python("what_a_worker_makes_comes_back") {
        return;
    }
    check("keep", "=copy");
    check("deep", "=copy");
    check("absolute", "=copy");
    check("same", r#"=same{"sharp":0.5}"#);
    check("folder", "a=copy, b=copy");
    check("several", r#"b=copy{"n":1}, left=copy"#);
    check("reject", "dark: too dark");
    check("much to say", "=copy");
}

#[test]
fn a_bad_answer_costs_its_picture_and_says_what_the_program_said() {
    if !has_python("a_bad_answer_costs_its_picture_and_says_what_the_program_said") {
        return;
    }
    check("error", "failed: `python3 worker.py` could not do this picture: no memory left");
    check("folder of none", "failed: `python3 worker.py` put no picture into its folder `out`, and gave no reason");
    check("two of a tag", "failed: `python3 worker.py` gave two pictures the tag \"x\"…");
    check("same twice", "failed: `python3 worker.py` answered with the picture as it is twice");
    check("no tag", "failed: `python3 worker.py` made \"a b.png\", whose name is no tag…");
    check("noise", "failed: `python3 worker.py` printed \"Loading model\" where only answers belong: let it print to standard error");
    check("wrong id", "failed: `python3 worker.py` was asked for id 1 and answered for 101");
    check("bad facts", "failed: `python3 worker.py` gave an answer that cannot be used (the fact \"box\" is no text…");
    check("outside", "failed: `python3 worker.py` answered with \"../b.png\", which is not in its folder `out`…");
    check(
        "input",
        "failed: `python3 worker.py` answered with \"…/picture.png\", which is not in its folder `out` (for the picture as it is…",
    );
    check("missing", "failed: `python3 worker.py` answered with \"a.png\", and there is no such file in its folder `out`");
    check("a folder", "failed: `python3 worker.py` answered with \"d\", which is no file");
    check("no picture", "failed: `python3 worker.py` made \"a.png\", which cannot be used: this is not a picture…");
    check("cut short", "failed: `python3 worker.py` made \"a.png\", which cannot be used: the PNG file is…");
}

#[test]
fn a_link_does_not_lead_out_of_the_folder() {
    if !has_python("a_link_does_not_lead_out_of_the_folder") {
        return;
    }
    let bench = Bench::new();
    fs::write(bench.path("pipeline"), catgen_picture::encode_png(&picture())).unwrap();
    assert!(ask(&*bench.worker(&json!({"all": "link"})), "cat").contains("which is not in its folder"));
}

#[test]
fn one_worker_is_asked_again_and_again_and_ends_when_its_input_does() {
    if !has_python("one_worker_is_asked_again_and_again_and_ends_when_its_input_does") {
        return;
    }
    let bench = Bench::new();
    let stage = bench.worker(&json!({}));
    assert_eq!(bench.log(), BTreeMap::new(), "building a stage starts nothing");
    (0..5).for_each(|n| assert_eq!(ask(&*stage, &n.to_string()), "=copy"));
    assert_eq!((bench.count("start"), bench.count("asked"), bench.count("end")), (1, 5, 0));
    stage.rest();
    assert_eq!(bench.count("end"), 1, "a worker that is not needed stays");
    assert_eq!(ask(&*stage, "again"), "=copy");
    drop(stage);
    assert_eq!((bench.count("start"), bench.count("end")), (2, 2));
}

#[test]
fn a_bad_answer_in_step_keeps_the_worker_and_another_does_not() {
    if !has_python("a_bad_answer_in_step_keeps_the_worker_and_another_does_not") {
        return;
    }
    for (act, starts) in [("bad facts", 1), ("missing", 1), ("noise", 2), ("wrong id", 2)] {
        let bench = Bench::new();
        let stage = bench.worker(&json!({Digest::of(b"bad").to_string(): act}));
        assert_eq!(ask(&*stage, "good"), "=copy");
        for _ in 0..2 {
            assert!(ask(&*stage, "bad").starts_with("failed: "), "{act}");
        }
        assert_eq!(ask(&*stage, "also good"), "=copy", "{act}");
        assert_eq!(bench.count("start"), if starts == 1 { 1 } else { 3 }, "{act}");
    }
}

#[test]
fn a_worker_that_dies_is_replaced_and_the_picture_that_kills_it_twice_is_rejected() {
    if !has_python("a_worker_that_dies_is_replaced_and_the_picture_that_kills_it_twice_is_rejected") {
        return;
    }
    let bench = Bench::new();
    let acts: Vec<_> = ["crash", "crash once", "segfault", "crash, leaving a child"].map(|act| (Digest::of(act.as_bytes()), act)).into();
    let stage = bench.worker(&acts.iter().map(|(digest, act)| (digest.to_string(), json!(act))).collect());
    assert_eq!(ask(&*stage, "good"), "=copy");
    let said = ask(&*stage, "crash");
    assert_eq!(said, "crashed: `python3 worker.py` broke down twice over this picture (exit status: 3); its last words: Traceback / boom");
    assert_eq!(bench.count("start"), 2);
    assert_eq!(ask(&*stage, "good too"), "=copy");
    assert_eq!(bench.count("start"), 3);
    // The second try finds an empty folder, not what the first left half-done: else both would come of it.
    assert_eq!(ask(&*stage, "crash once"), "=copy");
    assert_eq!(bench.count("start"), 4);
    let said = ask(&*stage, "segfault");
    assert!(said.starts_with("crashed: ") && said.contains("SIGSEGV"), "{said}");
    let began = Instant::now();
    assert!(ask(&*stage, "crash, leaving a child").starts_with("crashed: "));
    assert!(began.elapsed() < Duration::from_secs(25), "a child that holds its pipes hides that a worker died");
    assert_eq!(ask(&*stage, "good at last"), "=copy");
}

#[test]
fn a_run_of_nothing_but_deadly_pictures_does_not_take_the_program_for_broken() {
    if !has_python("a_run_of_nothing_but_deadly_pictures_does_not_take_the_program_for_broken") {
        return;
    }
    let bench = Bench::new();
    let stage = bench.worker(&json!({"all": "crash"}));
    for n in 0..4 {
        assert!(ask(&*stage, &n.to_string()).starts_with("crashed: "));
    }
    // Two for each picture, and once without any picture to see whether it is the program.
    assert_eq!(bench.count("start"), 9);
}

#[test]
fn what_hangs_is_ended_with_all_that_it_started() {
    if !has_python("what_hangs_is_ended_with_all_that_it_started") {
        return;
    }
    let bench = Bench::new();
    let hanging = json!({Digest::of(b"bad").to_string(): "hang", Digest::of(b"buffer").to_string(): "buffer"});
    let stage = bench.try_stage(&json!({"run": ["python3", "worker.py"], "options": hanging, "timeout": 1.5}), 1).unwrap();
    assert_eq!(ask(&*stage, "good"), "=copy");
    let said = ask(&*stage, "bad");
    assert_eq!(said, "timeout: `python3 worker.py` did not answer within 1.5 seconds; `timeout` allows more");
    let log = fs::read_to_string(bench.path("log")).unwrap();
    let child: i32 = log.lines().find_map(|line| line.strip_prefix("pid ")).unwrap().parse().unwrap();
    assert!(is_gone(child), "a child of the worker that was ended lives on");
    let said = ask(&*stage, "buffer");
    assert!(said.starts_with("failed: ") && said.contains("when its input was closed: let it flush after each answer"), "{said}");
    assert_eq!(ask(&*stage, "good too"), "=copy");
    assert_eq!(bench.count("start"), 3);
}

/// Whether the process is gone, or no more than an entry that its new parent has not looked at.
fn is_gone(pid: i32) -> bool {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let state = std::process::Command::new("ps").args(["-o", "stat=", "-p", &pid.to_string()]).output().unwrap();
        let state = String::from_utf8_lossy(&state.stdout).trim().to_owned();
        if state.is_empty() || state.starts_with('Z') {
            return true;
        }
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_program_of_no_use_is_a_broken_stage_and_not_a_thousand_rejections() {
    if !has_python("a_program_of_no_use_is_a_broken_stage_and_not_a_thousand_rejections") {
        return;
    }
    let bench = Bench::new();
    bench.write("broken.py", "import no_such_module");
    bench.write("prints.py", "print('hello')\nfor line in __import__('sys').stdin: print('done')");
    bench.write("script.sh", "exit 0");
    for (run, asked, what, hint) in [
        (&["no-such-program"][..], 1, "cannot start `no-such-program`: No such file", "install no-such-program, or correct `run`"),
        (&["python3 worker.py"], 1, "cannot start `python3 worker.py`", "one text for each word"),
        (&["script.sh"], 1, "cannot start `script.sh`: Permission denied", "`chmod +x script.sh`"),
        (&["python3", "broken.py"], 1, "No module named 'no_such_module'", "try it by itself"),
        (&["python3", "worker_.py"], 1, "can't open file", "try it by itself"),
        (&["python3", "prints.py"], 3, "no answer of `python3 prints.py` can be used: it printed \"hello\"", "a worker answers each line"),
        (&["true"], 3, "no answer of `true` can be used: it ended without an answer", "a worker answers each line"),
    ] {
        let stage = bench.try_stage(&json!({"run": run}), 1).unwrap();
        for n in 1..asked {
            assert!(matches!(try_ask(&*stage, &n.to_string()), Ok(Verdict::Reject(_))), "{run:?}");
        }
        for _ in 0..2 {
            let (said, said_hint) = match try_ask(&*stage, "cat") {
                Err(StageError::Missing { what, hint } | StageError::Broken { what, hint }) => (what, hint),
                other => panic!("{run:?}: {other:?}"),
            };
            assert!(said.contains(what) && said_hint.contains(hint), "{run:?}: {said}\n{said_hint}");
        }
    }
}

#[test]
fn threads_have_a_worker_each_up_to_the_number_allowed() {
    if !has_python("threads_have_a_worker_each_up_to_the_number_allowed") {
        return;
    }
    // Each holds its picture until as many as there are workers hold one: fewer than that many at once would wait for ever.
    const MEETING: &str = r#"
import json, os, sys, time
open("start-%d" % os.getpid(), "w")
for line in sys.stdin:
    r = json.loads(line)
    open("met-%d" % os.getpid(), "w")
    while len([name for name in os.listdir(".") if name.startswith("met-")]) < r["options"]["meet"]: time.sleep(0.01)
    print(json.dumps({"id": r["id"], "outputs": [{"same": True}]}), flush=True)
"#;
    for (workers, meet, most) in [(0, 4, 4), (2, 2, 2), (1, 1, 1)] {
        let bench = Bench::new();
        bench.write("meeting.py", MEETING);
        let run = json!({"run": ["python3", "meeting.py"], "options": {"meet": meet}, "workers": workers, "timeout": 60});
        let stage = bench.try_stage(&run, 1).unwrap();
        std::thread::scope(|scope| {
            for n in 0..4 {
                let stage = &stage;
                scope.spawn(move || (0..5).for_each(|k| assert_eq!(ask(&**stage, &format!("{n} {k}")), "=same")));
            }
        });
        let starts = fs::read_dir(bench.folder.path()).unwrap();
        let starts = starts.filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("start-")).count();
        assert_eq!(starts, most, "workers = {workers}");
    }
}

#[test]
fn a_broken_program_stops_the_threads_that_wait_for_it() {
    let bench = Bench::new();
    let stage = bench.try_stage(&json!({"run": ["sh", "-c", "sleep 0.2; exit 7"], "workers": 1}), 1).unwrap();
    std::thread::scope(|scope| {
        for n in 0..4 {
            let stage = &stage;
            scope.spawn(move || assert!(try_ask(&**stage, &n.to_string()).is_err()));
        }
    });
}

#[test]
fn a_worker_is_told_of_the_picture_and_never_of_its_name() {
    if !has_python("a_worker_is_told_of_the_picture_and_never_of_its_name") {
        return;
    }
    let bench = Bench::new();
    let tell = |random: bool, seed: u64, content: &str| {
        let params = json!({"run": ["python3", "worker.py"], "options": {"all": "tell"}, "random": random});
        let verdict = try_ask(&*bench.try_stage(&params, seed).unwrap(), content).unwrap();
        let Verdict::Keep(outputs) = verdict else { panic!("{verdict:?}") };
        outputs[0].facts.clone()
    };
    let facts = tell(false, 1, "cat");
    assert_eq!((&facts["seed"], &facts["keys"]), (&json!(-1), &json!("protocol id input out digest options")));
    assert!(Path::new(facts["input"].as_str().unwrap()).is_absolute());
    let seeds = [(1, "cat"), (1, "cat"), (2, "cat"), (1, "dog")].map(|(seed, content)| tell(true, seed, content)["seed"].as_u64().unwrap());
    assert!(seeds[0] == seeds[1] && seeds[0] != seeds[2] && seeds[0] != seeds[3], "{seeds:?}");
    assert!(seeds.iter().all(|seed| *seed < 1 << 32));
}

#[test]
fn what_is_in_the_key() {
    let bench = Bench::new();
    let names = |params: &Value| -> Vec<String> {
        bench.try_stage(params, 5).unwrap().key_inputs().into_iter().map(|input| format!("{} {}", input.name, input.value)).collect()
    };
    let script = Digest::of(WORKER.as_bytes());
    assert_eq!(names(&json!({"run": ["python3", "worker.py"]})), [format!("file worker.py {script}")]);
    assert_eq!(names(&json!({"run": ["cat"], "random": true})), ["seed 5"]);
    let stage = bench.try_stage(&json!({"run": ["cat"], "max_side": 0}), 5).unwrap();
    assert_eq!((stage.working_side(), stage.unkeyed_params()), (None, &["timeout", "workers"][..]));
    assert!(stage.unkeyed_params().iter().all(|name| KIND.params.iter().any(|param| param.name == *name)));
    for (params, said) in [
        (json!({}), "run: name a program and its arguments, for instance [\"python3\", \"denoise.py\"]"),
        (json!({"run": [" "]}), "run: name a program"),
        (json!({"run": ["cat"], "files": ["weights.onnx"]}), "`files` names \"weights.onnx\", and there is no such file"),
        (json!({"run": ["cat"], "options": {"a": [null]}}), "options: a number in it is too large or no number"),
    ] {
        let error = bench.try_stage(&params, 5).err().unwrap().to_string();
        assert!(error.starts_with(said), "{error}");
    }
}

#[test]
fn a_program_edited_while_it_is_used_is_not_started_again() {
    if !has_python("a_program_edited_while_it_is_used_is_not_started_again") {
        return;
    }
    let bench = Bench::new();
    let stage = bench.worker(&json!({}));
    assert_eq!(ask(&*stage, "cat"), "=copy");
    bench.write("worker.py", &WORKER.replace("keep", "Keep"));
    // The one that runs is still the program of before.
    assert_eq!(ask(&*stage, "dog"), "=copy");
    stage.rest();
    assert_eq!(try_ask(&*stage, "cow").unwrap_err().to_string(), "worker.py was changed while the run was going on");
}

#[test]
fn transparency_and_odd_folders_survive_the_way_there_and_back() {
    if !has_python("transparency_and_odd_folders_survive_the_way_there_and_back") {
        return;
    }
    let bench = Bench { folder: tempfile::Builder::new().prefix("a\tb é\n").tempdir().unwrap() };
    bench.write("worker.py", WORKER);
    let picture = Picture::Rgba(RgbaImage::from_fn(9, 5, |x, y| Rgba([x as u8, y as u8, 9, (x * 20) as u8])));
    let stage = bench.worker(&json!({}));
    let verdict = stage.apply(&Input { digest: Digest::of(b"x"), picture: &picture, inputs: &[] }).unwrap();
    let Verdict::Keep(outputs) = verdict else { panic!("{verdict:?}") };
    assert!(matches!(&outputs[0].made, Made::Picture(made) if *made == picture));
}

/// A batch in sh that keeps what it was told and answers as the file `acts` says: lines of an id and JSON without it.
const BATCH: &str = r#"
cat "$CATGEN_DELTA" >> deltas
cat "$CATGEN_OPTIONS" > options
echo start >> log
tab=$(printf '\t')
while IFS="$tab" read -r change id input out name digest seed; do
    [ "$change" = removed ] && continue
    [ -f "$input" ] && [ -d "$out" ] || exit 9
    act=$(sed -n "s/^$id //p" acts)
    case "$act" in
        "") cp "$input" "$out/a.png"; echo "{\"id\":$id}" ;;
        silent) ;;
        slow) echo slow >> log; sleep 30 ;;
        leave) cp "$input" "$out/a.png"; echo "{\"id\":$id}"; n=0
            while [ -e "$input" ] && [ $n -lt 400 ]; do sleep 0.05; n=$((n + 1)); done
            if [ -e "$input" ]; then exit 8; fi ;;
        noise) echo "copying $input" ;;
        twice) echo "{\"id\":$id,\"reject\":\"x\"}"; echo "{\"id\":$id,\"reject\":\"x\"}" ;;
        die) echo "disk on fire" >&2; exit 4 ;;
        *) echo "{\"id\":$id,$act}" ;;
    esac
done < "$CATGEN_DELTA"
"#;

/// Whether somebody wants to stop once so many pictures are done.
type Stop<'a> = &'a (dyn Fn(usize) -> bool + Sync);

/// Nobody does.
const NEVER: Stop<'static> = &|_| false;

/// What a batch of pictures with these names came to, in the order in which it was told, and how it ended.
fn run_batch(bench: &Bench, params: &Value, names: &[&str], removed: &[&str], stop: Stop<'_>) -> (Vec<String>, Option<StageError>) {
    bench.write("batch.sh", BATCH);
    let mut all = json!({"run": ["sh", "batch.sh"], "mode": "batch"});
    all.as_object_mut().unwrap().extend(params.as_object().unwrap().clone());
    let stage = bench.try_stage(&all, 7).unwrap();
    let items: Vec<BatchItem<'_>> = names
        .iter()
        .map(|name| BatchItem { name, digest: Digest::of(name.as_bytes()), changed: name.starts_with("new"), inputs: &[] })
        .collect();
    let removed: Vec<String> = removed.iter().map(|name| (*name).to_owned()).collect();
    let (told, count) = (RefCell::new(Vec::new()), std::sync::atomic::AtomicUsize::new(0));
    let mut done = |at: usize, verdict: Verdict| {
        told.borrow_mut().push(format!("{} {}", names[at], shown(&verdict)));
        count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Ok(())
    };
    let open = |at: usize| Ok(if names[at] == "unreadable" { Err(Reason::new("damaged", "the file is damaged")) } else { Ok(picture()) });
    let stopping = || stop(count.load(std::sync::atomic::Ordering::Relaxed));
    let ended = stage.batch().unwrap().apply_all(&Batch { items: &items, removed: &removed }, &open, &mut done, &stopping);
    assert_eq!(fs::read_dir(bench.path("scratch")).map_or(0, Iterator::count), 0, "a folder is left behind");
    (told.into_inner(), ended.err())
}

#[test]
fn a_batch_is_told_by_a_file_what_is_new_and_what_is_gone() {
    let bench = Bench::new();
    bench.write("acts", "2 \"reject\":\"too dark\",\"kind\":\"dark\"\n4 \"outputs\":[{\"same\":true}]\n");
    let names = ["a.png", "new/b\t\\.png", "unreadable", "d.png"];
    let (told, error) = run_batch(&bench, &json!({"options": {"b": 1, "a": "é"}, "random": true}), &names, &["old/x.png"], NEVER);
    assert!(error.is_none(), "{error:?}");
    assert_eq!(
        told,
        ["unreadable damaged: the file is damaged", "a.png =copy", "new/b\t\\.png dark: too dark", "d.png =same"],
        "pictures that cannot be opened first, then in the order of the answers"
    );
    assert_eq!(fs::read_to_string(bench.path("options")).unwrap(), "{\"a\":\"é\",\"b\":1}\n");
    let delta = fs::read_to_string(bench.path("deltas")).unwrap();
    let lines: Vec<Vec<&str>> = delta.lines().map(|line| line.split('\t').collect()).collect();
    assert!(lines.iter().all(|columns| columns.len() == 7), "{delta}");
    let picked: Vec<_> = lines.iter().map(|columns| (columns[0], columns[1], columns[4])).collect();
    assert_eq!(
        picked,
        [("added", "1", "a.png"), ("changed", "2", "new/b\\t\\\\.png"), ("added", "4", "d.png"), ("removed", "-", "old/x.png")]
    );
    assert_eq!(lines[0][5], Digest::of(b"a.png").to_string());
    assert!(lines[0][6].parse::<u32>().is_ok() && lines[0][6] != lines[1][6], "{delta}");
    assert_eq!(lines[3], ["removed", "-", "-", "-", "old/x.png", "-", "-"]);
    assert_eq!(bench.count("start"), 1);
    // Nothing but removals is told, too; nothing at all starts nothing.
    run_batch(&bench, &json!({}), &[], &["x"], NEVER);
    run_batch(&bench, &json!({}), &[], &[], NEVER);
    run_batch(&bench, &json!({}), &["unreadable"], &[], NEVER);
    assert_eq!(bench.count("start"), 2);
}

#[test]
fn a_batch_that_goes_wrong_keeps_what_it_told() {
    let bench = Bench::new();
    let names = ["a", "b", "c", "d"];
    for (acts, params, answers, error) in [
        // It waits until what is done is gone from the disk: few of a long list lie there at the end.
        ("1 leave\n2 leave\n", json!({}), "a =copy|b =copy|c =copy|d =copy", ""),
        ("2 silent\n", json!({}), "a =copy|c =copy|d =copy|b failed: `sh batch.sh` ended well without an answer for this picture", ""),
        ("2 \"outputs\":[{\"file\":\"x\"}]\n", json!({}), "a =copy|b failed: `sh batch.sh` answered with \"x\", and there is no such", ""),
        ("2 \"reject\":3\n", json!({}), "a =copy|b failed: `sh batch.sh` gave an answer that cannot be used", ""),
        (
            "3 die\n",
            json!({}),
            "a =copy|b =copy",
            "`sh batch.sh` failed (exit status: 4); what was finished is kept, 2 of this start are missing\n  disk on fire",
        ),
        (
            "3 noise\n",
            json!({}),
            "a =copy|b =copy",
            "where only answers belong: let it print to standard error; what was finished is kept, 2 of",
        ),
        ("2 twice\n", json!({}), "a =copy|b rejected: x", "answered for id 2, which it was not asked for or answered before"),
        ("2 slow\n", json!({"timeout": 2}), "a =copy", "did not answer for 2 seconds"),
        ("", json!({"run": ["no-such-program"]}), "", "cannot start `no-such-program`"),
    ] {
        bench.write("acts", acts);
        let (told, found) = run_batch(&bench, &params, &names, &[], NEVER);
        assert!(told.join("|").starts_with(answers), "{acts}{told:?}");
        let found = found.map_or(String::new(), |error| error.to_string());
        assert!(found.contains(error) && found.is_empty() == error.is_empty(), "{acts}{found}");
        assert_eq!(told.len() == 4, error.is_empty(), "{acts}{told:?}");
    }
}

#[test]
fn a_batch_that_is_to_stop_stops_and_nothing_is_told_of_the_rest() {
    let bench = Bench::new();
    let names = ["a", "b", "c", "d"];
    for (acts, stop, expect, starts) in [
        ("", (&|done: usize| done == 2) as Stop<'_>, &["a =copy", "b =copy"][..], 1),
        // It waits a while for what is in flight, and no longer.
        ("3 slow\n", &|_| bench.count("slow") > 0, &["a =copy", "b =copy"], 2),
        ("", &|_| true, &[], 2),
    ] {
        bench.write("acts", acts);
        let began = Instant::now();
        let (told, error) = run_batch(&bench, &json!({}), &names, &[], stop);
        assert!(error.is_none() && told.iter().map(String::as_str).eq(expect.iter().copied()), "{told:?} {error:?}");
        assert!(began.elapsed() < Duration::from_secs(25), "it waited for the slow one");
        assert_eq!(bench.count("start"), starts);
    }
}

#[test]
fn a_long_list_is_several_starts() {
    let bench = Bench::new();
    let names: Vec<String> = (0..1003).map(|n| format!("{n:04}")).collect();
    // What it does with each is of no interest here, only how many it is told of at once.
    let quick =
        r#"wc -l < "$CATGEN_DELTA" >> sizes; sed 's/^added.\([0-9]*\).*/{"id":\1,"outputs":[{"same":true}]}/;/^removed/d' "$CATGEN_DELTA""#;
    let params = json!({"run": ["sh", "-c", quick]});
    let (told, error) = run_batch(&bench, &params, &names.iter().map(String::as_str).collect::<Vec<_>>(), &["gone"], NEVER);
    assert!(error.is_none(), "{error:?}");
    let expect: Vec<String> = names.iter().map(|name| format!("{name} =same")).collect();
    assert_eq!(told, expect);
    let sizes = fs::read_to_string(bench.path("sizes")).unwrap();
    assert_eq!(sizes.split_whitespace().collect::<Vec<_>>(), ["1001", "3"], "removed ones are told once");
}

#[test]
fn a_batch_can_be_asked_for_one_picture() {
    let bench = Bench::new();
    bench.write("batch.sh", BATCH);
    bench.write("acts", "");
    let stage = bench.try_stage(&json!({"run": ["sh", "batch.sh"], "mode": "batch"}), 7).unwrap();
    assert_eq!(ask(&*stage, "cat"), "=copy");
    assert!(bench.try_stage(&json!({"run": ["sh", "batch.sh"]}), 7).unwrap().batch().is_none());
}
