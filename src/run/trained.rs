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
        while self.shared.outcome(&derived(&self.key, &part(count + 1)))?.is_some() {
            count += 1;
        }
        Ok(count)
    }

    /// What is known of its parts, as somebody has to know it who goes on from the last.
    ///
    /// # Errors
    /// The shared cache's, or the disk's.
    pub(super) fn told(&self) -> Result<Vec<Told>> {
        let (mut told, mut files) = (Vec::new(), Vec::new());
        for number in (1..=self.parts()?).rev() {
            let key = derived(&self.key, &part(number));
            let Some((outcome @ Outcome::Packed { manifest: file }, _)) = self.shared.outcome(&key)? else { continue };
            // Of the last one that is whole: those before are there to be counted.
            if files.is_empty()
                && let Some(size) = self.shared.size_of(&file)?
                && let Some((list, _)) = bring::listed(self.project, self.shared, &file, &[], &Silent)?
            {
                files = list.items.iter().map(|item| (item.digest, item.bytes)).chain([(file, size)]).collect();
                told.push(Told { key, outcome, files: files.clone() });
            } else {
                told.push(Told { key, outcome, files: Vec::new() });
            }
        }
        Ok(told)
    }

    /// Brings a finished training into a folder; answers what became of it, or none unless all of it is there.
    ///
    /// # Errors
    /// The shared cache's, or the disk's.
    pub(super) fn bring(&self, folder: &Path) -> Result<Option<Value>> {
        if !self.bring_as(folder, DONE)? {
            return Ok(None);
        }
        let bytes = fs::read(folder.join(RESULT)).unwrap_or_default();
        Ok(Some(serde_json::from_slice(&bytes).unwrap_or_else(|_| json!({}))))
    }

    /// Brings the last part of which everything is there into a folder; answers its number.
    ///
    /// # Errors
    /// The shared cache's, or the disk's.
    pub(super) fn bring_part(&self, folder: &Path) -> Result<Option<usize>> {
        for number in (1..=self.parts()?).rev() {
            if self.bring_as(folder, &part(number))? {
                return Ok(Some(number));
            }
        }
        Ok(None)
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

    fn bring_as(&self, folder: &Path, word: &str) -> Result<bool> {
        let Some((Outcome::Packed { manifest }, _)) = self.shared.outcome(&derived(&self.key, word))? else { return Ok(false) };
        let store = &self.project.store;
        let Some((list, _)) = bring::listed(self.project, self.shared, &manifest, &[], &Silent)? else { return Ok(false) };
        for item in &list.items {
            // A name that leads elsewhere is nobody's training.
            if !below::is_below(&item.name) {
                return Ok(false);
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
        Ok(true)
    }
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
