//! The run that the studio started, if any: a `catgen-pipe run` of its own, whose lines go to every open page.

use std::{
    convert::Infallible,
    io::{BufRead, BufReader, Read},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    extract::State,
    response::sse::{Event, KeepAlive, Sse},
};
use serde_json::{Value, json};
use tokio::sync::broadcast;
use tokio_stream::{Stream, StreamExt, wrappers::BroadcastStream};

use super::Desk;
use crate::{Error, error::Result};

/// How many lines a slow page may be behind before it misses some; it then asks for everything anew.
const BEHIND: usize = 1024;

pub(crate) struct Jobs {
    root: PathBuf,
    at_work: Arc<Mutex<Option<Child>>>,
    said: Said,
}

/// What a run says, to every page that is open; pages opened later are told how far it is.
#[derive(Clone)]
struct Said {
    pages: broadcast::Sender<Value>,
    /// The last word about how far it is.
    last: Arc<Mutex<Option<Value>>>,
}

impl Said {
    fn say(&self, value: Value) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match value["event"].as_str() {
            Some("started" | "progress") => *last = Some(value.clone()),
            Some("ended") => *last = None,
            _ => {}
        }
        // Nobody may be listening.
        let _ = self.pages.send(value);
    }

    /// What was said last, and all that follows it.
    fn listen(&self) -> (Option<Value>, broadcast::Receiver<Value>) {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        (last.clone(), self.pages.subscribe())
    }
}

impl Jobs {
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root, at_work: Arc::default(), said: Said { pages: broadcast::channel(BEHIND).0, last: Arc::default() } }
    }

    /// Whether a run that was started here is still at work.
    pub(super) fn is_at_work(&self) -> bool {
        self.at_work.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Starts a run of everything, or up to one stage.
    ///
    /// # Errors
    /// One is at work already, or the program cannot be started.
    pub(super) fn start(&self, until: Option<&str>) -> Result<()> {
        let mut words = ["run", "--no-wait", "--progress"].map(str::to_owned).to_vec();
        words.extend(until.into_iter().flat_map(|stage| ["--until".to_owned(), stage.to_owned()]));
        self.start_with(&words)
    }

    /// Starts this program with other words: `train`, and what is changed for it.
    ///
    /// # Errors
    /// As [`Jobs::start`].
    pub(super) fn start_with(&self, words: &[String]) -> Result<()> {
        let mut at_work = self.at_work.lock().unwrap_or_else(PoisonError::into_inner);
        if at_work.is_some() {
            return Err(Error::Busy { by: "a run that was started here is at work".to_owned() });
        }
        let program = std::env::current_exe().map_err(Error::io("find", "catgen-pipe"))?;
        let mut command = Command::new(&program);
        command.arg("-C").arg(&self.root).arg("--json").args(words);
        #[cfg(unix)]
        // The studio's Ctrl-C is not the run's: it is told to stop by `end`, and then finishes what is in flight.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(Error::io("start", &program))?;
        let (out, words) = (child.stdout.take(), child.stderr.take());
        *at_work = Some(child);
        drop(at_work);
        self.said.say(json!({ "event": "started" }));
        let (slot, said) = (Arc::clone(&self.at_work), self.said.clone());
        std::thread::spawn(move || follow(out, words, &slot, &said));
        Ok(())
    }

    /// Asks the run to finish what is in flight and end.
    pub(super) fn stop(&self) {
        if let Some(child) = self.at_work.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            interrupt(child);
        }
    }

    /// Stops the run and waits until it is gone.
    pub(super) fn end(&self) {
        self.stop();
        while self.is_at_work() {
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    }
}

#[cfg(unix)]
fn interrupt(child: &mut Child) {
    let id = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
    if let Some(id) = id {
        let _ = rustix::process::kill_process(id, rustix::process::Signal::INT);
    }
}

/// Where there are no signals it is killed: the next run goes on from there all the same.
#[cfg(not(unix))]
fn interrupt(child: &mut Child) {
    let _ = child.kill();
}

/// Passes on what a run says until it ends, then says how it ended.
fn follow(out: Option<impl Read>, words: Option<impl Read + Send + 'static>, slot: &Mutex<Option<Child>>, said: &Said) {
    let words = words.map(|words| {
        let said = said.clone();
        std::thread::spawn(move || {
            let mut last = Vec::new();
            for line in BufReader::new(words).lines().map_while(std::io::Result::ok) {
                said.say(json!({ "event": "words", "text": line }));
                if line.starts_with("error: ") || line.starts_with("hint: ") {
                    last.push(line);
                }
            }
            last.join("\n")
        })
    });
    if let Some(out) = out {
        for line in BufReader::new(out).lines().map_while(std::io::Result::ok) {
            if let Ok(value) = serde_json::from_str::<Value>(&line) {
                said.say(value);
            }
        }
    }
    let words = words.and_then(|words| words.join().ok()).unwrap_or_default();
    let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
    let code = slot.take().and_then(|mut child| child.wait().ok()).and_then(|status| status.code());
    drop(slot);
    said.say(json!({ "event": "ended", "code": code, "words": words }));
}

/// How far a run is, and everything that it says from now on.
pub(super) async fn events(State(desk): State<Arc<Desk>>) -> Sse<impl Stream<Item = std::result::Result<Event, Infallible>>> {
    let (last, lines) = desk.jobs.said.listen();
    let lines = BroadcastStream::new(lines).map(|said| said.unwrap_or_else(|_| json!({ "event": "missed" })));
    let lines = tokio_stream::iter(last).chain(lines).map(|value| Ok(Event::default().data(value.to_string())));
    Sse::new(lines).keep_alive(KeepAlive::default())
}
