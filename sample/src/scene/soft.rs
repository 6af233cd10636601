//! Sofas and beds.

use super::{
    Stage,
    indoors::{CLOTHS, WOODS},
};
use crate::{
    colour::{hex, mix, scaled},
    shape::{Ribbon, Shape},
};

impl Stage<'_> {
    pub(super) fn sofa(&mut self) {
        self.room_wall();
        let ([_, feet], unit, wide, long) = (self.layout.feet, self.layout.unit, self.wide(), self.long());
        self.wall_things(feet - unit * 2.0);
        let cloth = self.dice.colour(&CLOTHS.map(hex));
        if self.dice.coin(0.45) {
            let x = self.beside();
            let size = long * self.dice.between(0.16, 0.26);
            self.lamp([x, feet + unit * 0.2], size);
        }
        let back = feet - unit * self.dice.between(1.4, 3.4);
        let width = unit * self.dice.between(4.2, 6.5);
        let start = self.layout.feet[0] - width * self.dice.between(0.2, 0.8) - width;
        let arm = if self.dice.coin(0.6) { Some(self.dice.coin(0.5)) } else { None };
        for i in 0..((wide - start) / width) as usize + 2 {
            let x = start + i as f32 * width;
            let tone = scaled(cloth, self.dice.between(0.92, 1.05));
            self.canvas.fade(
                &Shape::rounded([x, back], [width * 0.985, feet - back + unit * 2.0], unit * 0.6),
                scaled(tone, 1.12),
                scaled(tone, 0.68),
            );
            if self.dice.coin(0.5) {
                self.canvas.fill(&Shape::circle([x + width / 2.0, (back + feet) / 2.0 - unit * 0.1], unit * 0.1), scaled(tone, 0.6));
            }
        }
        let seat = feet - unit * 0.45;
        for i in 0..((wide - start) / width) as usize + 2 {
            let x = start + i as f32 * width;
            let room = [width * 0.99, unit * 1.15];
            self.canvas.fade(&Shape::rounded([x, seat], room, unit * 0.35), scaled(cloth, 1.18), scaled(cloth, 0.86));
        }
        let lower = self.below(seat + unit * 1.1);
        self.canvas.fade(&lower, scaled(cloth, 0.62), scaled(cloth, 0.75));
        if let Some(right) = arm {
            let share = self.dice.between(0.10, 0.2);
            let corner = if right { wide * (1.0 - share) } else { wide * share - unit * 3.0 };
            let shape = Shape::rounded([corner, feet - unit * 1.3], [unit * 3.0, self.high()], unit * 0.7);
            self.canvas.fade(&shape, scaled(cloth, 1.15), scaled(cloth, 0.6));
        }
        for _ in 0..self.dice.below(3) {
            self.pillow(feet);
        }
        if self.dice.coin(0.35) {
            self.blanket(seat, back);
        }
    }

    fn pillow(&mut self, level: f32) {
        let (x, unit) = (self.beside(), self.layout.unit);
        let size = unit * self.dice.between(0.9, 1.4);
        let colour = self.dice.colour(&CLOTHS.map(hex));
        let (tilt, y) = (self.dice.between(-0.5, 0.5), level - size * 0.75);
        let [cos, sin] = crate::shape::cos_sin(tilt);
        let corner = |a: f32, b: f32| [x + size * (a * cos - b * sin), y + size * (a * sin + b * cos)];
        let shape = Shape::blob(&[
            corner(-1.0, -1.0),
            corner(0.0, -0.84),
            corner(1.0, -1.0),
            corner(0.86, 0.0),
            corner(1.0, 1.0),
            corner(0.0, 0.84),
            corner(-1.0, 1.0),
            corner(-0.86, 0.0),
        ]);
        self.canvas.glow([x, level + size * 0.1], [size * 1.4, size * 0.5], [0.05; 3], 0.4, None);
        self.canvas.fade(&shape, scaled(colour, 1.15), scaled(colour, 0.75));
        let clip = self.canvas.cover(&shape);
        let other = mix(colour, [1.0, 0.97, 0.9], 0.6);
        match self.dice.below(3) {
            0 => {
                for step in -2..=2 {
                    let at = step as f32 * 0.4;
                    let stripe = Ribbon::even(&[corner(at, -1.1), corner(at, 1.1)], size * 0.07).shape();
                    self.canvas.fill_within(&stripe, &clip, other, 0.8);
                }
            }
            1 => {
                for (a, b) in [(-0.5, -0.5), (0.5, -0.4), (0.0, 0.05), (-0.5, 0.5), (0.5, 0.5)] {
                    self.canvas.fill_within(&Shape::circle(corner(a, b), size * 0.14), &clip, other, 0.85);
                }
            }
            _ => {}
        }
    }

    fn blanket(&mut self, seat: f32, back: f32) {
        let (unit, x) = (self.layout.unit, self.beside());
        let colour = self.dice.colour(&CLOTHS.map(hex));
        let half = unit * self.dice.between(0.8, 1.6);
        let shape = Shape::blob(&[
            [x - half, back - unit * 0.15],
            [x + half, back - unit * 0.15],
            [x + half * 1.05, (seat + back) / 2.0],
            [x + half * 1.15, seat + unit * 0.7],
            [x, seat + unit * 0.95],
            [x - half * 0.9, seat + unit * 0.7],
        ]);
        let clip = self.canvas.cover(&shape);
        self.canvas.fade(&shape, scaled(colour, 1.1), scaled(colour, 0.8));
        for line in -2..=2 {
            let at = x + line as f32 * half * 0.45;
            self.canvas.fill_within(&Shape::rect([at, back - unit], [half * 0.1, unit * 9.0]), &clip, scaled(colour, 0.7), 0.6);
        }
    }

    pub(super) fn bed(&mut self) {
        self.room_wall();
        let ([x, feet], unit, wide, long) = (self.layout.feet, self.layout.unit, self.wide(), self.long());
        self.wall_things(feet - unit * 2.5);
        let wood = self.dice.colour(&WOODS.map(hex));
        let head = feet - unit * self.dice.between(2.2, 3.6);
        self.canvas.fade(
            &Shape::rounded([-long * 0.05, head], [wide + long * 0.1, self.high()], long * 0.05),
            scaled(wood, 1.1),
            scaled(wood, 0.6),
        );
        if self.dice.coin(0.7) {
            let step = long * self.dice.between(0.05, 0.12);
            for slat in 0..(wide / step) as usize + 1 {
                let corner = [slat as f32 * step, head + long * 0.035];
                self.canvas.tint(&Shape::rounded(corner, [step * 0.55, self.high()], step * 0.1), scaled(wood, 0.45), 0.6);
            }
        }
        let linen = self.dice.colour(&[0xf2_eee6, 0xd8_e0e8, 0xf0_dcd8, 0xc9_d4b8, 0x6a_7a9a, 0xe8_d8b0, 0x9a_5f68].map(hex));
        for side in [0.22, 0.72] {
            let centre = [wide * (side + self.dice.between(-0.08, 0.08)), feet - unit * 1.0];
            let (half, tall) = (wide * 0.24, unit * 0.75);
            let shape = Shape::blob(&[
                [centre[0] - half, centre[1] - tall * 0.6],
                [centre[0], centre[1] - tall],
                [centre[0] + half, centre[1] - tall * 0.6],
                [centre[0] + half * 1.02, centre[1] + tall * 0.7],
                [centre[0] - half * 1.02, centre[1] + tall * 0.7],
            ]);
            self.canvas.fade(&shape, mix(linen, [1.0; 3], 0.5), scaled(linen, 0.78));
        }
        // The duvet: a wavy upper edge, folds, perhaps checks.
        let edge = feet - unit * 0.6;
        let mut points = vec![[-long * 0.1, edge]];
        for step in 1..8 {
            points.push([wide * step as f32 / 7.0 - long * 0.02, edge + unit * self.dice.between(-0.25, 0.2)]);
        }
        points.extend([[wide + long * 0.1, edge], [wide + long * 0.1, self.high() * 1.2], [-long * 0.1, self.high() * 1.2]]);
        let cover = self.dice.colour(&CLOTHS.map(hex));
        let cover = if self.dice.coin(0.5) { mix(cover, linen, 0.6) } else { cover };
        let shape = Shape::blob(&points);
        self.canvas.fade(&shape, scaled(cover, 1.15), scaled(cover, 0.78));
        let clip = self.canvas.cover(&shape);
        if self.dice.coin(0.5) {
            let (step, other) = (unit * self.dice.between(0.7, 1.2), mix(cover, [1.0; 3], 0.45));
            for i in 0..(wide / step) as usize + 2 {
                let at = i as f32 * step;
                let line = Ribbon::even(&[[at, edge - unit], [at - unit * 0.6, self.high() + unit]], step * 0.12).shape();
                self.canvas.fill_within(&line, &clip, other, 0.5);
            }
            for i in 0..(self.high() / step) as usize + 1 {
                let at = edge + (i as f32 + 0.5) * step * 0.6;
                self.canvas.fill_within(&Shape::rect([-2.0, at], [wide + 4.0, step * 0.14]), &clip, other, 0.5);
            }
        }
        for _ in 0..7 {
            let from = [self.dice.between(0.0, 1.0) * wide, feet + unit * self.dice.between(-0.3, 1.2)];
            let to = [from[0] + (from[0] - x) * 0.4, from[1] + unit * self.dice.between(0.2, 1.4)];
            let fold = Ribbon::new(&[(from, unit * 0.03), (to, unit * 0.10)]).shape();
            self.canvas.fill_within(&fold, &clip, scaled(cover, 0.7), 0.5);
        }
    }
}
