//! `run`: compute what is missing, and nothing else.

use super::{Context, output::Output, report};
use crate::{Error, Project, Result, run as engine};

/// Compute what is missing, per photo, and nothing else
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only this stage and what it needs; may be given several times
    #[arg(long, value_name = "STAGE")]
    until: Vec<String>,
    /// Only this stage and what needs it; what comes before is taken as it was last finished
    #[arg(long, value_name = "STAGE")]
    from: Option<String>,
    /// Change a parameter for this run, for instance --set 7.Train.epochs=2
    #[arg(long, value_name = "STAGE.KEY=VALUE")]
    set: Vec<String>,
    /// Photos worked on at once; all cores if left out
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// Fail where a picture could not be worked on, instead of going on without it
    #[arg(long)]
    strict: bool,
    /// Stop each training after so many minutes, with a checkpoint that the next `run` goes on from
    #[arg(long, value_name = "MINUTES", value_parser = super::minutes)]
    time_budget: Option<f64>,
    /// Put what is computed into the shared cache, though `push = false` in pipeline.toml
    #[arg(long)]
    push: bool,
    /// With --json: also a line, a few times a second, of how far the work is
    #[arg(long)]
    progress: bool,
    /// Fail if another run works in this workspace, instead of waiting for it
    #[arg(long)]
    no_wait: bool,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    // Not said to clap, which does not find a `--json` that stands before the command.
    if args.progress && !context.json {
        return Err(super::usage("--progress goes with --json".to_owned()));
    }
    let mut project = context.project(&args.set)?;
    let options = engine::Options {
        until: stages(&project, &args.until)?,
        from: args.from.as_deref().map(|stage| self::stage(&project, stage)).transpose()?,
        no_wait: args.no_wait,
        train_again: false,
        strict: args.strict,
        time_budget: args.time_budget,
        push: args.push.then_some(true),
    };
    threads(args.jobs)?;
    super::stop_on_ctrl_c();
    let before = report::newest(&project);
    let ended = engine::run(&mut project, &options, &Output::new(context.json).with_progress(args.progress));
    report::after_run(&project, before, ended.is_ok());
    if ended.is_ok() {
        super::plan::say_leftovers(&project);
    }
    ended.map(|_| ())
}

/// The position of the stage that a person calls `word`.
pub(super) fn stage(project: &Project, word: &str) -> Result<usize> {
    project.pipeline.find(word).map_err(super::usage)
}

/// The positions of several stages; the name of a stage with a `matrix` means all its variants.
pub(super) fn stages(project: &Project, words: &[String]) -> Result<Vec<usize>> {
    let found: Vec<Vec<usize>> = words.iter().map(|word| project.pipeline.find_all(word).map_err(super::usage)).collect::<Result<_>>()?;
    Ok(found.into_iter().flatten().collect())
}

/// Limits the threads of this process.
pub(super) fn threads(jobs: Option<usize>) -> Result<()> {
    let Some(jobs) = jobs else { return Ok(()) };
    if jobs == 0 {
        return Err(super::usage("--jobs 0 would do nothing: give at least 1".to_owned()));
    }
    rayon::ThreadPoolBuilder::new()
        .num_threads(jobs)
        .build_global()
        .map_err(|error| Error::Usage { what: error.to_string(), hint: String::new() })
}
