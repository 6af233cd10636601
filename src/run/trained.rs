//! A training's folder in the shared cache: whole when it is finished, and now and then while it goes on.
//!
//! A training is an action like any other, but what it made is a folder, and half of it is worth something, too. So its folder is put
//! there as a list of files: under a key of its own when it is done, and under a first, second, third key on the way. Whoever takes the
//! training up goes on from the last of these. Nothing is ever replaced, and files that did not change are not sent again.

use std::{collections::HashSet, fs, path::Path, sync::Arc};

use catgen_api::{Digest, Item, Manifest, Photo};
use serde_json::{Value, json};

use super::bring;
use crate::{
    Error, Project, below,
    cache::{actions::Outcome, write_whole},
    error::Result,
    key::ActionKey,
    order::Told,
    progress::Silent,
    shared::{Finished, Pushed, SharedCache},
};

/// The file of a training's folder that says what became of it, for the record of the run that asked for it.
const RESULT: &str = "result.json";

/// What its key is told by when it is finished.
const DONE: &str = "done";

/// A training as others may know it.
pub(super) struct Trained<'a> {
    project: &'a Project,
    shared: &'a SharedCache,
    key: ActionKey,
}

impl<'a> Trained<'a> {
    /// The training with that key. One that is to be done again, though it was done before, is another: `again` tells them apart.
    pub(super) fn new(project: &'a Project, shared: &'a SharedCache, key: &ActionKey, again: Option<&str>) -> Self {
        let key = again.map_or(*key, |again| derived(key, again));
        Self { project, shared, key }
    }

    /// Whether it is done.
    ///
    /// # Errors
    /// The shared cache's.
    pub(super) fn is_done(&self) -> Result<bool> {
        self.shared.knows(&self.done())
    }

    /// The action that tells of all of it.
    pub(super) fn done(&self) -> ActionKey {
        derived(&self.key, DONE)
    }

    /// Puts the folder of a finished training there, with what became of it.
    ///
    /// # Errors
    /// The shared cache's, or the disk's.
    pub(super) fn put(&self, folder: &Path, result: &Value) -> Result<Pushed> {
        write_whole(&folder.join(RESULT), &serde_json::to_vec_pretty(result).expect("a result is plain data"))?;
        self.push(self.list(folder)?, DONE)
    }

    /// Puts the folder as it is now there, as the part after those that are, unless it is as it was in the last of them.
    ///
    /// # Errors
    /// The shared cache's, or the disk's.
    pub(super) fn put_part(&self, folder: &Path) -> Result<Pushed> {
        let parts = self.parts()?;
        let list = self.list(folder)?;
        match self.shared.outcome(&derived(&self.key, &part(parts)))? {
            Some((Outcome::Packed { manifest }, _)) if manifest == list => Ok(Pushed::default()),
            _ => self.push(list, &part(parts + 1)),
        }
    }

    /// How many parts are there.
    ///
    /// # Errors
    /// The shared cache's.
    pub(super) fn parts(&self) -> Result<usize> {
        let mut count = 0;
        while self.shared.knows(&derived(&self.key, &part(count + 1)))? {
            count += 1;
        }
        Ok(count)
    }

    /// What is known of its parts, as somebody has to know it who goes on from the last.
    ///
    /// # Errors
    /// The shared cache's, or the disk's.
    pub(super) fn told(&self) -> Result<Vec<Told>> {
        let last = self.last()?;
        let mut told = Vec::new();
        for number in 1..=self.parts()? {
            let key = derived(&self.key, &part(number));
            let Some((outcome, _)) = self.shared.outcome(&key)? else { continue };
            // Those before the last are there to be counted.
            let files = last.as_ref().filter(|last| last.number == number).map_or_else(Vec::new, Part::files);
            told.push(Told { key, outcome, files });
        }
        Ok(told)
    }

    /// Puts a training that was begun here as a part, if it is further than the last one: whoever goes on with it has to have that.
    ///
    /// # Errors
    /// The shared cache's, or the disk's.
    pub(super) fn put_if_further(&self, folder: &Path) -> Result<()> {
        let here = below::files(folder, &folder.join("checkpoints"));
        let here = furthest(here.iter().map(|(name, _)| name.as_str()));
        let last = self.last()?;
        let there = last.as_ref().and_then(|last| furthest(last.list.items.iter().map(|item| item.name.as_str())));
        if here > there {
            self.put_part(folder)?;
        }
        Ok(())
    }

    /// The last part of which everything is there; it is here from now on.
    fn last(&self) -> Result<Option<Part>> {
        for number in (1..=self.parts()?).rev() {
            let outcome = self.shared.outcome(&derived(&self.key, &part(number)))?;
            let Some((Outcome::Packed { manifest: file }, _)) = outcome else { continue };
            let Some(bytes) = self.shared.size_of(&file)? else { continue };
            if let Some((list, _)) = bring::listed(self.project, self.shared, &file, &[], &Silent)? {
                return Ok(Some(Part { number, file: (file, bytes), list }));
            }
        }
        Ok(None)
    }

    /// Brings a finished training into a folder; answers what became of it, or none unless all of it is there.
    ///
    /// # Errors
    /// The shared cache's, or the disk's.
    pub(super) fn bring(&self, folder: &Path) -> Result<Option<Value>> {
        let Some((Outcome::Packed { manifest }, _)) = self.shared.outcome(&self.done())? else { return Ok(None) };
        let Some((list, _)) = bring::listed(self.project, self.shared, &manifest, &[], &Silent)? else { return Ok(None) };
        self.write(folder, &list)?;
        let bytes = fs::read(folder.join(RESULT)).unwrap_or_default();
        Ok(Some(serde_json::from_slice(&bytes).unwrap_or_else(|_| json!({}))))
    }

    /// Brings the last part of which everything is there into a folder; answers its number.
    ///
    /// # Errors
    /// The shared cache's, or the disk's.
    pub(super) fn bring_part(&self, folder: &Path) -> Result<Option<usize>> {
        let Some(last) = self.last()? else { return Ok(None) };
        self.write(folder, &last.list)?;
        Ok(Some(last.number))
    }

    /// Stores a folder's files, and the list of them; answers that.
    fn list(&self, folder: &Path) -> Result<Digest> {
        let store = &self.project.store;
        let nobody = Arc::new(Photo { path: String::new(), digest: Digest::of(b""), size: [0, 0] });
        let mut items = Vec::new();
        // What is half-written has a name that begins with a dot.
        let is_whole = |name: &str| !name.rsplit('/').next().unwrap_or_default().starts_with('.');
        for (name, path) in below::files(folder, folder).into_iter().filter(|(name, _)| is_whole(name)) {
            let bytes = match fs::read(&path) {
                Ok(bytes) => bytes,
                // The trainer took it away in the meantime: an older checkpoint.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(Error::io("read", path)(error)),
            };
            let (digest, size) = (store.cas.put(&bytes)?, bytes.len() as u64);
            items.push(Item {
                name,
                digest,
                width: 0,
                height: 0,
                bytes: size,
                photo: Arc::clone(&nobody),
                input: nobody.digest,
                facts: Default::default(),
            });
        }
        let (bytes, id) = Manifest::new(items, Vec::new()).encode();
        store.put_manifest_bytes(&id.file, &bytes)?;
        Ok(id.file)
    }

    fn push(&self, list: Digest, word: &str) -> Result<Pushed> {
        let (key, outcome) = (derived(&self.key, word), Outcome::Packed { manifest: list });
        self.shared.push(vec![Finished { key, outcome, micros: 0 }], &self.project.store)
    }

    /// Writes the files of a list, all of which are here, into a training's folder.
    fn write(&self, folder: &Path, list: &Manifest) -> Result<()> {
        let store = &self.project.store;
        for item in &list.items {
            // A name that leads elsewhere is nobody's training.
            if !below::is_below(&item.name) {
                continue;
            }
            let path = folder.join(&item.name);
            if Digest::of_file(&path).is_ok_and(|there| there == item.digest) {
                continue;
            }
            write_whole(&path, &store.cas.read(&item.digest)?)?;
        }
        // The trainer keeps the last few: so do those who bring it part by part.
        let listed: HashSet<&str> = list.items.iter().map(|item| item.name.as_str()).collect();
        let old = below::files(folder, &folder.join("checkpoints")).into_iter().filter(|(name, _)| !listed.contains(name.as_str()));
        for (_, path) in old {
            fs::remove_file(&path).map_err(Error::io("remove", &path))?;
        }
        Ok(())
    }
}

/// A training's folder as it was when somebody told of it.
struct Part {
    number: usize,
    /// The list, as a file with its size.
    file: (Digest, u64),
    list: Manifest,
}

impl Part {
    fn files(&self) -> Vec<(Digest, u64)> {
        self.list.items.iter().map(|item| (item.digest, item.bytes)).chain([self.file]).collect()
    }
}

/// The last checkpoint among the files of a training's folder: their names go by steps.
fn furthest<'a>(names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    names.filter(|name| name.starts_with("checkpoints/step-") && name.ends_with(".json")).max()
}

fn part(number: usize) -> String {
    format!("part {number}")
}

/// Another action, told from this one by a word.
fn derived(key: &ActionKey, word: &str) -> ActionKey {
    let mut hasher = blake3::Hasher::new_derive_key("catgen-pipe training in a shared cache v1");
    hasher.update(key.as_bytes());
    hasher.update(word.as_bytes());
    ActionKey::from_bytes(*hasher.finalize().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_furthest_is_the_checkpoint_of_the_highest_step() {
        let names =
            ["stats.jsonl", "checkpoints/step-00000090.json", "checkpoints/step-00000110.safetensors", "checkpoints/step-00000100.json"];
        assert_eq!(furthest(names.into_iter()), Some("checkpoints/step-00000100.json"));
        assert_eq!(furthest(["stats.jsonl", "checkpoints/best.json"].into_iter()), None);
        assert!(None < Some("checkpoints/step-00000001.json"), "what is there is further than nothing");
    }
}
