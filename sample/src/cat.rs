//! The cat: what it looks like, and its parts in the order in which they hide each other.

mod coat;
mod head;
mod pose;

use crate::{
    canvas::{Canvas, Coverage, Layer},
    colour::{Colour, luma, mix, scaled},
    dice::Dice,
    shape::{Frame, Point, Ribbon, Shape},
};

pub(crate) use coat::{Coat, Pattern};
pub(crate) use head::{Eyes, Look};
pub(crate) use pose::{Pose, eyes_for};

/// What cannot be seen of the pose: coat, face and collar.
#[derive(Debug, Clone)]
pub(crate) struct Character {
    pub(crate) coat: Coat,
    pub(crate) look: Look,
    pub(crate) collar: Option<Colour>,
}

impl Character {
    pub(crate) fn roll(dice: &mut Dice) -> Self {
        let coat = Coat::roll(dice);
        let look = Look::roll(dice, &coat);
        let collars = [0xc8_3737, 0x2f_6fb5, 0x2f_9c72, 0xe0_9f2b, 0x7d_4fb0, 0xd8_5c94, 0x22_2222].map(crate::colour::hex);
        let collar = dice.coin(0.45).then(|| dice.pick(&collars));
        Self { coat, look, collar }
    }
}

/// Paints parts of a cat: each gets its coat, its pattern, a soft shade and a thin outline.
pub(crate) struct Painter<'a> {
    pub(crate) canvas: &'a mut Canvas,
    pub(crate) frame: Frame,
    pub(crate) character: &'a Character,
    pub(crate) dice: &'a mut Dice,
}

/// What kind of limb.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limb {
    Leg,
    /// A leg on the side turned away.
    FarLeg,
    Tail,
}

impl Painter<'_> {
    pub(crate) fn coat(&self) -> &Coat {
        &self.character.coat
    }

    /// Lays the shape down as part of the cat and returns where it is, for what goes on top of it.
    pub(crate) fn part(&mut self, shape: &Shape, colour: Colour) -> Coverage {
        let placed = self.frame.place(shape);
        self.canvas.layer = Layer::Cat;
        let coverage = self.canvas.cover(&placed);
        self.canvas.paint(&coverage, colour, 1.0);
        self.canvas.layer = Layer::OnCat;
        coverage
    }

    /// Something painted on a part.
    pub(crate) fn on(&mut self, clip: &Coverage, shape: &Shape, colour: Colour, alpha: f32) {
        let placed = self.frame.place(shape);
        self.canvas.fill_within(&placed, clip, colour, alpha);
    }

    /// A soft spot on a part (or, without one, on whatever is there).
    pub(crate) fn spot(&mut self, clip: Option<&Coverage>, centre: Point, radii: [f32; 2], colour: Colour, alpha: f32) {
        let unit = self.frame.unit();
        let radii = radii.map(|radius| radius * unit);
        let centre = self.frame.at(centre);
        self.canvas.glow(centre, radii, colour, alpha, clip);
    }

    /// Light from above: brighter towards `centre` pulled up, darker towards the rim and below.
    pub(crate) fn round(&mut self, coverage: &Coverage, centre: Point, radii: [f32; 2]) {
        let frame = self.frame;
        let depth = if self.coat().is_dark() { 0.20 } else { 0.24 };
        self.canvas.shade(coverage, |point| {
            let [x, y] = frame.back(point);
            let (dx, dy) = ((x - centre[0]) / radii[0] + 0.18, (y - centre[1]) / radii[1] + 0.35);
            (1.07 - depth * 0.6 * (dx * dx + dy * dy)).max(0.66)
        });
    }

    /// A thin line around a part, in a darker tone of its coat.
    pub(crate) fn outline(&mut self, shape: &Shape, alpha: f32) {
        let placed = self.frame.place(shape);
        let half = (0.022 * self.frame.unit()).max(0.6);
        let line = self.coat().outline;
        self.canvas.tint(&placed.outline(half), line, alpha);
    }

    /// A tapering line in the cat's units.
    pub(crate) fn line(&mut self, points: &[(Point, f32)], colour: Colour, alpha: f32) {
        let placed = self.frame.place(&Ribbon::new(points).shape());
        self.canvas.tint(&placed, colour, alpha);
    }

    /// A leg or the tail, root first.
    pub(crate) fn limb(&mut self, points: &[(Point, f32)], kind: Limb) {
        let ribbon = Ribbon::new(points);
        let shape = ribbon.shape();
        let coat = self.coat().clone();
        let base = match kind {
            Limb::FarLeg => scaled(coat.limb, 0.84),
            Limb::Tail => coat.tail,
            Limb::Leg => coat.limb,
        };
        let coverage = self.part(&shape, base);
        if coat.stripes > 0.0 {
            let rings = if kind == Limb::Tail { 7 } else { 3 };
            for ring in 0..rings {
                let at = (ring as f32 + 0.6) / (rings as f32 + 0.3);
                let wide = if kind == Limb::Tail { 0.055 } else { 0.05 };
                let section = ribbon.section(at - wide / 2.0, at + wide / 2.0);
                self.on(&coverage, &section, coat.dark, coat.stripes * 0.85);
            }
        }
        if kind == Limb::Tail {
            for (from, to, colour) in [(0.15, 0.5, coat.patches[0]), (0.55, 0.8, coat.patches[1])] {
                if let Some(colour) = colour {
                    self.on(&coverage, &ribbon.section(from, to), colour, 0.95);
                }
            }
        }
        let tip = if kind == Limb::Tail { coat.tail_tip } else { coat.sock };
        if let Some(tip) = tip {
            let tip = if kind == Limb::FarLeg { scaled(tip, 0.88) } else { tip };
            let start = if kind == Limb::Tail { 0.78 } else { 0.62 };
            self.on(&coverage, &ribbon.section(start, 1.0), tip, 1.0);
            let (end, half) = points[points.len() - 1];
            self.on(&coverage, &Shape::circle(end, half * 1.25), tip, 1.0);
        }
        let (first, last) = (points[0].0, points[points.len() - 1].0);
        let middle = [(first[0] + last[0]) / 2.0, (first[1] + last[1]) / 2.0];
        let reach = [(first[0] - last[0]).abs() * 0.7 + 0.5, (first[1] - last[1]).abs() * 0.7 + 0.5];
        self.round(&coverage, middle, reach);
        if kind == Limb::Tail {
            self.outline(&shape, 0.35);
        } else {
            // Open at both ends: it grows out of the body and ends in a paw.
            let half = (0.022 * self.frame.unit()).max(0.6) / self.frame.unit();
            let sides = self.frame.place(&ribbon.sides(0.35, 0.96, half));
            let line = coat.outline;
            self.canvas.tint(&sides, line, 0.35);
        }
    }

    /// A paw with two lines between its toes.
    pub(crate) fn paw(&mut self, centre: Point, radii: [f32; 2]) {
        let colour = self.coat().sock.unwrap_or(self.coat().limb);
        let shape = Shape::ellipse(centre, radii, 0.0);
        let coverage = self.part(&shape, colour);
        self.round(&coverage, centre, [radii[0] * 1.3, radii[1] * 1.6]);
        self.outline(&shape, 0.35);
        let line = self.coat().line(colour);
        for side in [-0.33, 0.33] {
            let x = centre[0] + side * radii[0];
            let points = [([x, centre[1] + 0.12 * radii[1]], 0.012), ([x * 1.0 + side * 0.03, centre[1] + 0.80 * radii[1]], 0.02)];
            self.line(&points, line, 0.55);
        }
    }

    /// The body: coat, pattern, belly. `spine` runs along the back, from the neck to the tail; `down` is how far its stripes reach.
    pub(crate) fn torso(&mut self, shape: &Shape, spine: &[Point], down: Point, belly: Option<&Shape>, bounds: [f32; 4]) {
        let coat = self.coat().clone();
        let coverage = self.part(shape, coat.base);
        let [left, top, right, bottom] = bounds;
        if coat.stripes > 0.0 {
            let back = Ribbon::even(spine, 0.1);
            let count = 6 + self.dice.below(3);
            for stripe in 0..count {
                let at = back.at((stripe as f32 + 0.5) / count as f32);
                let (reach, bend) = (self.dice.between(0.62, 0.95), self.dice.between(-0.08, 0.12));
                let width = self.dice.between(0.07, 0.10);
                let points = [
                    ([at[0] - 0.15 * down[0], at[1] - 0.15 * down[1]], width),
                    ([at[0] + 0.5 * reach * down[0] + bend, at[1] + 0.5 * reach * down[1]], width * 0.95),
                    ([at[0] + reach * down[0], at[1] + reach * down[1]], 0.015),
                ];
                self.on(&coverage, &Ribbon::new(&points).shape(), coat.dark, coat.stripes);
            }
        }
        let size = [right - left, bottom - top];
        for (which, patch) in coat.patches.into_iter().enumerate() {
            let Some(colour) = patch else { continue };
            for blot in 0..2 {
                let across = if (which + blot) % 2 == 0 { (0.05, 0.45) } else { (0.55, 0.95) };
                let centre = [left + size[0] * self.dice.between(across.0, across.1), top + size[1] * self.dice.between(0.1, 0.7)];
                let reach = self.dice.between(0.20, 0.34) * size[0].min(size[1]);
                let rim = self.blot(centre, reach);
                self.on(&coverage, &rim, colour, 1.0);
            }
        }
        if let (Some(colour), Some(belly)) = (coat.belly, belly) {
            self.on(&coverage, belly, colour, 1.0);
        }
        if coat.pattern == Pattern::Point {
            self.spot(Some(&coverage), [(left + right) / 2.0, bottom], [size[0] * 0.7, size[1] * 0.5], coat.dark, 0.25);
        }
        let centre = [(left + right) / 2.0, (top + bottom) / 2.0];
        self.round(&coverage, centre, [size[0] * 0.55, size[1] * 0.55]);
        self.fluff(&coverage, bounds);
        self.outline(shape, 0.35);
    }

    /// An uneven round patch.
    pub(crate) fn blot(&mut self, centre: Point, reach: f32) -> Shape {
        let rim = (0..8).map(|step| {
            let [cos, sin] = crate::shape::cos_sin(step as f32 * core::f32::consts::FRAC_PI_4);
            let far = reach * self.dice.between(0.7, 1.25);
            [centre[0] + far * cos, centre[1] + far * sin]
        });
        let rim = rim.collect::<Vec<_>>();
        Shape::blob(&rim)
    }

    /// Short strokes that make the coat look like fur.
    fn fluff(&mut self, coverage: &Coverage, [left, top, right, bottom]: [f32; 4]) {
        let (light, dark) = if luma(self.coat().base) > 0.25 { (0.10, 0.10) } else { (0.10, 0.16) };
        for stroke in 0..26 {
            let (x, y) = (self.dice.between(left, right), self.dice.between(top, bottom));
            let (lean, length) = (self.dice.between(-0.06, 0.06), self.dice.between(0.10, 0.2));
            let shape = Ribbon::new(&[([x, y], 0.014), ([x + lean, y + length], 0.003)]).shape();
            let (colour, alpha) = if stroke % 2 == 0 { ([1.0; 3], light) } else { ([0.0; 3], dark) };
            self.on(coverage, &shape, colour, alpha);
        }
    }

    /// A band round the neck, between two points, with a bell.
    pub(crate) fn collar(&mut self, from: Point, to: Point, sag: f32) {
        let Some(colour) = self.character.collar else { return };
        let middle = [(from[0] + to[0]) / 2.0, (from[1] + to[1]) / 2.0 + sag];
        let band = Ribbon::even(&[from, middle, to], 0.085);
        self.canvas.layer = Layer::Cat;
        let shape = self.frame.place(&band.shape());
        self.canvas.fill(&shape, colour);
        self.canvas.layer = Layer::OnCat;
        let shine = Ribbon::even(&[[from[0], from[1] - 0.03], [middle[0], middle[1] - 0.03], [to[0], to[1] - 0.03]], 0.02);
        let shine = self.frame.place(&shine.shape());
        self.canvas.tint(&shine, mix(colour, [1.0; 3], 0.6), 0.6);
        let bell = [middle[0], middle[1] + 0.16];
        self.part(&Shape::circle(bell, 0.13), crate::colour::hex(0xb8_8a1e));
        self.part(&Shape::circle([bell[0] - 0.01, bell[1] - 0.015], 0.115), crate::colour::hex(0xf2_c744));
        let slit = [([bell[0] - 0.07, bell[1] + 0.02], 0.012), ([bell[0] + 0.07, bell[1] + 0.02], 0.012)];
        self.line(&slit, crate::colour::hex(0x6a_4a10), 0.9);
        self.spot(None, [bell[0] - 0.04, bell[1] - 0.05], [0.05, 0.04], [1.0; 3], 0.9);
    }
}
