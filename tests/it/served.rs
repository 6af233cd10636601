//! The studio as a process of its own, as users start it.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use super::home::Home;

/// A studio at work, which ends with this value: however a test ends, nothing of it is left behind.
pub(crate) struct Studio {
    child: Child,
    /// The printed address, with its token.
    pub(crate) url: String,
}

impl Studio {
    pub(crate) fn open(home: &Home) -> Self {
        Self::of(home.folder.path())
    }

    /// Of the workspace in that folder.
    pub(crate) fn of(workspace: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_catgen-pipe"))
            .current_dir(workspace)
            .args(["studio", "--port", "0", "--json"])
            .env_remove("CATGEN_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let said: serde_json::Value = serde_json::from_str(&line).unwrap();
        Self { child, url: said["url"].as_str().unwrap().to_owned() }
    }

    /// The address without path and token: `http://127.0.0.1:PORT`.
    pub(crate) fn origin(&self) -> &str {
        self.url.split("/?").next().unwrap()
    }

    /// Host and port.
    pub(crate) fn host(&self) -> &str {
        self.origin().trim_start_matches("http://")
    }

    pub(crate) fn token(&self) -> &str {
        self.url.split_once("token=").unwrap().1
    }

    /// The address of a page.
    pub(crate) fn at(&self, path: &str) -> String {
        format!("{}{path}", self.origin())
    }

    /// What Ctrl-C does; the exit code, or `None` if it took longer than `patience`.
    pub(crate) fn interrupt(&mut self, patience: Duration) -> Option<i32> {
        let id = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(id, rustix::process::Signal::INT);
        let until = Instant::now() + patience;
        while Instant::now() < until {
            if let Ok(Some(status)) = self.child.try_wait() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        None
    }
}

impl Drop for Studio {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) && self.interrupt(Duration::from_secs(20)).is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
