//! `train`: train again on the cached dataset.

use catgen_api::Shape;

use super::{Context, output::Output, report, run::stage};
use crate::{Error, Result, run as engine};

/// Train on the cached dataset: go on with a training that was stopped, or train again, as a new run
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The training stage; the first one of the pipeline if left out
    stage: Option<String>,
    /// Change a parameter for this training: --set learning_rate=1e-4
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Stop after so many minutes of training, with a checkpoint that `run` goes on from
    #[arg(long, value_name = "MINUTES", value_parser = super::minutes)]
    time_budget: Option<f64>,
    /// Fail if another run works in this workspace, instead of waiting for it
    #[arg(long)]
    no_wait: bool,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    let plain = context.project(&[])?;
    let target = match &args.stage {
        Some(word) => stage(&plain, word)?,
        None => plain.pipeline.stages.iter().position(|stage| stage.shape() == Shape::Train).ok_or_else(|| Error::Usage {
            what: "the pipeline has no stage with `use = \"train\"`".to_owned(),
            hint: "`catgen-pipe init` writes a pipeline with two".to_owned(),
        })?,
    };
    let name = plain.pipeline.stages[target].name.clone();
    if plain.pipeline.stages[target].shape() != Shape::Train {
        return Err(super::usage(format!("{name} does not train: name a stage with `use = \"train\"`")));
    }
    // `learning_rate=1e-4` means this stage; `STAGE.key=value` says which itself.
    let is_short = |text: &str| text.split_once('=').is_some_and(|(key, _)| !key.contains('.'));
    let set: Vec<String> = args.set.iter().map(|text| if is_short(text) { format!("{name}.{text}") } else { text.clone() }).collect();
    let mut project = context.project(&set)?;
    let options = engine::Options {
        until: vec![target],
        from: Some(target),
        no_wait: args.no_wait,
        train_again: true,
        strict: false,
        time_budget: args.time_budget,
        push: None,
    };
    super::stop_on_ctrl_c();
    let before = report::newest(&project);
    let ended = engine::run(&mut project, &options, &Output::new(context.json));
    report::after_run(&project, before, ended.is_ok());
    ended.map(|_| ())
}
