//! Where a picture comes from, and what comes of a photo: read from the manifests of finished stages, nothing else.

use std::collections::HashMap;

use catgen_api::{Item, Manifest, Rejection};

use crate::{Project, cache::states::State};

/// One stage on the way of a picture.
#[derive(Debug, Clone)]
pub struct Step {
    /// The stage that put it out.
    pub stage: usize,
    /// The picture as it was then.
    pub item: Item,
}

/// The way of an item back to its photo: itself first, the photo last. It ends early where a manifest on the way is gone or another
/// run has replaced it.
pub fn trace(project: &Project, stage: usize, item: &Item) -> Vec<Step> {
    let mut steps = vec![Step { stage, item: item.clone() }];
    let mut at = stage;
    while let Some(from) = project.pipeline.stages[at].from {
        let item = &steps[steps.len() - 1].item;
        let is_parent = |parent: &Item| parent.digest == item.input && parent.photo == item.photo;
        let Some(parent) = finished(project, from).and_then(|(_, manifest)| manifest.items.into_iter().find(is_parent)) else { break };
        steps.push(Step { stage: from, item: parent });
        at = from;
    }
    steps
}

/// What came of one photo in one stage.
#[derive(Debug, Clone)]
pub struct Reach {
    /// The stage.
    pub stage: usize,
    /// The pictures that go on.
    pub items: Vec<Item>,
    /// What did not.
    pub rejections: Vec<Rejection>,
}

/// What came of the photo at that path below `0.ORIGINAL`, in every finished stage that it reached.
pub fn impact(project: &Project, photo: &str) -> Vec<Reach> {
    let reach = |stage: usize| {
        let (_, Manifest { mut items, mut rejections }) = finished(project, stage)?;
        items.retain(|item| item.photo.path == photo);
        rejections.retain(|rejection| rejection.photo == photo);
        (!items.is_empty() || !rejections.is_empty()).then_some(Reach { stage, items, rejections })
    };
    (0..project.pipeline.stages.len()).filter_map(reach).collect()
}

/// How a stage was when it was last finished, and what it put out.
pub fn finished(project: &Project, stage: usize) -> Option<(&State, Manifest)> {
    let state = project.states.get(&project.pipeline.stages[stage].name)?;
    Some((state, project.store.manifest(&state.output)?))
}

/// How the items of one manifest differ from those of another, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Change {
    /// In the second and not in the first.
    pub added: usize,
    /// In the first and not in the second.
    pub removed: usize,
    /// In both, with other content.
    pub changed: usize,
    /// In both, the same.
    pub same: usize,
}

/// What changed from `before` to `after`.
pub fn change(before: &Manifest, after: &Manifest) -> Change {
    let mut old: HashMap<&str, &Item> = before.items.iter().map(|item| (item.name.as_str(), item)).collect();
    let mut change = Change::default();
    for item in &after.items {
        match old.remove(item.name.as_str()) {
            None => change.added += 1,
            Some(old) if old.digest == item.digest => change.same += 1,
            Some(_) => change.changed += 1,
        }
    }
    change.removed = old.len();
    change
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use catgen_api::{Digest, Facts, Photo};

    use super::*;

    fn manifest(items: &[(&str, &str)]) -> Manifest {
        let photo = Arc::new(Photo { path: "a.jpg".to_owned(), digest: Digest::of(b"a"), size: [1, 1] });
        let item = |(name, content): &(&str, &str)| Item {
            name: (*name).to_owned(),
            digest: Digest::of(content.as_bytes()),
            width: 1,
            height: 1,
            bytes: 1,
            photo: Arc::clone(&photo),
            input: Digest::of(b"a"),
            facts: Facts::new(),
        };
        Manifest::new(items.iter().map(item).collect(), Vec::new())
    }

    #[test]
    fn changes_are_counted_by_name_and_content() {
        let (before, after) =
            (manifest(&[("a", "1"), ("b", "2"), ("c", "3")]), manifest(&[("b", "2"), ("c", "4"), ("d", "5"), ("e", "1")]));
        assert_eq!(change(&before, &after), Change { added: 2, removed: 1, changed: 1, same: 1 });
        assert_eq!(change(&before, &before), Change { same: 3, ..Change::default() });
    }
}
