//! `Adam` over one flat buffer of parameters, with moments that can be saved and put back.
//!
//! Kingma and Ba, arXiv 1412.6980, algorithm 1, with ε as in PyTorch: beside √(v / (1 − β₂ᵗ)).
//!
//! Where β₁ and β₂ stay as they are, a step is libtorch's one fused kernel. It takes them as plain numbers, which a recorded CUDA
//! graph would keep for ever; where β₂ moves, a step is seven kernels that read everything from the [`Dials`].

use tch::Tensor;

use crate::{
    dials::{Dials, Schedule},
    shim::FusedAdam,
};

/// The moments of one network's parameters.
#[derive(Debug)]
pub(crate) struct Adam {
    /// The running mean of the gradient: [P].
    pub(crate) m: Tensor,
    /// The running mean of the squared gradient: [P].
    pub(crate) v: Tensor,
    /// β₁ and β₂, where they stay as they are.
    betas: Option<(f64, f64)>,
    epsilon: f64,
}

impl Adam {
    /// Before the first step, for parameters of that shape.
    pub(crate) fn new(parameters: &Tensor, schedule: &Schedule) -> Self {
        let first = schedule.at(0);
        let betas = (!schedule.moves_beta2()).then_some((first.beta1, first.beta2));
        Self { m: parameters.zeros_like(), v: parameters.zeros_like(), betas, epsilon: schedule.epsilon() }
    }

    /// The step that the dials are set for: p ← p − η · (m / (1 − β₁ᵗ)) / (√(v / (1 − β₂ᵗ)) + ε).
    pub(crate) fn step(&mut self, parameters: &mut Tensor, gradient: &Tensor, dials: &Dials) {
        let Self { m, v, epsilon, .. } = self;
        if let Some(betas) = self.betas {
            let (step, rate, epsilon) = (&dials.t, &dials.learning_rate, *epsilon);
            FusedAdam { parameters, gradient, m, v, step, rate, betas, epsilon }.run();
            return;
        }
        let _ = m.lerp_tensor_(gradient, &dials.renewals[0]); // [P] m ← β₁ m + (1 − β₁) g
        let _ = v.lerp_tensor_(&gradient.square(), &dials.renewals[1]); // [P] v ← β₂ v + (1 − β₂) g²
        // The constants of the fraction are drawn into its denominator, with the sign, so that one kernel adds it.
        let [root, beside] = &dials.fraction;
        let denominator = v.sqrt().g_mul_(root).g_add_(beside); // [P]
        let _ = parameters.addcdiv_(m, &denominator); // [P]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng;
    use catgen_train::TrainOptions;
    use tch::{Device, Kind, nn, nn::OptimizerConfig};

    /// Adam for one flat buffer, and its dials; `moving` takes the kernels that are there for a β₂ that moves.
    fn made(parameters: &Tensor, learning_rate: f64, moving: bool) -> (Adam, Dials, Schedule) {
        let schedule = Schedule::new(&TrainOptions { learning_rate, ..TrainOptions::default() }.resolved(), 64);
        let mut adam = Adam::new(parameters, &schedule);
        if moving {
            adam.betas = None;
        }
        (adam, Dials::new(Device::Cpu), schedule)
    }

    #[test]
    fn the_first_step_is_the_learning_rate_against_the_gradients_sign() {
        for moving in [false, true] {
            let mut parameters = Tensor::zeros([3], (Kind::Float, Device::Cpu));
            let (mut adam, mut dials, schedule) = made(&parameters, 0.1, moving);
            dials.set(&schedule.at(0), schedule.epsilon());
            adam.step(&mut parameters, &Tensor::from_slice(&[3.0f32, -0.001, 0.0]), &dials);
            let moved = Vec::<f32>::try_from(&parameters).unwrap();
            assert!((moved[0] + 0.1).abs() < 1e-6 && (moved[1] - 0.1).abs() < 1e-5 && moved[2] == 0.0, "{moved:?}");
        }
    }

    #[test]
    fn twenty_steps_are_those_of_libtorchs_own_adam() {
        for moving in [false, true] {
            let store = nn::VarStore::new(Device::Cpu);
            let theirs = store.root().var_copy("p", &rng::noise(1, 0, 50, 1, Device::Cpu).view([50]));
            let mut reference = nn::Adam { beta1: 0.5, beta2: 0.999, wd: 0.0, eps: 1e-8, amsgrad: false }.build(&store, 2e-2).unwrap();
            let mut ours = theirs.detach().copy();
            let (mut adam, mut dials, schedule) = made(&ours, 2e-2, moving);
            for step in 0..20 {
                // f(p) = mean (p² − 1)², of which the gradient is 4 p (p² − 1) / n.
                let gradient = (&ours * (ours.square() - 1.0)) * (4.0 / 50.0);
                dials.set(&schedule.at(step), schedule.epsilon());
                adam.step(&mut ours, &gradient, &dials);
                reference.backward_step(&(theirs.square() - 1.0).square().mean(Kind::Float));
            }
            let difference = (&ours - &theirs).abs().max().double_value(&[]);
            assert!(difference < 2e-6, "{difference}");
            assert!((&ours - store.root().get("p").unwrap()).abs().max().double_value(&[]) < 2e-6);
        }
    }
}
