//! `why`: why a file is as it is, and whether and why `run` would make it again.

use std::path::{Path, PathBuf};

use catgen_api::{Digest, Item, Manifest, Shape};
use serde_json::json;

use super::{Context, output};
use crate::{Error, Project, Result, decide, run::source};

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
        Some(read) if read.output != state.input => Some(format!("{} reads other pictures than before", stage.name)),
        Some(_) => None,
    }
}

/// What a stage on the way declared for this one item, a decision for instance, may have changed.
fn item_inputs_changed(project: &Project, stage: usize, item: &Item) -> Result<Option<String>> {
    let (mut at, mut input): (usize, Digest) = (stage, item.input);
    while let Some(from) = project.pipeline.stages[at].from {
        let before = project.states.get(&project.pipeline.stages[from].name).and_then(|state| project.store.manifest(&state.output));
        let Some(before) =
            before.and_then(|manifest| manifest.items.into_iter().find(|other| other.digest == input && other.photo == item.photo))
        else {
            break;
        };
        if project.pipeline.stages[at].shape() == Shape::Item {
            let asked = decide::item(project, at, &before)?;
            if asked.known.is_none() {
                let inputs: Vec<_> = asked.inputs.iter().map(|input| format!("{} {}", input.name, input.value)).collect();
                let now = if inputs.is_empty() { "its stored picture is gone".to_owned() } else { format!("now {}", inputs.join(", ")) };
                return Ok(Some(format!("{}: {now}", project.pipeline.stages[at].name)));
            }
        }
        (at, input) = (from, before.input);
    }
    Ok(None)
}

/// The first stage on the way to this one.
fn origin(project: &Project, stage: usize) -> usize {
    let mut at = stage;
    while let Some(from) = project.pipeline.stages[at].from {
        at = from;
    }
    at
}

/// Which stage's file this is, and its name there; a bare name is taken for a photo's.
fn locate(project: &Project, file: &Path) -> Result<(usize, String)> {
    let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    // The workspace knows its folder by its real path, a person perhaps by one through a link. The file itself may be a link
    // too, or gone: it keeps its name.
    let real = |path: &Path| Some(path.parent()?.canonicalize().ok()?.join(path.file_name()?));
    let mut candidates = vec![absolute(file), project.workspace.root().join(file)];
    candidates.extend(real(&candidates[0]));
    let mut best: Option<(usize, usize, String)> = None;
    for (stage, declared) in project.pipeline.stages.iter().enumerate() {
        let folder = if declared.from.is_none() { source::folder(project, stage) } else { project.workspace.stage_folder(&declared.name) };
        for candidate in &candidates {
            if let Ok(below) = candidate.strip_prefix(&folder) {
                let name = below.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/");
                let depth = folder.components().count();
                if !name.is_empty() && best.as_ref().is_none_or(|(_, deepest, _)| depth > *deepest) {
                    best = Some((stage, depth, name));
                }
            }
        }
    }
    if let Some((stage, _, name)) = best {
        return Ok((stage, name));
    }
    let source = project.pipeline.stages.iter().position(|stage| stage.from.is_none());
    match source {
        Some(source) if file.is_relative() => Ok((source, file.to_string_lossy().replace('\\', "/"))),
        _ => Err(Error::Usage {
            what: format!("{} is in no folder of this pipeline", file.display()),
            hint: "name a file below data/, or a photo as it is called below 0.ORIGINAL".to_owned(),
        }),
    }
}
