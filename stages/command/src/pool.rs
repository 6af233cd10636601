//! `Pool`: running workers, as many as there are threads that ask at once.

use std::{
    process::ExitStatus,
    sync::{
        Condvar, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use catgen_api::{Reason, StageError};

use crate::{
    GUIDE,
    process::{GRACE, Heard, Process, Stdin},
    program::Program,
    protocol::{self, Said},
    scratch::Desk,
};

/// So many bad answers before the first good one: the program does not know the protocol, and no picture is at fault.
const FAULTS: u32 = 3;

/// How long a program that did not answer in time is given to answer once its input is closed: it shows that the answer was kept
/// in a buffer.
const UNBUFFER: Duration = Duration::from_secs(2);

/// Workers of one program: started when asked for, kept while there is work.
pub(crate) struct Pool {
    program: Program,
    /// Processes at most.
    most: usize,
    timeout: Option<Duration>,
    state: Mutex<State>,
    freed: Condvar,
    /// Whether the program ended well when it was tried without a picture; locked while it is.
    sound: Mutex<bool>,
    /// Whether it ever gave a good answer.
    answered: AtomicBool,
}

#[derive(Default)]
struct State {
    idle: Vec<Process>,
    busy: usize,
    /// Bad answers before the first good one.
    faults: u32,
    /// What is wrong with the program, once that is known.
    broken: Option<StageError>,
}

/// What came of asking one worker.
enum Exchange {
    Answer(Said),
    /// No good answer; whether the next one of this worker will be for the next request.
    Fault {
        what: String,
        in_step: bool,
    },
    Timeout(String),
    End {
        status: Option<ExitStatus>,
        words: Vec<String>,
    },
}

impl Pool {
    /// At most `most` processes, 0 for any number; `timeout` for one answer.
    pub(crate) fn new(program: Program, most: usize, timeout: Option<Duration>) -> Self {
        let most = if most == 0 { usize::MAX } else { most };
        let (state, freed, sound) = (Mutex::default(), Condvar::new(), Mutex::default());
        Self { program, most, timeout, state, freed, sound, answered: AtomicBool::new(false) }
    }

    pub(crate) fn program(&self) -> &Program {
        &self.program
    }

    /// Asks a worker. One that dies is replaced, and asked again once; the inner error is this picture's.
    ///
    /// # Errors
    /// The program is of no use for any picture.
    pub(crate) fn ask(&self, id: u64, line: &[u8], desk: &Desk) -> Result<Result<Said, Reason>, StageError> {
        let mut again = false;
        loop {
            let mut seat = self.take()?;
            let name = self.program.name();
            match self.exchange(seat.process(), id, line) {
                Exchange::Answer(said) => {
                    self.answered.store(true, Ordering::Relaxed);
                    seat.give_back();
                    return Ok(Ok(said));
                }
                Exchange::Fault { what, in_step } => {
                    if in_step {
                        seat.give_back();
                    }
                    self.fault(&what)?;
                    return Ok(Err(Reason::new("failed", format!("{name} {what}"))));
                }
                Exchange::Timeout(what) => return Ok(Err(Reason::new("timeout", format!("{name} {what}")))),
                Exchange::End { status, words } => {
                    drop(seat);
                    self.try_out()?;
                    if again {
                        if status.is_some_and(|status| status.success()) {
                            self.fault("ended without an answer, as if it were done")?;
                        }
                        let text = format!("{name} broke down twice over this picture ({}){}", how(status), in_one_line(&words));
                        return Ok(Err(Reason::new("crashed", text)));
                    }
                    tracing::warn!("{name} broke down ({}){}; it is started again", how(status), in_one_line(&words));
                    again = true;
                    desk.clear()?;
                }
            }
        }
    }

    fn exchange(&self, process: &mut Process, id: u64, line: &[u8]) -> Exchange {
        process.tell(line);
        match process.hear(self.timeout.map(|timeout| Instant::now() + timeout)) {
            Heard::Line(line) => match protocol::parse(&line) {
                Ok(answer) if answer.id == id => Exchange::Answer(answer.said),
                Ok(answer) => Exchange::Fault { what: format!("was asked for id {id} and answered for {}", answer.id), in_step: false },
                Err(no) => Exchange::Fault { what: no.what, in_step: no.id == Some(id) },
            },
            Heard::Silence => {
                let seconds = self.timeout.unwrap_or_default().as_secs_f64();
                process.close_input();
                let late = process.hear(Some(Instant::now() + UNBUFFER));
                if matches!(late, Heard::Line(line) if protocol::parse(&line).is_ok_and(|answer| answer.id == id)) {
                    let what = format!("answered only after {seconds} seconds, when its input was closed: let it flush after each answer");
                    return Exchange::Fault { what, in_step: false };
                }
                let words = in_one_line(&process.last_words(3));
                Exchange::Timeout(format!("did not answer within {seconds} seconds{words}; `timeout` allows more"))
            }
            Heard::End => {
                let status = process.end_by(Instant::now() + GRACE);
                Exchange::End { status, words: process.last_words(3) }
            }
        }
    }

    /// A worker that nobody uses, or a new one, or the next to be free.
    fn take(&self) -> Result<Seat<'_>, StageError> {
        let mut state = self.lock();
        loop {
            if let Some(broken) = &state.broken {
                return Err(broken.clone());
            }
            if let Some(mut process) = state.idle.pop() {
                // One that ended between two pictures did not do so over either.
                if process.has_ended() {
                    continue;
                }
                state.busy += 1;
                return Ok(Seat { pool: self, process: Some(process) });
            }
            if state.busy < self.most {
                state.busy += 1;
                drop(state);
                let mut seat = Seat { pool: self, process: None };
                let started = self.program.start(Stdin::Lines, &[]);
                seat.process = Some(started.map_err(|error| self.give_up(error))?);
                return Ok(seat);
            }
            state = self.freed.wait(state).expect("no thread panics while it holds this lock");
        }
    }

    /// After a worker died before any answered: is it the picture or the program? Told of no picture at all, a good worker ends well.
    fn try_out(&self) -> Result<(), StageError> {
        let mut sound = self.sound.lock().expect("no thread panics while it holds this lock");
        if *sound || self.answered.load(Ordering::Relaxed) {
            return Ok(());
        }
        if let Some(broken) = &self.lock().broken {
            return Err(broken.clone());
        }
        let mut process = self.program.start(Stdin::Nothing, &[]).map_err(|error| self.give_up(error))?;
        let until = Instant::now() + self.timeout.unwrap_or(Duration::from_secs(600));
        while let Heard::Line(_) = process.hear(Some(until)) {}
        let status = process.end_by(until.max(Instant::now() + GRACE));
        if status.is_none_or(|status| status.success()) {
            *sound = true;
            return Ok(());
        }
        let words = process.last_words(12).iter().map(|line| format!("\n  {line}")).collect::<String>();
        Err(self.give_up(StageError::Broken {
            what: format!("{} breaks down before it looks at a picture ({}){words}", self.program.name(), how(status)),
            hint: format!("try it by itself, in the workspace, with nothing on its standard input; {GUIDE}"),
        }))
    }

    /// A bad answer; too many before the first good one, and the stage is broken.
    fn fault(&self, what: &str) -> Result<(), StageError> {
        if self.answered.load(Ordering::Relaxed) {
            return Ok(());
        }
        let mut state = self.lock();
        state.faults += 1;
        if state.faults < FAULTS {
            return Ok(());
        }
        drop(state);
        Err(self.give_up(StageError::Broken {
            what: format!("no answer of {} can be used: it {what}", self.program.name()),
            hint: format!("a worker answers each line with one line, until its input ends; {GUIDE}"),
        }))
    }

    /// Notes that the program is of no use, for all threads.
    fn give_up(&self, error: StageError) -> StageError {
        let error = self.lock().broken.get_or_insert(error).clone();
        self.freed.notify_all();
        error
    }

    /// Lets the workers that nobody uses end, and waits for that.
    pub(crate) fn rest(&self) {
        let mut idle = std::mem::take(&mut self.lock().idle);
        idle.iter_mut().for_each(Process::close_input);
        let until = Instant::now() + GRACE;
        for process in &mut idle {
            process.end_by(until);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread panics while it holds this lock")
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.rest();
    }
}

/// The right to use one worker; dropping it ends the worker.
struct Seat<'a> {
    pool: &'a Pool,
    process: Option<Process>,
}

impl Seat<'_> {
    fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("a seat that was taken has a process until it is given back")
    }

    fn give_back(mut self) {
        self.pool.lock().idle.extend(self.process.take());
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        drop(self.process.take());
        self.pool.lock().busy -= 1;
        self.pool.freed.notify_one();
    }
}

/// How a program ended, in words.
pub(crate) fn how(status: Option<ExitStatus>) -> String {
    status.map_or_else(|| "it closed its output and did not end".to_owned(), |status| status.to_string())
}

/// Last words as the end of a sentence.
pub(crate) fn in_one_line(words: &[String]) -> String {
    if words.is_empty() { String::new() } else { format!("; its last words: {}", words.join(" / ")) }
}
