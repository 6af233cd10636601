//! JPEG through libjpeg-turbo: decoded at the smallest scale that is enough.

use std::{cell::RefCell, io::Cursor};

use image::{RgbImage, metadata::Orientation};
use turbojpeg::{Colorspace, DecompressHeader, Decompressor, Image, PixelFormat, ScalingFactor};

use super::{DecodeError, Raw, colour::Space, limit, other};
use crate::{Format, Picture};

/// A scaled picture that misses the side asked for by less than this share is taken as it is: 4032 pixels are 504 at 1/8 and
/// 1008 at 1/4, and nobody sees the difference to 512 and 1024, which cost half as much again to decode.
const NEAR_ENOUGH: f64 = 0.98;

/// More scans than this are an attack on the decoder, not a progressive photo, which has about ten.
const MAX_SCANS: u32 = 200;

/// A JPEG spends at least a bit on each block of 64 pixels of each channel, so a file cannot hold more pixels than this for
/// each of its bytes, and memory for them is not worth asking for. (One scan of one channel: 512.)
const MAX_PIXELS_PER_BYTE: u64 = 1024;

thread_local! {
    /// A decompressor holds tables worth keeping between photos.
    static TURBO: RefCell<Option<Decompressor>> = const { RefCell::new(None) };
}

/// Size as stored, in pixels, and how to turn it upright.
pub(super) fn probe(bytes: &[u8]) -> Result<([u32; 2], Orientation), DecodeError> {
    let size = match with_turbo(|turbo| turbo.read_header(bytes).ok()) {
        Some(header) => [header.width as u32, header.height as u32],
        None => other::probe(bytes, Format::Jpeg)?.0,
    };
    limit(size, 3)?;
    let pixels = u64::from(size[0]) * u64::from(size[1]);
    if pixels > MAX_PIXELS_PER_BYTE * bytes.len() as u64 {
        return Err(DecodeError::Truncated(Format::Jpeg.name()));
    }
    Ok((size, orientation(bytes)))
}

/// The picture as stored, with a longest side of about `max_side` or more.
pub(super) fn decode(bytes: &[u8], max_side: Option<u32>) -> Result<Raw, DecodeError> {
    let (size, orientation) = probe(bytes)?;
    let profile = profile(bytes);
    match with_turbo(|turbo| turbo_pixels(turbo, bytes, max_side)) {
        Ok(Pixels::Rgb(image)) => Ok(Raw { picture: Picture::Rgb(image), size, orientation, space: profile.map(Space::Icc) }),
        Ok(Pixels::Cmyk { width, height, ink }) => {
            let image = super::colour::cmyk_to_srgb(width, height, ink, profile.as_deref());
            Ok(Raw { picture: Picture::Rgb(image), size, orientation, space: None })
        }
        Err(Refusal::Bad(error)) => Err(error),
        // The other decoder reads a few odd files that libjpeg-turbo does not.
        Err(Refusal::NotForTurbo) => {
            let raw = other::decode(bytes, Format::Jpeg)?;
            Ok(Raw { orientation, ..raw })
        }
    }
}

enum Pixels {
    Rgb(RgbImage),
    /// Four bytes a pixel: how much ink of each, 0 for none.
    Cmyk {
        width: u32,
        height: u32,
        ink: Vec<u8>,
    },
}

enum Refusal {
    Bad(DecodeError),
    NotForTurbo,
}

fn with_turbo<T: Missing>(work: impl FnOnce(&mut Decompressor) -> T) -> T {
    TURBO.with_borrow_mut(|slot| {
        let turbo = match slot {
            Some(turbo) => turbo,
            None => match Decompressor::new() {
                Ok(turbo) => slot.insert(turbo),
                Err(_) => return T::missing(),
            },
        };
        work(turbo)
    })
}

/// What to answer where libjpeg-turbo cannot even be started.
trait Missing {
    fn missing() -> Self;
}

impl Missing for Option<DecompressHeader> {
    fn missing() -> Self {
        None
    }
}

impl Missing for Result<Pixels, Refusal> {
    fn missing() -> Self {
        Err(Refusal::NotForTurbo)
    }
}

fn turbo_pixels(turbo: &mut Decompressor, bytes: &[u8], max_side: Option<u32>) -> Result<Pixels, Refusal> {
    let not_for_turbo = |_| Refusal::NotForTurbo;
    let header = turbo.read_header(bytes).map_err(not_for_turbo)?;
    let scale = scale(&header, max_side);
    turbo.set_scan_limit(MAX_SCANS).map_err(not_for_turbo)?;
    turbo.set_scaling_factor(scale).map_err(not_for_turbo)?;
    let (width, height) = (header.scaled(scale).width, header.scaled(scale).height);
    let cmyk = matches!(header.colorspace, Colorspace::CMYK | Colorspace::YCCK);
    let format = if cmyk { PixelFormat::CMYK } else { PixelFormat::RGB };
    let pitch = width * format.size();
    let mut pixels = vec![0; pitch * height];
    let done = turbo.decompress(bytes, Image { pixels: pixels.as_mut_slice(), width, pitch, height, format });
    if let Err(error) = done {
        match complaint(&error.to_string()) {
            Complaint::Harmless => {}
            Complaint::EndMissing => {
                // Some cameras forget the end marker, and then every pixel is there all the same.
                let mut ended = bytes.to_vec();
                ended.extend([0xFF, 0xD9]);
                let image = Image { pixels: pixels.as_mut_slice(), width, pitch, height, format };
                turbo.decompress(&ended, image).map_err(|_| Refusal::Bad(DecodeError::Truncated(Format::Jpeg.name())))?;
            }
            Complaint::Damage(detail) => {
                return Err(Refusal::Bad(DecodeError::Damaged { format: Format::Jpeg.name(), detail }));
            }
            Complaint::Refused => return Err(Refusal::NotForTurbo),
        }
    }
    let (width, height) = (width as u32, height as u32);
    if cmyk {
        // Everybody writes CMYK the way Adobe does: 255 for no ink.
        pixels.iter_mut().for_each(|value| *value = 255 - *value);
        return Ok(Pixels::Cmyk { width, height, ink: pixels });
    }
    RgbImage::from_raw(width, height, pixels).map(Pixels::Rgb).ok_or(Refusal::NotForTurbo)
}

/// The smallest of 1, 1/2, 1/4, 1/8 that leaves (nearly) `max_side` pixels on the longest side.
fn scale(header: &DecompressHeader, max_side: Option<u32>) -> ScalingFactor {
    let Some(side) = max_side.filter(|_| !header.is_lossless) else { return ScalingFactor::ONE };
    let enough = f64::from(side) * NEAR_ENOUGH;
    let longest = header.width.max(header.height);
    [ScalingFactor::ONE_EIGHTH, ScalingFactor::ONE_QUARTER, ScalingFactor::ONE_HALF]
        .into_iter()
        .find(|scale| scale.scale(longest) as f64 >= enough)
        .unwrap_or(ScalingFactor::ONE)
}

enum Complaint {
    /// The pixels are all there.
    Harmless,
    EndMissing,
    /// Pixels are missing or wrong, though the decoder filled the picture.
    Damage(String),
    /// There is no picture.
    Refused,
}

/// What libjpeg's words mean; they are the texts of its `jerror.h`, of which the first warning is reported.
fn complaint(words: &str) -> Complaint {
    const HARMLESS: [&str; 5] =
        ["before marker 0xd9", "unknown JFIF revision", "Unknown Adobe color transform", "Invalid SOS parameters", "bad ICC marker"];
    const DAMAGE: [&str; 3] = ["Corrupt JPEG data", "Inconsistent progression", "scans"];
    let detail = words.strip_prefix("TurboJPEG error: ").unwrap_or(words);
    if HARMLESS.iter().any(|harmless| detail.contains(harmless)) {
        Complaint::Harmless
    } else if detail.contains("Premature end") {
        Complaint::EndMissing
    } else if DAMAGE.iter().any(|damage| detail.contains(damage)) {
        Complaint::Damage(detail.strip_prefix("Corrupt JPEG data: ").unwrap_or(detail).to_owned())
    } else {
        Complaint::Refused
    }
}

/// The EXIF orientation; a malformed EXIF block means none, it never costs the photo.
fn orientation(bytes: &[u8]) -> Orientation {
    let exif = exif::Reader::new().read_from_container(&mut Cursor::new(bytes)).ok();
    let value = exif.and_then(|exif| exif.get_field(exif::Tag::Orientation, exif::In::PRIMARY)?.value.get_uint(0));
    let value = value.and_then(|value| u8::try_from(value).ok());
    value.and_then(Orientation::from_exif).unwrap_or(Orientation::NoTransforms)
}

/// The ICC profile, put together from its APP2 segments (ICC.1:2022, annex B.4); `None` where there is none or a part is missing.
fn profile(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut parts: Vec<(u8, u8, &[u8])> = Vec::new();
    let mut at = 2;
    while let [0xFF, marker, rest @ ..] = bytes.get(at..)? {
        at += match marker {
            // Fill bytes, and markers without a length.
            0xFF => 1,
            0x01 | 0xD0..=0xD8 => 2,
            // Pixels begin, or there are none.
            0xD9 | 0xDA => break,
            _ => {
                let length = usize::from(u16::from_be_bytes([*rest.first()?, *rest.get(1)?])).max(2);
                let content = rest.get(2..length)?;
                if let (0xE2, Some([number, count, part @ ..])) = (marker, content.strip_prefix(b"ICC_PROFILE\0")) {
                    parts.push((*number, *count, part));
                }
                2 + length
            }
        };
    }
    parts.sort_by_key(|(number, ..)| *number);
    let whole = parts.iter().enumerate().all(|(at, (number, count, _))| {
        usize::from(*number) == at + 1 && usize::from(*count) == parts.len() // numbered from 1
    });
    (whole && !parts.is_empty()).then(|| parts.iter().flat_map(|(.., part)| *part).copied().collect())
}
