//! One picture and its way: from the photo through every stage, with parameters and drawn values, and what came of it.

use std::sync::Arc;

use axum::{
    extract::{Query, State},
    response::Response,
};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::Value;

use super::{
    Desk,
    desk::away,
    page,
    thumbs::{address, boxed, encoded},
};
use crate::{Error, Project, error::Result, lineage};

#[derive(Deserialize)]
pub(super) struct Ask {
    stage: String,
    name: String,
}

pub(super) async fn page(State(desk): State<Arc<Desk>>, Query(ask): Query<Ask>) -> Response {
    let at = Arc::clone(&desk);
    match away(move || content(&at, &ask)).await {
        Ok(content) => page::page(&desk, "Picture", &[], content),
        Err(error) => page::error(&error),
    }
}

fn content(desk: &Desk, ask: &Ask) -> Result<Markup> {
    let project = desk.project()?;
    let stage = desk.stage(&project, &ask.stage)?;
    let manifest = desk.manifest(&project, stage).unwrap_or_default();
    let at = manifest.items.iter().position(|item| item.name == ask.name).ok_or_else(|| Error::Usage {
        what: format!("{} put out no {}", ask.stage, ask.name),
        hint: "it may have changed since this page was made: go back to the gallery".to_owned(),
    })?;
    let item = &manifest.items[at];
    let steps = lineage::trace(&project, stage, item);
    let neighbour = |at: Option<usize>| at.and_then(|at| manifest.items.get(at)).map(|item| link(&project, stage, &item.name));
    let (before, after) = (neighbour(at.checked_sub(1)), neighbour(Some(at + 1)));
    let siblings: Vec<_> = manifest.items.iter().filter(|other| other.photo == item.photo && other.name != item.name).take(64).collect();
    let class = if item.width.max(item.height) <= 128 { "large board pixels small" } else { "large board" };
    Ok(html! {
        h1 { (item.name) }
        p.bar {
            @if let Some(before) = before { a href=(before) rel="prev" { "← before" } }
            @if let Some(after) = after { a href=(after) rel="next" { "next →" } }
            a href={ "/gallery?stage=" (encoded(&ask.stage)) } { "all of " (ask.stage) }
        }
        div.picture {
            div {
                img class=(class) src=(address(&project, stage, item, 1024)) alt={ (item.name) " as " (ask.stage) " put it out" };
                @if !siblings.is_empty() {
                    h2 { "Of the same photo" }
                    ul.strip {
                        @for other in siblings {
                            li { a href=(link(&project, stage, &other.name)) { (boxed(&project, stage, other, 128, &other.name)) } }
                        }
                    }
                }
            }
            section aria-labelledby="way" {
                h2 #way { "Its way, back to the photo" }
                ol.way {
                    @for step in &steps {
                        @let declared = &project.pipeline.stages[step.stage];
                        li {
                            a href=(link(&project, step.stage, &step.item.name)) {
                                (boxed(&project, step.stage, &step.item, 384, &format!("in {}", declared.name)))
                            }
                            div {
                                h3 { (page::stage_name(&declared.name)) }
                                p { (step.item.name) " · " (step.item.width) "×" (step.item.height) }
                                (facts(&step.item.facts))
                                @if declared.params.iter().next().is_some() {
                                    details {
                                        summary { "Parameters" }
                                        dl { @for (name, value) in declared.params.iter() { dt { (name) } dd { (plain(value)) } } }
                                    }
                                }
                                @if let Some(state) = project.states.get(&declared.name) {
                                    details {
                                        summary { "What was in its key" }
                                        dl { @for (name, value) in state.components.iter() { dt { (name) } dd { (value) } } }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    })
}

fn link(project: &Project, stage: usize, name: &str) -> String {
    format!("/picture?stage={}&name={}", encoded(&project.pipeline.stages[stage].name), encoded(name))
}

/// A value as people write it: words without quotes, lists with commas, what was drawn as `name value`.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(plain).collect::<Vec<_>>().join(", "),
        Value::Object(parts) => parts.iter().map(|(name, value)| format!("{name} {}", plain(value))).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}

fn facts(facts: &catgen_api::Facts) -> Markup {
    html! {
        @if !facts.is_empty() {
            dl { @for (name, value) in facts.iter().filter(|(_, value)| !value.as_array().is_some_and(Vec::is_empty)) { dt { (name) } dd { (plain(value)) } } }
        }
    }
}
