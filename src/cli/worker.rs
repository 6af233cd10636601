//! `worker`: compute one shard of what a run elsewhere asks for.

use std::{path::PathBuf, time::Duration};

use catgen_api::Digest;

use super::{
    Context,
    output::{self, Output},
};
use crate::{Error, Result, disk::size, registry::STAGES, run::shard, tools::Tools};

/// Compute one part of what a run on another machine asks for: started by an executor, see docs/scale.md
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The shared cache
    #[arg(long, value_name = "ADDRESS")]
    remote: String,
    /// The plan, by its digest
    #[arg(long, value_name = "DIGEST")]
    plan: Digest,
    /// Which of its shards, counted from 0
    #[arg(long, value_name = "N")]
    shard: usize,
    /// Pictures worked on at once; all cores if left out
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// Put what was computed into the shared cache after so many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    publish_every: u64,
    /// A folder for temporary files; the system's own if left out
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    let parent = args.scratch.clone().unwrap_or_else(std::env::temp_dir);
    // Taken away when the work is done. What a killed worker leaves is the scheduler's to clear, as of any job.
    let folder = tempfile::Builder::new().prefix("catgen-worker-").tempdir_in(&parent).map_err(Error::io("create a folder in", &parent))?;
    super::run::threads(args.jobs)?;
    super::stop_on_ctrl_c();
    let asked = shard::Asked {
        remote: args.remote.clone(),
        order: args.plan,
        shard: args.shard,
        publish_every: Duration::from_secs(args.publish_every.max(1)),
    };
    let worked = shard::work(&asked, folder.path(), STAGES, Tools::find(), &Output::new(false))?;
    if context.json {
        output::json(&worked);
    } else {
        let shard::Worked { items, known, actions, files, bytes } = worked;
        say!("shard {}: {items} pictures, {known} known, {actions} results and {files} files ({}) told of", args.shard, size(bytes));
    }
    Ok(())
}
