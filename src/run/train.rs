//! Running training: the one stage whose result lies in the run's own folder.

use std::time::Instant;

use catgen_api::Digest;
use catgen_train::TrainOptions;

use super::{Made, Product, Run};
use crate::{
    Error, Project,
    cache::actions::Outcome,
    decide::{self, Freshness},
    error::Result,
    progress::Report,
    trainer::{self, Ended, Job},
};

/// What the export stage calls the dataset.
pub(crate) const DATASET: &str = "images.npy";

pub(super) fn run(run: &mut Run<'_>, stage: usize) -> Result<Product> {
    let from = run.from(stage);
    let name = run.project.pipeline.stages[stage].name.clone();
    let (input, items_in) = (run.shelved(from).digest, run.shelved(from).items);
    let product = |folder: String, computed, busy| Product { stage, input, items_in, made: Made::Training { folder, computed }, busy };
    // The short way first: it needs neither the list of what was packed nor the action log.
    if !run.options.train_again
        && run.freshness(stage, &input)? == Freshness::Fresh
        && let Some(folder) = last_folder(run.project, stage)
    {
        return Ok(product(folder, false, Default::default()));
    }
    let dataset = dataset(run, from, &name)?;
    let (key, known) = decide::whole(run.project, stage, &dataset)?;
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
    run.record.run.dataset = Some(dataset);
    run.record.run.metrics.insert(name.clone(), serde_json::json!({ "folder": folder }));
    run.record.save()?;
    run.progress.report(Report::Begin { stages: &[&name], items: 0 });
    let job = Job {
        stage: &name,
        dataset: run.project.store.cas.path(&dataset),
        digest: dataset,
        options: TrainOptions::of(&run.project.pipeline.stages[stage].params),
        seed: run.project.pipeline.seed,
        out,
        time_budget: run.options.time_budget,
    };
    let progress = run.progress;
    let mut last = None;
    let ended = trainer::train(&run.project.tools, &job, &|| progress.stop_requested(), &mut |event| {
        if let catgen_train::Event::Epoch { measures, .. } = event {
            last = serde_json::to_value(measures).ok();
        }
        progress.report(Report::Train(&name, event));
    })?;
    if let Some(mut measures) = last {
        measures["folder"] = folder.clone().into();
        run.record.run.metrics.insert(name.clone(), measures);
        run.record.save()?;
    }
    if ended == Ended::Stopped {
        return Err(Error::Stopped);
    }
    run.project.actions()?.put(&key, &Outcome::Trained { folder: folder.clone() })?;
    Ok(product(folder, true, began.elapsed()))
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

/// The digest of the dataset that the export stage put out.
fn dataset(run: &Run<'_>, from: usize, name: &str) -> Result<Digest> {
    let manifest = run.manifest(from)?;
    let dataset = manifest.items.iter().find(|item| item.name == DATASET).ok_or_else(|| Error::Stage {
        stage: name.to_owned(),
        what: format!("the stage it reads put out no {DATASET}"),
        hint: "let it read an `export` stage".to_owned(),
    })?;
    if !run.project.store.cas.has(&dataset.digest, dataset.bytes) {
        return Err(Error::Lost { what: "the packed dataset is gone from the store".to_owned() });
    }
    Ok(dataset.digest)
}

/// The last part of the stage's name where no other training shares it, else the whole name.
fn folder_name(run: &Run<'_>, stage: usize) -> String {
    let stages = &run.project.pipeline.stages;
    let short = stages[stage].short_name();
    let shared = stages.iter().filter(|other| other.shape() == catgen_api::Shape::Train && other.short_name() == short).count() > 1;
    if shared { stages[stage].name.clone() } else { short.to_owned() }
}
