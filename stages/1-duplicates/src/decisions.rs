//! What people decided about photos that show the same: a file of JSON lines that is only ever appended to.
//!
//! ```text
//! {"digest":"…","decision":"keep","who":"ada","when":"2026-03-01T10:00:00Z"}
//! {"digest":"…","other":"…","decision":"different","who":"ada","when":"2026-03-01T10:00:05Z"}
//! {"digest":"…","other":"…","decision":"undo","who":"ada","when":"2026-03-01T10:00:09Z"}
//! ```
//!
//! The digests are those of the photos' files, so a decision outlives another name and other parameters. `keep` is about one photo: of
//! all that show the same it is the one to keep. `different` is about two, in whichever order: neither is dropped for the other.
//! `undo` takes back what was said about the same one or two.

use std::{collections::BTreeMap, io, path::Path};

use catgen_api::{
    Digest,
    decision_file::{self, DecisionError},
};
use serde::{Deserialize, Serialize};

/// One line of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Line")]
pub struct Decision {
    /// The photo.
    pub digest: Digest,
    /// The other photo, of a decision about two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other: Option<Digest>,
    /// What was decided.
    pub decision: Choice,
    /// By whom; may be empty.
    #[serde(default)]
    pub who: String,
    /// When, as RFC 3339; may be empty.
    #[serde(default)]
    pub when: String,
}

/// What can be decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    /// Of those that show the same, this one goes on.
    Keep,
    /// These two show different things.
    Different,
    /// Nothing was decided after all.
    Undo,
}

/// A line as it is written, which may make no sense.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    digest: Digest,
    other: Option<Digest>,
    decision: Choice,
    #[serde(default)]
    who: String,
    #[serde(default)]
    when: String,
}

impl TryFrom<Line> for Decision {
    type Error = &'static str;

    fn try_from(Line { digest, other, decision, who, when }: Line) -> Result<Self, Self::Error> {
        match (decision, other) {
            (Choice::Keep, Some(_)) => Err("`keep` is about one photo: leave `other` out"),
            (Choice::Different, None) => Err("`different` is about two photos: `other` is missing"),
            (_, Some(other)) if other == digest => Err("`digest` and `other` are the same photo"),
            _ => Ok(Self { digest, other, decision, who, when }),
        }
    }
}

impl Decision {
    /// Of one photo, or of two whichever comes first.
    fn about(&self) -> (Digest, Option<Digest>) {
        pair(self.digest, self.other)
    }
}

fn pair(digest: Digest, other: Option<Digest>) -> (Digest, Option<Digest>) {
    match other {
        Some(other) if other < digest => (other, Some(digest)),
        _ => (digest, other),
    }
}

/// The decisions that count.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Decisions(BTreeMap<(Digest, Option<Digest>), Decision>);

impl Decisions {
    /// Whether this photo is to be kept of those that show the same.
    pub fn keeps(&self, digest: &Digest) -> bool {
        self.0.contains_key(&(*digest, None))
    }

    /// Whether somebody said that these two show different things.
    pub fn are_different(&self, a: &Digest, b: &Digest) -> bool {
        !self.0.is_empty() && self.0.contains_key(&pair(*a, Some(*b)))
    }

    /// All of them, in the order of their digests.
    pub fn iter(&self) -> impl Iterator<Item = &Decision> {
        self.0.values()
    }

    /// Takes over another line: the last about the same photos counts.
    pub fn take(&mut self, decision: Decision) {
        match decision.decision {
            Choice::Undo => self.0.remove(&decision.about()),
            Choice::Keep | Choice::Different => self.0.insert(decision.about(), decision),
        };
    }

    /// The lines that say "keep this one" where others that show the same may have been chosen before: those are taken back, or the
    /// best of the chosen would win and not the last.
    pub fn instead(&self, digest: Digest, of: impl IntoIterator<Item = Digest>, who: &str, when: &str) -> Vec<Decision> {
        let line = |digest, decision| Decision { digest, other: None, decision, who: who.to_owned(), when: when.to_owned() };
        let before = of.into_iter().filter(|other| *other != digest && self.keeps(other));
        before.map(|other| line(other, Choice::Undo)).chain([line(digest, Choice::Keep)]).collect()
    }
}

impl FromIterator<Decision> for Decisions {
    fn from_iter<T: IntoIterator<Item = Decision>>(lines: T) -> Self {
        let mut decisions = Self::default();
        lines.into_iter().for_each(|decision| decisions.take(decision));
        decisions
    }
}

/// Reads the file at `path`; none at all means that nothing was decided.
///
/// # Errors
/// A file that cannot be read, or a line that is not a decision; the message names it.
pub fn load(path: &Path) -> Result<Decisions, DecisionError> {
    Ok(decision_file::read(path)?.into_iter().collect())
}

/// Adds decisions to the file at `path` and waits until they are on the disk.
///
/// # Errors
/// Whatever the file system answers.
pub fn append(path: &Path, decisions: &[Decision]) -> io::Result<()> {
    decision_file::append(path, decisions)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(name: &str) -> Digest {
        Digest::of(name.as_bytes())
    }

    fn said(a: &str, b: Option<&str>, decision: Choice) -> Decision {
        Decision { digest: digest(a), other: b.map(digest), decision, who: String::new(), when: String::new() }
    }

    #[test]
    fn the_last_word_counts_whichever_photo_is_named_first() {
        use Choice::{Different, Keep, Undo};
        let decisions: Decisions =
            [said("a", None, Keep), said("a", Some("b"), Different), said("c", Some("b"), Different)].into_iter().collect();
        assert!(decisions.keeps(&digest("a")) && !decisions.keeps(&digest("b")));
        for (a, b, different) in [("a", "b", true), ("b", "a", true), ("b", "c", true), ("a", "c", false)] {
            assert_eq!(decisions.are_different(&digest(a), &digest(b)), different, "{a} {b}");
        }
        let mut after = decisions.clone();
        after.take(said("b", Some("a"), Undo));
        assert!(!after.are_different(&digest("a"), &digest("b")) && after.keeps(&digest("a")), "undo of two touches no word about one");
        after.take(said("a", None, Undo));
        after.take(said("b", Some("c"), Undo));
        assert_eq!(after, Decisions::default());
    }

    #[test]
    fn another_choice_takes_the_first_back() {
        let mut decisions: Decisions = [said("a", None, Choice::Keep), said("z", None, Choice::Keep)].into_iter().collect();
        for line in decisions.instead(digest("b"), ["a", "b", "c"].map(digest), "", "") {
            decisions.take(line);
        }
        assert_eq!(["a", "b", "c", "z"].map(|name| decisions.keeps(&digest(name))), [false, true, false, true]);
    }

    #[test]
    fn what_is_no_decision_is_named_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data/duplicates.jsonl");
        assert_eq!(load(&path).unwrap(), Decisions::default());
        append(&path, &[said("a", Some("b"), Choice::Different)]).unwrap();
        append(&path, &[said("a", None, Choice::Keep)]).unwrap();
        assert_eq!(load(&path).unwrap().iter().count(), 2);
        let (a, b) = (digest("a"), digest("b"));
        for (line, expected) in [
            (format!(r#"{{"digest":"{a}","decision":"different"}}"#), "`other` is missing"),
            (format!(r#"{{"digest":"{a}","other":"{b}","decision":"keep"}}"#), "leave `other` out"),
            (format!(r#"{{"digest":"{a}","other":"{a}","decision":"different"}}"#), "the same photo"),
            (format!(r#"{{"digest":"{a}","decision":"like"}}"#), "unknown variant `like`"),
            (format!(r#"{{"digest":"{a}","decision":"keep","why":""}}"#), "unknown field `why`"),
            (r#"{"digest":"12","decision":"keep"}"#.to_owned(), "digest"),
        ] {
            let broken = folder.path().join("broken.jsonl");
            std::fs::write(&broken, format!("\n{line}\n")).unwrap();
            let error = load(&broken).unwrap_err().to_string();
            assert!(error.contains("line 2: this is not a decision") && error.contains(expected), "{error}");
        }
    }
}
