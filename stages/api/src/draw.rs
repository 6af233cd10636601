//! `Draw`: random numbers that depend on what is drawn for, never on when or where.

use crate::Digest;

/// A stream of random numbers named by (seed, purpose, content digest, k).
///
/// The stream is the extended output of BLAKE3 over that name, so any draw can be made alone, in any order, on any
/// number of threads and any machine, and adding a photo changes no other photo's draws.
pub struct Draw(blake3::OutputReader);

impl Draw {
    /// The stream for output `k` of the item with content `digest`; `purpose` keeps two uses of one seed apart.
    pub fn new(seed: u64, purpose: &str, digest: &Digest, k: u64) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("catgen-pipe draw v1");
        hasher.update(&seed.to_le_bytes());
        hasher.update(&(purpose.len() as u64).to_le_bytes());
        hasher.update(purpose.as_bytes());
        hasher.update(digest.as_bytes());
        hasher.update(&k.to_le_bytes());
        Self(hasher.finalize_xof())
    }

    /// The next 64 random bits.
    pub fn bits(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// Uniform in [0, 1): the top 53 bits, every value a multiple of 2⁻⁵³.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// Uniform in [low, high).
    pub fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// Uniform in 0..n by multiply-and-shift; the bias is below n / 2⁶⁴.
    pub fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(n)) >> 64) as u64
    }

    /// True with probability `p`.
    pub fn coin(&mut self, p: f64) -> bool {
        self.unit() < p
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draw_depends_on_every_part_of_its_name_and_on_nothing_else() {
        let first = |seed, purpose, content: &[u8], k| Draw::new(seed, purpose, &Digest::of(content), k).bits();
        let base = first(1, "augment", b"a", 0);
        assert_eq!(base, first(1, "augment", b"a", 0));
        for other in [first(2, "augment", b"a", 0), first(1, "other", b"a", 0), first(1, "augment", b"b", 0), first(1, "augment", b"a", 1)]
        {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn uniform_fills_its_range_evenly() {
        let mut draw = Draw::new(7439, "test", &Digest::of(b""), 0);
        let mean = (0..10_000).map(|_| draw.uniform(0.7, 1.3)).inspect(|x| assert!((0.7..1.3).contains(x))).sum::<f64>() / 10_000.0;
        assert!((mean - 1.0).abs() < 0.01, "mean {mean}");
        assert!((0..1000).map(|_| draw.below(8)).collect::<std::collections::BTreeSet<_>>().into_iter().eq(0..8));
    }
}
