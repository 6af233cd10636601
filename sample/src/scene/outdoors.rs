//! Gardens, walls and rooftops.

use super::Stage;
use crate::{
    colour::{Colour, hex, mix, scaled},
    shape::{Ribbon, Shape},
};

impl Stage<'_> {
    fn sky(&mut self) -> (Colour, bool) {
        let (top, bottom, night) = self.dice.pick(&[
            (0x4a_90d0, 0xd0_e8f4, false),
            (0x7a_b4e4, 0xf2_f4ea, false),
            (0xe8_8a5a, 0xf8_dfa8, false),
            (0x98_a8b4, 0xdc_e0e0, false),
            (0x10_1634, 0x40_4a7a, true),
            (0x5a_4a80, 0xf0_a890, false),
        ]);
        let all = self.all();
        self.canvas.fade(&all, hex(top), hex(bottom));
        let (wide, high, long) = (self.wide(), self.high(), self.long());
        let disc = [wide * self.dice.between(0.05, 0.95), high * self.dice.between(0.05, 0.35)];
        let colour = if night { hex(0xf4_f0dc) } else { hex(0xff_f4c8) };
        self.canvas.glow(disc, [long * 0.35; 2], colour, if night { 0.3 } else { 0.65 }, None);
        self.canvas.fill(&Shape::circle(disc, long * self.dice.between(0.025, 0.06)), colour);
        if night {
            for _ in 0..40 {
                let at = [self.dice.between(0.0, 1.0) * wide, self.dice.between(0.0, 0.6) * high];
                let size = long * self.dice.between(0.001, 0.003);
                self.canvas.tint(&Shape::circle(at, size), [1.0; 3], 0.8);
            }
        } else {
            for _ in 0..self.dice.below(5) {
                let at = [self.dice.between(0.0, 1.0) * wide, self.dice.between(0.02, 0.4) * high];
                let size = long * self.dice.between(0.03, 0.08);
                let cloud = Shape::ellipse(at, [size * 1.6, size * 0.5], 0.0)
                    .and(Shape::circle([at[0] - size * 0.4, at[1] - size * 0.35], size * 0.6))
                    .and(Shape::circle([at[0] + size * 0.5, at[1] - size * 0.25], size * 0.48));
                self.canvas.tint(&cloud, mix(hex(bottom), [1.0; 3], 0.7), 0.85);
            }
        }
        (hex(bottom), night)
    }

    pub(super) fn garden(&mut self) {
        let (air, night) = self.sky();
        let ([_, feet], unit, wide, high, long) = (self.layout.feet, self.layout.unit, self.wide(), self.high(), self.long());
        let dim = if night { 0.4 } else { 1.0 };
        let season = self.dice.pick(&[0x6f_a84a, 0x4f_8a45, 0x9a_a84a, 0xc9_9a45, 0xe8_ecf0]);
        let grass = scaled(hex(season), dim);
        let level = feet - unit * self.dice.between(0.6, 3.0);
        for step in 0..3 {
            let base = level - long * (0.10 - 0.04 * step as f32);
            let mut rim = vec![[-long * 0.2, high * 1.3], [-long * 0.2, base]];
            for i in 0..5 {
                rim.push([wide * i as f32 / 4.0, base + long * self.dice.between(-0.10, 0.05)]);
            }
            rim.extend([[wide + long * 0.2, base], [wide + long * 0.2, high * 1.3]]);
            let share = 0.75 - 0.25 * step as f32;
            self.canvas.fill(&Shape::blob(&rim), mix(scaled(grass, 0.8), air, share * 0.8));
        }
        if self.dice.coin(0.45) {
            self.fence(level, dim);
        }
        for _ in 0..self.dice.below(4) {
            self.tree(level, season, dim);
        }
        let lawn = self.below(level);
        self.canvas.fade(&lawn, scaled(grass, 0.85), scaled(grass, 1.1));
        // Tufts and flowers, larger the nearer.
        for _ in 0..150 {
            let depth = self.dice.between(0.0, 1.0);
            let y = level + (high - level) * depth;
            let at = self.dice.between(0.0, 1.0) * wide;
            let size = long * (0.008 + 0.03 * depth);
            let lean = size * self.dice.between(-0.5, 0.5);
            let tone = scaled(grass, self.dice.between(0.7, 1.2));
            self.canvas.fill(&Ribbon::new(&[([at, y], size * 0.09), ([at + lean, y - size], size * 0.02)]).shape(), tone);
        }
        let petals = [0xf0_e060, 0xf0_f0f0, 0xe0_6080, 0x90_70d0, 0xf0_9040].map(hex);
        for _ in 0..self.dice.below(30) {
            let depth = self.dice.between(0.05, 0.9);
            let at = [self.dice.between(0.0, 1.0) * wide, level + (high - level) * depth];
            let size = long * (0.004 + 0.009 * depth);
            let petal = scaled(self.dice.colour(&petals), dim);
            for turn in 0..5 {
                let [cos, sin] = crate::shape::cos_sin(turn as f32 * core::f32::consts::TAU / 5.0);
                self.canvas.fill(&Shape::circle([at[0] + cos * size, at[1] + sin * size * 0.8], size * 0.62), petal);
            }
            self.canvas.fill(&Shape::circle(at, size * 0.5), scaled(hex(0xf0_c040), dim));
        }
    }

    fn tree(&mut self, level: f32, season: u32, dim: f32) {
        let long = self.long();
        let (at, size) = (self.dice.between(-0.05, 1.05) * self.wide(), long * self.dice.between(0.12, 0.34));
        let foot = level + long * self.dice.between(-0.02, 0.05);
        self.canvas.fill(&Shape::rect([at - size * 0.08, foot - size], [size * 0.16, size]), scaled(hex(0x6a_4a34), dim));
        let leaf = if season == 0xe8_ecf0 { hex(0xd8_e0e6) } else { scaled(hex(season), self.dice.between(0.55, 0.9)) };
        let leaf = scaled(leaf, dim);
        for (dx, dy, radius, tone) in
            [(0.0, -1.3, 0.6, 0.9), (-0.45, -1.0, 0.45, 0.8), (0.45, -1.05, 0.45, 0.85), (-0.15, -1.45, 0.4, 1.1), (0.2, -1.2, 0.3, 1.15)]
        {
            self.canvas.fill(&Shape::circle([at + dx * size, foot + dy * size], radius * size), scaled(leaf, tone));
        }
    }

    fn fence(&mut self, level: f32, dim: f32) {
        let long = self.long();
        let paint = scaled(hex(self.dice.pick(&[0xf4_f0e8, 0x8a_6a4a, 0x6a_7a80])), dim);
        let (tall, step) = (long * self.dice.between(0.10, 0.24), long * self.dice.between(0.03, 0.05));
        for rail in [0.3, 0.75] {
            self.canvas.fill(&Shape::rect([-2.0, level - tall * rail], [self.wide() + 4.0, tall * 0.08]), scaled(paint, 0.85));
        }
        for i in 0..(self.wide() / step) as usize + 1 {
            let x = i as f32 * step;
            let half = step * 0.32;
            let picket = [
                [x - half, level + 2.0],
                [x + half, level + 2.0],
                [x + half, level - tall * 0.9],
                [x, level - tall],
                [x - half, level - tall * 0.9],
            ];
            self.canvas.fill(&Shape::polygon(&picket), paint);
        }
    }

    /// Blades of grass before the paws.
    pub(super) fn blades(&mut self) {
        let ([x, feet], unit) = (self.layout.feet, self.layout.unit);
        let grass = {
            // The lawn's own colour where the cat stands, season and night included.
            let row = (feet as usize + unit as usize / 2).min(self.canvas.height - 1);
            self.canvas.pixels[row * self.canvas.width + 2]
        };
        for _ in 0..90 {
            let at = [x + unit * self.dice.between(-3.6, 3.6), feet + unit * self.dice.between(0.10, 0.42)];
            let (lean, tall) = (unit * self.dice.between(-0.2, 0.2), unit * self.dice.between(0.22, 0.55));
            let tone = scaled(grass, self.dice.between(0.65, 1.2));
            let blade = Ribbon::new(&[
                (at, unit * 0.035),
                ([at[0] + lean * 0.4, at[1] - tall * 0.6], unit * 0.025),
                ([at[0] + lean, at[1] - tall], unit * 0.004),
            ]);
            self.canvas.fill(&blade.shape(), tone);
        }
    }

    pub(super) fn rooftops(&mut self) {
        let (air, night) = self.sky();
        let ([_, feet], unit, wide, long) = (self.layout.feet, self.layout.unit, self.wide(), self.long());
        // Houses, the far ones paler.
        for layer in 0..2 {
            let mut x = -long * self.dice.between(0.0, 0.1);
            while x < wide {
                let width = long * self.dice.between(0.09, 0.22);
                let tall = long * self.dice.between(0.12, 0.40) * (1.0 - 0.3 * layer as f32);
                let wall = self.dice.colour(&[0xc8_8a6a, 0xd8_c8a8, 0x8a_9aa8, 0xa8_605a, 0xe0_d8c8, 0x6a_6a80].map(hex));
                let wall = mix(scaled(wall, if night { 0.35 } else { 0.95 }), air, if layer == 0 { 0.45 } else { 0.1 });
                let top = feet - tall;
                self.canvas.fill(&Shape::rect([x, top], [width * 0.97, tall + unit * 2.0]), wall);
                if self.dice.coin(0.6) {
                    let roof =
                        [[x - width * 0.05, top], [x + width * 1.02, top], [x + width * 0.48, top - width * self.dice.between(0.3, 0.6)]];
                    self.canvas.fill(&Shape::polygon(&roof), scaled(mix(wall, hex(0x8a_4a3a), 0.5), 0.8));
                }
                let pane = width * 0.16;
                for row in 0..(tall / (pane * 2.2)) as usize {
                    for column in 0..3 {
                        let lit = self.dice.coin(if night { 0.5 } else { 0.15 });
                        let glass = if lit { hex(0xf8_d880) } else { scaled(wall, 0.6) };
                        let corner = [x + width * (0.14 + 0.27 * column as f32), top + pane * (0.8 + 2.1 * row as f32)];
                        self.canvas.fill(&Shape::rect(corner, [pane, pane * 1.3]), glass);
                    }
                }
                x += width;
            }
        }
        // The ridge the cat is on: rows of tiles.
        let tile = self.dice.colour(&[0xa8_5a40, 0x7a_4038, 0x5a_6470, 0xb8_7048].map(hex));
        let tile = if night { scaled(tile, 0.5) } else { tile };
        let ridge = feet - unit * 0.30;
        let roof = self.below(ridge);
        self.canvas.fade(&roof, scaled(tile, 0.9), scaled(tile, 0.65));
        let size = unit * self.dice.between(0.5, 0.8);
        for row in 0..((self.high() - ridge) / (size * 0.7)) as usize + 1 {
            for column in 0..(wide / size) as usize + 2 {
                let x = (column as f32 - 0.5 * (row % 2) as f32) * size;
                let y = ridge + row as f32 * size * 0.7;
                let tone = scaled(tile, self.dice.between(0.85, 1.15));
                self.canvas.fill(&Shape::rounded([x, y], [size * 0.94, size * 0.9], size * 0.3), tone);
                self.canvas.tint(&Shape::rect([x, y + size * 0.0], [size * 0.94, size * 0.10]), [0.0; 3], 0.25);
            }
        }
        let cap = scaled(tile, 1.15);
        self.canvas.fade(
            &Shape::rounded([-unit, ridge - unit * 0.12], [wide + 2.0 * unit, unit * 0.42], unit * 0.2),
            cap,
            scaled(cap, 0.75),
        );
        if self.dice.coin(0.5) {
            let x = self.beside();
            let brick = scaled(hex(0x9a_5a48), if night { 0.45 } else { 1.0 });
            let (width, tall) = (unit * 0.9, unit * self.dice.between(1.6, 3.0));
            self.canvas.fade(&Shape::rect([x - width / 2.0, ridge - tall], [width, tall + unit * 0.1]), brick, scaled(brick, 0.8));
            self.canvas.fill(&Shape::rect([x - width * 0.62, ridge - tall], [width * 1.24, unit * 0.25]), scaled(brick, 0.7));
        }
    }

    pub(super) fn wall_top(&mut self) {
        let (air, night) = self.sky();
        let ([_, feet], unit, wide, high, long) = (self.layout.feet, self.layout.unit, self.wide(), self.high(), self.long());
        let dim = if night { 0.4 } else { 1.0 };
        // Bushes behind.
        for _ in 0..12 {
            let (at, size) = (self.dice.between(0.0, 1.0) * wide, long * self.dice.between(0.06, 0.22));
            let leaf = self.dice.colour(&[0x4a_7a4a, 0x6a_9a50, 0x38_6048, 0x9a_a850, 0xb8_7a40].map(hex));
            let leaf = mix(scaled(leaf, dim), air, self.dice.between(0.0, 0.4));
            self.canvas.fill(&Shape::circle([at, feet - size * self.dice.between(0.2, 1.2)], size), leaf);
            self.canvas.tint(&Shape::circle([at - size * 0.3, feet - size * 1.0], size * 0.4), scaled(leaf, 1.2), 0.5);
        }
        let stone = self.dice.colour(&[0xb0_6a50, 0x9a_958c, 0xc8_b498, 0x7a_5048].map(hex));
        let stone = scaled(stone, dim);
        let top = feet - unit * 0.38;
        let wall = self.below(top);
        self.canvas.fill(&wall, scaled(stone, 0.62));
        let brick = [unit * self.dice.between(1.0, 1.6), unit * self.dice.between(0.38, 0.6)];
        for row in 0..((high - top) / brick[1]) as usize + 1 {
            for column in 0..(wide / brick[0]) as usize + 2 {
                let x = (column as f32 - 0.5 * (row % 2) as f32) * brick[0];
                let y = top + unit * 0.5 + row as f32 * brick[1];
                let tone = scaled(stone, self.dice.between(0.8, 1.15));
                self.canvas.fill(&Shape::rounded([x, y], [brick[0] * 0.95, brick[1] * 0.9], brick[1] * 0.12), tone);
            }
        }
        let cap = mix(stone, scaled([0.85, 0.83, 0.8], dim), 0.6);
        self.canvas.fade(&Shape::rect([-2.0, top], [wide + 4.0, unit * 0.52]), cap, scaled(cap, 0.78));
        // Ivy hangs over it.
        for _ in 0..self.dice.below(4) {
            let x = self.beside();
            for _ in 0..22 {
                let at = [x + unit * self.dice.between(-0.7, 0.7), top + unit * self.dice.between(-0.1, 1.6)];
                let leaf = scaled(hex(0x4a_8048), self.dice.between(0.6, 1.2) * dim);
                self.canvas.fill(&Shape::circle(at, unit * self.dice.between(0.08, 0.16)), leaf);
            }
        }
    }
}
