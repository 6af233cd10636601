//! Photos on disk, as somebody's folder would hold them: several formats, some stored turned, some twice.

use std::{
    fs,
    io::{self, Cursor},
    path::{Path, PathBuf},
};

use catgen_picture::{Filter, Picture, resize};
use image::{DynamicImage, ImageFormat, codecs::jpeg::JpegEncoder};

use crate::{GrayImage, Plan, RgbImage};

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Every file, in the order of writing: originals first, then duplicates.
    pub photos: Vec<Written>,
}

/// One photo file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Below the folder, with `/` between its parts.
    pub path: PathBuf,
    /// Which cat of the seed.
    pub index: u64,
    /// For a planted duplicate, the path of the photo it was made from.
    pub of: Option<PathBuf>,
    /// How it was made.
    pub how: How,
    /// The EXIF orientation it is stored with: 1 (upright), 3, 6 or 8.
    pub orientation: u8,
}

/// How a file was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// Drawn: the only photo of this cat that is no copy.
    Drawn,
    /// The same bytes under another name.
    Exact,
    /// Saved again as JPEG of quality 55.
    Reencoded,
    /// At 70 % of the size.
    Resized,
    /// 6 % brighter.
    Brightened,
}

/// Writes `count` different cats into sub-folders of `folder`, and about a fifth as many planted duplicates.
///
/// With `masks`, the true mask of every file is written there, upright, as PNG under the same relative path.
///
/// # Errors
/// Whatever the file system says; files written before stay.
pub fn write(folder: &Path, masks: Option<&Path>, count: usize, seed: u64) -> io::Result<Sample> {
    let mut writer = Writer { folder, masks, photos: Vec::new() };
    let mut originals = Vec::new();
    for index in 0..count as u64 {
        let plan = Plan::new(seed, index);
        let cat = plan.draw();
        let orientation = stored_orientation(index);
        let format = stored_format(index);
        let name = format!("{}/IMG_{:04}.{}", plan.scene.folder(), index + 1, extension(format));
        let bytes = match format {
            ImageFormat::Jpeg => tagged(&jpeg(&turned(&cat.picture, orientation), 88)?, orientation),
            _ => encoded(&cat.picture, format)?,
        };
        let path = PathBuf::from(name);
        writer.put(Written { path: path.clone(), index, of: None, how: How::Drawn, orientation }, &bytes, &cat.mask)?;
        originals.push((path, index));
    }
    let copies = count.div_ceil(10);
    for copy in 0..copies {
        // Spread over the set, and other photos than those that get a near duplicate.
        let (path, index) = &originals[(copy * 10 + 3) % count];
        let bytes = fs::read(folder.join(path))?;
        let orientation = stored_orientation(*index);
        let name = renamed(path, "copy/", "", &extension(stored_format(*index)));
        let mask = crate::draw(seed, *index).mask;
        writer.put(Written { path: name, index: *index, of: Some(path.clone()), how: How::Exact, orientation }, &bytes, &mask)?;
    }
    for near in 0..copies {
        let (path, index) = &originals[(near * 10 + 7) % count];
        let cat = crate::draw(seed, *index);
        let (how, suffix) = [(How::Reencoded, "-small"), (How::Resized, "-web"), (How::Brightened, "-edited")][near % 3];
        let (picture, mask, quality) = match how {
            How::Resized => {
                let [width, height] = [cat.picture.width(), cat.picture.height()].map(|side| (f64::from(side) * 0.7).round() as u32);
                let Picture::Rgb(small) = resize(&Picture::Rgb(cat.picture), width, height, Filter::Lanczos) else {
                    unreachable!("an opaque picture stays opaque")
                };
                let mask = image::imageops::resize(&cat.mask, width, height, image::imageops::FilterType::Triangle);
                (small, mask, 88)
            }
            How::Brightened => (brightened(cat.picture, 1.06), cat.mask, 88),
            _ => (cat.picture, cat.mask, 55),
        };
        let name = renamed(path, "", suffix, "jpg");
        let written = Written { path: name, index: *index, of: Some(path.clone()), how, orientation: 1 };
        writer.put(written, &jpeg(&picture, quality)?, &mask)?;
    }
    Ok(Sample { photos: writer.photos })
}

struct Writer<'a> {
    folder: &'a Path,
    masks: Option<&'a Path>,
    photos: Vec<Written>,
}

impl Writer<'_> {
    fn put(&mut self, written: Written, bytes: &[u8], mask: &GrayImage) -> io::Result<()> {
        let save = |path: PathBuf, bytes: &[u8]| {
            fs::create_dir_all(path.parent().expect("a file's path below a folder has a parent"))?;
            fs::write(path, bytes)
        };
        save(self.folder.join(&written.path), bytes)?;
        if let Some(masks) = self.masks {
            let mut png = Cursor::new(Vec::new());
            mask.write_to(&mut png, ImageFormat::Png).map_err(io::Error::other)?;
            save(masks.join(written.path.with_extension("png")), png.get_ref())?;
        }
        self.photos.push(written);
        Ok(())
    }
}

/// JPEG mostly, as photos are; one in twelve PNG and, once in twenty-four, WebP, GIF and BMP.
fn stored_format(index: u64) -> ImageFormat {
    match index % 24 {
        5 | 14 => ImageFormat::Png,
        9 => ImageFormat::WebP,
        16 => ImageFormat::Gif,
        20 => ImageFormat::Bmp,
        _ => ImageFormat::Jpeg,
    }
}

/// Every fifth photo was taken with the camera held another way.
fn stored_orientation(index: u64) -> u8 {
    match (index % 15, stored_format(index)) {
        (2, ImageFormat::Jpeg) => 6,
        (7, ImageFormat::Jpeg) => 8,
        (12, ImageFormat::Jpeg) => 3,
        _ => 1,
    }
}

fn extension(format: ImageFormat) -> String {
    format.extensions_str()[0].to_owned()
}

fn renamed(path: &Path, folder: &str, suffix: &str, extension: &str) -> PathBuf {
    let stem = path.file_stem().expect("every photo has a name").to_string_lossy();
    let parent = path.parent().expect("every photo is in a sub-folder").to_string_lossy();
    let parent = if folder.is_empty() { format!("{parent}/") } else { folder.to_owned() };
    PathBuf::from(format!("{parent}{stem}{suffix}.{extension}"))
}

/// The pixels as a camera held that way stores them: the opposite of what a viewer does for the tag.
fn turned(picture: &RgbImage, orientation: u8) -> RgbImage {
    match orientation {
        3 => image::imageops::rotate180(picture),
        6 => image::imageops::rotate270(picture),
        8 => image::imageops::rotate90(picture),
        _ => picture.clone(),
    }
}

fn brightened(mut picture: RgbImage, factor: f32) -> RgbImage {
    picture.iter_mut().for_each(|value| *value = (f32::from(*value) * factor + 0.5) as u8);
    picture
}

fn jpeg(picture: &RgbImage, quality: u8) -> io::Result<Vec<u8>> {
    let mut file = Vec::new();
    JpegEncoder::new_with_quality(&mut file, quality).encode_image(picture).map_err(io::Error::other)?;
    Ok(file)
}

fn encoded(picture: &RgbImage, format: ImageFormat) -> io::Result<Vec<u8>> {
    let mut file = Cursor::new(Vec::new());
    DynamicImage::ImageRgb8(picture.clone()).write_to(&mut file, format).map_err(io::Error::other)?;
    Ok(file.into_inner())
}

/// The JPEG with an EXIF block that holds one tag, the orientation (EXIF 2.3, 4.6.4: tag 0x0112, SHORT, one value).
fn tagged(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    if orientation == 1 {
        return jpeg.to_vec();
    }
    let mut tiff = b"Exif\0\0MM\0\x2a\0\0\0\x08".to_vec();
    tiff.extend([0, 1]); // one entry
    tiff.extend([0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0]);
    tiff.extend([0; 4]); // no further directory
    let mut file = jpeg[..2].to_vec();
    file.extend([0xFF, 0xE1]);
    file.extend((tiff.len() as u16 + 2).to_be_bytes());
    file.extend(tiff);
    file.extend(&jpeg[2..]);
    file
}

#[cfg(test)]
mod tests;
