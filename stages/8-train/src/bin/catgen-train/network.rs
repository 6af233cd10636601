//! `Network`: a stack of layers whose parameters all lie in one buffer.
//!
//! One buffer means that Adam is a handful of kernels, that a running mean of all weights (EMA) is one, and that a checkpoint
//! knows every number. The layers see views of it. What the layers are is a table, written by the presets:
//!
//! | file | pair of networks |
//! |---|---|
//! | `network/dcgan.rs` | `dcgan`, and the tutorial's names for its parameters |
//! | `network/dcgan_keras.rs` | `dcgan-keras` |
//! | `network/r3gan.rs` | `r3gan-s` |
//! | `network/layer.rs` | the kinds of layers and what each computes |
//!
//! Latents are [B, Z] for every preset, pictures [B, 3, S, S] in −1..1, logits [B].

mod dcgan;
mod dcgan_keras;
mod layer;
mod r3gan;

use catgen_train::{Preset, TrainOptions};
use tch::{Device, Kind, Tensor};

use self::layer::{Init, Plan, Slot};
pub(crate) use self::layer::{Layer, Op};
use crate::rng::{self, Purpose};

/// How a network is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Its parameters are to be trained; batch norm by the batch; dropout drops.
    Train,
    /// Its parameters are held: gradients pass through to its input only; batch norm by the batch; dropout drops.
    Held,
    /// For use: parameters held, batch norm by the running statistics, no dropout.
    Eval,
}

/// A stack of layers.
#[derive(Debug)]
pub(crate) struct Network {
    /// Every parameter: [P].
    pub(crate) flat: Tensor,
    slots: Vec<Slot>,
    layers: Vec<Layer>,
    /// Views of `flat` that gradients are wanted for.
    trained: Vec<Tensor>,
    /// The same views, of which libtorch keeps no account.
    held: Vec<Tensor>,
    /// Batch norm's running means and variances, by name.
    statistics: Vec<(String, Tensor)>,
}

/// z [B, Z] → pictures [B, 3, side, side]: the generator of the options' preset, without weights yet.
pub(crate) fn generator(options: &TrainOptions, side: u64, device: Device) -> Network {
    let options = options.resolved();
    let (latent, width, side) = (options.latent as i64, options.width as i64, side as i64);
    let plan = match options.preset {
        Preset::Dcgan => dcgan::generator(latent, width, side),
        Preset::DcganKeras => dcgan_keras::generator(latent, width, side),
        Preset::R3ganS => r3gan::generator(latent, width, side),
    };
    Network::build(plan, device)
}

/// Pictures [B, 3, side, side] → logits [B]: the discriminator of the options' preset, without weights yet.
pub(crate) fn discriminator(options: &TrainOptions, side: u64, device: Device) -> Network {
    let options = options.resolved();
    let (width, side) = (options.width as i64, side as i64);
    let plan = match options.preset {
        Preset::Dcgan => dcgan::discriminator(width, side),
        Preset::DcganKeras => dcgan_keras::discriminator(width, side),
        Preset::R3ganS => r3gan::discriminator(width, side),
    };
    Network::build(plan, device)
}

impl Network {
    fn build(plan: Plan, device: Device) -> Self {
        let Plan { layers, slots, statistics } = plan;
        let options = (Kind::Float, device);
        let flat = Tensor::zeros([slots.iter().map(Slot::len).sum::<i64>()], options); // [P]
        let held: Vec<Tensor> = slots.iter().map(|slot| slot.view(&flat)).collect();
        // Detached, a view is a leaf of its own, and still the same memory.
        let trained = held.iter().map(|view| view.detach().set_requires_grad(true)).collect();
        let statistics = statistics
            .into_iter()
            .map(|(name, channels)| {
                let begin = if name.ends_with("var") { Tensor::ones([channels], options) } else { Tensor::zeros([channels], options) };
                (name, begin)
            })
            .collect();
        Self { flat, slots, layers, trained, held, statistics }
    }

    /// A network of the same layers with numbers of its own, equal to these: what a running mean of the weights begins as.
    pub(crate) fn copy(&self) -> Self {
        let statistics = self.statistics.iter().map(|(name, tensor)| (name.clone(), tensor.size()[0]));
        let plan = Plan { layers: self.layers.clone(), slots: self.slots.clone(), statistics: statistics.collect() };
        let mut copy = Self::build(plan, self.flat.device());
        copy.flat.copy_(&self.flat);
        for ((_, to), (_, from)) in copy.statistics.iter_mut().zip(&self.statistics) {
            to.copy_(from);
        }
        copy
    }

    /// The preset's first weights; `number` tells two networks of one seed apart.
    pub(crate) fn initialise(&mut self, seed: u64, number: u64) {
        let count: i64 = self.slots.iter().map(Slot::len).sum();
        let normals = Tensor::from_slice(&rng::normals(seed, Purpose::Weights, number, count as usize)); // [P]
        for (slot, view) in self.slots.iter().zip(&mut self.held) {
            let normal = || normals.narrow(0, slot.begin, slot.len()).view(&slot.shape[..]);
            match slot.init {
                Init::Normal { mean, spread } => view.copy_(&(normal() * spread + mean)),
                // Φ makes of a normal number one that is uniform in 0..1.
                Init::Uniform { limit } => view.copy_(&((normal() * std::f64::consts::FRAC_1_SQRT_2).erf() * limit)),
                Init::Constant(number) => {
                    let _ = view.fill_(number);
                }
            }
        }
    }

    /// The network's answer.
    pub(crate) fn forward(&self, input: &Tensor, mode: Mode) -> Tensor {
        self.forward_seen(input, mode, &mut |_, _| ())
    }

    /// As [`Network::forward`]; `see` is shown what every layer makes, in order (a residual block is one layer).
    pub(crate) fn forward_seen(&self, input: &Tensor, mode: Mode, see: &mut dyn FnMut(&Layer, &Tensor)) -> Tensor {
        let parameters = if mode == Mode::Train { &self.trained } else { &self.held };
        let mut x = input.shallow_clone();
        for layer in &self.layers {
            x = layer.op.apply(&x, parameters, &self.statistics, mode);
            see(layer, &x);
        }
        x
    }

    /// The layers, in order.
    pub(crate) fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// The parameter `at`, as the layers' tables number them: a view in its shape.
    pub(crate) fn parameter(&self, at: usize) -> &Tensor {
        &self.held[at]
    }

    /// The running statistic `at`, as the layers' tables number them: [C].
    pub(crate) fn statistic(&self, at: usize) -> &Tensor {
        &self.statistics[at].1
    }

    /// The gradient of `loss` in every parameter: [P], in the buffer's order.
    pub(crate) fn gradient(&self, loss: &Tensor) -> Tensor {
        let gradients = Tensor::run_backward(&[loss], &self.trained, false, false);
        let parts: Vec<Tensor> = self.slots.iter().zip(&gradients).map(|(slot, gradient)| slot.flatten(gradient)).collect();
        Tensor::cat(&parts, 0)
    }

    /// A buffer like `flat`, by parameter: views of it, with their names.
    pub(crate) fn by_name<'a>(&'a self, flat: &'a Tensor) -> impl Iterator<Item = (&'a str, Tensor)> {
        self.slots.iter().map(|slot| (slot.name.as_str(), slot.view(flat)))
    }

    /// Batch norm's running statistics, by name.
    pub(crate) fn statistics(&self) -> impl Iterator<Item = (&str, Tensor)> {
        self.statistics.iter().map(|(name, tensor)| (name.as_str(), tensor.shallow_clone()))
    }
}

#[cfg(test)]
mod tests;
