//! `stylegan.zip`: the archive that the trainers of StyleGAN2-ADA and StyleGAN3 take as `--data`.
//!
//! ```text
//! dataset.json                {"labels": null}
//! 00000/img00000000.png       the pictures: PNG, RGB, stored and not compressed once more
//! 00001/img00001000.png       a thousand to a folder
//! ```
//!
//! Their reader takes every file with a picture's extension, in the order of names, and asks of the first what size all have:
//! square, and a power of two.

use std::{
    fs::File,
    io::{BufWriter, Write},
};

use catgen_api::{Facts, PackFile, PackedFile, StageError};
use serde_json::json;
use zip::{CompressionMethod, DateTime, ZipWriter, write::SimpleFileOptions};

use crate::{cannot_write, rows::Rows};

const NAME: &str = "stylegan.zip";

/// Whether those trainers can take pictures of that size.
pub(crate) fn check_size([width, height]: [u32; 2]) -> Result<(), StageError> {
    if width == height && width.is_power_of_two() {
        return Ok(());
    }
    Err(StageError::Broken {
        what: format!("stylegan.zip needs square pictures with a side of 32, 64, 128, … pixels, these are {width} × {height}"),
        hint: "give the `resize` stage such a `side`, or leave out `stylegan = true`".to_owned(),
    })
}

/// Writes the archive.
pub(crate) fn write(rows: &Rows<'_>) -> Result<PackFile, StageError> {
    let path = rows.out.join(NAME);
    let failed = |error: std::io::Error| cannot_write(&path, error);
    let zip_failed = |error: zip::result::ZipError| cannot_write(&path, error);
    let mut archive = ZipWriter::new(BufWriter::new(File::create(&path).map_err(failed)?));
    rows.each_png(|row, _, png| {
        archive.start_file(format!("{:05}/img{row:08}.png", row / 1000), stored(png.len() as u64)).map_err(zip_failed)?;
        archive.write_all(png).map_err(failed)
    })?;
    archive.start_file("dataset.json", stored(0)).map_err(zip_failed)?;
    archive.write_all(json!({ "labels": null }).to_string().as_bytes()).map_err(failed)?;
    archive.finish().map_err(zip_failed)?.flush().map_err(failed)?;
    let facts = Facts::from_iter([("count".to_owned(), rows.items.len().into())]);
    Ok(PackFile { name: NAME.to_owned(), content: PackedFile::Written, facts })
}

/// How a file of about that many bytes lies in an archive: as it is, and without the time of its making.
pub(crate) fn stored(bytes: u64) -> SimpleFileOptions {
    SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .last_modified_time(DateTime::default())
        .unix_permissions(0o644)
        .large_file(bytes >= u64::from(u32::MAX) - (1 << 20))
}
