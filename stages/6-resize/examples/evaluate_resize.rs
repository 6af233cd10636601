//! How clean are soft edges, and how many finished 64 px PNG files does one core make of a 512 px cut-out, next to the usual tools?
//!
//! ```text
//! cargo run --release -p catgen-resize --example evaluate_resize [-- PICTURE]
//! ```
//!
//! Prints rows of five columns, tab-separated: stage, data set, metric, ours, reference. With a Python that has albumentations,
//! Pillow and scikit-image (`CATGEN_PYTHON`), and the peers' scripts (`CATGEN_SHARED`), those run in between, on the same
//! picture and the same core; else the reference is what they reached another time. To reach: 2,000 outputs a second.

#![expect(clippy::print_stdout, reason = "an example's result is what it prints")]

use std::{
    borrow::Cow,
    error::Error,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use catgen_api::{BuildContext, Digest, Draw, Input, ItemStage, Made, Output, Params, Verdict};
use catgen_augment::{Mip, Step};
use catgen_picture::{Picture, Rgba, RgbaImage, decode, encode_png, fit_within};
use catgen_resize::{Fill, Fit, square};
use serde_json::Value;

fn main() -> Result<(), Box<dyn Error>> {
    for (from, error) in [(512, fringe(512)), (128, fringe(128))] {
        let reference = "albumentations 32.4 (area), 5.3 (default); Pillow 1.4";
        println!(
            "resize\tflat subject on transparent green, {from} → 64 px\tcolour error on the soft edge, levels\t{error:.2}\t{reference}"
        );
    }
    let peers = Peers::find();
    let picture = match std::env::args().nth(1) {
        Some(file) => decode(&std::fs::read(file)?, None)?.picture,
        None => peers.as_ref().and_then(Peers::picture).unwrap_or_else(fur),
    };
    let picture = Picture::Rgba(picture.to_rgba().into_owned());
    // Ours, theirs, ours again: what else the machine does slows all of them, and not evenly.
    let first = rates(&picture)?;
    let theirs = peers.as_ref().and_then(Peers::rates);
    let second = rates(&picture)?;
    let all = theirs.unwrap_or_else(|| "another run: albumentations RGB 562–714, Pillow RGBA 104–220".to_owned());
    let names = ["only the 64 px file is encoded", "the 128 px file between is encoded, too", "64 px on white, without any file"];
    for ((name, first), second) in names.iter().zip(first).zip(second) {
        let data = "512 px RGBA cat: light, contrast, saturation, crop, flip";
        println!("augment + resize\t{data}\toutputs per core-second, {name}\t{:.0}\t{all}", (first + second) / 2.0);
    }
    Ok(())
}

/// Mean error of a subject of one colour where its edge is soft.
fn fringe(side: u32) -> f64 {
    let flat = [200, 120, 40];
    let image = RgbaImage::from_fn(side, side, |x, y| {
        let at = |v: u32| (f64::from(v) + 0.5) / f64::from(side) * 512.0 - 256.0;
        let alpha = (((1.0 - (at(y) / 200.0).hypot(at(x) / 190.0)) * 40.0 + 0.5).clamp(0.0, 1.0) * 255.0) as u8;
        if alpha == 0 { Rgba([0, 255, 0, 0]) } else { Rgba([flat[0], flat[1], flat[2], alpha]) }
    });
    let made = square(&Picture::Rgba(image), 64, Fit::Expand, Fill::Transparent);
    let errors: Vec<f64> = made
        .to_rgba()
        .pixels()
        .filter(|pixel| (9..248).contains(&pixel[3]))
        .flat_map(|pixel| (0..3).map(|channel| f64::from(pixel[channel].abs_diff(flat[channel]))).collect::<Vec<_>>())
        .collect();
    errors.iter().sum::<f64>() / errors.len() as f64
}

/// Outputs a second of one thread: with the last file encoded, with both, with none. As in the peers' script every output gets
/// all of light, contrast, saturation and a crop, and every second one is flipped; 75 of a photo.
fn rates(picture: &Picture) -> Result<[f64; 3], Box<dyn Error>> {
    const OUTPUTS: u64 = 75;
    let steps = |draw: &mut Draw| {
        let mut factor = || draw.uniform(0.7, 1.3);
        let colour = [Step::Brightness(factor()), Step::Contrast(factor()), Step::Saturation(factor())];
        let crop = Step::Crop { size: draw.uniform(0.75, 1.0), left: draw.unit(), top: draw.unit() };
        colour.into_iter().chain([crop]).chain(draw.coin(0.5).then_some(Step::Flip)).collect::<Vec<Step>>()
    };
    let resize = catgen_resize::build(&Params::defaults(catgen_resize::KIND.params), &BuildContext::default())?;
    let mut rates = [0.0; 3];
    for (mode, rate) in rates.iter_mut().enumerate() {
        let mut all = Vec::new();
        for photo in 0..20 {
            let start = cpu();
            let mut bytes = 0;
            let small = fit_within(Cow::Borrowed(picture), Some(128));
            let mip = Mip::new(&small);
            for k in 0..OUTPUTS {
                let output = mip.after(&steps(&mut Draw::new(7439, "evaluate", &Digest::of(&[photo]), k)));
                bytes += if mode == 1 { encode_png(&output).len() } else { 0 };
                for small in apply(resize.as_ref(), &output, photo)? {
                    bytes += if mode < 2 { encode_png(&small).len() } else { small.size()[0] as usize };
                }
            }
            assert!(std::hint::black_box(bytes) > 0);
            all.push((cpu() - start).as_secs_f64() / OUTPUTS as f64);
        }
        // As the peers' script does: the mean of all but the slowest fifth.
        all.sort_by(f64::total_cmp);
        let kept = &all[..all.len() * 4 / 5];
        *rate = kept.len() as f64 / kept.iter().sum::<f64>();
    }
    Ok(rates)
}

fn apply(stage: &dyn ItemStage, picture: &Picture, photo: u8) -> Result<Vec<Picture>, Box<dyn Error>> {
    let Verdict::Keep(outputs) = stage.apply(&Input { digest: Digest::of(&[photo]), picture, inputs: &[] })? else { return Ok(Vec::new()) };
    let pictures =
        outputs.into_iter().filter_map(|Output { made, .. }| if let Made::Picture(picture) = made { Some(picture) } else { None });
    Ok(pictures.collect())
}

/// Something about as hard to compress as fur, where nothing better is at hand.
fn fur() -> Picture {
    let mut noise = Draw::new(1, "noise", &Digest::of(b""), 0);
    let image = RgbaImage::from_fn(512, 512, |x, y| {
        let inside = 1.0 - ((f64::from(x) - 256.0) / 190.0).hypot((f64::from(y) - 256.0) / 200.0);
        let fur = noise.below(80) as f64 + f64::from(x + y) / 8.0;
        Rgba([fur as u8, (fur * 0.8) as u8, (fur * 0.5) as u8, (inside * 10_000.0).clamp(0.0, 255.0) as u8])
    });
    image.into()
}

/// The usual tools on this machine.
struct Peers {
    python: PathBuf,
    script: PathBuf,
}

impl Peers {
    fn find() -> Option<Self> {
        let python = PathBuf::from(std::env::var_os("CATGEN_PYTHON")?);
        let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
        let shared = std::env::var_os("CATGEN_SHARED").map_or_else(beside, PathBuf::from);
        let script = shared.join("peers/images/bench_augment.py");
        let has = Command::new(&python).args(["-c", "import albumentations, cv2, skimage, PIL"]).output().ok()?.status.success();
        let found = has && script.is_file();
        if !found {
            eprintln!("skipped: the peers' own rates need {} and a Python with albumentations and scikit-image", script.display());
        }
        found.then_some(Self { python, script })
    }

    /// The picture that their script works on.
    fn picture(&self) -> Option<Picture> {
        let file = std::env::temp_dir().join(format!("catgen-evaluate-{}.png", std::process::id()));
        let save = "import runpy, sys; names = runpy.run_path(sys.argv[1]); names['Image'].fromarray(names['rgba']).save(sys.argv[2])";
        let ran = Command::new(&self.python).args(["-c", save]).arg(&self.script).arg(&file).output().ok()?;
        let bytes = std::fs::read(&file).ok().filter(|_| ran.status.success())?;
        let _ = std::fs::remove_file(file);
        Some(decode(&bytes, None).ok()?.picture)
    }

    /// What they reach now, in words.
    fn rates(&self) -> Option<String> {
        // The script leaves its numbers in the folder it runs in.
        let folder = std::env::temp_dir().join(format!("catgen-evaluate-{}", std::process::id()));
        std::fs::create_dir_all(&folder).ok()?;
        let ran = Command::new(&self.python).arg(&self.script).env("IMGS_N_AUG", "200").current_dir(&folder).output().ok()?;
        let text = std::fs::read(folder.join("augment.json")).ok().filter(|_| ran.status.success())?;
        let _ = std::fs::remove_dir_all(folder);
        let numbers: Value = serde_json::from_slice(&text).ok()?;
        let rate = |name: &str| numbers[name]["per_core_s"].as_f64().map(|rate| format!("{rate:.0}"));
        Some(format!(
            "same run: albumentations RGB {} and {}, Pillow RGBA {} and {}",
            rate("albumentations RGB, colour at 512 then 64")?,
            rate("albumentations RGB, crop to 64 first")?,
            rate("pillow RGBA, colour at 512 then 64")?,
            rate("pillow RGBA, crop to 64 first")?
        ))
    }
}

/// Processor time of this process so far: on a machine with other work the clock on the wall says little.
fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}
