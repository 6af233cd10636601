//! TensorBoard's event files: losses and pictures of a training, for `tensorboard --logdir runs`.
//!
//! A file is a row of records, each `length (u64) · checksum of that (u32) · bytes · checksum of those (u32)`, little-endian, the
//! checksums CRC-32C, rotated and offset as TFRecord wants it; the bytes are a protocol buffer, `tensorflow.Event`. Only the fields
//! that are used here are written below (tensorflow/core/util/event.proto, framework/summary.proto).
//!
//! A training that goes on from a checkpoint cuts the file after the checkpoint's step and adds to it, so no step is in it twice.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufReader, Read, Seek, SeekFrom, Write},
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use prost::Message;

/// The one file of a training: TensorBoard looks for the word `tfevents`.
pub(crate) const FILE: &str = "events.out.tfevents.0.catgen";
/// What the first record says.
const VERSION: &str = "brain.Event:2";
/// A longer record is none of ours: pictures are at most 16 samples.
const LONGEST: u64 = 64 << 20;

#[derive(Clone, PartialEq, Message)]
struct Event {
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(string, optional, tag = "3")]
    file_version: Option<String>,
    #[prost(message, optional, tag = "5")]
    summary: Option<Summary>,
}

#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<Value>,
}

#[derive(Clone, PartialEq, Message)]
struct Value {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(float, optional, tag = "2")]
    simple_value: Option<f32>,
    #[prost(message, optional, tag = "4")]
    image: Option<Image>,
}

#[derive(Clone, PartialEq, Message)]
struct Image {
    #[prost(int32, tag = "1")]
    height: i32,
    #[prost(int32, tag = "2")]
    width: i32,
    /// 3 is RGB.
    #[prost(int32, tag = "3")]
    colorspace: i32,
    #[prost(bytes = "vec", tag = "4")]
    encoded_image_string: Vec<u8>,
}

/// An event file that is being written.
#[derive(Debug)]
pub(crate) struct Board {
    file: File,
}

impl Board {
    /// Opens the file in `folder` for a training that goes on after `step`: whatever comes later, or is damaged, is cut off.
    pub(crate) fn open(folder: &Path, step: u64) -> io::Result<Self> {
        let path = folder.join(FILE);
        let mut file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path)?;
        let keep = whole_until(&mut BufReader::new(&mut file), step);
        file.set_len(keep)?;
        file.seek(SeekFrom::End(0))?;
        let mut board = Self { file };
        if keep == 0 {
            board.write(&Event { wall_time: now(), step: 0, file_version: Some(VERSION.to_owned()), summary: None })?;
        }
        Ok(board)
    }

    /// Adds numbers of a step, each under its name (`loss/discriminator`).
    pub(crate) fn numbers(&mut self, step: u64, numbers: &[(&str, f64)]) -> io::Result<()> {
        let value = |(tag, number): &(&str, f64)| Value { tag: (*tag).to_owned(), simple_value: Some(*number as f32), image: None };
        self.summary(step, numbers.iter().map(value).collect())
    }

    /// Adds a picture of a step: a PNG file of that width and height.
    pub(crate) fn picture(&mut self, step: u64, tag: &str, [width, height]: [u32; 2], png: Vec<u8>) -> io::Result<()> {
        let image = Image { height: height as i32, width: width as i32, colorspace: 3, encoded_image_string: png };
        self.summary(step, vec![Value { tag: tag.to_owned(), simple_value: None, image: Some(image) }])
    }

    fn summary(&mut self, step: u64, value: Vec<Value>) -> io::Result<()> {
        self.write(&Event { wall_time: now(), step: step.cast_signed(), file_version: None, summary: Some(Summary { value }) })
    }

    /// One record is one write: a reader, or a kill, finds it whole or at the end of the file.
    fn write(&mut self, event: &Event) -> io::Result<()> {
        self.file.write_all(&record(&event.encode_to_vec()))
    }
}

/// Whether the picture of an epoch is shown: of the first 32 each, then fewer and fewer, 16 for every doubling, so that a file of
/// hundreds of epochs stays small: 16 samples of 64 px are 0.17 MB. Depends on the epoch alone, so a training that goes on shows the same ones.
pub(crate) fn shows(epoch: u64) -> bool {
    epoch.is_multiple_of(1 << epoch.max(1).ilog2().saturating_sub(4))
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}

fn record(bytes: &[u8]) -> Vec<u8> {
    let length = (bytes.len() as u64).to_le_bytes();
    [&length[..], &masked(&length).to_le_bytes(), bytes, &masked(bytes).to_le_bytes()].concat()
}

/// CRC-32C as TFRecord stores it: rotated by 15 bits, plus a constant, so that the checksum of bytes with a checksum in them differs.
fn masked(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// How many bytes from the beginning are whole records of steps up to `step`.
fn whole_until(file: &mut impl Read, step: u64) -> u64 {
    let mut kept = 0;
    while let Some((event, length)) = next(file) {
        if event.step > step.cast_signed() {
            break;
        }
        kept += length;
    }
    kept
}

/// The next record and how long it is in the file; `None` at the end, and where something is damaged.
fn next(file: &mut impl Read) -> Option<(Event, u64)> {
    let mut head = [0; 12];
    file.read_exact(&mut head).ok()?;
    let (length, checksum) = head.split_at(8);
    let is_whole = |bytes: &[u8], checksum: &[u8]| masked(bytes).to_le_bytes() == *checksum;
    let count = u64::from_le_bytes(length.try_into().ok()?);
    if !is_whole(length, checksum) || count > LONGEST {
        return None;
    }
    let mut bytes = vec![0; count as usize + 4];
    file.read_exact(&mut bytes).ok()?;
    let (bytes, checksum) = bytes.split_at(count as usize);
    let event = is_whole(bytes, checksum).then(|| Event::decode(bytes).ok()).flatten()?;
    Some((event, 16 + count))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn steps(folder: &Path) -> Vec<i64> {
        let bytes = fs::read(folder.join(FILE)).unwrap();
        let mut rest = &bytes[..];
        let mut steps = Vec::new();
        while let Some((event, _)) = next(&mut rest) {
            steps.push(event.step);
        }
        assert!(rest.is_empty(), "something is left that is no record");
        steps
    }

    #[test]
    fn checksums_are_those_of_tfrecord() {
        // The check value of CRC-32C (RFC 3720), and the mask by hand.
        assert_eq!(crc32c::crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(masked(b"123456789"), 0xe306_9283u32.rotate_right(15).wrapping_add(0xa282_ead8));
        assert_eq!(record(b"ab").len(), 18);
    }

    #[test]
    fn what_goes_on_after_a_checkpoint_has_no_step_twice() {
        let folder = tempfile::tempdir().unwrap();
        let mut board = Board::open(folder.path(), 0).unwrap();
        for step in [10, 20, 30] {
            board.numbers(step, &[("loss/d", 0.5), ("loss/g", 0.0)]).unwrap();
        }
        board.picture(30, "samples", [1, 1], vec![1, 2, 3]).unwrap();
        drop(board);
        assert_eq!(steps(folder.path()), [0, 10, 20, 30, 30]);
        let mut board = Board::open(folder.path(), 20).unwrap();
        board.numbers(30, &[("loss/d", 0.25)]).unwrap();
        drop(board);
        assert_eq!(steps(folder.path()), [0, 10, 20, 30]);
        // Cut short in the middle of a record, and a bit that fell over.
        let path = folder.path().join(FILE);
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() - 3]).unwrap();
        drop(Board::open(folder.path(), 99).unwrap());
        assert_eq!(steps(folder.path()), [0, 10, 20]);
        let mut bytes = fs::read(&path).unwrap();
        bytes[20] ^= 1;
        fs::write(&path, bytes).unwrap();
        drop(Board::open(folder.path(), 99).unwrap());
        assert_eq!(steps(folder.path()), [0]);
    }

    #[test]
    fn tensorboard_itself_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let png = catgen_picture::encode_png(&catgen_picture::Picture::Rgb(catgen_picture::RgbImage::new(5, 4)));
        let mut board = Board::open(folder.path(), 0).unwrap();
        for step in [8, 16, 24] {
            board.numbers(step, &[("loss/generator", step as f64 / 8.0), ("epoch", 0.0)]).unwrap();
            board.picture(step, "samples", [5, 4], png.clone()).unwrap();
        }
        drop(board);
        let mut board = Board::open(folder.path(), 16).unwrap();
        board.numbers(24, &[("loss/generator", 0.5), ("epoch", 0.0)]).unwrap();
        let program = "
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
events = EventAccumulator('.', size_guidance={'images': 0, 'scalars': 0})
events.Reload()
print([(e.step, e.value) for e in events.Scalars('loss/generator')])
print([(e.step, e.value) for e in events.Scalars('epoch')])
print([(e.step, e.width, e.height, e.encoded_image_string[1:4]) for e in events.Images('samples')])
";
        let Some(printed) = crate::python::run("tensorboard", folder.path(), program) else { return };
        assert_eq!(
            printed.lines().collect::<Vec<_>>(),
            ["[(8, 1.0), (16, 2.0), (24, 0.5)]", "[(8, 0.0), (16, 0.0), (24, 0.0)]", "[(8, 5, 4, b'PNG'), (16, 5, 4, b'PNG')]"]
        );
    }

    #[test]
    fn pictures_become_rarer() {
        assert!((0..=32).all(shows));
        assert_eq!((65..=128).filter(|epoch| shows(*epoch)).count(), 16);
        assert!((1..=1000).filter(|epoch| shows(*epoch)).count() < 120);
        assert!(shows(128) && shows(512));
    }
}
