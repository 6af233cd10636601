//! Features: the numbers by which pictures are compared. Which network makes them is part of every result's name.
//!
//! | file | name of the features | what the network is fed with |
//! |---|---|---|
//! | an ONNX network, such as `efficientnet-lite0.onnx` | `efficientnet-lite0-34eb2f84-v2`: the file's name, the beginning of its BLAKE3 digest, the version of this table | bicubic to the side its input asks for (224), in 8 bits as Pillow does, (value − 127) / 128, RGB; its output `features`, else the first |
//! | NVIDIA's TorchScript of the FID Inception | `inception-2015-12-05-v1`; told by its SHA-256 | bicubic to 299, not rounded, 0 to 255, RGB (as clean-fid does); the 2,048 features before the last layer |
//! | any other TorchScript | its name and digest, as above | as for the Inception; its first output |
//! | none | `random-convolution-v1` | bicubic to 64, −1 to 1 |
//!
//! Features of different names cannot be compared, and only those of the Inception give what is called FID.
//!
//! What it refuses to do: download a network. TorchScript needs libtorch, so that is loaded by `catgen-train`.

mod onnx;
mod random;

use std::path::{Path, PathBuf};

use catgen_api::StageError;
use catgen_onnx::Runtime;
use catgen_picture::{Filter, Picture, Rgb, resize, resize_bicubic};

use crate::Pictures;

pub use onnx::OnnxFeatures;
pub use random::RandomConvolution;

/// The version of how pictures are prepared for the network in a file: part of its features' names.
///
/// 2: made wide first and then high, as Pillow does; in 8 bits the other order gave a KID 0.6 % off.
pub const VERSION: u32 = 2;

/// The features of NVIDIA's TorchScript of the 2015 Inception: the only ones whose Fréchet distance is called FID.
pub const INCEPTION: &str = "inception-2015-12-05-v1";

/// The features that need no file.
pub const RANDOM: &str = "random-convolution-v1";

/// Model files looked for where nothing is said, best first, in the folders of models.
pub const KNOWN: [&str; 2] = ["inception-2015-12-05.pt", "efficientnet-lite0.onnx"];

/// What makes numbers of pictures.
pub trait Extractor: Send + Sync {
    /// The features' name, with the version of what pictures are prepared by.
    fn name(&self) -> &str;

    /// For each picture as many numbers, all pictures' one after another.
    ///
    /// # Errors
    /// A network that does not work on such pictures.
    fn features(&self, pictures: &Pictures) -> Result<Vec<f32>, StageError>;
}

/// The file of the network to use: `word` as a path, or as a name in the folders; for `auto` the first of [`KNOWN`] that is there,
/// those that need libtorch only if `torch` says that it is at hand.
///
/// `None` means random convolutions: nothing was found for `auto`, or the word is `random`.
///
/// # Errors
/// A file that was named and is not there.
pub fn find(word: &str, models: &[PathBuf], torch: bool) -> Result<Option<PathBuf>, StageError> {
    let among = |name: &str| models.iter().map(|folder| folder.join(name)).find(|path| path.is_file());
    match word {
        "random" => Ok(None),
        "auto" => Ok(KNOWN.iter().filter(|name| torch || !is_torchscript(Path::new(name))).find_map(|name| among(name))),
        _ => {
            let path = Path::new(word);
            let found =
                Some(path.to_owned()).filter(|path| path.is_file()).or_else(|| among(word)).or_else(|| among(&format!("{word}.onnx")));
            found.map(Some).ok_or_else(|| StageError::Missing {
                what: format!("cannot find the feature network {word:?}, neither as a file nor in the folders of models"),
                hint: "give the path of an ONNX or TorchScript file, or \"random\", which needs none".to_owned(),
            })
        }
    }
}

/// Whether a file's name says that libtorch must open it.
pub fn is_torchscript(path: &Path) -> bool {
    path.extension().is_some_and(|extension| ["pt", "pth", "torchscript"].iter().any(|known| extension.eq_ignore_ascii_case(known)))
}

/// The features of an ONNX file, or random convolutions where there is none.
///
/// # Errors
/// A file that is no network, and one of TorchScript, which this library cannot open.
pub fn open(file: Option<&Path>, onnxruntime: Option<&Path>) -> Result<Box<dyn Extractor>, StageError> {
    match file {
        None => Ok(Box::new(RandomConvolution::new())),
        Some(path) if is_torchscript(path) => Err(StageError::Missing {
            what: format!("{} is TorchScript, which only the trainer opens", path.display()),
            hint: "build it with `make trainer`, or take an ONNX file".to_owned(),
        }),
        Some(path) => Ok(Box::new(OnnxFeatures::open(path, &Runtime::of(onnxruntime))?)),
    }
}

/// One picture as a square of that side, in planes: 3 × side × side bytes, rounded after each direction, first along rows, then along columns,
/// as Pillow does.
///
/// Where it is rounded counts: EfficientNet-Lite0 finds blurred faces 8 % further from sharp ones if it is not.
pub fn bytes(pictures: &Pictures, at: usize, side: usize) -> Vec<u8> {
    let side = u32::try_from(side).expect("sides are small");
    let picture = Picture::Rgb(pictures.image(at));
    let [_, height] = picture.size();
    // In one call the resizer takes columns first, which is quicker.
    let wide = resize(&picture, side, height, Filter::Bicubic);
    let resized = resize(&wide, side, side, Filter::Bicubic);
    let pixels = resized.over(Rgb([255; 3]));
    (0..3).flat_map(|channel| pixels.pixels().map(move |pixel| pixel[channel])).collect()
}

/// One picture as a square of that side, in planes: 3 × side × side, values near 0 to 255.
pub fn planes(pictures: &Pictures, at: usize, side: usize) -> Vec<f32> {
    let side = u32::try_from(side).expect("sides are small");
    let pixels = resize_bicubic(&pictures.image(at), side, side);
    (0..3).flat_map(|channel| pixels.iter().map(move |pixel| pixel[channel])).collect()
}

/// A name for the features of a file.
pub fn name_of(path: &Path, digest: &catgen_api::Digest) -> String {
    let stem = path.file_stem().map_or_else(|| "network".to_owned(), |stem| stem.to_string_lossy().into_owned());
    format!("{stem}-{}-v{VERSION}", &digest.to_string()[..8])
}

#[cfg(test)]
mod tests;
