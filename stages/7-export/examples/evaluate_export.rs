//! How fast is a dataset packed, and how large is it in each format?
//!
//! ```text
//! cargo run --release -p catgen-export --example evaluate_export
//! ```
//!
//! Prints rows of five columns, tab-separated: stage, data set, metric, ours, reference (reading the same pictures and doing
//! nothing with them). That every format opens in the tool it is for is what `tests/consumers.rs` is about.

#![expect(clippy::print_stdout, reason = "an example's result is what it prints")]

use std::{collections::HashMap, error::Error, sync::Arc, time::Duration};

use catgen_api::{BuildContext, Digest, Draw, Facts, Item, PackedFile, Params, Photo};
use catgen_export::{KIND, build};
use catgen_picture::{Picture, Rgb, RgbImage, decode, encode_png};

fn main() -> Result<(), Box<dyn Error>> {
    const COUNT: u32 = 4000;
    let mut noise = Draw::new(1, "noise", &Digest::of(b""), 0);
    let mut blobs: HashMap<Digest, Vec<u8>> = HashMap::new();
    let photo = Arc::new(Photo { path: "a.jpg".to_owned(), digest: Digest::of(b""), size: [64, 64] });
    let mut item = |n: u32| {
        let image = RgbImage::from_fn(64, 64, |x, y| {
            let fur = noise.below(40) as u32 + x + y;
            Rgb([(fur + n % 80) as u8, (fur * 4 / 5) as u8, (fur / 2) as u8])
        });
        let file = encode_png(&Picture::Rgb(image));
        let (digest, bytes) = (Digest::of(&file), file.len() as u64);
        blobs.insert(digest, file);
        let (photo, facts) = (Arc::clone(&photo), Facts::new());
        Item { name: format!("{n}.png"), digest, width: 64, height: 64, bytes, photo, input: digest, facts }
    };
    let items: Vec<Item> = (0..COUNT).map(&mut item).collect();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build()?;
    let data = format!("{COUNT} noisy 64 px pictures");

    let start = cpu();
    for item in &items {
        assert_eq!(decode(&blobs[&item.digest], None)?.picture.size(), [64, 64]);
    }
    let reading = f64::from(COUNT) / (cpu() - start).as_secs_f64();
    for format in ["", "webdataset", "npz", "stylegan"] {
        let mut params = Params::defaults(KIND.params);
        params.set(KIND.params, "imagefolder", &false.into())?;
        params.set(KIND.params, "held_out", &0.0.into())?;
        if !format.is_empty() {
            params.set(KIND.params, format, &true.into())?;
        }
        let stage = build(&params, &BuildContext::default())?;
        let folder = tempfile::tempdir()?;
        let open = |item: &Item| Ok(decode(&blobs[&item.digest], None).map_err(|error| broken(&error))?.picture);
        let start = cpu();
        let files = pool.install(|| stage.pack(&items, &open, folder.path(), &|_| ()))?;
        let rate = f64::from(COUNT) / (cpu() - start).as_secs_f64();
        let is_ours = |name: &str| if format.is_empty() { name == "train.npy" } else { name.starts_with(format) || name == "images.npz" };
        let written = files.iter().filter(|file| file.content == PackedFile::Written && is_ours(&file.name));
        let bytes = written.map(|file| Ok(std::fs::metadata(folder.path().join(&file.name))?.len())).sum::<std::io::Result<u64>>()?;
        let name = if format.is_empty() { "train.npy".to_owned() } else { format!("train.npy and {format}") };
        println!("export\t{data}\t{name}: pictures packed per core-second\t{rate:.0}\treading alone {reading:.0}");
        println!(
            "export\t{data}\t{}: bytes a picture\t{:.0}\traw 12288",
            if format.is_empty() { "train.npy" } else { format },
            bytes as f64 / f64::from(COUNT)
        );
    }
    Ok(())
}

fn broken(error: &impl std::fmt::Display) -> catgen_api::StageError {
    catgen_api::StageError::Broken { what: error.to_string(), hint: String::new() }
}

/// Processor time of this process so far: on a machine with other work the clock on the wall says little.
fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}
