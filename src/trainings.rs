//! `Training`: what a run trained, as its record says and its folder still has it.
//!
//! A training is known by its folder: one that was stopped is gone on with where it lies, by whichever run takes it up, and then
//! several records name the same folder. The newest of them counts.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

use catgen_train::Packed;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{
    Error, Project, Workspace,
    error::Result,
    progress::Status,
    record::{self, RunRecord},
    run::train::Dataset,
};

/// One training whose folder is there.
#[derive(Debug, Clone)]
pub(crate) struct Training {
    /// Its folder below `runs/`, with forward slashes: `0003-k3f9/Train`. Names it.
    pub(crate) name: String,
    /// The newest run that worked on it.
    pub(crate) run: RunRecord,
    /// The stage.
    pub(crate) stage: String,
    /// Its folder.
    pub(crate) folder: PathBuf,
    /// What the run's record says of it.
    pub(crate) metrics: Value,
}

/// A checkpoint that was kept.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Checkpoint {
    /// Steps done.
    pub(crate) step: u64,
    /// Whole epochs done.
    pub(crate) epoch: u64,
    /// The side of its pictures in pixels.
    pub(crate) side: u64,
    /// The best by then.
    #[serde(default)]
    best: Option<Best>,
    /// Where its card lies.
    #[serde(skip)]
    pub(crate) path: PathBuf,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Best {
    step: u64,
}

/// All trainings of the workspace, the newest first.
pub(crate) fn list(workspace: &Workspace) -> Vec<Training> {
    let mut seen = HashSet::new();
    let runs = record::list(workspace);
    let all = runs.into_iter().rev().flat_map(|run| {
        let of_run: Vec<Training> = run
            .metrics
            .iter()
            .filter_map(|(stage, metrics)| {
                let written = metrics.get("folder").and_then(Value::as_str)?;
                let folder = workspace.root().join(written);
                let name = written.replace('\\', "/");
                let name = name.strip_prefix("runs/").unwrap_or(&name).to_owned();
                folder.is_dir().then(|| Training { name, run: run.clone(), stage: stage.clone(), folder, metrics: metrics.clone() })
            })
            .collect();
        of_run
    });
    all.filter(|training| seen.insert(training.name.clone())).collect()
}

/// The training called `name`. What is asked for is compared with what was recorded, and never becomes a path.
///
/// # Errors
/// There is none.
pub(crate) fn find(workspace: &Workspace, name: &str) -> Result<Training> {
    list(workspace).into_iter().find(|training| training.name == name).ok_or_else(|| Error::Usage {
        what: format!("there is no training {name:?} in this workspace"),
        hint: "it may have been deleted since this page was made: `catgen-pipe runs` shows what is there".to_owned(),
    })
}

impl Training {
    /// The checkpoints that were kept, the newest first.
    pub(crate) fn checkpoints(&self) -> Vec<Checkpoint> {
        let Ok(entries) = fs::read_dir(self.folder.join("checkpoints")) else { return Vec::new() };
        let read = |path: PathBuf| {
            let is_card = path.extension().is_some_and(|extension| extension == "json");
            let card: Checkpoint = serde_json::from_slice(&fs::read(&path).ok().filter(|_| is_card)?).ok()?;
            Some(Checkpoint { path, ..card })
        };
        let mut found: Vec<Checkpoint> = entries.filter_map(|entry| read(entry.ok()?.path())).collect();
        found.sort_by_key(|checkpoint| std::cmp::Reverse(checkpoint.step));
        found
    }

    /// The kept checkpoint after so many steps; after 0, the newest, which a training that goes on replaces again and again.
    ///
    /// # Errors
    /// It was not kept.
    pub(crate) fn checkpoint(&self, step: u64) -> Result<Checkpoint> {
        self.checkpoints().into_iter().find(|checkpoint| step == 0 || checkpoint.step == step).ok_or_else(|| Error::Usage {
            what: if step == 0 {
                format!("the training {} has no checkpoint yet", self.name)
            } else {
                format!("the training {} has no checkpoint after {step} steps any more", self.name)
            },
            hint: "choose another one; `keep_checkpoints` of the train stage says how many are kept".to_owned(),
        })
    }

    /// The photos it was trained on, if they are still in the store.
    pub(crate) fn dataset(&self, project: &Project) -> Option<Packed> {
        let dataset: Dataset = serde_json::from_value(self.metrics.get("dataset")?.clone()).ok()?;
        let packed = dataset.packed(project);
        packed.train.is_file().then_some(packed)
    }

    /// The lines of `stats.jsonl`, one an epoch. A line that is being written is not there yet.
    pub(crate) fn epochs(&self) -> Vec<Map<String, Value>> {
        let text = fs::read_to_string(self.folder.join("stats.jsonl")).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// The grids, by epoch.
    pub(crate) fn grids(&self) -> Vec<(u64, PathBuf)> {
        let Ok(entries) = fs::read_dir(self.folder.join("samples")) else { return Vec::new() };
        let epoch = |path: &Path| path.file_name()?.to_str()?.strip_prefix("epoch-")?.strip_suffix(".png")?.parse().ok();
        let mut found: Vec<(u64, PathBuf)> = entries
            .filter_map(|entry| {
                let path = entry.ok()?.path();
                Some((epoch(&path)?, path))
            })
            .collect();
        found.sort();
        found
    }

    /// How far it is: the run's word, where a process works on it.
    pub(crate) fn state(&self, workspace: &Workspace) -> &'static str {
        match self.run.status {
            Status::Running if workspace.busy().is_some() => "running",
            Status::Running | Status::Interrupted => "interrupted",
            Status::Stopped => "stopped",
            Status::Failed => "failed",
            Status::Done => "done",
        }
    }
}

impl Checkpoint {
    /// The step of the best checkpoint that this one knew of.
    pub(crate) fn best(&self) -> Option<u64> {
        self.best.as_ref().map(|best| best.step)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A workspace with the run records given as (id, status, metrics).
    fn workspace(runs: &[(&str, &str, Value)]) -> (tempfile::TempDir, Workspace) {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("pipeline.toml"), "").unwrap();
        for (id, status, metrics) in runs {
            let run = json!({
                "id": id, "status": status, "started": "", "seconds": 1.0, "asked": catgen_api::Digest::of(b""), "metrics": metrics
            });
            fs::create_dir_all(folder.path().join("runs").join(id)).unwrap();
            fs::write(folder.path().join("runs").join(id).join("run.json"), run.to_string()).unwrap();
        }
        let workspace = Workspace::open(folder.path()).unwrap();
        (folder, workspace)
    }

    #[test]
    fn a_training_is_listed_once_by_its_newest_run_and_only_if_it_is_there() {
        let one = json!({"7.Train": {"folder": "runs/0001-aaaa/Train"}});
        let (folder, workspace) = workspace(&[
            ("0001-aaaa", "stopped", one.clone()),
            ("0002-aaaa", "done", json!({"7.Train": {"folder": "runs/0001-aaaa/Train", "loss_d": 0.5}})),
            ("0003-aaaa", "done", json!({"7.Train": {"folder": "runs/0003-aaaa/Train"}})),
            ("0004-aaaa", "running", json!({"a/Train": {"folder": "runs/0004-aaaa/a/Train"}})),
        ]);
        for there in ["0001-aaaa/Train/checkpoints", "0004-aaaa/a/Train/samples"] {
            fs::create_dir_all(folder.path().join("runs").join(there)).unwrap();
        }
        let found = list(&workspace);
        let names: Vec<(&str, &str, &str)> =
            found.iter().map(|training| (training.name.as_str(), training.run.id.as_str(), training.state(&workspace))).collect();
        assert_eq!(names, [("0004-aaaa/a/Train", "0004-aaaa", "interrupted"), ("0001-aaaa/Train", "0002-aaaa", "done")]);
        assert_eq!(find(&workspace, "0001-aaaa/Train").unwrap().metrics["loss_d"], 0.5);
        for other in ["0003-aaaa/Train", "../runs/0001-aaaa/Train", "0001-aaaa", ""] {
            assert!(find(&workspace, other).is_err(), "{other}");
        }
    }

    #[test]
    fn checkpoints_and_grids_come_in_order_and_what_is_none_is_passed_over() {
        let (folder, workspace) = workspace(&[("0001-aaaa", "done", json!({"T": {"folder": "runs/0001-aaaa/T"}}))]);
        let root = folder.path().join("runs/0001-aaaa/T");
        fs::create_dir_all(root.join("checkpoints")).unwrap();
        fs::create_dir_all(root.join("samples/raw")).unwrap();
        for (step, text) in [
            ("00000008", r#"{"step":8,"epoch":1,"side":64}"#),
            ("00000032", r#"{"step":32,"epoch":4,"side":64,"best":{"step":8,"kid":0.1}}"#),
            ("00000016", "{"),
        ] {
            fs::write(root.join(format!("checkpoints/step-{step}.json")), text).unwrap();
            fs::write(root.join(format!("checkpoints/step-{step}.safetensors")), text).unwrap();
        }
        for name in ["epoch-0010.png", "epoch-0002.png", "notes.png", "epoch-x.png"] {
            fs::write(root.join("samples").join(name), "").unwrap();
        }
        fs::write(root.join("stats.jsonl"), "{\"epoch\":1}\n{\"epoch\":2}\n{\"epo").unwrap();
        let training = &list(&workspace)[0];
        let kept: Vec<(u64, Option<u64>)> = training.checkpoints().iter().map(|found| (found.epoch, found.best())).collect();
        assert_eq!(kept, [(4, Some(8)), (1, None)]);
        assert_eq!(training.checkpoint(8).unwrap().epoch, 1);
        assert_eq!(training.checkpoint(0).unwrap().epoch, 4);
        assert!(training.checkpoint(16).is_err());
        assert_eq!(training.grids().iter().map(|(epoch, _)| *epoch).collect::<Vec<_>>(), [2, 10]);
        assert_eq!(training.epochs().len(), 2);
    }
}
