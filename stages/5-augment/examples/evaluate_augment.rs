//! How near is every operation to torchvision's, and how many pictures does one core make?
//!
//! ```text
//! cargo run --release -p catgen-augment --example evaluate_augment
//! ```
//!
//! Prints rows of five columns, tab-separated: stage, data set, metric, ours, reference. To reach: at most half a level from
//! torchvision (that is rounding), and some 9,000 pictures of 128 px a second on one core of 2020.

#![expect(clippy::print_stdout, reason = "an example's result is what it prints")]

use std::{error::Error, time::Duration};

use catgen_api::{BuildContext, Digest, Draw, Input, Params, Verdict};
use catgen_augment::{KIND, Mip, Step, build};
use catgen_picture::{Picture, RgbImage, Rgba, RgbaImage};
use serde_json::Value;

fn main() -> Result<(), Box<dyn Error>> {
    let golden: Value = serde_json::from_str(include_str!("../tests/golden.json"))?;
    let reference = format!("torchvision {}", golden["torchvision"].as_str().unwrap_or_default());
    for (name, worst) in distances(&golden)? {
        println!("augment\t8 × 4 pixels, every value\t{name}: furthest from {reference}, levels\t{worst:.3}\t0.5 is rounding");
    }
    println!("augment\t512 px RGBA, six transforms\t128 px pictures per core-second, not encoded\t{:.0}\t", rate()?);
    Ok(())
}

/// The furthest any value is from torchvision's, by the first step of a case.
fn distances(golden: &Value) -> Result<Vec<(String, f64)>, Box<dyn Error>> {
    let bytes =
        |value: &Value| -> Vec<u8> { value.as_array().into_iter().flatten().filter_map(|byte| Some(byte.as_u64()? as u8)).collect() };
    let crop = |name: &str| golden["crop"][name].as_f64().unwrap_or_default();
    let mut furthest: Vec<(String, f64)> = Vec::new();
    for case in golden["cases"].as_array().ok_or("no cases")?.iter().filter(|case| case["alpha"] == false) {
        let pixels = bytes(&golden[case["picture"].as_str().unwrap_or_default()]);
        let picture = Picture::Rgb(RgbImage::from_raw(8, 4, pixels).ok_or("a picture of another size")?);
        let steps = case["steps"].as_array().ok_or("no steps")?.iter().map(|step| {
            let number = step[1].as_f64().unwrap_or_default();
            match step[0].as_str().unwrap_or_default() {
                "Flip" => Step::Flip,
                "Crop" => Step::Crop { size: crop("size"), left: crop("left"), top: crop("top") },
                "Brightness" => Step::Brightness(number),
                "Contrast" => Step::Contrast(number),
                "Saturation" => Step::Saturation(number),
                _ => Step::Posterise(number as u32),
            }
        });
        let steps: Vec<Step> = steps.collect();
        let made = Mip::new(&picture).after(&steps);
        let expected = case["expected"].as_array().ok_or("no values")?.iter().filter_map(Value::as_f64);
        let values = made.to_rgba().pixels().flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect::<Vec<_>>();
        let worst = values.iter().zip(expected).map(|(ours, theirs)| (f64::from(*ours) - theirs).abs()).fold(0.0, f64::max);
        let name = if steps.len() > 1 { "chains of steps" } else { case["steps"][0][0].as_str().unwrap_or_default() };
        match furthest.iter_mut().find(|(other, _)| other == name) {
            Some((_, furthest)) => *furthest = furthest.max(worst),
            None => furthest.push((name.to_owned(), worst)),
        }
    }
    Ok(furthest)
}

/// Pictures a second of one thread: 64 of each of a few cut-outs.
fn rate() -> Result<f64, Box<dyn Error>> {
    let stage = build(&Params::defaults(KIND.params), &BuildContext { seed: 7439, ..BuildContext::default() })?;
    let mut noise = Draw::new(1, "noise", &Digest::of(b""), 0);
    let picture = Picture::Rgba(RgbaImage::from_fn(512, 512, |x, y| {
        let inside = 1.0 - ((f64::from(x) - 256.0) / 220.0).hypot((f64::from(y) - 256.0) / 160.0);
        let fur = noise.below(80) as f64 + f64::from(x + y) / 8.0;
        Rgba([fur as u8, (fur * 0.8) as u8, (fur * 0.5) as u8, (inside * 4000.0).clamp(0.0, 255.0) as u8])
    }));
    let mut rates = Vec::new();
    for photo in 0..30 {
        let start = cpu();
        let Verdict::Keep(outputs) = stage.apply(&Input { digest: Digest::of(&[photo]), picture: &picture, inputs: &[] })? else {
            continue;
        };
        rates.push(outputs.len() as f64 / (cpu() - start).as_secs_f64());
    }
    // What it does undisturbed.
    rates.sort_by(f64::total_cmp);
    Ok(rates[rates.len() * 4 / 5])
}

/// Processor time of this process so far: on a machine with other work the clock on the wall says little.
fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}
