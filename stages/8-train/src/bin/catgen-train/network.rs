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
pub(crate) use self::layer::{Layer, Op, smoothing};
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
    /// `flat` in the numbers that convolutions compute with, where these are others; see [`Network::refresh`].
    shadow: Option<Tensor>,
    /// Views of `flat`, or of its shadow, that gradients are wanted for.
    trained: Vec<Tensor>,
    /// The same views, of which libtorch keeps no account.
    held: Vec<Tensor>,
    /// Views of `flat`.
    exact: Vec<Tensor>,
    /// Where the gradient is gathered ([P]), and views of it.
    gathered: Option<(Tensor, Vec<Tensor>)>,
    /// Batch norm's running means and variances: [Q].
    pub(crate) running: Tensor,
    /// Views of these, by name.
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
        let exact: Vec<Tensor> = slots.iter().map(|slot| slot.view(&flat)).collect();
        let running = Tensor::zeros([statistics.iter().map(|(_, channels)| channels).sum::<i64>()], options); // [Q]
        let mut begin = 0;
        let statistics = statistics
            .into_iter()
            .map(|(name, channels)| {
                let mut view = running.narrow(0, begin, channels);
                begin += channels;
                let _ = view.fill_(if name.ends_with("var") { 1.0 } else { 0.0 });
                (name, view)
            })
            .collect();
        let mut network =
            Self { flat, slots, layers, shadow: None, trained: Vec::new(), held: Vec::new(), exact, gathered: None, running, statistics };
        network.compute_with(Kind::Float);
        network
    }

    /// Training computes with numbers of that kind from now on; the parameters themselves stay at 32 bits, and so does [`Mode::Eval`].
    pub(crate) fn compute_with(&mut self, kind: Kind) {
        self.shadow = (kind != Kind::Float).then(|| self.flat.to_kind(kind));
        self.held = self.slots.iter().map(|slot| slot.view(self.shadow.as_ref().filter(|_| !slot.exact).unwrap_or(&self.flat))).collect();
        // Detached, a view is a leaf of its own, and still the same memory.
        self.trained = self.held.iter().map(|view| view.detach().set_requires_grad(true)).collect();
    }

    /// Brings the shadow up to date: to be called whenever `flat` was written to.
    pub(crate) fn refresh(&mut self) {
        if let Some(shadow) = &mut self.shadow {
            shadow.copy_(&self.flat);
        }
    }

    /// A network of the same layers with numbers of its own, equal to these: what a running mean of the weights begins as.
    pub(crate) fn copy(&self) -> Self {
        let statistics = self.statistics.iter().map(|(name, tensor)| (name.clone(), tensor.size()[0]));
        let plan = Plan { layers: self.layers.clone(), slots: self.slots.clone(), statistics: statistics.collect() };
        let mut copy = Self::build(plan, self.flat.device());
        copy.flat.copy_(&self.flat);
        copy.running.copy_(&self.running);
        copy
    }

    /// The preset's first weights; `number` tells two networks of one seed apart.
    pub(crate) fn initialise(&mut self, seed: u64, number: u64) {
        let count: i64 = self.slots.iter().map(Slot::len).sum();
        let normals = Tensor::from_slice(&rng::normals(seed, Purpose::Weights, number, count as usize)); // [P]
        for (slot, view) in self.slots.iter().zip(&mut self.exact) {
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
        self.refresh();
    }

    /// The network's answer.
    pub(crate) fn forward(&self, input: &Tensor, mode: Mode) -> Tensor {
        self.forward_seen(input, mode, &mut |_, _| ())
    }

    /// As [`Network::forward`]; `see` is shown what every layer makes, in order (a residual block is one layer).
    pub(crate) fn forward_seen(&self, input: &Tensor, mode: Mode, see: &mut dyn FnMut(&Layer, &Tensor)) -> Tensor {
        let parameters = match mode {
            Mode::Train => &self.trained,
            Mode::Held => &self.held,
            Mode::Eval => &self.exact,
        };
        let mut x = match &self.shadow {
            Some(shadow) if mode != Mode::Eval => input.to_kind(shadow.kind()),
            _ => input.shallow_clone(),
        };
        for layer in &self.layers {
            x = layer.op.apply(&x, parameters, &self.statistics, mode);
            see(layer, &x);
        }
        x.to_kind(Kind::Float)
    }

    /// The layers, in order.
    pub(crate) fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// The parameter `at`, as the layers' tables number them: a view in its shape.
    pub(crate) fn parameter(&self, at: usize) -> &Tensor {
        &self.exact[at]
    }

    /// The running statistic `at`, as the layers' tables number them: [C].
    pub(crate) fn statistic(&self, at: usize) -> &Tensor {
        &self.statistics[at].1
    }

    /// The gradient of `loss` in every parameter: [P], in the buffer's order, in a buffer that the next call writes to again. `keep` says
    /// that what led to the loss is still needed.
    pub(crate) fn gradient(&mut self, loss: &Tensor, keep: bool) -> &Tensor {
        let gradients = Tensor::run_backward(&[loss], &self.trained, keep, false);
        let (flat, views) = self.gathered.get_or_insert_with(|| {
            let flat = self.flat.zeros_like(); // [P]
            let views = self.slots.iter().map(|slot| slot.view(&flat)).collect();
            (flat, views)
        });
        for (view, gradient) in views.iter_mut().zip(&gradients) {
            view.copy_(gradient);
        }
        flat
    }

    /// The parameters, and the gradient that was gathered last.
    pub(crate) fn parameters_and_gradient(&mut self) -> (&mut Tensor, &Tensor) {
        let (gradient, _) = self.gathered.as_ref().expect("a gradient was asked for before");
        (&mut self.flat, gradient)
    }

    /// A buffer like `flat`, by parameter: views of it, with their names.
    pub(crate) fn by_name<'a>(&'a self, flat: &'a Tensor) -> impl Iterator<Item = (&'a str, Tensor)> {
        self.slots.iter().map(|slot| (slot.name.as_str(), slot.view(flat)))
    }

    /// Parameters and running statistics as views by name, with `prefix.` before it: what a checkpoint holds of a network.
    pub(crate) fn tensors(&self, prefix: &str) -> Vec<(String, Tensor)> {
        self.by_name(&self.flat).chain(self.statistics()).map(|(name, view)| (format!("{prefix}.{name}"), view)).collect()
    }

    /// Batch norm's running statistics, by name.
    pub(crate) fn statistics(&self) -> impl Iterator<Item = (&str, Tensor)> {
        self.statistics.iter().map(|(name, tensor)| (name.as_str(), tensor.shallow_clone()))
    }
}

#[cfg(test)]
mod tests;
