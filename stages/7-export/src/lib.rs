//! `export`: all pictures in one file for the trainer, and in a folder that other tools read.
//!
//! ```text
//! train.npy                   uint8, N × 3 × H × W, RGB: numpy.load, or mapped into memory from byte 128 on
//! held_out.npy                the same of photos that are not trained on; absent where none is held out
//! index.jsonl                 for each row: {"file", "row", "item", "photo", "digest", "plain"}
//! imagefolder/
//!   metadata.jsonl            for each picture: {"file_name", "photo", "split"}
//!   …                         the pictures themselves, linked
//! webdataset/shard-….tar      if asked for: see `webdataset.rs`
//! images.npz                  if asked for: see `npz.rs`
//! stylegan.zip                if asked for: see `stylegan.rs`
//! ```
//!
//! Rows are ordered by the content of the pictures, so that the arrays, and with them the dataset's digests, depend only
//! on which pictures there are: not on their names, nor on how many cores packed them. The other formats have the pictures of
//! `train.npy` in the same order, without times, owners or anything else of the machine in them: what is held out is held out for
//! other trainers, too.
//!
//! Photos are held out as `split` describes. Of a photo that is held out only the picture as it is (`plain`, told by its tag
//! `No_Trans` or by being the photo's only one) is packed: colours that augmenting invented are nothing to compare with. Where no
//! picture of the photo is plain, all of them are packed.
//!
//! What it refuses to do: scale or crop. Pictures of two sizes are an error that names two of them.

mod npy;
mod npz;
mod rows;
mod split;
mod stylegan;
mod webdataset;

use std::{
    collections::{HashMap, HashSet},
    fmt::Display,
    fs::{self, File},
    io::{BufWriter, Write},
    path::Path,
};

use catgen_api::{
    BuildContext, Digest, Facts, Item, Kind, PackFile, PackStage, PackedFile, Param, ParamKind, Params, Picture, Shape, StageError,
};
use catgen_picture::{Filter, Rgb, resize};
use rayon::prelude::*;
use rows::Rows;
use serde::Deserialize;
use serde_json::json;

use crate::split::{LOOK_SIDE, Look, held_out};

/// `export` for the registry.
pub const KIND: Kind = Kind {
    name: "export",
    version: 2,
    shape: Shape::Pack,
    random: false,
    summary: "packs all pictures into train.npy and held_out.npy for the trainer, and into what other tools read",
    params: &[
        Param {
            name: "held_out",
            kind: ParamKind::Number { default: 0.1, min: 0.0, max: 0.5 },
            doc: "share of the photos that are not trained on but compared with, chosen by their content, at least four; 0 for none",
        },
        Param {
            name: "imagefolder",
            kind: ParamKind::Flag(true),
            doc: "also a folder of the pictures with metadata.jsonl, which datasets.load_dataset(\"imagefolder\") reads",
        },
        Param {
            name: "webdataset",
            kind: ParamKind::Flag(false),
            doc: "also tar files of PNG and JSON pairs in webdataset/, which webdataset.WebDataset and datasets read as a stream",
        },
        Param {
            name: "shard_pictures",
            kind: ParamKind::Whole { default: 10_000, min: 1, max: 10_000_000 },
            doc: "pictures in each tar file of webdataset/",
        },
        Param {
            name: "npz",
            kind: ParamKind::Flag(false),
            doc: "also images.npz: numpy.load answers `images`, N × H × W × 3, and `photo`, the number of each one's photo",
        },
        Param {
            name: "stylegan",
            kind: ParamKind::Flag(false),
            doc: "also stylegan.zip with dataset.json, which the StyleGAN2-ADA and StyleGAN3 trainers take as --data; \
                  the side has to be a power of two",
        },
    ],
};

/// The array that is trained on.
const TRAIN: &str = "train.npy";

/// The array of what was held out.
const HELD_OUT: &str = "held_out.npy";

/// The tag of stage `augment` for the picture as it is.
const PLAIN: &str = "_No_Trans";

/// About so many bytes of rows are in memory at once: enough to keep all cores decoding.
const CHUNK_BYTES: usize = 16 << 20;

/// Builds the stage.
///
/// # Errors
/// None beyond what the list of parameters already refuses.
pub fn build(params: &Params, _: &BuildContext) -> Result<Box<dyn PackStage>, StageError> {
    Ok(Box::new(params.read::<Export>()))
}

#[derive(Deserialize)]
struct Export {
    held_out: f64,
    imagefolder: bool,
    webdataset: bool,
    shard_pictures: usize,
    npz: bool,
    stylegan: bool,
}

impl PackStage for Export {
    fn pack(
        &self,
        items: &[Item],
        open: &(dyn Fn(&Item) -> Result<Picture, StageError> + Sync),
        out: &Path,
        done: &(dyn Fn(usize) + Sync),
    ) -> Result<Vec<PackFile>, StageError> {
        let [width, height] = common_size(items)?;
        if self.stylegan {
            stylegan::check_size([width, height])?;
        }
        let sides = Sides::of(items, self.held_out, open)?;
        let mut files = Vec::new();
        let mut index = Vec::new();
        let written = |name: &str, facts| PackFile { name: name.to_owned(), content: PackedFile::Written, facts };
        for (file, rows) in [(TRAIN, &sides.train), (HELD_OUT, &sides.held_out)] {
            if rows.is_empty() {
                continue;
            }
            write_images(rows, [width, height], open, &out.join(file), done)?;
            index.extend(rows.iter().enumerate().map(|(row, item)| {
                let plain = sides.plain.contains(item.name.as_str());
                json!({"file": file, "row": row, "item": item.name, "photo": item.photo.path, "digest": item.digest, "plain": plain})
            }));
            let mut facts = Facts::new();
            facts.insert("count".to_owned(), rows.len().into());
            if width == height {
                facts.insert("side".to_owned(), width.into());
            }
            facts.insert("shape".to_owned(), json!([rows.len(), 3, height, width]));
            files.push(written(file, facts));
        }
        done(items.len() - sides.train.len() - sides.held_out.len());
        write_lines(&out.join("index.jsonl"), index.into_iter())?;
        files.push(written("index.jsonl", Facts::new()));

        if self.imagefolder {
            let folder = out.join("imagefolder");
            fs::create_dir_all(&folder).map_err(|error| cannot_write(&folder, error))?;
            // Sub-folders would be read as class labels; a metadata file with paths turns that off.
            let lines = items.iter().map(|item| {
                let split = if sides.is_held_out(item) { "held_out" } else { "train" };
                json!({"file_name": item.name, "photo": item.photo.path, "split": split})
            });
            write_lines(&folder.join("metadata.jsonl"), lines)?;
            files.push(written("imagefolder/metadata.jsonl", Facts::new()));
            files.extend(items.iter().enumerate().map(|(at, item)| PackFile {
                name: format!("imagefolder/{}", item.name),
                content: PackedFile::Item(at),
                facts: Facts::new(),
            }));
        }
        let rows = Rows { items: &sides.train, size: [width, height], open, out };
        if self.webdataset {
            files.extend(webdataset::write(&rows, self.shard_pictures)?);
        }
        if self.npz {
            files.push(npz::write(&rows)?);
        }
        if self.stylegan {
            files.push(stylegan::write(&rows)?);
        }
        Ok(files)
    }
}

/// The rows of the two arrays, each in the order of their content.
struct Sides<'a> {
    train: Vec<&'a Item>,
    held_out: Vec<&'a Item>,
    /// The names of the pictures that were not augmented.
    plain: HashSet<&'a str>,
    photos_held_out: HashSet<Digest>,
}

impl<'a> Sides<'a> {
    /// Decides for each photo, by how one picture of it looks, on which side it is.
    fn of(items: &'a [Item], share: f64, open: &(dyn Fn(&Item) -> Result<Picture, StageError> + Sync)) -> Result<Self, StageError> {
        let mut rows: Vec<&Item> = items.iter().collect();
        rows.sort_by(|a, b| (a.digest, &a.name).cmp(&(b.digest, &b.name)));
        let mut photos: HashMap<Digest, Vec<&Item>> = HashMap::new();
        rows.iter().for_each(|item| photos.entry(item.photo.digest).or_default().push(item));
        let plain_of = |copies: &[&'a Item]| copies.iter().copied().find(|item| copies.len() == 1 || is_plain(item));
        let plain: HashSet<&str> = photos.values().filter_map(|copies| plain_of(copies)).map(|item| item.name.as_str()).collect();
        let mut photos_held_out = HashSet::new();
        if share > 0.0 {
            // The order does not matter to the choice; that no hash map makes it, to the mind.
            let mut photos: Vec<(Digest, &Item)> =
                photos.iter().map(|(photo, copies)| (*photo, plain_of(copies).unwrap_or(copies[0]))).collect();
            photos.sort_unstable_by_key(|(photo, _)| *photo);
            let looks = photos.par_iter().map(|(photo, item)| Ok((*photo, look(&open(item)?)))).collect::<Result<Vec<_>, StageError>>()?;
            let held = held_out(&looks, share);
            photos_held_out = looks.iter().zip(held).filter(|(_, held)| *held).map(|((photo, _), _)| *photo).collect();
        }
        let (mut held_out, train): (Vec<&Item>, _) = rows.into_iter().partition(|item| photos_held_out.contains(&item.photo.digest));
        held_out.retain(|item| plain.contains(item.name.as_str()) || plain_of(&photos[&item.photo.digest]).is_none());
        Ok(Self { train, held_out, plain, photos_held_out })
    }

    fn is_held_out(&self, item: &Item) -> bool {
        self.photos_held_out.contains(&item.photo.digest)
    }
}

/// Whether stage `augment` did nothing to the picture: what it leaves alone is called `<photo>_<k>_No_Trans.png`.
fn is_plain(item: &Item) -> bool {
    item.name.rsplit_once('.').map_or(item.name.as_str(), |(stem, _)| stem).ends_with(PLAIN)
}

/// The picture from afar, on white.
fn look(picture: &Picture) -> Look {
    let small = resize(&Picture::Rgb(picture.over(Rgb([255; 3])).into_owned()), LOOK_SIDE, LOOK_SIDE, Filter::Bilinear);
    Look::of(&small.to_rgba().pixels().map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect::<Vec<_>>())
}

/// Width and height that all items share.
fn common_size(items: &[Item]) -> Result<[u32; 2], StageError> {
    let Some(first) = items.first() else {
        return Err(StageError::Broken {
            what: "nothing to pack: no picture has come this far".to_owned(),
            hint: "put photos into data/0.ORIGINAL, or see with `inspect STAGE --rejected` why they were left out".to_owned(),
        });
    };
    match items.iter().find(|item| [item.width, item.height] != [first.width, first.height]) {
        None => Ok([first.width, first.height]),
        Some(other) => Err(unequal(
            &format!("{} is {} × {}", first.name, first.width, first.height),
            &format!("{} is {} × {}", other.name, other.width, other.height),
        )),
    }
}

fn unequal(one: &str, other: &str) -> StageError {
    StageError::Broken {
        what: format!("pictures of different sizes cannot be packed: {one} pixels, {other}"),
        hint: "let a `resize` stage come before this one".to_owned(),
    }
}

/// Decodes the rows chunk by chunk, each chunk on all cores, and appends them to the file.
fn write_images(
    rows: &[&Item],
    [width, height]: [u32; 2],
    open: &(dyn Fn(&Item) -> Result<Picture, StageError> + Sync),
    path: &Path,
    done: &(dyn Fn(usize) + Sync),
) -> Result<(), StageError> {
    let failed = |error| cannot_write(path, error);
    let mut file = File::create(path).map_err(failed)?;
    file.write_all(&npy::header([rows.len(), 3, height as usize, width as usize])).map_err(failed)?;
    let row_bytes = 3 * width as usize * height as usize;
    for chunk in rows.chunks((CHUNK_BYTES / row_bytes).max(rayon::current_num_threads())) {
        let mut bytes = vec![0; row_bytes * chunk.len()];
        bytes.par_chunks_mut(row_bytes).zip(chunk).try_for_each(|(row, item)| {
            let picture = open(item)?;
            if picture.size() != [width, height] {
                let [w, h] = picture.size();
                return Err(unequal(&format!("{} is {w} × {h}", item.name), &format!("its manifest says {width} × {height}")));
            }
            planes(&picture, row);
            done(1);
            Ok(())
        })?;
        file.write_all(&bytes).map_err(failed)?;
    }
    file.flush().map_err(failed)
}

/// All red values, then all green ones, then all blue ones; white under what is transparent.
fn planes(picture: &Picture, row: &mut [u8]) {
    let picture = picture.over(Rgb([255; 3]));
    let (red, rest) = row.split_at_mut(row.len() / 3);
    let (green, blue) = rest.split_at_mut(rest.len() / 2);
    for (((pixel, r), g), b) in picture.as_raw().as_chunks::<3>().0.iter().zip(red).zip(green).zip(blue) {
        [*r, *g, *b] = *pixel;
    }
}

fn write_lines(path: &Path, lines: impl Iterator<Item = serde_json::Value>) -> Result<(), StageError> {
    let failed = |error| cannot_write(path, error);
    let mut file = BufWriter::new(File::create(path).map_err(failed)?);
    for line in lines {
        writeln!(file, "{line}").map_err(failed)?;
    }
    file.flush().map_err(failed)
}

fn cannot_write(path: &Path, error: impl Display) -> StageError {
    StageError::Broken {
        what: format!("cannot write {}: {error}", path.display()),
        hint: "see that the disk has room and that the folder may be written to, then run again".to_owned(),
    }
}

#[cfg(test)]
mod tests;
