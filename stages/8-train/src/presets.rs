//! What each preset was published with, and puts in where an option is left to it.
//!
//! | | `dcgan` | `dcgan-keras` | `r3gan-s` |
//! |---|---|---|---|
//! | source | PyTorch's tutorial | github.com/ronang101/Cat-GAN | arXiv 2501.05441 |
//! | loss | `bce` | `bce` | `rsgan-r1r2` |
//! | batch | 64 | 32 | 64 |
//! | learning rate | 2e-4 | 1.5e-4 | 2e-4, falling to a quarter |
//! | β₁, β₂ | 0.5, 0.999 | 0.9, 0.999 | 0, 0.9 rising to 0.99 |
//! | latent, width | 100, 64 | 100, 64 | 64, 192 |
//! | mirrored, augmented | no, no | no, no | yes, DiffAugment |
//! | schedule | none | none | cosine over 2,000,000 pictures |
//! | average forgets half in | 10,000 pictures | 10,000 | 50,000, rising from 0 |

use crate::options::{Augment, Flip, Game, LossKind, OptionsError, Penalty, Preset, TrainOptions};

/// What one preset puts in.
struct Own {
    loss: (Game, Penalty),
    batch: u64,
    learning_rate: f64,
    beta1: f64,
    beta2: f64,
    latent: u64,
    width: u64,
    flip: Flip,
    augment: Augment,
    schedule_images: i64,
    ema_images: i64,
}

const fn own(preset: Preset) -> Own {
    let tutorial = Own {
        loss: (Game::Bce, Penalty::None),
        batch: 64,
        learning_rate: 2e-4,
        beta1: 0.5,
        beta2: 0.999,
        latent: 100,
        width: 64,
        flip: Flip::Off,
        augment: Augment::None,
        schedule_images: 0,
        // Of stylegan2-ada's `auto` configuration at batch 32.
        ema_images: 10_000,
    };
    match preset {
        Preset::Dcgan => tutorial,
        Preset::DcganKeras => Own { batch: 32, learning_rate: 1.5e-4, beta1: 0.9, ..tutorial },
        // Schedules a tenth as long as published for 70,000 faces; the average keeps its share of them (500,000 of 20,000,000).
        Preset::R3ganS => Own {
            loss: (Game::Rsgan, Penalty::R1r2),
            beta1: 0.0,
            beta2: 0.9,
            latent: 64,
            width: 192,
            flip: Flip::On,
            augment: Augment::Diffaugment,
            schedule_images: 2_000_000,
            ema_images: 50_000,
            ..tutorial
        },
    }
}

/// See [`TrainOptions::resolved`].
pub(crate) fn resolve(options: &TrainOptions) -> TrainOptions {
    let own = own(options.preset);
    let mut resolved = options.clone();
    let put = |value: &mut f64, unset: bool, own: f64| {
        if unset {
            *value = own;
        }
    };
    if resolved.loss == LossKind::Preset {
        resolved.loss = LossKind::Is(own.loss.0, own.loss.1);
    }
    let weight = match resolved.loss {
        LossKind::Is(_, Penalty::Gp) => 10.0,
        LossKind::Is(_, Penalty::R1r2) => 2.0,
        _ => 0.0,
    };
    put(&mut resolved.penalty_weight, options.penalty_weight < 0.0, weight);
    put(&mut resolved.learning_rate, options.learning_rate == 0.0, own.learning_rate);
    put(&mut resolved.beta1, options.beta1 < 0.0, own.beta1);
    put(&mut resolved.beta2, options.beta2 < 0.0, own.beta2);
    for (value, own) in [(&mut resolved.batch, own.batch), (&mut resolved.latent, own.latent), (&mut resolved.width, own.width)] {
        if *value == 0 {
            *value = own;
        }
    }
    for (value, own) in [(&mut resolved.schedule_images, own.schedule_images), (&mut resolved.ema_images, own.ema_images)] {
        if *value < 0 {
            *value = own;
        }
    }
    if resolved.flip == Flip::Preset {
        resolved.flip = own.flip;
    }
    if resolved.augment == Augment::Preset {
        resolved.augment = own.augment;
    }
    let strength = if resolved.augment == Augment::Diffaugment { 1.0 } else { 0.0 };
    put(&mut resolved.augment_strength, options.augment_strength < 0.0, strength);
    resolved
}

/// Refuses what a preset cannot be built with.
pub(crate) fn check(resolved: &TrainOptions) -> Result<(), OptionsError> {
    if resolved.batch < 2 {
        return Err(OptionsError("batch: 1 is too few: a step compares pictures with one another; take 2 or more".to_owned()));
    }
    if resolved.preset == Preset::R3ganS && !resolved.width.is_multiple_of(16) {
        return Err(OptionsError(format!(
            "width: {} does not fit r3gan-s, whose convolutions work on groups of 16; take a multiple of 16",
            resolved.width
        )));
    }
    if resolved.augment == Augment::Adaptive && resolved.augment_with.is_empty() {
        return Err(OptionsError("augment_with: the list is empty, and augment is to change something".to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preset_puts_in_its_own_values_and_no_others() {
        let of = |preset| TrainOptions { preset, ..TrainOptions::default() }.resolved();
        let dcgan = of(Preset::Dcgan);
        assert_eq!((dcgan.batch, dcgan.latent, dcgan.width), (64, 100, 64));
        assert_eq!((dcgan.learning_rate, dcgan.beta1, dcgan.beta2), (2e-4, 0.5, 0.999));
        assert_eq!((dcgan.loss, dcgan.augment, dcgan.flip), (LossKind::Is(Game::Bce, Penalty::None), Augment::None, Flip::Off));
        assert_eq!((of(Preset::DcganKeras).batch, of(Preset::DcganKeras).beta1), (32, 0.9));
        let modern = of(Preset::R3ganS);
        assert_eq!((modern.loss, modern.penalty_weight), (LossKind::Is(Game::Rsgan, Penalty::R1r2), 2.0));
        assert_eq!((modern.augment, modern.augment_strength, modern.flip), (Augment::Diffaugment, 1.0, Flip::On));
        assert_eq!(modern.resolved(), modern);
        let told = TrainOptions { batch: 8, beta1: 0.0, ema_images: 0, augment_strength: 0.25, flip: Flip::On, ..TrainOptions::default() };
        let resolved = told.resolved();
        assert_eq!((resolved.batch, resolved.beta1, resolved.ema_images), (8, 0.0, 0));
        assert_eq!((resolved.augment_strength, resolved.flip), (0.25, Flip::On));
    }

    #[test]
    fn what_no_preset_can_be_built_with_is_refused() {
        for (text, said) in [
            (r#"{"batch": 1}"#, "batch: 1 is too few"),
            (r#"{"preset": "r3gan-s", "width": 100}"#, "multiple of 16"),
            (r#"{"augment": "adaptive", "augment_with": []}"#, "the list is empty"),
        ] {
            assert!(TrainOptions::from_json(text).unwrap_err().to_string().contains(said), "{text}");
        }
    }
}
