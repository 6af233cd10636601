//! The guided filter: a coarse mask made to follow the edges of the photo.
//!
//! In every window the mask is fitted by a linear function of the photo's colours, alpha = a · I + b, so that where the photo has an
//! edge the mask gets one (He, Sun & Tang 2013, "Guided image filtering", with a colour guide: their equations 19 to 21). The
//! coefficients are found at the size of the network's mask and only they are enlarged, which costs a fraction and looks the same
//! (He & Sun 2015, "Fast guided filter").

use catgen_picture::{Filter, GrayImage, Picture, RgbImage, resize};

use crate::planes::{Plane, blurred};

/// The coefficients are found at this longest side: more than the network's mask holds is not to be had.
const SIDE: u32 = 320;

/// The window reaches so far to each side, in pixels at [`SIDE`].
const REACH: usize = 2;

/// How much the colours of a window must vary, as a variance with white at 1, before the mask follows them.
const SMOOTH: f32 = 1e-4;

/// `mask`, which shows the whole of `picture` at any size, at the picture's size and with its edges.
pub(crate) fn refined(mask: &GrayImage, picture: &RgbImage) -> GrayImage {
    let (full_width, full_height) = picture.dimensions();
    let scale = (f64::from(SIDE) / f64::from(full_width.max(full_height))).min(1.0);
    let scaled = |length: u32| ((f64::from(length) * scale).round() as u32).max(1);
    let (width, height) = (scaled(full_width), scaled(full_height));
    let small = resize(&Picture::Rgb(picture.clone()), width, height, Filter::Bilinear);
    let small = small.over([0; 3].into());
    let mask = crate::enlarged(mask, [width, height]);
    let coefficients = coefficients(&small, &mask);

    // Each full-size pixel lies between four small ones; which, and how far, is the same for a whole row or column.
    let columns = between(full_width, width);
    let rows = between(full_height, height);
    let mut pixels = picture.pixels();
    let mut refined = Vec::with_capacity((full_width * full_height) as usize);
    for (top, bottom, down) in &rows {
        for (left, right, along) in &columns {
            let at = |x: usize, y: usize| coefficients[y * width as usize + x];
            let mix = |p: [f32; 4], q: [f32; 4], t: f32| -> [f32; 4] { std::array::from_fn(|i| p[i] + (q[i] - p[i]) * t) };
            let [r, g, b, constant] =
                mix(mix(at(*left, *top), at(*right, *top), *along), mix(at(*left, *bottom), at(*right, *bottom), *along), *down);
            let rgb = pixels.next().expect("there is a pixel for every row and column").0.map(f32::from);
            refined.push(((r * rgb[0] + g * rgb[1] + b * rgb[2]) + 255.0 * constant).round().clamp(0.0, 255.0) as u8);
        }
    }
    GrayImage::from_raw(full_width, full_height, refined).expect("one value was made for every pixel")
}

/// For every pixel the three factors of its colour and the constant, colours and alpha counted from 0 to 1.
fn coefficients(guide: &RgbImage, mask: &GrayImage) -> Vec<[f32; 4]> {
    let (width, height) = (guide.width() as usize, guide.height() as usize);
    let plane = |values: Vec<f32>| Plane { width, height, values };
    let mean = |values: Vec<f32>| blurred(&plane(values), REACH).values;
    let colour: [Vec<f32>; 3] = std::array::from_fn(|c| guide.pixels().map(|pixel| f32::from(pixel[c]) / 255.0).collect());
    let mask: Vec<f32> = mask.iter().map(|value| f32::from(*value) / 255.0).collect();
    let product = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).collect::<Vec<f32>>();

    let mean_colour: [Vec<f32>; 3] = std::array::from_fn(|c| mean(colour[c].clone()));
    let mean_mask = mean(mask.clone());
    let with_mask: [Vec<f32>; 3] = std::array::from_fn(|c| mean(product(&colour[c], &mask)));
    // Red-red, red-green, red-blue, green-green, green-blue, blue-blue.
    const PAIRS: [(usize, usize); 6] = [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)];
    let with_colour: [Vec<f32>; 6] = PAIRS.map(|(one, other)| mean(product(&colour[one], &colour[other])));

    let mut factors: [Vec<f32>; 4] = std::array::from_fn(|_| Vec::with_capacity(mask.len()));
    for at in 0..mask.len() {
        let means: [f32; 3] = std::array::from_fn(|c| mean_colour[c][at]);
        let covariance: [f32; 6] = std::array::from_fn(|k| {
            let (one, other) = PAIRS[k];
            with_colour[k][at] - means[one] * means[other] + if one == other { SMOOTH } else { 0.0 }
        });
        let towards: [f32; 3] = std::array::from_fn(|c| with_mask[c][at] - means[c] * mean_mask[at]);
        let solved = solved(covariance, towards);
        factors[3].push(mean_mask[at] - (0..3).map(|c| solved[c] * means[c]).sum::<f32>());
        (0..3).for_each(|c| factors[c].push(solved[c]));
    }
    let factors = factors.map(mean);
    (0..mask.len()).map(|at| std::array::from_fn(|c| factors[c][at])).collect()
}

/// x with `matrix` · x = `right`; the matrix is symmetric, given as its upper triangle row by row, and positive definite.
fn solved([rr, rg, rb, gg, gb, bb]: [f32; 6], [r, g, b]: [f32; 3]) -> [f32; 3] {
    // Cramer's rule: the cofactors of the first row, then of the rest, which by symmetry are shared.
    let (c0, c1, c2) = (gg * bb - gb * gb, gb * rb - rg * bb, rg * gb - gg * rb);
    let determinant = rr * c0 + rg * c1 + rb * c2;
    let (c11, c12, c22) = (rr * bb - rb * rb, rg * rb - rr * gb, rr * gg - rg * rg);
    [(c0 * r + c1 * g + c2 * b) / determinant, (c1 * r + c11 * g + c12 * b) / determinant, (c2 * r + c12 * g + c22 * b) / determinant]
}

/// For every pixel of `full` the two pixels of `small` that it lies between, and how far it is from the first to the second.
fn between(full: u32, small: u32) -> Vec<(usize, usize, f32)> {
    let last = small as usize - 1;
    let step = small as f32 / full as f32;
    let place = |at: u32| ((at as f32 + 0.5) * step - 0.5).clamp(0.0, last as f32);
    (0..full).map(place).map(|place| (place as usize, (place as usize + 1).min(last), place.fract())).collect()
}

#[cfg(test)]
mod tests {
    use catgen_picture::{Luma, Rgb};

    use super::*;

    /// A disc of that colour on another, and a mask of a quarter of its size; answers the mean distance of the refined mask from the truth,
    /// and of the mask merely enlarged, both 0 to 255.
    fn check(inside: [u8; 3], outside: [u8; 3]) -> (f32, f32) {
        let is_inside = |x: u32, y: u32| (x as f32 - 640.0).hypot(y as f32 - 400.0) < 240.0;
        let picture = RgbImage::from_fn(1280, 800, |x, y| Rgb(if is_inside(x, y) { inside } else { outside }));
        let coarse = GrayImage::from_fn(320, 200, |x, y| {
            let count = (0..16).filter(|at| is_inside(4 * x + at % 4, 4 * y + at / 4)).count();
            Luma([(255 * count / 16) as u8])
        });
        let error = |mask: &GrayImage| {
            let off = mask.enumerate_pixels().map(|(x, y, value)| value[0].abs_diff(if is_inside(x, y) { 255 } else { 0 }));
            off.map(f32::from).sum::<f32>() / (1280.0 * 800.0)
        };
        (error(&refined(&coarse, &picture)), error(&crate::enlarged(&coarse, [1280, 800])))
    }

    #[test]
    fn a_mask_follows_the_photos_edge_and_stays_where_there_is_none() {
        let (refined, enlarged) = check([200, 120, 40], [90, 130, 160]);
        assert!(refined < 0.2 * enlarged && enlarged > 0.3, "{refined} {enlarged}");
        // Nothing to follow: softer by the windows' reach, and no more.
        let (refined, _) = check([120; 3], [120; 3]);
        assert!(refined < 4.0, "{refined}");
    }

    #[test]
    fn three_equations_are_solved() {
        let x = [0.5, -2.0, 3.0];
        let [rr, rg, rb, gg, gb, bb] = [4.0, 1.0, 0.5, 3.0, -0.25, 2.0];
        let right = [rr * x[0] + rg * x[1] + rb * x[2], rg * x[0] + gg * x[1] + gb * x[2], rb * x[0] + gb * x[1] + bb * x[2]];
        let found = solved([rr, rg, rb, gg, gb, bb], right);
        assert!(found.iter().zip(x).all(|(found, x)| (found - x).abs() < 1e-5), "{found:?}");
    }
}
