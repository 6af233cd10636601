//! The stage `zoom`: every picture cropped to its subject.
//!
//! At 64 pixels a cat in the corner of a room is three pixels. Cropped to the cat, the same photo is worth training on.
//!
//! Several subjects that stand apart are told from each other: the largest is kept, or with `one_per_subject` each becomes a picture of
//! its own. Two cats in one heap are one subject.
//!
//! What it refuses to do: it resizes nothing, changes no pixel of the subject it shows (another subject that reaches into the crop becomes
//! transparent), and loses no photo. A picture in which it finds no subject goes on whole, with the fact `no_subject`, so that a later
//! stage or a person can look at it; so does a cut-out that is unsure of itself, with the fact `unsure`: its box is a guess, and a
//! face that is cut off is worse than one that is small.
//!
//! **Read this crate before you write a stage.** All stages are made of the same parts, in this order:
//!
//! 1. the function, from a picture to a picture: here `Zoom::found` and `crop`, with the finding in `subject.rs`;
//! 2. [`KIND`]: the name after `use =`, the version, the parameters with a line of documentation each;
//! 3. [`build`]: the parameters checked and read into the stage's struct, and nothing expensive;
//! 4. the trait, a thin wrapping: what else goes into the key, and the function's answer put into words and facts;
//! 5. tests that draw their own pictures and go through one `check`.

mod subject;

use catgen_api::{
    BuildContext, Facts, Input, Item, ItemStage, KeyInput, Kind, Made, Output, Param, ParamKind, Params, Picture, Shape, StageError,
    Verdict,
};
use catgen_picture::{RgbImage, Rgba, RgbaImage};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::subject::{Subject, Subjects};

/// A box of whole pixels, `[x, y, width, height]`.
type Window = [u32; 4];

/// The parameters, and with them the stage.
#[derive(Debug, Clone, Deserialize)]
struct Zoom {
    margin: f64,
    alpha: u8,
    colour_threshold: u8,
    min_share: f64,
    max_soft: f64,
    square: bool,
    one_per_subject: bool,
}

/// What there is to say about one picture.
enum Found {
    /// Nothing of `min_share`; the share of the largest thing that there is.
    Nothing(f64),
    /// A cut-out too faint to be cropped to, and the share of its surer parts.
    Unsure(f64),
    /// At least one subject of `min_share`, the largest first.
    Subjects(Subjects),
}

impl Zoom {
    /// The subjects of a picture.
    fn found(&self, picture: &Picture) -> Found {
        let mut subjects = subject::find(&subject::mask(picture, self.alpha, self.colour_threshold), picture.width());
        let largest = subjects.all.first().map_or(0.0, |subject| subject.share);
        // Too little to be the subject: a speck of dust must not become the picture.
        if largest < self.min_share || largest == 0.0 {
            return Found::Nothing(largest);
        }
        if subject::soft_share(picture) > self.max_soft {
            return Found::Unsure(subjects.all.iter().map(|subject| subject.share).sum());
        }
        subjects.all.retain(|subject| subject.share >= self.min_share);
        Found::Subjects(subjects)
    }

    /// The crop to one of the subjects, and its window: nothing where that is the whole picture as it is.
    fn cropped(&self, picture: &Picture, subjects: &Subjects, subject: &Subject) -> (Window, Option<Picture>) {
        let window = self.around(subject.bounds, picture.size());
        let is_alone = subjects.all.len() == 1 || !picture.has_alpha();
        if is_alone && window == [0, 0, picture.width(), picture.height()] {
            return (window, None);
        }
        let belongs = (!is_alone).then(|| subjects.belongs(subject, picture.width()));
        (window, Some(crop(picture, window, belongs.as_deref())))
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

/// The part of the picture inside `window`, pixel for pixel; with `belongs`, transparent where that says no.
fn crop(picture: &Picture, [x, y, width, height]: Window, belongs: Option<&[bool]>) -> Picture {
    match picture {
        Picture::Rgb(image) => RgbImage::from_fn(width, height, |dx, dy| *image.get_pixel(x + dx, y + dy)).into(),
        Picture::Rgba(image) => RgbaImage::from_fn(width, height, |dx, dy| {
            let at = (y + dy) as usize * image.width() as usize + (x + dx) as usize;
            if belongs.is_none_or(|belongs| belongs[at]) { *image.get_pixel(x + dx, y + dy) } else { Rgba([0; 4]) }
        })
        .into(),
    }
}

/// What the registry knows of `zoom`.
pub const KIND: Kind = Kind {
    name: "zoom",
    version: 2,
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
        Param {
            name: "max_soft",
            kind: ParamKind::Number { default: 0.35, min: 0.0, max: 1.0 },
            doc: "a cut-out of which more than this share is half transparent is unsure: the picture goes on whole; 1 crops it all the same",
        },
        Param { name: "square", kind: ParamKind::Flag(false), doc: "grow the crop to a square as far as the photo goes" },
        Param {
            name: "one_per_subject",
            kind: ParamKind::Flag(false),
            doc: "subjects that stand apart become a picture each, the largest first; without it only the largest is kept",
        },
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
        let size = input.picture.size();
        let whole = [0, 0, size[0], size[1]];
        let output = |tag: String, window: Window, share: f64, made: Option<Picture>, note: Option<(&str, Value)>| {
            let mut facts = Facts::new();
            facts.insert("window".to_owned(), json!(in_photo(window, size, photo)));
            facts.insert("subject_share".to_owned(), json!((share * 1e4).round() / 1e4));
            facts.extend(note.map(|(name, value)| (name.to_owned(), value)));
            Output { tag, made: made.map_or(Made::Same, Made::Picture), facts }
        };
        let outputs = match self.found(input.picture) {
            Found::Nothing(share) => vec![output(String::new(), whole, share, None, Some(("no_subject", json!(true))))],
            Found::Unsure(share) => vec![output(String::new(), whole, share, None, Some(("unsure", json!(true))))],
            Found::Subjects(subjects) => {
                let count = subjects.all.len();
                let shown = if self.one_per_subject { count } else { 1 };
                let pictures = subjects.all[..shown].iter().enumerate().map(|(at, subject)| {
                    let (window, made) = self.cropped(input.picture, &subjects, subject);
                    let tag = if shown > 1 { (at + 1).to_string() } else { String::new() };
                    output(tag, window, subject.share, made, (count > 1).then(|| ("subjects", json!(count))))
                });
                pictures.collect()
            }
        };
        Ok(Verdict::Keep(outputs))
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
