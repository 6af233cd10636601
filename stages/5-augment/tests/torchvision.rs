//! The stage's arithmetic against torchvision's own: a committed table, and live where torchvision is at hand.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails, and its helpers with it")]

use std::{path::Path, process::Command};

use catgen_augment::{Mip, Step};
use catgen_picture::{Picture, RgbImage, RgbaImage};
use serde::Deserialize;
use serde_json::Value;

/// What `golden.py` prints.
#[derive(Deserialize)]
struct Golden {
    torchvision: String,
    size: [u32; 2],
    crop: Crop,
    wild: Vec<u8>,
    mild: Vec<u8>,
    alpha: Vec<u8>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Crop {
    size: f64,
    left: f64,
    top: f64,
}

#[derive(Deserialize)]
struct Case {
    picture: String,
    alpha: bool,
    steps: Vec<Vec<Value>>,
    /// Red, green, blue of every pixel, not rounded.
    expected: Vec<f64>,
    /// The same from torchvision's arithmetic on bytes, which cuts grey to a whole number, and then the result, instead of rounding.
    bytes: Option<Vec<u8>>,
}

fn step(words: &[Value], crop: &Crop) -> Step {
    let number = || words[1].as_f64().unwrap();
    match words[0].as_str().unwrap() {
        "Flip" => Step::Flip,
        "Crop" => Step::Crop { size: crop.size, left: crop.left, top: crop.top },
        "Brightness" => Step::Brightness(number()),
        "Contrast" => Step::Contrast(number()),
        "Saturation" => Step::Saturation(number()),
        "Posterise" => Step::Posterise(number() as u32),
        other => panic!("{other}: no such step"),
    }
}

/// Compares every case; answers how many colour values were looked at.
fn check(golden: &Golden) -> usize {
    let mut looked = 0;
    for case in &golden.cases {
        let pixels = if case.picture == "wild" { &golden.wild } else { &golden.mild };
        let [width, height] = golden.size;
        let picture: Picture = if case.alpha {
            let pixels = pixels.chunks(3).zip(&golden.alpha).flat_map(|(rgb, alpha)| [rgb[0], rgb[1], rgb[2], *alpha]).collect();
            RgbaImage::from_raw(width, height, pixels).unwrap().into()
        } else {
            RgbImage::from_raw(width, height, pixels.clone()).unwrap().into()
        };
        let steps: Vec<Step> = case.steps.iter().map(|words| step(words, &golden.crop)).collect();
        let made = Mip::new(&picture).after(&steps);
        let made = made.to_rgba();
        let colours: Vec<u8> = made.pixels().flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect();
        assert_eq!(colours.len(), case.expected.len(), "{:?}", case.steps);
        for (at, (ours, theirs)) in colours.iter().zip(&case.expected).enumerate() {
            // The nearest whole number, or a neighbour of a number in the very middle of two.
            assert!((f64::from(*ours) - theirs).abs() <= 0.503, "{:?}: value {at} is {ours}, torchvision's {theirs}", case.steps);
        }
        if let Some(bytes) = &case.bytes {
            let furthest = colours.iter().zip(bytes).map(|(ours, theirs)| ours.abs_diff(*theirs)).max();
            assert!(furthest <= Some(2), "{:?}: {furthest:?} levels from torchvision on bytes", case.steps);
        }
        if case.alpha {
            assert!(made.pixels().map(|pixel| pixel[3]).eq(golden.alpha.iter().copied()), "alpha changed");
        }
        looked += colours.len();
    }
    looked
}

#[test]
fn every_operation_is_torchvisions() {
    let golden: Golden = serde_json::from_str(include_str!("golden.json")).unwrap();
    assert!(golden.cases.len() >= 25 && check(&golden) > 2_000);
}

#[test]
fn every_operation_is_the_torchvision_of_this_machine() {
    let python = std::env::var("CATGEN_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden.py");
    for seed in ["5", "6"] {
        let output = Command::new(&python).arg(&script).args(["--seed", seed]).output();
        let Some(output) = output.ok().filter(|output| !String::from_utf8_lossy(&output.stderr).contains("No module named")) else {
            return println!("skipped: no python3 with torchvision (CATGEN_PYTHON may name one)");
        };
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let golden: Golden = serde_json::from_slice(&output.stdout).unwrap();
        println!("torchvision {}, seed {seed}: {} values compared", golden.torchvision, check(&golden));
    }
}
