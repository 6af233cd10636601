//! Grouping: which photos are kept, and which are dropped for which.

use std::cmp::Reverse;

use catgen_api::Digest;

use crate::{Fingerprint, Judgement, Rules, decisions::Decisions, search::Kept};

/// One photo on its way into [`group`].
#[derive(Debug, Clone)]
pub struct Candidate<'a> {
    /// Its name: the last word when two photos are equally good.
    pub name: &'a str,
    /// The digest of its file.
    pub digest: Digest,
    /// How many pixels it has in full.
    pub pixels: u64,
    /// What it looks like.
    pub fingerprint: Fingerprint,
}

/// Another photo, and how near it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Near {
    /// The other photo's position.
    pub of: usize,
    /// In how many bits the hashes differ.
    pub distance: u32,
    /// The agreement of the aligned thumbnails, 0 to 1, where it took a second look.
    pub agreement: Option<f64>,
}

/// What becomes of one photo.
#[derive(Debug, Clone, PartialEq)]
pub enum Fate {
    /// It goes on; those that went on before it and may show the same, the likest first.
    Kept(Vec<Near>),
    /// It shows the same as a better one.
    Dropped(Near),
}

/// What becomes of each photo.
///
/// Photos are taken best first: what somebody said is to be kept, then most pixels, then sharpest, then first by name. Each is dropped for the nearest photo
/// kept so far that shows the same (see [`Rules::judge`]), and kept if there is none; so every photo dropped has
/// one that is kept, and no two photos kept show the same, unless somebody said that those two are different. Such a pair still may
/// both be dropped for a third.
pub fn group(candidates: &[Candidate<'_>], rules: &Rules, decided: &Decisions) -> Vec<Fate> {
    let longest = candidates.iter().map(|candidate| candidate.fingerprint.bits()).max().unwrap_or_default();
    if longest <= 64 { group_words::<1>(candidates, rules, decided) } else { group_words::<4>(candidates, rules, decided) }
}

fn group_words<const W: usize>(candidates: &[Candidate<'_>], rules: &Rules, decided: &Decisions) -> Vec<Fate> {
    let mut order: Vec<usize> = (0..candidates.len()).collect();
    let chosen: Vec<bool> = candidates.iter().map(|candidate| decided.keeps(&candidate.digest)).collect();
    order.sort_by(|&a, &b| {
        let chosen = Reverse(chosen[a]).cmp(&Reverse(chosen[b]));
        let (a, b) = (&candidates[a], &candidates[b]);
        let sharper = || b.fingerprint.sharpness.total_cmp(&a.fingerprint.sharpness);
        chosen.then_with(|| Reverse(a.pixels).cmp(&Reverse(b.pixels))).then_with(sharper).then_with(|| a.name.cmp(b.name))
    });

    let mut fates = vec![Fate::Kept(Vec::new()); candidates.len()];
    let mut kept = Kept::<W>::new();
    // The candidate behind each hash in `kept`.
    let mut of: Vec<usize> = Vec::new();
    let mut nearby: Vec<(u32, usize)> = Vec::new();
    for at in order {
        let own = &candidates[at];
        let hash = own.fingerprint.words();
        nearby.clear();
        kept.near(&hash, rules.look_distance, |number, distance| nearby.push((distance, number)));
        // Of equally near ones the first kept: the best.
        nearby.sort_unstable();
        let mut possible = Vec::new();
        let dropped = nearby.iter().find_map(|&(distance, number)| {
            let near = |agreement| Near { of: of[number], distance, agreement };
            let other = &candidates[of[number]];
            if own.digest == other.digest {
                return Some(near(None));
            }
            if decided.are_different(&own.digest, &other.digest) {
                return None;
            }
            match rules.judge(&own.fingerprint, &other.fingerprint, distance) {
                Judgement::Same => Some(near(None)),
                Judgement::SameAligned(agreement) => Some(near(Some(agreement))),
                Judgement::Possible(agreement) => {
                    possible.push(near(Some(agreement)));
                    None
                }
                Judgement::Different => None,
            }
        });
        fates[at] = match dropped {
            Some(near) => Fate::Dropped(near),
            None => {
                kept.push(hash);
                of.push(at);
                possible.sort_by(|a, b| b.agreement.unwrap_or(0.0).total_cmp(&a.agreement.unwrap_or(0.0)));
                Fate::Kept(possible)
            }
        };
    }
    fates
}
