//! Where the subject is, or the subjects are.

use catgen_picture::{Picture, Regions, regions};

use crate::Window;

/// A region with fewer pixels than this share of the largest region is dust or noise, not part of a subject.
///
/// A share of the subject and not of the frame, so that a distant cat keeps her tail; 2 % is about an ear.
const SPECK: f64 = 0.02;

/// A region of at least this share of the largest can be a subject of its own; a smaller one is a part of the one beside it.
const SECOND: f64 = 0.3;

/// Two regions whose boxes are nearer to each other than this share of the larger box's longer side are one subject, in two pieces
/// because something stands before it.
const APART: f64 = 0.05;

/// One subject of a picture.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Subject {
    /// The smallest box around it.
    pub(crate) bounds: Window,
    /// Its pixels as a share of all, 0 to 1.
    pub(crate) share: f64,
    /// The numbers of its regions.
    labels: Vec<u32>,
}

/// The subjects of a picture.
pub(crate) struct Subjects {
    /// The largest first; of equals the one that begins higher up.
    pub(crate) all: Vec<Subject>,
    regions: Regions,
}

impl Subjects {
    /// For every pixel whether it belongs to that subject and to no other, its haze included; specks belong to whom they are
    /// nearest to. `width` is the picture's.
    pub(crate) fn belongs(&self, subject: &Subject, width: u32) -> Vec<bool> {
        let mut own = vec![true; self.regions.sizes.len()];
        for other in self.all.iter().filter(|other| *other != subject) {
            other.labels.iter().for_each(|label| own[*label as usize] = false);
        }
        self.regions.nearest(width as usize).iter().map(|label| own[*label as usize]).collect()
    }
}

/// Which pixels are subject, row after row.
///
/// With transparency, those of at least this `alpha`. Without, those that differ from the border's colour by more than
/// `colour_threshold` in red, green or blue, as the first catgen did with the colour of one corner.
pub(crate) fn mask(picture: &Picture, alpha: u8, colour_threshold: u8) -> Vec<bool> {
    match picture.alpha() {
        Some(alphas) if alphas.iter().any(|alpha| *alpha < 255) => alphas.iter().map(|value| *value >= alpha).collect(),
        _ => {
            let border = border_colour(picture);
            pixels(picture).map(|pixel| (0..3).any(|c| pixel[c].abs_diff(border[c]) > colour_threshold)).collect()
        }
    }
}

/// How much of what is not transparent is only half there, 0 to 1: fur's edge in a good cut-out, all of it in a bad one. 0 without
/// transparency.
pub(crate) fn soft_share(picture: &Picture) -> f64 {
    let Some(alpha) = picture.alpha() else { return 0.0 };
    let there = alpha.iter().filter(|alpha| **alpha >= 26).count();
    let soft = alpha.iter().filter(|alpha| (26..204).contains(*alpha)).count();
    soft as f64 / there.max(1) as f64
}

/// The subjects in a mask whose rows are `width` pixels long, specks left out.
pub(crate) fn find(mask: &[bool], width: u32) -> Subjects {
    let found = regions(mask, width as usize);
    let smallest = found.largest() as f64 * SPECK;
    let mut boxes: Vec<Option<[u32; 4]>> = vec![None; found.sizes.len()];
    for (at, &label) in found.labels.iter().enumerate() {
        if label > 0 && found.sizes[label as usize] as f64 >= smallest {
            let (x, y) = (at as u32 % width, at as u32 / width);
            let [left, top, right, bottom] = boxes[label as usize].unwrap_or([x, y, x, y]);
            boxes[label as usize] = Some([left.min(x), top.min(y), right.max(x + 1), bottom.max(y + 1)]);
        }
    }
    // From the largest region down, so that what is small finds the subject that it is a part of.
    let mut order: Vec<u32> = (1..).take(boxes.len() - 1).filter(|label| boxes[*label as usize].is_some()).collect();
    order.sort_by_key(|label| std::cmp::Reverse(found.sizes[*label as usize]));
    let second = found.largest() as f64 * SECOND;
    let mut groups: Vec<([u32; 4], usize, Vec<u32>)> = Vec::new();
    for label in order {
        let size = found.sizes[label as usize];
        let corners = boxes[label as usize].expect("only regions with a box are in the order");
        let near = groups.iter_mut().map(|group| (gap(group.0, corners), group)).min_by_key(|(gap, _)| *gap);
        match near {
            Some((gap, group)) if (size as f64) < second || f64::from(gap) < APART * f64::from(longer(group.0).max(longer(corners))) => {
                *group = (around(group.0, corners), group.1 + size, [std::mem::take(&mut group.2), vec![label]].concat());
            }
            _ => groups.push((corners, size, vec![label])),
        }
    }
    groups.sort_by_key(|(_, size, labels)| (std::cmp::Reverse(*size), labels.iter().min().copied()));
    let all = groups.into_iter().map(|([left, top, right, bottom], size, labels)| Subject {
        bounds: [left, top, right - left, bottom - top],
        share: size as f64 / mask.len() as f64,
        labels,
    });
    Subjects { all: all.collect(), regions: found }
}

/// The number of rows or columns between two boxes `[left, top, right, bottom]`, whichever are more; 0 where they overlap or touch.
fn gap(one: [u32; 4], other: [u32; 4]) -> u32 {
    let between = |near: usize, far: usize| one[near].max(other[near]).saturating_sub(one[far].min(other[far]));
    between(0, 2).max(between(1, 3))
}

fn around(one: [u32; 4], other: [u32; 4]) -> [u32; 4] {
    [one[0].min(other[0]), one[1].min(other[1]), one[2].max(other[2]), one[3].max(other[3])]
}

fn longer([left, top, right, bottom]: [u32; 4]) -> u32 {
    (right - left).max(bottom - top)
}

/// The median of every channel along the frame's edge: a single corner may hold a time stamp, the median does not care.
fn border_colour(picture: &Picture) -> [u8; 3] {
    let [width, height] = picture.size();
    let (width, height) = (width as usize, height as usize);
    let mut edge: Vec<[u8; 3]> = Vec::with_capacity(2 * (width + height));
    for (at, pixel) in pixels(picture).enumerate() {
        let (x, y) = (at % width, at / width);
        if x == 0 || y == 0 || x == width - 1 || y == height - 1 {
            edge.push(pixel);
        }
    }
    [0, 1, 2].map(|channel| {
        let mut values: Vec<u8> = edge.iter().map(|pixel| pixel[channel]).collect();
        let middle = values.len() / 2;
        *values.select_nth_unstable(middle).1
    })
}

/// Red, green and blue of every pixel, row after row.
fn pixels(picture: &Picture) -> Box<dyn Iterator<Item = [u8; 3]> + '_> {
    match picture {
        Picture::Rgb(image) => Box::new(image.as_raw().as_chunks::<3>().0.iter().copied()),
        Picture::Rgba(image) => Box::new(image.as_raw().as_chunks::<4>().0.iter().map(|&[r, g, b, _]| [r, g, b])),
    }
}
