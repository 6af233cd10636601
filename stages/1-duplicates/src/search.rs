//! Search by Hamming distance among the hashes kept so far: every one is looked at.
//!
//! Up to the 18 bits that the second look goes, tables of sub-hashes (multi-index hashing) look up more places than there are
//! hashes, so the plain loop is the quickest there is; it is compiled for several generations of processors and the best one runs.

use pulp::Arch;

/// So many hashes are counted at a time before anything is decided: long enough for vectors, short enough to look through again.
const BLOCK: usize = 128;

/// Hashes of `W` words, found again by distance.
pub(crate) struct Kept<const W: usize> {
    hashes: Vec<[u64; W]>,
    arch: Arch,
}

impl<const W: usize> Kept<W> {
    /// Nothing kept.
    pub(crate) fn new() -> Self {
        Self { hashes: Vec::new(), arch: Arch::new() }
    }

    /// Keeps one more; hashes are numbered from 0 in this order.
    pub(crate) fn push(&mut self, hash: [u64; W]) {
        self.hashes.push(hash);
    }

    /// Calls `found` with number and distance of every hash within the distance, in the order of numbers.
    pub(crate) fn near(&self, hash: &[u64; W], max_distance: u32, mut found: impl FnMut(usize, u32)) {
        let max_distance = u64::from(max_distance);
        let mut start = 0;
        while let Some(block) = self.next_block(&mut start, hash, max_distance) {
            for (number, other) in self.hashes[block..].iter().enumerate().take(BLOCK) {
                let distance = distance(hash, other);
                if distance <= max_distance {
                    found(block + number, distance as u32);
                }
            }
        }
    }

    /// Where the next block from `start` begins that has a hash within the distance; `start` is then behind it.
    fn next_block(&self, start: &mut usize, hash: &[u64; W], max_distance: u64) -> Option<usize> {
        let hash = *hash;
        let rest = self.hashes.get(*start..)?;
        let hit = self.arch.dispatch(|| {
            rest.chunks(BLOCK).position(|block| {
                let count = |near: u64, other: &[u64; W]| near + u64::from(distance(&hash, other) <= max_distance);
                block.iter().fold(0, count) > 0
            })
        })?;
        let block = *start + hit * BLOCK;
        *start = block + BLOCK;
        Some(block)
    }
}

#[inline(always)]
fn distance<const W: usize>(a: &[u64; W], b: &[u64; W]) -> u64 {
    let mut distance = 0;
    for word in 0..W {
        distance += u64::from((a[word] ^ b[word]).count_ones());
    }
    distance
}

#[cfg(test)]
mod tests {
    use catgen_api::{Digest, Draw};

    use super::*;

    fn check<const W: usize>(max_distance: u32, count: usize) {
        let mut draw = Draw::new(7439, "search", &Digest::of(b""), u64::from(max_distance));
        let mut kept = Kept::<W>::new();
        let mut all: Vec<[u64; W]> = Vec::new();
        let mut total = 0;
        for _ in 0..count {
            // Half of them are near to an earlier one, as a photographer's are.
            let mut hash = if all.is_empty() || draw.coin(0.5) {
                std::array::from_fn(|_| draw.bits())
            } else {
                all[draw.below(all.len() as u64) as usize]
            };
            for _ in 0..draw.below(20) {
                let bit = draw.below(64 * W as u64);
                hash[(bit / 64) as usize] ^= 1 << (bit % 64);
            }
            let differ = |other: &[u64; W]| hash.iter().zip(other).map(|(a, b)| (a ^ b).count_ones()).sum::<u32>();
            let expected: Vec<_> = all.iter().map(differ).enumerate().filter(|(_, distance)| *distance <= max_distance).collect();
            let mut seen = Vec::new();
            kept.near(&hash, max_distance, |number, distance| seen.push((number, distance)));
            assert_eq!(seen, expected, "W {W}, max_distance {max_distance}, {} kept", all.len());
            total += seen.len();
            kept.push(hash);
            all.push(hash);
        }
        assert!(total > 0, "the test must find something");
    }

    #[test]
    fn everything_within_the_distance_is_found_and_nothing_else() {
        check::<1>(0, 600);
        check::<1>(10, 600);
        check::<1>(18, 600);
        check::<1>(64, 300);
        check::<4>(40, 400);
    }
}
