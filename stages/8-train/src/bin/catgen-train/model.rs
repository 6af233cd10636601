//! `Model`: a trained generator, ready for use, from a training's checkpoint or from a file made by `export` or `import`.
//!
//! ```text
//! model.safetensors   the generator's parameters and running statistics, by the names of its layers
//! model.json          the card: what it is, what it learned from, how to load it
//! ```

use std::{
    fs,
    path::{Path, PathBuf},
};

use catgen_api::Digest;
use catgen_train::{Device as Wanted, TrainOptions};
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tch::{Device, Kind, Tensor};

use crate::{
    checkpoint::{self, Tensors},
    device,
    error::Failure,
    network::{self, Mode, Network},
};

/// The version of the card that this program writes; a reader refuses a later one.
const FORMAT: u32 = 1;
/// What a card says it is the card of.
const KIND: &str = "catgen generator";
/// How the averaged generator's tensors begin in a checkpoint.
const AVERAGED: &str = "ema";
/// Pictures that are drawn at once.
pub(crate) const AT_ONCE: i64 = 64;

/// Which of a training's checkpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    /// The newest that is whole.
    Last,
    /// The one that the metrics found best.
    Best,
    /// The one after so many epochs.
    Epoch(u64),
}

impl std::str::FromStr for Which {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "last" => Ok(Self::Last),
            "best" => Ok(Self::Best),
            number => number.parse().map(Self::Epoch).map_err(|_| "expected `last`, `best` or the number of an epoch".to_owned()),
        }
    }
}

/// Which generator to use.
#[derive(Debug, Clone)]
pub(crate) struct Chosen {
    /// A training's folder, a checkpoint, or a model's file.
    pub(crate) place: PathBuf,
    pub(crate) which: Which,
    /// The weights as they are, where there is also their average.
    pub(crate) raw: bool,
    pub(crate) device: Wanted,
}

/// The card of an exported model: everything that somebody without the training's folder needs to know.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Card {
    /// `catgen generator`
    pub(crate) kind: String,
    /// See [`FORMAT`].
    pub(crate) format: u32,
    /// The file that this is the card of, and the BLAKE3 digest of its content.
    pub(crate) file: String,
    pub(crate) content: Digest,
    pub(crate) preset: String,
    pub(crate) side: u64,
    pub(crate) latent: u64,
    pub(crate) width: u64,
    /// How many numbers were learned.
    pub(crate) parameters: u64,
    /// Whether the weights are the average over the last steps, or those of one step.
    pub(crate) weights: String,
    /// What goes in and what comes out.
    pub(crate) input: Value,
    pub(crate) output: Value,
    /// What it learned from, how long, and how good it was found; nothing where that is not known.
    pub(crate) training: Value,
    /// What the user or the engine noted: the run, the number of photos.
    #[serde(default)]
    pub(crate) notes: Map<String, Value>,
    pub(crate) licence: String,
    pub(crate) how_to_load: String,
    /// The options of the training; those that later versions add have their defaults.
    pub(crate) options: Map<String, Value>,
}

/// A generator, and perhaps the discriminator that it was trained against.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) generator: Network,
    pub(crate) discriminator: Option<Network>,
    /// Resolved: no value means "the preset's".
    pub(crate) options: TrainOptions,
    pub(crate) side: u64,
    /// Steps of the training, 0 where it is not known.
    pub(crate) step: u64,
    /// Whether the weights are averaged.
    pub(crate) averaged: bool,
    /// For the card of an export.
    pub(crate) training: Value,
    pub(crate) notes: Map<String, Value>,
    pub(crate) device: Device,
}

impl Model {
    /// Finds the checkpoint or the model's file, and loads it.
    pub(crate) fn open(chosen: &Chosen) -> Result<Self, Failure> {
        let device = device::choose(chosen.device)?;
        if chosen.place.is_file()
            && let Some(card) = card_of(&chosen.place)?
        {
            return Self::from_file(&chosen.place, card, device);
        }
        Self::from_checkpoint(chosen, device)
    }

    fn from_checkpoint(chosen: &Chosen, device: Device) -> Result<Self, Failure> {
        let checkpoint = find(chosen)?;
        let card = &checkpoint.card;
        let options = card.options()?.resolved();
        let generator = network::generator(&options, card.side, device);
        let averaged = !chosen.raw && checkpoint.tensors.keys().any(|name| name.starts_with("ema."));
        for (name, mut view) in generator.tensors(if averaged { AVERAGED } else { "generator" }) {
            checkpoint.restore(&name, &mut view)?;
        }
        let discriminator = network::discriminator(&options, card.side, device);
        for (name, mut view) in discriminator.tensors("discriminator") {
            checkpoint.restore(&name, &mut view)?;
        }
        let training = json!({
            "dataset": card.dataset, "images": card.images, "seed": card.seed, "steps": card.step, "epochs": card.epoch,
            "images_seen": card.images_seen, "seconds": card.seconds, "device": card.device, "libtorch": card.libtorch,
            "metrics": card.metrics,
        });
        let (side, step) = (card.side, card.step);
        Ok(Self { generator, discriminator: Some(discriminator), options, side, step, averaged, training, notes: Map::new(), device })
    }

    fn from_file(path: &Path, card: Card, device: Device) -> Result<Self, Failure> {
        let unfit = |what: String| Failure::unfit(format!("{}: {what}", path.display()), "export or import it again");
        if card.format > FORMAT {
            return Err(unfit(format!("its card has format {}, and this program knows formats up to {FORMAT}", card.format)));
        }
        let tensors_at = path.with_extension("safetensors");
        let bytes = fs::read(&tensors_at).map_err(|error| Failure::file("read", &tensors_at, &error))?;
        if Digest::of(&bytes) != card.content {
            return Err(unfit("its content is not what its card names: the two belong together".to_owned()));
        }
        let options =
            TrainOptions::from_map(&card.options).map_err(|error| unfit(format!("its options cannot be used: {error}")))?.resolved();
        let tensors = tensors(&bytes).map_err(unfit)?;
        let generator = network::generator(&options, card.side, device);
        fill(&generator, &tensors, "").map_err(unfit)?;
        let step = card.training["steps"].as_u64().unwrap_or(0);
        let averaged = card.weights.starts_with("averaged");
        let (side, training, notes) = (card.side, card.training, card.notes);
        Ok(Self { generator, discriminator: None, options, side, step, averaged, training, notes, device })
    }

    /// What the generator makes of latents [N, Z]: [N, 3, S, S] in −1..1, on the device.
    pub(crate) fn draw(&self, latents: &Tensor) -> Tensor {
        tch::no_grad(|| self.generator.forward(latents, Mode::Eval))
    }

    /// The preset's word.
    pub(crate) fn preset(&self) -> String {
        json!(self.options.preset).as_str().unwrap_or_default().to_owned()
    }

    /// How many numbers were learned.
    pub(crate) fn parameters(&self) -> u64 {
        self.generator.flat.size()[0] as u64
    }

    /// The card of a file with this content. `usage` says how to load it.
    pub(crate) fn card(&self, file: &Path, content: &[u8], usage: &str) -> Card {
        let TrainOptions { latent, width, .. } = self.options;
        let as_map = |options: &TrainOptions| match json!(options) {
            Value::Object(map) => map,
            _ => unreachable!("options are a JSON object"),
        };
        let options = as_map(&self.options);
        let shape = |sides: &[u64]| json!(std::iter::once(json!("N")).chain(sides.iter().map(|side| json!(side))).collect::<Vec<_>>());
        Card {
            kind: KIND.to_owned(),
            format: FORMAT,
            file: file.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            content: Digest::of(content),
            preset: self.preset(),
            side: self.side,
            latent,
            width,
            parameters: self.parameters(),
            weights: if self.averaged { "averaged over the last steps (EMA)" } else { "as they were after the last step" }.to_owned(),
            input: json!({"name": "z", "shape": shape(&[latent]), "numbers": "float32, each drawn from N(0, 1)"}),
            output: json!({"name": "pictures", "shape": shape(&[3, self.side, self.side]), "numbers": "float32, RGB, -1 is black and 1 is white; clamp before use"}),
            training: self.training.clone(),
            notes: self.notes.clone(),
            licence: "Made from the photos of whoever trained it: their rights, and their owner's wishes, go with the model. \
                      A generator trained on few photos can show parts of them."
                .to_owned(),
            how_to_load: usage.to_owned(),
            options,
        }
    }
}

/// The checkpoint that is meant, whole.
fn find(chosen: &Chosen) -> Result<checkpoint::Checkpoint, Failure> {
    let warn = &mut |warning| eprintln!("warning: {warning}");
    let folder = chosen.place.join("checkpoints");
    let folder = if folder.is_dir() { folder } else { chosen.place.clone() };
    match chosen.which {
        Which::Last => checkpoint::open(&chosen.place, warn),
        // The newest card knows which was best by then; without measurements that is itself.
        Which::Best => {
            let last = checkpoint::open(&chosen.place, warn)?;
            let Some(best) = last.card.best.as_ref().filter(|best| best.step != last.card.step) else { return Ok(last) };
            checkpoint::at_step(&folder, best.step).ok_or_else(|| {
                Failure::unfit(
                    format!("the best checkpoint of {}, of step {}, is gone or damaged", chosen.place.display(), best.step),
                    "take `last`",
                )
            })
        }
        Which::Epoch(epoch) => {
            let cards = checkpoint::cards(&folder).map_err(|error| Failure::file("read", &folder, &error))?;
            let epoch_of = |path: &PathBuf| {
                let card: Value = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
                card["epoch"].as_u64()
            };
            match cards.iter().find(|path| epoch_of(path) == Some(epoch)) {
                Some(path) => checkpoint::open(path, warn),
                None => {
                    let mut kept: Vec<String> = cards.iter().filter_map(epoch_of).map(|epoch| epoch.to_string()).collect();
                    kept.reverse();
                    kept.dedup();
                    Err(Failure::unfit(
                        format!("no checkpoint of epoch {epoch} was kept; there are those of {}", kept.join(", ")),
                        "`keep_checkpoints` of the train stage says how many are kept",
                    ))
                }
            }
        }
    }
}

/// The card beside a file, if it is a model's.
fn card_of(path: &Path) -> Result<Option<Card>, Failure> {
    let Ok(text) = fs::read(path.with_extension("json")) else { return Ok(None) };
    let Ok(value) = serde_json::from_slice::<Value>(&text) else { return Ok(None) };
    if value["kind"] != KIND {
        return Ok(None);
    }
    serde_json::from_value(value)
        .map(Some)
        .map_err(|error| Failure::unfit(format!("the card of {} is damaged: {error}", path.display()), "export or import it again"))
}

/// The tensors of a safetensors file, as numbers of 32 bits, by name.
pub(crate) fn tensors(bytes: &[u8]) -> Result<Tensors, String> {
    let file = SafeTensors::deserialize(bytes).map_err(|error| format!("it is no safetensors file, or damaged: {error}"))?;
    let read = |(name, view): (String, safetensors::tensor::TensorView<'_>)| {
        let kind = match view.dtype() {
            Dtype::F32 => Kind::Float,
            Dtype::F64 => Kind::Double,
            Dtype::F16 => Kind::Half,
            Dtype::BF16 => Kind::BFloat16,
            Dtype::I64 => Kind::Int64,
            other => return Err(format!("{name} has numbers of type {other:?}")),
        };
        let shape: Vec<i64> = view.shape().iter().map(|side| *side as i64).collect();
        let tensor = Tensor::f_from_data_size(view.data(), &shape, kind).map_err(|error| error.to_string())?;
        Ok((name, tensor.to_kind(Kind::Float)))
    };
    file.tensors().into_iter().map(read).collect()
}

/// Puts the tensors called `prefix` and the network's own names into it.
pub(crate) fn fill(network: &Network, tensors: &Tensors, prefix: &str) -> Result<(), String> {
    for (name, mut view) in network.by_name(&network.flat).chain(network.statistics()) {
        let tensor = tensors.get(&format!("{prefix}{name}")).ok_or_else(|| format!("{prefix}{name} is not in it"))?;
        if tensor.size() != view.size() {
            return Err(format!("{prefix}{name} has shape {:?}, and {:?} is wanted", tensor.size(), view.size()));
        }
        tch::no_grad(|| view.f_copy_(tensor)).map_err(|error| error.to_string())?;
    }
    Ok(())
}
