//! `dcgan`: Radford et al., arXiv 1511.06434, with the widths and first weights of PyTorch's tutorial
//! (pytorch/examples, `dcgan/main.py`), a layer more or less for every doubling of the side. Parameters carry the names
//! they have there (`main.0.weight`).
//!
//! At 64 px with Z = 100 and w = 64 the generator has 3,576,704 parameters, the discriminator 2,765,568.

use super::layer::{Init, Op, Plan};

/// Every convolution's kernel is 4 × 4.
const KERNEL: i64 = 4;
/// What a leaky ReLU lets through of negative numbers.
const SLOPE: f64 = 0.2;
const WEIGHT: Init = Init::Normal { mean: 0.0, spread: 0.02 };
const GAMMA: Init = Init::Normal { mean: 1.0, spread: 0.02 };
/// Of batch norm, as PyTorch's defaults.
const MOMENTUM: f64 = 0.1;
const EPSILON: f64 = 1e-5;

/// The layers so far, numbered as in the tutorial's `nn.Sequential` called `main`.
#[derive(Default)]
struct Main {
    plan: Plan,
    next: usize,
}

impl Main {
    fn name(&mut self) -> String {
        self.next += 1;
        format!("main.{}", self.next - 1)
    }

    fn push(&mut self, op: Op) {
        let name = self.name();
        self.plan.push(name, op);
    }

    fn up(&mut self, from: i64, to: i64, stride: i64, padding: i64) {
        let name = self.name();
        let weight = self.plan.slot(format!("{name}.weight"), &[from, to, KERNEL, KERNEL], WEIGHT);
        self.plan.push(name, Op::ConvTransposed { weight, stride, padding, crop: 0 });
    }

    fn down(&mut self, from: i64, to: i64, stride: i64, padding: i64) {
        let name = self.name();
        let weight = self.plan.slot(format!("{name}.weight"), &[to, from, KERNEL, KERNEL], WEIGHT);
        self.plan.push(name, Op::Conv { weight, bias: None, stride, padding: (padding, padding), groups: 1 });
    }

    fn norm(&mut self, channels: i64) {
        let name = self.name();
        let op = self.plan.norm(&name, channels, GAMMA, MOMENTUM, EPSILON);
        self.plan.push(name, op);
    }
}

/// How often a map of 4 × 4 is doubled to reach `side`.
fn doublings(side: i64) -> u32 {
    (side / 4).ilog2()
}

pub(super) fn generator(latent: i64, width: i64, side: i64) -> Plan {
    let mut main = Main::default();
    main.plan.push("latent", Op::ToMap); // [B, Z, 1, 1]
    let mut channels = width << (doublings(side) - 1);
    main.up(latent, channels, 1, 0); // [B, 8w, 4, 4] at 64 px
    main.norm(channels);
    main.push(Op::Relu);
    while channels > width {
        main.up(channels, channels / 2, 2, 1); // [B, 4w, 8, 8] … [B, w, 32, 32]
        main.norm(channels / 2);
        main.push(Op::Relu);
        channels /= 2;
    }
    main.up(width, 3, 2, 1); // [B, 3, 64, 64]
    main.push(Op::Tanh);
    main.plan
}

pub(super) fn discriminator(width: i64, side: i64) -> Plan {
    let (mut main, mut channels) = (Main::default(), width);
    main.down(3, channels, 2, 1); // [B, w, 32, 32] at 64 px
    main.push(Op::LeakyRelu { slope: SLOPE });
    for _ in 1..doublings(side) {
        main.down(channels, channels * 2, 2, 1); // [B, 2w, 16, 16] … [B, 8w, 4, 4]
        channels *= 2;
        main.norm(channels);
        main.push(Op::LeakyRelu { slope: SLOPE });
    }
    main.down(channels, 1, 1, 0); // [B, 1, 1, 1]
    main.plan.push("logits", Op::Logits); // [B]
    main.plan
}
