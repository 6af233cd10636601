//! Pictures from a trained generator. A picture belongs to its seed: neither its neighbours nor their number change it.
//!
//! Seeds are drawn in blocks of 64 that begin at multiples of 64, always whole, whatever part of a block was asked for. So the
//! tensor that a picture is computed in is the same each time, and with it, on one machine, every bit: libtorch may choose other
//! kernels, which round otherwise, for batches of other sizes.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use catgen_picture::{Picture, RgbImage, encode_png};
use catgen_train::{
    Event,
    canvas::{Canvas, FAINT, INK, Letters},
};
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};

use crate::{
    checkpoint::Checkpoint,
    error::Failure,
    grid, latent,
    model::{AT_ONCE, Chosen, Model},
    nearest::{Album, Neighbour},
    network::{self, Mode, Network},
    npz::Npz,
};

/// The largest sheet; more pictures are written and not shown on it.
const MOST_ON_SHEET: usize = 1024;
/// Pairs on the sheet of neighbours.
const MOST_PAIRS: usize = 60;
/// Pictures that wait for being encoded: bounds the memory.
const WAITING: usize = 256;
/// How often it is said how far it is.
const REPORT_EVERY: Duration = Duration::from_secs(1);

/// What to draw, with what, and where to.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) chosen: Chosen,
    /// The first seed; the others count up from it.
    pub(crate) seed: u64,
    /// Pictures to keep.
    pub(crate) count: u64,
    /// Of how many seeds in a row the one that the discriminator finds most real is kept.
    pub(crate) best_of: u64,
    /// See [`latent::truncate`].
    pub(crate) truncation: f64,
    pub(crate) target: Target,
    /// Where the sheet goes; below the folder where nothing is said.
    pub(crate) grid: Option<PathBuf>,
    /// The dataset to look for neighbours in, and the list of its rows.
    pub(crate) album: Option<(PathBuf, Option<PathBuf>)>,
}

/// Where pictures go.
#[derive(Debug)]
pub(crate) enum Target {
    /// `seed-000123.png` and so on, with `index.jsonl` and `grid.png`.
    Folder(PathBuf),
    /// One file of arrays.
    Npz(PathBuf),
}

/// A picture that is kept.
struct Kept {
    seed: u64,
    score: Option<f64>,
    /// side × side × 3
    pixels: Vec<u8>,
}

/// Draws what was ordered.
pub(crate) fn generate(order: &Order, say: &mut dyn FnMut(&Event)) -> Result<Event, Failure> {
    let seeds = order.count.checked_mul(order.best_of).filter(|seeds| *seeds > 0).and_then(|seeds| order.seed.checked_add(seeds));
    let Some(end) = seeds else {
        return Err(Failure::unfit("there is nothing to draw", "ask for at least one picture, with seeds below 2^64"));
    };
    let model = Model::open(&order.chosen)?;
    if order.best_of > 1 && model.discriminator.is_none() {
        return Err(Failure::unfit(
            "to choose the best of several needs the discriminator, and this model has none",
            "draw with a checkpoint of a training, or leave out --best-of",
        ));
    }
    let album = match &order.album {
        Some((dataset, index)) => Some(Album::open(dataset, index.as_deref(), model.side, model.device)?),
        None => None,
    };
    let mut result = Outcome::new(order, &model)?;
    let begun = Instant::now();
    let mut npz = match &order.target {
        Target::Npz(path) => {
            let created = Npz::create(path, order.count, model.side);
            Some(created.map_err(|error| Failure::file("write to", path, &error))?)
        }
        Target::Folder(_) => None,
    };
    let (side, failed) = (model.side as u32, AtomicBool::new(false));
    let (sender, receiver) = sync_channel::<Kept>(WAITING);
    let receiver = Mutex::new(receiver);
    let drawn = thread::scope(|scope| {
        let work = |into: &mut dyn FnMut(Kept) -> io::Result<()>| write_all(&receiver, &failed, into);
        let workers: Vec<_> = match (&mut npz, &order.target) {
            (Some(npz), _) => vec![scope.spawn(move || work(&mut |kept| npz.picture(&kept.pixels)))],
            (None, target) => {
                let one = move || work(&mut |kept| into_folder(target.path(), side, kept));
                let count = thread::available_parallelism().map_or(2, |cores| cores.get().min(8));
                (0..count).map(|_| scope.spawn(one)).collect()
            }
        };
        let mut said = Instant::now();
        let mut chooser = Chooser { best_of: order.best_of, first: order.seed, best: None };
        let mut waiting: Vec<Kept> = Vec::new();
        for begin in (order.seed / AT_ONCE as u64 * AT_ONCE as u64..end).step_by(AT_ONCE as usize) {
            let (pictures, scores) = block(&model, begin, order);
            for place in order.seed.saturating_sub(begin)..(AT_ONCE as u64).min(end - begin) {
                let size = (model.side * model.side * 3) as usize;
                let pixels = pictures[place as usize * size..][..size].to_vec();
                let score = scores.as_ref().map(|scores| scores[place as usize]);
                waiting.extend(chooser.consider(Kept { seed: begin + place, score, pixels }));
            }
            if begin + AT_ONCE as u64 >= end {
                waiting.extend(chooser.best.take());
            }
            if failed.load(Ordering::Relaxed) {
                break;
            }
            result.note(&waiting, album.as_ref(), side)?;
            for kept in waiting.drain(..) {
                sender.send(kept).expect("whoever receives lives longer than this loop");
            }
            if said.elapsed() > REPORT_EVERY {
                said = Instant::now();
                say(&Event::Drawn { done: result.seeds.len() as u64, total: order.count });
            }
        }
        drop(sender);
        let written = workers.into_iter().try_for_each(|worker| worker.join().expect("a worker that fails says so"));
        written.map_err(|error| Failure::file("write to", order.target.path(), &error))
    });
    drawn?;
    let seconds = begun.elapsed().as_secs_f64();
    let (grid, nearest) = result.finish(order, npz, album.as_ref())?;
    Ok(Event::Generated {
        count: order.count,
        seed: order.seed,
        step: model.step,
        grid: grid.map_or(String::new(), |grid| grid.display().to_string()),
        seconds,
        images_per_second: order.count as f64 / seconds,
        averaged: model.averaged,
        nearest: nearest.map(|path| path.display().to_string()),
    })
}

/// The generator that a checkpoint holds, for use.
pub(crate) fn generator_of(checkpoint: &Checkpoint, device: Device) -> Result<Network, Failure> {
    let generator = network::generator(&checkpoint.card.options()?, checkpoint.card.side, device);
    // The averaged generator draws better than the one that is still moving; a checkpoint may be without it.
    let averaged = checkpoint.tensors.keys().any(|name| name.starts_with("ema."));
    for (name, mut view) in generator.tensors(if averaged { "ema" } else { "generator" }) {
        checkpoint.restore(&name, &mut view)?;
    }
    Ok(generator)
}

/// The latents of the pictures of `count` seeds: [count, Z].
pub(crate) fn latents(seed: u64, count: u64, latent: u64, device: Device) -> Tensor {
    let latents: Vec<Vec<f32>> = (seed..seed + count).map(|seed| latent::of_seed(seed, latent)).collect();
    latent::tensor(&latents, device)
}

/// The 64 pictures of a block: bytes, picture by picture, row by row; and what the discriminator says of each, if it is asked.
fn block(model: &Model, begin: u64, order: &Order) -> (Vec<u8>, Option<Vec<f64>>) {
    // The last block may reach over the largest seed: what is drawn there is thrown away.
    let seeds = (0..AT_ONCE as u64).map(|place| begin.wrapping_add(place));
    let latents: Vec<Vec<f32>> =
        seeds.map(|seed| latent::truncate(latent::of_seed(seed, model.options.latent), order.truncation)).collect();
    let drawn = model.draw(&latent::tensor(&latents, model.device)); // [64, 3, S, S]
    let scores = model.discriminator.as_ref().filter(|_| order.best_of > 1).map(|discriminator| {
        let logits = tch::no_grad(|| discriminator.forward(&drawn, Mode::Eval)); // [64]
        Vec::<f64>::try_from(logits.to_device(Device::Cpu).to_kind(Kind::Double)).expect("logits are numbers")
    });
    let bytes = grid::to_bytes(&drawn).permute([0, 2, 3, 1]).reshape([-1]); // [64 · S · S · 3]
    (Vec::<u8>::try_from(bytes).expect("bytes are bytes"), scores)
}

/// Keeps the best of every `best_of` seeds in a row.
struct Chooser {
    best_of: u64,
    first: u64,
    best: Option<Kept>,
}

impl Chooser {
    /// Takes the next seed's picture; answers the best of a row that is complete with the one before it.
    fn consider(&mut self, next: Kept) -> Option<Kept> {
        let row = |seed: u64| (seed - self.first) / self.best_of;
        let done = self.best.as_ref().is_some_and(|best| row(best.seed) != row(next.seed));
        let complete = if done { self.best.take() } else { None };
        let is_better = |best: &Kept| next.score > best.score || next.score.is_none();
        if self.best.as_ref().is_none_or(is_better) {
            self.best = Some(next);
        }
        complete
    }
}

/// Takes pictures until there are no more. After a failure the rest is thrown away, so that nobody waits for room in the channel.
fn write_all(receiver: &Mutex<Receiver<Kept>>, failed: &AtomicBool, into: &mut dyn FnMut(Kept) -> io::Result<()>) -> io::Result<()> {
    let mut result = Ok(());
    while let Some(kept) = receiver.lock().ok().and_then(|receiver| receiver.recv().ok()) {
        if result.is_ok() {
            result = into(kept);
            if result.is_err() {
                failed.store(true, Ordering::Relaxed);
            }
        }
    }
    result
}

fn into_folder(folder: &Path, side: u32, kept: Kept) -> io::Result<()> {
    let picture = RgbImage::from_raw(side, side, kept.pixels).expect("a picture has as many bytes as its sides say");
    // Not synced to the disk one by one: they can be drawn again.
    fs::write(folder.join(file_name(kept.seed)), encode_png(&Picture::Rgb(picture)))
}

fn file_name(seed: u64) -> String {
    format!("seed-{seed:06}.png")
}

impl Target {
    fn path(&self) -> &Path {
        let (Self::Folder(path) | Self::Npz(path)) = self;
        path
    }
}

/// What is kept of the pictures beside themselves.
struct Outcome {
    seeds: Vec<u64>,
    /// The first of them, for the sheet.
    shown: Vec<RgbImage>,
    /// The most alike, by their distance in thousandths of a level, and their place.
    pairs: BTreeMap<(u64, u64), (Kept, Neighbour)>,
    index: Option<BufWriter<File>>,
    /// What every line of the index says.
    about: Value,
}

impl Outcome {
    fn new(order: &Order, model: &Model) -> Result<Self, Failure> {
        let index = match &order.target {
            Target::Npz(_) => None,
            Target::Folder(folder) => {
                let create = || File::create(folder.join("index.jsonl"));
                let index = fs::create_dir_all(folder).and_then(|()| create());
                Some(BufWriter::new(index.map_err(|error| Failure::file("write to", folder, &error))?))
            }
        };
        let mut about = json!({"step": model.step, "weights": if model.averaged { "averaged" } else { "raw" }});
        if order.truncation != 1.0 {
            about["truncation"] = order.truncation.into();
        }
        Ok(Self { seeds: Vec::new(), shown: Vec::new(), pairs: BTreeMap::new(), index, about })
    }

    /// Notes some pictures, in their order.
    fn note(&mut self, pictures: &[Kept], album: Option<&Album>, side: u32) -> Result<(), Failure> {
        if pictures.is_empty() {
            return Ok(());
        }
        let image =
            |kept: &Kept| RgbImage::from_raw(side, side, kept.pixels.clone()).expect("a picture has as many bytes as its sides say");
        let neighbours = album.map(|album| {
            let all: Vec<u8> = pictures.iter().flat_map(|kept| kept.pixels.iter().copied()).collect();
            let side = i64::from(side);
            album.nearest(&Tensor::from_slice(&all).view([-1, side, side, 3]).permute([0, 3, 1, 2]))
        });
        for (at, kept) in pictures.iter().enumerate() {
            let mut line = json!({"file": file_name(kept.seed), "seed": kept.seed});
            if let Some(score) = kept.score {
                line["score"] = score.into();
            }
            if let (Some(album), Some(neighbours)) = (album, &neighbours) {
                let neighbour = &neighbours[at];
                let [photo, item] = album.about(neighbour);
                let Neighbour { row, distance, mirrored } = *neighbour;
                line["nearest"] = json!({"row": row, "distance": distance, "mirrored": mirrored, "photo": photo, "picture": item});
                let key = ((distance * 1000.0) as u64, self.seeds.len() as u64);
                let copy = Kept { seed: kept.seed, score: kept.score, pixels: kept.pixels.clone() };
                self.pairs.insert(key, (copy, neighbour.clone()));
                if self.pairs.len() > MOST_PAIRS {
                    self.pairs.pop_last();
                }
            }
            for (name, value) in self.about.as_object().into_iter().flatten() {
                line[name.as_str()] = value.clone();
            }
            if let Some(index) = &mut self.index {
                writeln!(index, "{line}")
                    .map_err(|error| Failure::broken(format!("cannot write index.jsonl: {error}"), "see that the disk has room"))?;
            }
            if self.shown.len() < MOST_ON_SHEET {
                self.shown.push(image(kept));
            }
            self.seeds.push(kept.seed);
        }
        Ok(())
    }

    /// Writes what can only be written at the end; answers where the sheet is, and that of the neighbours.
    fn finish(self, order: &Order, npz: Option<Npz>, album: Option<&Album>) -> Result<(Option<PathBuf>, Option<PathBuf>), Failure> {
        let cannot = |path: &Path, error: &io::Error| Failure::file("write", path, error);
        if let Some(npz) = npz {
            npz.finish(&self.seeds).map_err(|error| cannot(order.target.path(), &error))?;
        }
        if let Some(mut index) = self.index {
            index.flush().map_err(|error| cannot(order.target.path(), &error))?;
        }
        let beside = |name: &str| match &order.target {
            Target::Folder(folder) => Some(folder.join(name)),
            Target::Npz(_) => None,
        };
        let sheet = order.grid.clone().or_else(|| beside("grid.png"));
        if let Some(sheet) = &sheet {
            grid::write(sheet, &rows(&self.shown)).map_err(|error| cannot(sheet, &error))?;
        }
        let beside = beside("nearest.png").or_else(|| Some(order.target.path().with_extension("nearest.png")));
        let nearest = beside.filter(|_| album.is_some());
        if let (Some(path), Some(album)) = (&nearest, album) {
            grid::write(path, &pairs(self.pairs.into_values(), album)).map_err(|error| cannot(path, &error))?;
        }
        Ok((sheet, nearest))
    }
}

/// All pictures on one sheet, row by row, about as wide as high, without gaps.
fn rows(pictures: &[RgbImage]) -> Picture {
    let columns = (pictures.len() as f64).sqrt().ceil().max(1.0) as u32;
    let side = pictures.first().map_or(1, RgbImage::width);
    let mut sheet = Canvas::new(columns * side, (pictures.len() as u32).div_ceil(columns).max(1) * side);
    for (at, picture) in pictures.iter().enumerate() {
        sheet.put([at as u32 % columns * side, at as u32 / columns * side], picture);
    }
    Picture::Rgb(sheet.0)
}

/// Drawn pictures, each with its neighbour to the right of it, the most alike first.
fn pairs(pairs: impl Iterator<Item = (Kept, Neighbour)>, album: &Album) -> Picture {
    const COLUMNS: u32 = 6;
    const GAP: u32 = 10;
    let letters = Letters::fitting(1, 6, 10).unwrap_or(Letters::PLAIN);
    let pairs: Vec<_> = pairs.collect();
    let side = pairs.first().map_or(64, |(kept, _)| ((kept.pixels.len() / 3) as f64).sqrt() as u32);
    let scale = (96 / side).max(1);
    let tile = side * scale;
    let [wide, high] = [2 * tile + GAP, tile + 2 * letters.size()[1] + GAP];
    let rows = (pairs.len() as u32).div_ceil(COLUMNS);
    let mut sheet = Canvas::new(COLUMNS * wide + GAP, rows * high + GAP + 20);
    sheet.text(
        [GAP, 5],
        "left: drawn; right: the training picture most like it; below: seed, how far they are apart in levels, photo",
        Letters::PLAIN,
        INK,
    );
    let larger = |image: &RgbImage| RgbImage::from_fn(tile, tile, |x, y| *image.get_pixel(x / scale, y / scale));
    for (at, (kept, neighbour)) in pairs.into_iter().enumerate() {
        let [x, y] = [GAP + at as u32 % COLUMNS * wide, GAP + 20 + at as u32 / COLUMNS * high];
        let drawn = RgbImage::from_raw(side, side, kept.pixels).expect("a picture has as many bytes as its sides say");
        sheet.put([x, y], &larger(&drawn));
        let Picture::Rgb(photo) = grid::picture(&album.picture(&neighbour)) else { unreachable!("training pictures have no alpha") };
        sheet.put([x + tile, y], &larger(&photo));
        sheet.fill([x + tile, y], [1, tile], FAINT);
        let most = (2 * tile / letters.size()[0]) as usize;
        let [_, line] = letters.size();
        let words = format!("{} {:.1}{}", kept.seed, neighbour.distance, if neighbour.mirrored { " mirrored" } else { "" });
        sheet.text([x, y + tile + 1], &words.chars().take(most).collect::<String>(), letters, INK);
        let photo = album.about(&neighbour)[0].map_or_else(|| format!("row {}", neighbour.row), str::to_owned);
        // The end of a long path says more than its beginning.
        let skip = photo.chars().count().saturating_sub(most);
        sheet.text([x, y + tile + 1 + line], &photo.chars().skip(skip).collect::<String>(), letters, INK);
    }
    Picture::Rgb(sheet.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_of_every_row_is_kept_under_its_own_seed() {
        let kept = |seed: u64, score: f64| Kept { seed, score: Some(score), pixels: Vec::new() };
        let mut chooser = Chooser { best_of: 3, first: 10, best: None };
        let scores = [0.1, 0.9, 0.3, -5.0, -7.0, -6.0, 2.0];
        let mut seeds: Vec<u64> = scores
            .iter()
            .enumerate()
            .filter_map(|(at, score)| chooser.consider(kept(10 + at as u64, *score)))
            .map(|kept| kept.seed)
            .collect();
        seeds.extend(chooser.best.map(|kept| kept.seed));
        assert_eq!(seeds, [11, 13, 16]);
        let mut all = Chooser { best_of: 1, first: 0, best: None };
        let plain = |seed| Kept { seed, score: None, pixels: Vec::new() };
        let seeds: Vec<u64> = (0..4).filter_map(|seed| all.consider(plain(seed))).map(|kept| kept.seed).collect();
        assert_eq!((seeds, all.best.map(|kept| kept.seed)), (vec![0, 1, 2], Some(3)));
    }
}
