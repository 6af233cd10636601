//! Poses, all facing left; a mirrored frame makes them face right. The ground is at 0, up is negative, the skull is 2 wide.

use super::{Eyes, Limb, Painter};
use crate::{
    canvas::Coverage,
    dice::Dice,
    shape::{Point, Shape},
};

/// How the cat holds itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pose {
    Sitting,
    SittingSideways,
    Loaf,
    Lying,
    Walking,
    Asleep,
    Stretching,
}

/// What a pose needs in the photo, in the cat's units.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extent {
    /// Left, top, right and bottom of everything drawn.
    pub(crate) bounds: [f32; 4],
    /// The area it covers.
    pub(crate) area: f32,
}

impl Pose {
    pub(crate) const ALL: [Self; 7] =
        [Self::Sitting, Self::SittingSideways, Self::Loaf, Self::Lying, Self::Walking, Self::Asleep, Self::Stretching];

    pub(crate) fn extent(self) -> Extent {
        let (bounds, area) = match self {
            Self::Sitting => ([-1.6, -4.4, 2.3, 0.15], 8.0),
            Self::SittingSideways => ([-1.9, -4.4, 2.9, 0.15], 8.5),
            Self::Loaf => ([-2.3, -3.2, 2.3, 0.15], 8.0),
            Self::Lying => ([-3.3, -3.0, 3.3, 0.2], 9.5),
            Self::Walking => ([-2.9, -4.6, 3.0, 0.15], 9.5),
            Self::Asleep => ([-2.4, -2.6, 2.3, 0.2], 8.0),
            Self::Stretching => ([-3.1, -4.2, 3.1, 0.2], 9.0),
        };
        Extent { bounds, area }
    }
}

impl Painter<'_> {
    /// Draws the cat.
    pub(crate) fn cat(&mut self, pose: Pose) {
        match pose {
            Pose::Sitting => self.sitting(),
            Pose::SittingSideways => self.sitting_sideways(),
            Pose::Loaf => self.loaf(),
            Pose::Lying => self.lying(),
            Pose::Walking => self.walking(),
            Pose::Asleep => self.asleep(),
            Pose::Stretching => self.stretching(),
        }
    }

    fn lean(&mut self) -> (f32, f32) {
        (self.dice.between(-0.16, 0.16), self.dice.between(-0.9, 0.5))
    }

    /// The shadow that the head throws on the body.
    fn head_shadow(&mut self, body: &Coverage, centre: Point) {
        self.spot(Some(body), [centre[0], centre[1] + 0.55], [1.15, 0.75], [0.08, 0.05, 0.08], 0.42);
    }

    /// The body's place without painting it, to clip shadows with.
    fn area(&self, shape: &Shape) -> Coverage {
        self.canvas.cover(&self.frame.place(shape))
    }

    fn sitting(&mut self) {
        let (roll, yaw) = self.lean();
        let tail: &[(Point, f32)] = match self.dice.below(3) {
            0 => &[([0.7, -0.35], 0.20), ([1.45, -0.12], 0.21), ([1.95, -0.55], 0.21), ([1.75, -1.25], 0.20), ([2.05, -1.75], 0.17)],
            1 => &[([0.7, -0.4], 0.20), ([1.5, -0.25], 0.22), ([1.85, -1.0], 0.21), ([1.45, -1.6], 0.19), ([1.65, -2.2], 0.16)],
            _ => &[([0.8, -0.25], 0.20), ([1.6, -0.2], 0.21), ([2.05, -0.18], 0.18)],
        };
        self.limb(tail, Limb::Tail);
        let body = Shape::mirrored_blob(&[
            [0.0, -2.55],
            [-0.55, -2.35],
            [-0.74, -1.85],
            [-0.98, -1.1],
            [-1.22, -0.45],
            [-1.02, -0.05],
            [-0.4, 0.02],
            [0.0, 0.02],
        ]);
        let belly = Shape::mirrored_blob(&[[0.0, -2.4], [-0.42, -2.1], [-0.52, -1.5], [-0.40, -0.8], [-0.2, -0.4], [0.0, -0.35]]);
        // Stripes come in from both flanks.
        self.torso(&body, &[[-1.3, -0.2], [-1.15, -1.0], [-0.85, -1.9]], [0.85, 0.12], None, [-1.2, -2.5, 1.2, 0.0]);
        if self.coat().stripes > 0.0 {
            let (clip, coat) = (self.area(&body), self.coat().clone());
            for y in [-0.35, -0.75, -1.15, -1.55, -1.9] {
                let stripe = [([1.3, y], 0.09), ([0.9, y + 0.06], 0.08), ([0.5, y + 0.12], 0.01)];
                self.on(&clip, &crate::shape::Ribbon::new(&stripe).shape(), coat.dark, coat.stripes);
            }
            self.outline(&body, 0.3);
        }
        let clip = self.area(&body);
        if let Some(colour) = self.coat().belly {
            self.on(&clip, &belly, colour, 1.0);
        }
        let chest = [0.12 * yaw, -2.95];
        self.head_shadow(&clip, chest);
        for side in [-1.0, 1.0] {
            let thigh = Shape::ellipse([side * 0.86, -0.48], [0.42, 0.50], side * 0.25);
            let coverage = self.part(&thigh, self.coat().base);
            self.round(&coverage, [side * 0.86, -0.5], [0.6, 0.7]);
            self.outline(&thigh, 0.28);
            self.paw([side * 0.92, -0.12], [0.40, 0.17]);
        }
        for side in [-1.0, 1.0] {
            self.limb(&[([side * 0.32, -1.35], 0.24), ([side * 0.35, -0.7], 0.23), ([side * 0.34, -0.2], 0.23)], Limb::Leg);
            self.paw([side * 0.35, -0.10], [0.31, 0.19]);
        }
        self.collar([-0.62, -2.22], [0.62, -2.22], 0.20);
        self.head([0.12 * yaw, -2.98], 1.0, roll, yaw);
    }

    fn sitting_sideways(&mut self) {
        let (roll, yaw) = self.lean();
        let tail: &[(Point, f32)] = if self.dice.coin(0.5) {
            &[([1.2, -0.35], 0.21), ([2.0, -0.2], 0.22), ([2.55, -0.5], 0.21), ([2.6, -1.15], 0.17)]
        } else {
            &[([1.2, -0.4], 0.20), ([1.95, -0.55], 0.22), ([2.0, -1.4], 0.21), ([2.45, -2.0], 0.18), ([2.35, -2.5], 0.14)]
        };
        self.limb(tail, Limb::Tail);
        self.limb(&[([-0.35, -1.2], 0.25), ([-0.30, -0.65], 0.21), ([-0.36, -0.15], 0.20)], Limb::FarLeg);
        let body = Shape::blob(&[
            [-0.75, -2.5],
            [-0.95, -1.9],
            [-0.85, -1.2],
            [-0.55, -0.6],
            [-0.2, -0.1],
            [0.6, 0.02],
            [1.35, -0.02],
            [1.62, -0.5],
            [1.4, -1.25],
            [0.85, -1.95],
            [0.25, -2.5],
            [-0.25, -2.75],
        ]);
        let belly = Shape::blob(&[[-0.7, -2.6], [-1.1, -1.9], [-0.95, -1.1], [-0.55, -0.75], [-0.42, -1.4], [-0.35, -2.2]]);
        self.torso(&body, &[[0.1, -2.6], [0.9, -1.9], [1.45, -1.2], [1.7, -0.4]], [-0.85, 0.35], Some(&belly), [-0.9, -2.6, 1.6, 0.0]);
        let clip = self.area(&body);
        self.head_shadow(&clip, [-0.55, -2.95]);
        let thigh = Shape::ellipse([0.86, -0.62], [0.66, 0.60], -0.3);
        let coverage = self.part(&thigh, self.coat().base);
        self.thigh_stripes(&coverage, [0.86, -0.62]);
        self.round(&coverage, [0.86, -0.66], [0.85, 0.8]);
        self.outline(&thigh, 0.30);
        self.paw([0.42, -0.12], [0.48, 0.17]);
        self.limb(&[([-0.62, -1.5], 0.26), ([-0.66, -0.8], 0.23), ([-0.70, -0.15], 0.22)], Limb::Leg);
        self.paw([-0.78, -0.11], [0.33, 0.18]);
        self.collar([-1.0, -2.25], [0.25, -2.32], 0.22);
        self.head([-0.55, -3.0], 1.0, roll, yaw);
    }

    fn thigh_stripes(&mut self, coverage: &Coverage, [x, y]: Point) {
        let coat = self.coat().clone();
        if coat.stripes > 0.0 {
            for step in [-0.22, 0.02, 0.26] {
                let stripe = [([x + 0.6, y + step], 0.07), ([x + 0.3, y + step - 0.05], 0.06), ([x - 0.05, y + step + 0.04], 0.01)];
                self.on(coverage, &crate::shape::Ribbon::new(&stripe).shape(), coat.dark, coat.stripes);
            }
        }
    }

    fn loaf(&mut self) {
        let (roll, yaw) = self.lean();
        let body = Shape::blob(&[
            [-1.35, -1.6],
            [-1.75, -0.9],
            [-1.72, -0.2],
            [-1.2, 0.02],
            [0.0, 0.05],
            [1.3, 0.02],
            [1.95, -0.25],
            [2.05, -0.95],
            [1.7, -1.6],
            [0.9, -1.98],
            [-0.1, -2.0],
            [-0.9, -1.9],
        ]);
        let belly = Shape::blob(&[[-1.5, -1.6], [-1.9, -0.8], [-1.6, -0.1], [-0.8, 0.1], [-0.3, -0.3], [-0.4, -1.0]]);
        self.torso(&body, &[[-0.4, -2.1], [0.6, -2.1], [1.5, -1.85], [2.1, -1.1]], [-0.12, 1.15], Some(&belly), [-1.7, -1.95, 2.0, 0.0]);
        let clip = self.area(&body);
        self.head_shadow(&clip, [-0.85, -1.75]);
        let thigh = Shape::ellipse([1.28, -0.50], [0.66, 0.48], 0.1);
        let coverage = self.part(&thigh, self.coat().base);
        self.thigh_stripes(&coverage, [1.28, -0.5]);
        self.round(&coverage, [1.25, -0.5], [0.85, 0.7]);
        self.outline(&thigh, 0.30);
        self.paw([-1.10, -0.10], [0.40, 0.17]);
        self.paw([-0.36, -0.08], [0.40, 0.17]);
        if self.dice.coin(0.6) {
            let tail = [([2.0, -0.45], 0.20), ([1.75, -0.06], 0.22), ([1.0, 0.0], 0.20), ([0.35, -0.06], 0.16)];
            self.limb(&tail, Limb::Tail);
        }
        self.collar([-1.45, -1.02], [-0.22, -1.02], 0.2);
        self.head([-0.85, -1.78], 1.0, roll, yaw);
    }

    fn lying(&mut self) {
        let (roll, yaw) = self.lean();
        let tail: &[(Point, f32)] = if self.dice.coin(0.5) {
            &[([2.0, -0.45], 0.22), ([2.6, -0.2], 0.22), ([3.05, -0.45], 0.20), ([2.95, -1.0], 0.16)]
        } else {
            &[([2.0, -0.5], 0.22), ([2.5, -0.75], 0.22), ([2.7, -1.35], 0.20), ([3.05, -1.8], 0.16)]
        };
        self.limb(tail, Limb::Tail);
        self.limb(&[([-1.0, -0.5], 0.26), ([-1.75, -0.28], 0.22), ([-2.45, -0.28], 0.19)], Limb::FarLeg);
        let body = Shape::blob(&[
            [-1.75, -1.45],
            [-1.85, -0.8],
            [-1.55, -0.2],
            [-0.8, 0.02],
            [0.5, 0.04],
            [1.7, 0.02],
            [2.35, -0.3],
            [2.4, -0.95],
            [1.95, -1.5],
            [1.1, -1.62],
            [0.0, -1.48],
            [-0.9, -1.62],
        ]);
        let belly =
            Shape::blob(&[[-2.0, -1.4], [-2.0, -0.4], [-1.2, 0.15], [0.2, 0.12], [1.1, 0.05], [0.6, -0.30], [-0.8, -0.45], [-1.35, -0.9]]);
        self.torso(&body, &[[-0.6, -1.7], [0.4, -1.65], [1.4, -1.7], [2.4, -1.2]], [-0.10, 0.95], Some(&belly), [-1.8, -1.6, 2.4, 0.0]);
        let clip = self.area(&body);
        self.head_shadow(&clip, [-1.5, -1.6]);
        let thigh = Shape::ellipse([1.55, -0.62], [0.74, 0.60], -0.2);
        let coverage = self.part(&thigh, self.coat().base);
        self.thigh_stripes(&coverage, [1.55, -0.62]);
        self.round(&coverage, [1.55, -0.65], [0.95, 0.85]);
        self.outline(&thigh, 0.30);
        self.limb(&[([1.35, -0.22], 0.22), ([0.9, -0.12], 0.18), ([0.45, -0.12], 0.17)], Limb::Leg);
        self.limb(&[([-1.1, -0.35], 0.27), ([-1.85, -0.14], 0.22), ([-2.6, -0.10], 0.19)], Limb::Leg);
        self.paw([-2.75, -0.12], [0.32, 0.20]);
        self.paw([0.42, -0.12], [0.30, 0.18]);
        self.collar([-2.1, -1.0], [-0.9, -0.92], 0.2);
        self.head([-1.52, -1.68], 1.0, roll, yaw);
    }

    fn walking(&mut self) {
        let (roll, yaw) = self.lean();
        let stride = self.dice.between(0.12, 0.34);
        let tail: &[(Point, f32)] = match self.dice.below(3) {
            0 => &[([1.5, -1.9], 0.20), ([2.0, -2.5], 0.20), ([1.95, -3.3], 0.19), ([2.4, -4.0], 0.15)],
            1 => &[([1.5, -1.9], 0.20), ([2.1, -2.0], 0.20), ([2.5, -2.7], 0.19), ([2.2, -3.3], 0.17), ([2.5, -3.75], 0.14)],
            _ => &[([1.5, -1.85], 0.20), ([2.1, -1.75], 0.20), ([2.55, -1.25], 0.18), ([2.9, -1.25], 0.14)],
        };
        self.limb(tail, Limb::Tail);
        self.limb(&[([-0.85, -1.3], 0.28), ([-0.75 + stride * 0.5, -0.7], 0.20), ([-0.8 + stride, -0.16], 0.18)], Limb::FarLeg);
        self.limb(&[([1.0, -1.3], 0.32), ([1.25 - stride, -0.75], 0.21), ([1.0 - stride, -0.16], 0.18)], Limb::FarLeg);
        let body = Shape::blob(&[
            [-1.55, -2.15],
            [-1.65, -1.6],
            [-1.3, -1.0],
            [-0.4, -0.82],
            [0.6, -0.90],
            [1.3, -0.95],
            [1.75, -1.35],
            [1.72, -1.95],
            [1.1, -2.2],
            [0.0, -2.1],
            [-0.8, -2.25],
        ]);
        let belly =
            Shape::blob(&[[-1.8, -2.0], [-1.8, -1.2], [-1.0, -0.7], [0.3, -0.7], [1.2, -0.8], [0.4, -1.12], [-0.8, -1.2], [-1.2, -1.6]]);
        self.torso(&body, &[[-0.7, -2.3], [0.2, -2.25], [1.1, -2.3], [1.8, -2.0]], [-0.06, 0.95], Some(&belly), [-1.6, -2.2, 1.75, -0.85]);
        let clip = self.area(&body);
        self.head_shadow(&clip, [-1.4, -2.4]);
        self.limb(&[([1.25, -1.35], 0.42), ([1.45, -0.72], 0.24), ([1.35 + stride, -0.16], 0.20)], Limb::Leg);
        self.limb(&[([-1.05, -1.25], 0.32), ([-1.1 - stride * 0.4, -0.7], 0.23), ([-1.15 - stride, -0.16], 0.20)], Limb::Leg);
        self.paw([1.27 + stride, -0.11], [0.30, 0.17]);
        self.paw([-1.24 - stride, -0.11], [0.30, 0.17]);
        self.collar([-2.0, -1.86], [-0.85, -1.9], 0.2);
        self.head([-1.5, -2.6], 1.0, roll, yaw);
    }

    fn asleep(&mut self) {
        let roll = self.dice.between(-0.45, -0.2);
        let body = Shape::blob(&[
            [-1.6, -1.35],
            [-1.95, -0.75],
            [-1.65, -0.15],
            [-0.6, 0.05],
            [0.7, 0.05],
            [1.75, -0.15],
            [2.1, -0.75],
            [1.8, -1.5],
            [0.9, -2.05],
            [-0.2, -2.1],
            [-1.0, -1.85],
        ]);
        let belly = Shape::blob(&[[-1.9, -0.8], [-1.5, -0.1], [0.0, 0.1], [0.8, 0.0], [0.5, -0.5], [-0.6, -0.7]]);
        self.torso(&body, &[[-0.6, -2.1], [0.4, -2.2], [1.4, -1.9], [2.1, -1.1]], [-0.25, 1.1], Some(&belly), [-1.9, -2.05, 2.05, 0.0]);
        let thigh = Shape::ellipse([1.1, -0.70], [0.80, 0.62], 0.2);
        let coverage = self.part(&thigh, self.coat().base);
        self.thigh_stripes(&coverage, [1.15, -0.7]);
        self.round(&coverage, [1.1, -0.75], [1.0, 0.85]);
        self.outline(&thigh, 0.3);
        self.paw([0.25, -0.20], [0.42, 0.19]);
        let clip = self.area(&body);
        self.head_shadow(&clip, [-0.85, -1.05]);
        self.head([-0.9, -0.98], 0.95, roll, 0.1);
        let tail = [([2.0, -0.6], 0.22), ([1.8, -0.1], 0.24), ([0.9, 0.0], 0.24), ([-0.1, -0.02], 0.22), ([-0.85, -0.08], 0.17)];
        self.limb(&tail, Limb::Tail);
    }

    fn stretching(&mut self) {
        let (roll, yaw) = self.lean();
        let tail = [([1.75, -2.1], 0.20), ([2.2, -2.6], 0.20), ([2.15, -3.3], 0.19), ([2.55, -3.85], 0.15)];
        self.limb(&tail, Limb::Tail);
        self.limb(&[([1.25, -1.5], 0.34), ([1.2, -0.8], 0.21), ([1.05, -0.15], 0.19)], Limb::FarLeg);
        self.limb(&[([-0.7, -0.75], 0.30), ([-1.6, -0.30], 0.22), ([-2.5, -0.24], 0.18)], Limb::FarLeg);
        let body = Shape::blob(&[
            [-1.35, -1.35],
            [-1.5, -0.8],
            [-1.15, -0.32],
            [-0.3, -0.45],
            [0.6, -0.85],
            [1.35, -1.15],
            [1.95, -1.5],
            [2.0, -2.1],
            [1.5, -2.45],
            [0.8, -2.2],
            [0.0, -1.7],
            [-0.7, -1.5],
        ]);
        let belly = Shape::blob(&[[-1.6, -1.2], [-1.5, -0.3], [-0.3, -0.2], [0.8, -0.7], [0.3, -0.85], [-0.6, -0.75]]);
        self.torso(&body, &[[-0.4, -1.7], [0.4, -2.05], [1.2, -2.5], [1.9, -2.4]], [0.18, 0.95], Some(&belly), [-1.4, -2.4, 2.0, -0.35]);
        let clip = self.area(&body);
        self.head_shadow(&clip, [-1.2, -1.45]);
        self.limb(&[([1.55, -1.6], 0.45), ([1.75, -0.85], 0.25), ([1.6, -0.15], 0.20)], Limb::Leg);
        self.paw([1.5, -0.11], [0.31, 0.17]);
        self.limb(&[([-0.9, -0.55], 0.30), ([-1.8, -0.16], 0.22), ([-2.6, -0.12], 0.19)], Limb::Leg);
        self.paw([-2.75, -0.12], [0.32, 0.19]);
        self.collar([-1.75, -0.85], [-0.65, -0.85], 0.18);
        self.head([-1.2, -1.55], 1.0, roll, yaw);
    }
}

/// Whether a pose goes with open eyes only.
pub(crate) fn eyes_for(pose: Pose, eyes: Eyes, dice: &mut Dice) -> Eyes {
    match pose {
        Pose::Asleep => Eyes::Asleep,
        Pose::Loaf if dice.coin(0.35) => dice.pick(&[Eyes::Half, Eyes::Happy]),
        Pose::Stretching if dice.coin(0.6) => Eyes::Happy,
        _ => eyes,
    }
}
