//! The worker's side: one shard of an order, computed as far as it is not, and told of as it goes.

use std::{
    collections::HashSet,
    path::Path,
    sync::{Condvar, Mutex, PoisonError},
    time::{Duration, Instant},
};

use catgen_api::{Digest, Item, Manifest, Shape};
use rayon::prelude::*;

use super::{Originals, bring, items, publish::finished, set, train};
use crate::{
    Error, Project, Workspace,
    error::Result,
    order::{self, Order},
    pipeline::Override,
    progress::{Progress, Report},
    registry::Entry,
    shared::{Pushed, SharedCache},
    tools::Tools,
};

/// Which part of what is asked of a worker.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The shared cache.
    pub remote: String,
    /// The order.
    pub order: Digest,
    /// Which of its shards.
    pub shard: usize,
    /// Seconds after which what was computed is told of.
    pub publish_every: Duration,
}

/// What a worker did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Worked {
    /// Items of the shard.
    pub items: usize,
    /// Of these, those of which everything was known.
    pub known: usize,
    /// Results that were told of.
    pub actions: usize,
    /// Files that were put into the shared cache, and their bytes.
    pub files: usize,
    /// See above.
    pub bytes: u64,
}

/// Works on a shard in an empty folder.
///
/// # Errors
/// Whatever keeps a stage from working here; what was computed before is told of all the same.
pub fn work(asked: &Asked, folder: &Path, kinds: &[Entry], tools: Tools, progress: &dyn Progress) -> Result<Worked> {
    let shared = SharedCache::open(&asked.remote, &folder.join(".catgen/shared"))?;
    let order = Order::read(&shared, &asked.order)?;
    order.unpack(&shared, folder)?;
    let wrong = |what: String| Error::Usage { what, hint: String::new() };
    let remote = format!("cache.remote={}", serde_json::Value::from(asked.remote.as_str()));
    let set = order.set.iter().chain([&remote]);
    let overrides = set.map(|text| Override::parse(text).map_err(wrong)).collect::<Result<Vec<_>>>()?;
    let mut project = Project::open(Workspace::open(folder)?, overrides, kinds, tools)?;
    let stages = order.check(&project)?;
    project.store.prepare()?;
    project.begin_writing()?;
    let lists = order.items(&shared, asked.shard)?;
    let total = lists.iter().map(|(_, manifest)| manifest.items.len()).sum();
    let (told, known) = (order::told(&asked.order, Some(asked.shard)), order.known(&shared, asked.shard)?);
    project.shared = Some(shared.limited_to(told, &known)?);
    let shared = super::delegate::shared(&project)?;
    // From here on nothing is to be lost by a shared cache that is away for a moment.
    shared.refresh()?;
    let shard = Shard { project: &project, shared, progress, publish_every: asked.publish_every };
    let (missing, pushed) = match project.pipeline.stages[stages[0]].shape() {
        Shape::Set => shard.facts(stages[0], &lists)?,
        Shape::Train => shard.train(stages[0], &lists, order.again.as_deref())?,
        _ => shard.items(&stages, &lists)?,
    };
    Ok(Worked { items: total, known: total - missing, actions: pushed.actions, files: pushed.blobs, bytes: pushed.bytes })
}

/// A checkpoint is a hundred megabytes: told of this many times less often than pictures are.
const TRAINING_PARTS: u32 = 30;

struct Shard<'a> {
    project: &'a Project,
    shared: &'a SharedCache,
    progress: &'a dyn Progress,
    publish_every: Duration,
}

impl Shard<'_> {
    /// Finds out facts. Answers how many were missing, and what was told of.
    fn facts(&self, stage: usize, lists: &[(String, Manifest)]) -> Result<(usize, Pushed)> {
        let code = set::code(self.project, stage)?;
        let mut seen = HashSet::new();
        let mut missing: Vec<&Item> = Vec::new();
        for item in lists.iter().flat_map(|(_, manifest)| &manifest.items).filter(|item| seen.insert(item.digest)) {
            if set::known_fact(self.project, stage, &item.digest)?.is_none() {
                missing.push(item);
            }
        }
        self.fetch(missing.iter().copied())?;
        self.progress.report(Report::Begin { stages: &[&self.project.pipeline.stages[stage].name], items: missing.len() });
        let pushed = self.telling(|| {
            missing.par_iter().with_max_len(1).try_for_each(|item| {
                self.go_on()?;
                // A picture that cannot be looked at is known as such, and that is recorded like a fact.
                let _ = set::fact(self.project, &Originals::default(), stage, code, item)?;
                self.progress.report(Report::Advance(1));
                Ok(())
            })
        })?;
        Ok((missing.len(), pushed))
    }

    /// Takes items through item stages. Answers of how many something was missing, and what was told of.
    fn items(&self, stages: &[usize], lists: &[(String, Manifest)]) -> Result<(usize, Pushed)> {
        let originals = Originals::default();
        let find = |name: &String| self.project.pipeline.find(name).map_err(|what| Error::Usage { what, hint: String::new() });
        let lists = lists.iter().map(|(from, manifest)| Ok((find(from)?, manifest))).collect::<Result<Vec<_>>>()?;
        let wave = items::Wave::alone(self.project, &originals, stages);
        let tasks = wave.tasks_of(&lists);
        let names: Vec<&str> = stages.iter().map(|stage| self.project.pipeline.stages[*stage].name.as_str()).collect();
        wave.bring(&tasks, &names, self.progress)?;
        let is_open = tasks.par_iter().map(|task| Ok(wave.missing(task)?.is_some())).collect::<Result<Vec<bool>>>()?;
        let open: Vec<&items::Task<'_>> = tasks.iter().zip(is_open).filter(|(_, is_open)| *is_open).map(|(task, _)| task).collect();
        self.fetch(open.iter().map(|task| task.item()))?;
        self.progress.report(Report::Begin { stages: &names, items: open.len() });
        let pushed = self.telling(|| {
            open.par_iter().with_max_len(1).try_for_each(|task| {
                self.go_on()?;
                wave.work(task)?;
                self.progress.report(Report::Advance(1));
                Ok(())
            })
        })?;
        wave.rest()?;
        Ok((open.len(), pushed))
    }

    /// Trains.
    fn train(&self, stage: usize, lists: &[(String, Manifest)], again: Option<&str>) -> Result<(usize, Pushed)> {
        let packed = lists.first().map(|(_, manifest)| manifest.clone()).unwrap_or_default();
        self.fetch(packed.items.iter())?;
        let every = self.publish_every * TRAINING_PARTS;
        let pushed = train::work(self.project, self.shared, stage, &packed, again, every, self.progress)?;
        Ok((packed.items.len(), pushed))
    }

    /// Brings the pictures here that the work begins with.
    fn fetch<'i>(&self, items: impl Iterator<Item = &'i Item>) -> Result<()> {
        let blobs: Vec<(Digest, u64)> = items.map(|item| (item.digest, item.bytes)).collect();
        let gone = bring::fetch(self.project, self.shared, &blobs, &[], self.progress)?;
        match gone.iter().next() {
            None => Ok(()),
            Some(one) => Err(Error::Usage {
                what: format!(
                    "{} of {} pictures to begin with are not in the shared cache, {} for one",
                    gone.len(),
                    blobs.len(),
                    one.short()
                ),
                hint: "run again where the photos are: they are put there anew".to_owned(),
            }),
        }
    }

    fn go_on(&self) -> Result<()> {
        if self.progress.stop_requested() { Err(Error::Stopped) } else { Ok(()) }
    }

    /// Works, and tells of what is done every now and then, and at the end however that came.
    fn telling(&self, work: impl FnOnce() -> Result<()>) -> Result<Pushed> {
        let is_over = (Mutex::new(false), Condvar::new());
        let tell = || -> Result<Pushed> { self.shared.push(finished(self.project, self.project.take_fresh())?, &self.project.store) };
        let teller = || -> Result<Pushed> {
            let mut sum = Pushed::default();
            let mut next = Instant::now() + self.publish_every;
            loop {
                let guard = is_over.0.lock().unwrap_or_else(PoisonError::into_inner);
                let left = next.saturating_duration_since(Instant::now());
                let (guard, _) = is_over.1.wait_timeout_while(guard, left, |over| !*over).unwrap_or_else(PoisonError::into_inner);
                let over = *guard;
                drop(guard);
                sum += tell()?;
                if over {
                    return Ok(sum);
                }
                next = Instant::now() + self.publish_every;
            }
        };
        std::thread::scope(|scope| {
            let teller = scope.spawn(teller);
            let worked = work();
            *is_over.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
            is_over.1.notify_all();
            let told = teller.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            worked.and(told)
        })
    }
}
