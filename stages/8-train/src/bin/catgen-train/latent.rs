//! Latents: where in the generator's space a picture lies.

use tch::{Device, Tensor};

use crate::rng::{self, Purpose};

/// The latent of a seed: Z numbers of N(0, 1), the same on every machine.
pub(crate) fn of_seed(seed: u64, latent: u64) -> Vec<f32> {
    rng::normals(seed, Purpose::Picture, 0, latent as usize)
}

/// Moves a latent towards the mean of all, which is 0: z · ψ.
///
/// ψ below 1 draws from nearer the middle, where the generator saw most: pictures become more alike and, up to a point, more
/// usual. (StyleGAN does this in its w space, which was made for it. A DCGAN has none, and its first batch norm has the spread of
/// whole latents in it, so low ψ also takes contrast away: 0.7 to 1 is where it is of use.)
pub(crate) fn truncate(mut z: Vec<f32>, psi: f64) -> Vec<f32> {
    z.iter_mut().for_each(|number| *number *= psi as f32);
    z
}

/// The point a share `t` of the way from `a` to `b`, along the arc (Shoemake 1985): the straight way would lead through the middle,
/// where hardly any latent of so many numbers lies.
pub(crate) fn slerp(a: &[f32], b: &[f32], t: f64) -> Vec<f32> {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    let cosine = dot(a, b) / (dot(a, a) * dot(b, b)).sqrt();
    let angle = cosine.clamp(-1.0, 1.0).acos();
    let sine = angle.sin();
    // Almost the same direction, almost the opposite one, or no direction at all: straight.
    let (of_a, of_b) =
        if sine.is_finite() && sine > 1e-4 { (((1.0 - t) * angle).sin() / sine, (t * angle).sin() / sine) } else { (1.0 - t, t) };
    a.iter().zip(b).map(|(a, b)| (of_a * f64::from(*a) + of_b * f64::from(*b)) as f32).collect()
}

/// The way along the seeds' latents, `frames` from one to the next; a loop leads back to the first and does not show it twice.
pub(crate) fn path(latents: &[Vec<f32>], frames: u64, closed: bool) -> Vec<Vec<f32>> {
    let legs = if closed { latents.len() } else { latents.len().saturating_sub(1) };
    let mut way = Vec::with_capacity(legs * frames as usize + 1);
    for leg in 0..legs {
        let (from, to) = (&latents[leg], &latents[(leg + 1) % latents.len()]);
        way.extend((0..frames).map(|at| slerp(from, to, at as f64 / frames as f64)));
    }
    if !closed {
        way.extend(latents.last().cloned());
    }
    way
}

/// Latents as a tensor: [N, Z].
pub(crate) fn tensor(latents: &[Vec<f32>], device: Device) -> Tensor {
    let width = latents.first().map_or(0, Vec::len) as i64;
    Tensor::from_slice(&latents.concat()).view([latents.len() as i64, width]).to_device(device)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn length(z: &[f32]) -> f64 {
        z.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt()
    }

    #[test]
    fn an_arc_keeps_its_distance_from_the_middle() {
        let (a, b) = (of_seed(1, 100), of_seed(2, 100));
        let near = |x: &[f32], y: &[f32]| x.iter().zip(y).all(|(x, y)| (x - y).abs() < 1e-5);
        assert!(near(&slerp(&a, &b, 0.0), &a) && near(&slerp(&a, &b, 1.0), &b));
        let (half, straight) = (slerp(&a, &b, 0.5), a.iter().zip(&b).map(|(a, b)| (a + b) / 2.0).collect::<Vec<_>>());
        let between = (length(&a) + length(&b)) / 2.0;
        assert!((length(&half) / between - 1.0).abs() < 0.1, "{} beside {between}", length(&half));
        assert!(length(&straight) < 0.8 * between);
        // Half of the way is as far from one as from the other, by the angle.
        let angle = |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(x, y)| f64::from(x * y)).sum::<f64>() / length(x) / length(y);
        let scaled: Vec<f32> = a.iter().map(|x| *x * (length(&b) / length(&a)) as f32).collect();
        let middle = slerp(&scaled, &b, 0.5);
        assert!((angle(&scaled, &middle) - angle(&b, &middle)).abs() < 1e-5);
        // The same, the opposite, and nothing at all.
        let opposite: Vec<f32> = a.iter().map(|x| -x).collect();
        for other in [&a, &opposite, &vec![0.0; 100]] {
            assert!(slerp(&a, other, 0.3).iter().all(|x| x.is_finite()));
        }
    }

    #[test]
    fn a_loop_comes_back_and_a_way_arrives() {
        let seeds: Vec<Vec<f32>> = (0..3).map(|seed| of_seed(seed, 8)).collect();
        let (open, closed) = (path(&seeds, 5, false), path(&seeds, 5, true));
        assert_eq!((open.len(), closed.len()), (11, 15));
        assert_eq!((&open[0], &open[10], &closed[0]), (&seeds[0], &seeds[2], &seeds[0]));
        // The step over the seam is as long as those before and after it.
        let step = |a: &[f32], b: &[f32]| length(&a.iter().zip(b).map(|(a, b)| a - b).collect::<Vec<_>>());
        let (seam, before) = (step(&closed[14], &closed[0]), step(&closed[13], &closed[14]));
        assert!((seam / before - 1.0).abs() < 0.3, "{seam} after {before}");
        assert_eq!(truncate(vec![2.0, -4.0], 0.5), [1.0, -2.0]);
    }
}
