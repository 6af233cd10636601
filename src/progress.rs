//! `Progress`: what the engine reports while it works. It never prints; a `Progress` does.

use std::sync::{Mutex, PoisonError};

use catgen_train::Event;
use serde::{Deserialize, Serialize};

/// What became of one stage in one run; the names are a contract of `run --json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StageReport {
    /// The stage's name.
    pub stage: String,
    /// Items it read.
    pub items_in: usize,
    /// Items it put out.
    pub items_out: usize,
    /// Items served from the cache.
    pub reused: usize,
    /// Items for which stage code ran.
    pub computed: usize,
    /// Items of the last time that are gone.
    pub removed: usize,
    /// Items that do not go on.
    pub rejected: usize,
    /// Seconds of work, divided by the number of threads.
    pub seconds: f64,
}

/// What went to or came from the shared cache; the names are a contract of `run --json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Traffic {
    /// Files brought here.
    pub pulled: usize,
    /// Files put there.
    pub pushed: usize,
    /// Bytes of both.
    pub bytes: u64,
}

/// How a run or a stage of it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// At work, or killed at work.
    Running,
    /// Everything asked for is done.
    Done,
    /// Stopped by the user; `run` goes on from there.
    Stopped,
    /// Stopped by an error.
    Failed,
    /// Killed at work, and something else was asked for since.
    Interrupted,
}

/// What the engine says while it works.
#[derive(Debug)]
pub enum Report<'a> {
    /// Stages begin that work through that many items together.
    Begin {
        /// Their names.
        stages: &'a [&'a str],
        /// The items they read.
        items: usize,
    },
    /// That many more of those items are finished.
    Advance(usize),
    /// A stage is finished.
    Stage(&'a StageReport),
    /// Something went to or came from the shared cache.
    Traffic(Traffic),
    /// The trainer said something.
    Train(&'a str, &'a Event),
    /// Something that a person should know.
    Warning(String),
    /// The run ended.
    Run {
        /// Its id.
        id: &'a str,
        /// How it ended.
        status: Status,
        /// How long it took.
        seconds: f64,
    },
}

/// Somebody who listens to the engine.
pub trait Progress: Sync {
    /// Takes note.
    fn report(&self, report: Report<'_>);

    /// Whether the user asked to stop: the engine finishes what is in flight and ends.
    fn stop_requested(&self) -> bool {
        false
    }
}

/// Nobody listens.
#[derive(Debug, Clone, Copy)]
pub struct Silent;

impl Progress for Silent {
    fn report(&self, _: Report<'_>) {}
}

/// Somebody who learns at the end what was brought from others, and not of each step of it: something else is being waited for.
pub struct Aside<'a> {
    to: &'a dyn Progress,
    traffic: Mutex<Traffic>,
}

impl<'a> Aside<'a> {
    /// For that one to learn.
    pub fn new(to: &'a dyn Progress) -> Self {
        Self { to, traffic: Mutex::default() }
    }

    /// The end.
    pub fn tell(self) {
        let traffic = self.traffic.into_inner().unwrap_or_else(PoisonError::into_inner);
        if traffic != Traffic::default() {
            self.to.report(Report::Traffic(traffic));
        }
    }
}

impl Progress for Aside<'_> {
    fn report(&self, report: Report<'_>) {
        match report {
            Report::Traffic(more) => {
                let mut sum = self.traffic.lock().unwrap_or_else(PoisonError::into_inner);
                sum.pulled += more.pulled;
                sum.pushed += more.pushed;
                sum.bytes += more.bytes;
            }
            Report::Warning(_) => self.to.report(report),
            _ => {}
        }
    }

    fn stop_requested(&self) -> bool {
        self.to.stop_requested()
    }
}
