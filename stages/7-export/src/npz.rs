//! `images.npz`: NumPy's archive, two arrays by name.
//!
//! | array | shape | |
//! |---|---|---|
//! | `images` | N × H × W × 3, unsigned bytes | red, green, blue last, as most tools that compare sets of pictures want it |
//! | `photo` | N, 64-bit whole numbers | which rows are of one photo: equal numbers; a split that keeps photos together goes by it |
//!
//! Not compressed, like `numpy.savez`: photos hardly shrink.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{BufWriter, Write},
};

use catgen_api::{Facts, PackFile, PackedFile, StageError};
use serde_json::json;
use zip::ZipWriter;

use crate::{cannot_write, npy, rows::Rows, stylegan::stored};

const NAME: &str = "images.npz";

/// Writes the archive.
pub(crate) fn write(rows: &Rows<'_>) -> Result<PackFile, StageError> {
    let path = rows.out.join(NAME);
    let failed = |error: std::io::Error| cannot_write(&path, error);
    let zip_failed = |error: zip::result::ZipError| cannot_write(&path, error);
    let (count, [width, height]) = (rows.items.len(), rows.size.map(|length| length as usize));
    let mut archive = ZipWriter::new(BufWriter::new(File::create(&path).map_err(failed)?));

    archive.start_file("images.npy", stored(3 * (count * width * height) as u64)).map_err(zip_failed)?;
    archive.write_all(&npy::header_of("|u1", &[count, height, width, 3])).map_err(failed)?;
    rows.each(
        |picture| picture.over(catgen_picture::Rgb([255; 3])).as_raw().clone(),
        |_, _, pixels| archive.write_all(pixels).map_err(failed),
    )?;

    let photos: BTreeSet<&str> = rows.items.iter().map(|item| item.photo.path.as_str()).collect();
    let numbers: std::collections::HashMap<&str, i64> = photos.into_iter().zip(0..).collect();
    archive.start_file("photo.npy", stored(8 * count as u64)).map_err(zip_failed)?;
    archive.write_all(&npy::header_of("<i8", &[count])).map_err(failed)?;
    for item in rows.items {
        archive.write_all(&numbers[item.photo.path.as_str()].to_le_bytes()).map_err(failed)?;
    }
    archive.finish().map_err(zip_failed)?.flush().map_err(failed)?;

    let facts = Facts::from_iter([("count".to_owned(), json!(count)), ("shape".to_owned(), json!([count, height, width, 3]))]);
    Ok(PackFile { name: NAME.to_owned(), content: PackedFile::Written, facts })
}
