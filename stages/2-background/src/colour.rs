//! The subject's own colours where it is half transparent: without them every cut-out wears a rim of its old background.
//!
//! A pixel on the edge shows I = alpha · F + (1 − alpha) · B, subject and background mixed. F is what a cut-out needs. It is found by
//! blur fusion (Forte 2021, "Approximate fast foreground colour estimation"): F and B are first guessed as means of what is surely
//! subject and surely background nearby, weighed by alpha, then F is corrected so that the mixture gives I; done twice, the
//! first time over a wide neighbourhood for a guess everywhere, the second time over a narrow one for the detail.

use catgen_picture::{RgbImage, RgbaImage};

use crate::planes::{Plane, blurred};

/// How far the two looks reach, as shares of the longer side: the paper's 90 and 6 pixels, for pictures of about 1,000.
const REACHES: [f64; 2] = [0.09, 0.006];

/// Keeps a mean of no weight from being 0 / 0.
const NOTHING: f32 = 1e-5;

/// `cut_out` with the subject's own colours wherever it is neither opaque nor gone; `picture` is what it was cut from.
pub(crate) fn cleaned(mut cut_out: RgbaImage, picture: &RgbImage) -> RgbaImage {
    let Some([left, top, right, bottom]) = soft_bounds(&cut_out) else { return cut_out };
    let longer = picture.width().max(picture.height());
    let reaches = REACHES.map(|share| ((f64::from(longer) * share).round() as usize).max(1));
    // Nothing further from the softness than the windows reach counts: most cut-outs have much of that.
    let around = |at: u32, sign: i64, limit: u32| (i64::from(at) + sign * reaches[0] as i64).clamp(0, i64::from(limit)) as u32;
    let (left, top) = (around(left, -1, picture.width()), around(top, -1, picture.height()));
    let (right, bottom) = (around(right, 1, picture.width()), around(bottom, 1, picture.height()));
    let (width, height) = ((right - left) as usize, (bottom - top) as usize);
    let plane = |of: &dyn Fn(u32, u32) -> u8| Plane {
        width,
        height,
        values: (top..bottom).flat_map(|y| (left..right).map(move |x| (x, y))).map(|(x, y)| f32::from(of(x, y)) / 255.0).collect(),
    };
    let alpha = plane(&|x, y| cut_out.get_pixel(x, y)[3]);
    for channel in 0..3 {
        let shown = plane(&|x, y| picture.get_pixel(x, y)[channel]);
        let own = subjects(&shown, &alpha, reaches);
        for (at, value) in own.iter().enumerate() {
            let pixel = cut_out.get_pixel_mut(left + (at % width) as u32, top + (at / width) as u32);
            if (1..255).contains(&pixel[3]) {
                pixel[channel] = (value * 255.0).round() as u8;
            }
        }
    }
    cut_out
}

/// The subject's part of one channel, 0 to 1.
fn subjects(shown: &Plane, alpha: &Plane, reaches: [usize; 2]) -> Vec<f32> {
    let with = |values: Vec<f32>| Plane { values, ..*shown };
    let (mut subject, mut background) = (shown.values.clone(), shown.values.clone());
    for reach in reaches {
        let weight = blurred(alpha, reach).values;
        let inside = blurred(&with(subject.iter().zip(&alpha.values).map(|(value, alpha)| value * alpha).collect()), reach).values;
        let outside =
            blurred(&with(background.iter().zip(&alpha.values).map(|(value, alpha)| value * (1.0 - alpha)).collect()), reach).values;
        for at in 0..subject.len() {
            let (alpha, weight) = (alpha.values[at], weight[at]);
            let guess = inside[at] / (weight + NOTHING);
            background[at] = outside[at] / (1.0 - weight + NOTHING);
            subject[at] = (guess + alpha * (shown.values[at] - alpha * guess - (1.0 - alpha) * background[at])).clamp(0.0, 1.0);
        }
    }
    subject
}

/// The box `[left, top, right, bottom]`, ends excluded, around everything half transparent.
fn soft_bounds(cut_out: &RgbaImage) -> Option<[u32; 4]> {
    let soft = cut_out.enumerate_pixels().filter(|(_, _, pixel)| (1..255).contains(&pixel[3]));
    soft.fold(None, |bounds, (x, y, _)| {
        let [left, top, right, bottom] = bounds.unwrap_or([x, y, x + 1, y + 1]);
        Some([left.min(x), top.min(y), right.max(x + 1), bottom.max(y + 1)])
    })
}

#[cfg(test)]
mod tests {
    use catgen_picture::{Rgb, Rgba};

    use super::*;

    /// A disc with a soft edge, shown before a background; answers how far its edge's colours are from its own, mean of 0 to 255 and
    /// weighed by alpha, as the photo shows them and as cleaned.
    fn check(inside: [u8; 3], outside: [u8; 3]) -> (f64, f64) {
        let alpha = |x: u32, y: u32| ((120.0 - (f64::from(x) - 200.0).hypot(f64::from(y) - 150.0)) / 8.0).clamp(0.0, 1.0);
        let mixed = |x: u32, y: u32| {
            std::array::from_fn(|c| (alpha(x, y) * f64::from(inside[c]) + (1.0 - alpha(x, y)) * f64::from(outside[c])).round() as u8)
        };
        let picture = RgbImage::from_fn(400, 300, |x, y| Rgb(mixed(x, y)));
        let cut_out = RgbaImage::from_fn(400, 300, |x, y| {
            let [r, g, b] = mixed(x, y);
            Rgba([r, g, b, (alpha(x, y) * 255.0).round() as u8])
        });
        let error = |image: &RgbaImage| {
            let soft = image.pixels().filter(|pixel| (1..255).contains(&pixel[3]));
            let (weight, sum) = soft.fold((0.0, 0.0), |(weight, sum), pixel| {
                let off: f64 = (0..3).map(|c| f64::from(pixel[c].abs_diff(inside[c]))).sum::<f64>() / 3.0;
                (weight + f64::from(pixel[3]), sum + off * f64::from(pixel[3]))
            });
            sum / weight
        };
        let clean = cleaned(cut_out.clone(), &picture);
        assert!(clean.pixels().zip(cut_out.pixels()).all(|(clean, before)| clean[3] == before[3]), "colours alone may change");
        for (clean, before) in clean.pixels().zip(cut_out.pixels()).filter(|(_, before)| before[3] == 0 || before[3] == 255) {
            assert_eq!(clean, before, "what is opaque or gone stays");
        }
        (error(&cut_out), error(&clean))
    }

    #[test]
    fn the_background_leaves_the_edge() {
        let (shown, clean) = check([40, 30, 30], [60, 220, 90]);
        assert!(shown > 30.0 && clean < 3.0, "{shown} {clean}");
        let (_, clean) = check([128; 3], [128; 3]);
        assert!(clean < 1.0, "{clean}");
    }

    #[test]
    fn without_a_soft_edge_nothing_changes() {
        let hard = RgbaImage::from_fn(30, 20, |x, _| Rgba([9, 8, 7, if x < 15 { 255 } else { 0 }]));
        assert_eq!(cleaned(hard.clone(), &RgbImage::from_pixel(30, 20, Rgb([200; 3]))), hard);
    }
}
