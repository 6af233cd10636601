//! What one photo costs on its way to the duplicates' decision: read the lines as ratios to the first.
//!
//! `cargo bench -p catgen-duplicates`. The photo is a 12 MP JPEG drawn here, with about the detail and the 2.5 MB of a phone's.

use std::sync::LazyLock;

use catgen_api::{Digest, Draw, Picture};
use catgen_duplicates::{Hash, Hashing, WORKING_SIDE};
use catgen_picture::{Rgb, RgbImage, decode, encode_jpeg};

static PHOTO: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut draw = Draw::new(7439, "bench", &Digest::of(b""), 0);
    let grain: Vec<u8> = (0..1 << 16).map(|_| draw.below(14) as u8).collect();
    let image = RgbImage::from_fn(4032, 3024, |x, y| {
        let wave = |step: f32| (128.0 + 60.0 * ((x as f32) / step).sin() + 50.0 * ((y as f32) / (step * 1.3)).cos()) as u8;
        let noise = grain[((x * 31 + y * 4057) & 0xFFFF) as usize];
        Rgb([wave(190.0), wave(77.0), wave(301.0)].map(|value| value.saturating_add(noise)))
    });
    encode_jpeg(&Picture::Rgb(image), 90)
});

fn main() {
    LazyLock::force(&PHOTO);
    divan::main();
}

/// The floor: the whole file decoded, as tools do that do not scale.
#[divan::bench]
fn decode_in_full() -> Picture {
    decode(&PHOTO, None).expect("the photo is whole").picture
}

/// The working picture.
#[divan::bench]
fn decode_to_working_side() -> Picture {
    decode(&PHOTO, Some(WORKING_SIDE)).expect("the photo is whole").picture
}

/// Hash, thumbnails and sharpness of a working picture.
#[divan::bench]
fn fingerprint(bencher: divan::Bencher<'_, '_>) {
    let picture = decode(&PHOTO, Some(WORKING_SIDE)).expect("the photo is whole").picture;
    let hash = Hash::new(Hashing::Phash, 8);
    bencher.bench(|| hash.fingerprint(&picture));
}

/// All of it: what the stage costs per photo.
#[divan::bench]
fn decode_and_fingerprint(bencher: divan::Bencher<'_, '_>) {
    let hash = Hash::new(Hashing::Phash, 8);
    bencher.bench(|| hash.fingerprint(&decode(&PHOTO, Some(WORKING_SIDE)).expect("the photo is whole").picture));
}
