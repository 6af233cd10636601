//! What need not be looked up: photos of which nothing changed since the stages were last finished.
//!
//! A stage whose parameters are as they were makes the same of the same items. So if the items that a photo has in front of such
//! a stage are those of the last time, what the stage made of them is taken from the list it left then, and so for the stages after
//! it. Whoever edits ten of a thousand photos then pays for ten, and for reading and writing the lists.
//!
//! Whether the pictures are all there was asked when the folders were looked at. Should the store have lost one that nobody saw, the
//! stage that wants it says so, and the run begins again with nothing taken over.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, PoisonError},
};

use catgen_api::{Digest, Item, Manifest, Rejection};

use super::{
    Run,
    names::{is_marked, stems},
};
use crate::{decide, error::Result};

/// What a stage made of each photo when it was last finished.
pub(super) struct Before {
    /// The manifests it read and put out then.
    pub(super) input: Digest,
    pub(super) output: Digest,
    photos: Mutex<HashMap<String, Made>>,
}

/// What came of one photo, in the order of names.
#[derive(Default)]
pub(super) struct Made {
    pub(super) items: Vec<Item>,
    pub(super) rejections: Vec<Rejection>,
}

impl Before {
    /// None where the stage would do otherwise now, or where its folder is not as it was left.
    pub(super) fn of(run: &Run<'_>, stage: usize) -> Result<Option<Self>> {
        let project = &*run.project;
        let Some(state) = project.states.get(&project.pipeline.stages[stage].name) else { return Ok(None) };
        let is_whole = run.views[stage].as_ref().is_none_or(|(_, damage)| damage.is_none());
        if !is_whole || decide::parameters_changed(project, stage, state)?.is_some() {
            return Ok(None);
        }
        let Some(manifest) = project.store.manifest(&state.output) else { return Ok(None) };
        let photos = by_photo(manifest);
        Ok(photos.map(|photos| Self { input: state.input, output: state.output, photos: Mutex::new(photos) }))
    }

    /// Takes what was made of a photo.
    pub(super) fn take(&self, photo: &str) -> Made {
        self.photos.lock().unwrap_or_else(PoisonError::into_inner).remove(photo).unwrap_or_default()
    }

    /// Whether what was made of the photo is exactly this.
    pub(super) fn is(&self, photo: &str, made: &[(Item, String)]) -> bool {
        let mut made: Vec<&Item> = made.iter().map(|(item, _)| item).collect();
        made.sort_by(|a, b| a.name.cmp(&b.name));
        let photos = self.photos.lock().unwrap_or_else(PoisonError::into_inner);
        photos.get(photo).is_some_and(|before| before.rejections.is_empty() && before.items.iter().eq(made))
    }
}

/// A manifest, photo by photo. None where a name was chosen for the sake of another photo, which may be gone now.
fn by_photo(manifest: Manifest) -> Option<HashMap<String, Made>> {
    let mut photos: HashMap<String, Made> = HashMap::new();
    for item in manifest.items {
        match photos.get_mut(&item.photo.path) {
            Some(made) => made.items.push(item),
            None => drop(photos.insert(item.photo.path.clone(), Made { items: vec![item], rejections: Vec::new() })),
        }
    }
    if photos.iter().any(|(photo, made)| is_marked(photo, &made.items)) {
        return None;
    }
    for rejection in manifest.rejections {
        photos.entry(rejection.photo.clone()).or_default().rejections.push(rejection);
    }
    Some(photos)
}

/// The photos whose items, and the names that follow from them, are in both lists and the same.
pub(super) fn unchanged<'a>(before: &Manifest, now: &'a Manifest) -> HashSet<&'a str> {
    if before.items == now.items {
        return now.items.iter().map(|item| item.photo.path.as_str()).collect();
    }
    let (before_stems, now_stems) = (stems(&before.items), stems(&now.items));
    let mut was: HashMap<&str, Vec<(&Item, &String)>> = HashMap::new();
    for (item, stem) in before.items.iter().zip(&before_stems) {
        was.entry(&item.photo.path).or_default().push((item, stem));
    }
    let mut is: HashMap<&str, Vec<(&Item, &String)>> = HashMap::new();
    for (item, stem) in now.items.iter().zip(&now_stems) {
        is.entry(&item.photo.path).or_default().push((item, stem));
    }
    is.into_iter().filter(|(photo, items)| was.get(photo) == Some(items)).map(|(photo, _)| photo).collect()
}
