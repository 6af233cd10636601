//! `Tools`: the files and programs of this machine that the pipeline can use, and where they were found.

use std::{
    env,
    path::{Path, PathBuf},
};

/// What was found on this machine. Nothing here is needed for every stage; a stage that needs something absent says so.
#[derive(Debug, Clone, Default)]
pub struct Tools {
    /// Folders that may hold model files, in the order in which to look.
    pub models: Vec<PathBuf>,
    /// `libonnxruntime`.
    pub onnxruntime: Option<PathBuf>,
    /// The folder of libtorch, with `lib` in it.
    pub libtorch: Option<PathBuf>,
    /// The program `catgen-train`.
    pub trainer: Option<PathBuf>,
}

/// The libtorch version that the trainer is built for.
const LIBTORCH: &str = "libtorch-2.11.0";

impl Tools {
    /// Looks in the environment, then in the cache folder, then beside this program.
    pub fn find() -> Self {
        let cache = cache_folder();
        let models = env::var_os("CATGEN_MODELS").map(PathBuf::from).into_iter().chain(cache.as_ref().map(|cache| cache.join("models")));
        let onnxruntime = env::var_os("ORT_DYLIB_PATH").map(PathBuf::from).filter(|path| path.is_file());
        let onnxruntime = onnxruntime.or_else(|| library(&cache.as_ref()?.join("onnxruntime"), "onnxruntime"));
        let libtorch = env::var_os("LIBTORCH").map(PathBuf::from).filter(|path| path.join("lib").is_dir());
        let libtorch = libtorch.or_else(|| {
            let cache = cache.as_ref()?;
            ["cuda", "cpu"].iter().map(|flavour| cache.join(format!("{LIBTORCH}-{flavour}"))).find(|path| path.join("lib").is_dir())
        });
        Self { models: models.collect(), onnxruntime, libtorch, trainer: trainer() }
    }
}

/// `${CATGEN_CACHE:-${XDG_CACHE_HOME:-~/.cache}/catgen-pipe}`.
pub fn cache_folder() -> Option<PathBuf> {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("CATGEN_CACHE").or_else(|| {
        let base = set("XDG_CACHE_HOME").or_else(|| set("HOME").or_else(|| set("USERPROFILE")).map(|home| home.join(".cache")))?;
        Some(base.join("catgen-pipe"))
    })
}

fn library(folder: &Path, name: &str) -> Option<PathBuf> {
    let file = format!("{}{name}{}", env::consts::DLL_PREFIX, env::consts::DLL_SUFFIX);
    Some(folder.join(file)).filter(|path| path.is_file())
}

/// `CATGEN_TRAIN`, else beside this program, else in the sibling folder of the other build profile, else on the `PATH`.
fn trainer() -> Option<PathBuf> {
    if let Some(path) = env::var_os("CATGEN_TRAIN") {
        return Some(PathBuf::from(path)).filter(|path| path.is_file());
    }
    let name = format!("catgen-train{}", env::consts::EXE_SUFFIX);
    let own = env::current_exe().ok();
    let beside = own.as_deref().and_then(Path::parent);
    let siblings = beside.into_iter().flat_map(|folder| [folder.to_owned(), folder.join("../release"), folder.join("../debug")]);
    let path = env::var_os("PATH").unwrap_or_default();
    siblings.chain(env::split_paths(&path)).map(|folder| folder.join(&name)).find(|path| path.is_file())
}
