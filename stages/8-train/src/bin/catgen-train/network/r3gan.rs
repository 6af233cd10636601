//! `r3gan-s`: the networks of Huang et al., "The GAN is dead; long live the GAN!", arXiv 2501.05441 (code: brownvc/R3GAN), narrower.
//!
//! Residual blocks without normalisation: 1 × 1 to twice the channels, 3 × 3 in groups of 16, 1 × 1 back. The published networks
//! for 64 px have w = 768 channels up to 32 px and half as many at 64; a quarter of that (w = 192) is the default here, half of
//! it is `width = 384`. With Z = 64 the generators of 64 px have 22,429,824 (full), 6,127,680 (half) and 1,792,032 (quarter)
//! parameters, the discriminators 22,381,440, 6,103,488 and 1,779,936.

use super::layer::{Init, Layer, Op, Plan};

/// Blocks at each side.
const BLOCKS: usize = 2;
/// How many times the channels there are within a block.
const EXPANSION: i64 = 2;
/// Channels of a group in the 3 × 3 convolution.
const GROUP: i64 = 16;
const SLOPE: f64 = 0.2;
/// The first and the last map.
const BASE: i64 = 4;

/// N(0, gain² / fan in), as their `MSRInitializer`.
fn spread(fan_in: i64, gain: f64) -> Init {
    Init::Normal { mean: 0.0, spread: gain / (fan_in as f64).sqrt() }
}

/// Channels at each side from 4 up to `side`: `width` up to 32 px, then half as many for each doubling.
fn widths(width: i64, side: i64) -> Vec<i64> {
    (BASE.ilog2()..=side.ilog2()).map(|log| width >> log.saturating_sub(5)).collect()
}

fn conv(plan: &mut Plan, name: &str, from: i64, to: i64, gain: f64) {
    let weight = plan.slot(format!("{name}.weight"), &[to, from, 1, 1], spread(from, gain));
    plan.push(name, Op::Conv { weight, bias: None, stride: 1, padding: (0, 0), groups: 1 });
}

/// `blocks` is their number in the whole network: the gain falls with it so that the sum of all stays bounded.
fn block(plan: &mut Plan, name: &str, channels: i64, blocks: usize) {
    let gain = (2.0 / (1.0 + SLOPE * SLOPE)).sqrt() * (blocks as f64).powf(-0.25);
    let inner = EXPANSION * channels;
    // Narrow networks for tests may have fewer channels than a group.
    let group = GROUP.min(inner);
    let part = |plan: &mut Plan, part: &str, shape: [i64; 4], init: Init, groups: i64, bias: bool| {
        let name = format!("{name}.{part}");
        let weight = plan.slot(format!("{name}.weight"), &shape, init);
        let bias = bias.then(|| plan.slot(format!("{name}.bias"), &[shape[0]], Init::Constant(0.0)));
        let padding = shape[2] / 2;
        Layer { name, op: Op::Conv { weight, bias, stride: 1, padding: (padding, padding), groups } }
    };
    let relu = |number: usize| Layer { name: format!("{name}.relu{number}"), op: Op::LeakyRelu { slope: SLOPE } };
    let layers = vec![
        part(plan, "conv0", [inner, channels, 1, 1], spread(channels, gain), 1, true),
        relu(0),
        part(plan, "conv1", [inner, group, 3, 3], spread(group * 9, gain), inner / group, true),
        relu(1),
        part(plan, "conv2", [channels, inner, 1, 1], Init::Constant(0.0), 1, false),
    ];
    plan.push(name, Op::Residual(layers));
}

pub(super) fn generator(latent: i64, width: i64, side: i64) -> Plan {
    let (mut plan, widths) = (Plan::default(), widths(width, side));
    let weight = plan.slot("basis.weight".to_owned(), &[widths[0], latent], spread(latent, 1.0));
    plan.push("basis", Op::Dense { weight, bias: None }); // [B, C]
    let maps = plan.slot("basis.maps".to_owned(), &[widths[0], BASE, BASE], Init::Normal { mean: 0.0, spread: 1.0 });
    plan.push("basis.maps", Op::Basis { maps }); // [B, C, 4, 4]
    for (stage, &channels) in widths.iter().enumerate() {
        if stage > 0 {
            if widths[stage - 1] != channels {
                conv(&mut plan, &format!("stage{stage}.narrow"), widths[stage - 1], channels, 1.0);
            }
            plan.push(format!("stage{stage}.enlarge"), Op::Enlarge { channels }); // [B, w, 8, 8] … [B, w/2, 64, 64]
        }
        for number in 0..BLOCKS {
            block(&mut plan, &format!("stage{stage}.block{number}"), channels, BLOCKS * widths.len());
        }
    }
    conv(&mut plan, "rgb", widths[widths.len() - 1], 3, 1.0); // [B, 3, S, S], not bounded
    plan
}

pub(super) fn discriminator(width: i64, side: i64) -> Plan {
    let (mut plan, mut widths) = (Plan::default(), widths(width, side));
    widths.reverse();
    conv(&mut plan, "rgb", 3, widths[0], 1.0); // [B, w/2, 64, 64]
    for (stage, &channels) in widths.iter().enumerate() {
        for number in 0..BLOCKS {
            block(&mut plan, &format!("stage{stage}.block{number}"), channels, BLOCKS * widths.len());
        }
        let Some(&next) = widths.get(stage + 1) else { break };
        plan.push(format!("stage{stage}.reduce"), Op::Reduce { channels }); // [B, w/2, 32, 32] … [B, w, 4, 4]
        if next != channels {
            conv(&mut plan, &format!("stage{stage}.widen"), channels, next, 1.0);
        }
    }
    let channels = widths[widths.len() - 1];
    let weight = plan.slot("basis.maps".to_owned(), &[channels, 1, BASE, BASE], spread(BASE * BASE, 1.0));
    plan.push("basis.maps", Op::Conv { weight, bias: None, stride: 1, padding: (0, 0), groups: channels }); // [B, C, 1, 1]
    plan.push("flat", Op::Flatten); // [B, C]
    let weight = plan.slot("basis.weight".to_owned(), &[1, channels], spread(channels, 1.0));
    plan.push("basis", Op::Dense { weight, bias: None }); // [B, 1]
    plan.push("logits", Op::Logits); // [B]
    plan
}
