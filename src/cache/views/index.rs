//! `Index`: what should lie in a stage's folder and what it looked like when it was put there.
//!
//! ```text
//! views/<stage, "/" as "%2F"> = "view 2\n" | check u64 | manifest 32 bytes, zeros for none | record…      (in name order)
//! record                      = size u64 | mtime_ns i64 | inode u64 | digest 32 bytes | length u16 | name
//! ```
//!
//! Numbers are little-endian; the check is over everything after it. A size of all ones stands where a file was announced
//! and may or may not be there. A run with nothing to do reads every record and keeps none, so the file stays the bytes it
//! is: at a million files that is 100 MB instead of several times as much.

use std::{fs, path::Path};

use catgen_api::Digest;

use crate::cache::{checksum, write_whole};
use crate::error::Result;

const MAGIC: &[u8] = b"view 2\n";
const HEAD: usize = MAGIC.len() + 8 + 32;
const RECORD: usize = 8 + 8 + 8 + 32 + 2;

/// What a file looked like when it was put into the folder. Not the ctime: a second link changes that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) size: u64,
    /// Nanoseconds since 1970; times that no clock shows are cut off.
    pub(super) mtime: i64,
    pub(super) inode: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) digest: Digest,
    /// `None` where it was only announced.
    pub(super) seen: Option<Seen>,
}

/// The index of one view, as it lies on the disk.
#[derive(Debug, Default)]
pub(super) struct Index {
    pub(super) manifest: Option<Digest>,
    bytes: Vec<u8>,
    count: usize,
}

impl Index {
    /// The index in the file at `path`; an empty one if there is none or it is damaged, which costs comparing content.
    pub(super) fn load(path: &Path) -> Self {
        Self::read(path).unwrap_or_default()
    }

    /// `None` if there is no such file or it is damaged.
    pub(super) fn read(path: &Path) -> Option<Self> {
        let bytes = fs::read(path).ok()?;
        let body = bytes.strip_prefix(MAGIC)?;
        let (check, body) = body.split_first_chunk::<8>()?;
        let manifest = *body.first_chunk::<32>()?;
        if checksum(body) != *check {
            return None;
        }
        let manifest = (manifest != [0; 32]).then(|| Digest::from_bytes(manifest));
        let mut index = Self { manifest, bytes, count: 0 };
        index.count = index.places().count();
        Some(index)
    }

    /// An index of these files, which come in name order.
    pub(super) fn new(manifest: Option<&Digest>, entries: &[(&str, Entry)]) -> Self {
        debug_assert!(entries.is_sorted_by(|(a, _), (b, _)| a < b), "names come once and in order");
        let mut bytes = Vec::with_capacity(HEAD + entries.iter().map(|(name, _)| RECORD + name.len()).sum::<usize>());
        bytes.extend(MAGIC);
        bytes.extend([0; 8]);
        bytes.extend(manifest.map_or([0; 32], |manifest| *manifest.as_bytes()));
        for (name, entry) in entries {
            let Seen { size, mtime, inode } = entry.seen.unwrap_or(Seen { size: u64::MAX, mtime: 0, inode: 0 });
            bytes.extend(size.to_le_bytes());
            bytes.extend(mtime.to_le_bytes());
            bytes.extend(inode.to_le_bytes());
            bytes.extend(entry.digest.as_bytes());
            bytes.extend(u16::try_from(name.len()).expect("file systems allow 4,096 bytes for a path").to_le_bytes());
            bytes.extend(name.as_bytes());
        }
        let check = checksum(&bytes[MAGIC.len() + 8..]);
        bytes[MAGIC.len()..MAGIC.len() + 8].copy_from_slice(&check);
        Self { manifest: manifest.copied(), bytes, count: entries.len() }
    }

    pub(super) fn save(&self, path: &Path) -> Result<()> {
        write_whole(path, &self.bytes)
    }

    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// Every file in name order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, Entry)> {
        self.places().map(|(name, place)| (name, self.at(place)))
    }

    /// Every name in order, each with the place at which [`Index::at`] finds the rest.
    pub(super) fn places(&self) -> impl Iterator<Item = (&str, usize)> {
        let mut place = HEAD;
        std::iter::from_fn(move || {
            let record = self.bytes.get(place..place + RECORD)?;
            let length = usize::from(u16::from_le_bytes(*record[56..].first_chunk().expect("a record has a length")));
            let name = self.bytes.get(place + RECORD..place + RECORD + length)?;
            let here = place;
            place += RECORD + length;
            Some((std::str::from_utf8(name).ok()?, here))
        })
    }

    /// What is said of the file at a place of [`Index::places`].
    pub(super) fn at(&self, place: usize) -> Entry {
        let record = &self.bytes[place..place + RECORD];
        let number = |at: usize| u64::from_le_bytes(*record[at..].first_chunk().expect("a record has three numbers"));
        let digest = Digest::from_bytes(*record[24..].first_chunk().expect("a record has a digest"));
        let seen = Seen { size: number(0), mtime: number(8).cast_signed(), inode: number(16) };
        Entry { digest, seen: (seen.size != u64::MAX).then_some(seen) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_survives_the_disk_and_a_damaged_one_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("index");
        let seen = Some(Seen { size: 7, mtime: -5, inode: u64::MAX - 1 });
        let entries = [("a.png", Entry { digest: Digest::of(b"a"), seen: None }), ("b/ä.png", Entry { digest: Digest::of(b"b"), seen })];
        let manifest = Digest::of(b"m");
        Index::new(Some(&manifest), &entries).save(&path).unwrap();
        let read = Index::read(&path).unwrap();
        assert_eq!((read.manifest, read.len(), read.iter().collect::<Vec<_>>()), (Some(manifest), 2, entries.to_vec()));
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            fs::write(&path, &bytes).unwrap();
            assert!(Index::read(&path).is_none(), "byte {at}");
            fs::write(&path, &whole[..at]).unwrap();
            assert!(Index::read(&path).is_none(), "cut at {at}");
        }
        assert_eq!(Index::load(&path).len(), 0);
    }
}
