//! `Linker`: makes a file of a folder show a blob: reflink, else read-only hard link, else copy.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
};

use super::super::fault;

/// How a file of a view shares its content with the blob, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Means {
    /// Shares blocks and is a file of its own: a change to it does not reach the blob.
    Reflink,
    /// Is the blob under another name.
    HardLink,
    Copy,
}

/// Files on their way into a folder; what a `kill -9` leaves of them is removed by the next run.
const PART: &str = ".catgen-part-";

/// Whether a file is one that was on its way when the program was killed.
pub(super) fn is_part(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(PART.as_bytes()))
}

/// Links blobs into one folder. Which means the file system has is found out with the first file, not with each.
pub(super) struct Linker<'a> {
    folder: &'a Path,
    means: &'a [Means],
    best: AtomicUsize,
    parts: AtomicU64,
}

impl<'a> Linker<'a> {
    pub(super) fn new(folder: &'a Path) -> Self {
        Self::with(folder, &[Means::Reflink, Means::HardLink, Means::Copy])
    }

    fn with(folder: &'a Path, means: &'a [Means]) -> Self {
        Self { folder, means, best: AtomicUsize::new(0), parts: AtomicU64::new(0) }
    }

    /// Makes `path` show the blob, in place of what was there; it appears whole or not at all.
    pub(super) fn link(&self, blob: &Path, path: &Path) -> io::Result<Means> {
        loop {
            let at = self.best.load(Ordering::Relaxed);
            let means = self.means[at];
            let error = match self.by(means, blob, path) {
                Ok(()) => return Ok(means),
                Err(error) => error,
            };
            // Another means would not help against these.
            let hopeless = matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::ReadOnlyFilesystem
            );
            if hopeless || at + 1 == self.means.len() {
                return Err(error);
            }
            if error.kind() == io::ErrorKind::TooManyLinks {
                // ext4 allows 65,000 names for one blob: this one gets a copy, the next blob a link again.
                return self.by(Means::Copy, blob, path).map(|()| Means::Copy);
            }
            tracing::debug!(?means, %error, "no such links here");
            self.best.fetch_max(at + 1, Ordering::Relaxed);
        }
    }

    fn by(&self, means: Means, blob: &Path, path: &Path) -> io::Result<()> {
        fault::point();
        if means == Means::HardLink {
            return match fs::hard_link(blob, path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    fs::remove_file(path)?;
                    fault::point();
                    fs::hard_link(blob, path)
                }
                done => done,
            };
        }
        let part = self.part();
        let make = || -> io::Result<()> {
            match means {
                Means::Reflink => {
                    reflink_copy::reflink(blob, &part)?;
                    fs::set_permissions(&part, fs::metadata(blob)?.permissions())?;
                }
                _ => drop(fs::copy(blob, &part)?),
            }
            fault::point();
            fs::rename(&part, path)
        };
        make().inspect_err(|_| drop(fs::remove_file(&part)))
    }

    fn part(&self) -> PathBuf {
        self.folder.join(format!("{PART}{}", self.parts.fetch_add(1, Ordering::Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Links one blob as file systems with these means would; answers by which, and checks the file.
    fn check(means: &[Means]) -> io::Result<Means> {
        let folder = tempfile::tempdir().unwrap();
        let (blob, other) = (folder.path().join("blob"), folder.path().join("other"));
        fs::write(&other, "dog").unwrap();
        fs::write(&blob, "cat").unwrap();
        let mut permissions = fs::metadata(&blob).unwrap().permissions();
        permissions.set_readonly(true);
        fs::set_permissions(&blob, permissions).unwrap();
        let data = folder.path().join("data");
        fs::create_dir(&data).unwrap();
        let used = Linker::with(&data, means).link(&blob, &data.join("a.png"))?;
        assert_eq!(fs::read(data.join("a.png")).unwrap(), b"cat");
        assert!(fs::metadata(data.join("a.png")).unwrap().permissions().readonly(), "{used:?} can be written to");
        assert_eq!(Linker::with(&data, means).link(&other, &data.join("a.png")).unwrap(), used);
        assert_eq!(fs::read(data.join("a.png")).unwrap(), b"dog", "what was there is replaced");
        assert_eq!(fs::read_dir(&data).unwrap().count(), 1, "{used:?} left something behind");
        Ok(used)
    }

    #[test]
    fn every_means_makes_the_same_read_only_file() {
        assert_eq!(check(&[Means::Copy]).unwrap(), Means::Copy);
        assert_eq!(check(&[Means::HardLink]).unwrap(), Means::HardLink);
        let best = check(&[Means::Reflink, Means::HardLink, Means::Copy]).unwrap();
        match check(&[Means::Reflink]) {
            Ok(_) => assert_eq!(best, Means::Reflink),
            Err(_) => assert_eq!(best, Means::HardLink, "a hard link is better than a copy"),
        }
    }

    #[test]
    fn a_blob_that_is_gone_is_an_error_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let linker = Linker::new(folder.path());
        let error = linker.link(&folder.path().join("gone"), &folder.path().join("a")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    /// Two file systems, as with a store on another disk: `/dev/shm` and the folder for temporary files mostly are two.
    #[cfg(target_os = "linux")]
    #[test]
    fn on_another_file_system_files_are_copies() {
        use std::os::unix::fs::MetadataExt;
        let (here, Ok(there)) = (tempfile::tempdir().unwrap(), tempfile::tempdir_in("/dev/shm")) else {
            eprintln!("skipped: there is no /dev/shm");
            return;
        };
        if fs::metadata(here.path()).unwrap().dev() == fs::metadata(there.path()).unwrap().dev() {
            eprintln!("skipped: temporary files lie in /dev/shm themselves");
            return;
        }
        let blob = there.path().join("blob");
        fs::write(&blob, "cat").unwrap();
        let linker = Linker::new(here.path());
        for name in ["a", "b"] {
            assert_eq!(linker.link(&blob, &here.path().join(name)).unwrap(), Means::Copy);
            assert_eq!(fs::read(here.path().join(name)).unwrap(), b"cat");
        }
        assert_eq!(linker.best.load(Ordering::Relaxed), 2, "what does not work is not tried again for every file");
    }
}
