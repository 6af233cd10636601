//! `Pipeline`: the parsed, checked `pipeline.toml`, a DAG of stages.
//!
//! Everything that can be wrong with the file is found here, before anything is touched, and every message points at
//! the line and names the nearest valid word.

mod error;
mod parse;

use std::ops::Range;

use catgen_api::{Params, Shape, nearest};
pub use error::PipelineError;

use crate::registry::Entry;

/// A parsed and checked `pipeline.toml`.
#[derive(Debug, Clone)]
pub struct Pipeline {
    /// What it calls itself.
    pub name: String,
    /// The one seed that all random stages draw from.
    pub seed: u64,
    /// The stages, each after the one it comes from; training last, so that everything a person can look at is there
    /// before hours of training begin. Otherwise in the file's order.
    pub stages: Vec<Stage>,
}

/// One node of the DAG.
#[derive(Debug, Clone)]
pub struct Stage {
    /// Its name and, below `data/`, its folder.
    pub name: String,
    /// Its kind.
    pub entry: Entry,
    /// The position in [`Pipeline::stages`] of the stage it reads.
    pub from: Option<usize>,
    /// Every parameter of its kind, checked, defaults filled in.
    pub params: Params,
}

impl Stage {
    /// The grain of its cache.
    pub fn shape(&self) -> Shape {
        self.entry.kind.shape
    }

    /// The last part of its name: what people call it where that is unique.
    pub fn short_name(&self) -> &str {
        self.name.rsplit('/').next().unwrap_or(&self.name)
    }
}

impl Pipeline {
    /// Parses and checks `text`, the content of `file`, with `--set` overrides applied.
    ///
    /// # Errors
    /// The first thing that is wrong, with its line.
    pub fn parse(file: &str, text: &str, overrides: &[Override], kinds: &[Entry]) -> Result<Self, Box<PipelineError>> {
        parse::parse(file, text, overrides, kinds)
    }

    /// The position of the stage called `word`: its name, or the last part of it where that is unique, case ignored.
    ///
    /// # Errors
    /// A sentence that names the nearest stage, or all that the word may mean.
    pub fn find(&self, word: &str) -> Result<usize, String> {
        let word = word.trim_end_matches('/');
        let word = word.strip_prefix("data/").unwrap_or(word);
        if let Some(at) = self.stages.iter().position(|stage| stage.name == word) {
            return Ok(at);
        }
        let same = |stage: &Stage| stage.short_name().eq_ignore_ascii_case(word) || stage.name.eq_ignore_ascii_case(word);
        let candidates: Vec<usize> = (0..self.stages.len()).filter(|at| same(&self.stages[*at])).collect();
        match candidates.as_slice() {
            [only] => Ok(*only),
            [] => {
                let names = self.stages.iter().flat_map(|stage| [stage.name.as_str(), stage.short_name()]);
                Err(match nearest(word, names) {
                    Some(near) => format!("there is no stage {word:?}; did you mean {near:?}?"),
                    None => format!("there is no stage {word:?}; there are {}", self.names().join(", ")),
                })
            }
            several => {
                let names: Vec<_> = several.iter().map(|at| self.stages[*at].name.as_str()).collect();
                Err(format!("{word:?} may mean {}: write the whole name", names.join(" or ")))
            }
        }
    }

    /// The names of all stages, in order.
    pub fn names(&self) -> Vec<&str> {
        self.stages.iter().map(|stage| stage.name.as_str()).collect()
    }

    /// The stages that `at` needs, itself included, as a mask over [`Pipeline::stages`].
    pub fn ancestors(&self, at: usize) -> Vec<bool> {
        let mut mask = vec![false; self.stages.len()];
        let mut next = Some(at);
        while let Some(stage) = next {
            mask[stage] = true;
            next = self.stages[stage].from;
        }
        mask
    }

    /// The stages that need `at`, itself included, as a mask over [`Pipeline::stages`].
    pub fn descendants(&self, at: usize) -> Vec<bool> {
        let mut mask = vec![false; self.stages.len()];
        for (position, stage) in self.stages.iter().enumerate() {
            mask[position] = position == at || stage.from.is_some_and(|from| mask[from]);
        }
        mask
    }
}

/// One `--set STAGE.key=value` or `--set pipeline.key=value`.
#[derive(Debug, Clone, PartialEq)]
pub struct Override {
    /// The stage, or `pipeline`.
    pub stage: String,
    /// The parameter.
    pub key: String,
    /// The value, read as TOML, or as plain text where that fails.
    pub value: serde_json::Value,
    /// As it was written.
    pub text: String,
}

impl Override {
    /// Reads `STAGE.key=value`; the stage may contain dots.
    ///
    /// # Errors
    /// A sentence that shows the form.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not of the form STAGE.key=value, for instance 7.Train.epochs=2");
        let (place, value) = text.split_once('=').ok_or_else(wrong)?;
        let (stage, key) = place.trim().rsplit_once('.').filter(|(stage, key)| !stage.is_empty() && !key.is_empty()).ok_or_else(wrong)?;
        let value = parse::loose_value(value.trim());
        Ok(Self { stage: stage.to_owned(), key: key.to_owned(), value, text: text.to_owned() })
    }
}

/// Where in the file something is written: a range of bytes.
type Span = Range<usize>;

#[cfg(test)]
mod tests;
