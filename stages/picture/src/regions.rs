//! Connected regions of a mask.

/// The connected regions of a mask: which pixels hang together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Regions {
    /// For every pixel the number of its region, counted from 1; 0 where the mask is `false`.
    pub labels: Vec<u32>,
    /// Pixels in every region; `sizes[0]` is the number of pixels in none.
    pub sizes: Vec<usize>,
}

impl Regions {
    /// The pixels in the largest region; 0 where there is none.
    pub fn largest(&self) -> usize {
        self.sizes.iter().skip(1).copied().max().unwrap_or(0)
    }

    /// For every pixel its region or, where it has none, the one that is reached first from it, step by step to the four sides;
    /// all 0 if there is no region. `width` is that of the mask.
    pub fn nearest(&self, width: usize) -> Vec<u32> {
        let mut labels = self.labels.clone();
        let height = labels.len() / width;
        let mut front: Vec<usize> = (0..labels.len()).filter(|at| labels[*at] > 0).collect();
        while !front.is_empty() {
            let mut next = Vec::new();
            for at in front {
                let (x, y) = (at % width, at / width);
                let sides = [
                    (x > 0).then(|| at - 1),
                    (x + 1 < width).then_some(at + 1),
                    (y > 0).then(|| at - width),
                    (y + 1 < height).then_some(at + width),
                ];
                for near in sides.into_iter().flatten() {
                    if labels[near] == 0 {
                        labels[near] = labels[at];
                        next.push(near);
                    }
                }
            }
            front = next;
        }
        labels
    }
}

/// The regions of `mask`, row after row of `width` pixels; neighbours are the eight around a pixel.
///
/// Regions are numbered in the order in which their first pixels are met, so equal masks have equal numbers.
///
/// # Panics
/// When `mask` is not made of whole rows.
pub fn regions(mask: &[bool], width: usize) -> Regions {
    assert!(width > 0 && mask.len().is_multiple_of(width), "a mask is made of whole rows");
    let height = mask.len() / width;
    let mut labels = vec![0; mask.len()];
    let mut sizes = vec![0];
    let mut open = Vec::new();
    for start in 0..mask.len() {
        if !mask[start] || labels[start] != 0 {
            continue;
        }
        let label = sizes.len() as u32;
        let mut size = 0;
        labels[start] = label;
        open.push(start);
        while let Some(at) = open.pop() {
            size += 1;
            let (x, y) = (at % width, at / width);
            for ny in y.saturating_sub(1)..(y + 2).min(height) {
                for near in ny * width + x.saturating_sub(1)..ny * width + (x + 2).min(width) {
                    if mask[near] && labels[near] == 0 {
                        labels[near] = label;
                        open.push(near);
                    }
                }
            }
        }
        sizes.push(size);
    }
    sizes[0] = labels.iter().filter(|label| **label == 0).count();
    Regions { labels, sizes }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rows: &[&str], labels: &[&str], sizes: &[usize]) {
        let mask: Vec<bool> = rows.concat().bytes().map(|byte| byte == b'#').collect();
        let found = regions(&mask, rows[0].len());
        let drawn: String = found.labels.iter().map(|label| char::from_digit(*label, 10).unwrap()).collect();
        assert_eq!((drawn, found.sizes.as_slice()), (labels.concat(), sizes));
    }

    #[test]
    fn every_pixel_belongs_to_the_region_nearest_to_it() {
        let rows = ["#.....", "......", ".....#"];
        let mask: Vec<bool> = rows.concat().bytes().map(|byte| byte == b'#').collect();
        let nearest: String = regions(&mask, 6).nearest(6).iter().map(|label| char::from_digit(*label, 10).unwrap()).collect();
        assert_eq!(nearest, ["111122", "111222", "112222"].concat());
        assert_eq!(regions(&[false; 4], 2).nearest(2), [0; 4]);
    }

    #[test]
    fn corners_join_and_line_ends_do_not() {
        check(&["#..#", ".#.#", "#...", "...."], &["1002", "0102", "1000", "0000"], &[11, 3, 2]);
        check(&["...#", "#..."], &["0001", "2000"], &[6, 1, 1]);
        check(&["###", "#.#", "###"], &["111", "101", "111"], &[1, 8]);
        check(&["..", ".."], &["00", "00"], &[4]);
    }
}
