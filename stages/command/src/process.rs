//! `Process`: a running program with its three pipes.
//!
//! A thread for each pipe, so that nothing a program does with one of them can block another: it may print megabytes to its
//! standard error before it answers, or never read what it was told.

use std::{
    collections::VecDeque,
    io::{self, BufRead, BufReader, Read, Write},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex,
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    thread,
    time::{Duration, Instant},
};

use crate::text::shown;

/// How long a program may take to end once its input was closed or its output ended.
pub(crate) const GRACE: Duration = Duration::from_secs(5);

/// How often it is looked whether a silent program is still there: one that died may have left a child that holds its pipes.
const LOOK: Duration = Duration::from_millis(100);

/// Longer lines arrive in pieces, which then are no answers: no program can fill the memory.
const LONGEST_ANSWER: usize = 16 << 20;

/// Longer lines of standard error arrive in pieces.
const LONGEST_WORDS: usize = 4 << 10;

/// How many last lines of standard error are kept for messages.
const KEPT: usize = 20;

/// Whether a program has a standard input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stdin {
    /// It is told line by line.
    Lines,
    /// It has none: reading answers the end at once.
    Nothing,
}

/// What was heard from a program.
#[derive(Debug)]
pub(crate) enum Heard {
    /// A line, without its end.
    Line(Vec<u8>),
    /// Nothing until the deadline.
    Silence,
    /// It closed its output or ended.
    End,
}

/// A running program; dropping it ends it, and what it started with it.
pub(crate) struct Process {
    child: Child,
    input: Option<Sender<Vec<u8>>>,
    lines: Receiver<Vec<u8>>,
    words: Arc<Mutex<VecDeque<String>>>,
    /// Disconnected once standard error ended.
    words_end: Receiver<()>,
}

impl Process {
    /// Starts `command` with pipes, in a process group of its own: Ctrl-C in the terminal then reaches this program alone, which
    /// lets what is in flight finish.
    pub(crate) fn start(mut command: Command, name: &str, stdin: Stdin) -> io::Result<Self> {
        command.stdin(if stdin == Stdin::Lines { Stdio::piped() } else { Stdio::null() });
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn()?;
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());

        let input = stdin.map(|mut stdin| {
            let (input, told) = mpsc::channel::<Vec<u8>>();
            // Ends, and with it the program's input, when the sender is dropped or the program is gone.
            thread::spawn(move || told.into_iter().try_for_each(|line| stdin.write_all(&line).and_then(|()| stdin.flush())));
            input
        });
        // Bounded: a program that prints faster than it is listened to waits.
        let (said, lines) = mpsc::sync_channel(64);
        if let Some(stdout) = stdout {
            thread::spawn(move || each_line(BufReader::new(stdout), LONGEST_ANSWER, |line| said.send(line).is_ok()));
        }
        let words = Arc::new(Mutex::new(VecDeque::with_capacity(KEPT)));
        let (ended, words_end) = mpsc::channel();
        if let Some(stderr) = stderr {
            let (words, name) = (Arc::clone(&words), name.to_owned());
            thread::spawn(move || {
                each_line(BufReader::new(stderr), LONGEST_WORDS, |line| {
                    let line = shown(&line, 500);
                    tracing::debug!("{name}: {line}");
                    let mut words = words.lock().expect("no thread panics while it holds this lock");
                    if words.len() == KEPT {
                        words.pop_front();
                    }
                    words.push_back(line);
                    true
                });
                drop(ended);
            });
        }
        Ok(Self { child, input, lines, words, words_end })
    }

    /// Sends a line, which ends with a newline; does not wait until it is read.
    pub(crate) fn tell(&self, line: &[u8]) {
        if let Some(input) = &self.input {
            // A program that is gone is noticed by listening to it.
            let _ = input.send(line.to_owned());
        }
    }

    /// Closes its input: a worker has nothing more to do and ends.
    pub(crate) fn close_input(&mut self) {
        self.input = None;
    }

    /// The next line that it prints, blank ones aside.
    pub(crate) fn hear(&mut self, until: Option<Instant>) -> Heard {
        loop {
            let slice = until.map_or(LOOK, |until| until.saturating_duration_since(Instant::now()).min(LOOK));
            match self.lines.recv_timeout(slice) {
                Ok(line) => return Heard::Line(line),
                Err(RecvTimeoutError::Disconnected) => return Heard::End,
                Err(RecvTimeoutError::Timeout) => {}
            }
            if self.has_ended() {
                // What it printed last may still be on its way.
                return self.lines.recv_timeout(LOOK).map_or(Heard::End, Heard::Line);
            }
            if until.is_some_and(|until| until <= Instant::now()) {
                return Heard::Silence;
            }
        }
    }

    /// Whether it is gone.
    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for its end at most until then, and ends it if it does not come; how it ended of itself, if it did.
    pub(crate) fn end_by(&mut self, until: Instant) -> Option<ExitStatus> {
        let status = self.wait_until(until);
        if status.is_none() {
            self.kill();
        }
        // The last words may still be on their way, unless something that it started holds the pipe.
        let _ = self.words_end.recv_timeout(Duration::from_millis(500));
        status
    }

    fn wait_until(&mut self, until: Instant) -> Option<ExitStatus> {
        let mut pause = Duration::from_millis(1);
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return Some(status),
                Err(_) => return None,
                Ok(None) if Instant::now() >= until => return None,
                Ok(None) => thread::sleep(pause),
            }
            pause = (pause * 2).min(Duration::from_millis(20));
        }
    }

    /// The last lines of its standard error, at most `lines` of them.
    pub(crate) fn last_words(&self, lines: usize) -> Vec<String> {
        let words = self.words.lock().expect("no thread panics while it holds this lock");
        words.iter().skip(words.len().saturating_sub(lines)).cloned().collect()
    }

    /// Ends it at once, with everything that it started.
    fn kill(&mut self) {
        if self.has_ended() {
            return;
        }
        // Until it is waited for, its number belongs to nobody else.
        #[cfg(unix)]
        let _ = rustix::process::kill_process_group(rustix::process::Pid::from_child(&self.child), rustix::process::Signal::KILL);
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Hands on every line that is not blank, without its end; stops when nobody wants more.
fn each_line(mut from: impl BufRead, longest: usize, mut take: impl FnMut(Vec<u8>) -> bool) {
    loop {
        let mut line = Vec::new();
        match (&mut from).take(longest as u64).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let end = line.trim_ascii_end().len();
        line.truncate(end);
        if !line.is_empty() && !take(line) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_without_their_ends_and_in_pieces_where_they_are_too_long() {
        let mut lines = Vec::new();
        each_line(&b"one\r\n\n  \ntwo\nabcdefghij\nlast"[..], 6, |line| {
            lines.push(String::from_utf8(line).unwrap());
            true
        });
        assert_eq!(lines, ["one", "two", "abcdef", "ghij", "last"]);
    }
}
