//! The U-2-Net family: what goes in, what comes out, and loading it once.
//!
//! The conventions are those of rembg, with which most of these files were published: 320 × 320, divided by the largest
//! value, normalised by ImageNet's mean and deviation; the first output, stretched so that it fills 0 to 1.

use std::{fs, sync::OnceLock};

use catgen_api::{Digest, Picture, StageError};
use catgen_onnx::{Network as Loaded, Runtime};
use catgen_picture::{Filter, GrayImage, RgbImage, regions, resize};

use crate::model::ModelFile;

/// The network's input and output are squares of this many pixels.
pub(crate) const SIDE: u32 = 320;

/// From this value on the network is sure.
const SURE: u8 = 230;

/// A hole of at most this share of the subject is filled: cats' eyes are what networks like to punch out.
const EYE: f64 = 0.015;

/// A hole in which the network nowhere falls below this value is one that it merely doubts.
const DOUBT: u8 = 64;

/// Mean and standard deviation of ImageNet's red, green and blue, with which the family was trained.
const NORMAL: [(f32, f32); 3] = [(0.485, 0.229), (0.456, 0.224), (0.406, 0.225)];

/// A model file that is loaded when the first picture comes.
pub(crate) struct Network {
    file: ModelFile,
    runtime: Runtime,
    loaded: OnceLock<Result<Box<dyn Loaded>, StageError>>,
}

impl Network {
    /// The network in `file`, to be run by `runtime`; nothing is loaded yet.
    pub(crate) fn new(file: ModelFile, runtime: Runtime) -> Self {
        Self { file, runtime, loaded: OnceLock::new() }
    }

    /// What facts call it.
    pub(crate) fn name(&self) -> &str {
        &self.file.name
    }

    /// The digest of the model file.
    pub(crate) fn digest(&self) -> Digest {
        self.file.digest
    }

    /// What runs it: `ort` or `rten`.
    pub(crate) fn runtime(&self) -> &'static str {
        self.runtime.name()
    }

    /// How much every pixel is subject, 320 × 320 for the whole picture.
    ///
    /// # Errors
    /// A file that is no model of the family, or a runtime that cannot be loaded.
    pub(crate) fn mask(&self, picture: &RgbImage) -> Result<GrayImage, StageError> {
        let network = self.loaded.get_or_init(|| self.load()).as_ref().map_err(Clone::clone)?;
        // The family has several outputs, the finest first; no name means the first.
        let output = network.run([1, 3, SIDE as usize, SIDE as usize], planes(picture), "").map_err(|detail| self.unfit(&detail))?;
        stretched(&output)
            .map(without_holes)
            .ok_or_else(|| self.unfit(&format!("it answered {} numbers for {SIDE} × {SIDE} pixels", output.len())))
    }

    fn load(&self) -> Result<Box<dyn Loaded>, StageError> {
        let path = self.file.path.display();
        let bytes = fs::read(&self.file.path).map_err(|error| StageError::Broken {
            what: format!("cannot read the model {path}: {error}"),
            hint: "start the run again".to_owned(),
        })?;
        // The digest is in the key of everything made with it.
        if Digest::of(&bytes) != self.file.digest {
            return Err(StageError::Broken {
                what: format!("the model {path} was changed while it was in use"),
                hint: "start the run again".to_owned(),
            });
        }
        self.runtime.load(bytes, &path.to_string())
    }

    fn unfit(&self, detail: &str) -> StageError {
        StageError::Broken {
            what: format!("the model {} does not work here: {detail}", self.file.path.display()),
            hint: format!("use a model of the U-2-Net family, such as u2netp: one picture of {SIDE} × {SIDE} pixels in, masks out"),
        }
    }
}

/// The picture as the network wants it: 1 × 3 × 320 × 320, red plane first.
fn planes(picture: &RgbImage) -> Vec<f32> {
    let small = resize(&Picture::Rgb(picture.clone()), SIDE, SIDE, Filter::Lanczos);
    let small = small.over([0; 3].into());
    let largest = f32::from(small.iter().copied().max().unwrap_or(0)).max(1e-6);
    let plane = |channel: usize| {
        let (mean, deviation) = NORMAL[channel];
        small.pixels().map(move |pixel| (f32::from(pixel[channel]) / largest - mean) / deviation).collect::<Vec<_>>()
    };
    [plane(0), plane(1), plane(2)].concat()
}

/// The network's first output, 1 × 1 × 320 × 320, stretched to 0..=255; all 0 where it says the same everywhere.
fn stretched(output: &[f32]) -> Option<GrayImage> {
    if output.len() != (SIDE * SIDE) as usize {
        return None;
    }
    let (low, high) = output.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), value| (low.min(*value), high.max(*value)));
    let range = high - low;
    let level = |value: &f32| if range > 0.0 { ((value - low) / range * 255.0).round() as u8 } else { 0 };
    GrayImage::from_raw(SIDE, SIDE, output.iter().map(level).collect())
}

/// With the holes filled that are small or merely doubted; what is seen between legs and under a tail stays open.
fn without_holes(mut mask: GrayImage) -> GrayImage {
    let (width, height) = (mask.width() as usize, mask.height() as usize);
    let holes = regions(&mask.iter().map(|value| *value < SURE).collect::<Vec<_>>(), width);
    let mut least = vec![u8::MAX; holes.sizes.len()];
    let mut is_open = vec![false; holes.sizes.len()];
    for (at, (label, value)) in holes.labels.iter().zip(mask.iter()).enumerate() {
        let (x, y, label) = (at % width, at / width, *label as usize);
        least[label] = least[label].min(*value);
        is_open[label] |= x == 0 || y == 0 || x + 1 == width || y + 1 == height;
    }
    let eye = holes.sizes[0] as f64 * EYE;
    for (value, label) in mask.iter_mut().zip(&holes.labels) {
        let label = *label as usize;
        if label > 0 && !is_open[label] && (holes.sizes[label] as f64 <= eye || least[label] >= DOUBT) {
            *value = u8::MAX;
        }
    }
    mask
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sure square with one hole of that side and value; answers the value in the middle of the hole.
    fn check(hole: u32, value: u8) -> u8 {
        let inside = |at: u32, from: u32, length: u32| (from..from + length).contains(&at);
        let mask = GrayImage::from_fn(SIDE, SIDE, |x, y| {
            let is_hole = inside(x, 150, hole) && inside(y, 150, hole);
            let is_square = inside(x, 60, 200) && inside(y, 60, 200);
            [if is_hole {
                value
            } else if is_square {
                250
            } else {
                0
            }]
            .into()
        });
        let filled = without_holes(mask.clone());
        assert_eq!((filled.get_pixel(0, 0)[0], filled.get_pixel(61, 61)[0]), (0, 250));
        filled.get_pixel(155, 155)[0]
    }

    #[test]
    fn eyes_and_doubts_are_filled_and_real_holes_are_not() {
        assert_eq!(check(20, 0), 255, "an eye");
        assert_eq!(check(80, 90), 255, "a doubt");
        assert_eq!(check(80, 10), 10, "a hole");
    }
}
