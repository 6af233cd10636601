//! The shipped flow over the shared photos of people's cats, for the evaluations of what comes late in it.

use std::{
    env,
    error::Error,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::Value;

/// A workspace in which the flow up to stage 4 was run.
pub(crate) struct Flow {
    /// The shared data.
    pub(crate) shared: PathBuf,
    root: PathBuf,
    program: PathBuf,
}

impl Flow {
    /// Runs the flow, or what is missing of it since the last evaluation; none, with a word about it, where something is missing.
    ///
    /// # Errors
    /// Photos that cannot be unpacked, or a run that fails.
    pub(crate) fn run() -> Result<Option<Self>, Box<dyn Error>> {
        let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let shared = env::var_os("CATGEN_SHARED").map_or_else(|| project.join("../shared"), PathBuf::from);
        if !shared.join("data/photos").is_dir() {
            eprintln!("left out: {} has no data/photos (CATGEN_SHARED names another folder)", shared.display());
            return Ok(None);
        }
        // This program is target/<profile>/examples/…, and so is that of the command line, one folder up.
        let target = env::current_exe()?.ancestors().nth(2).ok_or("this program lies in no target folder")?.to_owned();
        let program = target.join(format!("catgen-pipe{}", env::consts::EXE_SUFFIX));
        if !program.is_file() {
            eprintln!("left out: {} is not built (`cargo build --release`)", program.display());
            return Ok(None);
        }
        let root = target.join("evaluation");
        let photos = root.join("data/0.ORIGINAL");
        if !photos.join("zelena").is_dir() {
            fs::create_dir_all(&photos)?;
            for archive in ["cats-personal-1.zip", "cats-personal-2.zip"] {
                let unpack = Command::new("python3")
                    .args(["-m", "zipfile", "-e"])
                    .arg(shared.join("data/photos").join(archive))
                    .arg(&photos)
                    .status()?;
                if !unpack.success() {
                    return Err(format!("{archive} cannot be unpacked with python3").into());
                }
            }
        }
        fs::copy(project.join("pipeline.toml"), root.join("pipeline.toml"))?;
        let flow = Self { shared, root, program };
        eprintln!("runs the shipped flow up to stage 4 in {}", flow.root.display());
        let run = flow.command(&["run", "--until", "4.Verified"]).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
        if !run.success() {
            return Err(format!("`catgen-pipe -C {} run --until 4.Verified` failed", flow.root.display()).into());
        }
        Ok(Some(flow))
    }

    /// What a stage put out, as `inspect --json` tells it, with absolute paths.
    ///
    /// # Errors
    /// A stage that is not there.
    pub(crate) fn items(&self, stage: &str) -> Result<Vec<Value>, Box<dyn Error>> {
        let output = self.command(&["inspect", stage, "--json"]).output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into());
        }
        let mut items = String::from_utf8(output.stdout)?.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>()?;
        for item in &mut items {
            item["path"] = self.root.join(item["path"].as_str().unwrap_or_default()).to_string_lossy().into();
        }
        Ok(items)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("-C").arg(&self.root).args(args).env("CATGEN_MODELS", self.shared.join("models"));
        command
    }
}
