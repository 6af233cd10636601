//! Which model file is meant, and how its network wants to be asked.

use std::path::PathBuf;

use catgen_api::{BuildContext, Digest, StageError};
use md5::{Digest as _, Md5};

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
    /// Whether it was asked for by a bare name: then the name is a promise about the content.
    pub(crate) by_name: bool,
}

/// What a network's numbers are made of a pixel: (value / largest value of the picture − mean) / deviation, for red, green, blue.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Normal {
    pub(crate) mean: [f32; 3],
    pub(crate) deviation: [f32; 3],
}

/// Mean and standard deviation of ImageNet's colours, with which U²-Net and its smaller kin were trained.
pub(crate) const IMAGENET: Normal = Normal { mean: [0.485, 0.456, 0.406], deviation: [0.229, 0.224, 0.225] };

/// ImageNet's mean alone: what rembg gives to the IS-Nets.
pub(crate) const CENTRED: Normal = Normal { mean: [0.485, 0.456, 0.406], deviation: [1.0; 3] };

/// A file of the family as rembg publishes it.
#[derive(Debug)]
pub(crate) struct Published {
    name: &'static str,
    md5: &'static str,
    /// Its input is a square of so many pixels.
    pub(crate) side: u32,
    pub(crate) normal: Normal,
}

/// The published files of the family that answer one mask, with the checksums that rembg's own downloads are held to.
const PUBLISHED: [Published; 6] = [
    Published { name: "u2net", md5: "60024c5c889badc19c04ad937298a77b", side: 320, normal: IMAGENET },
    Published { name: "u2netp", md5: "8e83ca70e441ab06c318d82300c84806", side: 320, normal: IMAGENET },
    Published { name: "u2net_human_seg", md5: "c09ddc2e0104f800e3e1bb4652583d1f", side: 320, normal: IMAGENET },
    Published { name: "silueta", md5: "55e59e0d8062d2f5d013f4725ee84782", side: 320, normal: IMAGENET },
    Published { name: "isnet-general-use", md5: "fc16ebd8b0c10d971d3513d564d01e29", side: 1024, normal: CENTRED },
    Published { name: "isnet-anime", md5: "6f184e756bb3bd901c8849220a83e38e", side: 1024, normal: CENTRED },
];

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
    Ok(ModelFile { name, path: path.clone(), digest, by_name: !is_path })
}

impl ModelFile {
    /// What is known of the file with these `bytes`: nothing, if it is somebody's own.
    ///
    /// # Errors
    /// The name of a published file, asked for by that name, and other content: cut short, or not what it says.
    pub(crate) fn published(&self, bytes: &[u8]) -> Result<Option<&'static Published>, StageError> {
        let found = Md5::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        if let Some(known) = PUBLISHED.iter().find(|known| known.md5 == found) {
            return Ok(Some(known));
        }
        match PUBLISHED.iter().find(|known| self.by_name && known.name == self.name) {
            None => Ok(None),
            Some(known) => Err(StageError::Broken {
                what: format!(
                    "{} is not the published {}: its MD5 is {found}, not {} ({} bytes)",
                    self.path.display(),
                    known.name,
                    known.md5,
                    bytes.len()
                ),
                hint: format!(
                    "get it again (`make models` for u2netp); if it is a model of your own, say so with its path: model = {:?}",
                    self.path.display().to_string()
                ),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, by_name: bool) -> ModelFile {
        ModelFile { name: name.to_owned(), path: format!("models/{name}.onnx").into(), digest: Digest::of(b""), by_name }
    }

    #[test]
    fn a_published_name_is_a_promise_and_a_path_is_none() {
        let error = file("isnet-anime", true).published(b"half a file").unwrap_err();
        let StageError::Broken { what, hint } = error else { panic!("{error:?}") };
        assert!(what.contains("models/isnet-anime.onnx is not the published isnet-anime") && what.contains("(11 bytes)"), "{what}");
        assert!(hint.contains("model = \"models/isnet-anime.onnx\""), "{hint}");
        assert!(file("isnet-anime", false).published(b"somebody's own").unwrap().is_none());
        assert!(file("my-cats", true).published(b"somebody's own").unwrap().is_none());
    }
}
