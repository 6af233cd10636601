//! The first page: the stages, how each is and why, and a run to start or stop.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use catgen_api::Shape;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::json;

use super::{
    Desk,
    desk::away,
    page::{self, number, stage_name},
    thumbs::encoded,
};
use crate::{
    Project,
    error::Result,
    plan::{self, PlanLine, State as Fresh},
    progress::Status,
    record::{self, RunRecord},
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
    page::answer(away(work).await)
}

#[derive(Deserialize)]
pub(super) struct Ask {
    #[serde(default)]
    until: Option<String>,
}

pub(super) async fn run(State(desk): State<Arc<Desk>>, Json(ask): Json<Ask>) -> Response {
    let work = move || -> Result<()> {
        // Only what is a stage becomes a word of a command.
        if let Some(until) = &ask.until {
            desk.stage(&desk.project()?, until)?;
        }
        desk.jobs.start(ask.until.as_deref())
    };
    page::answer(away(work).await.map(|()| json!({ "started": true })))
}

pub(super) async fn stop(State(desk): State<Arc<Desk>>) -> Response {
    desk.jobs.stop();
    Json(json!({ "stopping": true })).into_response()
}

fn content(desk: &Desk) -> Result<Markup> {
    let project = desk.project()?;
    let lines = plan::plan(&project, &vec![true; project.pipeline.stages.len()], plan::LOOK_AHEAD)?;
    let seconds: f64 = lines.iter().filter_map(|line| line.seconds).sum();
    let records = record::list(desk.workspace());
    let at_work = desk.jobs.is_at_work();
    // While a run of our own is at work it is known who is busy, and asking would only be in its way.
    let busy = if at_work { None } else { desk.workspace().busy() };
    let photos = lines.first().is_some_and(|line| line.compute + line.reuse > 0)
        || project.states.get(&project.pipeline.stages[0].name).is_some_and(|state| state.items > 0);
    Ok(html! {
        h1 { (project.pipeline.name) }
        p #todo .lead {
            @if !photos { "There are no photos yet. Put some into data/" (project.pipeline.stages[0].name) " and come back to this page." }
            @else if lines.iter().all(|line| line.state == Fresh::Fresh) { "Everything is up to date." }
            @else if let Some(words) = to_do(&project, &lines) { (words) @if seconds >= 1.0 { ", about " (duration(seconds)) } "." }
            @else { "Nothing to compute; folders are to be brought up to date." }
        }
        div.bar {
            button #run .primary type="button" disabled[at_work] { "Run" }
            button #stop type="button" disabled[!at_work] { "Stop" }
            label { "up to " select #until { option value="" { "the end" } @for stage in &project.pipeline.stages { option value=(stage.name) { (stage.name) } } } }
            span #at role="status" { @if at_work { "A run is at work" } }
        }
        div #busy { @if let Some(by) = busy { p.note { "Another catgen-pipe works in this workspace: " (by) ". It can be looked at meanwhile." } } }
        div #flow { (tree(&project, &lines, &records, None)) }
        p #last .quiet {
            @if let Some(last) = records.last() { "Last run: " (last.id) ", " (last.started)
                @match last.status {
                    Status::Stopped => ", stopped: the next one goes on from there",
                    Status::Failed => { @if let Some(error) = &last.error { ", failed: " (error) } },
                    _ => {},
                } }
        }
        details { summary { "What the run says" } pre #words.words tabindex="0" aria-label="What the run says" {} }
    })
}

/// What a run would make, in words; `None` if nothing.
fn to_do(project: &Project, lines: &[PlanLine]) -> Option<String> {
    let (mut pictures, mut datasets, mut trainings) = (0, 0, 0);
    for (stage, line) in project.pipeline.stages.iter().zip(lines).filter(|(_, line)| line.compute > 0) {
        match stage.shape() {
            Shape::Pack => datasets += 1,
            Shape::Train => trainings += 1,
            _ => pictures += line.compute,
        }
    }
    let words = [(pictures, "picture", "to make"), (datasets, "dataset", "to pack"), (trainings, "training", "to do")];
    let words: Vec<String> = words
        .into_iter()
        .filter(|(count, ..)| *count > 0)
        .map(|(count, noun, verb)| format!("{} {noun}{} {verb}", number(count), if count == 1 { "" } else { "s" }))
        .collect();
    (!words.is_empty()).then(|| words.join(", "))
}

/// The stages that read one stage, each followed by those that read it: below each other as long as it is one, as lists within the
/// list where the flow divides.
fn tree(project: &Project, lines: &[PlanLine], records: &[RunRecord], from: Option<usize>) -> Markup {
    let readers = |from| -> Vec<usize> { (0..lines.len()).filter(|at| project.pipeline.stages[*at].from == from).collect() };
    let first = readers(from);
    html! {
        @if !first.is_empty() {
            ul.flow.divided[first.len() > 1] {
                @for at in first {
                    @let chain = chain(at, &readers);
                    @for (nth, at) in chain.iter().enumerate() {
                        li {
                            (card(project, &lines[*at], records, *at))
                            @if nth + 1 == chain.len() { (tree(project, lines, records, Some(*at))) }
                        }
                    }
                }
            }
        }
    }
}

/// A stage and what follows, as long as exactly one follows.
fn chain(mut at: usize, readers: &impl Fn(Option<usize>) -> Vec<usize>) -> Vec<usize> {
    let mut chain = vec![at];
    while let [next] = readers(Some(at))[..] {
        chain.push(next);
        at = next;
    }
    chain
}

fn card(project: &Project, line: &PlanLine, records: &[RunRecord], at: usize) -> Markup {
    let stage = &project.pipeline.stages[at];
    let (state, words) = match line.state {
        Fresh::Fresh => ("fresh", "up to date"),
        Fresh::Stale => ("stale", "out of date"),
        Fresh::Pending => ("pending", "never run"),
    };
    let finished = project.states.get(&stage.name);
    let worked = records.iter().rev().flat_map(|run| &run.stages).find(|report| report.stage == stage.name && report.computed > 0);
    let has_pictures = matches!(stage.shape(), Shape::Source | Shape::Item | Shape::Set);
    html! {
        section.card.(state) data-stage=(stage.name) aria-label=(stage.name) {
            div.about {
                h2 { @if has_pictures { a href={ "/gallery?stage=" (encoded(&stage.name)) } { (stage_name(&stage.name)) } } @else { (stage_name(&stage.name)) } }
                p.quiet { (stage.entry.kind.summary) }
            }
            div.counts {
                p {
                    span.state { (words) }
                    @if let Some(finished) = finished.filter(|_| has_pictures) { " · " (number(finished.items)) @if finished.items == 1 { " picture" } @else { " pictures" } }
                    @if let Some(rejected) = finished.map(|state| state.rejections).filter(|count| *count > 0) {
                        " · " a href={ "/gallery?show=rejected&stage=" (encoded(&stage.name)) } { (number(rejected)) " rejected" }
                    }
                }
                @if let Some(worked) = worked { p.quiet { (number(worked.computed)) " made in " (duration(worked.seconds)) } }
                @if line.compute + line.remove > 0 {
                    p.todo { @if !line.exact { "at most " } (number(line.compute)) " to make, " (number(line.reuse)) " from the cache" @if line.remove > 0 { ", " (number(line.remove)) " to go" } }
                }
                @if let Some(reason) = &line.reason { p.why { (reason) } }
                p.live hidden { progress max="1" value="0" aria-label={ "Progress of " (stage.name) } {} " " span {} }
            }
            @if let Some(finished) = finished.filter(|_| has_pictures) {
                div.strip data-of=(stage.name) data-key={ (stage.name) " " (finished.output.short()) } {}
            }
        }
    }
}

fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 10.0 => format!("{s:.1} s"),
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7200.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}
