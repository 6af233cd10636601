//! `Pictures`: some pictures of one size, in memory.

use std::{
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use catgen_picture::{Filter, Picture, Rgb, RgbImage, decode, resize};
use rayon::prelude::*;

use crate::npy::{self, NpyError};

/// Pictures as bytes, N × 3 × S × S: one after the other, each as a red, a green and a blue plane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pictures {
    side: usize,
    bytes: Vec<u8>,
}

impl Pictures {
    /// Pictures of `side` × `side` pixels; `None` where the bytes are not those of whole pictures.
    pub fn new(side: usize, bytes: Vec<u8>) -> Option<Self> {
        (side > 0 && bytes.len().is_multiple_of(3 * side * side)).then_some(Self { side, bytes })
    }

    /// The given rows of a packed dataset, in that order; all of them where nothing is said.
    ///
    /// # Errors
    /// As [`npy::open`]; pictures that are not square, and rows that are not there.
    pub fn read(path: &Path, rows: Option<&[u64]>) -> Result<Self, NpyError> {
        let header = npy::open(path)?;
        if header.width != header.height {
            let found = format!("pictures of {} × {} pixels", header.width, header.height);
            return Err(NpyError::Other { found, expected: "square here" });
        }
        let all: Vec<u64>;
        let rows = match rows {
            Some(rows) => rows,
            None => {
                all = (0..header.images).collect();
                &all
            }
        };
        if let Some(row) = rows.iter().find(|row| **row >= header.images) {
            return Err(NpyError::Other {
                found: format!("{} pictures, and no number {row}", header.images),
                expected: "as many as its index says",
            });
        }
        let picture = header.data_len() / header.images.max(1);
        let mut file = File::open(path)?;
        let mut bytes = vec![0; rows.len() * picture as usize];
        for (row, into) in rows.iter().zip(bytes.chunks_mut(picture.max(1) as usize)) {
            file.seek(SeekFrom::Start(header.data_at + row * picture))?;
            file.read_exact(into)?;
        }
        Ok(Self { side: header.width as usize, bytes })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.bytes.len() / (3 * self.side * self.side)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Their side in pixels.
    pub fn side(&self) -> usize {
        self.side
    }

    /// All bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The first `count` of them, or as many as there are.
    #[must_use]
    pub fn first(mut self, count: usize) -> Self {
        self.bytes.truncate(count * 3 * self.side * self.side);
        self
    }

    /// One of them.
    ///
    /// # Panics
    /// If there is no such picture.
    pub fn image(&self, at: usize) -> RgbImage {
        let plane = self.side * self.side;
        let planes = &self.bytes[at * 3 * plane..(at + 1) * 3 * plane];
        let side = u32::try_from(self.side).expect("sides are small");
        RgbImage::from_fn(side, side, |x, y| {
            let pixel = y as usize * self.side + x as usize;
            Rgb([planes[pixel], planes[plane + pixel], planes[2 * plane + pixel]])
        })
    }

    /// Pictures from images of one size; `None` where one differs or is not square.
    pub fn of(images: &[RgbImage]) -> Option<Self> {
        let side = images.first()?.width();
        let mut bytes = Vec::with_capacity(images.len() * 3 * (side * side) as usize);
        for image in images {
            if image.dimensions() != (side, side) {
                return None;
            }
            (0..3).for_each(|channel| bytes.extend(image.pixels().map(|pixel| pixel[channel])));
        }
        Self::new(side as usize, bytes)
    }
}

/// Pictures made by whatever means, gathered to be judged.
#[derive(Debug)]
pub struct Gathered {
    /// The pictures, in the order of their files' names.
    pub pictures: Pictures,
    /// How many had another size and were resized.
    pub resized: usize,
    /// Files that are no pictures.
    pub skipped: Vec<PathBuf>,
}

impl Gathered {
    /// The first `most` pictures of a `.npy` file, or of a folder and the folders in it, at `side` × `side` pixels, on white.
    ///
    /// # Errors
    /// A file or folder that cannot be read, and a folder without a picture.
    pub fn read(path: &Path, side: usize, most: usize) -> Result<Self, NpyError> {
        let (images, skipped) = if path.is_dir() {
            let mut files = Vec::new();
            list(path, &mut files)?;
            files.sort();
            let mut found = Vec::new();
            // No more are decoded than are wanted, give or take a chunk.
            for chunk in files.chunks(64) {
                if found.iter().filter(|(_, image)| Option::is_some(image)).count() >= most {
                    break;
                }
                found.par_extend(chunk.par_iter().map(|file| (file.clone(), image_of(file))));
            }
            let skipped = found.iter().filter(|(_, image)| image.is_none()).map(|(file, _)| file.clone()).collect();
            (found.into_iter().filter_map(|(_, image)| image).take(most).collect(), skipped)
        } else {
            let pictures = Pictures::read(path, None)?.first(most);
            ((0..pictures.len()).map(|at| pictures.image(at)).collect::<Vec<_>>(), Vec::new())
        };
        let size = u32::try_from(side).expect("sides are small");
        let resized = images.iter().filter(|image| image.dimensions() != (size, size)).count();
        let fitted = |image: RgbImage| resize(&Picture::Rgb(image), size, size, Filter::Lanczos).over(Rgb([255; 3])).into_owned();
        let images: Vec<RgbImage> = images.into_par_iter().map(fitted).collect();
        let pictures = Pictures::of(&images).ok_or_else(|| NpyError::Read(io::Error::other("there is no picture in it")))?;
        Ok(Self { pictures, resized, skipped })
    }
}

/// Every file of the folder and the folders in it.
fn list(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        // Links are followed to files, not to folders, which might lead back here.
        if entry.file_type()?.is_dir() {
            list(&path, files)?
        } else if path.is_file() {
            files.push(path)
        }
    }
    Ok(())
}

/// The picture in the file, on white; `None` where it is none.
fn image_of(file: &Path) -> Option<RgbImage> {
    let decoded = decode(&fs::read(file).ok()?, None).ok()?;
    Some(decoded.picture.over(Rgb([255; 3])).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_pictures_is_gathered_in_the_order_of_names() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("more")).unwrap();
        let write = |name: &str, side: u32, value: u8| {
            let image = RgbImage::from_pixel(side, side, Rgb([value, 0, 0]));
            fs::write(folder.path().join(name), catgen_picture::encode_png(&Picture::Rgb(image))).unwrap();
        };
        write("b.png", 8, 20);
        write("a.png", 8, 10);
        write("more/large.png", 32, 30);
        fs::write(folder.path().join("notes.txt"), "no picture").unwrap();
        let Gathered { pictures, resized, skipped } = Gathered::read(folder.path(), 8, 100).unwrap();
        assert_eq!((0..3).map(|at| pictures.image(at).get_pixel(3, 3)[0]).collect::<Vec<_>>(), [10, 20, 30]);
        assert_eq!((pictures.len(), resized, skipped), (3, 1, vec![folder.path().join("notes.txt")]));
        assert_eq!(Gathered::read(folder.path(), 8, 2).unwrap().pictures.len(), 2);
        fs::remove_dir_all(folder.path().join("more")).unwrap();
        ["a.png", "b.png"].iter().for_each(|name| fs::remove_file(folder.path().join(name)).unwrap());
        assert!(Gathered::read(folder.path(), 8, 2).unwrap_err().to_string().contains("no picture"));
        assert!(Gathered::read(&folder.path().join("gone"), 8, 2).is_err());
    }

    #[test]
    fn rows_come_in_the_order_asked_for_and_images_go_there_and_back() {
        let images: Vec<RgbImage> = (0..4).map(|n| RgbImage::from_fn(2, 2, |x, y| Rgb([n, x as u8, y as u8]))).collect();
        let pictures = Pictures::of(&images).unwrap();
        assert_eq!((pictures.len(), pictures.side()), (4, 2));
        assert_eq!(pictures.image(3), images[3]);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("train.npy");
        let header = format!("{:<117}\n", "{'descr': '|u1', 'fortran_order': False, 'shape': (4, 3, 2, 2), }");
        std::fs::write(&path, [b"\x93NUMPY\x01\x00\x76\x00".as_slice(), header.as_bytes(), pictures.bytes()].concat()).unwrap();
        assert_eq!(Pictures::read(&path, None).unwrap(), pictures);
        let some = Pictures::read(&path, Some(&[2, 0])).unwrap();
        assert_eq!([some.image(0), some.image(1)], [images[2].clone(), images[0].clone()]);
        assert_eq!(some.first(1).len(), 1);
        assert!(Pictures::read(&path, Some(&[4])).unwrap_err().to_string().contains("4 pictures"));
        assert_eq!(Gathered::read(&path, 2, 3).unwrap().pictures, pictures.clone().first(3));
        assert!(Pictures::new(2, vec![0; 13]).is_none() && Pictures::of(&[RgbImage::new(2, 3)]).is_none());
    }
}
