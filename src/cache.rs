//! The store: what was computed, so that it is computed once.
//!
//! ```text
//! .catgen/
//!   format            the version of this layout; a program that does not know it stops
//!   lock              held by the one `run`
//!   cas/ab/cdef…      blobs named by their BLAKE3, read-only, never changed
//!   tmp/              half-written files; emptied at the start of a run
//!   actions.log       ActionKey → outcome, one appended record each
//!   memo              (path, size, times, inode) → digest of the user's photos
//!   manifests/<hex>   what a stage put out, JSON lines
//!   stages.json       per stage: the components and input it last ran with, and the manifest it put out
//!   views/<stage>     per stage folder: what should lie in it
//!   set-aside/        files found in stage folders that are not ours: moved here, never deleted
//! ```
//!
//! Crash safety: blobs, manifests, `stages.json`, `memo` and view indexes appear by rename; `actions.log` is appended one
//! checksummed record at a time and a torn tail is cut off on opening. So whatever a `kill -9` leaves behind is either
//! whole or absent, and the next run goes on from it.

pub mod actions;
pub mod cas;
pub mod memo;
pub mod states;
pub mod views;

use std::{
    fs, io,
    io::Write,
    path::{Path, PathBuf},
};

use catgen_api::{Digest, Manifest};

use crate::{Error, Workspace, error::Result};

/// The version of the layout above.
const FORMAT: &str = "1";

/// An opened store.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    /// Blobs by digest.
    pub cas: cas::Cas,
}

impl Store {
    /// Opens the workspace's store for reading; makes nothing.
    ///
    /// # Errors
    /// A store of another format.
    pub fn open(workspace: &Workspace) -> Result<Self> {
        let root = workspace.store();
        match fs::read_to_string(root.join("format")) {
            Ok(found) if found.trim() != FORMAT => {
                return Err(Error::Usage {
                    what: format!("{} has format {}, this program knows format {FORMAT}", root.display(), found.trim()),
                    hint: "use the program that wrote it, or delete the folder `.catgen`: everything in it can be computed again"
                        .to_owned(),
                });
            }
            _ => {}
        }
        let cas = cas::Cas::new(root.join("cas"), root.join("tmp"));
        Ok(Self { root, cas })
    }

    /// Makes the store's folders and clears what an interrupted run left half-written. Needs the workspace's lock.
    ///
    /// # Errors
    /// The file system's.
    pub fn prepare(&self) -> Result<()> {
        let tmp = self.root.join("tmp");
        if tmp.exists() {
            fs::remove_dir_all(&tmp).map_err(Error::io("clear", &tmp))?;
        }
        for folder in ["cas", "tmp", "manifests", "views"] {
            let path = self.root.join(folder);
            fs::create_dir_all(&path).map_err(Error::io("create", &path))?;
        }
        for folder in [self.root.clone(), self.path("manifests"), self.path("views")] {
            sweep(&folder)?;
        }
        let format = self.root.join("format");
        if !format.exists() {
            write_whole(&format, FORMAT.as_bytes())?;
        }
        Ok(())
    }

    /// The path of a file or folder of the store.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// An empty folder for a stage that writes files; it is cleared when the next run starts, if not before.
    ///
    /// # Errors
    /// The file system's.
    pub fn scratch(&self) -> Result<tempfile::TempDir> {
        let tmp = self.root.join("tmp");
        tempfile::tempdir_in(&tmp).map_err(Error::io("create a folder in", tmp))
    }

    /// Writes a manifest and answers its digest.
    ///
    /// # Errors
    /// The file system's.
    pub fn put_manifest(&self, manifest: &Manifest) -> Result<Digest> {
        let bytes = manifest.to_bytes();
        let digest = Digest::of(&bytes);
        let path = self.root.join("manifests").join(digest.to_string());
        if !fs::read(&path).is_ok_and(|there| there == bytes) {
            write_whole(&path, &bytes)?;
        }
        Ok(digest)
    }

    /// Reads a manifest; `None` if it is not there or cannot be used, which only means computing again.
    pub fn manifest(&self, digest: &Digest) -> Option<Manifest> {
        let bytes = fs::read(self.root.join("manifests").join(digest.to_string())).ok()?;
        if Digest::of(&bytes) != *digest {
            tracing::warn!(%digest, "a manifest is damaged; its stage will be looked at again");
            return None;
        }
        Manifest::from_bytes(&bytes).inspect_err(|error| tracing::warn!(%digest, %error, "a manifest cannot be used")).ok()
    }
}

/// The start of the names of half-written files.
const PART: &str = ".part-";

/// Writes a file so that it is there whole or not at all: temp file, flushed to the disk, renamed. Only the holder of the
/// workspace's lock writes, so the temp file's name needs no luck.
///
/// # Errors
/// The file system's.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
    let mut name = std::ffi::OsString::from(PART);
    name.push(path.file_name().unwrap_or_default());
    let part = folder.join(name);
    let write = || -> io::Result<()> {
        let mut file = fs::File::create(&part)?;
        file.write_all(bytes)?;
        file.sync_data()?;
        fs::rename(&part, path)
    };
    write().map_err(Error::io("write", path))
}

/// Removes half-written files that an interrupted run left in a folder.
fn sweep(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder).map_err(Error::io("read", folder))?.filter_map(std::result::Result::ok) {
        if entry.file_name().as_encoded_bytes().starts_with(PART.as_bytes()) {
            fs::remove_file(entry.path()).map_err(Error::io("remove", entry.path()))?;
        }
    }
    Ok(())
}
