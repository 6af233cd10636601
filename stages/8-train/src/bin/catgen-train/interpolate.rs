//! The way from one seed's picture to another's: frames, and a GIF of them.

use std::{
    fs::{self, File},
    io::{BufWriter, Write},
    path::PathBuf,
};

use catgen_picture::{Picture, RgbImage};
use catgen_train::{Event, gif::Animation};
use tch::Tensor;

use crate::{
    error::Failure,
    grid, latent,
    model::{AT_ONCE, Chosen, Model},
};

/// Small pictures are shown larger in the GIF: at least so many pixels wide.
const LEAST_SIDE: u32 = 256;

/// What to draw, with what, and where to.
#[derive(Debug)]
pub(crate) struct Way {
    pub(crate) chosen: Chosen,
    /// The seeds that it passes.
    pub(crate) seeds: Vec<u64>,
    /// Frames from one to the next.
    pub(crate) frames: u64,
    /// Whether it leads back to the first.
    pub(crate) closed: bool,
    pub(crate) truncation: f64,
    /// Frames a second.
    pub(crate) per_second: f64,
    /// The folder of `frame-0000.png` and so on and of `interpolation.gif`.
    pub(crate) out: PathBuf,
}

/// Draws it.
pub(crate) fn interpolate(way: &Way) -> Result<Event, Failure> {
    if way.seeds.len() < 2 {
        return Err(Failure::unfit("one seed is no way", "name at least two: --seeds 3,8"));
    }
    let model = Model::open(&way.chosen)?;
    let ends: Vec<Vec<f32>> =
        way.seeds.iter().map(|seed| latent::truncate(latent::of_seed(*seed, model.options.latent), way.truncation)).collect();
    let latents = latent::path(&ends, way.frames, way.closed);
    fs::create_dir_all(&way.out).map_err(|error| Failure::file("write to", &way.out, &error))?;
    let scale = LEAST_SIDE.div_ceil(model.side as u32).max(1);
    let side = model.side as u32 * scale;
    let gif = way.out.join("interpolation.gif");
    let cannot = |error: std::io::Error| Failure::file("write", &gif, &error);
    let aside = way.out.join("interpolation.gif.part");
    let mut animation = Animation::new(BufWriter::new(File::create(&aside).map_err(cannot)?), [side; 2]).map_err(cannot)?;
    let delay = (100.0 / way.per_second).round().max(2.0) as u16;
    let mut number = 0;
    for part in latents.chunks(AT_ONCE as usize) {
        let bytes = frames(&model, part); // [≤ 64, 3, S, S]
        let mut shown = Vec::new();
        for at in 0..part.len() {
            let picture = grid::picture(&bytes.get(at as i64));
            let path = way.out.join(format!("frame-{number:04}.png"));
            grid::write(&path, &picture).map_err(|error| Failure::file("write", &path, &error))?;
            let Picture::Rgb(image) = picture else { unreachable!("generated pictures have no alpha") };
            shown.push((RgbImage::from_fn(side, side, |x, y| *image.get_pixel(x / scale, y / scale)), delay));
            number += 1;
        }
        animation.add(&shown).map_err(cannot)?;
    }
    animation.finish().and_then(|mut file| file.flush()).and_then(|()| fs::rename(&aside, &gif)).map_err(cannot)?;
    let about = format!("{number} frames through {} seeds", way.seeds.len());
    Ok(Event::Written { files: vec![gif.display().to_string(), way.out.join("frame-0000.png").display().to_string()], about })
}

/// The pictures of some latents: always 64 are drawn, as for single seeds, so that a frame on a seed is that seed's picture but for
/// rounding.
fn frames(model: &Model, latents: &[Vec<f32>]) -> Tensor {
    let mut block = latents.to_vec();
    block.resize(AT_ONCE as usize, latents[0].clone());
    grid::to_bytes(&model.draw(&latent::tensor(&block, model.device))).narrow(0, 0, latents.len() as i64)
}
