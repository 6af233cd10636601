//! `augment`: many pictures from one, so that a few hundred photos are enough to train on.
//!
//! A photo is made small once; every output is then a few of the [`Transform`]s applied to that. Output `k` of a photo
//! depends on the pipeline's seed, the photo's content and `k`, on nothing else: any output can be made alone, and a new
//! photo changes nobody else's pictures.
//!
//! | `combine` | outputs of a photo |
//! |---|---|
//! | `powerset` | one for every subset of the list: 2ⁿ. Bit `i` of `k` says whether the list's `i`-th transform takes part |
//! | `each` | the untouched picture, then each transform alone: n + 1 |
//! | `random` | `copies`, each with a random subset |
//!
//! Transforms are applied in the order of the list. Colour follows torchvision's definitions, on straight-alpha RGB;
//! transparency is never changed by it. All colour of an output is one matrix, applied once: see `steps.rs`.
//!
//! What it refuses to do: put a colour under transparent parts, which is `resize`'s business, or look at the target size.

mod steps;

use std::borrow::Cow;

use catgen_api::{
    BuildContext, Digest, Draw, Facts, Input, ItemStage, Kind, Made, Output, Param, ParamKind, Params, Shape, StageError, Verdict,
};
use catgen_picture::fit_within;
use serde::Deserialize;

pub use steps::{Mip, Ranges, Step, Transform};

const NAMES: &[&str] = &["Flip_Hor", "Bright_Light", "Bright_Dim", "Contrast", "Satur", "Post", "Crop_Random"];

/// `augment` for the registry.
pub const KIND: Kind = Kind {
    name: "augment",
    version: 2,
    shape: Shape::Item,
    random: true,
    summary: "makes many pictures of each: flips, light, contrast, colours, crops",
    params: &[
        Param {
            name: "transforms",
            kind: ParamKind::Words { default: &["Flip_Hor", "Bright_Light", "Bright_Dim", "Contrast", "Satur", "Post"], of: NAMES },
            doc: "what may be done to a picture, in this order; No_Trans, the picture as it is, always comes along",
        },
        Param {
            name: "combine",
            kind: ParamKind::Choice { default: "powerset", of: &["powerset", "each", "random"] },
            doc: "powerset: every subset of the transforms, 64 pictures for six; each: one at a time; random: `copies` random subsets",
        },
        Param {
            name: "copies",
            kind: ParamKind::Whole { default: 16, min: 1, max: 4096 },
            doc: "pictures per photo with combine = \"random\"",
        },
        Param {
            name: "max_side",
            kind: ParamKind::Whole { default: 128, min: 0, max: 16384 },
            doc: "photos are first made this small (longest side, pixels): twice the final size is plenty; 0 keeps full size",
        },
        Param {
            name: "bright_light",
            kind: ParamKind::Range { default: [1.0, 1.4], min: 0.0, max: 10.0 },
            doc: "Bright_Light multiplies by a number from this range",
        },
        Param {
            name: "bright_dim",
            kind: ParamKind::Range { default: [0.7, 1.0], min: 0.0, max: 10.0 },
            doc: "Bright_Dim multiplies by a number from this range",
        },
        Param {
            name: "contrast",
            kind: ParamKind::Range { default: [0.7, 1.3], min: 0.0, max: 10.0 },
            doc: "Contrast scales the distance from the mean grey by a number from this range",
        },
        Param {
            name: "satur",
            kind: ParamKind::Range { default: [0.3, 1.7], min: 0.0, max: 10.0 },
            doc: "Satur scales the distance from grey by a number from this range: 0 is grey, 1 unchanged",
        },
        Param { name: "post_bits", kind: ParamKind::Whole { default: 5, min: 1, max: 8 }, doc: "Post keeps so many bits of each colour" },
        Param {
            name: "crop_size",
            kind: ParamKind::Range { default: [0.75, 1.0], min: 0.1, max: 1.0 },
            doc: "Crop_Random keeps such a share of width and height, anywhere in the picture; [0.75, 0.75] cuts 240 × 180 from 320 × 240",
        },
    ],
};

/// Builds the stage.
///
/// # Errors
/// None beyond what the list of parameters already refuses.
pub fn build(params: &Params, context: &BuildContext) -> Result<Box<dyn ItemStage>, StageError> {
    Ok(Box::new(Augment { options: params.read(), ranges: params.read(), seed: context.seed }))
}

#[derive(Deserialize)]
struct Options {
    transforms: Vec<Transform>,
    combine: Combine,
    copies: usize,
    max_side: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Combine {
    Powerset,
    Each,
    Random,
}

struct Augment {
    options: Options,
    ranges: Ranges,
    seed: u64,
}

impl Augment {
    /// The transforms of output `k`, in order.
    fn chosen(&self, k: usize, draw: &mut Draw) -> Vec<Transform> {
        let list = self.options.transforms.iter().copied().enumerate();
        match self.options.combine {
            Combine::Powerset => list.filter(|(at, _)| k >> at & 1 == 1).map(|(_, transform)| transform).collect(),
            Combine::Each => list.filter(|(at, _)| at + 1 == k).map(|(_, transform)| transform).collect(),
            Combine::Random => list.filter(|_| draw.coin(0.5)).map(|(_, transform)| transform).collect(),
        }
    }

    /// Output `k` of the photo with that content, made from its small copy: of no other output, and in any order.
    fn output(&self, k: usize, photo: &Digest, small: &Mip<'_>) -> Output {
        let mut draw = Draw::new(self.seed, KIND.name, photo, k as u64);
        let chosen = self.chosen(k, &mut draw);
        let steps: Vec<Step> = chosen.iter().map(|transform| self.ranges.draw(*transform, &mut draw)).collect();
        let words = if chosen.is_empty() { "No_Trans".to_owned() } else { chosen.iter().map(|t| t.name()).collect::<Vec<_>>().join("-") };
        let digits = (self.fan_out() - 1).to_string().len().max(2);
        let values = chosen.iter().zip(&steps).map(|(transform, step)| step.to_fact(*transform)).collect();
        Output {
            tag: format!("{k:0digits$}_{words}"),
            made: Made::Picture(small.after(&steps)),
            facts: Facts::from_iter([("transforms".to_owned(), serde_json::Value::Array(values))]),
        }
    }
}

impl ItemStage for Augment {
    fn working_side(&self) -> Option<u32> {
        (self.options.max_side > 0).then_some(self.options.max_side)
    }

    fn fan_out(&self) -> usize {
        match self.options.combine {
            Combine::Powerset => 1 << self.options.transforms.len(),
            Combine::Each => 1 + self.options.transforms.len(),
            Combine::Random => self.options.copies,
        }
    }

    fn apply(&self, input: &Input<'_>) -> Result<Verdict, StageError> {
        let small = fit_within(Cow::Borrowed(input.picture), self.working_side());
        let mip = Mip::new(&small);
        Ok(Verdict::Keep((0..self.fan_out()).map(|k| self.output(k, &input.digest, &mip)).collect()))
    }
}

#[cfg(test)]
mod tests;
