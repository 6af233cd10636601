//! Folders in which a program finds its picture and puts what it made of it.
//!
//! They lie where the engine clears up at the start of every run, so that a `kill -9` leaves nothing for long.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use catgen_api::{Picture, StageError};
use catgen_picture::encode_png;
use tempfile::TempDir;

/// Where folders for programs are made.
pub(crate) struct Scratch {
    root: PathBuf,
    workspace: PathBuf,
}

impl Scratch {
    /// Below `root`, or where the system keeps temporary files if that is empty.
    pub(crate) fn new(root: &Path, workspace: &Path) -> Self {
        let root = if root.as_os_str().is_empty() { std::env::temp_dir() } else { root.to_owned() };
        Self { root, workspace: workspace.to_owned() }
    }

    /// An empty folder, gone when dropped.
    pub(crate) fn folder(&self) -> Result<TempDir, StageError> {
        fs::create_dir_all(&self.root).map_err(|error| cannot("create", &self.root, &error))?;
        tempfile::Builder::new().prefix("command-").tempdir_in(&self.root).map_err(|error| cannot("create a folder in", &self.root, &error))
    }

    /// A picture laid ready, and an empty folder beside it.
    pub(crate) fn desk(&self, picture: &Picture) -> Result<Desk, StageError> {
        let folder = self.folder()?;
        let mut desk = self.desk_in(folder.path(), "picture", picture)?;
        desk.folder = Some(folder);
        Ok(desk)
    }

    /// The same, called `name`, in a folder that is there.
    pub(crate) fn desk_in(&self, folder: &Path, name: &str, picture: &Picture) -> Result<Desk, StageError> {
        let (file, out_folder) = (folder.join(format!("{name}.png")), folder.join(name));
        fs::write(&file, encode_png(picture)).map_err(|error| cannot("write", &file, &error))?;
        fs::create_dir(&out_folder).map_err(|error| cannot("create", &out_folder, &error))?;
        let (input, out) = (self.told(&file)?, self.told(&out_folder)?);
        Ok(Desk { input, out, file, out_folder, folder: None })
    }

    /// A path in the words in which a program is told of it: absolute, or relative to the workspace, where the program is started,
    /// if the workspace has a name that JSON or a table of tabs cannot hold.
    pub(crate) fn told(&self, path: &Path) -> Result<String, StageError> {
        let fits = |path: &Path| path.to_str().filter(|text| !text.contains(['\t', '\n', '\r'])).map(str::to_owned);
        fits(path).or_else(|| fits(path.strip_prefix(&self.workspace).ok()?)).ok_or_else(|| StageError::Broken {
            what: format!("programs cannot be told of the path {}", path.display()),
            hint: "move the workspace, or temporary files, to a folder with an ordinary name".to_owned(),
        })
    }
}

/// One picture laid ready for a program.
#[derive(Debug)]
pub(crate) struct Desk {
    input: String,
    out: String,
    file: PathBuf,
    out_folder: PathBuf,
    /// All of it, where it is not part of a larger folder.
    folder: Option<TempDir>,
}

impl Desk {
    /// The picture's path, for the program.
    pub(crate) fn input(&self) -> &str {
        &self.input
    }

    /// The path of the folder to be filled, for the program.
    pub(crate) fn out(&self) -> &str {
        &self.out
    }

    /// The folder to be filled.
    pub(crate) fn out_folder(&self) -> &Path {
        &self.out_folder
    }

    /// Empties the folder: another program begins anew.
    pub(crate) fn clear(&self) -> Result<(), StageError> {
        fs::remove_dir_all(&self.out_folder)
            .and_then(|()| fs::create_dir(&self.out_folder))
            .map_err(|error| cannot("clear", &self.out_folder, &error))
    }

    /// Removes the picture and what was made of it, to keep the space small in which many lie ready.
    pub(crate) fn tidy(&self) {
        let _ = fs::remove_file(&self.file);
        let _ = fs::remove_dir_all(&self.out_folder);
    }
}

/// The file system refused something.
pub(crate) fn cannot(doing: &str, path: &Path, error: &io::Error) -> StageError {
    let hint = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "the disk is full: make room and run again; finished work is kept",
        _ => "check the owner and mode of the folder",
    };
    StageError::Broken { what: format!("cannot {doing} {}: {error}", path.display()), hint: hint.to_owned() }
}
