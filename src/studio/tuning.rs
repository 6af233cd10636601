//! Tuning: change a stage's parameters, see what it makes of a few photos with them, and write them into `pipeline.toml`.
//!
//! The form is made of what the stage's kind declares, before and after come from [`crate::preview`], and what is applied goes through the
//! parser of every command before it replaces the file: whole, with its comments, or not at all.

mod edit;

use std::{
    collections::{BTreeMap, VecDeque},
    fs,
    io::Write,
    path::{Path as FilePath, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Json,
    extract::{Path, Query, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use catgen_api::{Digest, Param, ParamKind, Picture, Shape};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};

use self::edit::{Change, edit};
use super::{Desk, desk::away, page};
use crate::{
    Error, Project,
    error::Result,
    pipeline::{Override, Stage},
    preview::{self, Preview, Shown},
    registry::STAGES,
    tools::Tools,
};

/// Photos that are tried.
const PHOTOS: [usize; 3] = [4, 8, 16];

/// Pictures of one photo, where a stage makes many.
const OUTPUTS: usize = 4;

/// Pictures of previews that are kept in memory: those of some tries.
const KEPT: usize = 400;

/// Pictures that were worked out for a page and are in no store.
#[derive(Default)]
pub(super) struct Previews(Mutex<VecDeque<(Digest, Arc<Vec<u8>>)>>);

impl Previews {
    /// Keeps a picture for the page to fetch; answers its address.
    fn add(&self, picture: &Picture) -> String {
        self.add_file(catgen_picture::encode_png(picture))
    }

    /// The same of a PNG file.
    pub(super) fn add_file(&self, bytes: Vec<u8>) -> String {
        let digest = Digest::of(&bytes);
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(known, _)| *known != digest);
        kept.push_back((digest, Arc::new(bytes)));
        if kept.len() > KEPT {
            kept.pop_front();
        }
        format!("/preview/{digest}")
    }

    fn get(&self, digest: &Digest) -> Option<Arc<Vec<u8>>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().find(|(known, _)| known == digest).map(|(_, bytes)| Arc::clone(bytes))
    }
}

/// A picture of a preview.
pub(super) async fn picture(State(desk): State<Arc<Desk>>, Path(digest): Path<Digest>) -> Response {
    match desk.previews.get(&digest) {
        Some(bytes) => {
            ([(header::CONTENT_TYPE, "image/png"), (header::CACHE_CONTROL, "private, max-age=3600, immutable")], bytes.as_ref().clone())
                .into_response()
        }
        None => (StatusCode::NOT_FOUND, "there is no such picture any more").into_response(),
    }
}

#[derive(Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    stage: Option<String>,
}

pub(super) async fn page(State(desk): State<Arc<Desk>>, Query(asked): Query<Asked>) -> Response {
    let at = Arc::clone(&desk);
    match away(move || content(&at, asked.stage.as_deref())).await {
        Ok(content) => page::page(&desk, "Tuning", &["/tuning.js"], content),
        Err(error) => page::error(&error),
    }
}

/// Whether there is a before and after to look at.
fn can_be_tuned(stage: &Stage) -> bool {
    matches!(stage.shape(), Shape::Item | Shape::Set) && !stage.entry.kind.params.is_empty()
}

fn content(desk: &Desk, wanted: Option<&str>) -> Result<Markup> {
    let project = desk.project()?;
    let stages = &project.pipeline.stages;
    let at = match wanted {
        Some(name) => desk.stage(&project, name)?,
        None => match stages.iter().position(can_be_tuned) {
            Some(at) => at,
            None => {
                return Ok(
                    html! { h1 { "Tuning" } p { "The pipeline has no stage that changes pictures. Add one to pipeline.toml: " code { "catgen-pipe stages" } " lists what there is." } },
                );
            }
        },
    };
    let stage = &stages[at];
    let undo = undone(desk, &project.pipeline_text).is_some();
    Ok(html! {
        h1 { "Tuning" }
        form .bar method="get" action="/tuning" {
            label { "Stage " select name="stage" #of-stage { @for other in stages.iter().filter(|stage| can_be_tuned(stage)) { option selected[other.name == stage.name] { (other.name) } } } }
            button type="submit" { "Show" }
            span.quiet { (stage.entry.kind.name) ": " (stage.entry.kind.summary) }
        }
        div #tuning data-stage=(stage.name) data-base=(Digest::of(project.pipeline_text.as_bytes())) {
            form #params autocomplete="off" {
                div.bar.top {
                    button type="submit" #apply .primary { "Apply" }
                    button type="button" #back { "As it is set" }
                    button type="button" #undo disabled[!undo] { "Undo the last apply" }
                }
                p.quiet { "Apply writes pipeline.toml and keeps its comments; the next run makes again what that changes. Until then nothing is stored." }
                @for param in stage.entry.kind.params {
                    @let value = stage.params.iter().find(|(name, _)| *name == param.name).map(|(_, value)| value.clone()).unwrap_or_default();
                    (field(param, &value, stage.varied.iter().any(|name| name == param.name)))
                }
            }
            section aria-labelledby="seen" {
                div.bar { h2 #seen { "Before and after" } label { "Photos " select #count { @for count in PHOTOS { option selected[count == 8] { (count) } } } } span #state role="status" {} }
                pre #mistake .words role="alert" hidden {}
                div #shown {}
            }
        }
    })
}

/// A parameter's label, control, limits and one line about it.
fn field(param: &Param, value: &Value, is_varied: bool) -> Markup {
    let (id, help) = (format!("p-{}", param.name), format!("h-{}", param.name));
    let plain = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let default = param.default_value();
    let written = |value: &Value| if let Value::String(text) = value { text.clone() } else { value.to_string() };
    let limits = match param.kind {
        ParamKind::Whole { min, max, .. } => format!("{min} to {max}; "),
        ParamKind::Number { min, max, .. } => format!("{min} to {max}; "),
        ParamKind::Range { min, max, .. } => format!("[low, high] in {min} to {max}; "),
        ParamKind::Table => "{ key = value }; ".to_owned(),
        ParamKind::Texts => "[\"…\", \"…\"]; ".to_owned(),
        _ => String::new(),
    };
    html! {
        div.param.changed[default != *value] {
            @match param.kind {
                ParamKind::Words { of, .. } => {
                    fieldset data-name=(param.name) data-was=(plain) aria-describedby=(help) disabled[is_varied] {
                        legend { (param.name) }
                        @for word in of {
                            @let is_on = value.as_array().is_some_and(|words| words.iter().any(|other| other == word));
                            label { input type="checkbox" value=(word) checked[is_on]; " " (word) }
                        }
                    }
                }
                _ => {
                    label for=(id) { (param.name) }
                    @match param.kind {
                        ParamKind::Flag(_) => { input id=(id) type="checkbox" data-name=(param.name) data-was=(plain) checked[*value == true] disabled[is_varied] aria-describedby=(help); }
                        ParamKind::Choice { of, .. } => {
                            select id=(id) data-name=(param.name) data-was=(plain) disabled[is_varied] aria-describedby=(help) { @for word in of { option selected[value == word] { (word) } } }
                        }
                        ParamKind::Whole { min, max, .. } => {
                            input id=(id) type="number" step="1" min=(min) max=(max) value=(plain) data-name=(param.name) data-was=(plain) disabled[is_varied] aria-describedby=(help);
                        }
                        ParamKind::Number { min, max, .. } => {
                            input id=(id) type="number" step="any" min=(min) max=(max) value=(plain) data-name=(param.name) data-was=(plain) disabled[is_varied] aria-describedby=(help);
                        }
                        _ => { input id=(id) type="text" value=(plain) data-name=(param.name) data-was=(plain) disabled[is_varied] aria-describedby=(help) spellcheck="false"; }
                    }
                }
            }
            p.quiet id=(help) {
                (param.doc) " (" (limits) "default " code { (written(&default)) } ")"
                @if is_varied { ". Varied by this stage's " code { "matrix" } ": change it there." }
            }
        }
    }
}

/// What a page sends: the stage, and what was typed for each parameter that differs.
#[derive(Deserialize)]
pub(super) struct Try {
    stage: String,
    changes: BTreeMap<String, String>,
    /// The digest of `pipeline.toml` as the page knows it.
    base: Digest,
    #[serde(default)]
    count: usize,
}

/// What the stage makes of a few photos, as it is set and as it would be.
pub(super) async fn look(State(desk): State<Arc<Desk>>, Json(ask): Json<Try>) -> Response {
    page::answer(away(move || seen(&desk, &ask)).await)
}

/// The project as it is, the stage, and the changes; an error if the file is not the one that the page knows.
fn of(desk: &Desk, ask: &Try) -> Result<(Project, usize, Vec<Change>)> {
    let project = desk.project()?;
    if Digest::of(project.pipeline_text.as_bytes()) != ask.base {
        return Err(Error::Usage {
            what: "pipeline.toml was changed since this page was made".to_owned(),
            hint: "load the page again: it then shows what is set now".to_owned(),
        });
    }
    let stage = desk.stage(&project, &ask.stage)?;
    let changes = ask.changes.iter().map(|(name, typed)| (name.clone(), typed.clone())).collect();
    Ok((project, stage, changes))
}

/// The project with the changes, which the parser took.
fn tried(desk: &Desk, project: &Project, stage: usize, changes: &[Change]) -> Result<Project> {
    let Stage { name, declared, entry, .. } = &project.pipeline.stages[stage];
    edit(&project.pipeline_text, declared, changes)?;
    let param = |key: &str| entry.kind.params.iter().find(|param| param.name == key);
    let overrides = changes.iter().map(|change| {
        let text = edit::assignment(name, param(&change.0), change);
        Override::parse(&text).map_err(|what| Error::Usage { what, hint: String::new() })
    });
    let tried = Project::open(desk.workspace().clone(), overrides.collect::<Result<_>>()?, STAGES, Tools::find())?;
    // What only the stage itself can tell: a colour that is none, a model that is not there.
    tried.node(stage)?;
    Ok(tried)
}

fn seen(desk: &Desk, ask: &Try) -> Result<Value> {
    let (project, stage, changes) = of(desk, ask)?;
    let count = ask.count.clamp(1, PHOTOS[PHOTOS.len() - 1]);
    let now = preview::preview(&project, stage, count, OUTPUTS)?;
    let then =
        if changes.is_empty() { None } else { Some(preview::preview(&tried(desk, &project, stage, &changes)?, stage, count, OUTPUTS)?) };
    Ok(match (now, then) {
        (Preview::Photos { shown: now, stopped }, then) => {
            let then = if let Some(Preview::Photos { shown, .. }) = then { Some(shown) } else { None };
            let rows: Vec<Value> = now.iter().map(|photo| row(desk, photo, then.as_deref())).collect();
            let stopped: Vec<Value> =
                stopped.into_iter().map(|(photo, stage, reason)| json!({ "photo": photo, "stage": stage, "reason": reason })).collect();
            json!({ "photos": rows, "stopped": stopped })
        }
        (Preview::Groups { photos, dropped, groups }, then) => {
            let (groups, then) = match then {
                Some(Preview::Groups { dropped, groups, .. }) => (groups, Some(dropped)),
                _ => (groups, None),
            };
            let picture = |picture: &Picture| desk.previews.add(picture);
            let groups: Vec<Value> = groups
                .iter()
                .map(|group| {
                    let dropped: Vec<Value> = group
                        .dropped
                        .iter()
                        .map(|(name, shown, why)| json!({ "photo": name, "picture": picture(shown), "why": why }))
                        .collect();
                    json!({ "kept": group.kept.0, "picture": picture(&group.kept.1), "dropped": dropped })
                })
                .collect();
            json!({ "all": photos, "dropped_now": dropped, "dropped_then": then, "groups": groups })
        }
    })
}

/// A photo as it comes to the stage, what becomes of it as things are set, and with what is tried.
fn row(desk: &Desk, photo: &Shown, then: Option<&[Shown]>) -> Value {
    let after = |shown: &Shown| match &shown.after {
        Ok(after) => {
            let pictures = after.iter().map(
                |after| json!({ "picture": desk.previews.add(&after.picture), "tag": after.tag, "size": after.size, "facts": after.facts }),
            );
            json!({ "pictures": pictures.collect::<Vec<_>>() })
        }
        Err(reason) => json!({ "rejected": reason.kind, "reason": reason.text }),
    };
    let then = then.map(|then| {
        let same = then.iter().find(|other| other.photo == photo.photo);
        same.map_or_else(|| json!({ "rejected": "stopped before", "reason": "it no longer comes to this stage" }), after)
    });
    json!({ "photo": photo.photo, "before": desk.previews.add(&photo.before), "now": after(photo), "then": then })
}

/// Writes the changes into `pipeline.toml`.
pub(super) async fn apply(State(desk): State<Arc<Desk>>, Json(ask): Json<Try>) -> Response {
    let work = move || -> Result<Value> {
        let (project, stage, changes) = of(&desk, &ask)?;
        tried(&desk, &project, stage, &changes)?;
        let text = edit(&project.pipeline_text, &project.pipeline.stages[stage].declared, &changes)?;
        if text != project.pipeline_text {
            let before = json!({ "before": project.pipeline_text, "written": Digest::of(text.as_bytes()) });
            crate::cache::write_whole(&undo_file(&desk), before.to_string().as_bytes())?;
            replace(&desk.workspace().pipeline_file(), &text)?;
        }
        Ok(json!({ "applied": text != project.pipeline_text }))
    };
    page::answer(away(work).await)
}

/// Takes the last apply back, if nobody changed the file since.
pub(super) async fn undo(State(desk): State<Arc<Desk>>) -> Response {
    let work = move || -> Result<Value> {
        let file = desk.workspace().pipeline_file();
        let text = fs::read_to_string(&file).map_err(Error::io("read", &file))?;
        let before = undone(&desk, &text).ok_or_else(|| Error::Usage {
            what: "there is nothing to undo, or pipeline.toml was changed since by somebody else".to_owned(),
            hint: "change it by hand".to_owned(),
        })?;
        replace(&file, &before)?;
        let note = undo_file(&desk);
        fs::remove_file(&note).map_err(Error::io("delete", &note))?;
        Ok(json!({ "undone": true }))
    };
    page::answer(away(work).await)
}

fn undo_file(desk: &Desk) -> PathBuf {
    desk.workspace().store().join("studio/undo.json")
}

/// What was there before the last apply, if the file's text is still what that wrote.
fn undone(desk: &Desk, text: &str) -> Option<String> {
    let note: Value = serde_json::from_slice(&fs::read(undo_file(desk)).ok()?).ok()?;
    let is_ours = note["written"] == json!(Digest::of(text.as_bytes()));
    note["before"].as_str().filter(|_| is_ours).map(str::to_owned)
}

/// Replaces a file's text at once or not at all; its permissions stay, and a link to it stays a link.
fn replace(file: &FilePath, text: &str) -> Result<()> {
    let write = || -> std::io::Result<()> {
        let file = file.canonicalize()?;
        let mut part = tempfile::NamedTempFile::new_in(file.parent().unwrap_or(&file))?;
        part.write_all(text.as_bytes())?;
        part.as_file().set_permissions(fs::metadata(&file)?.permissions())?;
        part.as_file().sync_data()?;
        part.persist(&file)?;
        Ok(())
    };
    write().map_err(Error::io("write", file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_with_its_permissions_and_behind_its_link() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("real.toml");
        fs::write(&file, "old").unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::{PermissionsExt, symlink};
            fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
            let link = folder.path().join("pipeline.toml");
            symlink(&file, &link).unwrap();
            replace(&link, "new").unwrap();
            assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
            assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
        }
        replace(&file, "new").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        assert!(replace(&folder.path().join("nowhere/x.toml"), "new").is_err());
    }

    #[test]
    fn every_parameter_of_every_kind_has_a_labelled_control() {
        for entry in STAGES {
            for param in entry.kind.params {
                let drawn = field(param, &param.default_value(), false).into_string();
                let is_labelled = drawn.contains(&format!("<label for=\"p-{}\"", param.name))
                    || drawn.contains(&format!("<legend>{}</legend>", param.name));
                assert!(is_labelled && drawn.contains(&format!("data-name=\"{}\"", param.name)), "{}: {drawn}", param.name);
                assert!(drawn.contains(&format!("aria-describedby=\"h-{}\"", param.name)) && !drawn.contains("param changed"), "{drawn}");
            }
        }
    }

    #[test]
    fn pictures_of_previews_are_found_by_digest_until_there_are_too_many() {
        let previews = Previews::default();
        let picture = |level: u32| {
            Picture::Rgb(catgen_picture::RgbImage::from_pixel(2, 2, catgen_picture::Rgb([level as u8, (level >> 8) as u8, 0])))
        };
        let address = previews.add(&picture(0));
        assert_eq!(address, previews.add(&picture(0)));
        let digest: Digest = address.strip_prefix("/preview/").unwrap().parse().unwrap();
        assert!(previews.get(&digest).unwrap().starts_with(b"\x89PNG"));
        (1..=KEPT as u32).for_each(|level| drop(previews.add(&picture(level))));
        assert!(previews.get(&digest).is_none());
    }
}
