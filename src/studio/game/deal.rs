//! Which pictures a game shows, in which order: drawn from the game's own seed, so that nobody can foresee it.

use catgen_api::{Digest, Draw};

/// Pictures in a block: half of them real. So neither kind ever runs long, and counting helps nobody who is not told how often
/// they were right.
pub(super) const BLOCK: usize = 10;

/// For each picture of a game of `count`, rounded down to whole blocks, whether it is real.
pub(super) fn order(seed: u64, count: usize) -> Vec<bool> {
    let mut all = Vec::with_capacity(count);
    for block in 0..count / BLOCK {
        let mut kinds: Vec<bool> = (0..BLOCK).map(|at| at % 2 == 0).collect();
        shuffle(&mut kinds, seed, "game block", block as u64);
        all.extend(kinds);
    }
    all
}

/// `count` of the candidates, those seen least often first and drawn among these; no candidate twice.
pub(super) fn pick<T: Clone>(candidates: &[(T, usize)], count: usize, seed: u64, purpose: &'static str) -> Vec<T> {
    let mut order: Vec<&(T, usize)> = candidates.iter().collect();
    shuffle(&mut order, seed, purpose, 0);
    order.sort_by_key(|(_, seen)| *seen);
    order.into_iter().take(count).map(|(candidate, _)| candidate.clone()).collect()
}

/// Fisher and Yates.
fn shuffle<T>(all: &mut [T], seed: u64, purpose: &'static str, number: u64) {
    let mut draw = Draw::new(seed, purpose, &Digest::of(b""), number);
    for last in (1..all.len()).rev() {
        all.swap(last, draw.below(last as u64 + 1) as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_block_is_balanced_and_no_two_games_are_alike() {
        for seed in 0..50 {
            let order = order(seed, 45);
            assert_eq!(order.len(), 40);
            assert!(order.chunks(BLOCK).all(|block| block.iter().filter(|real| **real).count() == BLOCK / 2), "{seed}: {order:?}");
        }
        assert_eq!(order(3, 20), order(3, 20));
        assert_ne!(order(3, 20), order(4, 20));
        assert_ne!(order(3, 20)[..10], order(3, 20)[10..]);
        // Every place is real as often as not: 2,000 games, 1,000 expected, standard deviation 22.
        let real = (0..2000).fold([0; BLOCK], |mut counts, seed| {
            order(seed, BLOCK).iter().enumerate().for_each(|(at, real)| counts[at] += usize::from(*real));
            counts
        });
        assert!(real.iter().all(|count| (890..1110).contains(count)), "{real:?}");
    }

    #[test]
    fn pictures_not_seen_yet_come_first_and_none_comes_twice() {
        let candidates: Vec<(u32, usize)> = (0..12).map(|at| (at, usize::from(at < 6))).collect();
        let mut first = pick(&candidates, 6, 1, "test");
        first.sort_unstable();
        assert_eq!(first, [6, 7, 8, 9, 10, 11]);
        let mut all = pick(&candidates, 99, 1, "test");
        all.sort_unstable();
        assert!(all.into_iter().eq(0..12));
        assert_ne!(pick(&candidates, 6, 1, "test"), pick(&candidates, 6, 2, "test"));
    }
}
