//! `compare`: two runs side by side.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Context, output};
use crate::{
    Result,
    cache::Store,
    key::{Components, Difference},
    lineage::{self, Change},
    progress::StageReport,
    record::{self, RunRecord},
};

/// Compare two runs: parameters, pictures in and out of each stage, results of training
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The one: its id, its number, or `last`
    before: String,
    /// The other
    #[arg(default_value = "last")]
    after: String,
}

/// How one stage differs from one run to the other.
struct StageComparison<'a> {
    stage: &'a str,
    before: Option<&'a StageReport>,
    after: Option<&'a StageReport>,
    parameters: Vec<Difference>,
    /// None where the list of one is not there (any more) to be compared.
    pictures: Option<Change>,
    metrics: Vec<(String, Value, Value)>,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    let workspace = context.workspace()?;
    let (before, after) = (record::find(&workspace, &args.before)?, record::find(&workspace, &args.after)?);
    let store = Store::open(&workspace)?;
    let stages = compare(&before, &after, &store);
    if context.json {
        for stage in &stages {
            let items = |report: Option<&StageReport>| report.map(|report| json!({ "in": report.items_in, "out": report.items_out }));
            let metrics: serde_json::Map<_, _> =
                stage.metrics.iter().map(|(name, then, now)| (name.clone(), json!({ "then": then, "now": now }))).collect();
            output::json(&json!({
                "stage": stage.stage, "before": items(stage.before), "after": items(stage.after), "parameters": stage.parameters,
                "pictures": stage.pictures, "metrics": metrics,
            }));
        }
        return Ok(());
    }
    output::line(format!("{} ({}, {}) → {} ({}, {})", before.id, before.started, word(&before), after.id, after.started, word(&after)));
    if before.version != after.version {
        output::line(format!("  program {} → {}", before.version, after.version));
    }
    let changed = stages.iter().filter(|stage| show(stage)).count();
    if changed == 0 {
        output::line("  no difference");
    }
    Ok(())
}

fn word(run: &RunRecord) -> String {
    serde_json::to_value(run.status).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default()
}

fn compare<'a>(before: &'a RunRecord, after: &'a RunRecord, store: &Store) -> Vec<StageComparison<'a>> {
    let reports = |run: &'a RunRecord| run.stages.iter().map(|report| (report.stage.as_str(), report)).collect::<BTreeMap<_, _>>();
    let (then, now) = (reports(before), reports(after));
    let gone = before.stages.iter().filter(|report| !now.contains_key(report.stage.as_str()));
    let manifest = |run: &RunRecord, stage: &str| store.manifest(run.outputs.get(stage)?);
    let none = Components::default();
    after
        .stages
        .iter()
        .chain(gone)
        .map(|report| {
            let stage = report.stage.as_str();
            let made_with = |run: &'a RunRecord| run.made_with.get(stage);
            let parameters = match (made_with(before), made_with(after)) {
                (Some(then), Some(now)) => now.differences(then),
                _ => none.differences(&none),
            };
            let pictures = match (manifest(before, stage), manifest(after, stage)) {
                (Some(then), Some(now)) => Some(lineage::change(&then, &now)),
                _ => None,
            };
            let metrics = metrics(before.metrics.get(stage), after.metrics.get(stage));
            StageComparison { stage, before: then.get(stage).copied(), after: now.get(stage).copied(), parameters, pictures, metrics }
        })
        .collect()
}

/// The numbers that both trainings measured, and those of either.
fn metrics(before: Option<&Value>, after: Option<&Value>) -> Vec<(String, Value, Value)> {
    let table = |value: Option<&Value>| value.and_then(Value::as_object).cloned().unwrap_or_default();
    let (then, now) = (table(before), table(after));
    let names: Vec<String> = now.keys().chain(then.keys().filter(|name| !now.contains_key(*name))).cloned().collect();
    let value = |of: &serde_json::Map<String, Value>, name: &str| of.get(name).cloned().unwrap_or(Value::Null);
    names.into_iter().map(|name| (value(&then, &name), value(&now, &name), name)).map(|(then, now, name)| (name, then, now)).collect()
}

/// Prints what differs in one stage; answers whether anything does.
fn show(stage: &StageComparison<'_>) -> bool {
    let mut lines: Vec<String> = stage.parameters.iter().map(ToString::to_string).collect();
    match (stage.before, stage.after) {
        (Some(then), Some(now)) if (then.items_in, then.items_out) != (now.items_in, now.items_out) => {
            lines.push(format!("{} in, {} out → {} in, {} out", then.items_in, then.items_out, now.items_in, now.items_out));
        }
        (None, Some(_)) => lines.push("only in the second run".to_owned()),
        (Some(_), None) => lines.push("only in the first run".to_owned()),
        _ => {}
    }
    if let Some(Change { added, removed, changed, same }) = stage.pictures
        && added + removed + changed > 0
    {
        lines.push(format!("pictures: {added} added, {removed} removed, {changed} changed, {same} the same"));
    }
    let metrics = stage.metrics.iter().filter(|(_, then, now)| then != now);
    lines.extend(metrics.map(|(name, then, now)| format!("{name} {} → {}", plain(then), plain(now))));
    if lines.is_empty() {
        return false;
    }
    output::line(format!("  {}", stage.stage));
    lines.iter().for_each(|line| output::line(format!("    {line}")));
    true
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
