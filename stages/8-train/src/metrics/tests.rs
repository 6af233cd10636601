use std::{
    io::Write,
    process::{Command, Stdio},
};

use catgen_api::{Digest, Draw};
use serde_json::Value;

use super::*;

/// `count` pictures of `dims` features from N(mean, deviation²).
fn normal(seed: u64, count: usize, dims: usize, mean: f64, deviation: f64) -> Vec<f32> {
    let mut draw = Draw::new(seed, "test normal", &Digest::of(b""), 0);
    let mut next = || {
        let radius = (-2.0 * (1.0 - draw.unit()).ln()).sqrt();
        mean + deviation * radius * (std::f64::consts::TAU * draw.unit()).cos()
    };
    (0..count * dims).map(|_| next() as f32).collect()
}

fn compare(real: (usize, &[f32]), fake: (usize, &[f32])) -> Distances {
    let [real, fake] = [real, fake].map(|(count, features)| Sample::new(count, features).unwrap());
    distances(&real, &fake, &cross(&real, &fake))
}

fn near(found: f64, expected: f64, tolerance: f64, what: &str) {
    assert!((found - expected).abs() <= tolerance * expected.abs().max(1e-3), "{what}: {found}, expected {expected}");
}

#[test]
fn gaussians_are_as_far_apart_as_theory_says() {
    // ‖μ‖² + D (1 − σ)² for N(0, 1) against N(μ, σ²).
    for (mean, deviation) in [(0.0f64, 1.0f64), (0.5, 1.0), (0.0, 1.5), (-1.0, 0.5)] {
        let expected = 4.0 * (mean * mean + (1.0 - deviation) * (1.0 - deviation));
        let matrix =
            |seed, mean, deviation| DMatrix::from_iterator(4, 50_000, normal(seed, 50_000, 4, mean, deviation).into_iter().map(f64::from));
        let found = frechet::frechet(&matrix(1, 0.0, 1.0), &matrix(2, mean, deviation));
        assert!((found - expected).abs() < 0.04 * expected + 0.001, "{mean} ± {deviation}: {found}, expected {expected}");
    }
    // E k(x, y) of the cubic kernel for independent x, y: with t = x·y / D, 1 + 3 E t + 3 E t² + E t³. For μ = 0 all of t's odd
    // moments vanish, so the distance of N(0, 1) from N(0, σ²) is 3 (1 − σ²)² / D.
    let found = compare((3000, &normal(3, 3000, 8, 0.0, 1.0)), (3000, &normal(4, 3000, 8, 0.0, 1.5)));
    let expected = 3.0 * (1.0f64 - 2.25).powi(2) / 8.0;
    assert!((found.kid - expected).abs() < 4.0 * found.kid_error.unwrap(), "{found:?}, expected {expected}");
    assert!(found.kid_error.unwrap() < 0.1 * expected);
}

#[test]
fn two_halves_of_one_set_are_at_no_distance_give_or_take_its_error() {
    let mut below = 0;
    let mut wide = 0;
    for seed in 0..20 {
        let found = compare((100, &normal(2 * seed, 100, 16, 0.0, 1.0)), (60, &normal(2 * seed + 1, 60, 16, 0.0, 1.0)));
        let error = found.kid_error.unwrap();
        assert!(found.kid.abs() < 4.0 * error, "{found:?}");
        below += usize::from(found.kid < 0.0);
        wide += usize::from(found.kid.abs() > error);
        assert!(found.precision > 0.5 && found.recall > 0.5, "{found:?}");
    }
    assert!((4..=16).contains(&below), "{below} of 20 below 0: unbiased means on both sides");
    assert!((1..=14).contains(&wide), "{wide} of 20 beyond one standard error, a third is usual");
}

#[test]
fn a_set_and_itself() {
    let features = normal(5, 50, 12, 0.0, 1.0);
    let found = compare((50, &features), (50, &features));
    assert!(found.kid < 0.0 && found.frechet < 1e-6, "{found:?}");
    assert_eq!((found.precision, found.recall), (1.0, 1.0));
    let sample = Sample::new(50, &features).unwrap();
    assert!(cross(&sample, &sample).nearest.iter().enumerate().all(|(at, (other, distance))| at == *other && *distance < 1e-6));
    assert_eq!(variety(&sample, &sample), Variety { spread: 1.0, nearest: 1.0 });
}

#[test]
fn collapse_is_seen_by_one_of_two_measures() {
    let real = Sample::new(200, &normal(1, 200, 16, 0.0, 1.0)).unwrap();
    let one = Sample::new(80, &normal(2, 80, 16, 0.0, 0.05)).unwrap();
    let few: Vec<f32> =
        (0..80).flat_map(|at| normal(90 + at % 5, 1, 16, 0.0, 1.0)).zip(normal(3, 80, 16, 0.0, 0.02)).map(|(a, b)| a + b).collect();
    let few = Sample::new(80, &few).unwrap();
    let [one, few] = [&one, &few].map(|fake| (variety(&real, fake), distances(&real, fake, &cross(&real, fake)).recall));
    assert!(one.0.spread < 0.1 && one.1 < 0.1, "{one:?}");
    assert!(few.0.spread > 0.6 && few.0.nearest < 0.1 && few.1 < 0.1, "{few:?}");
}

#[test]
fn what_is_no_sample_is_refused() {
    for (count, features) in [(0, vec![]), (1, vec![1.0]), (2, vec![1.0, 2.0, 3.0]), (2, vec![1.0, f32::NAN]), (3, vec![])] {
        assert!(Sample::new(count, &features).is_none(), "{count} {features:?}");
    }
    // Two and three pictures have fewer than three neighbours.
    let two = Sample::new(2, &[0.0, 1.0]).unwrap();
    let three = Sample::new(3, &[0.0, 0.5, 9.0]).unwrap();
    let found = distances(&two, &three, &cross(&two, &three));
    assert_eq!((found.kid_error, found.recall), (None, 1.0));
    near(found.precision, 2.0 / 3.0, 1e-9, "precision");
    assert_eq!([0.0, 0.5, 1.0, 0.25].map(|share| quantile(&[4.0, 1.0, 2.0], share)), [1.0, 2.0, 4.0, 1.5]);
    assert!(quantile(&[], 0.5).is_nan());
}

fn features(case: &Value, name: &str) -> (usize, Vec<f32>) {
    let rows = case[name].as_array().unwrap();
    (rows.len(), rows.iter().flat_map(|row| row.as_array().unwrap()).map(|value| value.as_f64().unwrap() as f32).collect())
}

/// Ours against what NumPy and SciPy found, to 1e-3 at most.
fn check(case: &Value, expect: &Value) {
    let [real, fake] = ["real", "fake"].map(|name| {
        let (count, features) = features(case, name);
        Sample::new(count, &features).unwrap()
    });
    let cross = cross(&real, &fake);
    let Distances { kid, kid_error, frechet, precision, recall, .. } = distances(&real, &fake, &cross);
    let Variety { spread, nearest } = variety(&real, &fake);
    let all = [kid, kid_error.unwrap(), frechet, precision, recall, spread, nearest];
    for (found, name) in all.into_iter().zip(["kid", "kid_error", "frechet", "precision", "recall", "spread", "nearest"]) {
        near(found, expect[name].as_f64().unwrap(), 1e-3, name);
    }
    for ((_, found), expected) in cross.nearest.iter().zip(expect["nearest_real"].as_array().unwrap()) {
        near(*found, expected.as_f64().unwrap(), 1e-3, "nearest_real");
    }
}

#[test]
fn scipy_found_the_same() {
    let fixture: Value = serde_json::from_str(include_str!("../../tests/metrics.json")).unwrap();
    let cases = fixture["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 3);
    cases.iter().for_each(|case| check(case, &case["expect"]));
}

#[test]
fn scipy_finds_the_same() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tools/metrics_reference.py");
    let python = std::env::var("CATGEN_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let rows = |seed, count, mean, deviation| -> Vec<Vec<f32>> {
        normal(seed, count, 24, mean, deviation).chunks(24).map(<[f32]>::to_vec).collect()
    };
    let case = serde_json::json!({"real": rows(1, 120, 0.1, 1.0), "fake": rows(2, 90, 0.3, 0.8)});
    let child = Command::new(python).arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let Ok(mut child) = child else { return println!("skipped: no python3 (CATGEN_PYTHON may name one)") };
    // A Python without SciPy ends before it has read everything.
    let _ = child.stdin.take().unwrap().write_all(case.to_string().as_bytes());
    let output = child.wait_with_output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    if words.contains("No module named") {
        return println!("skipped: no numpy and scipy in python3 (CATGEN_PYTHON may name one with them)");
    }
    assert!(output.status.success(), "{words}");
    check(&case, &serde_json::from_slice(&output.stdout).unwrap());
}
