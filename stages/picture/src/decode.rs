//! Reading pictures: sniffed by content, upright, decoded no larger than needed.
//!
//! JPEG, which is nearly every photo, goes through libjpeg-turbo, which can leave out the parts of the DCT that a smaller
//! picture does not need (1/2, 1/4, 1/8). What it refuses, and every other format, goes through the `image` crate.

use std::{borrow::Cow, cell::RefCell, io::Cursor};

use image::{DynamicImage, ImageDecoder, ImageReader, RgbImage, metadata::Orientation};

use crate::{Format, Picture, fit_within};

/// Bumped whenever the same file decodes to other pixels: it is in the key of every stage that looks at pictures.
pub const VERSION: u32 = 2;

/// More pixels than this are refused before memory is asked for: 16,384 × 16,384, 768 MiB as RGB.
const MAX_PIXELS: u64 = 1 << 28;

/// What a file says of itself before its pixels are decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    /// By content, not by name.
    pub format: Format,
    /// Width in pixels, upright.
    pub width: u32,
    /// Height in pixels, upright.
    pub height: u32,
}

/// A decoded picture with what the file said of itself.
#[derive(Debug, Clone)]
pub struct Decoded {
    /// Format and full upright size.
    pub probe: Probe,
    /// The pixels, upright, perhaps smaller than `probe` says.
    pub picture: Picture,
}

/// Why a file is not a picture that can be used: sentences for photographers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// No bytes.
    #[error("the file is empty (0 bytes)")]
    Empty,
    /// Not a picture format known here.
    #[error("this is not a picture: its content is no format known here, whatever its name says")]
    NotAPicture,
    /// A known format that cannot be read.
    #[error("{0} files cannot be read: save the picture as JPEG or PNG")]
    Unsupported(&'static str),
    /// Refused before allocating.
    #[error("the file claims {width} × {height} pixels, more than the {} million allowed", MAX_PIXELS / 1_000_000)]
    TooLarge {
        /// Claimed width in pixels.
        width: u32,
        /// Claimed height in pixels.
        height: u32,
    },
    /// The end is missing.
    #[error("the {0} file is cut short: its end is missing")]
    Truncated(&'static str),
    /// Anything else a decoder complained of.
    #[error("the {format} file is damaged: {detail}")]
    Damaged {
        /// The format's name.
        format: &'static str,
        /// The decoder's words.
        detail: String,
    },
}

impl DecodeError {
    /// One word for programs: the `kind` of the rejection.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::NotAPicture => "not_a_picture",
            Self::Unsupported(_) => "unsupported",
            Self::TooLarge { .. } => "too_large",
            Self::Truncated(_) => "truncated",
            Self::Damaged { .. } => "damaged",
        }
    }
}

/// Format and upright size of a file, from its header alone.
///
/// # Errors
/// Empty, no picture, of an unreadable format, too large, or with a damaged header.
pub fn probe(bytes: &[u8]) -> Result<Probe, DecodeError> {
    let format = readable_format(bytes)?;
    let mut decoder = decoder(bytes, format)?;
    let (width, height) = decoder.dimensions();
    limit(width, height)?;
    let [width, height] = turned([width, height], orientation(bytes, format, &mut decoder));
    Ok(Probe { format, width, height })
}

/// Decodes a file, upright, with a longest side of at most `max_side` pixels where one is given.
///
/// For formats without loss this is [`fit_within`] of the full picture, bit for bit.
///
/// # Errors
/// Everything that makes [`probe`] fail, and pixels that are missing or damaged.
pub fn decode(bytes: &[u8], max_side: Option<u32>) -> Result<Decoded, DecodeError> {
    let format = readable_format(bytes)?;
    let mut decoder = decoder(bytes, format)?;
    let (width, height) = decoder.dimensions();
    limit(width, height)?;
    let orientation = orientation(bytes, format, &mut decoder);
    let reduced = match format {
        Format::Jpeg => turbo(bytes, max_side)?,
        _ => None,
    };
    let picture = match reduced {
        Some(image) => Picture::Rgb(image),
        None => from_dynamic(DynamicImage::from_decoder(decoder).map_err(|error| damaged(format, &error))?),
    };
    // Turning a 12 MP photo costs more than decoding it: make it small first.
    let picture = upright(fit_within(Cow::Owned(picture), max_side).into_owned(), orientation);
    let [width, height] = turned([width, height], orientation);
    Ok(Decoded { probe: Probe { format, width, height }, picture })
}

fn readable_format(bytes: &[u8]) -> Result<Format, DecodeError> {
    if bytes.is_empty() {
        return Err(DecodeError::Empty);
    }
    let format = Format::sniff(bytes).ok_or(DecodeError::NotAPicture)?;
    if format.decoder().is_none() {
        return Err(DecodeError::Unsupported(format.name()));
    }
    Ok(format)
}

fn decoder(bytes: &[u8], format: Format) -> Result<impl ImageDecoder + '_, DecodeError> {
    let kind = format.decoder().ok_or(DecodeError::Unsupported(format.name()))?;
    ImageReader::with_format(Cursor::new(bytes), kind).into_decoder().map_err(|error| damaged(format, &error))
}

fn limit(width: u32, height: u32) -> Result<(), DecodeError> {
    if u64::from(width) * u64::from(height) > MAX_PIXELS { Err(DecodeError::TooLarge { width, height }) } else { Ok(()) }
}

fn damaged(format: Format, error: &image::ImageError) -> DecodeError {
    let detail = error.to_string();
    let early = ["unexpected end", "UnexpectedEof", "failed to fill whole buffer", "unexpected EOF"];
    if early.iter().any(|words| detail.contains(words)) {
        return DecodeError::Truncated(format.name());
    }
    DecodeError::Damaged { format: format.name(), detail }
}

/// The EXIF orientation; a malformed EXIF block means none, it never costs the photo.
fn orientation(bytes: &[u8], format: Format, decoder: &mut impl ImageDecoder) -> Orientation {
    if format == Format::Jpeg {
        let exif = exif::Reader::new().read_from_container(&mut Cursor::new(bytes)).ok();
        let value = exif.and_then(|exif| exif.get_field(exif::Tag::Orientation, exif::In::PRIMARY)?.value.get_uint(0));
        return value.and_then(|value| Orientation::from_exif(value as u8)).unwrap_or(Orientation::NoTransforms);
    }
    decoder.orientation().unwrap_or(Orientation::NoTransforms)
}

fn turned([width, height]: [u32; 2], orientation: Orientation) -> [u32; 2] {
    match orientation {
        Orientation::Rotate90 | Orientation::Rotate270 | Orientation::Rotate90FlipH | Orientation::Rotate270FlipH => [height, width],
        _ => [width, height],
    }
}

fn upright(picture: Picture, orientation: Orientation) -> Picture {
    if orientation == Orientation::NoTransforms {
        return picture;
    }
    let mut image = match picture {
        Picture::Rgb(image) => DynamicImage::ImageRgb8(image),
        Picture::Rgba(image) => DynamicImage::ImageRgba8(image),
    };
    image.apply_orientation(orientation);
    from_dynamic(image)
}

/// 8 bits a channel, alpha only where the file has an alpha channel.
fn from_dynamic(image: DynamicImage) -> Picture {
    if image.color().has_alpha() { Picture::Rgba(image.into_rgba8()) } else { Picture::Rgb(image.into_rgb8()) }
}

thread_local! {
    /// A decompressor holds tables worth keeping between photos.
    static TURBO: RefCell<Option<turbojpeg::Decompressor>> = const { RefCell::new(None) };
}

/// The JPEG as RGB at the smallest of the scales 1, 1/2, 1/4, 1/8 that still has `max_side` pixels on its longest side.
///
/// `None` means: not for libjpeg-turbo (CMYK, lossless, odd markers), try the other decoder.
fn turbo(bytes: &[u8], max_side: Option<u32>) -> Result<Option<RgbImage>, DecodeError> {
    use turbojpeg::{Colorspace, Decompressor, Image, PixelFormat, ScalingFactor};
    TURBO.with_borrow_mut(|slot| {
        let turbo = match slot {
            Some(turbo) => turbo,
            None => match Decompressor::new() {
                Ok(turbo) => slot.insert(turbo),
                Err(_) => return Ok(None),
            },
        };
        let Ok(header) = turbo.read_header(bytes) else { return Ok(None) };
        if header.is_lossless || matches!(header.colorspace, Colorspace::CMYK | Colorspace::YCCK) {
            return Ok(None);
        }
        let longest = header.width.max(header.height);
        let scale = [ScalingFactor::ONE_EIGHTH, ScalingFactor::ONE_QUARTER, ScalingFactor::ONE_HALF]
            .into_iter()
            .find(|scale| max_side.is_some_and(|side| scale.scale(longest) >= side as usize))
            .unwrap_or(ScalingFactor::ONE);
        if turbo.set_scaling_factor(scale).is_err() {
            return Ok(None);
        }
        let scaled = header.scaled(scale);
        let mut pixels = vec![0; 3 * scaled.width * scaled.height];
        let target = Image {
            pixels: pixels.as_mut_slice(),
            width: scaled.width,
            pitch: 3 * scaled.width,
            height: scaled.height,
            format: PixelFormat::RGB,
        };
        match turbo.decompress(bytes, target) {
            Ok(()) => Ok(RgbImage::from_raw(scaled.width as u32, scaled.height as u32, pixels)),
            // The other decoder would fill the missing part with grey and say nothing.
            Err(error) if error.to_string().contains("Premature end") => Err(DecodeError::Truncated(Format::Jpeg.name())),
            Err(_) => Ok(None),
        }
    })
}

#[cfg(test)]
mod tests;
