//! Rooms.

use super::Stage;
use crate::{
    colour::{Colour, hex, mix, scaled},
    shape::{Point, Ribbon, Shape},
};

const WALLS: [u32; 12] =
    [0xe9_dfcf, 0xb9_c8c6, 0x8f_a7b5, 0xd9_b8a2, 0x6a_7f78, 0xc9_a9b0, 0xf2_ead8, 0x4c_5a6b, 0xa8_b58c, 0x7a_5f6b, 0xe3_c98f, 0x39_4a45];
pub(super) const CLOTHS: [u32; 11] =
    [0x8a_5a44, 0x3f_6a7a, 0xc9_a35f, 0x5d_4a6b, 0x9a_9a94, 0x7a_8f5a, 0xb5_4f45, 0x2f_3f55, 0xd8_c9b0, 0x44_7a62, 0xd0_8a8a];
pub(super) const WOODS: [u32; 5] = [0xa8_7448, 0x6f_4a30, 0xc9_a070, 0x8a_6a50, 0x4a_3428];

impl Stage<'_> {
    /// A wall, plain, striped, dotted or panelled.
    pub(super) fn room_wall(&mut self) -> Colour {
        let wall = self.dice.colour(&WALLS.map(hex));
        let all = self.all();
        let (top, bottom) = (self.dice.between(0.85, 1.08), self.dice.between(0.8, 1.0));
        self.canvas.fade(&all, scaled(wall, top), scaled(wall, bottom));
        let (wide, high, long) = (self.wide(), self.high(), self.long());
        let other = scaled(wall, if self.dice.coin(0.5) { 0.88 } else { 1.12 });
        match self.dice.below(4) {
            0 => {
                let step = long * self.dice.between(0.05, 0.11);
                let count = (wide / step) as usize + 1;
                for i in 0..count {
                    self.canvas.tint(&Shape::rect([i as f32 * step, -2.0], [step * 0.5, high + 4.0]), other, 0.7);
                }
            }
            1 => {
                let step = long * self.dice.between(0.06, 0.1);
                for row in 0..(high / step) as usize + 1 {
                    for column in 0..(wide / step) as usize + 2 {
                        let x = (column as f32 - 0.5 * (row % 2) as f32) * step;
                        self.canvas.tint(&Shape::circle([x, row as f32 * step], step * 0.13), other, 0.8);
                    }
                }
            }
            2 => {
                let level = high * self.dice.between(0.25, 0.5);
                let panel = self.below(level);
                self.canvas.fill(&panel, mix(other, [0.95, 0.93, 0.9], 0.4));
                self.canvas.tint(&Shape::rect([-2.0, level], [wide + 4.0, long * 0.012]), [1.0; 3], 0.6);
            }
            _ => {}
        }
        // Light from a lamp or a window out of sight.
        if self.dice.coin(0.7) {
            let at = [self.dice.between(-0.1, 1.1) * wide, self.dice.between(-0.1, 0.5) * high];
            let reach = long * self.dice.between(0.4, 0.8);
            self.canvas.glow(at, [reach, reach], [1.0, 0.94, 0.8], self.dice.between(0.2, 0.6), None);
        }
        wall
    }

    pub(super) fn wall_things(&mut self, floor: f32) {
        let long = self.long();
        for _ in 0..self.dice.below(4) {
            let size = [long * self.dice.between(0.1, 0.26), long * self.dice.between(0.1, 0.26)];
            let corner = [self.dice.between(-0.05, 0.9) * self.wide(), self.dice.between(-0.05, 0.5) * floor - size[1] * 0.2];
            self.picture_frame(corner, size);
        }
    }

    /// Boards that run to a vanishing point above.
    fn floor(&mut self, level: f32) {
        let (wide, high, long) = (self.wide(), self.high(), self.long());
        let wood = self.dice.colour(&WOODS.map(hex));
        let floor = self.below(level);
        self.canvas.fade(&floor, scaled(wood, 0.82), scaled(wood, 1.1));
        let clip = self.canvas.cover(&floor);
        let (boards, vanish) = (self.dice.between(9.0, 16.0) as i32, [wide * self.dice.between(0.2, 0.8), level - long * 0.6]);
        for board in -boards..=boards {
            let foot = [wide * (0.5 + board as f32 / boards as f32 * 1.6), high];
            let tone = self.dice.between(0.85, 1.12);
            let next = [foot[0] + wide * 1.6 / boards as f32, high];
            let toward = |[x, y]: Point| {
                let share = (level - y) / (vanish[1] - y);
                [x + (vanish[0] - x) * share, level]
            };
            let shape = Shape::polygon(&[foot, next, toward(next), toward(foot)]);
            self.canvas.fill_within(&shape, &clip, scaled(wood, tone), 0.55);
            self.canvas.fill_within(&Ribbon::even(&[foot, toward(foot)], long * 0.0015).shape(), &clip, scaled(wood, 0.5), 0.8);
        }
        self.canvas.fill(&Shape::rect([-2.0, level - long * 0.035], [wide + 4.0, long * 0.035]), hex(0xed_e8de));
        self.canvas.tint(&Shape::rect([-2.0, level - long * 0.004], [wide + 4.0, long * 0.01]), [0.0; 3], 0.35);
    }

    pub(super) fn carpet(&mut self) {
        self.room_wall();
        let ([x, feet], unit, long) = (self.layout.feet, self.layout.unit, self.long());
        let level = feet - unit * self.dice.between(0.8, 2.6);
        self.wall_things(level);
        self.floor(level);
        if self.dice.coin(0.6) {
            let at = self.beside();
            let size = long * self.dice.between(0.07, 0.13);
            self.plant([at, level + unit * 0.4], size);
        }
        if self.dice.coin(0.35) {
            self.cupboard(level);
        }
        // The rug, an ellipse in perspective with rings.
        let centre = [x + unit * self.dice.between(-1.5, 1.5), feet + unit * 0.15];
        let half = unit * self.dice.between(3.4, 5.5);
        let (first, second) = (self.dice.colour(&CLOTHS.map(hex)), self.dice.colour(&CLOTHS.map(hex)));
        for (ring, share) in [1.0, 0.86, 0.78, 0.5, 0.42].into_iter().enumerate() {
            let colour = if ring % 2 == 0 { first } else { mix(second, [1.0; 3], 0.2) };
            let shape = Shape::ellipse(centre, [half * share, half * share * 0.30], 0.0);
            self.canvas.fade(&shape, scaled(colour, 0.95), scaled(colour, 1.08));
        }
        for _ in 0..1 + self.dice.below(3) {
            self.toy(feet);
        }
    }

    fn cupboard(&mut self, level: f32) {
        let long = self.long();
        let (width, height) = (long * self.dice.between(0.2, 0.4), long * self.dice.between(0.2, 0.5));
        let x = if self.layout.feet[0] > self.wide() / 2.0 { -width * 0.2 } else { self.wide() - width * 0.8 };
        let wood = self.dice.colour(&WOODS.map(hex));
        self.canvas.fade(&Shape::rect([x, level - height], [width, height + long * 0.01]), scaled(wood, 1.1), scaled(wood, 0.8));
        for row in 0..3 {
            let corner = [x + width * 0.06, level - height * (0.95 - row as f32 * 0.31)];
            self.canvas.fill(&Shape::rounded(corner, [width * 0.88, height * 0.27], long * 0.006), scaled(wood, 0.92));
            self.canvas.fill(&Shape::circle([x + width / 2.0, corner[1] + height * 0.13], long * 0.008), hex(0xd8_c080));
        }
    }

    fn toy(&mut self, feet: f32) {
        let (x, unit) = (self.beside(), self.layout.unit);
        let y = feet + unit * self.dice.between(-0.1, 0.5);
        let colour = self.dice.colour(&[0xd8_4f4f, 0x4f_8fd8, 0xe8_c04a, 0x6a_b56a, 0xc96fb0, 0xe8_8a4a].map(hex));
        match self.dice.below(3) {
            0 => {
                // A ball of wool and its loose end.
                let radius = unit * 0.48;
                let centre = [x, y - radius];
                let end = [
                    ([x + radius * 0.4, y - radius * 0.1], 0.03 * unit),
                    ([x + radius * 2.0, y + radius * 0.3], 0.03 * unit),
                    ([x + radius * 3.2, y - radius * 0.1], 0.03 * unit),
                ];
                self.canvas.fill(&Ribbon::new(&end).shape(), colour);
                self.ball(centre, radius, colour);
                let clip = self.canvas.cover(&Shape::circle(centre, radius));
                for strand in 0..7 {
                    let bend = (strand as f32 - 3.0) * 0.3 * radius;
                    let line = Ribbon::even(
                        &[
                            [x - radius, centre[1] + bend - radius * 0.5],
                            [x + bend * 0.5, centre[1] + bend],
                            [x + radius, centre[1] + bend + radius * 0.3],
                        ],
                        radius * 0.035,
                    );
                    self.canvas.fill_within(&line.shape(), &clip, scaled(colour, 0.65), 0.7);
                }
            }
            1 => {
                // A bowl of biscuits.
                let half = unit * 0.62;
                self.canvas.glow([x, y], [half * 1.4, half * 0.4], [0.05; 3], 0.45, None);
                self.canvas.fill(&Shape::ellipse([x, y - half * 0.55], [half, half * 0.26], 0.0), scaled(colour, 0.6));
                for biscuit in 0..9 {
                    let at = [x + half * (biscuit as f32 - 4.0) * 0.17, y - half * self.dice.between(0.55, 0.75)];
                    self.canvas.fill(&Shape::circle(at, half * 0.12), scaled(hex(0x9a_6438), self.dice.between(0.8, 1.2)));
                }
                let front =
                    Shape::polygon(&[[x - half, y - half * 0.55], [x + half, y - half * 0.55], [x + half * 0.8, y], [x - half * 0.8, y]]);
                self.canvas.fade(&front, colour, scaled(colour, 0.7));
            }
            _ => {
                // A felt mouse.
                let half = unit * 0.5;
                let grey = hex(0x9a_98a0);
                let tail = [
                    ([x + half * 0.8, y - half * 0.2], 0.04 * unit),
                    ([x + half * 1.6, y - half * 0.1], 0.03 * unit),
                    ([x + half * 2.1, y - half * 0.5], 0.02 * unit),
                ];
                self.canvas.fill(&Ribbon::new(&tail).shape(), hex(0xd8_8a8a));
                self.canvas.fade(
                    &Shape::blob(&[
                        [x - half * 1.1, y - half * 0.1],
                        [x - half * 0.2, y - half * 0.75],
                        [x + half * 0.9, y - half * 0.5],
                        [x + half * 0.9, y],
                        [x - half * 0.4, y + half * 0.05],
                    ]),
                    scaled(grey, 1.1),
                    scaled(grey, 0.7),
                );
                self.canvas.fill(&Shape::circle([x - half * 0.3, y - half * 0.7], half * 0.24), hex(0xe0_a0a0));
                self.canvas.fill(&Shape::circle([x - half * 0.75, y - half * 0.35], half * 0.07), [0.05; 3]);
            }
        }
    }

    pub(super) fn window(&mut self) {
        self.room_wall();
        let ([_, feet], unit, wide, long) = (self.layout.feet, self.layout.unit, self.wide(), self.long());
        let sill = feet - unit * 0.35;
        let left = wide * self.dice.between(-0.15, 0.35);
        let right = wide * self.dice.between(0.75, 1.15);
        let top = self.high() * self.dice.between(-0.25, 0.12);
        let pane = Shape::rect([left, top], [right - left, sill - top]);
        let clip = self.canvas.cover(&pane);
        let (high, low) = self.dice.pick(&[
            (0x6f_b0e0, 0xe0_f0f5),
            (0x12_1a38, 0x3a_3f6a),
            (0xf0_9a6a, 0xf8_dca0),
            (0xa8_b4bc, 0xe0_e4e4),
            (0x3f_86c8, 0xbf_e0ee),
        ]);
        let night = high == 0x12_1a38;
        self.canvas.fade(&pane, hex(high), hex(low));
        let disc = [left + (right - left) * self.dice.between(0.15, 0.85), top + (sill - top) * self.dice.between(0.1, 0.4)];
        let glow = if night { hex(0xf0_ecd8) } else { hex(0xff_f6d0) };
        self.canvas.glow(disc, [long * 0.22; 2], glow, if night { 0.35 } else { 0.7 }, Some(&clip));
        self.canvas.fill_within(&Shape::circle(disc, long * 0.035), &clip, glow, 1.0);
        for _ in 0..2 + self.dice.below(4) {
            let at = left + (right - left) * self.dice.between(0.0, 1.0);
            let size = long * self.dice.between(0.08, 0.2);
            let tree = self.dice.colour(&[0x4f_7a4a, 0x7a_9a4f, 0x3a_5a4a, 0xb5_8a3f].map(hex));
            let tree = if night { scaled(tree, 0.35) } else { mix(tree, hex(low), 0.25) };
            self.canvas.fill_within(&Shape::rect([at - size * 0.07, sill - size], [size * 0.14, size]), &clip, scaled(tree, 0.6), 1.0);
            let crown = Shape::circle([at, sill - size * 1.15], size * 0.55)
                .and(Shape::circle([at - size * 0.4, sill - size * 0.85], size * 0.42))
                .and(Shape::circle([at + size * 0.42, sill - size * 0.9], size * 0.4));
            self.canvas.fill_within(&crown, &clip, tree, 1.0);
        }
        let frame = hex(self.dice.pick(&[0xf4_f0e8, 0xe0_d8c8, 0x6a_4a34, 0x3a_4a50]));
        let bar = long * self.dice.between(0.014, 0.028);
        let split = left + (right - left) * self.dice.pick(&[0.33, 0.5, 0.66]);
        let mut bars = vec![
            Shape::rect([left - bar, top - bar], [2.0 * bar, sill - top + bar]),
            Shape::rect([right - bar, top - bar], [2.0 * bar, sill - top + bar]),
        ];
        bars.push(Shape::rect([split - bar / 2.0, top], [bar, sill - top]));
        bars.push(Shape::rect([left, top - bar], [right - left, 2.0 * bar]));
        if self.dice.coin(0.5) {
            let across = top + (sill - top) * self.dice.between(0.3, 0.5);
            bars.push(Shape::rect([left, across], [right - left, bar]));
        }
        for shape in bars {
            self.canvas.fill(&shape, frame);
        }
        if self.dice.coin(0.65) {
            self.curtains(left, right, top, sill);
        }
        // The sill the cat is on.
        let board = Shape::rect([-2.0, sill], [wide + 4.0, unit * 0.62]);
        self.canvas.fade(&board, mix(frame, [1.0; 3], 0.3), scaled(frame, 0.88));
        let under = self.below(sill + unit * 0.62);
        let wall = self.dice.colour(&WALLS.map(hex));
        self.canvas.fade(&under, scaled(wall, 0.6), scaled(wall, 0.85));
        if self.dice.coin(0.6) {
            let at = self.beside();
            let size = long * self.dice.between(0.05, 0.1);
            self.plant([at, sill + unit * 0.2], size);
        }
    }

    fn curtains(&mut self, left: f32, right: f32, top: f32, sill: f32) {
        let (long, unit) = (self.long(), self.layout.unit);
        let colour = self.dice.colour(&CLOTHS.map(hex));
        let colour = if self.dice.coin(0.5) { mix(colour, [1.0; 3], 0.4) } else { colour };
        for (side, edge) in [(-1.0, left), (1.0, right)] {
            let width = long * self.dice.between(0.08, 0.16);
            let start = if side < 0.0 { edge - width * 0.6 } else { edge - width * 0.4 };
            for fold in 0..5 {
                let x = start + fold as f32 * width * 0.2;
                let shape = Shape::polygon(&[
                    [x, top - long * 0.03],
                    [x + width * 0.21, top - long * 0.03],
                    [x + width * 0.24, sill + unit * 1.2],
                    [x - width * 0.03, sill + unit * 1.2],
                ]);
                self.canvas.fill(&shape, scaled(colour, if fold % 2 == 0 { 1.05 } else { 0.82 }));
            }
        }
    }

    pub(super) fn shelf(&mut self) {
        let wood = self.dice.colour(&WOODS.map(hex));
        let all = self.all();
        self.canvas.fade(&all, scaled(wood, 0.5), scaled(wood, 0.42));
        let ([_, feet], unit, wide, long) = (self.layout.feet, self.layout.unit, self.wide(), self.long());
        let pitch = (unit * self.dice.between(3.4, 4.8)).max(long * 0.26);
        let shift = if self.dice.coin(0.5) { 0.0 } else { wide * self.dice.between(0.25, 0.75) };
        let board = |y: f32| Shape::rect([-2.0, y], [wide + 4.0, unit * 0.28]);
        for row in -1..4i32 {
            let level = feet - unit * 0.12 - pitch * row as f32;
            // Books, with gaps, plants and leaning ones.
            let mut x = -long * 0.02;
            while x < wide {
                let (thick, tall) = (long * self.dice.between(0.022, 0.05), pitch * self.dice.between(0.5, 0.82));
                if self.dice.coin(0.1) {
                    x += long * self.dice.between(0.05, 0.18);
                    continue;
                }
                let colour = self.dice.colour(&CLOTHS.map(hex));
                let colour = scaled(colour, self.dice.between(0.75, 1.15));
                let lean = if self.dice.coin(0.12) { thick * 1.1 } else { 0.0 };
                let spine = Shape::polygon(&[[x, level], [x + thick, level], [x + thick + lean, level - tall], [x + lean, level - tall]]);
                self.canvas.fill(&spine, colour);
                let band = level - tall * self.dice.between(0.65, 0.85);
                let label = [
                    [x + thick * 0.12, band],
                    [x + thick * 0.9, band],
                    [x + thick * 0.9, band - tall * 0.08],
                    [x + thick * 0.12, band - tall * 0.08],
                ];
                if lean == 0.0 {
                    self.canvas.tint(&Shape::polygon(&label), [1.0, 0.93, 0.75], 0.65);
                }
                x += thick * 1.04 + lean;
            }
            self.canvas.tint(&Shape::rect([-2.0, level - pitch + unit * 0.2], [wide + 4.0, pitch * 0.22]), [0.0; 3], 0.3);
            self.canvas.fade(&board(level), scaled(wood, 1.25), scaled(wood, 0.85));
        }
        if shift > 0.0 {
            self.canvas.fill(&Shape::rect([shift, -2.0], [unit * 0.25, feet - unit * 0.12]), scaled(wood, 1.1));
        }
        self.canvas.fade(&board(feet - unit * 0.12), scaled(wood, 1.3), scaled(wood, 0.95));
        if self.dice.coin(0.5) {
            let at = self.beside();
            let size = long * self.dice.between(0.05, 0.09);
            self.plant([at, feet], size);
        }
    }

    pub(super) fn studio(&mut self) {
        let palette = [0xf2_c6b0, 0xa8_d0c8, 0xf0_d890, 0xb8_b0d8, 0xe8_e4dc, 0x38_4058, 0xd8_7060, 0x50_7868, 0x98_b8d8].map(hex);
        let (first, second) = (self.dice.colour(&palette), self.dice.colour(&palette));
        let all = self.all();
        let (wide, high, long) = (self.wide(), self.high(), self.long());
        if self.dice.coin(0.5) {
            self.canvas.fade(&all, first, second);
        } else {
            let coverage = self.canvas.cover(&all);
            let flip = self.dice.coin(0.5);
            self.canvas.paint_with(&coverage, 1.0, |[x, y]| {
                let across = if flip { 1.0 - x / wide } else { x / wide };
                mix(first, second, ((across + y / high) / 2.0).clamp(0.0, 1.0))
            });
        }
        // Large plain shapes, as on a poster.
        for _ in 0..self.dice.below(5) {
            let colour = self.dice.colour(&palette);
            let at = [self.dice.between(0.0, 1.0) * wide, self.dice.between(0.0, 0.8) * high];
            let reach = long * self.dice.between(0.08, 0.28);
            if self.dice.coin(0.6) {
                self.canvas.tint(&Shape::circle(at, reach), colour, 0.8);
            } else {
                let to = [at[0] + reach * 2.0, at[1] - reach];
                self.canvas.tint(&Ribbon::even(&[at, to], reach * 0.25).shape(), colour, 0.8);
            }
        }
        if self.dice.coin(0.5) {
            let level = self.layout.feet[1] - self.layout.unit * self.dice.between(0.3, 1.2);
            let floor = self.below(level);
            self.canvas.fade(&floor, scaled(second, 0.9), scaled(second, 1.15));
        }
    }

    pub(super) fn box_room(&mut self) {
        self.room_wall();
        let ([x, feet], unit) = (self.layout.feet, self.layout.unit);
        let level = feet - unit * self.dice.between(1.2, 2.4);
        self.wall_things(level);
        self.floor(level);
        if self.dice.coin(0.5) {
            self.toy(feet);
        }
        // The inside and the back flap.
        let card = hex(0xb8_8a58);
        let (left, right, rim) = (x - unit * 2.35, x + unit * 2.35, feet - unit * 1.15);
        self.canvas.glow([x, feet + unit * 0.1], [unit * 3.2, unit * 0.5], [0.03; 3], 0.6, None);
        self.canvas.fill(
            &Shape::polygon(&[
                [left + unit * 0.3, rim - unit * 0.4],
                [right - unit * 0.3, rim - unit * 0.4],
                [right, rim],
                [right, feet],
                [left, feet],
                [left, rim],
            ]),
            scaled(card, 0.5),
        );
        let flap = Shape::polygon(&[
            [left + unit * 0.3, rim - unit * 0.4],
            [right - unit * 0.3, rim - unit * 0.4],
            [right - unit * 0.1, rim - unit * 1.0],
            [left + unit * 0.1, rim - unit * 1.0],
        ]);
        self.canvas.fade(&flap, scaled(card, 1.1), scaled(card, 0.85));
    }

    pub(super) fn box_front(&mut self) {
        let ([x, feet], unit) = (self.layout.feet, self.layout.unit);
        let card = hex(0xc8_9a64);
        let (left, right, rim) = (x - unit * 2.35, x + unit * 2.35, feet - unit * 1.15);
        let front = Shape::polygon(&[
            [left, rim],
            [right, rim],
            [right - unit * 0.08, feet + unit * 0.35],
            [left + unit * 0.08, feet + unit * 0.35],
        ]);
        self.canvas.fade(&front, card, scaled(card, 0.84));
        let clip = self.canvas.cover(&front);
        self.canvas.fill_within(&Shape::rect([x - unit * 0.35, rim], [unit * 0.7, unit * 2.0]), &clip, hex(0xdc_bb88), 0.8);
        self.canvas.fill(
            &Shape::polygon(&[
                [left, rim],
                [left - unit * 0.55, rim + unit * 0.55],
                [left - unit * 0.30, rim + unit * 1.0],
                [left + unit * 0.02, rim + unit * 0.4],
            ]),
            scaled(card, 0.9),
        );
        self.canvas.fill(
            &Shape::polygon(&[
                [right, rim],
                [right + unit * 0.55, rim + unit * 0.55],
                [right + unit * 0.30, rim + unit * 1.0],
                [right - unit * 0.02, rim + unit * 0.4],
            ]),
            scaled(card, 0.78),
        );
        self.canvas.tint(&Shape::rect([left, rim - unit * 0.03], [right - left, unit * 0.07]), hex(0xe8_c898), 0.9);
        // A word nobody can read from here: two lines and an arrow up.
        let ink = hex(0x7a_5630);
        let mark = right - unit * 0.9;
        for row in 0..2 {
            self.canvas.tint(
                &Shape::rounded(
                    [left + unit * 0.35, rim + unit * (0.45 + 0.26 * row as f32)],
                    [unit * (1.1 - 0.4 * row as f32), unit * 0.11],
                    unit * 0.05,
                ),
                ink,
                0.7,
            );
        }
        self.canvas.tint(
            &Shape::polygon(&[[mark, rim + unit * 0.35], [mark + unit * 0.24, rim + unit * 0.62], [mark - unit * 0.24, rim + unit * 0.62]]),
            ink,
            0.7,
        );
        self.canvas.tint(&Shape::rect([mark - unit * 0.08, rim + unit * 0.60], [unit * 0.16, unit * 0.35]), ink, 0.7);
    }
}
