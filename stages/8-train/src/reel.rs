//! `reel.gif`: how the samples of a training changed, epoch by epoch.
//!
//! It is made from the grids in `samples/`, so it can be made again at any time, whatever a training went through. However
//! many epochs there are it stays at about [`MOST_BYTES`]: of hundreds, some are shown, evenly spread, the first and the last
//! among them.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use catgen_picture::{Filter, Picture, Rgb, RgbImage, decode, resize};
use rayon::prelude::*;

use crate::{
    canvas::{Canvas, FAINT, INK, Letters, MARK},
    gif::Animation,
};

/// About how large the file may become.
pub const MOST_BYTES: usize = 12 << 20;
/// How many grids are shown at most, and, if there are so many, at least.
const FRAMES: [usize; 2] = [12, 120];
/// Larger grids are made smaller: the longest side, in pixels.
const MOST_SIDE: u32 = 512;
/// The strip that says which epoch it is.
const STRIP: u32 = 24;
/// How long the last frame is shown, in hundredths of a second.
const LAST: u16 = 250;
/// Frames that are in memory at once.
const AT_ONCE: usize = 16;

/// What a reel came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reel {
    /// The file.
    pub path: PathBuf,
    /// Grids that were found.
    pub epochs: usize,
    /// Grids that it shows.
    pub frames: usize,
    /// Its length.
    pub bytes: u64,
}

/// Makes `reel.gif` in the folder of a training, from `samples/epoch-0000.png` and so on; `None` where there is no grid.
///
/// A grid that cannot be read is left out: the reel is for looking at.
///
/// # Errors
/// The folder cannot be read, or the file cannot be written.
pub fn make(folder: &Path) -> io::Result<Option<Reel>> {
    let grids = grids(&folder.join("samples"))?;
    let Some(last) = grids.iter().rev().find_map(|(_, path)| load(path)) else { return Ok(None) };
    let size = fitting(&last);
    let newest = grids.last().map_or(0, |(epoch, _)| *epoch);
    let shown = spread(&grids, most_frames(&frame(&last, size, newest, newest))?);
    let delay = (1200 / shown.len().max(1)).clamp(8, 50) as u16;

    let path = folder.join("reel.gif");
    let aside = folder.join("reel.gif.part");
    let mut animation = Animation::new(io::BufWriter::new(fs::File::create(&aside)?), [size[0], size[1] + STRIP])?;
    let mut frames = 0;
    for part in shown.chunks(AT_ONCE) {
        let drawn = part.par_iter().filter_map(|(epoch, path)| {
            let delay = if *epoch == newest { LAST } else { delay };
            Some((frame(&load(path)?, size, *epoch, newest), delay))
        });
        let drawn: Vec<(RgbImage, u16)> = drawn.collect();
        frames += drawn.len();
        animation.add(&drawn)?;
    }
    animation.finish()?.flush()?;
    fs::rename(&aside, &path)?;
    let bytes = fs::metadata(&path)?.len();
    Ok(Some(Reel { path, epochs: grids.len(), frames, bytes }))
}

/// The grids of a folder by their epochs.
fn grids(folder: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let epoch = path.file_name().and_then(|name| name.to_str()?.strip_prefix("epoch-")?.strip_suffix(".png")?.parse().ok());
        found.extend(epoch.map(|epoch| (epoch, path)));
    }
    found.sort_unstable();
    Ok(found)
}

fn load(path: &Path) -> Option<RgbImage> {
    let picture = decode(&fs::read(path).ok()?, None).ok()?.picture;
    Some(picture.over(Rgb([255; 3])).into_owned())
}

fn fitting(grid: &RgbImage) -> [u32; 2] {
    let longest = grid.width().max(grid.height());
    if longest <= MOST_SIDE {
        return [grid.width(), grid.height()];
    }
    [grid.width(), grid.height()].map(|side| (u64::from(side) * u64::from(MOST_SIDE) / u64::from(longest)).max(1) as u32)
}

/// How many frames like this one fit.
fn most_frames(frame: &RgbImage) -> io::Result<usize> {
    let mut animation = Animation::new(Vec::new(), [frame.width(), frame.height()])?;
    animation.add(&[(frame.clone(), 0)])?;
    let bytes = animation.finish()?.len();
    Ok((MOST_BYTES / bytes.max(1)).clamp(FRAMES[0], FRAMES[1]))
}

/// At most `most` of the list, evenly spread, with its first and its last.
fn spread<T: Clone>(all: &[T], most: usize) -> Vec<T> {
    if all.len() <= most {
        return all.to_vec();
    }
    (0..most).map(|at| all[at * (all.len() - 1) / (most - 1)].clone()).collect()
}

/// A grid with the epoch below it. A grid of another size (more samples, later) is fitted in.
fn frame(grid: &RgbImage, [width, height]: [u32; 2], epoch: u64, newest: u64) -> RgbImage {
    let mut canvas = Canvas::new(width, height + STRIP);
    if [grid.width(), grid.height()] == [width, height] {
        canvas.put([0, 0], grid);
    } else {
        let scale = (f64::from(width) / f64::from(grid.width())).min(f64::from(height) / f64::from(grid.height()));
        let side = |side: u32, most: u32| ((f64::from(side) * scale).round() as u32).clamp(1, most);
        let fitted = resize(&Picture::Rgb(grid.clone()), side(grid.width(), width), side(grid.height(), height), Filter::Lanczos);
        canvas.put([0, 0], &fitted.over(Rgb([255; 3])));
    }
    let text = format!("epoch {epoch}");
    let [_, high] = Letters::PLAIN.size();
    canvas.text([4, height + (STRIP - high) / 2], &text, Letters::PLAIN, INK);
    // A bar beside the words: how far the training was.
    let from = Letters::PLAIN.width("epoch 00000") + 8;
    if width > from + 40 && newest > 0 {
        let long = width - from - 6;
        canvas.fill([from, height + STRIP / 2 - 2], [long, 4], FAINT);
        canvas.fill([from, height + STRIP / 2 - 2], [(u64::from(long) * epoch.min(newest) / newest) as u32, 4], MARK);
    }
    canvas.0
}

#[cfg(test)]
mod tests {
    use catgen_picture::encode_png;

    use super::*;
    use crate::gif;

    fn training(epochs: u64, side: u32) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("samples")).unwrap();
        for epoch in 0..=epochs {
            let grey = (epoch * 255 / epochs.max(1)) as u8;
            let grid = Picture::Rgb(RgbImage::from_pixel(side, side, Rgb([grey; 3])));
            fs::write(folder.path().join(format!("samples/epoch-{epoch:04}.png")), encode_png(&grid)).unwrap();
        }
        folder
    }

    fn check(folder: &Path) -> (Reel, Vec<(RgbImage, u16)>) {
        let reel = make(folder).unwrap().unwrap();
        let bytes = fs::read(&reel.path).unwrap();
        assert_eq!(bytes.len() as u64, reel.bytes);
        let frames = gif::tests::read(&bytes);
        assert_eq!(frames.len(), reel.frames);
        (reel, frames)
    }

    #[test]
    fn every_epoch_is_shown_in_its_order() {
        let folder = training(5, 64);
        let (reel, frames) = check(folder.path());
        assert_eq!((reel.epochs, reel.frames), (6, 6));
        for (at, (frame, delay)) in frames.iter().enumerate() {
            assert_eq!(frame.dimensions(), (64, 64 + STRIP));
            assert_eq!(frame.get_pixel(10, 10).0, [(at * 51) as u8; 3]);
            assert_eq!(*delay, if at == 5 { LAST } else { 50 });
        }
        // Made again it is the same file; a grid that is damaged or has another size does no harm.
        let before = fs::read(&reel.path).unwrap();
        check(folder.path());
        assert_eq!(fs::read(&reel.path).unwrap(), before);
        fs::write(folder.path().join("samples/epoch-0002.png"), "no").unwrap();
        fs::write(folder.path().join("samples/epoch-0003.png"), encode_png(&Picture::Rgb(RgbImage::new(32, 16)))).unwrap();
        assert_eq!(check(folder.path()).0.frames, 5);
    }

    #[test]
    fn hundreds_of_epochs_stay_small() {
        let folder = training(700, 16);
        let (reel, frames) = check(folder.path());
        assert_eq!((reel.epochs, reel.frames), (701, FRAMES[1]));
        let shades: Vec<u8> = frames.iter().map(|(frame, _)| frame.get_pixel(3, 3).0[0]).collect();
        assert_eq!((shades[0], *shades.last().unwrap()), (0, 255));
        assert!(shades.is_sorted());
    }

    #[test]
    fn grids_that_do_not_compress_are_shown_less_often() {
        // Noise: nothing a GIF could save on.
        let mut state = 1u32;
        let mut noise = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        let noisy = RgbImage::from_fn(600, 600, |_, _| Rgb([noise(), noise(), noise()]));
        let size = fitting(&noisy);
        assert_eq!(size, [512, 512]);
        let frames = most_frames(&frame(&noisy, size, 1, 1)).unwrap();
        assert!((FRAMES[0]..60).contains(&frames), "{frames}");
        assert_eq!(spread(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9], 4), [0, 3, 6, 9]);
    }

    #[test]
    fn without_grids_there_is_no_reel() {
        let folder = tempfile::tempdir().unwrap();
        assert!(make(folder.path()).is_err());
        fs::create_dir(folder.path().join("samples")).unwrap();
        assert_eq!(make(folder.path()).unwrap(), None);
    }
}
