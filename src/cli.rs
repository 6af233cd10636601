//! The command line: one file per subcommand. Here, and only here, errors become words and exit codes.
//!
//! stdout is data, stderr is for people.

/// `eprintln!` that does not panic when standard error is closed or full.
macro_rules! say {
    ($($words:tt)*) => {
        $crate::cli::output::say(format_args!($($words)*))
    };
}

mod cache;
mod compare;
mod doctor;
mod duplicates;
mod evaluate;
mod explain_conv;
mod fsck;
mod gc;
mod generate;
mod impact;
mod init;
mod inspect;
mod locate;
mod model;
mod output;
mod plan;
mod preview;
mod reel;
mod report;
mod run;
mod runs;
mod sample;
mod stages;
mod studio;
mod trace;
mod train;
mod trained;
mod verify;
mod why;
mod worker;

use std::{
    any::Any,
    cell::RefCell,
    panic::AssertUnwindSafe,
    path::PathBuf,
    process::ExitCode,
    sync::atomic::{AtomicBool, Ordering},
};

use clap::{Parser, Subcommand};
use output::say;

use crate::{Error, Project, Result, Workspace, pipeline::Override, registry::STAGES, tools::Tools};

/// From a folder of your own photos to a trained 64 px image generator
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, max_term_width = 120)]
struct Cli {
    /// Work in the workspace in DIR
    #[arg(short = 'C', value_name = "DIR", global = true, default_value = ".", hide_default_value = true)]
    dir: PathBuf,
    /// Print data as JSON lines
    #[arg(long, global = true)]
    json: bool,
    /// Say more about what happens (-vv: even more); CATGEN_LOG sets a filter instead
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Init(init::Args),
    Sample(sample::Args),
    Run(run::Args),
    Plan(plan::Args),
    Status(plan::StatusArgs),
    Inspect(inspect::Args),
    Preview(preview::Args),
    Verify(verify::Args),
    Duplicates(duplicates::Args),
    Why(why::Args),
    Trace(trace::Args),
    Impact(impact::Args),
    Train(train::Args),
    Runs(runs::Args),
    Compare(compare::Args),
    Cache(cache::Args),
    Gc(gc::Args),
    Fsck(fsck::Args),
    Report(report::Args),
    Generate(generate::Args),
    Evaluate(evaluate::Args),
    Interpolate(generate::InterpolateArgs),
    Export(model::ExportArgs),
    Import(model::ImportArgs),
    Reel(reel::Args),
    Features(model::FeaturesArgs),
    ExplainConv(explain_conv::Args),
    Stages(stages::Args),
    Studio(studio::Args),
    Doctor(doctor::Args),
    Worker(worker::Args),
}

/// What is wrong with a line of a stage's decisions file, if anything is.
type BadLine = fn(&str, &std::path::Path) -> Option<Error>;

/// A stage that obeys a decisions file.
struct Decided {
    stage: String,
    file: PathBuf,
    bad_line: BadLine,
}

/// What every subcommand is given.
struct Context {
    dir: PathBuf,
    json: bool,
    /// The decisions file of each stage, of the project that was opened last, that obeys people.
    decisions: RefCell<Vec<Decided>>,
}

impl Context {
    fn new(dir: PathBuf, json: bool) -> Self {
        Self { dir, json, decisions: RefCell::default() }
    }

    fn workspace(&self) -> Result<Workspace> {
        Workspace::open(&self.dir)
    }

    fn project(&self, set: &[String]) -> Result<Project> {
        let workspace = self.workspace()?;
        let overrides = set.iter().map(|text| Override::parse(text).map_err(usage)).collect::<Result<Vec<_>>>()?;
        let project = Project::open(workspace, overrides, STAGES, Tools::find())?;
        let of = |files: Vec<(String, PathBuf)>, bad_line: BadLine| {
            files.into_iter().map(move |(stage, file)| Decided { stage, file, bad_line })
        };
        let verify = of(verify::decisions_files(&project), verify::bad_line);
        *self.decisions.borrow_mut() = verify.chain(of(duplicates::decisions_files(&project), duplicates::bad_line)).collect();
        Ok(project)
    }

    /// A stage that cannot be built because of a line in its decisions file did not fail: somebody has to correct
    /// that line, as in `pipeline.toml`.
    fn blame(&self, error: Error) -> Error {
        let Error::Stage { stage, .. } = &error else { return error };
        let decisions = self.decisions.borrow();
        let decided = decisions.iter().find(|decided| decided.stage == *stage);
        decided.and_then(|decided| (decided.bad_line)(stage, &decided.file)).unwrap_or(error)
    }
}

/// Parses the command line, does what it says, and answers the exit code.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    start_log(cli.verbose);
    quiet_panics();
    let context = Context::new(cli.dir, cli.json);
    match caught(|| dispatch(cli.command, &context)) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => {
            let error = context.blame(error);
            say(format_args!("error: {error}"));
            if let Some(hint) = error.hint() {
                say(format_args!("hint: {hint}"));
            }
            ExitCode::from(error.exit_code())
        }
        Err(words) => {
            say(format_args!("error: this is a mistake in the program ({words}): please report it"));
            ExitCode::from(1)
        }
    }
}

fn dispatch(command: Command, context: &Context) -> Result<()> {
    match command {
        Command::Init(args) => init::run(&args, context),
        Command::Sample(args) => sample::run(&args, context),
        Command::Run(args) => run::run(&args, context),
        Command::Plan(args) => plan::run(&args, context),
        Command::Status(args) => plan::status(&args, context),
        Command::Inspect(args) => inspect::run(&args, context),
        Command::Preview(args) => preview::run(&args, context),
        Command::Verify(args) => verify::run(&args, context),
        Command::Duplicates(args) => duplicates::run(&args, context),
        Command::Why(args) => why::run(&args, context),
        Command::Trace(args) => trace::run(&args, context),
        Command::Impact(args) => impact::run(&args, context),
        Command::Train(args) => train::run(&args, context),
        Command::Runs(args) => runs::run(&args, context),
        Command::Compare(args) => compare::run(&args, context),
        Command::Cache(args) => cache::run(&args, context),
        Command::Gc(args) => gc::run(&args, context),
        Command::Fsck(args) => fsck::run(&args, context),
        Command::Report(args) => report::run(&args, context),
        Command::Generate(args) => generate::run(&args, context),
        Command::Evaluate(args) => evaluate::run(&args, context),
        Command::Interpolate(args) => generate::interpolate(&args, context),
        Command::Export(args) => model::export(&args, context),
        Command::Import(args) => model::import(&args, context),
        Command::Reel(args) => reel::run(&args, context),
        Command::Features(args) => model::features(&args, context),
        Command::ExplainConv(args) => explain_conv::run(&args, context),
        Command::Stages(args) => stages::run(&args, context),
        Command::Studio(args) => studio::run(&args, context),
        Command::Doctor(args) => doctor::run(&args, context),
        Command::Worker(args) => worker::run(&args, context),
    }
}

/// What `work` answers, or the words of a panic in it or in a thread that worked for it.
fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    // Nothing that the work touched is looked at afterwards but what it noted of decisions files, which is whole or empty.
    std::panic::catch_unwind(AssertUnwindSafe(work)).map_err(|panic: Box<dyn Any + Send>| match panic.downcast::<String>() {
        Ok(words) => *words,
        Err(panic) => panic.downcast::<&str>().map_or_else(|_| "a panic without words".to_owned(), |words| (*words).to_owned()),
    })
}

/// A mistake on the command line.
fn usage(what: String) -> Error {
    Error::Usage { what, hint: String::new() }
}

fn start_log(verbose: u8) {
    let level = ["warn", "info", "debug"][usize::from(verbose.min(2))];
    let filter = tracing_subscriber::EnvFilter::try_from_env("CATGEN_LOG").unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(level));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false).without_time();
    // A log that cannot be written would be complained about on the same standard error, with a panic.
    log.log_internal_errors(false).init();
}

/// A panic on one picture is caught and becomes a rejection with its words: the backtrace is only for those who ask.
fn quiet_panics() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if std::thread::current().name() == Some("main") {
            usual(panic);
        } else {
            tracing::debug!("{panic}");
        }
    }));
}

/// Set by the first Ctrl-C.
static STOP: AtomicBool = AtomicBool::new(false);

/// A number of minutes above 0.
fn minutes(text: &str) -> std::result::Result<f64, String> {
    text.parse()
        .ok()
        .filter(|minutes: &f64| *minutes > 0.0 && minutes.is_finite())
        .ok_or_else(|| "expected minutes, such as 90 or 0.5".to_owned())
}

/// From here on Ctrl-C means: finish what is in flight and end. A second one ends at once; nothing finished is lost.
fn stop_on_ctrl_c() {
    let handler = || {
        if STOP.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
        say("stopping: finishing what is in flight (Ctrl-C again to stop at once)");
    };
    if let Err(error) = ctrlc::set_handler(handler) {
        tracing::warn!(%error, "Ctrl-C will stop at once");
    }
}

#[cfg(test)]
mod tests {
    use super::caught;

    #[test]
    fn a_panic_is_words_also_from_another_thread() {
        assert_eq!(caught(|| 7), Ok(7));
        assert_eq!(caught(|| -> u8 { panic!("a plain word") }), Err("a plain word".to_owned()));
        let number = 7;
        let threads = || rayon::join(|| (), || panic!("word {number}"));
        assert_eq!(caught(threads).map(|_: ((), ())| ()), Err("word 7".to_owned()));
    }
}
