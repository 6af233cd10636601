//! `Order`: what a run asks workers to compute. It is never changed once it is written.
//!
//! An order is one object, `plans/<hex>` of the shared cache, and leads to others there: the files of the workspace that its stages
//! name, and for each shard the manifests of its items and what is known of them. It holds everything that is in the keys, so that a
//! worker on another machine computes under the same keys, or says what differs there; and a worker needs no index but that.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs,
    path::{Path, PathBuf},
};

use catgen_api::{Digest, Item, Manifest};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Error, Project, below,
    cache::actions::Outcome,
    error::Result,
    key::{ActionKey, Components},
    shared::SharedCache,
};

/// The version of the object.
const VERSION: u32 = 2;

/// What a run asks workers to compute.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Order {
    order: u32,
    /// `pipeline.toml`.
    pub(crate) pipeline: String,
    /// What was changed by `--set`.
    pub(crate) set: Vec<String>,
    /// Tells a training that is done again, though it was done before, from the one before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) again: Option<String>,
    /// The stages that follow one another: item stages, or one that looks for facts.
    pub(crate) stages: Vec<Part>,
    /// Files of the workspace, by path, that parameters of the stages name.
    pub(crate) files: BTreeMap<String, Digest>,
    /// What the work is cut into.
    pub(crate) shards: Vec<Shard>,
}

/// A part of the work, for one worker. One with nothing to do is empty.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Shard {
    /// Its items by the stage that put them out, each list a manifest.
    items: BTreeMap<String, Digest>,
    /// Where these lie and what is known of them, as an index object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    known: Option<Digest>,
}

/// Work that is to be ordered.
pub(crate) struct Asked<'a> {
    /// The stages.
    pub(crate) stages: &'a [usize],
    /// The items, each with the stage that put it out.
    pub(crate) items: &'a [(usize, &'a Item)],
    /// What is known of each item.
    pub(crate) told: &'a [Vec<Told>],
    /// Into how many parts it is cut.
    pub(crate) shards: usize,
    /// See [`Order::again`].
    pub(crate) again: Option<&'a str>,
}

/// An action that was finished, as a worker has to know of it.
pub(crate) struct Told {
    /// The action.
    pub(crate) key: ActionKey,
    /// What it came to.
    pub(crate) outcome: Outcome,
    /// The files that it made, with their sizes: those of them that a worker may need.
    pub(crate) files: Vec<(Digest, u64)>,
}

/// One stage of an order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Part {
    /// Its name.
    pub(crate) name: String,
    /// What is in the keys of its items, and of its facts.
    pub(crate) made_with: [Components; 2],
}

/// The shards of contents: ranges of digests with as many in each, so that none takes longer than the others. A photo that is added
/// moves at most one from each to the next.
fn cut<'a>(contents: impl Iterator<Item = &'a Digest>, shards: usize) -> HashMap<Digest, usize> {
    let contents: BTreeSet<Digest> = contents.copied().collect();
    let count = contents.len();
    contents.into_iter().enumerate().map(|(rank, content)| (content, rank * shards / count)).collect()
}

impl Order {
    /// Writes down what is to be done with these items of these stages; answers the order and its digest.
    ///
    /// # Errors
    /// The shared cache's, or a file of the workspace that cannot be read.
    pub(crate) fn write(project: &Project, shared: &SharedCache, asked: &Asked<'_>) -> Result<(Self, Digest)> {
        let bucket = shared.bucket()?;
        let put = |bytes: Vec<u8>| -> Result<Digest> {
            let digest = Digest::of(&bytes);
            bucket.create(&name(&digest), bytes)?;
            Ok(digest)
        };
        let shard_of = cut(asked.items.iter().map(|(_, item)| &item.digest), asked.shards);
        let mut cut: Vec<Cut<'_>> = (0..asked.shards).map(|_| Cut::default()).collect();
        for ((from, item), told) in asked.items.iter().zip(asked.told) {
            let shard = &mut cut[shard_of[&item.digest]];
            shard.items.entry(*from).or_default().push((*item).clone());
            shard.files.insert(item.digest, item.bytes);
            shard.files.extend(told.iter().flat_map(|told| told.files.iter().copied()));
            shard.actions.extend(told.iter().map(|told| (&told.key, &told.outcome)));
        }
        let name_of = |stage: usize| project.pipeline.stages[stage].name.clone();
        let shard = |Cut { items, files, actions }: Cut<'_>| -> Result<Shard> {
            if items.is_empty() {
                return Ok(Shard::default());
            }
            let list = |(from, items)| Ok((name_of(from), put(Manifest::new(items, Vec::new()).to_bytes())?));
            let known = put(shared.extract(&files.into_iter().collect::<Vec<_>>(), actions)?)?;
            Ok(Shard { items: items.into_iter().map(list).collect::<Result<_>>()?, known: Some(known) })
        };
        let part = |stage: &usize| {
            let node = project.node(*stage)?;
            Ok(Part { name: name_of(*stage), made_with: [node.components.clone(), node.fact_components.clone()] })
        };
        let mut files = BTreeMap::new();
        for (name, path) in asked.stages.iter().flat_map(|stage| named_files(project, *stage)) {
            files.insert(name, put(fs::read(&path).map_err(Error::io("read", &path))?)?);
        }
        let order = Self {
            order: VERSION,
            pipeline: project.pipeline_text.clone(),
            set: project.overrides.iter().map(|change| change.text.clone()).collect(),
            again: asked.again.map(str::to_owned),
            stages: asked.stages.iter().map(part).collect::<Result<_>>()?,
            files,
            shards: cut.into_iter().map(shard).collect::<Result<_>>()?,
        };
        let digest = put(serde_json::to_vec(&order).expect("an order is plain data"))?;
        Ok((order, digest))
    }

    /// Reads an order.
    ///
    /// # Errors
    /// The shared cache's; an order that is not there, or is damaged.
    pub(crate) fn read(shared: &SharedCache, digest: &Digest) -> Result<Self> {
        let bytes = object(shared, digest)?;
        let broken = |what: String| Error::Usage {
            what: format!("the plan {} {what}", digest.short()),
            hint: "let the same version of catgen-pipe work everywhere".to_owned(),
        };
        let order: Self = serde_json::from_slice(&bytes).map_err(|error| broken(format!("cannot be read: {error}")))?;
        if order.order != VERSION {
            return Err(broken(format!("is of version {}, and this program knows {VERSION}", order.order)));
        }
        Ok(order)
    }

    /// Writes the workspace that the order is about, without photos, into an empty folder.
    ///
    /// # Errors
    /// The shared cache's, or the disk's.
    pub(crate) fn unpack(&self, shared: &SharedCache, folder: &Path) -> Result<()> {
        let write = |path: &Path, bytes: &[u8]| -> Result<()> {
            let parent = path.parent().unwrap_or(folder);
            fs::create_dir_all(parent).map_err(Error::io("create", parent))?;
            fs::write(path, bytes).map_err(Error::io("write", path))
        };
        write(&folder.join(crate::workspace::PIPELINE_FILE), self.pipeline.as_bytes())?;
        for (name, digest) in &self.files {
            // Whoever can write into the shared cache must not be able to write elsewhere.
            if !below::is_below(name) {
                return Err(Error::Usage { what: format!("the plan names a file outside of its workspace: {name}"), hint: String::new() });
            }
            write(&folder.join(name), &object(shared, digest)?)?;
        }
        Ok(())
    }

    /// The shards that have something to do.
    pub(crate) fn with_work(&self) -> Vec<usize> {
        (0..self.shards.len()).filter(|shard| !self.shards[*shard].items.is_empty()).collect()
    }

    fn shard(&self, shard: usize) -> Result<&Shard> {
        self.shards.get(shard).ok_or_else(|| Error::Usage {
            what: format!("there is no shard {shard}: the plan has {}, counted from 0", self.shards.len()),
            hint: String::new(),
        })
    }

    /// What is known of a shard's items, as an index object.
    ///
    /// # Errors
    /// The shared cache's, or a number that is no shard's.
    pub(crate) fn known(&self, shared: &SharedCache, shard: usize) -> Result<Vec<u8>> {
        self.shard(shard)?.known.map_or(Ok(Vec::new()), |known| object(shared, &known))
    }

    /// The items of a shard by the stage that put them out.
    ///
    /// # Errors
    /// The shared cache's, or a number that is no shard's.
    pub(crate) fn items(&self, shared: &SharedCache, shard: usize) -> Result<Vec<(String, Manifest)>> {
        let list = |(from, digest): (&String, &Digest)| {
            let manifest = Manifest::from_bytes(&object(shared, digest)?);
            let broken = |error| Error::Usage { what: format!("a list of the plan cannot be read: {error}"), hint: String::new() };
            Ok((from.clone(), manifest.map_err(broken)?))
        };
        self.shard(shard)?.items.iter().map(list).collect()
    }

    /// Whether a worker's stages are those of the order.
    ///
    /// # Errors
    /// The first difference, in words.
    pub(crate) fn check(&self, project: &Project) -> Result<Vec<usize>> {
        let stage = |part: &Part| {
            let stage = project.pipeline.find(&part.name).map_err(|what| Error::Usage { what, hint: String::new() })?;
            let node = project.node(stage)?;
            for (own, theirs) in [&node.components, &node.fact_components].into_iter().zip(&part.made_with) {
                if let Some(difference) = own.first_difference(theirs, project.pipeline.stages[stage].short_name()) {
                    return Err(Error::Stage {
                        stage: part.name.clone(),
                        what: format!("on this machine it is not what it is where the plan was made: {difference}"),
                        hint: "give every machine the same catgen-pipe, models and onnxruntime: see docs/scale.md".to_owned(),
                    });
                }
            }
            Ok(stage)
        };
        self.stages.iter().map(stage).collect()
    }
}

/// What a shard is made of.
#[derive(Default)]
struct Cut<'a> {
    items: BTreeMap<usize, Vec<Item>>,
    /// By digest and by key: what becomes of the same content is told once, and always in the same order.
    files: BTreeMap<Digest, u64>,
    actions: BTreeMap<&'a ActionKey, &'a Outcome>,
}

/// Under this name those who work on an order tell of what they put into the shared cache: on a shard of it, or on all.
pub(crate) fn told(order: &Digest, shard: Option<usize>) -> String {
    shard.map_or_else(|| format!("told/{order}"), |shard| format!("told/{order}/{shard}"))
}

fn name(digest: &Digest) -> String {
    format!("plans/{digest}")
}

fn object(shared: &SharedCache, digest: &Digest) -> Result<Vec<u8>> {
    let bytes = shared.bucket()?.get(&name(digest))?.filter(|bytes| Digest::of(bytes) == *digest);
    bytes.ok_or_else(|| Error::Usage {
        what: format!("the plan {} is not in the shared cache {}, or not whole", digest.short(), shared.address()),
        hint: "run again: it is written anew".to_owned(),
    })
}

/// The files of the workspace that parameters of a stage name, each with its path relative to the workspace. Of a folder, all.
fn named_files(project: &Project, stage: usize) -> Vec<(String, PathBuf)> {
    let root = project.workspace.root();
    let mut words = Vec::new();
    project.pipeline.stages[stage].params.iter().for_each(|(_, value)| texts(value, &mut words));
    // A word may be the name of a folder by chance, and these are large.
    let is_small = |path: &PathBuf| !path.is_dir() || ["data", "runs", ".catgen"].iter().all(|name| !path.starts_with(root.join(name)));
    let paths = words.iter().filter(|word| below::is_below(word)).map(|word| root.join(word)).filter(is_small);
    paths.flat_map(|path| below::files(root, &path)).collect()
}

fn texts(value: &Value, words: &mut Vec<String>) {
    match value {
        Value::String(word) => words.push(word.clone()),
        Value::Array(values) => values.iter().for_each(|value| texts(value, words)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_even_and_an_added_photo_moves_few() {
        let items: Vec<Digest> = (0..101_u32).map(|n| Digest::of(&n.to_le_bytes())).collect();
        for shards in [1, 3, 16, 200] {
            // Of the same content there may be many items.
            let before = cut(items[..100].iter().chain(&items[..7]), shards);
            let mut counts = vec![0; shards];
            before.values().for_each(|shard| counts[*shard] += 1);
            assert!(counts.iter().all(|count| (100 / shards..=100_usize.div_ceil(shards)).contains(count)), "{counts:?}");
            let after = cut(items.iter(), shards);
            let moved = before.iter().filter(|(item, shard)| after[item] != **shard).count();
            assert!(moved < shards, "{moved} of {shards}");
        }
        assert!(cut([].iter(), 3).is_empty());
    }
}
