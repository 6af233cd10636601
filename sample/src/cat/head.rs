//! The head: ears, face, whiskers. One unit is half the width of the skull; the origin is between the eyes.

use super::{Coat, Painter, Pattern};
use crate::{
    canvas::{Coverage, Layer},
    colour::{Colour, INK, WHITE, hex, luma, mix, scaled},
    dice::Dice,
    shape::{Point, Ribbon, Shape},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Eyes {
    Open,
    Wide,
    Half,
    Happy,
    Asleep,
    Wink,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mouth {
    Smile,
    Tongue,
    Meow,
}

/// The face.
#[derive(Debug, Clone)]
pub(crate) struct Look {
    pub(crate) eyes: Eyes,
    pub(crate) mouth: Mouth,
    iris: [Colour; 2],
    /// How narrow the pupil is, 0.25 slit to 0.8 round.
    pupil: f32,
    /// Where it looks, −1 to 1 each.
    gaze: Point,
    ear_tilt: f32,
    cheeks: f32,
    tufted: bool,
    blush: bool,
}

impl Look {
    pub(crate) fn roll(dice: &mut Dice, coat: &Coat) -> Self {
        let greens = [0x9f_c24a, 0xc9_b53a, 0xe0_a22e, 0x6f_b58a, 0xd0_7f2a, 0x8a_c8c0].map(hex);
        let first = if coat.pattern == Pattern::Point { hex(0x58_a6e0) } else { dice.pick(&greens) };
        let odd = luma(coat.base) > 0.8 && dice.coin(0.3);
        Self {
            eyes: dice.pick(&[Eyes::Open, Eyes::Open, Eyes::Open, Eyes::Wide, Eyes::Wide, Eyes::Half, Eyes::Happy, Eyes::Wink]),
            mouth: dice.pick(&[Mouth::Smile, Mouth::Smile, Mouth::Smile, Mouth::Tongue, Mouth::Meow]),
            iris: [first, if odd { hex(0x58_a6e0) } else { first }],
            pupil: dice.between(0.34, 0.72),
            gaze: [dice.between(-1.0, 1.0), dice.between(-0.6, 0.8)],
            ear_tilt: dice.between(-0.10, 0.14),
            cheeks: dice.between(0.96, 1.12),
            tufted: dice.coin(0.5),
            blush: dice.coin(0.4),
        }
    }
}

/// One open eye.
struct Eye {
    centre: Point,
    /// −1 on the left, 1 on the right.
    side: f32,
    wide: f32,
    iris: Colour,
    line: Colour,
    /// Of the lid.
    fur: Colour,
}

impl Painter<'_> {
    /// The head with its centre at `centre`, `scale` units large, rolled by `roll` radians and turned sideways by `yaw` (−1 to 1).
    pub(crate) fn head(&mut self, centre: Point, scale: f32, roll: f32, yaw: f32) {
        let outer = self.frame;
        self.frame = outer.child(centre, scale, roll);
        let look = self.character.look.clone();
        self.ears(&look, yaw);
        let skull = self.skull(&look);
        let coverage = self.fur(&skull, &look, yaw);
        let turn = 0.16 * yaw;
        self.eyes(&look, turn);
        self.muzzle(&look, turn, &coverage);
        self.frame = outer;
    }

    fn skull(&self, look: &Look) -> Shape {
        let wide = look.cheeks;
        let half: &[Point] = if look.tufted {
            // Three tufts of fur stand out from each cheek.
            &[
                [0.0, -0.80],
                [-0.42, -0.74],
                [-0.80, -0.46],
                [-0.98, -0.02],
                [-1.02 * wide, 0.20],
                [-1.20 * wide, 0.34],
                [-1.02 * wide, 0.42],
                [-1.10 * wide, 0.58],
                [-0.84 * wide, 0.62],
                [-0.80, 0.74],
                [-0.44, 0.82],
                [0.0, 0.88],
            ]
        } else {
            &[
                [0.0, -0.80],
                [-0.42, -0.74],
                [-0.80, -0.46],
                [-1.0, 0.0],
                [-1.04 * wide, 0.32],
                [-0.82 * wide, 0.64],
                [-0.42, 0.82],
                [0.0, 0.86],
            ]
        };
        Shape::mirrored_blob(half)
    }

    fn ears(&mut self, look: &Look, yaw: f32) {
        let coat = self.coat().clone();
        let whole = self.frame;
        for (side, colour) in [(-1.0, coat.ear[0]), (1.0, coat.ear[1])] {
            // The ear on the side turned away is seen narrower.
            let narrow = 1.0 - 0.22 * (side * yaw).max(0.0);
            self.frame = whole.child([side * 0.60 + 0.05 * yaw, -0.58], 1.0, side * look.ear_tilt);
            let at = |x: f32, y: f32| [side * x * narrow, y];
            let ear = Shape::blob(&[
                at(-0.36, 0.10),
                at(-0.23, -0.26),
                at(0.08, -0.64),
                at(0.20, -0.74),
                at(0.29, -0.63),
                at(0.40, -0.22),
                at(0.40, 0.30),
                at(0.0, 0.45),
            ]);
            let coverage = self.part(&ear, colour);
            self.round(&coverage, at(0.1, -0.2), [0.6, 0.8]);
            self.outline(&ear, 0.45);
            let inner = Shape::blob(&[
                at(-0.20, 0.05),
                at(-0.08, -0.24),
                at(0.12, -0.48),
                at(0.19, -0.53),
                at(0.25, -0.24),
                at(0.26, 0.12),
                at(0.04, 0.3),
            ]);
            self.on(&coverage, &inner, scaled(coat.inner_ear, 0.92), 1.0);
            self.spot(Some(&coverage), at(0.08, 0.12), [0.30, 0.42], scaled(coat.inner_ear, 0.68), 0.55);
            let hair = mix(colour, WHITE, 0.55);
            for (from, to) in [((-0.20, 0.10), (0.05, -0.22)), ((-0.24, 0.16), (-0.06, -0.14)), ((-0.16, 0.18), (0.12, -0.04))] {
                let points = [(at(from.0, from.1), 0.035), (at(to.0, to.1), 0.004)];
                self.line(&points, hair, 0.75);
            }
        }
        self.frame = whole;
    }

    fn fur(&mut self, skull: &Shape, look: &Look, yaw: f32) -> Coverage {
        let coat = self.coat().clone();
        let coverage = self.part(skull, coat.base);
        let turn = 0.16 * yaw;
        match coat.pattern {
            Pattern::Tabby | Pattern::TabbyWhite => self.tabby_marks(&coverage, &coat, turn),
            Pattern::Calico => {
                let left = self.blot([-0.62, -0.45], 0.62);
                let right = self.blot([0.66, -0.40], 0.55);
                self.on(&coverage, &left, coat.ear[0], 1.0);
                self.on(&coverage, &right, coat.ear[1], 1.0);
            }
            Pattern::Tortie => {
                for (centre, reach, colour) in
                    [([-0.5, -0.4], 0.5, coat.dark), ([0.55, 0.35], 0.4, coat.dark), ([0.3, -0.7], 0.3, hex(0x2b_2224))]
                {
                    let blot = self.blot(centre, reach);
                    self.on(&coverage, &blot, colour, 0.95);
                }
            }
            Pattern::Bicolour => {
                // A parted cap: an upside-down V of white runs down the forehead.
                for side in [-1.0, 1.0] {
                    let cap = Shape::blob(&[
                        [side * 0.05 + turn, -1.0],
                        [side * 0.16 + turn, -0.5],
                        [side * 0.34 + turn, 0.02],
                        [side * 0.72 + turn, 0.34],
                        [side * 1.3, 0.3],
                        [side * 1.3, -1.0],
                    ]);
                    self.on(&coverage, &cap, coat.dark, 1.0);
                }
            }
            Pattern::Point => {
                self.spot(Some(&coverage), [turn, 0.22], [0.80, 0.82], coat.dark, 0.98);
                self.spot(Some(&coverage), [turn, 0.30], [0.60, 0.60], coat.dark, 0.85);
            }
            Pattern::Tuxedo | Pattern::Solid => {}
        }
        if let Some(muzzle) = coat.muzzle {
            if matches!(coat.pattern, Pattern::Tuxedo | Pattern::TabbyWhite) {
                // White runs up between the eyes.
                let blaze = Shape::mirrored_blob(&[
                    [0.0, -0.5],
                    [-0.07, -0.2],
                    [-0.16, 0.12],
                    [-0.5, 0.34],
                    [-0.56, 0.62],
                    [-0.2, 0.95],
                    [0.0, 1.0],
                ]);
                let blaze = blaze.map(|[x, y]| [x + turn, y]);
                self.on(&coverage, &blaze, muzzle, 1.0);
            } else {
                for side in [-1.0, 1.0] {
                    self.spot(Some(&coverage), [side * 0.22 + turn * 1.1, 0.46], [0.46, 0.36], muzzle, 0.95);
                }
            }
        }
        self.round(&coverage, [0.0, 0.05], [1.1, 1.0]);
        if look.blush && !coat.is_dark() {
            for side in [-1.0, 1.0] {
                self.spot(Some(&coverage), [side * 0.72 + turn, 0.36], [0.26, 0.17], hex(0xf0_7a78), 0.5);
            }
        }
        self.outline(skull, 0.45);
        coverage
    }

    fn tabby_marks(&mut self, coverage: &Coverage, coat: &Coat, turn: f32) {
        // The M on the forehead, three lines on each cheek, one from the corner of each eye.
        let marks: [&[(Point, f32)]; 7] = [
            &[([0.0, -0.95], 0.075), ([0.0, -0.62], 0.06), ([0.0, -0.34], 0.01)],
            &[([-0.26, -0.95], 0.08), ([-0.21, -0.62], 0.06), ([-0.13, -0.32], 0.01)],
            &[([0.26, -0.95], 0.08), ([0.21, -0.62], 0.06), ([0.13, -0.32], 0.01)],
            &[([-1.2, 0.12], 0.075), ([-0.92, 0.17], 0.055), ([-0.68, 0.28], 0.01)],
            &[([1.2, 0.12], 0.075), ([0.92, 0.17], 0.055), ([0.68, 0.28], 0.01)],
            &[([-1.15, 0.42], 0.07), ([-0.88, 0.43], 0.05), ([-0.64, 0.46], 0.01)],
            &[([1.15, 0.42], 0.07), ([0.88, 0.43], 0.05), ([0.64, 0.46], 0.01)],
        ];
        for (which, mark) in marks.into_iter().enumerate() {
            let shift = if which < 3 { turn } else { 0.0 };
            let mark = mark.iter().map(|&([x, y], half)| ([x + shift, y], half)).collect::<Vec<_>>();
            self.on(coverage, &Ribbon::new(&mark).shape(), coat.dark, coat.stripes);
        }
    }

    fn eyes(&mut self, look: &Look, turn: f32) {
        let coat = self.coat().clone();
        let around = if matches!(coat.pattern, Pattern::Point | Pattern::Bicolour) { coat.dark } else { coat.base };
        let line = if luma(around) < 0.3 { mix(scaled(around, 0.3), INK, 0.5) } else { mix(scaled(around, 0.2), INK, 0.7) };
        for (which, side) in [(0, -1.0f32), (1, 1.0)] {
            let centre = [side * 0.43 + turn, 0.02];
            let closed = match look.eyes {
                Eyes::Happy => Some(-1.0),
                Eyes::Asleep => Some(1.0),
                Eyes::Wink if which == 1 => Some(-1.0),
                _ => None,
            };
            if let Some(bend) = closed {
                let lash = if luma(around) < 0.3 { mix(around, WHITE, 0.55) } else { line };
                let points = [
                    ([centre[0] - 0.22, centre[1] - 0.06 * bend + 0.04], 0.022),
                    ([centre[0], centre[1] + 0.11 * bend + 0.04], 0.040),
                    ([centre[0] + 0.22, centre[1] - 0.06 * bend + 0.04], 0.022),
                ];
                self.line(&points, lash, 1.0);
                continue;
            }
            let wide = if look.eyes == Eyes::Wide { 1.12 } else { 1.0 };
            let fur = scaled(around, 0.86);
            self.open_eye(look, &Eye { centre, side, wide, iris: look.iris[which], line, fur });
        }
    }

    fn open_eye(&mut self, look: &Look, &Eye { centre, side, wide, iris, line, fur }: &Eye) {
        let at = |x: f32, y: f32| [centre[0] + side * x * wide, centre[1] + y * wide];
        let lens = |grow: f32| {
            Shape::blob(&[
                at(-0.25 * grow, 0.07 * grow),
                at(-0.13 * grow, -0.17 * grow),
                at(0.06 * grow, -0.25 * grow),
                at(0.22 * grow, -0.14 * grow),
                at(0.27 * grow, -0.02 * grow),
                at(0.18 * grow, 0.16 * grow),
                at(0.0, 0.23 * grow),
                at(-0.16 * grow, 0.18 * grow),
            ])
        };
        let rim = self.frame.place(&lens(1.17));
        self.canvas.fill(&rim, line);
        let placed = self.frame.place(&lens(1.0));
        let eye = self.canvas.cover(&placed);
        let frame = self.frame;
        let (deep, bright) = (scaled(iris, 0.72), mix(iris, [1.0, 1.0, 0.85], 0.35));
        self.canvas.paint_with(&eye, 1.0, |point| {
            let [_, y] = frame.back(point);
            mix(deep, bright, ((y - centre[1]) / 0.46 + 0.5).clamp(0.0, 1.0))
        });
        let gaze = [centre[0] + 0.05 * look.gaze[0], centre[1] + 0.02 + 0.03 * look.gaze[1]];
        let pupil = Shape::ellipse(gaze, [0.23 * look.pupil * wide, 0.205 * wide], 0.0);
        self.on(&eye, &pupil, hex(0x14_1013), 1.0);
        // A shadow of the lid, then the light in the eye.
        self.spot(Some(&eye), at(0.0, -0.30), [0.42, 0.26], hex(0x10_0c10), 0.55);
        if look.eyes == Eyes::Half {
            let lid = Shape::polygon(&[at(-0.5, -0.5), at(0.5, -0.5), at(0.5, -0.06), at(-0.5, 0.0)]);
            self.on(&eye, &lid, fur, 1.0);
            self.line(&[(at(-0.26, 0.01), 0.02), (at(0.0, -0.035), 0.03), (at(0.28, -0.05), 0.02)], line, 1.0);
        }
        let light = if look.eyes == Eyes::Half { 0.03 } else { -0.09 };
        self.on(&eye, &Shape::circle([gaze[0] - 0.075, centre[1] + light], 0.058 * wide), [1.0; 3], 0.95);
        self.on(&eye, &Shape::circle([gaze[0] + 0.075, centre[1] + 0.10], 0.028 * wide), [1.0; 3], 0.7);
    }

    fn muzzle(&mut self, look: &Look, turn: f32, coverage: &Coverage) {
        let coat = self.coat().clone();
        let x = turn * 1.25;
        let ground = coat.muzzle.unwrap_or(if coat.pattern == Pattern::Point { coat.dark } else { coat.base });
        let line = coat.line(ground);
        // Whiskers first: the mouth lies over their roots.
        let whisker = if luma(coat.base) > 0.72 { mix(coat.outline, WHITE, 0.25) } else { mix(coat.base, WHITE, 0.85) };
        self.canvas.layer = Layer::Cat;
        for side in [-1.0, 1.0] {
            for (rise, root) in [(-0.16, 0.34), (0.04, 0.43), (0.24, 0.52)] {
                let length = 1.0 + 0.08 * (1.0 - root);
                let points = [
                    ([x + side * 0.38, root], 0.016),
                    ([x + side * (0.38 + length * 0.5), root + rise * 0.35], 0.012),
                    ([x + side * (0.38 + length), root + rise], 0.004),
                ];
                self.line(&points, whisker, 0.8);
            }
        }
        self.canvas.layer = Layer::OnCat;
        for side in [-1.0, 1.0] {
            for (dx, dy) in [(0.24, 0.40), (0.34, 0.47), (0.23, 0.51)] {
                self.on(coverage, &Shape::circle([x + side * dx, dy], 0.016), line, 0.5);
            }
        }
        match look.mouth {
            Mouth::Meow => {
                let open = Shape::blob(&[[x - 0.15, 0.52], [x, 0.50], [x + 0.15, 0.52], [x + 0.12, 0.68], [x, 0.76], [x - 0.12, 0.68]]);
                self.on(coverage, &open, hex(0x6e_2a30), 1.0);
                self.on(coverage, &Shape::ellipse([x, 0.69], [0.09, 0.06], 0.0), hex(0xea_8a90), 1.0);
            }
            Mouth::Tongue => {
                let tongue = Shape::blob(&[[x - 0.08, 0.52], [x + 0.08, 0.52], [x + 0.085, 0.62], [x, 0.69], [x - 0.085, 0.62]]);
                self.on(coverage, &tongue, hex(0xee_8f98), 1.0);
                self.line(&[([x, 0.54], 0.01), ([x, 0.63], 0.008)], hex(0xc8_6570), 0.8);
            }
            Mouth::Smile => {}
        }
        self.line(&[([x, 0.33], 0.018), ([x, 0.47], 0.018)], line, 0.9);
        for side in [-1.0, 1.0] {
            let points = [([x, 0.47], 0.020), ([x + side * 0.13, 0.545], 0.024), ([x + side * 0.27, 0.47], 0.012)];
            self.line(&points, line, 0.9);
        }
        let nose = Shape::blob(&[[x - 0.12, 0.235], [x, 0.215], [x + 0.12, 0.235], [x + 0.06, 0.325], [x, 0.355], [x - 0.06, 0.325]]);
        self.on(coverage, &nose, coat.nose, 1.0);
        self.outline(&nose, 0.4);
        self.spot(Some(coverage), [x - 0.03, 0.25], [0.06, 0.03], [1.0; 3], 0.6);
    }
}
