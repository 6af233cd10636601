//! Features without a file: four convolutions of random weights.
//!
//! Random features keep distances between textures, colours and coarse shapes, and know nothing of cats: enough to see a training
//! get better, collapse or copy, and named so that nobody takes them for more. (Naeem et al. 2020, arXiv 2002.09797, judge
//! generated pictures by a network of random weights, too.)

use catgen_api::{Digest, Draw, StageError};
use rayon::prelude::*;

use super::{Extractor, planes};
use crate::Pictures;

/// Channels into and out of the layers, each 3 × 3 with stride 2 and a ReLU.
const CHANNELS: [usize; 5] = [3, 32, 64, 128, 256];

/// The side of what goes in.
const SIDE: usize = 64;

/// Means and standard deviations of every channel of every layer: 960 numbers a picture.
pub struct RandomConvolution {
    /// Of each layer 9 × from × to weights.
    layers: Vec<Vec<f32>>,
}

impl RandomConvolution {
    /// The one network of this kind: N(0, 2 / (9 · channels in)), as He et al. 2015 keep the scale of what passes through ReLUs.
    pub fn new() -> Self {
        let layer = |(number, channels): (usize, &[usize])| {
            let (from, to) = (channels[0], channels[1]);
            let mut draw = Draw::new(0, "random convolution", &Digest::of(b""), number as u64);
            let scale = (2.0 / (9 * from) as f64).sqrt();
            let mut normal = || {
                // Box and Muller; 1 − u is in (0, 1].
                let radius = (-2.0 * (1.0 - draw.unit()).ln()).sqrt();
                (scale * radius * (std::f64::consts::TAU * draw.unit()).cos()) as f32
            };
            (0..9 * from * to).map(|_| normal()).collect()
        };
        Self { layers: CHANNELS.windows(2).enumerate().map(layer).collect() }
    }

    /// The features of one picture, given as planes of 0 to 255.
    fn of(&self, planes: &[f32]) -> Vec<f32> {
        // Channels last, so that the innermost loop runs over the channels that come out.
        let mut map: Vec<f32> = (0..SIDE * SIDE).flat_map(|at| [0, 1, 2].map(|c| planes[c * SIDE * SIDE + at] / 127.5 - 1.0)).collect();
        let mut side = SIDE;
        let mut features = Vec::with_capacity(2 * CHANNELS[1..].iter().sum::<usize>());
        for (layer, channels) in self.layers.iter().zip(CHANNELS.windows(2)) {
            map = convolved(&map, side, layer, channels[0], channels[1]);
            side /= 2;
            let places = (side * side) as f32;
            let mut sums = vec![[0.0f32; 2]; channels[1]];
            for place in map.chunks_exact(channels[1]) {
                place.iter().zip(&mut sums).for_each(|(value, [sum, squares])| {
                    *sum += value;
                    *squares += value * value;
                });
            }
            features.extend(sums.iter().flat_map(|[sum, squares]| {
                let mean = sum / places;
                [mean, (squares / places - mean * mean).max(0.0).sqrt()]
            }));
        }
        features
    }
}

impl Default for RandomConvolution {
    fn default() -> Self {
        Self::new()
    }
}

/// max(0, convolution) of side × side × from by 3 × 3 × from × to, stride 2, zeros around.
pub(super) fn convolved(map: &[f32], side: usize, weights: &[f32], from: usize, to: usize) -> Vec<f32> {
    let half = side / 2;
    let mut out = vec![0.0; half * half * to];
    for (place, out) in out.chunks_exact_mut(to).enumerate() {
        let (x, y) = (2 * (place % half), 2 * (place / half));
        for tap in 0..9 {
            // The middle tap lies on the even pixel; what would be at −1 is outside, and nothing else is.
            let (Some(x), Some(y)) = ((x + tap % 3).checked_sub(1), (y + tap / 3).checked_sub(1)) else { continue };
            let pixel = &map[(y * side + x) * from..][..from];
            for (value, weights) in pixel.iter().zip(weights[tap * from * to..].chunks_exact(to)) {
                if *value != 0.0 {
                    out.iter_mut().zip(weights).for_each(|(sum, weight)| *sum += value * weight);
                }
            }
        }
        out.iter_mut().for_each(|value| *value = value.max(0.0));
    }
    out
}

impl Extractor for RandomConvolution {
    fn name(&self) -> &str {
        super::RANDOM
    }

    fn features(&self, pictures: &Pictures) -> Result<Vec<f32>, StageError> {
        let rows: Vec<Vec<f32>> = (0..pictures.len()).into_par_iter().map(|at| self.of(&planes(pictures, at, SIDE))).collect();
        Ok(rows.concat())
    }
}
