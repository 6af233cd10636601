//! Review: a person looks at the pictures of a `verify` stage and decides, by keyboard.
//!
//! Every decision is a line in the stage's decisions file, flushed to the disk before the answer is sent, and keyed by the content of the
//! picture: the same file and the same words as `catgen-pipe verify`.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Query, State},
    response::Response,
};
use catgen_api::Digest;
use catgen_verify::decisions::{self, Choice, Decision};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Desk, desk::away, gallery::flags, page};
use crate::{Error, Project, error::Result, record};

#[derive(Deserialize)]
pub(super) struct Ask {
    #[serde(default)]
    stage: Option<String>,
}

pub(super) async fn page(State(desk): State<Arc<Desk>>, Query(ask): Query<Ask>) -> Response {
    let at = Arc::clone(&desk);
    match away(move || content(&at, &ask)).await {
        Ok(content) => page::page(&desk, "Review", &["/review.js"], content),
        Err(error) => page::error(&error),
    }
}

/// Everything there is to look at: flagged first, then by name; what was decided about each.
pub(super) async fn list(State(desk): State<Arc<Desk>>, Query(ask): Query<Ask>) -> Response {
    let work = move || -> Result<Value> {
        let project = desk.project()?;
        let Some(stage) = chosen(&desk, &project, &ask)? else { return Ok(json!({ "items": [] })) };
        let decided = load(&project, stage)?;
        let before = project.pipeline.stages[stage].from.unwrap_or(stage);
        let manifest = desk.manifest(&project, stage).unwrap_or_default();
        let read = desk.manifest(&project, before).unwrap_or_default();
        let inputs: std::collections::HashMap<Digest, &catgen_api::Item> = read.items.iter().map(|item| (item.digest, item)).collect();
        let word = |digest: &Digest, photo: Option<&Digest>| {
            let decision = decided.get(digest).or_else(|| photo.and_then(|photo| decided.get(photo)));
            decision.map(|decision| decision.decision.word())
        };
        let kept = manifest.items.iter().map(|item| {
            json!({
                "name": item.name, "digest": item.input, "size": [item.width, item.height],
                "photo": item.photo.digest, "photo_name": item.photo.path, "photo_size": item.photo.size,
                "window": inputs.get(&item.input).and_then(|input| input.facts.get("window")),
                "flags": flags(item), "why": item.facts.get("flag_text"), "decision": word(&item.input, Some(&item.photo.digest)),
            })
        });
        let stopped = manifest.rejections.iter().filter_map(|rejection| {
            let input = rejection.input?;
            let item = inputs.get(&input)?;
            Some(json!({
                "name": item.name, "digest": input, "size": [item.width, item.height],
                "photo": item.photo.digest, "photo_name": item.photo.path, "photo_size": item.photo.size,
                "window": item.facts.get("window"), "flags": [rejection.reason], "decision": word(&input, Some(&item.photo.digest)),
            }))
        });
        let mut items: Vec<Value> = kept.chain(stopped).collect();
        let is_clean = |item: &Value| item["flags"].as_array().is_none_or(Vec::is_empty);
        items.sort_by(|a, b| (is_clean(a), a["name"].as_str()).cmp(&(is_clean(b), b["name"].as_str())));
        let stages = &project.pipeline.stages;
        let source = stages.iter().position(|stage| stage.from.is_none()).unwrap_or(0);
        Ok(json!({ "stage": stages[stage].name, "before": stages[before].name, "source": stages[source].name, "items": items }))
    };
    page::answer(away(work).await)
}

#[derive(Deserialize)]
pub(super) struct Decide {
    stage: String,
    digest: Digest,
    choice: Choice,
}

/// Takes a decision; the answer comes when it is on the disk.
pub(super) async fn decide(State(desk): State<Arc<Desk>>, Json(ask): Json<Decide>) -> Response {
    let work = move || -> Result<Value> {
        let project = desk.project()?;
        let stage = desk.stage(&project, &ask.stage)?;
        let file = decisions_file(&project, stage).ok_or_else(|| not_for_review(&ask.stage))?;
        let decision =
            Decision { digest: ask.digest, decision: ask.choice, who: std::env::var("USER").unwrap_or_default(), when: record::now() };
        decisions::append(&file, std::slice::from_ref(&decision)).map_err(Error::io("write", &file))?;
        Ok(json!({ "decision": (ask.choice != Choice::Undo).then(|| ask.choice.word()) }))
    };
    page::answer(away(work).await)
}

fn not_for_review(stage: &str) -> Error {
    Error::Usage { what: format!("{stage} is no `verify` stage: there is nothing to decide"), hint: String::new() }
}

/// The stage asked for, or the only one there is to choose.
fn chosen(desk: &Desk, project: &Project, ask: &Ask) -> Result<Option<usize>> {
    match ask.stage.as_deref().filter(|name| !name.is_empty()) {
        Some(name) => {
            let stage = desk.stage(project, name)?;
            if decisions_file(project, stage).is_some() { Ok(Some(stage)) } else { Err(not_for_review(name)) }
        }
        None => Ok((0..project.pipeline.stages.len()).find(|stage| decisions_file(project, *stage).is_some())),
    }
}

/// The file of the stage's decisions, if it is a `verify` stage.
fn decisions_file(project: &Project, stage: usize) -> Option<std::path::PathBuf> {
    let declared = &project.pipeline.stages[stage];
    let is_verify = declared.entry.kind.name == catgen_verify::KIND.name;
    let file = declared.params.iter().find(|(name, _)| *name == "decisions").and_then(|(_, value)| value.as_str());
    is_verify.then(|| project.workspace.root().join(file.unwrap_or("data/decisions.jsonl")))
}

fn load(project: &Project, stage: usize) -> Result<decisions::Decisions> {
    let file = decisions_file(project, stage).unwrap_or_default();
    decisions::load(&file)
        .map_err(|error| Error::Usage { what: error.to_string(), hint: "correct or delete that line; the others are kept".to_owned() })
}

fn content(desk: &Desk, ask: &Ask) -> Result<Markup> {
    let project = desk.project()?;
    let Some(stage) = chosen(desk, &project, ask)? else {
        return Ok(html! {
            h1 { "Review" }
            p { "The pipeline has no `verify` stage. Add one to pipeline.toml where pictures should be looked at." }
        });
    };
    let name = &project.pipeline.stages[stage].name;
    let others: Vec<&str> = (0..project.pipeline.stages.len())
        .filter(|other| *other != stage && decisions_file(&project, *other).is_some())
        .map(|other| project.pipeline.stages[other].name.as_str())
        .collect();
    if project.states.get(name).is_none() {
        return Ok(html! { h1 { "Review" } p { (name) " never ran. " a href="/" { "Run it" } " and its pictures wait here." } });
    }
    Ok(html! {
        div.title {
            h1 { "Review of " (page::stage_name(name)) }
            @if !others.is_empty() {
                p { "Also: " @for other in others { a href={ "/review?stage=" (super::thumbs::encoded(other)) } { (other) } " " } }
            }
        }
        div #review data-stage=(name) {
            div.status {
                progress #done max="1" value="0" aria-label="Decided" {}
                p #left role="status" { "Loading…" }
            }
            figure {
                div #stage {
                    div #frame .board {
                        img #shown alt="";
                        div #over hidden { img #photo alt=""; }
                        span #divider hidden {}
                    }
                }
                figcaption { strong #decision {} " " span #name {} " " span #flags {} }
            }
            label #sliderlabel hidden { "Photo" input #slider type="range" min="0" max="100" value="50" aria-label="How much of the photo is shown over the picture"; "Picture" }
            div.bar.decide {
                button.keep type="button" data-do="keep" { "Keep " kbd { "K" } }
                button.reject type="button" data-do="reject" { "Reject " kbd { "X" } }
                button type="button" data-do="undo" { "Undo " kbd { "U" } }
            }
            div.bar.move {
                button type="button" data-do="previous" { "Back " kbd { "←" } }
                button type="button" data-do="next" { "On " kbd { "→" } }
                button type="button" data-do="flagged" { "Next flagged " kbd { "F" } }
                button type="button" data-do="zoom" aria-pressed="false" { "Zoom " kbd { "Z" } }
                button type="button" data-do="photo" aria-pressed="false" { "Against the photo " kbd { "B" } }
            }
            p #finished.note hidden { "Everything is decided. " a href="/" { "Run" } " and it is obeyed." }
            p.quiet { "Every decision is on the disk before the next picture shows. The next run obeys." }
        }
    })
}
