//! `evaluate`: how good a generator's pictures are, or anybody's, in numbers.

use std::path::{Path, PathBuf};

use catgen_api::Shape;
use catgen_train::{Evaluation, Event, Gathered, Judge, JudgeError, Packed, features, metrics::Distances};

use super::{Context, output, trained::training};
use crate::{
    Error, Result,
    run::train::Dataset,
    tools::Tools,
    trainer::{self, Judged, Judgement},
};

/// Measure how good pictures are: a generator's, or those in a folder, against photos that were held out of training
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The run that trained the generator: its id, its number, or `last` for the newest that trained
    #[arg(default_value = "last")]
    run: String,
    /// The training stage, if the run has several
    #[arg(long)]
    stage: Option<String>,
    /// This checkpoint instead of the run's newest
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// Pictures instead of a generator: a folder, or a .npy file of bytes, N × 3 × S × S
    #[arg(long, value_name = "DIR", conflicts_with_all = ["checkpoint", "seed"])]
    folder: Option<PathBuf>,
    /// The photos to compare with, a folder with train.npy and held_out.npy; those of the run if left out
    #[arg(long, value_name = "DIR")]
    dataset: Option<PathBuf>,
    /// How many pictures at most
    #[arg(long, short = 'n', default_value_t = 1000, value_parser = clap::value_parser!(u64).range(4..=100_000))]
    count: u64,
    /// The seed of the first picture; the next has the next seed
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// What pictures are compared by: the path or name of an ONNX or TorchScript network, or `random`; `auto` takes the best one found
    #[arg(long, value_name = "NETWORK", default_value = "auto")]
    features: String,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    let tools = Tools::find();
    // The run is needed for what is not named otherwise.
    let needs_run = args.dataset.is_none() || (args.folder.is_none() && args.checkpoint.is_none());
    let run = if needs_run { training(&args.run, args.stage.as_deref(), context).map(Some) } else { Ok(None) };
    let (dataset, folder) = match (&args.dataset, run) {
        (Some(folder), run) => (in_folder(folder)?, run?.map(|(folder, _)| folder)),
        (None, Ok(Some((folder, metrics)))) => (of_run(&metrics, context)?, Some(folder)),
        // Nothing was trained yet, and there may be pictures to compare all the same.
        (None, Err(error)) if args.folder.is_some() => (exported(context)?.ok_or(error)?, None),
        (None, Ok(None)) => unreachable!("without a dataset the run is looked for"),
        (None, Err(error)) => return Err(error),
    };
    let cache = folder.as_ref().map(|folder| folder.join("features"));
    let (evaluation, step) = match (&args.folder, &args.checkpoint, &folder) {
        (Some(pictures), ..) if !pictures.exists() => return Err(super::usage(format!("there is no {}", pictures.display()))),
        (Some(pictures), ..) => {
            let network =
                features::find(&args.features, &tools.models, tools.trainer.is_some()).map_err(|error| Error::stage("evaluate", error))?;
            if network.as_deref().is_some_and(features::is_torchscript) {
                in_trainer(&tools, args, dataset, Judged::Pictures(pictures), cache.as_deref())?
            } else {
                (here(&tools, args, &dataset, pictures, network.as_deref(), cache.as_deref())?, None)
            }
        }
        (None, Some(checkpoint), _) if !checkpoint.exists() => {
            return Err(super::usage(format!("there is no checkpoint {}", checkpoint.display())));
        }
        (None, Some(checkpoint), _) => in_trainer(&tools, args, dataset, Judged::Checkpoint(checkpoint, args.seed), cache.as_deref())?,
        (None, None, Some(folder)) => in_trainer(&tools, args, dataset, Judged::Checkpoint(folder, args.seed), cache.as_deref())?,
        (None, None, None) => unreachable!("without pictures and a checkpoint the run is looked for"),
    };
    show(&evaluation, step, args, context);
    Ok(())
}

/// Judges pictures in this process.
fn here(tools: &Tools, args: &Args, dataset: &Packed, pictures: &Path, network: Option<&Path>, cache: Option<&Path>) -> Result<Evaluation> {
    let failed = |error: JudgeError| match error {
        JudgeError::Features(error) => Error::stage("evaluate", error),
        other => Error::Usage { what: other.to_string(), hint: other.hint() },
    };
    let extractor = features::open(network, tools.onnxruntime.as_deref()).map_err(|error| Error::stage("evaluate", error))?;
    let judge = Judge::new(extractor, dataset, usize::MAX, cache).map_err(failed)?;
    let count = usize::try_from(args.count).unwrap_or(usize::MAX);
    let Gathered { pictures: found, resized, skipped } =
        Gathered::read(pictures, judge.side(), count).map_err(|error| super::usage(format!("{}: {error}", pictures.display())))?;
    if resized > 0 {
        say!("note: {resized} of {} pictures were resized to {side} × {side} pixels, like the photos", found.len(), side = judge.side());
    }
    if let Some(file) = skipped.first() {
        say!("note: {} files are no pictures, the first is {}", skipped.len(), file.display());
    }
    judge.judge(&found).map_err(failed)
}

/// Judges in the trainer's process, and answers the step of the checkpoint, too.
fn in_trainer(tools: &Tools, args: &Args, dataset: Packed, of: Judged<'_>, cache: Option<&Path>) -> Result<(Evaluation, Option<u64>)> {
    let judgement = Judgement { of, dataset, features: &args.features, count: args.count, cache };
    let mut found = None;
    trainer::evaluate(tools, &judgement, &mut |event| {
        if let Event::Evaluated { evaluation, step, .. } = event {
            found = Some((Evaluation::clone(evaluation), *step));
        }
    })?;
    found.ok_or_else(|| Error::Trainer {
        stage: "evaluate".to_owned(),
        what: "it ended without an answer".to_owned(),
        hint: "build it again with `make trainer`: it may be older than this program".to_owned(),
    })
}

/// The dataset that a run trained on, out of the store.
fn of_run(metrics: &serde_json::Value, context: &Context) -> Result<Packed> {
    let project = context.project(&[])?;
    let dataset = metrics.get("dataset").and_then(|dataset| serde_json::from_value::<Dataset>(dataset.clone()).ok());
    let packed = dataset.map(|dataset| dataset.packed(&project));
    packed.filter(|packed| packed.train.is_file() && packed.held_out.iter().all(|path| path.is_file())).ok_or_else(|| Error::Usage {
        what: "the photos that this run was trained on are no longer in the store".to_owned(),
        hint: "name others: `--dataset data/Export`".to_owned(),
    })
}

/// The dataset in a folder.
fn in_folder(folder: &Path) -> Result<Packed> {
    let file = |name: &str| Some(folder.join(name)).filter(|path| path.is_file());
    let train = file("train.npy").ok_or_else(|| Error::Usage {
        what: format!("there is no train.npy in {}", folder.display()),
        hint: "name the folder of an `export` stage".to_owned(),
    })?;
    Ok(Packed { train, held_out: file("held_out.npy"), index: file("index.jsonl") })
}

/// The dataset of the first export stage that has one.
fn exported(context: &Context) -> Result<Option<Packed>> {
    let project = context.project(&[])?;
    let packs = project.pipeline.stages.iter().filter(|stage| stage.shape() == Shape::Pack);
    Ok(packs.map(|stage| project.workspace.stage_folder(&stage.name)).find_map(|folder| in_folder(&folder).ok()))
}

fn show(evaluation: &Evaluation, step: Option<u64>, args: &Args, context: &Context) {
    if context.json {
        let mut line = serde_json::to_value(evaluation).expect("an evaluation is plain data");
        line["step"] = step.into();
        return output::json(&line);
    }
    let Evaluation { features: judged_by, pictures, variety, copied, .. } = evaluation;
    let of = match (&args.folder, step) {
        (Some(folder), _) => folder.display().to_string(),
        (None, Some(step)) => format!("the generator after {step} steps"),
        (None, None) => "the generator".to_owned(),
    };
    output::line(format_args!("{pictures} pictures of {of}, by the features {judged_by}"));
    let row = |name: &str, Distances { photos, kid, kid_error, frechet, precision, recall }: &Distances| {
        let error = kid_error.map_or_else(String::new, |error| format!(" ± {:.2}", 1000.0 * error));
        let kid = format!("{:.2}{error}", 1000.0 * kid);
        vec![format!("{photos} {name} photos"), kid, format!("{frechet:.2}"), format!("{precision:.3}"), format!("{recall:.3}")]
    };
    let rows: Vec<Vec<String>> =
        evaluation.held_out.iter().map(|distances| row("held-out", distances)).chain([row("training", &evaluation.training)]).collect();
    output::table(&["against", "KID ×1000", evaluation.frechet_name(), "precision", "recall"], &rows);
    output::line(format_args!("variety: spread {:.2}, nearest neighbour {:.2} of the photos'", variety.spread, variety.nearest));
    let usual = if copied.by_held_out { "held-out photos" } else { "other training photos" };
    output::line(format_args!(
        "copies: {:.1} % are nearer to a training photo than all but 5 % of {usual} are; the middle one is at {:.2} of their distance",
        100.0 * copied.share,
        copied.ratio
    ));
    if args.features == "auto" && judged_by == features::RANDOM {
        say!(
            "note: no feature network was found, so random convolutions judged, which see colours and textures and no cats; `catgen-pipe doctor` says \
             what to put where"
        );
    }
    for pair in &copied.nearest {
        let photo = pair.photo.clone().unwrap_or_else(|| format!("row {} of train.npy", pair.row));
        let seed = if args.folder.is_some() { format!("picture {}", pair.picture) } else { format!("seed {}", args.seed + pair.picture) };
        output::line(format_args!("  {seed} comes nearest to {photo} ({:.3})", pair.distance));
    }
}
