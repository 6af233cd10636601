//! `Picture`: pixels in memory.

use std::borrow::Cow;

use image::{GrayImage, Luma, Rgb, RgbImage, RgbaImage};

/// An upright picture, 8 bits a channel, with straight alpha where it has any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Picture {
    /// Opaque.
    Rgb(RgbImage),
    /// With straight (not premultiplied) alpha.
    Rgba(RgbaImage),
}

impl Picture {
    /// Width in pixels.
    pub fn width(&self) -> u32 {
        self.size()[0]
    }

    /// Height in pixels.
    pub fn height(&self) -> u32 {
        self.size()[1]
    }

    /// Width and height in pixels.
    pub fn size(&self) -> [u32; 2] {
        match self {
            Self::Rgb(image) => [image.width(), image.height()],
            Self::Rgba(image) => [image.width(), image.height()],
        }
    }

    /// Whether it has an alpha channel (which may be opaque everywhere).
    pub fn has_alpha(&self) -> bool {
        matches!(self, Self::Rgba(_))
    }

    /// The pixels with an alpha channel: borrowed where there is one, opaque where there is none.
    pub fn to_rgba(&self) -> Cow<'_, RgbaImage> {
        match self {
            Self::Rgba(image) => Cow::Borrowed(image),
            Self::Rgb(image) => {
                let pixels = image.as_raw().as_chunks::<3>().0.iter().flat_map(|&[r, g, b]| [r, g, b, 255]).collect();
                Cow::Owned(RgbaImage::from_raw(image.width(), image.height(), pixels).expect("four bytes were made for every pixel"))
            }
        }
    }

    /// The pixels with `fill` laid under what is transparent: borrowed where there is no alpha.
    pub fn over(&self, fill: Rgb<u8>) -> Cow<'_, RgbImage> {
        match self {
            Self::Rgb(image) => Cow::Borrowed(image),
            Self::Rgba(image) => {
                let pixels = image.as_raw().as_chunks::<4>().0.iter().flat_map(|&[r, g, b, a]| {
                    let [fr, fg, fb] = fill.0;
                    [blend(r, fr, a), blend(g, fg, a), blend(b, fb, a)]
                });
                let pixels = pixels.collect();
                Cow::Owned(RgbImage::from_raw(image.width(), image.height(), pixels).expect("three bytes were made for every pixel"))
            }
        }
    }

    /// The luma of every pixel by ITU-R BT.601 (0.299 R + 0.587 G + 0.114 B), alpha ignored.
    pub fn luma(&self) -> GrayImage {
        let luma = |r: u8, g: u8, b: u8| Luma([((299 * u32::from(r) + 587 * u32::from(g) + 114 * u32::from(b) + 500) / 1000) as u8]);
        let [width, height] = self.size();
        GrayImage::from_fn(width, height, |x, y| match self {
            Self::Rgb(image) => {
                let [r, g, b] = image.get_pixel(x, y).0;
                luma(r, g, b)
            }
            Self::Rgba(image) => {
                let [r, g, b, _] = image.get_pixel(x, y).0;
                luma(r, g, b)
            }
        })
    }

    /// The alpha channel, if there is one.
    pub fn alpha(&self) -> Option<GrayImage> {
        match self {
            Self::Rgb(_) => None,
            Self::Rgba(image) => {
                let alpha = image.as_raw().as_chunks::<4>().0.iter().map(|pixel| pixel[3]).collect();
                Some(GrayImage::from_raw(image.width(), image.height(), alpha).expect("one byte was taken from every pixel"))
            }
        }
    }
}

impl From<RgbImage> for Picture {
    fn from(image: RgbImage) -> Self {
        Self::Rgb(image)
    }
}

impl From<RgbaImage> for Picture {
    fn from(image: RgbaImage) -> Self {
        Self::Rgba(image)
    }
}

/// `over · alpha + under · (1 − alpha)`, rounded to nearest.
fn blend(over: u8, under: u8, alpha: u8) -> u8 {
    let (over, under, alpha) = (u32::from(over), u32::from(under), u32::from(alpha));
    ((over * alpha + under * (255 - alpha) + 127) / 255) as u8
}

#[cfg(test)]
mod tests {
    use image::Rgba;

    use super::*;

    #[test]
    fn a_fill_lies_under_transparency_and_changes_nothing_opaque() {
        let mut image = RgbaImage::from_pixel(3, 1, Rgba([10, 20, 30, 255]));
        image.put_pixel(1, 0, Rgba([10, 20, 30, 0]));
        image.put_pixel(2, 0, Rgba([0, 0, 0, 128]));
        let over = Picture::Rgba(image).over(Rgb([255, 255, 255])).into_owned();
        assert_eq!(over.into_raw(), [10, 20, 30, 255, 255, 255, 127, 127, 127]);
    }
}
