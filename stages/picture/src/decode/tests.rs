use image::{ExtendedColorType, ImageEncoder, Rgb, codecs::jpeg::JpegEncoder};

use super::*;
use crate::{Filter, encode_png, resize};

/// Left half red, right half blue, with a green stripe along the top: every turn of it looks different.
fn marked(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        if y < height / 8 {
            Rgb([0, 255, 0])
        } else if x < width / 2 {
            Rgb([255, 0, 0])
        } else {
            Rgb([0, 0, 255])
        }
    })
}

fn jpeg(image: &RgbImage) -> Vec<u8> {
    let mut file = Vec::new();
    JpegEncoder::new_with_quality(&mut file, 95).encode_image(image).unwrap();
    file
}

/// The JPEG with an EXIF block that says `orientation`, put right behind the start marker.
fn with_orientation(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    let mut exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0, 0]);
    let mut file = vec![0xFF, 0xD8, 0xFF, 0xE1];
    file.extend(((exif.len() + 2) as u16).to_be_bytes());
    file.extend(exif);
    file.extend(&jpeg[2..]);
    file
}

#[test]
fn all_eight_orientations_come_out_upright() {
    let image = marked(96, 64);
    for value in 1..=8 {
        // What a camera stores: the upright picture turned the other way.
        let mut stored = DynamicImage::ImageRgb8(image.clone());
        let undo = match Orientation::from_exif(value).unwrap() {
            Orientation::Rotate90 => Orientation::Rotate270,
            Orientation::Rotate270 => Orientation::Rotate90,
            own_inverse => own_inverse,
        };
        stored.apply_orientation(undo);
        let file = with_orientation(&jpeg(&stored.into_rgb8()), value);
        let probe = probe(&file).unwrap();
        assert_eq!([probe.width, probe.height], [96, 64], "orientation {value}");
        let Picture::Rgb(seen) = decode(&file, None).unwrap().picture else { panic!("alpha from nowhere") };
        for (x, y) in [(10, 3), (10, 50), (85, 50)] {
            let (seen, meant) = (seen.get_pixel(x, y).0, image.get_pixel(x, y).0);
            assert!(seen.iter().zip(meant).all(|(a, b)| a.abs_diff(b) < 24), "orientation {value} at {x},{y}: {seen:?}, not {meant:?}");
        }
    }
}

#[test]
fn a_malformed_exif_block_costs_nothing() {
    let mut file = with_orientation(&jpeg(&marked(40, 30)), 6);
    file[14] = 0xEE;
    assert_eq!(decode(&file, None).unwrap().picture.size(), [40, 30]);
}

#[test]
fn a_reduced_decode_fits_and_looks_the_same() {
    let file = with_orientation(&jpeg(&marked(1200, 800)), 6);
    let full = decode(&file, None).unwrap();
    let small = decode(&file, Some(150)).unwrap();
    assert_eq!((small.probe.width, small.probe.height), (800, 1200));
    assert_eq!(small.picture.size(), [100, 150]);
    let by_hand = resize(&full.picture, 100, 150, Filter::Lanczos);
    let (a, b) = (small.picture.over(Rgb([0; 3])).into_owned().into_raw(), by_hand.over(Rgb([0; 3])).into_owned().into_raw());
    let mean = a.iter().zip(&b).map(|(a, b)| f64::from(a.abs_diff(*b))).sum::<f64>() / a.len() as f64;
    assert!(mean < 3.0, "mean difference {mean}");
}

#[test]
fn png_is_exact_with_and_without_alpha() {
    let rgb = Picture::Rgb(marked(31, 17));
    assert_eq!(decode(&encode_png(&rgb), None).unwrap().picture, rgb);
    let rgba = Picture::Rgba(image::RgbaImage::from_fn(9, 5, |x, y| image::Rgba([x as u8, y as u8, 7, (x * 20) as u8])));
    assert_eq!(decode(&encode_png(&rgba), None).unwrap().picture, rgba);
}

#[test]
fn sixteen_bits_grey_and_cmyk_become_eight_bit_rgb() {
    let mut png16 = Vec::new();
    let deep: Vec<u8> = (0..12u16 * 3).flat_map(|v| (v * 1800).to_ne_bytes()).collect();
    image::codecs::png::PngEncoder::new(&mut png16).write_image(&deep, 4, 3, ExtendedColorType::Rgb16).unwrap();
    assert!(matches!(decode(&png16, None).unwrap().picture, Picture::Rgb(_)));

    let mut grey = Vec::new();
    JpegEncoder::new(&mut grey).write_image(&[99; 16 * 16], 16, 16, ExtendedColorType::L8).unwrap();
    let Picture::Rgb(grey) = decode(&grey, None).unwrap().picture else { panic!("alpha from nowhere") };
    assert!(grey.get_pixel(8, 8).0.iter().all(|v| v.abs_diff(99) <= 2));

    // A CMYK JPEG made with libjpeg-turbo: pure red as (0, 255, 255, 0), stored inverted as Adobe does.
    let cmyk = [255u8, 0, 0, 255].repeat(16 * 16);
    let source = turbojpeg::Image { pixels: cmyk.as_slice(), width: 16, pitch: 64, height: 16, format: turbojpeg::PixelFormat::CMYK };
    let mut compressor = turbojpeg::Compressor::new().unwrap();
    compressor.set_subsamp(turbojpeg::Subsamp::None).unwrap();
    let file = compressor.compress_to_vec(source).unwrap();
    let Picture::Rgb(red) = decode(&file, None).unwrap().picture else { panic!("alpha from nowhere") };
    let [r, g, b] = red.get_pixel(8, 8).0;
    assert!(r > 200 && g < 60 && b < 60, "{r} {g} {b}");
}

#[test]
fn bad_files_say_what_is_wrong_with_them() {
    let whole = jpeg(&marked(200, 200));
    // A PNG header that claims 60,000 × 60,000 and nothing else: must be refused from the header.
    let mut bomb = b"\x89PNG\r\n\x1A\n\0\0\0\x0DIHDR".to_vec();
    bomb.extend(60_000u32.to_be_bytes());
    bomb.extend(60_000u32.to_be_bytes());
    bomb.extend([8, 2, 0, 0, 0]);
    let crc = crc32(&bomb[12..]);
    bomb.extend(crc.to_be_bytes());
    bomb.extend(b"\0\0\0\0IDAT\x35\xAF\x06\x1E");
    let png = encode_png(&Picture::Rgb(marked(200, 200)));
    for (bytes, kind) in [
        (&b""[..], "empty"),
        (b"dear diary, today the cat", "not_a_picture"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "unsupported"),
        (&bomb, "too_large"),
        (&whole[..whole.len() / 2], "truncated"),
        (&png[..png.len() / 2], "truncated"),
    ] {
        let error = decode(bytes, Some(64)).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
    }
    assert_eq!(decode(&encode_png(&Picture::Rgb(marked(1, 1))), None).unwrap().picture.size(), [1, 1]);
}

/// The checksum of PNG chunks, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes
        .iter()
        .fold(!0u32, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg())))
}
