//! Which training, and which of its checkpoints: what `generate` and its sisters share.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fmt::Display,
    path::{Path, PathBuf},
};

use catgen_train::{Event, Packed};
use serde_json::Value;

use super::{Context, output};
use crate::{
    Error, Result, Workspace,
    progress::Status,
    record::{self, RunRecord},
    run::train::Dataset,
    tools::Tools,
    trainer,
};

/// Which training is meant.
#[derive(Debug, clap::Args)]
pub(super) struct RunArgs {
    /// The run that trained: its id, its number, or `last` for the newest that trained
    #[arg(long, default_value = "last")]
    run: String,
    /// The training stage, if the run has several
    #[arg(long)]
    stage: Option<String>,
}

/// Which generator is meant.
#[derive(Debug, clap::Args)]
pub(super) struct GeneratorArgs {
    #[command(flatten)]
    run: RunArgs,
    /// Which checkpoint: `best` by its metrics, `last`, the number of its epoch, or a file (a checkpoint, or an exported model)
    #[arg(long, value_name = "WHICH|FILE", default_value = "last")]
    checkpoint: String,
    /// Draw with the weights as they are, not with their average over the last steps
    #[arg(long)]
    raw: bool,
}

/// A generator that was found.
#[derive(Debug)]
pub(super) struct Generator {
    /// The folder of the training, or the file of a model.
    pub(super) place: PathBuf,
    /// Which checkpoint of a training's folder: `best`, `last` or the number of an epoch.
    pub(super) which: Option<String>,
    /// Whether the average is left aside.
    pub(super) raw: bool,
    /// The record of the run that trained it, where one did, and what it says of that training.
    pub(super) run: Option<RunRecord>,
    metrics: Value,
}

impl RunArgs {
    /// The folder of the training, which is there, its run, and what the run's record says of it.
    fn find(&self, context: &Context) -> Result<(PathBuf, RunRecord, Value)> {
        find(&self.run, self.stage.as_deref(), context)
    }

    /// The folder of the training, which is there.
    pub(super) fn folder(&self, context: &Context) -> Result<PathBuf> {
        self.find(context).map(|(folder, ..)| folder)
    }
}

/// The folder of the training that `run` and `stage` name, which is there, and what the run's record says of it.
pub(super) fn training(run: &str, stage: Option<&str>, context: &Context) -> Result<(PathBuf, Value)> {
    find(run, stage, context).map(|(folder, _, metrics)| (folder, metrics))
}

fn find(run: &str, stage: Option<&str>, context: &Context) -> Result<(PathBuf, RunRecord, Value)> {
    let workspace = context.workspace()?;
    let run = if run == "last" { newest(&workspace)? } else { record::find(&workspace, run)? };
    let (folder, metrics) = folder(&workspace, &run, stage)?;
    Ok((folder, run, metrics))
}

impl GeneratorArgs {
    /// Whether anything but the defaults was asked for.
    pub(super) fn is_given(&self) -> bool {
        self.raw || self.checkpoint != "last" || self.run.run != "last" || self.run.stage.is_some()
    }

    /// Finds it, and tells a person what is odd about it.
    pub(super) fn find(&self, context: &Context) -> Result<Generator> {
        let is_word = matches!(self.checkpoint.as_str(), "best" | "last") || self.checkpoint.parse::<u64>().is_ok();
        if !is_word {
            let place = PathBuf::from(&self.checkpoint);
            if !place.exists() {
                return Err(Error::Usage {
                    what: format!("there is no checkpoint {}", place.display()),
                    hint: "give `best`, `last`, the number of an epoch, or a file".to_owned(),
                });
            }
            return Ok(Generator { place, which: None, raw: self.raw, run: None, metrics: Value::Null });
        }
        let (place, run, metrics) = self.run.find(context)?;
        if !has_checkpoint(&place) {
            return Err(unfinished(&run));
        }
        if run.status != Status::Done {
            say!("note: run {} is not finished: this is what its generator can so far", run.id);
        }
        Ok(Generator { place, which: Some(self.checkpoint.clone()), raw: self.raw, run: Some(run), metrics })
    }
}

impl Generator {
    /// A place for what is made with it: in the training's folder, or in this one for a model from elsewhere.
    pub(super) fn beside(&self, name: &str) -> PathBuf {
        if self.run.is_some() { self.place.join(name) } else { PathBuf::from(name) }
    }

    /// The photos that it was trained on, which are still in the store.
    pub(super) fn dataset(&self, context: &Context) -> Result<Packed> {
        let missing = |what: String| Error::Usage {
            what,
            hint: "`catgen-pipe run` packs the photos again; if they are the same, so is the dataset".to_owned(),
        };
        let Some(run) = &self.run else {
            return Err(missing(format!("{} does not say which photos it was trained on", self.place.display())));
        };
        let noted = self.metrics.get("dataset").and_then(|dataset| serde_json::from_value::<Dataset>(dataset.clone()).ok());
        let noted = noted.ok_or_else(|| missing(format!("run {} does not say what it was trained on", run.id)))?;
        let packed = noted.packed(&context.project(&[])?);
        if !packed.train.is_file() {
            return Err(missing(format!("the photos that run {} was trained on are no longer in the store", run.id)));
        }
        Ok(packed)
    }

    /// How many photos it was trained on, where that is still known.
    pub(super) fn photos(&self, context: &Context) -> Option<usize> {
        let text = std::fs::read_to_string(self.dataset(context).ok()?.index?).ok()?;
        let photo = |line: &str| {
            let row: Value = serde_json::from_str(line).ok()?;
            let trained_on = row["file"].as_str().is_none_or(|file| file == "train.npy");
            row["photo"].as_str().filter(|_| trained_on).map(str::to_owned)
        };
        Some(text.lines().filter_map(photo).collect::<BTreeSet<_>>().len())
    }
}

/// A command for the trainer that is being put together.
pub(super) struct Asked {
    command: &'static str,
    arguments: Vec<OsString>,
}

impl Asked {
    /// One about a generator.
    pub(super) fn new(command: &'static str, generator: &Generator) -> Self {
        let mut asked = Self::plain(command);
        asked.path("--checkpoint", &generator.place);
        if let Some(which) = &generator.which {
            asked.value("--which", which);
        }
        if generator.raw {
            asked.flag("--raw");
        }
        asked
    }

    /// One about nothing yet.
    pub(super) fn plain(command: &'static str) -> Self {
        Self { command, arguments: Vec::new() }
    }

    /// Adds an option with a value.
    pub(super) fn value(&mut self, name: &str, value: impl Display) -> &mut Self {
        self.arguments.push(format!("{name}={value}").into());
        self
    }

    /// Adds an option with a path.
    pub(super) fn path(&mut self, name: &str, path: &Path) -> &mut Self {
        let mut argument = OsString::from(format!("{name}="));
        argument.push(path);
        self.arguments.push(argument);
        self
    }

    /// Adds an option without a value.
    pub(super) fn flag(&mut self, name: &str) -> &mut Self {
        self.arguments.push(name.into());
        self
    }

    /// Adds a file. Something is put before its name, so that it cannot look like an option.
    pub(super) fn file(&mut self, path: &Path) -> &mut Self {
        let path = if path.is_absolute() { path.to_owned() } else { Path::new(".").join(path) };
        self.arguments.push(path.into());
        self
    }

    /// Runs it, handing on every event.
    pub(super) fn run(&self, listen: &mut dyn FnMut(&Event)) -> Result<()> {
        trainer::ask(&Tools::find(), self.command, &self.arguments, listen)
    }

    /// Runs it, and says what was written.
    pub(super) fn run_and_report(&self, context: &Context) -> Result<()> {
        let mut written = Vec::new();
        self.run(&mut |event| {
            if let Event::Written { .. } = event {
                written.push(event.clone());
            }
        })?;
        for event in &written {
            if let Event::Written { files, about } = event {
                say!("wrote {} ({about})", files.join(" and "));
            }
        }
        if context.json {
            written.iter().for_each(output::json);
        }
        Ok(())
    }
}

/// The newest run that trained something.
fn newest(workspace: &Workspace) -> Result<RunRecord> {
    let runs = record::list(workspace);
    let trained = |run: &&RunRecord| folders(run).next().is_some();
    runs.iter().rev().find(trained).cloned().ok_or_else(|| Error::Usage {
        what: "no run of this workspace has trained anything yet".to_owned(),
        hint: "`catgen-pipe run` does, as its last stage; `--checkpoint FILE` takes a model from elsewhere".to_owned(),
    })
}

/// The trainings of a run: stage, folder, and what else its record says of it.
fn folders(run: &RunRecord) -> impl Iterator<Item = (&String, &str, &Value)> {
    run.metrics.iter().filter_map(|(stage, metrics)| Some((stage, metrics.get("folder").and_then(Value::as_str)?, metrics)))
}

/// The folder of a run's training, which is there.
fn folder(workspace: &Workspace, run: &RunRecord, stage: Option<&str>) -> Result<(PathBuf, Value)> {
    let is_meant = |name: &str| stage.is_none_or(|word| name == word || name.rsplit('/').next() == Some(word));
    let found = folders(run).find(|(name, ..)| is_meant(name));
    let (_, folder, metrics) = found.ok_or_else(|| Error::Usage {
        what: format!("run {} trained nothing{}", run.id, stage.map_or(String::new(), |stage| format!(" called {stage}"))),
        hint: "`catgen-pipe runs` shows which did".to_owned(),
    })?;
    let folder = workspace.root().join(folder);
    let checkpoints = folder.join("checkpoints");
    if let Some(gone) = [&folder, &checkpoints].into_iter().find(|folder| !folder.is_dir()) {
        return Err(Error::Usage {
            what: format!("the training of run {} is gone: {} does not exist", run.id, workspace.relative(gone)),
            hint: "`catgen-pipe train` trains again; `--checkpoint FILE` draws with a checkpoint kept elsewhere".to_owned(),
        });
    }
    Ok((folder, metrics.clone()))
}

fn has_checkpoint(folder: &Path) -> bool {
    let is_card = |path: PathBuf| path.extension().is_some_and(|extension| extension == "json");
    std::fs::read_dir(folder.join("checkpoints")).is_ok_and(|entries| entries.flatten().any(|entry| is_card(entry.path())))
}

fn unfinished(run: &RunRecord) -> Error {
    let hint = match run.status {
        Status::Running => "wait for the end of its first epoch: `catgen-pipe runs`; if it was killed, `catgen-pipe run` goes on",
        _ => "`catgen-pipe run` goes on with it",
    };
    Error::Usage { what: format!("the training of run {} has no checkpoint yet", run.id), hint: hint.to_owned() }
}
