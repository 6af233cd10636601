//! One generator, loaded once, that draws single pictures as they are asked for: see [`catgen_train::serve`].

use std::{
    io::{BufRead, Write},
    path::PathBuf,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use catgen_picture::{Picture, Rgb, RgbImage, encode_png};
use catgen_train::{
    canvas::diverging,
    serve::{Ask, Directions, Draw, Layer, Near, Said},
};
use tch::{Device, Kind, Tensor};

use crate::{
    error::Failure,
    grid, latent, look,
    model::{Chosen, Model},
    nearest::Album,
    network::{Network, Op},
    rng::{self, Purpose},
};

/// Directions that are offered: more sliders than a person tries.
const DIRECTIONS: i64 = 12;

/// What random directions are drawn from.
const DIRECTIONS_SEED: u64 = 7439;

/// What to draw with, and where to look for neighbours.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) chosen: Chosen,
    /// The dataset to look for neighbours in, and the list of its rows.
    pub(crate) album: Option<(PathBuf, Option<PathBuf>)>,
}

/// Answers until there are no more questions.
pub(crate) fn serve(order: &Order, questions: impl BufRead, mut out: impl Write) -> Result<(), Failure> {
    let loaded = Loaded::new(order);
    let mut say = |said: &Said| -> bool {
        let mut line = serde_json::to_vec(said).expect("an answer is plain data");
        line.push(b'\n');
        out.write_all(&line).and_then(|()| out.flush()).is_ok()
    };
    let loaded = match loaded {
        Ok(loaded) => loaded,
        Err(failure) => {
            say(&refusal(&failure));
            return Err(failure);
        }
    };
    say(&loaded.ready());
    for line in questions.lines() {
        // Who asked is gone, or what they send is no text: there is nobody left to answer.
        let Ok(line) = line else { break };
        let said = match serde_json::from_str::<Ask>(&line) {
            Ok(ask) => loaded.answer(&ask).unwrap_or_else(|failure| refusal(&failure)),
            Err(error) => Said::Error { message: format!("that is no question: {error}"), hint: "one JSON object a line".to_owned() },
        };
        if !say(&said) {
            break;
        }
    }
    Ok(())
}

fn refusal(failure: &Failure) -> Said {
    match failure.event() {
        catgen_train::Event::Error { message, hint } => Said::Error { message, hint },
        _ => Said::Error { message: failure.to_string(), hint: String::new() },
    }
}

struct Loaded {
    model: Model,
    album: Option<Album>,
    kind: Directions,
    /// [D, Z], each of length 1.
    directions: Vec<Vec<f32>>,
    weights: Vec<f64>,
    layers: Vec<Layer>,
}

impl Loaded {
    fn new(order: &Order) -> Result<Self, Failure> {
        let model = Model::open(&order.chosen)?;
        let album = match &order.album {
            Some((dataset, index)) => Some(Album::open(dataset, index.as_deref(), model.side, model.device)?),
            None => None,
        };
        let wide = model.options.latent as i64;
        let (kind, found, weights) = match principal(&model.generator, wide) {
            Some((found, weights)) => (Directions::Principal, found, weights),
            None => (Directions::Random, random(wide), Vec::new()),
        };
        let count = found.size()[0];
        let row = |at: i64| Vec::<f32>::try_from(found.get(at).to_kind(Kind::Float).contiguous()).expect("directions are numbers");
        let directions = (0..count).map(row).collect();
        let layers = look::seen(&model, 0).iter().map(look::Seen::layer).collect();
        Ok(Self { model, album, kind, directions, weights, layers })
    }

    fn ready(&self) -> Said {
        Said::Ready {
            side: self.model.side,
            latent: self.model.options.latent,
            step: self.model.step,
            averaged: self.model.averaged,
            directions: self.kind,
            weights: self.weights.clone(),
            layers: self.layers.clone(),
        }
    }

    fn answer(&self, ask: &Ask) -> Result<Said, Failure> {
        match ask {
            Ask::Draw(draw) => self.draw(draw),
            Ask::Maps { seed, layer, channels } => self.maps(*seed, *layer, *channels),
        }
    }

    fn draw(&self, draw: &Draw) -> Result<Said, Failure> {
        let numbers = draw.moves.iter().chain([&draw.way, &draw.truncation]);
        if numbers.into_iter().any(|number| !number.is_finite() || number.abs() > 100.0) || draw.moves.len() > self.directions.len() {
            return Err(Failure::unfit("that is outside of what can be drawn", "moves are numbers around 0, one for each direction"));
        }
        let z = latent::tensor(&[self.latent(draw)], self.model.device); // [1, Z]
        let bytes = grid::to_bytes(&self.model.draw(&z)); // [1, 3, S, S]
        let nearest = self.album.as_ref().filter(|_| draw.nearest).map(|album| {
            let found = album.nearest(&bytes).swap_remove(0);
            let [photo, _] = album.about(&found);
            Near {
                row: found.row,
                distance: found.distance,
                mirrored: found.mirrored,
                photo: photo.map(str::to_owned),
                png: png(&grid::picture(&album.picture(&found))),
            }
        });
        Ok(Said::Picture { png: png(&grid::picture(&bytes.get(0))), nearest })
    }

    /// Where the picture lies: on the way between two seeds, nearer the middle, then moved along the directions.
    fn latent(&self, draw: &Draw) -> Vec<f32> {
        let wide = self.model.options.latent;
        let from = latent::of_seed(draw.seed, wide);
        let between = match draw.to {
            Some(to) => latent::slerp(&from, &latent::of_seed(to, wide), draw.way.clamp(0.0, 1.0)),
            None => from,
        };
        let mut z = latent::truncate(between, draw.truncation);
        for (far, direction) in draw.moves.iter().zip(&self.directions) {
            z.iter_mut().zip(direction).for_each(|(z, along)| *z += *far as f32 * along);
        }
        z
    }

    fn maps(&self, seed: u64, layer: usize, channels: usize) -> Result<Said, Failure> {
        let layers = look::seen(&self.model, seed);
        let layer = layers
            .get(layer)
            .ok_or_else(|| Failure::unfit(format!("there are {} layers, and no number {layer}", layers.len()), "count from 0"))?;
        let maps = layer.maps();
        let shown = look::varied(&maps, channels.clamp(1, 64));
        let full = maps.magnitude(&shown).max(f32::MIN_POSITIVE);
        let [rows, columns] = maps.size;
        let channels = shown.into_iter().map(|channel| {
            let image =
                RgbImage::from_fn(columns as u32, rows as u32, |x, y| Rgb(diverging(maps.get(channel, [y as usize, x as usize]) / full)));
            (channel, png(&Picture::Rgb(image)))
        });
        Ok(Said::Maps { channels: channels.collect(), full: f64::from(full) })
    }
}

fn png(picture: &Picture) -> String {
    STANDARD.encode(encode_png(picture))
}

/// The directions that the first layer answers to most, [D, Z], and the share of each eigenvalue; `None` where the first layer with
/// weights does not take the latent itself.
fn principal(generator: &Network, wide: i64) -> Option<(Tensor, Vec<f64>)> {
    let weights = generator.layers().iter().find_map(|layer| match layer.op {
        // x Wᵀ: [out, Z]
        Op::Dense { weight, .. } => Some(generator.parameter(weight).to_device(Device::Cpu)),
        // [Z, out, h, w]
        Op::ConvTransposed { weight, .. } => {
            let weight = generator.parameter(weight).to_device(Device::Cpu);
            Some(weight.reshape([weight.size()[0], -1]).tr())
        }
        _ => None,
    })?;
    if weights.dim() != 2 || weights.size()[1] != wide {
        return None;
    }
    let weights = weights.to_kind(Kind::Double);
    let (values, vectors) = weights.tr().matmul(&weights).f_linalg_eigh("L").ok()?; // [Z] ascending, [Z, Z] in columns
    let count = DIRECTIONS.min(wide);
    let (largest, vectors) = (values.flip([0]).narrow(0, 0, count), vectors.tr().flip([0]).narrow(0, 0, count));
    // An eigenvector is one up to its sign: the first of its largest numbers is positive.
    let largest_of = vectors.gather(1, &vectors.abs().argmax(1, true), false); // [D, 1]
    let shares = Vec::<f64>::try_from((largest / values.sum(Kind::Double)).contiguous()).ok()?;
    Some((vectors * largest_of.sign(), shares))
}

/// Directions at right angles, [D, Z]: drawn, then made so (Gram and Schmidt, by QR).
fn random(wide: i64) -> Tensor {
    let count = DIRECTIONS.min(wide);
    let numbers = rng::normals(DIRECTIONS_SEED, Purpose::Picture, 1, (wide * count) as usize);
    let (q, _) = Tensor::linalg_qr(&Tensor::from_slice(&numbers).view([wide, count]), "reduced"); // [Z, D]
    q.tr()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_directions_are_at_right_angles_and_always_the_same() {
        let found = random(20);
        assert_eq!(found.size(), [12, 20]);
        let apart = found.matmul(&found.tr()) - Tensor::eye(12, (Kind::Float, Device::Cpu));
        assert!(f64::try_from(apart.abs().max()).unwrap() < 1e-5);
        assert_eq!(found, random(20));
        assert_eq!(random(5).size(), [5, 5]);
    }

    #[test]
    fn principal_directions_are_those_that_change_most() {
        use catgen_train::TrainOptions;
        for preset in ["dcgan", "dcgan-keras", "r3gan-s"] {
            let options = TrainOptions::from_json(&format!(r#"{{"preset": "{preset}", "width": 16, "latent": 24}}"#)).unwrap();
            let mut generator = crate::network::generator(&options, 32, Device::Cpu);
            generator.initialise(3, 0);
            let Some((found, shares)) = principal(&generator, 24) else {
                assert_eq!(preset, "r3gan-s");
                continue;
            };
            assert_eq!(found.size(), [12, 24], "{preset}");
            assert!(shares.is_sorted_by(|a, b| a >= b) && shares.iter().sum::<f64>() <= 1.0 + 1e-9, "{preset}: {shares:?}");
            // Each is an eigenvector: A along it is as long as its share says.
            let first = generator.layers().iter().find_map(|layer| match layer.op {
                Op::Dense { weight, .. } => Some(generator.parameter(weight).to_kind(Kind::Double)),
                Op::ConvTransposed { weight, .. } => {
                    let weight = generator.parameter(weight).to_kind(Kind::Double);
                    Some(weight.reshape([24, -1]).tr())
                }
                _ => None,
            });
            let first = first.unwrap(); // [out, Z]
            let all = f64::try_from(first.square().sum(Kind::Double)).unwrap();
            for (at, share) in shares.iter().enumerate() {
                let moved = f64::try_from(first.matmul(&found.get(at as i64)).square().sum(Kind::Double)).unwrap();
                assert!((moved / all - share).abs() < 1e-6, "{preset}, direction {at}: {moved} of {all}, {share}");
            }
        }
    }
}
