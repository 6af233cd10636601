//! How good are the masks after each step, how clean are the edges, and what does it cost?
//!
//! ```text
//! cargo run --release -p catgen-background --example evaluate_background [-- runtime=rten] [photos=N]
//! ```
//!
//! Rows come out separated by tabs: stage, data set, metric, ours, reference. `CATGEN_SHARED` is the folder with `data/masks` and `models`, if
//! not `shared` beside the checkout; `ORT_DYLIB_PATH` names onnxruntime, if it is not where `make models` puts it. With
//! `CATGEN_PYTHON`, an interpreter that has onnxruntime, numpy and Pillow, rembg's own steps are run on the same photos beside ours
//! (`reference.py`); without it the reference is what that run gave when it was last made. `photos` takes that many of each set.
//!
//! Takes about five minutes on two cores with onnxruntime. The parameters of the steps were chosen on the one-cat photos of feral-cats and on
//! cats-hand81; the photos of several cats had no part in that.
#![expect(clippy::print_stdout, reason = "printing is what it is for")]

use std::{
    collections::BTreeMap,
    env,
    error::Error,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use catgen_api::{BuildContext, Digest, Input, ItemStage, Made, Params, Picture, Verdict};
use catgen_background::{KIND, STEPS, StepByStep, build};
use catgen_picture::{Filter, GrayImage, Rgb, RgbImage, RgbaImage, resize};

type Failed = Box<dyn Error + Send + Sync>;

/// What rembg's steps reach on the same photos, measured with `reference.py` (onnxruntime 1.31.1, November 2026).
const REFERENCE: &[(&str, f64)] = &[(ONE_CAT, 0.8294), (ALL_CATS, 0.6265), (BY_HAND, 0.7178)];

const ONE_CAT: &str = "feral-cats, one cat, mask over 5 %";
const ALL_CATS: &str = "feral-cats, several cats";
const BY_HAND: &str = "cats-hand81";

/// How near a cut-out is to the mask: as a whole, and along the outline.
struct Score {
    whole: f64,
    edge: f64,
}

/// The scores of one photo, and its mask's share of it.
struct Scores {
    share: f64,
    after: Vec<Score>,
}

/// A photo with the mask of what should be left of it.
struct Marked {
    photo: PathBuf,
    mask: PathBuf,
    /// How much of the photo that is.
    share: f64,
}

fn main() -> Result<(), Failed> {
    let options: Vec<String> = env::args().skip(1).collect();
    let options: BTreeMap<&str, &str> = options.iter().filter_map(|option| option.split_once('=')).collect();
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let shared = &env::var_os("CATGEN_SHARED").map_or_else(beside, PathBuf::from);
    if !shared.join("data/masks").is_dir() {
        eprintln!("left out: {} has no data/masks (CATGEN_SHARED names another folder)", shared.display());
        return Ok(());
    }
    let most = options.get("photos").map_or(Ok(usize::MAX), |number| number.parse())?;
    let fetched = env::var_os("HOME").map(|home| Path::new(&home).join(".cache/catgen-pipe/onnxruntime/libonnxruntime.so"));
    let library = env::var_os("ORT_DYLIB_PATH").map(PathBuf::from).or(fetched).filter(|path| path.is_file());
    let context = BuildContext { models: vec![shared.join("models")], onnxruntime: library, ..BuildContext::default() };
    let params = |steps: &[&str]| -> Result<Params, Failed> {
        let mut params = Params::defaults(KIND.params);
        params.set(KIND.params, "steps", &steps.into())?;
        if let Some(runtime) = options.get("runtime") {
            params.set(KIND.params, "runtime", &(*runtime).into())?;
        }
        Ok(params)
    };
    let stage = |steps: &[&str]| -> Result<Box<dyn ItemStage>, Failed> { Ok(build(&params(steps)?, &context)?) };
    let step_by_step = StepByStep::new(&params(STEPS)?, &context)?;

    let unpacked = tempfile::tempdir()?;
    let sets = sets(shared, unpacked.path(), most)?;
    let python = env::var("CATGEN_PYTHON").ok();
    let reference = python.and_then(|python| {
        let found = reference(&python, shared, unpacked.path(), &sets);
        found.inspect_err(|error| eprintln!("skipped: rembg's steps in this run, quoted instead: {error}")).ok()
    });
    let known = |data: &str, metric: &str| match &reference {
        Some(found) => found.get(&(data.to_owned(), metric.to_owned())).cloned(),
        None => REFERENCE.iter().find(|(name, _)| *name == data && metric == "IoU").map(|(_, value)| format!("{value:.4}")),
    };

    let girl = unpacked.path().join("rembg-tests/tests");
    let photo = open(&girl.join("fixtures/anime-girl-1.jpg"))?;
    let theirs = open(&girl.join("results/anime-girl-1.u2netp.png"))?.alpha().ok_or("rembg's cut-out has no alpha")?;
    let ours = cut(&*stage(&[])?, &photo)?;
    row(
        "rembg-tests, anime-girl-1",
        "IoU to the published u2netp cut-out, no steps",
        overlap(&alpha(&ours), &theirs),
        Some(">= 0.98".to_owned()),
    );

    for (data, photos) in &sets {
        let scores = each(photos, &step_by_step)?;
        for many in 0..STEPS.len() {
            // Several cats are only there to see that nothing was bent towards one cat.
            if *data == ALL_CATS && (1..STEPS.len() - 1).contains(&many) {
                continue;
            }
            let name = match many {
                0 => "no steps".to_owned(),
                _ => STEPS[..many].join(", "),
            };
            let of = |measure: fn(&Score) -> f64, least: f64| {
                let counted: Vec<f64> =
                    scores.iter().filter(|scores| scores.share > least).map(|scores| measure(&scores.after[many])).collect();
                (counted.iter().sum::<f64>() / counted.len().max(1) as f64, counted.len())
            };
            row(data, &format!("mean IoU: {name}"), of(|score| score.whole, 0.0).0, known(data, "IoU"));
            row(data, &format!("mean boundary IoU: {name}"), of(|score| score.edge, 0.0).0, None);
            if *data == ONE_CAT {
                let (mean, count) = of(|score| score.whole, 0.08);
                row(data, &format!("mean IoU of the {count} over 8 %: {name}"), mean, known(ONE_CAT, "IoU over 8 %"));
            }
        }
    }

    let [before, after] = edge_colours(&sets[0].1, &step_by_step)?;
    row(ONE_CAT, "colour error of soft edges before another photo, 0 to 255: without colour", before, None);
    row(ONE_CAT, "colour error of soft edges before another photo, 0 to 255: with colour", after, None);

    for (name, steps) in [("no steps", &[][..]), ("all steps", STEPS)] {
        let stage = stage(steps)?;
        let mut times = Vec::new();
        for marked in sets[2].1.iter().take(20) {
            let photo = open(&marked.photo)?;
            let start = cpu();
            cut(&*stage, &photo)?;
            times.push(1e3 * (cpu() - start).as_secs_f64());
        }
        times.sort_by(f64::total_cmp);
        let data = format!("{BY_HAND}, one photo after the other");
        row(&data, &format!("CPU ms a photo (median): {name}"), times[times.len() / 2], known(BY_HAND, "CPU ms a photo"));
    }
    Ok(())
}

/// Processor time of this process so far: on a machine with other work the clock on the wall says little.
fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

fn row(data: &str, metric: &str, ours: f64, reference: Option<String>) {
    println!("background\t{data}\t{metric}\t{ours:.4}\t{}", reference.unwrap_or_else(|| "-".to_owned()));
}

/// The photos with their masks: one cat, several cats, and cats drawn by hand.
fn sets(shared: &Path, unpacked: &Path, most: usize) -> Result<Vec<(&'static str, Vec<Marked>)>, Failed> {
    let masks = shared.join("data/masks");
    for name in ["feral-cats", "cats-hand81", "rembg-tests"] {
        let (archive, into) = (masks.join(format!("{name}.zip")), unpacked.join(name));
        if !Command::new("python3").args(["-m", "zipfile", "-e"]).arg(&archive).arg(into).status()?.success() {
            return Err(format!("{} cannot be unpacked with python3", archive.display()).into());
        }
    }
    let (mut one, mut several) = (Vec::new(), Vec::new());
    for line in fs::read_to_string(masks.join("feral-cats.csv"))?.lines().skip(1) {
        let [id, cats, share] = line.split(',').collect::<Vec<_>>()[..] else { return Err(format!("{line:?} is no row").into()) };
        let folder = unpacked.join("feral-cats");
        let (photo, mask) = (folder.join(format!("images/{id}.jpg")), folder.join(format!("masks/{id}.png")));
        let marked = Marked { photo, mask, share: share.parse()? };
        match cats.parse::<u32>()? {
            1 if marked.share > 0.05 => one.push(marked),
            2.. => several.push(marked),
            _ => {}
        }
    }
    let folder = unpacked.join("cats-hand81");
    let mut photos: Vec<PathBuf> = fs::read_dir(folder.join("images"))?.map(|entry| Ok(entry?.path())).collect::<Result<_, Failed>>()?;
    photos.sort();
    let mask = |photo: &Path| photo.file_name().map(|name| folder.join("masks").join(name));
    let by_hand = photos.into_iter().filter_map(|photo| Some(Marked { mask: mask(&photo)?, photo, share: 1.0 })).collect();
    let mut sets = vec![(ONE_CAT, one), (ALL_CATS, several), (BY_HAND, by_hand)];
    sets.iter_mut().for_each(|(_, photos)| photos.truncate(most));
    Ok(sets)
}

/// What `reference.py` answers, by data set and metric.
fn reference(python: &str, shared: &Path, work: &Path, sets: &[(&str, Vec<Marked>)]) -> Result<BTreeMap<(String, String), String>, Failed> {
    let mut feed = String::new();
    for (data, photos) in sets {
        for marked in photos {
            writeln!(feed, "{data}\t{}\t{}\t{}", marked.photo.display(), marked.mask.display(), marked.share)?;
        }
    }
    let file = work.join("feed.tsv");
    fs::write(&file, feed)?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/reference.py");
    let output = Command::new(python).arg(script).arg(shared.join("models/u2netp.onnx")).arg(file).output()?;
    if !output.status.success() {
        return Err(format!("the reference failed: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let rows = String::from_utf8(output.stdout)?;
    Ok(rows
        .lines()
        .filter_map(|row| match row.split('\t').collect::<Vec<_>>()[..] {
            [data, metric, value] => Some(((data.to_owned(), metric.to_owned()), value.to_owned())),
            _ => None,
        })
        .collect())
}

/// What every photo scores after each step, worked out on two threads.
fn each(photos: &[Marked], step_by_step: &StepByStep) -> Result<Vec<Scores>, Failed> {
    let (next, scores) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || -> Result<(), Failed> {
        while let Some(marked) = photos.get(next.fetch_add(1, Ordering::Relaxed)) {
            let photo = open(&marked.photo)?;
            let [width, height] = photo.size();
            let mask = resize(&open(&marked.mask)?, width, height, Filter::Bilinear).luma();
            let made = step_by_step.cut(&photo)?;
            let score = |made: &RgbaImage| Score { whole: overlap(&alpha(made), &mask), edge: edge_overlap(&alpha(made), &mask) };
            let scored = Scores { share: marked.share, after: made.iter().map(score).collect() };
            scores.lock().map_err(|_| "a thread panicked")?.push(scored);
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..2).map(|_| scope.spawn(work)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().unwrap_or_else(|_| Err("a thread panicked".into())))
    })?;
    Ok(scores.into_inner()?)
}

fn open(path: &Path) -> Result<Picture, Failed> {
    Ok(catgen_picture::decode(&fs::read(path)?, Some(1024)).map_err(|error| format!("{}: {error}", path.display()))?.picture)
}

fn cut(stage: &dyn ItemStage, picture: &Picture) -> Result<RgbaImage, Failed> {
    let Verdict::Keep(outputs) = stage.apply(&Input { digest: Digest::of(b""), picture, inputs: &[] })? else {
        return Err("background rejects nothing".into());
    };
    match outputs.into_iter().next().map(|output| output.made) {
        Some(Made::Picture(Picture::Rgba(image))) => Ok(image),
        _ => Err("background makes one picture with alpha".into()),
    }
}

fn alpha(image: &RgbaImage) -> GrayImage {
    GrayImage::from_fn(image.width(), image.height(), |x, y| [image.get_pixel(x, y)[3]].into())
}

/// Intersection over union of what is at least half there.
fn overlap(made: &GrayImage, mask: &GrayImage) -> f64 {
    let pairs = || made.iter().zip(mask.iter()).map(|(made, mask)| (*made >= 128, *mask >= 128));
    pairs().filter(|(made, mask)| *made && *mask).count() as f64 / pairs().filter(|(made, mask)| *made || *mask).count().max(1) as f64
}

/// The same, only of what lies at most 2 % of the diagonal inside each outline (Cheng et al. 2021, "Boundary IoU").
fn edge_overlap(made: &GrayImage, mask: &GrayImage) -> f64 {
    let reach = (0.02 * f64::from(made.width()).hypot(f64::from(made.height()))).round().max(1.0) as u32;
    overlap(&band(made, reach), &band(mask, reach))
}

/// What is in the mask and not further than `reach` from something that is not: a row and a column at a time.
fn band(mask: &GrayImage, reach: u32) -> GrayImage {
    let (width, height) = mask.dimensions();
    let near = |length: u32, outside: &dyn Fn(u32) -> bool| -> Vec<bool> {
        let mut near = vec![false; length as usize];
        for at in (0..length).filter(|at| outside(*at)) {
            (at.saturating_sub(reach)..(at + reach + 1).min(length)).for_each(|at| near[at as usize] = true);
        }
        near
    };
    let rows: Vec<Vec<bool>> = (0..height).map(|y| near(width, &|x| mask.get_pixel(x, y)[0] < 128)).collect();
    let mut band = GrayImage::new(width, height);
    for x in 0..width {
        for (y, is_near) in near(height, &|y| rows[y as usize][x as usize]).into_iter().enumerate() {
            if is_near && mask.get_pixel(x, y as u32)[0] >= 128 {
                band.put_pixel(x, y as u32, [255].into());
            }
        }
    }
    band
}

/// Cats put before other photos, so that the true colours of their edges are known: the mean distance of the cut-outs' colours from
/// them where the cut-out and the truth are both half there, weighed by the cut-out's alpha; without the last step, and with it.
fn edge_colours(photos: &[Marked], step_by_step: &StepByStep) -> Result<[f64; 2], Failed> {
    let (mut sums, mut weights) = ([0.0; 2], [0.0; 2]);
    for (at, marked) in photos.iter().enumerate().take(30) {
        let cat = open(&marked.photo)?.over(Rgb([0; 3])).into_owned();
        let (width, height) = cat.dimensions();
        let mask = resize(&open(&marked.mask)?, width, height, Filter::Bilinear).luma();
        // Softened inwards: whatever is there at all has the cat's own colour.
        let soft = blurred(&mask);
        let other = resize(&open(&photos[(at + 7) % photos.len()].photo)?, width, height, Filter::Bilinear);
        let other = other.over(Rgb([0; 3]));
        let shown = RgbImage::from_fn(width, height, |x, y| {
            let alpha = f64::from(soft.get_pixel(x, y)[0]) / 255.0;
            let mix = |c: usize| alpha * f64::from(cat.get_pixel(x, y)[c]) + (1.0 - alpha) * f64::from(other.get_pixel(x, y)[c]);
            Rgb([0, 1, 2].map(|c| mix(c).round() as u8))
        });
        let made = step_by_step.cut(&shown.into())?;
        for ((sum, weight), made) in sums.iter_mut().zip(&mut weights).zip(&made[STEPS.len() - 1..]) {
            for (x, y, pixel) in made.enumerate_pixels() {
                let truth = soft.get_pixel(x, y)[0];
                if (1..255).contains(&pixel[3]) && (1..255).contains(&truth) {
                    let off: f64 = (0..3).map(|c| f64::from(pixel[c].abs_diff(cat.get_pixel(x, y)[c]))).sum::<f64>() / 3.0;
                    *sum += off * f64::from(pixel[3]);
                    *weight += f64::from(pixel[3]);
                }
            }
        }
    }
    Ok([0, 1].map(|at| sums[at] / f64::max(weights[at], 1.0)))
}

/// The mean over 9 × 9 pixels, stretched so that nothing is left outside of what `mask` holds.
fn blurred(mask: &GrayImage) -> GrayImage {
    let (width, height) = mask.dimensions();
    GrayImage::from_fn(width, height, |x, y| {
        let (columns, rows) = (x.saturating_sub(4)..(x + 5).min(width), y.saturating_sub(4)..(y + 5).min(height));
        let count = columns.len() * rows.len();
        let inside = rows.map(|y| columns.clone().filter(|x| mask.get_pixel(*x, y)[0] >= 128).count()).sum::<usize>();
        // At the outline itself half of the window is inside: that becomes nothing.
        [((2.0 * inside as f64 / count as f64 - 1.0).max(0.0) * 255.0).round() as u8].into()
    })
}
