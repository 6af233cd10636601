//! `Worker`: a `catgen-train serve`, which has a generator loaded and is asked for one picture after the other.
//!
//! Loading takes seconds, a picture takes milliseconds. It ends when its standard input closes: with this value, or with this process,
//! however that ends.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Stdio},
};

use catgen_train::{
    Packed,
    serve::{Ask, Said},
};

use crate::{Error, error::Result, tools::Tools, trainer};

/// The worker's name in messages.
const NAME: &str = "the generator";

/// A generator that is loaded.
pub(crate) struct Worker {
    child: Child,
    questions: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    ready: Said,
}

impl Worker {
    /// Loads the generator of a checkpoint; with the photos it was trained on, it can tell which is most like a picture.
    ///
    /// # Errors
    /// No trainer on this machine, or what it said.
    pub(crate) fn start(tools: &Tools, checkpoint: &Path, dataset: Option<&Packed>) -> Result<Self> {
        let mut command = trainer::command(tools, NAME)?;
        command.arg("serve").arg("--checkpoint").arg(checkpoint);
        if let Some(dataset) = dataset {
            command.arg("--nearest-in").arg(&dataset.train);
            if let Some(index) = &dataset.index {
                command.arg("--rows").arg(index);
            }
        }
        #[cfg(unix)]
        // Ctrl-C is for the studio, which ends the worker by ending.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let program = command.get_program().to_owned();
        let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut child = spawned.map_err(Error::io("start", program))?;
        let questions = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().expect("it was piped"));
        let nothing = Said::Error { message: String::new(), hint: String::new() };
        let mut worker = Self { child, questions, answers, ready: nothing };
        worker.ready = worker.hear()?;
        Ok(worker)
    }

    /// What it said of itself when it was loaded.
    pub(crate) fn ready(&self) -> &Said {
        &self.ready
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// What it said that it cannot do; or it is gone.
    pub(crate) fn ask(&mut self, ask: &Ask) -> Result<Said> {
        let mut line = serde_json::to_vec(ask).expect("a question is plain data");
        line.push(b'\n');
        let asked = self.questions.as_mut().map(|questions| questions.write_all(&line).and_then(|()| questions.flush()));
        if !matches!(asked, Some(Ok(()))) {
            return Err(gone());
        }
        self.hear()
    }

    /// Whether it still answers.
    pub(crate) fn is_there(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    fn hear(&mut self) -> Result<Said> {
        let mut line = String::new();
        match self.answers.read_line(&mut line) {
            Ok(read) if read > 0 => {}
            _ => return Err(gone()),
        }
        match serde_json::from_str(&line) {
            Ok(Said::Error { message, hint }) => Err(Error::Usage { what: message, hint }),
            Ok(said) => Ok(said),
            Err(error) => Err(Error::Trainer {
                stage: NAME.to_owned(),
                what: format!("the trainer said something that is no answer ({error})"),
                hint: "build it again with `make trainer`: it may be of another version than this program".to_owned(),
            }),
        }
    }
}

fn gone() -> Error {
    Error::Trainer {
        stage: NAME.to_owned(),
        what: "the trainer ended without an answer".to_owned(),
        hint: "`catgen-pipe doctor` says what is missing; if it is older than this program, build it again with `make trainer`".to_owned(),
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.questions.take());
        // It ends by itself once it is between two questions; nothing of it is worth waiting for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    /// A trainer that says these lines, one at the start and one for each question.
    fn tools(folder: &Path, lines: &[&str]) -> Tools {
        let program = folder.join("trainer");
        let script =
            lines.iter().enumerate().map(|(at, line)| format!("{}echo '{line}'\n", if at == 0 { "" } else { "read question || exit 0\n" }));
        fs::write(&program, format!("#!/bin/sh\n{}", script.collect::<String>())).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        Tools { trainer: Some(program), ..Tools::default() }
    }

    const READY: &str = r#"{"said":"ready","side":64,"latent":2,"step":1,"averaged":false,"directions":"random","weights":[],"layers":[]}"#;

    fn maps() -> Ask {
        Ask::Maps { seed: 1, layer: 0, channels: 1 }
    }

    #[test]
    fn questions_are_answered_one_by_one_and_its_end_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let answers =
            [READY, r#"{"said":"error","message":"no such layer","hint":"count from 0"}"#, r#"{"said":"maps","channels":[],"full":2.0}"#];
        let mut worker = Worker::start(&tools(folder.path(), &answers), Path::new("c"), None).unwrap();
        assert!(matches!(worker.ready(), Said::Ready { side: 64, .. }));
        assert_eq!(worker.ask(&maps()).unwrap_err().to_string(), "no such layer");
        assert!(matches!(worker.ask(&maps()).unwrap(), Said::Maps { full: 2.0, .. }));
        let ended = worker.ask(&maps()).unwrap_err();
        assert!(ended.to_string().contains("ended without an answer"), "{ended}");
        assert_eq!(ended.exit_code(), 4);
    }

    #[test]
    fn a_generator_that_cannot_be_loaded_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let said = |lines: &[&str]| Worker::start(&tools(folder.path(), lines), Path::new("c"), None).map(drop).unwrap_err().to_string();
        assert_eq!(said(&[r#"{"said":"error","message":"it is damaged","hint":""}"#]), "it is damaged");
        assert!(said(&["hello"]).contains("no answer"));
        assert!(Worker::start(&Tools::default(), Path::new("c"), None).map(drop).unwrap_err().to_string().contains("not on this machine"));
    }
}
