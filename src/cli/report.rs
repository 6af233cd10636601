//! `report`: what a run did, as a page to look at.

use std::process::{Command, Stdio};

use serde_json::json;

use super::{Context, output};
use crate::{
    Error, Project, Result,
    record::{self, RunRecord},
    report,
};

/// Write the page that shows what a run did: counts, pictures, rejections, curves; runs that do something write it themselves
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The run: its id, its number, or `last`
    #[arg(default_value = "last")]
    run: String,
    /// Show it in the browser
    #[arg(long)]
    open: bool,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    let project = context.project(&[])?;
    if args.run == "last" && record::list(&project.workspace).is_empty() {
        return Err(Error::Usage { what: "nothing was run yet".to_owned(), hint: "`catgen-pipe run`".to_owned() });
    }
    let path = report::find_or_write(&project, &args.run)?;
    if context.json {
        output::json(&json!({ "path": path }));
    } else {
        output::line(project.workspace.relative(&path));
    }
    if args.open {
        let browser = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
        let started = Command::new(browser).arg(&path).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        if let Err(error) = started {
            say!("note: {browser} cannot be started ({error}): open the file yourself");
        }
    }
    Ok(())
}

/// The newest run, to be told after a run whether there is a newer one.
pub(super) fn newest(project: &Project) -> Option<(String, u32)> {
    record::list(&project.workspace).pop().map(|run| (run.id, run.attempts))
}

/// After a run that did something; `before` is what was the newest run then. A report is for people's eyes: a run does not fail
/// because of it, and where it failed, that is what has to be said.
pub(super) fn after_run(project: &Project, before: Option<(String, u32)>, ended_well: bool) {
    let did_something = |run: &RunRecord| run.stages.iter().any(|stage| stage.computed + stage.removed > 0);
    let Some(last) = record::list(&project.workspace).pop().filter(did_something) else { return };
    if before == Some((last.id.clone(), last.attempts)) {
        return;
    }
    match report::write(project, &last) {
        Ok(path) if ended_well => say!("look at it: {}", project.workspace.relative(&path)),
        Ok(_) => {}
        Err(error) => say!("note: the run's report could not be written: {error}"),
    }
}
