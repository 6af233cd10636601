//! `verify --from-folder`: what a person deleted from the stage's folder, recorded as rejected.
//!
//! Going through a folder in a photo viewer and deleting is how people have always sorted photos. A `run` puts back what is
//! missing, so this must come before it. Only what was surely put there, and is gone without lying elsewhere in the folder under
//! another name, counts as deleted.

use std::collections::{BTreeMap, BTreeSet};

use catgen_api::{Digest, Manifest};
use catgen_verify::decisions::{Choice, Decisions};

use crate::{Error, Project, Result, cache::views::View};

/// If more than this share of the pictures is gone, somebody cleaned up rather than chose.
const MOST: f64 = 1.0 / 3.0;

/// So few may be gone whatever their share.
const FEW: usize = 5;

/// What is gone from a folder.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Deleted {
    /// The contents to be rejected, each with one of its names.
    pub(super) rejected: BTreeMap<Digest, String>,
    /// Names that are gone while the same content is still there under another.
    pub(super) elsewhere: Vec<String>,
    /// Names whose rejection was recorded before.
    pub(super) known: Vec<String>,
}

/// What a person deleted from the stage's folder since the last run.
///
/// # Errors
/// A folder that is not as a finished run left it, and, unless `is_sure`, more gone than a person deletes one by one.
pub(super) fn deleted(project: &Project, stage: usize, manifest: &Manifest, decided: &Decisions, is_sure: bool) -> Result<Deleted> {
    let name = &project.pipeline.stages[stage].name;
    let folder = project.workspace.stage_folder(name);
    let view = View::load(&project.store, name, folder.clone());
    let shows = project.states.get(name).is_some_and(|state| view.shows(&state.output));
    if !shows {
        return Err(Error::Usage {
            what: format!("data/{name} is not as a finished run left it, so what is missing there tells nothing"),
            hint: "`catgen-pipe run` brings it up to date; delete what you do not want after that".to_owned(),
        });
    }
    let gone = view.deleted()?;
    let (missing, all) = (gone.missing.len(), manifest.items.len());
    if !is_sure && missing > FEW && missing as f64 > MOST * all as f64 {
        let what =
            if folder.exists() { format!("{missing} of {all} pictures are gone from data/{name}") } else { format!("data/{name} is gone") };
        return Err(Error::Usage {
            what: format!("{what}: that looks like cleaning up, not like choosing, so nothing was recorded"),
            hint: format!("`catgen-pipe run` puts them back; --yes records {missing} rejections"),
        });
    }
    Ok(sorted(manifest, &gone.missing, &gone.moved, decided))
}

/// Which of the missing names mean that their content is not wanted.
fn sorted(manifest: &Manifest, missing: &[String], moved: &[Digest], decided: &Decisions) -> Deleted {
    let missing: BTreeSet<&str> = missing.iter().map(String::as_str).collect();
    let is_gone = |name: &str| missing.contains(name);
    let left: BTreeSet<&Digest> = manifest.items.iter().filter(|item| !is_gone(&item.name)).map(|item| &item.digest).chain(moved).collect();
    let mut deleted = Deleted::default();
    for item in manifest.items.iter().filter(|item| is_gone(&item.name)) {
        if left.contains(&item.digest) {
            deleted.elsewhere.push(item.name.clone());
        } else if decided.get(&item.digest).is_some_and(|decision| decision.decision == Choice::Reject) {
            deleted.known.push(item.name.clone());
        } else {
            deleted.rejected.entry(item.digest).or_insert_with(|| item.name.clone());
        }
    }
    deleted
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use catgen_api::{Facts, Item, Photo};

    use super::*;

    fn item(name: &str, content: &str) -> Item {
        let digest = Digest::of(content.as_bytes());
        let photo = Arc::new(Photo { path: format!("{name}.jpg"), digest, size: [1, 1] });
        Item { name: name.to_owned(), digest, width: 1, height: 1, bytes: 1, photo, input: digest, facts: Facts::new() }
    }

    #[test]
    fn only_content_that_is_nowhere_in_the_folder_counts_as_deleted() {
        let items = vec![item("a", "cat"), item("b", "dog"), item("twin", "cat"), item("c", "fox"), item("d", "owl")];
        let manifest = Manifest::new(items, Vec::new());
        let gone = ["a", "b", "c"].map(str::to_owned);
        let found = sorted(&manifest, &gone, &[Digest::of(b"fox")], &Decisions::default());
        assert_eq!(found.rejected.into_values().collect::<Vec<_>>(), ["b"]);
        assert_eq!(found.elsewhere, ["a", "c"], "one has a twin, one was moved within the folder");
        let both = ["a", "twin"].map(str::to_owned);
        let found = sorted(&manifest, &both, &[], &Decisions::default());
        assert_eq!(found.rejected.into_values().collect::<Vec<_>>(), ["a"], "once for both");
    }
}
