//! `Plan`: what `run` would do, counted without doing it.
//!
//! It asks the same questions of the same functions as `run`. A few new photos are looked at to know whether they are
//! duplicates. What cannot be known before the work is done (whether a picture not yet made is rejected) is counted as if every
//! picture went on, and the line is marked as not exact.

use std::{
    cell::{OnceCell, RefCell},
    collections::HashMap,
    sync::Arc,
};

use catgen_api::{Item, Manifest, ManifestId, Rejection, Shape};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{
    Error, Project,
    cache::{
        actions::Outcome,
        views::{Damage, View},
    },
    decide::{self, Freshness},
    error::Result,
    progress::Progress,
    registry::Built,
    run::{
        Originals,
        bring::{self, Found},
        items, names, photo_counts, removed, set, settle, source, train,
    },
};

/// Whether a stage has anything to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Nothing to do.
    Fresh,
    /// Finished before; something changed since.
    Stale,
    /// Never finished.
    Pending,
}

/// What `run` would do in one stage; the names are a contract of `plan --json` and `status --json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanLine {
    /// The stage's name.
    pub stage: String,
    /// Whether it has anything to do.
    pub state: State,
    /// Items that would be served from the cache.
    pub reuse: usize,
    /// Items that stage code would run for.
    pub compute: usize,
    /// Items of the last time that would go.
    pub remove: usize,
    /// Whether the counts are exact, or upper limits because they depend on pictures not yet made.
    pub exact: bool,
    /// Why it is not fresh, or what would be restored in its folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Estimated seconds, from the time that items took before; none if none were ever computed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
}

/// What a stage will have put out, as far as it is known.
enum Forecast {
    /// All of it.
    Settled { id: ManifestId, count: usize, manifest: OnceCell<Arc<Manifest>> },
    /// These items for sure, and so many more per photo once they are made.
    Open { items: Vec<Item>, pending: HashMap<String, usize> },
}

/// So many new pictures are looked at for a plan without anybody noticing.
pub const LOOK_AHEAD: usize = 64;

/// Counts what `run` would do in the selected stages. Whether a new photo is a duplicate is found out for at most `look_ahead`
/// of them, see [`LOOK_AHEAD`]; what is found out is not kept, because a plan writes nothing.
///
/// # Errors
/// A stage that cannot be built, or the store's.
pub fn plan(project: &Project, selected: &[bool], look_ahead: usize) -> Result<Vec<PlanLine>> {
    let mut planner = Planner::new(project, selected, look_ahead)?;
    (0..selected.len()).filter(|stage| selected[*stage]).map(|stage| planner.line(stage)).collect()
}

/// Brings here what a run could use of the shared cache, and computes nothing. Needs the workspace's lock.
///
/// # Errors
/// As [`plan`], and the shared cache's.
pub fn pull(project: &Project, progress: &dyn Progress) -> Result<()> {
    let all = vec![true; project.pipeline.stages.len()];
    let mut planner = Planner::new(project, &all, 0)?;
    for stage in 0..all.len() {
        if project.pipeline.stages[stage].shape() == Shape::Pack
            && let Some(Forecast::Settled { id, .. }) =
                project.pipeline.stages[stage].from.and_then(|from| planner.forecasts[from].as_ref())
        {
            bring::packed(project, stage, &id.items, progress)?;
        }
        planner.line(stage)?;
        planner.found.take().bring(project, &[&project.pipeline.stages[stage].name], progress)?;
    }
    project.store.cas.sync()?;
    project.actions()?.sync()
}

/// Stages that are not in the pipeline any more, renamed or taken out, whose folders below `data/` are still there. One that holds the folder of a
/// stage of today is not among them.
pub fn leftovers(project: &Project) -> Vec<String> {
    let names = || project.pipeline.stages.iter().map(|stage| stage.name.as_str());
    let is_used = |old: &str| names().any(|name| name == old || name.strip_prefix(old).is_some_and(|rest| rest.starts_with('/')));
    let gone = project.states.iter().map(|(name, _)| name).filter(|name| !is_used(name) && project.workspace.stage_folder(name).is_dir());
    gone.map(str::to_owned).collect()
}

struct Planner<'a> {
    project: &'a Project,
    views: Vec<Option<(View, Damage)>>,
    forecasts: Vec<Option<Forecast>>,
    originals: Originals,
    /// How many new pictures a set stage may look at before it gives an upper limit instead.
    look_ahead: usize,
    /// What the shared cache has and this workspace has not.
    found: RefCell<Found>,
}

/// What one stage would do.
#[derive(Default)]
struct Counted {
    items: Vec<Item>,
    rejections: Vec<Rejection>,
    pending: HashMap<String, usize>,
    reuse: usize,
    compute: usize,
    /// Whether the pending counts are what will really come.
    exact: bool,
}

impl<'a> Planner<'a> {
    fn new(project: &'a Project, selected: &[bool], look_ahead: usize) -> Result<Self> {
        let views = decide::folders(project, selected)?;
        let forecasts = (0..selected.len()).map(|_| None).collect();
        Ok(Self { project, views, forecasts, originals: Originals::default(), look_ahead, found: RefCell::default() })
    }

    fn line(&mut self, stage: usize) -> Result<PlanLine> {
        let project = self.project;
        let declared = &project.pipeline.stages[stage];
        let before = project.states.get(&declared.name);
        // What is missing on this machine is that stage's news; a mistake in the file is everybody's.
        if let Err(error @ Error::Stage { .. }) = project.node(stage) {
            self.forecasts[stage] = Some(Forecast::Open { items: Vec::new(), pending: HashMap::new() });
            let state = if before.is_none() { State::Pending } else { State::Stale };
            let hint = error.hint().map_or(String::new(), |hint| format!("; {hint}"));
            let reason = Some(format!("{error}{hint}"));
            return Ok(PlanLine {
                stage: declared.name.clone(),
                state,
                reuse: 0,
                compute: 0,
                remove: 0,
                exact: false,
                reason,
                seconds: None,
            });
        }
        project.node(stage)?;
        let changed = before.map(|state| decide::parameters_changed(project, stage, state)).transpose()?.flatten();
        let mut line = PlanLine {
            stage: declared.name.clone(),
            state: if before.is_none() { State::Pending } else { State::Stale },
            reuse: 0,
            compute: 0,
            remove: 0,
            exact: true,
            reason: changed,
            seconds: None,
        };
        if declared.shape() == Shape::Train {
            self.train(stage, &mut line)?;
        } else if !self.fresh(stage, &mut line)? {
            let counted = match declared.shape() {
                Shape::Source => self.source(stage)?,
                Shape::Item => self.items(stage)?,
                Shape::Set => self.set(stage)?,
                Shape::Pack | Shape::Train => self.pack(stage, &mut line)?,
            };
            (line.reuse, line.compute, line.exact) = (counted.reuse, counted.compute, counted.exact);
            let old = before.and_then(|state| project.store.manifest(&state.output));
            let forecast = if declared.shape() == Shape::Pack { self.forecasts[stage].take() } else { None };
            let forecast = forecast.unwrap_or_else(|| settle(counted));
            line.remove = match (&old, &forecast) {
                (Some(old), Forecast::Settled { manifest, .. }) => {
                    manifest.get().map_or(0, |now| removed(&old.items, &photo_counts(&now.items)))
                }
                // Files made from all photos stay; pictures that it links go with their photos.
                (Some(old), Forecast::Open { .. }) if declared.shape() == Shape::Pack => {
                    let (input, pending) = self.input(stage);
                    let mut counts = photo_counts(&input.items);
                    counts.insert("", usize::MAX);
                    for (photo, more) in &pending {
                        *counts.entry(photo).or_default() += more;
                    }
                    removed(&old.items, &counts)
                }
                (Some(old), Forecast::Open { items, pending }) => {
                    let mut counts = photo_counts(items);
                    for (photo, more) in pending {
                        *counts.entry(photo).or_default() += more;
                    }
                    removed(&old.items, &counts)
                }
                _ => 0,
            };
            let same = matches!((&forecast, before), (Forecast::Settled { id, .. }, Some(before)) if before.output == id.file);
            if same && line.compute == 0 && line.reason.is_none() {
                line.state = State::Fresh;
            } else if line.reason.is_none() && before.is_some() {
                line.reason = Some(if declared.from.is_none() { "photos changed" } else { "the pictures it reads change" }.to_owned());
            }
            self.forecasts[stage] = Some(forecast);
        }
        line.seconds = before.filter(|state| state.seconds_per_item > 0.0).map(|state| {
            let threads = rayon::current_num_threads().max(1) as f64;
            crate::record::round(
                state.seconds_per_item * line.compute as f64 / if declared.shape() == Shape::Train { 1.0 } else { threads },
            )
        });
        Ok(line)
    }

    /// The short way: same input, same parameters, folder as it should be.
    fn fresh(&mut self, stage: usize, line: &mut PlanLine) -> Result<bool> {
        let declared = &self.project.pipeline.stages[stage];
        let Some(from) = declared.from else { return Ok(false) };
        let Some(Forecast::Settled { id, count, .. }) = &self.forecasts[from] else { return Ok(false) };
        let (id, count) = (*id, *count);
        let view = self.views[stage].as_ref().map(|(view, damage)| (view, damage));
        match decide::freshness(self.project, stage, &id, view)? {
            Freshness::Fresh => {}
            Freshness::Stale(reason) => {
                line.reason = Some(reason);
                return Ok(false);
            }
            Freshness::Pending => return Ok(false),
        }
        let state = self.project.states.get(&declared.name).expect("a fresh stage has a state");
        line.state = State::Fresh;
        line.reuse = if declared.shape() == Shape::Item { state.items + state.rejections } else { count };
        if let Some((_, damage)) = self.views[stage].as_ref().filter(|(_, damage)| !damage.is_none()) {
            let files = damage.missing.len() + damage.tampered.len() + damage.foreign.len();
            line.reason = Some(format!("{files} files in its folder are not as they were left and will be restored or moved aside"));
        }
        self.forecasts[stage] = Some(Forecast::Settled { id: state.put_out(), count: state.items, manifest: OnceCell::new() });
        Ok(true)
    }

    /// What the stage before will have put out: known items, and how many more per photo.
    fn input(&self, stage: usize) -> (Arc<Manifest>, HashMap<String, usize>) {
        let from = self.project.pipeline.stages[stage].from.expect("only `original` reads no stage, and it is not asked");
        match self.forecasts[from].as_ref() {
            Some(Forecast::Settled { id, manifest, .. }) => {
                let manifest = manifest.get_or_init(|| Arc::new(self.project.store.manifest(&id.file).unwrap_or_default()));
                (Arc::clone(manifest), HashMap::new())
            }
            Some(Forecast::Open { items, pending }) => {
                (Arc::new(Manifest { items: items.clone(), rejections: Vec::new() }), pending.clone())
            }
            None => (Arc::default(), HashMap::new()),
        }
    }

    fn source(&mut self, stage: usize) -> Result<Counted> {
        let scan = source::scan(self.project, stage, &|_, _| Ok(()), &|_| {}, &|_| {})?;
        self.originals = scan.originals;
        let files = scan.manifest.items.len() + scan.manifest.rejections.len();
        let Manifest { items, rejections } = scan.manifest;
        Ok(Counted { items, rejections, compute: scan.computed, reuse: files - scan.computed, exact: true, ..Counted::default() })
    }

    fn items(&self, stage: usize) -> Result<Counted> {
        let (manifest, pending) = self.input(stage);
        let Built::Item(code) = &self.project.node(stage)?.built else { return Ok(Counted::default()) };
        let fan_out = code.fan_out();
        let mut counted = Counted { exact: true, ..Counted::default() };
        let mut asked_now = std::collections::HashSet::new();
        for (item, stem) in manifest.items.iter().zip(names::stems(&manifest.items)) {
            let asked = decide::item(self.project, stage, item)?;
            self.found.borrow_mut().note(self.project, stage, &asked)?;
            match asked.known {
                Some(Outcome::Keep(outputs)) => {
                    counted.reuse += outputs.len();
                    counted.items.extend(outputs.iter().map(|output| names::follow(item, &stem, output).0));
                }
                Some(Outcome::Reject { kind, reason }) => {
                    counted.reuse += 1;
                    counted.rejections.push(settle::rejection_of(item, kind, reason));
                }
                Some(_) => {}
                None => {
                    // Of equal content, `run` computes the first and reuses it for the rest.
                    let first = asked_now.insert(asked.key);
                    *(if first { &mut counted.compute } else { &mut counted.reuse }) += fan_out;
                    *counted.pending.entry(item.photo.path.clone()).or_default() += fan_out;
                }
            }
        }
        for (photo, count) in pending {
            counted.compute += count * fan_out;
            *counted.pending.entry(photo).or_default() += count * fan_out;
        }
        counted.exact = self.is_exact(stage) && counted.pending.is_empty();
        Ok(counted)
    }

    fn set(&self, stage: usize) -> Result<Counted> {
        let (manifest, pending) = self.input(stage);
        let mut counted = Counted { exact: self.is_exact(stage), ..Counted::default() };
        let (mut known, mut unknown) = (HashMap::new(), Vec::new());
        let mut seen = std::collections::HashSet::new();
        for item in manifest.items.iter().filter(|item| seen.insert(item.digest)) {
            match set::known_fact(self.project, stage, &item.digest)? {
                Some(fact) => drop(known.insert(item.digest, fact)),
                None => unknown.push(item),
            }
        }
        counted.compute = unknown.len();
        let code = set::code(self.project, stage)?;
        if unknown.len() <= self.look_ahead {
            let (project, originals) = (self.project, &self.originals);
            let look = |item: &&Item| Ok((item.digest, set::look(project, originals, stage, code, item)?));
            known.extend(unknown.par_iter().map(look).collect::<Result<Vec<_>>>()?);
        } else {
            for item in manifest.items.iter().filter(|item| !known.contains_key(&item.digest)) {
                *counted.pending.entry(item.photo.path.clone()).or_default() += 1;
            }
            counted.exact = false;
        }
        counted.reuse = manifest.items.len() - counted.compute;
        let decided = set::decide_all(&self.project.pipeline.stages[stage].name, code, &manifest.items, &known)?;
        (counted.items, counted.rejections) = (decided.items, decided.rejections);
        for (photo, count) in pending {
            counted.compute += count;
            counted.exact = false;
            *counted.pending.entry(photo).or_default() += count;
        }
        Ok(counted)
    }

    fn pack(&mut self, stage: usize, line: &mut PlanLine) -> Result<Counted> {
        let (manifest, pending) = self.input(stage);
        let items_in = manifest.items.len() + pending.values().sum::<usize>();
        let from = self.project.pipeline.stages[stage].from.expect("a pack stage reads a stage");
        if let Some(Forecast::Settled { id, .. }) = &self.forecasts[from]
            && let (_, Some(Outcome::Packed { manifest: file })) = decide::whole(self.project, stage, &id.items)?
            && let Some(packed) = self.project.store.manifest(&file)
        {
            let count = packed.items.len();
            self.forecasts[stage] = Some(Forecast::Settled {
                id: ManifestId { file, items: packed.encode().1.items },
                count,
                manifest: OnceCell::from(Arc::new(packed)),
            });
            return Ok(Counted { reuse: items_in, exact: true, ..Counted::default() });
        }
        if line.state == State::Stale {
            line.reason = line.reason.take().or_else(|| Some("the pictures it reads change".to_owned()));
        }
        self.forecasts[stage] = Some(Forecast::Open { items: Vec::new(), pending: HashMap::new() });
        Ok(Counted { compute: items_in, exact: self.is_exact(stage), ..Counted::default() })
    }

    fn train(&mut self, stage: usize, line: &mut PlanLine) -> Result<()> {
        let from = self.project.pipeline.stages[stage].from.expect("a training reads a stage");
        if let Some(Forecast::Settled { id, .. }) = &self.forecasts[from]
            && decide::freshness(self.project, stage, id, None)? == Freshness::Fresh
            && train::last_folder(self.project, stage).is_some()
        {
            (line.state, line.reuse) = (State::Fresh, 1);
            return Ok(());
        }
        let (manifest, _) = self.input(stage);
        let known = match train::Dataset::of(&manifest) {
            Some(dataset) => decide::whole(self.project, stage, &dataset.identity())?.1,
            None => None,
        };
        match known {
            Some(Outcome::Trained { folder }) if train::is_there(self.project, &folder) => {
                (line.state, line.reuse, line.reason) = (State::Fresh, 1, None);
            }
            _ => {
                line.compute = 1;
                let changed = || "the dataset changes".to_owned();
                line.reason = line.reason.take().or_else(|| (line.state == State::Stale).then(changed));
            }
        }
        Ok(())
    }

    /// Whether everything before the stage is known for sure.
    fn is_exact(&self, stage: usize) -> bool {
        let from = self.project.pipeline.stages[stage].from;
        from.is_none_or(|from| matches!(self.forecasts[from], Some(Forecast::Settled { .. })))
    }
}

fn settle(counted: Counted) -> Forecast {
    if !counted.pending.is_empty() {
        return Forecast::Open { items: counted.items, pending: counted.pending };
    }
    let manifest = items::manifest_of(counted.items, counted.rejections);
    Forecast::Settled { id: manifest.encode().1, count: manifest.items.len(), manifest: OnceCell::from(Arc::new(manifest)) }
}
