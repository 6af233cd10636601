//! `Shelf`: the pictures of a finished stage, to be looked at: from its folder, or made again where they are not kept.

use std::{collections::HashMap, fs, path::PathBuf};

use catgen_api::{Item, Picture};
use catgen_picture::decode;

use crate::{
    Project,
    run::{picture_of, source},
};

/// What a stage put out when it was last finished.
pub(crate) struct Shelf<'a> {
    project: &'a Project,
    stage: usize,
    by_name: HashMap<String, Item>,
}

impl<'a> Shelf<'a> {
    /// Empty for a stage that was never finished.
    pub(crate) fn of(project: &'a Project, stage: usize) -> Self {
        let state = project.states.get(&project.pipeline.stages[stage].name);
        let manifest = state.and_then(|state| project.store.manifest(&state.output)).unwrap_or_default();
        let by_name = manifest.items.into_iter().map(|item| (item.name.clone(), item)).collect();
        Self { project, stage, by_name }
    }

    /// The picture of that name with a longest side of at most `side`: an item, or a file in the folder that is none.
    pub(crate) fn named(&self, name: &str, side: u32) -> Option<Picture> {
        match self.by_name.get(name) {
            Some(item) => picture(self.project, self.stage, item, side),
            None => file(self.project, self.stage, name, side),
        }
    }

    /// What each photo is called here; of several pictures of one, any.
    pub(crate) fn by_photo(&self) -> HashMap<&str, &str> {
        self.by_name.values().map(|item| (item.photo.path.as_str(), item.name.as_str())).collect()
    }
}

/// The folder in which a stage's pictures lie.
pub(crate) fn folder(project: &Project, stage: usize) -> PathBuf {
    match project.pipeline.stages[stage].from {
        None => source::folder(project, stage),
        Some(_) => project.workspace.stage_folder(&project.pipeline.stages[stage].name),
    }
}

/// An item's picture with a longest side of at most `side`; `None` where it cannot be looked at.
pub(crate) fn picture(project: &Project, stage: usize, item: &Item, side: u32) -> Option<Picture> {
    match project.pipeline.stages[stage].keeps {
        true => file(project, stage, &item.name, side),
        false => picture_of(project, stage, item, Some(side)).ok()?.ok(),
    }
}

fn file(project: &Project, stage: usize, name: &str, side: u32) -> Option<Picture> {
    let bytes = fs::read(folder(project, stage).join(name)).ok()?;
    decode(&bytes, Some(side)).ok().map(|decoded| decoded.picture)
}
