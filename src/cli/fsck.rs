//! `fsck`: is everything in the store what it should be?

use super::{
    Context,
    output::{self, Output, Tagged},
};
use crate::{
    Error, Result,
    cache::fsck::{self, Finding, Report},
    disk::size,
};

/// Read everything in the store and name what is damaged
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Take away what is damaged, so that the next run makes it again
    #[arg(long)]
    repair: bool,
    /// Fail if a run works in this workspace, instead of waiting for it
    #[arg(long)]
    no_wait: bool,
}

/// How many names of files are said to a person.
const NAMED: usize = 3;

pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    let project = context.project(&[])?;
    let _lock = if args.repair {
        let waiting = |by: &str| say!("note: waiting for a run in this workspace: {by}");
        let lock = project.workspace.lock(!args.no_wait, waiting)?;
        project.store.prepare()?;
        Some(lock)
    } else {
        if let Some(by) = project.workspace.busy() {
            if args.no_wait {
                return Err(Error::Busy { by });
            }
            say!("note: a run works in this workspace ({by}): what it is writing just now may look damaged");
        }
        None
    };
    let progress = Output::new(false);
    let report = fsck::check(&project.workspace, &project.store, &project.pipeline.names(), args.repair, &progress)?;
    progress.clear();
    if context.json {
        report.findings.iter().for_each(|finding| output::json(&Tagged { event: "damage", body: finding }));
        let Report { blobs, bytes, records, manifests, files, findings } = &report;
        let total =
            Total { blobs: *blobs, bytes: *bytes, records: *records, manifests: *manifests, files: *files, damaged: findings.len() };
        output::json(&Tagged { event: "fsck", body: &total });
    } else {
        report.findings.iter().for_each(|finding| output::line(words(finding)));
        let Report { blobs, bytes, records, manifests, files, .. } = &report;
        say!("read {blobs} stored files ({}), {records} records, {manifests} manifests; compared {files} files below data/", size(*bytes));
    }
    match report.findings.len() {
        0 => {
            say!("everything is as it should be");
            Ok(())
        }
        count if args.repair => {
            let things = if count == 1 { "one thing was" } else { &format!("{count} things were") };
            say!("{things} not as it should be; `catgen-pipe run` makes again what is missing now");
            Ok(())
        }
        1 => Err(Error::Damaged { what: "one thing is not as it should be".to_owned() }),
        count => Err(Error::Damaged { what: format!("{count} things are not as they should be") }),
    }
}

/// The last line of `fsck --json`; its names are a contract.
#[derive(serde::Serialize)]
struct Total {
    blobs: usize,
    bytes: u64,
    records: usize,
    manifests: usize,
    files: usize,
    damaged: usize,
}

fn words(finding: &Finding) -> String {
    let Finding { path, problem, items, repair, .. } = finding;
    let named = items.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    let items = match items.len() {
        0 => String::new(),
        n if n > NAMED => format!(" [{named} and {} more]", n - NAMED),
        _ => format!(" [{named}]"),
    };
    format!("{path}: {problem}{items}: {repair}")
}
