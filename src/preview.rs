//! `preview`: what a stage makes of a few photos, worked out in memory.
//!
//! Whatever was computed before is read from the store, whatever was not is computed and forgotten: no blob, no action, no
//! folder and no record is written, and no lock is taken, so it may be asked while a run is at work. Pictures are the very
//! ones that a run would make: the same functions in the same order, random numbers from the same digests.
//!
//! A few photos cannot tell which of them are duplicates. On the way to a later stage, photos that the last run dropped
//! are passed over and new ones are taken for kept; asked about itself, such a stage gets all photos.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use catgen_api::{
    Batch, BatchItem, BatchStage, Digest, Facts, Input, Item, KeyInput, Made, Photo, Picture, Reason, Rejection, Shape, StageError, Verdict,
};
use catgen_original::Found;
use rayon::prelude::*;

use crate::{
    Error, Project,
    cache::actions::{Outcome, Stored},
    decide,
    error::Result,
    registry::Built,
    run::{
        Lazy, Originals, caught,
        names::{follow, stems},
        set, source,
    },
};

/// The longest side of the pictures that are shown: enough for a sheet.
pub(crate) const SHOWN_SIDE: u32 = 512;

/// A photo, as it comes to the stage and as it leaves it.
#[derive(Debug)]
pub struct Shown {
    /// The photo's path.
    pub photo: String,
    /// The picture that the stage is given, made small for showing.
    pub before: Picture,
    /// What comes out, or why nothing does.
    pub after: std::result::Result<Vec<After>, Reason>,
    /// Whether the stage's own part was read from the store.
    pub cached: bool,
}

/// One picture that the stage puts out.
#[derive(Debug)]
pub struct After {
    /// What is added to the name where one picture becomes several.
    pub tag: String,
    /// The picture, made small for showing.
    pub picture: Picture,
    /// Its width and height in pixels.
    pub size: [u32; 2],
    /// What the stage found out.
    pub facts: Facts,
}

/// Photos that a set stage takes for one picture: the one that is kept, then those that are dropped for it.
#[derive(Debug)]
pub struct Group {
    /// What is kept.
    pub kept: (String, Picture),
    /// What is dropped: the photo, the picture, why.
    pub dropped: Vec<(String, Picture, String)>,
}

/// What there is to show.
#[derive(Debug)]
pub enum Preview {
    /// Of a stage that looks at one picture at a time.
    Photos {
        /// Those that come to the stage.
        shown: Vec<Shown>,
        /// Those that an earlier stage stops: the photo, the stage, why.
        stopped: Vec<(String, String, String)>,
    },
    /// Of a stage that decides over all.
    Groups {
        /// Photos looked at.
        photos: usize,
        /// Photos that do not go on.
        dropped: usize,
        /// At most as many as asked for.
        groups: Vec<Group>,
    },
}

/// What `stage` makes of `count` photos, evenly over the folder, with at most `outputs` pictures of each.
///
/// # Errors
/// A stage that has nothing to show, no photos, or a stage on the way that is broken.
pub fn preview(project: &Project, stage: usize, count: usize, outputs: usize) -> Result<Preview> {
    let chain = chain(project, stage);
    match project.pipeline.stages[stage].shape() {
        Shape::Item => photos(project, &chain, count, outputs),
        Shape::Set => groups(project, &chain, count),
        shape => Err(Error::Usage {
            what: format!("{} has no before and after to show", project.pipeline.stages[stage].name),
            hint: match shape {
                Shape::Source => "it takes photos as they are: name a stage that changes pictures",
                Shape::Train => "`catgen-pipe generate` draws with what it trained",
                _ => "it packs pictures as they are: name the stage that it reads",
            }
            .to_owned(),
        }),
    }
}

/// The stages from the one after the photos up to `stage`.
fn chain(project: &Project, stage: usize) -> Vec<usize> {
    let mut chain = vec![stage];
    while let Some(from) = project.pipeline.stages[chain[chain.len() - 1]].from {
        chain.push(from);
    }
    // The last one is `original`, whose folder is read directly.
    chain.pop();
    chain.reverse();
    chain
}

/// One photo's way through the chain.
struct Walk<'a> {
    project: &'a Project,
    originals: &'a Originals,
    chain: &'a [usize],
    /// At most so many pictures of each photo are shown.
    outputs: usize,
}

/// Where the way ended.
enum End {
    Shown(Shown),
    Stopped { stage: usize, reason: Reason },
}

fn photos(project: &Project, chain: &[usize], count: usize, outputs: usize) -> Result<Preview> {
    let folder = source::folder(project, source_stage(project));
    let found: Vec<Found> = catgen_original::find(&folder).into_iter().filter(|file| file.problem.is_none()).collect();
    let dropped = dropped_before(project, chain);
    let candidates: Vec<&Found> = found.iter().filter(|file| !dropped.contains(&file.name)).collect();
    let chosen = evenly(&candidates, count);
    let read = chosen
        .par_iter()
        .map(|file| {
            let bytes = std::fs::read(&file.path).map_err(|error| catgen_original::unreadable(&error))?;
            let (size, facts) = caught(|| catgen_original::look(&bytes)).and_then(|looked| looked)?;
            let (name, digest) = (file.name.clone(), Digest::of(&bytes));
            let photo = Arc::new(Photo { path: name.clone(), digest, size });
            Ok(Item { name, digest, width: size[0], height: size[1], bytes: bytes.len() as u64, photo, input: digest, facts })
        })
        .collect::<Vec<std::result::Result<Item, Reason>>>();
    let of_digest = read.iter().zip(&chosen).filter_map(|(read, file)| Some((read.as_ref().ok()?.digest, file.path.clone())));
    let originals = Originals::new(of_digest);
    let walk = Walk { project, originals: &originals, chain, outputs };
    let ends: Vec<(String, Result<End>)> = read
        .into_par_iter()
        .zip(&chosen)
        .enumerate()
        .map(|(at, (read, file))| {
            let end = match read {
                Ok(item) => {
                    let stem = stems(std::slice::from_ref(&item)).remove(0);
                    walk.step(0, at, &item, &stem, &Lazy::file(project, &originals, item.digest))
                }
                Err(reason) => Ok(End::Stopped { stage: source_stage(project), reason }),
            };
            (file.name.clone(), end)
        })
        .collect();
    let (mut shown, mut stopped) = (Vec::new(), Vec::new());
    for (photo, end) in ends {
        match end? {
            End::Shown(one) => shown.push(Shown { photo, ..one }),
            End::Stopped { stage, reason } => stopped.push((photo, project.pipeline.stages[stage].name.clone(), reason.text)),
        }
    }
    if shown.is_empty() && stopped.is_empty() {
        return Err(no_photos(project));
    }
    Ok(Preview::Photos { shown, stopped })
}

fn no_photos(project: &Project) -> Error {
    Error::Usage {
        what: format!("there are no photos in {}", project.workspace.relative(&source::folder(project, source_stage(project)))),
        hint: "copy your photos there, or draw some cats with `catgen-pipe sample`".to_owned(),
    }
}

fn source_stage(project: &Project) -> usize {
    project.pipeline.stages.iter().position(|stage| stage.from.is_none()).expect("a chain of `from` ends at the stage that finds photos")
}

/// Photos that a set stage on the way dropped when it last ran.
fn dropped_before(project: &Project, chain: &[usize]) -> HashSet<String> {
    let sets = chain.iter().filter(|stage| project.pipeline.stages[**stage].shape() == Shape::Set);
    let manifests = sets.filter_map(|stage| {
        let state = project.states.get(&project.pipeline.stages[*stage].name)?;
        project.store.manifest(&state.output)
    });
    manifests.flat_map(|manifest| manifest.rejections).map(|rejection| rejection.photo).collect()
}

/// `count` of them, evenly over all.
pub(crate) fn evenly<T: Copy>(all: &[T], count: usize) -> Vec<T> {
    let shown = all.len().min(count);
    (0..shown).map(|at| all[(2 * at + 1) * all.len() / (2 * shown)]).collect()
}

impl Walk<'_> {
    /// One picture through the stage at `depth` of the chain and those after it. `photo` counts the photos: where a stage on
    /// the way makes many pictures of one, each photo goes on with another of them.
    fn step(&self, depth: usize, photo: usize, item: &Item, stem: &str, lazy: &Lazy<'_>) -> Result<End> {
        let stage = self.chain[depth];
        if self.project.pipeline.stages[stage].shape() == Shape::Set {
            return self.step(depth + 1, photo, item, stem, lazy);
        }
        let is_last = depth + 1 == self.chain.len();
        let asked = decide::item(self.project, stage, item)?;
        // Known, and still there: the pictures of a stage that keeps none are worked out again.
        let is_there = |stored: &Stored| stored.same || self.project.store.cas.has(&stored.digest, stored.bytes);
        let known = asked.known.filter(|outcome| !matches!(outcome, Outcome::Keep(outputs) if !outputs.iter().all(is_there)));
        let cached = known.is_some();
        let (outcome, mut pictures) = match known {
            Some(outcome) => (outcome, Vec::new()),
            None => self.compute(stage, item, lazy, &asked.inputs, is_last)?,
        };
        let outputs = match outcome {
            Outcome::Keep(outputs) => outputs,
            Outcome::Reject { kind, reason } => {
                let reason = Reason::new(kind, reason);
                return match (is_last, lazy.look(Some(SHOWN_SIDE), Clone::clone)?) {
                    (true, Ok(before)) => Ok(End::Shown(Shown { photo: String::new(), before, after: Err(reason), cached })),
                    _ => Ok(End::Stopped { stage, reason }),
                };
            }
            _ => Vec::new(),
        };
        pictures.resize_with(outputs.len(), || None);
        let mut made: Vec<(Stored, Option<Picture>)> = outputs.into_iter().zip(pictures).collect();
        if is_last {
            let before = match lazy.look(Some(SHOWN_SIDE), Clone::clone)? {
                Ok(before) => before,
                Err(reason) => return Ok(End::Stopped { stage, reason }),
            };
            let chosen: HashSet<usize> = evenly(&(0..made.len()).collect::<Vec<_>>(), self.outputs).into_iter().collect();
            let mut after = Vec::new();
            for (_, (stored, picture)) in made.into_iter().enumerate().filter(|(at, _)| chosen.contains(at)) {
                let shown = match self.made(&stored, picture, lazy, |lazy| lazy.look(Some(SHOWN_SIDE), Clone::clone))? {
                    Ok(shown) => shown,
                    Err(reason) => return Ok(End::Stopped { stage, reason }),
                };
                after.push(After { tag: stored.tag, picture: shown, size: stored.size, facts: stored.facts });
            }
            return Ok(End::Shown(Shown { photo: String::new(), before, after: Ok(after), cached }));
        }
        if made.is_empty() {
            return Ok(End::Stopped { stage, reason: Reason::new("nothing", "the stage makes nothing of it") });
        }
        let (stored, picture) = made.swap_remove(photo * 7 % made.len());
        let (next, stem) = follow(item, stem, &stored);
        self.made(&stored, picture, lazy, |lazy| self.step(depth + 1, photo, &next, &stem, lazy))
    }

    /// Hands on what a stage put out: pixels just made, the input itself, or a blob of the store.
    fn made<T>(&self, stored: &Stored, picture: Option<Picture>, input: &Lazy<'_>, with: impl FnOnce(&Lazy<'_>) -> T) -> T {
        match picture {
            Some(picture) => with(&Lazy::pixels(picture)),
            None if stored.same => with(input),
            None => with(&Lazy::file(self.project, self.originals, stored.digest)),
        }
    }

    /// Runs the stage's code on one item. Digests of what it makes are worked out only if another stage draws on them.
    fn compute(
        &self,
        stage: usize,
        item: &Item,
        lazy: &Lazy<'_>,
        inputs: &[KeyInput],
        is_last: bool,
    ) -> Result<(Outcome, Vec<Option<Picture>>)> {
        let Built::Item(code) = &self.project.node(stage)?.built else { return Ok((Outcome::Keep(Vec::new()), Vec::new())) };
        let apply = |picture: &Picture| match code.batch() {
            None => code.apply(&Input { digest: item.digest, picture, inputs }),
            Some(batch) => alone(batch, item, picture, inputs),
        };
        let looked = lazy.look(code.working_side(), |picture| caught(|| apply(picture)))?;
        let verdict = match looked.and_then(|applied| applied) {
            Ok(Ok(verdict)) => verdict,
            Ok(Err(error)) => return Err(Error::stage(&self.project.pipeline.stages[stage].name, error)),
            Err(reason) => Verdict::Reject(reason),
        };
        let outputs = match verdict {
            Verdict::Keep(outputs) => outputs,
            Verdict::Reject(reason) => return Ok((Outcome::Reject { kind: reason.kind.into_owned(), reason: reason.text }, Vec::new())),
        };
        let (mut stored, mut pictures) = (Vec::with_capacity(outputs.len()), Vec::with_capacity(outputs.len()));
        for output in outputs {
            let (same, digest, size, bytes, picture) = match output.made {
                Made::Same => (true, item.digest, [item.width, item.height], item.bytes, None),
                Made::Picture(picture) if is_last => (false, item.digest, picture.size(), 0, Some(picture)),
                Made::Picture(picture) => {
                    let file = catgen_picture::encode_png(&picture);
                    (false, Digest::of(&file), picture.size(), file.len() as u64, Some(picture))
                }
            };
            stored.push(Stored { tag: output.tag, same, digest, size, bytes, facts: output.facts });
            pictures.push(picture);
        }
        Ok((Outcome::Keep(stored), pictures))
    }
}

/// A stage that works on many pictures in one go, with one.
fn alone(batch: &dyn BatchStage, item: &Item, picture: &Picture, inputs: &[KeyInput]) -> std::result::Result<Verdict, StageError> {
    let one = [BatchItem { name: &item.name, digest: item.digest, changed: false, inputs }];
    let mut verdict = None;
    let mut done = |_, told| {
        verdict = Some(told);
        Ok(())
    };
    batch.apply_all(&Batch { items: &one, removed: &[] }, &|_| Ok(Ok(picture.clone())), &mut done, &|| false)?;
    let silent = || StageError::Broken { what: format!("it said nothing of {}", item.name), hint: String::new() };
    verdict.ok_or_else(silent)
}

/// Of a set stage: all photos' facts, known or worked out now, and the decision.
fn groups(project: &Project, chain: &[usize], count: usize) -> Result<Preview> {
    let stage = chain[chain.len() - 1];
    if chain[..chain.len() - 1].iter().any(|stage| project.pipeline.stages[*stage].shape() == Shape::Item) {
        return Err(Error::Usage {
            what: format!("{} decides over pictures that other stages make of all photos", project.pipeline.stages[stage].name),
            hint: format!(
                "`catgen-pipe run --until {0}`, then `catgen-pipe inspect {0} --rejected`",
                project.pipeline.stages[stage].short_name()
            ),
        });
    }
    let scan = source::scan(project, source_stage(project), &|_, _| Ok(()), &|_| {}, &|_| {})?;
    if scan.manifest.items.is_empty() {
        return Err(no_photos(project));
    }
    let mut seen = HashSet::new();
    let contents: Vec<&Item> = scan.manifest.items.iter().filter(|item| seen.insert(item.digest)).collect();
    let code = set::code(project, stage)?;
    let known: HashMap<_, _> = contents
        .par_iter()
        .map(|item| {
            if let Some(known) = set::known_fact(project, stage, &item.digest)? {
                return Ok((item.digest, known));
            }
            Ok((item.digest, set::look(project, &scan.originals, stage, code, item)?))
        })
        .collect::<Result<_>>()?;
    let decided = set::decide_all(&project.pipeline.stages[stage].name, code, &scan.manifest.items, &known)?;
    let of_photo: HashMap<&str, &Item> = scan.manifest.items.iter().map(|item| (item.photo.path.as_str(), item)).collect();
    let show = |photo: &str| {
        let item = of_photo.get(photo)?;
        let look = Lazy::file(project, &scan.originals, item.digest).look(Some(SHOWN_SIDE), Clone::clone);
        look.ok()?.ok()
    };
    let mut by_kept: Vec<(&str, Vec<&Rejection>)> = Vec::new();
    for rejection in &decided.rejections {
        let Some(kept) = rejection.of.as_deref() else { continue };
        match by_kept.iter_mut().find(|(other, _)| *other == kept) {
            Some((_, dropped)) => dropped.push(rejection),
            None => by_kept.push((kept, vec![rejection])),
        }
    }
    let groups = evenly(&(0..by_kept.len()).collect::<Vec<_>>(), count)
        .into_par_iter()
        .filter_map(|at| {
            let (kept, dropped) = &by_kept[at];
            let dropped = dropped.iter().filter_map(|one| Some((one.photo.clone(), show(&one.photo)?, distance(one)))).collect();
            Some(Group { kept: ((*kept).to_owned(), show(kept)?), dropped })
        })
        .collect();
    Ok(Preview::Groups { photos: scan.manifest.items.len(), dropped: decided.rejections.len(), groups })
}

/// How near a dropped photo is to the one that is kept, in few words.
pub(crate) fn distance(rejection: &Rejection) -> String {
    match rejection.distance {
        Some(0) => "dropped, 0 bits".to_owned(),
        Some(1) => "dropped, 1 bit".to_owned(),
        Some(bits) => format!("dropped, {bits} bits"),
        None => format!("dropped, {}", rejection.kind),
    }
}

#[cfg(test)]
mod tests {
    use super::evenly;

    #[test]
    fn a_few_are_taken_from_all_over() {
        let all: Vec<usize> = (0..100).collect();
        assert_eq!(evenly(&all, 4), [12, 37, 62, 87]);
        assert_eq!(evenly(&all[..3], 4), [0, 1, 2]);
        assert_eq!(evenly(&all, 1), [50]);
        assert_eq!(evenly(&all[..0], 4), [0; 0]);
    }
}
