//! A second look: what to ask the network again where its first answer is likely to be wrong, and which answer to keep.
//!
//! Networks of this family learnt from photos whose subject lies whole inside the frame, and see 320 pixels of whatever they are given.
//! Two things go wrong with people's photos, and each has its remedy:
//!
//! * **A subject that the frame cuts off**, such as a cat's face that fills it: often only the eyes are found. With the photo's
//!   border repeated outwards the subject lies inside again. That answer replaces the first if it is the surer of the two. It is asked
//!   for where the first touches the frame, is faint, next to nothing, or in pieces.
//! * **A small subject**: cropped to what the first look found, it is seen with more pixels, and what the first look took along by
//!   mistake is judged again. The two answers are averaged.

use std::borrow::Cow;

use catgen_api::StageError;
use catgen_picture::{Filter, GrayImage, Picture, RgbImage, crop_resize, fit_within, regions};

/// What is given to the network.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Part {
    /// The whole picture.
    Whole,
    /// The whole picture, with its border repeated around it.
    Padded,
    /// What lies in `[left, top, width, height]`, shares of the picture's width and height.
    Window([f64; 4]),
}

/// How far the border is repeated on each side, as a share of the picture.
const PADDING: f64 = 0.25;

/// Values from which something is there at all, and up to which it is not there for sure: a tenth and four fifths.
const FAINT: u8 = 26;
const SURE: u8 = 204;

/// A first answer of which more than this share is faint has lost the subject, wherever it lies.
const LOST: f64 = 0.8;

/// So has one that finds less than this share of the picture, or whose largest piece is less than this share of it all: eyes and a nose.
const LITTLE: f64 = 0.03;
const PIECE: f64 = 0.6;

/// Where a mask counts when its pieces are told apart, and when it is measured.
const JOINED: u8 = 64;
const SOLID: u8 = 128;

/// Where a mask counts when the crop is chosen.
const COUNTS: u8 = 38;

/// Room left around it, as a share of its longer side.
const ROOM: f64 = 0.15;

/// A crop to a box of more than this share of the picture would show nothing new.
const MOST: f64 = 0.8;

/// The first answer made better by `look`, which answers for a part and in the frame of the whole picture, as `first` is.
///
/// # Errors
/// Those of `look`.
pub(crate) fn combined(first: GrayImage, look: impl Fn(Part) -> Result<GrayImage, StageError>) -> Result<GrayImage, StageError> {
    let doubt = doubt(&first);
    if doubt > LOST || touches_frame(&first) || is_in_pieces(&first) {
        let padded = look(Part::Padded)?;
        if self::doubt(&padded) < doubt {
            return Ok(padded);
        }
    }
    match bounds(&first) {
        Some([left, top, width, height]) if width * height < MOST => {
            let room = ROOM * width.max(height);
            let (right, bottom) = ((left + width + room).min(1.0), (top + height + room).min(1.0));
            let (left, top) = ((left - room).max(0.0), (top - room).max(0.0));
            let mut mean = look(Part::Window([left, top, right - left, bottom - top]))?;
            mean.iter_mut().zip(first.iter()).for_each(|(value, first)| *value = u16::midpoint((*value).into(), (*first).into()) as u8);
            Ok(mean)
        }
        _ => Ok(first),
    }
}

/// How much of what is there is not there for sure, 0 to 1; 1 where nothing is there.
fn doubt(mask: &GrayImage) -> f64 {
    let (mut there, mut faint) = (0_u32, 0_u32);
    for value in mask.iter().filter(|value| **value >= FAINT) {
        there += 1;
        faint += u32::from(*value < SURE);
    }
    if there == 0 { 1.0 } else { f64::from(faint) / f64::from(there) }
}

/// Whether what was found is next to nothing, or several things of which none is the subject.
fn is_in_pieces(mask: &GrayImage) -> bool {
    let found = regions(&mask.iter().map(|value| *value >= JOINED).collect::<Vec<_>>(), mask.width() as usize);
    let mut weights = vec![0_u64; found.sizes.len()];
    found.labels.iter().zip(mask.iter()).for_each(|(label, value)| weights[*label as usize] += u64::from(*value));
    let (all, largest) = weights.iter().skip(1).fold((0, 0), |(all, largest), weight| (all + weight, *weight.max(&largest)));
    let solid = mask.iter().filter(|value| **value >= SOLID).count();
    (solid as f64) < LITTLE * mask.len() as f64 || (largest as f64) < PIECE * all as f64
}

/// Whether anything there lies on the frame.
fn touches_frame(mask: &GrayImage) -> bool {
    let (right, bottom) = (mask.width() - 1, mask.height() - 1);
    mask.enumerate_pixels().any(|(x, y, value)| value[0] >= FAINT && (x == 0 || y == 0 || x == right || y == bottom))
}

/// The box around what counts, as shares of the picture.
fn bounds(mask: &GrayImage) -> Option<[f64; 4]> {
    let (mut left, mut top, mut right, mut bottom) = (u32::MAX, u32::MAX, 0, 0);
    for (x, y, _) in mask.enumerate_pixels().filter(|(_, _, value)| value[0] >= COUNTS) {
        (left, top, right, bottom) = (left.min(x), top.min(y), right.max(x + 1), bottom.max(y + 1));
    }
    let share = |start: u32, end: u32, all: u32| (f64::from(start) / f64::from(all), f64::from(end - start) / f64::from(all));
    (left < right).then(|| {
        let ((left, width), (top, height)) = (share(left, right, mask.width()), share(top, bottom, mask.height()));
        [left, top, width, height]
    })
}

/// Where the picture lies in a padded square of that side: its first pixel and its length, the same along both axes.
fn inner(side: u32) -> (u32, u32) {
    let length = (f64::from(side) / (1.0 + 2.0 * PADDING)).round() as u32;
    ((side - length) / 2, length)
}

/// The longest side at which the border is repeated: more is never seen, and a photo of 48 MP would become one of 108.
const PADDED_SIDE: u32 = 1024;

/// The picture as a square of that side with its border repeated around it.
///
/// Repeated before the picture is made small, not after: then the stripes are as soft as everything else. Stripes of pixels that are small
/// already were now and then taken for the subject.
pub(crate) fn padded(picture: &Picture, side: u32) -> RgbImage {
    let (start, length) = inner(side);
    let picture = fit_within(Cow::Borrowed(picture), Some(PADDED_SIDE));
    let picture = picture.over([0; 3].into());
    let (width, height) = picture.dimensions();
    // Whole pixels on each side, of which the fraction that is too much is cut off again.
    let around = |size: u32| (size * (side - start - length)).div_ceil(length);
    let (left, top) = (around(width), around(height));
    let row = |y: u32| {
        let row = &picture.as_raw()[(3 * width * y) as usize..][..(3 * width) as usize];
        let (first, last) = (row[..3].repeat(left as usize), row[row.len() - 3..].repeat(left as usize));
        [&first[..], row, &last].concat()
    };
    let rows = (0..height + 2 * top).flat_map(|y| row(y.saturating_sub(top).min(height - 1))).collect();
    let large = RgbImage::from_raw(width + 2 * left, height + 2 * top, rows).expect("every row was made longer by as much");
    let [across, down] = [width, height].map(|size| f64::from(size) / f64::from(length));
    let [start, all] = [start, side].map(f64::from);
    let part = [f64::from(left) - start * across, f64::from(top) - start * down, all * across, all * down];
    crop_resize(&large.into(), part, side, side, Filter::Lanczos).over([0; 3].into()).into_owned()
}

/// From an answer about a padded square, row after row, what concerns the picture: its values and the side of their square.
pub(crate) fn unpadded(output: &[f32], side: u32) -> (Vec<f32>, u32) {
    let (start, length) = inner(side);
    let rows = output.chunks_exact(side as usize).skip(start as usize).take(length as usize);
    (rows.flat_map(|row| &row[start as usize..][..length as usize]).copied().collect(), length)
}

/// The answer about a window in the frame of the whole picture, `side` pixels square; nothing is there outside the window.
pub(crate) fn placed(mask: &GrayImage, [left, top, width, height]: [f64; 4], side: u32) -> GrayImage {
    let pixel = |share: f64| ((share * f64::from(side)).round() as u32).min(side);
    let (left, top, right, bottom) = (pixel(left), pixel(top), pixel(left + width), pixel(top + height));
    let inside = crate::enlarged(mask, [(right - left).max(1), (bottom - top).max(1)]);
    GrayImage::from_fn(side, side, |x, y| {
        let is_inside = (left..right).contains(&x) && (top..bottom).contains(&y);
        if is_inside { *inside.get_pixel(x - left, y - top) } else { [0].into() }
    })
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use catgen_picture::Rgb;

    use super::*;

    const SIDE: u32 = 100;

    /// A box `[x, y, width, height]` of that value on nothing.
    fn mask([left, top, width, height]: [u32; 4], value: u8) -> GrayImage {
        GrayImage::from_fn(SIDE, SIDE, |x, y| {
            [if (left..left + width).contains(&x) && (top..top + height).contains(&y) { value } else { 0 }].into()
        })
    }

    /// What is asked after the first answer, and the value in the picture's middle in the end.
    fn check(first: GrayImage, padded: u8, window: u8) -> (Vec<Part>, u8) {
        let asked = RefCell::new(Vec::new());
        let look = |part: Part| {
            asked.borrow_mut().push(part);
            Ok(mask([0, 0, SIDE, SIDE], if part == Part::Padded { padded } else { window }))
        };
        let made = combined(first, look).unwrap();
        (asked.into_inner(), made.get_pixel(50, 50)[0])
    }

    #[test]
    fn a_small_subject_is_looked_at_again_in_a_crop_and_both_answers_count() {
        let (asked, value) = check(mask([40, 45, 20, 20], 250), 255, 150);
        let [Part::Window(window)] = asked[..] else { panic!("{asked:?}") };
        assert!(window.iter().zip([0.37, 0.42, 0.26, 0.26]).all(|(found, expect)| (found - expect).abs() < 1e-9), "{window:?}");
        assert_eq!(value, 200);
        // The window ends with the picture.
        let (asked, _) = check(mask([2, 60, 40, 39], 250), 255, 150);
        assert!(matches!(asked[..], [Part::Window([0.0, _, _, height])] if (height - 0.46).abs() < 1e-9), "{asked:?}");
    }

    #[test]
    fn a_subject_cut_off_by_the_frame_is_looked_at_with_room_around_it() {
        let cut_off = || mask([0, 20, 70, 70], 180);
        assert_eq!(check(cut_off(), 240, 99), (vec![Part::Padded], 240), "the surer answer counts");
        let (asked, value) = check(cut_off(), 100, 100);
        assert!(matches!(asked[..], [Part::Padded, Part::Window(_)]) && value == 140, "{asked:?} {value}: no surer, so it does not count");
    }

    #[test]
    fn nothing_found_is_looked_at_again_and_a_clear_answer_is_not() {
        assert_eq!(check(mask([0; 4], 0), 255, 0), (vec![Part::Padded], 255));
        assert_eq!(check(mask([30, 30, 40, 40], 90), 255, 0), (vec![Part::Padded], 255), "faint all over");
        assert_eq!(check(mask([2, 2, 95, 95], 250), 255, 0), (vec![], 250));
    }

    #[test]
    fn eyes_alone_are_looked_at_again() {
        let mut eyes = mask([20, 30, 20, 20], 250);
        (60..80).flat_map(|x| (30..50).map(move |y| (x, y))).for_each(|(x, y)| eyes.put_pixel(x, y, [250].into()));
        // Sure of themselves, so the answer with room around it must be as sure: here it is.
        (60..80).for_each(|x| eyes.put_pixel(x, 30, [100].into()));
        assert_eq!(check(eyes, 255, 0), (vec![Part::Padded], 255));
        let mut speck = mask([50, 50, 12, 12], 250);
        speck.put_pixel(50, 50, [100].into());
        assert_eq!(check(speck, 255, 0), (vec![Part::Padded], 255));
    }

    #[test]
    fn what_is_padded_is_taken_off_again() {
        // Colours that grow evenly are the same after any reducing; at the border they stop growing.
        for (width, height, side) in [(192, 96, 48), (1_600, 1_200, 320), (30, 20, 64), (1, 1, 32)] {
            let level = |at: u32, all: u32| (20 + 200 * at / all) as u8;
            let picture = RgbImage::from_fn(width, height, |x, y| Rgb([level(x, width), level(y, height), 7]));
            let square = padded(&Picture::Rgb(picture), side);
            let (start, length) = inner(side);
            let near = |x: u32, y: u32, expect: [u8; 3]| {
                let found = square.get_pixel(x, y).0;
                assert!(found.iter().zip(expect).all(|(found, expect)| found.abs_diff(expect) <= 6), "{found:?} {expect:?} at {x}, {y}");
            };
            let (last, middle) = (level(width - 1, width), level(height / 2, height));
            near(0, start + length / 2, [20, middle, 7]);
            near(start / 2, 0, [20, 20, 7]);
            near(side - 1, side - 1, [last, level(height - 1, height), 7]);
            near(start + length / 4, start + length / 2, [level(width / 4, width), middle, 7]);
            let (values, inside) = unpadded(&square.pixels().map(|pixel| f32::from(pixel[0])).collect::<Vec<_>>(), side);
            assert_eq!((values.len(), inside), ((length * length) as usize, length));
            assert_eq!(values[0], f32::from(square.get_pixel(start, start)[0]));
            assert_eq!(values.last(), Some(&f32::from(square.get_pixel(start + length - 1, start + length - 1)[0])));
        }
    }

    #[test]
    fn an_answer_about_a_window_lies_where_the_window_lies() {
        let whole = mask([0, 0, SIDE, SIDE], 200);
        let made = placed(&whole, [0.25, 0.5, 0.5, 0.25], SIDE);
        assert_eq!(made, mask([25, 50, 50, 25], 200));
    }
}
