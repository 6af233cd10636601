//! The kinds of layers, and the table that a preset writes of them.

use tch::{Device, Kind, Tensor};

use super::Mode;
use crate::shim;

/// Whether convolution weights lie in memory with their channels last, as activations then do: measured 6 % faster on a CPU.
const CHANNELS_LAST: bool = true;

/// One layer.
#[derive(Debug, Clone)]
pub(crate) struct Layer {
    /// The first part of its parameters' names: `main.0`.
    pub(crate) name: String,
    pub(crate) op: Op,
}

/// What a layer computes. Numbers called `weight`, `bias`, `gamma`, `mean` are places in the network's lists.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    /// [B, n] → [B, n, 1, 1]
    ToMap,
    /// [B, side · side · n] → [B, n, side, side]; the channels of a pixel lie side by side.
    Unflatten { channels: i64, side: i64 },
    /// [B, n, h, w] → [B, h · w · n]; the channels of a pixel lie side by side.
    Flatten,
    /// [B, 1, 1, 1] or [B, 1] → [B]
    Logits,
    /// x Wᵀ + b
    Dense { weight: usize, bias: Option<usize> },
    /// Convolution; `padding` zeros before and after rows and columns alike.
    Conv { weight: usize, bias: Option<usize>, stride: i64, padding: (i64, i64), groups: i64 },
    /// Transposed convolution without bias; `crop` rows and columns are cut off at the end.
    ConvTransposed { weight: usize, stride: i64, padding: i64, crop: i64 },
    /// Batch norm; γ and β follow one another among the parameters, mean and variance among the statistics.
    Norm { gamma: usize, mean: usize, momentum: f64, epsilon: f64 },
    /// max(0, x)
    Relu,
    /// max(0, x) + slope · min(0, x)
    LeakyRelu { slope: f64 },
    /// tanh x
    Tanh,
    /// Each number is 0 with probability `rate`, else divided by 1 − `rate`.
    Dropout { rate: f64 },
    /// [B, n] → [B, n, 4, 4]: n learned maps, each times its number.
    Basis { maps: usize },
    /// Doubles both sides: zeros between, then the filter [1, 3, 3, 1] / 4 along rows and columns.
    Enlarge { channels: i64 },
    /// Halves both sides: the filter [1, 3, 3, 1] / 8 along rows and columns, then every second.
    Reduce { channels: i64 },
    /// x + what the layers make of x.
    Residual(Vec<Layer>),
}

/// What a parameter is before the first step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Init {
    /// N(mean, spread²)
    Normal { mean: f64, spread: f64 },
    /// Uniform in −limit..limit.
    Uniform { limit: f64 },
    /// That number.
    Constant(f64),
}

/// Where one parameter lies in the buffer.
#[derive(Debug, Clone)]
pub(super) struct Slot {
    pub(super) name: String,
    pub(super) shape: Vec<i64>,
    pub(super) begin: i64,
    pub(super) init: Init,
    /// Stays at 32 bits whatever convolutions compute with.
    pub(super) exact: bool,
}

impl Slot {
    pub(super) fn len(&self) -> i64 {
        self.shape.iter().product()
    }

    /// The parameter as a view of `flat` ([P]), in its shape.
    pub(super) fn view(&self, flat: &Tensor) -> Tensor {
        let part = flat.narrow(0, self.begin, self.len());
        match self.shape[..] {
            [a, b, h, w] if CHANNELS_LAST => part.view([a, h, w, b]).permute([0, 3, 1, 2]),
            _ => part.view(&self.shape[..]),
        }
    }
}

/// Collects layers before the buffer's size is known.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) layers: Vec<Layer>,
    pub(super) slots: Vec<Slot>,
    /// Names and channels of the running statistics.
    pub(super) statistics: Vec<(String, i64)>,
}

impl Plan {
    /// Room for the parameter `name`; answers its place.
    pub(super) fn slot(&mut self, name: String, shape: &[i64], init: Init) -> usize {
        let begin = self.slots.last().map_or(0, |slot| slot.begin + slot.len());
        self.slots.push(Slot { name, shape: shape.to_vec(), begin, init, exact: false });
        self.slots.len() - 1
    }

    pub(super) fn push(&mut self, name: impl Into<String>, op: Op) {
        self.layers.push(Layer { name: name.into(), op });
    }

    /// γ, β and the running statistics of a batch norm.
    pub(super) fn norm(&mut self, name: &str, channels: i64, gamma: Init, momentum: f64, epsilon: f64) -> Op {
        let gamma = self.slot(format!("{name}.weight"), &[channels], gamma);
        let beta = self.slot(format!("{name}.bias"), &[channels], Init::Constant(0.0));
        for slot in &mut self.slots[gamma..=beta] {
            slot.exact = true;
        }
        let mean = self.statistics.len();
        for statistic in ["running_mean", "running_var"] {
            self.statistics.push((format!("{name}.{statistic}"), channels));
        }
        Op::Norm { gamma, mean, momentum, epsilon }
    }
}

impl Op {
    /// The layer's answer to `x`.
    pub(super) fn apply(&self, x: &Tensor, parameters: &[Tensor], statistics: &[(String, Tensor)], mode: Mode) -> Tensor {
        let batch = || x.size()[0];
        let optional = |at: &Option<usize>| at.map(|at| &parameters[at]);
        match self {
            // No batch size in what follows: a traced program would keep it.
            Self::ToMap => x.unsqueeze(-1).unsqueeze(-1),
            Self::Unflatten { channels, side } => x.view([-1, *side, *side, *channels]).permute([0, 3, 1, 2]),
            Self::Flatten => x.permute([0, 2, 3, 1]).reshape([batch(), -1]),
            Self::Logits => x.view([-1]),
            Self::Dense { weight, bias } => x.linear(&parameters[*weight], optional(bias)),
            Self::Conv { weight, bias, stride, padding: (before, after), groups } => {
                let kernel = &parameters[*weight];
                if mode != Mode::Eval && bias.is_none() && *groups == 1 {
                    if covers(x, kernel, before + after) {
                        // One place: the kernel's numbers times all of x. [B, 4 · 4 · n] × [4 · 4 · n, m]
                        let made = as_rows(x).matmul(&as_rows(kernel).tr());
                        return made.view([batch(), -1, 1, 1]);
                    }
                    if let Some(products) = Products::of(x, kernel, *stride, *before, 8) {
                        return shim::conv(x, kernel, false, products.whole, products.kernel);
                    }
                }
                let (padded, padding) =
                    if before == after { (x.shallow_clone(), *before) } else { (x.constant_pad_nd([*before, *after, *before, *after]), 0) };
                padded.conv2d(kernel, optional(bias), *stride, padding, 1, *groups)
            }
            Self::ConvTransposed { weight, stride, padding, crop } => {
                let kernel = &parameters[*weight];
                if mode != Mode::Eval && *crop == 0 {
                    if x.size()[2..] == [1, 1] && *padding == 0 {
                        // One number a map: a sum of kernels. [B, n] × [n, 4 · 4 · m]
                        let [_, channels, height, width] = kernel.size()[..] else { unreachable!("kernels have four dimensions") };
                        let made = x.view([batch(), -1]).matmul(&as_rows(kernel));
                        return made.view([batch(), height, width, channels]).permute([0, 3, 1, 2]);
                    }
                    if let Some(products) = Products::of(x, kernel, *stride, *padding, 4) {
                        return shim::conv(x, kernel, true, products.whole, products.kernel);
                    }
                }
                let made = x.conv_transpose2d(kernel, None::<&Tensor>, *stride, *padding, 0, 1, 1);
                if *crop == 0 {
                    return made;
                }
                let [_, _, height, width] = made.size()[..] else { unreachable!("a convolution makes maps") };
                made.narrow(2, 0, height - crop).narrow(3, 0, width - crop)
            }
            Self::Norm { gamma, mean, momentum, epsilon } => {
                let (gamma, beta) = (&parameters[*gamma], &parameters[gamma + 1]);
                let (mean, variance) = (&statistics[*mean].1, &statistics[mean + 1].1);
                x.batch_norm(Some(gamma), Some(beta), Some(mean), Some(variance), mode != Mode::Eval, *momentum, *epsilon, true)
            }
            Self::Relu => x.relu(),
            Self::LeakyRelu { slope } => shim::leaky_relu(x, *slope),
            Self::Tanh => x.tanh(),
            Self::Dropout { rate } => x.dropout(*rate, mode != Mode::Eval),
            Self::Basis { maps } => x.unsqueeze(-1).unsqueeze(-1) * &parameters[*maps],
            Self::Enlarge { channels } => x.conv_transpose2d(&smoothing(*channels, 0.25, x), None::<&Tensor>, 2, 1, 0, *channels, 1),
            Self::Reduce { channels } => x.conv2d(&smoothing(*channels, 0.125, x), None::<&Tensor>, 2, 1, 1, *channels),
            Self::Residual(layers) => {
                layers.iter().fold(x.shallow_clone(), |x, layer| layer.op.apply(&x, parameters, statistics, mode)) + x
            }
        }
    }
}

/// [A, n, h, w] with channels last in memory, as [A, h · w · n].
fn as_rows(maps: &Tensor) -> Tensor {
    maps.permute([0, 2, 3, 1]).reshape([maps.size()[0], -1])
}

/// Whether a convolution has but one place.
fn covers(x: &Tensor, kernel: &Tensor, padding: i64) -> bool {
    padding == 0 && x.size()[2..] == kernel.size()[2..]
}

/// Which parts of a convolution of 4 × 4 with stride 2 are faster as products of matrices, on a CPU.
struct Products {
    /// The answer and the gradient of x.
    whole: bool,
    /// The gradient of the kernel.
    kernel: bool,
}

impl Products {
    /// By the side of the map that the patches are taken from: `smallest` is the side of x there which oneDNN is slow at.
    ///
    /// Measured with one thread on a Sapphire Rapids at batch 64, oneDNN against products in ms: 256 → 512 channels at 8 px in bfloat16
    /// answer 12 : 8, gradient of x 22 : 7, of the kernel 49 : 8; in 32 bits 46 : 29, 52 : 30, 51 : 30. At 16 px only the gradient
    /// of the kernel in bfloat16 gains, 18 : 8; at 32 px nothing does.
    fn of(x: &Tensor, kernel: &Tensor, stride: i64, padding: i64, smallest: i64) -> Option<Self> {
        let [from, to, height, width] = kernel.size()[..] else { return None };
        let fits = x.device() == Device::Cpu && (height, width, stride, padding) == (4, 4, 2, 1) && from.min(to) >= 16;
        let [_, _, rows, columns] = x.size()[..] else { return None };
        let side = rows.max(columns);
        let whole = side <= smallest;
        let kernel = whole || (side <= 2 * smallest && kernel.kind() == Kind::BFloat16);
        (fits && kernel).then_some(Self { whole, kernel })
    }
}

/// [1, 3, 3, 1] · `scale` along rows and columns, once for each channel: [C, 1, 4, 4]. Made where it is used: nothing may be copied to a
/// GPU while its graph is recorded.
pub(crate) fn smoothing(channels: i64, scale: f64, like: &Tensor) -> Tensor {
    let places = Tensor::arange(4, (Kind::Float, like.device()));
    let line = ((places * 2.0 - 3.0).abs() - 4.0) * -scale; // [4]
    line.outer(&line).view([1, 1, 4, 4]).repeat([channels, 1, 1, 1]).to_kind(like.kind())
}
