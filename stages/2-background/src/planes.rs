//! Planes of numbers and their box mean, which the guided filter and the colours of edges are made of.

/// One number for every pixel, row after row.
#[derive(Debug, Clone)]
pub(crate) struct Plane {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) values: Vec<f32>,
}

/// The mean of the pixels at most `reach` away in either direction, of fewer at the frame's edge.
///
/// One pass along the rows and one along the columns, each with a running sum, so that it costs the same for every reach; the
/// sums are in double precision because they are added to and taken from thousands of times.
pub(crate) fn blurred(plane: &Plane, reach: usize) -> Plane {
    let &Plane { width, height, ref values } = plane;
    let mut along = vec![0.0_f32; values.len()];
    for (from, to) in values.chunks_exact(width).zip(along.chunks_exact_mut(width)) {
        let mut sum: f64 = from[..reach.min(width)].iter().map(|value| f64::from(*value)).sum();
        for x in 0..width {
            if x + reach < width {
                sum += f64::from(from[x + reach]);
            }
            if x > reach {
                sum -= f64::from(from[x - reach - 1]);
            }
            to[x] = (sum / ((x + reach + 1).min(width) - x.saturating_sub(reach)) as f64) as f32;
        }
    }
    // Down the columns, but a whole row at a time, which is how the memory lies.
    let mut sums = vec![0.0_f64; width];
    let add = |sums: &mut [f64], y: usize, sign: f64| {
        sums.iter_mut().zip(&along[y * width..][..width]).for_each(|(sum, value)| *sum += sign * f64::from(*value));
    };
    (0..reach.min(height)).for_each(|y| add(&mut sums, y, 1.0));
    let mut down = vec![0.0_f32; values.len()];
    for (y, to) in down.chunks_exact_mut(width).enumerate() {
        if y + reach < height {
            add(&mut sums, y + reach, 1.0);
        }
        if y > reach {
            add(&mut sums, y - reach - 1, -1.0);
        }
        let share = 1.0 / ((y + reach + 1).min(height) - y.saturating_sub(reach)) as f64;
        to.iter_mut().zip(&sums).for_each(|(to, sum)| *to = (sum * share) as f32);
    }
    Plane { width, height, values: down }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_is_that_of_the_window_also_at_the_edge_and_in_small_planes() {
        for (width, height, reach) in [(7, 5, 1), (7, 5, 2), (3, 9, 6), (1, 1, 4), (6, 1, 0)] {
            let values: Vec<f32> = (0..width * height).map(|at| ((at * 37 + 11) % 23) as f32).collect();
            let found = blurred(&Plane { width, height, values: values.clone() }, reach);
            for at in 0..width * height {
                let (x, y) = (at % width, at / width);
                let columns = x.saturating_sub(reach)..(x + reach + 1).min(width);
                let rows = y.saturating_sub(reach)..(y + reach + 1).min(height);
                let window: Vec<f32> =
                    rows.flat_map(|y| columns.clone().map(move |x| (x, y))).map(|(x, y)| values[y * width + x]).collect();
                let mean = window.iter().sum::<f32>() / window.len() as f32;
                assert!((found.values[at] - mean).abs() < 1e-4, "{width}×{height} reach {reach} at {x},{y}: {} {mean}", found.values[at]);
            }
        }
    }
}
