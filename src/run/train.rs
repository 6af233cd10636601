//! Running training: the one stage whose result lies in the run's own folder.

use std::time::Instant;

use catgen_api::{Digest, Item, Manifest};
use catgen_train::{Evaluation, Event, TrainOptions};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Made, Product, Run};
use crate::{
    Error, Project,
    cache::actions::Outcome,
    decide::{self, Freshness},
    error::Result,
    progress::Report,
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
    let job = Job {
        stage: &name,
        dataset: dataset.packed(run.project),
        digest: dataset.train,
        options: options(run.project, stage),
        seed: run.project.pipeline.seed,
        out,
        time_budget: run.options.time_budget,
    };
    let progress = run.progress;
    let mut trained = false;
    let ended = trainer::train(&run.project.tools, &job, &|| progress.stop_requested(), &mut |event| {
        match event {
            Event::Epoch { measures, .. } => {
                trained = true;
                merge(&mut result, json!(measures));
            }
            Event::Evaluated { epoch, evaluation, .. } => {
                let summary = summary(*epoch, evaluation, result.get("best"));
                merge(&mut result, summary);
            }
            _ => {}
        }
        progress.report(Report::Train(&name, event));
    });
    // Also of a training that failed: what it had reached is what one wants to know.
    if trained {
        run.record.run.metrics.insert(name.clone(), result);
        run.record.save()?;
    }
    let ended = ended?;
    if ended == Ended::Stopped {
        return Err(Error::Stopped);
    }
    run.project.actions()?.put(&key, &Outcome::Trained { folder: folder.clone() })?;
    Ok(product(folder, true, began.elapsed()))
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
fn merge(into: &mut serde_json::Value, from: serde_json::Value) {
    if let (Some(into), serde_json::Value::Object(from)) = (into.as_object_mut(), from) {
        into.extend(from);
    }
}

/// What a run's record keeps of an evaluation, and of the best so far: by KID, among those of the same features.
fn summary(epoch: Option<u64>, evaluation: &Evaluation, best: Option<&serde_json::Value>) -> serde_json::Value {
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
