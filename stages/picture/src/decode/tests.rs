use image::{ExtendedColorType, ImageEncoder, Rgb, RgbImage, codecs::jpeg::JpegEncoder};

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
fn a_scale_that_is_nearly_enough_is_taken() {
    // 12 MP at 1/8 are 504 pixels: good enough for 512, not for 520.
    let file = jpeg(&marked(4032, 3024));
    for (side, size) in [(512, [504, 378]), (1024, [1008, 756]), (520, [520, 390]), (500, [500, 375])] {
        assert_eq!(decode(&file, Some(side)).unwrap().picture.size(), size, "{side}");
    }
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
fn sixteen_bits_grey_and_palettes_become_eight_bit_rgb() {
    let mut png16 = Vec::new();
    let deep: Vec<u8> = (0..12u16 * 3).flat_map(|v| (v * 1800).to_ne_bytes()).collect();
    image::codecs::png::PngEncoder::new(&mut png16).write_image(&deep, 4, 3, ExtendedColorType::Rgb16).unwrap();
    let Picture::Rgb(png16) = decode(&png16, None).unwrap().picture else { panic!("alpha from nowhere") };
    assert!(png16.as_raw().iter().zip(0..).all(|(seen, v)| seen.abs_diff((v * 1800 / 257) as u8) <= 1), "{png16:?}");

    let mut grey = Vec::new();
    JpegEncoder::new(&mut grey).write_image(&[99; 16 * 16], 16, 16, ExtendedColorType::L8).unwrap();
    let Picture::Rgb(grey) = decode(&grey, None).unwrap().picture else { panic!("alpha from nowhere") };
    assert!(grey.get_pixel(8, 8).0.iter().all(|v| v.abs_diff(99) <= 2));

    // GIFs have palettes; of an animation the first frame counts, and no transparency is made up.
    let mut gif = Vec::new();
    let frames = [marked(96, 64), RgbImage::from_pixel(96, 64, Rgb([255; 3]))];
    let frames = frames.map(|image| image::Frame::new(DynamicImage::ImageRgb8(image).into_rgba8()));
    image::codecs::gif::GifEncoder::new(&mut gif).encode_frames(frames).unwrap();
    looks_marked(&gif, "gif");
}

#[test]
fn ink_becomes_light() {
    // Pure red as (0, 255, 255, 0) of ink, stored as Adobe stores it: upside down.
    let cmyk = [255u8, 0, 0, 255].repeat(64 * 64);
    let source = turbojpeg::Image { pixels: cmyk.as_slice(), width: 64, pitch: 256, height: 64, format: turbojpeg::PixelFormat::CMYK };
    let mut compressor = turbojpeg::Compressor::new().unwrap();
    compressor.set_subsamp(turbojpeg::Subsamp::None).unwrap();
    let file = compressor.compress_to_vec(source).unwrap();
    for side in [None, Some(16)] {
        let decoded = decode(&file, side).unwrap();
        assert_eq!(decoded.picture.width(), side.unwrap_or(64));
        assert_eq!(colour_at(&decoded.picture, 0.5, 0.5), [255, 0, 0]);
    }
    // A printer whose magenta and yellow together make a dark green: 50 % lightness, −50 of a*, +50 of b*.
    let [r, g, b] = colour_at(&decode(&with_profile(&file, &ink_profile()), None).unwrap().picture, 0.5, 0.5);
    assert!(g > 120 && r < 90 && b < 60, "{r} {g} {b}");
    // A profile for another kind of picture, or one that is noise, changes nothing.
    for profile in [moxcms::ColorProfile::new_display_p3().encode().unwrap(), vec![7; 300]] {
        assert_eq!(colour_at(&decode(&with_profile(&file, &profile), None).unwrap().picture, 0.5, 0.5), [255, 0, 0]);
    }
}

/// A printer's profile as small as they get: one 8-bit table of two steps for each ink, to Lab (ICC.1:2022, 10.10).
fn ink_profile() -> Vec<u8> {
    let mut table = b"mft1\0\0\0\0\x04\x03\x02\0".to_vec();
    for value in [1u32, 0, 0, 0, 1, 0, 0, 0, 1] {
        table.extend((value << 16).to_be_bytes());
    }
    let ramp: Vec<u8> = (0..=255).collect();
    table.extend(ramp.repeat(4));
    for at in 0..16u8 {
        // The first ink changes slowest: bit 3 is cyan, 0 black.
        table.extend(match at {
            0 => [255, 128, 128],
            0b0110 => [128, 78, 178],
            _ => [0, 128, 128],
        });
    }
    table.extend(ramp.repeat(3));
    let mut profile = vec![0; 128];
    profile[8..12].copy_from_slice(&[2, 0x40, 0, 0]);
    profile[12..24].copy_from_slice(b"prtrCMYKLab ");
    profile[36..40].copy_from_slice(b"acsp");
    // The illuminant, D50.
    for (at, value) in [0xF6D6u32, 0x1_0000, 0xD32D].into_iter().enumerate() {
        profile[68 + 4 * at..72 + 4 * at].copy_from_slice(&value.to_be_bytes());
    }
    let tags = [*b"A2B0", *b"A2B1"];
    profile.extend((tags.len() as u32).to_be_bytes());
    for tag in tags {
        profile.extend(tag);
        profile.extend((128 + 4 + 12 * tags.len() as u32).to_be_bytes());
        profile.extend((table.len() as u32).to_be_bytes());
    }
    profile.extend(table);
    let length = profile.len() as u32;
    profile[..4].copy_from_slice(&length.to_be_bytes());
    profile
}

/// The JPEG with that ICC profile, in two parts, the second first.
fn with_profile(jpeg: &[u8], profile: &[u8]) -> Vec<u8> {
    let mut file = jpeg[..2].to_vec();
    let (one, two) = profile.split_at(profile.len() / 2);
    for (number, part) in [(2, two), (1, one)] {
        file.extend([0xFF, 0xE2]);
        file.extend(((part.len() + 16) as u16).to_be_bytes());
        file.extend(b"ICC_PROFILE\0");
        file.extend([number, 2]);
        file.extend(part);
    }
    file.extend(&jpeg[2..]);
    file
}

/// The colour at a place given in shares of width and height.
fn colour_at(picture: &Picture, x: f64, y: f64) -> [u8; 3] {
    let [width, height] = picture.size();
    picture.over(Rgb([0; 3])).get_pixel((x * f64::from(width)) as u32, (y * f64::from(height)) as u32).0
}

/// Whether the file is [`marked`], 96 × 64 and upright, with those who probe it being told so.
fn looks_marked(file: &[u8], name: &str) {
    let probe = probe(file).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!([probe.width, probe.height], [96, 64], "{name}");
    let decoded = decode(file, None).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!((decoded.probe, decoded.picture.size()), (probe, [96, 64]), "{name}");
    assert!(!decoded.picture.has_alpha(), "{name}: alpha from nowhere");
    for (place, meant) in [([0.1, 0.05], [0, 255, 0]), ([0.1, 0.8], [255, 0, 0]), ([0.9, 0.8], [0, 0, 255])] {
        let seen = colour_at(&decoded.picture, place[0], place[1]);
        assert!(seen.iter().zip(meant).all(|(a, b)| a.abs_diff(b) < 24), "{name} at {place:?}: {seen:?}, not {meant:?}");
    }
}

#[cfg(feature = "avif")]
#[test]
fn heic_and_avif_come_out_upright_once_and_in_colour() {
    // The turned ones say so twice, as phones do: in a property of their own and in EXIF.
    for (name, file) in [
        ("plain.heic", &include_bytes!("../../testdata/plain.heic")[..]),
        ("turned.heic", include_bytes!("../../testdata/turned.heic")),
        ("deep.heic", include_bytes!("../../testdata/deep.heic")),
        ("plain.avif", include_bytes!("../../testdata/plain.avif")),
        ("turned.avif", include_bytes!("../../testdata/turned.avif")),
        ("limited-444.avif", include_bytes!("../../testdata/limited-444.avif")),
        ("odd-422.avif", include_bytes!("../../testdata/odd-422.avif")),
        ("animated.avif", include_bytes!("../../testdata/animated.avif")),
    ] {
        looks_marked(file, name);
        let small = decode(file, Some(32)).unwrap();
        assert_eq!((small.probe.width, small.picture.size()), (96, [32, 21]), "{name}");
        for cut in [file.len() - 20, file.len() / 2, 40, 20] {
            assert!(decode(&file[..cut], None).is_err(), "{name} cut at {cut}");
        }
    }
    for file in [&include_bytes!("../../testdata/alpha.heic")[..], include_bytes!("../../testdata/alpha.avif")] {
        let Picture::Rgba(image) = decode(file, None).unwrap().picture else { panic!("alpha was lost") };
        let alpha = [2, 32, 62].map(|y| image.get_pixel(20, y)[3]);
        assert!(alpha[0] < 20 && (110..150).contains(&alpha[1]) && alpha[2] > 235, "{alpha:?}");
    }
    let grey = decode(include_bytes!("../../testdata/grey.avif"), None).unwrap().picture;
    let [top, bottom] = [0.05, 0.95].map(|y| colour_at(&grey, 0.5, y));
    assert!(top.iter().all(|value| *value < 30) && bottom.iter().all(|value| *value > 225), "{top:?} {bottom:?}");
}

#[cfg(not(feature = "heif"))]
#[test]
fn a_decoder_that_was_left_out_is_named() {
    let error = decode(include_bytes!("../../testdata/plain.heic"), None).unwrap_err();
    assert_eq!((error.kind(), error.to_string().contains("`--features heif`")), ("unsupported", true), "{error}");
}

#[test]
fn profiles_become_srgb_and_srgb_stays_as_it_is() {
    let green = RgbImage::from_pixel(64, 64, Rgb([60, 200, 90]));
    let file = jpeg(&green);
    let plain = colour_at(&decode(&file, None).unwrap().picture, 0.5, 0.5);
    let srgb = moxcms::ColorProfile::new_srgb().encode().unwrap();
    assert_eq!(colour_at(&decode(&with_profile(&file, &srgb), None).unwrap().picture, 0.5, 0.5), plain, "sRGB");
    // The same numbers mean a stronger green in Display P3: lcms2 makes (−78, 203, 70) of them, cut to 0.
    let p3 = moxcms::ColorProfile::new_display_p3().encode().unwrap();
    let [r, g, b] = colour_at(&decode(&with_profile(&file, &p3), None).unwrap().picture, 0.5, 0.5);
    assert!(r < plain[0] - 20 && g >= plain[1] && b < plain[2], "{r} {g} {b} of {plain:?}");
    // In PNG, with alpha, which is no colour.
    let mut png = Vec::new();
    let mut encoder = image::codecs::png::PngEncoder::new(&mut png);
    encoder.set_icc_profile(p3).unwrap();
    encoder.write_image(&[60, 200, 90, 77].repeat(16), 4, 4, ExtendedColorType::Rgba8).unwrap();
    let Picture::Rgba(image) = decode(&png, None).unwrap().picture else { panic!("alpha was lost") };
    let [pr, pg, pb, alpha] = image.get_pixel(1, 1).0;
    assert!(pr.abs_diff(r) < 8 && pg.abs_diff(g) < 4 && pb.abs_diff(b) < 4 && alpha == 77, "{pr} {pg} {pb} {alpha}");
    // A grey file with a profile of its own: half of gamma 1 is brighter than half of sRGB.
    let mut grey = Vec::new();
    JpegEncoder::new(&mut grey).write_image(&[128; 256], 16, 16, ExtendedColorType::L8).unwrap();
    let linear = moxcms::ColorProfile::new_gray_with_gamma(1.0).encode().unwrap();
    let seen = colour_at(&decode(&with_profile(&grey, &linear), None).unwrap().picture, 0.5, 0.5);
    assert!(seen.iter().all(|value| (183..=193).contains(value)), "{seen:?}");
    assert_eq!(
        colour_at(&decode(&with_profile(&file, &linear), None).unwrap().picture, 0.5, 0.5),
        plain,
        "a grey profile in a colour photo"
    );
}

#[test]
fn a_jpeg_without_its_end_marker_is_whole_and_one_with_a_hole_is_not() {
    let file = jpeg(&marked(200, 200));
    let whole = decode(&file, None).unwrap().picture;
    assert_eq!(decode(&file[..file.len() - 2], None).unwrap().picture, whole);
    // Samsung phones write something behind the picture.
    let mut trailing = file.clone();
    trailing.extend(b"SEFH and the like");
    assert_eq!(decode(&trailing, None).unwrap().picture, whole);
    let scan = file.windows(2).position(|marker| marker == [0xFF, 0xDA]).unwrap();
    let mut hole = file.clone();
    hole.drain(scan + 60..(scan + file.len()) / 2);
    assert_eq!(decode(&hole, None).unwrap_err().kind(), "damaged");
}

/// Whatever is done to a file, the answer is a picture or an error: no panic, no endless loop, no memory that the file cannot
/// justify. With 300 files a second this looks at about 2,000; for more, `CATGEN_FUZZ=100000`.
#[test]
fn broken_files_never_break_the_decoder() {
    let mut files = vec![
        with_orientation(&with_profile(&jpeg(&marked(120, 80)), &moxcms::ColorProfile::new_display_p3().encode().unwrap()), 6),
        encode_png(&Picture::Rgb(marked(60, 40))),
    ];
    for kind in [image::ImageFormat::WebP, image::ImageFormat::Gif, image::ImageFormat::Bmp, image::ImageFormat::Tiff] {
        let mut file = std::io::Cursor::new(Vec::new());
        DynamicImage::ImageRgb8(marked(60, 40)).write_to(&mut file, kind).unwrap();
        files.push(file.into_inner());
    }
    #[cfg(feature = "avif")]
    files.extend([
        include_bytes!("../../testdata/turned.heic").to_vec(),
        include_bytes!("../../testdata/alpha.heic").to_vec(),
        include_bytes!("../../testdata/turned.avif").to_vec(),
        include_bytes!("../../testdata/alpha.avif").to_vec(),
    ]);
    // A small generator of our own, so that a failure can be repeated.
    let mut state = 7439u64;
    let mut below = |limit: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % limit.max(1) as u64) as usize
    };
    let rounds = std::env::var("CATGEN_FUZZ").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(2000);
    let (mut pictures, mut errors) = (0, 0);
    for round in 0..rounds {
        let mut file = files[round % files.len()].clone();
        if below(3) == 0 {
            file.truncate(below(file.len()));
        }
        for _ in 0..below(6) {
            // Headers are where the harm is.
            let reach = if below(2) == 0 { file.len().min(300) } else { file.len() };
            if let Some(byte) = file.get_mut(below(reach)) {
                *byte = if below(2) == 0 { below(256) as u8 } else { [0, 0xFF, 0x7F, 0x80][below(4)] };
            }
        }
        match (decode(&file, Some(48)), probe(&file)) {
            (Ok(decoded), _) => {
                let [width, height] = decoded.picture.size();
                assert!(width > 0 && height > 0 && width <= 48 && height <= 48, "round {round}");
                pictures += 1;
            }
            (Err(error), _) => {
                assert!(!error.to_string().is_empty());
                errors += 1;
            }
        }
    }
    assert!(pictures > rounds / 20 && errors > rounds / 20, "{pictures} pictures, {errors} errors: nothing was tried");
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
        (b"\0\0\0\x0CJXL \r\n\x87\n", "unsupported"),
        (&bomb, "too_large"),
        (&whole[..whole.len() / 2], "truncated"),
        (&with_size(&whole, 60_000), "too_large"),
        (&with_size(&whole, 16_000), "truncated"), // no file this small holds that many pixels
        (&png[..png.len() / 2], "truncated"),
    ] {
        let error = decode(bytes, Some(64)).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
    }
    assert_eq!(decode(&encode_png(&Picture::Rgb(marked(1, 1))), None).unwrap().picture.size(), [1, 1]);
}

/// The JPEG, claiming to be so many pixels wide and high.
fn with_size(jpeg: &[u8], side: u16) -> Vec<u8> {
    let mut file = jpeg.to_vec();
    let frame = file.windows(2).position(|marker| marker == [0xFF, 0xC0]).unwrap();
    file[frame + 5..frame + 7].copy_from_slice(&side.to_be_bytes());
    file[frame + 7..frame + 9].copy_from_slice(&side.to_be_bytes());
    file
}

/// The checksum of PNG chunks, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes
        .iter()
        .fold(!0u32, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg())))
}
