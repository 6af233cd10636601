//! Outlines: closed polygons made of ellipses, smooth curves and ribbons, and the frames that place them.

/// Across and down, in whatever unit the frame at hand has.
pub(crate) type Point = [f32; 2];

/// One or more closed polygons, all turning the same way, so that where they overlap they add up instead of cancelling.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shape {
    loops: Vec<Vec<Point>>,
}

/// Points on a curve between two of the points it goes through.
const STEPS: usize = 10;

impl Shape {
    /// Straight lines between the points, closed.
    pub(crate) fn polygon(points: &[Point]) -> Self {
        Self { loops: vec![oriented(points.to_vec())] }
    }

    /// An ellipse turned by `angle` radians.
    pub(crate) fn ellipse(centre: Point, radii: [f32; 2], angle: f32) -> Self {
        let [cos, sin] = cos_sin(angle);
        let rim = (0..72).map(|step| {
            let [x, y] = cos_sin(step as f32 * (core::f32::consts::TAU / 72.0));
            let [x, y] = [x * radii[0], y * radii[1]];
            [centre[0] + x * cos - y * sin, centre[1] + x * sin + y * cos]
        });
        Self::polygon(&rim.collect::<Vec<_>>())
    }

    /// A circle.
    pub(crate) fn circle(centre: Point, radius: f32) -> Self {
        Self::ellipse(centre, [radius, radius], 0.0)
    }

    /// An upright rectangle, from its left upper corner.
    pub(crate) fn rect([x, y]: Point, [width, height]: [f32; 2]) -> Self {
        Self::polygon(&[[x, y], [x + width, y], [x + width, y + height], [x, y + height]])
    }

    /// An upright rectangle with round corners.
    pub(crate) fn rounded([x, y]: Point, [width, height]: [f32; 2], radius: f32) -> Self {
        let radius = radius.min(width.abs() / 2.0).min(height.abs() / 2.0);
        let corners = [
            [x + width - radius, y + height - radius],
            [x + radius, y + height - radius],
            [x + radius, y + radius],
            [x + width - radius, y + radius],
        ];
        let mut points = Vec::with_capacity(4 * 13);
        for (quarter, corner) in corners.iter().enumerate() {
            for step in 0..=12 {
                let [cos, sin] = cos_sin((quarter as f32 + step as f32 / 12.0) * core::f32::consts::FRAC_PI_2);
                points.push([corner[0] + radius * cos, corner[1] + radius * sin]);
            }
        }
        Self::polygon(&points)
    }

    /// A closed smooth curve through the points.
    pub(crate) fn blob(points: &[Point]) -> Self {
        let count = points.len();
        let mut rim = Vec::with_capacity(count * STEPS);
        for i in 0..count {
            let around = [points[(i + count - 1) % count], points[i], points[(i + 1) % count], points[(i + 2) % count]];
            rim.extend((0..STEPS).map(|step| catmull_rom(around, step as f32 / STEPS as f32)));
        }
        Self { loops: vec![oriented(rim)] }
    }

    /// The left half of an outline, top to bottom, and its mirror image on the right, as one smooth closed curve.
    pub(crate) fn mirrored_blob(half: &[Point]) -> Self {
        let right = half.iter().rev().filter(|point| point[0] != 0.0).map(|&[x, y]| [-x, y]);
        Self::blob(&half.iter().copied().chain(right).collect::<Vec<_>>())
    }

    /// Both shapes together.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.loops.extend(other.loops);
        self
    }

    /// Every point moved by `place`.
    pub(crate) fn map(&self, place: impl Fn(Point) -> Point) -> Self {
        Self { loops: self.loops.iter().map(|points| oriented(points.iter().map(|&point| place(point)).collect())).collect() }
    }

    /// The polygons.
    pub(crate) fn loops(&self) -> &[Vec<Point>] {
        &self.loops
    }

    /// A line of half width `half` along the outline.
    pub(crate) fn outline(&self, half: f32) -> Self {
        let mut all = Self::default();
        for points in &self.loops {
            let count = points.len();
            let normal = |i: usize| {
                let (before, after) = (points[(i + count - 1) % count], points[(i + 1) % count]);
                let along = [after[0] - before[0], after[1] - before[1]];
                let length = (along[0] * along[0] + along[1] * along[1]).sqrt().max(1e-6);
                [-along[1] / length * half, along[0] / length * half]
            };
            for i in 0..count {
                let (a, b) = (points[i], points[(i + 1) % count]);
                let (m, n) = (normal(i), normal((i + 1) % count));
                all.loops.push(oriented(vec![
                    [a[0] + m[0], a[1] + m[1]],
                    [b[0] + n[0], b[1] + n[1]],
                    [b[0] - n[0], b[1] - n[1]],
                    [a[0] - m[0], a[1] - m[1]],
                ]));
            }
        }
        all
    }
}

/// A smooth line with a width that changes along it: a tail, a leg, a stripe, a whisker.
#[derive(Debug, Clone)]
pub(crate) struct Ribbon {
    /// Centre and half width, closely spaced.
    samples: Vec<(Point, f32)>,
}

impl Ribbon {
    /// Through the points, with a half width given at each.
    pub(crate) fn new(points: &[(Point, f32)]) -> Self {
        let last = points.len() - 1;
        let mut samples = Vec::with_capacity(last * STEPS + 1);
        for i in 0..last {
            let at = |k: usize| points[k].0;
            let ends = [mirror_end(at(0), at(1)), mirror_end(at(last), at(last - 1))];
            let around = [if i == 0 { ends[0] } else { at(i - 1) }, at(i), at(i + 1), if i + 2 > last { ends[1] } else { at(i + 2) }];
            for step in 0..STEPS {
                let t = step as f32 / STEPS as f32;
                let smooth = t * t * (3.0 - 2.0 * t);
                samples.push((catmull_rom(around, t), points[i].1 + (points[i + 1].1 - points[i].1) * smooth));
            }
        }
        samples.push(points[last]);
        Self { samples }
    }

    /// Even in width.
    pub(crate) fn even(points: &[Point], half: f32) -> Self {
        Self::new(&points.iter().map(|&point| (point, half)).collect::<Vec<_>>())
    }

    /// The whole ribbon with round ends.
    pub(crate) fn shape(&self) -> Shape {
        self.part(0.0, 1.0, true)
    }

    /// The part between two shares of its length, cut straight.
    pub(crate) fn section(&self, from: f32, to: f32) -> Shape {
        self.part(from, to, false)
    }

    /// The centre at a share of the length.
    pub(crate) fn at(&self, share: f32) -> Point {
        self.samples[self.index(share)].0
    }

    /// Lines of half width `half` along both sides of a part.
    pub(crate) fn sides(&self, from: f32, to: f32, half: f32) -> Shape {
        let mut both = Shape::default();
        for side in [-1.0, 1.0] {
            let samples = (self.index(from)..=self.index(to)).map(|i| (self.beside(i, side), half));
            both = both.and(Self { samples: samples.collect() }.shape());
        }
        both
    }

    /// The point on the rim beside a sample.
    fn beside(&self, i: usize, side: f32) -> Point {
        let (before, after) = (self.samples[i.saturating_sub(1)].0, self.samples[(i + 1).min(self.samples.len() - 1)].0);
        let along = [after[0] - before[0], after[1] - before[1]];
        let length = (along[0] * along[0] + along[1] * along[1]).sqrt().max(1e-6);
        let ([x, y], half) = self.samples[i];
        [x - side * along[1] / length * half, y + side * along[0] / length * half]
    }

    fn index(&self, share: f32) -> usize {
        ((share.clamp(0.0, 1.0) * (self.samples.len() - 1) as f32 + 0.5) as usize).min(self.samples.len() - 1)
    }

    fn part(&self, from: f32, to: f32, round: bool) -> Shape {
        let (first, last) = (self.index(from), self.index(to).max(self.index(from) + 1).min(self.samples.len() - 1));
        let first = first.min(last.saturating_sub(1));
        let left = (first..=last).map(|i| self.beside(i, 1.0)).collect::<Vec<_>>();
        let right = (first..=last).map(|i| self.beside(i, -1.0)).collect::<Vec<_>>();
        let cap = |rim: &mut Vec<Point>, i: usize, from: Point| {
            // Half a turn about the end, from the side where the rim stands to the other.
            let (centre, _) = self.samples[i];
            let start = [from[0] - centre[0], from[1] - centre[1]];
            for step in 1..12 {
                let [cos, sin] = cos_sin(-(step as f32) * (core::f32::consts::PI / 12.0));
                rim.push([centre[0] + start[0] * cos - start[1] * sin, centre[1] + start[0] * sin + start[1] * cos]);
            }
        };
        let mut rim = left;
        if round {
            let end = *rim.last().expect("a part has two samples at least");
            cap(&mut rim, last, end);
        }
        rim.extend(right.iter().rev());
        if round {
            cap(&mut rim, first, right[0]);
        }
        Shape { loops: vec![oriented(rim)] }
    }
}

/// Where the drawing's own units lie in the picture.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame {
    origin: Point,
    across: Point,
    down: Point,
}

impl Frame {
    /// Its origin at `origin`, one unit `scale` long; `flip` turns left into right.
    pub(crate) fn new(origin: Point, scale: f32, flip: bool) -> Self {
        Self { origin, across: [if flip { -scale } else { scale }, 0.0], down: [0.0, scale] }
    }

    /// A frame within this one: at `origin`, `scale` times as large, turned by `angle` radians.
    pub(crate) fn child(&self, origin: Point, scale: f32, angle: f32) -> Self {
        let [cos, sin] = cos_sin(angle);
        let combine = |a: f32, b: f32| [scale * (a * self.across[0] + b * self.down[0]), scale * (a * self.across[1] + b * self.down[1])];
        Self { origin: self.at(origin), across: combine(cos, sin), down: combine(-sin, cos) }
    }

    /// A point of this frame in the picture.
    pub(crate) fn at(&self, [x, y]: Point) -> Point {
        [self.origin[0] + x * self.across[0] + y * self.down[0], self.origin[1] + x * self.across[1] + y * self.down[1]]
    }

    /// A point of the picture in this frame.
    pub(crate) fn back(&self, [x, y]: Point) -> Point {
        let determinant = self.across[0] * self.down[1] - self.across[1] * self.down[0];
        let [x, y] = [x - self.origin[0], y - self.origin[1]];
        [(x * self.down[1] - y * self.down[0]) / determinant, (y * self.across[0] - x * self.across[1]) / determinant]
    }

    /// A shape of this frame in the picture.
    pub(crate) fn place(&self, shape: &Shape) -> Shape {
        shape.map(|point| self.at(point))
    }

    /// How many pixels one unit is long.
    pub(crate) fn unit(&self) -> f32 {
        (self.down[0] * self.down[0] + self.down[1] * self.down[1]).sqrt()
    }
}

/// Cosine and sine by their series, so that every machine draws the same cat: the standard library's may differ in the last bit.
pub(crate) fn cos_sin(angle: f32) -> Point {
    use core::f32::consts::{FRAC_PI_2, TAU};
    let turns = angle / TAU;
    let rest = (turns - turns.floor()) * 4.0;
    let quarter = rest.floor();
    // Within an eighth of a turn of the nearest multiple, where five terms are exact to the last bit or so.
    let (quarter, x) = if rest - quarter > 0.5 { (quarter + 1.0, rest - quarter - 1.0) } else { (quarter, rest - quarter) };
    let x = x * FRAC_PI_2;
    let square = x * x;
    let sin = x * (1.0 - square / 6.0 * (1.0 - square / 20.0 * (1.0 - square / 42.0 * (1.0 - square / 72.0))));
    let cos = 1.0 - square / 2.0 * (1.0 - square / 12.0 * (1.0 - square / 30.0 * (1.0 - square / 56.0)));
    match quarter as u32 % 4 {
        0 => [cos, sin],
        1 => [-sin, cos],
        2 => [-cos, -sin],
        _ => [sin, -cos],
    }
}

/// The uniform Catmull-Rom spline between the two middle points.
fn catmull_rom([a, b, c, d]: [Point; 4], t: f32) -> Point {
    let along = |k: usize| {
        let (a, b, c, d) = (a[k], b[k], c[k], d[k]);
        b + 0.5 * t * (c - a + t * (2.0 * a - 5.0 * b + 4.0 * c - d + t * (3.0 * (b - c) + d - a)))
    };
    [along(0), along(1)]
}

fn mirror_end(end: Point, next: Point) -> Point {
    [2.0 * end[0] - next[0], 2.0 * end[1] - next[1]]
}

/// The points in the order that makes the area positive.
fn oriented(mut points: Vec<Point>) -> Vec<Point> {
    let count = points.len();
    let area: f32 = (0..count).map(|i| (points[i], points[(i + 1) % count])).map(|(a, b)| a[0] * b[1] - a[1] * b[0]).sum();
    if area < 0.0 {
        points.reverse();
    }
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cosine_and_sine_are_those_of_the_standard_library() {
        for step in -100..100 {
            let angle = step as f32 * 0.173;
            let [cos, sin] = cos_sin(angle);
            assert!((cos - angle.cos()).abs() < 2e-6 && (sin - angle.sin()).abs() < 2e-6, "{angle}: {cos} {sin}");
        }
    }

    #[test]
    fn a_frame_leads_there_and_back() {
        let frame = Frame::new([30.0, 40.0], 12.0, true).child([1.0, -2.0], 0.5, 0.7);
        let [x, y] = frame.back(frame.at([0.3, -1.1]));
        assert!((x - 0.3).abs() < 1e-5 && (y + 1.1).abs() < 1e-5, "{x} {y}");
    }
}
