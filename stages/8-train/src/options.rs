//! `TrainOptions`: what a training can be told, in `pipeline.toml` and in `options.json`.

use catgen_api::{Kind, Param, ParamKind, Params, Shape};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The stage kind `train`.
pub const KIND: Kind = Kind {
    name: "train",
    version: 1,
    shape: Shape::Train,
    random: true,
    summary: "Trains an image generator on the packed dataset",
    params: &[
        Param {
            name: "preset",
            kind: ParamKind::Choice { default: "dcgan", of: &["dcgan"] },
            doc: "The pair of networks: `dcgan`, for sides of 32, 64, 128 or 256 px",
        },
        Param {
            name: "loss",
            kind: ParamKind::Choice { default: "bce", of: &["bce"] },
            doc: "What the two networks play for: `bce`, binary cross-entropy",
        },
        Param { name: "epochs", kind: ParamKind::Whole { default: 15, min: 1, max: 100_000 }, doc: "How often every picture is looked at" },
        Param {
            name: "batch",
            kind: ParamKind::Whole { default: 64, min: 2, max: 8192 },
            doc: "Pictures a step; all of them where the dataset has fewer",
        },
        Param {
            name: "max_images",
            kind: ParamKind::Whole { default: 0, min: 0, max: 1_000_000_000_000 },
            doc: "Stop once that many pictures were looked at; 0 for no limit",
        },
        Param {
            name: "learning_rate",
            kind: ParamKind::Number { default: 2e-4, min: 1e-8, max: 1.0 },
            doc: "Adam's step size, for both networks",
        },
        Param { name: "beta1", kind: ParamKind::Number { default: 0.5, min: 0.0, max: 0.999_999 }, doc: "Adam's memory of the gradient" },
        Param {
            name: "beta2",
            kind: ParamKind::Number { default: 0.999, min: 0.0, max: 0.999_999 },
            doc: "Adam's memory of the squared gradient",
        },
        Param {
            name: "latent",
            kind: ParamKind::Whole { default: 100, min: 1, max: 4096 },
            doc: "Random numbers that one picture is drawn from",
        },
        Param {
            name: "width",
            kind: ParamKind::Whole { default: 64, min: 1, max: 512 },
            doc: "Channels of the widest maps: halving it makes a step four times cheaper",
        },
        Param {
            name: "flip",
            kind: ParamKind::Flag(false),
            doc: "Mirror each picture with probability 1/2 as it is looked at; off where `augment` mirrors",
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
            doc: "How many of the newest checkpoints are kept",
        },
        Param {
            name: "samples",
            kind: ParamKind::Whole { default: 64, min: 1, max: 1024 },
            doc: "Pictures in the grid drawn after each epoch",
        },
    ],
};

/// The options that do not change what the networks learn: a training may go on with other values of these.
const FREE: &[&str] = &["epochs", "max_images", "device", "checkpoint_every", "keep_checkpoints", "samples"];

/// The pair of networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// Radford et al., arXiv 1511.06434, with the widths of PyTorch's tutorial.
    Dcgan,
}

/// What the two networks play for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LossKind {
    /// Binary cross-entropy on logits, the generator's part in its non-saturating form.
    Bce,
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
    pub epochs: u64,
    pub batch: u64,
    pub max_images: u64,
    pub learning_rate: f64,
    pub beta1: f64,
    pub beta2: f64,
    pub latent: u64,
    pub width: u64,
    pub flip: bool,
    pub device: Device,
    pub checkpoint_every: u64,
    pub keep_checkpoints: u64,
    pub samples: u64,
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
    /// As [`TrainOptions::from_json`].
    pub fn from_map(options: &Map<String, Value>) -> Result<Self, OptionsError> {
        let mut params = Params::defaults(KIND.params);
        for (name, value) in options {
            params.set(KIND.params, name, value).map_err(OptionsError)?;
        }
        Ok(Self::of(&params))
    }

    /// What differs between two options so that one training cannot be the continuation of the other: `batch 64, not 32`.
    ///
    /// Options that only say how long, where and how often something is written do not count.
    pub fn conflicts(&self, earlier: &Self) -> Vec<String> {
        let as_map = |options: &Self| match serde_json::to_value(options) {
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
        assert_eq!((defaults.epochs, defaults.batch, defaults.latent, defaults.width), (15, 64, 100, 64));
        assert_eq!((defaults.learning_rate, defaults.beta1, defaults.beta2), (2e-4, 0.5, 0.999));
        assert!(FREE.iter().all(|free| fields.contains_key(*free)));
    }

    #[test]
    fn an_options_file_is_checked_like_pipeline_toml() {
        let options = TrainOptions::from_json(r#"{"epochs": 3, "device": "cpu"}"#).unwrap();
        assert_eq!(options, TrainOptions { epochs: 3, device: Device::Cpu, ..TrainOptions::default() });
        for (text, said) in [
            (r#"{"epoch": 3}"#, "unknown parameter \"epoch\"; did you mean \"epochs\"?"),
            (r#"{"batch": 1}"#, "batch: 1 is outside 2 to 8192"),
            (r#"{"loss": "bcd"}"#, "loss: \"bcd\" is not known here; did you mean \"bce\"?"),
        ] {
            assert_eq!(TrainOptions::from_json(text).unwrap_err().to_string(), said);
        }
        assert!(TrainOptions::from_json("[]").is_err());
    }

    #[test]
    fn only_what_changes_the_weights_is_a_conflict() {
        let options = TrainOptions::default();
        let longer = TrainOptions { epochs: 99, device: Device::Cpu, samples: 16, ..options.clone() };
        assert!(longer.conflicts(&options).is_empty());
        let other = TrainOptions { batch: 32, flip: true, ..options.clone() };
        assert_eq!(other.conflicts(&options), ["batch 64, not 32", "flip false, not true"]);
    }
}
