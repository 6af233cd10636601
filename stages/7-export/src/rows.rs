//! `Rows`: the pictures of a dataset in the order of `train.npy`, as the other formats read them.

use std::path::Path;

use catgen_api::{Item, Picture, StageError};
use catgen_picture::{Rgb, encode_png};
use rayon::prelude::*;

/// So many pictures are in memory at once: enough to keep all cores busy.
const CHUNK: usize = 1024;

/// What a format is written from.
pub(crate) struct Rows<'a> {
    pub(crate) items: &'a [&'a Item],
    /// Width and height of every picture.
    pub(crate) size: [u32; 2],
    pub(crate) open: &'a (dyn Fn(&Item) -> Result<Picture, StageError> + Sync),
    /// The folder to write into.
    pub(crate) out: &'a Path,
}

impl Rows<'_> {
    /// Hands every row, in order, to `write`, as bytes that `make` made of its picture (without alpha, white under what was
    /// transparent) on all cores.
    pub(crate) fn each(
        &self,
        make: impl Fn(&Picture) -> Vec<u8> + Sync,
        mut write: impl FnMut(usize, &Item, &[u8]) -> Result<(), StageError>,
    ) -> Result<(), StageError> {
        for (chunk, items) in self.items.chunks(CHUNK).enumerate() {
            let made: Vec<Vec<u8>> = items.par_iter().map(|item| Ok(make(&self.opaque(item)?))).collect::<Result<_, StageError>>()?;
            for (at, (item, bytes)) in items.iter().zip(&made).enumerate() {
                write(chunk * CHUNK + at, item, bytes)?;
            }
        }
        Ok(())
    }

    /// As [`Rows::each`], with PNG files.
    pub(crate) fn each_png(&self, write: impl FnMut(usize, &Item, &[u8]) -> Result<(), StageError>) -> Result<(), StageError> {
        self.each(encode_png, write)
    }

    fn opaque(&self, item: &Item) -> Result<Picture, StageError> {
        Ok(match (self.open)(item)? {
            picture @ Picture::Rgb(_) => picture,
            picture @ Picture::Rgba(_) => Picture::Rgb(picture.over(Rgb([255; 3])).into_owned()),
        })
    }
}
