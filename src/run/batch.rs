//! Running an item stage that works on many pictures in one go: a barrier, with a cache that is still per picture.

use std::{
    collections::{HashMap, HashSet},
    sync::Mutex,
    time::Instant,
};

use catgen_api::{Batch, BatchItem, Digest, Item, Manifest, Picture, Reason, StageError, Verdict};

use super::{
    Lazy, Made, Product, Run,
    bring::Found,
    items,
    names::{follow, stems},
    settle::{self, rejection_of},
};
use crate::{
    Error,
    cache::actions::Outcome,
    decide::{self, Asked, Freshness},
    error::Result,
    progress::Report,
    registry::Built,
};

/// Items of one key that have to be worked on: the first stands for all.
struct Missing<'a> {
    asked: Asked,
    items: Vec<(&'a Item, String)>,
}

pub(super) fn run(run: &mut Run<'_>, stage: usize) -> Result<Product> {
    let from = run.from(stage);
    let (input, items_in) = (run.shelved(from).id, run.shelved(from).items);
    if run.freshness(stage, &input)? == Freshness::Fresh {
        run.shelve_as_it_was(stage);
        return Ok(Product { stage, input, items_in, made: Made::Nothing, busy: Default::default() });
    }
    let began = Instant::now();
    let manifest = run.manifest(from)?;
    if run.project.shared.is_some() {
        let mut found = Found::default();
        for item in &manifest.items {
            found.note(run.project, stage, &decide::item(run.project, stage, item)?)?;
        }
        found.bring(run.project, &[&run.project.pipeline.stages[stage].name], run.progress)?;
    }
    let mut out = Manifest::default();
    let mut missing: Vec<Missing<'_>> = Vec::new();
    let mut at = HashMap::new();
    let mut reused = 0;
    for (item, stem) in manifest.items.iter().zip(stems(&manifest.items)) {
        let asked = decide::item(run.project, stage, item)?;
        match &asked.known {
            Some(outcome) => reused += take(&mut out, item, &stem, outcome),
            None => {
                let position = *at.entry(asked.key).or_insert(missing.len());
                if position == missing.len() {
                    missing.push(Missing { asked, items: Vec::new() });
                }
                missing[position].items.push((item, stem));
            }
        }
    }
    let mut computed = 0;
    if !missing.is_empty() {
        for (missing, outcome) in missing.iter().zip(work(run, stage, &manifest, &missing)?) {
            for (nth, (item, stem)) in missing.items.iter().enumerate() {
                *(if nth == 0 { &mut computed } else { &mut reused }) += take(&mut out, item, stem, &outcome);
            }
        }
    }
    let made = items::manifest_of(out.items, out.rejections);
    Ok(Product { stage, input, items_in, made: Made::Manifest { listed: made.into(), computed, reused }, busy: began.elapsed() })
}

/// Adds what became of one item; answers how many items that makes.
fn take(out: &mut Manifest, item: &Item, stem: &str, outcome: &Outcome) -> usize {
    match outcome {
        Outcome::Keep(outputs) => {
            out.items.extend(outputs.iter().map(|output| follow(item, stem, output).0));
            outputs.len()
        }
        Outcome::Reject { kind, reason } => {
            out.rejections.push(rejection_of(item, kind.clone(), reason.clone()));
            1
        }
        Outcome::Fact(_) | Outcome::Packed { .. } | Outcome::Training { .. } | Outcome::Trained { .. } => 0,
    }
}

/// Hands all missing items to the stage's code and stores each as soon as it is told of; answers what became of them, in order.
fn work(run: &Run<'_>, stage: usize, manifest: &Manifest, missing: &[Missing<'_>]) -> Result<Vec<Outcome>> {
    let project = &*run.project;
    let name = &project.pipeline.stages[stage].name;
    let broken = |what: String| Error::Stage { stage: name.clone(), what, hint: String::new() };
    let Built::Item(code) = &project.node(stage)?.built else { return Err(broken("it does not work in batches".to_owned())) };
    let Some(batch) = code.batch() else { return Err(broken("it does not work in batches".to_owned())) };
    run.progress.report(Report::Begin { stages: &[name], items: missing.len() });

    let before = project.states.get(name).and_then(|state| project.store.manifest(&state.input)).unwrap_or_default();
    let before: HashMap<&str, Digest> = before.items.iter().map(|item| (item.name.as_str(), item.digest)).collect();
    let now: HashSet<&str> = manifest.items.iter().map(|item| item.name.as_str()).collect();
    let mut removed: Vec<String> = before.keys().filter(|name| !now.contains(*name)).map(|name| (*name).to_owned()).collect();
    removed.sort_unstable();
    let batch_items: Vec<BatchItem<'_>> = missing
        .iter()
        .map(|missing| {
            let (item, _) = missing.items[0];
            let changed = before.get(item.name.as_str()).is_some_and(|digest| *digest != item.digest);
            BatchItem { name: &item.name, digest: item.digest, changed, inputs: &missing.asked.inputs }
        })
        .collect();

    // An error of our own on its way through the stage's code: kept whole, because what the store lost can be made again.
    let own: Mutex<Option<Error>> = Mutex::default();
    let pass = |error: Error| {
        let told = StageError::Broken { what: error.to_string(), hint: String::new() };
        own.lock().expect("no thread panics while it holds this lock").get_or_insert(error);
        told
    };
    let lazy = |at: usize| Lazy::file(project, &run.originals, missing[at].items[0].0.digest);
    let open = |at: usize| -> std::result::Result<std::result::Result<Picture, Reason>, StageError> {
        lazy(at).look(code.working_side(), Clone::clone).map_err(pass)
    };
    let mut outcomes: Vec<Option<Outcome>> = missing.iter().map(|_| None).collect();
    let mut last = Instant::now();
    let mut done = |at: usize, verdict: Verdict| {
        let took = last.elapsed();
        last = Instant::now();
        let Missing { asked, items } = &missing[at];
        let asked = settle::Asked { stage, item: items[0].0, key: &asked.key, inputs: &asked.inputs };
        let (outcome, _) = settle::settle(project, &asked, verdict, took, &lazy(at)).map_err(pass)?;
        outcomes[at] = Some(outcome);
        run.progress.report(Report::Advance(1));
        Ok(())
    };
    let worked = batch.apply_all(&Batch { items: &batch_items, removed: &removed }, &open, &mut done, &|| run.progress.stop_requested());
    if let Some(error) = own.into_inner().ok().flatten() {
        return Err(error);
    }
    worked.map_err(|error| Error::stage(name, error))?;
    if run.progress.stop_requested() {
        return Err(Error::Stopped);
    }
    let silent = outcomes.iter().position(Option::is_none);
    match silent {
        None => Ok(outcomes.into_iter().flatten().collect()),
        Some(at) => Err(broken(format!("it said nothing of {}", missing[at].items[0].0.name))),
    }
}
