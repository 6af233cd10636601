//! `Executor`: who computes the shards of an order elsewhere.
//!
//! What an executor says of its jobs is a hint and no more: schedulers forget jobs, use their numbers again, and call finished what a
//! lost machine did not finish. Whether work is done is read from the shared cache alone (`run/delegate.rs`).

mod processes;
mod slurm;

use std::{path::PathBuf, time::Duration};

use catgen_api::Digest;
pub(crate) use processes::Processes;
use serde::{Deserialize, Serialize};
pub(crate) use slurm::Slurm;

use crate::{
    Project,
    error::Result,
    pipeline::{ExecutorSettings, Kind},
};

/// Some shards of an order, to be computed by workers.
#[derive(Debug, Clone)]
pub(crate) struct Work {
    /// The order.
    pub(crate) order: Digest,
    /// Its shards that have something to do.
    pub(crate) shards: Vec<usize>,
    /// How often these were tried, this time included.
    pub(crate) attempt: usize,
    /// The shared cache.
    pub(crate) remote: String,
    /// Whether it is a training, which wants what pictures do not.
    pub(crate) is_training: bool,
}

impl Work {
    /// What its jobs are called: by this they are recognised, not by their number.
    pub(crate) fn name(&self) -> String {
        format!("catgen-{}-{}", self.order.short(), self.attempt)
    }

    /// The command line of the worker of one shard with so many threads, after the program's name.
    pub(crate) fn arguments(&self, shard: &str, jobs: &str, settings: &ExecutorSettings) -> Vec<String> {
        let (order, publish) = (self.order.to_string(), settings.publish_every.to_string());
        let options = [("remote", self.remote.as_str()), ("plan", &order), ("shard", shard), ("jobs", jobs), ("publish-every", &publish)];
        let words = options.iter().flat_map(|(name, value)| [format!("--{name}"), (*value).to_owned()]);
        std::iter::once("worker".to_owned()).chain(words).collect()
    }
}

/// What was submitted, as it is written down for a run that comes after this one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Job {
    /// What the executor calls it.
    pub(crate) id: String,
    /// What we called it.
    pub(crate) name: String,
    /// The order.
    pub(crate) order: Digest,
    /// How often its shards were tried, this time included.
    pub(crate) attempt: usize,
    /// The stages, by name.
    pub(crate) stages: Vec<String>,
    /// When it was submitted, RFC 3339.
    pub(crate) submitted: String,
}

/// What an executor believes of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// So many of its parts wait, and so many are at work.
    Alive { waiting: usize, working: usize },
    /// It ended, well or not, or was forgotten.
    Over,
    /// Nobody answers just now.
    Unknown,
}

/// Who computes elsewhere.
pub(crate) trait Executor {
    /// Hands in work.
    ///
    /// # Errors
    /// It is not taken.
    fn submit(&self, work: &Work) -> Result<String>;

    /// Asks for a job.
    fn poll(&self, job: &Job) -> State;

    /// How long to wait before work of a job that is over is handed in again.
    fn pause(&self) -> Duration {
        Duration::ZERO
    }

    /// Ends a job. One that is over is ended.
    ///
    /// # Errors
    /// Nobody answers.
    fn cancel(&self, job: &Job) -> Result<()>;

    /// What a person types to end a job.
    fn cancel_by_hand(&self, job: &Job) -> String;

    /// Where a job's workers write what they say.
    fn log(&self, job: &Job) -> PathBuf;
}

/// A job that is at work or waits to be; the names are a contract of `status --json`.
#[derive(Debug, Serialize)]
pub(crate) struct JobLine {
    /// What the executor calls it.
    pub(crate) job: String,
    /// What it is called.
    pub(crate) name: String,
    /// The stages it computes.
    pub(crate) stages: Vec<String>,
    /// Its parts that wait, and those at work.
    pub(crate) waiting: usize,
    /// See above.
    pub(crate) working: usize,
    /// When it was submitted, RFC 3339.
    pub(crate) submitted: String,
    /// What ends it.
    pub(crate) cancel: String,
}

/// The jobs of this workspace that the executor knows of.
pub(crate) fn alive(project: &Project) -> Vec<JobLine> {
    let Some(executor) = of(project) else { return Vec::new() };
    let line = |job: Job| match executor.poll(&job) {
        State::Alive { waiting, working } => {
            let cancel = executor.cancel_by_hand(&job);
            Some(JobLine { job: job.id, name: job.name, stages: job.stages, waiting, working, submitted: job.submitted, cancel })
        }
        State::Over | State::Unknown => None,
    };
    crate::run::delegate::jobs(project).into_iter().filter_map(line).collect()
}

/// The executor that the pipeline names; none where this process does the work.
pub(crate) fn of(project: &Project) -> Option<Box<dyn Executor>> {
    let settings = project.pipeline.executor.clone();
    let folder = project.store.path("jobs");
    match settings.kind {
        Kind::Local => None,
        Kind::Processes => Some(Box::new(Processes::new(settings, folder))),
        Kind::Slurm => Some(Box::new(Slurm::new(settings, folder))),
    }
}
