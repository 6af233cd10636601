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
        let mut out = Vec::with_capacity(400 * (self.items.len() + self.rejections.len() + 1));
        let mut line = |value: &dyn erased::Line| {
            value.write(&mut out);
            out.push(b'\n');
        };
        line(&Header { manifest: FORMAT, items: self.items.len(), rejections: self.rejections.len() });
        for item in &self.items {
            line(&Row {
                name: item.name.as_str().into(),
                digest: item.digest,
                size: [item.width, item.height],
                bytes: item.bytes,
                photo: item.photo.path.as_str().into(),
                photo_digest: item.photo.digest,
                photo_size: item.photo.size,
                input: item.input,
                facts: Cow::Borrowed(&item.facts),
            });
        }
        for rejection in &self.rejections {
            line(rejection);
        }
        out
    }

    /// Reads what [`Manifest::to_bytes`] wrote.
    ///
    /// # Errors
    /// Another format version, a missing line, or a line that is not what it should be.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ManifestError> {
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
        for _ in 0..header.items {
            let (at, line) = next()?;
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

    /// The digest of the manifest's bytes: equal manifests, equal digests.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.to_bytes())
    }
}

/// One line of the file, whatever its type: keeps `to_bytes` to one closure.
mod erased {
    pub(super) trait Line {
        fn write(&self, out: &mut Vec<u8>);
    }

    impl<T: serde::Serialize> Line for T {
        fn write(&self, out: &mut Vec<u8>) {
            serde_json::to_writer(out, self).expect("writing plain data to memory cannot fail");
        }
    }
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
        assert_eq!(read.digest(), manifest.digest());
        let counts = Manifest::photo_counts(&manifest.to_bytes()).unwrap();
        assert_eq!(counts, HashMap::from([("tom \"the cat\".jpg".to_owned(), 2)]));
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
