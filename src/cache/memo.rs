//! `Memo`: which content a file had when it last looked as it looks now, so that unchanged photos are not read again.
//!
//! ```text
//! memo = "memo 1 <nanoseconds>" line, then per file: size mtime_ns ctime_ns inode digest name
//! ```
//!
//! A file whose times are not older than the memo itself may have been changed within the clock's grain after it was
//! hashed (git calls that "racy"): it is hashed again.

use std::{
    collections::HashMap,
    fs, io,
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use catgen_api::Digest;

use super::write_whole;
use crate::error::Result;

/// Clocks of file systems tick this coarsely at worst (FAT: 2 s).
const GRAIN_NS: i128 = 2_000_000_000;

/// What the file system says of a file without its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// Size in bytes.
    pub size: u64,
    /// Time of the last change of content, in nanoseconds since 1970.
    pub mtime: i128,
    /// Time of the last change of anything, likewise; 0 where the system has none.
    pub ctime: i128,
    /// Inode number; 0 where the system has none.
    pub inode: u64,
}

impl Stat {
    /// What `metadata` says.
    pub fn of(metadata: &fs::Metadata) -> Self {
        let since = |time: io::Result<SystemTime>| {
            time.map_or(0, |time| match time.duration_since(UNIX_EPOCH) {
                Ok(after) => after.as_nanos() as i128,
                Err(before) => -(before.duration().as_nanos() as i128),
            })
        };
        #[cfg(unix)]
        let (ctime, inode) = {
            use std::os::unix::fs::MetadataExt;
            (i128::from(metadata.ctime()) * 1_000_000_000 + i128::from(metadata.ctime_nsec()), metadata.ino())
        };
        #[cfg(not(unix))]
        let (ctime, inode) = (0, 0);
        Self { size: metadata.len(), mtime: since(metadata.modified()), ctime, inode }
    }
}

/// Digests of files by name, each with what the file looked like.
#[derive(Debug, Default)]
pub struct Memo {
    taken: i128,
    files: HashMap<String, (Stat, Digest)>,
}

impl Memo {
    /// An empty memo, taken now: what is put in from here on is checked against this moment.
    pub fn new() -> Self {
        Self { taken: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_nanos() as i128), files: HashMap::new() }
    }

    /// The memo in the file at `path`; an empty one if there is none or it cannot be read, which only costs hashing.
    pub fn load(path: &Path) -> Self {
        fs::read_to_string(path).ok().and_then(|text| Self::parse(&text)).unwrap_or_default()
    }

    /// Whether there is a file at `path` that cannot be read as a memo.
    pub fn is_damaged(path: &Path) -> bool {
        fs::read(path).is_ok_and(|bytes| String::from_utf8(bytes).ok().and_then(|text| Self::parse(&text)).is_none())
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let taken = lines.next()?.strip_prefix("memo 1 ")?.parse().ok()?;
        let files = lines.map(|line| {
            let mut fields = line.splitn(6, ' ');
            let mut next = || fields.next();
            let (size, mtime, ctime) = (next()?.parse().ok()?, next()?.parse().ok()?, next()?.parse().ok()?);
            let (inode, digest) = (next()?.parse().ok()?, next()?.parse().ok()?);
            Some((next()?.to_owned(), (Stat { size, mtime, ctime, inode }, digest)))
        });
        Some(Self { taken, files: files.collect::<Option<_>>()? })
    }

    /// Writes the memo.
    ///
    /// # Errors
    /// The file system's.
    pub fn save(&self, path: &Path) -> Result<()> {
        let mut names: Vec<_> = self.files.iter().collect();
        names.sort_by_key(|(name, _)| *name);
        let mut text = format!("memo 1 {}\n", self.taken);
        for (name, (stat, digest)) in names {
            text.push_str(&format!("{} {} {} {} {digest} {name}\n", stat.size, stat.mtime, stat.ctime, stat.inode));
        }
        write_whole(path, text.as_bytes())
    }

    /// The file's digest, if it still looks as it did when it was hashed and that was long enough ago.
    pub fn get(&self, name: &str, stat: &Stat) -> Option<Digest> {
        let (then, digest) = self.files.get(name)?;
        let racy = then.mtime.max(then.ctime) + GRAIN_NS > self.taken;
        (then == stat && !racy).then_some(*digest)
    }

    /// Notes the digest of a file that looks like that.
    pub fn put(&mut self, name: String, stat: Stat, digest: Digest) {
        self.files.insert(name, (stat, digest));
    }

    /// Whether both say the same of the same files (when they were taken aside).
    pub fn same_files(&self, other: &Self) -> bool {
        self.files == other.files
    }

    /// Whether some file changed so shortly before the memo was taken that it will be hashed again next time.
    pub fn has_racy(&self) -> bool {
        self.files.values().any(|(stat, _)| stat.mtime.max(stat.ctime) + GRAIN_NS > self.taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG_AGO: Stat = Stat { size: 3, mtime: 1_000, ctime: 2_000, inode: 7 };

    #[test]
    fn a_memo_survives_the_disk_and_answers_only_for_files_that_look_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("memo");
        let mut memo = Memo::new();
        memo.put("b c/ä.jpg".to_owned(), LONG_AGO, Digest::of(b"cat"));
        memo.save(&path).unwrap();
        let memo = Memo::load(&path);
        assert_eq!(memo.get("b c/ä.jpg", &LONG_AGO), Some(Digest::of(b"cat")));
        for other in
            [Stat { size: 4, ..LONG_AGO }, Stat { mtime: 9, ..LONG_AGO }, Stat { ctime: 9, ..LONG_AGO }, Stat { inode: 9, ..LONG_AGO }]
        {
            assert_eq!(memo.get("b c/ä.jpg", &other), None);
        }
        fs::write(&path, "memo 1 12\ngarbage").unwrap();
        assert_eq!(Memo::load(&path).get("b c/ä.jpg", &LONG_AGO), None);
    }

    #[test]
    fn a_file_changed_just_before_the_memo_was_taken_is_hashed_again() {
        let mut memo = Memo::new();
        let fresh = Stat { mtime: memo.taken - GRAIN_NS / 2, ..LONG_AGO };
        memo.put("a".to_owned(), fresh, Digest::of(b"cat"));
        assert_eq!(memo.get("a", &fresh), None);
        assert!(memo.has_racy());
    }
}
