//! `View`: a stage's folder below `data/`, made of links to blobs, open to inspection and never trusted.
//!
//! ```text
//! views/<stage, "/" as "%2F"> = "view 1 <manifest digest>" line, then per file: size mtime_ns inode digest name
//! ```
//!
//! `- - -` stands where a file was announced and may or may not be there: the index is written once before the folder is
//! touched and once after, so that after a `kill -9` every file in the folder is still known to be ours.
//!
//! Files are reflinks where the file system has them, else read-only hard links, else copies; which of the three is tried
//! out once per run, not once per file.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
    fs, io,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use catgen_api::Digest;
use rayon::prelude::*;
use walkdir::WalkDir;

use super::{Store, memo::Stat, write_whole};
use crate::{Error, error::Result};

/// One file that a view should have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Its path below the stage's folder, `/` between parts.
    pub name: String,
    /// Its content.
    pub digest: Digest,
    /// Its size.
    pub bytes: u64,
}

/// The view of one stage.
#[derive(Debug)]
pub struct View {
    folder: PathBuf,
    index_path: PathBuf,
    set_aside: PathBuf,
    manifest: Option<Digest>,
    entries: HashMap<String, Entry>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    digest: Digest,
    /// Size, mtime and inode when it was linked; `None` where it was only announced. Not the ctime: a second link changes that.
    seen: Option<(u64, i128, u64)>,
}

/// What is wrong with a folder: names below it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Damage {
    /// Should be there and are not.
    pub missing: Vec<String>,
    /// Are there and are not what was put there.
    pub tampered: Vec<String>,
    /// Are there and were never put there.
    pub foreign: Vec<PathBuf>,
}

impl Damage {
    /// Whether the folder is as it should be.
    pub fn is_none(&self) -> bool {
        self.missing.is_empty() && self.tampered.is_empty() && self.foreign.is_empty()
    }
}

impl View {
    /// The view of `stage`, whose folder is `folder`, as its index says.
    pub fn load(store: &Store, stage: &str, folder: PathBuf) -> Self {
        let escaped = stage.replace('%', "%25").replace('/', "%2F");
        let index_path = store.path("views").join(&escaped);
        let (manifest, entries) = fs::read_to_string(&index_path).ok().and_then(|text| parse(&text)).unwrap_or_default();
        Self { folder, index_path, set_aside: store.path("set-aside").join(escaped), manifest, entries }
    }

    /// Whether the folder was last made from the manifest with this digest.
    pub fn shows(&self, manifest: &Digest) -> bool {
        self.manifest == Some(*manifest)
    }

    /// Compares the folder with its index by size, time and inode: one `stat` a file.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn damage(&self) -> Result<Damage> {
        let mut damage = Damage::default();
        let found = self.walk()?;
        let mut seen = HashSet::with_capacity(found.len());
        for (path, stat) in &found {
            // Names of ours are text: a path that is not is somebody else's.
            let name = path.to_str().map(|name| match std::path::MAIN_SEPARATOR {
                '/' => Cow::Borrowed(name),
                other => Cow::Owned(name.replace(other, "/")),
            });
            match name.as_deref().and_then(|name| self.entries.get_key_value(name)) {
                None => damage.foreign.push(path.clone()),
                Some((name, entry)) => {
                    seen.insert(name.as_str());
                    if entry.seen != Some((stat.size, stat.mtime, stat.inode)) {
                        damage.tampered.push(name.clone());
                    }
                }
            }
        }
        damage.missing = self.entries.keys().filter(|name| !seen.contains(name.as_str())).cloned().collect();
        damage.missing.sort();
        damage.tampered.sort();
        damage.foreign.sort();
        Ok(damage)
    }

    /// Whether every file named in `damage` can be healed from the store as it is.
    pub fn can_heal(&self, store: &Store, damage: &Damage) -> bool {
        let is_there = |name: &String| self.entries.get(name).is_none_or(|entry| store.cas.path(&entry.digest).exists());
        damage.missing.iter().all(is_there) && damage.tampered.iter().all(is_there) && self.spoiled_blobs(store, damage).is_empty()
    }

    /// Blobs that were changed through a hard link in the folder: to be dropped, so that they are made again.
    pub fn spoiled_blobs(&self, store: &Store, damage: &Damage) -> Vec<Digest> {
        let entries = damage.tampered.iter().filter_map(|name| self.entries.get(name));
        let spoiled = |digest: &Digest| {
            let blob = store.cas.path(digest);
            blob.exists() && !Digest::of_file(&blob).is_ok_and(|found| found == *digest)
        };
        entries.map(|entry| entry.digest).filter(spoiled).collect()
    }

    /// Brings the folder to exactly `wanted`, healing the `damage` found in it before. What is not ours is moved aside.
    ///
    /// # Errors
    /// The file system's; a blob that is not in the store.
    pub fn sync(&mut self, store: &Store, manifest: &Digest, wanted: &[Wanted], damage: &Damage) -> Result<()> {
        if self.shows(manifest) && damage.is_none() {
            return Ok(());
        }
        let broken: HashSet<&str> = damage.missing.iter().chain(&damage.tampered).map(String::as_str).collect();
        let keep = |file: &Wanted| {
            let entry = self.entries.get(file.name.as_str())?;
            (entry.digest == file.digest && entry.seen.is_some() && !broken.contains(file.name.as_str())).then_some(*entry)
        };
        let mut after: HashMap<String, Entry> = HashMap::with_capacity(wanted.len());
        let mut fresh = Vec::new();
        for file in wanted {
            let kept = keep(file);
            if kept.is_none() {
                fresh.push(file);
            }
            after.insert(file.name.clone(), kept.unwrap_or(Entry { digest: file.digest, seen: None }));
        }
        // Announce before touching: every name that is there now or may be there soon.
        let mut announced = std::mem::take(&mut self.entries);
        for (name, entry) in &after {
            announced.insert(name.clone(), *entry);
        }
        self.manifest = None;
        self.save(None, &announced)?;

        for path in &damage.foreign {
            // Without an index (somebody deleted it) our own files look foreign, and their content tells. What the store holds,
            // or is about to show here again, need not be kept twice.
            let content = Digest::of_file(&self.folder.join(path)).ok();
            let wanted = path.to_str().and_then(|name| after.get(name)).map(|entry| entry.digest);
            if content.is_some_and(|content| wanted == Some(content) || store.cas.path(&content).exists()) {
                remove(&self.folder.join(path))?;
            } else {
                self.move_aside(path)?;
            }
        }
        for name in &damage.tampered {
            // One of ours that a kill left unindexed has the right content: only what somebody changed is worth keeping.
            if !announced.get(name).is_some_and(|entry| self.holds(Path::new(name), entry)) {
                self.move_aside(Path::new(name))?;
            }
        }
        for name in announced.keys().filter(|name| !after.contains_key(*name)) {
            remove(&self.folder.join(name))?;
        }
        // Also those that stand where a file belongs.
        self.remove_empty_folders();
        fs::create_dir_all(&self.folder).map_err(Error::io("create", &self.folder))?;
        let folders: HashSet<&Path> = fresh.iter().filter_map(|file| Path::new(&file.name).parent()).collect();
        for folder in folders {
            let path = self.folder.join(folder);
            fs::create_dir_all(&path).map_err(Error::io("create", path))?;
        }
        let linked: Vec<(String, Entry)> = fresh
            .par_iter()
            .map(|file| {
                let path = self.folder.join(&file.name);
                remove(&path)?;
                link(&store.cas.path(&file.digest), &path)?;
                let stat = fs::symlink_metadata(&path).map(|metadata| Stat::of(&metadata)).map_err(Error::io("look at", &path))?;
                Ok((file.name.clone(), Entry { digest: file.digest, seen: Some((stat.size, stat.mtime, stat.inode)) }))
            })
            .collect::<Result<_>>()?;
        after.extend(linked);
        self.remove_empty_folders();
        self.save(Some(manifest), &after)?;
        self.manifest = Some(*manifest);
        self.entries = after;
        Ok(())
    }

    /// Every file in the folder with its stat; clutter of file managers is passed over.
    fn walk(&self) -> Result<Vec<(PathBuf, Stat)>> {
        let walk = WalkDir::new(&self.folder).min_depth(1).into_iter();
        let walk = walk.filter_entry(|entry| !catgen_original::is_clutter(entry.file_name().as_encoded_bytes()));
        let mut files = Vec::new();
        for entry in walk {
            match entry {
                Ok(entry) if entry.file_type().is_dir() => {}
                Ok(entry) => files.push(entry.into_path()),
                Err(error) if error.io_error().is_some_and(|error| error.kind() == io::ErrorKind::NotFound) => {}
                Err(error) => {
                    let path = error.path().unwrap_or(&self.folder).to_owned();
                    return Err(Error::io("read", path)(error.into()));
                }
            }
        }
        let stats = files.into_par_iter().with_min_len(256).filter_map(|path| {
            let stat = Stat::of(&fs::symlink_metadata(&path).ok()?);
            let below = path.strip_prefix(&self.folder).ok()?.to_owned();
            Some((below, stat))
        });
        Ok(stats.collect())
    }

    /// Whether the file has the content that the entry says.
    fn holds(&self, path: &Path, entry: &Entry) -> bool {
        Digest::of_file(&self.folder.join(path)).is_ok_and(|found| found == entry.digest)
    }

    /// Moves a file that is not ours out of the way; it may be all that somebody has of it.
    fn move_aside(&self, path: &Path) -> Result<()> {
        let from = self.folder.join(path);
        // What was moved there earlier may stand in the way, as a file or as a folder: then into the next one.
        let folder = |n: u32| match n {
            1 => self.set_aside.clone(),
            n => PathBuf::from(format!("{}.{n}", self.set_aside.display())),
        };
        let free = |to: &PathBuf| !to.exists() && to.parent().is_some_and(|parent| fs::create_dir_all(parent).is_ok());
        let to = (1..1000).map(|n| folder(n).join(path)).find(free).unwrap_or_else(|| self.set_aside.join(path));
        match fs::rename(&from, &to) {
            Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
                fs::copy(&from, &to).and_then(|_| fs::remove_file(&from)).map_err(Error::io("move aside", from))
            }
            result => result.map_err(Error::io("move aside", from)),
        }
    }

    fn remove_empty_folders(&self) {
        let folders = WalkDir::new(&self.folder).min_depth(1).contents_first(true).into_iter().filter_map(Result::<_, _>::ok);
        for entry in folders.filter(|entry| entry.file_type().is_dir()) {
            // Fails where something is still in it, which is what is wanted.
            let _ = fs::remove_dir(entry.path());
        }
    }

    fn save(&self, manifest: Option<&Digest>, entries: &HashMap<String, Entry>) -> Result<()> {
        let mut names: Vec<_> = entries.iter().collect();
        names.sort_by_key(|(name, _)| *name);
        let mut text = format!("view 1 {}\n", manifest.map_or_else(|| "-".to_owned(), Digest::to_string));
        for (name, entry) in names {
            match entry.seen {
                Some((size, mtime, inode)) => text.push_str(&format!("{size} {mtime} {inode} {} {name}\n", entry.digest)),
                None => text.push_str(&format!("- - - {} {name}\n", entry.digest)),
            }
        }
        write_whole(&self.index_path, text.as_bytes())
    }
}

fn parse(text: &str) -> Option<(Option<Digest>, HashMap<String, Entry>)> {
    let mut lines = text.lines();
    let manifest = lines.next()?.strip_prefix("view 1 ")?;
    let manifest = if manifest == "-" { None } else { Some(manifest.parse().ok()?) };
    let entries = lines.map(|line| {
        let mut fields = line.splitn(5, ' ');
        let (size, mtime, inode) = (fields.next()?, fields.next()?, fields.next()?);
        let seen = match (size.parse(), mtime.parse(), inode.parse()) {
            (Ok(size), Ok(mtime), Ok(inode)) => Some((size, mtime, inode)),
            _ => None,
        };
        let digest = fields.next()?.parse().ok()?;
        Some((fields.next()?.to_owned(), Entry { digest, seen }))
    });
    Some((manifest, entries.collect::<Option<_>>()?))
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", path)(error)),
        _ => Ok(()),
    }
}

/// How a file of a view shares its content with the blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Means {
    Reflink,
    HardLink,
    Copy,
}

/// Makes `path` show the blob, by the best means that worked for the first file of this process.
fn link(blob: &Path, path: &Path) -> Result<()> {
    static MEANS: OnceLock<Means> = OnceLock::new();
    let by = |means: Means| match means {
        Means::Reflink => reflink_copy::reflink(blob, path).and_then(|()| copy_mode(blob, path)),
        Means::HardLink => fs::hard_link(blob, path),
        Means::Copy => fs::copy(blob, path).map(|_| ()),
    };
    if let Some(means) = MEANS.get() {
        let done = by(*means);
        // A blob may run out of hard links (65,000 on ext4): a copy serves as well.
        return done
            .or_else(|error| if error.kind() == io::ErrorKind::NotFound { Err(error) } else { by(Means::Copy) })
            .map_err(Error::io("link", path));
    }
    let mut last = None;
    for means in [Means::Reflink, Means::HardLink, Means::Copy] {
        match by(means) {
            Ok(()) => {
                let _ = MEANS.set(means);
                tracing::debug!(?means, "views are made by");
                return Ok(());
            }
            Err(error) => {
                let _ = fs::remove_file(path);
                last = Some(error);
            }
        }
    }
    Err(Error::io("link", path)(last.expect("three means were tried")))
}

fn copy_mode(from: &Path, to: &Path) -> io::Result<()> {
    fs::set_permissions(to, fs::metadata(from)?.permissions())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Workspace;

    struct Bench {
        root: tempfile::TempDir,
        store: Store,
    }

    impl Bench {
        fn new() -> Self {
            let root = tempfile::tempdir().unwrap();
            fs::write(root.path().join("pipeline.toml"), "").unwrap();
            let store = Store::open(&Workspace::open(root.path()).unwrap()).unwrap();
            store.prepare().unwrap();
            Self { root, store }
        }

        fn view(&self) -> View {
            View::load(&self.store, "a/b", self.root.path().join("data/a/b"))
        }

        fn wanted(&self, files: &[(&str, &str)]) -> Vec<Wanted> {
            let put = |(name, text): &(&str, &str)| Wanted {
                name: (*name).to_owned(),
                digest: self.store.cas.put(text.as_bytes()).unwrap(),
                bytes: text.len() as u64,
            };
            files.iter().map(put).collect()
        }

        /// Brings the folder to these files and checks that it holds them and nothing else.
        fn check(&self, files: &[(&str, &str)], expect: &Damage) {
            let wanted = self.wanted(files);
            let mut view = self.view();
            let damage = view.damage().unwrap();
            assert_eq!(&damage, expect);
            let digest = Digest::of(format!("{files:?}").as_bytes());
            view.sync(&self.store, &digest, &wanted, &damage).unwrap();
            let view = self.view();
            assert!(view.shows(&digest) && view.damage().unwrap().is_none());
            let mut found: Vec<_> = view.walk().unwrap().into_iter().map(|(path, _)| path.to_str().unwrap().to_owned()).collect();
            found.sort();
            assert_eq!(found, files.iter().map(|(name, _)| (*name).to_owned()).collect::<Vec<_>>());
            for (name, text) in files {
                assert_eq!(fs::read_to_string(self.root.path().join("data/a/b").join(name)).unwrap(), *text);
            }
        }
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_view_follows_its_manifest_and_leaves_nothing_behind() {
        let bench = Bench::new();
        bench.check(&[("a.png", "1"), ("in/b.png", "2")], &Damage::default());
        bench.check(&[("a.png", "1"), ("c.png", "2")], &Damage::default());
        assert!(!bench.root.path().join("data/a/b/in").exists(), "an empty folder stayed");
    }

    #[test]
    fn missing_tampered_and_foreign_files_are_named_and_healed_and_nothing_is_lost() {
        let bench = Bench::new();
        let files = [("a.png", "1"), ("b.png", "2"), ("c.png", "3")];
        bench.check(&files, &Damage::default());
        let folder = bench.root.path().join("data/a/b");
        fs::remove_file(folder.join("a.png")).unwrap();
        fs::remove_file(folder.join("b.png")).unwrap();
        fs::write(folder.join("b.png"), "somebody's own").unwrap();
        fs::write(folder.join("x.txt"), "notes").unwrap();
        fs::write(folder.join(".DS_Store"), "clutter").unwrap();
        bench.check(&files, &Damage { missing: names(&["a.png"]), tampered: names(&["b.png"]), foreign: vec!["x.txt".into()] });
        let aside = bench.root.path().join(".catgen/set-aside/a%2Fb");
        assert_eq!(fs::read_to_string(aside.join("b.png")).unwrap(), "somebody's own");
        assert_eq!(fs::read_to_string(aside.join("x.txt")).unwrap(), "notes");
    }

    #[test]
    fn after_a_kill_between_linking_and_the_final_index_every_file_is_known_to_be_ours() {
        let bench = Bench::new();
        let files = [("a.png", "1"), ("b.png", "2")];
        bench.check(&files, &Damage::default());
        // What the kill leaves: the announced index, and a folder that has some of the new files.
        let view = bench.view();
        let announced = view.entries.iter().map(|(name, entry)| (name.clone(), Entry { seen: None, ..*entry })).collect();
        view.save(None, &announced).unwrap();
        fs::remove_file(bench.root.path().join("data/a/b/b.png")).unwrap();
        bench.check(&files, &Damage { missing: names(&["b.png"]), tampered: names(&["a.png"]), foreign: vec![] });
        assert!(!bench.root.path().join(".catgen/set-aside").exists(), "our own file was taken for somebody's");
    }

    #[cfg(unix)]
    #[test]
    fn a_blob_changed_through_its_link_is_dropped() {
        use std::os::unix::fs::PermissionsExt;
        let bench = Bench::new();
        bench.check(&[("a.png", "1")], &Damage::default());
        let path = bench.root.path().join("data/a/b/a.png");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        fs::write(&path, "scribble").unwrap();
        let mut view = bench.view();
        let damage = view.damage().unwrap();
        let shared = fs::read(bench.store.cas.path(&Digest::of(b"1"))).unwrap() == b"scribble";
        assert_eq!(view.can_heal(&bench.store, &damage), !shared);
        let spoiled = view.spoiled_blobs(&bench.store, &damage);
        assert_eq!(spoiled.len(), usize::from(shared));
        spoiled.iter().for_each(|digest| bench.store.cas.drop_blob(digest));
        let wanted = bench.wanted(&[("a.png", "1")]);
        view.sync(&bench.store, &Digest::of(b"m"), &wanted, &damage).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "1");
        assert_eq!(fs::read_to_string(bench.root.path().join(".catgen/set-aside/a%2Fb/a.png")).unwrap(), "scribble");
    }
}
