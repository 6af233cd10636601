//! Bringing blobs here from the packs that they lie in.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs::File,
    io::Write,
    ops::Range,
    path::Path,
};

use catgen_api::Digest;

use super::{SharedCache, in_parallel, index::Place};
use crate::{Error, cache::cas::Cas, error::Result};

/// What came of fetching.
#[derive(Debug, Default)]
pub struct Fetched {
    /// Blobs that are here now.
    pub blobs: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Blobs that an index leads to and that are gone or damaged: from now on they are misses.
    pub gone: HashSet<Digest>,
}

/// Ranges of one pack that are asked for at once take at most so much memory.
const AT_MOST: u64 = 32 << 20;

/// Of a blob that was put twice, so many places are tried.
const TRIES: usize = 3;

/// A request for what lies in one pack.
struct Wanted {
    pack: Digest,
    blobs: Vec<(Digest, Place)>,
}

/// A blob with the places it was asked for at, from its first byte to its last.
struct Bad(Digest, Vec<(Digest, Place)>);

impl SharedCache {
    /// Puts those of the blobs that lie in the shared cache into the store; `scratch` takes what is too large for one pack.
    ///
    /// # Errors
    /// The bucket's, or the disk's. That something is gone is none.
    pub fn fetch(&self, wanted: &[(Digest, u64)], cas: &Cas, scratch: &Path, done: &(dyn Fn(usize) + Sync)) -> Result<Fetched> {
        let sizes: HashMap<Digest, u64> = wanted.iter().copied().collect();
        let mut left: Vec<Digest> = sizes.keys().copied().collect();
        let mut fetched = Fetched::default();
        for _ in 0..TRIES {
            let (failed, gone) = self.fetch_once(&left, &sizes, cas, scratch, done)?;
            fetched.gone.extend(gone);
            left = failed;
            if left.is_empty() {
                break;
            }
        }
        fetched.gone.extend(left);
        let here = sizes.iter().filter(|(blob, _)| !fetched.gone.contains(*blob));
        (fetched.blobs, fetched.bytes) = here.fold((0, 0), |(blobs, sum), (_, bytes)| (blobs + 1, sum + bytes));
        if !fetched.gone.is_empty() {
            tracing::info!("{} files are gone from the shared cache {}; they are made again", fetched.gone.len(), self.address());
        }
        Ok(fetched)
    }

    /// Fetches each blob from one of its places. Answers those that were not there, whose places are forgotten, and those that have none.
    fn fetch_once(
        &self,
        wanted: &[Digest],
        sizes: &HashMap<Digest, u64>,
        cas: &Cas,
        scratch: &Path,
        done: &(dyn Fn(usize) + Sync),
    ) -> Result<(Vec<Digest>, Vec<Digest>)> {
        let mut small: BTreeMap<Digest, Vec<(Digest, Place)>> = BTreeMap::new();
        let (mut large, mut gone) = (Vec::new(), Vec::new());
        {
            let known = self.read()?;
            for blob in wanted {
                match known.index.places(blob, sizes[blob]) {
                    Some(places) if places.len() == 1 => small.entry(places[0].0).or_default().push((*blob, places[0].1)),
                    Some(places) => large.push((*blob, places)),
                    None => gone.push(*blob),
                }
            }
        }
        let requests: Vec<Wanted> = small.into_iter().flat_map(|(pack, blobs)| split(pack, blobs)).collect();
        let parts = in_parallel(&requests, |wanted| {
            let part = self.fetch_pack(wanted, cas)?;
            done(wanted.blobs.len() - part.as_ref().map_or(wanted.blobs.len(), Vec::len));
            Ok(part)
        })?;
        let (mut failed, mut packs_gone, mut bad) = (Vec::new(), Vec::new(), Vec::new());
        for (wanted, part) in requests.iter().zip(parts) {
            match part {
                None => {
                    packs_gone.push(wanted.pack);
                    failed.extend(wanted.blobs.iter().map(|(blob, _)| *blob));
                }
                Some(not_so) => bad.extend(not_so),
            }
        }
        for (blob, places) in large {
            if self.fetch_large(&blob, &places, cas, scratch)? {
                done(1);
            } else {
                bad.push(Bad(blob, places));
            }
        }
        self.note_gone(&packs_gone);
        let mut known = self.write();
        for Bad(blob, places) in bad {
            known.index.forget(&blob, &places);
            failed.push(blob);
        }
        Ok((failed, gone))
    }

    /// Fetches small blobs of one pack; answers those that are not what they should be, or nothing if the pack is not there.
    fn fetch_pack(&self, Wanted { pack, blobs }: &Wanted, cas: &Cas) -> Result<Option<Vec<Bad>>> {
        let ranges: Vec<_> = blobs.iter().map(|(_, place)| range(place)).collect();
        let Some(parts) = self.bucket()?.get_ranges(&name(pack), &ranges)? else { return Ok(None) };
        let mut bad = Vec::new();
        for ((blob, place), part) in blobs.iter().zip(parts) {
            if Digest::of(&part) == *blob {
                cas.put_as(blob, &part)?;
            } else {
                bad.push(Bad(*blob, vec![(*pack, *place)]));
            }
        }
        Ok(Some(bad))
    }

    /// Fetches a blob that lies in several packs, piece by piece; answers whether it is here and what it should be.
    fn fetch_large(&self, blob: &Digest, places: &[(Digest, Place)], cas: &Cas, scratch: &Path) -> Result<bool> {
        let path = scratch.join(blob.to_string());
        let mut file = File::create(&path).map_err(Error::io("create", &path))?;
        for (pack, place) in places {
            let Some(parts) = self.bucket()?.get_ranges(&name(pack), &[range(place)])? else { return Ok(false) };
            parts.iter().try_for_each(|part| file.write_all(part)).map_err(Error::io("write", &path))?;
        }
        drop(file);
        if Digest::of_file(&path).map_err(Error::io("read", &path))? != *blob {
            return Ok(false);
        }
        cas.adopt(&path)?;
        Ok(true)
    }
}

/// In the order in which they lie, no request larger than memory should hold.
fn split(pack: Digest, mut blobs: Vec<(Digest, Place)>) -> Vec<Wanted> {
    blobs.sort_unstable_by_key(|(_, place)| place.offset);
    let mut requests: Vec<Wanted> = Vec::new();
    let mut size = AT_MOST;
    for (blob, place) in blobs {
        if size + place.bytes > AT_MOST {
            requests.push(Wanted { pack, blobs: Vec::new() });
            size = 0;
        }
        size += place.bytes;
        requests.last_mut().expect("one was pushed for the first blob").blobs.push((blob, place));
    }
    requests
}

fn range(place: &Place) -> Range<u64> {
    place.offset..place.offset + place.bytes
}

pub(super) fn name(pack: &Digest) -> String {
    format!("packs/{pack}")
}
