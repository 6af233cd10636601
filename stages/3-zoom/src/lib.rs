//! The stage `zoom`: every picture cropped to its subject.
//!
//! At 64 pixels a cat in the corner of a room is three pixels. Cropped to the cat, the same photo is worth training on.
//!
//! What it refuses to do: it resizes nothing, changes no pixel, and loses no photo. A picture in which it finds no subject
//! goes on whole, with the fact `no_subject`, so that a later stage or a person can look at it.
//!
//! **Read this crate before you write a stage.** All stages are made of the same parts, in this order:
//!
//! 1. the function, from a picture to a picture: here `Zoom::window` and `crop`, with the finding in `subject.rs`;
//! 2. [`KIND`]: the name after `use =`, the version, the parameters with a line of documentation each;
//! 3. [`build`]: the parameters checked and read into the stage's struct, and nothing expensive;
//! 4. the trait, a thin wrapping: what else goes into the key, and the function's answer put into words and facts;
//! 5. tests that draw their own pictures and go through one `check`.

mod subject;

use catgen_api::{
    BuildContext, Facts, Input, Item, ItemStage, KeyInput, Kind, Made, Output, Param, ParamKind, Params, Picture, Shape, StageError,
    Verdict,
};
use catgen_picture::{RgbImage, RgbaImage};
use serde::Deserialize;
use serde_json::json;

use crate::subject::Subject;

/// A box of whole pixels, `[x, y, width, height]`.
type Window = [u32; 4];

/// The parameters, and with them the stage.
#[derive(Debug, Clone, Deserialize)]
struct Zoom {
    margin: f64,
    alpha: u8,
    colour_threshold: u8,
    min_share: f64,
    square: bool,
}

/// What there is to say about one picture.
struct Found {
    /// What to crop to: the whole frame where there is no subject.
    window: Window,
    /// How much of the frame is subject, 0 to 1.
    share: f64,
    /// Whether there is enough of it to crop to.
    is_subject: bool,
}

impl Zoom {
    /// The subject's box with its margin, as far as the frame goes.
    fn window(&self, picture: &Picture) -> Found {
        let [width, height] = picture.size();
        let mask = subject::mask(picture, self.alpha, self.colour_threshold);
        match subject::find(&mask, width) {
            Some(Subject { bounds, share }) if share >= self.min_share => {
                Found { window: self.around(bounds, [width, height]), share, is_subject: true }
            }
            // Too little to be the subject: a speck of dust must not become the picture.
            found => Found { window: [0, 0, width, height], share: found.map_or(0.0, |subject| subject.share), is_subject: false },
        }
    }

    /// `bounds` and the margin around it, cut off where the frame ends.
    fn around(&self, [x, y, width, height]: Window, [frame_width, frame_height]: [u32; 2]) -> Window {
        // One margin for both axes, or a tall subject would get a narrow strip at its sides and a wide one above.
        let margin = (f64::from(width.max(height)) * self.margin).round() as u32;
        let (left, top) = (x.saturating_sub(margin), y.saturating_sub(margin));
        let (right, bottom) = ((x + width + margin).min(frame_width), (y + height + margin).min(frame_height));
        let (width, height) = (right - left, bottom - top);
        if !self.square {
            return [left, top, width, height];
        }
        let side = width.max(height);
        let (left, width) = grown(left, width, side, frame_width);
        let (top, height) = grown(top, height, side, frame_height);
        [left, top, width, height]
    }
}

/// `start` and `length` grown to `wanted` on both sides alike, moved where the frame is in the way, cut where it is too small.
fn grown(start: u32, length: u32, wanted: u32, limit: u32) -> (u32, u32) {
    let wanted = wanted.min(limit);
    let start = (start + length / 2).saturating_sub(wanted / 2);
    (start.min(limit - wanted), wanted)
}

/// The part of the picture inside `window`, pixel for pixel.
fn crop(picture: &Picture, [x, y, width, height]: Window) -> Picture {
    match picture {
        Picture::Rgb(image) => RgbImage::from_fn(width, height, |dx, dy| *image.get_pixel(x + dx, y + dy)).into(),
        Picture::Rgba(image) => RgbaImage::from_fn(width, height, |dx, dy| *image.get_pixel(x + dx, y + dy)).into(),
    }
}

/// What the registry knows of `zoom`.
pub const KIND: Kind = Kind {
    name: "zoom",
    version: 1,
    shape: Shape::Item,
    random: false,
    summary: "crop to the subject: its transparency's box, or what differs from the border's colour",
    params: &[
        Param {
            name: "margin",
            kind: ParamKind::Number { default: 0.08, min: 0.0, max: 1.0 },
            doc: "room left around the subject, as a share of its box's longer side",
        },
        Param { name: "alpha", kind: ParamKind::Whole { default: 128, min: 1, max: 255 }, doc: "pixels at least this opaque are subject" },
        Param {
            name: "colour_threshold",
            kind: ParamKind::Whole { default: 24, min: 1, max: 255 },
            doc: "without transparency: pixels whose red, green or blue is further than this from the border's are subject",
        },
        Param {
            name: "min_share",
            kind: ParamKind::Number { default: 0.01, min: 0.0, max: 1.0 },
            doc: "a subject smaller than this share of the frame is none: the picture goes on whole",
        },
        Param { name: "square", kind: ParamKind::Flag(false), doc: "grow the crop to a square as far as the photo goes" },
    ],
};

/// The stage with these parameters.
///
/// # Errors
/// None today: every value that [`KIND`] allows is of use. Other stages look for their files here.
pub fn build(params: &Params, _context: &BuildContext) -> Result<Box<dyn ItemStage>, StageError> {
    Ok(Box::new(params.read::<Zoom>()))
}

/// The one thing besides pixels and parameters that changes what comes out: the fact `window` is in the photo's pixels.
const PHOTO_SIZE: &str = "photo_size";

impl ItemStage for Zoom {
    fn item_inputs(&self, item: &Item) -> Vec<KeyInput> {
        let [width, height] = item.photo.size;
        vec![KeyInput { name: PHOTO_SIZE.to_owned(), value: format!("{width}x{height}") }]
    }

    fn apply(&self, input: &Input<'_>) -> Result<Verdict, StageError> {
        let photo = photo_size(input)?;
        let found = self.window(input.picture);
        let mut facts = Facts::new();
        facts.insert("window".to_owned(), json!(in_photo(found.window, input.picture.size(), photo)));
        facts.insert("subject_share".to_owned(), json!((found.share * 1e4).round() / 1e4));
        if !found.is_subject {
            facts.insert("no_subject".to_owned(), json!(true));
        }
        let whole = found.window == [0, 0, input.picture.width(), input.picture.height()];
        let made = if whole { Made::Same } else { Made::Picture(crop(input.picture, found.window)) };
        Ok(Verdict::Keep(vec![Output { tag: String::new(), made, facts }]))
    }
}

/// Width and height of the upright original, as [`ItemStage::item_inputs`] declared them.
fn photo_size(input: &Input<'_>) -> Result<[u32; 2], StageError> {
    let size = input.get(PHOTO_SIZE).and_then(|size| size.split_once('x'));
    size.and_then(|(width, height)| Some([width.parse().ok()?, height.parse().ok()?])).ok_or_else(|| StageError::Broken {
        what: format!("zoom was asked about a picture without its declared `{PHOTO_SIZE}`"),
        hint: "this is a mistake in catgen-pipe: please report it".to_owned(),
    })
}

/// A window of a picture in pixels of the photo that the picture shows whole, rounded outwards.
fn in_photo([x, y, width, height]: Window, picture: [u32; 2], photo: [u32; 2]) -> Window {
    let scaled = |start: u32, length: u32, axis: usize| {
        let (from, to) = (u64::from(picture[axis]), u64::from(photo[axis]));
        let first = u64::from(start) * to / from;
        let end = (u64::from(start + length) * to).div_ceil(from);
        (first as u32, (end - first) as u32)
    };
    let ((x, width), (y, height)) = (scaled(x, width, 0), scaled(y, height, 1));
    [x, y, width, height]
}

#[cfg(test)]
mod tests;
