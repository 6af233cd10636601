//! Checkpoints: everything a training needs to go on as if it had never stopped.
//!
//! ```text
//! checkpoints/step-00001234.safetensors   both networks, their running statistics, Adam's moments, the averaged generator (`ema.`), the
//!                                         probability of changes, the epoch's sums
//! checkpoints/step-00001234.json          the card: what it is, and the digest of the tensors
//! ```
//!
//! The card is written last: tensors without a card, or with a card that names another digest, are no checkpoint. Random
//! numbers and the order of the pictures follow from seed and step, so they are not in it.
//!
//! Kept are the newest ones and the best one, which a training in trouble goes back to.
//!
//! Formats: 1 had neither average nor probability and four sums; it is read, and goes on with other random numbers than the version that
//! wrote it would have drawn.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use catgen_api::Digest;
use catgen_train::{Measures, TrainOptions};
use safetensors::{Dtype, SafeTensors, View};
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use crate::{alarm::Best, error::Failure, record};

/// The version of the card and of the tensors' names; a reader refuses a later one.
pub(crate) const FORMAT: u32 = 2;

/// What a checkpoint says of itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Card {
    /// See [`FORMAT`].
    pub(crate) format: u32,
    /// The options, as in `options.json`.
    pub(crate) options: serde_json::Map<String, serde_json::Value>,
    pub(crate) seed: u64,
    /// The digest of the dataset's file.
    pub(crate) dataset: Digest,
    /// Pictures in it, and their side.
    pub(crate) images: u64,
    pub(crate) side: u64,
    /// Steps done.
    pub(crate) step: u64,
    /// Whole epochs done.
    pub(crate) epoch: u64,
    pub(crate) images_seen: u64,
    /// Training time so far.
    pub(crate) seconds: f64,
    /// The last epoch's.
    pub(crate) metrics: Option<Measures>,
    /// The best checkpoint at that time, which may be this one.
    #[serde(default)]
    pub(crate) best: Option<Best>,
    /// How often the training went back to an earlier checkpoint.
    #[serde(default)]
    pub(crate) rollbacks: u64,
    /// The version of libtorch and the device that made it.
    pub(crate) libtorch: String,
    pub(crate) device: String,
    /// BLAKE3 of the file of tensors.
    pub(crate) tensors: Digest,
}

impl Card {
    /// The options; those that came later than the card have their defaults.
    pub(crate) fn options(&self) -> Result<TrainOptions, Failure> {
        TrainOptions::from_map(&self.options)
            .map_err(|error| Failure::unfit(format!("the checkpoint's options cannot be used: {error}"), "was it made by a newer version?"))
    }
}

/// Tensors by name, on the CPU.
pub(crate) type Tensors = BTreeMap<String, Tensor>;

/// A checkpoint that was found whole.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    pub(crate) card: Card,
    pub(crate) tensors: Tensors,
}

impl Checkpoint {
    /// Puts the tensor saved under `name` into `target`, of the same shape.
    pub(crate) fn restore(&self, name: &str, target: &mut Tensor) -> Result<(), Failure> {
        let wrong = |what: String| Failure::unfit(format!("the checkpoint does not fit: {what}"), "was it made by another version?");
        let tensor = self.tensors.get(name).ok_or_else(|| wrong(format!("{name} is not in it")))?;
        if tensor.size() != target.size() {
            return Err(wrong(format!("{name} has shape {:?}, and {:?} is wanted", tensor.size(), target.size())));
        }
        tch::no_grad(|| target.f_copy_(tensor))?;
        Ok(())
    }
}

/// Saves a checkpoint and says where its tensors are; `card.tensors` is filled in.
pub(crate) fn save(folder: &Path, mut card: Card, tensors: impl IntoIterator<Item = (String, Tensor)>) -> io::Result<PathBuf> {
    let bytes = serialize(tensors)?;
    card.tensors = Digest::of(&bytes);
    let path = card_path(folder, card.step).with_extension("safetensors");
    record::write(&path, &bytes)?;
    record::write(&path.with_extension("json"), &serde_json::to_vec_pretty(&card)?)?;
    File::open(folder)?.sync_all()?;
    Ok(path)
}

/// Tensors by name as a safetensors file.
pub(crate) fn serialize(tensors: impl IntoIterator<Item = (String, Tensor)>) -> io::Result<Vec<u8>> {
    let tensors = tensors.into_iter().map(|(name, tensor)| (name, Saved::of(&tensor)));
    // Named `pt` so that Python's loaders take them for PyTorch's.
    let about = [("format".to_owned(), "pt".to_owned())].into_iter().collect();
    safetensors::serialize(tensors, Some(about)).map_err(io::Error::other)
}

/// Removes all but the newest `keep` checkpoints and that of step `best`, cards first, and what a killed trainer left half-written.
pub(crate) fn prune(folder: &Path, keep: u64, best: Option<u64>) -> io::Result<()> {
    let best = best.map(|step| card_path(folder, step));
    keep_only(folder, |place, card| place < keep as usize || best.as_deref() == Some(card))
}

/// Removes every checkpoint of a later step than `step`, cards first and the newest first: whenever that is interrupted, what is left is a
/// training that is about to be taken back.
pub(crate) fn take_back(folder: &Path, step: u64) -> io::Result<()> {
    let last = card_path(folder, step);
    keep_only(folder, |_, card| card <= last.as_path())
}

fn card_path(folder: &Path, step: u64) -> PathBuf {
    folder.join(format!("step-{step:08}.json"))
}

/// Removes the checkpoints that `keep` does not want, asked with their place, the newest first, and their card.
fn keep_only(folder: &Path, keep: impl Fn(usize, &Path) -> bool) -> io::Result<()> {
    let (cards, gone): (Vec<_>, Vec<_>) = cards(folder)?.into_iter().enumerate().partition(|(place, card)| keep(*place, card));
    gone.iter().try_for_each(|(_, card)| fs::remove_file(card))?;
    let cards = cards.into_iter().map(|(_, card)| card);
    let kept: Vec<PathBuf> = cards.flat_map(|card| [card.with_extension("safetensors"), card]).collect();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let ours = path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("step-"));
        if ours && !kept.contains(&path) {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// The newest checkpoint of the folder that is whole; every damaged one it passes over is told to `warn`.
pub(crate) fn latest(folder: &Path, warn: &mut dyn FnMut(String)) -> Result<Option<Checkpoint>, Failure> {
    for path in cards(folder).map_err(|error| Failure::file("read", folder, &error))? {
        match read(&path) {
            Ok(checkpoint) => return Ok(Some(checkpoint)),
            Err(Unreadable::Damaged(what)) => warn(format!("skipping the checkpoint {}: {what}", path.display())),
            Err(Unreadable::Newer(format)) => return Err(newer(&path, format)),
        }
    }
    Ok(None)
}

/// The checkpoint of that step, if it is there and whole.
pub(crate) fn at_step(folder: &Path, step: u64) -> Option<Checkpoint> {
    read(&card_path(folder, step)).ok()
}

/// The checkpoint at `path`: its card, its tensors, the folder it lies in, or the training's folder.
pub(crate) fn open(path: &Path, warn: &mut dyn FnMut(String)) -> Result<Checkpoint, Failure> {
    let hint = "give a training's folder, or one of the files in its `checkpoints`";
    let none = |what: &str| Failure::unfit(format!("{}: {what}", path.display()), hint);
    if path.is_dir() {
        let inner = path.join("checkpoints");
        let folder = if inner.is_dir() { &inner } else { path };
        return latest(folder, warn)?.ok_or_else(|| none("there is no whole checkpoint in it"));
    }
    read(&path.with_extension("json")).map_err(|error| match error {
        Unreadable::Damaged(what) => none(&what),
        Unreadable::Newer(format) => newer(path, format),
    })
}

/// The cards in the folder, newest first.
pub(crate) fn cards(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let step = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_prefix("step-")?.strip_suffix(".json"));
        if let Some(step) = step.and_then(|step| step.parse::<u64>().ok()) {
            found.push((step, path));
        }
    }
    found.sort_unstable_by(|a, b| b.cmp(a));
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

enum Unreadable {
    Damaged(String),
    Newer(u64),
}

fn newer(path: &Path, format: u64) -> Failure {
    Failure::unfit(
        format!("the checkpoint {} has format {format}, and this program knows formats up to {FORMAT}", path.display()),
        "use the version of catgen-train that wrote it, or a newer one",
    )
}

fn read(card: &Path) -> Result<Checkpoint, Unreadable> {
    let damaged = |what: &str, error: &dyn std::fmt::Display| Unreadable::Damaged(format!("{what}: {error}"));
    let text = fs::read(card).map_err(|error| damaged("its card cannot be read", &error))?;
    let value: serde_json::Value = serde_json::from_slice(&text).map_err(|error| damaged("its card is damaged", &error))?;
    if let Some(format) = value["format"].as_u64().filter(|format| *format > u64::from(FORMAT)) {
        return Err(Unreadable::Newer(format));
    }
    let parsed: Card = serde_json::from_value(value).map_err(|error| damaged("its card is damaged", &error))?;
    let bytes = fs::read(card.with_extension("safetensors")).map_err(|error| damaged("its tensors cannot be read", &error))?;
    if Digest::of(&bytes) != parsed.tensors {
        return Err(Unreadable::Damaged("its tensors are not those that its card names".to_owned()));
    }
    let file = SafeTensors::deserialize(&bytes).map_err(|error| damaged("its tensors are damaged", &error))?;
    let mut tensors = Tensors::new();
    for (name, view) in file.tensors() {
        let kind = match view.dtype() {
            Dtype::F32 => Kind::Float,
            Dtype::F64 => Kind::Double,
            other => return Err(Unreadable::Damaged(format!("{name} has numbers of type {other:?}"))),
        };
        let shape: Vec<i64> = view.shape().iter().map(|side| *side as i64).collect();
        let tensor = Tensor::f_from_data_size(view.data(), &shape, kind).map_err(|error| damaged("its tensors are damaged", &error))?;
        tensors.insert(name, tensor);
    }
    Ok(Checkpoint { card: parsed, tensors })
}

/// A tensor's bytes in C order.
struct Saved {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Saved {
    fn of(tensor: &Tensor) -> Self {
        let tensor = tensor.detach().to_device(Device::Cpu).contiguous();
        let (dtype, size) = match tensor.kind() {
            Kind::Float => (Dtype::F32, 4),
            Kind::Double => (Dtype::F64, 8),
            other => panic!("checkpoints hold numbers of 32 and 64 bits, not {other:?}"),
        };
        let mut bytes = vec![0; tensor.numel() * size];
        tensor.copy_data_u8(&mut bytes, tensor.numel());
        Self { dtype, shape: tensor.size().iter().map(|side| *side as usize).collect(), bytes }
    }
}

impl View for Saved {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card(step: u64) -> Card {
        let options = serde_json::to_value(TrainOptions::default()).unwrap().as_object().unwrap().clone();
        let (dataset, tensors) = (Digest::of(b"data"), Digest::of(b""));
        let (libtorch, device) = ("2.11.0".to_owned(), "cpu".to_owned());
        Card {
            format: FORMAT,
            options,
            seed: 1,
            dataset,
            images: 9,
            side: 64,
            step,
            epoch: 1,
            images_seen: 9,
            seconds: 0.5,
            metrics: None,
            best: None,
            rollbacks: 0,
            libtorch,
            device,
            tensors,
        }
    }

    fn saved(folder: &Path, steps: &[u64]) {
        for step in steps {
            let tensor = Tensor::full([2, 3, 4, 5], *step as f64 / 3.0, (Kind::Float, Device::Cpu));
            let sums = Tensor::full([4], *step as f64 / 3.0, (Kind::Double, Device::Cpu));
            // Saved in another order of memory: comes back in its shape all the same.
            let turned = tensor.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2]);
            save(folder, card(*step), [("b".to_owned(), turned), ("a".to_owned(), sums)]).unwrap();
        }
    }

    fn newest(folder: &Path) -> (Option<u64>, usize) {
        let mut warnings = Vec::new();
        let found = latest(folder, &mut |warning| warnings.push(warning)).unwrap();
        (found.map(|found| found.card.step), warnings.len())
    }

    #[test]
    fn what_was_saved_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(newest(folder.path()), (None, 0));
        saved(folder.path(), &[7]);
        let found = latest(folder.path(), &mut |_| panic!()).unwrap().unwrap();
        assert_eq!(found.card.options().unwrap(), TrainOptions::default());
        let mut target = Tensor::zeros([2, 3, 4, 5], (Kind::Float, Device::Cpu));
        found.restore("b", &mut target).unwrap();
        assert!(Vec::<f32>::try_from(target.reshape([-1])).unwrap().iter().all(|number| *number == 7.0 / 3.0));
        assert_eq!(found.tensors["a"].double_value(&[0]), 7.0 / 3.0);
        assert!(found.restore("c", &mut target).is_err());
        assert!(found.restore("a", &mut target).is_err());
    }

    #[test]
    fn a_damaged_checkpoint_gives_way_to_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        saved(folder.path(), &[1, 2, 3, 10]);
        assert_eq!(newest(folder.path()), (Some(10), 0));
        let mut bytes = fs::read(file("step-00000010.safetensors")).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(file("step-00000010.safetensors"), bytes).unwrap();
        assert_eq!(newest(folder.path()), (Some(3), 1));
        fs::remove_file(file("step-00000003.safetensors")).unwrap();
        assert_eq!(newest(folder.path()), (Some(2), 2));
        fs::write(file("step-00000002.json"), "{").unwrap();
        assert_eq!(newest(folder.path()), (Some(1), 3));
        // A card that was never written.
        fs::remove_file(file("step-00000001.json")).unwrap();
        assert_eq!(newest(folder.path()), (None, 3));
    }

    #[test]
    fn a_card_of_a_later_format_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        saved(folder.path(), &[1]);
        fs::write(folder.path().join("step-00000002.json"), r#"{"format": 3}"#).unwrap();
        assert!(latest(folder.path(), &mut |_| panic!()).unwrap_err().to_string().contains("format 3"));
    }

    #[test]
    fn only_the_newest_and_the_best_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        saved(folder.path(), &[9, 10, 100, 11]);
        for left in ["step-00000012.safetensors", "step-00000012.json.part"] {
            fs::write(folder.path().join(left), "").unwrap();
        }
        prune(folder.path(), 2, Some(9)).unwrap();
        let names = || {
            let mut names: Vec<String> =
                fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        };
        let expected = |steps: &[u64]| -> Vec<String> {
            steps.iter().flat_map(|step| ["json", "safetensors"].map(|end| format!("step-{step:08}.{end}"))).collect()
        };
        assert_eq!(names(), expected(&[9, 11, 100]));
        take_back(folder.path(), 11).unwrap();
        assert_eq!(names(), expected(&[9, 11]));
    }

    #[test]
    fn a_checkpoint_is_found_by_any_of_its_names() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("checkpoints");
        fs::create_dir(&inner).unwrap();
        saved(&inner, &[4, 5]);
        let check = |path: &Path, step| assert_eq!(open(path, &mut |_| panic!()).unwrap().card.step, step);
        check(folder.path(), 5);
        check(&inner, 5);
        check(&inner.join("step-00000004.json"), 4);
        check(&inner.join("step-00000004.safetensors"), 4);
        assert!(open(&folder.path().join("nothing"), &mut |_| ()).is_err());
    }
}
