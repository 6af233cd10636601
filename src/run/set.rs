//! Running a set stage: a cached fact per content, then one decision over all.

use std::{
    collections::{HashMap, HashSet},
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use catgen_api::{Digest, Facts, Input, Item, Manifest, Picture, Reason, Rejection, SetStage, SetVerdict, is_about_content};
use rayon::prelude::*;

use super::{
    Lazy, Made, Originals, Product, Run,
    delegate::{Delegated, delegate},
    pictures::caught,
};
use crate::{
    Error, Project,
    cache::actions::Outcome,
    decide::{self, Freshness},
    error::Result,
    executor,
    key::ActionKey,
    progress::Report,
    registry::Built,
};

/// What is known about one content: a fact, or why there is none.
pub(crate) type Known = std::result::Result<Facts, Reason>;

pub(super) fn run(run: &mut Run<'_>, stage: usize) -> Result<Product> {
    let from = run.from(stage);
    let input = run.shelved(from).id;
    let items_in = run.shelved(from).items;
    if run.freshness(stage, &input)? == Freshness::Fresh {
        return Ok(Product { stage, input, items_in, made: Made::Nothing, busy: Duration::ZERO });
    }
    let manifest = run.manifest(from)?;
    let project = &*run.project;
    let name = &project.pipeline.stages[stage].name;
    let code = code(project, stage)?;

    let (mut known, unknown) = known_facts(project, stage, &manifest.items)?;
    let looking = Looking { run, stage, code, busy: AtomicU64::new(0) };
    // A job costs seconds, and many a fact costs milliseconds: what others are asked for is what is left after a while.
    let settings = &project.pipeline.executor;
    let head_start = executor::of(project).map(|_| Duration::from_secs(settings.head_start));
    let mut computed = looking.look(&unknown, head_start)?;
    let left = |computed: &HashMap<Digest, Known>| -> Vec<&Item> {
        unknown.iter().filter(|item| !computed.contains_key(&item.digest)).copied().collect()
    };
    let wanted: Vec<(usize, &Item)> = left(&computed).into_iter().map(|item| (from, item)).collect();
    if delegate(run, &[stage], &wanted, &FactsElsewhere { project, stage, items: &wanted })? {
        for (_, item) in &wanted {
            computed.extend(known_fact(project, stage, &item.digest)?.map(|fact| (item.digest, fact)));
        }
    }
    computed.extend(looking.look(&left(&computed), None)?);
    let count = computed.len();
    known.extend(computed);

    let began = Instant::now();
    let decided = decide_all(name, code, &manifest.items, &known)?;
    let busy = Duration::from_nanos(looking.busy.into_inner()) + began.elapsed();
    let made = Made::Manifest { listed: decided.into(), computed: count, reused: items_in - count };
    Ok(Product { stage, input, items_in, made, busy })
}

/// Somebody who finds out facts in this process.
struct Looking<'a> {
    run: &'a Run<'a>,
    stage: usize,
    code: &'a dyn SetStage,
    busy: AtomicU64,
}

impl Looking<'_> {
    /// Finds out about these, or about those that can be looked at in so much time.
    fn look(&self, items: &[&Item], within: Option<Duration>) -> Result<HashMap<Digest, Known>> {
        let run = self.run;
        let name = &run.project.pipeline.stages[self.stage].name;
        if !items.is_empty() {
            run.progress.report(Report::Begin { stages: &[name], items: items.len() });
        }
        let began = Instant::now();
        let look = |item: &&Item| {
            if run.progress.stop_requested() {
                return Err(Error::Stopped);
            }
            let one = Instant::now();
            if within.is_some_and(|within| one - began >= within) {
                return Ok(None);
            }
            let fact = fact(&*run.project, &run.originals, self.stage, self.code, item)?;
            self.busy.fetch_add(one.elapsed().as_nanos() as u64, Ordering::Relaxed);
            run.progress.report(Report::Advance(1));
            Ok(Some((item.digest, fact)))
        };
        let looked = items.par_iter().with_max_len(1).map(look).collect::<Result<Vec<_>>>()?;
        Ok(looked.into_iter().flatten().collect())
    }
}

/// Facts that others are asked for.
struct FactsElsewhere<'a> {
    project: &'a Project,
    stage: usize,
    items: &'a [(usize, &'a Item)],
}

impl Delegated for FactsElsewhere<'_> {
    fn missing(&self, at: usize) -> Result<Option<ActionKey>> {
        let (key, known) = decide::fact(self.project, self.stage, &self.items[at].1.digest)?;
        Ok(known.is_none().then_some(key))
    }
}

/// What is known about each content, and the items with a content of which nothing is.
fn known_facts<'a>(project: &Project, stage: usize, items: &'a [Item]) -> Result<(HashMap<Digest, Known>, Vec<&'a Item>)> {
    let (mut known, mut unknown) = (HashMap::new(), Vec::new());
    let mut seen = HashSet::new();
    for item in items.iter().filter(|item| seen.insert(item.digest)) {
        match known_fact(project, stage, &item.digest)? {
            Some(fact) => drop(known.insert(item.digest, fact)),
            None => unknown.push(item),
        }
    }
    Ok((known, unknown))
}

/// Finds out the fact about one item's content, and records it.
pub(super) fn fact(project: &Project, originals: &Originals, stage: usize, code: &dyn SetStage, item: &Item) -> Result<Known> {
    let fact = look(project, originals, stage, code, item)?;
    let (key, _) = decide::fact(project, stage, &item.digest)?;
    match &fact {
        Ok(fact) => project.actions()?.put(&key, &Outcome::Fact(fact.clone()))?,
        Err(reason) if is_about_content(&reason.kind) => {
            project.actions()?.put(&key, &Outcome::Reject { kind: reason.kind.to_string(), reason: reason.text.clone() })?;
        }
        Err(_) => {}
    }
    Ok(fact)
}

/// Finds out the fact about one item's content, or why there is none.
pub(crate) fn look(project: &Project, originals: &Originals, stage: usize, code: &dyn SetStage, item: &Item) -> Result<Known> {
    let fact = |picture: &Picture| caught(|| code.fact(&Input { digest: item.digest, picture, inputs: &[] }));
    match Lazy::file(project, originals, item.digest).look(code.working_side(), fact)?.and_then(|fact| fact) {
        Ok(Ok(fact)) => Ok(Ok(fact)),
        Ok(Err(error)) => Err(Error::stage(&project.pipeline.stages[stage].name, error)),
        Err(reason) => Ok(Err(reason)),
    }
}

/// The stage's code.
pub(crate) fn code(project: &Project, stage: usize) -> Result<&dyn SetStage> {
    match &project.node(stage)?.built {
        Built::Set(code) => Ok(code.as_ref()),
        _ => Err(Error::Stage {
            stage: project.pipeline.stages[stage].name.clone(),
            what: "its kind says that it looks at all items, its code does not".to_owned(),
            hint: "this is a mistake in the program: please report it".to_owned(),
        }),
    }
}

/// The fact about the content with that digest, if it was found out before.
pub(crate) fn known_fact(project: &Project, stage: usize, digest: &Digest) -> Result<Option<Known>> {
    Ok(match decide::fact(project, stage, digest)?.1 {
        Some(Outcome::Fact(fact)) => Some(Ok(fact)),
        Some(Outcome::Reject { kind, reason }) => Some(Err(Reason::new(kind, reason))),
        _ => None,
    })
}

/// The decision over all items with a fact; items without one are left out of it.
pub(crate) fn decide_all(stage: &str, code: &dyn SetStage, items: &[Item], known: &HashMap<Digest, Known>) -> Result<Manifest> {
    let (mut with_facts, mut rejections) = (Vec::new(), Vec::new());
    let rejection = |item: &Item, reason: &Reason, of: Option<String>, distance: Option<u32>| Rejection {
        name: item.name.clone(),
        photo: item.photo.path.clone(),
        kind: reason.kind.to_string(),
        reason: reason.text.clone(),
        of,
        distance,
        input: Some(item.digest),
    };
    for item in items {
        match known.get(&item.digest) {
            Some(Ok(fact)) => with_facts.push((item, fact)),
            Some(Err(reason)) => rejections.push(rejection(item, reason, None, None)),
            None => {}
        }
    }
    let verdicts = code.decide(&with_facts).map_err(|error| Error::stage(stage, error))?;
    let mut kept = Vec::new();
    for ((item, _), verdict) in with_facts.iter().zip(verdicts) {
        match verdict {
            SetVerdict::Keep(facts) => kept.push(Item { input: item.digest, facts, ..(*item).clone() }),
            SetVerdict::Drop { reason, of, distance } => {
                let of = of.map(|position| with_facts[position].0.photo.path.clone());
                rejections.push(rejection(item, &reason, of, distance));
            }
        }
    }
    Ok(Manifest::new(kept, rejections))
}
