//! Files of what people decided: JSON lines that are only ever appended to, which keeps everybody's history and is what a crash can
//! hardly harm. What a line means is the business of the stage that reads it.

use std::{
    fs::{self, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use serde::{Serialize, de::DeserializeOwned};

/// A decisions file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DecisionError {
    /// The file system refused.
    #[error("cannot read {path}: {error}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A line is not a decision.
    #[error("{path}, line {line}: this is not a decision: {detail}")]
    Line {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What the parser said.
        detail: String,
    },
}

/// The lines of the file at `path`, in order; none at all if there is no file. Empty lines are passed over.
///
/// # Errors
/// A file that cannot be read, or a line that is no `T`; the message names it.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>, DecisionError> {
    let text = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(DecisionError::Io { path: path.to_owned(), error }),
    };
    let lines = text.split(|byte| *byte == b'\n').enumerate().filter(|(_, line)| !line.trim_ascii().is_empty());
    let parsed = lines.map(|(at, line)| {
        serde_json::from_slice(line).map_err(|error| {
            // The parser counts lines too, from the start of what it was given: always 1 here, which would only confuse.
            let detail = error.to_string();
            let detail = detail.split(" at line ").next().unwrap_or(&detail).to_owned();
            DecisionError::Line { path: path.to_owned(), line: at + 1, detail }
        })
    });
    parsed.collect()
}

/// Adds lines to the file at `path`, which is made where there is none, and waits until they are on the disk.
///
/// # Errors
/// Whatever the file system answers.
pub fn append<T: Serialize>(path: &Path, decisions: &[T]) -> io::Result<()> {
    if decisions.is_empty() {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut file = OpenOptions::new().create(true).read(true).append(true).open(path)?;
    let mut lines = Vec::new();
    if !ends_with_newline(&mut file)? {
        lines.push(b'\n');
    }
    for decision in decisions {
        serde_json::to_writer(&mut lines, decision)?;
        lines.push(b'\n');
    }
    // One write for all: two programs that append at once do not mix their lines.
    file.write_all(&lines)?;
    file.sync_all()
}

/// Whether what follows starts a line: people's editors leave the last newline out.
fn ends_with_newline(file: &mut fs::File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(true);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last == [b'\n'])
}
