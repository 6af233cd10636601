//! Worker processes on this machine: what a cluster does, without one. For trying out, and for tests.

use std::{
    collections::HashMap,
    fs::{self, OpenOptions},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{Executor, Job, State, Work};
use crate::{Error, error::Result, pipeline::ExecutorSettings};

/// Worker processes, all at once.
#[derive(Debug)]
pub(crate) struct Processes {
    settings: ExecutorSettings,
    folder: PathBuf,
    children: Mutex<HashMap<String, Vec<Child>>>,
}

impl Processes {
    pub(crate) fn new(settings: ExecutorSettings, folder: PathBuf) -> Self {
        Self { settings, folder, children: Mutex::default() }
    }

    fn children(&self) -> MutexGuard<'_, HashMap<String, Vec<Child>>> {
        self.children.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Executor for Processes {
    fn submit(&self, work: &Work) -> Result<String> {
        fs::create_dir_all(&self.folder).map_err(Error::io("create", &self.folder))?;
        let program = std::env::current_exe().map_err(Error::io("find", "catgen-pipe"))?;
        let log = self.folder.join(format!("{}.log", work.name()));
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let jobs = (cores / work.shards.len().max(1)).max(1).to_string();
        let start = |shard: &usize| -> Result<Child> {
            let words = || OpenOptions::new().create(true).append(true).open(&log).map_err(Error::io("write", &log));
            let mut command = Command::new(&program);
            command.args(work.arguments(&shard.to_string(), &jobs, &self.settings)).stdin(Stdio::null()).stdout(words()?).stderr(words()?);
            command.spawn().map_err(Error::io("start", &program))
        };
        let children = work.shards.iter().map(start).collect::<Result<Vec<_>>>()?;
        self.children().insert(work.name(), children);
        Ok(std::process::id().to_string())
    }

    /// Children of a process that is gone are not asked for: whatever they still do, they put into the shared cache.
    fn poll(&self, job: &Job) -> State {
        let mut children = self.children();
        let Some(children) = children.get_mut(&job.name) else { return State::Over };
        let working = children.iter_mut().filter_map(|child| child.try_wait().ok()).filter(Option::is_none).count();
        if working == 0 { State::Over } else { State::Alive { waiting: 0, working } }
    }

    fn cancel(&self, job: &Job) -> Result<()> {
        for child in self.children().get_mut(&job.name).into_iter().flatten() {
            // One that is over cannot be ended, and need not be.
            let _ = child.kill();
            let _ = child.wait();
        }
        Ok(())
    }

    fn cancel_by_hand(&self, job: &Job) -> String {
        format!("pkill -f {}", job.order)
    }

    fn log(&self, job: &Job) -> PathBuf {
        self.folder.join(format!("{}.log", job.name))
    }
}
