//! `Workspace`: where everything of one user's project lies, and who may write there.
//!
//! ```text
//! <root>/pipeline.toml
//! <root>/data/<stage name>/…   the stages' folders: views, open to inspection
//! <root>/data/0.ORIGINAL/…     the user's own photos: never written to
//! <root>/runs/<id>/…           what was done, when, with which result
//! <root>/.catgen/              the store: see `cache`
//! ```

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{Read, Seek, Write},
    path::{Path, PathBuf},
};

use crate::{Error, error::Result};

/// The name of the file that makes a folder a workspace.
pub const PIPELINE_FILE: &str = "pipeline.toml";

/// The paths of one workspace.
#[derive(Debug, Clone)]
pub struct Workspace {
    root: PathBuf,
}

impl Workspace {
    /// The workspace at `root`, which must hold a `pipeline.toml`.
    ///
    /// # Errors
    /// There is none.
    pub fn open(root: &Path) -> Result<Self> {
        if !root.join(PIPELINE_FILE).is_file() {
            return Err(Error::Usage {
                what: format!("there is no {PIPELINE_FILE} in {}", display_dir(root)),
                hint: "`catgen-pipe init` makes a workspace here; `-C DIR` works in another folder".to_owned(),
            });
        }
        let root = root.canonicalize().map_err(Error::io("open", root))?;
        Ok(Self { root })
    }

    /// The workspace's own folder, absolute.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// `pipeline.toml`.
    pub fn pipeline_file(&self) -> PathBuf {
        self.root.join(PIPELINE_FILE)
    }

    /// The folder of a stage.
    pub fn stage_folder(&self, stage: &str) -> PathBuf {
        self.root.join("data").join(stage)
    }

    /// The folder of the records of runs.
    pub fn runs(&self) -> PathBuf {
        self.root.join("runs")
    }

    /// The store's folder.
    pub fn store(&self) -> PathBuf {
        self.root.join(".catgen")
    }

    /// A path below the workspace as people see it.
    pub fn relative<'a>(&self, path: &'a Path) -> std::path::Display<'a> {
        path.strip_prefix(&self.root).unwrap_or(path).display()
    }

    /// Who writes in the workspace now, if somebody does. Takes nothing and makes nothing.
    pub fn busy(&self) -> Option<String> {
        let mut file = File::open(self.store().join("lock")).ok()?;
        matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)).then(|| holder(&mut file))
    }

    /// Takes the right to write: one `run` per workspace.
    ///
    /// The lock is the kernel's and dies with the process, so nothing has to be cleaned up after a `kill -9`. Readers never ask.
    ///
    /// # Errors
    /// [`Error::Busy`] if another process holds it and `wait` is false.
    pub fn lock(&self, wait: bool, waiting: impl FnOnce(&str)) -> Result<Lock> {
        let store = self.store();
        fs::create_dir_all(&store).map_err(Error::io("create", &store))?;
        let path = store.join("lock");
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = open.map_err(Error::io("open", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let by = holder(&mut file);
                if !wait {
                    return Err(Error::Busy { by });
                }
                waiting(&by);
                file.lock().map_err(Error::io("lock", &path))?;
            }
            Err(TryLockError::Error(error)) => return Err(Error::io("lock", &path)(error)),
        }
        // For the one who has to wait; a stale text is harmless, the lock itself is the truth.
        let words = format!("process {} since {}\n", std::process::id(), crate::record::now());
        let _ = file.rewind().and_then(|()| file.set_len(0)).and_then(|()| file.write_all(words.as_bytes()));
        Ok(Lock { _file: file })
    }
}

/// What the holder of the lock said of itself.
fn holder(file: &mut File) -> String {
    let mut words = String::new();
    match file.read_to_string(&mut words) {
        Ok(_) if !words.trim().is_empty() => words.trim().to_owned(),
        _ => "another catgen-pipe works in it".to_owned(),
    }
}

/// The right to write in a workspace, given back when dropped.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

fn display_dir(path: &Path) -> String {
    if path.as_os_str().is_empty() || path == Path::new(".") { "this folder".to_owned() } else { path.display().to_string() }
}
