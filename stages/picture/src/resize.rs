//! Resizing, on premultiplied alpha.
//!
//! A pixel that is a tenth there has a tenth of its colour's weight. Premultiplied in 8 bits such a colour keeps 25 of its 255
//! levels, and dividing by alpha afterwards blows the rest up; the product of two 8-bit numbers is a 16-bit number, so that is
//! what pictures with alpha are resized in: nothing is lost before the end.

use std::{borrow::Cow, cell::RefCell};

// Only the pixels that are used are named: `Resizer::resize` of unnamed ones has the compiler make the code for all thirteen.
use fast_image_resize::{
    FilterType, ResizeAlg, ResizeOptions, Resizer,
    images::{TypedImage, TypedImageRef},
    pixels::{F32x3, U8x3, U16x4},
};
use image::{RgbImage, RgbaImage};

use crate::Picture;

/// How pixels are weighed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filter {
    /// Triangle over the whole footprint: quick, slightly soft, never rings.
    Bilinear,
    /// Lanczos with three lobes: sharp, the one for photos.
    Lanczos,
    /// Keys' cubic (a = −½), with values rounded to 8 bits after each direction: what Pillow calls `BICUBIC`, and what networks that judge
    /// pictures were fed with.
    Bicubic,
}

/// The whole picture at `width` × `height` (at least 1 × 1).
pub fn resize(picture: &Picture, width: u32, height: u32, filter: Filter) -> Picture {
    let [w, h] = picture.size();
    if [w, h] == [width, height] {
        return picture.clone();
    }
    crop_resize(picture, [0.0, 0.0, f64::from(w), f64::from(h)], width, height, filter)
}

/// The picture with a longest side of at most `max_side` pixels: borrowed where it fits already, Lanczos where it does not.
pub fn fit_within(picture: Cow<'_, Picture>, max_side: Option<u32>) -> Cow<'_, Picture> {
    let [width, height] = picture.size();
    match max_side {
        Some(side) if width.max(height) > side => {
            let scale = f64::from(side) / f64::from(width.max(height));
            let scaled = |length: u32| ((f64::from(length) * scale).round() as u32).max(1);
            Cow::Owned(resize(&picture, scaled(width), scaled(height), Filter::Lanczos))
        }
        _ => picture,
    }
}

/// The part `[x, y, width, height]` of the picture, in its pixels and fractions of them, at `width` × `height`.
///
/// The part is first put inside the picture; what is left is at least one pixel.
pub fn crop_resize(picture: &Picture, part: [f64; 4], width: u32, height: u32, filter: Filter) -> Picture {
    let [w, h] = picture.size();
    let (width, height) = (width.max(1), height.max(1));
    let (left, crop_width) = inside(part[0], part[2], w);
    let (top, crop_height) = inside(part[1], part[3], h);
    let filter = match filter {
        Filter::Bilinear => FilterType::Bilinear,
        Filter::Lanczos => FilterType::Lanczos3,
        Filter::Bicubic => FilterType::CatmullRom,
    };
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(filter)).crop(left, top, crop_width, crop_height).use_alpha(false);
    RESIZER.with_borrow_mut(|resizer| match picture {
        Picture::Rgb(image) => resize_rgb(resizer, &options, image, width, height).into(),
        Picture::Rgba(image) => resize_rgba(resizer, &options, image, width, height).into(),
    })
}

thread_local! {
    /// Keeps its buffers from one picture to the next.
    static RESIZER: RefCell<Resizer> = RefCell::new(Resizer::new());
}

fn resize_rgb(resizer: &mut Resizer, options: &ResizeOptions, image: &RgbImage, width: u32, height: u32) -> RgbImage {
    let source = TypedImageRef::<U8x3>::from_buffer(image.width(), image.height(), image.as_raw()).expect(SIZED);
    let mut target = RgbImage::new(width, height);
    let mut view = TypedImage::<U8x3>::from_buffer(width, height, &mut target).expect(SIZED);
    resizer.resize_typed(&source, &mut view, options).expect(INSIDE);
    target
}

fn resize_rgba(resizer: &mut Resizer, options: &ResizeOptions, image: &RgbaImage, width: u32, height: u32) -> RgbaImage {
    let premultiplied = |&[r, g, b, a]: &[u8; 4]| U16x4::new([r, g, b, 255].map(|value| u16::from(value) * u16::from(a)));
    let pixels: Vec<U16x4> = image.as_raw().as_chunks::<4>().0.iter().map(premultiplied).collect();
    let source = TypedImageRef::new(image.width(), image.height(), &pixels).expect(SIZED);
    let mut target = TypedImage::<U16x4>::new(width, height);
    resizer.resize_typed(&source, &mut target, options).expect(INSIDE);
    let straight = |pixel: &U16x4| {
        let [r, g, b, a] = pixel.0.map(u32::from);
        // Alpha is the sum of weights, times 255 twice; a filter that rings may overshoot it.
        let colour = |value: u32| (value * 255 + a / 2).checked_div(a).unwrap_or(0).min(255) as u8;
        [colour(r), colour(g), colour(b), ((a + 127) / 255).min(255) as u8]
    };
    RgbaImage::from_raw(width, height, target.pixels().iter().flat_map(straight).collect()).expect(SIZED)
}

/// As [`resize`] with [`Filter::Bicubic`], with values that are neither rounded nor cut off, so that some lie outside 0 to 255.
pub fn resize_bicubic(picture: &RgbImage, width: u32, height: u32) -> Vec<[f32; 3]> {
    let pixels: Vec<F32x3> = picture.pixels().map(|pixel| F32x3::new(pixel.0.map(f32::from))).collect();
    if picture.dimensions() == (width, height) {
        return pixels.iter().map(|pixel| pixel.0).collect();
    }
    let source = TypedImageRef::new(picture.width(), picture.height(), &pixels).expect(SIZED);
    let mut target = TypedImage::<F32x3>::new(width, height);
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom));
    Resizer::new().resize_typed(&source, &mut target, &options).expect(INSIDE);
    target.pixels().iter().map(|pixel| pixel.0).collect()
}

const SIZED: &str = "the buffer has the size that its width and height ask for";
const INSIDE: &str = "the part lies inside the picture";

/// `start` and `length` moved and cut so that they lie within `0..limit`, at least one pixel long.
fn inside(start: f64, length: f64, limit: u32) -> (f64, f64) {
    let limit = f64::from(limit);
    let start = start.clamp(0.0, limit - 1.0);
    (start, length.clamp(1.0, limit - start))
}

#[cfg(test)]
mod tests {
    use image::Rgba;

    use super::*;

    #[test]
    fn colours_from_under_transparent_pixels_do_not_bleed() {
        // Left half red and opaque, right half green and transparent: no shade of green may appear.
        let image = RgbaImage::from_fn(64, 64, |x, _| if x < 31 { Rgba([200, 0, 0, 255]) } else { Rgba([0, 255, 0, 0]) });
        for filter in [Filter::Bilinear, Filter::Lanczos] {
            let Picture::Rgba(small) = resize(&Picture::Rgba(image.clone()), 9, 9, filter) else { panic!("alpha was lost") };
            let worst = small.pixels().filter(|pixel| pixel[3] > 0).map(|pixel| pixel[1]).max();
            assert_eq!(worst, Some(0), "{filter:?}");
        }
    }

    #[test]
    fn cubic_keeps_its_size_and_overshoots_at_an_edge() {
        let edge = RgbImage::from_fn(16, 16, |x, _| image::Rgb([if x < 8 { 0 } else { 255 }, 7, 9]));
        assert!(resize_bicubic(&edge, 16, 16).iter().zip(edge.pixels()).all(|(value, pixel)| *value == pixel.0.map(f32::from)));
        let large = resize_bicubic(&edge, 48, 48);
        let red = |x: usize| large[24 * 48 + x][0];
        // Keys' cubic, at thirds between pixels: W(1/3) = 0.7778 … rise beyond both ends by up to 7 % of the step.
        assert!(red(0).abs() < 1e-3 && (red(47) - 255.0).abs() < 1e-3);
        assert!((-20.0..-5.0).contains(&red(21)) && (260.0..275.0).contains(&red(26)), "{} {}", red(21), red(26));
        assert!(large.iter().all(|pixel| (pixel[1] - 7.0).abs() < 1e-3 && (pixel[2] - 9.0).abs() < 1e-3));
    }

    #[test]
    fn a_part_outside_the_picture_is_put_inside() {
        let picture = Picture::Rgb(RgbImage::new(10, 4));
        assert_eq!(crop_resize(&picture, [-5.0, 3.5, 100.0, 100.0], 7, 3, Filter::Bilinear).size(), [7, 3]);
        assert_eq!(resize(&picture, 1, 1, Filter::Lanczos).size(), [1, 1]);
    }
}
