//! The one loop.
//!
//! Stages run in the pipeline's order. Item stages that follow one another run as one group, so that a picture is handed
//! from one to the next in memory; every other stage, and one that works in batches, is a barrier. Each finished stage is published at once: blobs flushed,
//! manifest written, folder brought up to date, state noted, in that order.

mod batch;
pub(crate) mod bring;
mod carry;
pub(crate) mod delegate;
pub(crate) mod items;
pub(crate) mod names;
mod originals;
mod pack;
mod pictures;
pub(crate) mod publish;
pub(crate) mod set;
pub(crate) mod settle;
pub mod shard;
pub(crate) mod source;
pub(crate) mod train;
mod trained;

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
    time::Duration,
};

use catgen_api::{Item, Manifest, ManifestId, Rejection, Shape, is_failure};
pub(crate) use originals::Originals;
pub(crate) use pictures::{Lazy, caught, picture_of};

use crate::{
    Error, Project,
    cache::{
        states::States,
        views::{Damage, View},
    },
    decide::{self, Freshness},
    error::Result,
    executor,
    progress::{Progress, Report, StageReport, Status},
    record::Record,
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
    /// Fail where a picture could not be worked on, instead of going on without it.
    pub strict: bool,
    /// Minutes that each training may take of this run.
    pub time_budget: Option<f64>,
    /// Whether what is computed is put into the shared cache; as the pipeline says if left out.
    pub push: Option<bool>,
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
    pub(crate) id: ManifestId,
    pub(crate) items: usize,
    manifest: OnceLock<Arc<Manifest>>,
}

/// What became of one stage.
pub(crate) struct Product {
    pub(crate) stage: usize,
    pub(crate) input: ManifestId,
    pub(crate) items_in: usize,
    pub(crate) made: Made,
    /// Work, all threads together.
    pub(crate) busy: Duration,
}

/// What a stage did.
pub(crate) enum Made {
    /// Nothing: it is as it was.
    Nothing,
    /// Nothing, and nobody looked whether there was something to do: `--from` a later stage.
    NotAsked,
    /// A manifest, with the counts of items computed and reused.
    Manifest { listed: Listed, computed: usize, reused: usize },
    /// A training in this folder, relative to the workspace.
    Training { folder: String, computed: bool },
}

/// A new manifest with the bytes of its file, which are made once.
pub(crate) struct Listed {
    pub(crate) manifest: Manifest,
    pub(crate) bytes: Vec<u8>,
    pub(crate) id: ManifestId,
}

impl From<Manifest> for Listed {
    fn from(manifest: Manifest) -> Self {
        let (bytes, id) = manifest.encode();
        Self { manifest, bytes, id }
    }
}

/// Runs the pipeline.
///
/// # Errors
/// The first thing that stops it. What was finished before stays finished.
pub fn run(project: &mut Project, options: &Options, progress: &dyn Progress) -> Result<Summary> {
    let waiting = |by: &str| progress.report(Report::Warning(format!("waiting for another run in this workspace: {by}")));
    let _lock = project.workspace.lock(!options.no_wait, waiting)?;
    project.store.prepare()?;
    project.begin_writing()?;
    let selected = select(project, options);
    check_before(project, options, &selected)?;
    let record = Record::begin(project, options)?;
    let shelf = (0..project.pipeline.stages.len()).map(|_| None).collect();
    let mut run = Run { project, progress, options, record, views: Vec::new(), shelf, originals: Originals::default() };
    let mut ended = run.all(&selected);
    // With --from, what was lost may belong to stages that are not asked: only a plain run can make it again.
    if let (Err(Error::Lost { what }), None) = (&ended, options.from) {
        progress.report(Report::Warning(format!("{what}; looking everything up again")));
        run.forget();
        ended = run.all(&selected);
    }
    let status = match &ended {
        Ok(()) => Status::Done,
        Err(Error::Stopped) => Status::Stopped,
        Err(_) => Status::Failed,
    };
    let noted = run.record.end(status, ended.as_ref().err().map(Error::to_string));
    if matches!(ended, Err(Error::Usage { .. })) && run.record.run.stages.is_empty() {
        // Nothing was touched, so there is nothing to record.
        run.record.discard();
    }
    let (id, seconds) = (run.record.run.id.clone(), run.record.seconds());
    progress.report(Report::Run { id: &id, status, seconds });
    // What stopped the run is the news, not that the same full disk takes no record of it.
    ended.and(noted)?;
    Ok(Summary { id, status, seconds, stages: run.record.run.stages })
}

impl Run<'_> {
    /// Makes every stage look up every item again, so that whatever the store lost is made again.
    fn forget(&mut self) {
        self.project.states = States::default();
        self.shelf.fill_with(|| None);
        self.record.run.forget();
    }

    /// The loop itself.
    fn all(&mut self, selected: &[bool]) -> Result<()> {
        self.views = decide::folders(self.project, selected)?;
        self.drop_spoiled_blobs();
        let asked = self.asked();
        for group in groups(self.project, selected, &asked) {
            if !asked[group[0]] {
                let product = self.as_it_was(group[0])?;
                self.publish(product)?;
                continue;
            }
            let products = match self.project.pipeline.stages[group[0]].shape() {
                Shape::Source => vec![source::run(self, group[0])?],
                Shape::Item if self.project.is_batch(group[0]) => vec![batch::run(self, group[0])?],
                Shape::Item => items::run(self, &group)?,
                Shape::Set => vec![set::run(self, group[0])?],
                Shape::Pack => vec![pack::run(self, group[0])?],
                Shape::Train => vec![train::run(self, group[0])?],
            };
            for product in products {
                self.publish(product)?;
            }
            // After all of them: whatever was finished together is there to be looked at.
            group.iter().try_for_each(|stage| self.check_rejections(*stage))?;
        }
        Ok(())
    }

    /// Whether so many pictures of a finished stage were rejected that somebody wants to be asked before anything goes on.
    fn check_rejections(&self, stage: usize) -> Result<()> {
        let declared = &self.project.pipeline.stages[stage];
        let Some(report) = self.record.run.stages.iter().find(|report| report.stage == declared.name) else { return Ok(()) };
        let limit = declared.max_rejected.filter(|limit| limit.is_exceeded_by(report.rejected, report.items_in));
        if report.rejected == 0 || limit.is_none() && !self.options.strict {
            return Ok(());
        }
        let manifest = self.manifest(stage)?;
        let counts = |rejection: &&Rejection| limit.is_some() || is_failure(&rejection.kind);
        let rejected: Vec<&Rejection> = manifest.rejections.iter().filter(counts).collect();
        let Some(first) = rejected.first() else { return Ok(()) };
        let what = match limit {
            Some(limit) => format!("{} of {} pictures were rejected, and max_rejected is {limit}", rejected.len(), report.items_in),
            None => format!("{} of {} pictures could not be worked on", rejected.len(), report.items_in),
        };
        Err(Error::Stage {
            stage: declared.name.clone(),
            what: format!("{what}; the first is {}: {}", first.name, first.reason),
            hint: format!("`catgen-pipe inspect {} --rejected` lists them; everything finished so far is kept", declared.short_name()),
        })
    }

    /// The stages that are looked at, as a mask: with `--from`, that one and those after it. Photos are looked at all the same,
    /// because stages after may need them; only `train` takes the dataset as it is.
    fn asked(&self) -> Vec<bool> {
        let stages = &self.project.pipeline.stages;
        let Some(from) = self.options.from else { return vec![true; stages.len()] };
        let mut asked = self.project.pipeline.descendants(from);
        for (asked, stage) in asked.iter_mut().zip(stages) {
            *asked |= stage.shape() == Shape::Source && !self.options.train_again;
        }
        asked
    }

    /// A blob that somebody changed through its link in a folder must not pass for what its name says.
    fn drop_spoiled_blobs(&self) {
        for (view, damage) in self.views.iter().flatten() {
            for digest in view.spoiled_blobs(&self.project.store, damage) {
                tracing::warn!(%digest, "a stored picture was changed through its link in a stage's folder; it will be made again");
                self.project.store.cas.drop_blob(&digest);
            }
        }
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
        let input = ManifestId { file: state.input, items: state.input_items.unwrap_or(state.input) };
        Ok(Product { stage, input, items_in, made: Made::NotAsked, busy: Duration::ZERO })
    }

    /// The manifest of a finished stage.
    pub(crate) fn manifest(&self, stage: usize) -> Result<Arc<Manifest>> {
        let shelved = self.shelved(stage);
        if let Some(manifest) = shelved.manifest.get() {
            return Ok(Arc::clone(manifest));
        }
        let lost = || Error::Lost { what: format!("the list of what {} put out is gone", self.project.pipeline.stages[stage].name) };
        let manifest = self.project.store.manifest(&shelved.id.file).ok_or_else(lost)?;
        Ok(Arc::clone(shelved.manifest.get_or_init(|| Arc::new(manifest))))
    }

    pub(crate) fn shelved(&self, stage: usize) -> &Shelved {
        self.shelf[stage].as_ref().expect("stages run after those they read")
    }

    /// Puts on the shelf what a stage put out when it was last finished.
    pub(crate) fn shelve_as_it_was(&mut self, stage: usize) {
        let state = self.project.states.get(&self.project.pipeline.stages[stage].name).expect("only a stage with a state is as it was");
        self.shelf[stage] = Some(Shelved { id: state.put_out(), items: state.items, manifest: OnceLock::new() });
    }

    /// The stage that `stage` reads.
    pub(crate) fn from(&self, stage: usize) -> usize {
        self.project.pipeline.stages[stage].from.expect("only `original` reads no stage, and it is not asked")
    }

    pub(crate) fn freshness(&self, stage: usize, input: &ManifestId) -> Result<Freshness> {
        decide::freshness(self.project, stage, input, self.views[stage].as_ref().map(|(view, damage)| (view, damage)))
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
fn check_before(project: &Project, options: &Options, selected: &[bool]) -> Result<()> {
    for stage in (0..selected.len()).filter(|stage| selected[*stage]) {
        project.node(stage)?;
    }
    if executor::of(project).is_some() {
        delegate::shared(project)?;
    }
    if let Some(from) = options.from.filter(|from| !selected[*from]) {
        let name = &project.pipeline.stages[from].name;
        let what = format!("--from {name} and --until leave nothing to do: {name} comes after it");
        return Err(Error::Usage { what, hint: String::new() });
    }
    Ok(())
}

/// The selected stages in order, item stages that follow one another together if they are asked.
fn groups(project: &Project, selected: &[bool], asked: &[bool]) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let is_item = |stage: usize| project.pipeline.stages[stage].shape() == Shape::Item && !project.is_batch(stage);
    for stage in (0..selected.len()).filter(|stage| selected[*stage]) {
        match groups.last_mut() {
            Some(group) if is_item(stage) && is_item(group[0]) && asked[stage] && asked[group[0]] => group.push(stage),
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
