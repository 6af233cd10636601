//! Which model file is meant.

use std::path::PathBuf;

use catgen_api::{BuildContext, Digest, StageError};

/// The model that needs no file.
pub(crate) const BORDER: &str = "border";

/// A model file as it was when the stage was built.
#[derive(Debug)]
pub(crate) struct ModelFile {
    /// What facts call it: the file's name without `.onnx`.
    pub(crate) name: String,
    /// Where it is.
    pub(crate) path: PathBuf,
    /// Of its content.
    pub(crate) digest: Digest,
}

/// The file meant by `model`: a bare name is `<name>.onnx` in one of the model folders, everything else is a path.
///
/// # Errors
/// No such file, with the places where it was looked for.
pub(crate) fn find(model: &str, context: &BuildContext) -> Result<ModelFile, StageError> {
    let is_path = model.contains(['/', '\\']) || model.ends_with(".onnx");
    let places: Vec<PathBuf> = if is_path {
        vec![context.workspace.join(model)]
    } else {
        context.models.iter().map(|folder| folder.join(format!("{model}.onnx"))).collect()
    };
    let Some(path) = places.iter().find(|path| path.is_file()) else {
        let looked: Vec<String> = places.iter().map(|path| path.display().to_string()).collect();
        let looked = if looked.is_empty() { "no model folder is known".to_owned() } else { format!("looked for {}", looked.join(" and ")) };
        let hint = if is_path {
            format!("correct the path of the model, use a model's name such as \"u2netp\", or use model = {BORDER:?}, which needs no file")
        } else {
            let folder = context.models.last().map_or("a model folder".to_owned(), |folder| folder.display().to_string());
            format!("run `make models`, put {model}.onnx into {folder}, or use model = {BORDER:?}, which needs no file")
        };
        return Err(StageError::Missing { what: format!("cannot find the model {model:?}: {looked}"), hint });
    };
    let digest = Digest::of_file(path).map_err(|error| StageError::Broken {
        what: format!("cannot read the model {}: {error}", path.display()),
        hint: "check the file's permissions".to_owned(),
    })?;
    let name = path.file_stem().map_or_else(|| model.to_owned(), |stem| stem.to_string_lossy().into_owned());
    Ok(ModelFile { name, path: path.clone(), digest })
}
