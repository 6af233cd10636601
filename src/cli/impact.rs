//! `impact`: what came of a photo in every stage.

use std::path::PathBuf;

use catgen_api::Shape;
use serde_json::json;

use super::{Context, locate::locate, output};
use crate::{
    Error, Result,
    lineage::{self, Reach},
};

/// Go forward from a photo to everything that was made from it
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A photo, as it is called below 0.ORIGINAL, or any file made from it
    photo: PathBuf,
    /// List every file instead of counting them
    #[arg(long)]
    all: bool,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    let project = context.project(&[])?;
    let (stage, name) = locate(&project, &args.photo)?;
    // A file made from a photo means that photo.
    let made = lineage::finished(&project, stage).and_then(|(_, manifest)| manifest.items.into_iter().find(|item| item.name == name));
    let photo = made.map_or(name, |item| item.photo.path.clone());
    let reached = lineage::impact(&project, &photo);
    if reached.is_empty() {
        return Err(Error::Usage {
            what: format!("nothing was made from {photo}"),
            hint: "`catgen-pipe why` says whether the next run takes it in".to_owned(),
        });
    }
    for Reach { stage, items, rejections } in &reached {
        let declared = &project.pipeline.stages[*stage].name;
        for item in items.iter().filter(|_| context.json) {
            output::json(&json!({ "stage": declared, "name": item.name, "digest": item.digest, "facts": item.facts }));
        }
        for rejection in rejections.iter().filter(|_| context.json) {
            output::json(&json!({ "stage": declared, "name": rejection.name, "rejected": rejection.kind, "reason": rejection.reason }));
        }
        if context.json {
            continue;
        }
        let shown = if args.all { items.len() } else { items.len().min(1) };
        for item in &items[..shown] {
            let facts: Vec<_> = item.facts.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let more = if shown < items.len() { format!(" and {} more", items.len() - shown) } else { String::new() };
            output::line(format!("{declared}/{}{more}  {}", item.name, facts.join(" ")).trim_end());
        }
        for rejection in rejections {
            output::line(format!("{declared}/{}: rejected: {}", rejection.name, rejection.reason));
        }
    }
    let trained = project.pipeline.stages.iter().filter(|stage| stage.shape() == Shape::Train);
    let trained = trained.filter(|stage| {
        let Some(from) = stage.from.and_then(|export| project.pipeline.stages[export].from) else { return false };
        reached.iter().any(|reach| reach.stage == from && !reach.items.is_empty()) && project.states.get(&stage.name).is_some()
    });
    for stage in trained {
        let folder = project.states.get(&stage.name).and_then(|state| state.folder.clone()).unwrap_or_default();
        if context.json {
            output::json(&json!({ "stage": stage.name, "folder": folder }));
        } else {
            output::line(format!("{}: trained with it in {folder}", stage.name));
        }
    }
    Ok(())
}
