//! Having others compute what is missing, and waiting for it.
//!
//! What they finish is brought here while they work on the rest. Only the shared cache says what is done. A job that is over with
//! something missing is tried again with what is missing, as long as something comes of it; a job that Slurm forgot is over; one of which
//! nobody knows just now may still do its work. A run that is killed finds its job again in `.catgen/jobs/jobs.json` and goes on waiting
//! for it.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use catgen_api::{Item, Shape};
use rayon::prelude::*;

use super::Run;
use crate::{
    Error, Project,
    cache::write_whole,
    error::Result,
    executor::{self, Executor, Job, State, Work},
    key::ActionKey,
    order::{self, Asked, Order, Told},
    progress::Report,
    record,
    shared::SharedCache,
};

/// How long to wait before looking again: a small part of what was waited for so far, so that short work is not waited for long and long
/// work is not asked for all the time; and not less than the last look took. The executor is asked less often: a controller has better
/// things to do, and what it says matters only where work was lost.
const LOOK: Pause = Pause { part: 100, from: Duration::from_millis(500), to: Duration::from_secs(15) };
const POLL: Pause = Pause { part: 20, from: Duration::from_millis(500), to: Duration::from_secs(30) };

struct Pause {
    part: u32,
    from: Duration,
    to: Duration,
}

impl Pause {
    fn after(&self, waited: Duration) -> Duration {
        (waited / self.part).clamp(self.from, self.to)
    }
}

/// Names in a message about what is missing.
const NAMED: usize = 5;

/// Items that others are asked to work on, known by their positions.
pub(super) trait Delegated: Sync {
    /// The first action that is missing of an item; none if it is done.
    fn missing(&self, at: usize) -> Result<Option<ActionKey>>;

    /// What is known of an item, and its worker has to know.
    fn told(&self, _: usize) -> Result<Vec<Told>> {
        Ok(Vec::new())
    }

    /// Takes in what became of items that are done.
    fn take(&self, _: &[usize]) -> Result<()> {
        Ok(())
    }

    /// Called at each look: for what is worth having before anything is done.
    fn hear(&self) -> Result<()> {
        Ok(())
    }
}

/// Has items computed elsewhere in these stages, each given with the stage that put it out, and waits until all of them are. Does
/// nothing if this process is to do the work itself. Answers whether anything was computed elsewhere.
///
/// # Errors
/// Work that is not taken, or that is not done after all attempts or at the deadline.
pub(super) fn delegate(run: &Run<'_>, stages: &[usize], items: &[(usize, &Item)], work: &dyn Delegated) -> Result<bool> {
    let settings = &run.project.pipeline.executor;
    if items.len() < settings.min_items {
        return Ok(false);
    }
    delegate_in(run, stages, items, settings.shards, work)
}

/// As [`delegate`], for work in so many parts, however small.
pub(super) fn delegate_in(run: &Run<'_>, stages: &[usize], items: &[(usize, &Item)], shards: usize, work: &dyn Delegated) -> Result<bool> {
    let project = &*run.project;
    let settings = &project.pipeline.executor;
    let Some(executor) = executor::of(project) else { return Ok(false) };
    let shared = shared(project)?;
    let names: Vec<&str> = stages.iter().map(|stage| project.pipeline.stages[*stage].name.as_str()).collect();
    let again = run.options.train_again.then(|| run.record.run.id.clone());
    run.progress.report(Report::Begin { stages: &names, items: items.len() });
    let deadline = Instant::now() + Duration::from_secs(60 * settings.deadline);
    let mut left: Vec<Left> = (0..items.len()).map(|at| Left { at, missing: None }).collect();
    let (mut attempt, mut fruitless) = (0, 0);
    let mut job = jobs(project).into_iter().find(|job| job.stages == names && matches!(executor.poll(job), State::Alive { .. }));
    if let Some(job) = &job {
        run.progress.report(Report::Warning(format!("{}: waiting for job {}, which is at it already", names.join(", "), job.id)));
    }
    loop {
        let current = match job.take() {
            Some(job) => job,
            None => {
                attempt += 1;
                let missing: Vec<(usize, &Item)> = left.iter().map(|left| items[left.at]).collect();
                share_inputs(run, shared, &missing)?;
                let told = left.par_iter().map(|left| work.told(left.at)).collect::<Result<Vec<_>>>()?;
                let asked = Asked { stages, items: &missing, told: &told, shards, again: again.as_deref() };
                submit(project, executor.as_ref(), &asked, attempt)?
            }
        };
        remember(project, &current)?;
        let waiting = Waiting { run, shared, executor: executor.as_ref(), job: &current, work, deadline };
        let waited = waiting.wait(&mut left);
        if !matches!(waited, Err(Error::Stopped)) {
            forget(project, &current)?;
        }
        let came = waited?;
        if left.is_empty() {
            return Ok(true);
        }
        // Who had to make room for others, again and again, is no reason to give up.
        fruitless = if came { 0 } else { fruitless + 1 };
        let (missing, of) = (left.len(), items.len());
        if fruitless >= settings.attempts {
            let some: Vec<&str> = left.iter().take(NAMED).map(|left| items[left.at].1.name.as_str()).collect();
            let more = if missing > NAMED { format!(" and {} more", missing - NAMED) } else { String::new() };
            return Err(Error::Stage {
                stage: names.join(", "),
                what: format!("{missing} of {of} pictures are still missing after {attempt} attempts: {}{more}", some.join(", ")),
                hint: format!("{} says why; what is done is kept, and `run` goes on from there", executor.log(&current).display()),
            });
        }
        let again = format!("{}: job {} is over and {missing} of {of} pictures are missing; trying again", names.join(", "), current.id);
        run.progress.report(Report::Warning(again));
        waiting.sleep(executor.pause())?;
    }
}

/// The shared cache, without which nobody learns of anybody's work.
pub(crate) fn shared(project: &Project) -> Result<&SharedCache> {
    let none = || Error::Usage {
        what: "work can be done elsewhere only with a shared cache, and pipeline.toml names none".to_owned(),
        hint: "add `[cache]` with `remote = \"file:///a/folder/that/all/machines/see\"` or `remote = \"s3://bucket/prefix\"`".to_owned(),
    };
    let shared = project.shared.as_ref().ok_or_else(none)?;
    if shared.is_lost() {
        return Err(Error::Shared {
            what: format!(
                "the shared cache {} is out of reach, and without it nobody learns of work that is done elsewhere",
                shared.address()
            ),
            hint: "run again when it is back, or with `--set executor.kind=local`".to_owned(),
            is_away: false,
        });
    }
    Ok(shared)
}

/// Puts the pictures that the work begins with where workers find them.
fn share_inputs(run: &Run<'_>, shared: &SharedCache, items: &[(usize, &Item)]) -> Result<()> {
    let store = &run.project.store;
    items.par_iter().filter(|(_, item)| !store.cas.has(&item.digest, item.bytes)).try_for_each(|(from, item)| {
        let is_here = match run.originals.path(&item.digest) {
            Some(path) => store.cas.adopt_copy(path, &item.digest, item.bytes)?,
            // What the shared cache has anyway need not be here.
            None => shared.has(&item.digest, item.bytes)?,
        };
        if is_here {
            return Ok(());
        }
        Err(Error::Stage {
            stage: run.project.pipeline.stages[*from].name.clone(),
            what: format!("{} was changed while it was being worked on", item.name),
            hint: "run again: it is taken as it is now".to_owned(),
        })
    })?;
    let blobs = items.iter().map(|(_, item)| (item.digest, item.bytes)).filter(|(blob, bytes)| store.cas.has(blob, *bytes));
    shared.push_blobs(blobs.collect(), store).map(|_| ())
}

fn submit(project: &Project, executor: &dyn Executor, asked: &Asked<'_>, attempt: usize) -> Result<Job> {
    let shared = shared(project)?;
    let (order, digest) = Order::write(project, shared, asked)?;
    let is_training = asked.stages.iter().any(|stage| project.pipeline.stages[*stage].shape() == Shape::Train);
    let work = Work { order: digest, shards: order.with_work(), attempt, remote: shared.address().to_owned(), is_training };
    let id = executor.submit(&work)?;
    let stages = order.stages.into_iter().map(|part| part.name).collect();
    Ok(Job { id, name: work.name(), order: digest, attempt, stages, submitted: record::now() })
}

/// An item that is not done.
struct Left {
    at: usize,
    /// The first action that was missing of it, once somebody looked.
    missing: Option<ActionKey>,
}

/// Somebody who waits for a job.
struct Waiting<'a> {
    run: &'a Run<'a>,
    shared: &'a SharedCache,
    executor: &'a dyn Executor,
    job: &'a Job,
    work: &'a dyn Delegated,
    deadline: Instant,
}

impl Waiting<'_> {
    /// Waits until nothing is left, or until the job is over. Answers whether anything came of it.
    fn wait(&self, left: &mut Vec<Left>) -> Result<bool> {
        let began = Instant::now();
        let told = order::told(&self.job.order, None);
        let (mut came, mut is_over, mut poll) = (false, false, Instant::now());
        loop {
            let look = Instant::now();
            match self.shared.refresh_told(&told).and_then(|news| self.look(left).map(|()| news > 0)) {
                Ok(news) => came |= news,
                // It may come back; what is done meanwhile is not lost.
                Err(error @ Error::Shared { is_away: true, .. }) if Instant::now() < self.deadline => {
                    tracing::warn!("{error}; trying again")
                }
                Err(error) => return Err(error),
            }
            // What a job did last was told of before it was over: so one more look after that is enough.
            if left.is_empty() || is_over {
                return Ok(came);
            }
            if poll <= Instant::now() {
                is_over = self.executor.poll(self.job) == State::Over;
                poll = Instant::now() + POLL.after(began.elapsed());
            }
            if Instant::now() > self.deadline {
                self.executor.cancel(self.job)?;
                return Err(self.too_late(left.len()));
            }
            if !is_over {
                self.sleep(LOOK.after(began.elapsed()).max(look.elapsed()))?;
            }
        }
    }

    /// Takes what is done out of what is left. What somebody waits for is looked at only when that was told of.
    fn look(&self, left: &mut Vec<Left>) -> Result<()> {
        let look = |left: &Left| -> Result<Option<ActionKey>> {
            match left.missing {
                Some(key) if !self.shared.knows(&key)? => Ok(Some(key)),
                _ => self.work.missing(left.at),
            }
        };
        let missing = left.par_iter().map(look).collect::<Result<Vec<_>>>()?;
        left.iter_mut().zip(missing).for_each(|(left, missing)| left.missing = missing);
        let done: Vec<usize> = left.iter().filter(|left| left.missing.is_none()).map(|left| left.at).collect();
        self.work.take(&done)?;
        left.retain(|left| left.missing.is_some());
        self.run.progress.report(Report::Advance(done.len()));
        self.work.hear()
    }

    fn sleep(&self, pause: Duration) -> Result<()> {
        let until = Instant::now() + pause;
        while Instant::now() < until {
            if self.run.progress.stop_requested() {
                let cancel = self.executor.cancel_by_hand(self.job);
                let words = format!("job {} goes on: `catgen-pipe run` waits for it again, `{cancel}` ends it", self.job.id);
                self.run.progress.report(Report::Warning(words));
                return Err(Error::Stopped);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    fn too_late(&self, left: usize) -> Error {
        Error::Stage {
            stage: self.job.stages.join(", "),
            what: format!("{left} pictures are not done at the deadline; job {} was ended", self.job.id),
            hint: "look whether the cluster is at work (`squeue`, `sinfo`); `deadline` in [executor] is in minutes".to_owned(),
        }
    }
}

/// Jobs of runs that were killed or stopped while they waited, and of this one.
pub(crate) fn jobs(project: &Project) -> Vec<Job> {
    let bytes = std::fs::read(path(project)).unwrap_or_default();
    serde_json::from_slice(&bytes).unwrap_or_default()
}

fn remember(project: &Project, job: &Job) -> Result<()> {
    let mut jobs = jobs(project);
    if jobs.contains(job) {
        return Ok(());
    }
    jobs.push(job.clone());
    save(project, &jobs)
}

fn forget(project: &Project, job: &Job) -> Result<()> {
    let mut jobs = jobs(project);
    jobs.retain(|other| other != job);
    save(project, &jobs)
}

fn save(project: &Project, jobs: &[Job]) -> Result<()> {
    write_whole(&path(project), &serde_json::to_vec_pretty(jobs).expect("jobs are plain data"))
}

fn path(project: &Project) -> PathBuf {
    project.store.path("jobs").join("jobs.json")
}
