//! What people decided about pictures: a file of JSON lines that is only ever appended to.
//!
//! ```text
//! {"digest":"…","decision":"reject","who":"ada","when":"2026-03-01T10:00:00Z"}
//! {"digest":"…","decision":"undo","who":"ada","when":"2026-03-01T10:00:05Z"}
//! ```
//!
//! `digest` is that of the item as the stage before `verify` put it out, or that of the photo it comes from; the first is the
//! stronger word, the second outlives a change of parameters. Of several lines about one digest the last counts, and `undo`
//! counts as if there were none. Appending is what keeps everybody's history, and what a crash can hardly harm.

use std::{collections::BTreeMap, io, path::Path};

pub use catgen_api::decision_file::DecisionError;
use catgen_api::{Digest, Item, decision_file};
use serde::{Deserialize, Serialize};

/// One line of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// Of the item or of its photo.
    pub digest: Digest,
    /// What was decided.
    pub decision: Choice,
    /// By whom; may be empty.
    #[serde(default)]
    pub who: String,
    /// When, as RFC 3339; may be empty.
    #[serde(default)]
    pub when: String,
}

/// What can be decided about a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    /// It goes on, whatever its flags.
    Accept,
    /// It does not go on.
    Reject,
    /// Nothing was decided after all.
    Undo,
}

impl Choice {
    /// All that can be decided.
    pub const ALL: [Self; 3] = [Self::Accept, Self::Reject, Self::Undo];

    /// Its word in the file.
    pub fn word(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Reject => "reject",
            Self::Undo => "undo",
        }
    }
}

/// The decisions that count.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Decisions(BTreeMap<Digest, Decision>);

impl Decisions {
    /// The decision about the item itself or, failing that, about its photo.
    pub fn of(&self, item: &Item) -> Option<&Decision> {
        self.get(&item.digest).or_else(|| self.get(&item.photo.digest))
    }

    /// The decision about this digest.
    pub fn get(&self, digest: &Digest) -> Option<&Decision> {
        self.0.get(digest)
    }

    /// All of them, in the order of their digests.
    pub fn iter(&self) -> impl Iterator<Item = &Decision> {
        self.0.values()
    }
}

/// Reads the file at `path`; none at all means that nothing was decided.
///
/// # Errors
/// A file that cannot be read, or a line that is not a decision; the message names it.
pub fn load(path: &Path) -> Result<Decisions, DecisionError> {
    let mut decisions = BTreeMap::new();
    for decision in decision_file::read::<Decision>(path)? {
        match decision.decision {
            Choice::Undo => decisions.remove(&decision.digest),
            Choice::Accept | Choice::Reject => decisions.insert(decision.digest, decision),
        };
    }
    Ok(Decisions(decisions))
}

/// Adds decisions to the file at `path`, which is made where there is none, and waits until they are on the disk.
///
/// # Errors
/// Whatever the file system answers.
pub fn append(path: &Path, decisions: &[Decision]) -> io::Result<()> {
    decision_file::append(path, decisions)
}
