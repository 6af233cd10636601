//! Photos that show the same, as a `duplicates` stage grouped them when it was last finished, and where people's decisions about that lie.
//!
//! It reads manifests and knows nothing better than they do: what was decided since shows after the next run.

use std::{cmp::Reverse, collections::HashMap, path::PathBuf};

use catgen_api::{Digest, Manifest};
use catgen_duplicates::decisions::{Choice, Decision, Decisions};

use crate::Project;

/// One photo of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Photo {
    /// Its name, as the stage before calls it.
    pub name: String,
    /// The digest of its file.
    pub digest: Digest,
    /// Width and height, where the photo is still there.
    pub size: Option<[u32; 2]>,
}

/// A photo that did not go on, because a better one shows the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    /// The photo.
    pub photo: Photo,
    /// In how many bits its hash differs from that of the one kept.
    pub distance: u32,
    /// The stage's sentence.
    pub reason: String,
}

/// A photo that was kept and those dropped for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The one that went on.
    pub kept: Photo,
    /// The others, the nearest first.
    pub dropped: Vec<Dropped>,
}

impl Group {
    /// All of them.
    pub fn photos(&self) -> impl Iterator<Item = &Photo> {
        std::iter::once(&self.kept).chain(self.dropped.iter().map(|dropped| &dropped.photo))
    }

    /// The distance of the one that is furthest from the kept: the larger, the more a person should look.
    fn doubt(&self) -> u32 {
        self.dropped.iter().map(|dropped| dropped.distance).max().unwrap_or_default()
    }

    /// What to write so that of this group `photo` is kept, whatever was chosen before.
    pub fn keep(&self, photo: Digest, decided: &Decisions, who: &str, when: &str) -> Vec<Decision> {
        decided.instead(photo, self.photos().map(|photo| photo.digest), who, when)
    }
}

/// The groups of a manifest of a `duplicates` stage that read `read`, the most doubtful first.
pub fn groups(put_out: &Manifest, read: &Manifest) -> Vec<Group> {
    let sizes: HashMap<Digest, [u32; 2]> = read.items.iter().map(|item| (item.digest, [item.width, item.height])).collect();
    let kept: HashMap<&str, usize> = put_out.items.iter().enumerate().rev().map(|(at, item)| (item.photo.path.as_str(), at)).collect();
    let mut dropped: HashMap<usize, Vec<Dropped>> = HashMap::new();
    for rejection in &put_out.rejections {
        let Some((digest, at)) = rejection.input.zip(rejection.of.as_deref().and_then(|of| kept.get(of))) else { continue };
        let photo = Photo { name: rejection.name.clone(), digest, size: sizes.get(&digest).copied() };
        let distance = rejection.distance.unwrap_or_default();
        dropped.entry(*at).or_default().push(Dropped { photo, distance, reason: rejection.reason.clone() });
    }
    let mut groups: Vec<Group> = dropped
        .into_iter()
        .map(|(at, mut dropped)| {
            let item = &put_out.items[at];
            dropped.sort_by(|a, b| (a.distance, &a.photo.name).cmp(&(b.distance, &b.photo.name)));
            Group { kept: Photo { name: item.name.clone(), digest: item.digest, size: Some([item.width, item.height]) }, dropped }
        })
        .collect();
    groups.sort_by(|a, b| (Reverse(a.doubt()), &a.kept.name).cmp(&(Reverse(b.doubt()), &b.kept.name)));
    groups
}

/// The positions of the pipeline's `duplicates` stages.
pub fn stages(project: &Project) -> Vec<usize> {
    let is_meant = |at: &usize| project.pipeline.stages[*at].entry.kind.name == catgen_duplicates::KIND.name;
    (0..project.pipeline.stages.len()).filter(is_meant).collect()
}

/// The file of the stage's decisions.
pub fn decisions_file(project: &Project, stage: usize) -> PathBuf {
    let params = &project.pipeline.stages[stage].params;
    let file = params.iter().find(|(name, _)| *name == "decisions").and_then(|(_, value)| value.as_str());
    project.workspace.root().join(file.unwrap_or("data/duplicates.jsonl"))
}

/// A decision about two photos, or, without another, about one.
pub fn decision(digest: Digest, other: Option<Digest>, decision: Choice, who: &str, when: &str) -> Decision {
    Decision { digest, other, decision, who: who.to_owned(), when: when.to_owned() }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use catgen_api::{Facts, Item, Rejection};

    use super::*;

    fn item(name: &str) -> Item {
        let digest = Digest::of(name.as_bytes());
        let photo = Arc::new(catgen_api::Photo { path: name.to_owned(), digest, size: [4, 3] });
        Item { name: name.to_owned(), digest, width: 4, height: 3, bytes: 9, photo, input: digest, facts: Facts::new() }
    }

    fn rejection(name: &str, of: Option<&str>, distance: u32) -> Rejection {
        Rejection {
            name: name.to_owned(),
            photo: name.to_owned(),
            kind: if of.is_some() { "duplicate" } else { "unreadable" }.to_owned(),
            reason: "because".to_owned(),
            of: of.map(str::to_owned),
            distance: of.map(|_| distance),
            input: Some(Digest::of(name.as_bytes())),
        }
    }

    #[test]
    fn what_was_dropped_is_grouped_by_what_was_kept_the_most_doubtful_first() {
        let read = Manifest::new(["a", "b", "c", "d", "e", "f"].map(item).to_vec(), Vec::new());
        let put_out = Manifest::new(
            ["a", "b", "f"].map(item).to_vec(),
            vec![rejection("c", Some("a"), 4), rejection("d", Some("b"), 9), rejection("e", Some("a"), 0), rejection("x", None, 0)],
        );
        let words: Vec<String> = groups(&put_out, &read)
            .iter()
            .map(|group| {
                let dropped: Vec<_> = group.dropped.iter().map(|dropped| format!("{} {}", dropped.photo.name, dropped.distance)).collect();
                format!("{}: {}", group.kept.name, dropped.join(", "))
            })
            .collect();
        assert_eq!(words, ["b: d 9", "a: e 0, c 4"]);
    }
}
