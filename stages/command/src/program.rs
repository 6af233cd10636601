//! `Program`: what `run` says, ready to be started.

use std::{
    ffi::OsStr,
    io,
    path::{Path, PathBuf},
    process::Command,
};

use catgen_api::{KeyInput, StageError};

use crate::{
    GUIDE,
    files::{self, Declared},
    process::{Process, Stdin},
    protocol,
};

/// A program with its arguments, and what it is made of.
pub(crate) struct Program {
    words: Vec<String>,
    workspace: PathBuf,
    declared: Vec<Declared>,
    name: String,
}

impl Program {
    /// The program that `run` names; looked for only when it is started.
    ///
    /// # Errors
    /// No words, or a declared file that is not there.
    pub(crate) fn new(words: Vec<String>, files: &[String], workspace: &Path) -> Result<Self, StageError> {
        if words.first().is_none_or(|word| word.trim().is_empty()) {
            let message = "name a program and its arguments, for instance [\"python3\", \"denoise.py\"]".to_owned();
            return Err(StageError::Param { name: "run", message });
        }
        if let Some(word) = words.iter().find(|word| word.contains('\0')) {
            return Err(StageError::Param { name: "run", message: format!("{word:?} holds a zero byte, which no program can be given") });
        }
        let declared = files::declared(&words, files, workspace)?;
        let name = crate::text::shown(words.join(" ").as_bytes(), 60);
        Ok(Self { words, workspace: workspace.to_owned(), declared, name: format!("`{name}`") })
    }

    /// What people call it: the words of `run`.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The digests of the files it is made of.
    pub(crate) fn key_inputs(&self) -> Vec<KeyInput> {
        self.declared.iter().map(|file| KeyInput { name: format!("file {}", file.word), value: file.digest.to_string() }).collect()
    }

    /// Starts it in the workspace, with these variables added to the environment.
    ///
    /// # Errors
    /// It cannot be started, or is not any more what the keys say it is.
    pub(crate) fn start(&self, stdin: Stdin, variables: &[(&str, &OsStr)]) -> Result<Process, StageError> {
        self.check_unchanged()?;
        // Where a relative path of a program starts from differs from system to system: none is left.
        let own = files::file_of_workspace(&self.words[0], &self.workspace);
        let mut command = Command::new(own.as_deref().map_or(OsStr::new(&self.words[0]), Path::as_os_str));
        command.args(&self.words[1..]).current_dir(&self.workspace);
        command.env("CATGEN_PROTOCOL", protocol::VERSION.to_string()).envs(variables.iter().copied());
        // Python keeps what it prints in a buffer where nobody watches, and writes it in the system's old code page on Windows.
        command.env("PYTHONUNBUFFERED", "1").env("PYTHONIOENCODING", "utf-8");
        Process::start(command, &self.name, stdin).map_err(|error| self.cannot_start(&error))
    }

    /// The answers of a program that was edited meanwhile would be remembered under the key of the one before.
    fn check_unchanged(&self) -> Result<(), StageError> {
        for file in &self.declared {
            if files::digest(&file.path)? != file.digest {
                return Err(StageError::Broken {
                    what: format!("{} was changed while the run was going on", file.word),
                    hint: "run again: what was finished before the change is made again with the program as it is now".to_owned(),
                });
            }
        }
        Ok(())
    }

    fn cannot_start(&self, error: &io::Error) -> StageError {
        let program = &self.words[0];
        let is_own = files::file_of_workspace(program, &self.workspace).is_some();
        let hint = match error.kind() {
            io::ErrorKind::NotFound if program.contains(char::is_whitespace) => {
                "`run` is a list with one text for each word: [\"python3\", \"denoise.py\"]".to_owned()
            }
            io::ErrorKind::NotFound if is_own => "the interpreter that its first line names is not on this machine".to_owned(),
            io::ErrorKind::NotFound => {
                format!("install {program}, or correct `run`: its first word is a program on the PATH or a file of the workspace")
            }
            io::ErrorKind::PermissionDenied => {
                format!("`chmod +x {program}`, or put the program that reads it first: [\"sh\", {program:?}]")
            }
            _ if is_own => format!("if it is a script, put the program that reads it first: [\"python3\", {program:?}]; {GUIDE}"),
            _ => GUIDE.to_owned(),
        };
        StageError::Missing { what: format!("cannot start {}: {error}", self.name), hint }
    }
}
