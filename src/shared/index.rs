//! `Index`: what actions came to, and in which packs their pictures lie.
//!
//! An index object is JSON lines. The first says its version; then come packs, each with what lies in it one after the other, and
//! actions:
//!
//! ```text
//! {"index":1}
//! {"pack":"<hex>","pieces":[["<hex of a blob>",0,6144],…]}      from which byte of the blob on, and how many
//! {"action":"<hex>","outcome":{"keep":[…]},"micros":81234}
//! ```
//!
//! A blob that is larger than a pack lies in several. Index objects are never changed: what is known is all of them together.
//!
//! What a worker is told is written in the same way, with a few pictures of a pack instead of all:
//!
//! ```text
//! {"pack":"<hex>","places":[["<hex of a blob>",0,6144,81920],…]}    and where in the pack that lies
//! ```

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs::File,
    io::{Read as _, Seek, SeekFrom},
    path::PathBuf,
};

use catgen_api::Digest;
use serde::{Deserialize, Serialize, de::IgnoredAny};
use smallvec::SmallVec;

use crate::{cache::actions::Outcome, key::ActionKey};

/// The version of the lines above.
const VERSION: u32 = 1;

/// What a number of index objects say together.
#[derive(Debug, Default)]
pub(super) struct Index {
    packs: Vec<Digest>,
    /// Nearly all of them lie in one place.
    blobs: HashMap<Digest, SmallVec<[Place; 1]>>,
    /// The files in which index objects are kept.
    files: Vec<PathBuf>,
    actions: HashMap<ActionKey, Written>,
}

/// Where the line of an action stands in a file. What actions came to is most of an index, and little of it is asked for.
#[derive(Debug, Clone, Copy)]
struct Written {
    /// A position in the list of files.
    file: u32,
    bytes: u32,
    from: u64,
}

/// Where some bytes of a blob lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// A position in the list of packs.
    pack: u32,
    /// The first byte in the pack.
    pub(super) offset: u64,
    /// The first byte of the blob that this is.
    pub(super) at: u64,
    pub(super) bytes: u64,
}

/// Some bytes of a blob as they lie in a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Piece(pub(super) Digest, pub(super) u64, pub(super) u64);

/// Some bytes of a blob, and where in a pack they lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Placed(Digest, u64, u64, u64);

/// A line of an index object: one of the four. What an action came to is passed over until somebody asks for it.
#[derive(Serialize, Deserialize)]
struct Line<O = serde_json::Value> {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    index: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pack: Option<Digest>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pieces: Vec<Piece>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    places: Vec<Placed>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    action: Option<Digest>,
    /// Not yet an [`Outcome`]: a later version of the program may know other ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    outcome: Option<O>,
    #[serde(default, skip_serializing_if = "is_zero")]
    micros: u64,
}

impl Line {
    const EMPTY: Self = Line { index: None, pack: None, pieces: Vec::new(), places: Vec::new(), action: None, outcome: None, micros: 0 };
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Index {
    /// Adds what an index object says that is kept in this file, but for packs that are known to be gone.
    ///
    /// # Errors
    /// A word about the line that is wrong; what stands before it was added.
    pub(super) fn add(&mut self, bytes: &[u8], file: PathBuf, gone: &HashSet<Digest>) -> Result<(), String> {
        let mut written = Written { file: self.files.len() as u32, bytes: 0, from: 0 };
        self.files.push(file);
        for (number, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
            written = Written { from: written.from + u64::from(written.bytes), bytes: line.len() as u32 + 1, ..written };
            if line.is_empty() {
                continue;
            }
            let line: Line<IgnoredAny> = serde_json::from_slice(line).map_err(|error| format!("line {}: {error}", number + 1))?;
            match line {
                Line { index: Some(VERSION), .. } => {}
                Line { index: Some(other), .. } => return Err(format!("it is of version {other}, and this program knows {VERSION}")),
                Line { pack: Some(pack), pieces, places, .. } if !gone.contains(&pack) => self.add_pack(pack, &pieces, &places),
                Line { action: Some(action), outcome: Some(_), .. } => {
                    self.actions.insert(ActionKey::from_bytes(*action.as_bytes()), written);
                }
                // Of a later version of the program, which knows what to do with it.
                _ => {}
            }
        }
        Ok(())
    }

    fn add_pack(&mut self, digest: Digest, pieces: &[Piece], places: &[Placed]) {
        let pack = self.packs.len() as u32;
        self.packs.push(digest);
        let mut offset = 0;
        for Piece(blob, at, bytes) in pieces {
            // Two machines may have put the same: should one place turn out to be bad, there is the other.
            self.blobs.entry(*blob).or_default().push(Place { pack, offset, at: *at, bytes: *bytes });
            offset += bytes;
        }
        for &Placed(blob, at, bytes, offset) in places {
            self.blobs.entry(blob).or_default().push(Place { pack, offset, at, bytes });
        }
    }

    /// What became of an action, and the microseconds that it took.
    pub(super) fn outcome(&self, key: &ActionKey) -> Option<(Outcome, u64)> {
        let Written { file, bytes, from } = *self.actions.get(key)?;
        // A file that is not there any more, or is another, is nothing known.
        let mut file = File::open(&self.files[file as usize]).ok()?;
        file.seek(SeekFrom::Start(from)).ok()?;
        let mut line = Vec::with_capacity(bytes as usize);
        file.take(u64::from(bytes)).read_to_end(&mut line).ok()?;
        let line: Line = serde_json::from_slice(&line).ok()?;
        let is_it = line.action.is_some_and(|action| action.as_bytes() == key.as_bytes());
        is_it.then_some((serde_json::from_value(line.outcome?).ok()?, line.micros))
    }

    /// Where a blob of that size lies, from its first byte to its last; `None` unless all of it is there.
    pub(super) fn places(&self, blob: &Digest, bytes: u64) -> Option<Vec<(Digest, Place)>> {
        let mut places = self.blobs.get(blob)?.clone();
        places.sort_by_key(|place| place.at);
        let mut end = 0;
        // Who put it a second time may have cut it otherwise.
        places.retain(|place| {
            let follows = place.at == end;
            end += if follows { place.bytes } else { 0 };
            follows
        });
        (end == bytes).then(|| places.into_iter().map(|place| (self.packs[place.pack as usize], place)).collect())
    }

    /// The size of a blob, if anything of it is there.
    pub(super) fn size_of(&self, blob: &Digest) -> Option<u64> {
        self.blobs.get(blob)?.iter().map(|place| place.at + place.bytes).max()
    }

    /// Forgets places of a blob where its bytes turned out not to be what its name says.
    pub(super) fn forget(&mut self, blob: &Digest, bad: &[(Digest, Place)]) {
        let packs = &self.packs;
        if let Some(places) = self.blobs.get_mut(blob) {
            places.retain(|place| !bad.contains(&(packs[place.pack as usize], *place)));
        }
    }

    /// Where these blobs lie, as the bytes of an index object for somebody who is to know no more than that.
    pub(super) fn extract(&self, blobs: &[(Digest, u64)]) -> Writer {
        let mut packs: BTreeMap<Digest, Vec<Placed>> = BTreeMap::new();
        let known = blobs.iter().filter_map(|(blob, bytes)| Some((blob, self.places(blob, *bytes)?)));
        for (blob, (pack, place)) in known.flat_map(|(blob, places)| places.into_iter().map(move |place| (blob, place))) {
            packs.entry(pack).or_default().push(Placed(*blob, place.at, place.bytes, place.offset));
        }
        let mut writer = Writer::new();
        packs.into_iter().for_each(|(pack, places)| writer.line(&Line { pack: Some(pack), places, ..Line::EMPTY }));
        writer
    }

    /// Packs, blobs, bytes of blobs, actions.
    pub(super) fn counts(&self) -> [u64; 4] {
        let bytes = self.blobs.keys().filter_map(|blob| self.size_of(blob)).sum();
        [self.packs.len() as u64, self.blobs.len() as u64, bytes, self.actions.len() as u64]
    }

    /// Whether an action is known.
    pub(super) fn knows(&self, key: &ActionKey) -> bool {
        self.actions.contains_key(key)
    }
}

/// The bytes of a new index object.
pub(super) struct Writer(Vec<u8>);

impl Writer {
    pub(super) fn new() -> Self {
        let mut writer = Self(Vec::new());
        writer.line(&Line { index: Some(VERSION), ..Line::EMPTY });
        writer
    }

    pub(super) fn pack(&mut self, pack: Digest, pieces: Vec<Piece>) {
        self.line(&Line { pack: Some(pack), pieces, ..Line::EMPTY });
    }

    pub(super) fn action(&mut self, key: &ActionKey, outcome: &Outcome, micros: u64) {
        let outcome = serde_json::to_value(outcome).expect("an outcome is plain data");
        let action = Some(Digest::from_bytes(*key.as_bytes()));
        self.line(&Line { action, outcome: Some(outcome), micros, ..Line::EMPTY });
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    fn line(&mut self, line: &Line) {
        serde_json::to_writer(&mut self.0, line).expect("a line is plain data and memory takes it");
        self.0.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(name: &str) -> Digest {
        Digest::of(name.as_bytes())
    }

    fn key(n: u8) -> ActionKey {
        ActionKey::from_bytes([n; 32])
    }

    fn outcome(reason: &str) -> Outcome {
        Outcome::Reject { kind: "test".to_owned(), reason: reason.to_owned() }
    }

    /// An index of these objects, which are kept in a folder.
    fn index(objects: &[&[u8]], gone: &[Digest]) -> (tempfile::TempDir, Index) {
        let (folder, mut index) = (tempfile::tempdir().unwrap(), Index::default());
        let gone = gone.iter().copied().collect();
        for (number, bytes) in objects.iter().enumerate() {
            let file = folder.path().join(number.to_string());
            std::fs::write(&file, bytes).unwrap();
            index.add(bytes, file, &gone).unwrap();
        }
        (folder, index)
    }

    fn written() -> Vec<u8> {
        let mut writer = Writer::new();
        writer.pack(digest("one"), vec![Piece(digest("small"), 0, 10), Piece(digest("large"), 0, 90)]);
        writer.pack(digest("two"), vec![Piece(digest("large"), 90, 7)]);
        writer.action(&key(1), &outcome("a \"word\"\n"), 1234);
        writer.into_bytes()
    }

    #[test]
    fn what_was_written_is_read_again() {
        let (folder, index) = index(&[&written()], &[]);
        let places = |blob: &str, bytes| {
            let places = index.places(&digest(blob), bytes)?;
            Some(places.iter().map(|(pack, place)| (*pack, place.offset, place.at, place.bytes)).collect::<Vec<_>>())
        };
        assert_eq!(places("small", 10), Some(vec![(digest("one"), 0, 0, 10)]));
        assert_eq!(places("large", 97), Some(vec![(digest("one"), 10, 0, 90), (digest("two"), 0, 90, 7)]));
        assert_eq!((places("large", 90), places("small", 11), places("other", 0)), (None, None, None));
        assert_eq!(index.outcome(&key(1)), Some((outcome("a \"word\"\n"), 1234)));
        assert_eq!((index.outcome(&key(2)), index.knows(&key(1)), index.knows(&key(2))), (None, true, false));
        assert_eq!(index.counts(), [2, 2, 107, 1]);
        drop(folder);
        assert_eq!(index.outcome(&key(1)), None, "what was read is gone");
    }

    #[test]
    fn what_lies_in_a_pack_that_is_gone_is_not_there() {
        let (_folder, index) = index(&[&written()], &[digest("two")]);
        assert!(index.places(&digest("large"), 97).is_none() && index.places(&digest("small"), 10).is_some());
    }

    #[test]
    fn a_blob_that_two_machines_put_is_found_in_the_one_or_the_other() {
        let mut other = Writer::new();
        other.pack(digest("three"), vec![Piece(digest("large"), 0, 97), Piece(digest("new"), 0, 1)]);
        let other = other.into_bytes();
        let (_folder, reverse) = index(&[&other, &written()], &[]);
        let (_folder, mut index) = index(&[&written(), &other], &[]);
        let in_two = index.places(&digest("large"), 97).unwrap();
        assert_eq!((in_two.len(), index.places(&digest("new"), 1).unwrap()[0].1.offset), (2, 97));
        index.forget(&digest("large"), &in_two);
        assert_eq!(index.places(&digest("large"), 97).unwrap().len(), 1);
        assert_eq!((index.size_of(&digest("large")), index.size_of(&digest("other"))), (Some(97), None));
        assert_eq!(reverse.places(&digest("large"), 97).unwrap().len(), 1);
    }

    #[test]
    fn an_extract_leads_to_the_same_places_and_to_no_others() {
        let (_folder, original) = index(&[&written()], &[]);
        let mut writer = original.extract(&[(digest("large"), 97), (digest("other"), 3)]);
        writer.action(&key(1), &outcome("told"), 5);
        let (_folder, extract) = index(&[&writer.into_bytes()], &[]);
        assert_eq!(extract.places(&digest("large"), 97).map(|places| places.len()), Some(2));
        let places = |index: &Index| -> Vec<_> {
            let places = index.places(&digest("large"), 97).unwrap();
            places.into_iter().map(|(pack, place)| (pack, place.offset, place.at, place.bytes)).collect()
        };
        assert_eq!(places(&extract), places(&original));
        assert_eq!((extract.counts(), extract.outcome(&key(1))), ([2, 1, 97, 1], Some((outcome("told"), 5))));
    }

    #[test]
    fn an_index_of_another_version_is_refused_and_lines_of_one_are_passed_over() {
        let mut index = Index::default();
        let mut add = |bytes: &[u8]| index.add(bytes, PathBuf::new(), &HashSet::new());
        let error = add(b"{\"index\":2}\n").unwrap_err();
        assert!(error.contains("version 2"), "{error}");
        add(b"{\"index\":1}\n{\"something\":\"new\"}\n").unwrap();
        assert!(add(b"{\"index\":1}\n{\"pack\":").is_err());
    }
}
