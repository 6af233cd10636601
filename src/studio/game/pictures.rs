//! The pictures of a game: photos that were held out, and pictures of the generator, all dressed alike.

use std::{
    fs,
    path::{Path, PathBuf},
};

use catgen_api::Digest;
use catgen_picture::{Picture, Rgb, RgbImage, decode};
use catgen_train::Pictures;
use image::{
    ExtendedColorType, ImageEncoder,
    codecs::png::{CompressionType, FilterType, PngEncoder},
};
use serde_json::Value;

use crate::{
    Error, Project,
    error::Result,
    trainer,
    trainings::{Checkpoint, Training},
};

/// Generated pictures are drawn so many at once; a multiple of what the trainer draws at once.
const AT_ONCE: u64 = 256;

/// The seed of the first of them: far from those that people look at with `generate`. A multiple of [`AT_ONCE`].
const FIRST_SEED: u64 = 256 * 40_000;

/// Photos that were not trained on: their path, and the row of `held_out.npy` with the first picture of each.
pub(super) struct Photos {
    file: PathBuf,
    pub(super) rows: Vec<(String, u64)>,
}

/// The photos that were held out from a training.
///
/// # Errors
/// There are none, or they are no longer in the store.
pub(super) fn held_out(project: &Project, training: &Training) -> Result<Photos> {
    let dataset = training.dataset(project).ok_or_else(|| Error::Usage {
        what: format!("the photos that {} was trained on are no longer in the store", training.name),
        hint: "`catgen-pipe run` packs the photos again; if they are the same, so is the dataset".to_owned(),
    })?;
    let file = dataset.held_out.filter(|file| file.is_file()).ok_or_else(|| Error::Usage {
        what: format!(
            "no photos were held out from {}: all that are known were trained on, so there are no fair ones to show",
            training.name
        ),
        hint: "set `held_out = 0.1` in the export stage, run, and play with that training".to_owned(),
    })?;
    let lines = dataset.index.and_then(|index| fs::read_to_string(index).ok()).unwrap_or_default();
    let mut rows = of_index(&lines);
    if rows.is_empty() {
        let header = catgen_train::npy::open(&file).map_err(|error| unreadable(&file, &error))?;
        rows = (0..header.images).map(|row| (format!("row {row} of held_out.npy"), row)).collect();
    }
    Ok(Photos { file, rows })
}

/// The held-out photos of an index, each with its first row.
fn of_index(text: &str) -> Vec<(String, u64)> {
    let mut rows: Vec<(String, u64)> = Vec::new();
    for line in text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        let (Some(photo), Some(row)) = (line["photo"].as_str(), line["row"].as_u64()) else { continue };
        if line["file"] == "held_out.npy" && rows.iter().all(|(known, _)| known != photo) {
            rows.push((photo.to_owned(), row));
        }
    }
    rows
}

fn unreadable(file: &Path, error: &catgen_train::npy::NpyError) -> Error {
    Error::Usage { what: format!("{}: {error}", file.display()), hint: "run `catgen-pipe run` to pack the pictures again".to_owned() }
}

impl Photos {
    /// The pictures of some rows, in that order.
    pub(super) fn pictures(&self, rows: &[u64]) -> Result<Vec<RgbImage>> {
        let pictures = Pictures::read(&self.file, Some(rows)).map_err(|error| unreadable(&self.file, &error))?;
        Ok((0..pictures.len()).map(|at| pictures.image(at)).collect())
    }
}

/// The generated pictures of one checkpoint, below `.catgen/game/`: whatever was drawn once is not drawn again.
pub(super) struct Pool<'a> {
    project: &'a Project,
    checkpoint: &'a Checkpoint,
    folder: PathBuf,
}

impl<'a> Pool<'a> {
    pub(super) fn of(project: &'a Project, training: &Training, checkpoint: &'a Checkpoint) -> Self {
        // The card is in the name: a training that was deleted and made anew draws others.
        let card = fs::read(&checkpoint.path).unwrap_or_default();
        let name = Digest::of(&[training.name.as_bytes(), b"\0", &card].concat()).to_string();
        Self { project, checkpoint, folder: project.store.path("game").join(&name[..32]) }
    }

    /// The first `count` seeds; draws what is missing.
    ///
    /// # Errors
    /// No trainer on this machine, or what it said when it failed.
    pub(super) fn seeds(&self, count: usize) -> Result<Vec<u64>> {
        let blocks = (count as u64).div_ceil(AT_ONCE);
        for block in 0..blocks {
            self.draw(block)?;
        }
        Ok((FIRST_SEED..FIRST_SEED + blocks * AT_ONCE).collect())
    }

    fn block(&self, block: u64) -> PathBuf {
        self.folder.join(format!("{block:04}"))
    }

    fn draw(&self, block: u64) -> Result<()> {
        let to = self.block(block);
        if to.is_dir() {
            return Ok(());
        }
        fs::create_dir_all(&self.folder).map_err(Error::io("create", &self.folder))?;
        // Drawn aside: what is cut short is thrown away.
        let aside = tempfile::tempdir_in(&self.folder).map_err(Error::io("write to", &self.folder))?;
        let option = |name: &str, value: &Path| {
            let mut words = std::ffi::OsString::from(format!("--{name}="));
            words.push(value);
            words
        };
        let arguments = [
            option("checkpoint", &self.checkpoint.path),
            option("out", aside.path()),
            format!("--seed={}", FIRST_SEED + block * AT_ONCE).into(),
            format!("--count={AT_ONCE}").into(),
        ];
        trainer::ask(&self.project.tools, "generate", &arguments, &mut |_| ())?;
        match fs::rename(aside.keep(), &to) {
            Err(_) if to.is_dir() => Ok(()), // another game was quicker, with the same pictures
            renamed => renamed.map_err(Error::io("write", &to)),
        }
    }

    /// The picture of a seed that was drawn.
    pub(super) fn picture(&self, seed: u64) -> Result<RgbImage> {
        let file = self.block((seed - FIRST_SEED) / AT_ONCE).join(format!("seed-{seed:06}.png"));
        let bytes = fs::read(&file).map_err(Error::io("read", &file))?;
        let decoded = decode(&bytes, None).map_err(|error| Error::Usage {
            what: format!("{}: {error}", file.display()),
            hint: "delete the folder .catgen/game: it is drawn again".to_owned(),
        })?;
        Ok(decoded.picture.over(Rgb([255; 3])).into_owned())
    }
}

/// A picture as the page gets it. Neither compressed nor filtered, so that pictures of a size are files of a length: a well-packed
/// file tells a smooth picture from a noisy one before anybody looks.
pub(super) fn dress(image: &RgbImage) -> Vec<u8> {
    // Both kinds take the way of every picture of this program, there and back.
    let whole = Picture::Rgb(image.clone());
    let picture =
        decode(&catgen_picture::encode_png(&whole), None).map_or(whole, |decoded| decoded.picture).over(Rgb([255; 3])).into_owned();
    let mut bytes = Vec::new();
    PngEncoder::new_with_quality(&mut bytes, CompressionType::Uncompressed, FilterType::NoFilter)
        .write_image(picture.as_raw(), picture.width(), picture.height(), ExtendedColorType::Rgb8)
        .expect("writing a whole picture of known size to memory cannot fail");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_tells_nothing_but_its_pixels() {
        let flat = RgbImage::from_pixel(64, 64, Rgb([255; 3]));
        let noisy = RgbImage::from_fn(64, 64, |x, y| Rgb([(x * 37 + y * 91) as u8, (x * y) as u8, (x ^ y) as u8]));
        let [a, b] = [&flat, &noisy].map(dress);
        assert_eq!(a.len(), b.len());
        assert_eq!(decode(&b, None).unwrap().picture, Picture::Rgb(noisy));
        // Pixels and checksums differ, headers do not.
        assert_eq!(a[..41], b[..41]);
    }

    #[test]
    fn of_a_photo_with_several_pictures_the_first_is_shown_and_nothing_that_was_trained_on() {
        let index = "{\"file\":\"train.npy\",\"row\":0,\"photo\":\"a.jpg\"}\n{\"file\":\"held_out.npy\",\"row\":0,\"photo\":\"b.jpg\"}\n\
                     {\"file\":\"held_out.npy\",\"row\":1,\"photo\":\"b.jpg\"}\n{\"file\":\"held_out.npy\",\"row\":2,\"photo\":\"c.jpg\"}\nx";
        assert_eq!(of_index(index), [("b.jpg".to_owned(), 0), ("c.jpg".to_owned(), 2)]);
    }
}
