//! What can be measured of a picture.

use std::ops::RangeInclusive;

use catgen_api::Facts;
use catgen_picture::{Filter, GrayImage, Picture, resize};
use serde_json::json;

/// Sharpness and light are measured with the longer side at this many pixels, whatever the photo's size: four times what
/// the generator sees, so that a photo that looks sharp there counts as sharp, and one camera's noise does not.
const SIDE: u32 = 256;

/// Alpha from which a pixel is subject.
const SOLID: u8 = 128;

/// Alpha of what is there at all but not surely: between a tenth and four fifths.
const SOFT: RangeInclusive<u8> = 26..=203;

/// With fewer pixels than this inside the subject there is no saying whether it is sharp.
const FEWEST: usize = 64;

/// The frame's edges, in the order of [`Measured::edges`].
const EDGES: [&str; 4] = ["left", "top", "right", "bottom"];

/// What is known of a picture; the subject is what is at least half opaque, and everything where there is no alpha.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Measured {
    /// How much of the frame is subject, 0 to 1.
    pub(crate) subject_share: f64,
    /// How much of what is not transparent is only half there, 0 to 1: fur's edge in a good cut-out, all of it in a bad one.
    pub(crate) soft_share: f64,
    /// How much of the left, top, right and bottom edge is subject, 0 to 1; all 0 without alpha, which says nothing of a subject.
    pub(crate) edges: [f64; 4],
    /// The shorter side in pixels.
    pub(crate) short_side: u32,
    /// The variance of the Laplacian inside the subject, on a copy whose longer side has 256 pixels.
    pub(crate) sharpness: Option<f64>,
    /// The 5th and 95th percentile of the subject's luma.
    pub(crate) luma: Option<[u8; 2]>,
}

impl Measured {
    /// Measures a picture.
    pub(crate) fn of(picture: &Picture) -> Self {
        let [width, height] = picture.size();
        let alpha = picture.alpha();
        let scale = f64::from(SIDE) / f64::from(width.max(height));
        let scaled = |length: u32| ((f64::from(length) * scale).round() as u32).max(1);
        let fixed = resize(picture, scaled(width), scaled(height), Filter::Lanczos);
        let subject: Vec<bool> = match fixed.alpha() {
            Some(alpha) => alpha.iter().map(|alpha| *alpha >= SOLID).collect(),
            None => vec![true; (fixed.width() * fixed.height()) as usize],
        };
        let luma = fixed.luma();
        Self {
            subject_share: alpha.as_ref().map_or(1.0, |alpha| share(alpha.iter())),
            soft_share: alpha.as_ref().map_or(0.0, soft_share),
            edges: alpha.as_ref().map_or([0.0; 4], edges),
            short_side: width.min(height),
            sharpness: sharpness(&luma, &subject),
            luma: percentiles(&luma, &subject),
        }
    }

    /// The edge of which the subject covers most, and how much.
    pub(crate) fn widest_edge(&self) -> (&'static str, f64) {
        let mut widest = (EDGES[0], self.edges[0]);
        for (name, share) in EDGES.into_iter().zip(self.edges) {
            if share > widest.1 {
                widest = (name, share);
            }
        }
        widest
    }

    /// The values, rounded to what they are worth.
    pub(crate) fn facts(&self) -> Facts {
        let mut facts = Facts::new();
        facts.insert("subject_share".to_owned(), json!((self.subject_share * 1e4).round() / 1e4));
        facts.insert("soft_share".to_owned(), json!((self.soft_share * 1e3).round() / 1e3));
        facts.insert("edge_share".to_owned(), json!((self.widest_edge().1 * 1e3).round() / 1e3));
        facts.insert("short_side".to_owned(), json!(self.short_side));
        if let Some(sharpness) = self.sharpness {
            facts.insert("sharpness".to_owned(), json!((sharpness * 10.0).round() / 10.0));
        }
        if let Some(luma) = self.luma {
            facts.insert("luma".to_owned(), json!(luma));
        }
        facts
    }
}

fn share<'a>(alpha: impl ExactSizeIterator<Item = &'a u8>) -> f64 {
    let all = alpha.len().max(1);
    alpha.filter(|alpha| **alpha >= SOLID).count() as f64 / all as f64
}

fn soft_share(alpha: &GrayImage) -> f64 {
    let soft = alpha.iter().filter(|alpha| SOFT.contains(alpha)).count();
    let all = alpha.iter().filter(|alpha| **alpha >= *SOFT.start()).count();
    soft as f64 / all.max(1) as f64
}

fn edges(alpha: &GrayImage) -> [f64; 4] {
    let (width, height) = alpha.dimensions();
    let column = |x: u32| (0..height).filter(|y| alpha.get_pixel(x, *y)[0] >= SOLID).count() as f64 / f64::from(height);
    let row = |y: u32| (0..width).filter(|x| alpha.get_pixel(*x, y)[0] >= SOLID).count() as f64 / f64::from(width);
    [column(0), row(0), column(width - 1), row(height - 1)]
}

/// The variance of the Laplacian (Pech-Pacheco et al. 2000) over pixels whose eight neighbours are subject too: the outline
/// of a cut-out is sharp however blurred the photo is.
fn sharpness(luma: &GrayImage, subject: &[bool]) -> Option<f64> {
    let (width, height) = (luma.width() as usize, luma.height() as usize);
    let luma = luma.as_raw();
    let (mut count, mut sum, mut squares) = (0_usize, 0.0, 0.0);
    for y in 1..height.saturating_sub(1) {
        for x in 1..width.saturating_sub(1) {
            let at = y * width + x;
            if ![at - width, at, at + width].iter().all(|middle| subject[middle - 1] && subject[*middle] && subject[middle + 1]) {
                continue;
            }
            let value = |at: usize| f64::from(luma[at]);
            let laplacian = value(at - width) + value(at + width) + value(at - 1) + value(at + 1) - 4.0 * value(at);
            count += 1;
            sum += laplacian;
            squares += laplacian * laplacian;
        }
    }
    let mean = sum / count as f64;
    (count >= FEWEST).then(|| squares / count as f64 - mean * mean)
}

/// The 5th and 95th percentile of the subject's luma.
fn percentiles(luma: &GrayImage, subject: &[bool]) -> Option<[u8; 2]> {
    let mut values: Vec<u8> = luma.iter().zip(subject).filter(|(_, inside)| **inside).map(|(luma, _)| *luma).collect();
    values.sort_unstable();
    let last = values.len().checked_sub(1)?;
    Some([values[last * 5 / 100], values[last * 95 / 100]])
}
