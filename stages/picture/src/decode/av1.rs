//! AVIF: AV1 frames to pixels.

use heifer::heifer_isobmff::{
    HeifFile, ItemId,
    boxes::{ColorInfo, Property},
};
use image::{GrayImage, RgbImage, RgbaImage, imageops};
use re_rav1d::dav1d::{self, PixelLayout, PlanarImageComponent, pixel};

use super::{
    DecodeError, MAX_PIXELS,
    heif::{Aperture, damaged},
};
use crate::{Format, Picture};

/// The primary picture, upright, with its alpha.
pub(super) fn decode(file: &HeifFile<'_>, format: Format) -> Result<Picture, DecodeError> {
    let colour = colour(file, file.primary_id, format)?;
    let picture = match alpha(file, format)? {
        None => Picture::Rgb(colour),
        Some(alpha) => {
            let alpha = match alpha.dimensions() == colour.dimensions() {
                true => alpha,
                false => imageops::resize(&alpha, colour.width(), colour.height(), imageops::FilterType::Triangle),
            };
            let pixels = colour.pixels().zip(alpha.pixels()).flat_map(|(colour, alpha)| [colour[0], colour[1], colour[2], alpha[0]]);
            let image = RgbaImage::from_raw(colour.width(), colour.height(), pixels.collect());
            Picture::Rgba(image.expect("four bytes were made for every pixel"))
        }
    };
    let mut picture = image::DynamicImage::from(picture);
    for property in file.item_properties(file.primary_id).map_err(|error| damaged(format, &error))? {
        picture = match property {
            Property::Rotation(1) => picture.rotate270(),
            Property::Rotation(2) => picture.rotate180(),
            Property::Rotation(3) => picture.rotate90(),
            Property::Mirror(true) => picture.flipv(),
            Property::Mirror(false) => picture.fliph(),
            clap => match Aperture::of(clap, [picture.width(), picture.height()]) {
                Some(Aperture { left, top, width, height }) => picture.crop_imm(left, top, width, height),
                None => picture,
            },
        };
    }
    Ok(picture.into())
}

/// One coded picture, or a grid of them.
fn colour(file: &HeifFile<'_>, id: ItemId, format: Format) -> Result<RgbImage, DecodeError> {
    let item = file.item(id).map_err(|error| damaged(format, &error))?;
    if item.item_type.0 != *b"grid" {
        let frame = frame(file, id, format)?;
        return Ok(rgb(&frame, coding(file, id, &frame)));
    }
    let grid = file.grid(id).map_err(|error| damaged(format, &error))?;
    let size = [grid.output_width, grid.output_height];
    super::limit(size, 4)?;
    let tiles = file.referenced_items(id, b"dimg");
    let columns = usize::from(grid.columns);
    if size.contains(&0) || tiles.len() != columns * usize::from(grid.rows) {
        return Err(damaged(format, &"its tiles do not make up the picture"));
    }
    let mut whole = RgbImage::new(size[0], size[1]);
    for (at, tile) in tiles.iter().enumerate() {
        let frame = frame(file, *tile, format)?;
        let tile = rgb(&frame, coding(file, *tile, &frame));
        let (x, y) = ((at % columns) as i64 * i64::from(tile.width()), (at / columns) as i64 * i64::from(tile.height()));
        imageops::replace(&mut whole, &tile, x, y);
    }
    Ok(whole)
}

/// The alpha plane of the primary picture, if it has one.
fn alpha(file: &HeifFile<'_>, format: Format) -> Result<Option<GrayImage>, DecodeError> {
    let is_alpha = |id: &ItemId| {
        let mut properties = file.item_properties(*id).into_iter().flatten();
        properties
            .any(|property| matches!(property, Property::AuxiliaryType(kind) if kind == "urn:mpeg:mpegB:cicp:systems:auxiliary:alpha"))
    };
    let Some(id) = file.referencing_items(file.primary_id, b"auxl").into_iter().find(is_alpha) else { return Ok(None) };
    if file.item(id).is_ok_and(|item| item.item_type.0 == *b"grid") {
        let grid = colour(file, id, format)?;
        let values = grid.pixels().map(|pixel| pixel[0]).collect();
        return Ok(GrayImage::from_raw(grid.width(), grid.height(), values));
    }
    let frame = frame(file, id, format)?;
    let coding = coding(file, id, &frame);
    let plane = Plane::of(&frame, PlanarImageComponent::Y);
    let values = (0..frame.height()).flat_map(|y| (0..frame.width()).map(move |x| (x, y)));
    let values = values.map(|(x, y)| level(coding.luma(plane.at(x as usize, y as usize)))).collect();
    Ok(GrayImage::from_raw(frame.width(), frame.height(), values))
}

/// The first frame of an item. One thread: the engine works on as many photos at once as there are cores.
fn frame(file: &HeifFile<'_>, id: ItemId, format: Format) -> Result<dav1d::Picture, DecodeError> {
    let data = file.item_data(id).map_err(|error| damaged(format, &error))?;
    if data.is_empty() {
        return Err(DecodeError::Truncated(format.name()));
    }
    let failed = |error: dav1d::Error| match error {
        dav1d::Error::Again => DecodeError::Truncated(format.name()),
        other => damaged(format, &other),
    };
    let mut settings = dav1d::Settings::new();
    settings.set_n_threads(1);
    settings.set_max_frame_delay(1);
    settings.set_frame_size_limit(u32::try_from(MAX_PIXELS).unwrap_or(u32::MAX));
    let mut decoder = dav1d::Decoder::with_settings(&settings).map_err(failed)?;
    match decoder.send_data(data.into_owned(), None, None, None) {
        // Data that waits is fine: the first frame is all that is wanted.
        Ok(()) | Err(dav1d::Error::Again) => decoder.get_picture().map_err(failed),
        Err(error) => Err(failed(error)),
    }
}

/// How the numbers of a frame became numbers (ITU-T H.273).
#[derive(Clone, Copy)]
struct Coding {
    matrix: u16,
    full_range: bool,
    depth: u32,
}

/// As the file says, which outranks what the stream says.
fn coding(file: &HeifFile<'_>, id: ItemId, frame: &dav1d::Picture) -> Coding {
    let depth = frame.bit_depth() as u32;
    let mut properties = file.item_properties(id).into_iter().flatten();
    properties
        .find_map(|property| match property {
            Property::Color(ColorInfo::Nclx { matrix, full_range, .. }) => Some(Coding { matrix: *matrix, full_range: *full_range, depth }),
            _ => None,
        })
        .unwrap_or_else(|| Coding {
            matrix: frame.matrix_coefficients() as u16,
            full_range: frame.color_range() == pixel::YUVRange::Full,
            depth,
        })
}

impl Coding {
    /// Luma, 0 to 1.
    fn luma(self, value: u16) -> f32 {
        let one = (1u32 << (self.depth - 8)) as f32;
        if self.full_range { f32::from(value) / (256.0 * one - 1.0) } else { (f32::from(value) - 16.0 * one) / (219.0 * one) }
    }

    /// Chroma, −½ to ½.
    fn chroma(self, value: f32) -> f32 {
        let one = (1u32 << (self.depth - 8)) as f32;
        (value - 128.0 * one) / if self.full_range { 256.0 * one - 1.0 } else { 224.0 * one }
    }

    /// Red and blue as shares of luma.
    fn weights(self) -> (f32, f32) {
        match self.matrix {
            1 => (0.2126, 0.0722),
            4 => (0.30, 0.11),
            7 => (0.212, 0.087),
            9 | 10 => (0.2627, 0.0593),
            _ => (0.299, 0.114),
        }
    }
}

/// The values of one plane, whatever their depth.
struct Plane {
    data: dav1d::Plane,
    stride: usize,
    wide: bool,
}

impl Plane {
    fn of(frame: &dav1d::Picture, component: PlanarImageComponent) -> Self {
        let stride = frame.stride(component) as usize;
        Self { data: frame.plane(component), stride, wide: frame.bit_depth() > 8 }
    }

    fn at(&self, x: usize, y: usize) -> u16 {
        let row = y * self.stride;
        if self.wide { u16::from_ne_bytes([self.data[row + 2 * x], self.data[row + 2 * x + 1]]) } else { u16::from(self.data[row + x]) }
    }
}

fn level(value: f32) -> u8 {
    (value * 255.0).round() as u8
}

fn rgb(frame: &dav1d::Picture, coding: Coding) -> RgbImage {
    let (width, height) = (frame.width(), frame.height());
    let luma = Plane::of(frame, PlanarImageComponent::Y);
    let [halved_x, halved_y] = match frame.pixel_layout() {
        PixelLayout::I400 => {
            return RgbImage::from_fn(width, height, |x, y| image::Rgb([level(coding.luma(luma.at(x as usize, y as usize))); 3]));
        }
        PixelLayout::I420 => [true, true],
        PixelLayout::I422 => [true, false],
        PixelLayout::I444 => [false, false],
    };
    let planes = [Plane::of(frame, PlanarImageComponent::U), Plane::of(frame, PlanarImageComponent::V)];
    let columns = neighbours(width as usize, halved_x);
    let rows = neighbours(height as usize, halved_y);
    let (red, blue) = coding.weights();
    let green = 1.0 - red - blue;
    let mut pixels = Vec::with_capacity(3 * width as usize * height as usize);
    for (y, &[near_y, far_y]) in rows.iter().enumerate() {
        for (x, &[near_x, far_x]) in columns.iter().enumerate() {
            let [u, v] = [0, 1].map(|plane: usize| {
                let plane = &planes[plane];
                let across = |y: usize| 3.0 * f32::from(plane.at(near_x, y)) + f32::from(plane.at(far_x, y));
                (3.0 * across(near_y) + across(far_y)) / 16.0
            });
            let luma = coding.luma(luma.at(x, y));
            pixels.extend(match coding.matrix {
                // G, B and R as they are, in luma's range.
                0 => [coding.luma(v.round() as u16), luma, coding.luma(u.round() as u16)].map(level),
                // YCgCo.
                8 => {
                    let (cg, co) = (coding.chroma(u), coding.chroma(v));
                    [luma - cg + co, luma + cg, luma - cg - co].map(level)
                }
                _ => {
                    let (u, v) = (coding.chroma(u), coding.chroma(v));
                    let (r, b) = (luma + 2.0 * (1.0 - red) * v, luma + 2.0 * (1.0 - blue) * u);
                    [r, (luma - red * r - blue * b) / green, b].map(level)
                }
            });
        }
    }
    RgbImage::from_raw(width, height, pixels).expect("three bytes were made for every pixel")
}

/// For each position the chroma sample that covers it and the one that comes next nearest: weighed 3 to 1, as samples between
/// two pixels are.
fn neighbours(length: usize, halved: bool) -> Vec<[usize; 2]> {
    let last = length.div_ceil(2).saturating_sub(1);
    let near = |at: usize| if at.is_multiple_of(2) { [at / 2, (at / 2).saturating_sub(1)] } else { [at / 2, (at / 2 + 1).min(last)] };
    (0..length).map(|at| if halved { near(at) } else { [at, at] }).collect()
}
