//! Running item stages: a group of them as one tree, one photo per task, pictures handed on in memory.

mod elsewhere;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use catgen_api::{Digest, Input, Item, Manifest, ManifestId, Picture, Rejection, Verdict};
use rayon::prelude::*;

use super::{
    Lazy, Listed, Made, Originals, Product, Run,
    bring::Found,
    carry::{self, Before},
    names::{follow, make_unique, stems},
    photo_counts,
    pictures::{Again, caught},
    settle::{self, rejection_of},
};
use crate::{
    Error, Project,
    cache::actions::{Outcome, Stored},
    decide::{self, Freshness},
    error::Result,
    key::ActionKey,
    progress::{Progress, Report},
    registry::Built,
};

/// A stage of the group that has something to do.
struct Branch {
    stage: usize,
    /// Whether it has nothing to do itself, and its pictures, which were not kept, are needed by a stage after it.
    on_the_way: bool,
    /// Branches that read this one.
    children: Vec<usize>,
    /// What it made when it was last finished, if it would make the same again.
    before: Option<Before>,
    /// Whether that holds for all branches after it, too: then what was made of a photo can be taken over whole.
    carries: bool,
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
pub(super) struct Wave<'a> {
    project: &'a Project,
    originals: &'a Originals,
    branches: Vec<Branch>,
    /// Stages whose items the tasks begin with, none of them among the branches, and the branches that read each.
    roots: BTreeMap<usize, Vec<usize>>,
    /// Actions that were computed elsewhere, for this wave.
    elsewhere: Mutex<HashSet<ActionKey>>,
}

pub(super) fn run(run: &mut Run<'_>, group: &[usize]) -> Result<Vec<Product>> {
    let mut products = Vec::new();
    let mut stale: Vec<usize> = Vec::new();
    for &stage in group {
        let from = run.from(stage);
        let fresh = !stale.contains(&from) && run.freshness(stage, &run.shelved(from).id)? == Freshness::Fresh;
        if fresh {
            let (input, items_in) = (run.shelved(from).id, run.shelved(from).items);
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
    let branch = |stage: usize, on_the_way| Ok(Branch { on_the_way, before: Before::of(run, stage)?, ..Branch::new(stage) });
    let stages = on_the_way.iter().map(|&stage| branch(stage, true)).chain(stale.iter().map(|&stage| branch(stage, false)));
    let mut wave = Wave::plant(run.project, &run.originals, stages.collect::<Result<_>>()?);
    let roots: Vec<usize> = wave.roots.keys().copied().collect();
    let inputs = roots.iter().map(|from| Ok((*from, run.manifest(*from)?))).collect::<Result<Vec<_>>>()?;
    let lists: Vec<(usize, &Manifest)> = inputs.iter().map(|(from, manifest)| (*from, manifest.as_ref())).collect();
    let tasks = wave.tasks_of(&lists);
    let names: Vec<_> = stale.iter().map(|stage| run.project.pipeline.stages[*stage].name.as_str()).collect();
    wave.bring(&tasks, &names, run.progress)?;
    wave.elsewhere = Mutex::new(elsewhere::delegate(&wave, run, &tasks)?);
    run.progress.report(Report::Begin { stages: &names, items: tasks.iter().map(|task| task.items.len()).sum() });
    // One task at a time from the front: neighbours in the folder are mostly neighbours on the disk.
    tasks.par_iter().with_max_len(1).try_for_each(|task| {
        if run.progress.stop_requested() {
            return Err(Error::Stopped);
        }
        wave.work(task)?;
        run.progress.report(Report::Advance(task.items.len()));
        Ok(())
    })?;
    wave.rest()?;
    let inputs: HashMap<usize, ManifestId> = roots.iter().map(|from| (*from, run.shelved(*from).id)).collect();
    Ok(wave.products(run, inputs))
}

/// Items with the same content: what one thread works through, so that equal content is computed once.
pub(super) struct Task<'a> {
    /// The stage that put them out.
    from: usize,
    items: Vec<Queued<'a>>,
}

impl Task<'_> {
    /// The first of its items.
    pub(super) fn item(&self) -> &Item {
        self.items[0].item
    }
}

/// An item for the branches that have to look at it.
struct Queued<'a> {
    item: &'a Item,
    stem: String,
    way: Way,
    readers: Vec<usize>,
}

/// What is known of an item on its way through the stages: whether what comes of it can be found in the list of the last time.
#[derive(Clone, Copy)]
struct Way {
    /// Its photo has no other item there.
    alone: bool,
    /// What comes of it is named after nothing but its own name: not after what its file was called, and what else was called so.
    named: bool,
}

/// Somebody who notes what was asked of which stage.
type Note<'a> = dyn FnMut(usize, &decide::Asked) -> Result<()> + 'a;

impl<'p> Wave<'p> {
    /// Links the branches with those that read them.
    fn plant(project: &'p Project, originals: &'p Originals, mut branches: Vec<Branch>) -> Self {
        let mut roots: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for at in 0..branches.len() {
            let from = project.pipeline.stages[branches[at].stage].from.expect("an item stage reads a stage");
            match branches.iter().position(|branch| branch.stage == from) {
                Some(parent) => branches[parent].children.push(at),
                None => roots.entry(from).or_default().push(at),
            }
        }
        for at in (0..branches.len()).rev() {
            // Those after it stand after it in the list.
            let follows = |child: &usize| {
                let outputs = [&branches[at], &branches[*child]].map(|branch| branch.before.as_ref());
                branches[*child].carries && matches!(outputs, [Some(before), Some(after)] if after.input == before.output)
            };
            branches[at].carries = branches[at].before.is_some() && branches[at].children.iter().all(follows);
        }
        Self { project, originals, branches, roots, elsewhere: Mutex::default() }
    }

    /// For somebody who knows nothing of the last time.
    pub(super) fn alone(project: &'p Project, originals: &'p Originals, stages: &[usize]) -> Self {
        Self::plant(project, originals, stages.iter().map(|stage| Branch::new(*stage)).collect())
    }

    /// What is to be looked at of what those stages put out.
    pub(super) fn tasks_of<'a>(&self, lists: &[(usize, &'a Manifest)]) -> Vec<Task<'a>> {
        let tasks = |(from, manifest): &(usize, &'a Manifest)| self.roots.get(from).map(|readers| self.tasks(*from, manifest, readers));
        lists.iter().filter_map(tasks).flatten().collect()
    }

    /// Works through a task.
    pub(super) fn work(&self, task: &Task<'_>) -> Result<()> {
        let lazy = Lazy::file(self.project, self.originals, task.item().digest);
        for Queued { item, stem, way, readers } in &task.items {
            readers.iter().try_for_each(|reader| self.descend(*reader, item, stem, *way, &lazy))?;
        }
        Ok(())
    }

    /// To be called when all tasks are done.
    pub(super) fn rest(&self) -> Result<()> {
        for branch in &self.branches {
            if let Built::Item(code) = &self.project.node(branch.stage)?.built {
                code.rest();
            }
        }
        Ok(())
    }

    /// What is to be looked at of a manifest by the branches that read it; what need not be is taken over at once.
    fn tasks<'a>(&self, from: usize, manifest: &'a Manifest, readers: &[usize]) -> Vec<Task<'a>> {
        let counts = photo_counts(&manifest.items);
        let carried: Vec<(usize, HashSet<&str>)> =
            readers.iter().map(|&reader| (reader, self.carry_unchanged(reader, manifest, &counts))).collect();
        let mut at: HashMap<Digest, usize> = HashMap::new();
        let mut tasks: Vec<Task<'a>> = Vec::new();
        for (item, stem) in manifest.items.iter().zip(stems(&manifest.items)) {
            let photo = item.photo.path.as_str();
            let readers: Vec<usize> = carried.iter().filter(|(_, carried)| !carried.contains(photo)).map(|(reader, _)| *reader).collect();
            if readers.is_empty() {
                continue;
            }
            let position = *at.entry(item.digest).or_insert_with(|| {
                tasks.push(Task { from, items: Vec::new() });
                tasks.len() - 1
            });
            tasks[position].items.push(Queued { item, stem, way: Way { alone: counts[photo] == 1, named: false }, readers });
        }
        tasks
    }

    /// Takes over what a branch and those after it made of photos whose items are as they were; answers which those are.
    fn carry_unchanged<'a>(&self, reader: usize, manifest: &'a Manifest, counts: &HashMap<&str, usize>) -> HashSet<&'a str> {
        let Some(before) = self.branches[reader].before.as_ref().filter(|_| self.branches[reader].carries) else { return HashSet::new() };
        let Some(read) = self.project.store.manifest(&before.input) else { return HashSet::new() };
        let photos = carry::unchanged(&read, manifest);
        photos.iter().for_each(|photo| self.carry(reader, photo, counts[photo]));
        photos
    }

    /// Takes over what a branch and those after it made of one photo, which has so many items in front of it.
    fn carry(&self, at: usize, photo: &str, items_in: usize) {
        let branch = &self.branches[at];
        let Some(before) = &branch.before else { return };
        let made = before.take(photo);
        let count = made.items.len();
        branch.note(|bin| {
            bin.items_in += items_in;
            bin.reused += count + made.rejections.len();
            bin.items.extend(made.items);
            bin.rejections.extend(made.rejections);
        });
        branch.children.iter().for_each(|child| self.carry(*child, photo, count));
    }

    /// Brings here what others computed of all this.
    pub(super) fn bring(&self, tasks: &[Task<'_>], stages: &[&str], progress: &dyn Progress) -> Result<()> {
        if self.project.shared.is_none() {
            return Ok(());
        }
        let look = |task: &Task<'_>| -> Result<Found> {
            let mut found = Found::default();
            self.follow(task, &mut |stage, asked| found.note(self.project, stage, asked))?;
            Ok(found)
        };
        let found = tasks.par_iter().map(look).try_reduce(Found::default, |one, other| Ok(one.merge(other)))?;
        found.bring(self.project, stages, progress)
    }

    /// The first action of a task that is missing; none if it is known what becomes of it in all stages.
    pub(super) fn missing(&self, task: &Task<'_>) -> Result<Option<ActionKey>> {
        let mut missing = None;
        let mut note = |_, asked: &decide::Asked| {
            missing = missing.or_else(|| asked.known.is_none().then_some(asked.key));
            Ok(())
        };
        self.follow(task, &mut note)?;
        Ok(missing)
    }

    /// Follows a task through the stages as far as it is known what became of it, and notes what was asked.
    fn follow(&self, task: &Task<'_>, note: &mut Note<'_>) -> Result<()> {
        for Queued { item, stem, readers, .. } in &task.items {
            readers.iter().try_for_each(|reader| self.follow_item(*reader, item, stem, note))?;
        }
        Ok(())
    }

    fn follow_item(&self, at: usize, item: &Item, stem: &str, note: &mut Note<'_>) -> Result<()> {
        let branch = &self.branches[at];
        let asked = decide::item(self.project, branch.stage, item)?;
        note(branch.stage, &asked)?;
        let Some(Outcome::Keep(outputs)) = &asked.known else { return Ok(()) };
        for (made, stem) in outputs.iter().map(|output| follow(item, stem, output)) {
            branch.children.iter().try_for_each(|child| self.follow_item(*child, &made, &stem, note))?;
        }
        Ok(())
    }

    /// One item through one stage, and what comes of it through the stages after that.
    fn descend(&self, at: usize, item: &Item, stem: &str, way: Way, lazy: &Lazy<'_>) -> Result<()> {
        let branch = &self.branches[at];
        let decide::Asked { key, inputs, known } = decide::item(self.project, branch.stage, item)?;
        let was_known = known.is_some() && !self.came_from_elsewhere(branch, &key)?;
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
        // Though it was asked, it may have come out as it was: then those after it need not be.
        let photo = item.photo.path.as_str();
        let named = |output: &Stored| way.named || !output.same;
        let is_traced = way.alone && outputs.iter().all(named);
        let is_as_it_was = |child: &usize| {
            let [before, after] = [branch, &self.branches[*child]].map(|branch| branch.before.as_ref());
            matches!((before, after), (Some(before), Some(after))
                if is_traced && self.branches[*child].carries && after.input == before.output && before.is(photo, &made))
        };
        let (carried, asked): (Vec<usize>, Vec<usize>) = branch.children.iter().partition(|child| is_as_it_was(child));
        carried.iter().for_each(|child| self.carry(*child, photo, made.len()));
        if asked.is_empty() {
            return Ok(());
        }
        pictures.resize_with(made.len(), || None);
        let again = Again::new(self.project, branch.stage, item, &inputs, lazy, &outputs);
        for (at, ((made, stem), picture)) in made.iter().zip(pictures).enumerate() {
            let own = match picture {
                Some(picture) => Some(Lazy::pixels(picture)),
                None if outputs[at].same => None,
                None if self.project.pipeline.stages[branch.stage].keeps => Some(Lazy::file(self.project, self.originals, made.digest)),
                None => Some(Lazy::again(&again, at)),
            };
            let way = Way { alone: way.alone && outputs.len() == 1, named: named(&outputs[at]) };
            for &child in &asked {
                self.descend(child, made, stem, way, own.as_ref().unwrap_or(lazy))?;
            }
        }
        Ok(())
    }

    /// Whether an action was computed elsewhere for this wave; the first to ask counts it as computed.
    fn came_from_elsewhere(&self, branch: &Branch, key: &ActionKey) -> Result<bool> {
        if !self.elsewhere.lock().expect("no thread panics while it holds this lock").remove(key) {
            return Ok(false);
        }
        let took = self.project.actions()?.get_timed(key).map_or(Duration::ZERO, |(_, took)| took);
        branch.busy.fetch_add(took.as_nanos() as u64, Ordering::Relaxed);
        Ok(true)
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
    fn products(self, run: &Run<'_>, mut outputs: HashMap<usize, ManifestId>) -> Vec<Product> {
        let mut products = Vec::new();
        for branch in self.branches {
            if branch.on_the_way {
                outputs.insert(branch.stage, run.shelved(branch.stage).id);
                continue;
            }
            let bin = branch.bin.into_inner().expect("no thread panicked while it held this lock");
            let listed = Listed::from(manifest_of(bin.items, bin.rejections));
            let input = outputs[&run.from(branch.stage)];
            outputs.insert(branch.stage, listed.id);
            let made = Made::Manifest { listed, computed: bin.computed, reused: bin.reused };
            let busy = Duration::from_nanos(branch.busy.into_inner());
            products.push(Product { stage: branch.stage, input, items_in: bin.items_in, made, busy });
        }
        products
    }
}

impl Branch {
    fn new(stage: usize) -> Self {
        let (bin, busy) = (Mutex::default(), AtomicU64::new(0));
        Self { stage, on_the_way: false, children: Vec::new(), before: None, carries: false, bin, busy }
    }

    /// Notes one item that was asked, and so many that came of it.
    fn count(&self, known: bool, items: usize, note: impl FnOnce(&mut Bin)) {
        self.note(|bin| {
            bin.items_in += 1;
            *(if known { &mut bin.reused } else { &mut bin.computed }) += items;
            note(bin);
        });
    }

    fn note(&self, note: impl FnOnce(&mut Bin)) {
        if !self.on_the_way {
            note(&mut self.bin.lock().expect("no thread panics while it holds this lock"));
        }
    }
}

/// The manifest of what an item stage put out.
pub(crate) fn manifest_of(mut items: Vec<Item>, rejections: Vec<Rejection>) -> Manifest {
    make_unique(&mut items);
    Manifest::new(items, rejections)
}
