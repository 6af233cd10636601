//! `gc`: removes from the store what nothing needs any more, and never what a folder below `data/` shows.
//!
//! | kept | why |
//! |---|---|
//! | what each stage put out last, and what the folders show | the next `run` finds nothing to do |
//! | what pinned runs put out | somebody asked for it |
//! | what the last N runs put out; runs that put out the same count as one | parameters changed back cost nothing |
//! | with a size: as much of the rest as fits | it may be wanted again |
//!
//! What does not fit goes in this order: what no action knows any more; results in the order of the seconds they took per byte,
//! the cheapest first, of equal ones the oldest; then the oldest of the last N runs. Pinned runs and what the folders show stay, even
//! where they alone are too large. What took an unknown time, packed datasets and copies of photos among it, counts as cheap: it is
//! written as fast as the disk allows.
//!
//! Blobs are counted in blocks of 4 kB, as most disks store them.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    fs, io,
    path::Path,
    time::Duration,
};

use catgen_api::Digest;
use rayon::prelude::*;
use serde::Serialize;

use super::{
    Store,
    actions::{self, Outcome},
    fault,
    states::States,
    views::View,
};
use crate::{Error, Pipeline, Workspace, error::Result, record};

/// What to keep.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// How many runs, apart from pinned ones.
    pub keep_runs: usize,
    /// The size that the store shall not exceed, in bytes; without one, everything goes that need not stay.
    pub max_size: Option<u64>,
    /// Count, and remove nothing.
    pub dry_run: bool,
    /// Also delete the files that were found in stage folders and moved aside.
    pub set_aside: bool,
}

/// Files and the bytes that they take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Sum {
    /// How many.
    pub files: usize,
    /// In blocks of 4 kB.
    pub bytes: u64,
}

impl Sum {
    fn add(&mut self, bytes: u64) {
        self.files += 1;
        self.bytes += bytes;
    }
}

/// What of one stage stays and goes; the names are a contract of `gc --json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StageLine {
    /// Its name; `None` for what no run that is still listed put out.
    pub stage: Option<String>,
    /// What stays.
    pub kept: Sum,
    /// What goes.
    pub freed: Sum,
}

/// What one run holds; the names are a contract of `gc --json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RunLine {
    /// Its id.
    pub run: String,
    /// Whether somebody pinned it.
    pub pinned: bool,
    /// Whether what it put out stays on its account.
    pub kept: bool,
    /// What it put out and is still in the store.
    pub holds: Sum,
    /// Of that, what no folder and no other run needs: what the store loses with this run.
    pub alone: Sum,
    /// Of that, what goes now.
    pub freed: Sum,
}

/// What stays and what goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// By stage, in the pipeline's order, then stages that are in it no more.
    pub stages: Vec<StageLine>,
    /// By run, oldest first; runs that put nothing out are left out.
    pub runs: Vec<RunLine>,
    /// What stays of all blobs.
    pub kept: Sum,
    /// What goes of all blobs.
    pub freed: Sum,
    /// Manifests that go.
    pub manifests: Sum,
    /// Records of the action log that go.
    pub records: usize,
    /// Files that were moved aside: somebody's own.
    pub set_aside: Sum,
    /// Folders below `data/` of stages that are not in the pipeline any more: what they show stays until they are deleted.
    pub leftovers: Vec<String>,
    /// By how many bytes the store still exceeds the size asked for.
    pub over: u64,
}

/// Counts what may go and, unless it is a dry run, removes it. Removing needs the workspace's lock.
///
/// # Errors
/// The file system's; a state that cannot be read, because then nobody knows what is needed.
pub fn collect(workspace: &Workspace, store: &Store, pipeline: &Pipeline, options: &Options) -> Result<Report> {
    let mut heap = Heap::look(workspace, store, pipeline, options)?;
    heap.choose(options);
    heap.note_what_is_known_of();
    let report = heap.report(store, options)?;
    if !options.dry_run {
        heap.remove(store, options)?;
    }
    Ok(report)
}

/// One blob and who needs it.
struct Blob {
    digest: Digest,
    bytes: u64,
    /// A stage put it out last, or a folder shows it.
    current: bool,
    pinned: bool,
    /// The newest of the kept runs that put it out, by its rank.
    rank: Option<usize>,
    /// How many runs put it out.
    runs: u32,
    /// A stage that put it out, by its number.
    stage: Option<usize>,
    goes: bool,
}

impl Blob {
    /// Whether it stays whatever the size.
    fn stays(&self) -> bool {
        self.current || self.pinned || self.rank.is_some()
    }
}

/// What one record of the log refers to.
struct Action {
    key: crate::key::ActionKey,
    blobs: Vec<usize>,
    /// Pictures that are not there: of a stage that keeps none, or lost.
    absent: Vec<Digest>,
    manifest: Option<Digest>,
    took: Duration,
    /// Refers to a folder or a manifest that is not there, so it is of no use.
    hollow: bool,
}

/// One manifest on the disk.
struct Listing {
    bytes: u64,
    /// The pictures that it lists and that are there, and those that are not, once somebody asked.
    listed: Option<(Vec<usize>, Vec<Digest>)>,
}

/// A run that put something out.
struct Run {
    id: String,
    pinned: bool,
    kept: bool,
    /// 0 for the newest; runs with equal results share one.
    rank: usize,
    outputs: Vec<(usize, Digest)>,
}

/// Everything in the store and how it hangs together.
struct Heap {
    blobs: Vec<Blob>,
    actions: Vec<Action>,
    /// Newest first.
    runs: Vec<Run>,
    manifests: HashMap<Digest, Listing>,
    /// Pictures that a needed manifest lists and that are not there or go: what is known of them is of use to a stage that keeps none.
    known_of: HashSet<Digest>,
    current_manifests: HashSet<Digest>,
    /// The pipeline's stages, then others that some run or folder knows.
    stage_names: Vec<String>,
    states: States,
    /// Stages that are gone with their folders: their states and indexes go, too.
    forgotten: Vec<String>,
    leftovers: Vec<String>,
    /// What the store holds besides blobs and manifests, in bytes.
    rest: u64,
    superseded: usize,
    damaged: bool,
    /// The store is smaller than was asked for.
    fits: bool,
    over: u64,
}

impl Heap {
    fn look(workspace: &Workspace, store: &Store, pipeline: &Pipeline, options: &Options) -> Result<Self> {
        let states = States::read(&store.path("stages.json"))?;
        let listed = store.cas.list()?;
        let at: HashMap<Digest, usize> = listed.iter().enumerate().map(|(at, (digest, _))| (*digest, at)).collect();
        let blob = |(digest, bytes)| Blob {
            digest,
            bytes: blocks(bytes),
            current: false,
            pinned: false,
            rank: None,
            runs: 0,
            stage: None,
            goes: false,
        };
        let listing = |(digest, bytes)| (digest, Listing { bytes: blocks(bytes), listed: None });
        let mut heap = Self {
            blobs: listed.into_iter().map(blob).collect(),
            actions: Vec::new(),
            runs: Vec::new(),
            manifests: store.manifests()?.into_iter().map(listing).collect(),
            known_of: HashSet::new(),
            current_manifests: HashSet::new(),
            stage_names: pipeline.stages.iter().map(|stage| stage.name.clone()).collect(),
            states,
            forgotten: Vec::new(),
            leftovers: Vec::new(),
            rest: 0,
            superseded: 0,
            damaged: false,
            fits: false,
            over: 0,
        };
        heap.look_at_stages(workspace, store, pipeline, &at)?;
        heap.look_at_runs(workspace, store, &at, options);
        heap.look_at_actions(workspace, store, &at)?;
        for file in ["actions.log", "memo", "stages.json"] {
            heap.rest += fs::metadata(store.path(file)).map_or(0, |metadata| blocks(metadata.len()));
        }
        Ok(heap)
    }

    /// What the stages put out last and what their folders show.
    fn look_at_stages(&mut self, workspace: &Workspace, store: &Store, pipeline: &Pipeline, at: &HashMap<Digest, usize>) -> Result<()> {
        let indexed = store.indexed_stages()?;
        let mut names: BTreeSet<String> = self.states.iter().map(|(name, _)| name.to_owned()).collect();
        names.extend(indexed.iter().cloned());
        for name in names {
            let declared = pipeline.stages.iter().find(|stage| stage.name == name);
            let is_listed = declared.is_some();
            let folder = workspace.stage_folder(&name);
            if !is_listed && !folder.exists() {
                self.forgotten.push(name);
                continue;
            }
            if !is_listed {
                self.leftovers.push(name.clone());
            }
            let stage = self.stage(&name);
            if let Some(state) = self.states.get(&name).cloned() {
                self.current_manifests.extend([state.output, state.input]);
                self.listed_in(store, &state.input, at);
                for blob in self.listed_in(store, &state.output, at) {
                    // A stage with `store = "none"` makes them again; what it kept before that is in nobody's way to go.
                    self.blobs[blob].current |= declared.is_none_or(|stage| stage.keeps);
                    self.blobs[blob].stage.get_or_insert(stage);
                }
            }
            if indexed.contains(&name) {
                let view = View::load(store, &name, folder);
                for blob in view.files().filter_map(|(_, digest)| at.get(&digest)) {
                    self.blobs[*blob].current = true;
                    self.blobs[*blob].stage.get_or_insert(stage);
                }
                self.rest += blocks(view.index_bytes());
            }
        }
        Ok(())
    }

    /// What runs put out; of those that are kept, it stays.
    fn look_at_runs(&mut self, workspace: &Workspace, store: &Store, at: &HashMap<Digest, usize>, options: &Options) {
        let mut ranks = HashMap::new();
        for run in record::list(workspace).into_iter().rev().filter(|run| !run.outputs.is_empty()) {
            let outputs: Vec<(usize, Digest)> = run.outputs.iter().map(|(stage, digest)| (self.stage(stage), *digest)).collect();
            let next = ranks.len();
            let rank = *ranks.entry(outputs.clone()).or_insert(next);
            let pinned = record::pin::is_pinned(workspace, &run.id);
            let kept = pinned || rank < options.keep_runs;
            let mut seen = HashSet::new();
            for (stage, manifest) in &outputs {
                for blob in self.listed_in(store, manifest, at) {
                    let blob = &mut self.blobs[blob];
                    blob.stage.get_or_insert(*stage);
                    blob.pinned |= pinned;
                    if kept {
                        blob.rank = Some(blob.rank.map_or(rank, |other| other.min(rank)));
                    }
                    blob.runs += u32::from(seen.insert(blob.digest));
                }
            }
            self.runs.push(Run { id: run.id, pinned, kept, rank, outputs });
        }
    }

    fn look_at_actions(&mut self, workspace: &Workspace, store: &Store, at: &HashMap<Digest, usize>) -> Result<()> {
        let survey = actions::survey(&store.path("actions.log"))?;
        (self.superseded, self.damaged) = (survey.superseded, !survey.damaged.is_empty() || survey.torn > 0);
        for (key, known) in survey.actions {
            let mut action = Action { key, blobs: Vec::new(), absent: Vec::new(), manifest: None, took: Duration::ZERO, hollow: false };
            let Some((outcome, took)) = known else {
                // Of a later version of the program: it will know what it is for.
                self.actions.push(action);
                continue;
            };
            action.took = took;
            match outcome {
                Outcome::Keep(stored) => {
                    for output in stored.iter().filter(|output| !output.same) {
                        match at.get(&output.digest) {
                            Some(blob) => action.blobs.push(*blob),
                            None => action.absent.push(output.digest),
                        }
                    }
                }
                Outcome::Packed { manifest } => {
                    action.hollow = !self.manifests.contains_key(&manifest);
                    action.blobs = self.listed_in(store, &manifest, at);
                    action.manifest = Some(manifest);
                }
                Outcome::Training { folder } | Outcome::Trained { folder } => action.hollow = !workspace.root().join(folder).exists(),
                Outcome::Reject { .. } | Outcome::Fact(_) => {}
            }
            action.blobs.sort_unstable();
            action.blobs.dedup();
            self.actions.push(action);
        }
        Ok(())
    }

    /// The number of the stage with that name.
    fn stage(&mut self, name: &str) -> usize {
        self.stage_names.iter().position(|other| other == name).unwrap_or_else(|| {
            self.stage_names.push(name.to_owned());
            self.stage_names.len() - 1
        })
    }

    /// The blobs that a manifest lists and that are there; none if there is no such manifest.
    fn listed_in(&mut self, store: &Store, manifest: &Digest, at: &HashMap<Digest, usize>) -> Vec<usize> {
        let Some(Listing { listed, .. }) = self.manifests.get_mut(manifest) else { return Vec::new() };
        let read = || {
            let (mut there, mut absent) = (Vec::new(), Vec::new());
            for item in store.manifest(manifest).unwrap_or_default().items {
                match at.get(&item.digest) {
                    Some(blob) => there.push(*blob),
                    None => absent.push(item.digest),
                }
            }
            (there, absent)
        };
        listed.get_or_insert_with(read).0.clone()
    }

    /// Marks what goes.
    fn choose(&mut self, options: &Options) {
        let Some(max) = options.max_size else {
            for blob in &mut self.blobs {
                blob.goes = !blob.stays();
            }
            return;
        };
        let manifests: u64 = self.manifests.values().map(|listing| listing.bytes).sum();
        let mut size = self.rest + manifests + self.blobs.iter().map(|blob| blob.bytes).sum::<u64>();
        if size <= max {
            self.fits = true;
            return;
        }
        let needed = self.needed_manifests();
        size -= self.manifests.iter().filter(|(digest, _)| !needed.contains(*digest)).map(|(_, listing)| listing.bytes).sum::<u64>();

        // How many results refer to each blob that may go.
        let mut references = vec![0u32; self.blobs.len()];
        self.actions.iter().flat_map(|action| &action.blobs).for_each(|blob| references[*blob] += 1);
        for (blob, references) in self.blobs.iter_mut().zip(&references) {
            if size > max && !blob.stays() && *references == 0 {
                blob.goes = true;
                size -= blob.bytes;
            }
        }
        let price = |action: &Action| {
            let bytes: u64 = action.blobs.iter().map(|blob| &self.blobs[*blob]).filter(|blob| !blob.stays()).map(|blob| blob.bytes).sum();
            (bytes > 0).then(|| action.took.as_secs_f64() / bytes as f64)
        };
        let mut prices: Vec<(f64, usize)> = self.actions.iter().enumerate().filter_map(|(at, action)| Some((price(action)?, at))).collect();
        prices.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        for (_, at) in prices {
            if size <= max {
                break;
            }
            for at in &self.actions[at].blobs {
                let blob = &mut self.blobs[*at];
                references[*at] -= 1;
                if references[*at] == 0 && !blob.stays() && !blob.goes {
                    blob.goes = true;
                    size -= blob.bytes;
                }
            }
        }
        let mut ranks: Vec<usize> = self.runs.iter().filter(|run| run.kept && !run.pinned).map(|run| run.rank).collect();
        ranks.sort_unstable();
        ranks.dedup();
        while size > max
            && let Some(rank) = ranks.pop()
        {
            self.runs.iter_mut().filter(|run| run.rank == rank && !run.pinned).for_each(|run| run.kept = false);
            for blob in self.blobs.iter_mut().filter(|blob| !blob.current && !blob.pinned && blob.rank == Some(rank)) {
                blob.goes = true;
                size -= blob.bytes;
            }
        }
        self.over = size.saturating_sub(max);
    }

    fn note_what_is_known_of(&mut self) {
        for manifest in self.needed_manifests() {
            let Some((there, absent)) = self.manifests.get(&manifest).and_then(|listing| listing.listed.as_ref()) else { continue };
            self.known_of.extend(there.iter().map(|blob| &self.blobs[*blob]).filter(|blob| blob.goes).map(|blob| blob.digest));
            self.known_of.extend(absent);
        }
    }

    /// Whether a record of the log is of no use once everything is gone that goes.
    fn is_hollow(&self, action: &Action) -> bool {
        // Of a stage that keeps no pictures, all are absent, and the record is what spares the work.
        let is_lost = |digest: &Digest| !self.known_of.contains(digest);
        let is_gone = |blob: &usize| self.blobs[*blob].goes && is_lost(&self.blobs[*blob].digest);
        !self.fits && (action.hollow || action.blobs.iter().any(is_gone) || action.absent.iter().any(is_lost))
    }

    /// The manifests of stages as they are and of runs that are kept.
    fn needed_manifests(&self) -> HashSet<Digest> {
        let of_runs = self.runs.iter().filter(|run| run.kept).flat_map(|run| run.outputs.iter().map(|(_, manifest)| *manifest));
        self.current_manifests.iter().copied().chain(of_runs).collect()
    }

    /// Manifests that go: those that nothing needs and no whole result refers to.
    fn manifests_to_go(&self, options: &Options) -> Vec<Digest> {
        let mut stay = self.needed_manifests();
        if options.max_size.is_some() {
            stay.extend(self.actions.iter().filter(|action| !self.is_hollow(action)).filter_map(|action| action.manifest));
        }
        let mut go: Vec<Digest> = self.manifests.keys().filter(|digest| !self.fits && !stay.contains(digest)).copied().collect();
        go.sort();
        go
    }

    fn report(&self, store: &Store, options: &Options) -> Result<Report> {
        let mut stages: Vec<StageLine> = self.stage_names.iter().map(|name| line(Some(name.clone()))).collect();
        stages.push(line(None));
        let (mut kept, mut freed) = (Sum::default(), Sum::default());
        for blob in &self.blobs {
            let line = &mut stages[blob.stage.unwrap_or(self.stage_names.len())];
            for sum in if blob.goes { [&mut line.freed, &mut freed] } else { [&mut line.kept, &mut kept] } {
                sum.add(blob.bytes);
            }
        }
        stages.retain(|line| line.kept.files + line.freed.files > 0);
        let mut runs: Vec<RunLine> = Vec::new();
        for run in self.runs.iter().rev() {
            let mut line = RunLine {
                run: run.id.clone(),
                pinned: run.pinned,
                kept: run.kept,
                holds: Sum::default(),
                alone: Sum::default(),
                freed: Sum::default(),
            };
            let mut seen = HashSet::new();
            let manifests = run.outputs.iter().filter_map(|(_, manifest)| Some(&self.manifests.get(manifest)?.listed.as_ref()?.0));
            for at in manifests.flatten().filter(|at| seen.insert(**at)) {
                let blob = &self.blobs[*at];
                line.holds.add(blob.bytes);
                if blob.goes {
                    line.freed.add(blob.bytes);
                }
                if blob.runs == 1 && !blob.current {
                    line.alone.add(blob.bytes);
                }
            }
            runs.push(line);
        }
        let to_go = self.manifests_to_go(options);
        let mut manifests = Sum::default();
        to_go.iter().for_each(|digest| manifests.add(self.manifests[digest].bytes));
        let mut set_aside = Sum::default();
        for entry in walkdir::WalkDir::new(store.path("set-aside")).into_iter().filter_map(std::result::Result::ok) {
            if entry.file_type().is_file() {
                set_aside.add(entry.metadata().map_or(0, |metadata| blocks(metadata.len())));
            }
        }
        let hollow = self.actions.iter().filter(|action| self.is_hollow(action)).count();
        Ok(Report {
            stages,
            runs,
            kept,
            freed,
            manifests,
            records: hollow + self.superseded,
            set_aside,
            leftovers: self.leftovers.clone(),
            over: self.over,
        })
    }

    /// Removes what goes. What refers to blobs goes after them: killed in between, the next run finds records whose blobs are
    /// gone, which is a miss, and on a full disk there is room for the new log by then.
    fn remove(mut self, store: &Store, options: &Options) -> Result<()> {
        for digest in self.manifests_to_go(options) {
            fault::point();
            let path = store.path("manifests").join(digest.to_string());
            fs::remove_file(&path).map_err(Error::io("remove", path))?;
        }
        self.blobs.par_iter().filter(|blob| blob.goes).try_for_each(|blob| {
            fault::point();
            let path = store.cas.path(&blob.digest);
            fs::remove_file(&path).map_err(Error::io("remove", path))
        })?;
        let hollow: HashSet<_> = self.actions.iter().filter(|action| self.is_hollow(action)).map(|action| action.key).collect();
        if !hollow.is_empty() || self.superseded > 0 || self.damaged {
            match actions::rewrite(&store.path("actions.log"), |key| !hollow.contains(key)) {
                // On a disk without a free byte. Records of what is gone are misses, and go when there is room to write the others anew.
                Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::StorageFull => {}
                rewritten => rewritten?,
            }
        }
        if !self.forgotten.is_empty() {
            self.forgotten.iter().for_each(|name| self.states.remove(name));
            self.states.save(&store.path("stages.json"))?;
            for name in &self.forgotten {
                fault::point();
                View::forget(store, name)?;
            }
        }
        // The studio's, which makes them again; one that runs now may put one there in the meantime.
        let _ = fs::remove_dir_all(store.path("thumbs"));
        let _ = fs::remove_dir_all(store.path("game"));
        if options.set_aside {
            remove_all(&store.path("set-aside"))?;
        }
        Ok(())
    }
}

fn remove_all(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", folder)(error)),
        _ => Ok(()),
    }
}

fn line(stage: Option<String>) -> StageLine {
    StageLine { stage, kept: Sum::default(), freed: Sum::default() }
}

/// What a file takes on most disks.
fn blocks(bytes: u64) -> u64 {
    bytes.next_multiple_of(4096)
}

#[cfg(test)]
mod tests {
    use super::{super::actions::Actions, *};
    use crate::{cache::actions::Stored, key::ActionKey};

    /// A store of results that nothing needs: each a blob of one block, and the seconds it took.
    struct Bench {
        _root: tempfile::TempDir,
        workspace: Workspace,
        store: Store,
    }

    /// A pipeline that none of this belongs to.
    fn empty() -> Pipeline {
        Pipeline::parse("pipeline.toml", "[[stage]]\nname = \"0\"\nuse = \"original\"", &[], crate::registry::STAGES).unwrap()
    }

    fn blob(n: u8) -> Vec<u8> {
        vec![n; 100]
    }

    impl Bench {
        fn new(results: &[(&[u8], u64)]) -> Self {
            let root = tempfile::tempdir().unwrap();
            fs::write(root.path().join("pipeline.toml"), "").unwrap();
            let workspace = Workspace::open(root.path()).unwrap();
            let store = Store::open(&workspace).unwrap();
            store.prepare().unwrap();
            let actions = Actions::open(&store.path("actions.log"), true).unwrap();
            for (at, (blobs, seconds)) in results.iter().enumerate() {
                let stored = blobs.iter().map(|n| Stored {
                    tag: String::new(),
                    same: false,
                    digest: store.cas.put(&blob(*n)).unwrap(),
                    size: [1, 1],
                    bytes: 100,
                    facts: catgen_api::Facts::new(),
                });
                let outcome = Outcome::Keep(stored.collect());
                actions.put_timed(&ActionKey::from_bytes([at as u8; 32]), &outcome, Duration::from_secs(*seconds)).unwrap();
            }
            Self { _root: root, workspace, store }
        }

        fn collect(&self, max_size: Option<u64>) -> Report {
            let options = Options { max_size, ..Options::default() };
            collect(&self.workspace, &self.store, &empty(), &options).unwrap()
        }

        /// Which blobs are there, and how many records the log has.
        fn left(&self) -> (Vec<u8>, usize) {
            let blobs = (0..100).filter(|n| self.store.cas.has(&Digest::of(&blob(*n)), 100)).collect();
            (blobs, actions::survey(&self.store.path("actions.log")).unwrap().actions.len())
        }
    }

    #[test]
    fn the_cheapest_seconds_per_byte_go_first() {
        let results: &[(&[u8], u64)] = &[(&[1], 3), (&[2], 0), (&[3], 9), (&[4, 5], 8), (&[6], 0)];
        // A block for each blob, and one for the log.
        for (blocks, left) in [
            (7, &[1, 2, 3, 4, 5, 6][..]),
            (6, &[1, 3, 4, 5, 6]),
            (5, &[1, 3, 4, 5]),
            (4, &[3, 4, 5]),
            // Two blobs of one result of eight seconds are cheaper than one of nine, and go together.
            (3, &[3]),
            (1, &[]),
        ] {
            let bench = Bench::new(results);
            let report = bench.collect(Some(blocks * 4096));
            assert_eq!((bench.left().0.as_slice(), report.over), (left, 0), "{blocks} blocks");
            assert_eq!((report.kept.files, report.freed.files), (left.len(), 6 - left.len()));
            assert_eq!(bench.collect(Some(blocks * 4096)).freed.files, 0, "a second look finds nothing more to do");
        }
        assert_eq!(Bench::new(results).collect(Some(0)).over, 4096, "the log itself stays");
    }

    #[test]
    fn without_a_size_what_nothing_needs_goes_with_its_records() {
        let bench = Bench::new(&[(&[1], 3), (&[], 0)]);
        let report = bench.collect(None);
        assert_eq!((report.freed, report.records), (Sum { files: 1, bytes: 4096 }, 1));
        assert_eq!(bench.left(), (vec![], 1), "the record of a result without files stays");
    }

    #[test]
    fn a_blob_that_two_results_share_stays_with_the_dearer_one() {
        let bench = Bench::new(&[(&[1], 0), (&[1], 50), (&[2], 7)]);
        bench.collect(Some(2 * 4096));
        assert_eq!(bench.left(), (vec![1], 2));
    }

    #[test]
    fn states_that_cannot_be_read_stop_it_before_anything_goes() {
        let bench = Bench::new(&[(&[1], 3)]);
        fs::write(bench.store.path("stages.json"), "half").unwrap();
        let error = collect(&bench.workspace, &bench.store, &empty(), &Options::default()).unwrap_err();
        assert!(matches!(error, Error::Damaged { .. }), "{error}");
        assert_eq!(bench.left(), (vec![1], 1));
    }
}
