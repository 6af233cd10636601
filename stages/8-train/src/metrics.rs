//! Metrics: how far some pictures are from others, by their features.
//!
//! | measure | what it is | source |
//! |---|---|---|
//! | `kid` | unbiased squared maximum mean discrepancy with the kernel (x·y / D + 1)³, over all pictures of both sets; about 0 between two halves of one set, below 0 as often as above | Bińkowski et al. 2018, arXiv 1801.01401 |
//! | `kid_error` | its standard error: jackknife over ten blocks of pictures | Efron 1982 |
//! | `frechet` | ‖μ₁ − μ₂‖² + Tr(Σ₁ + Σ₂ − 2 (Σ₁Σ₂)^½); biased upwards for few pictures, so only comparable between equal counts | Heusel et al. 2017, arXiv 1706.08500 |
//! | `precision`, `recall` | the share of generated pictures within the third-neighbour ball of some real one, and the other way round | Kynkäänniemi et al. 2019, arXiv 1904.06991 |
//! | `spread` | root mean square distance between pictures, generated over real | |
//! | `nearest` | median distance of a picture to its nearest other one, generated over real, of equally many | |
//!
//! All is computed in f64, blocks of columns on all cores, sums in a fixed order: equal features give equal bits.
//!
//! What it refuses to do: know where features come from (that is `features`), or what is good (`alarms`).

mod frechet;
mod kid;

use nalgebra::DMatrix;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use kid::Blocks;

/// The neighbour whose distance is the radius of a picture's ball.
pub const NEIGHBOUR: usize = 3;

/// Columns of a Gram matrix that are in memory at once, for each thread.
const COLUMNS: usize = 256;

/// Features of some pictures, and what every comparison needs of them.
pub struct Sample {
    /// D × N: a picture is a column.
    x: DMatrix<f64>,
    /// Squared length of each column.
    lengths: Vec<f64>,
    /// Sums of the kernel over pairs of different pictures.
    kernel: Blocks,
    /// Squared distance of each picture to its third neighbour.
    reach: Vec<f64>,
    /// The same to its nearest.
    nearest: Vec<f64>,
}

/// How far a set of generated pictures is from a set of photos.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Distances {
    /// The photos.
    pub photos: u64,
    /// The unbiased kernel distance: the headline.
    pub kid: f64,
    /// Its standard error; none for fewer than ten pictures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kid_error: Option<f64>,
    /// The Fréchet distance.
    pub frechet: f64,
    /// The share of generated pictures that look like some photo.
    pub precision: f64,
    /// The share of photos that some generated picture looks like.
    pub recall: f64,
}

/// What is found on the way from each picture of one set to those of another.
pub struct Cross {
    kernel: Blocks,
    precision: f64,
    recall: f64,
    /// For each generated picture the nearest real one and the distance to it.
    pub nearest: Vec<(usize, f64)>,
}

impl Sample {
    /// `features`: N × D numbers, a picture's after another's. `None` for fewer than two pictures, or numbers that are not N × D
    /// finite ones.
    pub fn new(count: usize, features: &[f32]) -> Option<Self> {
        if count < 2 || features.is_empty() || !features.len().is_multiple_of(count) || features.iter().any(|value| !value.is_finite()) {
            return None;
        }
        let x = DMatrix::from_iterator(features.len() / count, count, features.iter().map(|value| f64::from(*value)));
        let lengths: Vec<f64> = x.column_iter().map(|column| column.norm_squared()).collect();
        let dims = x.nrows() as f64;
        let parts = by_columns(&x, &x, |first, gram| {
            let mut kernel = Blocks::default();
            let mut near = Vec::with_capacity(gram.ncols());
            for (column, values) in gram.column_iter().enumerate() {
                let own = first + column;
                let mut distances = Vec::with_capacity(count);
                for (other, product) in values.iter().enumerate().filter(|(other, _)| *other != own) {
                    kernel.add(other, own, kid::kernel(*product, dims));
                    distances.push((lengths[other] + lengths[own] - 2.0 * product).max(0.0));
                }
                let (before, third, _) = distances.select_nth_unstable_by((NEIGHBOUR - 1).min(count - 2), f64::total_cmp);
                let nearest = before.iter().copied().fold(*third, f64::min);
                near.push((nearest, *third));
            }
            (kernel, near)
        });
        let mut kernel = Blocks::default();
        let mut near = Vec::with_capacity(count);
        for (part, of_part) in parts {
            kernel.join(&part);
            near.extend(of_part);
        }
        let (nearest, reach) = near.into_iter().unzip();
        Some(Self { x, lengths, kernel, reach, nearest })
    }

    /// How many pictures.
    pub fn len(&self) -> usize {
        self.x.ncols()
    }

    /// Never: a sample has two pictures at least.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Numbers that describe a picture.
    pub fn dims(&self) -> usize {
        self.x.nrows()
    }

    /// Distances of each picture to its nearest other one.
    pub fn nearest(&self) -> Vec<f64> {
        self.nearest.iter().map(|squared| squared.sqrt()).collect()
    }

    /// Root mean square distance between two pictures.
    pub fn spread(&self) -> f64 {
        // The mean of ‖x − y‖² over pairs is twice the trace of the unbiased covariance.
        (2.0 * frechet::centred(&self.x).norm_squared()).sqrt()
    }

    /// The first `count` of its pictures.
    fn first(&self, count: usize) -> Option<Self> {
        let features: Vec<f32> = self.x.columns(0, count.min(self.len())).iter().map(|value| *value as f32).collect();
        Self::new(count.min(self.len()), &features)
    }
}

/// Everything between two sets, in one pass.
///
/// # Panics
/// If the two have features of different length.
pub fn cross(real: &Sample, fake: &Sample) -> Cross {
    let dims = real.dims() as f64;
    let parts = by_columns(&real.x, &fake.x, |first, gram| {
        let mut kernel = Blocks::default();
        let mut near = Vec::with_capacity(gram.ncols());
        let mut found = vec![false; real.len()];
        for (column, values) in gram.column_iter().enumerate() {
            let at = first + column;
            let (mut is_inside, mut nearest) = (false, (0, f64::INFINITY));
            for (other, product) in values.iter().enumerate() {
                kernel.add(other, at, kid::kernel(*product, dims));
                let distance = (real.lengths[other] + fake.lengths[at] - 2.0 * product).max(0.0);
                is_inside |= distance <= real.reach[other];
                found[other] |= distance <= fake.reach[at];
                if distance < nearest.1 {
                    nearest = (other, distance);
                }
            }
            near.push((is_inside, nearest));
        }
        (kernel, near, found)
    });
    let mut kernel = Blocks::default();
    let (mut nearest, mut inside, mut found) = (Vec::with_capacity(fake.len()), 0, vec![false; real.len()]);
    for (part, near, of_part) in parts {
        kernel.join(&part);
        for (is_inside, (other, distance)) in near {
            inside += usize::from(is_inside);
            nearest.push((other, distance.sqrt()));
        }
        found.iter_mut().zip(of_part).for_each(|(found, of_part)| *found |= of_part);
    }
    let share = |count: usize, of: usize| count as f64 / of as f64;
    let recall = share(found.iter().filter(|found| **found).count(), real.len());
    Cross { kernel, precision: share(inside, fake.len()), recall, nearest }
}

/// The distances between two sets, given what [`cross`] found.
pub fn distances(real: &Sample, fake: &Sample, cross: &Cross) -> Distances {
    let (kid, kid_error) = kid::kid(&real.kernel, &fake.kernel, &cross.kernel, [real.len(), fake.len()]);
    Distances {
        photos: real.len() as u64,
        kid,
        kid_error,
        frechet: frechet::frechet(&real.x, &fake.x),
        precision: cross.precision,
        recall: cross.recall,
    }
}

/// How varied generated pictures are, as a share of how varied photos are: about 1 is as it should be, near 0 is collapse.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Variety {
    /// Root mean square distance between pictures: falls when all look like one.
    pub spread: f64,
    /// Median distance to the nearest other picture, of equally many: falls when there are a few pictures, each many times.
    pub nearest: f64,
}

/// The variety of `fake` over that of `real`; 0 where the photos themselves have none.
pub fn variety(real: &Sample, fake: &Sample) -> Variety {
    let count = real.len().min(fake.len());
    let nearest = |sample: &Sample| {
        let few = if sample.len() > count { sample.first(count) } else { None };
        quantile(&few.as_ref().unwrap_or(sample).nearest(), 0.5)
    };
    let share = |fake: f64, real: f64| if real > 0.0 { fake / real } else { 0.0 };
    Variety { spread: share(fake.spread(), real.spread()), nearest: share(nearest(fake), nearest(real)) }
}

/// The value below which a share of the values lies, between its neighbours in proportion; NaN of nothing.
pub fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = share * (sorted.len().max(1) - 1) as f64;
    let value = |at: usize| sorted.get(at).or(sorted.last()).copied().unwrap_or(f64::NAN);
    let low = value(place as usize);
    low + (value(place as usize + 1) - low) * place.fract()
}

/// What `look` makes of each block of columns of AᵀB, given the block's first column, in order.
fn by_columns<T: Send>(a: &DMatrix<f64>, b: &DMatrix<f64>, look: impl Fn(usize, &DMatrix<f64>) -> T + Sync) -> Vec<T> {
    assert_eq!(a.nrows(), b.nrows(), "features of one network have one length");
    let transposed = a.transpose();
    let starts: Vec<usize> = (0..b.ncols()).step_by(COLUMNS).collect();
    starts.par_iter().map(|&first| look(first, &(&transposed * b.columns(first, COLUMNS.min(b.ncols() - first))))).collect()
}

#[cfg(test)]
mod tests;
