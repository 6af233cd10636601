//! The folder of a training, and how files get into it: written aside, then renamed, so that a half-written file looks like none.
//!
//! ```text
//! options.json      what it was asked to do, and on what
//! reals.png         real pictures, for comparison
//! samples/          epoch-0000.png is before the first step, then one a epoch, always of the same latents
//! samples/raw/      the same of the generator without averaging, where there is an average
//! reel.gif          all grids, one after the other; made at the end
//! events.out.tfevents.0.catgen   curves and pictures for TensorBoard
//! stats.jsonl       one line an epoch; equal for equal trainings, however often interrupted. Of epochs that were measured with
//!                   `evaluation`, how good the pictures are, and `logits`, what the discriminator thinks of photos
//! features/         numbers that describe the photos: can be deleted
//! timing.jsonl      one line an epoch done: how long it took; what an interrupted training did twice is here twice
//! checkpoints/      see `checkpoint`
//! ```

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use catgen_train::Measures;
use serde::{Deserialize, Serialize};

use crate::{error::Failure, evaluate::Measured};

/// A training's folder, held by this process alone.
#[derive(Debug)]
pub(crate) struct Folder {
    root: PathBuf,
    /// Locked as long as this lives.
    _lock: File,
}

/// One line of `stats.jsonl`: no clock in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Stats {
    pub(crate) epoch: u64,
    pub(crate) step: u64,
    pub(crate) images_seen: u64,
    pub(crate) loss_d: f64,
    pub(crate) loss_g: f64,
    pub(crate) d_real: f64,
    pub(crate) d_fake: f64,
    #[serde(default)]
    pub(crate) signs: f64,
    #[serde(default)]
    pub(crate) penalty: f64,
    #[serde(default)]
    pub(crate) augment: f64,
    /// Of an epoch that was measured.
    #[serde(flatten, default, skip_serializing_if = "Option::is_none")]
    pub(crate) measured: Option<Measured>,
}

/// One line of `timing.jsonl`.
#[derive(Debug, Serialize)]
struct Timing {
    epoch: u64,
    step: u64,
    seconds: f64,
    images_per_second: f64,
}

impl Folder {
    /// Makes the folder, and waits until no other trainer writes into it: one whose engine died may still be saving.
    pub(crate) fn claim(root: &Path) -> Result<Self, Failure> {
        let failed = |error: io::Error| Failure::file("write to", root, &error);
        for part in ["samples/raw", "checkpoints"] {
            fs::create_dir_all(root.join(part)).map_err(failed)?;
        }
        let lock = OpenOptions::new().create(true).append(true).open(root.join(".lock")).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => {
                eprintln!("waiting for another trainer that still writes to {}", root.display());
                lock.lock().map_err(failed)?;
            }
            // A file system without locks: go on without.
            Err(fs::TryLockError::Error(_)) => {}
        }
        Ok(Self { root: root.to_owned(), _lock: lock })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    pub(crate) fn checkpoints(&self) -> PathBuf {
        self.root.join("checkpoints")
    }

    /// Adds an epoch's line to `stats.jsonl` and to `timing.jsonl`.
    pub(crate) fn add_epoch(&self, measures: &Measures, seconds: f64, measured: Option<Measured>) -> io::Result<()> {
        let Measures { epoch, step, images_seen, loss_d, loss_g, d_real, d_fake, signs, penalty, augment, images_per_second } = *measures;
        append(
            &self.path("stats.jsonl"),
            &Stats { epoch, step, images_seen, loss_d, loss_g, d_real, d_fake, signs, penalty, augment, measured },
        )?;
        append(&self.path("timing.jsonl"), &Timing { epoch, step, seconds, images_per_second })
    }

    /// The epochs that were measured, as `stats.jsonl` has them.
    pub(crate) fn measured(&self) -> io::Result<Vec<(Measures, Measured)>> {
        let text = match fs::read_to_string(self.path("stats.jsonl")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            text => text?,
        };
        let read = |line: &str| {
            let Stats { epoch, step, images_seen, loss_d, loss_g, d_real, d_fake, signs, penalty, augment, measured } =
                serde_json::from_str(line).ok()?;
            let images_per_second = 0.0; // not in there
            let measures =
                Measures { epoch, step, images_seen, loss_d, loss_g, d_real, d_fake, signs, penalty, augment, images_per_second };
            Some((measures, measured?))
        };
        Ok(text.lines().filter_map(read).collect())
    }

    /// Takes out of `stats.jsonl` what comes after a checkpoint's `step`, and what is no whole line.
    ///
    /// The line of an epoch that `max_images` ended early stays only while that is still the end.
    pub(crate) fn rewind_stats(&self, step: u64, steps_per_epoch: u64, end: u64) -> io::Result<()> {
        let path = self.path("stats.jsonl");
        let before = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        let stays = |line: &&str| {
            let stats = line.ends_with('\n').then(|| serde_json::from_str::<Stats>(line).ok()).flatten();
            stats.is_some_and(|stats| stats.step <= step && (stats.step % steps_per_epoch == 0 || stats.step == end))
        };
        let after: String = before.split_inclusive('\n').filter(stays).collect();
        if after == before { Ok(()) } else { write(&path, after.as_bytes()) }
    }
}

fn append(path: &Path, line: &impl Serialize) -> io::Result<()> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    file.write_all(&text)?;
    file.sync_data()
}

/// Writes a file aside, waits until it is on disk, and gives it its name.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut aside = path.as_os_str().to_owned();
    aside.push(".part");
    let written = File::create(&aside).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    if let Err(error) = written {
        // A disk that is full: give back what was taken, or nobody else can write either. The first error is the one to tell.
        let _ = fs::remove_file(&aside);
        return Err(error);
    }
    fs::rename(&aside, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured() -> Measured {
        let text = r#"{"logits": {"training": 0.1, "held_out": 0.30000000000000004, "generated": -1e-9}, "evaluation": {"features": "f",
            "pictures": 9, "training": {"photos": 5, "kid": 0.1, "frechet": 1.0, "precision": 0.5, "recall": 0.5},
            "variety": {"spread": 1.0, "nearest": 1.0}, "copied": {"share": 0.0, "ratio": 1.0, "by_held_out": false, "nearest": []}}}"#;
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn stats_are_taken_back_to_the_checkpoint() {
        let folder = tempfile::tempdir().unwrap();
        let claimed = Folder::claim(folder.path()).unwrap();
        let measures = |epoch, step| Measures {
            epoch,
            step,
            images_seen: step * 2,
            loss_d: 0.1,
            loss_g: 1.0 / 3.0,
            d_real: 0.5,
            d_fake: 0.5,
            signs: 0.0,
            penalty: 0.0,
            augment: 0.0,
            images_per_second: 9.0,
        };
        for (epoch, step) in [(1, 10), (2, 20), (3, 25)] {
            claimed.add_epoch(&measures(epoch, step), 1.0, (epoch == 2).then(measured)).unwrap();
        }
        let found = claimed.measured().unwrap();
        assert_eq!((found.len(), found[0].0.step, &found[0].1), (1, 20, &measured()), "only the second epoch was measured");
        let path = folder.path().join("stats.jsonl");
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"epoch\":4,").unwrap();
        for (step, end, left) in [(25, 25, 3), (25, 30, 2), (19, 30, 1), (0, 30, 0)] {
            claimed.rewind_stats(step, 10, end).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), left, "after step {step} of {end}");
        }
        assert_eq!(fs::read_to_string(folder.path().join("timing.jsonl")).unwrap().lines().count(), 3);
    }
}
