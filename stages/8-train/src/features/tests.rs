use std::fs;

use catgen_picture::{Rgb, RgbImage};

use super::*;

/// Pictures of `kind`: 0 soft blobs, 1 stripes.
fn pictures(kind: u32, count: u32, side: u32) -> Pictures {
    let image = |n: u32| {
        RgbImage::from_fn(side, side, |x, y| {
            let (x, y) = (x * 64 / side, y * 64 / side);
            let value = if kind == 0 { (x + n).abs_diff(y) * 4 } else { ((x + n * 3) / 4 % 2) * 200 };
            Rgb([value.min(255) as u8, (x * 4) as u8, (n * 20) as u8])
        })
    };
    Pictures::of(&(0..count).map(image).collect::<Vec<_>>()).unwrap()
}

#[test]
fn pictures_are_made_larger_as_pillow_does() {
    // What `Image.fromarray(a).resize((7, 7), Image.BICUBIC)` answers, Pillow 13.0. Two values are rounded otherwise; 47 were if columns came first.
    let image = RgbImage::from_fn(4, 4, |x, y| {
        let at = 4 * y + x;
        Rgb([(at * 37 % 256) as u8, (at * at * 11 % 256) as u8, ((15 - at) * 53 % 256) as u8])
    });
    let found = bytes(&Pictures::of(&[image]).unwrap(), 0, 7);
    let differ: Vec<u8> = found.iter().zip(PILLOW).map(|(a, b)| a.abs_diff(b)).filter(|by| *by > 0).collect();
    assert!(found.len() == PILLOW.len() && differ.len() <= 3 && differ.iter().all(|by| *by == 1), "{found:?}");
}

fn distance(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f32>().sqrt()
}

/// See [`pictures_are_made_larger_as_pillow_does`]: three planes of 7 × 7.
const PILLOW: [u8; 147] = [
    0, 0, 22, 43, 66, 103, 123, 48, 59, 83, 110, 122, 89, 74, 142, 155, 179, 216, 210, 70, 0, 91, 103, 128, 167, 181, 112, 77, 40, 54, 78,
    93, 109, 138, 154, 136, 156, 179, 105, 32, 61, 85, 197, 221, 242, 118, 0, 14, 37, 0, 0, 8, 21, 41, 85, 110, 56, 37, 9, 40, 78, 79, 76,
    179, 117, 18, 74, 137, 67, 21, 214, 164, 80, 91, 109, 54, 20, 190, 169, 128, 97, 73, 61, 56, 92, 90, 88, 89, 98, 124, 139, 34, 42, 60,
    84, 115, 162, 186, 6, 93, 238, 228, 169, 134, 117, 29, 75, 157, 194, 197, 156, 131, 71, 47, 22, 128, 229, 191, 160, 98, 69, 24, 60,
    122, 182, 213, 122, 105, 70, 20, 12, 142, 220, 151, 134, 99, 58, 31, 53, 71, 166, 148, 113, 85, 52, 3, 0,
];

/// The sum of the first picture's random features.
const SUM: f32 = 356.924;

#[test]
fn random_features_are_the_same_everywhere_and_tell_textures_apart() {
    let net = RandomConvolution::new();
    let [blobs, stripes] = [0, 1].map(|kind| net.features(&pictures(kind, 2, 64)).unwrap());
    assert_eq!(blobs.len(), 2 * 960);
    let (near, far) = (distance(&blobs[..960], &blobs[960..]), distance(&blobs[..960], &stripes[..960]));
    assert!(far > 2.0 * near, "{near} between two of a kind, {far} between kinds");
    // A value that changes with the weights: a change of them is a change of the name.
    let sum: f32 = blobs[..960].iter().sum();
    assert!((sum - SUM).abs() < 1e-2, "{sum}");
    assert_eq!(net.name(), RANDOM);
}

#[test]
fn a_convolution_is_what_its_definition_says() {
    let (side, from, to) = (4, 2, 3);
    let map: Vec<f32> = (0..side * side * from).map(|n| ((n * 37) % 11) as f32 - 5.0).collect();
    let weights: Vec<f32> = (0..9 * from * to).map(|n| ((n * 53) % 13) as f32 - 6.0).collect();
    let found = super::random::convolved(&map, side, &weights, from, to);
    for (at, found) in found.iter().enumerate() {
        let (channel, x, y) = (at % to, at / to % 2, at / to / 2);
        let mut sum = 0.0;
        for dy in 0..3 {
            for dx in 0..3 {
                let (px, py) = (2 * x as i32 + dx - 1, 2 * y as i32 + dy - 1);
                if (0..side as i32).contains(&px) && (0..side as i32).contains(&py) {
                    for c in 0..from {
                        let weight = weights[(((dy * 3 + dx) as usize) * from + c) * to + channel];
                        sum += weight * map[(py as usize * side + px as usize) * from + c];
                    }
                }
            }
        }
        assert_eq!(*found, f32::max(sum, 0.0), "at {x}, {y}, {channel}");
    }
}

#[test]
fn the_best_file_that_can_be_opened_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let models = [folder.path().join("none"), folder.path().to_owned()];
    let check = |word: &str, torch: bool, found: Option<&str>| {
        assert_eq!(find(word, &models, torch).unwrap(), found.map(|name| folder.path().join(name)), "{word}, {torch}");
    };
    check("auto", true, None);
    fs::write(folder.path().join("efficientnet-lite0.onnx"), b"").unwrap();
    check("auto", true, Some("efficientnet-lite0.onnx"));
    fs::write(folder.path().join("inception-2015-12-05.pt"), b"").unwrap();
    check("auto", true, Some("inception-2015-12-05.pt"));
    check("auto", false, Some("efficientnet-lite0.onnx"));
    check("efficientnet-lite0", false, Some("efficientnet-lite0.onnx"));
    check("random", true, None);
    assert!(matches!(find("resnet", &models, true), Err(StageError::Missing { .. })));
    let script = open(Some(&folder.path().join("inception-2015-12-05.pt")), None).err().unwrap();
    assert!(script.to_string().contains("only the trainer opens"), "{script}");
    assert!(open(Some(&folder.path().join("efficientnet-lite0.onnx")), None).is_err(), "an empty file is no network");
}

#[test]
fn both_runtimes_answer_the_same_features() {
    let shared =
        std::env::var_os("CATGEN_SHARED").map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"), PathBuf::from);
    let file = shared.join("models/efficientnet-lite0.onnx");
    if !file.is_file() {
        return println!("skipped: no models/efficientnet-lite0.onnx in CATGEN_SHARED");
    }
    let Some(library) = std::env::var_os("ORT_DYLIB_PATH").map(PathBuf::from) else {
        return println!("skipped: ORT_DYLIB_PATH is not set");
    };
    let pictures = pictures(0, 3, 64);
    let [a, b] = [None, Some(library)].map(|library| {
        let net = open(Some(&file), library.as_deref()).unwrap();
        assert!(net.name().starts_with("efficientnet-lite0-") && net.name().ends_with("-v2"), "{}", net.name());
        net.features(&pictures).unwrap()
    });
    assert_eq!((a.len(), b.len()), (3 * 1280, 3 * 1280));
    assert!(distance(&a, &b) < 1e-3 * distance(&a, &vec![0.0; a.len()]), "{}", distance(&a, &b));
}
