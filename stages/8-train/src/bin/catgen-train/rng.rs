//! Random numbers: every one belongs to (seed, purpose, number), so a training that goes on needs none of them saved.
//!
//! Numbers that must be the same on every device are drawn here from [`Draw`]: the first weights, the order of the pictures, the
//! latents of grids and of generated pictures. The many that only one step needs are drawn by libtorch on the device, from a
//! generator set anew for each purpose of each step.

use std::sync::{Mutex, PoisonError};

use catgen_api::{Digest, Draw};

/// What random numbers are drawn for; keeps uses of one seed apart.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Purpose {
    /// The networks' first weights; numbered by network.
    Weights,
    /// The latents of the grid after each epoch; numbered by place.
    Grid,
    /// The latent of a generated picture: the seed is the picture's own.
    Picture,
    /// Everything drawn in a step, in the step's order: latents, mirrors, changes, dropout; numbered by step.
    Step,
    /// The order of the pictures; numbered by epoch.
    Order,
}

fn draw(seed: u64, purpose: Purpose, number: u64) -> Draw {
    let purpose = match purpose {
        Purpose::Weights => "train weights",
        Purpose::Grid => "train grid",
        Purpose::Picture => "train picture",
        Purpose::Step => "train step",
        Purpose::Order => "train order",
    };
    Draw::new(seed, purpose, &Digest::of(b""), number)
}

/// Whoever sets libtorch's generators and draws from them: there is one for each device, whatever the thread.
static GENERATORS: Mutex<()> = Mutex::new(());

/// What `make` draws from libtorch's generators, those of the GPU included, once they are set for that purpose.
pub(crate) fn seeded<T>(seed: u64, purpose: Purpose, number: u64, make: impl FnOnce() -> T) -> T {
    let _alone = GENERATORS.lock().unwrap_or_else(PoisonError::into_inner);
    tch::manual_seed(draw(seed, purpose, number).bits().cast_signed());
    make()
}

/// N(0, 1) of shape [B, Z], for tests.
#[cfg(test)]
pub(crate) fn noise(seed: u64, step: u64, batch: u64, latent: u64, device: tch::Device) -> tch::Tensor {
    seeded(seed, Purpose::Step, step, || tch::Tensor::randn([batch as i64, latent as i64], (tch::Kind::Float, device)))
}

/// `count` numbers of N(0, 1), the same on every machine up to the last bits of `ln`, `sin` and `cos`; Box and Muller, 1958.
pub(crate) fn normals(seed: u64, purpose: Purpose, number: u64, count: usize) -> Vec<f32> {
    let mut draw = draw(seed, purpose, number);
    let mut numbers = Vec::with_capacity(count + 1);
    while numbers.len() < count {
        // 1 − u is in (0, 1], so the logarithm is finite.
        let radius = (-2.0 * (1.0 - draw.unit()).ln()).sqrt();
        let (sin, cos) = (std::f64::consts::TAU * draw.unit()).sin_cos();
        numbers.extend([(radius * cos) as f32, (radius * sin) as f32]);
    }
    numbers.truncate(count);
    numbers
}

/// The order in which an epoch looks at `n` pictures: a permutation of 0..n by Fisher and Yates.
pub(crate) fn order(seed: u64, epoch: u64, n: u64) -> Vec<i64> {
    let mut draw = draw(seed, Purpose::Order, epoch);
    let mut order: Vec<i64> = (0..n as i64).collect();
    for last in (1..n).rev() {
        order.swap(last as usize, draw.below(last + 1) as usize);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    #[test]
    fn an_order_has_every_picture_once_and_no_epoch_is_like_another() {
        let orders: Vec<Vec<i64>> = (0..3).map(|epoch| order(7439, epoch, 1000)).collect();
        for order in &orders {
            let mut sorted = order.clone();
            sorted.sort_unstable();
            assert!(sorted.into_iter().eq(0..1000));
        }
        assert!(orders[0] != orders[1] && orders[1] != orders[2] && orders[0] == order(7439, 0, 1000));
        assert_ne!(orders[0], order(7440, 0, 1000));
        // Each picture comes first equally often: 3 pictures, 3,000 seeds, 1,000 expected, standard deviation 26.
        let first = (0..3000).fold([0; 3], |mut counts, seed| {
            counts[order(seed, 0, 3)[0] as usize] += 1;
            counts
        });
        assert!(first.iter().all(|count| (870..1130).contains(count)), "{first:?}");
    }

    #[test]
    fn normals_are_normal_and_belong_to_their_name() {
        let numbers = normals(1, Purpose::Picture, 0, 20_000);
        let mean = numbers.iter().sum::<f32>() / 20_000.0;
        let variance = numbers.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / 20_000.0;
        let within = numbers.iter().filter(|x| x.abs() < 1.0).count();
        assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.04, "mean {mean}, variance {variance}");
        assert!((13_400..13_900).contains(&within), "{within} of 20,000 within one standard deviation, 13,654 expected");
        assert_ne!(numbers[..8], normals(2, Purpose::Picture, 0, 8));
        assert_ne!(numbers[..8], normals(1, Purpose::Grid, 0, 8));
        assert_eq!(numbers[..8], normals(1, Purpose::Picture, 0, 8));
    }

    #[test]
    fn a_steps_noise_does_not_depend_on_what_was_drawn_before() {
        let first = noise(1, 5, 4, 8, Device::Cpu);
        let other = noise(1, 6, 4, 8, Device::Cpu);
        assert_eq!(first, noise(1, 5, 4, 8, Device::Cpu));
        assert_ne!(first, other);
    }
}
