//! Where the subject is.

use catgen_picture::{Picture, regions};

use crate::Window;

/// A region with fewer pixels than this share of the largest region is dust or noise, not part of the subject.
///
/// A share of the subject and not of the frame, so that a distant cat keeps her tail; 2 % is about an ear.
const SPECK: f64 = 0.02;

/// The subject of a picture.
pub(crate) struct Subject {
    /// The smallest box around it.
    pub(crate) bounds: Window,
    /// Its pixels as a share of all, 0 to 1.
    pub(crate) share: f64,
}

/// Which pixels are subject, row after row.
///
/// With transparency, those of at least this `alpha`. Without, those that differ from the border's colour by more than
/// `colour_threshold` in red, green or blue, as the first catgen did with the colour of one corner.
pub(crate) fn mask(picture: &Picture, alpha: u8, colour_threshold: u8) -> Vec<bool> {
    match picture.alpha() {
        Some(alphas) if alphas.iter().any(|alpha| *alpha < 255) => alphas.iter().map(|value| *value >= alpha).collect(),
        _ => {
            let border = border_colour(picture);
            pixels(picture).map(|pixel| (0..3).any(|c| pixel[c].abs_diff(border[c]) > colour_threshold)).collect()
        }
    }
}

/// The subject in a mask whose rows are `width` pixels long: its largest region and all that are not specks beside it.
pub(crate) fn find(mask: &[bool], width: u32) -> Option<Subject> {
    let found = regions(mask, width as usize);
    let smallest = found.largest() as f64 * SPECK;
    let (mut left, mut top, mut right, mut bottom, mut count) = (u32::MAX, u32::MAX, 0, 0, 0);
    for (at, &label) in found.labels.iter().enumerate() {
        if label == 0 || (found.sizes[label as usize] as f64) < smallest {
            continue;
        }
        let (x, y) = (at as u32 % width, at as u32 / width);
        (left, top, right, bottom) = (left.min(x), top.min(y), right.max(x + 1), bottom.max(y + 1));
        count += 1;
    }
    (count > 0).then(|| Subject { bounds: [left, top, right - left, bottom - top], share: f64::from(count) / mask.len() as f64 })
}

/// The median of every channel along the frame's edge: a single corner may hold a time stamp, the median does not care.
fn border_colour(picture: &Picture) -> [u8; 3] {
    let [width, height] = picture.size();
    let (width, height) = (width as usize, height as usize);
    let mut edge: Vec<[u8; 3]> = Vec::with_capacity(2 * (width + height));
    for (at, pixel) in pixels(picture).enumerate() {
        let (x, y) = (at % width, at / width);
        if x == 0 || y == 0 || x == width - 1 || y == height - 1 {
            edge.push(pixel);
        }
    }
    [0, 1, 2].map(|channel| {
        let mut values: Vec<u8> = edge.iter().map(|pixel| pixel[channel]).collect();
        let middle = values.len() / 2;
        *values.select_nth_unstable(middle).1
    })
}

/// Red, green and blue of every pixel, row after row.
fn pixels(picture: &Picture) -> Box<dyn Iterator<Item = [u8; 3]> + '_> {
    match picture {
        Picture::Rgb(image) => Box::new(image.as_raw().as_chunks::<3>().0.iter().copied()),
        Picture::Rgba(image) => Box::new(image.as_raw().as_chunks::<4>().0.iter().map(|&[r, g, b, _]| [r, g, b])),
    }
}
