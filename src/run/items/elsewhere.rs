//! Having others take pictures through item stages.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
};

use catgen_api::Item;
use rayon::prelude::*;

use super::{Run, Task, Wave};
use crate::{
    cache::actions::Outcome,
    decide,
    error::Result,
    executor,
    key::ActionKey,
    order::Told,
    progress::Aside,
    run::{
        bring::Found,
        delegate::{self, Delegated},
    },
};

/// The tasks of a wave of which something is missing.
struct Open<'a> {
    wave: &'a Wave<'a>,
    progress: Aside<'a>,
    /// Items, each with its task.
    items: Vec<(&'a Task<'a>, &'a Item)>,
    /// What was known before, and what has become known.
    before: HashSet<ActionKey>,
    since: Mutex<HashSet<ActionKey>>,
}

/// Has others compute what is missing, if the pipeline says so, and brings it here; answers the actions that they computed.
pub(super) fn delegate(wave: &Wave<'_>, run: &Run<'_>, tasks: &[Task<'_>]) -> Result<HashSet<ActionKey>> {
    if executor::of(wave.project).is_none() {
        return Ok(HashSet::new());
    }
    let look = |task| {
        let (mut keys, mut is_open) = (Vec::new(), false);
        wave.follow(task, &mut |_, asked| {
            keys.extend(asked.known.as_ref().map(|_| asked.key));
            is_open |= asked.known.is_none();
            Ok(())
        })?;
        Ok(is_open.then_some((task, keys)))
    };
    let open: Vec<(&Task<'_>, Vec<ActionKey>)> = tasks.par_iter().map(look).collect::<Result<Vec<_>>>()?.into_iter().flatten().collect();
    let items: Vec<(&Task<'_>, &Item)> = open.iter().flat_map(|(task, _)| task.items.iter().map(|queued| (*task, queued.item))).collect();
    let before = open.into_iter().flat_map(|(_, keys)| keys).collect();
    let wanted: Vec<(usize, &Item)> = items.iter().map(|(task, item)| (task.from, *item)).collect();
    let stages: Vec<usize> = wave.branches.iter().map(|branch| branch.stage).collect();
    let open = Open { wave, progress: Aside::new(run.progress), items, before, since: Mutex::default() };
    let delegated = delegate::delegate(run, &stages, &wanted, &open);
    open.progress.tell();
    delegated?;
    Ok(open.since.into_inner().unwrap_or_else(PoisonError::into_inner))
}

impl Delegated for Open<'_> {
    fn missing(&self, at: usize) -> Result<Option<ActionKey>> {
        self.wave.missing(self.items[at].0)
    }

    /// What became of it so far, where its files are there for others, too.
    fn told(&self, at: usize) -> Result<Vec<Told>> {
        let project = self.wave.project;
        let shared = delegate::shared(project)?;
        let mut told = Vec::new();
        let mut note = |stage, asked: &decide::Asked| -> Result<()> {
            let Some(outcome) = &asked.known else { return Ok(()) };
            let files: Vec<_> = match outcome {
                Outcome::Keep(stored) => decide::kept(project, stage, stored).map(|output| (output.digest, output.bytes)).collect(),
                _ => Vec::new(),
            };
            for (file, bytes) in &files {
                if !shared.has(file, *bytes)? {
                    return Ok(());
                }
            }
            told.push(Told { key: asked.key, outcome: outcome.clone(), files });
            Ok(())
        };
        self.wave.follow(self.items[at].0, &mut note)?;
        Ok(told)
    }

    /// Brings it here, while the rest is being worked on.
    fn take(&self, done: &[usize]) -> Result<()> {
        let project = self.wave.project;
        let look = |at: &usize| -> Result<(Found, Vec<ActionKey>)> {
            let (mut found, mut keys) = (Found::default(), Vec::new());
            self.wave.follow(self.items[*at].0, &mut |stage, asked| {
                keys.extend(asked.known.as_ref().map(|_| asked.key).filter(|key| !self.before.contains(key)));
                found.note(project, stage, asked)
            })?;
            Ok((found, keys))
        };
        let looked = done.par_iter().map(look).collect::<Result<Vec<_>>>()?;
        let (found, keys): (Vec<Found>, Vec<Vec<ActionKey>>) = looked.into_iter().unzip();
        let found = found.into_iter().fold(Found::default(), Found::merge);
        found.bring_from(project, delegate::shared(project)?, &[], &self.progress)?;
        self.since.lock().unwrap_or_else(PoisonError::into_inner).extend(keys.into_iter().flatten());
        Ok(())
    }
}
