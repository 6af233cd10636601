//! Running training: the one stage whose result lies in the run's own folder.

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use catgen_api::{Digest, Item, Manifest};
use catgen_train::{Evaluation, Event, TrainOptions};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Made, Product, Run,
    delegate::{Delegated, delegate_in},
    trained::Trained,
};
use crate::{
    Error, Project,
    cache::actions::Outcome,
    decide::{self, Freshness},
    error::Result,
    executor,
    key::ActionKey,
    order::Told,
    progress::{Progress, Report},
    shared::{Pushed, SharedCache},
    trainer::{self, Ended, Job},
};

/// What the export stage calls what is trained on.
const TRAIN: &str = "train.npy";

/// What is known of a packed dataset: the digests of its files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Dataset {
    /// `train.npy`.
    pub(crate) train: Digest,
    /// `held_out.npy`, where photos were held out.
    #[serde(default)]
    pub(crate) held_out: Option<Digest>,
    /// `index.jsonl`.
    #[serde(default)]
    pub(crate) index: Option<Digest>,
}

impl Dataset {
    /// The dataset that an export stage put out.
    pub(crate) fn of(manifest: &Manifest) -> Option<Self> {
        let file = |name: &str| manifest.items.iter().find(|item| item.name == name).map(|item| item.digest);
        Some(Self { train: file(TRAIN)?, held_out: file("held_out.npy"), index: file("index.jsonl") })
    }

    /// What a training is known by: the pictures of both sides. The index is not in it, because it holds names: renaming a photo
    /// changes nothing that is learnt or measured.
    pub(crate) fn identity(&self) -> Digest {
        match self.held_out {
            None => self.train,
            Some(held_out) => Digest::of(&[&self.train.as_bytes()[..], held_out.as_bytes()].concat()),
        }
    }

    /// Its files in the store.
    pub(crate) fn packed(&self, project: &Project) -> catgen_train::Packed {
        let path = |digest: &Digest| project.store.cas.path(digest);
        catgen_train::Packed { train: path(&self.train), held_out: self.held_out.as_ref().map(path), index: self.index.as_ref().map(path) }
    }
}

pub(super) fn run(run: &mut Run<'_>, stage: usize) -> Result<Product> {
    let from = run.from(stage);
    let name = run.project.pipeline.stages[stage].name.clone();
    let (input, items_in) = (run.shelved(from).id, run.shelved(from).items);
    let product = |folder: String, computed, busy| Product { stage, input, items_in, made: Made::Training { folder, computed }, busy };
    // The short way first: it needs neither the list of what was packed nor the action log.
    if !run.options.train_again
        && run.freshness(stage, &input)? == Freshness::Fresh
        && let Some(folder) = last_folder(run.project, stage)
    {
        return Ok(product(folder, false, Default::default()));
    }
    let dataset = dataset(run, from, &name)?;
    let (key, known) = decide::whole(run.project, stage, &dataset.identity())?;
    let half_done = match known {
        Some(Outcome::Trained { folder }) if !run.options.train_again && is_there(run.project, &folder) => {
            return Ok(product(folder, false, Default::default()));
        }
        Some(Outcome::Training { folder }) if is_there(run.project, &folder) => Some(folder),
        _ => None,
    };
    let began = Instant::now();
    // A training that was stopped, killed or failed goes on where it is, whichever run takes it up.
    let folder =
        half_done.unwrap_or_else(|| run.project.workspace.relative(&run.record.folder().join(folder_name(run, stage))).to_string());
    let out = run.project.workspace.root().join(&folder);
    run.project.actions()?.put(&key, &Outcome::Training { folder: folder.clone() })?;
    run.record.run.dataset = Some(dataset.train);
    let mut result = json!({ "folder": folder, "dataset": dataset });
    run.record.run.metrics.insert(name.clone(), result.clone());
    run.record.save()?;
    run.progress.report(Report::Begin { stages: &[&name], items: 0 });
    let again = run.options.train_again.then(|| run.record.run.id.clone());
    let by_others = by_others(run, stage, from, &key, again.as_deref(), &out);
    if let Some(ByOthers { result: mut theirs, was_asked }) = by_others? {
        merge(&mut theirs, result);
        run.record.run.metrics.insert(name.clone(), theirs);
        run.record.save()?;
        run.project.actions()?.put(&key, &Outcome::Trained { folder: folder.clone() })?;
        return Ok(product(folder, was_asked, began.elapsed()));
    }
    let job = job(run.project, stage, &dataset, out.clone(), run.options.time_budget);
    let progress = run.progress;
    let mut trained = false;
    let ended = trainer::train(&run.project.tools, &job, &|| progress.stop_requested(), &mut |event| {
        trained |= note(event, &mut result);
        progress.report(Report::Train(&name, event));
    });
    // Also of a training that failed: what it had reached is what one wants to know.
    if trained {
        run.record.run.metrics.insert(name.clone(), result.clone());
        run.record.save()?;
    }
    let ended = ended?;
    if ended == Ended::Stopped {
        return Err(Error::Stopped);
    }
    run.project.actions()?.put(&key, &Outcome::Trained { folder: folder.clone() })?;
    if run.options.push.unwrap_or(run.project.pipeline.cache.push)
        && let Some(shared) = run.project.shared.as_ref().filter(|shared| !shared.is_lost())
        && let Err(error) = Trained::new(run.project, shared, &key, again.as_deref()).put(&out, &result)
    {
        shared.without(error)?;
    }
    Ok(product(folder, true, began.elapsed()))
}

/// A training that others did.
struct ByOthers {
    /// What became of it.
    result: Value,
    /// Whether they did it for this run.
    was_asked: bool,
}

/// Takes a training that others did, or has them do it; answers nothing where this process is to do it.
fn by_others(run: &Run<'_>, stage: usize, from: usize, key: &ActionKey, again: Option<&str>, out: &Path) -> Result<Option<ByOthers>> {
    let project = &*run.project;
    let Some(shared) = project.shared.as_ref().filter(|shared| !shared.is_lost()) else { return Ok(None) };
    let trained = Trained::new(project, shared, key, again);
    let take = |was_asked| -> Result<Option<ByOthers>> {
        let result = if trained.is_done()? { trained.bring(out)? } else { None };
        Ok(result.map(|result| ByOthers { result, was_asked }))
    };
    match take(false) {
        Ok(None) => {}
        Ok(done) => return Ok(done),
        Err(error) => shared.without(error)?,
    }
    let manifest = run.manifest(from)?;
    let files: Vec<(usize, &Item)> = manifest.items.iter().filter(|item| item.photo.path.is_empty()).map(|item| (from, item)).collect();
    if executor::of(project).is_some() {
        trained.put_if_further(out)?;
    }
    let asked = TrainedElsewhere { trained: &trained, out, shown: AtomicUsize::new(0) };
    if !delegate_in(run, &[stage], &files, 1, &asked)? {
        return Ok(None);
    }
    take(true)?.map(Some).ok_or_else(|| Error::Lost { what: "what was trained is gone from the shared cache".to_owned() })
}

/// A training that others are asked to do.
struct TrainedElsewhere<'a> {
    trained: &'a Trained<'a>,
    out: &'a Path,
    /// So many of its parts are here.
    shown: AtomicUsize,
}

impl Delegated for TrainedElsewhere<'_> {
    fn missing(&self, _: usize) -> Result<Option<ActionKey>> {
        Ok((!self.trained.is_done()?).then(|| self.trained.done()))
    }

    /// Its worker goes on from the last part, whoever told of that.
    fn told(&self, at: usize) -> Result<Vec<Told>> {
        if at == 0 { self.trained.told() } else { Ok(Vec::new()) }
    }

    /// What it has so far is there to be looked at, samples and all.
    fn hear(&self) -> Result<()> {
        if self.trained.parts()? > self.shown.load(Ordering::Relaxed) {
            self.shown.store(self.trained.bring_part(self.out)?.unwrap_or_default(), Ordering::Relaxed);
        }
        Ok(())
    }
}

/// A worker's training: goes on from the last part that somebody told of, and tells of parts on the way.
pub(super) fn work(
    project: &Project,
    shared: &SharedCache,
    stage: usize,
    packed: &Manifest,
    again: Option<&str>,
    tell_every: Duration,
    progress: &dyn Progress,
) -> Result<Pushed> {
    let name = &project.pipeline.stages[stage].name;
    let no_dataset = || Error::Usage { what: format!("the plan has no {TRAIN} to train on"), hint: String::new() };
    let dataset = Dataset::of(packed).ok_or_else(no_dataset)?;
    let (key, _) = decide::whole(project, stage, &dataset.identity())?;
    let trained = Trained::new(project, shared, &key, again);
    if trained.is_done()? {
        return Ok(Pushed::default());
    }
    let out = project.workspace.root().join("training");
    if let Some(part) = trained.bring_part(&out)? {
        tracing::info!("going on from part {part}");
    }
    let mut result = json!({});
    let mut told = Instant::now();
    let job = job(project, stage, &dataset, out.clone(), None);
    let ended = trainer::train(&project.tools, &job, &|| progress.stop_requested(), &mut |event| {
        note(event, &mut result);
        progress.report(Report::Train(name, event));
        // Right after an epoch there is a checkpoint that nobody has yet.
        if matches!(event, Event::Epoch { .. }) && told.elapsed() > tell_every {
            told = Instant::now();
            // It is told of again later; a network that is away for a moment is no reason to stop training.
            if let Err(error) = trained.put_part(&out) {
                tracing::warn!("{error}");
            }
        }
    })?;
    if ended == Ended::Stopped {
        trained.put_part(&out)?;
        return Err(Error::Stopped);
    }
    trained.put(&out, &result)
}

/// The trainer's job.
fn job<'a>(project: &'a Project, stage: usize, dataset: &Dataset, out: PathBuf, time_budget: Option<f64>) -> Job<'a> {
    Job {
        stage: &project.pipeline.stages[stage].name,
        dataset: dataset.packed(project),
        digest: dataset.train,
        options: options(project, stage),
        seed: project.pipeline.seed,
        out,
        time_budget,
    }
}

/// Takes what an event says of what a training came to; answers whether it is an epoch.
fn note(event: &Event, result: &mut Value) -> bool {
    match event {
        Event::Epoch { measures, .. } => {
            merge(result, json!(measures));
            return true;
        }
        Event::Evaluated { epoch, evaluation, .. } => {
            let summary = summary(*epoch, evaluation, result.get("best"));
            merge(result, summary);
        }
        _ => {}
    }
    false
}

/// The stage's options. A feature network that is a file of the workspace is named by its whole path.
fn options(project: &Project, stage: usize) -> TrainOptions {
    let mut options = TrainOptions::of(&project.pipeline.stages[stage].params);
    let file = project.workspace.root().join(&options.features);
    if file.is_file() {
        options.features = file.to_string_lossy().into_owned();
    }
    options
}

/// Puts the fields of one JSON object into another.
fn merge(into: &mut Value, from: Value) {
    if let (Some(into), Value::Object(from)) = (into.as_object_mut(), from) {
        into.extend(from);
    }
}

/// What a run's record keeps of an evaluation, and of the best so far: by KID, among those of the same features.
fn summary(epoch: Option<u64>, evaluation: &Evaluation, best: Option<&Value>) -> Value {
    let headline = evaluation.headline();
    let own = json!({
        "epoch": epoch, "kid": headline.kid, "kid_error": headline.kid_error, "frechet": headline.frechet, "precision": headline.precision,
        "recall": headline.recall, "spread": evaluation.variety.spread, "copied": evaluation.copied.share, "features": evaluation.features,
        "against": evaluation.against(), "photos": headline.photos, "pictures": evaluation.pictures,
    });
    let is_better = best.is_none_or(|best| {
        best["features"] != own["features"]
            || best["against"] != own["against"]
            || best["kid"].as_f64().is_none_or(|kid| headline.kid < kid)
    });
    json!({ "best": if is_better { Some(&own) } else { best }, "evaluation": own })
}

/// Whether a training's folder, relative to the workspace, holds what was trained.
pub(crate) fn is_there(project: &Project, folder: &str) -> bool {
    project.workspace.root().join(folder).join("checkpoints").is_dir()
}

/// The folder of the training that the stage was last finished with, if it is still there.
pub(crate) fn last_folder(project: &Project, stage: usize) -> Option<String> {
    let state = project.states.get(&project.pipeline.stages[stage].name)?;
    state.folder.clone().filter(|folder| is_there(project, folder))
}

/// The dataset that the export stage put out, all of which is in the store.
fn dataset(run: &Run<'_>, from: usize, name: &str) -> Result<Dataset> {
    let manifest = run.manifest(from)?;
    let dataset = Dataset::of(&manifest).ok_or_else(|| Error::Stage {
        stage: name.to_owned(),
        what: format!("the stage it reads put out no {TRAIN}"),
        hint: "let it read an `export` stage".to_owned(),
    })?;
    let is_gone = |item: &Item| item.photo.path.is_empty() && !run.project.store.cas.has(&item.digest, item.bytes);
    if manifest.items.iter().any(is_gone) {
        return Err(Error::Lost { what: "the packed dataset is gone from the store".to_owned() });
    }
    Ok(dataset)
}

/// The last part of the stage's name where no other training shares it, else the whole name.
fn folder_name(run: &Run<'_>, stage: usize) -> String {
    let stages = &run.project.pipeline.stages;
    let short = stages[stage].short_name();
    let shared = stages.iter().filter(|other| other.shape() == catgen_api::Shape::Train && other.short_name() == short).count() > 1;
    if shared { stages[stage].name.clone() } else { short.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evaluation(kid: f64, features: &str) -> Evaluation {
        serde_json::from_value(json!({
            "features": features, "pictures": 9,
            "training": {"photos": 5, "kid": kid, "frechet": 1.0, "precision": 0.5, "recall": 0.5},
            "variety": {"spread": 1.0, "nearest": 1.0},
            "copied": {"share": 0.0, "ratio": 1.0, "by_held_out": false, "nearest": []},
        }))
        .unwrap()
    }

    #[test]
    fn the_best_is_the_lowest_of_the_same_features() {
        let mut result = json!({"folder": "f"});
        for (epoch, kid, features, best) in [(1, 0.5, "a", 1), (2, 0.2, "a", 2), (3, 0.3, "a", 2), (4, 0.9, "b", 4), (5, -0.1, "b", 5)] {
            let summary = summary(Some(epoch), &evaluation(kid, features), result.get("best"));
            merge(&mut result, summary);
            assert_eq!((&result["best"]["epoch"], &result["evaluation"]["kid"]), (&json!(best), &json!(kid)));
        }
        assert_eq!(result["folder"], "f");
        assert_eq!(result["evaluation"]["against"], "training photos");
    }

    #[test]
    fn a_dataset_is_known_by_its_pictures() {
        let [a, b, c] = [b"a", b"b", b"c"].map(|name| Digest::of(name));
        let dataset = |train, held_out, index| Dataset { train, held_out, index }.identity();
        assert_eq!(dataset(a, None, None), a);
        assert_eq!(dataset(a, Some(b), None), dataset(a, Some(b), Some(c)));
        assert!(dataset(a, Some(b), None) != dataset(a, Some(c), None) && dataset(a, Some(b), None) != dataset(b, Some(a), None));
    }
}
