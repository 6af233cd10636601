//! How good are the masks, and how fast? Mean IoU at alpha ≥ 0.5 over a folder of photos with hand-made masks.
//!
//! ```text
//! cargo run --release -p catgen-background --example evaluate -- IMAGES MASKS [model=u2netp] [runtime=auto] [models=DIR] [ort=LIB] [ids=FILE]
//! ```
//!
//! A mask has its photo's stem and is white where the subject is. `ids` names the photos to use, one stem a line.
//! To reach with u2netp: 0.829 on the 64 one-cat photos of feral-cats with a mask over 5 %, 0.718 on the 60 of cats-hand81, with
//! either runtime; one core of 2020 takes about 0.35 s a photo with onnxruntime and 0.7 s with rten. `model=border`: 0.42, 0.58.
#![expect(clippy::print_stdout, reason = "printing is what it is for")]

use std::{collections::BTreeMap, error::Error, fs, path::Path, time::Instant};

use catgen_api::{BuildContext, Digest, Input, Made, Params, Picture, Verdict};
use catgen_background::{KIND, build};

fn main() -> Result<(), Box<dyn Error>> {
    let (options, folders): (Vec<String>, Vec<String>) = std::env::args().skip(1).partition(|argument| argument.contains('='));
    let options: BTreeMap<&str, &str> = options.iter().filter_map(|option| option.split_once('=')).collect();
    let [images, masks] = folders.as_slice() else { return Err("two folders are wanted: photos and masks".into()) };

    let mut params = Params::defaults(KIND.params);
    for name in ["model", "runtime"] {
        if let Some(value) = options.get(name) {
            params.set(KIND.params, name, &(*value).into())?;
        }
    }
    let context = BuildContext {
        models: options.get("models").map(Into::into).into_iter().collect(),
        onnxruntime: options.get("ort").map(Into::into),
        ..BuildContext::default()
    };
    let stage = build(&params, &context)?;
    let wanted = options.get("ids").map(fs::read_to_string).transpose()?;

    let mut scores = Vec::new();
    let mut seconds = Vec::new();
    for (stem, photo) in by_stem(Path::new(images))? {
        if wanted.as_ref().is_some_and(|wanted| !wanted.lines().any(|line| line == stem)) {
            continue;
        }
        let Some(mask) = by_stem(Path::new(masks))?.remove(&stem) else { continue };
        let bytes = fs::read(photo)?;
        let picture = catgen_picture::decode(&bytes, stage.working_side())?.picture;
        let mask = catgen_picture::decode(&fs::read(mask)?, None)?.picture;
        let start = Instant::now();
        let verdict = stage.apply(&Input { digest: Digest::of(&bytes), picture: &picture, inputs: &[] })?;
        seconds.push(start.elapsed().as_secs_f64());
        let Verdict::Keep(outputs) = verdict else { return Err("background rejects nothing".into()) };
        let Made::Picture(made) = &outputs[0].made else { return Err("background makes new pictures".into()) };
        let score = iou(made, &mask);
        println!("{score:.3} {stem}");
        scores.push(score);
    }
    scores.sort_by(f64::total_cmp);
    seconds.sort_by(f64::total_cmp);
    let mean = scores.iter().sum::<f64>() / scores.len() as f64;
    println!(
        "{} photos: mean IoU {mean:.4}, median {:.4}, {:.0} ms a photo (median)",
        scores.len(),
        scores[scores.len() / 2],
        1e3 * seconds[seconds.len() / 2]
    );
    Ok(())
}

fn by_stem(folder: &Path) -> std::io::Result<BTreeMap<String, std::path::PathBuf>> {
    let files = fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    Ok(files.iter().filter_map(|file| Some((file.path().file_stem()?.to_string_lossy().into_owned(), file.path()))).collect())
}

/// Intersection over union of what is at least half opaque and what is white in the mask.
fn iou(made: &Picture, mask: &Picture) -> f64 {
    let [width, height] = made.size();
    let mask = catgen_picture::resize(mask, width, height, catgen_picture::Filter::Bilinear).luma();
    let alpha = made.alpha().unwrap_or_default();
    let (mut both, mut either) = (0, 0);
    for (alpha, mask) in alpha.iter().zip(mask.iter()) {
        let (alpha, mask) = (*alpha >= 128, *mask >= 128);
        both += usize::from(alpha && mask);
        either += usize::from(alpha || mask);
    }
    both as f64 / either.max(1) as f64
}
