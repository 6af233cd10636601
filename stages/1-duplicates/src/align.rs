//! The second look: whether one thumbnail is another one moved and stretched a little, as a crop or a step to the side does.
//!
//! A perceptual hash says little about a crop: 5 % off the edges flip 4 to 16 of 64 bits, and so do some pictures of other things.
//! Laid over each other as they were taken, thumbnails of the same picture agree and others do not. The four numbers that say how
//! to lay them (a shift and a stretch along each side), and two for brightness and contrast, are found by Gauss–Newton steps on
//! the squared difference (Lucas and Kanade, "An iterative image registration technique with an application to stereo vision",
//! 1981; Baker and Matthews, "Lucas-Kanade 20 years on", 2004, sections 2 and 6), first at 16, then at 32 pixels.

use crate::fingerprint::LUMA_SIDE;

/// Half of the thumbnail's side.
const HALF_SIDE: usize = LUMA_SIDE / 2;

/// Gauss–Newton steps at each size; more change nothing at the second decimal.
const STEPS: usize = 6;

/// The largest move of an edge, as a share of the side: what is moved further is another picture.
const REACH: f32 = 0.11;

/// Below this correlation of the small thumbnails, aligned or not, a closer look is not worth its time.
const HOPELESS: f64 = 0.75;

/// A photo's luma at two sizes.
pub(crate) struct Thumbnails {
    /// 32 × 32.
    full: Vec<f32>,
    /// 16 × 16.
    half: Vec<f32>,
}

impl Thumbnails {
    /// Of luma values, 32 × 32 and 16 × 16.
    pub(crate) fn new(full: &[u8], half: &[u8]) -> Self {
        let [full, half] = [full, half].map(|luma| luma.iter().map(|value| f32::from(*value)).collect());
        Self { full, half }
    }
}

/// Pearson correlation; 0 where one side does not vary.
fn correlation(pairs: impl Iterator<Item = (f32, f32)>) -> f64 {
    let (mut n, mut a, mut b, mut aa, mut bb, mut ab) = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0);
    for (x, y) in pairs.map(|(x, y)| (f64::from(x), f64::from(y))) {
        (n, a, b, aa, bb, ab) = (n + 1.0, a + x, b + y, aa + x * x, bb + y * y, ab + x * y);
    }
    let spread = ((n * aa - a * a) * (n * bb - b * b)).max(0.0).sqrt();
    if spread > 0.0 { (n * ab - a * b) / spread } else { 0.0 }
}

/// The correlation at 32 × 32 pixels after the best alignment found, whichever of the two is laid onto the other: at least that
/// of the thumbnails as they are.
pub(crate) fn aligned(a: &Thumbnails, b: &Thumbnails) -> f64 {
    one_way(a, b).max(one_way(b, a))
}

fn plain(a: &Thumbnails, b: &Thumbnails) -> f64 {
    correlation(a.full.iter().copied().zip(b.full.iter().copied()))
}

fn one_way(a: &Thumbnails, b: &Thumbnails) -> f64 {
    let plain = plain(a, b);
    let (coarse, warp) = Aligner { side: HALF_SIDE, a: &a.half, b: &b.half }.run(Warp::default());
    if coarse < HOPELESS {
        return plain;
    }
    let (fine, _) = Aligner { side: LUMA_SIDE, a: &a.full, b: &b.full }.run(warp);
    fine.max(plain)
}

/// Where a place of `b` lies in `a`: shift and stretch along x, then along y, in shares of half the side; places run from −1 to 1.
#[derive(Debug, Clone, Copy, Default)]
struct Warp([f32; 4]);

impl Warp {
    /// Whether no edge moves further than [`REACH`].
    fn within_reach(self) -> bool {
        let [x, stretch_x, y, stretch_y] = self.0.map(f32::abs);
        x + stretch_x <= 2.0 * REACH && y + stretch_y <= 2.0 * REACH
    }
}

struct Aligner<'a> {
    side: usize,
    a: &'a [f32],
    b: &'a [f32],
}

impl Aligner<'_> {
    /// The best correlation met on the way from `warp`, and where.
    fn run(&self, mut warp: Warp) -> (f64, Warp) {
        let mut best = (self.correlation(warp), warp);
        for _ in 0..STEPS {
            let Some(step) = self.step(warp) else { break };
            for (value, change) in warp.0.iter_mut().zip(step) {
                *value += change;
            }
            if !warp.within_reach() {
                break;
            }
            let reached = self.correlation(warp);
            if reached > best.0 {
                best = (reached, warp);
            }
            if step.iter().all(|change| change.abs() < 1e-3) {
                break;
            }
        }
        best
    }

    fn correlation(&self, warp: Warp) -> f64 {
        correlation(self.overlap(warp).map(|place| (place.value, place.b)))
    }

    /// The change of the warp that makes the squared difference smallest, as far as gradients tell.
    fn step(&self, warp: Warp) -> Option<[f32; 4]> {
        // Unknown: four changes, contrast and brightness. Normal equations, upper half, with the right-hand side as last column.
        let mut equations = [[0f64; 7]; 6];
        for place in self.overlap(warp) {
            let row = [-place.dx, -place.dx * place.u, -place.dy, -place.dy * place.v, place.b, 1.0, place.value].map(f64::from);
            for at in 0..6 {
                for with in at..7 {
                    equations[at][with] += row[at] * row[with];
                }
            }
        }
        let upper = equations;
        for (at, equation) in equations.iter_mut().enumerate() {
            equation.iter_mut().zip(&upper).take(at).for_each(|(below, row)| *below = row[at]);
        }
        let solved = solve(equations)?;
        Some(std::array::from_fn(|at| solved[at] as f32))
    }

    /// Every pixel of `b` that lies inside `a` under the warp.
    fn overlap(&self, warp: Warp) -> impl Iterator<Item = Place> + '_ {
        let Warp([shift_x, stretch_x, shift_y, stretch_y]) = warp;
        let half = self.side as f32 / 2.0;
        let last = self.side as f32 - 1.0;
        let centred = move |at: usize| (at as f32 + 0.5) / half - 1.0;
        (0..self.side * self.side).filter_map(move |at| {
            let (u, v) = (centred(at % self.side), centred(at / self.side));
            let x = (u + shift_x + stretch_x * u + 1.0) * half - 0.5;
            let y = (v + shift_y + stretch_y * v + 1.0) * half - 0.5;
            if !(-0.5..=last + 0.5).contains(&x) || !(-0.5..=last + 0.5).contains(&y) {
                return None;
            }
            let (x, y) = (x.clamp(0.0, last), y.clamp(0.0, last));
            let (left, top) = ((x as usize).min(self.side - 2), (y as usize).min(self.side - 2));
            let (right, down) = (x - left as f32, y - top as f32);
            let row = top * self.side + left;
            let [a, b, c, d] = [self.a[row], self.a[row + 1], self.a[row + self.side], self.a[row + self.side + 1]];
            let (upper, lower) = (a + (b - a) * right, c + (d - c) * right);
            // The slope of the bilinear surface, per half side.
            let dx = ((b - a) * (1.0 - down) + (d - c) * down) * half;
            let dy = (lower - upper) * half;
            Some(Place { u, v, value: upper + (lower - upper) * down, dx, dy, b: self.b[at] })
        })
    }
}

/// One pixel of `b` and what lies under it in `a`.
struct Place {
    u: f32,
    v: f32,
    value: f32,
    dx: f32,
    dy: f32,
    b: f32,
}

/// Six equations by elimination with pivots; `None` if they do not say enough (a picture without edges one way).
fn solve(mut rows: [[f64; 7]; 6]) -> Option<[f64; 6]> {
    for at in 0..6 {
        let pivot = (at..6).max_by(|x, y| rows[*x][at].abs().total_cmp(&rows[*y][at].abs()))?;
        rows.swap(at, pivot);
        if rows[at][at].abs() < 1e-6 {
            return None;
        }
        let top = rows[at];
        for row in &mut rows[at + 1..] {
            let factor = row[at] / top[at];
            for (value, above) in row.iter_mut().zip(top).skip(at) {
                *value -= factor * above;
            }
        }
    }
    let mut solved = [0.0; 6];
    for at in (0..6).rev() {
        let known: f64 = (at + 1..6).map(|with| rows[at][with] * solved[with]).sum();
        solved[at] = (rows[at][6] - known) / rows[at][at];
    }
    solved.iter().all(|value| value.is_finite()).then_some(solved)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Soft waves, seen through the part `[left, top, right, bottom]` of the frame, at 32 × 32.
    fn view([left, top, right, bottom]: [f64; 4], [a, b, c, d]: [f64; 4]) -> Thumbnails {
        let [full, half] = [LUMA_SIDE, HALF_SIDE].map(|side| {
            let at = |place: usize, from: f64, to: f64| from + (place as f64 + 0.5) / side as f64 * (to - from);
            let luma = (0..side * side).map(|place| {
                let (x, y) = (at(place % side, left, right), at(place / side, top, bottom));
                let value = (a * x + b * y).sin() + (c * x - d * y).cos() + 0.6 * (3.0 * b * x).sin() * (2.0 * a * y).cos();
                (128.0 + 40.0 * value) as u8
            });
            luma.collect::<Vec<u8>>()
        });
        Thumbnails::new(&full, &half)
    }

    const WAVES: [f64; 4] = [7.0, 5.0, 4.0, 9.0];

    #[test]
    fn crops_and_shifts_are_laid_onto_what_they_were_cut_from() {
        let whole = view([0.0, 0.0, 1.0, 1.0], WAVES);
        for part in [[0.05, 0.0, 1.0, 1.0], [0.025, 0.05, 0.95, 0.975], [0.0, 0.0, 0.93, 0.93], [0.04, -0.03, 1.04, 0.97]] {
            let crop = view(part, WAVES);
            let (plain, aligned, back) = (plain(&whole, &crop), aligned(&whole, &crop), aligned(&crop, &whole));
            assert!(plain < 0.99 && aligned > 0.995, "{part:?}: {plain:.3} as they lie, {aligned:.3} aligned");
            assert_eq!(aligned, back, "the order matters");
        }
    }

    #[test]
    fn other_pictures_cannot_be_talked_into_agreeing() {
        let whole = view([0.0, 0.0, 1.0, 1.0], WAVES);
        for waves in [[6.0, 6.0, 4.0, 9.0], [7.0, 5.0, 9.0, 4.0], [2.0, 11.0, 3.0, 1.0]] {
            let other = view([0.0, 0.0, 1.0, 1.0], waves);
            let aligned = aligned(&whole, &other);
            assert!(aligned < 0.95, "{waves:?}: {aligned:.3}");
        }
        // A picture too far off is another picture, and one without edges stays what it is.
        assert!(aligned(&whole, &view([0.3, 0.3, 1.3, 1.3], WAVES)) < 0.9);
        let flat = Thumbnails::new(&[80; LUMA_SIDE * LUMA_SIDE], &[80; HALF_SIDE * HALF_SIDE]);
        assert_eq!(aligned(&whole, &flat), 0.0);
    }
}
