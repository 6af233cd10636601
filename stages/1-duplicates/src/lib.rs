//! `duplicates`: of photos that show the same picture, only the best one goes on.
//!
//! A photographer's folder is full of copies: the same file twice, a version scaled down by a messenger, a burst of
//! which every shot is nearly the same. A generator trained on them learns those few pictures by heart.
//!
//! * Byte-equal files are told by their digest; near ones by the Hamming distance of a perceptual hash.
//! * What is kept of a group is the photo with the most pixels, then the sharpest, then the first by name.
//! * A group is what is near to the photo *kept*. Neighbours are not chained: in a long burst the tenth shot may have
//!   nothing in common with the first, and then both go on.
//! * The result does not depend on the order in which photos are found.
//! * A person's word counts more than any of this: which one to keep, and which two are different. See [`decisions`].
//!
//! * Photos that are alike but not enough to drop one are named in the fact `similar` of the one that is less good: both go on, and
//!   a person may look at them.
//!
//! What it refuses to do: call mirrored, rotated, recoloured or heavily cropped photos duplicates (they are other pictures
//! to a generator), or trust a hash alone: see [`Rules::judge`].

mod align;
pub mod decisions;
mod fingerprint;
mod group;
mod rules;
mod search;

use catgen_api::{
    BuildContext, Digest, Facts, Input, Item, KeyInput, Kind, Param, ParamKind, Params, Reason, SIMILAR, SetStage, SetVerdict, Shape,
    StageError,
};
use serde::Deserialize;
use serde_json::json;

pub use fingerprint::{Fingerprint, Hash, Hashing, WORKING_SIDE};
pub use group::{Candidate, Fate, Near, group};
pub use rules::{Judgement, Rules, Strictness};

use crate::decisions::{Choice, Decisions};

/// `duplicates` for the registry.
pub const KIND: Kind = Kind {
    name: "duplicates",
    version: 2,
    shape: Shape::Set,
    random: false,
    summary: "drops photos that are byte-equal or nearly equal to a better one",
    params: &[
        Param {
            name: "strictness",
            kind: ParamKind::Choice { default: "default", of: &["strict", "default", "loose"] },
            doc: "strict: copies, re-encoded or resized; default: also brighter, noisy, cropped by up to a tenth, or the next shot of a burst; \
                  loose: also where something moved",
        },
        Param {
            name: "hash",
            kind: ParamKind::Choice { default: "phash", of: &["phash", "gradient", "vert_gradient", "double_gradient", "blockhash"] },
            doc: "the perceptual hash: phash (median of the DCT) tells photos apart best",
        },
        Param {
            name: "bits",
            kind: ParamKind::Whole { default: 64, min: 64, max: 256 },
            doc: "length of the hash: 64 or 256 (double_gradient uses 40 or 144 of them)",
        },
        Param {
            name: "max_distance",
            kind: ParamKind::Whole { default: -1, min: -1, max: 64 },
            doc: "photos whose hashes differ in at most so many bits are duplicates unless small copies of them contradict; \
                  -1: as `strictness` says, 6, 10 or 12, and four times that for 256 bits",
        },
        Param {
            name: "decisions",
            kind: ParamKind::Text("data/duplicates.jsonl"),
            doc: "the file of people's decisions, in the workspace; it may be absent",
        },
    ],
};

/// Builds the stage.
///
/// # Errors
/// `bits` that is neither 64 nor 256; a decisions file with a line that is not a decision.
pub fn build(params: &Params, context: &BuildContext) -> Result<Box<dyn SetStage>, StageError> {
    let options: Options = params.read();
    let side = match options.bits {
        64 => 8,
        256 => 16,
        other => return Err(StageError::Param { name: "bits", message: format!("{other} is not possible: write 64 or 256") }),
    };
    let rules = Rules::new(options.strictness, options.bits, u32::try_from(options.max_distance).ok());
    let decided = decisions::load(&context.workspace.join(&options.decisions)).map_err(|error| StageError::Broken {
        what: error.to_string(),
        hint: "correct that line or delete it; the others are kept".to_owned(),
    })?;
    Ok(Box::new(Duplicates { hash: Hash::new(options.hash, side), rules, decided }))
}

#[derive(Deserialize)]
struct Options {
    strictness: Strictness,
    hash: Hashing,
    bits: u32,
    max_distance: i64,
    decisions: String,
}

struct Duplicates {
    hash: Hash,
    rules: Rules,
    decided: Decisions,
}

impl SetStage for Duplicates {
    fn working_side(&self) -> Option<u32> {
        Some(WORKING_SIDE)
    }

    fn fact_params(&self) -> &'static [&'static str] {
        &["hash", "bits"]
    }

    fn watched(&self) -> Vec<KeyInput> {
        let mut decided = String::new();
        for decision in self.decided.iter() {
            let other = decision.other.map(|other| other.to_string()).unwrap_or_default();
            decided.push_str(&format!("{} {other} {:?}\n", decision.digest, decision.decision));
        }
        let count = self.decided.iter().count();
        vec![KeyInput { name: "decisions taken".to_owned(), value: format!("{count} ({})", &Digest::of(decided.as_bytes()).short()[..6]) }]
    }

    fn fact(&self, input: &Input<'_>) -> Result<Facts, StageError> {
        Ok(self.hash.fingerprint(input.picture).to_facts())
    }

    fn decide(&self, items: &[(&Item, &Facts)]) -> Result<Vec<SetVerdict>, StageError> {
        let candidates = items.iter().map(|(item, facts)| {
            let fingerprint = Fingerprint::from_facts(facts).map_err(|error| StageError::Broken {
                what: format!("what is known about {} cannot be read: {error}", item.name),
                hint: "delete `.catgen/actions.log` and run again: it will be found out again".to_owned(),
            })?;
            let pixels = u64::from(item.width) * u64::from(item.height);
            Ok(Candidate { name: &item.name, digest: item.digest, pixels, fingerprint })
        });
        let candidates = candidates.collect::<Result<Vec<_>, StageError>>()?;
        let fates = group(&candidates, &self.rules, &self.decided);

        // How many copies it has is not said of a photo: one more copy would be news for every stage after this one.
        let verdict = |(at, fate): (usize, &Fate)| {
            let own = &candidates[at];
            match fate {
                Fate::Kept(possible) => {
                    let mut facts = Facts::new();
                    facts.insert("hash".to_owned(), own.fingerprint.hash_text().into());
                    facts.insert("sharpness".to_owned(), own.fingerprint.sharpness.into());
                    if self.decided.keeps(&own.digest) {
                        facts.insert("decision".to_owned(), json!(Choice::Keep));
                    }
                    if !possible.is_empty() {
                        let similar = possible.iter().map(|near| {
                            let agreement = near.agreement.map(|agreement| (agreement * 1000.0).round() / 1000.0);
                            json!({ "name": candidates[near.of].name, "distance": near.distance, "agreement": agreement })
                        });
                        facts.insert(SIMILAR.to_owned(), similar.collect());
                    }
                    SetVerdict::Keep(facts)
                }
                Fate::Dropped(Near { of, distance, agreement }) => {
                    let kept = &candidates[*of];
                    let bits = own.fingerprint.bits();
                    let text = match agreement {
                        _ if own.digest == kept.digest => format!("byte-equal copy of {}", kept.name),
                        None => format!("the same picture as {} ({distance} of {bits} bits differ)", kept.name),
                        Some(agreement) => format!(
                            "the same picture as {}, cropped or taken a step aside ({distance} of {bits} bits differ, laid over each other they agree to {:.0} %)",
                            kept.name,
                            100.0 * agreement
                        ),
                    };
                    SetVerdict::Drop { reason: Reason::new("duplicate", text), of: Some(*of), distance: Some(*distance) }
                }
            }
        };
        Ok(fates.iter().enumerate().map(verdict).collect())
    }
}

#[cfg(test)]
mod tests;
