//! The Fréchet distance between two sets of features, each taken for a Gaussian.
//!
//! The trace of (Σ₁Σ₂)^½ is the sum of the square roots of the eigenvalues of Σ₁Σ₂. With Σ₁ = AAᵀ and Σ₂ = BBᵀ, where the columns
//! of A and B are the centred pictures over √(n − 1), these are the eigenvalues of (AᵀB)(AᵀB)ᵀ, which is symmetric and as small as
//! the smaller set. Where both sets are larger than the features are long, LᵀΣ₂L is smaller still, with Σ₁ = LLᵀ.

use nalgebra::{Cholesky, DMatrix};

/// What is added to the diagonal of Σ₁, as a share of its mean, so that features that never differ do not stop its root.
const RIDGE: f64 = 1e-12;

/// The pictures (columns of D × N) without their mean, over √(N − 1).
pub(super) fn centred(x: &DMatrix<f64>) -> DMatrix<f64> {
    let mean = x.column_mean();
    let scale = 1.0 / ((x.ncols() - 1) as f64).sqrt();
    let mut centred = x.clone();
    centred.column_iter_mut().for_each(|mut column| {
        column -= &mean;
        column *= scale;
    });
    centred
}

/// ‖μ₁ − μ₂‖² + Tr(Σ₁ + Σ₂ − 2 (Σ₁Σ₂)^½); at least two columns each.
pub(super) fn frechet(x: &DMatrix<f64>, y: &DMatrix<f64>) -> f64 {
    let means = (x.column_mean() - y.column_mean()).norm_squared();
    let (a, b) = (centred(x), centred(y));
    // Rounding may put equal sets a hair below nothing.
    (means + a.norm_squared() + b.norm_squared() - 2.0 * trace_of_root(&a, &b)).max(0.0)
}

/// Tr (AAᵀBBᵀ)^½.
fn trace_of_root(a: &DMatrix<f64>, b: &DMatrix<f64>) -> f64 {
    let (a, b) = if a.ncols() <= b.ncols() { (a, b) } else { (b, a) };
    let product = if a.ncols() <= a.nrows() { None } else { by_cholesky(a, b) };
    let squared = product.unwrap_or_else(|| {
        let product = a.transpose() * b;
        &product * product.transpose()
    });
    squared.symmetric_eigenvalues().iter().map(|value| value.max(0.0).sqrt()).sum()
}

/// LᵀBBᵀL with LLᵀ = AAᵀ.
fn by_cholesky(a: &DMatrix<f64>, b: &DMatrix<f64>) -> Option<DMatrix<f64>> {
    let mut covariance = a * a.transpose();
    let ridge = RIDGE * covariance.trace() / covariance.nrows() as f64;
    (0..covariance.nrows()).for_each(|at| covariance[(at, at)] += ridge);
    let half = Cholesky::new(covariance)?.l().transpose() * b;
    Some(&half * half.transpose())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_ways_agree_also_where_a_feature_never_differs() {
        let matrix =
            |seed: usize, columns: usize| {
                DMatrix::from_fn(7, columns, |row, column| {
                    if row == 3 { 1.0 } else { (((row * 131 + column * 977 + seed) * 7919) % 1009) as f64 / 1009.0 }
                })
            };
        let (a, b) = (centred(&matrix(1, 30)), centred(&matrix(5, 40)));
        let small = by_cholesky(&a, &b).unwrap().symmetric_eigenvalues().iter().map(|value| value.max(0.0).sqrt()).sum::<f64>();
        let product = a.transpose() * &b;
        let large = (&product * product.transpose()).symmetric_eigenvalues().iter().map(|value| value.max(0.0).sqrt()).sum::<f64>();
        assert!((small - large).abs() < 1e-5 * large, "{small} and {large}");
    }
}
