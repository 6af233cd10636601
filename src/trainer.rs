//! Starting `catgen-train`: another process, so that this one builds and works without libtorch and a CUDA abort is an
//! exit status.

use std::{
    ffi::OsString,
    io::{BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use catgen_api::Digest;
use catgen_train::{Event, Packed, Status, TrainOptions, features};

use crate::{Error, cache::write_whole, error::Result, tools::Tools};

/// One training.
#[derive(Debug)]
pub struct Job<'a> {
    /// The stage's name, for messages.
    pub stage: &'a str,
    /// The packed dataset.
    pub dataset: Packed,
    /// The digest of what is trained on: a checkpoint of another dataset is refused.
    pub digest: Digest,
    /// What to train, and how.
    pub options: TrainOptions,
    /// The pipeline's seed.
    pub seed: u64,
    /// Minutes after which it stops, with a checkpoint to go on from.
    pub time_budget: Option<f64>,
    /// Where everything goes; if a checkpoint lies there, training goes on from it.
    pub out: PathBuf,
}

/// How a training ended that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// All of it is done.
    Done,
    /// The user stopped it; it can go on.
    Stopped,
}

/// Trains, handing on every event.
///
/// # Errors
/// No trainer on this machine, or what it said when it failed.
pub fn train(tools: &Tools, job: &Job<'_>, stop: &(dyn Fn() -> bool + Sync), listen: &mut dyn FnMut(&Event)) -> Result<Ended> {
    let options = job.out.join("options.in.json");
    write_whole(&options, &serde_json::to_vec_pretty(&job.options).expect("options are plain data"))?;
    let mut command = command(tools, job.stage)?;
    command.arg("train").arg("--supervised").arg("--dataset-digest").arg(job.digest.to_string());
    compared_with(&mut command, tools, &job.dataset, job.options.features.as_str())?;
    command.arg("--options").arg(&options).arg("--seed").arg(job.seed.to_string()).arg("--out").arg(&job.out);
    if let Some(minutes) = job.time_budget {
        command.arg("--time-budget").arg(minutes.to_string());
    }
    let mut ended = None;
    follow(command, job.stage, stop, &mut |event| {
        if let Event::Done { status, .. } = event {
            ended = Some(if *status == Status::Stopped { Ended::Stopped } else { Ended::Done });
        }
        listen(event);
    })?;
    ended.ok_or_else(|| {
        failed(job.stage, "it ended without saying that it was done".to_owned(), "run again: it goes on from its last checkpoint")
    })
}

/// What to judge, by what.
#[derive(Debug, Clone)]
pub struct Judgement<'a> {
    /// A checkpoint, or the folder of a training for its newest; or pictures.
    pub of: Judged<'a>,
    /// The photos to compare with.
    pub dataset: Packed,
    /// The feature network: see [`features::find`].
    pub features: &'a str,
    /// How many pictures.
    pub count: u64,
    /// Where features of photos are kept for the next time.
    pub cache: Option<&'a Path>,
}

/// What is judged.
#[derive(Debug, Clone, Copy)]
pub enum Judged<'a> {
    /// Pictures that this checkpoint draws, of the seeds from this one on.
    Checkpoint(&'a Path, u64),
    /// The picture files in this folder, or those of a `.npy` file.
    Pictures(&'a Path),
}

/// Judges pictures in another process, which has libtorch.
///
/// # Errors
/// As [`train`].
pub fn evaluate(tools: &Tools, judgement: &Judgement<'_>, listen: &mut dyn FnMut(&Event)) -> Result<()> {
    let mut command = command(tools, "evaluate")?;
    command.arg("evaluate").arg("--count").arg(judgement.count.to_string());
    match judgement.of {
        Judged::Checkpoint(checkpoint, seed) => command.arg("--checkpoint").arg(checkpoint).arg("--seed").arg(seed.to_string()),
        Judged::Pictures(folder) => command.arg("--pictures").arg(folder),
    };
    if let Some(cache) = judgement.cache {
        command.arg("--cache").arg(cache);
    }
    compared_with(&mut command, tools, &judgement.dataset, judgement.features)?;
    follow(command, "evaluate", &|| false, listen)
}

/// Adds the photos that pictures are compared with, and the network whose features say how.
fn compared_with(command: &mut Command, tools: &Tools, dataset: &Packed, word: &str) -> Result<()> {
    command.arg("--dataset").arg(&dataset.train);
    for (name, path) in [("--held-out", &dataset.held_out), ("--index", &dataset.index), ("--onnxruntime", &tools.onnxruntime)] {
        if let Some(path) = path {
            command.arg(name).arg(path);
        }
    }
    let found = features::find(word, &tools.models, true).map_err(|error| Error::stage("features", error))?;
    command.arg("--features").arg(found.unwrap_or_else(|| "random".into()));
    Ok(())
}

/// Runs another of the trainer's commands (`generate`, `export`, …), handing on every event.
///
/// # Errors
/// As [`train`].
pub fn ask(tools: &Tools, name: &str, arguments: &[OsString], listen: &mut dyn FnMut(&Event)) -> Result<()> {
    let mut command = command(tools, name)?;
    command.arg(name).args(arguments);
    follow(command, name, &|| false, listen)
}

/// The trainer's command with libtorch on its library path.
pub(crate) fn command(tools: &Tools, stage: &str) -> Result<Command> {
    let trainer = tools.trainer.as_ref().ok_or_else(|| Error::Trainer {
        stage: stage.to_owned(),
        what: "the trainer, `catgen-train`, is not on this machine".to_owned(),
        hint: "`make trainer` gets libtorch and builds it; every picture stage works without it".to_owned(),
    })?;
    let mut command = Command::new(trainer);
    if let Some(libtorch) = &tools.libtorch {
        let variable = if cfg!(target_os = "macos") { "DYLD_LIBRARY_PATH" } else { "LD_LIBRARY_PATH" };
        let mut folders = vec![libtorch.join("lib")];
        folders.extend(std::env::var_os(variable).iter().flat_map(std::env::split_paths));
        if let Ok(path) = std::env::join_paths(folders) {
            command.env(variable, path);
        }
    }
    Ok(command)
}

/// Runs the command to its end, handing on every event; what it says to people is kept for the case that it fails.
///
/// The child's standard input is a line to us: a word on it, or its closing because this process died, makes the child write
/// a checkpoint and end, so that no orphan trains on beside the next run.
fn follow(mut command: Command, stage: &str, stop: &(dyn Fn() -> bool + Sync), listen: &mut dyn FnMut(&Event)) -> Result<()> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let program = PathBuf::from(command.get_program());
    let mut child = command.spawn().map_err(Error::io("start", program))?;
    let (stdout, stderr) = (child.stdout.take().expect("it was piped"), child.stderr.take().expect("it was piped"));
    let words = std::thread::spawn(move || {
        let mut tail = String::new();
        for line in BufReader::new(stderr).lines().map_while(std::result::Result::ok) {
            tracing::info!(target: "catgen_train", "{line}");
            tail = tail.lines().chain([line.as_str()]).rev().take(12).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("\n");
        }
        tail
    });
    let mut stdin = child.stdin.take().expect("it was piped");
    let ended = AtomicBool::new(false);
    let error = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                if stop() {
                    // If the child is gone already there is nobody to stop.
                    let _ = stdin.write_all(b"stop\n").and_then(|()| stdin.flush());
                    break;
                }
                std::thread::sleep(Duration::from_millis(100));
            }
        });
        let error = listen_to(stdout, listen);
        ended.store(true, Ordering::Relaxed);
        error
    });
    let status = child.wait().map_err(Error::io("wait for", "catgen-train"))?;
    let words = words.join().unwrap_or_default();
    match (status.success(), error) {
        (true, None) => Ok(()),
        (_, Some((message, hint))) => Err(Error::Trainer { stage: stage.to_owned(), what: message, hint }),
        (false, None) => {
            let words = if words.is_empty() { String::new() } else { format!(":\n{words}") };
            Err(failed(stage, format!("the trainer failed, {status}{words}"), "run again: it goes on from its last checkpoint"))
        }
    }
}

/// Hands on every event until the child closes its output; answers the error that it reported, with its hint.
fn listen_to(stdout: impl Read, listen: &mut dyn FnMut(&Event)) -> Option<(String, String)> {
    let mut error = None;
    let mut stdout = BufReader::new(stdout);
    let mut line = String::new();
    while stdout.read_line(&mut line).is_ok_and(|read| read > 0) {
        match Event::parse(line.trim_end()) {
            Some(Event::Error { message, hint }) => error = Some((message, hint)),
            Some(event) => listen(&event),
            None => tracing::warn!(line, "the trainer said something that is no event"),
        }
        line.clear();
    }
    // A line that is not text ends the loop above; let the child finish all the same.
    let _ = std::io::copy(&mut stdout, &mut std::io::sink());
    error
}

fn failed(stage: &str, what: String, hint: &str) -> Error {
    Error::Trainer { stage: stage.to_owned(), what, hint: hint.to_owned() }
}
