//! `Failure`: why the program ends without having done its work, by whose fault it is.

use std::{io, path::Path};

use catgen_train::Event;

/// What to do when libtorch fails: memory is what it runs out of.
pub(crate) const MEMORY_HINT: &str = "if memory ran out, try a smaller batch or width";

/// What to do when a training went wrong.
pub(crate) const TROUBLE_HINT: &str = "train again into another folder with a smaller learning_rate or a larger batch";

/// An end that is not a good one.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The options or the dataset are of no use: exit status 2.
    #[error("{message}")]
    Unfit {
        /// What is wrong.
        message: String,
        /// What to do.
        hint: String,
    },
    /// The training went wrong, and may be taken back to an earlier checkpoint. Exit status 1.
    #[error("{message}")]
    Trouble {
        /// What was found.
        message: String,
    },
    /// Anything else: exit status 1.
    #[error("{message}")]
    Broken {
        /// What happened.
        message: String,
        /// What to do.
        hint: String,
    },
}

impl Failure {
    /// The fault of the options or the dataset.
    pub(crate) fn unfit(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Unfit { message: message.into(), hint: hint.into() }
    }

    /// Nobody's fault that we know of.
    pub(crate) fn broken(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Broken { message: message.into(), hint: hint.into() }
    }

    /// A file that could not be read or written.
    pub(crate) fn file(doing: &str, path: &Path, error: &io::Error) -> Self {
        Self::broken(format!("cannot {doing} {}: {error}", path.display()), "see that the disk has room and the folder may be written to")
    }

    /// What the program exits with.
    pub(crate) fn exit_status(&self) -> u8 {
        match self {
            Self::Unfit { .. } => 2,
            Self::Broken { .. } | Self::Trouble { .. } => 1,
        }
    }

    /// The last line on standard output.
    pub(crate) fn event(&self) -> Event {
        let (message, hint) = match self {
            Self::Unfit { message, hint } | Self::Broken { message, hint } => (message, hint.as_str()),
            Self::Trouble { message } => (message, TROUBLE_HINT),
        };
        Event::Error { message: message.clone(), hint: hint.to_owned() }
    }
}

impl From<tch::TchError> for Failure {
    fn from(error: tch::TchError) -> Self {
        Self::broken(first_lines(&error.to_string()), MEMORY_HINT)
    }
}

/// libtorch's message without the C++ stack that follows it.
pub(crate) fn first_lines(message: &str) -> String {
    let end = message.find("\nException raised from").or_else(|| message.find("\nframe #")).unwrap_or(message.len());
    format!("libtorch: {}", message[..end].trim())
}
