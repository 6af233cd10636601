//! Training: what was trained and is being trained, as curves and grids; start, stop, go on.
//!
//! Curves are of `stats.jsonl`, grids are those that the trainer drew: nothing is worked out here that the training did not write, but
//! alarms, which are a function of its numbers ([`catgen_train::alarms`]).

use std::{fs, sync::Arc};

use axum::{
    Json,
    extract::{Query, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use catgen_api::Shape;
use catgen_train::{
    Evaluation,
    alarms::{self, Logits, Observation},
};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Desk, desk::away, page, thumbs::encoded};
use crate::{
    Error,
    error::Result,
    progress::Status,
    report::chart::{Series, chart},
    trainings::{self, Training},
};

/// Trainings that can be looked at side by side.
const MOST: usize = 4;

/// What is plotted: the title, what one of its lines is called in the numbers of an epoch, what it is multiplied by, and where to look.
const CURVES: &[Curve] = &[
    Curve {
        title: "Losses",
        lines: &[("discriminator", "loss_d"), ("generator", "loss_g")],
        factor: 1.0,
        hint: "A discriminator's near 0 for long has won: its pictures stop getting better.",
    },
    Curve {
        title: "Real, says the discriminator",
        lines: &[("of photos", "d_real"), ("of generated pictures", "d_fake")],
        factor: 1.0,
        hint: "Both drift towards each other where the generator keeps up.",
    },
    Curve {
        title: "KID × 1000",
        lines: &[("KID", "kid")],
        factor: 1000.0,
        hint: "How far generated pictures are from photos; lower is better.",
    },
    Curve {
        title: "Fréchet distance",
        lines: &[("Fréchet", "frechet")],
        factor: 1.0,
        hint: "The same by another measure; of few photos it is too high for all.",
    },
    Curve {
        title: "Variety",
        lines: &[("precision", "precision"), ("recall", "recall"), ("spread", "spread")],
        factor: 1.0,
        hint: "Recall and spread near 0: the pictures are all alike.",
    },
    Curve { title: "Changes to what the discriminator sees", lines: &[("probability", "augment")], factor: 1.0, hint: "" },
];

struct Curve {
    title: &'static str,
    lines: &'static [(&'static str, &'static str)],
    factor: f64,
    hint: &'static str,
}

pub(super) async fn page(State(desk): State<Arc<Desk>>, Query(asked): Query<Vec<(String, String)>>) -> Response {
    let at = Arc::clone(&desk);
    let wanted: Vec<String> = asked.into_iter().filter(|(key, _)| key == "of").map(|(_, name)| name).take(MOST).collect();
    match away(move || content(&at, &wanted)).await {
        Ok(content) => page::page(&desk, "Training", &["/training.js"], content),
        Err(error) => page::error(&error),
    }
}

fn content(desk: &Desk, wanted: &[String]) -> Result<Markup> {
    let project = desk.project()?;
    let all = trainings::list(desk.workspace());
    let stages: Vec<&str> =
        project.pipeline.stages.iter().filter(|stage| stage.shape() == Shape::Train).map(|stage| stage.name.as_str()).collect();
    let shown: Vec<&Training> = if wanted.is_empty() {
        all.iter().take(1).collect()
    } else {
        wanted.iter().map(|name| all.iter().find(|training| training.name == *name)).collect::<Option<_>>().ok_or_else(|| Error::Usage {
            what: "one of these trainings is not there any more".to_owned(),
            hint: "choose among those on the page Training".to_owned(),
        })?
    };
    let at_work = desk.jobs.is_at_work();
    let numbers: Vec<Vec<Map<String, Value>>> = shown.iter().map(|training| training.epochs()).collect();
    Ok(html! {
        h1 { "Training" }
        (start(&stages, at_work))
        @if all.is_empty() {
            p { "Nothing was trained yet. " @if stages.is_empty() { "The pipeline has no stage with `use = \"train\"`: add one to pipeline.toml." } @else { "Start one here; every stage that it needs is brought up to date first." } }
        } @else {
            div #live data-running=[shown.iter().any(|training| training.state(desk.workspace()) == "running").then_some("")] {
                (list(desk, &all, &shown))
                @for (training, epochs) in shown.iter().zip(&numbers) { (alarm(training, epochs, shown.len() > 1)) }
                @if numbers.iter().all(|epochs| epochs.len() < 2) { p.quiet { "Curves begin with the second epoch." } }
                div.curves {
                    @for curve in CURVES { (drawn(curve, &shown, &numbers)) }
                }
            }
            (grids(&shown))
        }
    })
}

/// Starting, stopping, and the words of what is at work.
fn start(stages: &[&str], at_work: bool) -> Markup {
    html! {
        @if !stages.is_empty() {
            form #begin .bar {
                label { "Train " select #train-stage { @for stage in stages { option { (stage) } } } }
                label { "with " input #set type="text" size="34" placeholder="epochs=50 learning_rate=1e-4" aria-describedby="set-help" autocomplete="off" spellcheck="false"; }
                button type="submit" .primary disabled[at_work] { "Start" }
                button #stop type="button" disabled[!at_work] { "Stop" }
                span #at role="status" { @if at_work { "At work" } }
            }
            p #set-help .quiet { "Changed parameters are of this training alone, as with " code { "catgen-pipe train --set" } ". Stop writes a checkpoint that a training goes on from." }
        }
    }
}

fn list(desk: &Desk, all: &[Training], shown: &[&Training]) -> Markup {
    html! {
        form #choose method="get" action="/training" {
            div.scroll tabindex="0" role="region" aria-label="All trainings" {
                table {
                    thead { tr { th scope="col" { "Show" } th scope="col" { "Training" } th scope="col" { "State" } th scope="col" { "Epochs" } th scope="col" { "KID × 1000" } th scope="col" { "Changed" } th scope="col" { "Do" } } }
                    tbody {
                        @for training in all {
                            @let state = training.state(desk.workspace());
                            @let is_shown = shown.iter().any(|other| other.name == training.name);
                            tr {
                                td { input type="checkbox" name="of" value=(training.name) checked[is_shown] aria-label={ "Show " (training.name) }; }
                                th scope="row" { a href={ "/training?of=" (encoded(&training.name)) } { (training.name) } }
                                td { (state) }
                                td.number { (epochs_done(training).map_or_else(|| "–".to_owned(), |epoch| epoch.to_string())) }
                                td.number { (kid(training)) }
                                td { code { (training.run.set.join(" ")) } }
                                td {
                                    @if matches!(state, "stopped" | "interrupted" | "failed") { button type="button" data-on=(training.name) { "Go on" } " " }
                                    a href={ "/game?training=" (encoded(&training.name)) } { "Play" }
                                }
                            }
                        }
                    }
                }
            }
            @if all.len() > 1 { p { button type="submit" { "Show side by side" } span.quiet { " up to " (MOST) } } }
        }
    }
}

/// Epochs done: as the training's own file has them, which is ahead of the run's record while it goes on.
fn epochs_done(training: &Training) -> Option<u64> {
    training.epochs().last().and_then(|epoch| epoch.get("epoch")?.as_u64()).or_else(|| training.metrics.get("epoch")?.as_u64())
}

fn kid(training: &Training) -> String {
    let of = |name: &str| training.metrics.get(name)?.get("kid")?.as_f64();
    let best = training.metrics.get("best").and_then(|best| best.get("epoch")?.as_u64());
    match (of("evaluation"), of("best"), best) {
        (Some(last), Some(best), Some(epoch)) => format!("{:.1}, best {:.1} at {epoch}", 1000.0 * last, 1000.0 * best),
        (Some(last), ..) => format!("{:.1}", 1000.0 * last),
        _ => "–".to_owned(),
    }
}

/// One number of an epoch: its own, or one of its evaluation.
fn value(epoch: &Map<String, Value>, name: &str) -> Option<f64> {
    if let Some(own) = epoch.get(name) {
        return own.as_f64();
    }
    let evaluation = epoch.get("evaluation")?;
    let distances = evaluation.get("held_out").filter(|held_out| held_out.is_object()).or_else(|| evaluation.get("training"))?;
    distances.get(name).or_else(|| evaluation.get("variety")?.get(name))?.as_f64()
}

/// One curve's drawing: of one training all its lines together, of several a drawing for each line.
fn drawn(curve: &Curve, shown: &[&Training], numbers: &[Vec<Map<String, Value>>]) -> Markup {
    let line = |name: String, key: &str, epochs: &[Map<String, Value>]| {
        let point = |epoch: &Map<String, Value>| Some([epoch.get("epoch")?.as_f64()?, curve.factor * value(epoch, key)?]);
        Series { name, points: epochs.iter().filter_map(point).collect() }
    };
    let groups: Vec<(String, Vec<Series>)> = if let [only] = numbers {
        vec![(curve.title.to_owned(), curve.lines.iter().map(|(name, key)| line((*name).to_owned(), key, only)).collect())]
    } else {
        let title = |name: &str| if curve.lines.len() == 1 { curve.title.to_owned() } else { format!("{}: {name}", curve.title) };
        let of_all = |key: &str| shown.iter().zip(numbers).map(|(training, epochs)| line(training.name.clone(), key, epochs)).collect();
        curve.lines.iter().map(|(name, key)| (title(name), of_all(key))).collect()
    };
    // What never was anything but 0 is an option that is off.
    let says = |lines: &[Series]| lines.iter().any(|line| line.points.iter().any(|point| point[1] != 0.0));
    html! {
        @for (title, lines) in groups.into_iter().filter(|(_, lines)| says(lines)) {
            @let picture = chart(&lines);
            @if !picture.0.is_empty() {
                section.curve { h2 { (title) } (picture) @if !curve.hint.is_empty() { p.quiet { (curve.hint) } } }
            }
        }
    }
}

/// What was wrong with a training, at the first epoch that each kind of alarm was seen at.
fn alarms(epochs: &[Map<String, Value>]) -> Vec<(u64, alarms::Alarm)> {
    let number = |epoch: &Map<String, Value>, name: &str| epoch.get(name).and_then(Value::as_f64).unwrap_or(f64::NAN);
    let mut observed = Vec::new();
    let mut found: Vec<(u64, alarms::Alarm)> = Vec::new();
    for epoch in epochs {
        let Some(evaluation) = epoch.get("evaluation").and_then(|value| serde_json::from_value::<Evaluation>(value.clone()).ok()) else {
            continue;
        };
        observed.push(Observation {
            images_seen: epoch.get("images_seen").and_then(Value::as_u64).unwrap_or(0),
            losses: [number(epoch, "loss_d"), number(epoch, "loss_g")],
            belief: [number(epoch, "d_real"), number(epoch, "d_fake")],
            logits: epoch.get("logits").and_then(|value| serde_json::from_value::<Logits>(value.clone()).ok()),
            spread: Some(evaluation.variety.spread),
            nearest: Some(evaluation.variety.nearest),
            recall: Some(evaluation.headline().recall),
        });
        if let Some(alarm) = alarms::look(&observed).filter(|alarm| found.iter().all(|(_, known)| known.kind != alarm.kind)) {
            found.push((epoch.get("epoch").and_then(Value::as_u64).unwrap_or(0), alarm));
        }
    }
    found
}

fn alarm(training: &Training, epochs: &[Map<String, Value>], of_several: bool) -> Markup {
    html! {
        @for (epoch, alarm) in alarms(epochs) {
            p.alarm { strong { @if of_several { (training.name) ", " } "epoch " (epoch) ": " } (alarm.sentence) ". " span.quiet { "What helps: " (alarm.advice) "." } }
        }
        @if let Some(error) = &training.run.error { p.alarm { strong { (training.name) ": " } (error) } }
    }
}

/// The grids of all epochs, on one slider for all that are shown.
fn grids(shown: &[&Training]) -> Markup {
    let last = shown.iter().filter_map(|training| Some(training.grids().last()?.0)).max();
    html! {
        @if let Some(last) = last {
            section #grids aria-labelledby="grids-title" {
                h2 #grids-title { "The same latents after every epoch" }
                label.slider { "Epoch " output #epoch { (last) } " " input #slider-epoch type="range" min="0" max=(last) value=(last); }
                div.side-by-side {
                    @for training in shown {
                        @let epochs: Vec<u64> = training.grids().iter().map(|(epoch, _)| *epoch).collect();
                        @if let Some(newest) = epochs.last() {
                            figure {
                                img.grid data-of=(training.name) data-epochs=(epochs.iter().map(u64::to_string).collect::<Vec<_>>().join(" "))
                                    src=(grid_address(&training.name, *newest)) alt={ "Pictures drawn after epoch " (newest) };
                                figcaption { (training.name) ", epoch " span { (newest) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn grid_address(name: &str, epoch: u64) -> String {
    format!("/training/grid?of={}&epoch={epoch}", encoded(name))
}

#[derive(Deserialize)]
pub(super) struct Grid {
    of: String,
    epoch: u64,
}

/// The grid of an epoch. Training and epoch are looked up among those that there are.
pub(super) async fn grid(State(desk): State<Arc<Desk>>, Query(asked): Query<Grid>) -> Response {
    let work = move || {
        let training = trainings::find(desk.workspace(), &asked.of).ok()?;
        let (_, path) = training.grids().into_iter().find(|(epoch, _)| *epoch == asked.epoch)?;
        let picture = catgen_picture::decode(&fs::read(path).ok()?, Some(1024)).ok()?.picture;
        Some(catgen_picture::encode_png(&picture))
    };
    match away(work).await {
        Some(bytes) => ([(header::CONTENT_TYPE, "image/png"), (header::CACHE_CONTROL, "private, max-age=3600")], bytes).into_response(),
        None => (StatusCode::NOT_FOUND, "there is no such grid").into_response(),
    }
}

#[derive(Deserialize)]
pub(super) struct Begin {
    stage: String,
    #[serde(default)]
    set: String,
}

/// Trains again, with what is changed for this training.
pub(super) async fn begin(State(desk): State<Arc<Desk>>, Json(ask): Json<Begin>) -> Response {
    let work = move || -> Result<Value> {
        let project = desk.project()?;
        let stage = desk.stage(&project, &ask.stage)?;
        let name = project.pipeline.stages[stage].name.clone();
        let set = assignments(&ask.set)?;
        // Said here and now, and not in a line of a child that ends at once.
        let overrides = set
            .iter()
            .map(|text| {
                crate::pipeline::Override::parse(&format!("{name}.{text}")).map_err(|what| Error::Usage { what, hint: String::new() })
            })
            .collect::<Result<Vec<_>>>()?;
        crate::Project::open(desk.workspace().clone(), overrides, crate::registry::STAGES, crate::tools::Tools::find())?;
        let mut words = vec!["train".to_owned(), name];
        words.extend(set.into_iter().flat_map(|text| ["--set".to_owned(), text]));
        words.push("--no-wait".to_owned());
        desk.jobs.start_with(&words)?;
        Ok(json!({ "started": true }))
    };
    page::answer(away(work).await)
}

#[derive(Deserialize)]
pub(super) struct GoOn {
    training: String,
}

/// Goes on with a training that was stopped, killed or failed: the run that it was part of is asked for again.
pub(super) async fn go_on(State(desk): State<Arc<Desk>>, Json(ask): Json<GoOn>) -> Response {
    let work = move || -> Result<Value> {
        let training = trainings::find(desk.workspace(), &ask.training)?;
        if training.run.status == Status::Done {
            return Err(Error::Usage { what: format!("{} is finished", training.name), hint: "start another one".to_owned() });
        }
        desk.jobs.start_with(&again(&training))?;
        Ok(json!({ "started": true }))
    };
    page::answer(away(work).await)
}

/// The words that go on with a training.
fn again(training: &Training) -> Vec<String> {
    let mut words = vec!["run".to_owned(), "--until".to_owned(), training.stage.clone()];
    words.extend(training.run.set.iter().flat_map(|text| ["--set".to_owned(), text.clone()]));
    words.extend(["--no-wait".to_owned(), "--progress".to_owned()]);
    words
}

/// `epochs=50 learning_rate=1e-4`, at most one for each parameter; a value in brackets may have spaces in it.
fn assignments(text: &str) -> Result<Vec<String>> {
    let mut found: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match found.last_mut() {
            // A list that is not closed yet.
            Some(last) if last.matches('[').count() > last.matches(']').count() => last.push_str(&format!(" {word}")),
            _ if word.split_once('=').is_some_and(|(key, value)| !key.is_empty() && !key.contains('.') && !value.is_empty()) => {
                found.push(word.to_owned());
            }
            _ => {
                return Err(Error::Usage {
                    what: format!("{word:?} changes nothing"),
                    hint: "write parameters with their values, and a space between two: epochs=50 learning_rate=1e-4".to_owned(),
                });
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changed_parameters_are_taken_apart() {
        let check = |text: &str, expected: Option<&[&str]>| {
            assert_eq!(assignments(text).ok(), expected.map(|words| words.iter().map(|word| (*word).to_owned()).collect()), "{text:?}");
        };
        check("", Some(&[]));
        check(" epochs=50  learning_rate=1e-4 ", Some(&["epochs=50", "learning_rate=1e-4"]));
        check("augment_with=[\"color\", \"cutout\"] batch=8", Some(&["augment_with=[\"color\", \"cutout\"]", "batch=8"]));
        check("epochs", None);
        check("7.Train.epochs=5", None);
        check("--no-wait", None);
        check("=5", None);
    }

    fn epoch(number: u64, spread: f64) -> Map<String, Value> {
        let distances = |kid: f64| json!({"photos": 9, "kid": kid, "frechet": 2.0, "precision": 0.5, "recall": 0.25});
        let value = json!({
            "epoch": number, "images_seen": number * 30_000, "loss_d": 0.5, "loss_g": 2.0, "d_real": 0.8, "d_fake": 0.2, "augment": 0.0,
            "evaluation": {
                "features": "f", "pictures": 9, "held_out": distances(0.125), "training": distances(0.5),
                "variety": {"spread": spread, "nearest": 0.8},
                "copied": {"share": 0.0, "ratio": 1.0, "by_held_out": true, "nearest": []},
            },
        });
        value.as_object().unwrap().clone()
    }

    #[test]
    fn numbers_of_an_epoch_are_its_own_or_those_against_held_out_photos() {
        let first = epoch(1, 0.9);
        assert_eq!(["loss_d", "kid", "spread", "nothing"].map(|name| value(&first, name)), [Some(0.5), Some(0.125), Some(0.9), None]);
        let mut without = first.clone();
        without["evaluation"]["held_out"] = Value::Null;
        assert_eq!(value(&without, "kid"), Some(0.5));
        without.remove("evaluation");
        assert_eq!(value(&without, "kid"), None);
    }

    #[test]
    fn an_alarm_is_told_once_at_the_epoch_it_was_seen_at() {
        let epochs: Vec<_> = [(1, 0.9), (2, 0.3), (3, 0.2), (4, 0.1), (5, 0.1)].map(|(number, spread)| epoch(number, spread)).into();
        let found: Vec<(u64, alarms::Kind)> = alarms(&epochs).into_iter().map(|(epoch, alarm)| (epoch, alarm.kind)).collect();
        assert_eq!(found, [(4, alarms::Kind::Collapse)]);
        assert_eq!(alarms(&epochs[..3]).len(), 0);
    }

    #[test]
    fn what_is_off_is_not_drawn_and_two_trainings_share_a_drawing() {
        let training = |name: &str| Training {
            name: name.to_owned(),
            run: serde_json::from_value(json!({
                "id": name, "status": "stopped", "started": "", "seconds": 1.0, "asked": catgen_api::Digest::of(b""), "set": ["T.width=8"]
            }))
            .unwrap(),
            stage: "T".to_owned(),
            folder: std::path::PathBuf::new(),
            metrics: Value::Null,
        };
        let (one, two) = (training("0001-a/T"), training("0002-b/T"));
        let numbers = vec![vec![epoch(1, 0.9), epoch(2, 0.8)], vec![epoch(1, 0.7), epoch(2, 0.6)]];
        let all = |shown: &[&Training], numbers: &[Vec<Map<String, Value>>]| {
            CURVES.iter().map(|curve| drawn(curve, shown, numbers).into_string()).collect::<String>()
        };
        let alone = all(&[&one], &numbers[..1]);
        assert!(alone.contains("Losses") && alone.contains("KID × 1000") && !alone.contains("Changes to what"), "{alone}");
        assert_eq!(alone.matches("<polyline").count(), 2 + 2 + 1 + 1 + 3);
        let both = all(&[&one, &two], &numbers);
        assert!(both.contains("Losses: generator") && both.matches("0002-b/T").count() >= 9, "{both}");
        assert_eq!(again(&one), ["run", "--until", "T", "--set", "T.width=8", "--no-wait", "--progress"]);
    }
}
