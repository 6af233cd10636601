//! `init`: a new workspace.

use std::{fs, path::PathBuf};

use super::Context;
use crate::{Error, Result, workspace::PIPELINE_FILE};

/// Make a workspace: pipeline.toml with both flows, and a folder for your photos
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where; the current folder if left out
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
}

/// The shipped pipeline, both flows.
const PIPELINE: &str = include_str!("../../pipeline.toml");

pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    let root = args.folder.as_ref().map_or_else(|| context.dir.clone(), |folder| context.dir.join(folder));
    let file = root.join(PIPELINE_FILE);
    if file.exists() {
        return Err(Error::Usage {
            what: format!("{} exists already", file.display()),
            hint: "nothing was changed; use another folder".to_owned(),
        });
    }
    let photos = root.join("data").join("0.ORIGINAL");
    fs::create_dir_all(&photos).map_err(Error::io("create", &photos))?;
    let ignore = root.join(".gitignore");
    if !ignore.exists() {
        fs::write(&ignore, "/.catgen/\n/data/\n/runs/\n").map_err(Error::io("write", &ignore))?;
    }
    fs::write(&file, PIPELINE).map_err(Error::io("write", &file))?;
    say!("made a workspace in {}", root.display());
    say!("next: copy your photos into {}, or draw some with `catgen-pipe sample`; then `catgen-pipe run`", photos.display());
    Ok(())
}
