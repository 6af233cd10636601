//! Real or generated? One picture after the other, one answer each: how often generated pictures are taken for real photos.
//!
//! * Real pictures are photos that were held out from the training, as they were packed: a generator that learnt photos by heart gains
//!   nothing, and both kinds went through the same resizing.
//! * Nothing that the page is sent tells which is which before the game is over: pictures are addressed by their place in the game,
//!   are files of one length, and wait in memory; an answer's answer is how many are left.
//! * Every answer is a line in `data/answers.jsonl`, on the disk before the next picture shows.
//!
//! | file | what |
//! |---|---|
//! | `game/deal.rs` | which pictures, in which order |
//! | `game/pictures.rs` | where they come from |
//! | `game/log.rs` | what was answered |
//! | `game/score.rs` | what it comes to |

mod deal;
mod log;
mod pictures;
mod results;
mod score;

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Json,
    extract::{Path, Query, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};

use self::{
    log::{Answer, Shown},
    pictures::Pool,
};
use super::{Desk, desk::away, latent, page};
use crate::{Error, error::Result, record, trainings};

/// Games that are kept in memory: an older one can no longer be played, and its answers stay.
const KEPT: usize = 8;

/// Answers that a person can choose to give.
const LENGTHS: [usize; 4] = [20, 40, 60, 100];

/// A longer name is no name.
const LONGEST_NAME: usize = 60;

/// The games that are being played.
#[derive(Default)]
pub(super) struct Games(Mutex<VecDeque<Game>>);

/// One game.
struct Game {
    id: String,
    training: String,
    step: u64,
    epoch: u64,
    who: String,
    /// What is shown, and the file that the page gets.
    trials: Vec<(Shown, Arc<Vec<u8>>)>,
    /// So many answers were given.
    answered: usize,
}

impl Games {
    fn all(&self) -> MutexGuard<'_, VecDeque<Game>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, game: Game) {
        let mut all = self.all();
        all.push_back(game);
        if all.len() > KEPT {
            all.pop_front();
        }
    }
}

#[derive(Deserialize)]
pub(super) struct Asked {
    /// The training to choose at first.
    #[serde(default)]
    training: Option<String>,
}

/// The page on which a game is chosen and played, with what came of those before.
pub(super) async fn page(State(desk): State<Arc<Desk>>, Query(asked): Query<Asked>) -> Response {
    let at = Arc::clone(&desk);
    page::page(&desk, "Real or generated?", &["/game.js"], away(move || content(&at, asked.training.as_deref())).await)
}

fn content(desk: &Desk, wanted: Option<&str>) -> Markup {
    let trainings = latent::generators(desk);
    let answers = log::load(desk.workspace());
    html! {
        h1 { "Real or generated?" }
        @if trainings.is_empty() {
            p { "Nothing was trained here yet, so there is nothing to play with. " a href="/" { "Run the flow" } " up to its training and come back: the first checkpoint is enough." }
        } @else {
            p { "You see one picture at a time. Half of them are photos that the training never saw, half were drawn by its generator. Answer by feeling; there is no way back." }
            form #start .bar {
                label { "Generator " (latent::choose(&trainings, wanted)) }
                label { "Answers " select #count { @for length in LENGTHS { option value=(length) { (length) } } } }
                label { "Your name " input #who type="text" maxlength=(LONGEST_NAME) autocomplete="nickname" placeholder="may be empty" size="14"; }
                button type="submit" .primary { "Start" }
                span #wait role="status" {}
            }
            section #play hidden aria-label="The game" {
                div.progress { progress #bar max="20" value="0" aria-label="Answers given" {} span #left role="status" {} }
                img #shown alt="Real or generated?";
                div.answers {
                    button type="button" #real { "Real " kbd { "F" } }
                    button type="button" #generated { "Generated " kbd { "J" } }
                }
                p.quiet { span.keys { "Keys: " kbd { "F" } " or " kbd { "←" } " real, " kbd { "J" } " or " kbd { "→" } " generated. " } "Every answer is on the disk before the next picture shows." }
            }
        }
        (results::all(&answers))
    }
}

#[derive(Deserialize)]
pub(super) struct Start {
    training: String,
    step: u64,
    count: usize,
    #[serde(default)]
    who: String,
}

/// Chooses the pictures of a game, draws those that are not drawn yet, and answers where the game is.
pub(super) async fn start(State(desk): State<Arc<Desk>>, Json(ask): Json<Start>) -> Response {
    page::answer(away(move || deal(&desk, &ask)).await)
}

fn deal(desk: &Desk, ask: &Start) -> Result<Value> {
    let project = desk.project()?;
    let training = trainings::find(desk.workspace(), &ask.training)?;
    let checkpoint = training.checkpoint(ask.step)?;
    let photos = pictures::held_out(&project, &training)?;
    let who: String = ask.who.trim().chars().filter(|letter| !letter.is_control()).take(LONGEST_NAME).collect();
    // Every photo at most once in a game: there may be fewer of them than the game could be long.
    let count = ask.count.min(LENGTHS[LENGTHS.len() - 1]).min(2 * photos.rows.len()) / deal::BLOCK * deal::BLOCK;
    if count == 0 {
        return Err(Error::Usage {
            what: format!("only {} photos were held out from {}, and a game needs {}", photos.rows.len(), training.name, deal::BLOCK / 2),
            hint: "hold out more: `held_out` of the export stage".to_owned(),
        });
    }
    let seed = getrandom::u64()
        .map_err(|error| Error::Usage { what: format!("this machine gives no random numbers: {error}"), hint: String::new() })?;
    let (half, before) = (count / 2, log::load(desk.workspace()));
    let mut seen: HashMap<&Shown, usize> = HashMap::new();
    for answer in before.iter().filter(|answer| answer.who == who) {
        // A generated picture is another one in another checkpoint, a photo is the same in all.
        if answer.shown.is_real() || (answer.training == training.name && answer.step == checkpoint.step) {
            *seen.entry(&answer.shown).or_default() += 1;
        }
    }
    let times = |shown: &Shown| seen.get(shown).copied().unwrap_or(0);
    let candidates: Vec<((String, u64), usize)> =
        photos.rows.iter().map(|row| (row.clone(), times(&Shown::Real { photo: row.0.clone() }))).collect();
    let reals = deal::pick(&candidates, half, seed, "game photos");
    let pool = Pool::of(&project, &training, &checkpoint);
    let known = seen.keys().filter(|shown| !shown.is_real()).count();
    let candidates: Vec<(u64, usize)> =
        pool.seeds(known + half)?.into_iter().map(|seed| (seed, times(&Shown::Generated { seed }))).collect();
    let fakes = deal::pick(&candidates, half, seed, "game seeds");

    let rows: Vec<u64> = reals.iter().map(|(_, row)| *row).collect();
    let shown = reals.into_iter().map(|(photo, _)| Shown::Real { photo });
    let mut reals = shown.zip(photos.pictures(&rows)?);
    let mut fakes = fakes.into_iter().map(|seed| -> Result<_> { Ok((Shown::Generated { seed }, pool.picture(seed)?)) });
    let mut trials = Vec::with_capacity(count);
    for is_real in deal::order(seed, count) {
        let next = if is_real { reals.next().map(Ok) } else { fakes.next() };
        let (shown, picture) = next.expect("each kind was picked for half of the places")?;
        trials.push((shown, Arc::new(pictures::dress(&picture))));
    }
    let (id, asked) = (format!("{seed:016x}"), ask.count);
    let note =
        (count < asked).then(|| format!("{} photos were held out, so there are {count} pictures and not {asked}.", photos.rows.len()));
    let repeated = candidates_seen(&trials, &seen);
    desk.games.add(Game {
        id: id.clone(),
        training: training.name,
        step: checkpoint.step,
        epoch: checkpoint.epoch,
        who,
        trials,
        answered: 0,
    });
    Ok(json!({ "game": id, "total": count, "note": note, "repeated": repeated }))
}

/// How many of the game's pictures this person has seen in an earlier one.
fn candidates_seen(trials: &[(Shown, Arc<Vec<u8>>)], seen: &HashMap<&Shown, usize>) -> usize {
    trials.iter().filter(|(shown, _)| seen.contains_key(shown)).count()
}

/// A picture of a game: the next one, or the one after it, so that it is there in time; any of a game that is over.
pub(super) async fn picture(State(desk): State<Arc<Desk>>, Path((id, nth)): Path<(String, usize)>) -> Response {
    let found = desk.games.all().iter().find(|game| game.id == id).and_then(|game| {
        let may_see = nth <= game.answered + 1;
        game.trials.get(nth).filter(|_| may_see).map(|(_, bytes)| Arc::clone(bytes))
    });
    match found {
        Some(bytes) => ([(header::CONTENT_TYPE, "image/png")], bytes.as_ref().clone()).into_response(),
        None => (StatusCode::NOT_FOUND, "there is no such picture, or not yet").into_response(),
    }
}

#[derive(Deserialize)]
pub(super) struct Told {
    game: String,
    nth: usize,
    real: bool,
    milliseconds: u64,
}

/// Takes an answer; what comes back is sent when it is on the disk.
pub(super) async fn tell(State(desk): State<Arc<Desk>>, Json(told): Json<Told>) -> Response {
    page::answer(away(move || take(&desk, &told)).await)
}

fn take(desk: &Desk, told: &Told) -> Result<Value> {
    let mut games = desk.games.all();
    let game = games.iter_mut().find(|game| game.id == told.game).ok_or_else(|| Error::Usage {
        what: "this game is over: the studio was started anew, or others were begun since".to_owned(),
        hint: "the answers so far are kept; start another game".to_owned(),
    })?;
    let total = game.trials.len();
    // Sent again because the answer to it was lost on the way: it was taken the first time.
    if told.nth >= game.answered && told.nth < total {
        if told.nth > game.answered {
            return Err(Error::Usage { what: "that picture was not shown yet".to_owned(), hint: "load the page again".to_owned() });
        }
        let line = Answer {
            game: game.id.clone(),
            nth: told.nth,
            training: game.training.clone(),
            step: game.step,
            epoch: game.epoch,
            shown: game.trials[told.nth].0.clone(),
            said_real: told.real,
            milliseconds: told.milliseconds,
            who: game.who.clone(),
            when: record::now(),
        };
        let file = log::file(desk.workspace());
        log::append(&file, &line).map_err(Error::io("write", &file))?;
        game.answered += 1;
    }
    Ok(json!({ "answered": game.answered, "total": total }))
}

/// What came of one game.
pub(super) async fn result(State(desk): State<Arc<Desk>>, Path(id): Path<String>) -> Response {
    let at = Arc::clone(&desk);
    let work = move || {
        let answers: Vec<Answer> = log::load(at.workspace()).into_iter().filter(|answer| answer.game == id).collect();
        // Half-way, the score would tell which was which.
        let is_over = at.games.all().iter().find(|game| game.id == id).is_none_or(|game| game.answered == game.trials.len());
        let in_memory = at.games.all().iter().any(|game| game.id == id);
        (!answers.is_empty() && is_over).then(|| results::one(&id, &answers, in_memory))
    };
    match away(work).await {
        Some(content) => page::page(&desk, "Result of a game", &[], content),
        None => page::nothing_here().await,
    }
}

/// All answers as a table.
pub(super) async fn csv(State(desk): State<Arc<Desk>>) -> Response {
    let table = away(move || log::csv(&log::load(desk.workspace()))).await;
    let headers =
        [(header::CONTENT_TYPE, "text/csv; charset=utf-8"), (header::CONTENT_DISPOSITION, "attachment; filename=\"answers.csv\"")];
    (headers, table).into_response()
}
