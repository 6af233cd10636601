//! `cache`: what is shared with others, and what lies there.

use super::{
    Context,
    output::{self, Output, Tagged},
};
use crate::{
    Error, Project, Result,
    cache::actions,
    disk::size,
    plan,
    progress::Traffic,
    shared::{Finished, SharedCache},
};

/// Share what was computed: put it into the shared cache, bring it here, look what lies there
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
    /// The shared cache, instead of `remote` in pipeline.toml: s3://…, gs://…, az://…, file:///…
    #[arg(long, value_name = "ADDRESS", global = true)]
    remote: Option<String>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Put everything that was ever computed here into the shared cache, as far as it is not there
    Push,
    /// Bring here what a run could use of the shared cache; compute nothing
    Pull {
        /// Fail if a run works in this workspace, instead of waiting for it
        #[arg(long)]
        no_wait: bool,
    },
    /// Count what lies in the shared cache
    Stats,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    let set: Vec<String> = args.remote.iter().map(|remote| format!("cache.remote={}", serde_json::Value::from(remote.as_str()))).collect();
    let mut project = context.project(&set)?;
    if project.pipeline.cache.remote.is_none() {
        return Err(Error::Usage {
            what: "there is no shared cache: pipeline.toml does not say where it is".to_owned(),
            hint: "add `[cache]` with `remote = \"s3://bucket/prefix\"` or `remote = \"file:///a/shared/folder\"`, or say --remote"
                .to_owned(),
        });
    }
    match args.command {
        Command::Push => push(&asking(project)?, context),
        Command::Pull { no_wait } => pull(&mut project, no_wait, context),
        Command::Stats => stats(&asking(project)?, context),
    }
}

/// Asks the shared cache at once: here an error is an error, and nothing goes on without it.
fn asking(mut project: Project) -> Result<Project> {
    project.ask_shared()?;
    shared(&project).refresh()?;
    Ok(project)
}

fn push(project: &Project, context: &Context) -> Result<()> {
    let shared = shared(project);
    let found = actions::survey(&project.store.path("actions.log"))?;
    let known = found.actions.into_iter().filter_map(|(key, known)| known.map(|(outcome, took)| (key, outcome, took)));
    let finished = known.filter_map(|(key, outcome, took)| Finished::of(key, outcome, took)).collect();
    let pushed = shared.push(finished, &project.store)?;
    told(Traffic { pulled: 0, pushed: pushed.blobs, bytes: pushed.bytes }, context);
    if !context.json {
        say!("{} results of stages, {} files ({}) put into {}", pushed.actions, pushed.blobs, size(pushed.bytes), shared.address());
    }
    Ok(())
}

fn pull(project: &mut Project, no_wait: bool, context: &Context) -> Result<()> {
    let _lock = project.workspace.lock(!no_wait, |by| say!("note: waiting for a run in this workspace: {by}"))?;
    project.store.prepare()?;
    project.begin_writing()?;
    shared(project).refresh()?;
    let progress = Output::new(context.json);
    let pulled = plan::pull(project, &progress);
    progress.clear();
    pulled
}

fn stats(project: &Project, context: &Context) -> Result<()> {
    let shared = shared(project);
    let stats = shared.stats()?;
    if context.json {
        output::json(&stats);
    } else {
        let row = |what: &str, count: u64, of: String| vec![what.to_owned(), count.to_string(), of];
        output::line(&stats.remote);
        output::table(
            &["", "count", ""],
            &[
                row("files", stats.blobs, size(stats.bytes)),
                row("packs they lie in", stats.packs, String::new()),
                row("results of stages", stats.actions, String::new()),
                row("index objects", stats.indexes, String::new()),
            ],
        );
    }
    Ok(())
}

fn shared(project: &Project) -> &SharedCache {
    project.shared.as_ref().expect("it was said that the pipeline names one, and it was opened")
}

fn told(traffic: Traffic, context: &Context) {
    if context.json {
        output::json(&Tagged { event: "cache", body: &traffic });
    }
}
