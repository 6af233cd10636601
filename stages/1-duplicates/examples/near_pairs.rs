//! Prints every pair of photos below a folder whose hashes are near: to choose `max_distance` by looking.
//!
//! `cargo run --example near_pairs -p catgen-duplicates -- FOLDER [HASH] [SIDE] [UP TO]`
//!
//! Per line: bits that differ, correlation of luma as it lies and aligned, difference of colour, what the stage's defaults call the
//! pair, both names. The 251 photos of the test data take 8 s: 6 equal pairs, and 2 near ones at 4 and 14 bits.

#![expect(clippy::print_stdout, reason = "an example's result is what it prints")]

use std::{env, fs, path::PathBuf};

use catgen_duplicates::{Fingerprint, Hash, Hashing, Judgement, Rules, Strictness, WORKING_SIDE};
use catgen_picture::decode;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let folder = PathBuf::from(arguments.first().ok_or("which folder?")?);
    let hashing = match arguments.get(1).map(String::as_str) {
        None | Some("phash") => Hashing::Phash,
        Some("gradient") => Hashing::Gradient,
        Some("vert_gradient") => Hashing::VertGradient,
        Some("double_gradient") => Hashing::DoubleGradient,
        Some("blockhash") => Hashing::Blockhash,
        Some(other) => return Err(format!("{other} is no hash").into()),
    };
    let side = arguments.get(2).map_or(Ok(8), |side| side.parse())?;
    let up_to: u32 = arguments.get(3).map_or(Ok(18), |up_to| up_to.parse())?;

    let hash = Hash::new(hashing, side);
    let mut photos: Vec<(String, Fingerprint)> = Vec::new();
    for entry in walkdir::WalkDir::new(&folder).sort_by_file_name() {
        let entry = entry?;
        if !entry.file_type().is_file() {
            continue;
        }
        // What is no picture is not this example's business.
        let Ok(decoded) = decode(&fs::read(entry.path())?, Some(WORKING_SIDE)) else { continue };
        let name = entry.path().strip_prefix(&folder)?.display().to_string();
        photos.push((name, hash.fingerprint(&decoded.picture)));
    }
    let rules = Rules::new(Strictness::Default, 64, None);
    let mut pairs = Vec::new();
    for (at, (a, x)) in photos.iter().enumerate() {
        for (b, y) in &photos[at + 1..] {
            if x.distance(y) <= up_to {
                let distance = x.distance(y);
                let word = match rules.judge(x, y, distance) {
                    Judgement::Same | Judgement::SameAligned(_) => "same",
                    Judgement::Possible(_) => "possible",
                    Judgement::Different => "apart",
                };
                pairs.push((distance, [x.correlation(y), x.aligned_correlation(y), x.colour_difference(y)], word, a, b));
            }
        }
    }
    pairs.sort_by_key(|pair| pair.0);
    println!("{} photos, {} pairs within {up_to} bits", photos.len(), pairs.len());
    for (distance, [correlation, aligned, colour], word, a, b) in pairs {
        println!("{distance:3} {correlation:6.3} {aligned:6.3} {colour:5.1} {word:8} {a} {b}");
    }
    Ok(())
}
