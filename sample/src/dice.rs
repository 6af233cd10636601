//! `Dice`: `Draw` in the words of a drawing.

use catgen_api::{Digest, Draw};

use crate::colour::{Colour, mix};

pub(crate) struct Dice(Draw);

impl Dice {
    pub(crate) fn new(seed: u64, purpose: &str, index: u64) -> Self {
        Self(Draw::new(seed, purpose, &Digest::of(b"cartoon cat"), index))
    }

    /// Uniform in [low, high).
    pub(crate) fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.0.unit() as f32
    }

    /// Uniform in 0..n.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        self.0.below(n as u64) as usize
    }

    pub(crate) fn coin(&mut self, chance: f32) -> bool {
        self.0.coin(f64::from(chance))
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// One of the colours, moved a little towards another.
    pub(crate) fn colour(&mut self, from: &[Colour]) -> Colour {
        let (first, second) = (self.pick(from), self.pick(from));
        let share = self.between(0.0, 0.25);
        mix(first, second, share)
    }

    pub(crate) fn bits(&mut self) -> u64 {
        self.0.bits()
    }
}
