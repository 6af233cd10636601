//! Two stores that share a folder.

use super::*;
use crate::{Workspace, cache::Store, cache::actions::Stored};

struct Home {
    _folder: tempfile::TempDir,
    store: Store,
    shared: SharedCache,
}

fn home(remote: &Path) -> Home {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("pipeline.toml"), "").unwrap();
    let store = Store::open(&Workspace::open(folder.path()).unwrap()).unwrap();
    store.prepare().unwrap();
    let address = url::Url::from_directory_path(remote).unwrap();
    let shared = SharedCache::open(address.as_str(), &store.path("shared")).unwrap();
    Home { _folder: folder, store, shared }
}

impl Home {
    /// What an action with that number came to: files of these contents.
    fn finished(&self, number: u8, files: &[&[u8]]) -> Finished {
        let stored = files.iter().map(|bytes| Stored {
            tag: String::new(),
            same: false,
            digest: self.store.cas.put(bytes).unwrap(),
            size: [1, 1],
            bytes: bytes.len() as u64,
            facts: Default::default(),
        });
        Finished { key: ActionKey::from_bytes([number; 32]), outcome: Outcome::Keep(stored.collect()), micros: 7 }
    }

    /// Fetches these contents; answers how many came, and how many were gone.
    fn fetch(&self, files: &[&[u8]]) -> (usize, usize) {
        let wanted: Vec<(Digest, u64)> = files.iter().map(|bytes| (Digest::of(bytes), bytes.len() as u64)).collect();
        let scratch = self.store.scratch().unwrap();
        let fetched = self.shared.fetch(&wanted, &self.store.cas, scratch.path(), &|_| {}).unwrap();
        for bytes in files.iter().filter(|bytes| !fetched.gone.contains(&Digest::of(bytes))) {
            assert!(self.store.cas.read(&Digest::of(bytes)).unwrap() == **bytes);
        }
        (fetched.blobs, fetched.gone.len())
    }
}

/// The files in a folder of the shared one, by name.
fn objects(remote: &Path, folder: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(remote.join(folder)).into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}

#[test]
fn what_one_computed_the_other_finds_in_one_request() {
    let remote = tempfile::tempdir().unwrap();
    let (one, other) = (home(remote.path()), home(remote.path()));
    let pictures: Vec<Vec<u8>> = (0..100_u8).map(|n| vec![n; 1000 + usize::from(n)]).collect();
    let finished: Vec<Finished> = pictures.iter().zip(0..).map(|(bytes, n)| one.finished(n, &[bytes])).collect();
    let pushed = one.shared.push(finished.clone(), &one.store).unwrap();
    assert_eq!((pushed.actions, pushed.blobs), (100, 100));
    assert_eq!((objects(remote.path(), "packs").len(), objects(remote.path(), "index").len()), (1, 1));
    assert_eq!(one.shared.push(finished.clone(), &one.store).unwrap(), Pushed::default(), "it is there already");
    for Finished { key, outcome, micros } in &finished {
        assert_eq!(other.shared.outcome(key).unwrap(), Some((outcome.clone(), *micros)));
    }
    assert_eq!(other.fetch(&pictures.iter().map(Vec::as_slice).collect::<Vec<_>>()), (100, 0));
    assert_eq!(other.shared.requests(), Requests { list: 1, get: 2, put: 0 });
    let Stats { indexes, packs, blobs, actions, .. } = other.shared.stats().unwrap();
    assert_eq!((indexes, packs, blobs, actions), (1, 1, 100, 100));
}

#[test]
fn a_file_larger_than_a_pack_comes_back_whole() {
    let remote = tempfile::tempdir().unwrap();
    let (one, other) = (home(remote.path()), home(remote.path()));
    let large: Vec<u8> = (0..20_000_000_u32).map(|n| (n % 251) as u8).collect();
    one.shared.push(vec![one.finished(1, &[&large, b"small"])], &one.store).unwrap();
    assert_eq!(objects(remote.path(), "packs").len(), 3);
    assert_eq!(other.fetch(&[&large, b"small"]), (2, 0));
}

#[test]
fn what_is_gone_or_damaged_is_a_miss_and_can_be_put_again() {
    let remote = tempfile::tempdir().unwrap();
    let (one, other) = (home(remote.path()), home(remote.path()));
    let finished = one.finished(1, &[b"picture"]);
    let push = || one.shared.push(vec![finished.clone()], &one.store).unwrap();
    let pack = || objects(remote.path(), "packs").pop().unwrap();
    push();
    let whole = fs::read(pack()).unwrap();
    for damage in [Some(&b"damaged"[..]), Some(b"cut"), None] {
        match damage {
            Some(bytes) => fs::write(pack(), bytes).unwrap(),
            None => fs::remove_file(pack()).unwrap(),
        }
        let other = home(remote.path());
        assert!(other.shared.has(&Digest::of(b"picture"), 7).unwrap());
        assert_eq!(other.fetch(&[b"picture"]), (0, 1), "{damage:?}");
        assert!(!other.shared.has(&Digest::of(b"picture"), 7).unwrap());
        if damage.is_some() {
            fs::write(pack(), &whole).unwrap();
        }
    }
    // Whoever computes it again puts it again, beside another picture, because the index of the first is still there.
    assert_eq!(other.fetch(&[b"picture"]), (0, 1));
    let again = [other.finished(1, &[b"picture"]), other.finished(2, &[b"another"])];
    assert_eq!(other.shared.push(again.to_vec(), &other.store).unwrap().blobs, 2);
    assert_eq!(home(remote.path()).fetch(&[b"picture", b"another"]), (2, 0), "the second place is tried where the first is gone");
}

#[test]
fn an_index_that_is_damaged_or_gone_costs_what_it_led_to() {
    let remote = tempfile::tempdir().unwrap();
    let (one, other) = (home(remote.path()), home(remote.path()));
    one.shared.push(vec![one.finished(1, &[b"picture"])], &one.store).unwrap();
    other.shared.refresh().unwrap();
    let index = objects(remote.path(), "index").pop().unwrap();
    let whole = fs::read(&index).unwrap();
    fs::write(&index, &whole[1..]).unwrap();
    let key = ActionKey::from_bytes([1; 32]);
    assert_eq!(home(remote.path()).shared.outcome(&key).unwrap(), None);
    assert!(other.shared.outcome(&key).unwrap().is_some(), "it was read when it was whole");
    fs::remove_file(&index).unwrap();
    other.shared.refresh().unwrap();
    assert_eq!((other.shared.outcome(&key).unwrap(), other.shared.stats().unwrap().indexes), (None, 0));
}

#[test]
fn what_is_known_is_kept_for_those_who_ask_nobody() {
    let remote = tempfile::tempdir().unwrap();
    let (one, other) = (home(remote.path()), home(remote.path()));
    one.shared.push(vec![one.finished(1, &[b"picture"])], &one.store).unwrap();
    let key = ActionKey::from_bytes([1; 32]);
    let offline = || SharedCache::remembered(other.shared.address(), &other.store.path("shared"));
    assert_eq!(offline().outcome(&key).unwrap(), None);
    other.shared.refresh().unwrap();
    let offline = offline();
    assert!(offline.outcome(&key).unwrap().is_some());
    assert_eq!(offline.requests(), Requests::default());
}

#[test]
fn a_worker_learns_what_its_plan_says_and_what_was_told_of_its_shard() {
    let remote = tempfile::tempdir().unwrap();
    let one = home(remote.path());
    let finished: Vec<Finished> = (1..4).map(|n| one.finished(n, &[&[n; 100]])).collect();
    one.shared.push(finished.clone(), &one.store).unwrap();
    let given = one.shared.extract(&[(Digest::of(&[1; 100]), 100)], [(&finished[0].key, &finished[0].outcome)]).unwrap();
    let worker = |shard: usize| {
        let Home { _folder, store, shared } = home(remote.path());
        let told = format!("told/plan/{shard}");
        Home { _folder, store, shared: shared.limited_to(told, &given).unwrap() }
    };
    let first = worker(0);
    let knows = |home: &Home, number: u8| home.shared.knows(&ActionKey::from_bytes([number; 32])).unwrap();
    assert_eq!((knows(&first, 1), knows(&first, 2)), (true, false));
    assert_eq!((first.fetch(&[&[1; 100]]), first.fetch(&[&[2; 100]])), ((1, 0), (0, 1)));
    assert_eq!(first.shared.requests(), Requests { list: 1, get: 1, put: 0 }, "no index was read");
    first.shared.push(vec![first.finished(9, &[b"new"])], &first.store).unwrap();
    // The next one for the same shard goes on from there, one for another knows nothing of it; whoever ordered all of it does.
    assert_eq!((knows(&worker(0), 9), knows(&worker(1), 9), knows(&one, 9)), (true, false, false));
    assert_eq!((one.shared.refresh_told("told/plan").unwrap(), knows(&one, 9)), (1, true));
    assert_eq!(one.shared.refresh_told("told/plan").unwrap(), 0);
    assert_eq!(one.fetch(&[b"new"]), (1, 0));
    // A pack that is gone takes nothing with it that lies elsewhere.
    let last = worker(0);
    let own = objects(remote.path(), "packs").into_iter().find(|pack| fs::read(pack).unwrap() == b"new").unwrap();
    fs::remove_file(own).unwrap();
    assert_eq!((last.fetch(&[b"new"]), last.fetch(&[&[1; 100]])), ((0, 1), (1, 0)));
}

#[test]
fn the_first_error_of_many_ends_it() {
    let asked = AtomicUsize::new(0);
    let failed = in_parallel(&(0..10_000).collect::<Vec<_>>(), |n| {
        asked.fetch_add(1, Ordering::Relaxed);
        if *n == 20 { Err(Error::Stopped) } else { Ok(*n) }
    });
    assert!(matches!(failed, Err(Error::Stopped)) && asked.into_inner() < 10_000);
    assert_eq!(in_parallel(&[3, 1, 2], |n| Ok(n * 2)).unwrap(), [6, 2, 4]);
}
