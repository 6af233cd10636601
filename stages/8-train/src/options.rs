//! `TrainOptions`: what a training can be told, in `pipeline.toml` and in `options.json`.
//!
//! Most options have a value that means "the preset's own" (`"preset"`, 0, or −1 where 0 has a meaning): a pair of networks is
//! published with the rates it was tuned for. [`TrainOptions::resolved`] puts those in; `presets.rs` lists them.

use catgen_api::{Kind, Param, ParamKind, Params, Shape};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use crate::loss::{Game, LossKind, Penalty};
use crate::{loss, presets};

/// The stage kind `train`.
pub const KIND: Kind = Kind {
    name: "train",
    version: 2,
    shape: Shape::Train,
    random: true,
    summary: "Trains an image generator on the packed dataset",
    params: &[
        Param {
            name: "preset",
            kind: ParamKind::Choice { default: "dcgan", of: &["dcgan", "dcgan-keras", "r3gan-s"] },
            doc: "The pair of networks, for sides of 32, 64, 128 or 256 px; 0, −1 and `preset` below mean its own values",
        },
        Param {
            name: "loss",
            kind: ParamKind::Choice { default: "preset", of: loss::WORDS },
            doc: "What the two networks play for, and `-gp` or `-r1r2` for a penalty on the discriminator's slope",
        },
        Param {
            name: "penalty_weight",
            kind: ParamKind::Number { default: -1.0, min: -1.0, max: 1e6 },
            doc: "How much that penalty counts; −1: 10 with `-gp`, 2 with `-r1r2`",
        },
        Param {
            name: "penalty_every",
            kind: ParamKind::Whole { default: 1, min: 1, max: 64 },
            doc: "Steps between penalties, each then counting that many times: 8 is much faster and less safe",
        },
        Param { name: "epochs", kind: ParamKind::Whole { default: 15, min: 1, max: 100_000 }, doc: "How often every picture is looked at" },
        Param {
            name: "batch",
            kind: ParamKind::Whole { default: 0, min: 0, max: 8192 },
            doc: "Pictures a step; all of them where the dataset has fewer; 0: the preset's",
        },
        Param {
            name: "max_images",
            kind: ParamKind::Whole { default: 0, min: 0, max: 1_000_000_000_000 },
            doc: "Stop once that many pictures were looked at; 0 for no limit",
        },
        Param {
            name: "time_budget",
            kind: ParamKind::Number { default: 0.0, min: 0.0, max: 1e6 },
            doc: "Stop, with a checkpoint to go on from, after so many minutes of a run; 0 for no limit",
        },
        Param {
            name: "learning_rate",
            kind: ParamKind::Number { default: 0.0, min: 0.0, max: 1.0 },
            doc: "Adam's step size, for both networks; 0: the preset's",
        },
        Param {
            name: "beta1",
            kind: ParamKind::Number { default: -1.0, min: -1.0, max: 0.999_999 },
            doc: "Adam's memory of the gradient; −1: the preset's",
        },
        Param {
            name: "beta2",
            kind: ParamKind::Number { default: -1.0, min: -1.0, max: 0.999_999 },
            doc: "Adam's memory of the squared gradient; −1: the preset's",
        },
        Param {
            name: "schedule_images",
            kind: ParamKind::Whole { default: -1, min: -1, max: 1_000_000_000_000 },
            doc: "Pictures until rate, penalty and memory have gone from their first to their last values; 0: constant; −1: the preset's",
        },
        Param {
            name: "ema_images",
            kind: ParamKind::Whole { default: -1, min: -1, max: 1_000_000_000 },
            doc: "Pictures after which the averaged generator has forgotten half; 0: no averaging; −1: the preset's",
        },
        Param {
            name: "latent",
            kind: ParamKind::Whole { default: 0, min: 0, max: 4096 },
            doc: "Random numbers that one picture is drawn from; 0: the preset's",
        },
        Param {
            name: "width",
            kind: ParamKind::Whole { default: 0, min: 0, max: 1024 },
            doc: "Channels of the maps: halving it makes a step about four times cheaper; 0: the preset's",
        },
        Param {
            name: "flip",
            kind: ParamKind::Choice { default: "preset", of: &["preset", "on", "off"] },
            doc: "Mirror each picture with probability 1/2 as it is looked at; `off` where `augment` mirrors",
        },
        Param {
            name: "augment",
            kind: ParamKind::Choice { default: "preset", of: &["preset", "none", "diffaugment", "adaptive"] },
            doc: "Change real and generated pictures alike before the discriminator sees them: always, or as often as it overfits",
        },
        Param {
            name: "augment_with",
            kind: ParamKind::Words { default: &["color", "translation", "cutout"], of: &["color", "translation", "cutout"] },
            doc: "What `augment` changes",
        },
        Param {
            name: "augment_strength",
            kind: ParamKind::Number { default: -1.0, min: -1.0, max: 1.0 },
            doc: "Probability of each change; −1: 1 with `diffaugment`, 0 to begin with for `adaptive`",
        },
        Param {
            name: "augment_target",
            kind: ParamKind::Number { default: 0.6, min: 0.0, max: 1.0 },
            doc: "`adaptive`: how often real pictures may look real, less how often not, before changes become more probable",
        },
        Param {
            name: "augment_images",
            kind: ParamKind::Whole { default: 100_000, min: 100, max: 1_000_000_000 },
            doc: "`adaptive`: pictures in which the probability goes from 0 to 1 at most",
        },
        Param {
            name: "precision",
            kind: ParamKind::Choice { default: "auto", of: &["auto", "float32", "bfloat16"] },
            doc: "Numbers that convolutions compute with; `auto` takes the faster one where it is known to be safe",
        },
        Param {
            name: "graph",
            kind: ParamKind::Choice { default: "auto", of: &["auto", "on", "off"] },
            doc: "On a GPU, record a step once and replay it as one CUDA graph",
        },
        Param {
            name: "device",
            kind: ParamKind::Choice { default: "auto", of: &["auto", "cpu", "cuda"] },
            doc: "Where to compute: `auto` takes the GPU where there is one",
        },
        Param {
            name: "checkpoint_every",
            kind: ParamKind::Whole { default: 1, min: 1, max: 100_000 },
            doc: "Epochs between checkpoints; the end always gets one",
        },
        Param {
            name: "keep_checkpoints",
            kind: ParamKind::Whole { default: 2, min: 1, max: 1000 },
            doc: "How many of the newest checkpoints are kept, beside the best",
        },
        Param {
            name: "rollbacks",
            kind: ParamKind::Whole { default: 2, min: 0, max: 10 },
            doc: "How often a training that broke down goes back to its best checkpoint with half the rate, before it gives up",
        },
        Param {
            name: "samples",
            kind: ParamKind::Whole { default: 64, min: 1, max: 1024 },
            doc: "Pictures in the grid drawn after each epoch",
        },
        Param {
            name: "features",
            kind: ParamKind::Text("auto"),
            doc: "What pictures are judged by: a network's name or file (ONNX, TorchScript), `random`, or `auto` for the best one found",
        },
        Param {
            name: "evaluate_images",
            kind: ParamKind::Whole { default: 256, min: 0, max: 100_000 },
            doc: "Generated pictures that are compared with the photos each time; 0 for never",
        },
        Param {
            name: "evaluate_every",
            kind: ParamKind::Whole { default: 0, min: 0, max: 100_000 },
            doc: "Epochs between comparisons, beside the one at the end; 0: as many as make them cost a few percent",
        },
    ],
};

/// The options that do not change what the networks learn: a training may go on with other values of these.
const FREE: &[&str] = &[
    "epochs",
    "max_images",
    "time_budget",
    "precision",
    "graph",
    "device",
    "checkpoint_every",
    "keep_checkpoints",
    "rollbacks",
    "samples",
    "features",
    "evaluate_images",
    "evaluate_every",
];

/// The pair of networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// Radford et al., arXiv 1511.06434, with the widths of PyTorch's tutorial.
    Dcgan,
    /// The networks of github.com/ronang101/Cat-GAN, as Keras has them.
    DcganKeras,
    /// Huang et al., arXiv 2501.05441, a quarter as wide.
    #[serde(rename = "r3gan-s")]
    R3ganS,
}

/// Whether pictures are mirrored as they are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Flip {
    /// As the preset wants it.
    Preset,
    /// With probability 1/2.
    On,
    /// Never.
    Off,
}

/// What happens to pictures on their way to the discriminator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Augment {
    /// As the preset wants it.
    Preset,
    /// Nothing.
    None,
    /// Zhao et al., arXiv 2006.10738: each change with a fixed probability.
    Diffaugment,
    /// The same changes; their probability follows the discriminator as in Karras et al., arXiv 2006.06676.
    Adaptive,
}

/// One of the changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// Brightness, saturation, contrast.
    Color,
    /// Up to an eighth of the side, along both sides.
    Translation,
    /// A square of half the side is blanked.
    Cutout,
}

/// The numbers that convolutions compute with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// The faster one where that is known to be safe.
    Auto,
    /// 32 bits.
    Float32,
    /// 16 bits with the range of 32; weights, sums and the optimiser stay at 32.
    Bfloat16,
}

/// `auto`, `on` or `off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Switch {
    /// Wherever it works.
    Auto,
    /// An error where it does not work.
    On,
    /// Nowhere.
    Off,
}

/// Where to compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Device {
    /// The first GPU that libtorch sees, else the CPU.
    Auto,
    /// The CPU.
    Cpu,
    /// The first GPU; an error where there is none.
    Cuda,
}

/// The parameters of [`KIND`], one field each; their meaning is written there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each field is the parameter of that name in KIND, where its line of documentation is")]
pub struct TrainOptions {
    pub preset: Preset,
    pub loss: LossKind,
    pub penalty_weight: f64,
    pub penalty_every: u64,
    pub epochs: u64,
    pub batch: u64,
    pub max_images: u64,
    pub time_budget: f64,
    pub learning_rate: f64,
    pub beta1: f64,
    pub beta2: f64,
    pub schedule_images: i64,
    pub ema_images: i64,
    pub latent: u64,
    pub width: u64,
    pub flip: Flip,
    pub augment: Augment,
    pub augment_with: Vec<Change>,
    pub augment_strength: f64,
    pub augment_target: f64,
    pub augment_images: u64,
    pub precision: Precision,
    pub graph: Switch,
    pub device: Device,
    pub checkpoint_every: u64,
    pub keep_checkpoints: u64,
    pub rollbacks: u64,
    pub samples: u64,
    pub features: String,
    pub evaluate_images: u64,
    pub evaluate_every: u64,
}

/// Options that cannot be used: a sentence for people that names the option.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct OptionsError(pub String);

impl Default for TrainOptions {
    fn default() -> Self {
        Self::of(&Params::defaults(KIND.params))
    }
}

impl TrainOptions {
    /// The checked parameters of a stage of this kind.
    pub fn of(params: &Params) -> Self {
        params.read()
    }

    /// Options from the text of an options file: a JSON object, checked like the stage's table in `pipeline.toml`.
    ///
    /// # Errors
    /// Not a JSON object, an unknown name, a value of the wrong type or out of its limits.
    pub fn from_json(text: &str) -> Result<Self, OptionsError> {
        Self::from_map(&serde_json::from_str(text).map_err(|error| OptionsError(error.to_string()))?)
    }

    /// As [`TrainOptions::from_json`], from an object that was read already. Options that it lacks have their defaults.
    ///
    /// # Errors
    /// As [`TrainOptions::from_json`], and what no preset can be told.
    pub fn from_map(options: &Map<String, Value>) -> Result<Self, OptionsError> {
        let mut params = Params::defaults(KIND.params);
        for (name, value) in options {
            // Until version 2 of this kind it was true or false.
            let value = match (name.as_str(), value) {
                ("flip", Value::Bool(flip)) => &Value::from(if *flip { "on" } else { "off" }),
                _ => value,
            };
            params.set(KIND.params, name, value).map_err(OptionsError)?;
        }
        let options = Self::of(&params);
        presets::check(&options.resolved())?;
        Ok(options)
    }

    /// These options with the preset's own values where they leave them to it. What is resolved stays as it is.
    #[must_use]
    pub fn resolved(&self) -> Self {
        presets::resolve(self)
    }

    /// What differs between two options so that one training cannot be the continuation of the other: `batch 64, not 32`.
    ///
    /// Options that only say how long, where and how often something is written do not count.
    pub fn conflicts(&self, earlier: &Self) -> Vec<String> {
        let as_map = |options: &Self| match serde_json::to_value(options.resolved()) {
            Ok(Value::Object(map)) => map,
            other => unreachable!("a struct of plain values is a JSON object, not {other:?}"),
        };
        let (now, then) = (as_map(self), as_map(earlier));
        now.iter()
            .filter(|(name, value)| !FREE.contains(&name.as_str()) && then.get(*name) != Some(value))
            .map(|(name, value)| format!("{name} {}, not {value}", then.get(name).unwrap_or(&Value::Null)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_struct_and_the_list_of_parameters_are_the_same_thing() {
        let defaults = TrainOptions::default();
        let Value::Object(fields) = serde_json::to_value(&defaults).unwrap() else { panic!() };
        assert_eq!(fields.keys().collect::<Vec<_>>(), KIND.params.iter().map(|param| param.name).collect::<Vec<_>>());
        assert_eq!(defaults.epochs, 15);
        assert!(FREE.iter().all(|free| fields.contains_key(*free)));
    }

    #[test]
    fn an_options_file_is_checked_like_pipeline_toml() {
        let options = TrainOptions::from_json(r#"{"epochs": 3, "device": "cpu"}"#).unwrap();
        assert_eq!(options, TrainOptions { epochs: 3, device: Device::Cpu, ..TrainOptions::default() });
        for (text, said) in [
            (r#"{"epoch": 3}"#, "unknown parameter \"epoch\"; did you mean \"epochs\"?"),
            (r#"{"batch": -1}"#, "batch: -1 is outside 0 to 8192"),
            (r#"{"loss": "bcd"}"#, "loss: \"bcd\" is not known here; did you mean \"bce\"?"),
        ] {
            assert_eq!(TrainOptions::from_json(text).unwrap_err().to_string(), said);
        }
        assert!(TrainOptions::from_json("[]").is_err());
    }

    #[test]
    fn an_older_options_file_is_understood() {
        let old = r#"{"preset": "dcgan", "loss": "bce", "epochs": 15, "batch": 64, "max_images": 0, "learning_rate": 0.0002, "beta1": 0.5,
            "beta2": 0.999, "latent": 100, "width": 64, "flip": true, "device": "auto", "checkpoint_every": 1, "keep_checkpoints": 2, "samples": 64}"#;
        let options = TrainOptions::from_json(old).unwrap();
        assert_eq!(options.flip, Flip::On);
        let now = TrainOptions { flip: Flip::On, ..TrainOptions::default() };
        assert_eq!(now.conflicts(&options), [""; 0]);
    }

    #[test]
    fn only_what_changes_the_weights_is_a_conflict() {
        let options = TrainOptions::default();
        let longer = TrainOptions { epochs: 99, device: Device::Cpu, samples: 16, ..options.clone() };
        assert!(longer.conflicts(&options).is_empty());
        let other = TrainOptions { batch: 32, flip: Flip::On, ..options.clone() };
        assert_eq!(other.conflicts(&options), ["batch 64, not 32", "flip \"off\", not \"on\""]);
    }
}
