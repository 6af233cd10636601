//! What became of one item: its pictures stored, its action recorded.

use std::time::Duration;

use catgen_api::{Digest, Item, KeyInput, Output, Picture, Rejection, Verdict, is_about_content};

use super::Lazy;
use crate::{
    Error, Project,
    cache::actions::{Outcome, Stored},
    error::Result,
    key::ActionKey,
};

/// An item at a stage, and its key there.
pub(super) struct Asked<'a> {
    pub(super) stage: usize,
    pub(super) item: &'a Item,
    pub(super) key: &'a ActionKey,
    pub(super) inputs: &'a [KeyInput],
}

/// Stores what a stage's code made of an item in `took` and records the action. Answers the new pictures, too, to be handed on.
pub(super) fn settle(
    project: &Project,
    asked: &Asked<'_>,
    verdict: Verdict,
    took: Duration,
    lazy: &Lazy<'_>,
) -> Result<(Outcome, Vec<Option<Picture>>)> {
    let (outcome, pictures) = match verdict {
        Verdict::Keep(outputs) => {
            let (mut stored, mut pictures) = (Vec::with_capacity(outputs.len()), Vec::with_capacity(outputs.len()));
            for output in outputs {
                let (output, picture) = store(project, asked, output, lazy)?;
                stored.push(output);
                pictures.push(picture);
            }
            (Outcome::Keep(stored), pictures)
        }
        Verdict::Reject(reason) => (Outcome::Reject { kind: reason.kind.into_owned(), reason: reason.text }, Vec::new()),
    };
    if !matches!(&outcome, Outcome::Reject { kind, .. } if !is_about_content(kind)) {
        project.actions()?.put_timed(asked.key, &outcome, took)?;
    }
    Ok((outcome, pictures))
}

fn store(project: &Project, asked: &Asked<'_>, output: Output, lazy: &Lazy<'_>) -> Result<(Stored, Option<Picture>)> {
    let Output { tag, made, facts } = output;
    let stage = &project.pipeline.stages[asked.stage];
    let item = asked.item;
    match made {
        catgen_api::Made::Same => {
            // The stage before may not have kept the file that this one is to show.
            let is_kept = stage.from.is_none_or(|from| project.pipeline.stages[from].keeps);
            if stage.keeps && !is_kept && !project.store.cas.has(&item.digest, item.bytes) {
                let file = lazy.look(None, catgen_picture::encode_png)?;
                let file = file.map_err(|reason| Error::Lost { what: format!("{}: {}", item.name, reason.text) })?;
                project.store.cas.put(&file)?;
            }
            let size = [item.width, item.height];
            Ok((Stored { tag, same: true, digest: item.digest, size, bytes: item.bytes, facts }, None))
        }
        catgen_api::Made::Picture(picture) => {
            let file = catgen_picture::encode_png(&picture);
            let digest = if stage.keeps { project.store.cas.put(&file)? } else { Digest::of(&file) };
            let stored = Stored { tag, same: false, digest, size: picture.size(), bytes: file.len() as u64, facts };
            Ok((stored, Some(picture)))
        }
    }
}

/// The rejection of an item by an item stage.
pub(crate) fn rejection_of(item: &Item, kind: String, reason: String) -> Rejection {
    let (name, photo) = (item.name.clone(), item.photo.path.clone());
    Rejection { name, photo, kind, reason, of: None, distance: None, input: Some(item.digest) }
}
