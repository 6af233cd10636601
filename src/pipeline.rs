//! `Pipeline`: the parsed, checked `pipeline.toml`, a DAG of stages.
//!
//! Everything that can be wrong with the file is found here, before anything is touched, and every message points at
//! the line and names the nearest valid word.

mod error;
mod matrix;
mod parse;
mod settings;
mod share;

use std::ops::Range;

use catgen_api::{Params, Shape, nearest};
pub use error::PipelineError;
pub use settings::{CacheSettings, ExecutorSettings, Kind};
pub use share::Share;

use crate::registry::Entry;

/// A parsed and checked `pipeline.toml`.
#[derive(Debug, Clone)]
pub struct Pipeline {
    /// What it calls itself.
    pub name: String,
    /// The one seed that all random stages draw from.
    pub seed: u64,
    /// Where results are shared with others: `[cache]`.
    pub cache: CacheSettings,
    /// Who computes what is missing: `[executor]`.
    pub executor: ExecutorSettings,
    /// The stages, each after the one it comes from; training last, so that everything a person can look at is there
    /// before hours of training begin. Otherwise in the file's order.
    pub stages: Vec<Stage>,
}

/// One node of the DAG.
#[derive(Debug, Clone)]
pub struct Stage {
    /// Its name and, below `data/`, its folder. For a variant of a `matrix`, the declared name, `@` and what is varied.
    pub name: String,
    /// Its name as the file has it: the same for all variants of one stage.
    pub declared: String,
    /// The parameters that its own `matrix` varies; those of stages before it are not among them.
    pub varied: Vec<String>,
    /// Whether the pictures it puts out are kept: `store = "files"`, not `"none"`.
    pub keeps: bool,
    /// More rejections than this fail the run.
    pub max_rejected: Option<Share>,
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
        last_part(&self.name)
    }
}

fn last_part(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
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
        match self.find_all(word)?.as_slice() {
            [only] => Ok(*only),
            several => Err(self.ambiguous(word, several)),
        }
    }

    /// As [`Pipeline::find`]; where `word` is the declared name of a stage with a `matrix`, all its variants.
    ///
    /// # Errors
    /// As [`Pipeline::find`], where the word may mean stages that were declared apart.
    pub fn find_all(&self, word: &str) -> Result<Vec<usize>, String> {
        let whole = word;
        let word = word.trim_end_matches('/');
        let word = word.strip_prefix("data/").unwrap_or(word);
        let all = |is_meant: &dyn Fn(&str) -> bool| -> Vec<usize> {
            (0..self.stages.len()).filter(|at| is_meant(&self.stages[*at].name) || is_meant(&self.stages[*at].declared)).collect()
        };
        let mut found = all(&|name| name == word);
        if found.is_empty() {
            found = all(&|name| name.eq_ignore_ascii_case(word) || last_part(name).eq_ignore_ascii_case(word));
        }
        match found.as_slice() {
            [] => {
                let names = self.stages.iter().flat_map(|stage| [stage.name.as_str(), stage.short_name()]);
                Err(match nearest(word, names) {
                    Some(near) => format!("there is no stage {word:?}; did you mean {near:?}?"),
                    None => format!("there is no stage {word:?}; there are {}", self.names().join(", ")),
                })
            }
            [first, rest @ ..] if rest.iter().any(|at| self.stages[*at].declared != self.stages[*first].declared) => {
                Err(self.ambiguous(whole, &found))
            }
            _ => Ok(found),
        }
    }

    fn ambiguous(&self, word: &str, several: &[usize]) -> String {
        let names: Vec<_> = several.iter().map(|at| self.stages[*at].name.as_str()).collect();
        format!("{word:?} may mean {}: write the whole name", names.join(" or "))
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
    /// Reads `STAGE.key=value`; the stage may contain dots, and that of a variant equals signs.
    ///
    /// # Errors
    /// A sentence that shows the form.
    pub fn parse(text: &str) -> Result<Self, String> {
        let is_key = |key: &str| !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let place = text.match_indices('=').find_map(|(at, _)| {
            let (stage, key) = text[..at].trim().rsplit_once('.')?;
            (!stage.is_empty() && is_key(key)).then(|| (stage.to_owned(), key.to_owned(), text[at + 1..].trim()))
        });
        let (stage, key, value) =
            place.ok_or_else(|| format!("{text:?} is not of the form STAGE.key=value, for instance 7.Train.epochs=2"))?;
        Ok(Self { stage, key, value: parse::loose_value(value), text: text.to_owned() })
    }
}

/// Where in the file something is written: a range of bytes.
type Span = Range<usize>;

#[cfg(test)]
mod tests;
