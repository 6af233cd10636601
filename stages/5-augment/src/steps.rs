//! The transforms, the values drawn for them, and their arithmetic.
//!
//! Colour is what `torchvision.transforms.v2.functional` does to 8-bit tensors: computed in 32-bit floats, clamped to
//! 0–255 and cut to whole numbers *after every step*. Steps that treat each channel value alone (brightness, contrast
//! once its mean is known, posterise) therefore compose exactly as tables of 256 values, and a chain of them costs one
//! pass over the pixels. Only saturation, which mixes channels, and contrast's mean have to look at pixels.

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
    /// Every value's distance from the mean grey times this; the mean is that of the subject where there is alpha.
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

/// The picture after these steps, one after the other. Alpha is moved with its pixel and never changed.
pub fn apply_steps(picture: &Picture, steps: &[Step]) -> Picture {
    let [width, height] = picture.size().map(|length| length as usize);
    let size = |canvas: [usize; 2]| canvas.map(|length| u32::try_from(length).expect("a part is no larger than the whole"));
    match picture {
        Picture::Rgb(image) => {
            let (pixels, [width, height]) = Canvas::<3>::new(image.as_raw(), width, height).after(steps);
            let [width, height] = size([width, height]);
            RgbImage::from_raw(width, height, pixels).map(Picture::Rgb)
        }
        Picture::Rgba(image) => {
            let (pixels, [width, height]) = Canvas::<4>::new(image.as_raw(), width, height).after(steps);
            let [width, height] = size([width, height]);
            RgbaImage::from_raw(width, height, pixels).map(Picture::Rgba)
        }
    }
    .expect("the canvas has the size it says")
}

/// Pixels of `C` channels, the fourth being alpha, and what still has to be done to every colour value.
struct Canvas<const C: usize> {
    pixels: Vec<u8>,
    width: usize,
    height: usize,
    /// The colour value that each colour value in `pixels` stands for.
    table: [u8; 256],
}

/// The table that changes nothing.
const IDENTITY: [u8; 256] = {
    let mut table = [0; 256];
    let mut value = 0;
    while value < 256 {
        table[value] = value as u8;
        value += 1;
    }
    table
};

impl<const C: usize> Canvas<C> {
    fn new(pixels: &[u8], width: usize, height: usize) -> Self {
        Self { pixels: pixels.to_vec(), width, height, table: IDENTITY }
    }

    fn after(mut self, steps: &[Step]) -> (Vec<u8>, [usize; 2]) {
        for step in steps {
            match *step {
                Step::Flip => self.flip(),
                Step::Crop { size, left, top } => self.crop(size, left, top),
                Step::Brightness(factor) => self.compose(|value| whole(f32::from(value) * factor as f32)),
                Step::Posterise(bits) => {
                    let mask = (0xFF00_u32 >> bits) as u8;
                    self.compose(|value| value & mask);
                }
                Step::Contrast(factor) => {
                    let mean = self.mean_grey();
                    self.compose(|value| blend(value, mean, factor));
                }
                Step::Saturation(factor) => self.saturate(factor),
            }
        }
        if self.table != IDENTITY {
            let table = self.table;
            self.each(|colour| colour.map(|value| table[usize::from(value)]));
        }
        (self.pixels, [self.width, self.height])
    }

    /// One more thing to do to every colour value.
    fn compose(&mut self, next: impl Fn(u8) -> u8) {
        self.table = self.table.map(next);
    }

    /// Replaces the colour of every pixel.
    fn each(&mut self, change: impl Fn([u8; 3]) -> [u8; 3]) {
        for pixel in self.pixels.as_chunks_mut::<C>().0 {
            [pixel[0], pixel[1], pixel[2]] = change([pixel[0], pixel[1], pixel[2]]);
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
        let start = |rest: usize, share: f64| ((rest as f64 * share).round() as usize).min(rest);
        let (left, top) = (start(self.width - width, left), start(self.height - height, top));
        let rows = self.pixels.chunks(C * self.width).skip(top).take(height);
        self.pixels = rows.flat_map(|row| &row[C * left..C * (left + width)]).copied().collect();
        (self.width, self.height) = (width, height);
    }

    /// Mean of the pixels' whole-numbered grey, weighted by alpha: what lies under transparent parts does not count.
    fn mean_grey(&self) -> f32 {
        // Each channel's share of grey for each value, after the pending table.
        let share = |weight: f32| self.table.map(|value| f32::from(value) * weight);
        let [red, green, blue] = GREY.map(share);
        let (mut sum, mut weights) = (0_u64, 0_u64);
        // The sums of so many pixels, of at most 255 · 255 each, fit the quicker 32 bits.
        for part in self.pixels.as_chunks::<C>().0.chunks(1 << 14) {
            let (mut part_sum, mut part_weights) = (0_u32, 0_u32);
            for pixel in part {
                let [r, g, b] = [pixel[0], pixel[1], pixel[2]].map(usize::from);
                let grey = (red[r] + green[g] + blue[b]) as u32;
                let weight = if C == 4 { u32::from(pixel[C - 1]) } else { 1 };
                part_sum += weight * grey;
                part_weights += weight;
            }
            sum += u64::from(part_sum);
            weights += u64::from(part_weights);
        }
        // A picture without a visible pixel has no mean, and nobody will see it.
        (sum as f64 / weights.max(1) as f64) as f32
    }

    fn saturate(&mut self, factor: f64) {
        let table = std::mem::replace(&mut self.table, IDENTITY);
        let (ratio, rest) = (factor as f32, (1.0 - factor) as f32);
        self.each(|colour| {
            let colour = colour.map(|value| f32::from(table[usize::from(value)]));
            let grey = (colour[0] * GREY[0] + colour[1] * GREY[1] + colour[2] * GREY[2]) as u8;
            let grey = f32::from(grey) * rest;
            colour.map(|value| whole(value * ratio + grey))
        });
    }
}

/// torchvision's weights of red, green and blue in grey (ITU-R 601-2, with its own rounding of the first).
const GREY: [f32; 3] = [0.2989, 0.587, 0.114];

/// `value · factor + other · (1 − factor)`, clamped and cut.
fn blend(value: u8, other: f32, factor: f64) -> u8 {
    whole(f32::from(value) * factor as f32 + other * (1.0 - factor) as f32)
}

/// Clamped to 0–255 and cut, not rounded, as torchvision does: the cast does both.
fn whole(value: f32) -> u8 {
    value as u8
}
