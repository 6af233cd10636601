//! Keys: what must be equal for a result to be used again.
//!
//! | in | not in |
//! |---|---|
//! | the kind and its `version`, the decoder's version | times, host, thread count, log level, and parameters about those |
//! | every parameter that is read, defaults filled in, in the order of the stage's list | the order in which items were found |
//! | the content digest of the input (of the manifest, for a set) | the names of items and the key of the stage before: equal content stops a rerun |
//! | the pipeline's seed, for random kinds only | |
//! | models, runtimes, decisions and programs that are used | |
//!
//! A key is the hash of its [`Components`], and `why` compares the same components, so it cannot lie.

use std::fmt;

use catgen_api::{Digest, KeyInput};
use serde::{Deserialize, Serialize};

/// Names an action: equal keys, equal results. Not a [`Digest`], which names content.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ActionKey([u8; 32]);

impl ActionKey {
    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// A key read back from a file that stored its bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for ActionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ActionKey({})", &blake3::Hash::from_bytes(self.0).to_hex()[..12])
    }
}

/// One part in which two lists of [`Components`] differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The part.
    pub name: String,
    /// What it was, if it was there.
    pub then: Option<String>,
    /// What it is, if it is there.
    pub now: Option<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.then, &self.now) {
            (Some(then), Some(now)) => write!(f, "{} {} → {}", self.name, readable(then), readable(now)),
            (None, Some(now)) => write!(f, "{} is new: {}", self.name, readable(now)),
            (Some(then), None) => write!(f, "{} is gone, it was {}", self.name, readable(then)),
            (None, None) => write!(f, "{}", self.name),
        }
    }
}

/// A value with its digests as people can tell them apart: the first 12 characters.
fn readable(value: &str) -> String {
    let is_digest = |word: &str| word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let words = value.split(' ').map(|word| if is_digest(word) { &word[..12] } else { word });
    words.collect::<Vec<_>>().join(" ")
}

/// The parts of a key by name, in order: what is hashed, and what people are told.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Components(Vec<(String, String)>);

impl Components {
    /// Adds one part, under a name that no other part has.
    pub fn push(&mut self, name: impl Into<String>, value: impl ToString) {
        let name = name.into();
        debug_assert!(self.0.iter().all(|(other, _)| *other != name), "two parts called {name}: `why` would compare the wrong ones");
        self.0.push((name, value.to_string()));
    }

    /// The parts, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The key of an item: these parts, then the content of its input, then what the stage declared for it.
    pub fn key_for(&self, input: &Digest, inputs: &[KeyInput]) -> ActionKey {
        let mut hasher = self.hasher();
        hasher.update(input.as_bytes());
        for KeyInput { name, value } in inputs {
            part(&mut hasher, name, value);
        }
        ActionKey(*hasher.finalize().as_bytes())
    }

    /// Every part in which these differ from those of an earlier run, in order: its name, what it was and what it is.
    pub fn differences(&self, before: &Self) -> Vec<Difference> {
        let difference = |name: &str| {
            let (then, now) = (before.get(name), self.get(name));
            (then != now).then(|| Difference { name: name.to_owned(), then: then.map(str::to_owned), now: now.map(str::to_owned) })
        };
        let gone = before.iter().map(|(name, _)| name).filter(|name| self.get(name).is_none());
        self.iter().map(|(name, _)| name).chain(gone).filter_map(difference).collect()
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(other, _)| *other == name).map(|(_, value)| value)
    }

    /// The first part in which these differ from those of an earlier run, as a sentence; `None` if nothing differs.
    pub fn first_difference(&self, before: &Self, stage: &str) -> Option<String> {
        match self.differences(before).into_iter().next() {
            Some(difference) => Some(format!("{stage}.{difference}")),
            // The hash sees the order, so the explanation must.
            None => (self != before)
                .then(|| format!("the parts of {stage}'s key are in another order, as another version of the program puts them")),
        }
    }

    fn hasher(&self) -> blake3::Hasher {
        let mut hasher = blake3::Hasher::new_derive_key("catgen-pipe action key v1");
        for (name, value) in &self.0 {
            part(&mut hasher, name, value);
        }
        // Ends the list, so that a part moved from one list to the next makes another key.
        hasher.update(&u64::MAX.to_le_bytes());
        hasher
    }
}

/// Length before content: no two lists of parts are the same bytes.
fn part(hasher: &mut blake3::Hasher, name: &str, value: &str) {
    for text in [name, value] {
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn components(parts: &[(&str, &str)]) -> Components {
        let mut components = Components::default();
        parts.iter().for_each(|(name, value)| components.push(*name, value));
        components
    }

    #[test]
    fn every_part_and_its_place_is_in_the_key() {
        let input = Digest::of(b"photo");
        let input_part = |name: &str, value: &str| KeyInput { name: name.to_owned(), value: value.to_owned() };
        let base = components(&[("kind", "zoom"), ("margin", "0.1")]);
        let keys = [
            base.key_for(&input, &[]),
            components(&[("kind", "zoom"), ("margin", "0.2")]).key_for(&input, &[]),
            components(&[("kind", "zoom")]).key_for(&input, &[]),
            components(&[("kind", "zoom"), ("margin0", ".1")]).key_for(&input, &[]),
            base.key_for(&Digest::of(b"other"), &[]),
            base.key_for(&input, &[input_part("decision", "accept")]),
            base.key_for(&input, &[input_part("decision", "reject")]),
        ];
        assert_eq!(keys.iter().collect::<std::collections::HashSet<_>>().len(), keys.len());
        assert_eq!(keys[0], components(&[("kind", "zoom"), ("margin", "0.1")]).key_for(&input, &[]));
    }

    #[test]
    fn the_first_difference_is_a_sentence() {
        let now = components(&[("version", "1"), ("copies", "75")]);
        for (before, said) in [
            (components(&[("version", "1"), ("copies", "75")]), None),
            (components(&[("version", "1"), ("copies", "64")]), Some("augment.copies 64 → 75")),
            (components(&[("version", "1")]), Some("augment.copies is new: 75")),
            (
                components(&[("version", "1"), ("copies", &format!("a.py {}", "0123456789abcdef".repeat(4)))]),
                Some("augment.copies a.py 0123456789ab → 75"),
            ),
            (components(&[("version", "1"), ("copies", "75"), ("side", "9")]), Some("augment.side is gone, it was 9")),
            (
                components(&[("copies", "75"), ("version", "1")]),
                Some("the parts of augment's key are in another order, as another version of the program puts them"),
            ),
        ] {
            assert_eq!(now.first_difference(&before, "augment").as_deref(), said);
        }
    }
}
