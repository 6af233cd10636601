//! The binary as users run it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

/// A small pipeline of real stages that needs no model file.
pub(crate) const SMALL: &str = r#"
[pipeline]
seed = 7439

[[stage]]
name = "0.ORIGINAL"
use = "original"

[[stage]]
name = "1.No_duplicates"
use = "duplicates"
from = "0.ORIGINAL"

[[stage]]
name = "2.No_background"
use = "background"
from = "1.No_duplicates"
model = "border"
max_side = 256

[[stage]]
name = "3.Zoom_photos"
use = "zoom"
from = "2.No_background"

[[stage]]
name = "4.Verified"
use = "verify"
from = "3.Zoom_photos"

[[stage]]
name = "5.Augmented_data"
use = "augment"
from = "4.Verified"
combine = "each"

[[stage]]
name = "6.Photos_64px"
use = "resize"
from = "5.Augmented_data"

[[stage]]
name = "Export"
use = "export"
from = "6.Photos_64px"
"#;

/// A training to follow [`SMALL`] that takes seconds.
pub(crate) const TRAIN: &str = r#"
[[stage]]
name = "7.Train"
use = "train"
from = "Export"
epochs = 2
batch = 8
width = 4
device = "cpu"
features = "random"
evaluate_images = 16
"#;

/// A workspace for the binary.
pub(crate) struct Home {
    pub(crate) folder: tempfile::TempDir,
}

impl Home {
    pub(crate) fn new(pipeline: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("pipeline.toml"), pipeline).unwrap();
        fs::create_dir_all(folder.path().join("data/0.ORIGINAL")).unwrap();
        Self { folder }
    }

    /// With `count` cartoon cats and their planted duplicates.
    pub(crate) fn with_cats(pipeline: &str, count: usize) -> Self {
        let home = Self::new(pipeline);
        catgen_sample::write(&home.path("data/0.ORIGINAL"), None, count, 7439).unwrap();
        home
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn command(&self, args: &[&str]) -> assert_cmd::Command {
        let mut command = assert_cmd::Command::cargo_bin("catgen-pipe").unwrap();
        command.current_dir(self.folder.path()).args(args).env_remove("CATGEN_LOG");
        command
    }

    pub(crate) fn output(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Standard output of a command that must succeed.
    pub(crate) fn ok(&self, args: &[&str]) -> String {
        let output = self.output(args);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The exit code and what was said to people, with this machine's paths taken out.
    pub(crate) fn fails(&self, args: &[&str]) -> String {
        let output = self.output(args);
        let words = String::from_utf8_lossy(&output.stderr).replace(&*self.folder.path().to_string_lossy(), "HOME");
        format!("exit {}\n{words}", output.status.code().unwrap_or(-1))
    }

    /// The lines of `run --json`.
    pub(crate) fn run(&self, args: &[&str]) -> Vec<Value> {
        let args: Vec<&str> = ["run", "--json"].iter().chain(args).copied().collect();
        self.ok(&args).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// `computed` per stage of `run --json`.
    pub(crate) fn computed(&self, args: &[&str]) -> Vec<u64> {
        self.run(args).iter().filter(|line| line["event"] == "stage").map(|line| line["computed"].as_u64().unwrap()).collect()
    }

    pub(crate) fn lines(&self, args: &[&str]) -> Vec<Value> {
        self.ok(args).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// The folder of shared real data, or `None` with a word about what is skipped.
pub(crate) fn shared(test: &str) -> Option<PathBuf> {
    let path = std::env::var_os("CATGEN_SHARED").map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    if path.join("data/README.md").is_file() {
        return Some(path);
    }
    eprintln!("skipped: {test} needs the shared data ({} is absent; CATGEN_SHARED names another place)", path.display());
    None
}

/// Whether the trainer lies beside the binary, with a word about what is skipped if not.
pub(crate) fn has_trainer(test: &str) -> bool {
    let name = format!("catgen-train{}", std::env::consts::EXE_SUFFIX);
    let found = Path::new(env!("CARGO_BIN_EXE_catgen-pipe")).with_file_name(name).is_file();
    if !found {
        eprintln!("skipped: {test} needs catgen-train (cargo build -p catgen-train --features torch)");
    }
    found
}

/// Whether Python is on this machine, with a word about what is skipped if not.
pub(crate) fn has_python(test: &str) -> bool {
    let found = Command::new("python3").args(["-c", ""]).stderr(Stdio::null()).status().is_ok_and(|status| status.success());
    if !found {
        eprintln!("skipped: {test} needs python3");
    }
    found
}

/// Waits until something is so, for at most a minute.
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < end, "waited too long: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A run in the background, that ends with its test.
pub(crate) struct Running(Option<Child>);

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        Self(Some(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()))
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.as_ref().unwrap().id()
    }

    pub(crate) fn child(&mut self) -> &mut Child {
        self.0.as_mut().unwrap()
    }

    /// Waits for it.
    pub(crate) fn output(mut self) -> Output {
        self.0.take().unwrap().wait_with_output().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
