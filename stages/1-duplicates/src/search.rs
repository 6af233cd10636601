//! Search by Hamming distance among the hashes kept so far.
//!
//! Each word of a hash is cut into 5 bands of 12 or 13 bits. If two hashes differ in at most `d` bits, then some band
//! differs in few: with a radius `rᵢ` for each band and Σ (rᵢ + 1) > d, at least one band differs in at most its `rᵢ`
//! bits (Norouzi, Punjani, Fleet, "Fast search in Hamming space with multi-index hashing", 2012). So every band has
//! a table from its values to the hashes that have them, and a query looks up the values within the radius. Few
//! hashes, or a large `d`, are quicker looked at one after the other. Both ways give the same, exact answer.
//!
//! 100,000 hashes within 15 bits take about 2 s of one core, 1,000 take 3 ms. Fewer, longer bands mean more look-ups,
//! more and shorter ones more hashes behind each; 5 to 7 bands cost the same, 4 half as much again.

/// Bands of one word.
const BANDS: usize = 5;

/// Where each band of a word starts, in bits, and where the last one ends.
const STARTS: [u32; BANDS + 1] = [0, 13, 26, 39, 52, 64];

/// More look-ups than this for one query are never worth it: hashes kept are far apart, so a large `d` keeps few.
const MAX_PROBES: usize = 20_000;

/// Hashes of `W` words, found again by distance.
pub(crate) struct Kept<const W: usize> {
    max_distance: u32,
    hashes: Vec<[u64; W]>,
    bands: Vec<Band<W>>,
    /// Look-ups that one query takes.
    probes: usize,
}

/// The table of one band.
struct Band<const W: usize> {
    /// The word it is cut from.
    word: usize,
    /// Its first bit there.
    start: u32,
    /// Its bits, at the bottom.
    mask: u64,
    /// What to flip in a query's band to get every value within the radius.
    flips: Vec<u64>,
    /// For each value the hashes that have it, each with its number.
    table: Vec<Vec<([u64; W], u32)>>,
}

impl<const W: usize> Kept<W> {
    /// Nothing kept; queries will ask for at most `max_distance` bits.
    pub(crate) fn new(max_distance: u32) -> Self {
        let count = (BANDS * W) as u32;
        // Σ (rᵢ + 1) = max_distance + 1, spread evenly; a band with a share of 0 is not looked at.
        let share = |band: u32| (max_distance + 1) / count + u32::from(band < (max_distance + 1) % count);
        let radii: Vec<u32> = (0..count).map(share).filter(|share| *share > 0).map(|share| share - 1).collect();
        let band = |(band, radius): (usize, u32)| {
            let (start, end) = (STARTS[band % BANDS], STARTS[band % BANDS + 1]);
            let values = 1 << (end - start);
            let flips = (0..values).filter(|flip: &u64| flip.count_ones() <= radius).collect();
            Band { word: band / BANDS, start, mask: values - 1, flips, table: vec![Vec::new(); values as usize] }
        };
        let mut bands: Vec<Band<W>> = radii.into_iter().enumerate().map(band).collect();
        let probes = bands.iter().map(|band| band.flips.len()).sum();
        if probes > MAX_PROBES {
            bands.clear();
        }
        Self { max_distance, hashes: Vec::new(), bands, probes }
    }

    /// Keeps one more; hashes are numbered from 0 in this order.
    pub(crate) fn push(&mut self, hash: [u64; W]) {
        let number = u32::try_from(self.hashes.len()).expect("there are fewer than 2³² photos");
        for band in &mut self.bands {
            let value = band.value(&hash);
            band.table[value as usize].push((hash, number));
        }
        self.hashes.push(hash);
    }

    /// Distance and number of the nearest hash within the distance among those that are the `same`, told by number and
    /// distance; of equally near ones the first kept.
    pub(crate) fn nearest(&self, hash: &[u64; W], same: impl Fn(usize, u32) -> bool) -> Option<(u32, usize)> {
        let mut best = None;
        let mut look = |other: &[u64; W], number: usize| {
            let distance = distance(hash, other);
            if distance <= self.max_distance && best.is_none_or(|best| (distance, number) < best) && same(number, distance) {
                best = Some((distance, number));
            }
        };
        if self.bands.is_empty() || self.hashes.len() <= self.probes {
            for (number, other) in self.hashes.iter().enumerate() {
                look(other, number);
            }
            return best;
        }
        for band in &self.bands {
            let value = band.value(hash);
            for flip in &band.flips {
                for (other, number) in &band.table[(value ^ flip) as usize] {
                    look(other, *number as usize);
                }
            }
        }
        best
    }
}

impl<const W: usize> Band<W> {
    fn value(&self, hash: &[u64; W]) -> u64 {
        (hash[self.word] >> self.start) & self.mask
    }
}

fn distance<const W: usize>(a: &[u64; W], b: &[u64; W]) -> u32 {
    a.iter().zip(b).map(|(a, b)| (a ^ b).count_ones()).sum()
}

#[cfg(test)]
mod tests {
    use catgen_api::{Digest, Draw};

    use super::*;

    /// Hashes of which many are near to each other, as a photographer's are.
    fn hashes<const W: usize>(count: usize, draw: &mut Draw) -> Vec<[u64; W]> {
        let mut hashes: Vec<[u64; W]> = Vec::new();
        for _ in 0..count {
            let mut hash = if hashes.is_empty() || draw.coin(0.5) {
                std::array::from_fn(|_| draw.bits())
            } else {
                hashes[draw.below(hashes.len() as u64) as usize]
            };
            for _ in 0..draw.below(20) {
                let bit = draw.below(64 * W as u64);
                hash[(bit / 64) as usize] ^= 1 << (bit % 64);
            }
            hashes.push(hash);
        }
        hashes
    }

    fn check<const W: usize>(max_distance: u32, count: usize) {
        let mut draw = Draw::new(7439, "search", &Digest::of(b""), u64::from(max_distance));
        let mut kept = Kept::<W>::new(max_distance);
        // A third is "not the same", so that the nearest hash is not always the answer.
        let same = |number: usize, _| !number.is_multiple_of(3);
        let (mut found, mut all) = (0, Vec::new());
        for hash in hashes::<W>(count, &mut draw) {
            let expected =
                all.iter().enumerate().filter(|(number, _)| same(*number, 0)).map(|(number, other)| (distance(&hash, other), number));
            let expected = expected.filter(|(distance, _)| *distance <= max_distance).min();
            assert_eq!(kept.nearest(&hash, same), expected, "W {W}, max_distance {max_distance}, {} kept", all.len());
            found += usize::from(expected.is_some());
            kept.push(hash);
            all.push(hash);
        }
        assert!(found > count / 100, "the test must find something: {found}");
        assert!(kept.bands.is_empty() || count > kept.probes, "the tables were never used: {} look-ups", kept.probes);
    }

    #[test]
    fn tables_and_looking_at_all_give_the_same_answer() {
        check::<1>(0, 1500);
        check::<1>(6, 1500);
        check::<1>(10, 1500);
        check::<1>(12, 1500);
        check::<1>(40, 200);
        check::<4>(10, 500);
        check::<4>(64, 4000);
    }
}
