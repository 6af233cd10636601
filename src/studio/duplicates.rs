//! Photos that show the same, side by side, and a person's word about them: keep this one instead, these are different, undo.
//!
//! A decision is a line in the file that the `duplicates` stage reads, on the disk before the answer is sent: the same words as
//! `catgen-pipe duplicates`.

use std::{collections::HashMap, sync::Arc};

use axum::{
    Json,
    extract::{Query, State},
    response::Response,
};
use catgen_api::{Digest, Item, Manifest};
use catgen_duplicates::decisions::{self, Choice, Decision, Decisions};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Desk,
    desk::away,
    page::{self, number},
    thumbs::{boxed, encoded},
};
use crate::{
    Error, Project,
    duplicates::{self, Group, Photo},
    error::Result,
    record,
};

/// Groups on one page: what a person looks through without losing the thread.
const A_PAGE: usize = 40;

#[derive(Deserialize)]
pub(super) struct Ask {
    #[serde(default)]
    stage: Option<String>,
    /// Counted from 1.
    #[serde(default)]
    page: usize,
}

pub(super) async fn page(State(desk): State<Arc<Desk>>, Query(ask): Query<Ask>) -> Response {
    let at = Arc::clone(&desk);
    match away(move || content(&at, &ask)).await {
        Ok(content) => page::page(&desk, "Duplicates", &["/duplicates.js"], content),
        Err(error) => page::error(&error),
    }
}

#[derive(Deserialize)]
pub(super) struct Decide {
    stage: String,
    digest: Digest,
    #[serde(default)]
    other: Option<Digest>,
    choice: Choice,
}

/// Takes a decision; the answer comes when it is on the disk.
pub(super) async fn decide(State(desk): State<Arc<Desk>>, Json(ask): Json<Decide>) -> Response {
    let work = move || -> Result<Value> {
        let project = desk.project()?;
        let stage = desk.stage(&project, &ask.stage)?;
        let wrong = |what: &str| Error::Usage { what: what.to_owned(), hint: String::new() };
        if !duplicates::stages(&project).contains(&stage) {
            return Err(wrong("that is no `duplicates` stage"));
        }
        let put_out = desk.manifest(&project, stage).unwrap_or_default();
        let read = read(&desk, &project, stage);
        let is_known = |digest: &Digest| read.items.iter().any(|item| item.digest == *digest);
        let decided = load(&project, stage)?;
        // What was decided about a photo that is gone can be taken back; anything new is about photos that are here.
        let are_known = is_known(&ask.digest) && ask.other.is_none_or(|other| is_known(&other));
        if ask.choice != Choice::Undo && !are_known {
            return Err(wrong("there is no such photo here"));
        }
        let makes_sense = match ask.choice {
            Choice::Keep => ask.other.is_none(),
            Choice::Different => ask.other.is_some_and(|other| other != ask.digest),
            Choice::Undo => ask.other != Some(ask.digest),
        };
        if !makes_sense {
            return Err(wrong("`keep` is about one photo, `different` about two"));
        }
        let (who, when) = (std::env::var("USER").unwrap_or_default(), record::now());
        let groups = duplicates::groups(&put_out, &read);
        let group = groups.iter().find(|group| group.photos().any(|photo| photo.digest == ask.digest));
        let lines = match group.filter(|_| ask.choice == Choice::Keep) {
            Some(group) => group.keep(ask.digest, &decided, &who, &when),
            None => vec![duplicates::decision(ask.digest, ask.other, ask.choice, &who, &when)],
        };
        let file = duplicates::decisions_file(&project, stage);
        decisions::append(&file, &lines).map_err(Error::io("write", &file))?;
        Ok(json!({ "decided": lines.len() }))
    };
    page::answer(away(work).await)
}

/// What the stage read when it was last finished.
fn read(desk: &Desk, project: &Project, stage: usize) -> Arc<Manifest> {
    let from = project.pipeline.stages[stage].from.unwrap_or(stage);
    desk.manifest(project, from).unwrap_or_default()
}

fn load(project: &Project, stage: usize) -> Result<Decisions> {
    decisions::load(&duplicates::decisions_file(project, stage))
        .map_err(|error| Error::Usage { what: error.to_string(), hint: "correct or delete that line; the others are kept".to_owned() })
}

/// What a page of groups is made from.
struct Shown<'a> {
    project: &'a Project,
    stage: usize,
    before: usize,
    items: HashMap<Digest, &'a Item>,
    decided: &'a Decisions,
}

fn content(desk: &Desk, ask: &Ask) -> Result<Markup> {
    let project = desk.project()?;
    let stages = duplicates::stages(&project);
    let stage = match ask.stage.as_deref().filter(|name| !name.is_empty()) {
        Some(name) => desk.stage(&project, name)?,
        None => match stages.first() {
            Some(first) => *first,
            None => {
                return Ok(html! {
                    h1 { "Duplicates" }
                    p { "The pipeline has no `duplicates` stage, so every photo goes on. Add one to pipeline.toml after the photos." }
                });
            }
        },
    };
    let name = &project.pipeline.stages[stage].name;
    let Some(put_out) = desk.manifest(&project, stage) else {
        return Ok(html! { h1 { "Duplicates" } p { (name) " never ran. " a href="/" { "Run it" } " and what shows the same is here." } });
    };
    let read = read(desk, &project, stage);
    let decided = load(&project, stage)?;
    let groups = duplicates::groups(&put_out, &read);
    let pages = groups.len().div_ceil(A_PAGE).max(1);
    let at = ask.page.clamp(1, pages);
    let dropped: usize = groups.iter().map(|group| group.dropped.len()).sum();
    let items = read.items.iter().map(|item| (item.digest, item)).collect();
    let before = project.pipeline.stages[stage].from.unwrap_or(stage);
    let shown = Shown { project: &project, stage, before, items, decided: &decided };
    let href = |page: usize| format!("/duplicates?stage={}&page={page}", encoded(name));
    Ok(html! {
        h1 { "Duplicates" }
        @if stages.len() > 1 {
            p { "Stage: " @for other in &stages { @let other = &project.pipeline.stages[*other].name; a href={ "/duplicates?stage=" (encoded(other)) } aria-current=[(other == name).then_some("true")] { (other) } " " } }
        }
        div #groups data-stage=(name) {
            @if groups.is_empty() { p { "No two photos show the same. There is nothing to decide." } }
            @else {
                p.lead {
                    (number(dropped)) @if dropped == 1 { " photo is" } @else { " photos are" } " left out, because a better one shows the same: "
                    (number(groups.len())) @if groups.len() == 1 { " group" } @else { " groups" } ", the most doubtful first. What you decide here counts from the next run on."
                }
            }
            @for group in groups.iter().skip((at - 1) * A_PAGE).take(A_PAGE) { (shown.group(group)) }
            @if pages > 1 {
                nav.bar aria-label="More groups" {
                    @if at > 1 { a href=(href(at - 1)) rel="prev" { "← more doubtful" } }
                    span { "Page " (at) " of " (pages) }
                    @if at < pages { a href=(href(at + 1)) rel="next" { "nearer ones →" } }
                }
            }
            @if decided.iter().next().is_some() {
                h2 { "What was decided" }
                ul.decided { @for decision in decided.iter() { li { (shown.decision(decision)) } } }
            }
        }
    })
}

impl Shown<'_> {
    fn image(&self, digest: &Digest, name: &str, side: u32) -> Markup {
        html! {
            @match self.items.get(digest) {
                Some(item) => (boxed(self.project, self.before, item, side, name)),
                None => span.gone { "no longer here" },
            }
        }
    }

    fn name(&self, digest: &Digest) -> String {
        self.items.get(digest).map_or_else(|| format!("a photo that is gone ({})", digest.short()), |item| item.name.clone())
    }

    fn group(&self, group: &Group) -> Markup {
        let kept = group.kept.digest;
        html! {
            section.group aria-label={ "Photos that show the same as " (group.kept.name) } {
                figure.kept {
                    (self.image(&kept, &group.kept.name, 384))
                    figcaption {
                        span.badge { "kept" } " " (self.title(&group.kept))
                        @if self.decided.keeps(&kept) { (undo("keep", &kept, None)) }
                    }
                }
                @for dropped in &group.dropped {
                    @let digest = dropped.photo.digest;
                    @let (chosen, different) = (self.decided.keeps(&digest), self.decided.are_different(&kept, &digest));
                    figure.dropped {
                        (self.image(&digest, &dropped.photo.name, 384))
                        figcaption {
                            (self.title(&dropped.photo))
                            p.quiet title=(dropped.reason) {
                                @if digest == kept { "byte-equal copy" }
                                @else if dropped.distance == 1 { "1 bit differs" }
                                @else { (dropped.distance) " bits differ" }
                                @if dropped.reason.contains("laid over each other") { ", cropped or a step aside" }
                            }
                            @if chosen { (undo("keep", &digest, None)) }
                            @else if different { (undo("different", &kept, Some(&digest))) }
                            @else if digest != kept {
                                div.bar {
                                    button type="button" data-choice="keep" data-digest=(digest) aria-label={ "Keep " (dropped.photo.name) " instead" } { "Keep this one instead" }
                                    button type="button" data-choice="different" data-digest=(kept) data-other=(digest)
                                        aria-label={ (group.kept.name) " and " (dropped.photo.name) " are different" } { "These are different" }
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    fn title(&self, photo: &Photo) -> Markup {
        let stage = &self.project.pipeline.stages[self.before].name;
        html! {
            a href={ "/picture?stage=" (encoded(stage)) "&name=" (encoded(&photo.name)) } { (photo.name) }
            @if let Some([width, height]) = photo.size { span.quiet { " " (width) "×" (height) } }
        }
    }

    fn decision(&self, decision: &Decision) -> Markup {
        let name = self.name(&decision.digest);
        html! {
            span.pair {
                (self.image(&decision.digest, &name, 128))
                @if let Some(other) = &decision.other { (self.image(other, &self.name(other), 128)) }
            }
            @match &decision.other {
                Some(other) => {
                    span { (name) " and " (self.name(other)) " are different" }
                    (undo("these", &decision.digest, Some(other)))
                },
                None => {
                    span { "Keep " (name) }
                    (undo("this", &decision.digest, None))
                },
            }
            span.quiet { (self.project.pipeline.stages[self.stage].name) @if !decision.when.is_empty() { ", " (decision.when) } }
        }
    }
}

/// What was decided, and the way back.
fn undo(what: &str, digest: &Digest, other: Option<&Digest>) -> Markup {
    let words = match what {
        "keep" => "You chose this one.",
        "different" => "You said: they are different.",
        _ => "",
    };
    html! {
        p.said {
            strong { (words) } " "
            button type="button" data-choice="undo" data-digest=(digest) data-other=[other] { "Undo" }
        }
    }
}
