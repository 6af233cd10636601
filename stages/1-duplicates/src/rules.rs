//! `Rules`: when two photos are the same, when they may be, and where those numbers come from.
//!
//! The numbers were chosen on 251 phone photos of 13 cats, 778 faces at 64 px, 25 photos in three exposures with noise, the test
//! pictures of three other programs, and a crop of 7.5 % made of each photo; `examples/evaluate_duplicates.rs` measures them again:
//!
//! | what | bits apart (of 64) | agreement as they lie | aligned |
//! |---|---|---|---|
//! | re-encoded, resized, re-coloured, brighter, noise | 0 to 10 | 0.89 and more | |
//! | shots of one burst | 4 to 14 | 0.92 | 0.98 and more |
//! | crop of 7.5 % | 4 to 20 | 0.58 and more | 0.98 and more |
//! | the same cat after it moved | 8 to 20 | up to 0.93 | up to 0.96 |
//! | other photos | 8 and more | up to 0.85 | up to 0.85 |

use serde::Deserialize;

use crate::Fingerprint;

/// How much two photos may differ and still be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strictness {
    /// Copies, re-encoded or resized.
    Strict,
    /// And brighter, noisy, cropped, or the next shot of a burst.
    Default,
    /// And the same scene with something moved in it.
    Loose,
}

/// The limits that [`Rules::judge`] goes by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rules {
    /// Hashes that differ in at most so many bits are taken by their word if thumbnails do not contradict.
    pub max_distance: u32,
    /// Further apart than this, photos are different without a look.
    pub look_distance: u32,
    /// Agreement of the thumbnails as they lie below which near hashes were a coincidence.
    agreement: f64,
    /// Agreement of the aligned thumbnails from which photos are the same, whatever their hashes say; infinite for never.
    aligned: f64,
}

/// From this agreement of the aligned thumbnails on, photos that are not taken for the same are worth a person's look.
const POSSIBLE: f64 = 0.90;

/// Below this agreement as they lie, no crop of 10 % explains the difference.
const HOPELESS: f64 = 0.4;

/// Pictures without detail are the same if no thumbnail value differs by more than this (levels of 255).
const FLAT_DIFFERENCE: u8 = 3;

/// Mean difference of colour, brightness aside, above which pictures are not the same (levels of 255).
///
/// Real near-duplicates: at most 7. Saturation turned up a lot: 17. A colour photo and its grey copy: 31.
const COLOUR_DIFFERENCE: f64 = 24.0;

/// What two photos are to each other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Judgement {
    /// Two pictures.
    Different,
    /// Two pictures as far as the rules go, and like enough to ask a person: the agreement of their aligned thumbnails.
    Possible(f64),
    /// One picture.
    Same,
    /// One picture, one of them cropped or taken a step aside: the agreement of their aligned thumbnails.
    SameAligned(f64),
}

impl Rules {
    /// The rules for hashes of so many bits; `max_distance` instead of the one that belongs to `strictness`, where given.
    pub fn new(strictness: Strictness, bits: u32, max_distance: Option<u32>) -> Self {
        let (near, agreement, aligned) = match strictness {
            Strictness::Strict => (6, 0.95, f64::INFINITY),
            Strictness::Default => (10, 0.87, 0.97),
            Strictness::Loose => (12, 0.87, 0.94),
        };
        let scale = (bits / 64).max(1);
        let max_distance = max_distance.unwrap_or(near * scale);
        Self { max_distance, look_distance: max_distance.max(10 * scale) + 8 * scale, agreement, aligned }
    }

    /// What two photos whose hashes differ in `distance` bits are to each other; the order of the two does not matter.
    ///
    /// A hash is 64 answers to "brighter than elsewhere?", and different photos do come within 10 bits. So small copies of the
    /// pictures have to agree as well. Where hashes are further apart, the copies are laid over each other first: that undoes a
    /// crop, and the step to the side in a burst. Pictures without detail have to be equal but for encoding noise.
    pub fn judge(&self, one: &Fingerprint, other: &Fingerprint, distance: u32) -> Judgement {
        if distance > self.look_distance {
            return Judgement::Different;
        }
        if let Some(same) = one.same_flat(other, FLAT_DIFFERENCE) {
            return if same && distance <= self.max_distance { Judgement::Same } else { Judgement::Different };
        }
        if one.colour_difference(other) > COLOUR_DIFFERENCE {
            return Judgement::Different;
        }
        let plain = one.correlation(other);
        if distance <= self.max_distance && plain >= self.agreement {
            return Judgement::Same;
        }
        if plain < HOPELESS {
            return Judgement::Different;
        }
        match one.aligned_correlation(other) {
            agreement if agreement >= self.aligned => Judgement::SameAligned(agreement),
            agreement if agreement >= POSSIBLE => Judgement::Possible(agreement),
            _ => Judgement::Different,
        }
    }
}
