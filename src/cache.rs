//! The store: what was computed, so that it is computed once.
//!
//! ```text
//! .catgen/              a folder, or a link to one on another disk
//!   format              the version of this layout; a program that does not know it stops
//!   lock                held by the one `run`, `gc` or `fsck --repair`
//!   cas/ab/cdef…        blobs named by their BLAKE3, read-only, never changed
//!   tmp/                half-written files; emptied at the start of a run
//!   shared/<address>/   index objects of the shared cache that were read before; may be deleted
//!   jobs/               what an executor was given, and what its workers said
//!   thumbs/             the studio's thumbnails, bounded; may be deleted
//!   game/               pictures that generators drew for the studio's game; may be deleted
//!   studio/             what the studio's last change of pipeline.toml replaced
//!   actions.log         ActionKey → outcome, one appended record each          drawn in `actions/log.rs`
//!   memo                (path, size, times, inode) → digest of the photos      drawn in `memo.rs`
//!   manifests/<hex>     what a stage put out, JSON lines                       drawn in `catgen_api::manifest`
//!   stages.json         per stage: what it last ran with, and what it put out  `states.rs`
//!   views/<stage>       per stage folder: what should lie in it                drawn in `views/index.rs`
//!   set-aside/          files found in stage folders that are not ours: moved here, deleted by nobody but `gc --set-aside`
//! ```
//!
//! `format` counts up when an older program would misread the rest. Each file also says its own version, and a reader that
//! does not know it takes the file for absent, which costs looking things up and loses nothing.
//!
//! Crash safety: blobs, manifests, `stages.json`, `memo` and view indexes appear by rename; `actions.log` is appended one
//! checksummed record at a time and a torn tail is cut off on opening. So whatever a `kill -9` leaves behind is either
//! whole or absent, and the next run goes on from it. `gc` removes manifests and blobs first and what refers to them last: a
//! record whose blobs are gone is a miss.
//!
//! One file per picture and no packs: a view is then one more name for the same file and costs no block, while the views of
//! pictures in packs would cost every block again. What a pack would save is the unused end of each file's last block;
//! `docs/performance.md` says how much that is.

pub mod actions;
pub mod cas;
mod fault;
pub mod fsck;
pub mod gc;
pub mod memo;
pub mod states;
pub mod views;

use std::{
    collections::HashMap,
    fs, io,
    io::Write,
    path::{Path, PathBuf},
};

use catgen_api::{Digest, Manifest};

use crate::{Error, Workspace, error::Result};

/// The version of the layout above.
const FORMAT: u32 = 1;

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
    /// A store of another format, or on a disk that is not there.
    pub fn open(workspace: &Workspace) -> Result<Self> {
        let root = workspace.store();
        if let Ok(target) = fs::read_link(&root)
            && !root.exists()
        {
            return Err(Error::Usage {
                what: format!("the store is not there: {} leads to {}", workspace.relative(&root), target.display()),
                hint: "bring back the disk that it is on, or make that folder; without the link `.catgen` everything is computed again"
                    .to_owned(),
            });
        }
        if let Ok(found) = fs::read_to_string(root.join("format")) {
            check_format(&workspace.relative(&root).to_string(), found.trim())?;
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
            write_whole(&format, FORMAT.to_string().as_bytes())?;
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

    /// Writes the bytes of a manifest, whose digest is `digest`.
    ///
    /// # Errors
    /// The file system's.
    pub fn put_manifest_bytes(&self, digest: &Digest, bytes: &[u8]) -> Result<()> {
        let path = self.root.join("manifests").join(digest.to_string());
        if fs::read(&path).is_ok_and(|there| there == bytes) { Ok(()) } else { write_whole(&path, bytes) }
    }

    /// How many items each photo has in a manifest; `None` where [`Store::manifest`] answers that.
    pub fn photo_counts(&self, digest: &Digest) -> Option<HashMap<String, usize>> {
        Manifest::photo_counts(&self.manifest_bytes(digest)?).ok()
    }

    /// Every manifest that is there, with its size in bytes.
    ///
    /// # Errors
    /// The file system's.
    pub fn manifests(&self) -> Result<Vec<(Digest, u64)>> {
        let named = |entry: fs::DirEntry| Some((entry.file_name().to_str()?.parse().ok()?, entry.metadata().ok()?.len()));
        Ok(list(&self.path("manifests"))?.into_iter().filter_map(named).collect())
    }

    /// Every stage that ever had a folder of ours, in order.
    ///
    /// # Errors
    /// The file system's.
    pub fn indexed_stages(&self) -> Result<Vec<String>> {
        let named = |entry: fs::DirEntry| entry.file_name().to_str().filter(|name| !name.starts_with(PART)).map(views::View::stage_of);
        let mut stages: Vec<String> = list(&self.path("views"))?.into_iter().filter_map(named).collect();
        stages.sort();
        Ok(stages)
    }

    /// Reads a manifest; `None` if it is not there or cannot be used, which only means computing again.
    pub fn manifest(&self, digest: &Digest) -> Option<Manifest> {
        let bytes = self.manifest_bytes(digest)?;
        Manifest::from_bytes(&bytes).inspect_err(|error| tracing::warn!(%digest, %error, "a manifest cannot be used")).ok()
    }

    /// As [`Store::manifest`], with at most so many of its items, spread evenly, and all rejections.
    pub fn manifest_sample(&self, digest: &Digest, most: usize) -> Option<Manifest> {
        let bytes = self.manifest_bytes(digest)?;
        Manifest::sample_from_bytes(&bytes, most).inspect_err(|error| tracing::warn!(%digest, %error, "a manifest cannot be used")).ok()
    }

    fn manifest_bytes(&self, digest: &Digest) -> Option<Vec<u8>> {
        let bytes = fs::read(self.root.join("manifests").join(digest.to_string())).ok()?;
        if Digest::of(&bytes) != *digest {
            tracing::warn!(%digest, "a manifest is damaged; its stage will be looked at again");
            return None;
        }
        Some(bytes)
    }
}

/// Refuses a store that this program would misread.
fn check_format(root: &str, found: &str) -> Result<()> {
    let what = match found.parse::<u32>() {
        Ok(FORMAT) => return Ok(()),
        Ok(newer) if newer > FORMAT => {
            format!("the store {root} was written by a newer catgen-pipe: it has format {newer}, this one knows {FORMAT}")
        }
        Ok(older) => format!("the store {root} was written by an older catgen-pipe: it has format {older}, this one knows {FORMAT}"),
        Err(_) => format!("{root}/format is damaged: it should say {FORMAT}"),
    };
    let hint = "use the catgen-pipe that wrote it; or delete that folder, which loses no photo and no trained generator, and \
                everything is computed again";
    Err(Error::Usage { what, hint: hint.to_owned() })
}

/// The first eight bytes of the BLAKE3 of some bytes: tells damage, not a forger.
fn checksum(bytes: &[u8]) -> [u8; 8] {
    let hash = blake3::hash(bytes);
    *hash.as_bytes().first_chunk().expect("a hash has 32 bytes")
}

/// The start of the names of half-written files.
const PART: &str = ".part-";

/// Writes a file so that it is there whole or not at all: temp file, flushed to the disk, renamed. Only the holder of the
/// workspace's lock writes, so the temp file's name needs no luck.
///
/// # Errors
/// The file system's.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    write_whole_by(path, |file| file.write_all(bytes))
}

/// As [`write_whole`], for what is written piece by piece.
///
/// # Errors
/// The file system's.
pub fn write_whole_by(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
    let mut name = std::ffi::OsString::from(PART);
    name.push(path.file_name().unwrap_or_default());
    let part = folder.join(name);
    let make = || -> io::Result<()> {
        fault::point();
        let mut file = io::BufWriter::with_capacity(1 << 16, fs::File::create(&part)?);
        write(&mut file)?;
        file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_data()?;
        fault::point();
        fs::rename(&part, path)?;
        fault::point();
        Ok(())
    };
    // On a full disk a half-written file would be in the way of its own second try.
    make().inspect_err(|_| drop(fs::remove_file(&part))).map_err(Error::io("write", path))
}

/// What is in a folder; nothing if there is none.
fn list(folder: &Path) -> Result<Vec<fs::DirEntry>> {
    match fs::read_dir(folder) {
        Ok(entries) => entries.collect::<io::Result<_>>().map_err(Error::io("read", folder)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(Error::io("read", folder)(error)),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_of_another_format_is_refused_and_says_which() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("pipeline.toml"), "").unwrap();
        let workspace = Workspace::open(folder.path()).unwrap();
        Store::open(&workspace).unwrap().prepare().unwrap();
        for (content, says) in [
            ("99", "the store .catgen was written by a newer catgen-pipe: it has format 99, this one knows 1"),
            ("0", "the store .catgen was written by an older catgen-pipe: it has format 0, this one knows 1"),
            ("cat", ".catgen/format is damaged: it should say 1"),
        ] {
            fs::write(folder.path().join(".catgen/format"), content).unwrap();
            let error = Store::open(&workspace).unwrap_err();
            assert_eq!((error.to_string().as_str(), error.exit_code()), (says, 2));
            assert!(error.hint().unwrap().contains("delete that folder"));
        }
        fs::write(folder.path().join(".catgen/format"), "1\n").unwrap();
        Store::open(&workspace).unwrap();
    }

    #[test]
    fn a_file_is_written_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sub/file");
        write_whole(&path, b"one").unwrap();
        let failed = write_whole_by(&path, |file| {
            file.write_all(b"two")?;
            Err(io::ErrorKind::StorageFull.into())
        });
        assert!(failed.is_err());
        assert_eq!(fs::read(&path).unwrap(), b"one");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "half a file is left");
    }
}
