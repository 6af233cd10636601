//! `Sheet`: many pictures on one, with words under them, to be looked at.

use std::convert::Infallible;

use catgen_api::Picture;
use catgen_picture::{Filter, Rgb, RgbImage, RgbaImage, resize};
use embedded_graphics::{
    Pixel,
    draw_target::DrawTarget,
    geometry::{OriginDimensions, Point, Size},
    mono_font::{MonoFont, MonoTextStyle, iso_8859_1::FONT_7X13},
    pixelcolor::{Rgb888, RgbColor},
    text::{Baseline, renderer::TextRenderer},
};

/// The font of the X terminals: small, and readable at its own size. Letters beyond Latin-1 show as `?`.
const FONT: &MonoFont<'_> = &FONT_7X13;

/// Pixels from one line of words to the next.
const LINE: u32 = 15;

const BACKGROUND: Rgb<u8> = Rgb([40; 3]);

/// How the words under a picture look, and the frame around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tone {
    /// As most are.
    #[default]
    Plain,
    /// What is kept, or what came in.
    Good,
    /// What does not go on.
    Bad,
    /// What a person may want to decide about.
    Doubtful,
}

impl Tone {
    fn colour(self) -> Rgb<u8> {
        match self {
            Self::Plain => Rgb([205; 3]),
            Self::Good => Rgb([130, 210, 130]),
            Self::Bad => Rgb([245, 140, 110]),
            Self::Doubtful => Rgb([240, 205, 90]),
        }
    }
}

/// One place on a sheet.
#[derive(Debug, Clone, Default)]
pub struct Cell {
    /// The picture; an empty square where there is none.
    pub picture: Option<Picture>,
    /// Lines of words under it; what is too long loses its middle.
    pub words: Vec<String>,
    /// How they look.
    pub tone: Tone,
}

impl Cell {
    /// A picture with words.
    pub fn new(picture: Picture, words: Vec<String>, tone: Tone) -> Self {
        Self { picture: Some(picture), words, tone }
    }
}

/// How a sheet is laid out.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// The side of a picture's square, in pixels.
    pub cell: u32,
    /// Pictures in a row, at most.
    pub columns: u32,
    /// Empty pixels around each.
    pub gap: u32,
}

impl Layout {
    /// A layout for that many pictures: near a square, and no wider than people's screens.
    pub fn for_count(count: usize) -> Self {
        let columns = (count as f64 * 1.5).sqrt().ceil().clamp(1.0, 12.0) as u32;
        Self::of_columns(columns)
    }

    /// That many pictures in a row, as large as a screen lets them be.
    pub fn of_columns(columns: u32) -> Self {
        // Multiples of 64, so that a 64 px picture fills its square.
        let cell = match columns {
            0..=6 => 256,
            7..=9 => 192,
            _ => 128,
        };
        Self { cell, columns: columns.max(1), gap: 6 }
    }
}

/// Groups of pictures under a title. A group begins a row of its own, unless all groups have so few that several fit into one.
/// Transparency is shown as a checkerboard, as in every editor.
pub fn sheet(title: &str, groups: &[Vec<Cell>], layout: Layout) -> RgbImage {
    let lines = groups.iter().flatten().map(|cell| cell.words.len()).max().unwrap_or(0) as u32;
    let columns = layout.columns.min(groups.iter().map(|group| group.len() as u32).sum::<u32>().max(1));
    let places = places(groups, columns);
    let rows = places.iter().map(|(_, row)| row + 1).max().unwrap_or(1);
    let columns = places.iter().map(|(column, _)| column + 1).max().unwrap_or(1);
    let (pitch_x, pitch_y) = (layout.cell + layout.gap, layout.cell + lines * LINE + layout.gap);
    let letter = FONT.character_size.width;
    // A single small picture must not cut the title off.
    let width = (columns * pitch_x + layout.gap).max(title.chars().count() as u32 * letter + 2 * layout.gap);
    let head = if title.is_empty() { 0 } else { LINE + layout.gap };
    let mut sheet = RgbImage::from_pixel(width, head + rows * pitch_y + layout.gap, BACKGROUND);
    write(&mut sheet, [layout.gap, layout.gap], title, Rgb([255; 3]));
    for (cell, (column, row)) in groups.iter().flatten().zip(places) {
        let (left, top) = (layout.gap + column * pitch_x, head + layout.gap + row * pitch_y);
        if let Some(picture) = &cell.picture {
            let picture = on_checkerboard(&fitted(picture, layout.cell));
            let centred = |start: u32, side: u32| start + (layout.cell - side.min(layout.cell)) / 2;
            let (x0, y0) = (centred(left, picture.width()), centred(top, picture.height()));
            for (x, y, pixel) in picture.enumerate_pixels() {
                sheet.put_pixel(x0 + x, y0 + y, *pixel);
            }
        }
        for (line, words) in (0..).zip(&cell.words) {
            let words = shortened(words, (layout.cell / letter) as usize);
            write(&mut sheet, [left, top + layout.cell + line * LINE + 1], &words, cell.tone.colour());
        }
    }
    sheet
}

/// Column and row of every picture.
fn places(groups: &[Vec<Cell>], columns: u32) -> Vec<(u32, u32)> {
    let longest = groups.iter().map(|group| group.len() as u32).max().unwrap_or(0).max(1);
    // As many groups in a row as the longest of them allows: then they stand under each other.
    let together = (columns / longest).max(1) * longest.min(columns);
    let (mut places, mut column, mut row) = (Vec::new(), 0, 0);
    for group in groups {
        let room = together.saturating_sub(column);
        if column > 0 && (longest > room || longest > columns) {
            (column, row) = (0, row + 1);
        }
        let start = column;
        for _ in group {
            if column == columns {
                (column, row) = (0, row + 1);
            }
            places.push((column, row));
            column += 1;
        }
        if groups.len() > 1 {
            column = if longest > columns { columns } else { start + longest };
        }
    }
    places
}

/// `words` with at most `limit` letters: what is left out is in the middle, because names differ at their ends.
fn shortened(words: &str, limit: usize) -> String {
    let count = words.chars().count();
    if count <= limit {
        return words.to_owned();
    }
    let tail = limit.saturating_sub(2) * 3 / 5;
    let head = limit.saturating_sub(2 + tail);
    words.chars().take(head).chain("..".chars()).chain(words.chars().skip(count - tail)).collect()
}

/// Writes a line of words with its upper left corner at `at`.
fn write(sheet: &mut RgbImage, at: [u32; 2], words: &str, colour: Rgb<u8>) {
    let [r, g, b] = colour.0;
    let style = MonoTextStyle::new(FONT, Rgb888::new(r, g, b));
    let corner = Point::new(at[0] as i32, at[1] as i32);
    match style.draw_string(words, corner, Baseline::Top, &mut Ink(sheet)) {
        Ok(_) => {}
        Err(never) => match never {},
    }
}

/// A sheet as something that letters can be drawn on; what lies beside it is left out.
struct Ink<'a>(&'a mut RgbImage);

impl OriginDimensions for Ink<'_> {
    fn size(&self) -> Size {
        Size::new(self.0.width(), self.0.height())
    }
}

impl DrawTarget for Ink<'_> {
    type Color = Rgb888;
    type Error = Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<Rgb888>>>(&mut self, pixels: I) -> Result<(), Infallible> {
        for Pixel(Point { x, y }, colour) in pixels {
            if let (Ok(x), Ok(y)) = (u32::try_from(x), u32::try_from(y))
                && let Some(pixel) = self.0.get_pixel_mut_checked(x, y)
            {
                *pixel = Rgb([colour.r(), colour.g(), colour.b()]);
            }
        }
        Ok(())
    }
}

/// Small pictures are enlarged by whole factors without smoothing, so that their pixels can be seen.
fn fitted(picture: &Picture, cell: u32) -> Picture {
    let [width, height] = picture.size();
    let longest = width.max(height);
    if longest <= cell {
        let factor = (cell / longest).max(1);
        return match picture {
            Picture::Rgb(image) => {
                RgbImage::from_fn(width * factor, height * factor, |x, y| *image.get_pixel(x / factor, y / factor)).into()
            }
            Picture::Rgba(image) => {
                RgbaImage::from_fn(width * factor, height * factor, |x, y| *image.get_pixel(x / factor, y / factor)).into()
            }
        };
    }
    let scaled = |side: u32| (u64::from(side) * u64::from(cell) / u64::from(longest)).max(1) as u32;
    resize(picture, scaled(width), scaled(height), Filter::Lanczos)
}

/// The picture as an editor shows it: grey squares where it is transparent.
pub fn on_checkerboard(picture: &Picture) -> RgbImage {
    let Picture::Rgba(image) = picture else { return picture.over(Rgb([0; 3])).into_owned() };
    let (light, dark) = (picture.over(Rgb([210; 3])), picture.over(Rgb([150; 3])));
    RgbImage::from_fn(image.width(), image.height(), |x, y| {
        let board = if (x / 8 + y / 8) % 2 == 0 { &light } else { &dark };
        *board.get_pixel(x, y)
    })
}

#[cfg(test)]
mod tests {
    use catgen_picture::Rgba;

    use super::*;

    fn cell(words: &[&str]) -> Cell {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        Cell::new(Picture::Rgb(RgbImage::from_pixel(10, 10, Rgb([255, 0, 0]))), words, Tone::Bad)
    }

    #[test]
    fn pictures_of_any_shape_find_their_square() {
        let wide = Cell::new(Picture::Rgb(RgbImage::from_pixel(400, 100, Rgb([255, 0, 0]))), Vec::new(), Tone::Plain);
        let clear = Cell::new(Picture::Rgba(RgbaImage::from_pixel(10, 10, Rgba([0; 4]))), Vec::new(), Tone::Plain);
        let sheet = sheet("", &[vec![wide, clear]], Layout { cell: 100, columns: 2, gap: 2 });
        assert_eq!(sheet.dimensions(), (206, 104));
        assert_eq!(sheet.get_pixel(50, 52).0, [255, 0, 0]);
        assert_eq!(sheet.get_pixel(50, 10), &BACKGROUND);
        assert_eq!(sheet.get_pixel(104 + 2, 4).0, [210, 210, 210]);
    }

    #[test]
    fn words_stand_under_their_picture_and_the_title_above_all() {
        let layout = Layout { cell: 70, columns: 1, gap: 2 };
        let made = sheet("Title", &[vec![cell(&["one", "two"])]], layout);
        assert_eq!(made.dimensions(), (74, (LINE + 2) + 70 + 2 * LINE + 2 * 2));
        let inked = |rows: std::ops::Range<u32>, colour: Rgb<u8>| {
            rows.flat_map(|y| (0..made.width()).map(move |x| (x, y))).filter(|(x, y)| *made.get_pixel(*x, *y) == colour).count()
        };
        let under = LINE + 4 + 70;
        assert!(inked(0..LINE + 2, Rgb([255; 3])) > 40, "the title");
        assert!(inked(under..under + LINE, Tone::Bad.colour()) > 20, "the first line");
        assert!(inked(under + LINE..made.height(), Tone::Bad.colour()) > 20, "the second line");
        assert_eq!(inked(LINE + 4..under, Tone::Bad.colour()), 0, "no words on the picture");
        // Letters that the font lacks, words wider than the sheet: drawn as far as they go.
        sheet("🐈 a title much longer than its only picture is wide", &[vec![cell(&["🐈🐈🐈"])]], layout);
    }

    #[test]
    fn groups_begin_under_each_other() {
        let check = |sizes: &[usize], columns: u32, expected: &[(u32, u32)]| {
            let groups: Vec<Vec<Cell>> = sizes.iter().map(|count| vec![cell(&[]); *count]).collect();
            assert_eq!(places(&groups, columns), expected, "{sizes:?} in {columns} columns");
        };
        // One group fills the rows; pairs stand side by side; a long group wraps and the next begins a row.
        check(&[5], 3, &[(0, 0), (1, 0), (2, 0), (0, 1), (1, 1)]);
        check(&[2, 2, 2], 5, &[(0, 0), (1, 0), (2, 0), (3, 0), (0, 1), (1, 1)]);
        check(&[2, 1, 2], 4, &[(0, 0), (1, 0), (2, 0), (0, 1), (1, 1)]);
        check(&[3, 2], 3, &[(0, 0), (1, 0), (2, 0), (0, 1), (1, 1)]);
        check(&[4, 1], 3, &[(0, 0), (1, 0), (2, 0), (0, 1), (0, 2)]);
    }

    #[test]
    fn long_words_lose_their_middle() {
        assert_eq!(shortened("IMG_0001.jpg", 12), "IMG_0001.jpg");
        assert_eq!(shortened("holiday/IMG_0001.jpg", 12), "holi..01.jpg");
        assert_eq!(shortened("ééééééééé", 5), "éé..é");
    }
}
