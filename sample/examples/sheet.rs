//! A contact sheet of drawn cats: `cargo run -p catgen-sample --example sheet -- sheet.png [COUNT] [SEED]`.

use std::{env, error::Error};

use image::{DynamicImage, Rgb, RgbImage, imageops};

/// Pixels along each side of a cell, the gap included.
const CELL: u32 = 320;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let out = arguments.next().ok_or("name the picture to write, then perhaps how many cats, then their seed")?;
    let count: u32 = arguments.next().map_or(Ok(24), |text| text.parse())?;
    let seed: u64 = arguments.next().map_or(Ok(7439), |text| text.parse())?;
    let columns = (1..=count).find(|side| side * side * 2 >= count * 3).unwrap_or(1);
    let mut sheet = RgbImage::from_pixel(columns * CELL, count.div_ceil(columns) * CELL, Rgb([250, 249, 246]));
    for index in 0..count {
        let picture = catgen_sample::draw(seed, index.into()).picture;
        let small = DynamicImage::ImageRgb8(picture).thumbnail(CELL - 8, CELL - 8).into_rgb8();
        let centred = |cell: u32, side: u32| i64::from(cell * CELL + (CELL - side) / 2);
        let (x, y) = (centred(index % columns, small.width()), centred(index / columns, small.height()));
        imageops::replace(&mut sheet, &small, x, y);
    }
    sheet.save(out)?;
    Ok(())
}
