//! The training picture that a drawn one is most like: what tells whether a generator draws or remembers.
//!
//! Pictures are compared at 16 × 16 pixels, each the mean of those it stands for, by the root of the mean squared difference of
//! their levels (0 to 255), as they are and mirrored, because training mirrors them. So small that hairs do not count, and the whole
//! does. It is a look at single pictures; the memorisation check of the metrics compares distances of many.

use std::{collections::HashMap, path::Path};

use catgen_api::Digest;
use serde_json::Value;
use tch::{Device, Kind, Tensor};

use crate::{data::Dataset, error::Failure};

/// The side at which pictures are compared.
const SIDE: i64 = 16;
/// Rows of the dataset that are made small at once: bounds the memory.
const ROWS: i64 = 2048;

/// Every picture of the dataset, small.
#[derive(Debug)]
pub(crate) struct Album {
    data: Dataset,
    /// [N, 3 · 16 · 16], 0..255.
    small: Tensor,
    /// Of each row: |x|², [N].
    squares: Tensor,
    /// What each row is a picture of, as `index.jsonl` says.
    rows: HashMap<u64, Value>,
    device: Device,
}

/// A training picture, and how far it is from a drawn one.
#[derive(Debug, Clone)]
pub(crate) struct Neighbour {
    pub(crate) row: u64,
    /// Levels, root of the mean square; 0 is the same.
    pub(crate) distance: f64,
    /// Whether it is its mirror image that is so near.
    pub(crate) mirrored: bool,
}

impl Album {
    /// Opens the dataset, and the list of its rows if there is one.
    pub(crate) fn open(dataset: &Path, index: Option<&Path>, side: u64, device: Device) -> Result<Self, Failure> {
        let digest = Digest::of_file(dataset).map_err(|error| Failure::file("read", dataset, &error))?;
        let data = Dataset::open(dataset, digest, Device::Cpu)?;
        if data.side != side {
            return Err(Failure::unfit(
                format!("the pictures of {} are {} px wide, and this generator draws {side} px", dataset.display(), data.side),
                "compare with the dataset that it was trained on",
            ));
        }
        let rows = match index {
            Some(index) => {
                let text = std::fs::read_to_string(index).map_err(|error| Failure::file("read", index, &error))?;
                // It lists the photos that were held out, too.
                let line = |line: &str| {
                    let row: Value = serde_json::from_str(line).ok()?;
                    let is_ours = row["file"].as_str().is_none_or(|file| file == "train.npy");
                    Some((row["row"].as_u64().filter(|_| is_ours)?, row))
                };
                text.lines().filter_map(line).collect()
            }
            None => HashMap::new(),
        };
        let mut parts = Vec::new();
        for begin in (0..data.len as i64).step_by(ROWS as usize) {
            let places = Tensor::arange_start(begin, (begin + ROWS).min(data.len as i64), (Kind::Int64, Device::Cpu));
            parts.push(small(&data.bytes(&places)).to_device(device)); // [≤ ROWS, 768]
        }
        let small = Tensor::cat(&parts, 0); // [N, 768]
        let squares = small.square().sum_dim_intlist([1i64].as_slice(), false, Kind::Float); // [N]
        Ok(Self { data, small, squares, rows, device })
    }

    /// The neighbour of each of some drawn pictures: bytes, [B, 3, S, S].
    pub(crate) fn nearest(&self, drawn: &Tensor) -> Vec<Neighbour> {
        let found = [drawn.shallow_clone(), drawn.flip([3])].map(|drawn| {
            let queries = small(&drawn).to_device(self.device); // [B, 768]
            // |q − x|² = |q|² + |x|² − 2 q·x: one matrix product; |q|² is the same for all x.
            let far = self.squares.unsqueeze(0) - queries.matmul(&self.small.tr()) * 2.0; // [B, N]
            let rows = Vec::<i64>::try_from(far.argmin(1, false).to_device(Device::Cpu)).expect("places are whole numbers");
            // The differences of large numbers are rough where they are small: the nearest is measured again.
            let chosen = self.small.index_select(0, &Tensor::from_slice(&rows).to_device(self.device)); // [B, 768]
            let far = (queries - chosen).square().mean_dim([1i64].as_slice(), false, Kind::Float).sqrt(); // [B]
            let far = Vec::<f32>::try_from(far.to_device(Device::Cpu)).expect("distances are numbers");
            rows.into_iter().zip(far).collect::<Vec<_>>()
        });
        let [plain, mirrored] = found;
        let nearer = |(plain, mirror): ((i64, f32), (i64, f32))| {
            let ((row, distance), mirrored) = if mirror.1 < plain.1 { (mirror, true) } else { (plain, false) };
            Neighbour { row: row as u64, distance: f64::from(distance), mirrored }
        };
        plain.into_iter().zip(mirrored).map(nearer).collect()
    }

    /// The training picture of a row, mirrored if it is its mirror image that is meant: bytes, [3, S, S].
    pub(crate) fn picture(&self, neighbour: &Neighbour) -> Tensor {
        let picture = self.data.bytes(&Tensor::from_slice(&[neighbour.row as i64])).get(0);
        if neighbour.mirrored { picture.flip([2]) } else { picture }
    }

    /// What the list of rows says of one: the photo it was made from, and the picture's own name.
    pub(crate) fn about(&self, neighbour: &Neighbour) -> [Option<&str>; 2] {
        let row = self.rows.get(&neighbour.row);
        ["photo", "item"].map(|name| row.and_then(|row| row.get(name)?.as_str()))
    }
}

/// Pictures of bytes [B, 3, S, S] as means of squares: [B, 3 · 16 · 16].
fn small(pictures: &Tensor) -> Tensor {
    pictures.to_kind(Kind::Float).adaptive_avg_pool2d([SIDE, SIDE]).flatten(1, -1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_found_mirrored_or_not_and_named() {
        let (count, side) = (5usize, 32usize);
        let folder = tempfile::tempdir().unwrap();
        let header = format!("{:<117}\n", format!("{{'descr': '|u1', 'fortran_order': False, 'shape': ({count}, 3, {side}, {side}), }}"));
        let mut file = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
        file.extend(header.bytes());
        // Each picture has a bright bar at a place of its own, left of the middle.
        let picture = |at: usize| (0..3 * side * side).map(move |place| if place % side / 3 == at { 250 } else { 20 + at as u8 });
        (0..count).for_each(|at| file.extend(picture(at)));
        let dataset = folder.path().join("images.npy");
        std::fs::write(&dataset, file).unwrap();
        let index = folder.path().join("index.jsonl");
        let line = |row: usize| format!("{{\"row\":{row},\"photo\":\"photo-{row}.jpg\",\"item\":\"item-{row}.png\"}}\n");
        let held_out = "{\"file\":\"held_out.npy\",\"row\":2,\"photo\":\"another.jpg\"}\n".to_owned();
        std::fs::write(&index, (0..count).map(line).chain([held_out]).collect::<String>()).unwrap();
        let album = Album::open(&dataset, Some(&index), side as u64, Device::Cpu).unwrap();

        let made = |at: usize| Tensor::from_slice(&picture(at).collect::<Vec<u8>>()).view([1, 3, side as i64, side as i64]);
        let noisy = made(1).to_kind(Kind::Int64) + 3;
        let drawn = Tensor::cat(&[made(3), made(2).flip([3]), noisy.to_kind(Kind::Uint8)], 0);
        let found = album.nearest(&drawn);
        let rows: Vec<(u64, bool)> = found.iter().map(|found| (found.row, found.mirrored)).collect();
        assert_eq!(rows, [(3, false), (2, true), (1, false)]);
        assert!(found[0].distance < 1e-3 && found[1].distance < 1e-3 && (found[2].distance - 3.0).abs() < 1e-3, "{found:?}");
        assert_eq!(album.about(&found[1]), [Some("photo-2.jpg"), Some("item-2.png")]);
        assert_eq!(album.picture(&found[1]), made(2).flip([3]).get(0));
        assert!(Album::open(&dataset, None, 64, Device::Cpu).unwrap_err().to_string().contains("32 px"));
    }
}
