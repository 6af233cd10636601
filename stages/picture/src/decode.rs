//! Reading pictures: sniffed by content, upright, in sRGB, decoded no larger than needed.
//!
//! | format | decoder | reduced while decoding |
//! |---|---|---|
//! | JPEG, nearly every photo | libjpeg-turbo, which can leave out the parts of the DCT that a smaller picture does not need | to 1/2, 1/4 or 1/8 |
//! | HEIC/HEIF (feature `heif`) | `heifer` | no |
//! | AVIF (feature `avif`) | `rav1d`, in `heifer`'s container | no |
//! | PNG, WebP, GIF, BMP, TIFF, odd JPEGs | `image` | no |
//!
//! In that order, for every format: the header's claims are checked before memory is asked for; pixels are decoded, made
//! small, brought to sRGB, turned upright.

use std::{
    borrow::Cow,
    panic::{AssertUnwindSafe, catch_unwind},
};

use image::{DynamicImage, metadata::Orientation};

use crate::{Format, Picture, fit_within};

#[cfg(feature = "avif")]
mod av1;
mod colour;
#[cfg(feature = "heif")]
mod heif;
mod jpeg;
mod other;

/// Bumped whenever the same file decodes to other pixels: it is in the key of every stage that looks at pictures.
///
/// Another number for each set of decoders built in: what one program could not read, another can.
pub const VERSION: u32 = 2 + if cfg!(feature = "heif") { 0 } else { 1000 } + if cfg!(feature = "avif") { 0 } else { 2000 };

/// More pixels than this are refused before memory is asked for: 16,384 × 16,384.
const MAX_PIXELS: u64 = 1 << 28;

/// A decoded picture of more bytes than this is refused before memory is asked for: 1 GiB.
const MAX_BYTES: u64 = 1 << 30;

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
    /// A known format whose decoder was left out when the program was built.
    #[error(
        "this program was built without its decoder for {format} files: build it with `--features {feature}`, or save the picture as JPEG"
    )]
    NotBuiltIn {
        /// The format's name.
        format: &'static str,
        /// The cargo feature that brings the decoder.
        feature: &'static str,
    },
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
            Self::Unsupported(_) | Self::NotBuiltIn { .. } => "unsupported",
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
    let format = format(bytes)?;
    guarded(format, || {
        let (size, orientation) = match format {
            Format::Jpeg => jpeg::probe(bytes)?,
            #[cfg(feature = "heif")]
            Format::Heif | Format::Avif => (heif::probe(bytes, format)?, Orientation::NoTransforms),
            _ => other::probe(bytes, format)?,
        };
        Ok(Probe::new(format, turned(size, orientation)))
    })
}

/// Decodes a file, upright and in sRGB, with a longest side of at most `max_side` pixels where one is given.
///
/// For formats without loss and colour profile this is [`fit_within`] of the full picture, bit for bit. A JPEG may come out up to 2 %
/// smaller than asked for, where that is a scale at which it decodes quickly.
///
/// # Errors
/// Everything that makes [`probe`] fail, and pixels that are missing or damaged.
pub fn decode(bytes: &[u8], max_side: Option<u32>) -> Result<Decoded, DecodeError> {
    let format = format(bytes)?;
    guarded(format, || {
        let raw = match format {
            Format::Jpeg => jpeg::decode(bytes, max_side)?,
            #[cfg(feature = "heif")]
            Format::Heif | Format::Avif => heif::decode(bytes, format)?,
            _ => other::decode(bytes, format)?,
        };
        // Converting and turning a 12 MP photo each cost more than decoding it: make it small first.
        let mut picture = fit_within(Cow::Owned(raw.picture), max_side).into_owned();
        if let Some(space) = &raw.space {
            picture = colour::to_srgb(picture, space);
        }
        let probe = Probe::new(format, turned(raw.size, raw.orientation));
        Ok(Decoded { probe, picture: upright(picture, raw.orientation) })
    })
}

/// What a decoder hands over.
struct Raw {
    /// As stored, perhaps smaller.
    picture: Picture,
    /// Full size in pixels, as stored.
    size: [u32; 2],
    orientation: Orientation,
    space: Option<colour::Space>,
}

impl Probe {
    fn new(format: Format, [width, height]: [u32; 2]) -> Self {
        Self { format, width, height }
    }
}

/// The format, if it is one that is read here.
fn format(bytes: &[u8]) -> Result<Format, DecodeError> {
    if bytes.is_empty() {
        return Err(DecodeError::Empty);
    }
    let format = Format::sniff(bytes).ok_or(DecodeError::NotAPicture)?;
    match format {
        Format::Heif | Format::Avif if cfg!(feature = "heif") => Ok(format),
        Format::Heif => Err(DecodeError::NotBuiltIn { format: format.name(), feature: "heif" }),
        Format::Avif => Err(DecodeError::NotBuiltIn { format: format.name(), feature: "avif" }),
        _ if format.decoder().is_none() => Err(DecodeError::Unsupported(format.name())),
        _ => Ok(format),
    }
}

/// Decoders do panic on broken files: that costs the file and nothing else.
fn guarded<T>(format: Format, work: impl FnOnce() -> Result<T, DecodeError>) -> Result<T, DecodeError> {
    // Nothing outlives a panic but decoders kept per thread, and those are made anew for each file or hold no state of one.
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        let detail = "its decoder gave up on it".to_owned();
        Err(DecodeError::Damaged { format: format.name(), detail })
    })
}

fn limit([width, height]: [u32; 2], bytes_per_pixel: u64) -> Result<(), DecodeError> {
    let pixels = u64::from(width) * u64::from(height);
    if pixels > MAX_PIXELS || pixels * bytes_per_pixel > MAX_BYTES { Err(DecodeError::TooLarge { width, height }) } else { Ok(()) }
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
    let mut image = DynamicImage::from(picture);
    image.apply_orientation(orientation);
    image.into()
}

/// 8 bits a channel, alpha only where there is an alpha channel.
impl From<DynamicImage> for Picture {
    fn from(image: DynamicImage) -> Self {
        if image.color().has_alpha() { Self::Rgba(image.into_rgba8()) } else { Self::Rgb(image.into_rgb8()) }
    }
}

impl From<Picture> for DynamicImage {
    fn from(picture: Picture) -> Self {
        match picture {
            Picture::Rgb(image) => Self::ImageRgb8(image),
            Picture::Rgba(image) => Self::ImageRgba8(image),
        }
    }
}

#[cfg(test)]
mod tests;
