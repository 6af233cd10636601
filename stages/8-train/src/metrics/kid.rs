//! The kernel distance.

/// Blocks of the jackknife. Picture n is in block n mod 10: the pictures have no order that matters.
const BLOCKS: usize = 10;

/// (x·y / D + 1)³, of the product x·y.
pub(super) fn kernel(product: f64, dims: f64) -> f64 {
    let base = product / dims + 1.0;
    base * base * base
}

/// Sums of the kernel by the blocks of both pictures.
#[derive(Debug, Clone, Default)]
pub(super) struct Blocks([[f64; BLOCKS]; BLOCKS]);

impl Blocks {
    pub(super) fn add(&mut self, a: usize, b: usize, value: f64) {
        self.0[a % BLOCKS][b % BLOCKS] += value;
    }

    pub(super) fn join(&mut self, other: &Self) {
        self.0.iter_mut().flatten().zip(other.0.iter().flatten()).for_each(|(sum, value)| *sum += value);
    }

    /// Of all pairs without a picture of block `without`.
    fn sum(&self, without: Option<usize>) -> f64 {
        let stays = |block: &usize| Some(*block) != without;
        (0..BLOCKS).filter(stays).map(|a| (0..BLOCKS).filter(stays).map(|b| self.0[a][b]).sum::<f64>()).sum()
    }
}

/// The unbiased estimate over all pairs of different pictures, and its standard error, from sums within both sets (without the
/// pairs of a picture with itself) and between them; `counts` pictures in each.
pub(super) fn kid(real: &Blocks, fake: &Blocks, between: &Blocks, counts: [usize; 2]) -> (f64, Option<f64>) {
    let estimate = |without: Option<usize>| {
        let [m, n] = counts.map(|count| (0..count).filter(|at| Some(at % BLOCKS) != without).count() as f64);
        let within = real.sum(without) / (m * (m - 1.0)) + fake.sum(without) / (n * (n - 1.0));
        within - 2.0 * between.sum(without) / (m * n)
    };
    if counts.iter().any(|count| *count < BLOCKS) {
        return (estimate(None), None);
    }
    let left: Vec<f64> = (0..BLOCKS).map(|block| estimate(Some(block))).collect();
    let mean = left.iter().sum::<f64>() / BLOCKS as f64;
    let squares: f64 = left.iter().map(|value| (value - mean).powi(2)).sum();
    (estimate(None), Some((squares * (BLOCKS - 1) as f64 / BLOCKS as f64).sqrt()))
}
