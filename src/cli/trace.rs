//! `trace`: where a picture comes from, stage by stage, back to its photo.

use std::path::PathBuf;

use catgen_api::Item;
use serde_json::json;

use super::{Context, locate::locate, output};
use crate::{
    Project, Result,
    lineage::{self, Step},
    run::source,
};

/// Go back from a picture to its photo: every stage on the way, with its parameters and the values it drew
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A file in a stage's folder
    file: PathBuf,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    let project = context.project(&[])?;
    let (stage, name) = locate(&project, &args.file)?;
    let item = find(&project, stage, &name)?;
    let steps = lineage::trace(&project, stage, &item);
    for step in &steps {
        if context.json {
            let Item { name, digest, width, height, facts, photo, .. } = &step.item;
            let made_with: serde_json::Map<_, _> =
                made_with(&project, step).into_iter().map(|(name, value)| (name, value.into())).collect();
            output::json(&json!({
                "stage": project.pipeline.stages[step.stage].name, "name": name, "path": path(&project, step), "digest": digest,
                "width": width, "height": height, "photo": photo.path, "facts": facts, "made_with": made_with,
            }));
        } else {
            show(&project, step);
        }
    }
    let last = &steps[steps.len() - 1];
    if project.pipeline.stages[last.stage].from.is_some() {
        if item.photo.path.is_empty() {
            say!("{name} is made from all pictures that {} reads", project.pipeline.stages[stage].name);
        } else {
            say!("what came before changed since: `catgen-pipe run` brings it up to date");
        }
    }
    Ok(())
}

/// The item of that name in what the stage put out.
fn find(project: &Project, stage: usize, name: &str) -> Result<Item> {
    let manifest = super::inspect::manifest(project, stage)?;
    if let Some(rejection) = manifest.rejections.iter().find(|rejection| rejection.name == name) {
        let what = format!("{name} did not get through {}: {}", project.pipeline.stages[stage].name, rejection.reason);
        return Err(super::usage(what));
    }
    manifest.items.into_iter().find(|item| item.name == name).ok_or_else(|| crate::Error::Usage {
        what: format!("{} put out no {name}", project.pipeline.stages[stage].name),
        hint: format!("`catgen-pipe inspect {}` lists what it did put out", project.pipeline.stages[stage].short_name()),
    })
}

fn path(project: &Project, step: &Step) -> String {
    let declared = &project.pipeline.stages[step.stage];
    let folder = if declared.from.is_none() { source::folder(project, step.stage) } else { project.workspace.stage_folder(&declared.name) };
    project.workspace.relative(&folder.join(&step.item.name)).to_string()
}

/// What was in the stage's key when it was last finished.
fn made_with(project: &Project, step: &Step) -> Vec<(String, String)> {
    let state = project.states.get(&project.pipeline.stages[step.stage].name);
    state.map_or(Vec::new(), |state| state.components.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

fn show(project: &Project, step: &Step) {
    let item = &step.item;
    let size = if item.width > 0 { format!("  {}×{}", item.width, item.height) } else { String::new() };
    output::line(format!("{}{size}  {}", path(project, step), item.digest.short()));
    let facts: Vec<_> = item.facts.iter().map(|(name, value)| format!("{name}={value}")).collect();
    if !facts.is_empty() {
        output::line(format!("    found: {}", facts.join(" ")));
    }
    let made_with: Vec<_> = made_with(project, step).into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    if !made_with.is_empty() {
        output::line(format!("    by: {}", made_with.join(" ")));
    }
}
