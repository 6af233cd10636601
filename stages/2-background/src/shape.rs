//! What a mask may look like: one subject or a few, without islands beside it and without holes for eyes.

use catgen_picture::{GrayImage, regions};

/// From this value on a pixel is there at all, enough to make a region.
const THERE: u8 = 64;

/// A region of less than this share of the heaviest is an island: a second cat is more, a cushion's corner is less.
const ISLAND: f64 = 0.2;

/// From this value on the network is sure.
const SURE: u8 = 230;

/// A hole of at most this share of the subject is filled: cats' eyes are what networks like to punch out.
const EYE: f64 = 0.015;

/// A hole in which the network nowhere falls below this value is one that it merely doubts.
const DOUBT: u8 = 64;

/// Without the regions that are small or faint beside the heaviest, and without the haze around them.
pub(crate) fn without_islands(mut mask: GrayImage) -> GrayImage {
    let width = mask.width() as usize;
    let found = regions(&mask.iter().map(|value| *value >= THERE).collect::<Vec<_>>(), width);
    let mut weights = vec![0_u64; found.sizes.len()];
    found.labels.iter().zip(mask.iter()).filter(|(label, _)| **label > 0).for_each(|(label, value)| {
        weights[*label as usize] += u64::from(*value);
    });
    let least = weights.iter().max().map_or(0.0, |heaviest| *heaviest as f64 * ISLAND);
    let is_island: Vec<bool> = weights.iter().enumerate().map(|(label, weight)| label > 0 && (*weight as f64) < least).collect();
    if is_island.contains(&true) {
        // Haze belongs to what it surrounds.
        for (value, label) in mask.iter_mut().zip(found.nearest(width)) {
            if is_island[label as usize] {
                *value = 0;
            }
        }
    }
    mask
}

/// With the holes filled that are small or merely doubted; what is seen between legs and under a tail stays open.
pub(crate) fn without_holes(mut mask: GrayImage) -> GrayImage {
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

    const SIDE: u32 = 320;

    /// Boxes `[x, y, width, height, value]` on nothing, later ones over earlier ones.
    fn mask(boxes: &[[u32; 5]]) -> GrayImage {
        GrayImage::from_fn(SIDE, SIDE, |x, y| {
            let value = |[left, top, width, height, value]: &[u32; 5]| {
                ((*left..left + width).contains(&x) && (*top..top + height).contains(&y)).then_some(*value as u8)
            };
            [boxes.iter().rev().find_map(value).unwrap_or(0)].into()
        })
    }

    #[test]
    fn eyes_and_doubts_are_filled_and_real_holes_are_not() {
        let square = [60, 60, 200, 200, 250];
        for (hole, expect, what) in [
            ([150, 150, 20, 20, 0], 255, "an eye"),
            ([150, 150, 80, 80, 90], 255, "a doubt"),
            ([150, 150, 80, 80, 10], 10, "a hole"),
            ([150, 60, 20, 110, 90], 90, "a bay"),
        ] {
            let filled = without_holes(mask(&[square, hole]));
            assert_eq!((filled.get_pixel(0, 0)[0], filled.get_pixel(61, 61)[0]), (0, 250));
            assert_eq!(filled.get_pixel(155, 155)[0], expect, "{what}");
        }
    }

    #[test]
    fn islands_go_with_their_haze_and_second_subjects_stay() {
        let cat = [20, 20, 100, 100, 250];
        for (other, stays, what) in [
            ([200, 200, 40, 40, 250], false, "small"),
            ([200, 200, 60, 60, 70], false, "faint"),
            ([200, 200, 60, 60, 250], true, "a second cat"),
            ([140, 20, 60, 60, 30], true, "haze beside the cat, no region of its own"),
        ] {
            let [left, top, width, height, value] = other;
            let haze = [left - 5, top - 5, width + 10, height + 10, 20];
            let made = without_islands(mask(&[cat, haze, other]));
            assert_eq!(made.get_pixel(60, 60)[0], 250);
            let expect = if stays { (value as u8, 20) } else { (0, 0) };
            assert_eq!((made.get_pixel(left + 1, top + 1)[0], made.get_pixel(left - 3, top + 3)[0]), expect, "{what}");
        }
    }

    #[test]
    fn an_empty_mask_stays_empty() {
        assert_eq!(without_islands(without_holes(mask(&[]))), mask(&[]));
    }
}
