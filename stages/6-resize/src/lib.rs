//! `resize`: every picture becomes a square of one size, which is what a generator trains on.
//!
//! * `expand` keeps the whole picture: scaled to fit, centred, the rest filled. For cut-outs.
//! * `crop` keeps the middle square. For photos with their background.
//!
//! This is the one place where the fill is laid under transparent parts; until here pictures keep their soft edges.
//!
//! What it refuses to do: distort.

use catgen_api::{
    BuildContext, Facts, Input, ItemStage, Kind, Made, Output, Param, ParamKind, Params, Picture, Shape, StageError, Verdict, nearest,
};
use catgen_picture::{Filter, Rgb, RgbImage, RgbaImage, crop_resize, resize};
use serde::Deserialize;

/// `resize` for the registry.
pub const KIND: Kind = Kind {
    name: "resize",
    version: 1,
    shape: Shape::Item,
    random: false,
    summary: "makes every picture a square of one size",
    params: &[
        Param { name: "side", kind: ParamKind::Whole { default: 64, min: 8, max: 1024 }, doc: "width and height, in pixels" },
        Param {
            name: "fit",
            kind: ParamKind::Choice { default: "expand", of: &["expand", "crop"] },
            doc: "expand: the whole picture, centred on the fill; crop: the middle square of it",
        },
        Param {
            name: "fill",
            kind: ParamKind::Text("white"),
            doc: "what lies under transparent parts and beside the picture: white, black, grey, \"#rrggbb\" or transparent",
        },
    ],
};

/// Builds the stage.
///
/// # Errors
/// A `fill` that is no colour.
pub fn build(params: &Params, _: &BuildContext) -> Result<Box<dyn ItemStage>, StageError> {
    let options: Options = params.read();
    let fill = Fill::parse(&options.fill).map_err(|message| StageError::Param { name: "fill", message })?;
    Ok(Box::new(Resize { side: options.side, fit: options.fit, fill }))
}

#[derive(Deserialize)]
struct Options {
    side: u32,
    fit: Fit,
    fill: String,
}

/// What to do with a picture that is not square.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fit {
    /// Keep all of it.
    Expand,
    /// Keep the middle square.
    Crop,
}

/// What lies under transparent parts and beside the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fill {
    /// This colour: the result is RGB.
    Colour(Rgb<u8>),
    /// Nothing: the result is RGBA.
    Transparent,
}

impl Fill {
    /// A fill from its word in `pipeline.toml`.
    fn parse(text: &str) -> Result<Self, String> {
        const NAMES: [&str; 4] = ["white", "black", "grey", "transparent"];
        let hint = || match nearest(text, NAMES) {
            Some(near) => format!("{text:?} is not a fill; did you mean {near:?}?"),
            None => format!("{text:?} is not a fill: write white, black, grey, transparent or a colour such as \"#ffcc00\""),
        };
        match text {
            "white" => Ok(Self::Colour(Rgb([255; 3]))),
            "black" => Ok(Self::Colour(Rgb([0; 3]))),
            "grey" => Ok(Self::Colour(Rgb([128; 3]))),
            "transparent" => Ok(Self::Transparent),
            _ => {
                let digits =
                    text.strip_prefix('#').filter(|digits| digits.len() == 6 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
                let [_, r, g, b] = u32::from_str_radix(digits.ok_or_else(hint)?, 16).map_err(|_| hint())?.to_be_bytes();
                Ok(Self::Colour(Rgb([r, g, b])))
            }
        }
    }
}

/// The picture as a square of `side` pixels: RGB where `fill` is a colour, else RGBA.
///
/// Scaling comes before the fill, on premultiplied alpha: an edge is blended with the fill once, not twice.
pub fn square(picture: &Picture, side: u32, fit: Fit, fill: Fill) -> Picture {
    let [width, height] = picture.size();
    let scaled = match fit {
        Fit::Expand => {
            let longest = f64::from(width.max(height));
            let length = |length: u32| ((f64::from(length) * f64::from(side) / longest).round() as u32).max(1);
            resize(picture, length(width), length(height), Filter::Lanczos)
        }
        Fit::Crop => {
            let [w, h] = [width, height].map(f64::from);
            let shortest = w.min(h);
            crop_resize(picture, [(w - shortest) / 2.0, (h - shortest) / 2.0, shortest, shortest], side, side, Filter::Lanczos)
        }
    };
    let [width, height] = scaled.size();
    // An odd pixel left over goes to the right and to the bottom.
    let (left, top) = ((side - width) / 2, (side - height) / 2);
    match fill {
        Fill::Colour(colour) => {
            let mut canvas = RgbImage::from_pixel(side, side, colour);
            for (x, y, pixel) in scaled.over(colour).enumerate_pixels() {
                canvas.put_pixel(left + x, top + y, *pixel);
            }
            Picture::Rgb(canvas)
        }
        Fill::Transparent => {
            let mut canvas = RgbaImage::new(side, side);
            for (x, y, pixel) in scaled.to_rgba().enumerate_pixels() {
                canvas.put_pixel(left + x, top + y, *pixel);
            }
            Picture::Rgba(canvas)
        }
    }
}

struct Resize {
    side: u32,
    fit: Fit,
    fill: Fill,
}

impl ItemStage for Resize {
    fn working_side(&self) -> Option<u32> {
        // The hint is about the longest side. Twice the size leaves the filter something to choose from; for a crop, where
        // the shortest side counts, that has to hold for a picture of 2 : 1.
        Some(self.side * if self.fit == Fit::Expand { 2 } else { 4 })
    }

    fn apply(&self, input: &Input<'_>) -> Result<Verdict, StageError> {
        let made = Made::Picture(square(input.picture, self.side, self.fit, self.fill));
        Ok(Verdict::Keep(vec![Output { tag: String::new(), made, facts: Facts::new() }]))
    }
}

#[cfg(test)]
mod tests;
