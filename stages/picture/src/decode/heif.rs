//! HEIC, HEIF and AVIF: one container; HEVC inside through `heifer`, AV1 through `rav1d`.
//!
//! These files say how to turn the picture with properties of their own (`irot`, `imir`), and EXIF beside them only repeats it:
//! the properties are applied, EXIF is not (ISO/IEC 23008-12, 6.5.10 and annex A).

use heifer::heifer_isobmff::{
    HeifFile, ItemId,
    boxes::{ColorInfo, Property},
};
use image::metadata::Orientation;

use super::{DecodeError, MAX_PIXELS, Raw, colour::Space, limit};
use crate::{Format, Picture};

/// Size in pixels, upright.
pub(super) fn probe(bytes: &[u8], format: Format) -> Result<[u32; 2], DecodeError> {
    let file = parse(bytes, format)?;
    readable(&file, format)?;
    size(&file, format)
}

/// The picture, upright.
pub(super) fn decode(bytes: &[u8], format: Format) -> Result<Raw, DecodeError> {
    let file = parse(bytes, format)?;
    let codec = readable(&file, format)?;
    size(&file, format)?;
    let space = space(&file, file.primary_id);
    let picture = match codec {
        Codec::Hevc => hevc(bytes, format)?,
        #[cfg(feature = "avif")]
        Codec::Av1 => super::av1::decode(&file, format)?,
    };
    Ok(Raw { size: picture.size(), picture, orientation: Orientation::NoTransforms, space })
}

enum Codec {
    Hevc,
    #[cfg(feature = "avif")]
    Av1,
}

/// What the primary picture, or what it is made of, is coded with.
fn readable(file: &HeifFile<'_>, format: Format) -> Result<Codec, DecodeError> {
    let mut id = file.primary_id;
    // Derived pictures are made of others; deeper than this nobody goes.
    for _ in 0..4 {
        let item = file.item(id).map_err(|error| damaged(format, &error))?;
        match &item.item_type.0 {
            b"hvc1" | b"hev1" => return Ok(Codec::Hevc),
            #[cfg(feature = "avif")]
            b"av01" => return Ok(Codec::Av1),
            #[cfg(not(feature = "avif"))]
            b"av01" => return Err(DecodeError::NotBuiltIn { format: Format::Avif.name(), feature: "avif" }),
            b"grid" | b"iovl" | b"iden" => match file.referenced_items(id, b"dimg").first() {
                Some(first) => id = *first,
                None => break,
            },
            _ => return Err(DecodeError::Unsupported("HEIF (neither HEVC nor AV1)")),
        }
    }
    Err(DecodeError::Damaged { format: format.name(), detail: "it holds no picture".to_owned() })
}

fn parse(bytes: &[u8], format: Format) -> Result<HeifFile<'_>, DecodeError> {
    HeifFile::parse(bytes).map_err(|error| damaged(format, &error))
}

/// The size after what the file does to it, in pixels; within the limits.
fn size(file: &HeifFile<'_>, format: Format) -> Result<[u32; 2], DecodeError> {
    let size = file.image_size(file.primary_id).map_err(|error| damaged(format, &error))?;
    let (width, height) = size.ok_or_else(|| DecodeError::Damaged { format: format.name(), detail: "it has no size".to_owned() })?;
    limit([width, height], 4)?;
    let mut size = [width, height];
    for property in file.item_properties(file.primary_id).map_err(|error| damaged(format, &error))? {
        size = match property {
            Property::Rotation(quarters) if quarters % 2 == 1 => [size[1], size[0]],
            Property::CleanAperture { .. } => match Aperture::of(property, size) {
                Some(aperture) => [aperture.width, aperture.height],
                None => size,
            },
            _ => size,
        };
    }
    Ok(size)
}

/// What a `clap` property leaves of a picture (ISO/IEC 14496-12, 12.1.4): a rectangle in whole pixels inside it.
pub(super) struct Aperture {
    pub(super) left: u32,
    pub(super) top: u32,
    pub(super) width: u32,
    pub(super) height: u32,
}

impl Aperture {
    /// `None` for another property, and for one that leaves nothing.
    pub(super) fn of(property: &Property, size: [u32; 2]) -> Option<Self> {
        let Property::CleanAperture { width, height, horiz_offset, vert_offset } = *property else { return None };
        let along = |(length, length_of): (u32, u32), (offset, offset_of): (i32, u32), limit: u32| {
            if length_of == 0 || offset_of == 0 {
                return None;
            }
            let length = f64::from(length) / f64::from(length_of);
            let centre = f64::from(offset) / f64::from(offset_of) + (f64::from(limit) - 1.0) / 2.0;
            let start = (centre - (length - 1.0) / 2.0).round().clamp(0.0, f64::from(limit)) as u32;
            let length = (length.round() as u32).min(limit - start);
            (length > 0).then_some((start, length))
        };
        let ((left, width), (top, height)) = (along(width, horiz_offset, size[0])?, along(height, vert_offset, size[1])?);
        Some(Self { left, top, width, height })
    }
}

/// What the numbers of that picture, or of the first that it is made of, mean: its ICC profile, else its code points.
fn space(file: &HeifFile<'_>, id: ItemId) -> Option<Space> {
    let first = file.referenced_items(id, b"dimg").first().copied();
    let colours = [Some(id), first].into_iter().flatten().filter_map(|id| file.item_properties(id).ok()).flatten();
    let colours: Vec<&ColorInfo> =
        colours.filter_map(|property| if let Property::Color(info) = property { Some(info) } else { None }).collect();
    let icc = colours.iter().find_map(|info| if let ColorInfo::Icc(bytes) = info { Some(Space::Icc(bytes.clone())) } else { None });
    icc.or_else(|| {
        colours.iter().find_map(|info| match info {
            ColorInfo::Nclx { primaries, transfer, .. } => {
                Some(Space::Cicp { primaries: u8::try_from(*primaries).ok()?, transfer: u8::try_from(*transfer).ok()? })
            }
            ColorInfo::Icc(_) => None,
        })
    })
}

/// One thread: the engine works on as many photos at once as there are cores.
fn hevc(bytes: &[u8], format: Format) -> Result<Picture, DecodeError> {
    let options = heifer::Options { max_threads: 1, max_pixels: MAX_PIXELS };
    let image = heifer::decode_rgba8(bytes, &options).map_err(|error| damaged(format, &error))?;
    let (width, height) = (image.width, image.height);
    let picture = if image.has_alpha {
        image::RgbaImage::from_raw(width, height, image.data).map(Picture::Rgba)
    } else {
        image::RgbImage::from_raw(width, height, image.into_rgb8()).map(Picture::Rgb)
    };
    picture.filter(|picture| picture.size().iter().all(|side| *side > 0)).ok_or_else(|| damaged(format, &"nothing is left of the picture"))
}

pub(super) fn damaged(format: Format, error: &dyn std::fmt::Display) -> DecodeError {
    let detail = error.to_string();
    if detail.contains("unexpected end of data") {
        return DecodeError::Truncated(format.name());
    }
    DecodeError::Damaged { format: format.name(), detail }
}
