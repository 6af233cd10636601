//! `SharedCache`: what was computed anywhere, for everybody who works on the same photos.
//!
//! ```text
//! <address>/packs/<hex>   pictures and lists one after the other, named by the BLAKE3 of it all
//! <address>/index/<hex>   what lies in which pack, and what actions came to      drawn in `index.rs`
//! <address>/plans/<hex>   what somebody asked a cluster to do                    drawn in `order.rs`
//! <address>/told/<hex of a plan>/<shard>/<hex of an index object>                what came of it, by name
//! ```
//!
//! One object per picture would cost a request per picture, and it is requests that take time and are paid for. So pictures travel in
//! packs, and what an action came to stands in an index object beside many others. Nothing is ever changed: objects are put where none
//! is, under the name of their content, first the packs and then the index that leads to them. Two machines that put the same do no
//! harm, and one that dies in between leaves a pack to which nothing leads.
//!
//! Index objects that were read are kept in `.catgen/shared`, so that the next one asks only for what is new. `plan` and `status` look
//! there and ask nobody; `run` asks when it meets the first action that it does not know. A worker reads no index but what its plan holds
//! and what was told of its own shard, however much else lies there.
//!
//! Nothing is believed: every picture that arrives is hashed. What is gone or damaged is a miss, and is computed.

mod bucket;
mod fetch;
mod index;
mod push;

use std::{
    collections::{BTreeSet, HashSet},
    fs,
    io::Write,
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

pub(crate) use bucket::Bucket;
pub use bucket::Requests;
use catgen_api::Digest;
pub use fetch::Fetched;
use index::Index;
pub use push::{Finished, Pushed};
use serde::Serialize;

use crate::{Error, cache::actions::Outcome, error::Result, key::ActionKey};

/// The folder of index objects.
const INDEX: &str = "index";

/// So many requests are under way at once: what they wait for is mostly the network.
const AT_ONCE: usize = 8;

/// A shared cache at one address.
#[derive(Debug)]
pub struct SharedCache {
    /// None for somebody who asks nobody.
    bucket: Option<Bucket>,
    address: String,
    /// Index objects that were read before.
    mirror: PathBuf,
    /// Whether it turned out to be out of reach: then everything goes on as if nothing were in it.
    lost: AtomicBool,
    /// For a worker: to this its knowledge is limited.
    scope: Option<Scope>,
    /// Held by the one who asks what is new: the others wait and find it.
    asking: Mutex<()>,
    known: RwLock<Known>,
}

/// What a worker knows.
#[derive(Debug)]
struct Scope {
    /// The folder of names of index objects: of those that were put for the same shard, and for more to come. What its plan says is kept
    /// in a file beside those that were read, [`GIVEN`].
    told: String,
}

/// The file of what a worker was given.
const GIVEN: &str = "given";

/// What is known of it.
#[derive(Debug, Default)]
struct Known {
    /// Whether the mirror was read, and the bucket asked, since this was opened.
    is_read: bool,
    is_asked: bool,
    index: Index,
    objects: BTreeSet<Digest>,
    /// Packs that an index leads to and that are not there.
    gone: HashSet<Digest>,
}

/// What lies in a shared cache; the names are a contract of `cache stats --json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Its address.
    pub remote: String,
    /// Index objects.
    pub indexes: u64,
    /// Packs that they lead to.
    pub packs: u64,
    /// Pictures, lists and other files in them.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Actions whose outcome is known.
    pub actions: u64,
}

impl SharedCache {
    /// The shared cache at `address`, with what is known of it kept below `folder`. It is asked when something is looked up for the first
    /// time.
    ///
    /// # Errors
    /// An address that is none, or a shared folder that is not there.
    pub fn open(address: &str, folder: &Path) -> Result<Self> {
        Ok(Self { bucket: Some(Bucket::open(address)?), ..Self::remembered(address, folder) })
    }

    /// What is known of the shared cache at `address` since somebody last asked it. Asks nobody.
    pub fn remembered(address: &str, folder: &Path) -> Self {
        let address = address.trim_end_matches('/').to_owned();
        let mirror = folder.join(Digest::of(address.as_bytes()).short());
        Self {
            bucket: None,
            address,
            mirror,
            lost: AtomicBool::new(false),
            scope: None,
            asking: Mutex::default(),
            known: RwLock::default(),
        }
    }

    /// The same, before anything was looked up, for a worker, who needs to know little of it: what it is `given`, in the words of an index
    /// object, and what was put under the name `told` before, and is by itself.
    ///
    /// # Errors
    /// The disk's.
    pub(crate) fn limited_to(self, told: String, given: &[u8]) -> Result<Self> {
        self.keep(GIVEN, given)?;
        Ok(Self { scope: Some(Scope { told }), ..self })
    }

    /// As people know it.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Requests made so far.
    pub fn requests(&self) -> Requests {
        self.bucket.as_ref().map_or_else(Requests::default, Bucket::requests)
    }

    pub(crate) fn bucket(&self) -> Result<&Bucket> {
        self.bucket.as_ref().ok_or_else(|| Error::Shared {
            what: format!("the shared cache {} is not asked by this command", self.address),
            hint: String::new(),
            is_away: true,
        })
    }

    /// What became of an action that somebody finished, and the microseconds that it took there.
    ///
    /// # Errors
    /// The bucket's, the first time.
    pub fn outcome(&self, key: &ActionKey) -> Result<Option<(Outcome, u64)>> {
        if self.is_lost() {
            return Ok(None);
        }
        Ok(self.read()?.index.outcome(key))
    }

    /// Whether a blob of that size should be there.
    ///
    /// # Errors
    /// As [`SharedCache::outcome`].
    pub fn has(&self, blob: &Digest, bytes: u64) -> Result<bool> {
        Ok(!self.is_lost() && self.read()?.index.places(blob, bytes).is_some())
    }

    /// The size of a blob whose size nobody noted, if it should be there.
    ///
    /// # Errors
    /// As [`SharedCache::outcome`].
    pub fn size_of(&self, blob: &Digest) -> Result<Option<u64>> {
        Ok(if self.is_lost() { None } else { self.read()?.index.size_of(blob) })
    }

    /// Whether it is known what became of an action.
    ///
    /// # Errors
    /// As [`SharedCache::outcome`].
    pub(crate) fn knows(&self, key: &ActionKey) -> Result<bool> {
        Ok(!self.is_lost() && self.read()?.index.knows(key))
    }

    /// What a worker is to know: where these blobs lie, and what these actions came to.
    ///
    /// # Errors
    /// As [`SharedCache::outcome`].
    pub(crate) fn extract<'a>(
        &self,
        blobs: &[(Digest, u64)],
        actions: impl IntoIterator<Item = (&'a ActionKey, &'a Outcome)>,
    ) -> Result<Vec<u8>> {
        let mut writer = self.read()?.index.extract(blobs);
        actions.into_iter().for_each(|(key, outcome)| writer.action(key, outcome, 0));
        Ok(writer.into_bytes())
    }

    /// Takes the error of a shared cache that is out of reach for a reason to go on without it; answers any other.
    ///
    /// # Errors
    /// The one it is given, if that is about something else.
    pub(crate) fn without(&self, error: Error) -> Result<()> {
        if !matches!(error, Error::Shared { is_away: true, .. }) {
            return Err(error);
        }
        if !self.lost.swap(true, Ordering::Relaxed) {
            tracing::warn!("{error}; going on without it");
        }
        Ok(())
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }

    /// Asks the bucket what is new; answers how many index objects are.
    ///
    /// # Errors
    /// The bucket's, or the disk's.
    pub fn refresh(&self) -> Result<usize> {
        let _asking = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        self.ask()
    }

    fn ask(&self) -> Result<usize> {
        self.read_mirror(&mut self.write());
        let listed = self.listed(self.scope.as_ref().map_or(INDEX, |scope| &scope.told))?;
        let new = self.learn(&listed)?;
        let mut known = self.write();
        if let Some(one) = known.objects.difference(&listed).next() {
            tracing::info!(%one, "the shared cache lost index objects; what they lead to counts as gone");
            for gone in known.objects.difference(&listed) {
                // What cannot be removed is met again the next time.
                let _ = fs::remove_file(self.mirror.join(gone.to_string()));
            }
            *known = Known { gone: std::mem::take(&mut known.gone), ..Known::default() };
            self.read_mirror(&mut known);
        }
        known.is_asked = true;
        Ok(new)
    }

    /// Asks the bucket for what was put under that name and is new; answers how many index objects that is.
    ///
    /// # Errors
    /// As [`SharedCache::refresh`].
    pub(crate) fn refresh_told(&self, told: &str) -> Result<usize> {
        let _asking = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        self.learn(&self.listed(told)?)
    }

    /// The index objects that are named in a folder.
    fn listed(&self, folder: &str) -> Result<BTreeSet<Digest>> {
        Ok(self.bucket()?.list(folder)?.into_iter().filter_map(|(name, _)| name.parse().ok()).collect())
    }

    /// Reads those of the index objects that are new; answers how many.
    fn learn(&self, listed: &BTreeSet<Digest>) -> Result<usize> {
        let news: Vec<Digest> = listed.difference(&self.lock().objects).copied().collect();
        let mut new = 0;
        // A few at a time: all of them may be more than memory holds.
        for news in news.chunks(8 * AT_ONCE) {
            let got = in_parallel(news, |digest| {
                let bytes = self.bucket()?.get(&format!("{INDEX}/{digest}"))?;
                Ok(bytes.filter(|bytes| Digest::of(bytes) == *digest).map(|bytes| (*digest, bytes)))
            })?;
            for (digest, bytes) in got.into_iter().flatten() {
                self.keep(&digest.to_string(), &bytes)?;
                self.add(&mut self.write(), digest, &bytes);
                new += 1;
            }
        }
        Ok(new)
    }

    /// What lies in it, as far as it is known.
    ///
    /// # Errors
    /// As [`SharedCache::outcome`].
    pub fn stats(&self) -> Result<Stats> {
        let known = self.read()?;
        let [packs, blobs, bytes, actions] = known.index.counts();
        Ok(Stats { remote: self.address().to_owned(), indexes: known.objects.len() as u64, packs, blobs, bytes, actions })
    }

    /// Notes packs that are not there any more: what lies in them is a miss from now on.
    fn note_gone(&self, packs: &[Digest]) {
        if packs.is_empty() {
            return;
        }
        let mut known = self.write();
        known.gone.extend(packs);
        let (gone, is_asked) = (std::mem::take(&mut known.gone), known.is_asked);
        *known = Known { gone, is_asked, ..Known::default() };
        self.read_mirror(&mut known);
    }

    /// What is known, looked up first if nobody did yet.
    fn read(&self) -> Result<RwLockReadGuard<'_, Known>> {
        let known = self.lock();
        if known.is_read && (known.is_asked || self.bucket.is_none() || self.is_lost()) {
            return Ok(known);
        }
        drop(known);
        if self.bucket.is_none() {
            self.read_mirror(&mut self.write());
            return Ok(self.lock());
        }
        let _asking = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.lock().is_asked
            && !self.is_lost()
            && let Err(error) = self.ask()
        {
            self.without(error)?;
        }
        Ok(self.lock())
    }

    fn read_mirror(&self, known: &mut Known) {
        if std::mem::replace(&mut known.is_read, true) {
            return;
        }
        let given = self.mirror.join(GIVEN);
        if let Some(bytes) = self.scope.as_ref().and_then(|_| fs::read(&given).ok()) {
            self.take_in(known, &bytes, given);
        }
        let Ok(entries) = fs::read_dir(&self.mirror) else { return };
        let mut objects: Vec<Digest> = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
        // In one order everywhere, so that of two places of a picture everybody takes the same.
        objects.sort_unstable();
        for digest in objects {
            let path = self.mirror.join(digest.to_string());
            match fs::read(&path) {
                Ok(bytes) if Digest::of(&bytes) == digest => self.add(known, digest, &bytes),
                // It is asked for again.
                _ => drop(fs::remove_file(&path)),
            }
        }
    }

    /// Keeps an index object for the next time. Not only the holder of the workspace's lock does.
    fn keep(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.mirror.join(name);
        let keep = || {
            fs::create_dir_all(&self.mirror)?;
            let mut file = tempfile::NamedTempFile::new_in(&self.mirror)?;
            file.write_all(bytes)?;
            file.persist(&path).map(|_| ()).map_err(|error| error.error)
        };
        keep().map_err(Error::io("write", &path))
    }

    fn add(&self, known: &mut Known, digest: Digest, bytes: &[u8]) {
        self.take_in(known, bytes, self.mirror.join(digest.to_string()));
        known.objects.insert(digest);
    }

    fn take_in(&self, known: &mut Known, bytes: &[u8], file: PathBuf) {
        if let Err(what) = known.index.add(bytes, file, &known.gone) {
            tracing::warn!("an index object of the shared cache {} cannot be used: {what}", self.address());
        }
    }

    fn lock(&self) -> RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Known> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What `work` answers for each, in order, several at once; the first error ends it.
fn in_parallel<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> Result<R> + Sync) -> Result<Vec<R>> {
    let next = AtomicUsize::new(0);
    let worker = || -> Result<Vec<(usize, R)>> {
        let mut done = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(at) else { return Ok(done) };
            // Where one failed the others need not go on for minutes.
            let result = work(item).inspect_err(|_| next.store(items.len(), Ordering::Relaxed))?;
            done.push((at, result));
        }
    };
    let parts = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..AT_ONCE.min(items.len())).map(|_| scope.spawn(worker)).collect();
        let joined = threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        joined.collect::<Result<Vec<_>>>()
    })?;
    let mut all: Vec<(usize, R)> = parts.into_iter().flatten().collect();
    all.sort_unstable_by_key(|(at, _)| *at);
    Ok(all.into_iter().map(|(_, result)| result).collect())
}

#[cfg(test)]
mod tests;
