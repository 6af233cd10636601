//! Running item stages: a group of them as one tree, one photo per task, pictures handed on in memory.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use catgen_api::{Digest, Input, Item, Manifest, Output, Picture, Rejection, Verdict, is_about_content};
use rayon::prelude::*;

use super::{Lazy, Made, Originals, Product, Run, pictures::caught};
use crate::{
    Error, Project,
    cache::actions::{Actions, Outcome, Stored},
    decide::{self, Freshness},
    error::Result,
    progress::Report,
    registry::Built,
};

/// A stage of the group that has something to do.
struct Branch {
    stage: usize,
    /// Branches that read this one.
    children: Vec<usize>,
    bin: Mutex<Bin>,
    busy: AtomicU64,
}

/// What one branch has put out so far.
#[derive(Default)]
struct Bin {
    items: Vec<Item>,
    rejections: Vec<Rejection>,
    items_in: usize,
    computed: usize,
    reused: usize,
}

/// What all tasks share.
struct Wave<'a> {
    project: &'a Project,
    originals: &'a Originals,
    actions: &'a Actions,
    branches: Vec<Branch>,
}

pub(super) fn run(run: &mut Run<'_>, group: &[usize]) -> Result<Vec<Product>> {
    let mut products = Vec::new();
    let mut stale: Vec<usize> = Vec::new();
    for &stage in group {
        let from = run.from(stage);
        let fresh = !stale.contains(&from) && run.freshness(stage, &run.shelved(from).digest)? == Freshness::Fresh;
        if fresh {
            let (input, items_in) = (run.shelved(from).digest, run.shelved(from).items);
            run.shelve_as_it_was(stage);
            products.push(Product { stage, input, items_in, made: Made::Nothing, busy: Duration::ZERO });
        } else {
            stale.push(stage);
        }
    }
    if !stale.is_empty() {
        products.extend(wave(run, &stale)?);
        products.sort_by_key(|product| product.stage);
    }
    Ok(products)
}

/// Works through everything that the stale stages have to do.
fn wave(run: &Run<'_>, stale: &[usize]) -> Result<Vec<Product>> {
    let mut branches: Vec<Branch> =
        stale.iter().map(|&stage| Branch { stage, children: Vec::new(), bin: Mutex::default(), busy: AtomicU64::new(0) }).collect();
    // Stages outside the group, or fresh ones inside it, whose manifests the tasks begin with.
    let mut roots: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for at in 0..branches.len() {
        let from = run.from(branches[at].stage);
        match stale.iter().position(|stage| *stage == from) {
            Some(parent) => branches[parent].children.push(at),
            None => roots.entry(from).or_default().push(at),
        }
    }
    let wave = Wave { project: run.project, originals: &run.originals, actions: run.project.actions()?, branches };
    let inputs: Vec<_> = roots.iter().map(|(from, readers)| Ok((run.manifest(*from)?, readers))).collect::<Result<_>>()?;
    let tasks: Vec<Task<'_>> = inputs.iter().flat_map(|(manifest, readers)| tasks(manifest, readers)).collect();
    let names: Vec<_> = stale.iter().map(|stage| run.project.pipeline.stages[*stage].name.as_str()).collect();
    run.progress.report(Report::Begin { stages: &names, items: tasks.iter().map(|task| task.items.len()).sum() });
    // One task at a time from the front: neighbours in the folder are mostly neighbours on the disk.
    tasks.par_iter().with_max_len(1).try_for_each(|task| {
        if run.progress.stop_requested() {
            return Err(Error::Stopped);
        }
        let lazy = Lazy::file(wave.project, wave.originals, task.items[0].0.digest);
        for (item, stem) in &task.items {
            for &reader in task.readers {
                wave.descend(reader, item, stem, &lazy)?;
            }
            run.progress.report(Report::Advance(1));
        }
        Ok(())
    })?;
    let inputs: HashMap<usize, Digest> = roots.keys().map(|from| (*from, run.shelved(*from).digest)).collect();
    Ok(wave.products(run, inputs))
}

/// Items with the same content: what one thread works through, so that equal content is computed once.
struct Task<'a> {
    items: Vec<(&'a Item, String)>,
    readers: &'a [usize],
}

fn tasks<'a>(manifest: &'a Manifest, readers: &'a [usize]) -> Vec<Task<'a>> {
    let mut at: HashMap<Digest, usize> = HashMap::with_capacity(manifest.items.len());
    let mut tasks: Vec<Task<'a>> = Vec::with_capacity(manifest.items.len());
    for (item, stem) in manifest.items.iter().zip(stems(&manifest.items)) {
        let position = *at.entry(item.digest).or_insert_with(|| {
            tasks.push(Task { items: Vec::new(), readers });
            tasks.len() - 1
        });
        tasks[position].items.push((item, stem));
    }
    tasks
}

/// Each item's name without its extension; the whole name where two differ in the extension alone (or in case, which some
/// file systems ignore). So `a.jpg` becomes `a.png`, and beside an `a.heic` it becomes `a.jpg.png`.
pub(crate) fn stems(items: &[Item]) -> Vec<String> {
    let stem = |name: &str| match name.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() && !stem.ends_with('/') && !extension.contains('/') => stem.to_owned(),
        _ => name.to_owned(),
    };
    let stems: Vec<String> = items.iter().map(|item| stem(&item.name)).collect();
    let mut counts: HashMap<String, usize> = HashMap::with_capacity(stems.len());
    for stem in &stems {
        *counts.entry(stem.to_lowercase()).or_default() += 1;
    }
    stems.into_iter().zip(items).map(|(stem, item)| if counts[&stem.to_lowercase()] > 1 { item.name.clone() } else { stem }).collect()
}

impl Wave<'_> {
    /// One item through one stage, and what comes of it through the stages after that.
    fn descend(&self, at: usize, item: &Item, stem: &str, lazy: &Lazy<'_>) -> Result<()> {
        let branch = &self.branches[at];
        let asked = decide::item(self.project, branch.stage, item)?;
        let known = asked.known.is_some();
        let (outcome, mut pictures) = match asked.known {
            Some(outcome) => (outcome, Vec::new()),
            None => {
                let began = Instant::now();
                let worked = self.compute(branch.stage, item, lazy, &asked);
                branch.busy.fetch_add(began.elapsed().as_nanos() as u64, Ordering::Relaxed);
                worked?
            }
        };
        let outputs = match outcome {
            Outcome::Keep(outputs) => outputs,
            Outcome::Reject { kind, reason } => {
                let rejection = rejection_of(item, kind, reason);
                branch.count(known, 1, |bin| bin.rejections.push(rejection));
                return Ok(());
            }
            Outcome::Fact(_) | Outcome::Packed { .. } | Outcome::Training { .. } | Outcome::Trained { .. } => Vec::new(),
        };
        let made: Vec<(Item, String)> = outputs.iter().map(|output| follow(item, stem, output)).collect();
        branch.count(known, made.len(), |bin| bin.items.extend(made.iter().map(|(item, _)| item.clone())));
        if branch.children.is_empty() {
            return Ok(());
        }
        pictures.resize_with(made.len(), || None);
        for (((made, stem), output), picture) in made.iter().zip(&outputs).zip(pictures) {
            let own = match picture {
                Some(picture) => Some(Lazy::pixels(picture)),
                None if output.same => None,
                None => Some(Lazy::file(self.project, self.originals, made.digest)),
            };
            for &child in &branch.children {
                self.descend(child, made, stem, own.as_ref().unwrap_or(lazy))?;
            }
        }
        Ok(())
    }

    /// Runs the stage's code on one item, stores what it puts out and records the action.
    fn compute(&self, stage: usize, item: &Item, lazy: &Lazy<'_>, asked: &decide::Asked) -> Result<(Outcome, Vec<Option<Picture>>)> {
        let Built::Item(code) = &self.project.node(stage)?.built else { return Ok((Outcome::Keep(Vec::new()), Vec::new())) };
        let looked = lazy
            .look(code.working_side(), |picture| caught(|| code.apply(&Input { digest: item.digest, picture, inputs: &asked.inputs })))?;
        let verdict = match looked.and_then(|applied| applied) {
            Ok(Ok(verdict)) => verdict,
            Ok(Err(error)) => return Err(Error::stage(&self.project.pipeline.stages[stage].name, error)),
            Err(reason) => Verdict::Reject(reason),
        };
        let (outcome, pictures) = match verdict {
            Verdict::Keep(outputs) => {
                let (mut stored, mut pictures) = (Vec::with_capacity(outputs.len()), Vec::with_capacity(outputs.len()));
                for output in outputs {
                    let (output, picture) = self.store(item, output)?;
                    stored.push(output);
                    pictures.push(picture);
                }
                (Outcome::Keep(stored), pictures)
            }
            Verdict::Reject(reason) => (Outcome::Reject { kind: reason.kind.into_owned(), reason: reason.text }, Vec::new()),
        };
        if !matches!(&outcome, Outcome::Reject { kind, .. } if !is_about_content(kind)) {
            self.actions.put(&asked.key, &outcome)?;
        }
        Ok((outcome, pictures))
    }

    fn store(&self, item: &Item, output: Output) -> Result<(Stored, Option<Picture>)> {
        let Output { tag, made, facts } = output;
        match made {
            catgen_api::Made::Same => {
                let size = [item.width, item.height];
                Ok((Stored { tag, same: true, digest: item.digest, size, bytes: item.bytes, facts }, None))
            }
            catgen_api::Made::Picture(picture) => {
                let file = catgen_picture::encode_png(&picture);
                let digest = self.project.store.cas.put(&file)?;
                let stored = Stored { tag, same: false, digest, size: picture.size(), bytes: file.len() as u64, facts };
                Ok((stored, Some(picture)))
            }
        }
    }

    /// What each branch came to, as products with their inputs' digests filled in along the tree.
    fn products(self, run: &Run<'_>, mut outputs: HashMap<usize, Digest>) -> Vec<Product> {
        let mut products = Vec::new();
        for branch in self.branches {
            let bin = branch.bin.into_inner().expect("no thread panicked while it held this lock");
            let manifest = manifest_of(bin.items, bin.rejections);
            let input = outputs[&run.from(branch.stage)];
            outputs.insert(branch.stage, manifest.digest());
            let made = Made::Manifest { manifest, computed: bin.computed, reused: bin.reused };
            let busy = Duration::from_nanos(branch.busy.into_inner());
            products.push(Product { stage: branch.stage, input, items_in: bin.items_in, made, busy });
        }
        products
    }
}

impl Branch {
    fn count(&self, known: bool, items: usize, note: impl FnOnce(&mut Bin)) {
        let mut bin = self.bin.lock().expect("no thread panics while it holds this lock");
        bin.items_in += 1;
        *(if known { &mut bin.reused } else { &mut bin.computed }) += items;
        note(&mut bin);
    }
}

/// The item that comes of `item` as `output`, and its name without extension.
pub(crate) fn follow(item: &Item, stem: &str, output: &Stored) -> (Item, String) {
    let (name, stem) = if output.same {
        (item.name.clone(), stem.to_owned())
    } else {
        let stem = if output.tag.is_empty() { stem.to_owned() } else { format!("{stem}_{}", output.tag) };
        let stem = short_enough(stem, &item.photo.path);
        (format!("{stem}.png"), stem)
    };
    let [width, height] = output.size;
    let made = Item {
        name,
        digest: output.digest,
        width,
        height,
        bytes: output.bytes,
        photo: item.photo.clone(),
        input: item.digest,
        facts: output.facts.clone(),
    };
    (made, stem)
}

/// The manifest of what an item stage put out.
pub(crate) fn manifest_of(mut items: Vec<Item>, rejections: Vec<Rejection>) -> Manifest {
    make_unique(&mut items);
    Manifest::new(items, rejections)
}

/// The rejection of an item by an item stage.
pub(crate) fn rejection_of(item: &Item, kind: String, reason: String) -> Rejection {
    let (name, photo) = (item.name.clone(), item.photo.path.clone());
    Rejection { name, photo, kind, reason, of: None, distance: None, input: Some(item.digest) }
}

/// File systems allow 255 bytes for a name. A longer one is cut, and told apart by its photo.
fn short_enough(stem: String, photo: &str) -> String {
    const LONGEST: usize = 240;
    let start = stem.rfind('/').map_or(0, |slash| slash + 1);
    if stem.len() - start <= LONGEST {
        return stem;
    }
    // The end holds what was done to the picture: cut out of the middle.
    let (mut head, mut tail) = (start + LONGEST / 3, stem.len() - LONGEST / 2);
    while !stem.is_char_boundary(head) {
        head -= 1;
    }
    while !stem.is_char_boundary(tail) {
        tail += 1;
    }
    format!("{}~{}~{}", &stem[..head], mark(photo), &stem[tail..])
}

/// Six characters that tell one photo's path from another's.
fn mark(photo: &str) -> String {
    Digest::of(photo.as_bytes()).short()[..6].to_owned()
}

/// A tag may turn one photo's name into another's (`a` with tag `1` beside a photo `a_1`), or into that of a folder: those
/// then carry a mark of their photo.
fn make_unique(items: &mut [Item]) {
    let mut counts: HashMap<String, usize> = HashMap::with_capacity(items.len());
    let mut folders: HashSet<String> = HashSet::new();
    for item in items.iter() {
        let name = item.name.to_lowercase();
        for (slash, _) in name.match_indices('/') {
            if !folders.contains(&name[..slash]) {
                folders.insert(name[..slash].to_owned());
            }
        }
        *counts.entry(name).or_default() += 1;
    }
    for item in items.iter_mut() {
        let name = item.name.to_lowercase();
        if counts[&name] > 1 || folders.contains(&name) {
            let stem = item.name.strip_suffix(".png").unwrap_or(&item.name);
            item.name = format!("{}.png", short_enough(format!("{stem}~{}", mark(&item.photo.path)), &item.photo.path));
        }
    }
}
