//! `Sheet`: many pictures on one, to be looked at.

use catgen_api::Picture;
use catgen_picture::{Filter, Rgb, RgbImage, resize};

/// How a sheet is laid out.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// The side of a picture's square, in pixels.
    pub cell: u32,
    /// Pictures in a row.
    pub columns: u32,
    /// Empty pixels around each.
    pub gap: u32,
}

impl Layout {
    /// A layout for that many pictures: near a square, and no wider than people's screens.
    pub fn for_count(count: usize) -> Self {
        let columns = (count as f64 * 1.5).sqrt().ceil().clamp(1.0, 12.0) as u32;
        let cell = (1536 / columns.max(4)).clamp(96, 256);
        Self { cell, columns, gap: 4 }
    }
}

/// The pictures in rows, each fitted into its square; transparency is shown as a checkerboard, as in every editor.
pub fn sheet(pictures: impl IntoIterator<Item = Picture>, layout: Layout) -> RgbImage {
    let cells: Vec<RgbImage> = pictures.into_iter().map(|picture| on_checkerboard(&fitted(&picture, layout.cell))).collect();
    let columns = layout.columns.min(cells.len().max(1) as u32);
    let rows = (cells.len() as u32).div_ceil(columns).max(1);
    let pitch = layout.cell + layout.gap;
    let mut sheet = RgbImage::from_pixel(columns * pitch + layout.gap, rows * pitch + layout.gap, Rgb([40, 40, 40]));
    for (at, cell) in cells.iter().enumerate() {
        let (column, row) = (at as u32 % columns, at as u32 / columns);
        let centred = |at: u32, side: u32| layout.gap + at * pitch + (layout.cell - side.min(layout.cell)) / 2;
        let (left, top) = (centred(column, cell.width()), centred(row, cell.height()));
        for (x, y, pixel) in cell.enumerate_pixels() {
            sheet.put_pixel(left + x, top + y, *pixel);
        }
    }
    sheet
}

/// What a picture on a sheet of groups is there for: the colour of its frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// It went on: green.
    Kept,
    /// It was dropped for the one before it: red.
    Dropped,
    /// It went on and is like the one before it: yellow.
    Possible,
}

/// A picture with its name and a word about it.
#[derive(Debug, Clone)]
pub struct Labelled {
    /// The picture.
    pub picture: Picture,
    /// Why it is shown.
    pub mark: Mark,
    /// Two lines below it; what is too long loses its beginning.
    pub lines: [String; 2],
}

/// The side of a picture's square on a sheet of groups, in pixels: a whole number of letters.
const CELL: u32 = 192;

/// Pictures in a row of groups.
const COLUMNS: u32 = 8;

/// Groups of pictures: each group stays together, and as many stand in a row as fit.
pub fn grouped(groups: Vec<Vec<Labelled>>) -> RgbImage {
    const GAP: u32 = 8;
    const LETTER: u32 = 8;
    let pitch = [CELL + GAP, CELL + GAP + 3 * LETTER];
    let mut placed: Vec<([u32; 2], Labelled)> = Vec::new();
    let (mut column, mut row) = (0, 0);
    for group in groups {
        // A group that is wider than a row runs on in the next.
        if column > 0 && column + group.len() as u32 > COLUMNS {
            (column, row) = (0, row + 1);
        }
        for labelled in group {
            if column == COLUMNS {
                (column, row) = (0, row + 1);
            }
            placed.push(([column, row], labelled));
            column += 1;
        }
    }
    let columns = placed.iter().map(|([column, _], _)| column + 1).max().unwrap_or(1);
    let mut sheet = RgbImage::from_pixel(columns * pitch[0] + GAP, (row + 1) * pitch[1] + GAP, Rgb([40, 40, 40]));
    for ([column, row], labelled) in placed {
        let frame = match labelled.mark {
            Mark::Kept => Rgb([70, 190, 90]),
            Mark::Dropped => Rgb([220, 70, 60]),
            Mark::Possible => Rgb([230, 190, 50]),
        };
        let (left, top) = (GAP + column * pitch[0], GAP + row * pitch[1]);
        let picture = on_checkerboard(&fitted(&labelled.picture, CELL - 8));
        let (x, y) = (left + (CELL - picture.width()) / 2, top + (CELL - picture.height()) / 2);
        for (at_x, at_y) in (0..picture.width() + 6).flat_map(|at_x| (0..picture.height() + 6).map(move |at_y| (at_x, at_y))) {
            sheet.put_pixel(x + at_x - 3, y + at_y - 3, frame);
        }
        for (at_x, at_y, pixel) in picture.enumerate_pixels() {
            sheet.put_pixel(x + at_x, y + at_y, *pixel);
        }
        for (line, text) in labelled.lines.iter().enumerate() {
            let letters = (CELL / LETTER) as usize;
            let skipped = text.chars().count().saturating_sub(letters);
            let colour = if line == 0 { Rgb([220; 3]) } else { frame };
            for (at, letter) in text.chars().skip(skipped).enumerate() {
                write(&mut sheet, [left + at as u32 * LETTER, top + CELL + 2 + line as u32 * (LETTER + 2)], letter, colour);
            }
        }
    }
    sheet
}

/// One letter of 8 × 8 pixels; what the font does not have becomes a question mark.
fn write(sheet: &mut RgbImage, [left, top]: [u32; 2], letter: char, colour: Rgb<u8>) {
    let glyphs = font8x8::legacy::BASIC_LEGACY;
    let glyph = glyphs.get(letter as usize).unwrap_or(&glyphs['?' as usize]);
    for (y, bits) in glyph.iter().enumerate() {
        for x in (0..8).filter(|x| bits >> x & 1 == 1) {
            sheet.put_pixel(left + x, top + y as u32, colour);
        }
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
                catgen_picture::RgbaImage::from_fn(width * factor, height * factor, |x, y| *image.get_pixel(x / factor, y / factor)).into()
            }
        };
    }
    let scaled = |side: u32| (u64::from(side) * u64::from(cell) / u64::from(longest)).max(1) as u32;
    resize(picture, scaled(width), scaled(height), Filter::Lanczos)
}

fn on_checkerboard(picture: &Picture) -> RgbImage {
    let Picture::Rgba(image) = picture else { return picture.over(Rgb([0; 3])).into_owned() };
    let (light, dark) = (picture.over(Rgb([210; 3])), picture.over(Rgb([150; 3])));
    RgbImage::from_fn(image.width(), image.height(), |x, y| {
        let board = if (x / 8 + y / 8) % 2 == 0 { &light } else { &dark };
        *board.get_pixel(x, y)
    })
}

#[cfg(test)]
mod tests {
    use catgen_picture::{Rgba, RgbaImage};

    use super::*;

    #[test]
    fn a_group_stays_together_and_a_long_one_runs_on() {
        let labelled = |mark, name: &str| Labelled {
            picture: Picture::Rgb(RgbImage::from_pixel(400, 300, Rgb([9, 9, 200]))),
            mark,
            lines: [name.to_owned(), "dropped: 4 bits".to_owned()],
        };
        let group = |count: usize| {
            let mut group = vec![labelled(Mark::Dropped, "a rather long name of a photo.jpg"); count];
            group[0].mark = Mark::Kept;
            group
        };
        let sheet = grouped(vec![group(5), group(3), group(2), group(10)]);
        // 5 + 3 fill the first row, 2 stand alone, because 10 do not fit beside them and need two rows.
        assert_eq!(sheet.dimensions(), (8 * 200 + 8, 4 * 224 + 8));
        let frame = |column: u32, row: u32| sheet.get_pixel(8 + column * 200 + 2, 8 + row * 224 + 96).0;
        let (green, red, empty) = ([70, 190, 90], [220, 70, 60], [40, 40, 40]);
        assert_eq!([frame(0, 0), frame(4, 0), frame(5, 0), frame(1, 1), frame(2, 1)], [green, red, green, red, empty]);
        assert_eq!([frame(0, 2), frame(7, 2), frame(1, 3), frame(2, 3)], [green, red, red, empty]);
        let written = |top: u32| (0..8).any(|y| (8..200).any(|x| sheet.get_pixel(x, top + y).0 != empty));
        assert!(written(8 + 192 + 2) && written(8 + 192 + 12), "nothing is written below the picture");
    }

    #[test]
    fn pictures_of_any_shape_find_their_square() {
        let wide = Picture::Rgb(RgbImage::from_pixel(400, 100, Rgb([255, 0, 0])));
        let clear = Picture::Rgba(RgbaImage::from_pixel(10, 10, Rgba([0, 0, 0, 0])));
        let sheet = sheet([wide, clear], Layout { cell: 100, columns: 2, gap: 2 });
        assert_eq!(sheet.dimensions(), (206, 104));
        assert_eq!(sheet.get_pixel(50, 52).0, [255, 0, 0]);
        assert_eq!(sheet.get_pixel(50, 10).0, [40, 40, 40]);
        assert_eq!(sheet.get_pixel(104 + 2, 4).0, [210, 210, 210]);
    }
}
