//! `Network`: a stack of layers whose parameters all lie in one buffer.
//!
//! One buffer means that Adam is a handful of kernels and a checkpoint knows every number. The layers see views of it.
//! The two networks are those of DCGAN (Radford et al., arXiv 1511.06434) with the widths of PyTorch's tutorial, a layer
//! more or less for every doubling of the side; parameters carry the names they have there (`main.0.weight`).

use tch::{Device, Kind, Tensor};

use crate::rng::{self, Purpose};

/// Whether convolution weights lie in memory with their channels last, as activations then do: measured 6 % faster on a CPU.
const CHANNELS_LAST: bool = true;
/// Every convolution's kernel is 4 × 4.
const KERNEL: i64 = 4;
/// What a leaky ReLU lets through of negative numbers.
const SLOPE: f32 = 0.2;

/// How a network is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Its parameters are to be trained; batch norm by the batch.
    Train,
    /// Its parameters are held: gradients pass through to its input only; batch norm by the batch.
    Held,
    /// For use: no gradients, batch norm by the running statistics.
    Eval,
}

/// One layer; numbers are places in the network's lists.
#[derive(Debug)]
enum Layer {
    /// Convolution without bias.
    Down { weight: usize, stride: i64, padding: i64 },
    /// Transposed convolution without bias.
    Up { weight: usize, stride: i64, padding: i64 },
    /// Batch norm; γ and β follow one another among the parameters, mean and variance among the statistics.
    Norm { gamma: usize, mean: usize },
    /// max(0, x)
    Relu,
    /// max(0, x) + 0.2 min(0, x)
    LeakyRelu,
    /// tanh x
    Tanh,
}

/// Where one parameter lies in the buffer.
#[derive(Debug)]
struct Slot {
    name: String,
    shape: Vec<i64>,
    begin: i64,
}

impl Slot {
    fn len(&self) -> i64 {
        self.shape.iter().product()
    }

    /// The parameter as a view of `flat` ([P]), in its shape.
    fn view(&self, flat: &Tensor) -> Tensor {
        let part = flat.narrow(0, self.begin, self.len());
        match self.shape[..] {
            [a, b, h, w] if CHANNELS_LAST => part.view([a, h, w, b]).permute([0, 3, 1, 2]),
            _ => part.view(&self.shape[..]),
        }
    }

    /// The opposite: a tensor of the parameter's shape in the order in which it lies in the buffer.
    fn flatten(&self, tensor: &Tensor) -> Tensor {
        if CHANNELS_LAST && self.shape.len() == 4 { tensor.permute([0, 2, 3, 1]).reshape([-1]) } else { tensor.reshape([-1]) }
    }
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
    slope: Tensor,
}

/// Collects layers before the buffer's size is known.
#[derive(Default)]
struct Plan {
    layers: Vec<Layer>,
    slots: Vec<Slot>,
    statistics: Vec<(String, i64)>,
}

impl Plan {
    fn slot(&mut self, name: &str, shape: Vec<i64>) -> usize {
        let begin = self.slots.last().map_or(0, |slot| slot.begin + slot.len());
        self.slots.push(Slot { name: format!("main.{}.{name}", self.layers.len()), shape, begin });
        self.slots.len() - 1
    }

    fn up(&mut self, from: i64, to: i64, stride: i64, padding: i64) {
        let weight = self.slot("weight", vec![from, to, KERNEL, KERNEL]);
        self.layers.push(Layer::Up { weight, stride, padding });
    }

    fn down(&mut self, from: i64, to: i64, stride: i64, padding: i64) {
        let weight = self.slot("weight", vec![to, from, KERNEL, KERNEL]);
        self.layers.push(Layer::Down { weight, stride, padding });
    }

    fn norm(&mut self, channels: i64) {
        let gamma = self.slot("weight", vec![channels]);
        self.slot("bias", vec![channels]);
        let mean = self.statistics.len();
        for name in ["running_mean", "running_var"] {
            self.statistics.push((format!("main.{}.{name}", self.layers.len()), channels));
        }
        self.layers.push(Layer::Norm { gamma, mean });
    }
}

/// How often a map of 4 × 4 is doubled to reach `side`.
fn doublings(side: u64) -> u32 {
    (side / 4).ilog2()
}

impl Network {
    /// z [B, latent, 1, 1] → pictures [B, 3, side, side] in −1..1; 64 px with width 64 has 3,576,704 parameters.
    pub(crate) fn generator(latent: u64, width: u64, side: u64, device: Device) -> Self {
        let (mut plan, width) = (Plan::default(), width as i64);
        let mut channels = width << (doublings(side) - 1);
        plan.up(latent as i64, channels, 1, 0); // [B, 8w, 4, 4] at 64 px
        plan.norm(channels);
        plan.layers.push(Layer::Relu);
        while channels > width {
            plan.up(channels, channels / 2, 2, 1); // [B, 4w, 8, 8] … [B, w, 32, 32]
            plan.norm(channels / 2);
            plan.layers.push(Layer::Relu);
            channels /= 2;
        }
        plan.up(width, 3, 2, 1); // [B, 3, 64, 64]
        plan.layers.push(Layer::Tanh);
        Self::build(plan, device)
    }

    /// Pictures [B, 3, side, side] in −1..1 → logits [B]; 64 px with width 64 has 2,765,568 parameters.
    pub(crate) fn discriminator(width: u64, side: u64, device: Device) -> Self {
        let (mut plan, mut channels) = (Plan::default(), width as i64);
        plan.down(3, channels, 2, 1); // [B, w, 32, 32] at 64 px
        plan.layers.push(Layer::LeakyRelu);
        for _ in 1..doublings(side) {
            plan.down(channels, channels * 2, 2, 1); // [B, 2w, 16, 16] … [B, 8w, 4, 4]
            channels *= 2;
            plan.norm(channels);
            plan.layers.push(Layer::LeakyRelu);
        }
        plan.down(channels, 1, 1, 0); // [B, 1, 1, 1]
        Self::build(plan, device)
    }

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
        Self { flat, slots, layers, trained, held, statistics, slope: Tensor::from_slice(&[SLOPE]).to_device(device) }
    }

    /// DCGAN's first weights: convolutions N(0, 0.02), γ N(1, 0.02), β 0; `number` tells two networks of one seed apart.
    pub(crate) fn initialise(&mut self, seed: u64, number: u64) {
        let count: i64 = self.slots.iter().map(Slot::len).sum();
        let normals = Tensor::from_slice(&rng::normals(seed, Purpose::Weights, number, count as usize)) * 0.02; // [P]
        for (slot, view) in self.slots.iter().zip(&mut self.held) {
            let normal = normals.narrow(0, slot.begin, slot.len()).view(&slot.shape[..]);
            match (slot.shape.len(), slot.name.ends_with("bias")) {
                (4, _) => view.copy_(&normal),
                (_, false) => view.copy_(&(normal + 1.0)),
                (_, true) => {}
            }
        }
    }

    /// The network's answer to `input`; a batch of one number each comes back as [B].
    pub(crate) fn forward(&self, input: &Tensor, mode: Mode) -> Tensor {
        let parameters = if mode == Mode::Train { &self.trained } else { &self.held };
        let none = None::<&Tensor>;
        let mut x = input.shallow_clone();
        for layer in &self.layers {
            x = match *layer {
                Layer::Down { weight, stride, padding } => x.conv2d(&parameters[weight], none, stride, padding, 1, 1),
                Layer::Up { weight, stride, padding } => x.conv_transpose2d(&parameters[weight], none, stride, padding, 0, 1, 1),
                Layer::Norm { gamma, mean } => {
                    let [(_, mean), (_, variance)] = &self.statistics[mean..mean + 2] else { unreachable!("norm() adds both") };
                    let (gamma, beta) = (&parameters[gamma], &parameters[gamma + 1]);
                    x.batch_norm(Some(gamma), Some(beta), Some(mean), Some(variance), mode != Mode::Eval, 0.1, 1e-5, true)
                }
                Layer::Relu => x.relu(),
                // tch has no leaky ReLU with a slope of one's choice; this is the same function, in one kernel.
                Layer::LeakyRelu => x.prelu(&self.slope),
                Layer::Tanh => x.tanh(),
            };
        }
        if x.size()[1..] == [1, 1, 1] { x.view([-1]) } else { x }
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
mod tests {
    use super::*;

    fn noise(batch: u64, shape: &[i64]) -> Tensor {
        rng::noise(1, 0, batch, shape.iter().product::<i64>() as u64, Device::Cpu).view([&[batch as i64], shape].concat().as_slice())
    }

    #[test]
    fn the_networks_of_64_px_are_the_tutorials() {
        let (generator, discriminator) = (Network::generator(100, 64, 64, Device::Cpu), Network::discriminator(64, 64, Device::Cpu));
        assert_eq!(generator.flat.size(), [3_576_704]);
        assert_eq!(discriminator.flat.size(), [2_765_568]);
        let shapes: Vec<String> = generator.slots.iter().map(|slot| format!("{} {:?}", slot.name, slot.shape)).collect();
        assert_eq!(shapes[..3], ["main.0.weight [100, 512, 4, 4]", "main.1.weight [512]", "main.1.bias [512]"]);
        assert_eq!(shapes.last().unwrap(), "main.12.weight [64, 3, 4, 4]");
        let last = discriminator.slots.last().unwrap();
        assert_eq!((last.name.as_str(), &last.shape[..]), ("main.11.weight", &[1, 512, 4, 4][..]));
    }

    #[test]
    fn every_side_has_its_networks() {
        for side in [32, 64, 128, 256] {
            let generator = Network::generator(5, 2, side, Device::Cpu);
            let discriminator = Network::discriminator(2, side, Device::Cpu);
            let pictures = generator.forward(&noise(3, &[5, 1, 1]), Mode::Train);
            assert_eq!(pictures.size(), [3, 3, side as i64, side as i64]);
            assert_eq!(discriminator.forward(&pictures, Mode::Held).size(), [3]);
        }
    }

    #[test]
    fn first_weights_have_the_spread_of_the_paper_and_follow_the_seed() {
        let made = |seed, number| {
            let mut network = Network::discriminator(16, 64, Device::Cpu);
            network.initialise(seed, number);
            network
        };
        let network = made(1, 0);
        for (name, tensor) in network.by_name(&network.flat) {
            let (mean, spread) = (tensor.mean(Kind::Float).double_value(&[]), tensor.std(true).double_value(&[]));
            let expected = if tensor.dim() == 4 {
                (0.0, 0.02)
            } else if name.ends_with("bias") {
                (0.0, 0.0)
            } else {
                (1.0, 0.02)
            };
            assert!((mean - expected.0).abs() < 0.012 && (spread - expected.1).abs() < 0.008, "{name}: mean {mean}, spread {spread}");
        }
        assert_eq!(network.flat, made(1, 0).flat);
        assert!(network.flat != made(2, 0).flat && network.flat != made(1, 1).flat);
    }

    #[test]
    fn the_gradient_lies_where_its_parameter_lies() {
        let mut network = Network::discriminator(4, 32, Device::Cpu);
        network.initialise(3, 0);
        let input = noise(6, &[3, 32, 32]);
        let loss = |network: &Network| network.forward(&input, Mode::Train).square().mean(Kind::Float);
        let gradient = network.gradient(&loss(&network)); // [P]
        // A small step against the gradient lowers the loss by the step times the gradient's squared length.
        let before = loss(&network).double_value(&[]);
        let step = 1e-4;
        let _ = network.flat.subtract_(&(&gradient * step));
        let fallen = before - loss(&network).double_value(&[]);
        let expected = step * gradient.square().sum(Kind::Double).double_value(&[]);
        assert!((fallen / expected - 1.0).abs() < 0.05, "fell by {fallen}, expected {expected}");
    }

    #[test]
    fn held_parameters_get_no_gradient_and_let_it_through() {
        let mut network = Network::discriminator(4, 32, Device::Cpu);
        network.initialise(3, 0);
        let input = noise(6, &[3, 32, 32]).set_requires_grad(true);
        let held = network.forward(&input, Mode::Held);
        let weights = Tensor::run_backward(&[held.sum(Kind::Float)], &network.trained, true, false);
        assert!(weights.iter().all(|gradient| !gradient.defined()));
        let through = &Tensor::run_backward(&[held.sum(Kind::Float)], &[&input], true, false)[0];
        let trained = network.forward(&input, Mode::Train);
        assert_eq!(held, trained);
        assert_eq!(through, &Tensor::run_backward(&[trained.sum(Kind::Float)], &[&input], false, false)[0]);
    }

    #[test]
    fn eval_uses_the_running_statistics() {
        let mut network = Network::generator(5, 4, 32, Device::Cpu);
        network.initialise(3, 0);
        let z = noise(8, &[5, 1, 1]);
        let alone = |at| network.forward(&z.narrow(0, at, 1), Mode::Eval);
        let before = alone(0);
        let together = network.forward(&z, Mode::Eval);
        assert!((together.narrow(0, 0, 1) - &before).abs().max().double_value(&[]) < 1e-5);
        let _ = network.forward(&z, Mode::Train);
        assert_ne!(before, alone(0));
    }
}
