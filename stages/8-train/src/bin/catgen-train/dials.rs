//! What changes from step to step: rates, penalty, averaging. Worked out on the host, read by the step on the device.
//!
//! [`Schedule`] is the arithmetic. [`Dials`] holds its result in one tensor, so that a step that was recorded as a CUDA graph finds
//! new values there in every replay.

use std::f64::consts::PI;

use catgen_train::{LossKind, Penalty, Preset, TrainOptions};
use tch::{Device, Kind, Tensor};

/// What a rate has fallen to at the schedule's end: 2e-4 to 5e-5 in R3GAN's configurations.
const LAST_RATE: f64 = 0.25;
/// What the penalty's weight has fallen to: 2 to 0.2 there.
const LAST_PENALTY: f64 = 0.1;
/// What 1 − β₂ has fallen to: 0.1 to 0.01 there.
const LAST_FORGETTING: f64 = 0.1;
/// Without a schedule the average forgets half in this part of all pictures seen, until its own half-life is shorter: stylegan2-ada's `ramp`.
const RAMP: f64 = 0.05;
/// What a rollback leaves of the rates.
const AFTER_ROLLBACK: f64 = 0.5;
/// By how much a rollback makes changes more probable.
const MORE_AUGMENT: f64 = 0.3;

/// The rules of a training.
#[derive(Debug, Clone)]
pub(crate) struct Schedule {
    options: TrainOptions,
    batch: u64,
    /// How often the training went back to an earlier checkpoint.
    pub(crate) rollbacks: u64,
}

/// What holds for one step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Values {
    /// The step's number, counted from 1.
    pub(crate) t: u64,
    pub(crate) learning_rate: f64,
    pub(crate) beta1: f64,
    pub(crate) beta2: f64,
    /// What the penalty counts, where it is computed.
    pub(crate) penalty: f64,
    /// What of the average is replaced by the generator's own weights.
    pub(crate) renewal: f64,
    /// The least probability of each change to the pictures.
    pub(crate) augment: f64,
}

impl Schedule {
    /// The rules for `options`, which are resolved, and for batches of `batch`.
    pub(crate) fn new(options: &TrainOptions, batch: u64) -> Self {
        Self { options: options.clone(), batch, rollbacks: 0 }
    }

    /// What holds for the step after `step` steps.
    pub(crate) fn at(&self, step: u64) -> Values {
        let options = &self.options;
        let seen = (step * self.batch) as f64;
        // 0 at the beginning, 1 at the end, along half a cosine.
        let gone = match options.schedule_images {
            0 => 0.0,
            length => (1.0 - (PI * (seen / length as f64).min(1.0)).cos()) / 2.0,
        };
        let to = |last: f64| 1.0 + (last - 1.0) * gone;
        let half_life = match options.schedule_images {
            0 => (options.ema_images as f64).min(RAMP * seen),
            _ => options.ema_images as f64 * gone,
        };
        Values {
            t: step + 1,
            learning_rate: options.learning_rate * to(LAST_RATE) * AFTER_ROLLBACK.powi(self.rollbacks as i32),
            beta1: options.beta1,
            beta2: 1.0 - (1.0 - options.beta2) * to(LAST_FORGETTING),
            penalty: options.penalty_weight * to(LAST_PENALTY) * options.penalty_every as f64,
            renewal: 1.0 - 0.5f64.powf(self.batch as f64 / half_life.max(1e-8)),
            augment: self.least_augment(),
        }
    }

    /// Whether β₂ moves.
    pub(crate) fn moves_beta2(&self) -> bool {
        self.options.schedule_images != 0
    }

    /// What is beside √v in Adam's denominator: Keras has another default than PyTorch.
    pub(crate) fn epsilon(&self) -> f64 {
        if self.options.preset == Preset::DcganKeras { 1e-7 } else { 1e-8 }
    }

    /// Whether the step after `step` steps computes the penalty.
    pub(crate) fn has_penalty(&self, step: u64) -> bool {
        !matches!(self.options.loss, LossKind::Is(_, Penalty::None)) && step.is_multiple_of(self.options.penalty_every)
    }

    fn least_augment(&self) -> f64 {
        (self.options.augment_strength + MORE_AUGMENT * self.rollbacks as f64).min(1.0)
    }

    /// Whether pictures are changed at all: a training that broke down is continued with changes even where none were asked for.
    pub(crate) fn augments(&self) -> bool {
        use catgen_train::Augment::{Adaptive, Diffaugment};
        matches!(self.options.augment, Adaptive | Diffaugment) && !self.options.augment_with.is_empty() || self.rollbacks > 0
    }
}

/// The values of one step, on the device. All fields are views of one tensor; each is of one number.
#[derive(Debug)]
pub(crate) struct Dials {
    all: Tensor,
    pub(crate) t: Tensor,
    pub(crate) learning_rate: Tensor,
    /// 1 − β₁ and 1 − β₂.
    pub(crate) renewals: [Tensor; 2],
    /// −(1 − β₁ᵗ) / η, that over √(1 − β₂ᵗ), and that times ε: see [`crate::adam`].
    pub(crate) fraction: [Tensor; 2],
    pub(crate) penalty: Tensor,
    pub(crate) renewal: Tensor,
    pub(crate) augment: Tensor,
}

/// Numbers in the tensor.
const COUNT: i64 = 9;

impl Dials {
    pub(crate) fn new(device: Device) -> Self {
        let all = Tensor::zeros([COUNT], (Kind::Float, device));
        let at = |place| all.get(place);
        Self {
            t: at(0),
            learning_rate: at(1),
            renewals: [at(2), at(3)],
            fraction: [at(4), at(5)],
            penalty: at(6),
            renewal: at(7),
            augment: at(8),
            all,
        }
    }

    /// Sets them all, in one copy.
    pub(crate) fn set(&mut self, values: &Values, epsilon: f64) {
        let Values { t, learning_rate, beta1, beta2, penalty, renewal, augment } = *values;
        let per_step = -(1.0 - beta1.powf(t as f64)) / learning_rate;
        let root = per_step / (1.0 - beta2.powf(t as f64)).sqrt();
        let numbers: [f64; COUNT as usize] =
            [t as f64, learning_rate, 1.0 - beta1, 1.0 - beta2, root, per_step * epsilon, penalty, renewal, augment];
        self.all.copy_(&Tensor::from_slice(&numbers.map(|number| number as f32)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use catgen_train::Augment;

    fn check(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-12 * expected.abs().max(1.0), "{found}, expected {expected}");
    }

    #[test]
    fn a_schedule_goes_from_its_first_to_its_last_values() {
        let options = TrainOptions { preset: Preset::R3ganS, batch: 100, ..TrainOptions::default() }.resolved();
        let schedule = Schedule::new(&options, 100);
        let (first, middle, last, after) = (schedule.at(0), schedule.at(10_000), schedule.at(20_000), schedule.at(99_999));
        for (values, rate, forgetting, penalty) in [(first, 2e-4, 0.1, 2.0), (middle, 1.25e-4, 0.055, 1.1), (last, 5e-5, 0.01, 0.2)] {
            check(values.learning_rate, rate);
            check(1.0 - values.beta2, forgetting);
            check(values.penalty, penalty);
        }
        assert_eq!(after, Values { t: 100_000, ..last });
        // Half of the average is forgotten within the half-life: 50,000 pictures are 500 steps.
        check((1.0 - last.renewal).powi(500), 0.5);
        check(first.renewal, 1.0);
        assert!(schedule.moves_beta2() && schedule.has_penalty(3));
    }

    #[test]
    fn without_a_schedule_only_the_average_begins_slowly() {
        let options = TrainOptions::default().resolved();
        let schedule = Schedule::new(&options, 50);
        let (first, early, late) = (schedule.at(0), schedule.at(2000), schedule.at(1_000_000));
        assert_eq!((first.learning_rate, first.beta2), (late.learning_rate, late.beta2));
        check(first.renewal, 1.0);
        check((1.0 - early.renewal).powi(100), 0.5); // 5 % of 100,000 pictures
        check((1.0 - late.renewal).powi(200), 0.5);
        assert!(!schedule.moves_beta2() && !schedule.has_penalty(0) && !schedule.augments());
    }

    #[test]
    fn a_lazy_penalty_counts_for_the_steps_it_was_left_out() {
        let text = r#"{"loss": "bce-gp", "penalty_every": 4}"#;
        let schedule = Schedule::new(&TrainOptions::from_json(text).unwrap().resolved(), 50);
        let with: Vec<u64> = (0..9).filter(|step| schedule.has_penalty(*step)).collect();
        assert_eq!(with, [0, 4, 8]);
        check(schedule.at(4).penalty, 40.0);
    }

    #[test]
    fn a_rollback_halves_the_rate_and_augments_more() {
        let mut schedule = Schedule::new(&TrainOptions::default().resolved(), 50);
        schedule.rollbacks = 2;
        check(schedule.at(7).learning_rate, 5e-5);
        check(schedule.at(7).augment, 0.6);
        assert!(schedule.augments());
        let mut full = Schedule::new(&TrainOptions { augment: Augment::Diffaugment, ..TrainOptions::default() }.resolved(), 50);
        full.rollbacks = 1;
        check(full.at(7).augment, 1.0);
    }
}
