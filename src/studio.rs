//! The studio: one local page to see, review and play, served by the same program.
//!
//! It reads what the engine records and adds no second truth: pages are made from the pipeline, the stages' manifests and the runs'
//! records; a decision is a line in the file that the stage reads; a run is a `catgen-pipe run` started as a child process.
//!
//! | file | what it answers |
//! |---|---|
//! | `guard.rs` | who may ask: token, Host, Origin; what a page may do |
//! | `desk.rs` | what all pages share: the workspace, opened anew per question, and manifests kept in memory |
//! | `page.rs` | the frame of every page, and what is said when something is wrong |
//! | `flow.rs`, `jobs.rs` | the stages and how they are; starting and stopping a run, its progress live |
//! | `gallery.rs`, `picture.rs` | the pictures of a stage; one picture and its way |
//! | `duplicates.rs` | what shows the same, side by side, and decisions about it |
//! | `review.rs` | a person's decisions, by keyboard |
//! | `thumbs.rs` | pictures by digest, re-encoded |
//! | `training.rs` | what was trained: curves, grids, start, stop, go on |
//! | `tuning.rs` | a stage's parameters tried on a few photos, and written into `pipeline.toml` |
//! | `game.rs` | photos and generated pictures, told apart by a person |
//! | `latent.rs`, `draws.rs` | a generator that stays loaded: where pictures lie in its space, what its layers make; a transposed convolution by hand |

mod desk;
mod draws;
mod duplicates;
mod flow;
mod gallery;
mod game;
mod guard;
mod jobs;
mod latent;
mod page;
mod picture;
mod review;
mod thumbs;
mod training;
mod tuning;

use std::{
    net::{IpAddr, SocketAddr, TcpListener},
    sync::Arc,
};

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request},
    http::header,
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
pub(crate) use desk::Desk;
use guard::Guard;

use crate::{Error, Workspace, error::Result};

/// Where to serve.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// The address to listen on.
    pub listen: IpAddr,
    /// The port; 0 lets the system choose.
    pub port: u16,
}

/// A studio that listens and has not answered yet.
pub struct Studio {
    listener: TcpListener,
    desk: Arc<Desk>,
    guard: Arc<Guard>,
}

impl Studio {
    /// Listens for questions about the workspace.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub fn open(workspace: Workspace, options: Options) -> Result<Self> {
        let wanted = SocketAddr::new(options.listen, options.port);
        let taken = |error: std::io::Error| Error::Usage {
            what: format!("cannot listen on {wanted}: {error}"),
            hint: "another port: `catgen-pipe studio --port 0` lets the system choose".to_owned(),
        };
        let listener = TcpListener::bind(wanted).map_err(taken)?;
        let address = listener.local_addr().map_err(taken)?;
        listener.set_nonblocking(true).map_err(taken)?;
        let guard = Arc::new(Guard::new(address)?);
        Ok(Self { listener, desk: Arc::new(Desk::new(workspace, Arc::clone(&guard))), guard })
    }

    /// The address to open in a browser; it holds the secret that lets one in.
    pub fn url(&self) -> String {
        self.guard.url()
    }

    /// Answers until `stop` says so; then stops the run that it started, if it is still at work, so that nothing is left behind.
    ///
    /// # Errors
    /// The system's.
    pub fn serve(self, stop: impl Fn() -> bool + Send + 'static) -> Result<()> {
        let failed = |error: std::io::Error| Error::Usage { what: format!("the studio cannot serve: {error}"), hint: String::new() };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().map_err(failed)?;
        let Self { listener, desk, guard } = self;
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).map_err(failed)?;
            let app = router(Arc::clone(&desk), guard);
            let tidy = Arc::clone(&desk);
            tokio::task::spawn_blocking(move || thumbs::trim(&tidy));
            let stopped = async move {
                while !stop() {
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
            };
            tokio::select! {
                served = async { axum::serve(listener, app).await } => served.map_err(failed)?,
                () = stopped => {}
            }
            desk.jobs.end();
            Ok(())
        })
    }
}

fn router(desk: Arc<Desk>, guard: Arc<Guard>) -> Router {
    Router::new()
        .route("/", get(flow::page))
        .route("/flow.json", get(flow::state))
        .route("/run", post(flow::run))
        .route("/stop", post(flow::stop))
        .route("/events", get(jobs::events))
        .route("/gallery", get(gallery::page))
        .route("/items.json", get(gallery::items))
        .route("/picture", get(picture::page))
        .route("/duplicates", get(duplicates::page))
        .route("/duplicates/decide", post(duplicates::decide))
        .route("/review", get(review::page))
        .route("/review.json", get(review::list))
        .route("/decide", post(review::decide))
        .route("/thumb/{digest}", get(thumbs::thumb))
        .merge(play())
        .route("/studio.css", get(|| asset("text/css; charset=utf-8", include_str!("studio/assets/studio.css"))))
        .route("/icon.svg", get(|| asset("image/svg+xml", include_str!("studio/assets/icon.svg"))))
        .route("/common.js", get(|| script(include_str!("studio/assets/common.js"))))
        .route("/flow.js", get(|| script(include_str!("studio/assets/flow.js"))))
        .route("/gallery.js", get(|| script(include_str!("studio/assets/gallery.js"))))
        .route("/duplicates.js", get(|| script(include_str!("studio/assets/duplicates.js"))))
        .route("/review.js", get(|| script(include_str!("studio/assets/review.js"))))
        .fallback(page::nothing_here)
        .layer(DefaultBodyLimit::max(64 * 1024))
        .layer(middleware::from_fn(while_it_is_written))
        .layer(middleware::from_fn_with_state(guard, guard::check))
        .with_state(desk)
}

/// For who works on the studio: in builds with debug assertions `CATGEN_STUDIO_ASSETS=src/studio/assets` takes scripts and styles from
/// that folder as they are now, instead of from the program.
async fn while_it_is_written(request: Request, next: Next) -> Response {
    let name = request.uri().path().trim_start_matches('/').to_owned();
    let mut answer = next.run(request).await;
    if cfg!(debug_assertions)
        && let Some(folder) = std::env::var_os("CATGEN_STUDIO_ASSETS")
        && !name.contains('/')
        && let Ok(text) = std::fs::read(std::path::Path::new(&folder).join(&name))
    {
        *answer.body_mut() = text.into();
        answer.headers_mut().remove(header::CONTENT_LENGTH);
    }
    answer
}

/// What is done with what was trained.
fn play() -> Router<Arc<Desk>> {
    Router::new()
        .route("/game", get(game::page))
        .route("/game/start", post(game::start))
        .route("/game/answer", post(game::tell))
        .route("/game/result/{id}", get(game::result))
        .route("/game/{id}/{nth}", get(game::picture))
        .route("/answers.csv", get(game::csv))
        .route("/training", get(training::page))
        .route("/training/begin", post(training::begin))
        .route("/training/go-on", post(training::go_on))
        .route("/training/grid", get(training::grid))
        .route("/training.js", get(|| script(include_str!("studio/assets/training.js"))))
        .route("/tuning", get(tuning::page))
        .route("/tuning/look", post(tuning::look))
        .route("/tuning/apply", post(tuning::apply))
        .route("/tuning/undo", post(tuning::undo))
        .route("/preview/{digest}", get(tuning::picture))
        .route("/tuning.js", get(|| script(include_str!("studio/assets/tuning.js"))))
        .route("/latent", get(latent::page))
        .route("/latent/open", post(latent::open))
        .route("/latent/draw", post(latent::draw))
        .route("/latent/save", post(latent::save))
        .route("/latent.js", get(|| script(include_str!("studio/assets/latent.js"))))
        .route("/draws", get(draws::page))
        .route("/draws/stamps", post(draws::stamps))
        .route("/draws/maps", post(draws::maps))
        .route("/draws.js", get(|| script(include_str!("studio/assets/draws.js"))))
        .route("/play.css", get(|| asset("text/css; charset=utf-8", include_str!("studio/assets/play.css"))))
        .route("/game.js", get(|| script(include_str!("studio/assets/game.js"))))
}

async fn script(text: &'static str) -> impl IntoResponse {
    asset("text/javascript; charset=utf-8", text).await
}

async fn asset(kind: &'static str, text: &'static str) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, kind)], text)
}
