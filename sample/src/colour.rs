//! Colours as red, green, blue in 0 to 1, as they stand in a file.

pub(crate) type Colour = [f32; 3];

pub(crate) const WHITE: Colour = [0.98, 0.975, 0.96];
pub(crate) const INK: Colour = [0.12, 0.10, 0.11];

/// From `0xrrggbb`.
pub(crate) const fn hex(code: u32) -> Colour {
    [(code >> 16 & 255) as f32 / 255.0, (code >> 8 & 255) as f32 / 255.0, (code & 255) as f32 / 255.0]
}

/// `a` for 0, `b` for 1.
pub(crate) fn mix(a: Colour, b: Colour, share: f32) -> Colour {
    [a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share, a[2] + (b[2] - a[2]) * share]
}

/// Times `factor`: below 1 darker, above 1 lighter.
pub(crate) fn scaled(colour: Colour, factor: f32) -> Colour {
    colour.map(|value| (value * factor).clamp(0.0, 1.0))
}

/// Weighted as the eye weighs them (ITU-R BT.601).
pub(crate) fn luma([red, green, blue]: Colour) -> f32 {
    0.299 * red + 0.587 * green + 0.114 * blue
}
