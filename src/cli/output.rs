//! What people and programs see while a run goes on: bars on a terminal, lines otherwise, JSON lines for programs.

use std::{
    fmt::Display,
    io::{self, ErrorKind, IsTerminal, Write},
    sync::{Mutex, atomic::Ordering},
    time::{Duration, Instant},
};

use catgen_train::{Event, Measures};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::{
    disk::size,
    progress::{Progress, Report, StageReport, Status, Traffic},
};

/// Prints a line of data, for a command that does nothing else. A reader that went away (`| head`) ends the program without a
/// fuss, as it does for other tools; a full disk must not look like the end of the data.
pub(super) fn line(text: impl Display) {
    match try_line(text) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        Err(error) => {
            say(format_args!("error: cannot write the output: {error}"));
            std::process::exit(3);
        }
    }
}

fn try_line(text: impl Display) -> io::Result<()> {
    writeln!(io::stdout(), "{text}")
}

/// Says a line to people. If nobody can hear it, because standard error is closed or its disk is full, the work still counts.
pub(super) fn say(text: impl Display) {
    let _ = io::stderr().write_all(format!("{text}\n").as_bytes());
}

/// Prints a value as one JSON line.
pub(super) fn json(value: &impl Serialize) {
    line(to_json(value));
}

fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("what is printed is plain data")
}

/// Rows under each other, columns as wide as their widest cell; the first column to the left, numbers to the right.
pub(super) fn table(head: &[&str], rows: &[Vec<String>]) {
    let width = |at: usize| rows.iter().map(|row| row[at].chars().count()).chain([head[at].chars().count()]).max().unwrap_or(0);
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let numeric =
        |at: usize| !rows.is_empty() && rows.iter().all(|row| row[at].is_empty() || row[at].starts_with(|c: char| c.is_ascii_digit()));
    let print = |cells: &[String]| {
        let cells = cells.iter().enumerate().map(|(at, cell)| {
            let pad = " ".repeat(widths[at] - cell.chars().count());
            if at > 0 && numeric(at) { format!("{pad}{cell}") } else { format!("{cell}{pad}") }
        });
        line(cells.collect::<Vec<_>>().join("  ").trim_end());
    };
    print(&head.iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>());
    rows.iter().for_each(|row| print(row));
}

/// Listens to a run for a person or a program.
pub(super) struct Output {
    json: bool,
    /// Whether there is a JSON line for every few steps, too.
    progress: bool,
    terminal: bool,
    bar: Mutex<Bar>,
}

struct Bar {
    bar: ProgressBar,
    last_line: Instant,
    last_told: Instant,
    done: u64,
    total: u64,
    names: String,
    /// The same stages under their whole names.
    stages: Vec<String>,
    /// Whether JSON lines cannot be written any more: then the run goes on without them.
    json_gone: bool,
}

/// Between the names of stages that work as one.
const ARROW: &str = " → ";

/// How often a program that listens gets a line about the same.
const TELL_EVERY: Duration = Duration::from_millis(200);

/// How often a log that is no terminal gets a line about work that takes long.
const LINE_EVERY: Duration = Duration::from_secs(15);

impl Output {
    pub(super) fn new(json: bool) -> Self {
        let bar = Bar {
            bar: ProgressBar::hidden(),
            last_line: Instant::now(),
            last_told: Instant::now(),
            done: 0,
            total: 0,
            names: String::new(),
            stages: Vec::new(),
            json_gone: false,
        };
        Self { json, progress: false, terminal: io::stderr().is_terminal(), bar: Mutex::new(bar) }
    }

    /// Also prints how far the work is, if `wanted`.
    pub(super) fn with_progress(mut self, wanted: bool) -> Self {
        self.progress = wanted;
        self
    }

    fn tell(&self, bar: &mut Bar, force: bool) {
        if self.progress && (force || bar.last_told.elapsed() > TELL_EVERY) {
            bar.last_told = Instant::now();
            let line = serde_json::json!({ "event": "progress", "stages": bar.stages, "done": bar.done, "total": bar.total });
            self.json(bar, &line);
        }
    }

    /// Takes the bar away.
    pub(super) fn clear(&self) {
        self.bar.lock().expect("no thread panics while it holds this lock").bar.finish_and_clear();
    }

    fn say(&self, bar: &Bar, text: &str) {
        bar.bar.suspend(|| say(text));
    }

    /// Prints a JSON line if those are asked for. Work of hours does not end in its middle because nobody reads about it.
    fn json(&self, bar: &mut Bar, value: &impl Serialize) {
        if !self.json || bar.json_gone {
            return;
        }
        if let Err(error) = try_line(to_json(value)) {
            bar.json_gone = true;
            if error.kind() != ErrorKind::BrokenPipe {
                self.say(bar, &format!("note: cannot write the output, so the run goes on without it: {error}"));
            }
        }
    }

    fn begin(&self, bar: &mut Bar, names: String, total: u64, template: &str) {
        bar.bar.finish_and_clear();
        (bar.names, bar.done, bar.total, bar.last_line) = (names, 0, total, Instant::now());
        bar.bar = if self.terminal { ProgressBar::new(total) } else { ProgressBar::hidden() };
        let style = ProgressStyle::with_template(template).expect("the templates below are valid");
        bar.bar.set_style(style.progress_chars("█▉▊▋▌▍▎▏ "));
        bar.bar.set_message(bar.names.clone());
        bar.bar.enable_steady_tick(Duration::from_millis(200));
    }

    fn train(&self, bar: &mut Bar, stage: &str, event: &Event) {
        match event {
            Event::Start { device, images, epochs, steps, resumed_from_step, .. } => {
                let from = resumed_from_step.map_or(String::new(), |step| format!(", going on from step {step}"));
                self.say(bar, &format!("{stage}: {images} pictures, {epochs} epochs on {device}{from}"));
                self.begin(bar, stage.to_owned(), *steps, "{msg} [{wide_bar}] step {pos}/{len} {eta}");
                bar.stages = vec![stage.to_owned()];
                bar.bar.set_position(resumed_from_step.unwrap_or(0));
                bar.done = resumed_from_step.unwrap_or(0);
                self.tell(bar, true);
            }
            Event::Progress(measures) => {
                bar.bar.set_position(measures.step);
                bar.done = measures.step;
                self.tell(bar, false);
                bar.bar.set_message(format!("{stage} {:.0} img/s", measures.images_per_second));
                if !self.terminal && bar.last_line.elapsed() > LINE_EVERY {
                    bar.last_line = Instant::now();
                    let left = to_go(measures, bar.total);
                    let (step, speed) = (measures.step, measures.images_per_second);
                    say(format_args!("{stage}: epoch {}, step {step} of {}, {speed:.0} images/s{left}", measures.epoch, bar.total));
                }
            }
            Event::Epoch { measures, seconds, .. } => {
                bar.last_line = Instant::now();
                let left = to_go(measures, bar.total);
                self.say(
                    bar,
                    &format!(
                        "{stage}: epoch {}, loss D {:.3} G {:.3}, {:.0} images/s, {}{left}",
                        measures.epoch,
                        measures.loss_d,
                        measures.loss_g,
                        measures.images_per_second,
                        duration(*seconds)
                    ),
                );
            }
            Event::Alarm { step, message, action } => self.say(bar, &format!("{stage}: alarm at step {step}: {message}; {action}")),
            Event::Evaluated { evaluation, .. } => self.say(bar, &format!("{stage}: {}", evaluation.sentence())),
            Event::Done { .. } => bar.bar.finish_and_clear(),
            _ => {}
        }
    }
}

impl Progress for Output {
    fn report(&self, report: Report<'_>) {
        let mut bar = self.bar.lock().expect("no thread panics while it holds this lock");
        match report {
            Report::Begin { stages, items } => {
                let names: Vec<_> = stages.iter().map(|stage| stage.rsplit('/').next().unwrap_or(stage)).collect();
                let template = "{msg} [{wide_bar}] {pos}/{len} {eta}";
                self.begin(&mut bar, names.join(ARROW), items as u64, template);
                bar.stages = stages.iter().map(|stage| (*stage).to_owned()).collect();
                self.tell(&mut bar, true);
            }
            Report::Advance(n) => {
                bar.done += n as u64;
                bar.bar.inc(n as u64);
                self.tell(&mut bar, false);
                if !self.terminal && bar.last_line.elapsed() > LINE_EVERY {
                    bar.last_line = Instant::now();
                    say(format_args!("{}: {} of {}", bar.names, bar.done, bar.total));
                }
            }
            Report::Stage(stage) => {
                self.json(&mut bar, &Tagged { event: "stage", body: stage });
                bar.bar.finish_and_clear();
                self.say(&bar, &sentence(stage));
            }
            Report::Traffic(traffic) => {
                self.json(&mut bar, &Tagged { event: "cache", body: &traffic });
                bar.bar.finish_and_clear();
                let Traffic { pulled, pushed, bytes } = traffic;
                let (count, word) = if pulled > 0 { (pulled, "brought from") } else { (pushed, "put into") };
                let files = if count == 1 { "file" } else { "files" };
                self.say(&bar, &format!("{count} {files} {word} the shared cache, {}", size(bytes)));
            }
            Report::Train(stage, event) => self.train(&mut bar, stage, event),
            Report::Warning(text) => self.say(&bar, &format!("note: {text}")),
            Report::Run { id, status, seconds } => {
                bar.bar.finish_and_clear();
                self.json(&mut bar, &Tagged { event: "run", body: &RunLine { id, status, seconds } });
                if status == Status::Done {
                    say(format_args!("done in {}: runs/{id}", duration(seconds)));
                }
            }
        }
    }

    fn stop_requested(&self) -> bool {
        super::STOP.load(Ordering::Relaxed)
    }
}

/// `{"event": …, …}`: the form of every line that `--json` prints about a run or a plan.
#[derive(Serialize)]
pub(super) struct Tagged<'a, T> {
    pub(super) event: &'static str,
    #[serde(flatten)]
    pub(super) body: &'a T,
}

#[derive(Serialize)]
struct RunLine<'a> {
    id: &'a str,
    status: Status,
    seconds: f64,
}

fn sentence(stage: &StageReport) -> String {
    let mut parts = vec![format!("{} in, {} out", stage.items_in, stage.items_out)];
    for (count, word) in [(stage.computed, "computed"), (stage.reused, "reused"), (stage.removed, "removed"), (stage.rejected, "rejected")]
    {
        if count > 0 {
            parts.push(format!("{count} {word}"));
        }
    }
    if stage.computed > 0 {
        parts.push(duration(stage.seconds));
    }
    format!("{}: {}", stage.stage, parts.join(", "))
}

/// How long a training of so many steps will go on at the speed it has: `, 12 min to go`.
fn to_go(measures: &Measures, steps: u64) -> String {
    let left = steps.saturating_sub(measures.step);
    let batch = measures.images_seen as f64 / measures.step.max(1) as f64;
    let seconds = left as f64 * batch / measures.images_per_second;
    if left > 0 && seconds.is_finite() { format!(", {} to go", duration(seconds)) } else { String::new() }
}

/// Seconds as people say them.
pub(super) fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 10.0 => format!("{s:.1} s"),
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7200.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}
