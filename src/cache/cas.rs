//! `Cas`: blobs named by their content.
//!
//! A blob is written to a temp file and renamed, so a name in `cas/` always stands for a whole blob. Blobs are read-only,
//! because views may be hard links to them.

use std::{
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use catgen_api::Digest;
use rayon::prelude::*;

use super::fault;
use crate::{Error, error::Result};

/// The content-addressed store.
#[derive(Debug, Clone)]
pub struct Cas {
    root: PathBuf,
    tmp: PathBuf,
}

impl Cas {
    pub(super) fn new(root: PathBuf, tmp: PathBuf) -> Self {
        Self { root, tmp }
    }

    /// Where the blob is, or would be.
    pub fn path(&self, digest: &Digest) -> PathBuf {
        let hex = digest.to_string();
        self.root.join(&hex[..2]).join(&hex[2..])
    }

    /// Whether the blob is there with that many bytes. A shorter one is what a power cut leaves behind: it does not count.
    pub fn has(&self, digest: &Digest, bytes: u64) -> bool {
        fs::metadata(self.path(digest)).is_ok_and(|metadata| metadata.len() == bytes)
    }

    /// Stores `bytes` and answers their digest; does nothing if they are there already.
    ///
    /// # Errors
    /// The file system's.
    pub fn put(&self, bytes: &[u8]) -> Result<Digest> {
        let digest = Digest::of(bytes);
        self.put_as(&digest, bytes)?;
        Ok(digest)
    }

    /// Stores bytes of which the caller knows that this is their digest.
    ///
    /// # Errors
    /// The file system's.
    pub fn put_as(&self, digest: &Digest, bytes: &[u8]) -> Result<()> {
        if !self.has(digest, bytes.len() as u64) {
            let write = || -> io::Result<()> {
                let mut file = self.temp_file()?;
                file.write_all(bytes)?;
                if !cfg!(target_os = "linux") {
                    file.as_file().sync_data()?;
                }
                fault::point();
                self.in_folder(digest, |path| fs::rename(file.path(), path))?;
                // It is not at its old name any more, and nothing has to be removed there.
                drop(file.into_temp_path().keep());
                fault::point();
                Ok(())
            };
            write().map_err(Error::io("write", self.path(digest)))?;
        }
        Ok(())
    }

    /// Stores a file of the user's by reflink or copy, never by link: the user may edit it in place. Answers false, and
    /// stores nothing, if its content is no longer `digest`.
    ///
    /// # Errors
    /// The file system's.
    pub fn adopt_copy(&self, path: &Path, digest: &Digest, bytes: u64) -> Result<bool> {
        if self.has(digest, bytes) {
            return Ok(true);
        }
        let adopt = || -> io::Result<bool> {
            let folder = tempfile::tempdir_in(&self.tmp)?;
            let copy = folder.path().join("copy");
            reflink_copy::reflink_or_copy(path, &copy)?;
            if Digest::of_file(&copy)? != *digest {
                return Ok(false);
            }
            self.publish_path(&copy, digest)?;
            Ok(true)
        };
        adopt().map_err(Error::io("copy", path))
    }

    /// Takes over a file that a stage wrote below a scratch folder of this store; answers its digest and size in bytes.
    ///
    /// # Errors
    /// The file system's.
    pub fn adopt(&self, path: &Path) -> Result<(Digest, u64)> {
        let adopt = || -> io::Result<(Digest, u64)> {
            let digest = Digest::of_file(path)?;
            let bytes = fs::metadata(path)?.len();
            if !self.has(&digest, bytes) {
                self.publish_path(path, &digest)?;
            }
            Ok((digest, bytes))
        };
        adopt().map_err(Error::io("store", path))
    }

    /// The blob's bytes, checked against its name.
    ///
    /// # Errors
    /// The file system's; [`Error::Lost`] for a blob that is not there or whose content is not what its name says: that one is
    /// dropped, so that it is made again.
    pub fn read(&self, digest: &Digest) -> Result<Vec<u8>> {
        let path = self.path(digest);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Error::Lost { what: format!("the stored picture {} is gone", digest.short()) });
            }
            Err(error) => return Err(Error::io("read", path)(error)),
        };
        if Digest::of(&bytes) != *digest {
            self.drop_blob(digest);
            return Err(Error::Lost { what: format!("the stored picture {} was damaged", digest.short()) });
        }
        Ok(bytes)
    }

    /// Some of the blob's bytes, which are not checked.
    ///
    /// # Errors
    /// As [`Cas::read`]; [`Error::Lost`] also for a blob that is shorter than that.
    pub fn read_part(&self, digest: &Digest, at: u64, bytes: u64) -> Result<Vec<u8>> {
        let path = self.path(digest);
        let mut part = vec![0; bytes as usize];
        let read = File::open(&path).and_then(|mut file| {
            file.seek(SeekFrom::Start(at))?;
            file.read_exact(&mut part)
        });
        match read {
            Ok(()) => Ok(part),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof) => {
                Err(Error::Lost { what: format!("the stored file {} is gone", digest.short()) })
            }
            Err(error) => Err(Error::io("read", path)(error)),
        }
    }

    /// Removes a blob that is not what its name says.
    pub fn drop_blob(&self, digest: &Digest) {
        if let Err(error) = fs::remove_file(self.path(digest)) {
            tracing::warn!(%digest, %error, "cannot drop a damaged blob");
        }
    }

    /// Every blob that is there, with its size in bytes; what has no blob's name is passed over.
    ///
    /// # Errors
    /// The file system's.
    pub fn list(&self) -> Result<Vec<(Digest, u64)>> {
        let folders = match fs::read_dir(&self.root) {
            Ok(folders) => folders.collect::<io::Result<Vec<_>>>().map_err(Error::io("read", &self.root))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Error::io("read", &self.root)(error)),
        };
        let blob = |folder: &str, entry: fs::DirEntry| {
            let digest = format!("{folder}{}", entry.file_name().to_str()?).parse().ok()?;
            Some((digest, entry.metadata().ok()?.len()))
        };
        let in_folder = |folder: &fs::DirEntry| -> Result<Vec<(Digest, u64)>> {
            let (name, path) = (folder.file_name(), folder.path());
            let Some(name) = name.to_str().filter(|_| path.is_dir()) else { return Ok(Vec::new()) };
            let entries = fs::read_dir(&path).map_err(Error::io("read", &path))?;
            Ok(entries.filter_map(|entry| blob(name, entry.ok()?)).collect())
        };
        let mut blobs: Vec<(Digest, u64)> = folders.par_iter().map(in_folder).collect::<Result<Vec<_>>>()?.concat();
        blobs.sort_unstable();
        Ok(blobs)
    }

    /// Makes sure that everything put so far survives a power cut.
    ///
    /// One `syncfs` costs far less than a flush per blob; where there is none, each blob was flushed as it was written.
    ///
    /// # Errors
    /// The file system's.
    pub fn sync(&self) -> Result<()> {
        #[cfg(target_os = "linux")]
        {
            let folder = File::open(&self.root).map_err(Error::io("open", &self.root))?;
            rustix::fs::syncfs(&folder).map_err(|error| Error::io("flush", &self.root)(error.into()))?;
        }
        Ok(())
    }

    /// A file in `tmp/` that is read-only to everybody else, from its beginning: what a view shows.
    fn temp_file(&self) -> io::Result<tempfile::NamedTempFile> {
        let mut builder = tempfile::Builder::new();
        #[cfg(unix)]
        let builder = builder.permissions(<fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o444));
        builder.tempfile_in(&self.tmp)
    }

    /// Puts a blob where it belongs. The folder is made where it turns out to be missing: there are 256 of them, and many blobs.
    fn in_folder(&self, digest: &Digest, publish: impl Fn(&Path) -> io::Result<()>) -> io::Result<()> {
        let path = self.path(digest);
        match publish(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir_all(path.parent().expect("a blob lies in a folder of cas/"))?;
                publish(&path)
            }
            done => done,
        }
    }

    /// Makes a file read-only, flushes it where `sync` cannot do it later, and puts it where it belongs.
    fn publish_path(&self, from: &Path, digest: &Digest) -> io::Result<()> {
        let file = File::open(from)?;
        let mut permissions = file.metadata()?.permissions();
        permissions.set_readonly(true);
        #[cfg(unix)]
        std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o444);
        file.set_permissions(permissions)?;
        if !cfg!(target_os = "linux") {
            file.sync_data()?;
        }
        fault::point();
        self.in_folder(digest, |path| fs::rename(from, path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cas() -> (tempfile::TempDir, Cas) {
        let folder = tempfile::tempdir().unwrap();
        let (root, tmp) = (folder.path().join("cas"), folder.path().join("tmp"));
        fs::create_dir_all(&tmp).unwrap();
        fs::create_dir_all(&root).unwrap();
        (folder, Cas::new(root, tmp))
    }

    #[test]
    fn what_was_put_is_read_back_and_put_once() {
        let (_folder, cas) = cas();
        let digest = cas.put(b"cat").unwrap();
        assert_eq!(cas.put(b"cat").unwrap(), digest);
        assert_eq!(cas.read(&digest).unwrap(), b"cat");
        assert!(cas.has(&digest, 3) && !cas.has(&digest, 4));
        assert!(fs::metadata(cas.path(&digest)).unwrap().permissions().readonly());
        cas.sync().unwrap();
    }

    #[test]
    fn a_changed_blob_is_never_used() {
        let (_folder, cas) = cas();
        let digest = cas.put(b"cat").unwrap();
        fs::remove_file(cas.path(&digest)).unwrap();
        fs::write(cas.path(&digest), b"dog").unwrap();
        assert!(cas.read(&digest).is_err());
        assert!(!cas.path(&digest).exists(), "a damaged blob stays only until it is seen");
    }

    #[test]
    fn a_photo_that_changed_meanwhile_is_not_stored_under_its_old_name() {
        let (folder, cas) = cas();
        let photo = folder.path().join("photo.jpg");
        fs::write(&photo, b"new").unwrap();
        assert!(!cas.adopt_copy(&photo, &Digest::of(b"old"), 3).unwrap());
        assert!(cas.adopt_copy(&photo, &Digest::of(b"new"), 3).unwrap());
        fs::write(&photo, b"edited in place").unwrap();
        assert_eq!(cas.read(&Digest::of(b"new")).unwrap(), b"new");
    }
}
