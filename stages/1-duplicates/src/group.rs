//! Grouping: which photos are kept, and which are dropped for which.

use std::cmp::Reverse;

use catgen_api::Digest;

use crate::{Fingerprint, fingerprint::limit, search::Kept};

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

/// A photo that shows the same as a better one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Duplicate {
    /// The position of the photo kept in its place.
    pub of: usize,
    /// In how many bits their hashes differ.
    pub distance: u32,
}

/// For each photo `None` if it is kept, else what it is a duplicate of.
///
/// Photos are taken best first: most pixels, then sharpest, then first by name. Each is dropped for the nearest photo
/// kept so far that shows the same (see [`Fingerprint::same`]), and kept if there is none; so every photo dropped has
/// one that is kept, and no two photos kept show the same.
pub fn group(candidates: &[Candidate<'_>], max_distance: u32) -> Vec<Option<Duplicate>> {
    let longest = candidates.iter().map(|candidate| candidate.fingerprint.bits()).max().unwrap_or_default();
    if longest <= 64 { group_words::<1>(candidates, max_distance) } else { group_words::<4>(candidates, max_distance) }
}

fn group_words<const W: usize>(candidates: &[Candidate<'_>], max_distance: u32) -> Vec<Option<Duplicate>> {
    let mut order: Vec<usize> = (0..candidates.len()).collect();
    order.sort_by(|&a, &b| {
        let (a, b) = (&candidates[a], &candidates[b]);
        let sharper = || b.fingerprint.sharpness.total_cmp(&a.fingerprint.sharpness);
        Reverse(a.pixels).cmp(&Reverse(b.pixels)).then_with(sharper).then_with(|| a.name.cmp(b.name))
    });

    let mut duplicates = vec![None; candidates.len()];
    let mut kept = Kept::<W>::new(limit(max_distance));
    // The candidate behind each hash in `kept`.
    let mut of: Vec<usize> = Vec::new();
    for at in order {
        let own = &candidates[at].fingerprint;
        let hash = own.words();
        let same = |near: usize, distance| own.same(&candidates[of[near]].fingerprint, distance, max_distance);
        match kept.nearest(&hash, same) {
            Some((distance, near)) => duplicates[at] = Some(Duplicate { of: of[near], distance }),
            None => {
                kept.push(hash);
                of.push(at);
            }
        }
    }
    duplicates
}
