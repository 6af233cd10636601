//! `Record`: what one run was asked, did and came to.
//!
//! ```text
//! runs/0007-k3f9/
//!   run.json        id, status, times, what was asked, what each stage did
//!   pipeline.toml   as it was
//!   7.Train/        what the trainer wrote
//!   pinned          if `gc` shall keep what it put out
//! ```
//!
//! A run that was killed is found with status `running` although nobody holds the workspace's lock. If the next run is
//! asked for the same thing it goes on under the same id, else the old one is marked `interrupted`.

pub mod pin;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use catgen_api::Digest;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Error, Project, Workspace,
    cache::write_whole,
    error::Result,
    key::Components,
    progress::{StageReport, Status},
    run::Options,
};

/// The content of `run.json`. A field that an older program did not write is at its default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// `0007-k3f9`: counted up, with a part that keeps two workspaces' runs apart.
    pub id: String,
    /// How it ended, or that it did not.
    pub status: Status,
    /// When it began, RFC 3339.
    pub started: String,
    /// How long it worked, all its processes together.
    pub seconds: f64,
    /// How many processes worked on it: more than one if it was killed and went on.
    #[serde(default)]
    pub attempts: u32,
    /// The version of the program.
    #[serde(default)]
    pub version: String,
    /// The digest of what it was asked to do: the pipeline's text, the overrides, which stages.
    pub asked: Digest,
    /// The overrides, as written.
    #[serde(default)]
    pub set: Vec<String>,
    /// What each stage did, in order.
    #[serde(default)]
    pub stages: Vec<StageReport>,
    /// By stage: the digest of the manifest it put out.
    #[serde(default)]
    pub outputs: BTreeMap<String, Digest>,
    /// By stage: what was in its keys apart from the items.
    #[serde(default)]
    pub made_with: BTreeMap<String, Components>,
    /// The digest of the dataset that was last trained on in it.
    #[serde(default)]
    pub dataset: Option<Digest>,
    /// By training stage: its last measures and where its folder is.
    #[serde(default)]
    pub metrics: serde_json::Map<String, Value>,
    /// What stopped it.
    #[serde(default)]
    pub error: Option<String>,
}

impl RunRecord {
    /// Forgets what stages did: they are all asked again.
    pub(crate) fn forget(&mut self) {
        self.stages.clear();
        self.outputs.clear();
        self.made_with.clear();
    }
}

/// The record of the run at work.
#[derive(Debug)]
pub struct Record {
    /// What `run.json` says.
    pub run: RunRecord,
    folder: PathBuf,
    began: Instant,
    seconds_before: f64,
}

impl Record {
    /// Begins a run, or goes on with the one that was killed if it was asked for the same. Needs the workspace's lock.
    ///
    /// # Errors
    /// The file system's.
    pub fn begin(project: &Project, options: &Options) -> Result<Self> {
        let workspace = &project.workspace;
        let asked = Digest::of(format!("{} {:?} {:?} {}", project.asked(), options.until, options.from, options.train_again).as_bytes());
        let last = list(workspace).into_iter().next_back();
        if let Some(mut run) = last.clone().filter(|run| matches!(run.status, Status::Running | Status::Stopped)) {
            if run.asked == asked {
                run.attempts += 1;
                run.status = Status::Running;
                run.forget();
                let seconds_before = run.seconds;
                let record = Self { folder: workspace.runs().join(&run.id), run, began: Instant::now(), seconds_before };
                record.save()?;
                return Ok(record);
            }
            if run.status == Status::Running {
                run.status = Status::Interrupted;
                Self { folder: workspace.runs().join(&run.id), run, began: Instant::now(), seconds_before: 0.0 }.save()?;
            }
        }
        let number = last.and_then(|run| run.id.split('-').next()?.parse::<u32>().ok()).unwrap_or(0) + 1;
        let id = format!("{number:04}-{}", suffix(workspace.root()));
        let run = RunRecord {
            id: id.clone(),
            status: Status::Running,
            started: now(),
            seconds: 0.0,
            attempts: 1,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            asked,
            set: project.overrides.iter().map(|change| change.text.clone()).collect(),
            stages: Vec::new(),
            outputs: BTreeMap::new(),
            made_with: BTreeMap::new(),
            dataset: None,
            metrics: serde_json::Map::new(),
            error: None,
        };
        let record = Self { run, folder: workspace.runs().join(id), began: Instant::now(), seconds_before: 0.0 };
        write_whole(&record.folder.join("pipeline.toml"), project.pipeline_text.as_bytes())?;
        record.save()?;
        Ok(record)
    }

    /// Removes the record of a run that touched nothing, unless it goes on with an earlier one.
    pub fn discard(&self) {
        if self.run.attempts == 1
            && let Err(error) = fs::remove_dir_all(&self.folder)
        {
            tracing::warn!(%error, "cannot remove the record of a run that did nothing");
        }
    }

    /// The folder of the run.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Notes what a stage did, put out and was made with; written at once if it did anything, else with what comes next.
    ///
    /// # Errors
    /// The file system's.
    pub fn stage(&mut self, report: &StageReport, output: Digest, made_with: Components) -> Result<()> {
        self.run.stages.push(report.clone());
        self.run.outputs.insert(report.stage.clone(), output);
        self.run.made_with.insert(report.stage.clone(), made_with);
        if report.computed + report.removed > 0 { self.save() } else { Ok(()) }
    }

    /// Notes how the run ended.
    ///
    /// # Errors
    /// The file system's.
    pub fn end(&mut self, status: Status, error: Option<String>) -> Result<()> {
        self.run.status = status;
        self.run.error = error;
        self.run.seconds = self.seconds();
        self.save()
    }

    /// How long the run has worked so far.
    pub fn seconds(&self) -> f64 {
        round(self.seconds_before + self.began.elapsed().as_secs_f64())
    }

    /// Writes `run.json`.
    ///
    /// # Errors
    /// The file system's.
    pub fn save(&self) -> Result<()> {
        write_whole(&self.folder.join("run.json"), &serde_json::to_vec_pretty(&self.run).expect("a record is plain data"))
    }
}

/// Every run of the workspace, oldest first. A folder without a readable `run.json` is no run.
pub fn list(workspace: &Workspace) -> Vec<RunRecord> {
    let Ok(folders) = fs::read_dir(workspace.runs()) else { return Vec::new() };
    let mut runs: Vec<RunRecord> = folders
        .filter_map(|folder| {
            let bytes = fs::read(folder.ok()?.path().join("run.json")).ok()?;
            serde_json::from_slice(&bytes).ok()
        })
        .collect();
    runs.sort_by(|a, b| a.id.cmp(&b.id));
    runs
}

/// The run called `word`: its id, its number, or `last`.
///
/// # Errors
/// There is none.
pub fn find(workspace: &Workspace, word: &str) -> Result<RunRecord> {
    let runs = list(workspace);
    let number: Option<u32> = word.parse().ok();
    let matches =
        |run: &&RunRecord| run.id == word || number.is_some_and(|n| run.id.split('-').next().and_then(|id| id.parse().ok()) == Some(n));
    let found = if word == "last" { runs.last() } else { runs.iter().find(matches) };
    found
        .cloned()
        .ok_or_else(|| Error::Usage { what: format!("there is no run {word:?}"), hint: "`catgen-pipe runs` lists them".to_owned() })
}

/// The time now, RFC 3339, with the local offset.
pub fn now() -> String {
    jiff::Zoned::now().strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

/// Milliseconds are all that anybody reads.
pub fn round(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}

/// Four letters and digits that differ from run to run and from workspace to workspace.
fn suffix(root: &Path) -> String {
    let name = format!("{}\0{}\0{}", root.display(), now(), std::process::id());
    let bits = Digest::of(name.as_bytes());
    bits.as_bytes().iter().take(4).map(|byte| char::from(b"0123456789abcdefghjkmnpqrstvwxyz"[usize::from(byte % 32)])).collect()
}
