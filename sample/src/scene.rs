//! Where the cat is: what is behind it, what it stands on, and what is in front of it.

mod indoors;
mod outdoors;
mod soft;

use crate::{
    canvas::{Canvas, Layer},
    colour::{Colour, hex, mix, scaled},
    dice::Dice,
    shape::{Point, Ribbon, Shape},
};

/// A place with everything in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scene {
    Sofa,
    Bed,
    Carpet,
    Window,
    Shelf,
    Box,
    Studio,
    Garden,
    Rooftops,
    Wall,
}

impl Scene {
    pub(crate) const ALL: [Self; 10] =
        [Self::Sofa, Self::Garden, Self::Window, Self::Carpet, Self::Bed, Self::Rooftops, Self::Studio, Self::Box, Self::Shelf, Self::Wall];

    /// The folder that somebody would have put such photos in.
    pub(crate) fn folder(self) -> &'static str {
        match self {
            Self::Sofa | Self::Bed => "sofa",
            Self::Garden | Self::Rooftops | Self::Wall => "outside",
            _ => "home",
        }
    }
}

/// Where the cat is in the photo.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layout {
    /// Width and height of the photo in pixels.
    pub(crate) size: [f32; 2],
    /// Where its paws stand, in pixels.
    pub(crate) feet: Point,
    /// Half the width of its skull in pixels.
    pub(crate) unit: f32,
}

/// Paints a scene around a cat.
pub(crate) struct Stage<'a> {
    pub(crate) canvas: &'a mut Canvas,
    pub(crate) layout: Layout,
    pub(crate) dice: &'a mut Dice,
}

impl Stage<'_> {
    /// Everything behind the cat.
    pub(crate) fn back(&mut self, scene: Scene) {
        self.canvas.layer = Layer::Behind;
        match scene {
            Scene::Sofa => self.sofa(),
            Scene::Bed => self.bed(),
            Scene::Carpet => self.carpet(),
            Scene::Window => self.window(),
            Scene::Shelf => self.shelf(),
            Scene::Box => self.box_room(),
            Scene::Studio => self.studio(),
            Scene::Garden => self.garden(),
            Scene::Rooftops => self.rooftops(),
            Scene::Wall => self.wall_top(),
        }
    }

    /// What the cat throws on what it stands on; `reach` is its left and right end in its units.
    pub(crate) fn shadow(&mut self, reach: [f32; 2], strength: f32) {
        let unit = self.layout.unit;
        let [x, y] = self.layout.feet;
        let (centre, half) = ((reach[0] + reach[1]) / 2.0 * unit, (reach[1] - reach[0]) / 2.0 * unit);
        self.canvas.glow([x + centre, y], [half * 1.15, unit * 0.62], hex(0x1a_1018), strength, None);
        self.canvas.glow([x + centre, y + unit * 0.03], [half * 0.95, unit * 0.22], hex(0x1a_1018), strength, None);
    }

    /// What is in front of the cat.
    pub(crate) fn front(&mut self, scene: Scene) {
        self.canvas.layer = Layer::Front;
        match scene {
            Scene::Garden => self.blades(),
            Scene::Box => self.box_front(),
            _ => {}
        }
    }

    fn wide(&self) -> f32 {
        self.layout.size[0]
    }

    fn high(&self) -> f32 {
        self.layout.size[1]
    }

    /// The longer side: lengths that belong to the photo and not to the cat are shares of it.
    fn long(&self) -> f32 {
        self.wide().max(self.high())
    }

    fn all(&self) -> Shape {
        Shape::rect([-2.0, -2.0], [self.wide() + 4.0, self.high() + 4.0])
    }

    fn below(&self, y: f32) -> Shape {
        Shape::rect([-2.0, y], [self.wide() + 4.0, (self.high() - y).max(0.0) + 4.0])
    }

    /// A place across the photo that the cat's head does not hide.
    fn beside(&mut self) -> f32 {
        let x = self.layout.feet[0] / self.wide();
        let (left, right) = (x - 0.22, 1.0 - x - 0.22);
        let share = if right > left {
            x + 0.22 + right.max(0.06) * self.dice.between(0.1, 0.9)
        } else {
            left.max(0.06) * self.dice.between(0.1, 0.9)
        };
        share * self.wide()
    }

    /// A round thing with a light and a dark side.
    fn ball(&mut self, centre: Point, radius: f32, colour: Colour) {
        self.canvas.glow([centre[0], centre[1] + radius * 0.95], [radius * 1.4, radius * 0.4], [0.05; 3], 0.45, None);
        let coverage = self.canvas.cover(&Shape::circle(centre, radius));
        self.canvas.paint(&coverage, colour, 1.0);
        let light = [centre[0] - radius * 0.35, centre[1] - radius * 0.4];
        self.canvas.glow(
            [centre[0] + radius * 0.3, centre[1] + radius * 0.5],
            [radius * 1.2; 2],
            scaled(colour, 0.5),
            0.7,
            Some(&coverage),
        );
        self.canvas.glow(light, [radius * 0.8; 2], mix(colour, [1.0; 3], 0.6), 0.6, Some(&coverage));
    }

    /// A plant in a pot that stands on `foot`.
    fn plant(&mut self, foot: Point, size: f32) {
        let leaf = self.dice.colour(&[0x3d_7a45, 0x5b_9a4a, 0x2f_5f4a, 0x86_a85a].map(hex));
        let spread = self.dice.between(0.7, 1.2);
        for stem in 0..9 {
            let lean = (stem as f32 - 4.0) / 4.0 * spread + self.dice.between(-0.15, 0.15);
            let rise = self.dice.between(1.2, 2.1) - 0.4 * lean * lean;
            let root = [foot[0], foot[1] - size * 0.8];
            let tip = [foot[0] + lean * size * 1.1, foot[1] - size * (0.8 + rise)];
            let middle = [foot[0] + lean * size * 0.35, foot[1] - size * (0.8 + rise * 0.6)];
            let half = size * self.dice.between(0.09, 0.16);
            let shade = scaled(leaf, self.dice.between(0.75, 1.2));
            self.canvas.fill(&Ribbon::new(&[(root, half * 0.3), (middle, half), (tip, half * 0.1)]).shape(), shade);
        }
        let pot = self.dice.colour(&[0xb5_6a45, 0xe4_ddd0, 0x3f_5f75, 0xd8_b25a].map(hex));
        let [x, y] = foot;
        let rim = Shape::polygon(&[
            [x - size * 0.5, y - size * 0.85],
            [x + size * 0.5, y - size * 0.85],
            [x + size * 0.36, y],
            [x - size * 0.36, y],
        ]);
        self.canvas.fade(&rim, pot, scaled(pot, 0.75));
        self.canvas.fill(&Shape::rounded([x - size * 0.56, y - size * 0.98], [size * 1.12, size * 0.24], size * 0.08), scaled(pot, 1.08));
    }

    /// A picture on the wall.
    fn picture_frame(&mut self, corner: Point, size: [f32; 2]) {
        let wood = self.dice.colour(&[0x6b_4a32, 0xd8_c7a5, 0x2c_2a2a, 0xf2_ece0].map(hex));
        let edge = size[0].min(size[1]) * 0.09;
        self.canvas.tint(&Shape::rect([corner[0] + edge * 0.6, corner[1] + edge * 0.8], size), [0.0; 3], 0.22);
        self.canvas.fill(&Shape::rect(corner, size), wood);
        let (inner, room) = ([corner[0] + edge, corner[1] + edge], [size[0] - 2.0 * edge, size[1] - 2.0 * edge]);
        let top = self.dice.colour(&[0xf5_efe2, 0x9f_c4d8, 0xe8_b98a, 0x2f_4858, 0xd9_6f5f].map(hex));
        let bottom = self.dice.colour(&[0x5f_8f6a, 0xe8_d8a8, 0x3b_3f5c, 0xc9_8a5a].map(hex));
        let sheet = Shape::rect(inner, room);
        let clip = self.canvas.cover(&sheet);
        self.canvas.fill(&sheet, top);
        let level = inner[1] + room[1] * self.dice.between(0.5, 0.75);
        let hill = Shape::blob(&[
            [inner[0] - room[0] * 0.3, level],
            [inner[0] + room[0] * 0.3, level - room[1] * 0.18],
            [inner[0] + room[0] * 0.8, level + room[1] * 0.06],
            [inner[0] + room[0] * 1.3, level],
            [inner[0] + room[0] * 1.3, inner[1] + room[1] * 1.6],
            [inner[0] - room[0] * 0.3, inner[1] + room[1] * 1.6],
        ]);
        self.canvas.fill_within(&hill, &clip, bottom, 1.0);
        let sun = [inner[0] + room[0] * self.dice.between(0.25, 0.75), inner[1] + room[1] * 0.28];
        self.canvas.fill_within(&Shape::circle(sun, room[0].min(room[1]) * 0.13), &clip, hex(0xf5_d77a), 0.9);
    }

    /// A lamp with its light.
    fn lamp(&mut self, foot: Point, size: f32) {
        let [x, y] = foot;
        self.canvas.fill(&Shape::rect([x - size * 0.03, y - size * 1.9], [size * 0.06, size * 1.9]), hex(0x4a_4038));
        self.canvas.fill(&Shape::ellipse([x, y], [size * 0.35, size * 0.07], 0.0), hex(0x3a_322c));
        let shade = self.dice.colour(&[0xf5_e2b0, 0xf0_c890, 0xf8_efd8].map(hex));
        let top = y - size * 2.7;
        let hood = Shape::polygon(&[
            [x - size * 0.35, top],
            [x + size * 0.35, top],
            [x + size * 0.6, top + size * 0.85],
            [x - size * 0.6, top + size * 0.85],
        ]);
        self.canvas.fade(&hood, shade, mix(shade, [1.0, 0.9, 0.6], 0.5));
        self.canvas.glow([x, top + size * 0.5], [size * 2.6, size * 2.4], [1.0, 0.88, 0.6], 0.55, None);
    }
}
