//! Before anything is computed, what others computed is brought here: the pictures in packs, many at once.
//!
//! Whoever looks up items notes here what it found in the shared cache only. What arrives is then recorded as if it had been computed in
//! this workspace; what does not arrive is a miss from then on.

use std::{collections::HashMap, time::Duration};

use catgen_api::{Digest, Manifest};

use crate::{
    Project,
    cache::actions::Outcome,
    decide::{self, Asked},
    error::Result,
    key::ActionKey,
    progress::{Progress, Report, Silent, Traffic},
    shared::SharedCache,
};

/// What was found in the shared cache and is not here.
#[derive(Debug, Default)]
pub(crate) struct Found {
    actions: Vec<(ActionKey, Outcome)>,
    blobs: HashMap<Digest, u64>,
}

impl Found {
    /// Notes what is not here of something known.
    pub(crate) fn note(&mut self, project: &Project, stage: usize, asked: &Asked) -> Result<()> {
        let Some(outcome) = asked.known.as_ref().filter(|_| project.shared.is_some()) else { return Ok(()) };
        if project.actions()?.get(&asked.key).is_none() {
            self.actions.push((asked.key, outcome.clone()));
        }
        let Outcome::Keep(stored) = outcome else { return Ok(()) };
        let missing = decide::kept(project, stage, stored).filter(|output| !project.store.cas.has(&output.digest, output.bytes));
        self.blobs.extend(missing.map(|output| (output.digest, output.bytes)));
        Ok(())
    }

    pub(crate) fn merge(mut self, other: Self) -> Self {
        self.actions.extend(other.actions);
        self.blobs.extend(other.blobs);
        self
    }

    /// Brings it here and records it. Without a shared cache that is out of reach everything goes on as if nothing were in it.
    ///
    /// # Errors
    /// The shared cache's, unless it is only out of reach; the store's.
    pub(crate) fn bring(self, project: &Project, stages: &[&str], progress: &dyn Progress) -> Result<()> {
        let Some(shared) = &project.shared else { return Ok(()) };
        self.bring_from(project, shared, stages, progress).or_else(|error| shared.without(error))
    }

    /// Brings it here and records it.
    ///
    /// # Errors
    /// The shared cache's; the store's.
    pub(crate) fn bring_from(self, project: &Project, shared: &SharedCache, stages: &[&str], progress: &dyn Progress) -> Result<()> {
        if self.actions.is_empty() && self.blobs.is_empty() {
            return Ok(());
        }
        let blobs: Vec<(Digest, u64)> = self.blobs.into_iter().collect();
        let gone = fetch(project, shared, &blobs, stages, progress)?;
        for (key, outcome) in self.actions {
            let is_whole = match &outcome {
                Outcome::Keep(stored) => stored.iter().all(|output| !gone.contains(&output.digest)),
                _ => true,
            };
            if is_whole {
                let micros = shared.outcome(&key)?.map_or(0, |(_, micros)| micros);
                project.actions()?.put_timed(&key, &outcome, Duration::from_micros(micros))?;
            }
        }
        Ok(())
    }
}

/// Brings here what a stage that writes files made of its whole input, if somebody did that.
pub(crate) fn packed(project: &Project, stage: usize, input: &Digest, progress: &dyn Progress) -> Result<()> {
    let Some(shared) = &project.shared else { return Ok(()) };
    let key = project.node(stage)?.components.key_for(input, &[]);
    if project.actions()?.get(&key).is_some() {
        return Ok(());
    }
    let Some((outcome @ Outcome::Packed { manifest: file }, micros)) = shared.outcome(&key)? else { return Ok(()) };
    let name = project.pipeline.stages[stage].name.as_str();
    let bring = || -> Result<bool> {
        let Some((_, bytes)) = listed(project, shared, &file, &[name], progress)? else { return Ok(false) };
        project.store.put_manifest_bytes(&file, &bytes)?;
        Ok(true)
    };
    match bring() {
        Ok(false) => Ok(()),
        Ok(true) => project.actions()?.put_timed(&key, &outcome, Duration::from_micros(micros)),
        Err(error) => shared.without(error),
    }
}

/// Brings a list of files here, and the files on it; answers the list and its bytes, or none unless all of that came.
pub(crate) fn listed(
    project: &Project,
    shared: &SharedCache,
    list: &Digest,
    stages: &[&str],
    progress: &dyn Progress,
) -> Result<Option<(Manifest, Vec<u8>)>> {
    let Some(size) = shared.size_of(list)? else { return Ok(None) };
    if !fetch(project, shared, &[(*list, size)], stages, &Silent)?.is_empty() {
        return Ok(None);
    }
    let bytes = project.store.cas.read(list)?;
    let Ok(manifest) = Manifest::from_bytes(&bytes) else { return Ok(None) };
    let missing = manifest.items.iter().filter(|item| !project.store.cas.has(&item.digest, item.bytes));
    let missing: Vec<(Digest, u64)> = missing.map(|item| (item.digest, item.bytes)).collect();
    let gone = fetch(project, shared, &missing, stages, progress)?;
    Ok(gone.is_empty().then_some((manifest, bytes)))
}

/// Brings files here; answers those that were not there after all.
pub(crate) fn fetch(
    project: &Project,
    shared: &SharedCache,
    blobs: &[(Digest, u64)],
    stages: &[&str],
    progress: &dyn Progress,
) -> Result<std::collections::HashSet<Digest>> {
    if blobs.is_empty() {
        return Ok(Default::default());
    }
    progress.report(Report::Begin { stages, items: blobs.len() });
    let scratch = project.store.scratch()?;
    let fetched = shared.fetch(blobs, &project.store.cas, scratch.path(), &|n| progress.report(Report::Advance(n)))?;
    if fetched.blobs > 0 {
        progress.report(Report::Traffic(Traffic { pulled: fetched.blobs, pushed: 0, bytes: fetched.bytes }));
    }
    Ok(fetched.gone)
}
