//! `mode = "batch"`: the program is started once for many pictures, which a file lists.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs,
    ops::Range,
    path::Path,
    time::{Duration, Instant},
};

use catgen_api::{Batch, BatchItem, BatchStage, Input, Picture, Reason, StageError, Verdict};
use rayon::prelude::*;

use crate::{
    Command, GUIDE, outputs,
    pool::how,
    process::{GRACE, Heard, Process, Stdin},
    protocol,
    scratch::{Desk, cannot},
};

/// Pictures for one start of the program: all of them lie ready on the disk at once.
const MOST_ITEMS: usize = 1000;

/// How often it is looked whether somebody wants to stop.
const LOOK: Duration = Duration::from_millis(250);

/// What the engine gives to open a picture, and to tell of one that is done.
type Open<'a> = &'a (dyn Fn(usize) -> Result<Result<Picture, Reason>, StageError> + Sync);
type Done<'a> = &'a mut dyn FnMut(usize, Verdict) -> Result<(), StageError>;
type Stopping<'a> = &'a (dyn Fn() -> bool + Sync);

impl BatchStage for Command {
    fn apply_all(&self, batch: &Batch<'_>, open: Open<'_>, done: Done<'_>, stopping: Stopping<'_>) -> Result<(), StageError> {
        let mut removed = batch.removed;
        let mut at = 0;
        while at < batch.items.len() || !removed.is_empty() {
            let end = batch.items.len().min(at + MOST_ITEMS);
            Start { stage: self, batch, open, stopping }.all(at..end, removed, done)?;
            if stopping() {
                return Ok(());
            }
            (at, removed) = (end, &[]);
        }
        Ok(())
    }
}

/// One picture by itself, for whoever asks so.
pub(crate) fn of_one(stage: &Command, input: &Input<'_>) -> Result<Verdict, StageError> {
    let items = [BatchItem { name: "picture", digest: input.digest, changed: false, inputs: input.inputs }];
    let mut told = None;
    let mut done = |_, verdict| {
        told = Some(verdict);
        Ok(())
    };
    stage.apply_all(&Batch { items: &items, removed: &[] }, &|_| Ok(Ok(input.picture.clone())), &mut done, &|| false)?;
    Ok(told.expect("whoever is not asked to stop tells of every picture"))
}

/// One start of the program.
struct Start<'a> {
    stage: &'a Command,
    batch: &'a Batch<'a>,
    open: Open<'a>,
    stopping: Stopping<'a>,
}

impl Start<'_> {
    fn all(&self, items: Range<usize>, removed: &[String], done: Done<'_>) -> Result<(), StageError> {
        let folder = self.stage.scratch.folder()?;
        let mut waiting = self.lay_ready(items, folder.path(), done)?;
        if (self.stopping)() || (waiting.is_empty() && removed.is_empty()) {
            return Ok(());
        }
        let (delta, options) = (folder.path().join("delta.tsv"), folder.path().join("options.json"));
        fs::write(&delta, self.delta(&waiting, removed)).map_err(|error| cannot("write", &delta, &error))?;
        let table = self.stage.options.to_string();
        fs::write(&options, table + "\n").map_err(|error| cannot("write", &options, &error))?;
        let (delta, options) = (self.stage.scratch.told(&delta)?, self.stage.scratch.told(&options)?);
        let variables = [("CATGEN_DELTA", OsStr::new(&delta)), ("CATGEN_OPTIONS", OsStr::new(&options))];
        let mut process = self.stage.program().start(Stdin::Nothing, &variables)?;
        if !self.listen(&mut process, &mut waiting, done)? {
            return Ok(());
        }
        let status = process.end_by(Instant::now() + self.stage.timeout.unwrap_or(GRACE).max(GRACE));
        if !status.is_some_and(|status| status.success()) {
            return Err(self.broken(&process, &format!("failed ({})", how(status)), waiting.len()));
        }
        // In the order of the list: `waiting` is sorted.
        for at in waiting.into_keys() {
            let text = format!("{} ended well without an answer for this picture", self.stage.program().name());
            done(at, Verdict::Reject(Reason::new("failed", text)))?;
        }
        Ok(())
    }

    /// Writes the pictures of these items; tells at once of those that cannot be opened.
    fn lay_ready(&self, items: Range<usize>, folder: &Path, done: Done<'_>) -> Result<BTreeMap<usize, Desk>, StageError> {
        let lay = |at: usize| {
            if (self.stopping)() {
                return Ok(None);
            }
            let laid = match (self.open)(at)? {
                Ok(picture) => Ok(self.stage.scratch.desk_in(folder, &(at + 1).to_string(), &picture)?),
                Err(reason) => Err(reason),
            };
            Ok(Some((at, laid)))
        };
        let mut ready = BTreeMap::new();
        for (at, laid) in items.into_par_iter().map(lay).collect::<Result<Vec<_>, StageError>>()?.into_iter().flatten() {
            match laid {
                Ok(desk) => drop(ready.insert(at, desk)),
                Err(reason) => done(at, Verdict::Reject(reason))?,
            }
        }
        Ok(ready)
    }

    /// The list: a line for each picture, then one for each that is gone.
    fn delta(&self, ready: &BTreeMap<usize, Desk>, removed: &[String]) -> String {
        let mut lines = String::new();
        for (at, desk) in ready {
            let item = &self.batch.items[*at];
            let change = if item.changed { "changed" } else { "added" };
            let seed = self.stage.seed_of(&item.digest).map_or_else(|| "-".to_owned(), |seed| seed.to_string());
            let (id, name) = (at + 1, escaped(item.name));
            lines += &format!("{change}\t{id}\t{}\t{}\t{name}\t{}\t{seed}\n", desk.input(), desk.out(), item.digest);
        }
        for name in removed {
            lines += &format!("removed\t-\t-\t-\t{}\t-\t-\n", escaped(name));
        }
        lines
    }

    /// Takes answers until there are no more; false if somebody wanted to stop.
    fn listen(&self, process: &mut Process, waiting: &mut BTreeMap<usize, Desk>, done: Done<'_>) -> Result<bool, StageError> {
        let later = |time: Option<Duration>| time.map(|time| Instant::now() + time);
        let mut deadline = later(self.stage.timeout);
        let mut last_answer_by = None;
        loop {
            let look = Instant::now() + LOOK;
            match process.hear(Some(deadline.map_or(look, |deadline| deadline.min(look)))) {
                Heard::End => return Ok(true),
                Heard::Line(line) => {
                    self.answer(process, &line, waiting, done)?;
                    if (self.stopping)() {
                        return Ok(false);
                    }
                    deadline = later(self.stage.timeout);
                }
                Heard::Silence => {
                    // Whoever wants to stop gets what is in flight, if it does not take long.
                    if (self.stopping)() && Instant::now() >= *last_answer_by.get_or_insert(Instant::now() + GRACE) {
                        return Ok(false);
                    }
                    if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                        let seconds = self.stage.timeout.unwrap_or_default().as_secs_f64();
                        let what = format!("did not answer for {seconds} seconds (`timeout` is for the time between two answers)");
                        return Err(self.broken(process, &what, waiting.len()));
                    }
                }
            }
        }
    }

    /// One line that the program printed.
    fn answer(&self, process: &Process, line: &[u8], waiting: &mut BTreeMap<usize, Desk>, done: Done<'_>) -> Result<(), StageError> {
        let name = self.stage.program().name();
        // Ids count from 1.
        let mut take = |id: u64| usize::try_from(id.checked_sub(1)?).ok().and_then(|at| waiting.remove_entry(&at));
        let (at, desk, verdict) = match protocol::parse(line) {
            Ok(answer) => match take(answer.id) {
                Some((at, desk)) => {
                    let verdict = outputs::verdict(answer.said, desk.out_folder(), name);
                    (at, desk, verdict)
                }
                None => {
                    let what = format!("answered for id {}, which it was not asked for or answered before", answer.id);
                    return Err(self.broken(process, &what, waiting.len()));
                }
            },
            Err(no) => match no.id.and_then(take) {
                Some((at, desk)) => (at, desk, Verdict::Reject(Reason::new("failed", format!("{name} {}", no.what)))),
                None => return Err(self.broken(process, &no.what, waiting.len())),
            },
        };
        desk.tidy();
        done(at, verdict)
    }

    /// The program is of no use any more, `left` pictures before the end.
    fn broken(&self, process: &Process, what: &str, left: usize) -> StageError {
        let words = process.last_words(12).iter().map(|line| format!("\n  {line}")).collect::<String>();
        let finished = match left {
            0 => "every picture was finished".to_owned(),
            left => format!("what was finished is kept, {left} of this start are missing"),
        };
        StageError::Broken { what: format!("{} {what}; {finished}{words}", self.stage.program().name()), hint: GUIDE.to_owned() }
    }
}

/// A name in which no tab and no line can end early.
fn escaped(name: &str) -> String {
    name.replace('\\', "\\\\").replace('\t', "\\t").replace('\n', "\\n").replace('\r', "\\r")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_one_column_of_one_line() {
        assert_eq!(escaped("home/a\tb\\t\r\nc.png"), "home/a\\tb\\\\t\\r\\nc.png");
    }
}
