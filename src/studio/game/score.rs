//! What answers come to: how often generated pictures are taken for real ones, and how well the two are told apart.

use serde::Serialize;

/// The share of generated pictures of the Keras project that people took for real: what results are shown beside.
pub(super) const ANCHOR: f64 = 1.0 / 7.0;

/// The point of the normal distribution that has 97.5 % below it.
const Z95: f64 = 1.959_963_984_540_054;

/// Answers, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Tally {
    /// Generated pictures that were shown.
    pub(super) fakes: u64,
    /// Of these, those taken for real.
    pub(super) fooled: u64,
    /// Real photos that were shown.
    pub(super) reals: u64,
    /// Of these, those called generated.
    pub(super) false_alarms: u64,
}

/// An estimate with its interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Estimate {
    pub(super) value: f64,
    pub(super) low: f64,
    pub(super) high: f64,
}

impl Tally {
    /// One more answer.
    pub(super) fn add(&mut self, is_real: bool, said_real: bool) {
        if is_real {
            self.reals += 1;
            self.false_alarms += u64::from(!said_real);
        } else {
            self.fakes += 1;
            self.fooled += u64::from(said_real);
        }
    }

    /// The share of generated pictures that were taken for real.
    pub(super) fn fooled(&self) -> Option<Estimate> {
        wilson(self.fooled, self.fakes)
    }

    /// The share of photos that were called generated.
    pub(super) fn false_alarms(&self) -> Option<Estimate> {
        wilson(self.false_alarms, self.reals)
    }

    /// How well a person tells them apart: d′ = Φ⁻¹(H) − Φ⁻¹(F), where H is the share of generated pictures that were called
    /// generated and F the share of photos that were. 0 is guessing, 1 is 69 % right for somebody
    /// who favours neither word, 2 is 84 %; below 0 is worse than guessing.
    ///
    /// Shares of 0 and 1 have no Φ⁻¹, so half an answer is added to each count and a whole one to each number of pictures, whatever
    /// the shares (the log-linear rule: Hautus, Behavior Research Methods, Instruments, & Computers 27, 1995, pp. 46–51). The
    /// interval is ± 1.96 standard errors by the delta method (Gourevitch and Galanter, Psychometrika 32, 1967, pp. 25–33).
    pub(super) fn d_prime(&self) -> Option<Estimate> {
        if self.fakes == 0 || self.reals == 0 {
            return None;
        }
        let corrected = |count: u64, of: u64| (count as f64 + 0.5) / (of as f64 + 1.0);
        let (hits, alarms) = (corrected(self.fakes - self.fooled, self.fakes), corrected(self.false_alarms, self.reals));
        let [zh, zf] = [hits, alarms].map(quantile);
        let variance = |share: f64, z: f64, of: u64| share * (1.0 - share) / (of as f64 * density(z).powi(2));
        let error = (variance(hits, zh, self.fakes) + variance(alarms, zf, self.reals)).sqrt();
        let value = zh - zf;
        Some(Estimate { value, low: value - Z95 * error, high: value + Z95 * error })
    }
}

/// The share `count` of `of` with its 95 % interval after Wilson (Journal of the American Statistical Association 22, 1927,
/// pp. 209–212), which keeps within 0 and 1 and does its work for few answers and for shares of 0 and 1, too. `None` of nothing.
pub(super) fn wilson(count: u64, of: u64) -> Option<Estimate> {
    if of == 0 {
        return None;
    }
    let (n, share, z2) = (of as f64, count as f64 / of as f64, Z95 * Z95);
    let whole = 1.0 + z2 / n;
    let middle = (share + z2 / (2.0 * n)) / whole;
    let half = Z95 * (share * (1.0 - share) / n + z2 / (4.0 * n * n)).sqrt() / whole;
    Some(Estimate { value: share, low: (middle - half).max(0.0), high: (middle + half).min(1.0) })
}

/// φ, the density of the normal distribution.
fn density(z: f64) -> f64 {
    (-z * z / 2.0).exp() / std::f64::consts::TAU.sqrt()
}

/// Φ⁻¹ of a share between 0 and 1, by halving: Φ grows, and 9 standard deviations hold every share that counts can make.
fn quantile(share: f64) -> f64 {
    let below = |z: f64| 0.5 * libm::erfc(-z * std::f64::consts::FRAC_1_SQRT_2);
    let [mut low, mut high] = [-9.0, 9.0];
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if below(middle) < share { low = middle } else { high = middle }
    }
    (low + high) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: f64, expected: f64, within: f64) -> bool {
        (found - expected).abs() <= within
    }

    #[test]
    fn the_interval_is_that_of_the_literature() {
        // Newcombe, Statistics in Medicine 17, 1998, table I, method 3, to four places.
        for (count, of, low, high) in [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)]
        {
            let found = wilson(count, of).unwrap();
            assert!(near(found.low, low, 5e-5) && near(found.high, high, 5e-5), "{count} of {of}: {found:?}");
            assert!(near(found.value, count as f64 / of as f64, 1e-12));
        }
        // And by another program: Python, statistics.NormalDist.
        for (count, of, low, high) in
            [(3, 20, 0.052_368_746, 0.360_418_865), (1, 7, 0.025_679_624, 0.513_127_829), (10, 10, 0.722_467_2, 1.0)]
        {
            let found = wilson(count, of).unwrap();
            assert!(near(found.low, low, 1e-8) && near(found.high, high, 1e-8), "{count} of {of}: {found:?}");
        }
        assert_eq!(wilson(0, 0), None);
    }

    #[test]
    fn telling_apart_is_measured_as_another_program_does() {
        // Hits of so many generated pictures, false alarms of so many photos; d′ and its standard error by Python's statistics.NormalDist.
        for (hits, fakes, false_alarms, reals, value, error) in [
            (10, 10, 0, 10, 3.381_243_259, 0.974_860_485),
            (7, 10, 3, 10, 0.945_578_242, 0.583_869_415),
            (5, 10, 5, 10, 0.0, 0.560_499_122),
            (20, 25, 10, 25, 1.044_498_707, 0.379_261_330),
            (0, 10, 10, 10, -3.381_243_259, 0.974_860_485),
        ] {
            let found = Tally { fakes, fooled: fakes - hits, reals, false_alarms }.d_prime().unwrap();
            assert!(near(found.value, value, 1e-8), "{hits} of {fakes}, {false_alarms} of {reals}: {found:?}");
            assert!(near(found.high - found.value, 1.959_964 * error, 1e-6) && near(found.value - found.low, 1.959_964 * error, 1e-6));
        }
        assert_eq!(Tally { fakes: 3, ..Tally::default() }.d_prime(), None);
    }

    #[test]
    fn quantiles_are_those_of_the_table() {
        for (share, z) in [(0.5, 0.0), (0.975, 1.959_963_985), (0.025, -1.959_963_985), (0.841_344_746, 1.0), (1e-6, -4.753_424_309)] {
            assert!(near(quantile(share), z, 1e-8), "{share}: {}", quantile(share));
        }
    }

    #[test]
    fn answers_are_counted_on_their_side() {
        let mut tally = Tally::default();
        for (is_real, said_real) in [(true, true), (true, false), (false, false), (false, true), (false, true)] {
            tally.add(is_real, said_real);
        }
        assert_eq!(tally, Tally { fakes: 3, fooled: 2, reals: 2, false_alarms: 1 });
    }
}
