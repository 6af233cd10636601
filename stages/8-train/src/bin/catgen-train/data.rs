//! `Dataset`: every picture, as bytes, on the device.
//!
//! The file is memory-mapped; on the CPU it is used where it lies, a GPU gets a copy of all of it once (76,000 pictures of
//! 64 px are 0.93 GB). After that no picture crosses the bus again.

use std::path::Path;

use catgen_api::Digest;
use catgen_train::npy;
use tch::{Device, Kind, Tensor};

use crate::{error::Failure, rng};

/// The sides for which there are networks.
const SIDES: [u64; 4] = [32, 64, 128, 256];

/// The pictures of a packed dataset.
#[derive(Debug)]
pub(crate) struct Dataset {
    /// Bytes, RGB: [N, 3, S, S].
    pictures: Tensor,
    /// The content of its file.
    pub(crate) digest: Digest,
    /// Pictures.
    pub(crate) len: u64,
    /// Their side in pixels.
    pub(crate) side: u64,
}

impl Dataset {
    /// Opens the packed dataset `path`, of which the content must be `digest`.
    pub(crate) fn open(path: &Path, digest: Digest, device: Device) -> Result<Self, Failure> {
        const EXPORT: &str = "run `catgen-pipe run --until Export` to pack the pictures again";
        let unfit = |what: String| Failure::unfit(format!("the dataset {}: {what}", path.display()), EXPORT);
        let header = npy::open(path).map_err(|error| unfit(error.to_string()))?;
        let side = header.width;
        if header.height != side || !SIDES.contains(&side) {
            return Err(Failure::unfit(
                format!(
                    "the dataset {}: its pictures are {side} × {} pixels, and there are networks for squares of 32, 64, 128 and 256",
                    path.display(),
                    header.height
                ),
                "set `side` of the resize stage to one of these",
            ));
        }
        if header.images < 2 {
            return Err(Failure::unfit(
                format!("the dataset {} has too few pictures to learn from: {}, and 2 is the least", path.display(), header.images),
                "look at what the stages before rejected: `catgen-pipe status`",
            ));
        }
        let found = Digest::of_file(path).map_err(|error| unfit(error.to_string()))?;
        if found != digest {
            return Err(unfit(format!("its content is {}, and {} was asked for", found.short(), digest.short())));
        }
        let name = path.to_str().ok_or_else(|| unfit("its path is not UTF-8, and libtorch cannot open such files".to_owned()))?;
        let length = (header.data_at + header.data_len()) as i64;
        let file = Tensor::f_from_file(name, false, length, (Kind::Uint8, Device::Cpu))?; // [bytes of the file]
        let pictures = file.narrow(0, header.data_at as i64, header.data_len() as i64); // [N · 3 · S · S]
        let pictures = pictures.view([header.images as i64, 3, side as i64, side as i64]).f_to_device(device)?; // [N, 3, S, S]
        Ok(Self { pictures, digest, len: header.images, side })
    }

    /// Pictures of noise, in no file: for measurements and tests.
    pub(crate) fn noise(len: u64, side: u64, device: Device) -> Self {
        let pictures = Tensor::randint(256, [len as i64, 3, side as i64, side as i64], (Kind::Uint8, device)); // [N, 3, S, S]
        Self { pictures, digest: Digest::of(b""), len, side }
    }

    /// The same on another device.
    #[cfg(test)]
    pub(crate) fn on(self, device: Device) -> Self {
        Self { pictures: self.pictures.to_device(device), ..self }
    }

    /// The order in which an epoch looks at the pictures: [N] places.
    pub(crate) fn order(&self, seed: u64, epoch: u64) -> Tensor {
        Tensor::from_slice(&rng::order(seed, epoch, self.len)).to_device(self.pictures.device())
    }

    /// The pictures at `places` ([B]): bytes, [B, 3, S, S].
    pub(crate) fn bytes(&self, places: &Tensor) -> Tensor {
        self.pictures.index_select(0, places)
    }

    /// The pictures at `places` ([B]), in −1..1, each mirrored with probability 1/2 if `flip`: [B, 3, S, S].
    pub(crate) fn batch(&self, places: &Tensor, flip: bool) -> Tensor {
        let bytes = self.bytes(places);
        let bytes = if flip { mirrored(&bytes) } else { bytes };
        bytes.to_kind(Kind::Float) * (2.0 / 255.0) - 1.0
    }
}

/// Each picture of [B, 3, S, S] mirrored with probability 1/2.
fn mirrored(pictures: &Tensor) -> Tensor {
    let mirrored = Tensor::rand([pictures.size()[0], 1, 1, 1], (Kind::Float, pictures.device())).lt(0.5); // [B, 1, 1, 1]
    pictures.flip([3]).where_self(&mirrored, pictures)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Purpose;

    fn file(shape: &str, bytes: &[u8]) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let header = format!("{:<117}\n", format!("{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}"));
        let mut all = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
        all.extend(header.bytes());
        all.extend(bytes);
        let path = folder.path().join("dataset.npy");
        std::fs::write(&path, all).unwrap();
        (folder, path)
    }

    fn check(shape: &str, count: usize, said: &str) {
        let (_folder, path) = file(shape, &vec![0; count]);
        let error = Dataset::open(&path, Digest::of_file(&path).unwrap(), Device::Cpu).unwrap_err();
        assert_eq!(error.exit_status(), 2);
        assert!(error.to_string().contains(said), "{error}");
    }

    #[test]
    fn pictures_come_as_they_lie_in_the_file() {
        let side = 32 * 32 * 3;
        let bytes: Vec<u8> = (0..4 * side).map(|at| if at < side { 0 } else { (at % 256) as u8 }).collect();
        let (_folder, path) = file("(4, 3, 32, 32)", &bytes);
        let data = Dataset::open(&path, Digest::of_file(&path).unwrap(), Device::Cpu).unwrap();
        assert_eq!((data.len, data.side), (4, 32));
        let batch = data.batch(&Tensor::from_slice(&[2i64, 0]), false);
        assert_eq!(batch.size(), [2, 3, 32, 32]);
        let numbers = Vec::<f32>::try_from(batch.reshape([-1])).unwrap();
        assert!(numbers[side..].iter().all(|number| *number == -1.0));
        for (number, byte) in numbers[..side].iter().zip(&bytes[2 * side..]) {
            assert!((number - (f32::from(*byte) / 127.5 - 1.0)).abs() < 1e-6);
        }
    }

    #[test]
    fn what_cannot_be_trained_on_is_refused() {
        check("(1, 3, 32, 32)", 3072, "too few pictures");
        check("(2, 3, 48, 48)", 13_824, "48 × 48 pixels");
        check("(2, 3, 32, 64)", 12_288, "64 × 32 pixels");
        check("(2, 3, 32, 32)", 6000, "bytes long");
        let (_folder, path) = file("(2, 3, 32, 32)", &[0; 6144]);
        assert!(Dataset::open(&path, Digest::of(b"other"), Device::Cpu).unwrap_err().to_string().contains("was asked for"));
    }

    #[test]
    fn about_half_of_the_pictures_are_mirrored_and_nothing_else_happens_to_them() {
        let pictures = rng::noise(1, 0, 64, 12, Device::Cpu).view([64, 3, 2, 2]);
        let draw = || rng::seeded(1, Purpose::Step, 1, || mirrored(&pictures));
        let mirrored = draw();
        let count = (0..64)
            .filter(|&at| {
                let (before, after) = (pictures.get(at), mirrored.get(at));
                assert!(after == before || after == before.flip([2]));
                after != before
            })
            .count();
        assert!((16..=48).contains(&count), "{count} of 64");
        assert_eq!(mirrored, draw());
    }
}
