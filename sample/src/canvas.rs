//! `Canvas`: where shapes become pixels.
//!
//! A polygon's coverage of a pixel is its exact area in it: every edge leaves, in the cells it passes, the change of covered
//! area from the cell on its left, and one running sum along each row turns changes into coverage. No sampling, no threads.

use crate::{
    colour::Colour,
    shape::{Point, Shape},
};

/// How much of each pixel a shape covers, 0 to 1, within the shape's bounding box.
#[derive(Debug, Clone)]
pub(crate) struct Coverage {
    left: usize,
    top: usize,
    width: usize,
    height: usize,
    share: Vec<f32>,
}

/// What is being painted: it decides what becomes of the subject's mask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layer {
    /// Behind the cat.
    Behind,
    /// The cat.
    Cat,
    /// On the cat without being more of it: patterns, eyes, shadows.
    OnCat,
    /// In front of the cat, hiding it.
    Front,
}

/// Pixels as colours in 0 to 1, and the mask of the subject.
#[derive(Debug, Clone)]
pub(crate) struct Canvas {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) pixels: Vec<Colour>,
    pub(crate) mask: Vec<f32>,
    pub(crate) layer: Layer,
    /// Pixels of this canvas per pixel of the photo: a background is painted small and comes out softer than the cat.
    pub(crate) factor: f32,
}

impl Canvas {
    pub(crate) fn new(width: usize, height: usize, factor: f32) -> Self {
        let pixels = vec![[0.0; 3]; width * height];
        Self { width, height, pixels, mask: vec![0.0; width * height], layer: Layer::Behind, factor }
    }

    /// A canvas of the photo's size with this one's pixels, enlarged bilinearly.
    pub(crate) fn enlarged(&self, width: usize, height: usize) -> Self {
        let mut large = Self::new(width, height, 1.0);
        let place = |at: usize, limit: usize| {
            let at = ((at as f32 + 0.5) * self.factor - 0.5).clamp(0.0, (limit - 1) as f32);
            let first = (at as usize).min(limit - 2);
            (first, at - first as f32)
        };
        let columns = (0..width).map(|x| place(x, self.width)).collect::<Vec<_>>();
        let mut row = vec![[0.0; 3]; self.width];
        for (y, out) in large.pixels.chunks_exact_mut(width).enumerate() {
            let (first, share) = place(y, self.height);
            let (upper, lower) = self.pixels[first * self.width..(first + 2) * self.width].split_at(self.width);
            for ((row, upper), lower) in row.iter_mut().zip(upper).zip(lower) {
                *row = crate::colour::mix(*upper, *lower, share);
            }
            for (out, &(first, share)) in out.iter_mut().zip(&columns) {
                *out = crate::colour::mix(row[first], row[first + 1], share);
            }
        }
        large
    }

    /// What a shape, given in pixels of the photo, covers here.
    pub(crate) fn cover(&self, shape: &Shape) -> Coverage {
        let points = || shape.loops().iter().flatten().map(|point| [point[0] * self.factor, point[1] * self.factor]);
        let low = points().fold([f32::MAX; 2], |low, point| [low[0].min(point[0]), low[1].min(point[1])]);
        let high = points().fold([f32::MIN; 2], |high, point| [high[0].max(point[0]), high[1].max(point[1])]);
        let clip = |value: f32, limit: usize| value.clamp(0.0, limit as f32) as usize;
        let (left, top) = (clip(low[0].floor(), self.width), clip(low[1].floor(), self.height));
        let (right, bottom) = (clip(high[0].ceil(), self.width), clip(high[1].ceil(), self.height));
        let (width, height) = (right.saturating_sub(left), bottom.saturating_sub(top));
        let mut coverage = Coverage { left, top, width, height, share: Vec::new() };
        if width == 0 || height == 0 {
            coverage.width = 0;
            coverage.height = 0;
            return coverage;
        }
        // Two more cells a row: an edge on the right border leaves its change beyond it.
        let stride = width + 2;
        let mut change = vec![0.0; stride * height];
        let local = |point: Point| [point[0] * self.factor - left as f32, point[1] * self.factor - top as f32];
        for points in shape.loops() {
            let mut from = local(points[points.len() - 1]);
            for &point in points {
                let to = local(point);
                edge(&mut change, stride, [width as f32, height as f32], from, to);
                from = to;
            }
        }
        let mut share = Vec::with_capacity(width * height);
        for row in change.chunks_exact(stride) {
            let mut sum = 0.0f32;
            share.extend(row[..width].iter().map(|change| {
                sum += change;
                sum.abs().min(1.0)
            }));
        }
        coverage.share = share;
        coverage
    }

    /// One colour.
    pub(crate) fn fill(&mut self, shape: &Shape, colour: Colour) {
        let coverage = self.cover(shape);
        self.paint(&coverage, colour, 1.0);
    }

    /// One colour, partly transparent.
    pub(crate) fn tint(&mut self, shape: &Shape, colour: Colour, alpha: f32) {
        let coverage = self.cover(shape);
        self.paint(&coverage, colour, alpha);
    }

    /// One colour, only where `clip` covers too.
    pub(crate) fn fill_within(&mut self, shape: &Shape, clip: &Coverage, colour: Colour, alpha: f32) {
        let coverage = self.cover(shape).within(clip);
        self.paint(&coverage, colour, alpha);
    }

    /// A shade from `top` to `bottom` of the shape.
    pub(crate) fn fade(&mut self, shape: &Shape, top: Colour, bottom: Colour) {
        let coverage = self.cover(shape);
        let (start, length) = (coverage.top as f32, (coverage.height as f32).max(1.0));
        let factor = self.factor;
        self.paint_with(&coverage, 1.0, |[_, y]| {
            let t = ((y * factor - start) / length).clamp(0.0, 1.0);
            crate::colour::mix(top, bottom, t)
        });
    }

    /// A covered area in one colour.
    pub(crate) fn paint(&mut self, coverage: &Coverage, colour: Colour, alpha: f32) {
        self.each(coverage, |pixel, share, _, _| lay(pixel, colour, share * alpha));
        self.mark(coverage, alpha);
    }

    /// A covered area with a colour for every point of the photo.
    pub(crate) fn paint_with(&mut self, coverage: &Coverage, alpha: f32, ink: impl Fn(Point) -> Colour) {
        let back = 1.0 / self.factor;
        self.each(coverage, |pixel, share, x, y| {
            lay(pixel, ink([(x as f32 + 0.5) * back, (y as f32 + 0.5) * back]), share * alpha);
        });
        self.mark(coverage, alpha);
    }

    /// Multiplies the covered area by a brightness for every point of the photo.
    pub(crate) fn shade(&mut self, coverage: &Coverage, brightness: impl Fn(Point) -> f32) {
        let back = 1.0 / self.factor;
        self.each(coverage, |pixel, share, x, y| {
            let factor = 1.0 + share * (brightness([(x as f32 + 0.5) * back, (y as f32 + 0.5) * back]) - 1.0);
            *pixel = pixel.map(|value| value * factor);
        });
    }

    /// A spot that fades towards its rim, round in `frame`'s units; it leaves the mask alone.
    pub(crate) fn glow(&mut self, centre: Point, radii: [f32; 2], colour: Colour, alpha: f32, clip: Option<&Coverage>) {
        let rim = Shape::rect([centre[0] - radii[0], centre[1] - radii[1]], [2.0 * radii[0], 2.0 * radii[1]]);
        let mut area = self.cover(&rim);
        if let Some(clip) = clip {
            area = area.within(clip);
        }
        let back = 1.0 / self.factor;
        let inverse = [1.0 / radii[0], 1.0 / radii[1]];
        self.each(&area, |pixel, share, x, y| {
            let dx = ((x as f32 + 0.5) * back - centre[0]) * inverse[0];
            let dy = ((y as f32 + 0.5) * back - centre[1]) * inverse[1];
            let rest = 1.0 - dx * dx - dy * dy;
            if rest > 0.0 {
                lay(pixel, colour, share * alpha * rest * rest);
            }
        });
    }

    fn each(&mut self, coverage: &Coverage, mut visit: impl FnMut(&mut Colour, f32, usize, usize)) {
        for (row, shares) in coverage.share.chunks_exact(coverage.width.max(1)).enumerate() {
            let y = coverage.top + row;
            let start = y * self.width + coverage.left;
            for (column, (pixel, &share)) in self.pixels[start..start + coverage.width].iter_mut().zip(shares).enumerate() {
                if share > 0.002 {
                    visit(pixel, share, coverage.left + column, y);
                }
            }
        }
    }

    fn mark(&mut self, coverage: &Coverage, alpha: f32) {
        let cat = match self.layer {
            Layer::Behind | Layer::OnCat => return,
            Layer::Cat => 1.0,
            Layer::Front => 0.0,
        };
        for (row, shares) in coverage.share.chunks_exact(coverage.width.max(1)).enumerate() {
            let start = (coverage.top + row) * self.width + coverage.left;
            for (mask, share) in self.mask[start..start + coverage.width].iter_mut().zip(shares) {
                *mask += (cat - *mask) * share * alpha;
            }
        }
    }
}

impl Coverage {
    /// What both cover.
    pub(crate) fn within(mut self, clip: &Self) -> Self {
        let (left, top) = (self.left.max(clip.left), self.top.max(clip.top));
        let right = (self.left + self.width).min(clip.left + clip.width).max(left);
        let bottom = (self.top + self.height).min(clip.top + clip.height).max(top);
        let (width, height) = (right - left, bottom - top);
        let mut share = Vec::with_capacity(width * height);
        for y in top..bottom {
            let own = (y - self.top) * self.width + left - self.left;
            let other = (y - clip.top) * clip.width + left - clip.left;
            share.extend(self.share[own..own + width].iter().zip(&clip.share[other..other + width]).map(|(a, b)| a * b));
        }
        self.share = share;
        (self.left, self.top, self.width, self.height) = (left, top, width, height);
        self
    }
}

fn lay(pixel: &mut Colour, colour: Colour, alpha: f32) {
    pixel[0] += (colour[0] - pixel[0]) * alpha;
    pixel[1] += (colour[1] - pixel[1]) * alpha;
    pixel[2] += (colour[2] - pixel[2]) * alpha;
}

/// Leaves the change of coverage that one edge makes in the rows it passes.
fn edge(change: &mut [f32], stride: usize, [width, height]: [f32; 2], from: Point, to: Point) {
    if from[1] == to[1] {
        return;
    }
    let (direction, upper, lower) = if from[1] < to[1] { (1.0, from, to) } else { (-1.0, to, from) };
    let slope = (lower[0] - upper[0]) / (lower[1] - upper[1]);
    let (first, last) = (upper[1].max(0.0), lower[1].min(height));
    if first >= last {
        return;
    }
    let mut y = first;
    let mut row = y as usize;
    while y < last {
        let next = ((row + 1) as f32).min(last);
        let (a, b) = (upper[0] + (y - upper[1]) * slope, upper[0] + (next - upper[1]) * slope);
        let (a, b) = (a.clamp(0.0, width), b.clamp(0.0, width));
        let (a, b) = if a < b { (a, b) } else { (b, a) };
        let height = direction * (next - y);
        let cells = &mut change[row * stride..(row + 1) * stride];
        let (low, high) = (a as usize, b as usize);
        if low == high {
            // One cell: a trapezoid of it lies right of the edge, all of every later cell.
            let middle = (a + b) / 2.0 - low as f32;
            cells[low] += height * (1.0 - middle);
            cells[low + 1] += height * middle;
        } else {
            // Several cells: the edge climbs by `rise` a cell; `done` is what the cells so far have been told.
            let rise = height / (b - a);
            let mut done = 0.0;
            for (cell, slot) in (low..=high).zip(&mut cells[low..]) {
                let (start, end) = ((cell as f32).max(a), ((cell + 1) as f32).min(b));
                let right = (cell + 1) as f32;
                let reached = rise * (start - a);
                let area = reached + rise * (end - start) * (right - (start + end) / 2.0);
                *slot += area - done;
                done = area;
            }
            cells[high + 1] += height - done;
        }
        y = next;
        row += 1;
    }
}
