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
//!
//! What it refuses to do: call mirrored, rotated, recoloured or heavily cropped photos duplicates (they are other pictures
//! to a generator), or trust a hash alone: see [`Fingerprint::same`].

mod fingerprint;
mod group;
mod search;

use std::collections::HashMap;

use catgen_api::{BuildContext, Facts, Input, Item, Kind, Param, ParamKind, Params, Reason, SetStage, SetVerdict, Shape, StageError};
use serde::Deserialize;

pub use fingerprint::{Fingerprint, Hash, Hashing, WORKING_SIDE};
pub use group::{Candidate, Duplicate, group};

/// `duplicates` for the registry.
pub const KIND: Kind = Kind {
    name: "duplicates",
    version: 1,
    shape: Shape::Set,
    random: false,
    summary: "drops photos that are byte-equal or nearly equal to a better one",
    params: &[
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
            kind: ParamKind::Whole { default: 10, min: 0, max: 64 },
            doc: "photos whose hashes differ in at most so many bits can be duplicates: strict 6, loose 12, four times as much for 256 bits",
        },
    ],
};

/// Builds the stage.
///
/// # Errors
/// `bits` that is neither 64 nor 256.
pub fn build(params: &Params, _: &BuildContext) -> Result<Box<dyn SetStage>, StageError> {
    let options: Options = params.read();
    let side = match options.bits {
        64 => 8,
        256 => 16,
        other => return Err(StageError::Param { name: "bits", message: format!("{other} is not possible: write 64 or 256") }),
    };
    Ok(Box::new(Duplicates { hash: Hash::new(options.hash, side), max_distance: options.max_distance }))
}

#[derive(Deserialize)]
struct Options {
    hash: Hashing,
    bits: u32,
    max_distance: u32,
}

struct Duplicates {
    hash: Hash,
    max_distance: u32,
}

impl SetStage for Duplicates {
    fn working_side(&self) -> Option<u32> {
        Some(WORKING_SIDE)
    }

    fn fact_params(&self) -> &'static [&'static str] {
        &["hash", "bits"]
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
        let duplicates = group(&candidates, self.max_distance);

        let mut copies: HashMap<usize, usize> = HashMap::new();
        for duplicate in duplicates.iter().flatten() {
            *copies.entry(duplicate.of).or_default() += 1;
        }
        let verdict = |(at, duplicate): (usize, &Option<Duplicate>)| {
            let own = &candidates[at];
            let Some(Duplicate { of, distance }) = *duplicate else {
                let mut facts = Facts::new();
                facts.insert("hash".to_owned(), own.fingerprint.hash_text().into());
                facts.insert("sharpness".to_owned(), own.fingerprint.sharpness.into());
                facts.insert("copies".to_owned(), copies.get(&at).copied().unwrap_or_default().into());
                return SetVerdict::Keep(facts);
            };
            let kept = &candidates[of];
            let text = if own.digest == kept.digest {
                format!("byte-equal copy of {}", kept.name)
            } else {
                format!("the same picture as {} ({distance} of {} bits differ)", kept.name, own.fingerprint.bits())
            };
            SetVerdict::Drop { reason: Reason::new("duplicate", text), of: Some(of), distance: Some(distance) }
        };
        Ok(duplicates.iter().enumerate().map(verdict).collect())
    }
}

#[cfg(test)]
mod tests;
