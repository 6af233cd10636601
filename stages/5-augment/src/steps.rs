//! The transforms, the values drawn for them, and their arithmetic.
//!
//! Brightness, contrast and saturation are those of `torchvision.transforms.v2.functional` on pictures of floats, with its
//! weights of grey. All three are affine maps of a pixel's colour, so a chain of them is one such map, [`Colour`]: it is
//! multiplied out first and applied once, in one pass, and rounded and clamped once, at the end. torchvision clamps after
//! every step instead: `Bright_Light` and then `Bright_Dim` burns its highlights out and dims what is left, ours gives them
//! back. Where nothing leaves 0–255 on the way, both are equal.
//!
//! What depends on the picture is contrast's mean grey alone, and the mean of an affine map is that map of the mean: the
//! sums of each channel over the untouched picture are all that is ever needed, once for all outputs of a photo.

use std::cell::OnceCell;

use catgen_api::{Draw, Picture};
use catgen_picture::{RgbImage, RgbaImage};
use serde::Deserialize;
use serde_json::{Value, json};

/// What can be done to a picture, by the names of the first project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
pub enum Transform {
    /// Left and right change places.
    #[serde(rename = "Flip_Hor")]
    FlipHor,
    /// Brightness times a number above 1.
    #[serde(rename = "Bright_Light")]
    BrightLight,
    /// Brightness times a number below 1.
    #[serde(rename = "Bright_Dim")]
    BrightDim,
    /// Distance from the mean grey times a number.
    Contrast,
    /// Distance from grey times a number.
    Satur,
    /// Only the top bits of each channel.
    Post,
    /// A part of the picture, of its proportions.
    #[serde(rename = "Crop_Random")]
    CropRandom,
}

impl Transform {
    /// Its name in `pipeline.toml`, file names and facts.
    pub fn name(self) -> &'static str {
        match self {
            Self::FlipHor => "Flip_Hor",
            Self::BrightLight => "Bright_Light",
            Self::BrightDim => "Bright_Dim",
            Self::Contrast => "Contrast",
            Self::Satur => "Satur",
            Self::Post => "Post",
            Self::CropRandom => "Crop_Random",
        }
    }
}

/// From where the values of transforms are drawn, uniformly.
#[derive(Debug, Clone, Deserialize)]
pub struct Ranges {
    /// Factors of `Bright_Light`.
    pub bright_light: [f64; 2],
    /// Factors of `Bright_Dim`.
    pub bright_dim: [f64; 2],
    /// Factors of `Contrast`.
    pub contrast: [f64; 2],
    /// Factors of `Satur`.
    pub satur: [f64; 2],
    /// Bits that `Post` keeps.
    pub post_bits: u32,
    /// Shares of width and height that `Crop_Random` keeps.
    pub crop_size: [f64; 2],
}

impl Ranges {
    /// A transform with its values drawn.
    pub fn draw(&self, transform: Transform, draw: &mut Draw) -> Step {
        match transform {
            Transform::FlipHor => Step::Flip,
            Transform::BrightLight => Step::Brightness(value(self.bright_light, draw)),
            Transform::BrightDim => Step::Brightness(value(self.bright_dim, draw)),
            Transform::Contrast => Step::Contrast(value(self.contrast, draw)),
            Transform::Satur => Step::Saturation(value(self.satur, draw)),
            Transform::Post => Step::Posterise(self.post_bits),
            Transform::CropRandom => {
                Step::Crop { size: value(self.crop_size, draw), left: value([0.0, 1.0], draw), top: value([0.0, 1.0], draw) }
            }
        }
    }
}

/// A number from the range, to four decimals: what facts show is then exactly what was used.
fn value([low, high]: [f64; 2], draw: &mut Draw) -> f64 {
    ((draw.uniform(low, high) * 1e4).round() / 1e4).clamp(low, high)
}

/// A transform with its values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Step {
    /// Left and right change places.
    Flip,
    /// Every value times this.
    Brightness(f64),
    /// Every value's distance from the mean grey times this; the mean is the subject's, weighted by alpha, where there is alpha.
    Contrast(f64),
    /// Every value's distance from its pixel's grey times this.
    Saturation(f64),
    /// Only so many top bits of every value.
    Posterise(u32),
    /// The share `size` of width and height; `left` and `top` say which share of the rest is cut off there.
    Crop {
        /// 0.1 to 1.
        size: f64,
        /// 0 keeps the left edge, 1 the right one.
        left: f64,
        /// 0 keeps the top edge, 1 the bottom one.
        top: f64,
    },
}

impl Step {
    /// `["Flip_Hor"]`, `["Contrast", 0.9]`, `["Crop_Random", size, left, top]`.
    pub(crate) fn to_fact(self, transform: Transform) -> Value {
        let name = transform.name();
        match self {
            Self::Flip => json!([name]),
            Self::Brightness(factor) | Self::Contrast(factor) | Self::Saturation(factor) => json!([name, factor]),
            Self::Posterise(bits) => json!([name, bits]),
            Self::Crop { size, left, top } => json!([name, size, left, top]),
        }
    }
}

/// The one small copy of a photo that all its outputs are made from, with what is the same for all of them.
pub struct Mip<'a> {
    picture: &'a Picture,
    /// The mean grey of the whole picture, once somebody asked for it.
    grey: OnceCell<f64>,
}

impl<'a> Mip<'a> {
    /// Nothing is computed yet.
    pub fn new(picture: &'a Picture) -> Self {
        Self { picture, grey: OnceCell::new() }
    }

    /// The picture after these steps, one after the other. Alpha is moved with its pixel and never changed.
    pub fn after(&self, steps: &[Step]) -> Picture {
        let [width, height] = self.picture.size().map(|length| length as usize);
        let size = |canvas: [usize; 2]| canvas.map(|length| u32::try_from(length).expect("a part is no larger than the whole"));
        match self.picture {
            Picture::Rgb(image) => {
                let (pixels, canvas) = Canvas::<3>::new(image.as_raw(), width, height, &self.grey).after(steps);
                let [width, height] = size(canvas);
                RgbImage::from_raw(width, height, pixels).map(Picture::Rgb)
            }
            Picture::Rgba(image) => {
                let (pixels, canvas) = Canvas::<4>::new(image.as_raw(), width, height, &self.grey).after(steps);
                let [width, height] = size(canvas);
                RgbaImage::from_raw(width, height, pixels).map(Picture::Rgba)
            }
        }
        .expect("the canvas has the size it says")
    }
}

/// torchvision's weights of red, green and blue in grey (ITU-R 601-2, with its own rounding of the first).
const GREY: [f64; 3] = [0.2989, 0.587, 0.114];

/// A map of colours: `scale · value + grey · (the pixel's grey) + offset` for each channel value.
///
/// As a matrix that is `scale · I + grey · 1wᵀ` with the column `offset`, `w` being the weights of grey: the product of any
/// brightness, contrast and saturation has this form, so three numbers are all of the 3 × 4 matrix.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Colour {
    scale: f64,
    grey: f64,
    offset: f64,
}

impl Colour {
    /// Changes nothing.
    const SAME: Self = Self { scale: 1.0, grey: 0.0, offset: 0.0 };

    /// The grey of a pixel after this map, from its grey before.
    fn grey_of(&self, grey: f64) -> f64 {
        let [red, green, blue] = GREY;
        self.scale * grey + (red + green + blue) * (self.grey * grey + self.offset)
    }

    /// And then brightness: every value times `factor`.
    fn brightness(&mut self, factor: f64) {
        *self = Self { scale: factor * self.scale, grey: factor * self.grey, offset: factor * self.offset };
    }

    /// And then contrast: `factor · value + (1 − factor) · mean`, the mean being of the picture's grey after this map; `mean`
    /// is what it was before.
    fn contrast(&mut self, factor: f64, mean: f64) {
        let pivot = self.grey_of(mean);
        self.brightness(factor);
        self.offset += (1.0 - factor) * pivot;
    }

    /// And then saturation: `factor · value + (1 − factor) · grey`, of each pixel's own grey after this map.
    fn saturation(&mut self, factor: f64) {
        // What the grey after this map is made of: so much of the grey before, and so much from the offset.
        let (of_grey, fixed) = (self.grey_of(1.0) - self.grey_of(0.0), self.grey_of(0.0));
        self.brightness(factor);
        self.grey += (1.0 - factor) * of_grey;
        self.offset += (1.0 - factor) * fixed;
    }
}

/// Pixels of `C` channels, the fourth being alpha, and what still has to be done to their colours.
struct Canvas<'a, const C: usize> {
    pixels: Vec<u8>,
    width: usize,
    height: usize,
    /// The mean grey of the picture as it came, shared by all that start from it; `None` once the pixels are others.
    shared_grey: Option<&'a OnceCell<f64>>,
    pending: Colour,
}

impl<'a, const C: usize> Canvas<'a, C> {
    fn new(pixels: &[u8], width: usize, height: usize, grey: &'a OnceCell<f64>) -> Self {
        Self { pixels: pixels.to_vec(), width, height, shared_grey: Some(grey), pending: Colour::SAME }
    }

    fn after(mut self, steps: &[Step]) -> (Vec<u8>, [usize; 2]) {
        for step in steps {
            match *step {
                Step::Flip => self.flip(),
                Step::Crop { size, left, top } => self.crop(size, left, top),
                Step::Brightness(factor) => self.pending.brightness(factor),
                Step::Contrast(factor) => {
                    let mean = self.mean_grey();
                    self.pending.contrast(factor, mean);
                }
                Step::Saturation(factor) => self.pending.saturation(factor),
                Step::Posterise(bits) => self.paint((0xFF00_u32 >> bits) as u8),
            }
        }
        self.paint(0xFF);
        (self.pixels, [self.width, self.height])
    }

    /// Does to every colour what is pending, rounds it to the nearest whole number in 0–255, and keeps the bits of `mask`.
    fn paint(&mut self, mask: u8) {
        let Colour { scale, grey, offset } = std::mem::replace(&mut self.pending, Colour::SAME);
        if (scale, grey, offset, mask) == (1.0, 0.0, 0.0, 0xFF) {
            return;
        }
        self.shared_grey = None;
        // Rounding is cutting after a half is added; the cast cuts and clamps.
        let offset = offset + 0.5;
        let pixels = self.pixels.as_chunks_mut::<C>().0;
        if grey == 0.0 {
            // No channel looks at another: 256 values are all there is to compute.
            let table: [u8; 256] = std::array::from_fn(|value| (value as f64 * scale + offset) as u8 & mask);
            for pixel in pixels {
                for value in &mut pixel[..3] {
                    *value = table[usize::from(*value)];
                }
            }
            return;
        }
        let (scale, offset, weights) = (scale as f32, offset as f32, GREY.map(|weight| (weight * grey) as f32));
        for pixel in pixels {
            let [red, green, blue] = [pixel[0], pixel[1], pixel[2]].map(f32::from);
            let shift = red * weights[0] + green * weights[1] + blue * weights[2] + offset;
            for (value, new) in pixel.iter_mut().zip([red, green, blue]) {
                *value = (new * scale + shift) as u8 & mask;
            }
        }
    }

    fn flip(&mut self) {
        for row in self.pixels.as_chunks_mut::<C>().0.chunks_mut(self.width) {
            row.reverse();
        }
    }

    /// Whole pixels, so that nothing is resampled.
    fn crop(&mut self, size: f64, left: f64, top: f64) {
        let part = |length: usize| ((length as f64 * size).round() as usize).clamp(1, length);
        let (width, height) = (part(self.width), part(self.height));
        if (width, height) == (self.width, self.height) {
            return;
        }
        let start = |rest: usize, share: f64| ((rest as f64 * share).round() as usize).min(rest);
        let (left, top) = (start(self.width - width, left), start(self.height - height, top));
        let row_bytes = C * self.width;
        for row in 0..height {
            let from = row_bytes * (top + row) + C * left;
            self.pixels.copy_within(from..from + C * width, C * width * row);
        }
        self.pixels.truncate(C * width * height);
        (self.width, self.height, self.shared_grey) = (width, height, None);
    }

    /// Mean grey of the pixels as they lie there, before what is pending.
    fn mean_grey(&self) -> f64 {
        match self.shared_grey {
            Some(shared) => *shared.get_or_init(|| mean_grey::<C>(&self.pixels)),
            None => mean_grey::<C>(&self.pixels),
        }
    }
}

/// Mean grey of the pixels, weighted by alpha: what lies under transparent parts does not count. The sums are whole numbers,
/// so the order of adding does not matter.
fn mean_grey<const C: usize>(pixels: &[u8]) -> f64 {
    let (mut sums, mut weights) = ([0_u64; 3], 0_u64);
    // The sums of so many pixels, of at most 255 · 255 each, fit the quicker 32 bits.
    for part in pixels.as_chunks::<C>().0.chunks(1 << 16) {
        let (mut part_sums, mut part_weights) = ([0_u32; 3], 0_u32);
        for pixel in part {
            let weight = if C == 4 { u32::from(pixel[C - 1]) } else { 1 };
            for (sum, value) in part_sums.iter_mut().zip(pixel) {
                *sum += weight * u32::from(*value);
            }
            part_weights += weight;
        }
        for (sum, part) in sums.iter_mut().zip(part_sums) {
            *sum += u64::from(part);
        }
        weights += u64::from(part_weights);
    }
    // A picture without a visible pixel has no mean, and nobody will see it.
    sums.iter().zip(GREY).map(|(sum, weight)| *sum as f64 * weight).sum::<f64>() / weights.max(1) as f64
}
