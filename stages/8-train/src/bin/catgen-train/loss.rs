//! What the two networks play for. A new game is one more arm in each of the two functions.
//!
//! x is a batch of real pictures, G(z) one of generated pictures, D(·) the discriminator's logits, σ(y) = 1 / (1 + e⁻ʸ).
//! softplus(y) = log(1 + eʸ), so −log σ(y) = softplus(−y) and −log(1 − σ(y)) = softplus(y), with no log of 0 anywhere.

use catgen_train::LossKind;
use tch::{Kind, Tensor};

/// The discriminator's loss from its logits on real and on generated pictures.
pub(crate) fn discriminator(kind: LossKind, on_real: &Tensor, on_fake: &Tensor) -> Tensor {
    match kind {
        // L_D = −mean log σ(D(x)) − mean log(1 − σ(D(G(z)))); Goodfellow et al., arXiv 1406.2661, eq. 1.
        LossKind::Bce => on_real.neg().softplus().mean(Kind::Float) + on_fake.softplus().mean(Kind::Float),
    }
}

/// The generator's loss from the discriminator's logits on generated pictures.
pub(crate) fn generator(kind: LossKind, on_fake: &Tensor) -> Tensor {
    match kind {
        // L_G = −mean log σ(D(G(z))): the non-saturating form, same paper, section 3.
        LossKind::Bce => on_fake.neg().softplus().mean(Kind::Float),
    }
}

/// How real pictures look to the discriminator, 0 to 1: mean σ(D(·)).
pub(crate) fn belief(logits: &Tensor) -> Tensor {
    logits.detach().sigmoid().mean(Kind::Float)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(found: &Tensor, expected: f64) {
        let found = found.double_value(&[]);
        assert!((found - expected).abs() < 1e-6 * expected.abs().max(1.0), "{found}, expected {expected}");
    }

    #[test]
    fn bce_is_what_its_formula_says() {
        let (real, fake) = ([0.5f32, -1.0, 2.0], [0.1f32, -0.3, 1.5]);
        let sigma = |logit: f32| 1.0 / (1.0 + (-f64::from(logit)).exp());
        let mean = |values: [f64; 3]| values.iter().sum::<f64>() / 3.0;
        let (on_real, on_fake) = (Tensor::from_slice(&real), Tensor::from_slice(&fake));
        let expected = -mean(real.map(|y| sigma(y).ln())) - mean(fake.map(|y| (1.0 - sigma(y)).ln()));
        check(&discriminator(LossKind::Bce, &on_real, &on_fake), expected);
        check(&generator(LossKind::Bce, &on_fake), -mean(fake.map(|y| sigma(y).ln())));
        check(&belief(&on_fake), mean(fake.map(sigma)));
    }

    #[test]
    fn a_discriminator_that_is_sure_gives_a_finite_loss() {
        let sure = Tensor::from_slice(&[500.0f32]);
        check(&discriminator(LossKind::Bce, &sure, &sure), 500.0);
        check(&generator(LossKind::Bce, &sure.neg()), 500.0);
    }
}
