//! What keeps the discriminator's slope small. The gradient of D in its input is itself differentiated, so it is made with a graph.

use tch::{Kind, Tensor};

/// ∇ₓ Σ D(x): each picture's own gradient, [B, 3, S, S], if D looks at each picture alone.
fn slope(logits: &Tensor, pictures: &Tensor) -> Tensor {
    let mut gradients = Tensor::run_backward(&[logits.sum(Kind::Float)], &[pictures], true, true);
    gradients.swap_remove(0)
}

/// |∇ₓ D(x)|², [B].
fn steepness(logits: &Tensor, pictures: &Tensor) -> Tensor {
    slope(logits, pictures).square().sum_dim_intlist([1i64, 2, 3].as_slice(), false, Kind::Float)
}

/// R₁ and R₂: ½ mean |∇ₓ D(x)|² + ½ mean |∇ D(G(z))|² with x and G(z) the pictures before they are changed; Mescheder et al., arXiv
/// 1801.04406, eq. 9, on both kinds as in arXiv 2501.05441. The weight γ comes on top.
pub(crate) fn zero_centred(on_real: &Tensor, real: &Tensor, on_fake: &Tensor, fake: &Tensor) -> Tensor {
    (steepness(on_real, real).mean(Kind::Float) + steepness(on_fake, fake).mean(Kind::Float)) * 0.5
}

/// Pictures on the lines between real and generated ones, each at a random place: x̂ = ε x + (1 − ε) G(z), [B, 3, S, S].
pub(crate) fn between(real: &Tensor, fake: &Tensor) -> Tensor {
    let place = Tensor::rand([real.size()[0], 1, 1, 1], (Kind::Float, real.device()));
    fake.lerp_tensor(real, &place).detach().set_requires_grad(true)
}

/// mean (|∇ D(x̂)| − 1)²; Gulrajani et al., arXiv 1704.00028, eq. 3. The weight λ comes on top.
pub(crate) fn one_centred(on_between: &Tensor, between: &Tensor) -> Tensor {
    // √ has no slope at 0.
    let length = (steepness(on_between, between) + 1e-12).sqrt();
    (length - 1.0).square().mean(Kind::Float)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng;
    use tch::Device;

    /// D(x) = Σ a x³ + b x, of which slope and penalty are known, and pictures for it.
    fn made() -> (impl Fn(&Tensor, &Tensor) -> Tensor, Tensor, Tensor, Tensor) {
        let numbers = |step| rng::noise(1, step, 4, 12, Device::Cpu).view([4, 3, 2, 2]);
        let d =
            |a: &Tensor, x: &Tensor| (x.pow_tensor_scalar(3) * a + x * 0.5).sum_dim_intlist([1i64, 2, 3].as_slice(), false, Kind::Float);
        let a = Tensor::from(0.7f32).set_requires_grad(true);
        (d, a, numbers(1), numbers(2))
    }

    fn slopes(a: f64, x: &Tensor) -> Tensor {
        x.square() * (3.0 * a) + 0.5
    }

    #[test]
    fn both_penalties_are_what_their_formulas_say() {
        let (d, a, real, fake) = made();
        let (real, fake) = (real.set_requires_grad(true), fake.set_requires_grad(true));
        let squared = |x: &Tensor| slopes(0.7, &x.detach()).square().sum_dim_intlist([1i64, 2, 3].as_slice(), false, Kind::Float);
        let check = |found: Tensor, expected: Tensor| {
            let (found, expected) = (found.double_value(&[]), expected.double_value(&[]));
            assert!((found / expected - 1.0).abs() < 1e-5, "{found}, expected {expected}");
        };
        let expected = (squared(&real).mean(Kind::Float) + squared(&fake).mean(Kind::Float)) * 0.5;
        check(zero_centred(&d(&a, &real), &real, &d(&a, &fake), &fake), expected);
        let middle = between(&real, &fake);
        let part = ((&middle - &fake) / (&real - &fake)).detach();
        assert!(part.min().double_value(&[]) > -1e-4 && part.max().double_value(&[]) < 1.0001);
        check(one_centred(&d(&a, &middle), &middle), (squared(&middle).sqrt() - 1.0).square().mean(Kind::Float));
    }

    #[test]
    fn their_own_gradients_are_those_of_finite_differences() {
        let (d, a, real, fake) = made();
        let (real, fake) = (real.set_requires_grad(true), fake.set_requires_grad(true));
        let both = |a: &Tensor| {
            let first = zero_centred(&d(a, &real), &real, &d(a, &fake), &fake);
            first + one_centred(&d(a, &real), &real)
        };
        let found = Tensor::run_backward(&[both(&a)], &[&a], false, false)[0].double_value(&[]);
        let at = |shift: f32| both(&Tensor::from(0.7f32 + shift).set_requires_grad(true)).double_value(&[]);
        let expected = (at(1e-2) - at(-1e-2)) / 2e-2;
        assert!((found / expected - 1.0).abs() < 1e-3, "{found}, expected {expected}");
    }
}
