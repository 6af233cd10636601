//! `States`: how each stage was when it was last finished.

use std::{collections::BTreeMap, fs, io, path::Path};

use catgen_api::{Digest, ManifestId};
use serde::{Deserialize, Serialize};

use super::write_whole;
use crate::{Error, error::Result, key::Components};

/// How a stage was when it was last finished.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// What was in its keys apart from the items, and what the items' own inputs depended on.
    pub components: Components,
    /// The digest of the manifest it read; for `original`, of nothing.
    pub input: Digest,
    /// The digest of that manifest's items; none where an older program wrote this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_items: Option<Digest>,
    /// The digest of the manifest it put out; for training, of its folder's name.
    pub output: Digest,
    /// The digest of that manifest's items; none where an older program wrote this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_items: Option<Digest>,
    /// How many items it put out.
    pub items: usize,
    /// How many it rejected.
    pub rejections: usize,
    /// The run that finished it.
    pub run: String,
    /// For training: its folder, relative to the workspace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
    /// Seconds of work per item computed, from the last time any was: what `plan` estimates with.
    #[serde(default)]
    pub seconds_per_item: f64,
}

impl State {
    /// Whether the items that it read are those of this manifest.
    pub fn has_read(&self, manifest: &ManifestId) -> bool {
        match self.input_items {
            Some(items) => items == manifest.items,
            None => self.input == manifest.file,
        }
    }

    /// What the manifest is known by that it put out.
    pub fn put_out(&self) -> ManifestId {
        ManifestId { file: self.output, items: self.output_items.unwrap_or(self.output) }
    }
}

/// The states of all stages by name.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct States(BTreeMap<String, State>);

impl States {
    /// The states in the file at `path`; none if there is no such file or it cannot be used, which only costs looking
    /// up every item.
    pub fn load(path: &Path) -> Self {
        fs::read(path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    /// The states in the file at `path`; none if there is no such file.
    ///
    /// # Errors
    /// A file that cannot be used, for those who must not take that for a store in which nothing was ever done.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(Error::io("read", path)(error)),
        };
        serde_json::from_slice(&bytes).map_err(|error| Error::Damaged { what: format!("{} is damaged: {error}", path.display()) })
    }

    /// Writes the states.
    ///
    /// # Errors
    /// The file system's.
    pub fn save(&self, path: &Path) -> Result<()> {
        write_whole(path, &serde_json::to_vec_pretty(self).expect("states are plain data"))
    }

    /// The state of a stage.
    pub fn get(&self, stage: &str) -> Option<&State> {
        self.0.get(stage)
    }

    /// Every stage's state by its name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &State)> {
        self.0.iter().map(|(name, state)| (name.as_str(), state))
    }

    /// Forgets a stage.
    pub fn remove(&mut self, stage: &str) {
        self.0.remove(stage);
    }

    /// Notes how a stage is now; answers whether that is news.
    pub fn put(&mut self, stage: &str, state: State) -> bool {
        self.0.insert(stage.to_owned(), state.clone()) != Some(state)
    }
}
