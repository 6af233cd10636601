//! Alarms: when a training goes wrong, in one sentence, long before somebody looks at the pictures.
//!
//! [`look`] is a function of what was observed so far. It decides nothing but whether to call: what is done about it (going back to
//! the best checkpoint with half the learning rate, or stopping) is the trainer's business.
//!
//! | alarm | when | seen in |
//! |---|---|---|
//! | [`Kind::NotFinite`] | a loss or a weight is no number | lightweight-gan #92, which then loads the same checkpoint for ever |
//! | [`Kind::Collapse`] | the pictures become alike: spread below 0.4 of the photos', or nothing found of what was found before | stylegan2-ada-pytorch #159, noticed after days |
//! | [`Kind::DiscriminatorWins`] | real and generated pictures are told apart without a doubt | pytorch/examples #822, with the defaults |
//! | [`Kind::Overfit`] | the discriminator takes held-out photos for generated ones: the share r_v of Karras et al. 2020, arXiv 2006.06676, eq. 1 | any training on few photos |
//!
//! A bad value is no alarm; [`WINDOW`] in a row, over at least [`IMAGES`] pictures, are. Every training begins with pictures that are
//! all alike, so that collapse is looked for only once there was variety, or after [`WARM_UP`] pictures.

use serde::{Deserialize, Serialize};

/// Observations in a row that must be bad.
pub const WINDOW: usize = 3;

/// Pictures that must have been looked at between the first and the last of these: steps on tiny datasets are quickly done.
pub const IMAGES: u64 = 2_000;

/// Pictures after which a generator that never drew varied pictures has had its time.
pub const WARM_UP: u64 = 50_000;

/// Pictures are alike below this share of the photos' spread or of their nearest neighbours' distance …
const SPREAD: f64 = 0.4;
const NEAREST: f64 = 0.15;

/// … and were varied above these. A small DCGAN on 1,000 faces comes to 0.64 and 0.56 within 18,000 pictures.
const VARIED: [f64; 2] = [0.55, 0.4];

/// Recall at which some of the photos were found, and at which nothing is.
const FOUND: f64 = 0.2;
const LOST: f64 = 0.02;

/// The discriminator is sure: mean σ(D) of real pictures above, of generated pictures below.
const SURE: f64 = 0.98;

/// The overfit gap that is too wide; 0 is none, at 1 held-out photos look generated. Adaptive augmentation aims below 0.5.
const GAP: f64 = 0.7;

/// What was observed of a training at one moment. What was not measured is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Observation {
    /// Pictures looked at so far.
    pub images_seen: u64,
    /// The discriminator's and the generator's mean loss since the observation before.
    pub losses: [f64; 2],
    /// Mean σ(D) of real and of generated pictures since the observation before.
    pub belief: [f64; 2],
    /// The discriminator's mean logits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logits: Option<Logits>,
    /// Spread of the generated pictures over that of the photos.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spread: Option<f64>,
    /// Distance to the nearest other picture, generated over photos.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nearest: Option<f64>,
    /// Share of the photos that generated pictures look like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recall: Option<f64>,
}

/// Mean logits of the discriminator in its mode for use, of pictures that it was not just trained on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Logits {
    /// On training photos.
    pub training: f64,
    /// On held-out photos.
    pub held_out: f64,
    /// On generated pictures.
    pub generated: f64,
}

impl Logits {
    /// The overfit gap r_v = (D(training) − D(held out)) / (D(training) − D(generated)): 0 where training photos are nothing
    /// special, 1 where held-out photos look generated. None while training photos and generated pictures are not told apart.
    pub fn gap(&self) -> Option<f64> {
        let apart = self.training - self.generated;
        // A logit is sure of little within a tenth of 0.
        (apart > 0.1).then(|| (self.training - self.held_out) / apart)
    }
}

/// What went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Something is no number.
    NotFinite,
    /// All pictures are alike, or nothing is found of what was found before.
    Collapse,
    /// The discriminator is always right.
    DiscriminatorWins,
    /// The discriminator knows its photos by heart.
    Overfit,
    /// A word that this version does not know.
    #[serde(other)]
    Unknown,
}

impl Kind {
    /// Whether going on is of no use, so that a training had better go back to where all was well. A discriminator that knows its
    /// photos by heart still teaches, and on few photos any does in the end: that is said, and the best checkpoint is kept.
    pub fn takes_back(self) -> bool {
        matches!(self, Self::NotFinite | Self::Collapse | Self::DiscriminatorWins)
    }
}

/// A training that goes wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alarm {
    /// What went wrong.
    pub kind: Kind,
    /// What was seen, for people.
    pub sentence: String,
    /// What helps.
    pub advice: String,
}

/// The alarm that the observations so far, oldest first, give cause for.
pub fn look(observed: &[Observation]) -> Option<Alarm> {
    let last = observed.last()?;
    let alarm = |kind, sentence: String, advice: &str| Some(Alarm { kind, sentence, advice: advice.to_owned() });
    let numbers = last.losses.iter().chain(&last.belief).chain(last.spread.iter());
    if numbers.into_iter().any(|number| !number.is_finite()) {
        return alarm(
            Kind::NotFinite,
            format!("a loss is no longer a number after {} pictures", last.images_seen),
            "a smaller learning_rate or a larger batch",
        );
    }
    let window = &observed[observed.len().checked_sub(WINDOW)?..];
    if last.images_seen - window[0].images_seen < IMAGES {
        return None;
    }
    let all = |bad: &dyn Fn(&Observation) -> bool| window.iter().all(bad);
    let before = |value: fn(&Observation) -> Option<f64>| observed.iter().filter_map(value).fold(0.0, f64::max);

    let below = |value: Option<f64>, bound: f64| value.is_some_and(|value| value < bound);
    let was_varied = before(|o| o.spread) >= VARIED[0] && before(|o| o.nearest) >= VARIED[1];
    if was_varied || last.images_seen >= WARM_UP {
        const HELP: &str = "go back to the best checkpoint; a smaller learning_rate, stronger augmentation, or loss = \"ralsgan\"";
        if all(&|o| below(o.spread, SPREAD)) {
            let share = 100.0 * last.spread.unwrap_or_default();
            return alarm(Kind::Collapse, format!("the pictures become alike: they spread over {share:.0} % of what the photos do"), HELP);
        }
        if all(&|o| below(o.nearest, NEAREST)) {
            let share = 100.0 * last.nearest.unwrap_or_default();
            let sentence = format!("the same few pictures come again and again: neighbours are at {share:.0} % of the photos' distance");
            return alarm(Kind::Collapse, sentence, HELP);
        }
        if before(|o| o.recall) >= FOUND && all(&|o| below(o.recall, LOST)) {
            let (recall, best) = (last.recall.unwrap_or_default(), before(|o| o.recall));
            return alarm(
                Kind::Collapse,
                format!("the pictures look like no photo any more: recall {recall:.2}, and it was {best:.2}"),
                HELP,
            );
        }
    }
    if all(&|o| o.belief[0] > SURE && o.belief[1] < 1.0 - SURE) {
        let [real, fake] = last.belief;
        return alarm(
            Kind::DiscriminatorWins,
            format!("the discriminator is never wrong, so the generator learns nothing (real {real:.3}, generated {fake:.3})"),
            "a smaller learning_rate for the discriminator, stronger augmentation, or loss = \"ralsgan\"",
        );
    }
    let gap = |o: &Observation| o.logits.and_then(|logits| logits.gap());
    if all(&|o| gap(o).is_some_and(|gap| gap > GAP)) {
        let gap = gap(last).unwrap_or_default();
        return alarm(
            Kind::Overfit,
            format!("the discriminator knows the training photos by heart: held-out ones look generated to it (gap {gap:.2} of 1)"),
            "stronger augmentation, more photos, or an earlier end: the best checkpoint is kept",
        );
    }
    None
}

#[cfg(test)]
mod tests;
