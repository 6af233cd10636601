//! Pins: runs whose results `gc` keeps whatever comes. An empty file in the run's folder, so that pinning needs no lock and
//! cannot get into the way of a run at work.

use std::{fs, io, path::PathBuf};

use crate::{Error, Workspace, error::Result};

fn file(workspace: &Workspace, id: &str) -> PathBuf {
    workspace.runs().join(id).join("pinned")
}

/// Whether the run is pinned.
pub fn is_pinned(workspace: &Workspace, id: &str) -> bool {
    file(workspace, id).exists()
}

/// Pins the run or takes its pin away; answers whether that is news.
///
/// # Errors
/// The file system's.
pub fn set(workspace: &Workspace, id: &str, pinned: bool) -> Result<bool> {
    let path = file(workspace, id);
    let done = if pinned { fs::File::create_new(&path).map(drop) } else { fs::remove_file(&path) };
    match done {
        Ok(()) => Ok(true),
        Err(error) if matches!(error.kind(), io::ErrorKind::AlreadyExists | io::ErrorKind::NotFound) && pinned == path.exists() => {
            Ok(false)
        }
        Err(error) => Err(Error::io(if pinned { "create" } else { "remove" }, path)(error)),
    }
}
