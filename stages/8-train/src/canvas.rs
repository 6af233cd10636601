//! `Canvas`: a picture to draw diagrams on, with rectangles, text and maps of numbers.

use catgen_picture::{Rgb, RgbImage};
use embedded_graphics::{
    Pixel,
    mono_font::{MonoFont, MonoTextStyle, ascii},
    pixelcolor::{Rgb888, RgbColor},
    prelude::{Dimensions, DrawTarget, Drawable, OriginDimensions, Point, Size},
    text::{Baseline, Text},
};

/// A colour.
pub type Colour = [u8; 3];

/// Paper.
pub const WHITE: Colour = [255; 3];
/// Text and lines.
pub const INK: Colour = [32, 33, 36];
/// Lines that should not be looked at.
pub const FAINT: Colour = [196, 199, 205];
/// What is being talked about.
pub const MARK: Colour = [230, 126, 0];

/// The fonts, largest first: the X Window System's fixed fonts, which are in the public domain.
const FONTS: [&MonoFont<'static>; 6] =
    [&ascii::FONT_10X20, &ascii::FONT_9X15, &ascii::FONT_7X13, &ascii::FONT_6X10, &ascii::FONT_5X8, &ascii::FONT_4X6];

/// How large letters are.
#[derive(Debug, Clone, Copy)]
pub struct Letters(&'static MonoFont<'static>);

impl Letters {
    /// For titles: 9 × 15 pixels a letter.
    pub const TITLE: Self = Self(&ascii::FONT_9X15);
    /// For everything else: 7 × 13 pixels a letter.
    pub const PLAIN: Self = Self(&ascii::FONT_7X13);

    /// The largest letters of which `count` side by side fit into so many pixels; `None` where even the smallest do not.
    pub fn fitting(count: usize, width: u32, height: u32) -> Option<Self> {
        let fits = |font: &&&MonoFont<'_>| font.character_size.width * count as u32 <= width && font.character_size.height <= height;
        FONTS.iter().find(fits).map(|font| Self(font))
    }

    /// Width of a letter and height of a line, in pixels.
    pub fn size(self) -> [u32; 2] {
        [self.0.character_size.width, self.0.character_size.height]
    }

    /// How wide a text is, in pixels.
    pub fn width(self, text: &str) -> u32 {
        self.size()[0] * text.chars().count() as u32
    }
}

/// A picture that is being drawn. What lies outside of it is left out.
#[derive(Debug, Clone)]
pub struct Canvas(pub RgbImage);

impl Canvas {
    /// White paper.
    pub fn new(width: u32, height: u32) -> Self {
        Self(RgbImage::from_pixel(width, height, Rgb(WHITE)))
    }

    /// Fills a rectangle.
    pub fn fill(&mut self, [x, y]: [u32; 2], [width, height]: [u32; 2], colour: Colour) {
        for y in y..(y + height).min(self.0.height()) {
            for x in x..(x + width).min(self.0.width()) {
                self.0.put_pixel(x, y, Rgb(colour));
            }
        }
    }

    /// Draws the edge of a rectangle, `thick` pixels to the inside.
    pub fn frame(&mut self, [x, y]: [u32; 2], [width, height]: [u32; 2], thick: u32, colour: Colour) {
        let (thick_x, thick_y) = (thick.min(width), thick.min(height));
        self.fill([x, y], [width, thick_y], colour);
        self.fill([x, y + height - thick_y], [width, thick_y], colour);
        self.fill([x, y], [thick_x, height], colour);
        self.fill([x + width - thick_x, y], [thick_x, height], colour);
    }

    /// Writes a line of text with its upper left corner there. Letters beyond ASCII become question marks.
    pub fn text(&mut self, [x, y]: [u32; 2], text: &str, letters: Letters, [r, g, b]: Colour) {
        let style = MonoTextStyle::new(letters.0, Rgb888::new(r, g, b));
        let Ok(_) = Text::with_baseline(text, Point::new(x as i32, y as i32), style, Baseline::Top).draw(self);
    }

    /// Puts a picture with its upper left corner there.
    pub fn put(&mut self, [x, y]: [u32; 2], picture: &RgbImage) {
        for (dx, dy, pixel) in picture.enumerate_pixels() {
            if x + dx < self.0.width() && y + dy < self.0.height() {
                self.0.put_pixel(x + dx, y + dy, *pixel);
            }
        }
    }
}

impl OriginDimensions for Canvas {
    fn size(&self) -> Size {
        Size::new(self.0.width(), self.0.height())
    }
}

impl DrawTarget for Canvas {
    type Color = Rgb888;
    type Error = std::convert::Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<Rgb888>>>(&mut self, pixels: I) -> Result<(), Self::Error> {
        let bounds = self.bounding_box();
        for Pixel(at, colour) in pixels {
            if bounds.contains(at) {
                self.0.put_pixel(at.x as u32, at.y as u32, Rgb([colour.r(), colour.g(), colour.b()]));
            }
        }
        Ok(())
    }
}

/// A number between −1 and 1 as a colour: blue, white at zero, red; after ColorBrewer's RdBu, which is safe for the colour blind.
pub fn diverging(value: f32) -> Colour {
    const STOPS: [[f32; 3]; 4] = [[247.0, 247.0, 247.0], [244.0, 165.0, 130.0], [214.0, 96.0, 77.0], [178.0, 24.0, 43.0]];
    const COLD: [[f32; 3]; 4] = [[247.0, 247.0, 247.0], [146.0, 197.0, 222.0], [67.0, 147.0, 195.0], [33.0, 102.0, 172.0]];
    let stops = if value < 0.0 { COLD } else { STOPS };
    let place = if value.is_finite() { value.abs().min(1.0) * 3.0 } else { 3.0 };
    let below = (place as usize).min(2);
    let share = place - below as f32;
    std::array::from_fn(|at| (stops[below][at] + (stops[below + 1][at] - stops[below][at]) * share).round() as u8)
}

/// Ink that can be read on a colour.
pub fn ink_on([r, g, b]: Colour) -> Colour {
    if u32::from(r) * 3 + u32::from(g) * 6 + u32::from(b) < 1300 { WHITE } else { INK }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_drawn_where_they_should_be_and_cut_at_the_edge() {
        let mut canvas = Canvas::new(40, 20);
        canvas.text([2, 3], "7", Letters::PLAIN, INK);
        let inked: Vec<_> = canvas.0.enumerate_pixels().filter(|(_, _, pixel)| pixel.0 == INK).map(|(x, y, _)| (x, y)).collect();
        assert!(inked.len() > 8 && inked.iter().all(|&(x, y)| (2..9).contains(&x) && (3..16).contains(&y)), "{inked:?}");
        canvas.text([36, 15], "WWW", Letters::TITLE, INK);
        canvas.fill([30, 10], [100, 100], MARK);
        canvas.put([39, 19], &RgbImage::from_pixel(3, 3, Rgb([1, 2, 3])));
        assert_eq!(canvas.0.get_pixel(39, 19).0, [1, 2, 3]);
    }

    #[test]
    fn the_largest_letters_that_fit_are_taken() {
        assert_eq!(Letters::fitting(2, 20, 20).unwrap().size(), [10, 20]);
        assert_eq!(Letters::fitting(2, 19, 20).unwrap().size(), [9, 15]);
        assert_eq!(Letters::fitting(4, 20, 9).unwrap().size(), [5, 8]);
        assert!(Letters::fitting(6, 20, 20).is_none());
    }

    #[test]
    fn colours_tell_signs_apart_and_bear_anything() {
        let (cold, none, warm) = (diverging(-1.0), diverging(0.0), diverging(1.0));
        assert!(cold[2] > cold[0] && warm[0] > warm[2] && none == [247; 3]);
        assert_eq!(diverging(9.0), warm);
        assert_eq!(diverging(f32::NAN), warm);
        assert_eq!((ink_on(warm), ink_on(none)), (WHITE, INK));
    }
}
