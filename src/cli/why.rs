//! `why`: why a file is as it is, and whether and why `run` would make it again.

use std::path::PathBuf;

use catgen_api::{Item, Manifest, Shape};
use serde_json::json;

use super::{
    Context,
    locate::{locate, origin},
    output,
};
use crate::{Project, Result, decide, lineage, run::source};

/// Say of a file below data/, or of a photo, where it comes from and whether and why it would be made again
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A file in a stage's folder, or a photo
    file: PathBuf,
}

/// What is said of one file.
struct Answer {
    stage: String,
    name: String,
    photo: String,
    /// Why it would be made again, or `None` if it is as it should be.
    reason: Option<String>,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    let project = context.project(&[])?;
    let (stage, name) = locate(&project, &args.file)?;
    let scan = source::scan(&project, origin(&project, stage), &|_, _| Ok(()), &|_| {}, &|_| {})?;
    let mut answers = Vec::new();
    let mut found = false;
    for at in (0..project.pipeline.stages.len()).filter(|at| *at == stage || project.pipeline.stages[stage].from.is_none()) {
        let declared = &project.pipeline.stages[at];
        let Some(state) = project.states.get(&declared.name) else {
            let reason = Some(format!("{} never ran", declared.name));
            answers.push(Answer { stage: declared.name.clone(), name: String::new(), photo: name.clone(), reason });
            continue;
        };
        let Some(manifest) = project.store.manifest(&state.output) else { continue };
        // A photo is asked about everywhere it went, any other file only where it is.
        let is_meant =
            |item_name: &str, photo: &str| if at == stage && declared.from.is_some() { item_name == name } else { photo == name };
        for item in manifest.items.iter().filter(|item| is_meant(&item.name, &item.photo.path)) {
            let reason = reason(&project, at, item, &scan.manifest)?;
            answers.push(Answer { stage: declared.name.clone(), name: item.name.clone(), photo: item.photo.path.clone(), reason });
            found = true;
        }
        for rejection in manifest.rejections.iter().filter(|rejection| is_meant(&rejection.name, &rejection.photo)) {
            let reason = Some(format!("rejected: {}", rejection.reason));
            answers.push(Answer { stage: declared.name.clone(), name: rejection.name.clone(), photo: rejection.photo.clone(), reason });
            found = true;
        }
    }
    if !found {
        let is_photo = project.pipeline.stages[stage].from.is_none() && scan.manifest.items.iter().any(|item| item.name == name);
        let text = if is_photo { "it is new: the next run takes it in" } else { "no run made it: it is not ours, or it was never there" };
        answers.retain(|answer| answer.stage == project.pipeline.stages[stage].name);
        answers.push(Answer {
            stage: project.pipeline.stages[stage].name.clone(),
            name: name.clone(),
            photo: name,
            reason: Some(text.to_owned()),
        });
    }
    show(&project, &answers, context.json);
    Ok(())
}

/// Augmented pictures come by the dozen and all for one reason: the first of each stage stands for the rest.
fn show(project: &Project, answers: &[Answer], json: bool) {
    let mut at = 0;
    while let Some(answer) = answers.get(at) {
        let same = |other: &&Answer| other.stage == answer.stage && other.reason == answer.reason;
        let more = answers[at..].iter().take_while(same).count() - 1;
        if json {
            for answer in &answers[at..=at + more] {
                let Answer { stage, name, photo, reason } = answer;
                output::json(&json!({ "stage": stage, "name": name, "photo": photo, "fresh": reason.is_none(), "reason": reason }));
            }
        } else {
            let file = if answer.name.is_empty() { answer.stage.clone() } else { format!("{}/{}", answer.stage, answer.name) };
            let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
            let made = project.states.get(&answer.stage).map_or(String::new(), |state| format!(", as run {} left it", state.run));
            match &answer.reason {
                None => output::line(format!("{file}{rest}: fresh{made}")),
                Some(reason) => output::line(format!("{file}{rest}: {reason}")),
            }
        }
        at += more + 1;
    }
}

/// The first thing on the way from the photo to this item that is not as it was.
fn reason(project: &Project, stage: usize, item: &Item, photos: &Manifest) -> Result<Option<String>> {
    let photo = &item.photo.path;
    if !photo.is_empty() {
        match photos.items.iter().find(|now| now.photo.path == *photo) {
            None => return Ok(Some(format!("its photo {photo} is gone: it will be removed"))),
            Some(now) if now.digest != item.photo.digest => {
                return Ok(Some(format!("{photo} content changed ({} → {})", item.photo.digest.short(), now.digest.short())));
            }
            Some(_) => {}
        }
    }
    for at in ancestors(project, stage) {
        let Some(state) = project.states.get(&project.pipeline.stages[at].name) else { continue };
        if let Some(difference) = decide::parameters_changed(project, at, state)? {
            return Ok(Some(difference));
        }
    }
    if let Some(difference) = item_inputs_changed(project, stage, item)? {
        return Ok(Some(difference));
    }
    Ok(ancestors(project, stage).find_map(|at| reads_others(project, at)))
}

/// The stage and those it needs, from the photos on.
fn ancestors(project: &Project, stage: usize) -> impl Iterator<Item = usize> {
    project.pipeline.ancestors(stage).into_iter().enumerate().filter(|(_, needed)| *needed).map(|(at, _)| at)
}

/// Whether the stage reads other pictures than when it was last finished: because it reads another stage now, or because the
/// one it reads ran without it. Training notes the dataset it read and not the list of files, and is not asked.
fn reads_others(project: &Project, at: usize) -> Option<String> {
    let stage = &project.pipeline.stages[at];
    let state = project.states.get(&stage.name).filter(|_| stage.shape() != Shape::Train)?;
    let from = &project.pipeline.stages[stage.from?].name;
    match project.states.get(from) {
        None => Some(format!("{} reads {from} now, which never ran", stage.name)),
        Some(read) if !state.has_read(&read.put_out()) => Some(format!("{} reads other pictures than before", stage.name)),
        Some(_) => None,
    }
}

/// What a stage on the way declared for this one item, a decision for instance, may have changed.
fn item_inputs_changed(project: &Project, stage: usize, item: &Item) -> Result<Option<String>> {
    let steps = lineage::trace(project, stage, item);
    for pair in steps.windows(2) {
        let (at, before) = (pair[0].stage, &pair[1].item);
        if project.pipeline.stages[at].shape() == Shape::Item {
            let asked = decide::item(project, at, before)?;
            if asked.known.is_none() {
                let inputs: Vec<_> = asked.inputs.iter().map(|input| format!("{} {}", input.name, input.value)).collect();
                let now = if inputs.is_empty() { "its stored picture is gone".to_owned() } else { format!("now {}", inputs.join(", ")) };
                return Ok(Some(format!("{}: {now}", project.pipeline.stages[at].name)));
            }
        }
    }
    Ok(None)
}
