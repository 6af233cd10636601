//! Is the face in the window, and how large are the windows?
//!
//! ```text
//! cargo build --release && cargo run --release -p catgen-zoom --example evaluate_zoom
//! ```
//!
//! Runs the shipped flow over the shared photos (minutes the first time; what it made is kept below `target` for the next). Rows come out
//! separated by tabs: stage, data set, metric, ours, reference. Windows and faces are both in pixels of the upright photo; a face
//! counts as inside if 99.9 % of its box is. Photos that are dropped as duplicates are not scored. To reach: 0.98 inside.
#![expect(clippy::print_stdout, reason = "printing is what it is for")]

mod flow;

use std::{collections::HashMap, error::Error, fs};

use serde_json::Value;

/// The photos of the face boxes.
const DATA: &str = "cats-personal";

/// `[left, top, right, bottom]`.
type Corners = [f64; 4];

fn main() -> Result<(), Box<dyn Error>> {
    let Some(flow) = flow::Flow::run()? else { return Ok(()) };

    // A photo with several subjects has several windows, under one name of a photo.
    let mut windows: HashMap<String, Vec<Corners>> = HashMap::new();
    let (mut counts, mut sides) = (HashMap::<&str, usize>::new(), Vec::new());
    for item in flow.items("3.Zoom_photos")? {
        let numbers = item["facts"]["window"].as_array().ok_or("a picture without a window")?;
        let [x, y, width, height] = numbers.iter().filter_map(Value::as_f64).collect::<Vec<_>>()[..] else {
            return Err("a window has four numbers".into());
        };
        windows.entry(item["photo"].as_str().unwrap_or_default().to_owned()).or_default().push([x, y, x + width, y + height]);
        sides.push(width.min(height));
        for fact in ["no_subject", "unsure", "subjects"].into_iter().filter(|fact| !item["facts"][*fact].is_null()) {
            *counts.entry(fact).or_default() += 1;
        }
    }

    let (mut inside, mut shares, mut face_shares) = (Vec::new(), Vec::new(), Vec::new());
    for line in fs::read_to_string(flow.shared.join("data/photos/face-boxes.csv"))?.lines().skip(1) {
        let (photo, numbers) = line.split_once(',').ok_or("a row without cells")?;
        let numbers = numbers.split(',').map(str::parse).collect::<Result<Vec<f64>, _>>()?;
        let [left, top, right, bottom, width, height, ..] = numbers[..] else { return Err(format!("{line:?} is no row").into()) };
        // Some boxes reach a little past the photo.
        let face = [left.max(0.0), top.max(0.0), right.min(width), bottom.min(height)];
        let Some(windows) = windows.get(photo) else { continue };
        let found = |window: &Corners| area(&both(window, &face)) / area(&face);
        let best = windows.iter().max_by(|a, b| found(a).total_cmp(&found(b))).ok_or("a photo without a window")?;
        if found(best) < 0.999 {
            eprintln!("{photo}: {:.0} % of the face is in the window", 100.0 * found(best));
        }
        inside.push(found(best));
        shares.push(area(best) / (width * height));
        face_shares.push(area(&face) / area(best));
    }
    let part = |least: f64| inside.iter().filter(|share| **share >= least).count() as f64 / inside.len().max(1) as f64;
    let row = |metric: &str, ours: f64, reference: &str| println!("zoom\t{DATA}\t{metric}\t{ours:.4}\t{reference}");
    row("faces looked for", inside.len() as f64, "-");
    row("faces wholly inside the window", part(0.999), ">= 0.98");
    row("faces at least half inside the window", part(0.5), "-");
    for (metric, values) in [
        ("window's share of the photo", &mut shares),
        ("face's share of the window", &mut face_shares),
        ("window's shorter side in pixels of the photo", &mut sides),
    ] {
        values.sort_by(f64::total_cmp);
        for percent in [10, 50, 90] {
            row(
                &format!("{metric}, {percent}th percentile"),
                values.get(values.len().saturating_sub(1) * percent / 100).copied().unwrap_or(0.0),
                "-",
            );
        }
    }
    for (fact, what) in [("no_subject", "no subject"), ("unsure", "an unsure cut-out, shown whole"), ("subjects", "several subjects")] {
        row(&format!("pictures with {what}"), counts.get(fact).copied().unwrap_or(0) as f64, "-");
    }
    Ok(())
}

fn both(one: &Corners, other: &Corners) -> Corners {
    [one[0].max(other[0]), one[1].max(other[1]), one[2].min(other[2]), one[3].min(other[3])]
}

fn area([left, top, right, bottom]: &Corners) -> f64 {
    (right - left).max(0.0) * (bottom - top).max(0.0)
}
