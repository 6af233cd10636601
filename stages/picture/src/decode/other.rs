//! Everything that the `image` crate reads: PNG, WebP, GIF, BMP, TIFF, and JPEGs that libjpeg-turbo refuses.

use std::io::Cursor;

use image::{DynamicImage, ImageDecoder, ImageReader, metadata::Orientation};

use super::{DecodeError, Raw, colour::Space, limit};
use crate::{Format, Picture};

/// Deflate never shrinks by more than this (two bits for 258 bytes), so a PNG that claims more pixels is cut short.
const DEFLATE: u64 = 1032;

/// Size as stored, in pixels, and how to turn it upright.
pub(super) fn probe(bytes: &[u8], format: Format) -> Result<([u32; 2], Orientation), DecodeError> {
    let mut decoder = decoder(bytes, format)?;
    let size = checked(&decoder, bytes, format)?;
    Ok((size, decoder.orientation().unwrap_or(Orientation::NoTransforms)))
}

/// The picture as stored; of an animation the first frame.
pub(super) fn decode(bytes: &[u8], format: Format) -> Result<Raw, DecodeError> {
    let mut decoder = decoder(bytes, format)?;
    let size = checked(&decoder, bytes, format)?;
    // Malformed EXIF or ICC data never costs the photo.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let space = decoder.icc_profile().ok().flatten().map(Space::Icc);
    let image = DynamicImage::from_decoder(decoder).map_err(|error| damaged(format, &error))?;
    let mut picture = Picture::from(image);
    if let (Format::Gif, Picture::Rgba(image)) = (format, &picture)
        && image.pixels().all(|pixel| pixel[3] == 255)
    {
        // The decoder answers with alpha for every GIF.
        picture = Picture::Rgb(DynamicImage::ImageRgba8(image.clone()).into_rgb8());
    }
    Ok(Raw { picture, size, orientation, space })
}

fn decoder(bytes: &[u8], format: Format) -> Result<impl ImageDecoder + '_, DecodeError> {
    let kind = format.decoder().ok_or(DecodeError::Unsupported(format.name()))?;
    let mut reader = ImageReader::with_format(Cursor::new(bytes), kind);
    // The size is checked here, in words; what decoders need besides the pixels stays limited.
    let mut limits = image::Limits::default();
    limits.max_alloc = Some(super::MAX_BYTES);
    reader.limits(limits);
    reader.into_decoder().map_err(|error| damaged(format, &error))
}

fn checked(decoder: &impl ImageDecoder, bytes: &[u8], format: Format) -> Result<[u32; 2], DecodeError> {
    let (width, height) = decoder.dimensions();
    limit([width, height], u64::from(decoder.color_type().bytes_per_pixel()))?;
    if format == Format::Png {
        let bits = u64::from(decoder.original_color_type().bits_per_pixel());
        if u64::from(width) * u64::from(height) * bits / 8 > DEFLATE * bytes.len() as u64 {
            return Err(DecodeError::Truncated(format.name()));
        }
    }
    Ok([width, height])
}

fn damaged(format: Format, error: &image::ImageError) -> DecodeError {
    let detail = error.to_string();
    let early = ["unexpected end", "UnexpectedEof", "failed to fill whole buffer", "unexpected EOF"];
    if early.iter().any(|words| detail.contains(words)) {
        return DecodeError::Truncated(format.name());
    }
    DecodeError::Damaged { format: format.name(), detail }
}
