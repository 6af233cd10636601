//! Tests only: Python with torch, onnxruntime and tensorboard, to open what this program writes with the programs that it is for.
//!
//! `make test-python-torch` makes that environment, outside the checkout. Without it those tests say that they were skipped.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

/// `CATGEN_PYTHON`, else the environment in the cache folder, if it has these modules.
fn find(modules: &str) -> Option<PathBuf> {
    let cache = || {
        let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let base = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")));
        Some(base?.join("catgen-pipe"))
    };
    let python = env::var_os("CATGEN_PYTHON").map(PathBuf::from).or_else(|| Some(cache()?.join("test-python-torch/bin/python")))?;
    let imports = format!("import {modules}");
    let found = Command::new(&python).args(["-c", &imports]).output().is_ok_and(|output| output.status.success());
    found.then_some(python)
}

/// Runs a program in a folder and answers what it printed; `None`, with a line about it, where Python lacks the modules.
pub(crate) fn run(modules: &str, folder: &Path, program: &str) -> Option<String> {
    let Some(python) = find(modules) else {
        eprintln!("skipped: no Python with {modules}; `make test-python-torch` makes one");
        return None;
    };
    let output = Command::new(python).current_dir(folder).args(["-c", program]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap())
}
