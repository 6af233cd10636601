//! `export`: all pictures in one file for the trainer, and in a folder that other tools read.
//!
//! ```text
//! images.npy                  uint8, N × 3 × H × W, RGB: numpy.load, or mapped into memory from byte 128 on
//! index.jsonl                 for each row: {"row", "item", "photo", "digest"}
//! imagefolder/
//!   metadata.jsonl            for each picture: {"file_name", "photo"}
//!   …                         the pictures themselves, linked
//! webdataset/shard-….tar      if asked for: see `webdataset.rs`
//! images.npz                  if asked for: see `npz.rs`
//! stylegan.zip                if asked for: see `stylegan.rs`
//! ```
//!
//! Rows are ordered by the content of the pictures, so that `images.npy`, and with it the dataset's digest, depends only
//! on which pictures there are: not on their names, nor on how many cores packed them. The other formats have the same
//! pictures in the same order, without times, owners or anything else of the machine in them.
//!
//! What it refuses to do: scale or crop. Pictures of two sizes are an error that names two of them.

mod npy;
mod npz;
mod rows;
mod stylegan;
mod webdataset;

use std::{
    fmt::Display,
    fs::{self, File},
    io::{BufWriter, Write},
    path::Path,
};

use catgen_api::{BuildContext, Facts, Item, Kind, PackFile, PackStage, PackedFile, Param, ParamKind, Params, Picture, Shape, StageError};
use catgen_picture::Rgb;
use rayon::prelude::*;
use rows::Rows;
use serde::Deserialize;
use serde_json::json;

/// `export` for the registry.
pub const KIND: Kind = Kind {
    name: "export",
    version: 1,
    shape: Shape::Pack,
    random: false,
    summary: "packs all pictures into images.npy for the trainer, and into what other tools read",
    params: &[
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
        let mut rows: Vec<&Item> = items.iter().collect();
        rows.sort_by(|a, b| (a.digest, &a.name).cmp(&(b.digest, &b.name)));

        write_images(&rows, [width, height], open, &out.join("images.npy"), done)?;
        let lines = rows.iter().enumerate();
        let lines = lines.map(|(row, item)| json!({"row": row, "item": item.name, "photo": item.photo.path, "digest": item.digest}));
        write_lines(&out.join("index.jsonl"), lines)?;

        let mut facts = Facts::new();
        facts.insert("count".to_owned(), items.len().into());
        if width == height {
            facts.insert("side".to_owned(), width.into());
        }
        facts.insert("shape".to_owned(), json!([items.len(), 3, height, width]));
        let written = |name: &str, facts| PackFile { name: name.to_owned(), content: PackedFile::Written, facts };
        let mut files = vec![written("images.npy", facts), written("index.jsonl", Facts::new())];

        if self.imagefolder {
            let folder = out.join("imagefolder");
            fs::create_dir_all(&folder).map_err(|error| cannot_write(&folder, error))?;
            // Sub-folders would be read as class labels; a metadata file with paths turns that off.
            let lines = items.iter().map(|item| json!({"file_name": item.name, "photo": item.photo.path}));
            write_lines(&folder.join("metadata.jsonl"), lines)?;
            files.push(written("imagefolder/metadata.jsonl", Facts::new()));
            files.extend(items.iter().enumerate().map(|(at, item)| PackFile {
                name: format!("imagefolder/{}", item.name),
                content: PackedFile::Item(at),
                facts: Facts::new(),
            }));
        }
        let rows = Rows { items: &rows, size: [width, height], open, out };
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
