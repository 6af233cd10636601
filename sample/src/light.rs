//! Light and camera: the last pass, from colours to bytes.

use image::{GrayImage, RgbImage};

use crate::{canvas::Canvas, dice::Dice, shape::Point};

/// What the light and the camera make of the scene.
#[derive(Debug, Clone)]
pub(crate) struct Light {
    /// A factor for each channel: exposure and colour temperature.
    gain: [f32; 3],
    /// Where the light comes from and how strongly it falls off across the photo.
    slope: Point,
    vignette: f32,
    noise: f32,
    grain: u64,
}

impl Light {
    pub(crate) fn roll(dice: &mut Dice) -> Self {
        let exposure = match dice.below(6) {
            0 => dice.between(0.62, 0.78),
            1 => dice.between(1.04, 1.12),
            _ => dice.between(0.86, 1.04),
        };
        let warmth = dice.between(-0.07, 0.09);
        let [cos, sin] = crate::shape::cos_sin(dice.between(0.0, core::f32::consts::TAU));
        let fall = if dice.coin(0.35) { dice.between(0.12, 0.30) } else { dice.between(0.0, 0.10) };
        Self {
            gain: [exposure * (1.0 + warmth), exposure, exposure * (1.0 - 1.2 * warmth)],
            slope: [cos * fall, sin * fall],
            vignette: dice.between(0.05, 0.28),
            noise: dice.between(0.004, if exposure < 0.8 { 0.03 } else { 0.014 }),
            grain: dice.bits(),
        }
    }

    /// The photo and the mask.
    pub(crate) fn develop(&self, canvas: &Canvas) -> (RgbImage, GrayImage) {
        let (width, height) = (canvas.width, canvas.height);
        let mut bytes = vec![0u8; 3 * width * height];
        let (middle, reach) = ([width as f32 / 2.0, height as f32 / 2.0], 2.0 / ((width * width + height * height) as f32).sqrt());
        for (y, (row, out)) in canvas.pixels.chunks_exact(width).zip(bytes.chunks_exact_mut(3 * width)).enumerate() {
            let dy = (y as f32 - middle[1]) * reach;
            let mut grain = mixed(self.grain ^ (y as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15));
            for (x, (pixel, out)) in row.iter().zip(out.as_chunks_mut::<3>().0).enumerate() {
                let dx = (x as f32 - middle[0]) * reach;
                let bright = (1.0 + dx * self.slope[0] + dy * self.slope[1]) * (1.0 - self.vignette * (dx * dx + dy * dy));
                // Two sums of three 8-bit numbers: near enough to normal, and one step of the generator for three channels.
                grain = grain.wrapping_mul(0xD134_2543_DE82_EF95).wrapping_add(0x2545_F491_4F6C_DD1D);
                let bits = (grain >> 16) as u32;
                let sum = |shift: u32| ((bits >> shift & 31) + (bits >> (shift + 5) & 31)) as f32 - 31.0;
                let (all, tint) = (sum(0) * self.noise * 0.08, sum(10) * self.noise * 0.03);
                let shot = [all + tint, all, all - tint];
                for channel in 0..3 {
                    let value = pixel[channel] * bright * self.gain[channel] + shot[channel];
                    // A float that does not fit saturates, so this cuts off as a sensor does.
                    out[channel] = (value * 255.0 + 0.5) as u8;
                }
            }
        }
        let picture = RgbImage::from_raw(width as u32, height as u32, bytes).expect("three bytes were made for every pixel");
        let mask = canvas.mask.iter().map(|share| (share * 255.0 + 0.5) as u8).collect();
        (picture, GrayImage::from_raw(width as u32, height as u32, mask).expect("one byte was made for every pixel"))
    }
}

/// A 64-bit finaliser (splitmix64's): neighbouring rows get unrelated grain.
fn mixed(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}
