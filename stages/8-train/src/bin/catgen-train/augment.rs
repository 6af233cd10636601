//! Changes to pictures on their way to the discriminator, real and generated alike: so it cannot learn the few real ones by heart, and
//! the generator never learns the changes.
//!
//! The changes are those of DiffAugment (Zhao et al., arXiv 2006.10738): brightness, saturation and contrast; a shift of up to an
//! eighth of the side; a blank square of half the side. Each kind happens to a picture with probability p. With p = 1 that is
//! DiffAugment; with a p that follows the discriminator it is the rule of ADA (Karras et al., arXiv 2006.06676, section 3.1).
//!
//! Everything is a product or a sum of tensors on the device, so it can be differentiated twice (the penalties want that), gives the
//! same on every run, and can be recorded in a CUDA graph.

use catgen_train::Change;
use tch::{Kind, Tensor};

/// Pictures [B, 3, S, S] in −1..1, changed; `probability` ([]) is that of each kind of change to each picture.
pub(crate) fn changed(pictures: &Tensor, kinds: &[Change], probability: &Tensor) -> Tensor {
    kinds.iter().fold(pictures.shallow_clone(), |x, kind| match kind {
        Change::Color => coloured(&x, probability),
        Change::Translation => shifted(&x, probability),
        Change::Cutout => cut(&x, probability),
    })
}

/// Uniform in 0..1, one for each picture: [B, 1, 1, 1].
fn uniform(like: &Tensor) -> Tensor {
    Tensor::rand([like.size()[0], 1, 1, 1], (Kind::Float, like.device()))
}

/// 1 where a picture is to be changed, else 0: [B, 1, 1, 1].
fn gate(like: &Tensor, probability: &Tensor) -> Tensor {
    uniform(like).lt_tensor(probability).to_kind(Kind::Float)
}

/// x + U(−½, ½); then U(0, 2) times what a pixel differs from its grey; then U(½, 1½) times what it differs from the picture's mean.
fn coloured(x: &Tensor, probability: &Tensor) -> Tensor {
    let gate = gate(x, probability); // [B, 1, 1, 1]
    let brighter = (uniform(x) - 0.5) * &gate;
    let x = x + brighter;
    let saturation = (uniform(&x) * 2.0 - 1.0) * &gate + 1.0;
    let grey = x.mean_dim([1i64].as_slice(), true, Kind::Float); // [B, 1, S, S]
    let x = (x - &grey) * saturation + grey;
    let contrast = (uniform(&x) - 0.5) * &gate + 1.0;
    let mean = x.mean_dim([1i64, 2, 3].as_slice(), true, Kind::Float); // [B, 1, 1, 1]
    (x - &mean) * contrast + mean
}

/// A whole number in 0..count for each picture, as a float: [B, 1, 1].
fn whole(x: &Tensor, count: i64) -> Tensor {
    (uniform(x) * count as f64).floor().clamp_max((count - 1) as f64).view([-1, 1, 1])
}

/// Moved by whole pixels along both sides; 0, a middle grey, where nothing is left, as in the paper's code.
fn shifted(x: &Tensor, probability: &Tensor) -> Tensor {
    let side = x.size()[3];
    let most = (side as f64 / 8.0 + 0.5) as i64;
    let gate = gate(x, probability).view([-1, 1, 1]); // [B, 1, 1]
    let places = Tensor::arange(side, (Kind::Float, x.device())); // [S]
    // A matrix with a 1 where place i takes its number from place j = i + shift: products with it move rows, or columns.
    let matrix = || {
        let shift = (whole(x, 2 * most + 1) - most as f64) * &gate; // [B, 1, 1]
        let from = places.view([1, side, 1]) + shift; // [B, S, 1]
        from.eq_tensor(&places.view([1, 1, side])).to_kind(Kind::Float).unsqueeze(1) // [B, 1, S, S]
    };
    let (rows, columns) = (matrix(), matrix());
    rows.matmul(x).matmul(&columns.transpose(2, 3)) // [B, 3, S, S]
}

/// A square of half the side is 0, its middle anywhere.
fn cut(x: &Tensor, probability: &Tensor) -> Tensor {
    let side = x.size()[3];
    let size = (side as f64 / 2.0 + 0.5) as i64;
    let gate = gate(x, probability); // [B, 1, 1, 1]
    let places = Tensor::arange(side, (Kind::Float, x.device())).view([1, 1, side]); // [1, 1, S]
    let within = || {
        let first = whole(x, side + 1 - size % 2) - (size / 2) as f64; // [B, 1, 1]
        let after = &places - first; // [B, 1, S]
        after.ge(0.0).logical_and(&after.lt(size as f64)).to_kind(Kind::Float)
    };
    let (rows, columns) = (within(), within());
    let square = rows.transpose(1, 2) * columns; // [B, S, S]
    x * (1.0 - square.unsqueeze(1) * gate)
}

/// ADA's rule, on the device: p moves by `speed` towards more changes if real pictures look real more often than `target` says,
/// towards fewer if not; `signs` ([]) is the mean of sign(D(x)). Stays within `least` ([]) and 1.
pub(crate) fn follow(p: &mut Tensor, signs: &Tensor, target: f64, speed: f64, least: &Tensor) {
    let _ = p.g_add_(&((signs - target).sign() * speed));
    let bounded = p.clamp_max(1.0).maximum(least);
    p.copy_(&bounded);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{self, Purpose};
    use tch::Device;

    const ALL: [Change; 3] = [Change::Color, Change::Translation, Change::Cutout];

    fn pictures(count: i64) -> Tensor {
        rng::noise(1, 0, count as u64, 3 * 16 * 16, Device::Cpu).view([count, 3, 16, 16]).clamp(-1.0, 1.0)
    }

    fn done(x: &Tensor, kinds: &[Change], probability: f32, step: u64) -> Tensor {
        rng::seeded(1, Purpose::Step, step, || changed(x, kinds, &Tensor::from(probability)))
    }

    fn number(x: Tensor) -> f64 {
        x.double_value(&[])
    }

    #[test]
    fn nothing_happens_with_probability_0_and_half_of_it_with_one_half() {
        let x = pictures(400);
        assert!(number((done(&x, &ALL, 0.0, 1) - &x).abs().max()) < 1e-6);
        for kind in ALL {
            let moved = (done(&x, &[kind], 0.5, 1) - &x).abs().amax([1i64, 2, 3].as_slice(), false).gt(1e-5);
            let share = number(moved.to_kind(Kind::Double).mean(Kind::Double));
            // A shift of 0 along both sides, 1 of 25, changes nothing; standard deviation 0.025.
            assert!((0.4..0.6).contains(&share), "{kind:?}: {share}");
        }
        assert_eq!(done(&x, &ALL, 1.0, 1), done(&x, &ALL, 1.0, 1));
        assert_ne!(done(&x, &ALL, 1.0, 1), done(&x, &ALL, 1.0, 2));
    }

    #[test]
    fn colours_change_by_the_papers_amounts() {
        // A flat grey picture knows brightness only; the mean of a picture follows brightness alone.
        let x = pictures(2000);
        let y = done(&x, &[Change::Color], 1.0, 3);
        let mean = |x: &Tensor| x.mean_dim([1i64, 2, 3].as_slice(), false, Kind::Double);
        let brighter = mean(&y) - mean(&x);
        assert!(number(brighter.abs().max()) <= 0.5 && (number(brighter.std(false)) - 1.0 / 12f64.sqrt()).abs() < 0.02);
        // Contrast: what the greys of a picture differ by is U(½, 1½) of what it was.
        let spread =
            |x: &Tensor| x.mean_dim([1i64].as_slice(), false, Kind::Double).view([2000, -1]).std_dim([1i64].as_slice(), false, false);
        let contrast = spread(&y) / spread(&x);
        assert!(
            number(contrast.min()) > 0.499 && number(contrast.max()) < 1.501 && (number(contrast.mean(Kind::Double)) - 1.0).abs() < 0.03
        );
        // Saturation and contrast together: U(0, 2) · U(½, 1½).
        let grey = |x: &Tensor| x - x.mean_dim([1i64].as_slice(), true, Kind::Float);
        let colour = |x: &Tensor| grey(x).view([2000, -1]).std_dim([1i64].as_slice(), false, false);
        let saturation = (colour(&y) / colour(&x)).to_kind(Kind::Double) / contrast;
        assert!(number(saturation.min()) < 0.02 && number(saturation.max()) > 1.98 && number(saturation.max()) < 2.01);
    }

    #[test]
    fn a_shift_moves_whole_pixels_and_no_further_than_an_eighth() {
        let x = pictures(200);
        let y = done(&x, &[Change::Translation], 1.0, 4);
        let padded = x.constant_pad_nd([2, 2, 2, 2]); // 16 / 8 = 2 pixels
        let mut seen = [0; 25];
        for at in 0..200 {
            let found = (0..25).find(|place| padded.get(at).narrow(1, place / 5, 16).narrow(2, place % 5, 16) == y.get(at));
            seen[found.expect("a picture moved by whole pixels") as usize] += 1;
        }
        assert!(seen.iter().all(|count| *count > 0), "{seen:?}");
    }

    #[test]
    fn a_square_of_half_the_side_is_blank() {
        let x = Tensor::ones([300, 3, 16, 16], (Kind::Float, Device::Cpu));
        let all: Tensor = 1.0 - done(&x, &[Change::Cutout], 1.0, 5); // [300, 3, 16, 16]
        let blank = all.get(0);
        assert_eq!(blank.get(0), blank.get(2));

        let rows = all.select(1, 0).amax([2i64].as_slice(), false).sum_dim_intlist([1i64].as_slice(), false, Kind::Float);
        // Half a side, or less where it is cut off by the border: a middle at the very edge leaves half of it.
        assert_eq!((number(rows.max()), number(rows.min())), (8.0, 4.0));
        let area = all.select(1, 0).sum_dim_intlist([1i64, 2].as_slice(), false, Kind::Float);
        let columns = all.select(1, 0).amax([1i64].as_slice(), false).sum_dim_intlist([1i64].as_slice(), false, Kind::Float);
        assert_eq!(area, rows * columns);
    }

    #[test]
    fn its_gradient_is_that_of_finite_differences_and_has_one_itself() {
        let x = pictures(3).set_requires_grad(true);
        let weights = rng::noise(1, 9, 3, 768, Device::Cpu).view([3, 3, 16, 16]);
        let f = |x: &Tensor| (done(x, &ALL, 1.0, 6).square() * &weights).sum(Kind::Double);
        let gradient = &Tensor::run_backward(&[f(&x)], &[&x], true, true)[0];
        let along = rng::noise(1, 10, 3, 768, Device::Cpu).view([3, 3, 16, 16]);
        let expected = number(f(&(&x + &along * 1e-3)) - f(&(&x - &along * 1e-3))) / 2e-3;
        let found = number((gradient * &along).sum(Kind::Double));
        assert!((found / expected - 1.0).abs() < 1e-2, "{found}, expected {expected}");
        let second = &Tensor::run_backward(&[gradient.square().sum(Kind::Float)], &[&x], false, false)[0];
        assert!(number(second.abs().max()) > 0.0);
    }

    #[test]
    fn the_probability_follows_the_signs_within_its_bounds() {
        let mut p = Tensor::from(0.5f32);
        let step = |p: &mut Tensor, signs: f32, least: f32| {
            follow(p, &Tensor::from(signs), 0.6, 0.25, &Tensor::from(least));
            number(p.shallow_clone())
        };
        let found: Vec<f64> = [(0.9, 0.0), (0.9, 0.0), (0.9, 0.0), (0.2, 0.0), (-1.0, 0.0), (-1.0, 0.4)]
            .into_iter()
            .map(|(signs, least)| step(&mut p, signs, least))
            .collect();
        let expected = [0.75, 1.0, 1.0, 0.75, 0.5, 0.4f32 as f64];
        assert_eq!(found, expected);
    }
}
