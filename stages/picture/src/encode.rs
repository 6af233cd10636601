//! Writing pictures: PNG, the one format of every folder that stages fill, and JPEG for thumbnails.

use image::{
    ExtendedColorType, ImageEncoder, Rgb,
    codecs::{jpeg::JpegEncoder, png::PngEncoder},
};

use crate::Picture;

/// The picture as a PNG file: RGB or RGBA, 8 bits.
///
/// Uses the encoder's fast setting with adaptive filters: at 64 × 64 the better ones cost ten times the time for 4 % of the
/// bytes, and no filter costs 71 % more bytes.
pub fn encode_png(picture: &Picture) -> Vec<u8> {
    let [width, height] = picture.size();
    let (pixels, colour) = match picture {
        Picture::Rgb(image) => (image.as_raw(), ExtendedColorType::Rgb8),
        Picture::Rgba(image) => (image.as_raw(), ExtendedColorType::Rgba8),
    };
    let mut file = Vec::with_capacity(pixels.len() / 2 + 1024);
    PngEncoder::new(&mut file)
        .write_image(pixels, width, height, colour)
        .expect("writing a whole picture of known size to memory cannot fail");
    file
}

/// The picture as a JPEG file of that quality, 1 to 100, with white under what is transparent: for looking at, not for working on.
pub fn encode_jpeg(picture: &Picture, quality: u8) -> Vec<u8> {
    let image = picture.over(Rgb([255; 3]));
    let mut file = Vec::new();
    JpegEncoder::new_with_quality(&mut file, quality)
        .write_image(image.as_raw(), image.width(), image.height(), ExtendedColorType::Rgb8)
        .expect("writing a whole picture, no longer than JPEG allows, to memory cannot fail");
    file
}
