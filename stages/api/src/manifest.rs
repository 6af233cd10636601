//! `Manifest`: what a stage put out. The only thing one stage tells the next.
//!
//! On disk it is JSON lines, readable with any text tool:
//!
//! ```text
//! {"manifest":1,"items":2,"rejections":1}
//! {"name":"a.png","digest":"…","size":[640,480],"bytes":812,"photo":"a.jpg","photo_digest":"…","photo_size":[4032,3024],"input":"…","facts":{}}
//! …
//! {"name":"b.jpg","photo":"b.jpg","kind":"duplicate","reason":"…","of":"a.jpg","distance":3,"input":"…"}
//! ```
//!
//! Items come in name order, then rejections in name order, so that equal results are equal bytes.

use std::{borrow::Cow, collections::HashMap, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{Digest, Facts, Item, Photo};

/// The version written into the first line; a reader refuses any other.
const FORMAT: u32 = 1;

/// A picture that did not go on, and why: a sentence for a photographer, a kind for programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejection {
    /// The name of the item that was rejected, as the stage before called it.
    pub name: String,
    /// The photo it comes from, below `0.ORIGINAL`.
    pub photo: String,
    /// One word: `duplicate`, `unreadable`, `decision`, …
    pub kind: String,
    /// A sentence that says what is wrong with the picture.
    pub reason: String,
    /// For a duplicate: the photo that was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// For a duplicate: the distance to it, in bits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distance: Option<u32>,
    /// The digest of the rejected item, where its file could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Digest>,
}

/// Items kept and rejections, each in name order.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Manifest {
    /// What goes on.
    pub items: Vec<Item>,
    /// What does not.
    pub rejections: Vec<Rejection>,
}

/// What a manifest is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ManifestId {
    /// The digest of its file: what it is found by.
    pub file: Digest,
    /// The digest of its items alone: what a stage that reads it depends on. Rejections make no picture.
    pub items: Digest,
}

impl ManifestId {
    /// What stands for a manifest where there is none: the one digest is both.
    pub fn of(digest: Digest) -> Self {
        Self { file: digest, items: digest }
    }
}

/// A manifest file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Written by another version of the program.
    #[error("the manifest has format {found}, this program reads format {FORMAT}")]
    Format {
        /// The version found in the first line.
        found: u32,
    },
    /// Shorter than its first line says, or not JSON.
    #[error("the manifest is damaged at line {line}: {detail}")]
    Damaged {
        /// Counted from 1.
        line: usize,
        /// What the parser said.
        detail: String,
    },
}

#[derive(Serialize, Deserialize)]
struct Header {
    manifest: u32,
    items: usize,
    rejections: usize,
}

#[derive(Serialize, Deserialize)]
struct Row<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    digest: Digest,
    size: [u32; 2],
    bytes: u64,
    #[serde(borrow)]
    photo: Cow<'a, str>,
    photo_digest: Digest,
    photo_size: [u32; 2],
    input: Digest,
    #[serde(default, skip_serializing_if = "has_none")]
    facts: Cow<'a, Facts>,
}

fn has_none(facts: &Facts) -> bool {
    facts.is_empty()
}

/// As much of a [`Row`] as says whose it is.
#[derive(Deserialize)]
struct Whose<'a> {
    #[serde(borrow)]
    photo: Cow<'a, str>,
}

impl Manifest {
    /// A manifest of these items and rejections, put into name order.
    pub fn new(mut items: Vec<Item>, mut rejections: Vec<Rejection>) -> Self {
        items.sort_by(|a, b| a.name.cmp(&b.name));
        rejections.sort_by(|a, b| a.name.cmp(&b.name));
        Self { items, rejections }
    }

    /// The bytes of the file, as drawn in the module's documentation.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.encode().0
    }

    /// The bytes of the file, and what it is known by.
    pub fn encode(&self) -> (Vec<u8>, ManifestId) {
        let mut out = Vec::with_capacity(400 * (self.items.len() + self.rejections.len() + 1));
        line(&mut out, &Header { manifest: FORMAT, items: self.items.len(), rejections: self.rejections.len() });
        let start = out.len();
        for item in &self.items {
            let row = Row {
                name: item.name.as_str().into(),
                digest: item.digest,
                size: [item.width, item.height],
                bytes: item.bytes,
                photo: item.photo.path.as_str().into(),
                photo_digest: item.photo.digest,
                photo_size: item.photo.size,
                input: item.input,
                facts: Cow::Borrowed(&item.facts),
            };
            line(&mut out, &row);
        }
        let items = Digest::of(&out[start..]);
        for rejection in &self.rejections {
            line(&mut out, rejection);
        }
        let file = Digest::of(&out);
        (out, ManifestId { file, items })
    }

    /// Reads what [`Manifest::to_bytes`] wrote.
    ///
    /// # Errors
    /// Another format version, a missing line, or a line that is not what it should be.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ManifestError> {
        Self::read(bytes, usize::MAX)
    }

    /// Reads all rejections and at most so many of the items, spread evenly: a fraction of the work.
    ///
    /// # Errors
    /// As [`Manifest::from_bytes`], of what is looked at.
    pub fn sample_from_bytes(bytes: &[u8], most: usize) -> Result<Self, ManifestError> {
        Self::read(bytes, most)
    }

    fn read(bytes: &[u8], most: usize) -> Result<Self, ManifestError> {
        let mut lines = bytes.split(|byte| *byte == b'\n').enumerate();
        let mut next = || -> Result<(usize, &[u8]), ManifestError> {
            let (at, line) = lines.next().unwrap_or((0, b""));
            if line.is_empty() {
                return Err(ManifestError::Damaged { line: at + 1, detail: "the file ends too early".to_owned() });
            }
            Ok((at + 1, line))
        };
        let damaged = |line: usize| move |error: serde_json::Error| ManifestError::Damaged { line, detail: error.to_string() };

        let (at, line) = next()?;
        let header: Header = serde_json::from_slice(line).map_err(damaged(at))?;
        if header.manifest != FORMAT {
            return Err(ManifestError::Format { found: header.manifest });
        }
        let mut manifest = Self::default();
        // Neighbours in name order mostly share their photo: one allocation serves all its descendants.
        let mut photo: Option<Arc<Photo>> = None;
        let shown = most.min(header.items);
        for position in 0..header.items {
            let (at, line) = next()?;
            // The middle of each of so many parts of equal length: with as many parts as items, every one.
            if manifest.items.len() == shown || position != (2 * manifest.items.len() + 1) * header.items / (2 * shown) {
                continue;
            }
            let row: Row<'_> = serde_json::from_slice(line).map_err(damaged(at))?;
            let shared = match &photo {
                Some(last) if last.digest == row.photo_digest && last.path == row.photo => Arc::clone(last),
                _ => Arc::new(Photo { path: row.photo.into_owned(), digest: row.photo_digest, size: row.photo_size }),
            };
            photo = Some(Arc::clone(&shared));
            let [width, height] = row.size;
            manifest.items.push(Item {
                name: row.name.into_owned(),
                digest: row.digest,
                width,
                height,
                bytes: row.bytes,
                photo: shared,
                input: row.input,
                facts: row.facts.into_owned(),
            });
        }
        for _ in 0..header.rejections {
            let (at, line) = next()?;
            manifest.rejections.push(serde_json::from_slice(line).map_err(damaged(at))?);
        }
        Ok(manifest)
    }

    /// How many items each photo has, by its path, from the bytes of a manifest: a fraction of the work of reading it.
    ///
    /// # Errors
    /// As [`Manifest::from_bytes`], of what is looked at.
    pub fn photo_counts(bytes: &[u8]) -> Result<HashMap<String, usize>, ManifestError> {
        let mut lines = bytes.split(|byte| *byte == b'\n').enumerate();
        let damaged = |at: usize, error: serde_json::Error| ManifestError::Damaged { line: at + 1, detail: error.to_string() };
        let header: Header = serde_json::from_slice(lines.next().map_or(b"", |(_, line)| line)).map_err(|error| damaged(0, error))?;
        if header.manifest != FORMAT {
            return Err(ManifestError::Format { found: header.manifest });
        }
        let mut counts: HashMap<String, usize> = HashMap::new();
        for _ in 0..header.items {
            let (at, line) = lines.next().unwrap_or((0, b""));
            let whose: Whose<'_> = serde_json::from_slice(line).map_err(|error| damaged(at, error))?;
            match counts.get_mut(whose.photo.as_ref()) {
                Some(count) => *count += 1,
                None => drop(counts.insert(whose.photo.into_owned(), 1)),
            }
        }
        Ok(counts)
    }
}

fn line(out: &mut Vec<u8>, value: &impl Serialize) {
    serde_json::to_writer(&mut *out, value).expect("writing plain data to memory cannot fail");
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let item = |name: &str| Item {
            name: name.to_owned(),
            digest: Digest::of(name.as_bytes()),
            width: 640,
            height: 480,
            bytes: 1234,
            photo: Arc::new(Photo { path: "tom \"the cat\".jpg".to_owned(), digest: Digest::of(b"tom"), size: [4032, 3024] }),
            input: Digest::of(b"input"),
            facts: Facts::from_iter([("subject_share".to_owned(), 0.25.into())]),
        };
        let rejection = Rejection {
            name: "é.jpg".to_owned(),
            photo: "é.jpg".to_owned(),
            kind: "duplicate".to_owned(),
            reason: "the same picture".to_owned(),
            of: Some("a.jpg".to_owned()),
            distance: Some(3),
            input: None,
        };
        Manifest::new(vec![item("b.png"), item("a.png")], vec![rejection])
    }

    #[test]
    fn a_manifest_survives_being_written_and_read_and_is_in_name_order() {
        let manifest = manifest();
        assert_eq!(manifest.items[0].name, "a.png");
        let read = Manifest::from_bytes(&manifest.to_bytes()).unwrap();
        assert_eq!(read, manifest);
        assert_eq!(read.encode(), manifest.encode());
        let counts = Manifest::photo_counts(&manifest.to_bytes()).unwrap();
        assert_eq!(counts, HashMap::from([("tom \"the cat\".jpg".to_owned(), 2)]));
    }

    #[test]
    fn a_rejection_changes_the_file_and_not_what_is_read_of_it() {
        let (with, mut without) = (manifest(), manifest());
        without.rejections.clear();
        let ((_, with), (_, without)) = (with.encode(), without.encode());
        assert_ne!(with.file, without.file);
        assert_eq!(with.items, without.items);
        let mut other = manifest();
        other.items[0].bytes += 1;
        assert_ne!(other.encode().1.items, with.items);
    }

    #[test]
    fn a_sample_is_spread_over_all_items_and_has_every_rejection() {
        let one = manifest();
        let items = (0..10).map(|n| Item { name: format!("{n}.png"), ..one.items[0].clone() }).collect();
        let manifest = Manifest::new(items, one.rejections);
        let names = |most: usize| -> Vec<String> {
            let sample = Manifest::sample_from_bytes(&manifest.to_bytes(), most).unwrap();
            assert_eq!(sample.rejections, manifest.rejections);
            sample.items.into_iter().map(|item| item.name).collect()
        };
        assert_eq!(names(3), ["1.png", "5.png", "8.png"]);
        assert_eq!(names(10).len(), 10);
        assert_eq!(names(99).len(), 10);
        assert_eq!(names(0).len(), 0);
        assert_eq!(Manifest::sample_from_bytes(&Manifest::default().to_bytes(), 3).unwrap(), Manifest::default());
    }

    #[test]
    fn a_damaged_manifest_is_an_error_and_not_a_shorter_one() {
        let bytes = manifest().to_bytes();
        for cut in [0, 10, bytes.len() / 2, bytes.len() - 20] {
            assert!(Manifest::from_bytes(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        for cut in [0, 10, bytes.len() / 2] {
            assert!(Manifest::photo_counts(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        let other = String::from_utf8(bytes).unwrap().replacen("\"manifest\":1", "\"manifest\":9", 1);
        assert!(matches!(Manifest::from_bytes(other.as_bytes()), Err(ManifestError::Format { found: 9 })));
    }
}
