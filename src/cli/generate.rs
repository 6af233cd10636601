//! `generate`: pictures from a trained generator.

use std::path::PathBuf;

use catgen_train::Event;

use super::{Context, output};
use crate::{
    Error, Result,
    record::{self, RunRecord},
    tools::Tools,
    trainer,
};

/// Draw pictures with a trained generator; the same seed draws the same picture
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The run that trained it: its id, its number, or `last` for the newest that trained
    #[arg(default_value = "last")]
    run: String,
    /// The training stage, if the run has several
    #[arg(long)]
    stage: Option<String>,
    /// A checkpoint file instead of a run
    #[arg(long, value_name = "FILE", conflicts_with_all = ["run", "stage"])]
    checkpoint: Option<PathBuf>,
    /// The seed of the first picture; the next has the next seed
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// How many pictures
    #[arg(long, short = 'n', default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    count: u64,
    /// Where the pictures go; the training's own folder if left out
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Where the sheet with all of them goes; `grid.png` beside the pictures if left out
    #[arg(long, value_name = "FILE")]
    grid: Option<PathBuf>,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    let (checkpoint, beside) = match &args.checkpoint {
        Some(file) if !file.exists() => return Err(super::usage(format!("there is no checkpoint {}", file.display()))),
        Some(file) => (file.clone(), PathBuf::from("generated")),
        None => {
            let (folder, _) = training(&args.run, args.stage.as_deref(), context)?;
            let beside = folder.join("generated");
            (folder, beside)
        }
    };
    let out = args.out.clone().unwrap_or(beside);
    std::fs::create_dir_all(&out).map_err(Error::io("create", &out))?;
    let grid = args.grid.clone().unwrap_or_else(|| out.join("grid.png"));
    let draw = trainer::Draw { checkpoint: &checkpoint, seed: args.seed, count: args.count, out: &out, grid: &grid };
    let mut drawn = Vec::new();
    trainer::generate(&Tools::find(), &draw, &mut |event| {
        if let Event::Generated { .. } = event {
            drawn.push(event.clone());
        }
    })?;
    output::say(format_args!("drew {} pictures into {}; all of them on {}", args.count, out.display(), grid.display()));
    // Only now: a reader that went away ends the program, and must not end the drawing.
    if context.json {
        drawn.iter().for_each(output::json);
    }
    Ok(())
}

/// The folder of the training that `run` and `stage` name, which is there, and what the run's record says of it.
pub(super) fn training(run: &str, stage: Option<&str>, context: &Context) -> Result<(PathBuf, serde_json::Value)> {
    let workspace = context.workspace()?;
    let trained = |run: &RunRecord| !run.metrics.is_empty();
    let run = if run == "last" {
        record::list(&workspace).into_iter().rfind(trained).ok_or_else(|| Error::Usage {
            what: "no run of this workspace has trained anything yet".to_owned(),
            hint: "`catgen-pipe run` does, as its last stage".to_owned(),
        })?
    } else {
        record::find(&workspace, run)?
    };
    let is_meant = |name: &str| stage.is_none_or(|word| name == word || name.rsplit('/').next() == Some(word));
    let found = run.metrics.iter().find(|(name, _)| is_meant(name));
    let folder = found.and_then(|(_, metrics)| metrics.get("folder")?.as_str());
    let folder = folder.ok_or_else(|| Error::Usage {
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
    let metrics = found.map(|(_, metrics)| metrics.clone()).unwrap_or_default();
    Ok((folder, metrics))
}
