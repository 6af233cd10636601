//! Colours of any profile to sRGB.
//!
//! Every iPhone photo is Display P3; shown as if it were sRGB, it is dull. A generator that is to learn a cat's fur has to see
//! the colours that the photographer saw.

use std::{cell::RefCell, sync::Arc};

use image::{DynamicImage, RgbImage};
use moxcms::{
    CicpColorPrimaries, CicpProfile, ColorProfile, DataColorSpace, Layout, MatrixCoefficients, RenderingIntent, TransferCharacteristics,
    Transform8BitExecutor, TransformOptions,
};

use crate::Picture;

/// What the numbers of a picture mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Space {
    /// An ICC profile.
    Icc(Vec<u8>),
    /// Code points of ITU-T H.273, as HEIF and AVIF files carry them.
    #[cfg_attr(not(feature = "heif"), expect(dead_code, reason = "only HEIF and AVIF files have code points"))]
    Cicp {
        /// Colour primaries.
        primaries: u8,
        /// Transfer characteristics.
        transfer: u8,
    },
}

/// A profile may be off by so many levels of 255 and still be taken for sRGB: the many files called sRGB differ in rounding.
const SAME: u8 = 2;

/// The picture in sRGB. A profile that cannot be understood or is for another kind of picture changes nothing.
pub(super) fn to_srgb(picture: Picture, space: &Space) -> Picture {
    let picture = match *space {
        Space::Cicp { transfer: transfer @ (PQ | HLG), .. } => tone_mapped(picture, transfer),
        _ => picture,
    };
    let Some(Conversion { transform, source }) = cached(space, picture.has_alpha()) else { return picture };
    if matches!(source, Layout::Gray | Layout::GrayAlpha) && !is_grey(&picture) {
        // A grey profile in a colour photo: somebody's mistake, and no reason to take the colours away.
        return picture;
    }
    match picture {
        Picture::Rgb(image) => {
            let (width, height) = image.dimensions();
            let stored = match source {
                Layout::Gray => image.as_raw().iter().step_by(3).copied().collect(),
                _ => image.into_raw(),
            };
            let mut pixels = vec![0; 3 * width as usize * height as usize];
            match transform.transform(&stored, &mut pixels) {
                Ok(()) => RgbImage::from_raw(width, height, pixels).expect("three bytes were made for every pixel").into(),
                Err(_) if source == Layout::Gray => DynamicImage::ImageLuma8(
                    image::GrayImage::from_raw(width, height, stored).expect("one byte was taken from every pixel"),
                )
                .into_rgb8()
                .into(),
                Err(_) => RgbImage::from_raw(width, height, stored).expect("these are the picture's own bytes").into(),
            }
        }
        Picture::Rgba(mut image) => {
            let stored: Vec<u8> = match source {
                Layout::GrayAlpha => image.pixels().flat_map(|pixel| [pixel[0], pixel[3]]).collect(),
                _ => image.as_raw().clone(),
            };
            let mut pixels = vec![0; image.as_raw().len()];
            if transform.transform(&stored, &mut pixels).is_ok() {
                // Colours only: alpha is no colour.
                for (pixel, new) in image.pixels_mut().zip(pixels.as_chunks::<4>().0) {
                    pixel.0[..3].copy_from_slice(&new[..3]);
                }
            }
            image.into()
        }
    }
}

fn is_grey(picture: &Picture) -> bool {
    match picture {
        Picture::Rgb(image) => image.pixels().all(|pixel| pixel[0] == pixel[1] && pixel[1] == pixel[2]),
        Picture::Rgba(image) => image.pixels().all(|pixel| pixel[0] == pixel[1] && pixel[1] == pixel[2]),
    }
}

/// Ink (C, M, Y, K a pixel, 0 for none) as sRGB: by the profile where there is a good one, else as if inks were perfect.
pub(super) fn cmyk_to_srgb(width: u32, height: u32, ink: Vec<u8>, profile: Option<&[u8]>) -> RgbImage {
    let by_profile = || {
        let source = ColorProfile::new_from_slice(profile?).ok().filter(|profile| profile.color_space == DataColorSpace::Cmyk)?;
        let transform = source.create_transform_8bit(Layout::Rgba, &ColorProfile::new_srgb(), Layout::Rgb, options()).ok()?;
        let mut pixels = vec![0; ink.len() / 4 * 3];
        transform.transform(&ink, &mut pixels).ok()?;
        Some(pixels)
    };
    let pixels = by_profile().unwrap_or_else(|| {
        let light = |ink: u8, black: u8| ((u32::from(255 - ink) * u32::from(255 - black) + 127) / 255) as u8;
        ink.as_chunks::<4>().0.iter().flat_map(|&[c, m, y, k]| [light(c, k), light(m, k), light(y, k)]).collect()
    });
    RgbImage::from_raw(width, height, pixels).expect("three bytes were made for every four")
}

/// A transform to sRGB, and what it wants to be fed.
#[derive(Clone)]
struct Conversion {
    transform: Arc<Transform8BitExecutor>,
    source: Layout,
}

thread_local! {
    /// The last one made: a folder's photos mostly come from one phone.
    static LAST: RefCell<Option<(Space, bool, Option<Conversion>)>> = const { RefCell::new(None) };
}

fn cached(space: &Space, alpha: bool) -> Option<Conversion> {
    LAST.with_borrow_mut(|last| match last {
        Some((known, with, conversion)) if known == space && *with == alpha => conversion.clone(),
        _ => last.insert((space.clone(), alpha, conversion(space, alpha))).2.clone(),
    })
}

/// `None` where there is nothing to convert, or no way to.
fn conversion(space: &Space, alpha: bool) -> Option<Conversion> {
    let profile = match space {
        Space::Icc(bytes) => ColorProfile::new_from_slice(bytes).ok()?,
        Space::Cicp { primaries, transfer } => cicp(*primaries, *transfer)?,
    };
    let (source, target) = match (profile.color_space, alpha) {
        (DataColorSpace::Rgb, false) => (Layout::Rgb, Layout::Rgb),
        (DataColorSpace::Rgb, true) => (Layout::Rgba, Layout::Rgba),
        (DataColorSpace::Gray, false) => (Layout::Gray, Layout::Rgb),
        (DataColorSpace::Gray, true) => (Layout::GrayAlpha, Layout::Rgba),
        _ => return None,
    };
    let transform = profile.create_transform_8bit(source, &ColorProfile::new_srgb(), target, options()).ok()?;
    let conversion = Conversion { transform, source };
    (!changes_nothing(&conversion, target)).then_some(conversion)
}

/// Whether a sample of all colours comes out as it went in.
fn changes_nothing(Conversion { transform, source }: &Conversion, target: Layout) -> bool {
    let steps = || (0..=255).step_by(17);
    let colours = steps().flat_map(|r| steps().flat_map(move |g| steps().map(move |b| [r as u8, g as u8, b as u8])));
    let (wide, out) = (source.channels(), target.channels());
    let fed: Vec<u8> = match source {
        Layout::Gray => steps().map(|grey| grey as u8).collect(),
        Layout::GrayAlpha => steps().flat_map(|grey| [grey as u8, 255]).collect(),
        Layout::Rgba => colours.flat_map(|[r, g, b]| [r, g, b, 255]).collect(),
        _ => colours.flatten().collect(),
    };
    let mut made = vec![0; fed.len() / wide * out];
    if transform.transform(&fed, &mut made).is_err() {
        return true;
    }
    fed.chunks(wide).zip(made.chunks(out)).all(|(fed, made)| {
        let meant = |channel: usize| if wide < 3 { fed[0] } else { fed[channel] };
        (0..3).all(|channel| made[channel].abs_diff(meant(channel)) <= SAME)
    })
}

fn options() -> TransformOptions {
    TransformOptions { rendering_intent: RenderingIntent::RelativeColorimetric, ..TransformOptions::default() }
}

fn cicp(primaries: u8, transfer: u8) -> Option<ColorProfile> {
    let primaries = match CicpColorPrimaries::try_from(primaries).ok()? {
        CicpColorPrimaries::Unspecified => CicpColorPrimaries::Bt709,
        named => named,
    };
    let transfer = match transfer {
        // Photos are looked at on screens: a BT.709 or BT.601 or BT.2020 curve, or none, is meant as sRGB, and so says everybody's
        // decoder. What was tone-mapped is in sRGB's curve by now.
        1 | 2 | 6 | 13 | 14 | 15 | PQ | HLG => TransferCharacteristics::Srgb,
        other => TransferCharacteristics::try_from(other).ok()?,
    };
    Some(ColorProfile::new_from_cicp(CicpProfile {
        color_primaries: primaries,
        transfer_characteristics: transfer,
        matrix_coefficients: MatrixCoefficients::Identity,
        full_range: true,
    }))
}

/// Perceptual quantiser, SMPTE ST 2084.
const PQ: u8 = 16;
/// Hybrid log-gamma, ARIB STD-B67.
const HLG: u8 = 18;

/// High dynamic range brought down to sRGB's curve: diffuse white, 203 cd/m² by ITU-R BT.2408, comes out just below white, and
/// what is brighter is rolled off.
fn tone_mapped(picture: Picture, transfer: u8) -> Picture {
    let curve: [u8; 256] = std::array::from_fn(|value| {
        let value = value as f64 / 255.0;
        let light = if transfer == PQ { pq(value) / 203.0 } else { hlg(value) / 203.0 };
        const KNEE: f64 = 0.6;
        let light = if light <= KNEE { light } else { 1.0 - (1.0 - KNEE) * (-(light - KNEE) / (1.0 - KNEE)).exp() };
        let encoded = if light <= 0.003_130_8 { 12.92 * light } else { 1.055 * light.powf(1.0 / 2.4) - 0.055 };
        (255.0 * encoded).round() as u8
    });
    match picture {
        Picture::Rgb(mut image) => {
            image.iter_mut().for_each(|value| *value = curve[usize::from(*value)]);
            image.into()
        }
        Picture::Rgba(mut image) => {
            image.pixels_mut().for_each(|pixel| pixel.0[..3].iter_mut().for_each(|value| *value = curve[usize::from(*value)]));
            image.into()
        }
    }
}

/// Light in cd/m² of a PQ value in 0..=1 (ITU-R BT.2100-2, table 4).
fn pq(value: f64) -> f64 {
    let (m1, m2, c1, c2, c3) = (2610.0 / 16384.0, 2523.0 / 32.0, 3424.0 / 4096.0, 2413.0 / 128.0, 2392.0 / 128.0);
    let root = value.powf(1.0 / m2);
    10_000.0 * ((root - c1).max(0.0) / (c2 - c3 * root)).powf(1.0 / m1)
}

/// Light in cd/m² of an HLG value in 0..=1 on a display of 1,000 cd/m² (ITU-R BT.2100-2, table 5, system gamma 1.2).
fn hlg(value: f64) -> f64 {
    let (a, b, c) = (0.178_832_77, 0.284_668_92, 0.559_910_73);
    let scene = if value <= 0.5 { value * value / 3.0 } else { (((value - c) / a).exp() + b) / 12.0 };
    1_000.0 * scene.powf(1.2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn high_dynamic_range_keeps_its_order_and_its_whites() {
        // Diffuse white is 58 % of PQ and 75 % of HLG by BT.2408.
        for (transfer, white) in [(PQ, 148), (HLG, 191)] {
            let picture = RgbImage::from_fn(256, 1, |x, _| image::Rgb([x as u8; 3]));
            let mapped = tone_mapped(picture.into(), transfer).over(image::Rgb([0; 3])).into_owned();
            let values: Vec<u8> = mapped.pixels().map(|pixel| pixel[0]).collect();
            assert!(values.is_sorted(), "{transfer}: {values:?}");
            assert!((225..=245).contains(&values[white]), "{transfer}: diffuse white is {}", values[white]);
            assert_eq!((values[0], values[255] >= 250), (0, true));
        }
    }
}
