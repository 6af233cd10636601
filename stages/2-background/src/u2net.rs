//! The U-2-Net family: what goes in, what comes out, loading it once, and a second look where the first was unsure.
//!
//! The conventions are those of rembg, with which most of these files were published: a square, divided by the largest value,
//! normalised; the first output, stretched so that it fills 0 to 1.

use std::{fs, sync::OnceLock};

use catgen_api::{Digest, Picture, StageError};
use catgen_onnx::Runtime;
use catgen_picture::{Filter, GrayImage, RgbImage, crop_resize, resize};

use crate::{
    enlarged,
    model::{IMAGENET, ModelFile, Normal},
    second::{self, Part},
};

/// The side of the square for a file that is not known and does not say.
const USUAL_SIDE: u32 = 320;

/// A model file that is loaded when the first picture comes.
pub(crate) struct Network {
    file: ModelFile,
    chosen: Runtime,
    asked: Asked,
    loaded: OnceLock<Result<Loaded, StageError>>,
}

/// What the parameters say about a file that is not known.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Asked {
    pub(crate) side: Option<u32>,
    pub(crate) normal: Option<Normal>,
}

struct Loaded {
    runtime: Box<dyn catgen_onnx::Network>,
    side: u32,
    normal: Normal,
}

impl Network {
    /// The network in `file`, to be run by `chosen`; nothing is loaded yet.
    pub(crate) fn new(file: ModelFile, chosen: Runtime, asked: Asked) -> Self {
        Self { file, chosen, asked, loaded: OnceLock::new() }
    }

    /// What facts call it.
    pub(crate) fn name(&self) -> &str {
        &self.file.name
    }

    /// The digest of the model file.
    pub(crate) fn digest(&self) -> Digest {
        self.file.digest
    }

    /// What runs it: `ort`, `ort on cuda` or `rten`.
    pub(crate) fn runtime(&self) -> &'static str {
        self.chosen.name()
    }

    /// How much every pixel is subject, as a square for the whole picture; with `twice`, looked at again where that helps.
    ///
    /// # Errors
    /// A file that is no model of the family or not the one its name promises, or a runtime that cannot be loaded.
    pub(crate) fn mask(&self, picture: &RgbImage, twice: bool) -> Result<GrayImage, StageError> {
        // Cloned once: resizing takes a picture.
        let picture = Picture::Rgb(picture.clone());
        let first = self.look(&picture, Part::Whole)?;
        if twice { second::combined(first, |part| self.look(&picture, part)) } else { Ok(first) }
    }

    /// What [`mask`](Self::mask) answers, once and twice looked at.
    ///
    /// # Errors
    /// As there.
    pub(crate) fn masks(&self, picture: &RgbImage) -> Result<[GrayImage; 2], StageError> {
        let picture = Picture::Rgb(picture.clone());
        let first = self.look(&picture, Part::Whole)?;
        let second = second::combined(first.clone(), |part| self.look(&picture, part))?;
        Ok([first, second])
    }

    /// What the network answers for a part of the picture, in the frame of the whole.
    fn look(&self, picture: &Picture, part: Part) -> Result<GrayImage, StageError> {
        let loaded = self.loaded.get_or_init(|| self.load()).as_ref().map_err(Clone::clone)?;
        let side = loaded.side;
        let output = loaded
            .runtime
            .run([1, 3, side as usize, side as usize], planes(picture, part, side, loaded.normal), "")
            .map_err(|detail| self.unfit(&detail, side))?;
        if output.len() != (side * side) as usize {
            return Err(self.unfit(&format!("it answered {} numbers for {side} × {side} pixels", output.len()), side));
        }
        Ok(match part {
            Part::Whole => stretched(&output, side),
            Part::Padded => {
                let (output, inner) = second::unpadded(&output, side);
                enlarged(&stretched(&output, inner), [side; 2])
            }
            Part::Window(window) => second::placed(&stretched(&output, side), window, side),
        })
    }

    fn load(&self) -> Result<Loaded, StageError> {
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
        let published = self.file.published(&bytes)?;
        let runtime = self.chosen.load(bytes, &path.to_string())?;
        let side = self
            .asked
            .side
            .or(published.map(|known| known.side))
            .or(runtime.side().and_then(|side| u32::try_from(side).ok()))
            .unwrap_or(USUAL_SIDE);
        let normal = self.asked.normal.or(published.map(|known| known.normal)).unwrap_or(IMAGENET);
        Ok(Loaded { runtime, side, normal })
    }

    fn unfit(&self, detail: &str, side: u32) -> StageError {
        StageError::Broken {
            what: format!("the model {} does not work here: {detail}", self.file.path.display()),
            hint: format!(
                "use a model of the U-2-Net family, such as u2netp: one picture of {side} × {side} pixels in, masks out \
                 (input_side says another size)"
            ),
        }
    }
}

/// A part of the picture as the network wants it: 1 × 3 × side × side, red plane first.
fn planes(picture: &Picture, part: Part, side: u32, normal: Normal) -> Vec<f32> {
    let [width, height] = picture.size().map(f64::from);
    let small = match part {
        Part::Whole => resize(picture, side, side, Filter::Lanczos),
        Part::Padded => second::padded(picture, side).into(),
        Part::Window([x, y, w, h]) => crop_resize(picture, [x * width, y * height, w * width, h * height], side, side, Filter::Lanczos),
    };
    let small = small.over([0; 3].into());
    let largest = f32::from(small.iter().copied().max().unwrap_or(0)).max(1e-6);
    let plane = |channel: usize| {
        let (mean, deviation) = (normal.mean[channel], normal.deviation[channel]);
        small.pixels().map(move |pixel| (f32::from(pixel[channel]) / largest - mean) / deviation).collect::<Vec<_>>()
    };
    [plane(0), plane(1), plane(2)].concat()
}

/// An answer of side × side numbers stretched to 0..=255; all 0 where it says the same everywhere.
fn stretched(output: &[f32], side: u32) -> GrayImage {
    let (low, high) = output.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), value| (low.min(*value), high.max(*value)));
    let range = high - low;
    let level = |value: &f32| if range > 0.0 { ((value - low) / range * 255.0).round() as u8 } else { 0 };
    GrayImage::from_raw(side, side, output.iter().map(level).collect()).expect("there is an answer for every pixel of the square")
}

#[cfg(test)]
mod tests {
    use catgen_picture::Rgb;

    use super::*;
    use crate::model::CENTRED;

    #[test]
    fn a_pixel_becomes_the_number_that_its_normalisation_asks_for() {
        // The largest value is 200, so 100 stands for a half. Of the network's own size, so that nothing rings.
        let picture = Picture::Rgb(RgbImage::from_fn(32, 32, |x, _| Rgb(if x < 16 { [200, 100, 0] } else { [0; 3] })));
        for (normal, expect) in [(IMAGENET, [2.2489, 0.1964, -1.8044]), (CENTRED, [0.515, 0.044, -0.406])] {
            let planes = planes(&picture, Part::Whole, 32, normal);
            let found: Vec<f32> = (0..3).map(|channel| planes[channel * 32 * 32 + 5 * 32 + 4]).collect();
            assert!(found.iter().zip(expect).all(|(found, expect)| (found - expect).abs() < 1e-3), "{found:?} {expect:?}");
        }
        let right_half = planes(&picture, Part::Window([0.5, 0.0, 0.5, 1.0]), 32, CENTRED);
        assert!((right_half[5 * 32 + 28] + 0.485).abs() < 1e-3, "the window is dark");
        let padded = planes(&picture, Part::Padded, 48, CENTRED);
        assert!((padded[0] - 0.515).abs() < 1e-3 && (padded[47] + 0.485).abs() < 1e-3, "the border goes on");
    }

    #[test]
    fn an_answer_is_stretched_over_all_values() {
        assert_eq!(stretched(&[0.2, 0.3, 0.4, 0.7], 2).into_raw(), [0, 51, 102, 255]);
        assert_eq!(stretched(&[0.5; 4], 2).into_raw(), [0; 4]);
    }
}
