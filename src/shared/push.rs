//! Putting what was computed here where others find it: packs first, then the index that leads to them.

use std::{collections::HashSet, ops::AddAssign, time::Duration};

use catgen_api::Digest;

use super::{
    INDEX, Scope, SharedCache, fetch, in_parallel,
    index::{Piece, Writer},
};
use crate::{
    Error,
    cache::{Store, actions::Outcome},
    error::Result,
    key::ActionKey,
};

/// What was put.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pushed {
    /// Actions that nobody had told of.
    pub actions: usize,
    /// Files that were not there.
    pub blobs: usize,
    /// Their bytes.
    pub bytes: u64,
}

impl AddAssign for Pushed {
    fn add_assign(&mut self, other: Self) {
        self.actions += other.actions;
        self.blobs += other.blobs;
        self.bytes += other.bytes;
    }
}

/// An action that was finished here.
#[derive(Debug, Clone)]
pub struct Finished {
    /// The action.
    pub key: ActionKey,
    /// What it came to.
    pub outcome: Outcome,
    /// How long it took.
    pub micros: u64,
}

impl Finished {
    /// None for a training, whose folder is in this workspace and nowhere else.
    pub(crate) fn of(key: ActionKey, outcome: Outcome, took: Duration) -> Option<Self> {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        (!matches!(outcome, Outcome::Training { .. } | Outcome::Trained { .. })).then_some(Self { key, outcome, micros })
    }
}

/// How large a pack gets: few enough requests, small enough to be sent again when the line breaks.
const PACK: u64 = 8 << 20;

/// Told of together: when the program dies, at most so many bytes were sent for nothing.
const BATCH_BYTES: u64 = 8 * PACK;
const BATCH_ACTIONS: usize = 20_000;

/// Blobs that are told of together, with the actions that made them.
#[derive(Default)]
struct Batch {
    actions: Vec<Finished>,
    blobs: Vec<(Digest, u64)>,
    bytes: u64,
}

impl SharedCache {
    /// Puts these actions and the files that they made, as far as nobody did.
    ///
    /// # Errors
    /// The bucket's, or the disk's. What was put before stays.
    pub fn push(&self, finished: Vec<Finished>, store: &Store) -> Result<Pushed> {
        let mut sending = Sending::new(self, store);
        for finished in finished {
            let made = made(&finished.outcome, store)?;
            sending.add(Some(finished), made)?;
        }
        sending.end()
    }

    /// Puts files under no action, for somebody who knows what they are.
    ///
    /// # Errors
    /// As [`SharedCache::push`].
    pub fn push_blobs(&self, blobs: Vec<(Digest, u64)>, store: &Store) -> Result<Pushed> {
        let mut sending = Sending::new(self, store);
        for blob in blobs {
            sending.add(None, vec![blob])?;
        }
        sending.end()
    }

    fn put(&self, batch: &Batch, store: &Store) -> Result<()> {
        let packs = in_parallel(&packs(&batch.blobs), |pieces| {
            let (bytes, pieces) = fill(pieces, store)?;
            let pack = Digest::of(&bytes);
            // Of the same bytes the same pack: where one is already, it is this one.
            if !pieces.is_empty() {
                self.bucket()?.create(&fetch::name(&pack), bytes)?;
            }
            Ok((pack, pieces))
        })?;
        let mut index = Writer::new();
        for (pack, pieces) in packs.into_iter().filter(|(_, pieces)| !pieces.is_empty()) {
            index.pack(pack, pieces);
        }
        for Finished { key, outcome, micros } in &batch.actions {
            index.action(key, outcome, *micros);
        }
        let bytes = index.into_bytes();
        let digest = Digest::of(&bytes);
        self.bucket()?.create(&format!("{INDEX}/{digest}"), bytes.clone())?;
        if let Some(Scope { told, .. }) = &self.scope {
            self.bucket()?.create(&format!("{told}/{digest}"), digest.to_string().into_bytes())?;
        }
        self.keep(&digest.to_string(), &bytes)?;
        self.add(&mut self.write(), digest, &bytes);
        Ok(())
    }
}

/// What is being put, a batch at a time, without what is there already.
struct Sending<'a> {
    shared: &'a SharedCache,
    store: &'a Store,
    sent: HashSet<Digest>,
    batch: Batch,
    pushed: Pushed,
}

impl<'a> Sending<'a> {
    fn new(shared: &'a SharedCache, store: &'a Store) -> Self {
        Self { shared, store, sent: HashSet::new(), batch: Batch::default(), pushed: Pushed::default() }
    }

    /// Adds files, and the action that made them.
    fn add(&mut self, action: Option<Finished>, blobs: Vec<(Digest, u64)>) -> Result<()> {
        let known = self.shared.read()?;
        let is_there = |(blob, bytes): &(Digest, u64)| known.index.places(blob, *bytes).is_some();
        if action.as_ref().is_none_or(|action| known.index.knows(&action.key)) && blobs.iter().all(is_there) {
            return Ok(());
        }
        for (blob, bytes) in blobs.into_iter().filter(|blob| !is_there(blob) && self.sent.insert(blob.0)) {
            self.batch.bytes += bytes;
            self.batch.blobs.push((blob, bytes));
        }
        drop(known);
        self.batch.actions.extend(action);
        if self.batch.bytes >= BATCH_BYTES || self.batch.actions.len() >= BATCH_ACTIONS { self.put() } else { Ok(()) }
    }

    fn put(&mut self) -> Result<()> {
        let batch = std::mem::take(&mut self.batch);
        if batch.actions.is_empty() && batch.blobs.is_empty() {
            return Ok(());
        }
        self.shared.put(&batch, self.store)?;
        self.pushed += Pushed { actions: batch.actions.len(), blobs: batch.blobs.len(), bytes: batch.bytes };
        Ok(())
    }

    fn end(mut self) -> Result<Pushed> {
        self.put()?;
        Ok(self.pushed)
    }
}

/// The files that an action made and that are here, with their sizes.
fn made(outcome: &Outcome, store: &Store) -> Result<Vec<(Digest, u64)>> {
    let mut made: Vec<(Digest, u64)> = match outcome {
        // Also where it is the input's own file: the stage before may have kept none.
        Outcome::Keep(stored) => stored.iter().map(|stored| (stored.digest, stored.bytes)).collect(),
        Outcome::Packed { manifest } => match store.manifest(manifest) {
            None => Vec::new(),
            Some(listed) => {
                // The list goes the way of its files.
                let bytes = listed.to_bytes();
                let files = listed.items.iter().map(|item| (item.digest, item.bytes));
                if store.cas.put(&bytes)? == *manifest { files.chain([(*manifest, bytes.len() as u64)]).collect() } else { Vec::new() }
            }
        },
        Outcome::Reject { .. } | Outcome::Fact(_) | Outcome::Training { .. } | Outcome::Trained { .. } => Vec::new(),
    };
    made.retain(|(blob, bytes)| store.cas.has(blob, *bytes));
    Ok(made)
}

/// Blobs in the packs that they go into; one larger than a pack in several.
fn packs(blobs: &[(Digest, u64)]) -> Vec<Vec<Piece>> {
    let mut packs: Vec<Vec<Piece>> = Vec::new();
    let mut room = 0;
    for (blob, bytes) in blobs {
        let mut at = 0;
        loop {
            let piece = (bytes - at).min(PACK);
            if piece > room || packs.is_empty() {
                packs.push(Vec::new());
                room = PACK;
            }
            packs.last_mut().expect("one was pushed").push(Piece(*blob, at, piece));
            room -= piece;
            at += piece;
            if at == *bytes {
                break;
            }
        }
    }
    packs
}

/// The bytes of a pack, and what is in it: without what vanished from the store meanwhile, or is not what its name says.
fn fill(pieces: &[Piece], store: &Store) -> Result<(Vec<u8>, Vec<Piece>)> {
    let mut bytes = Vec::new();
    let mut filled = Vec::with_capacity(pieces.len());
    for piece @ Piece(blob, at, length) in pieces {
        // Of a part of a file nobody can tell whether it is right before all of it is there; whoever fetches it will.
        let is_part = *at > 0 || *length == PACK;
        let read = if is_part { store.cas.read_part(blob, *at, *length) } else { store.cas.read(blob) };
        match read {
            Ok(part) => {
                bytes.extend(part);
                filled.push(*piece);
            }
            Err(Error::Lost { what }) => tracing::warn!("{what}, and is not put into the shared cache"),
            Err(error) => return Err(error),
        }
    }
    Ok((bytes, filled))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packs_are_filled_in_order_and_what_is_larger_is_cut() {
        let [a, b, c, d] = [1, 2, 3, 4].map(|n| Digest::of(&[n]));
        let filled = packs(&[(a, 1000), (b, PACK - 1000), (c, 2 * PACK + 5), (d, 7)]);
        let whole = vec![
            vec![Piece(a, 0, 1000), Piece(b, 0, PACK - 1000)],
            vec![Piece(c, 0, PACK)],
            vec![Piece(c, PACK, PACK)],
            vec![Piece(c, 2 * PACK, 5), Piece(d, 0, 7)],
        ];
        assert_eq!(filled, whole);
        assert_eq!(packs(&[(a, 0)]), [[Piece(a, 0, 0)]], "nothing is something, too");
        assert!(packs(&[]).is_empty());
    }
}
