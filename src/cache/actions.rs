//! `Actions`: what became of each action that was ever finished.
//!
//! Appended with one write a record, so that a `kill -9` loses at most what was in flight; a torn tail is cut off on opening,
//! and a record damaged in the middle of the file is passed over. A key that occurs twice means what its last record says.
//! Readers open the same file while a run appends to it. A run that recomputes nothing never opens it.

mod log;

use std::{
    collections::HashMap,
    fs::{File, OpenOptions},
    io::{self, Seek, SeekFrom, Write},
    ops::Range,
    path::Path,
    sync::{
        Mutex, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use catgen_api::{Digest, Facts};
use serde::{Deserialize, Serialize};

use super::fault;
use crate::{Error, error::Result, key::ActionKey};

/// What became of an action.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// An item went on as these pictures.
    Keep(Vec<Stored>),
    /// An item was rejected.
    Reject {
        /// One word for programs.
        kind: String,
        /// A sentence for people.
        reason: String,
    },
    /// A set stage's fact about an item, or what the header of a photo says.
    Fact(Facts),
    /// A stage that writes files put out the manifest with this digest.
    Packed {
        /// The manifest.
        manifest: Digest,
    },
    /// A training that began in this folder, relative to the workspace, and can go on there.
    Training {
        /// The folder.
        folder: String,
    },
    /// A training that was finished in this folder, relative to the workspace.
    Trained {
        /// The folder.
        folder: String,
    },
}

/// One picture that an action put out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stored {
    /// Added to the stem of the item's name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub tag: String,
    /// True where it is the input's own file.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub same: bool,
    /// The blob.
    pub digest: Digest,
    /// Width and height in pixels.
    pub size: [u32; 2],
    /// The blob's size.
    pub bytes: u64,
    /// What the stage found out.
    #[serde(default, skip_serializing_if = "Facts::is_empty")]
    pub facts: Facts,
}

/// The action cache of a workspace.
#[derive(Debug)]
pub struct Actions {
    places: RwLock<HashMap<ActionKey, Place>>,
    log: Option<Log>,
    dirty: AtomicBool,
    /// What was recorded since somebody last asked for that.
    fresh: Mutex<Vec<ActionKey>>,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    offset: u64,
    length: u32,
}

#[derive(Debug)]
struct Log {
    file: File,
    /// Where the next record goes.
    end: Mutex<u64>,
    path: std::path::PathBuf,
}

impl Actions {
    /// Opens the log at `path`. With `write`, a torn tail is cut off; that needs the workspace's lock.
    ///
    /// # Errors
    /// The file system's.
    pub fn open(path: &Path, write: bool) -> Result<Self> {
        let opened =
            if write { OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path) } else { File::open(path) };
        let mut file = match opened {
            Ok(file) => file,
            Err(error) if !write && error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self { places: RwLock::default(), log: None, dirty: AtomicBool::new(false), fresh: Mutex::default() });
            }
            Err(error) => return Err(Error::io("open", path)(error)),
        };
        let mut places = HashMap::new();
        let whole = |record: &log::Record<'_>| {
            places.insert(record.key, Place { offset: record.outcome_at, length: record.outcome.len() as u32 });
        };
        let log::Scanned { end, damaged } = log::scan(&mut file, whole).map_err(Error::io("read", path))?;
        if !damaged.is_empty() {
            tracing::warn!("{} is damaged in {} places; what is lost there is computed again", path.display(), damaged.len());
        }
        if write && file.metadata().map_err(Error::io("read", path))?.len() > end {
            tracing::info!("cutting off a record that an interrupted run left half-written");
            file.set_len(end).map_err(Error::io("repair", path))?;
        }
        let log = Log { file, end: Mutex::new(end), path: path.to_owned() };
        Ok(Self { places: RwLock::new(places), log: Some(log), dirty: AtomicBool::new(false), fresh: Mutex::default() })
    }

    /// What became of the action, if it was ever finished.
    pub fn get(&self, key: &ActionKey) -> Option<Outcome> {
        self.get_timed(key).map(|(outcome, _)| outcome)
    }

    /// As [`Actions::get`], with how long the work took, where that was noted.
    pub fn get_timed(&self, key: &ActionKey) -> Option<(Outcome, Duration)> {
        let place = *self.places.read().expect("no thread panics while it holds this lock").get(key)?;
        let mut bytes = vec![0; place.length as usize];
        self.log.as_ref()?.read(place.offset, &mut bytes).ok()?;
        // A record of a later version of the program that this one does not know is a miss, not an error.
        parse(&bytes)
    }

    /// The actions recorded since this was last asked.
    pub fn take_fresh(&self) -> Vec<ActionKey> {
        std::mem::take(&mut self.fresh.lock().expect("no thread panics while it holds this lock"))
    }

    /// Records what became of an action.
    ///
    /// # Errors
    /// The file system's.
    pub fn put(&self, key: &ActionKey, outcome: &Outcome) -> Result<()> {
        self.put_timed(key, outcome, Duration::ZERO)
    }

    /// As [`Actions::put`], with how long the work took: what that is worth per byte decides what `gc` lets go first.
    ///
    /// # Errors
    /// The file system's.
    pub fn put_timed(&self, key: &ActionKey, outcome: &Outcome, took: Duration) -> Result<()> {
        let mut outcome = serde_json::to_vec(outcome).expect("an outcome is plain data");
        if !took.is_zero() {
            write!(outcome, " {}", took.as_micros()).expect("writing to memory cannot fail");
        }
        let record = log::record(key, &outcome);
        let log = self.log.as_ref().expect("only a run with the lock records actions, and it opened the log for writing");
        let at = log.append(&record)?;
        let place = Place { offset: at + log::BEFORE_OUTCOME as u64, length: outcome.len() as u32 };
        self.places.write().expect("no thread panics while it holds this lock").insert(*key, place);
        self.fresh.lock().expect("no thread panics while it holds this lock").push(*key);
        self.dirty.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Makes sure that everything recorded survives a power cut.
    ///
    /// # Errors
    /// The file system's.
    pub fn sync(&self) -> Result<()> {
        if let Some(log) = &self.log
            && self.dirty.swap(false, Ordering::Relaxed)
        {
            log.file.sync_data().map_err(Error::io("flush", &log.path))?;
        }
        Ok(())
    }
}

impl Log {
    /// Appends a record with one write; answers where it begins.
    fn append(&self, record: &[u8]) -> Result<u64> {
        let mut end = self.end.lock().expect("no thread panics while it holds this lock");
        let at = *end;
        fault::point();
        let write = (&self.file).seek(SeekFrom::Start(at)).and_then(|_| (&self.file).write_all(record));
        fault::point();
        if let Err(error) = write {
            // Leaves no half record between whole ones; if even that fails, the next opening cuts it off.
            let _ = self.file.set_len(at);
            return Err(Error::io("write", &self.path)(error));
        }
        *end = at + record.len() as u64;
        Ok(at)
    }

    #[cfg(unix)]
    fn read(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(&self.file, bytes, offset)
    }

    #[cfg(not(unix))]
    fn read(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        use std::io::Read;
        let _place = self.end.lock().expect("no thread panics while it holds this lock");
        (&self.file).seek(SeekFrom::Start(offset)).and_then(|_| (&self.file).read_exact(bytes))
    }
}

/// An outcome and how long the work took, where that was noted.
fn parse(bytes: &[u8]) -> Option<(Outcome, Duration)> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let outcome = Outcome::deserialize(&mut json).ok()?;
    Some((outcome, Duration::from_micros(u64::deserialize(&mut json).unwrap_or(0))))
}

/// What is in a log, for those who care for it.
#[derive(Debug, Default)]
pub struct Survey {
    /// What each action came to, once per key, oldest first; `None` in a record of a later version of the program.
    pub actions: Vec<(ActionKey, Option<(Outcome, Duration)>)>,
    /// Records that a later one of the same key replaces.
    pub superseded: usize,
    /// Where the file is damaged, in bytes; not the torn tail that a `kill -9` leaves.
    pub damaged: Vec<Range<u64>>,
    /// Bytes of a record at the end that was never finished.
    pub torn: u64,
}

/// Reads the whole log at `path`; of no log, an empty survey.
///
/// # Errors
/// The file system's.
pub fn survey(path: &Path) -> Result<Survey> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Survey::default()),
        Err(error) => return Err(Error::io("open", path)(error)),
    };
    let (mut places, mut found) = (HashMap::new(), Vec::new());
    let whole = |record: &log::Record<'_>| {
        if let Some(before) = places.insert(record.key, found.len()) {
            found[before] = None;
        }
        found.push(Some((record.key, parse(record.outcome))));
    };
    let log::Scanned { end, damaged } = log::scan(&mut file, whole).map_err(Error::io("read", path))?;
    let length = file.metadata().map_err(Error::io("read", path))?.len();
    let records = found.len();
    let actions: Vec<_> = found.into_iter().flatten().collect();
    Ok(Survey { superseded: records - actions.len(), actions, damaged, torn: length - end })
}

/// Writes the log at `path` anew, by temp file and rename, with the last record of each key that `keep` says yes to. Needs the
/// workspace's lock; readers who have the old file open go on with that.
///
/// # Errors
/// The file system's.
pub fn rewrite(path: &Path, keep: impl Fn(&ActionKey) -> bool) -> Result<()> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::io("open", path)(error)),
    };
    let mut last = HashMap::new();
    log::scan(&mut file, |record| {
        last.insert(record.key, record.outcome_at);
    })
    .map_err(Error::io("read", path))?;
    super::write_whole_by(path, |out| {
        let mut written = Ok(());
        log::scan(&mut file, |record| {
            if written.is_ok() && last.get(&record.key) == Some(&record.outcome_at) && keep(&record.key) {
                written = out.write_all(&log::record(&record.key, record.outcome));
            }
        })?;
        written
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u8) -> ActionKey {
        ActionKey::from_bytes([n; 32])
    }

    fn outcome(text: &str) -> Outcome {
        Outcome::Reject { kind: "test".to_owned(), reason: text.to_owned() }
    }

    #[test]
    fn outcomes_are_found_again_after_reopening_and_the_last_one_counts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("actions.log");
        let actions = Actions::open(&path, true).unwrap();
        for (n, text) in [(1, "a"), (2, "b"), (1, "c")] {
            actions.put(&key(n), &outcome(text)).unwrap();
        }
        assert_eq!(actions.get(&key(1)), Some(outcome("c")));
        let again = Actions::open(&path, false).unwrap();
        assert_eq!((again.get(&key(1)), again.get(&key(2)), again.get(&key(3))), (Some(outcome("c")), Some(outcome("b")), None));
    }

    #[test]
    fn a_log_cut_or_damaged_anywhere_keeps_every_record_before_that_and_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("actions.log");
        let actions = Actions::open(&path, true).unwrap();
        actions.put(&key(1), &outcome("first")).unwrap();
        let first_end = std::fs::metadata(&path).unwrap().len();
        actions.put(&key(2), &outcome("second")).unwrap();
        let whole = std::fs::read(&path).unwrap();
        for cut in first_end..whole.len() as u64 {
            std::fs::write(&path, &whole[..cut as usize]).unwrap();
            let actions = Actions::open(&path, true).unwrap();
            assert_eq!((actions.get(&key(1)), actions.get(&key(2))), (Some(outcome("first")), None), "cut at {cut}");
            actions.put(&key(3), &outcome("third")).unwrap();
            assert_eq!(Actions::open(&path, false).unwrap().get(&key(3)), Some(outcome("third")));
        }
        let mut damaged = whole.clone();
        *damaged.last_mut().unwrap() ^= 1;
        std::fs::write(&path, &damaged).unwrap();
        assert_eq!(Actions::open(&path, false).unwrap().get(&key(2)), None);
    }

    #[test]
    fn a_record_damaged_anywhere_costs_that_record_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("actions.log");
        let actions = Actions::open(&path, true).unwrap();
        let mut ends = Vec::new();
        for n in 1..=3 {
            actions.put_timed(&key(n), &outcome("a sentence"), Duration::from_micros(70)).unwrap();
            ends.push(std::fs::metadata(&path).unwrap().len());
        }
        let whole = std::fs::read(&path).unwrap();
        for at in ends[0]..ends[1] {
            for change in [1, 0xff] {
                let mut bytes = whole.clone();
                bytes[at as usize] ^= change;
                std::fs::write(&path, &bytes).unwrap();
                let found = survey(&path).unwrap();
                let damaged: Vec<_> = found.damaged.iter().map(|range| (range.start, range.end)).collect();
                assert_eq!((damaged, found.torn), (vec![(ends[0], ends[1])], 0), "byte {at}");
                let actions = Actions::open(&path, true).unwrap();
                assert_eq!([1, 2, 3].map(|n| actions.get(&key(n)).is_some()), [true, false, true], "byte {at}");
            }
        }
        rewrite(&path, |_| true).unwrap();
        let found = survey(&path).unwrap();
        assert!(found.damaged.is_empty());
        assert_eq!(found.actions, [1, 3].map(|n| (key(n), Some((outcome("a sentence"), Duration::from_micros(70))))));
    }

    #[test]
    fn rewriting_keeps_the_last_word_on_what_is_wanted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("actions.log");
        rewrite(&path, |_| true).unwrap();
        let actions = Actions::open(&path, true).unwrap();
        for (n, text) in [(1, "a"), (2, "b"), (1, "c")] {
            actions.put(&key(n), &outcome(text)).unwrap();
        }
        let before = survey(&path).unwrap();
        assert_eq!((before.actions.len(), before.superseded), (2, 1));
        rewrite(&path, |other| *other == key(1)).unwrap();
        assert_eq!(actions.get(&key(2)), Some(outcome("b")), "a reader of the old file goes on with it");
        let actions = Actions::open(&path, true).unwrap();
        assert_eq!((actions.get(&key(1)), actions.get(&key(2))), (Some(outcome("c")), None));
        assert_eq!(survey(&path).unwrap().superseded, 0);
    }
}
