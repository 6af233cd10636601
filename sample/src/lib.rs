//! Cartoon cats, drawn from numbers: photos for a first run and for tests, each with the mask that a perfect segmentation
//! would find.
//!
//! A cat is a function of (seed, index): coat, face, pose, scene, light and camera are all drawn from [`catgen_api::Draw`],
//! so anybody can name a picture and anybody else can make it again. What it refuses to do: read a clock, use a thread, look
//! at the disk ([`write()`] writes, and only what it was asked for). Broken files are no business of this crate.

mod canvas;
mod cat;
mod colour;
mod dice;
mod files;
mod light;
mod scene;
mod shape;

pub use files::{How, Sample, Written, write};
pub use image::{GrayImage, RgbImage};

use canvas::Canvas;
use cat::{Character, Painter, Pose};
use dice::Dice;
use light::Light;
use scene::{Layout, Scene, Stage};
use shape::Frame;

/// A drawn photo and the truth about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cat {
    /// The photo, 480 to 1400 pixels on its longer side.
    pub picture: RgbImage,
    /// Of the photo's size: 255 where the cat is (whiskers and collar included), 0 where it is not or where something hides it.
    pub mask: GrayImage,
}

/// Draws cat `index` of `seed`.
pub fn draw(seed: u64, index: u64) -> Cat {
    let plan = Plan::new(seed, index);
    plan.draw()
}

/// Everything decided before the first pixel.
struct Plan {
    seed: u64,
    index: u64,
    scene: Scene,
    pose: Pose,
    layout: Layout,
    flip: bool,
    character: Character,
    light: Light,
}

impl Plan {
    fn new(seed: u64, index: u64) -> Self {
        let dice = &mut Dice::new(seed, "sample plan", index);
        // Scenes and poses take turns, so that a few photos already show most of both; their order is the seed's.
        let (first, second) = (Dice::new(seed, "sample turn", 0).below(10) as u64, Dice::new(seed, "sample turn", 1).below(7) as u64);
        let scene = Scene::ALL[((index + first) % 10) as usize];
        let mut pose = Pose::ALL[((index * 3 + index / 7 + second) % 7) as usize];
        if scene == Scene::Box {
            pose = if dice.coin(0.5) { Pose::Sitting } else { Pose::SittingSideways };
        }
        let size = photo_size(dice);
        let flip = dice.coin(0.5);
        let layout = place(size, scene, pose, flip, dice);
        let mut character = Character::roll(dice);
        character.look.eyes = cat::eyes_for(pose, character.look.eyes, dice);
        let light = Light::roll(dice);
        Self { seed, index, scene, pose, layout, flip, character, light }
    }

    fn draw(&self) -> Cat {
        let (width, height) = (self.layout.size[0] as usize, self.layout.size[1] as usize);
        let mut canvas = self.background(width, height);
        let dice = &mut Dice::new(self.seed, "sample cat", self.index);
        let bounds = self.pose.extent().bounds;
        let reach = if self.flip { [-bounds[2] * 0.9, -bounds[0] * 0.9] } else { [bounds[0] * 0.9, bounds[2] * 0.9] };
        Stage { canvas: &mut canvas, layout: self.layout, dice }.shadow(reach, 0.55);
        let frame = Frame::new(self.layout.feet, self.layout.unit, self.flip);
        Painter { canvas: &mut canvas, frame, character: &self.character, dice }.cat(self.pose);
        Stage { canvas: &mut canvas, layout: self.layout, dice }.front(self.scene);
        let (picture, mask) = self.light.develop(&canvas);
        Cat { picture, mask }
    }

    /// The scene, painted at about half the size and enlarged: quicker, and softer than the cat, as a lens would have it.
    fn background(&self, width: usize, height: usize) -> Canvas {
        let factor = if width.max(height) > 800 { 0.45 } else { 0.6 };
        let small = |side: usize| (side as f32 * factor).ceil() as usize + 1;
        let mut back = Canvas::new(small(width), small(height), factor);
        let dice = &mut Dice::new(self.seed, "sample scene", self.index);
        Stage { canvas: &mut back, layout: self.layout, dice }.back(self.scene);
        back.enlarged(width, height)
    }
}

/// Width and height in pixels, in the usual shapes.
fn photo_size(dice: &mut Dice) -> [f32; 2] {
    let long = dice.pick(&[480.0f32, 600.0, 640.0, 720.0, 800.0, 960.0, 1024.0, 1200.0, 1400.0]);
    let short = (long * dice.pick(&[0.5625, 0.6667, 0.75, 0.75, 0.8, 1.0])).round();
    if dice.coin(0.6) { [long, short] } else { [short, long] }
}

/// Where the cat goes and how large it is.
fn place([wide, high]: [f32; 2], scene: Scene, pose: Pose, flip: bool, dice: &mut Dice) -> Layout {
    let extent = pose.extent();
    let [left, top, right, bottom] = extent.bounds;
    let (left, right) = if flip { (-right, -left) } else { (left, right) };
    let share = dice.between(0.14, 0.38);
    let wanted = (share * wide * high / extent.area).sqrt();
    // A little may be cut off at the sides, as in real photos; the head never is.
    let unit = wanted.min(0.98 * wide / (right - left)).min(0.93 * high / (bottom - top));
    let free = |room: f32, low: f32, high: f32, at: f32| -low * unit + (room - (high - low) * unit) * at;
    let across = dice.between(0.0, 1.0);
    let down = dice.between(0.35, 1.0) - if scene == Scene::Box { 0.1 } else { 0.0 };
    Layout { size: [wide, high], feet: [free(wide, left, right, across), free(high, top, bottom, down)], unit }
}

#[cfg(test)]
mod tests;
