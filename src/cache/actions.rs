//! `Actions`: what became of each action that was ever finished.
//!
//! ```text
//! actions.log = record…
//! record      = length u32 | check u64 | key 32 bytes | outcome, JSON        (length counts key and outcome)
//! ```
//!
//! Appended with one write a record, so that a `kill -9` loses at most what was in flight; a tail whose check does not fit
//! is cut off on opening. A key that occurs twice means what its last record says. Readers open the same file while a run
//! appends to it. A run that recomputes nothing never opens it.

use std::{
    collections::HashMap,
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::Path,
    sync::{
        Mutex, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

use catgen_api::{Digest, Facts};
use serde::{Deserialize, Serialize};

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
    log: Option<Mutex<Log>>,
    dirty: AtomicBool,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    offset: u64,
    length: u32,
}

#[derive(Debug)]
struct Log {
    file: File,
    end: u64,
    path: std::path::PathBuf,
}

const HEAD: usize = 12;
const KEY: usize = 32;

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
                return Ok(Self { places: RwLock::default(), log: None, dirty: AtomicBool::new(false) });
            }
            Err(error) => return Err(Error::io("open", path)(error)),
        };
        let (places, end) = scan(&mut file).map_err(Error::io("read", path))?;
        if write && file.metadata().map_err(Error::io("read", path))?.len() > end {
            tracing::info!("cutting off a record that an interrupted run left half-written");
            file.set_len(end).map_err(Error::io("repair", path))?;
        }
        let log = Log { file, end, path: path.to_owned() };
        Ok(Self { places: RwLock::new(places), log: Some(Mutex::new(log)), dirty: AtomicBool::new(false) })
    }

    /// What became of the action, if it was ever finished.
    pub fn get(&self, key: &ActionKey) -> Option<Outcome> {
        let place = *self.places.read().expect("no thread panics while it holds this lock").get(key)?;
        let mut bytes = vec![0; place.length as usize];
        let mut log = self.log.as_ref()?.lock().expect("no thread panics while it holds this lock");
        let read = log.file.seek(SeekFrom::Start(place.offset)).and_then(|_| log.file.read_exact(&mut bytes));
        drop(log);
        read.ok()?;
        // A record of a later version of the program that this one does not know is a miss, not an error.
        serde_json::from_slice(&bytes).ok()
    }

    /// Records what became of an action.
    ///
    /// # Errors
    /// The file system's.
    pub fn put(&self, key: &ActionKey, outcome: &Outcome) -> Result<()> {
        let outcome = serde_json::to_vec(outcome).expect("an outcome is plain data");
        let length = (KEY + outcome.len()) as u32;
        let mut record = Vec::with_capacity(HEAD + KEY + outcome.len());
        record.extend(length.to_le_bytes());
        record.extend([0; 8]);
        record.extend(key.as_bytes());
        record.extend(&outcome);
        let sum = check(&record[HEAD..]);
        record[4..HEAD].copy_from_slice(&sum);
        let log = self.log.as_ref().expect("only a run with the lock records actions, and it opened the log for writing");
        let mut log = log.lock().expect("no thread panics while it holds this lock");
        let at = log.end;
        let write = log.file.seek(SeekFrom::Start(at)).and_then(|_| log.file.write_all(&record));
        if let Err(error) = write {
            // Leaves no half record between whole ones; if even that fails, the next opening cuts it off.
            let _ = log.file.set_len(at);
            return Err(Error::io("write", &log.path)(error));
        }
        log.end = at + record.len() as u64;
        drop(log);
        let place = Place { offset: at + (HEAD + KEY) as u64, length: outcome.len() as u32 };
        self.places.write().expect("no thread panics while it holds this lock").insert(*key, place);
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
            let log = log.lock().expect("no thread panics while it holds this lock");
            log.file.sync_data().map_err(Error::io("flush", &log.path))?;
        }
        Ok(())
    }
}

/// The first eight bytes of the BLAKE3 of key and outcome.
fn check(content: &[u8]) -> [u8; 8] {
    let hash = blake3::hash(content);
    *hash.as_bytes().first_chunk().expect("a hash has 32 bytes")
}

/// Every whole record's place by key, and where the last whole record ends.
fn scan(file: &mut File) -> io::Result<(HashMap<ActionKey, Place>, u64)> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.read_to_end(&mut bytes)?;
    let mut places = HashMap::new();
    let mut at = 0;
    while let Some(head) = bytes.get(at..at + HEAD) {
        let length = u32::from_le_bytes(*head.first_chunk().expect("the head has 12 bytes")) as usize;
        let Some(content) = bytes.get(at + HEAD..at + HEAD + length).filter(|_| length >= KEY) else { break };
        if check(content) != head[4..] {
            break;
        }
        let key = ActionKey::from_bytes(*content.first_chunk().expect("the content is at least a key long"));
        places.insert(key, Place { offset: (at + HEAD + KEY) as u64, length: (length - KEY) as u32 });
        at += HEAD + length;
    }
    Ok((places, at as u64))
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
}
