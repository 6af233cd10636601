//! `Adam` over one flat buffer of parameters: seven kernels a step, and moments that can be saved and put back.
//!
//! Kingma and Ba, arXiv 1412.6980, algorithm 1, with ε as in PyTorch: beside √(v / (1 − β₂ᵗ)).

use catgen_train::TrainOptions;
use tch::Tensor;

const EPSILON: f64 = 1e-8;

/// The moments of one network's parameters.
#[derive(Debug)]
pub(crate) struct Adam {
    /// The running mean of the gradient: [P].
    pub(crate) m: Tensor,
    /// The running mean of the squared gradient: [P].
    pub(crate) v: Tensor,
    learning_rate: f64,
    beta1: f64,
    beta2: f64,
}

impl Adam {
    /// Before the first step, for parameters of that shape.
    pub(crate) fn new(parameters: &Tensor, options: &TrainOptions) -> Self {
        let TrainOptions { learning_rate, beta1, beta2, .. } = *options;
        Self { m: parameters.zeros_like(), v: parameters.zeros_like(), learning_rate, beta1, beta2 }
    }

    /// Step `t`, counted from 1: p ← p − η · (m / (1 − β₁ᵗ)) / (√(v / (1 − β₂ᵗ)) + ε).
    pub(crate) fn step(&mut self, parameters: &mut Tensor, gradient: &Tensor, t: u64) {
        let _ = self.m.lerp_(gradient, 1.0 - self.beta1); // [P] m ← β₁ m + (1 − β₁) g
        let _ = self.v.lerp_(&gradient.square(), 1.0 - self.beta2); // [P] v ← β₂ v + (1 − β₂) g²
        // The constants of the fraction are drawn into its denominator, with the sign, so that one kernel adds it.
        let t = t as f64;
        let per_step = -(1.0 - self.beta1.powf(t)) / self.learning_rate;
        let root = per_step / (1.0 - self.beta2.powf(t)).sqrt();
        let denominator = self.v.sqrt().g_mul_scalar_(root).g_add_scalar_(per_step * EPSILON); // [P]
        let _ = parameters.addcdiv_(&self.m, &denominator); // [P]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng;
    use tch::{Device, Kind, nn, nn::OptimizerConfig};

    #[test]
    fn the_first_step_is_the_learning_rate_against_the_gradients_sign() {
        let mut parameters = Tensor::zeros([3], (Kind::Float, Device::Cpu));
        let mut adam = Adam::new(&parameters, &TrainOptions { learning_rate: 0.1, ..TrainOptions::default() });
        adam.step(&mut parameters, &Tensor::from_slice(&[3.0f32, -0.001, 0.0]), 1);
        let moved = Vec::<f32>::try_from(&parameters).unwrap();
        assert!((moved[0] + 0.1).abs() < 1e-6 && (moved[1] - 0.1).abs() < 1e-5 && moved[2] == 0.0, "{moved:?}");
    }

    #[test]
    fn twenty_steps_are_those_of_libtorchs_own_adam() {
        let store = nn::VarStore::new(Device::Cpu);
        let theirs = store.root().var_copy("p", &rng::noise(1, 0, 50, 1, Device::Cpu).view([50]));
        let mut reference = nn::Adam { beta1: 0.5, beta2: 0.999, wd: 0.0, eps: 1e-8, amsgrad: false }.build(&store, 2e-2).unwrap();
        let mut ours = theirs.detach().copy();
        let mut adam = Adam::new(&ours, &TrainOptions { learning_rate: 2e-2, beta1: 0.5, beta2: 0.999, ..TrainOptions::default() });
        for t in 1..=20 {
            // f(p) = mean (p² − 1)², of which the gradient is 4 p (p² − 1) / n.
            let gradient = (&ours * (ours.square() - 1.0)) * (4.0 / 50.0);
            adam.step(&mut ours, &gradient, t);
            reference.backward_step(&(theirs.square() - 1.0).square().mean(Kind::Float));
        }
        let difference = (&ours - &theirs).abs().max().double_value(&[]);
        assert!(difference < 1e-6, "{difference}");
        assert!((&ours - store.root().get("p").unwrap()).abs().max().double_value(&[]) < 1e-6);
    }
}
