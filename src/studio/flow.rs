//! The first page: the stages, how each is and why, and a run to start or stop.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::json;

use super::{
    Desk,
    desk::away,
    page::{self, number},
    thumbs::encoded,
};
use crate::{
    Project,
    error::Result,
    plan::{self, PlanLine, State as Fresh},
    record,
};

pub(super) async fn page(State(desk): State<Arc<Desk>>) -> Response {
    let at = Arc::clone(&desk);
    match away(move || content(&at)).await {
        Ok(content) => page::page(&desk, "Flow", &["/flow.js"], content),
        Err(error) => page::error(&error),
    }
}

/// The same as data: what the page asks for again when a stage is finished.
pub(super) async fn state(State(desk): State<Arc<Desk>>) -> Response {
    let work = move || -> Result<serde_json::Value> {
        let project = desk.project()?;
        let lines = plan::plan(&project, &vec![true; project.pipeline.stages.len()], plan::LOOK_AHEAD)?;
        Ok(json!({ "at_work": desk.jobs.is_at_work(), "stages": lines }))
    };
    match away(work).await {
        Ok(state) => Json(state).into_response(),
        Err(error) => page::json_error(&error),
    }
}

#[derive(Deserialize)]
pub(super) struct Ask {
    #[serde(default)]
    until: Option<String>,
}

pub(super) async fn run(State(desk): State<Arc<Desk>>, Json(ask): Json<Ask>) -> Response {
    match away(move || desk.jobs.start(ask.until.as_deref())).await {
        Ok(()) => Json(json!({ "started": true })).into_response(),
        Err(error) => page::json_error(&error),
    }
}

pub(super) async fn stop(State(desk): State<Arc<Desk>>) -> Response {
    desk.jobs.stop();
    Json(json!({ "stopping": true })).into_response()
}

fn content(desk: &Desk) -> Result<Markup> {
    let project = desk.project()?;
    let lines = plan::plan(&project, &vec![true; project.pipeline.stages.len()], plan::LOOK_AHEAD)?;
    let to_do: usize = lines.iter().map(|line| line.compute).sum();
    let seconds: f64 = lines.iter().filter_map(|line| line.seconds).sum();
    let last = record::list(desk.workspace()).pop();
    let at_work = desk.jobs.is_at_work();
    Ok(html! {
        h1 { (project.pipeline.name) }
        p #todo {
            @if lines.iter().all(|line| line.state == Fresh::Fresh) { "Everything is up to date." }
            @else if to_do == 0 { "Nothing to compute; folders are to be brought up to date." }
            @else { (number(to_do)) " pictures to make" @if seconds >= 1.0 { ", about " (duration(seconds)) } "." }
        }
        div.bar {
            button #run type="button" disabled[at_work] { "Run" }
            button #stop type="button" disabled[!at_work] { "Stop" }
            progress #progress max="1" value="0" aria-label="Progress of the run" hidden {}
            span #at role="status" { @if at_work { "A run is at work" } }
        }
        (tree(&project, &lines, None))
        @if let Some(last) = last {
            p.quiet { "Last run: " (last.id) ", " (last.started) }
        }
        details { summary { "What the run says" } pre #words.words tabindex="0" {} }
    })
}

/// The stages that read one stage, each with those that read it: the data flow as nested lists.
fn tree(project: &Project, lines: &[PlanLine], from: Option<usize>) -> Markup {
    let stages: Vec<usize> = (0..lines.len()).filter(|at| project.pipeline.stages[*at].from == from).collect();
    html! {
        @if !stages.is_empty() {
            ul.flow {
                @for at in stages {
                    li {
                        (card(project, &lines[at], at))
                        (tree(project, lines, Some(at)))
                    }
                }
            }
        }
    }
}

fn card(project: &Project, line: &PlanLine, at: usize) -> Markup {
    let stage = &project.pipeline.stages[at];
    let state = match line.state {
        Fresh::Fresh => "fresh",
        Fresh::Stale => "stale",
        Fresh::Pending => "pending",
    };
    let finished = project.states.get(&stage.name);
    html! {
        section.card.(state) data-stage=(stage.name) aria-label=(stage.name) {
            h2 { a href={ "/gallery?stage=" (encoded(&stage.name)) } { (stage.name) } }
            p {
                span.state { (state) } " · " (stage.entry.kind.name)
                @if let Some(finished) = finished { " · " (number(finished.items)) " pictures" }
                @if let Some(rejected) = finished.map(|state| state.rejections).filter(|count| *count > 0) {
                    " · " a href={ "/gallery?show=rejected&stage=" (encoded(&stage.name)) } { (number(rejected)) " rejected" }
                }
            }
            @if line.compute + line.remove > 0 {
                p { @if !line.exact { "at most " } (number(line.compute)) " to make, " (number(line.reuse)) " from the cache, " (number(line.remove)) " to go" }
            }
            @if let Some(reason) = &line.reason { p.why { (reason) } }
        }
    }
}

fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7200.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}
