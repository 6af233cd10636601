//! `dcgan-keras`: the networks of the second project this one took its idea from (github.com/ronang101/Cat-GAN), as Keras has them:
//! kernels of 5 × 5 with "same" padding, which at stride 2 puts one zero before and two after; batch norm with ε 1e-3 and a
//! momentum of 0.99 (libtorch calls that 0.01); Glorot's uniform first weights; maps flattened with their channels last.
//!
//! At 64 px with Z = 100 and w = 64 the generator has 8,058,688 parameters, the discriminator 4,749,057. Its code ends in
//! logits, although its README speaks of a sigmoid; so does this. Other sides begin from maps of `side / 8`.

use super::layer::{Init, Op, Plan};

const KERNEL: i64 = 5;
const SLOPE: f64 = 0.3;
const DROPOUT: f64 = 0.3;
const MOMENTUM: f64 = 0.01;
const EPSILON: f64 = 1e-3;
/// How often a side is halved on the way from picture to vector.
const HALVINGS: u32 = 3;

/// Glorot and Bengio 2010: uniform within √(6 / (fan in + fan out)).
fn glorot(from: i64, to: i64, kernel: i64) -> Init {
    Init::Uniform { limit: (6.0 / ((from + to) * kernel * kernel) as f64).sqrt() }
}

fn norm(plan: &mut Plan, number: usize, channels: i64) {
    let name = format!("norm{number}");
    let op = plan.norm(&name, channels, Init::Constant(1.0), MOMENTUM, EPSILON);
    plan.push(name, op);
}

pub(super) fn generator(latent: i64, width: i64, side: i64) -> Plan {
    let mut plan = Plan::default();
    let (side, mut channels) = (side >> HALVINGS, 8 * width);
    let features = channels * side * side;
    let weight = plan.slot("dense.weight".to_owned(), &[features, latent], glorot(latent, features, 1));
    plan.push("dense", Op::Dense { weight, bias: None }); // [B, 8 · 8 · 8w] at 64 px
    norm(&mut plan, 0, features);
    plan.push("relu0", Op::LeakyRelu { slope: SLOPE });
    plan.push("maps", Op::Unflatten { channels, side }); // [B, 8w, 8, 8]
    for (number, to, stride) in [(1, 4 * width, 2), (2, 2 * width, 2), (3, 2 * width, 1), (4, width, 2), (5, 3, 1)] {
        let name = format!("up{number}");
        let weight = plan.slot(format!("{name}.weight"), &[channels, to, KERNEL, KERNEL], glorot(channels, to, KERNEL));
        // Keras keeps the first `stride · side` rows of those that padding 1 leaves: one more than that at stride 2.
        let (padding, crop) = if stride == 2 { (1, 1) } else { (2, 0) };
        plan.push(name, Op::ConvTransposed { weight, stride, padding, crop });
        channels = to;
        match number {
            5 => plan.push("tanh", Op::Tanh), // [B, 3, 64, 64]
            4 => {
                norm(&mut plan, number, channels);
                plan.push("relu4", Op::Relu); // [B, w, 64, 64]
            }
            _ => {
                norm(&mut plan, number, channels);
                plan.push(format!("relu{number}"), Op::LeakyRelu { slope: SLOPE }); // [B, 4w, 16, 16] … [B, 2w, 32, 32]
            }
        }
    }
    plan
}

pub(super) fn discriminator(width: i64, side: i64) -> Plan {
    let (mut plan, mut channels) = (Plan::default(), 3);
    for (number, to, stride) in [(1, width, 1), (2, 2 * width, 2), (3, 2 * width, 1), (4, 4 * width, 2), (5, 8 * width, 2)] {
        let name = format!("down{number}");
        let weight = plan.slot(format!("{name}.weight"), &[to, channels, KERNEL, KERNEL], glorot(channels, to, KERNEL));
        let bias = Some(plan.slot(format!("{name}.bias"), &[to], Init::Constant(0.0)));
        let padding = if stride == 2 { (1, 2) } else { (2, 2) };
        plan.push(name, Op::Conv { weight, bias, stride, padding, groups: 1 });
        plan.push(format!("relu{number}"), Op::LeakyRelu { slope: SLOPE });
        plan.push(format!("dropout{number}"), Op::Dropout { rate: DROPOUT }); // [B, w, 64, 64] … [B, 8w, 8, 8]
        channels = to;
    }
    plan.push("flat", Op::Flatten);
    let features = channels * (side >> HALVINGS).pow(2);
    let weight = plan.slot("dense.weight".to_owned(), &[1, features], glorot(features, 1, 1));
    let bias = Some(plan.slot("dense.bias".to_owned(), &[1], Init::Constant(0.0)));
    plan.push("dense", Op::Dense { weight, bias }); // [B, 1]
    plan.push("logits", Op::Logits); // [B]
    plan
}
