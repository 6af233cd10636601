//! The pictures of a stage: a grid that makes only what is in sight, so that 76,000 are as smooth as 76.

use std::sync::Arc;

use axum::{
    extract::{Query, State},
    response::Response,
};
use catgen_api::{Item, Manifest, Rejection, Shape};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Desk,
    desk::away,
    page::{self, number, stage_name},
    thumbs::encoded,
};
use crate::{Project, error::Result};

/// How many items a script may ask for at once.
const MOST: usize = 500;

/// What is shown of a stage.
#[derive(Deserialize, Clone, Default)]
pub(super) struct Ask {
    #[serde(default)]
    stage: Option<String>,
    /// `kept`, `rejected` or `flagged`.
    #[serde(default)]
    show: Option<String>,
    /// Only what contains this in its name, its photo's or its facts, such as a transform.
    #[serde(default)]
    find: Option<String>,
    #[serde(default)]
    from: usize,
    #[serde(default)]
    count: usize,
    /// Not those that follow each other but as many from all over the stage.
    #[serde(default)]
    spread: bool,
}

/// One tile: something that a stage kept or rejected.
enum Tile<'a> {
    Kept(&'a Item),
    Rejected(&'a Rejection),
}

pub(super) async fn page(State(desk): State<Arc<Desk>>, Query(ask): Query<Ask>) -> Response {
    let at = Arc::clone(&desk);
    match away(move || content(&at, &ask)).await {
        Ok(content) => page::page(&desk, "Gallery", &["/gallery.js"], content),
        Err(error) => page::error(&error),
    }
}

/// Tiles from a position on, and how many there are.
pub(super) async fn items(State(desk): State<Arc<Desk>>, Query(ask): Query<Ask>) -> Response {
    let work = move || -> Result<Value> {
        let project = desk.project()?;
        let stage = chosen(&desk, &project, &ask)?;
        let manifest = desk.manifest(&project, stage).unwrap_or_default();
        let tiles = select(&manifest, &ask);
        let count = ask.count.min(MOST);
        let shown: Vec<Value> = if ask.spread {
            let step = tiles.len().div_ceil(count.max(1)).max(1);
            tiles.iter().step_by(step).map(tile).collect()
        } else {
            tiles.iter().skip(ask.from).take(count).map(tile).collect()
        };
        Ok(json!({ "total": tiles.len(), "from": ask.from, "items": shown }))
    };
    page::answer(away(work).await)
}

/// The stage asked for, or the last whose pictures a person would want to see first.
fn chosen(desk: &Desk, project: &Project, ask: &Ask) -> Result<usize> {
    match ask.stage.as_deref().filter(|name| !name.is_empty()) {
        Some(name) => desk.stage(project, name),
        None => {
            let stages = &project.pipeline.stages;
            let shown =
                |at: &usize| matches!(stages[*at].shape(), Shape::Item | Shape::Set) && project.states.get(&stages[*at].name).is_some();
            Ok((0..stages.len()).rev().find(shown).unwrap_or(0))
        }
    }
}

fn select<'a>(manifest: &'a Manifest, ask: &Ask) -> Vec<Tile<'a>> {
    let find = ask.find.as_deref().map(str::trim).filter(|find| !find.is_empty()).map(str::to_lowercase);
    let contains = |text: &str| find.as_ref().is_none_or(|find| text.to_lowercase().contains(find));
    let facts = |item: &Item| find.is_some() && contains(&serde_json::to_string(&item.facts).unwrap_or_default());
    if ask.show.as_deref() == Some("rejected") {
        let is_meant = |rejection: &&Rejection| contains(&rejection.name) || contains(&rejection.photo) || contains(&rejection.kind);
        return manifest.rejections.iter().filter(is_meant).map(Tile::Rejected).collect();
    }
    let only_flagged = ask.show.as_deref() == Some("flagged");
    // Files of a packed dataset have no size: they are no pictures.
    let items = manifest.items.iter().filter(|item| item.width > 0 && (!only_flagged || !flags(item).is_empty()));
    items.filter(|item| contains(&item.name) || contains(&item.photo.path) || facts(item)).map(Tile::Kept).collect()
}

pub(super) fn flags(item: &Item) -> Vec<&str> {
    let flags = item.facts.get("flags").and_then(Value::as_array);
    flags.map_or_else(Vec::new, |flags| flags.iter().filter_map(Value::as_str).collect())
}

fn tile(tile: &Tile<'_>) -> Value {
    match tile {
        Tile::Kept(item) => json!({ "name": item.name, "digest": item.digest, "size": [item.width, item.height], "flags": flags(item) }),
        // What was rejected is shown as the stage before put it out; a photo that was never readable has no picture.
        Tile::Rejected(rejection) => {
            json!({ "name": rejection.name, "input": rejection.input, "rejected": rejection.kind, "reason": rejection.reason, "of": rejection.of })
        }
    }
}

fn content(desk: &Desk, ask: &Ask) -> Result<Markup> {
    let project = desk.project()?;
    let stage = chosen(desk, &project, ask)?;
    let declared = &project.pipeline.stages[stage];
    let finished = project.states.get(&declared.name);
    let before = declared.from.map(|from| project.pipeline.stages[from].name.as_str()).unwrap_or_default();
    let show = ask.show.as_deref().unwrap_or("kept");
    let transforms = transforms(&project, stage);
    Ok(html! {
        h1 { (stage_name(&declared.name)) }
        form.bar method="get" action="/gallery" role="search" {
            label { "Stage "
                select name="stage" {
                    @for (at, other) in project.pipeline.stages.iter().enumerate().filter(|(_, other)| !matches!(other.shape(), Shape::Train | Shape::Pack)) {
                        option value=(other.name) selected[at == stage] { (other.name) }
                    }
                }
            }
            label { "Show "
                select name="show" {
                    @for (value, word) in [("kept", "what goes on"), ("flagged", "flagged"), ("rejected", "rejected")] {
                        option value=(value) selected[value == show] { (word) }
                    }
                }
            }
            label { "Find "
                input type="search" name="find" value=(ask.find.as_deref().unwrap_or_default()) placeholder="name, photo or transform" list=[(!transforms.is_empty()).then_some("transforms")];
            }
            @if !transforms.is_empty() { datalist id="transforms" { @for transform in &transforms { option value=(transform) {} } } }
            button { "Show" }
        }
        @match finished {
            None => p { "This stage never ran. " a href="/" { "Run it" } " and its pictures are here." },
            Some(state) => {
                p #count .quiet role="status" { (number(if show == "rejected" { state.rejections } else { state.items })) @if show == "rejected" { " rejected" } @else { " pictures" } }
                div #grid role="list" aria-label={ "Pictures of " (declared.name) } data-stage=(declared.name) data-before=(before)
                    data-show=(show) data-find=(ask.find.as_deref().unwrap_or_default()) data-page={ "/picture?stage=" (encoded(&declared.name)) } {}
            }
        }
    })
}

/// The transforms that pictures of this stage may have gone through, which their names tell: its own or those of the nearest before it.
fn transforms(project: &Project, stage: usize) -> Vec<String> {
    let way = std::iter::successors(Some(stage), |at| project.pipeline.stages[*at].from);
    let own = |at: usize| project.pipeline.stages[at].params.iter().find(|(name, _)| *name == "transforms").map(|(_, value)| value);
    let words = way.filter_map(own).find_map(Value::as_array);
    words.map_or_else(Vec::new, |words| words.iter().filter_map(Value::as_str).map(str::to_owned).collect())
}
