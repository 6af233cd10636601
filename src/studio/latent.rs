//! Latent explorer: walk between two seeds, move along the generator's directions, see the nearest training photo, keep what is liked.
//!
//! The generator is a `catgen-train serve` that stays loaded ([`crate::worker`]): one at a time, that of the page used last.

use std::{
    fs,
    io::Write,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Json,
    extract::{Query, State},
    response::Response,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use catgen_train::serve::{Ask, Draw, Said};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Desk, desk::away, page};
use crate::{
    Error,
    error::Result,
    record,
    trainings::{self, Training},
    worker::Worker,
};

/// The generator that is loaded, and which it is.
#[derive(Default)]
pub(super) struct Loaded(Mutex<Option<(String, Worker)>>);

/// Which generator a page means: of a training, after so many steps; after 0, the newest.
#[derive(Deserialize)]
pub(super) struct Which {
    pub(super) training: String,
    pub(super) step: u64,
}

/// Does something with the generator that is meant; loads it first if it is not the one at hand.
pub(super) fn with<T>(desk: &Desk, which: &Which, work: impl FnOnce(&mut Worker) -> Result<T>) -> Result<T> {
    let mut slot = desk.loaded.0.lock().unwrap_or_else(PoisonError::into_inner);
    let name = format!("{} {}", which.step, which.training);
    let is_at_hand = slot.as_mut().is_some_and(|(known, worker)| *known == name && worker.is_there());
    if !is_at_hand {
        let project = desk.project()?;
        let training = trainings::find(desk.workspace(), &which.training)?;
        // The one before frees its memory first.
        *slot = None;
        let load = || Worker::start(&project.tools, &training.checkpoint(which.step)?.path, training.dataset(&project).as_ref());
        // The newest may have been replaced while it was being read.
        let loaded = load().or_else(|error| if which.step == 0 { load() } else { Err(error) });
        *slot = Some((name, loaded?));
    }
    let (_, worker) = slot.as_mut().expect("it was just filled");
    work(worker)
}

/// The trainings that there is a generator of, and a select of their checkpoints called `which`.
pub(super) fn generators(desk: &Desk) -> Vec<Training> {
    trainings::list(desk.workspace()).into_iter().filter(|training| !training.checkpoints().is_empty()).collect()
}

pub(super) fn choose(trainings: &[Training], wanted: Option<&str>) -> Markup {
    html! {
        select #which {
            @for training in trainings {
                @let kept = training.checkpoints();
                @let best = kept.first().and_then(|newest| newest.best());
                @for (nth, checkpoint) in kept.iter().enumerate() {
                    option value=(format!("{} {}", if nth == 0 { 0 } else { checkpoint.step }, training.name)) selected[nth == 0 && wanted == Some(&training.name)] {
                        (training.name) ", epoch " (checkpoint.epoch)
                        @if nth == 0 { " (last)" }
                        @if best == Some(checkpoint.step) { " (best)" }
                    }
                }
            }
        }
    }
}

#[derive(Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    training: Option<String>,
}

pub(super) async fn page(State(desk): State<Arc<Desk>>, Query(asked): Query<Asked>) -> Response {
    let at = Arc::clone(&desk);
    let trainings = away(move || generators(&at)).await;
    page::page(&desk, "Latent explorer", &["/latent.js"], content(&trainings, asked.training.as_deref()))
}

fn content(trainings: &[Training], wanted: Option<&str>) -> Markup {
    html! {
        h1 { "Latent explorer" }
        @if trainings.is_empty() {
            p { "Nothing was trained here yet. " a href="/training" { "Train something" } ": its first checkpoint is enough to explore." }
        } @else {
            div.bar {
                label { "Generator " (choose(trainings, wanted)) }
                label { input #with-nearest type="checkbox"; " Nearest training photo" }
                span #state role="status" {}
            }
            div #latent {
                div.pictures {
                    figure { img #shown alt="The picture that is drawn" width="384" height="384"; figcaption #recipe {} }
                    figure #near hidden { img #near-shown alt="The training photo most like it" width="192" height="192"; figcaption #near-words {} }
                    div.bar {
                        button type="button" #save .primary { "Save" }
                        button type="button" #walk { "Walk there and back" }
                        button type="button" #rest { "Sliders to the middle" }
                    }
                    p #saved role="status" {}
                }
                form #sliders autocomplete="off" {
                    div.seeds {
                        label { "From seed " input #seed type="number" min="0" max="9007199254740991" step="1" value="1"; }
                        button type="button" data-dice="seed" { "Another" }
                        label { "to seed " input #to type="number" min="0" max="9007199254740991" step="1" value="2"; }
                        button type="button" data-dice="to" { "Another" }
                    }
                    label.slide { span { "On the way" } input #way type="range" min="0" max="1" step="0.01" value="0"; output { "0.00" } }
                    label.slide { span { "Truncation" } input #truncation type="range" min="0" max="1.5" step="0.01" value="1"; output { "1.00" } }
                    h2 { "Directions" }
                    p #directions-words .quiet {}
                    div #directions {}
                }
            }
        }
    }
}

/// Loads the generator, if it is not at hand, and answers what it said of itself.
pub(super) async fn open(State(desk): State<Arc<Desk>>, Json(which): Json<Which>) -> Response {
    page::answer(away(move || with(&desk, &which, |worker| Ok(json!(worker.ready())))).await)
}

#[derive(Deserialize)]
pub(super) struct Drawing {
    #[serde(flatten)]
    which: Which,
    draw: Draw,
}

/// A picture that was drawn: its file, the photo most like it, and after how many steps of the training.
type Drawn = (Vec<u8>, Option<catgen_train::serve::Near>, u64);

fn drawn(desk: &Desk, drawing: &Drawing) -> Result<Drawn> {
    with(desk, &drawing.which, |worker| {
        let Said::Ready { step, .. } = *worker.ready() else { return Err(unexpected()) };
        let Said::Picture { png, nearest } = worker.ask(&Ask::Draw(drawing.draw.clone()))? else { return Err(unexpected()) };
        Ok((STANDARD.decode(png).map_err(|_| unexpected())?, nearest, step))
    })
}

pub(super) fn unexpected() -> Error {
    Error::Trainer {
        stage: "the generator".to_owned(),
        what: "the trainer answered something else than it was asked".to_owned(),
        hint: "build it again with `make trainer`: it may be of another version than this program".to_owned(),
    }
}

/// Draws a picture and answers where it is.
pub(super) async fn draw(State(desk): State<Arc<Desk>>, Json(drawing): Json<Drawing>) -> Response {
    let work = move || -> Result<Value> {
        let (png, nearest, _) = drawn(&desk, &drawing)?;
        let nearest = nearest.and_then(|near| {
            let picture = desk.previews.add_file(STANDARD.decode(near.png).ok()?);
            Some(json!({ "picture": picture, "distance": near.distance, "mirrored": near.mirrored, "photo": near.photo, "row": near.row }))
        });
        Ok(json!({ "picture": desk.previews.add_file(png), "nearest": nearest }))
    };
    page::answer(away(work).await)
}

/// Keeps a picture in the training's folder, with how it was made.
pub(super) async fn save(State(desk): State<Arc<Desk>>, Json(drawing): Json<Drawing>) -> Response {
    let work = move || -> Result<Value> {
        let training = trainings::find(desk.workspace(), &drawing.which.training)?;
        let (png, _, step) = drawn(&desk, &drawing)?;
        let folder = training.folder.join("saved");
        fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
        let recipe = json!({ "step": step, "draw": drawing.draw, "when": record::now() });
        let name = name(step, &drawing.draw);
        let file = folder.join(&name);
        crate::cache::write_whole(&file, &png)?;
        let list = folder.join("index.jsonl");
        let mut line = recipe;
        line["file"] = name.into();
        let append = || writeln!(fs::OpenOptions::new().create(true).append(true).open(&list)?, "{line}");
        append().map_err(Error::io("write", &list))?;
        Ok(json!({ "saved": desk.workspace().relative(&file).to_string() }))
    };
    page::answer(away(work).await)
}

/// A name that says where the picture lies: the same place has the same name.
fn name(step: u64, draw: &Draw) -> String {
    let mut name = format!("step-{step}-seed-{}", draw.seed);
    if let Some(to) = draw.to.filter(|_| draw.way != 0.0) {
        name.push_str(&format!("-to-{to}-{:.2}", draw.way));
    }
    if draw.truncation != 1.0 {
        name.push_str(&format!("-psi-{:.2}", draw.truncation));
    }
    if draw.moves.iter().any(|far| *far != 0.0) {
        // Twelve numbers are no name: the list has them.
        let moves = catgen_api::Digest::of(format!("{:?}", draw.moves).as_bytes()).to_string();
        name.push_str(&format!("-moved-{}", &moves[..8]));
    }
    name + ".png"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_saved_picture_is_named_by_its_place() {
        let rest = Draw { seed: 7, to: Some(9), way: 0.0, moves: vec![0.0; 3], truncation: 1.0, nearest: false };
        assert_eq!(name(60, &rest), "step-60-seed-7.png");
        assert_eq!(name(60, &Draw { way: 0.25, truncation: 0.8, ..rest.clone() }), "step-60-seed-7-to-9-0.25-psi-0.80.png");
        let [a, b] = [1.0, 2.0].map(|far| name(60, &Draw { moves: vec![0.0, far], ..rest.clone() }));
        assert!(a != b && a.starts_with("step-60-seed-7-moved-") && a.len() == "step-60-seed-7-moved-12345678.png".len(), "{a}");
    }
}
