//! The stage `verify`: doubtful pictures flagged, and what people decided about them obeyed.
//!
//! What it is for: nobody wants to look at a thousand photos. It measures each, names those worth a look, and lets a person's
//! word, kept in a file of [`decisions`], overrule it either way.
//!
//! What it refuses to do: it changes no pixel, and on its own it rejects nothing. A flagged picture goes on with its flags as
//! facts, or waits with `pending = "hold"`; only a decision takes a picture out for good.
//!
//! Where the defaults come from: 243 phone photos of 13 cats after `duplicates`, `background` (u2netp) and `zoom`, looked at in the order of
//! each measure.
//!
//! | measure | seen (1 %, median, 99 %) | flagged | what they are |
//! |---|---|---|---|
//! | `subject_share` | 0.02, 0.50, 0.87 | < 0.25 | close-ups of which only the eyes were cut out, no cat at all, unsure cut-outs shown whole |
//! | `soft_share` | 0.05, 0.12, 0.67 | > 0.5 | faint cats, wrong things cut out: the best sign of a failed cut-out |
//! | `edge_share` | 0, 0.06, 0.92 | > 0.5 | half the body outside the photo, and faces that fill it |
//! | `sharpness` | 38, 378, 3689 | < 60 | shaken or out of focus; dim but sharp cats start at 61 |
//! | `luma`, 95th percentile | 88, 195, 248 | < 70 | no cat; black cats in poor light have 88 and are still cats |
//! | `luma`, 5th percentile | 1, 49, 163 | > 180 | none: a white cat, well exposed, reaches 171; burnt out is above |
//!
//! 49 of the 243 are flagged: 33 `cut_off`, 13 `no_subject`, 10 `unsure`, 6 `blurred`, 1 `too_dark`.

pub mod decisions;
mod measure;
pub mod table;

use catgen_api::{
    BuildContext, Digest, Facts, Input, Item, ItemStage, KeyInput, Kind, Made, Output, Param, ParamKind, Params, Picture, Reason, Shape,
    StageError, Verdict,
};
use serde::Deserialize;
use serde_json::json;

use crate::{
    decisions::{Choice, Decisions},
    measure::Measured,
};

/// What can be measured of a picture, under the names that the stage's facts have: `subject_share`, `sharpness`, `luma`, ….
pub fn measures(picture: &Picture) -> Facts {
    Measured::of(picture).facts()
}

/// Every check, in the order in which flags are listed.
const CHECKS: &[&str] = &["no_subject", "unsure", "cut_off", "too_small", "blurred", "too_dark", "too_bright"];

/// The parameters.
#[derive(Debug, Clone, Deserialize)]
struct Options {
    pending: String,
    decisions: String,
    checks: Vec<String>,
    min_share: f64,
    max_soft: f64,
    max_edge: f64,
    min_side: u32,
    min_sharpness: f64,
    min_highlight: u8,
    max_shadow: u8,
}

/// One doubt about a picture: the word for programs and the sentence for people.
struct Flag {
    word: &'static str,
    text: String,
}

impl Options {
    /// What is doubtful about a picture, in the order of [`CHECKS`], as far as the checks are switched on.
    ///
    /// `lost` is an earlier stage's word that it found no subject.
    fn flags(&self, measured: &Measured, lost: bool) -> Vec<Flag> {
        let mut flags = Vec::new();
        let mut flag = |word: &'static str, text: String| {
            if self.checks.iter().any(|check| check == word) {
                flags.push(Flag { word, text });
            }
        };
        if lost || measured.subject_share < self.min_share {
            flag("no_subject", format!("no clear subject was found: {:.1} % of the picture is subject", 100.0 * measured.subject_share));
        }
        if measured.soft_share > self.max_soft {
            flag("unsure", format!("the cut-out is unsure of itself: {:.0} % of it is half transparent", 100.0 * measured.soft_share));
        }
        let (side, edge) = measured.widest_edge();
        if edge > self.max_edge {
            flag("cut_off", format!("the subject is cut off: it covers {:.0} % of the {side} edge", 100.0 * edge));
        }
        if measured.short_side < self.min_side {
            flag("too_small", format!("the crop is only {} pixels on its shorter side, under {}", measured.short_side, self.min_side));
        }
        if let Some(sharpness) = measured.sharpness.filter(|sharpness| *sharpness < self.min_sharpness) {
            flag("blurred", format!("the subject is blurred: sharpness {sharpness:.1}, under {}", self.min_sharpness));
        }
        if let Some([shadow, highlight]) = measured.luma {
            if highlight < self.min_highlight {
                flag("too_dark", format!("the subject is very dark: 95 % of it is below {highlight} of 255"));
            }
            if shadow > self.max_shadow {
                flag("too_bright", format!("the subject is washed out: 95 % of it is above {shadow} of 255"));
            }
        }
        flags
    }
}

/// What the registry knows of `verify`.
pub const KIND: Kind = Kind {
    name: "verify",
    version: 2,
    shape: Shape::Item,
    random: false,
    summary: "flag doubtful pictures, and obey what people decided about them",
    params: &[
        Param {
            name: "pending",
            kind: ParamKind::Choice { default: "accept", of: &["accept", "hold"] },
            doc: "what becomes of a flagged picture on which nobody has decided: it goes on with its flags, or it waits",
        },
        Param {
            name: "decisions",
            kind: ParamKind::Text("data/decisions.jsonl"),
            doc: "the file of people's decisions, in the workspace; it may be absent",
        },
        Param { name: "checks", kind: ParamKind::Words { default: CHECKS, of: CHECKS }, doc: "which flags are raised" },
        Param {
            name: "min_share",
            kind: ParamKind::Number { default: 0.25, min: 0.0, max: 1.0 },
            doc: "no_subject: less of the frame than this is subject; lower it where nothing was zoomed before",
        },
        Param {
            name: "max_soft",
            kind: ParamKind::Number { default: 0.5, min: 0.0, max: 1.0 },
            doc: "unsure: more of the cut-out than this is half transparent",
        },
        Param {
            name: "max_edge",
            kind: ParamKind::Number { default: 0.5, min: 0.0, max: 1.0 },
            doc: "cut_off: the subject covers more than this share of one edge of the frame",
        },
        Param {
            name: "min_side",
            kind: ParamKind::Whole { default: 64, min: 0, max: 16384 },
            doc: "too_small: the shorter side has fewer pixels, so that it would have to be enlarged",
        },
        Param {
            name: "min_sharpness",
            kind: ParamKind::Number { default: 60.0, min: 0.0, max: 65025.0 },
            doc: "blurred: the variance of the Laplacian over the subject, with its longer side at 256 pixels, is less",
        },
        Param {
            name: "min_highlight",
            kind: ParamKind::Whole { default: 70, min: 0, max: 255 },
            doc: "too_dark: the 95th percentile of the subject's luma is less",
        },
        Param {
            name: "max_shadow",
            kind: ParamKind::Whole { default: 180, min: 0, max: 255 },
            doc: "too_bright: the 5th percentile of the subject's luma is more",
        },
    ],
};

/// The stage.
struct Verify {
    options: Options,
    decisions: Decisions,
}

/// The stage with these parameters; reads the decisions.
///
/// # Errors
/// A decisions file with a line that is not a decision.
pub fn build(params: &Params, context: &BuildContext) -> Result<Box<dyn ItemStage>, StageError> {
    let options: Options = params.read();
    let path = context.workspace.join(&options.decisions);
    let decisions = decisions::load(&path).map_err(|error| StageError::Broken {
        what: error.to_string(),
        hint: "correct that line or delete it; the others are kept".to_owned(),
    })?;
    Ok(Box::new(Verify { options, decisions }))
}

/// What somebody decided about the item.
const DECISION: &str = "decision";

/// Said by stage `zoom` of a picture in which it found nothing: an opaque picture's pixels do not tell.
const NO_SUBJECT: &str = "no_subject";

impl ItemStage for Verify {
    fn watched(&self) -> Vec<KeyInput> {
        let mut decided = String::new();
        for decision in self.decisions.iter() {
            decided.push_str(&format!("{} {}\n", decision.digest, decision.decision.word()));
        }
        let count = self.decisions.iter().count();
        vec![KeyInput { name: "decisions taken".to_owned(), value: format!("{count} ({})", &Digest::of(decided.as_bytes()).short()[..6]) }]
    }

    fn item_inputs(&self, item: &Item) -> Vec<KeyInput> {
        let mut inputs = Vec::new();
        // Only those that have one: a decision must touch no key but its own item's.
        if let Some(decision) = self.decisions.of(item) {
            inputs.push(KeyInput { name: DECISION.to_owned(), value: decision.decision.word().to_owned() });
        }
        if item.facts.get(NO_SUBJECT).is_some_and(|fact| fact == true) {
            inputs.push(KeyInput { name: NO_SUBJECT.to_owned(), value: "true".to_owned() });
        }
        inputs
    }

    fn apply(&self, input: &Input<'_>) -> Result<Verdict, StageError> {
        let decision = input.get(DECISION);
        if decision == Some(Choice::Reject.word()) {
            return Ok(Verdict::Reject(Reason::new("decision", "somebody looked at it and rejected it")));
        }
        let measured = Measured::of(input.picture);
        let flags = self.options.flags(&measured, input.get(NO_SUBJECT).is_some());
        if decision.is_none() && !flags.is_empty() && self.options.pending == "hold" {
            return Ok(Verdict::Reject(Reason::new("held", held(&flags))));
        }
        let mut facts = measured.facts();
        facts.insert("flags".to_owned(), flags.iter().map(|flag| flag.word).collect());
        if !flags.is_empty() {
            facts.insert("flag_text".to_owned(), flags.iter().map(|flag| flag.text.as_str()).collect());
        }
        if let Some(decision) = decision {
            facts.insert(DECISION.to_owned(), json!(decision));
        }
        Ok(Verdict::Keep(vec![Output { tag: String::new(), made: Made::Same, facts }]))
    }
}

/// Why a picture waits, and how to decide.
fn held(flags: &[Flag]) -> String {
    let words: Vec<&str> = flags.iter().map(|flag| flag.word).collect();
    let texts: Vec<&str> = flags.iter().map(|flag| flag.text.as_str()).collect();
    format!(
        "waits for a decision ({}): {}. Look at it, then accept or reject it with `catgen-pipe verify`",
        words.join(", "),
        texts.join("; ")
    )
}

#[cfg(test)]
mod tests;
