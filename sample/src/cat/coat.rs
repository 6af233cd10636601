//! `Coat`: colours and pattern.

use crate::{
    colour::{Colour, INK, WHITE, hex, luma, mix, scaled},
    dice::Dice,
};

/// What kind of coat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pattern {
    Solid,
    Tabby,
    TabbyWhite,
    Tuxedo,
    Calico,
    Tortie,
    Point,
    /// White below, a cap of colour above.
    Bicolour,
}

/// Colours of every part, worked out once.
#[derive(Debug, Clone)]
pub(crate) struct Coat {
    pub(crate) pattern: Pattern,
    pub(crate) base: Colour,
    /// Stripes, points, patches.
    pub(crate) dark: Colour,
    /// How strong the stripes are; 0: none.
    pub(crate) stripes: f32,
    pub(crate) limb: Colour,
    pub(crate) tail: Colour,
    pub(crate) ear: [Colour; 2],
    /// The end of the legs, where it differs.
    pub(crate) sock: Option<Colour>,
    pub(crate) tail_tip: Option<Colour>,
    /// Chest and belly.
    pub(crate) belly: Option<Colour>,
    /// Round the mouth.
    pub(crate) muzzle: Option<Colour>,
    pub(crate) patches: [Option<Colour>; 2],
    pub(crate) inner_ear: Colour,
    pub(crate) nose: Colour,
    pub(crate) outline: Colour,
}

impl Coat {
    pub(crate) fn roll(dice: &mut Dice) -> Self {
        let pattern = dice.pick(&[
            Pattern::Solid,
            Pattern::Solid,
            Pattern::Tabby,
            Pattern::Tabby,
            Pattern::TabbyWhite,
            Pattern::TabbyWhite,
            Pattern::Tuxedo,
            Pattern::Calico,
            Pattern::Tortie,
            Pattern::Point,
            Pattern::Bicolour,
        ]);
        let solid = [0xe0_954a, 0xf0_d9b0, 0x8f_97a3, 0x2e_2b30, 0xf4_f0e8, 0x6b_4a3a, 0xb9_bcc2, 0xc9_7b3c, 0x55_5c68];
        let (base, dark) = match pattern {
            Pattern::Solid => {
                let base = hex(dice.pick(&solid));
                (base, scaled(base, 0.7))
            }
            Pattern::Tabby | Pattern::TabbyWhite => {
                let (base, dark) = dice.pick(&[
                    (0xe8_a055, 0xb8_6524),
                    (0xf0_b878, 0xc9_7a38),
                    (0xa3_8f78, 0x4a_3d33),
                    (0xb5_b3ad, 0x55_5553),
                    (0xc7_a886, 0x7b_5a3e),
                    (0xd9_d4c8, 0x8d_8478),
                ]);
                (hex(base), hex(dark))
            }
            Pattern::Tuxedo => (hex(dice.pick(&[0x2b_2a30, 0x3b_3f4a, 0x56_5a63])), hex(0x1b_1a1f)),
            Pattern::Calico => (WHITE, hex(0x33_2d2e)),
            Pattern::Tortie => (hex(0x4a_3630), hex(0xd0_8040)),
            Pattern::Point => {
                let (base, dark) = dice.pick(&[(0xf0_e3cd, 0x4a_352c), (0xec_e6dc, 0x6b_6f7c), (0xf5_e8d2, 0xb8_7a4a)]);
                (hex(base), hex(dark))
            }
            Pattern::Bicolour => (WHITE, hex(dice.pick(&[0x38_3438, 0xd9_8a43, 0x8c_93a0, 0x7a_5640]))),
        };
        let base = scaled(base, dice.between(0.95, 1.05));
        let white = matches!(pattern, Pattern::Tuxedo | Pattern::TabbyWhite);
        let orange = hex(0xe0_8b3e);
        let patches = match pattern {
            Pattern::Calico => [Some(orange), Some(dark)],
            Pattern::Tortie => [Some(dark), Some(hex(0x2b_2224))],
            Pattern::Bicolour => [Some(dark), None],
            _ => [None, None],
        };
        let (limb, tail, ear) = match pattern {
            Pattern::Point => (mix(base, dark, 0.25), mix(base, dark, 0.85), [dark, dark]),
            Pattern::Calico => (base, orange, [orange, dark]),
            Pattern::Tortie => (base, base, [dark, base]),
            Pattern::Bicolour => (base, dark, [dark, dark]),
            _ => (base, base, [base, base]),
        };
        let nose = if luma(base) < 0.35 && !white { hex(0x5c_4144) } else { hex(dice.pick(&[0xe8_8f92, 0xd9_7a7a, 0xc9_6f66])) };
        let outline = if luma(base) < 0.25 { scaled(base, 0.35) } else { mix(scaled(base, 0.45), hex(0x5a_3a2a), 0.35) };
        Self {
            pattern,
            base,
            dark,
            stripes: match pattern {
                Pattern::Tabby | Pattern::TabbyWhite => 0.85,
                _ => 0.0,
            },
            limb,
            tail,
            ear,
            sock: match pattern {
                Pattern::Tuxedo | Pattern::TabbyWhite => Some(WHITE),
                Pattern::Point => Some(dark),
                _ => None,
            },
            tail_tip: match pattern {
                Pattern::TabbyWhite | Pattern::Tuxedo if dice.coin(0.6) => Some(WHITE),
                Pattern::Tabby => Some(dark),
                Pattern::Calico => Some(dark),
                _ => None,
            },
            belly: if white { Some(WHITE) } else { (pattern == Pattern::Tabby).then(|| mix(base, WHITE, 0.45)) },
            muzzle: match pattern {
                Pattern::Tuxedo | Pattern::TabbyWhite => Some(WHITE),
                Pattern::Tabby => Some(mix(base, WHITE, 0.6)),
                Pattern::Solid if luma(base) > 0.35 => Some(mix(base, WHITE, 0.35)),
                _ => None,
            },
            patches,
            inner_ear: if luma(base) < 0.3 && !white { hex(0xb0_7b80) } else { hex(0xf0_b0ae) },
            nose,
            outline,
        }
    }

    pub(crate) fn is_dark(&self) -> bool {
        luma(self.base) < 0.3
    }

    /// A colour for thin lines on `ground`: darker on light fur, lighter on dark fur.
    pub(crate) fn line(&self, ground: Colour) -> Colour {
        if luma(ground) < 0.28 { mix(ground, WHITE, 0.30) } else { mix(scaled(ground, 0.35), INK, 0.5) }
    }
}
