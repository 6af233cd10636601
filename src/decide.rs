//! Hit or miss, and why: what `plan`, `run`, `status` and `why` all ask, so that they cannot disagree.

use catgen_api::{Digest, Item, KeyInput, ManifestId, Shape};
use rayon::prelude::*;

use crate::{
    Project,
    cache::{
        actions::{Outcome, Stored},
        states::State,
        views::{Damage, View},
    },
    error::Result,
    key::ActionKey,
    pipeline::Stage,
    registry::Built,
};

/// What is known of one item at one stage.
#[derive(Debug)]
pub struct Asked {
    /// The action's key.
    pub key: ActionKey,
    /// What the stage declared for this item.
    pub inputs: Vec<KeyInput>,
    /// What became of it, if it was done before and all of it is still there.
    pub known: Option<Outcome>,
}

/// Whether a stage has anything to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Freshness {
    /// Same input, same key parts, and the folder is as it should be or can be healed: nothing to look up.
    Fresh,
    /// Something differs; in words.
    Stale(String),
    /// Never finished.
    Pending,
}

/// Looks up one item of an item stage.
///
/// # Errors
/// The store's.
pub fn item(project: &Project, stage: usize, item: &Item) -> Result<Asked> {
    let node = project.node(stage)?;
    let inputs = match &node.built {
        Built::Item(stage) => stage.item_inputs(item),
        _ => Vec::new(),
    };
    let key = node.components.key_for(&item.digest, &inputs);
    let known = project.outcome(&key)?;
    let mut is_whole = true;
    if let Some(Outcome::Keep(stored)) = &known {
        for output in kept(project, stage, stored) {
            is_whole = is_whole && project.has(&output.digest, output.bytes)?;
        }
    }
    Ok(Asked { key, inputs, known: known.filter(|_| is_whole) })
}

/// Those of an item stage's outputs whose files are its own to keep: none where it keeps none, and not its input's.
pub(crate) fn kept<'a>(project: &Project, stage: usize, stored: &'a [Stored]) -> impl Iterator<Item = &'a Stored> {
    let declared = &project.pipeline.stages[stage];
    let input_is_kept = declared.from.is_none_or(|from| project.pipeline.stages[from].keeps);
    let keeps = declared.keeps;
    stored.iter().filter(move |output| keeps && !(output.same && input_is_kept))
}

/// Looks up a set stage's fact about the content with that digest.
///
/// # Errors
/// The store's.
pub fn fact(project: &Project, stage: usize, digest: &Digest) -> Result<(ActionKey, Option<Outcome>)> {
    let key = project.node(stage)?.fact_components.key_for(digest, &[]);
    Ok((key, project.outcome(&key)?))
}

/// Looks up a stage that works on its whole input at once, or a photo's header: the key is of the input's digest alone.
///
/// # Errors
/// The store's.
pub fn whole(project: &Project, stage: usize, input: &Digest) -> Result<(ActionKey, Option<Outcome>)> {
    let key = project.node(stage)?.components.key_for(input, &[]);
    let known = project.outcome(&key)?.filter(|outcome| match outcome {
        Outcome::Packed { manifest } => {
            let packed = project.store.manifest(manifest);
            packed.is_some_and(|packed| packed.items.iter().all(|item| project.store.cas.has(&item.digest, item.bytes)))
        }
        _ => true,
    });
    Ok((key, known))
}

/// Whether the stage, reading the items of the manifest `input`, has anything to do; for a stage with a folder, `view` and its `damage`.
///
/// # Errors
/// The stage could not be built.
pub fn freshness(project: &Project, stage: usize, input: &ManifestId, view: Option<(&View, &Damage)>) -> Result<Freshness> {
    let name = &project.pipeline.stages[stage].name;
    let Some(state) = project.states.get(name) else { return Ok(Freshness::Pending) };
    if let Some(difference) = parameters_changed(project, stage, state)? {
        return Ok(Freshness::Stale(difference));
    }
    if !state.has_read(input) {
        return Ok(Freshness::Stale("the pictures it reads changed".to_owned()));
    }
    if let Some((view, damage)) = view {
        if !project.store.path("manifests").join(state.output.to_string()).exists() {
            return Ok(Freshness::Stale("its manifest is gone from the store".to_owned()));
        }
        if !damage.is_none() && !view.can_heal(&project.store, damage) {
            return Ok(Freshness::Stale("pictures are gone from its folder and from the store".to_owned()));
        }
    }
    Ok(Freshness::Fresh)
}

/// The first part of the stage's key that differs from the last time, in words.
///
/// # Errors
/// The stage could not be built.
pub fn parameters_changed(project: &Project, stage: usize, state: &State) -> Result<Option<String>> {
    let short = project.pipeline.stages[stage].short_name();
    Ok(project.node(stage)?.state_components.first_difference(&state.components, short))
}

/// The selected stages' folders and what is wrong with each: one `stat` a file, and most of what a run with nothing to do
/// costs. None for `original`, whose folder is the user's, and for training.
///
/// # Errors
/// A folder that cannot be read.
pub fn folders(project: &Project, selected: &[bool]) -> Result<Vec<Option<(View, Damage)>>> {
    let look = |(stage, selected): (&Stage, &bool)| {
        if !selected || matches!(stage.shape(), Shape::Source | Shape::Train) {
            return Ok(None);
        }
        let view = View::load(&project.store, &stage.name, project.workspace.stage_folder(&stage.name));
        let damage = view.damage()?;
        Ok(Some((view, damage)))
    };
    project.pipeline.stages.par_iter().zip(selected).map(look).collect()
}
