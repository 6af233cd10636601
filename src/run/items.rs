//! Running item stages: a group of them as one tree, one photo per task, pictures handed on in memory.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use catgen_api::{Digest, Input, Item, Manifest, Picture, Rejection, Verdict};
use rayon::prelude::*;

use super::{
    Lazy, Made, Originals, Product, Run,
    names::{follow, make_unique, stems},
    pictures::{Again, caught},
    settle::{self, rejection_of},
};
use crate::{
    Error, Project,
    cache::actions::Outcome,
    decide::{self, Freshness},
    error::Result,
    progress::Report,
    registry::Built,
};

/// A stage of the group that has something to do.
struct Branch {
    stage: usize,
    /// Whether it has nothing to do itself, and its pictures, which were not kept, are needed by a stage after it.
    on_the_way: bool,
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

/// The finished stages whose pictures were not kept and are needed by the stale ones: each after the one that it reads.
fn on_the_way(run: &Run<'_>, stale: &[usize]) -> Vec<usize> {
    let mut needed: Vec<usize> = Vec::new();
    for &stage in stale {
        let mut from = run.from(stage);
        while !run.project.pipeline.stages[from].keeps && !stale.contains(&from) && !needed.contains(&from) {
            needed.push(from);
            from = run.from(from);
        }
    }
    needed.sort_unstable();
    needed
}

/// Works through everything that the stale stages have to do.
fn wave(run: &Run<'_>, stale: &[usize]) -> Result<Vec<Product>> {
    let on_the_way = on_the_way(run, stale);
    let branch =
        |stage: usize, on_the_way| Branch { stage, on_the_way, children: Vec::new(), bin: Mutex::default(), busy: AtomicU64::new(0) };
    let mut branches: Vec<Branch> = on_the_way.iter().map(|&stage| branch(stage, true)).collect();
    branches.extend(stale.iter().map(|&stage| branch(stage, false)));
    // Stages outside the group, or fresh ones inside it, whose manifests the tasks begin with.
    let mut roots: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for at in 0..branches.len() {
        let from = run.from(branches[at].stage);
        match branches.iter().position(|branch| branch.stage == from) {
            Some(parent) => branches[parent].children.push(at),
            None => roots.entry(from).or_default().push(at),
        }
    }
    let wave = Wave { project: run.project, originals: &run.originals, branches };
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
    for branch in &wave.branches {
        if let Built::Item(code) = &run.project.node(branch.stage)?.built {
            code.rest();
        }
    }
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

impl Wave<'_> {
    /// One item through one stage, and what comes of it through the stages after that.
    fn descend(&self, at: usize, item: &Item, stem: &str, lazy: &Lazy<'_>) -> Result<()> {
        let branch = &self.branches[at];
        let decide::Asked { key, inputs, known } = decide::item(self.project, branch.stage, item)?;
        let was_known = known.is_some();
        let (outcome, mut pictures) = match known {
            Some(outcome) => (outcome, Vec::new()),
            None => {
                let began = Instant::now();
                let worked = self.compute(&settle::Asked { stage: branch.stage, item, key: &key, inputs: &inputs }, lazy);
                branch.busy.fetch_add(began.elapsed().as_nanos() as u64, Ordering::Relaxed);
                worked?
            }
        };
        let outputs = match outcome {
            Outcome::Keep(outputs) => outputs,
            Outcome::Reject { kind, reason } => {
                let rejection = rejection_of(item, kind, reason);
                branch.count(was_known, 1, |bin| bin.rejections.push(rejection));
                return Ok(());
            }
            Outcome::Fact(_) | Outcome::Packed { .. } | Outcome::Training { .. } | Outcome::Trained { .. } => Vec::new(),
        };
        let made: Vec<(Item, String)> = outputs.iter().map(|output| follow(item, stem, output)).collect();
        if branch.children.is_empty() {
            branch.count(was_known, made.len(), |bin| bin.items.extend(made.into_iter().map(|(item, _)| item)));
            return Ok(());
        }
        branch.count(was_known, made.len(), |bin| bin.items.extend(made.iter().map(|(item, _)| item.clone())));
        pictures.resize_with(made.len(), || None);
        let again = Again::new(self.project, branch.stage, item, &inputs, lazy, &outputs);
        for (at, ((made, stem), picture)) in made.iter().zip(pictures).enumerate() {
            let own = match picture {
                Some(picture) => Some(Lazy::pixels(picture)),
                None if outputs[at].same => None,
                None if self.project.pipeline.stages[branch.stage].keeps => Some(Lazy::file(self.project, self.originals, made.digest)),
                None => Some(Lazy::again(&again, at)),
            };
            for &child in &branch.children {
                self.descend(child, made, stem, own.as_ref().unwrap_or(lazy))?;
            }
        }
        Ok(())
    }

    /// Runs the stage's code on one item, stores what it puts out and records the action.
    fn compute(&self, asked: &settle::Asked<'_>, lazy: &Lazy<'_>) -> Result<(Outcome, Vec<Option<Picture>>)> {
        let Built::Item(code) = &self.project.node(asked.stage)?.built else { return Ok((Outcome::Keep(Vec::new()), Vec::new())) };
        let began = Instant::now();
        let input = |picture: &Picture| code.apply(&Input { digest: asked.item.digest, picture, inputs: asked.inputs });
        let looked = lazy.look(code.working_side(), |picture| caught(|| input(picture)))?;
        let verdict = match looked.and_then(|applied| applied) {
            Ok(Ok(verdict)) => verdict,
            Ok(Err(error)) => return Err(Error::stage(&self.project.pipeline.stages[asked.stage].name, error)),
            Err(reason) => Verdict::Reject(reason),
        };
        settle::settle(self.project, asked, verdict, began.elapsed(), lazy)
    }

    /// What each branch came to, as products with their inputs' digests filled in along the tree.
    fn products(self, run: &Run<'_>, mut outputs: HashMap<usize, Digest>) -> Vec<Product> {
        let mut products = Vec::new();
        for branch in self.branches {
            if branch.on_the_way {
                outputs.insert(branch.stage, run.shelved(branch.stage).digest);
                continue;
            }
            let bin = branch.bin.into_inner().expect("no thread panicked while it held this lock");
            let manifest = manifest_of(bin.items, bin.rejections);
            let input = outputs[&run.from(branch.stage)];
            if !branch.children.is_empty() {
                outputs.insert(branch.stage, manifest.digest());
            }
            let made = Made::Manifest { manifest, computed: bin.computed, reused: bin.reused };
            let busy = Duration::from_nanos(branch.busy.into_inner());
            products.push(Product { stage: branch.stage, input, items_in: bin.items_in, made, busy });
        }
        products
    }
}

impl Branch {
    fn count(&self, known: bool, items: usize, note: impl FnOnce(&mut Bin)) {
        if self.on_the_way {
            return;
        }
        let mut bin = self.bin.lock().expect("no thread panics while it holds this lock");
        bin.items_in += 1;
        *(if known { &mut bin.reused } else { &mut bin.computed }) += items;
        note(&mut bin);
    }
}

/// The manifest of what an item stage put out.
pub(crate) fn manifest_of(mut items: Vec<Item>, rejections: Vec<Rejection>) -> Manifest {
    make_unique(&mut items);
    Manifest::new(items, rejections)
}
