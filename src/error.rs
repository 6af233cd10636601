//! `Error`: everything that can stop a command, with what to do about it.
//!
//! The engine returns these; only `cli` turns them into words on the terminal and an exit code.

use std::{
    io,
    path::{Path, PathBuf},
};

use catgen_api::StageError;

use crate::{disk::Disk, pipeline::PipelineError};

/// Short for results of the engine.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What stopped a command.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `pipeline.toml` is not as it should be.
    #[error(transparent)]
    Pipeline(#[from] Box<PipelineError>),
    /// The command was called with something that does not exist here, or a stage is set to something it cannot do.
    #[error("{what}")]
    Usage {
        /// What is wrong.
        what: String,
        /// What to do.
        hint: String,
    },
    /// A stage cannot do its work.
    #[error("{stage}: {what}")]
    Stage {
        /// Its name.
        stage: String,
        /// What happened.
        what: String,
        /// What to do.
        hint: String,
    },
    /// Training cannot start or failed.
    #[error("{stage}: {what}")]
    Trainer {
        /// The stage's name.
        stage: String,
        /// What happened.
        what: String,
        /// What to do.
        hint: String,
    },
    /// Something that the store should hold is gone or damaged; looking everything up again makes it again.
    #[error("{what}")]
    Lost {
        /// What is gone.
        what: String,
    },
    /// Something in the store is damaged, and a repair was not asked for.
    #[error("{what}")]
    Damaged {
        /// What is damaged.
        what: String,
    },
    /// The shared cache does not do what it should.
    #[error("{what}")]
    Shared {
        /// What happened.
        what: String,
        /// What to do.
        hint: String,
        /// Whether it may only be out of reach for now, and nothing is wrong with how it is asked.
        is_away: bool,
    },
    /// The user asked to stop; everything finished so far is kept.
    #[error("stopped")]
    Stopped,
    /// Another `run` works in this workspace.
    #[error("the workspace is busy: {by}")]
    Busy {
        /// Who holds it.
        by: String,
    },
    /// The file system refused something.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb: "read", "write", …
        doing: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Error {
    /// Wraps an error of the file system with what was tried on which path.
    pub fn io(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { doing, path, source }
    }

    /// A stage's own error, under the stage's name. A parameter of no use is a mistake in `pipeline.toml` or on the command
    /// line, not a failure of the stage.
    pub fn stage(stage: &str, error: StageError) -> Self {
        let what = error.to_string();
        match error {
            StageError::Param { name, .. } => {
                Self::Usage { what: format!("{stage}: {what}"), hint: format!("change `{name}` of this stage in pipeline.toml") }
            }
            StageError::Missing { hint, .. } | StageError::Broken { hint, .. } => Self::Stage { stage: stage.to_owned(), what, hint },
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Pipeline(_) => None,
            Self::Usage { hint, .. } | Self::Stage { hint, .. } | Self::Trainer { hint, .. } | Self::Shared { hint, .. } => {
                Some(hint.clone()).filter(|hint| !hint.is_empty())
            }
            Self::Lost { .. } => Some("`catgen-pipe run` makes it again".to_owned()),
            Self::Damaged { .. } => Some("`catgen-pipe fsck --repair` takes it away, and the next run makes it again".to_owned()),
            Self::Stopped => Some("run again: it goes on from here".to_owned()),
            Self::Busy { .. } => Some("wait for it to end, or run without --no-wait to queue behind it".to_owned()),
            Self::Io { source, path, .. } => io_hint(source.kind(), path),
        }
    }

    /// 2 usage or configuration, 3 a stage failed, 4 the trainer failed, 5 workspace busy. 1 is left for our own bugs.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Pipeline(_) | Self::Usage { .. } | Self::Shared { is_away: false, .. } => 2,
            Self::Stage { .. } | Self::Shared { .. } | Self::Io { .. } | Self::Lost { .. } | Self::Damaged { .. } => 3,
            Self::Trainer { .. } => 4,
            Self::Busy { .. } => 5,
            // What shells say of a program that an interrupt ended.
            Self::Stopped => 130,
        }
    }
}

/// What to do about what the file system refused.
fn io_hint(kind: io::ErrorKind, path: &Path) -> Option<String> {
    let disk = || Disk::of(path).map_or_else(|| "the disk".to_owned(), |disk| disk.to_string());
    match kind {
        io::ErrorKind::StorageFull => Some(format!(
            "{} is full: make room there (`catgen-pipe gc` removes what nothing needs any more) and run again; finished work is kept",
            disk()
        )),
        io::ErrorKind::QuotaExceeded => {
            Some(format!("your share of {} is used up: make room there and run again; finished work is kept", disk()))
        }
        io::ErrorKind::FileTooLarge => {
            Some("a limit (`ulimit -f`) or that disk allows no file so large: lift it and run again; finished work is kept".to_owned())
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            Some(format!("{} can only be read: make it writable; `plan`, `status`, `why`, `inspect` and `runs` work all the same", disk()))
        }
        io::ErrorKind::PermissionDenied => Some("this user may not do that there: check the owner and mode of the folder".to_owned()),
        _ => None,
    }
}
