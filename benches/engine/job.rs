//! The job that other orchestrators were measured with, by the real picture stages: 1,000 photos and 50 exact copies →
//! duplicates → 75 augmented pictures of each → 64 px. 152,050 files.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use catgen_api::{BuildContext, Digest, Draw, Facts, Input, Item, Made, Params, Picture, Verdict};
use catgen_picture::{Filter, Rgb, RgbImage, encode_png, resize};
use catgen_pipe::{
    Pipeline,
    registry::{Built, STAGES},
};
use image::codecs::jpeg::JpegEncoder;
use rayon::prelude::*;

use crate::{floor, measure, measure::line};

const PHOTOS: u64 = 1_000;
const TWINS: u64 = 50;
const COPIES: u64 = 75;

const PIPELINE: &str = r#"
[[stage]]
name = "0.ORIGINAL"
use = "original"

[[stage]]
name = "1.No_duplicates"
use = "duplicates"
from = "0.ORIGINAL"

[[stage]]
name = "5.Augmented_data"
use = "augment"
from = "1.No_duplicates"
combine = "random"
copies = 75

[[stage]]
name = "6.Photos_64px"
use = "resize"
from = "5.Augmented_data"
"#;

/// A photo that no other resembles: coarse random colours with fine noise, PNG and JPEG by turns.
fn photo(n: u64) -> (String, Vec<u8>) {
    let mut draw = Draw::new(7439, "photo", &Digest::of(b""), n);
    let side = [64, 128, 192, 256, 384, 512][draw.below(6) as usize];
    let coarse = RgbImage::from_fn(9, 9, |_, _| Rgb([0; 3].map(|_: u8| draw.below(256) as u8)));
    let smooth = resize(&Picture::Rgb(coarse), side, side, Filter::Bilinear);
    let mut picture = smooth.over(Rgb([0; 3])).into_owned();
    for pixel in picture.pixels_mut() {
        let noise = draw.below(8) as u8;
        pixel.0 = pixel.0.map(|value| value.saturating_add(noise));
    }
    if n.is_multiple_of(2) {
        let mut bytes = Vec::new();
        JpegEncoder::new_with_quality(&mut bytes, 88).encode_image(&picture).expect("writing to memory cannot fail");
        (format!("img{n:05}.jpg"), bytes)
    } else {
        (format!("img{n:05}.png"), encode_png(&Picture::Rgb(picture)))
    }
}

/// The workspace before anything ran.
fn prepare(root: &Path) -> PathBuf {
    let photos = root.join("data/0.ORIGINAL");
    fs::create_dir_all(&photos).expect("a folder can be made");
    fs::write(root.join("pipeline.toml"), PIPELINE).expect("a file can be written");
    (0..PHOTOS).into_par_iter().for_each(|n| {
        let (name, bytes) = photo(n);
        if n < TWINS {
            fs::write(photos.join(format!("z{name}")), &bytes).expect("a file can be written");
        }
        fs::write(photos.join(name), bytes).expect("a file can be written");
    });
    photos
}

/// In a process of its own: what the stages themselves do, in the same order and with as many threads, without the engine.
/// With `out`, every picture is also written there as a plain file.
pub(crate) fn work(root: &Path, out: Option<&Path>) {
    let pipeline = Pipeline::parse("pipeline.toml", PIPELINE, &[], STAGES).expect("the pipeline is valid");
    let context = BuildContext { workspace: root.to_owned(), seed: pipeline.seed, ..BuildContext::default() };
    let build = |at: usize| pipeline.stages[at].entry.build(&pipeline.stages[at].params as &Params, &context).expect("it can be built");
    let (Built::Set(duplicates), Built::Item(augment), Built::Item(resize)) = (build(1), build(2), build(3)) else {
        panic!("the stages have other shapes")
    };
    let mut paths: Vec<PathBuf> =
        fs::read_dir(root.join("data/0.ORIGINAL")).expect("it is there").map(|entry| entry.expect("it can be read").path()).collect();
    paths.sort();
    let decode = |bytes: &[u8], side| catgen_picture::decode(bytes, side).expect("it is a picture").picture;
    let keep = |name: &str, bytes: &[u8]| {
        if let Some(out) = out {
            fs::write(out.join(name), bytes).expect("a file can be written");
        }
    };
    let facts: Vec<(Digest, Facts)> = paths
        .par_iter()
        .with_max_len(1)
        .map(|path| {
            let bytes = fs::read(path).expect("it can be read");
            catgen_original::look(&bytes).expect("it is a picture");
            let digest = Digest::of(&bytes);
            let picture = decode(&bytes, duplicates.working_side());
            (digest, duplicates.fact(&Input { digest, picture: &picture, inputs: &[] }).expect("it works"))
        })
        .collect();
    let item = |(digest, _): &(Digest, Facts)| Item {
        name: digest.to_string(),
        digest: *digest,
        width: 1,
        height: 1,
        bytes: 1,
        photo: std::sync::Arc::new(catgen_api::Photo { path: digest.to_string(), digest: *digest, size: [1, 1] }),
        input: *digest,
        facts: Facts::new(),
    };
    let items: Vec<Item> = facts.iter().map(item).collect();
    let with_facts: Vec<(&Item, &Facts)> = items.iter().zip(facts.iter().map(|(_, facts)| facts)).collect();
    let verdicts = duplicates.decide(&with_facts).expect("it works");
    let kept: Vec<usize> = (0..paths.len()).filter(|at| matches!(verdicts[*at], catgen_api::SetVerdict::Keep(_))).collect();
    let made: usize = kept
        .par_iter()
        .with_max_len(1)
        .map(|at| {
            let bytes = fs::read(&paths[*at]).expect("it can be read");
            let picture = decode(&bytes, augment.working_side());
            keep(&format!("{at}.jpg"), &bytes);
            let mut made = 0;
            for output in outputs(augment.apply(&Input { digest: items[*at].digest, picture: &picture, inputs: &[] })) {
                let large = encode_png(&output.1);
                keep(&format!("{at}_{}_large.png", output.0), &large);
                for small in outputs(resize.apply(&Input { digest: items[*at].digest, picture: &output.1, inputs: &[] })) {
                    keep(&format!("{at}_{}_small.png", output.0), &encode_png(&small.1));
                    made += 1;
                }
            }
            made
        })
        .sum();
    println!("made {made}");
}

fn outputs(verdict: Result<Verdict, catgen_api::StageError>) -> Vec<(String, Picture)> {
    let Ok(Verdict::Keep(outputs)) = verdict else { panic!("a photo was rejected") };
    let pictures = outputs.into_iter().map(|output| match output.made {
        Made::Picture(picture) => (output.tag, picture),
        Made::Same => panic!("these stages make new pictures"),
    });
    pictures.collect()
}

/// What the stages did must be exactly this. Of augmented pictures that come out equal one is resized, so the last stage may
/// do a little less.
fn expect(what: &str, cost: &measure::Cost, computed: [u64; 4], removed: [u64; 4]) {
    let counts = cost.counts();
    assert_eq!(counts.len(), 4, "{what}: {counts:?}");
    for (at, (stage, did, went)) in counts.iter().enumerate() {
        let least = if at == 3 { computed[at] - computed[at] / 10 } else { computed[at] };
        assert!((least..=computed[at]).contains(did) && *went == removed[at], "{what}: {stage}: computed and removed by stage: {counts:?}");
    }
}

pub(crate) fn bench() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let root = folder.path();
    let text = root.to_str().expect("temporary folders have plain names");
    let photos = prepare(root);
    let run = || measure::program(root, &["run", "--json"]);

    let starts = 100;
    let start = measure::cost(measure::program(root, &["--version"]));
    let began: f64 = (0..starts).map(|_| measure::cost(measure::program(root, &["--version"])).cpu).sum();
    println!("start-up, `--version`: {:.1} ms CPU ({:.1} ms on the clock)", began / f64::from(starts) * 1000.0, start.wall * 1000.0);

    let own = measure::cost(measure::part(&["work", text]));
    let plain = tempfile::tempdir().expect("a temporary folder can be made");
    let written = measure::cost(measure::part(&["work", text, plain.path().to_str().expect("temporary folders have plain names")]));
    let cold = measure::cost(run());
    let made = PHOTOS * COPIES;
    expect("first run", &cold, [PHOTOS, PHOTOS, made, made], [0; 4]);
    line("the stages' own work, nothing kept", &own, "own work", own.cpu, "");
    line("the same, every picture a plain file", &written, "own work", own.cpu, "");
    line("first run", &cold, "own work", own.cpu, &format!("{:.3} × with plain files", cold.cpu / written.cpu));
    drop(plain);
    disk(root);

    measure::let_times_settle();
    measure::cost(run());
    let list = root.join("list");
    let files = floor::list(&root.join("data"), &list);
    assert_eq!(files as u64, PHOTOS + TWINS + PHOTOS + 2 * made);
    let list = list.to_str().expect("temporary folders have plain names");
    let floor = measure::median(5, || measure::part(&["floor", list]));
    line("floor: list, one stat a file, compare", &floor, "floor", floor.cpu, &format!("{files} files"));
    let no_op = measure::median(5, run);
    expect("no-op", &no_op, [0; 4], [0; 4]);
    line("run, nothing to do", &no_op, "floor", floor.cpu, "");
    line("plan, nothing to do", &measure::median(5, || measure::program(root, &["plan"])), "floor", floor.cpu, "");
    line("status, nothing to do", &measure::median(5, || measure::program(root, &["status"])), "floor", floor.cpu, "");

    // Each change costs what it costs beyond a run with nothing to do.
    let change = |what: &str, computed: [u64; 4], removed: [u64; 4]| {
        measure::let_times_settle();
        let cost = measure::cost(run());
        expect(what, &cost, computed, removed);
        let share = (cost.cpu - no_op.cpu) / cold.cpu * 100.0;
        line(what, &cost, "floor", floor.cpu, &format!("no-op + {share:.1} % of the first run"));
    };
    let name = |n: u64| photos.join(photo(n).0);
    let some = || (0..10).map(|n| 100 + 37 * n);
    some().for_each(|n| fs::write(name(n), photo(n + PHOTOS).1).expect("a file can be written"));
    change("10 of 1,000 photos edited", [10, 10, 10 * COPIES, 10 * COPIES], [0; 4]);
    for n in some() {
        fs::copy(name(n), photos.join(format!("zz{n}.jpg"))).expect("a file can be copied");
    }
    change("10 exact copies added", [0; 4], [0; 4]);
    for entry in fs::read_dir(&photos).expect("it is there") {
        let file = fs::File::options().write(true).open(entry.expect("it can be read").path()).expect("it can be opened");
        file.set_modified(SystemTime::now() - Duration::from_secs(1000)).expect("its owner may do that");
    }
    change("every photo touched", [0; 4], [0; 4]);
    (0..10).map(|n| 500 + 37 * n).for_each(|n| fs::remove_file(name(n)).expect("its owner may do that"));
    change("10 photos removed", [0; 4], [10, 10, 10 * COPIES, 10 * COPIES]);
}

/// What lies on the disk, each inode once.
fn disk(root: &Path) {
    use std::os::unix::fs::MetadataExt;
    let mut seen = std::collections::HashSet::new();
    let mut sums = [0u64; 3];
    let names = ["pictures in the store", "the rest of .catgen", "folders below data/, without the photos"];
    let mut length = 0;
    for (at, part) in [(0, ".catgen/cas"), (1, ".catgen"), (2, "data")] {
        for entry in walkdir::WalkDir::new(root.join(part)).into_iter().filter_map(Result::ok) {
            let Ok(metadata) = entry.metadata() else { continue };
            if entry.path().starts_with(root.join("data/0.ORIGINAL")) || !seen.insert(metadata.ino()) {
                continue;
            }
            // The folders of the store are not payload.
            let at = if metadata.is_dir() && at == 0 { 1 } else { at };
            sums[at] += metadata.blocks() * 512;
            length += if at == 0 { metadata.len() } else { 0 };
        }
    }
    for (name, sum) in names.iter().zip(sums) {
        println!("on disk: {name:40} {:8.1} MB  {:.3} × the pictures' blocks", sum as f64 / 1e6, sum as f64 / sums[0] as f64);
    }
    println!("on disk: store and folders are {:.3} × the pictures' blocks", sums.iter().sum::<u64>() as f64 / sums[0] as f64);
    println!(
        "the pictures themselves: {:.1} MB, so blocks of 4 kB add {:.1} %",
        length as f64 / 1e6,
        (sums[0] as f64 / length as f64 - 1.0) * 100.0
    );
}
