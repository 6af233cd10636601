//! `doctor`: what was found on this machine, what is missing, and the one command that gets it.

use catgen_train::features;

use super::{Context, output};
use crate::{
    Result,
    tools::{Tools, cache_folder},
};

/// Say which models and libraries were found, and how to get what is missing
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

pub(super) fn run(_: &Args, context: &Context) -> Result<()> {
    let tools = Tools::find();
    let model = tools.models.iter().map(|folder| folder.join("u2netp.onnx")).find(|path| path.is_file());
    let networks = features::KNOWN.iter().flat_map(|name| tools.models.iter().map(move |folder| folder.join(name)));
    let network = networks.into_iter().find(|path| path.is_file());
    let folder = tools.models.last().map_or_else(|| "a folder of models".to_owned(), |folder| folder.display().to_string());
    let network_hint = format!("put {} into {folder}", features::KNOWN[1]);
    let rows = [
        ("cut-out model u2netp", model, "make models", "without it: model = \"border\""),
        ("libonnxruntime", tools.onnxruntime.clone(), "make models", "without it: the built-in runtime, 2.5 times slower"),
        ("feature network", network, &*network_hint, "without it: pictures are judged by random convolutions"),
        ("catgen-train", tools.trainer.clone(), "make trainer", "without it: every stage but training"),
        ("libtorch", tools.libtorch.clone(), "make libtorch", "without it: every stage but training"),
    ];
    if context.json {
        for (what, found, get, _) in &rows {
            output::json(&serde_json::json!({ "what": what, "found": found.as_ref().map(|path| path.display().to_string()), "get": get }));
        }
        return Ok(());
    }
    let rows = rows.map(|(what, found, get, without)| {
        let get = if get.starts_with("make ") { format!("`{get}` gets it") } else { get.to_owned() };
        let found = found.map_or_else(|| format!("missing; {get}; {without}"), |path| path.display().to_string());
        vec![what.to_owned(), found]
    });
    output::table(&["what", "where"], &rows);
    if let Some(cache) = cache_folder() {
        say!("looked in the environment (CATGEN_MODELS, ORT_DYLIB_PATH, LIBTORCH, CATGEN_TRAIN) and in {}", cache.display());
    }
    Ok(())
}
