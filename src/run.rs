//! The one loop.
//!
//! Stages run in the pipeline's order. Item stages that follow one another run as one group, so that a picture is handed
//! from one to the next in memory; every other stage is a barrier. Each finished stage is published at once: blobs flushed,
//! manifest written, folder brought up to date, state noted, in that order.

pub(crate) mod items;
mod originals;
mod pack;
mod pictures;
pub(crate) mod set;
pub(crate) mod source;
pub(crate) mod train;

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
    time::Duration,
};

use catgen_api::{Digest, Item, Manifest, Shape};
pub(crate) use originals::Originals;
pub(crate) use pictures::Lazy;
use rayon::prelude::*;

use crate::{
    Error, Project,
    cache::{
        states::State,
        views::{Damage, View, Wanted},
    },
    decide::{self, Freshness},
    error::Result,
    progress::{Progress, Report, StageReport, Status},
    record::{self, Record},
};

/// What to run.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Only these stages and what they need; all if empty.
    pub until: Vec<usize>,
    /// Only this stage and what needs it; what comes before is taken as it was last finished.
    pub from: Option<usize>,
    /// If the workspace is busy: fail instead of waiting.
    pub no_wait: bool,
    /// Train again even where the same training was done before.
    pub train_again: bool,
}

/// What a run came to.
#[derive(Debug, Clone)]
pub struct Summary {
    /// The run's id.
    pub id: String,
    /// How it ended.
    pub status: Status,
    /// How long it took.
    pub seconds: f64,
    /// What each stage did.
    pub stages: Vec<StageReport>,
}

/// A run at work.
pub(crate) struct Run<'a> {
    pub(crate) project: &'a mut Project,
    pub(crate) progress: &'a dyn Progress,
    pub(crate) options: &'a Options,
    pub(crate) record: Record,
    /// Per stage: its folder and what is wrong with it. None for `original`, whose folder is the user's, and for training.
    views: Vec<Option<(View, Damage)>>,
    /// Per finished stage: what it put out.
    shelf: Vec<Option<Shelved>>,
    pub(crate) originals: Originals,
}

/// What a finished stage put out; the manifest is read only if somebody asks for it.
#[derive(Debug)]
pub(crate) struct Shelved {
    pub(crate) digest: Digest,
    pub(crate) items: usize,
    manifest: OnceLock<Arc<Manifest>>,
}

/// What became of one stage.
pub(crate) struct Product {
    pub(crate) stage: usize,
    pub(crate) input: Digest,
    pub(crate) items_in: usize,
    pub(crate) made: Made,
    /// Work, all threads together.
    pub(crate) busy: Duration,
}

/// What a stage did.
pub(crate) enum Made {
    /// Nothing: it is as it was.
    Nothing,
    /// A manifest, with the counts of items computed and reused.
    Manifest { manifest: Manifest, computed: usize, reused: usize },
    /// A training in this folder, relative to the workspace.
    Training { folder: String, computed: bool },
}

/// Runs the pipeline.
///
/// # Errors
/// The first thing that stops it. What was finished before stays finished.
pub fn run(project: &mut Project, options: &Options, progress: &dyn Progress) -> Result<Summary> {
    let waiting = |by: &str| progress.report(Report::Warning(format!("waiting for another run in this workspace: {by}")));
    let _lock = project.workspace.lock(!options.no_wait, waiting)?;
    project.begin_writing();
    project.store.prepare()?;
    let selected = select(project, options);
    check_before(project, &selected)?;
    let record = Record::begin(project)?;
    let shelf = (0..project.pipeline.stages.len()).map(|_| None).collect();
    let mut run = Run { project, progress, options, record, views: Vec::new(), shelf, originals: Originals::default() };
    let ended = run.all(&selected);
    let status = match &ended {
        Ok(()) => Status::Done,
        Err(Error::Stopped) => Status::Stopped,
        Err(_) => Status::Failed,
    };
    let noted = run.record.end(status, ended.as_ref().err().map(Error::to_string));
    let (id, seconds) = (run.record.run.id.clone(), run.record.seconds());
    progress.report(Report::Run { id: &id, status, seconds });
    // What stopped the run is the news, not that the same full disk takes no record of it.
    ended.and(noted)?;
    Ok(Summary { id, status, seconds, stages: run.record.run.stages })
}

impl Run<'_> {
    /// The loop itself.
    fn all(&mut self, selected: &[bool]) -> Result<()> {
        self.views = decide::folders(self.project, selected)?;
        let taken = self.options.from.map(|from| self.project.pipeline.descendants(from));
        for group in groups(self.project, selected, taken.as_deref()) {
            if taken.as_ref().is_some_and(|after| !after[group[0]]) {
                let product = self.as_it_was(group[0])?;
                self.publish(product)?;
                continue;
            }
            let products = match self.project.pipeline.stages[group[0]].shape() {
                Shape::Source => vec![source::run(self, group[0])?],
                Shape::Item => items::run(self, &group)?,
                Shape::Set => vec![set::run(self, group[0])?],
                Shape::Pack => vec![pack::run(self, group[0])?],
                Shape::Train => vec![train::run(self, group[0])?],
            };
            for product in products {
                self.publish(product)?;
            }
        }
        Ok(())
    }

    /// With `--from` a later stage: what this one put out when it was last finished.
    fn as_it_was(&self, stage: usize) -> Result<Product> {
        let name = &self.project.pipeline.stages[stage].name;
        let state = self.project.states.get(name).ok_or_else(|| Error::Usage {
            what: format!("{name} was never finished, so nothing can start after it"),
            hint: "`catgen-pipe run` does everything that is missing".to_owned(),
        })?;
        let from = self.project.pipeline.stages[stage].from;
        let items_in = from.map_or(state.items + state.rejections, |from| self.shelved(from).items);
        Ok(Product { stage, input: state.input, items_in, made: Made::Nothing, busy: Duration::ZERO })
    }

    /// The manifest of a finished stage.
    pub(crate) fn manifest(&self, stage: usize) -> Result<Arc<Manifest>> {
        let shelved = self.shelved(stage);
        if let Some(manifest) = shelved.manifest.get() {
            return Ok(Arc::clone(manifest));
        }
        let name = &self.project.pipeline.stages[stage].name;
        let manifest = self.project.store.manifest(&shelved.digest).ok_or_else(|| Error::Stage {
            stage: name.clone(),
            what: "the list of its pictures is damaged or gone from the store".to_owned(),
            hint: "delete `.catgen/stages.json` and run again: what is missing will be made again".to_owned(),
        })?;
        Ok(Arc::clone(shelved.manifest.get_or_init(|| Arc::new(manifest))))
    }

    pub(crate) fn shelved(&self, stage: usize) -> &Shelved {
        self.shelf[stage].as_ref().expect("stages run after those they read")
    }

    pub(crate) fn is_shelved(&self, stage: usize) -> bool {
        self.shelf[stage].is_some()
    }

    /// The stage that `stage` reads.
    pub(crate) fn from(&self, stage: usize) -> usize {
        self.project.pipeline.stages[stage].from.expect("only `original` reads no stage, and it is not asked")
    }

    pub(crate) fn freshness(&self, stage: usize, input: &Digest) -> Result<Freshness> {
        decide::freshness(self.project, stage, input, self.views[stage].as_ref().map(|(view, damage)| (view, damage)))
    }

    /// Makes a stage's result the truth: blobs and actions flushed, manifest written, folder up to date, state noted.
    fn publish(&mut self, product: Product) -> Result<()> {
        let stage = &self.project.pipeline.stages[product.stage];
        let name = stage.name.clone();
        let before = self.project.states.get(&name).cloned();
        let threads = rayon::current_num_threads().max(1);
        let seconds = record::round(product.busy.as_secs_f64() / threads as f64);
        let mut report = StageReport {
            stage: name.clone(),
            items_in: product.items_in,
            items_out: 0,
            reused: 0,
            computed: 0,
            removed: 0,
            rejected: 0,
            seconds,
        };
        let (output, folder) = match product.made {
            Made::Nothing => {
                let state = before.clone().expect("a stage is only fresh if it has a state");
                report.items_out = state.items;
                report.rejected = state.rejections;
                report.reused = if stage.shape() == Shape::Item { state.items + state.rejections } else { product.items_in };
                self.shelf[product.stage] = Some(Shelved { digest: state.output, items: state.items, manifest: OnceLock::new() });
                self.show(product.stage)?;
                (state.output, state.folder)
            }
            Made::Manifest { manifest, computed, reused } => {
                (report.items_out, report.rejected) = (manifest.items.len(), manifest.rejections.len());
                (report.computed, report.reused) = (computed, reused);
                let digest = self.project.store.put_manifest(&manifest)?;
                let old =
                    before.as_ref().filter(|state| state.output != digest).and_then(|state| self.project.store.manifest(&state.output));
                report.removed = old.map_or(0, |old| removed(&old.items, &photo_counts(&manifest.items)));
                let items = manifest.items.len();
                self.shelf[product.stage] = Some(Shelved { digest, items, manifest: OnceLock::from(Arc::new(manifest)) });
                self.show(product.stage)?;
                (digest, None)
            }
            Made::Training { folder, computed } => {
                (report.computed, report.reused) = if computed { (1, 0) } else { (0, 1) };
                report.items_out = 1;
                (Digest::of(folder.as_bytes()), Some(folder))
            }
        };
        if report.computed > 0 {
            self.project.store.cas.sync()?;
            self.project.actions()?.sync()?;
        }
        let seconds_per_item = match (report.computed, &before) {
            (0, Some(before)) => before.seconds_per_item,
            (0, None) => 0.0,
            (computed, _) => product.busy.as_secs_f64() / computed as f64,
        };
        let unchanged = before.as_ref().filter(|before| before.output == output && report.computed == 0);
        let state = State {
            components: self.project.node(product.stage)?.state_components.clone(),
            input: product.input,
            output,
            items: report.items_out,
            rejections: report.rejected,
            run: unchanged.map_or_else(|| self.record.run.id.clone(), |before| before.run.clone()),
            folder,
            seconds_per_item,
        };
        if self.project.states.put(&name, state) {
            self.project.states.save(&self.project.store.path("stages.json"))?;
        }
        self.record.stage(&report)?;
        self.progress.report(Report::Stage(&report));
        Ok(())
    }

    /// Brings the stage's folder to what its manifest says.
    fn show(&mut self, stage: usize) -> Result<()> {
        let Some((view, damage)) = &self.views[stage] else { return Ok(()) };
        let digest = self.shelved(stage).digest;
        if view.shows(&digest) && damage.is_none() {
            return Ok(());
        }
        let name = self.project.pipeline.stages[stage].name.clone();
        let healed = damage.clone();
        let known_before = self.project.states.get(&name).is_some_and(|state| view.shows(&state.output));
        let manifest = self.manifest(stage)?;
        let wanted: Vec<Wanted> =
            manifest.items.iter().map(|item| Wanted { name: item.name.clone(), digest: item.digest, bytes: item.bytes }).collect();
        self.store_photos(&name, &wanted)?;
        let (view, damage) = self.views[stage].as_mut().expect("it was there a moment ago");
        view.sync(&self.project.store, &digest, &wanted, damage)?;
        *damage = Damage::default();
        if known_before {
            self.tell_of(&name, &healed);
        }
        Ok(())
    }

    /// Photos that a folder shows are stored first, as a copy: the user may edit or delete the original at any time.
    fn store_photos(&self, stage: &str, wanted: &[Wanted]) -> Result<()> {
        wanted.par_iter().filter(|file| !self.project.store.cas.has(&file.digest, file.bytes)).try_for_each(|file| {
            let stored = match self.originals.path(&file.digest) {
                Some(path) => self.project.store.cas.adopt_copy(path, &file.digest, file.bytes)?,
                None => false,
            };
            if stored {
                return Ok(());
            }
            Err(Error::Stage {
                stage: stage.to_owned(),
                what: format!("{} was changed or removed while it was being worked on", file.name),
                hint: "run again: the photo as it is now will be taken".to_owned(),
            })
        })
    }

    fn tell_of(&self, stage: &str, damage: &Damage) {
        let tell = |names: &[String], what: &str| {
            if let [first, rest @ ..] = names {
                let more = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
                self.progress.report(Report::Warning(format!("data/{stage}: {first}{more} {what}")));
            }
        };
        tell(&damage.missing, "was missing and is restored");
        tell(&damage.tampered, "was changed by somebody and is restored; what was there is in .catgen/set-aside");
        let foreign: Vec<String> = damage.foreign.iter().map(|path| path.display().to_string()).collect();
        tell(&foreign, "is not ours and is moved to .catgen/set-aside; photos belong into the folder of the first stage");
    }
}

/// The stages to run, as a mask.
fn select(project: &Project, options: &Options) -> Vec<bool> {
    let pipeline = &project.pipeline;
    let mut selected = vec![options.until.is_empty(); pipeline.stages.len()];
    for until in &options.until {
        for (stage, needed) in pipeline.ancestors(*until).into_iter().enumerate() {
            selected[stage] |= needed;
        }
    }
    if let Some(from) = options.from {
        let (after, before) = (pipeline.descendants(from), pipeline.ancestors(from));
        for stage in 0..selected.len() {
            selected[stage] &= after[stage] || before[stage];
        }
    }
    selected
}

/// Whatever can be known to fail is said before anything is touched.
fn check_before(project: &Project, selected: &[bool]) -> Result<()> {
    for stage in (0..selected.len()).filter(|stage| selected[*stage]) {
        project.node(stage)?;
    }
    Ok(())
}

/// The selected stages in order, item stages that follow one another together; `taken` are those after `--from`.
fn groups(project: &Project, selected: &[bool], taken: Option<&[bool]>) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let is_item = |stage: usize| project.pipeline.stages[stage].shape() == Shape::Item;
    for stage in (0..selected.len()).filter(|stage| selected[*stage]) {
        match groups.last_mut() {
            Some(group) if is_item(stage) && is_item(group[0]) && taken.is_none_or(|taken| taken[stage] && taken[group[0]]) => {
                group.push(stage)
            }
            _ => groups.push(vec![stage]),
        }
    }
    groups
}

/// How many items each photo has, by its path.
pub(crate) fn photo_counts(items: &[Item]) -> HashMap<&str, usize> {
    let mut counts = HashMap::new();
    for item in items {
        *counts.entry(item.photo.path.as_str()).or_default() += 1;
    }
    counts
}

/// How many items of the last time are gone: per photo, as many as it has fewer now.
pub(crate) fn removed(before: &[Item], now: &HashMap<&str, usize>) -> usize {
    photo_counts(before).into_iter().map(|(photo, count)| count.saturating_sub(now.get(photo).copied().unwrap_or(0))).sum()
}
