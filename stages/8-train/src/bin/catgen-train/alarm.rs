//! What is found at the end of an epoch, and what follows from it.
//!
//! A training in trouble goes back to its best checkpoint, with half the learning rate and more changes to the pictures (see
//! [`crate::dials::Schedule`]), as often as the option `rollbacks` allows; then it stops and says so. How often it did is part of a checkpoint, so a
//! training that is killed after a rollback goes on as one that was not.

use serde::{Deserialize, Serialize};

/// What was found of a training at the end of an epoch.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Findings {
    /// How far generated pictures are from real ones, the lower the better; none where nothing measures it.
    pub(crate) score: Option<f64>,
    /// In one sentence, what calls for going back.
    pub(crate) alarm: Option<String>,
}

/// The checkpoint to go back to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Best {
    pub(crate) step: u64,
    /// See [`Findings::score`].
    pub(crate) score: Option<f64>,
}

/// The better of the best so far and a checkpoint that is to be made after `step` steps. Without scores the newer one is: an epoch that
/// ended without an alarm is all that is known of it.
pub(crate) fn better(best: Option<&Best>, step: u64, score: Option<f64>) -> Best {
    let new = Best { step, score };
    match best {
        Some(Best { score: Some(old), .. }) if score.is_none_or(|score| score.is_nan() || score >= *old) => best.cloned().unwrap_or(new),
        _ => new,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_is_the_lowest_score_or_else_the_newest() {
        let best = |step, score| Some(Best { step, score });
        let check = |old: Option<Best>, new: (u64, Option<f64>), expected: u64| {
            assert_eq!(better(old.as_ref(), new.0, new.1).step, expected, "{old:?}, then {new:?}");
        };
        check(None, (5, None), 5);
        check(best(5, None), (10, None), 10);
        check(best(5, None), (10, Some(3.0)), 10);
        check(best(5, Some(2.0)), (10, Some(3.0)), 5);
        check(best(5, Some(2.0)), (10, Some(1.0)), 10);
        check(best(5, Some(2.0)), (10, None), 5);
        check(best(5, Some(2.0)), (10, Some(f64::NAN)), 5);
    }
}
