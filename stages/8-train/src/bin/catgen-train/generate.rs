//! Pictures from a checkpoint. A picture belongs to its seed: neither its neighbours nor their number change it.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use catgen_api::Picture;
use catgen_train::{Device as Wanted, Event};
use tch::{Device, Tensor};

use crate::{
    checkpoint::{self, Checkpoint},
    device,
    error::Failure,
    grid,
    network::{self, Network},
    rng::{self, Purpose},
};

/// The largest sheet; more pictures are written and not shown on it.
const MOST_ON_SHEET: u64 = 1024;

/// What to draw, with what, and where to.
#[derive(Debug)]
pub(crate) struct Order {
    /// A checkpoint, or a folder with checkpoints.
    pub(crate) checkpoint: PathBuf,
    /// The first picture's seed; the others count up from it.
    pub(crate) seed: u64,
    pub(crate) count: u64,
    pub(crate) out: PathBuf,
    /// Where the sheet goes; below `out` where nothing is said.
    pub(crate) grid: Option<PathBuf>,
    pub(crate) device: Wanted,
}

/// Writes `seed-000123.png` for every seed, and a sheet of all.
pub(crate) fn generate(order: &Order) -> Result<Event, Failure> {
    let begun = Instant::now();
    if order.count == 0 || order.seed.checked_add(order.count).is_none() {
        return Err(Failure::unfit("there is nothing to draw", "ask for at least one picture, with seeds below 2^64"));
    }
    let device = device::choose(order.device)?;
    let checkpoint = checkpoint::open(&order.checkpoint, &mut |warning| eprintln!("warning: {warning}"))?;
    let options = checkpoint.card.options()?.resolved();
    let generator = generator_of(&checkpoint, device)?;

    let write = |path: &Path, picture: &Picture| grid::write(path, picture).map_err(|error| Failure::file("write", path, &error));
    fs::create_dir_all(&order.out).map_err(|error| Failure::file("write to", &order.out, &error))?;
    let mut shown = Vec::new();
    for seed in order.seed..order.seed + order.count {
        let drawn = draw(&generator, seed, options.latent, device); // [1, 3, S, S]
        write(&order.out.join(format!("seed-{seed:06}.png")), &grid::picture(&drawn.get(0)))?;
        if (shown.len() as u64) < MOST_ON_SHEET {
            shown.push(drawn);
        }
    }
    let sheet = order.grid.clone().unwrap_or_else(|| order.out.join("grid.png"));
    write(&sheet, &grid::sheet(&Tensor::cat(&shown, 0)))?;
    Ok(Event::Generated {
        count: order.count,
        seed: order.seed,
        step: checkpoint.card.step,
        grid: sheet.display().to_string(),
        seconds: begun.elapsed().as_secs_f64(),
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
    let numbers: Vec<f32> = (seed..seed + count).flat_map(|seed| rng::normals(seed, Purpose::Picture, 0, latent as usize)).collect();
    Tensor::from_slice(&numbers).view([count as i64, latent as i64]).to_device(device) // [count, Z]
}

/// The picture of one seed: bytes, [1, 3, S, S].
///
/// Drawn alone, because libtorch may choose other kernels, which round otherwise, for other sizes of batch.
fn draw(generator: &Network, seed: u64, latent: u64, device: Device) -> Tensor {
    grid::draw(generator, &latents(seed, 1, latent, device))
}
