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
