//! `View`: a stage's folder below `data/`, made of links to blobs, open to inspection and never trusted.
//!
//! What should lie in it is written into its index before the folder is touched, and what does lie in it after that: after a
//! `kill -9` every file in the folder is still known to be ours.
//!
//! Files are reflinks where the file system has them, else read-only hard links, else copies (a store on another disk).

mod index;
mod link;

use std::{
    collections::{HashMap, HashSet},
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use catgen_api::Digest;
use index::{Entry, Index, Seen};
use link::{Linker, is_part};
use rayon::prelude::*;
use walkdir::WalkDir;

use super::{Store, fault};
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
    index: Index,
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

/// What somebody deleted from a folder or moved within it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gone {
    /// Names that were surely put there and are missing, in order.
    pub missing: Vec<String>,
    /// The contents of files of ours that now lie there under other names.
    pub moved: Vec<Digest>,
}

impl Damage {
    /// Whether the folder is as it should be.
    pub fn is_none(&self) -> bool {
        self.missing.is_empty() && self.tampered.is_empty() && self.foreign.is_empty()
    }
}

/// The files that a folder has, by name. One text for all of them: a folder may have a million.
#[derive(Default)]
struct Found {
    names: String,
    ends: Vec<usize>,
    /// Names of ours are text: these are somebody else's.
    odd: Vec<PathBuf>,
}

impl Found {
    fn name(&self, at: usize) -> &str {
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.names[start..self.ends[at]]
    }
}

/// What was seen of one file.
enum Look {
    AsLeft,
    Tampered(usize),
    Foreign(usize),
    Gone(usize),
}

impl View {
    /// The view of `stage`, whose folder is `folder`, as its index says.
    pub fn load(store: &Store, stage: &str, folder: PathBuf) -> Self {
        let name = Self::index_of(stage);
        let index_path = store.path("views").join(&name);
        Self { folder, set_aside: store.path("set-aside").join(name), index: Index::load(&index_path), index_path }
    }

    /// The file name of a stage's index.
    pub fn index_of(stage: &str) -> String {
        stage.replace('%', "%25").replace('/', "%2F")
    }

    /// The stage whose index has that file name.
    pub fn stage_of(index: &str) -> String {
        index.replace("%2F", "/").replace("%25", "%")
    }

    /// Whether the folder was last made from the manifest with this digest.
    pub fn shows(&self, manifest: &Digest) -> bool {
        self.index.manifest == Some(*manifest)
    }

    /// Whether there is an index that cannot be read: then every file in the folder looks like somebody's.
    pub fn is_damaged(&self) -> bool {
        self.index_path.exists() && Index::read(&self.index_path).is_none()
    }

    /// The size of its index in bytes.
    pub fn index_bytes(&self) -> u64 {
        fs::metadata(&self.index_path).map_or(0, |metadata| metadata.len())
    }

    /// Forgets the view of a stage that is gone.
    ///
    /// # Errors
    /// The file system's.
    pub fn forget(store: &Store, stage: &str) -> Result<()> {
        remove(&store.path("views").join(Self::index_of(stage)))
    }

    /// Every file that should be there, by name, with its content.
    pub fn files(&self) -> impl Iterator<Item = (&str, Digest)> {
        self.index.iter().map(|(name, entry)| (name, entry.digest))
    }

    /// Compares the folder with its index by size, time and inode: one `stat` a file.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn damage(&self) -> Result<Damage> {
        let found = self.walk()?;
        let mut listed: HashMap<&str, usize> = HashMap::with_capacity(self.index.len());
        listed.extend(self.index.places());
        let look = Looker::open(&self.folder);
        let looked = (0..found.ends.len()).into_par_iter().with_min_len(256).map(|at| {
            let name = found.name(at);
            match (listed.get(name), look.at(name)) {
                (_, None) => Look::Gone(at),
                (None, Some(_)) => Look::Foreign(at),
                (Some(place), seen) if self.index.at(*place).seen == seen => Look::AsLeft,
                (Some(_), _) => Look::Tampered(at),
            }
        });
        let odd: Vec<Look> = looked.filter(|look| !matches!(look, Look::AsLeft)).collect();
        let mut damage = Damage { foreign: found.odd.clone(), ..Damage::default() };
        let mut elsewhere = HashSet::new();
        for look in odd {
            match look {
                Look::Tampered(at) => damage.tampered.push(found.name(at).to_owned()),
                Look::Foreign(at) => drop((damage.foreign.push(found.name(at).into()), elsewhere.insert(at))),
                Look::Gone(at) => drop(elsewhere.insert(at)),
                Look::AsLeft => {}
            }
        }
        if found.ends.len() - elsewhere.len() < self.index.len() {
            let there = (0..found.ends.len()).filter(|at| !elsewhere.contains(at)).map(|at| found.name(at));
            let there: HashSet<&str> = there.collect();
            damage.missing = self.index.places().map(|(name, _)| name).filter(|name| !there.contains(name)).map(str::to_owned).collect();
        }
        damage.tampered.sort();
        damage.foreign.sort();
        Ok(damage)
    }

    /// What was deleted from the folder or moved within it since the last run; to be asked before a run heals it.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn deleted(&self) -> Result<Gone> {
        let damage = self.damage()?;
        // What was only announced may never have been there.
        let put: HashSet<&str> = self.index.iter().filter(|(_, entry)| entry.seen.is_some()).map(|(name, _)| name).collect();
        let missing: Vec<String> = damage.missing.into_iter().filter(|name| put.contains(name.as_str())).collect();
        let moved = if missing.is_empty() {
            Vec::new()
        } else {
            damage.foreign.iter().filter_map(|path| Digest::of_file(&self.folder.join(path)).ok()).collect()
        };
        Ok(Gone { missing, moved })
    }

    /// Whether every file named in `damage` can be healed from the store as it is.
    pub fn can_heal(&self, store: &Store, damage: &Damage) -> bool {
        let is_there = |entry: &Entry| store.cas.path(&entry.digest).exists();
        self.entries(&damage.missing).iter().all(is_there)
            && self.entries(&damage.tampered).iter().all(is_there)
            && self.spoiled_blobs(store, damage).is_empty()
    }

    /// Blobs that were changed through a hard link in the folder: to be dropped, so that they are made again.
    pub fn spoiled_blobs(&self, store: &Store, damage: &Damage) -> Vec<Digest> {
        let spoiled = |digest: &Digest| {
            let blob = store.cas.path(digest);
            blob.exists() && !Digest::of_file(&blob).is_ok_and(|found| found == *digest)
        };
        self.entries(&damage.tampered).into_iter().map(|entry| entry.digest).filter(spoiled).collect()
    }

    /// What the index says of some files.
    fn entries(&self, names: &[String]) -> Vec<Entry> {
        if names.is_empty() {
            return Vec::new();
        }
        let names: HashSet<&str> = names.iter().map(String::as_str).collect();
        self.index.iter().filter(|(name, _)| names.contains(name)).map(|(_, entry)| entry).collect()
    }

    /// Files that are not the blob under another name and whose content, read whole, is not what was put there.
    pub fn rotten_copies(&self, store: &Store) -> Vec<(String, Digest)> {
        let files: Vec<(&str, Entry)> = self.index.iter().collect();
        let rotten = |(name, entry): &(&str, Entry)| {
            let seen = entry.seen?;
            let blob = store.cas.path(&entry.digest);
            let is_link = Looker::open(blob.parent()?)
                .at(blob.file_name()?.to_str()?)
                .is_some_and(|blob| blob.inode == seen.inode && seen.inode != 0);
            let found = if is_link { return None } else { Digest::of_file(&self.folder.join(name)).ok()? };
            (found != entry.digest).then(|| ((*name).to_owned(), entry.digest))
        };
        files.par_iter().filter_map(rotten).collect()
    }

    /// Forgets what files with one of these contents looked like when they were put there, so that the next run compares their
    /// content; answers how many those are.
    ///
    /// # Errors
    /// The file system's.
    pub fn distrust(&mut self, contents: &HashSet<Digest>) -> Result<usize> {
        let doubtful = |entry: &Entry| contents.contains(&entry.digest);
        let before = std::mem::take(&mut self.index);
        let count = before.iter().filter(|(_, entry)| doubtful(entry)).count();
        let distrust = |(name, entry)| (name, if doubtful(&entry) { Entry { seen: None, ..entry } } else { entry });
        let entries: Vec<(&str, Entry)> = before.iter().map(distrust).collect();
        let (index, news) = (Index::new(None, &entries), count > 0);
        if news {
            self.save(index)?
        } else {
            self.index = before
        }
        Ok(count)
    }

    /// Brings the folder to exactly `wanted`, healing the `damage` found in it before. What is not ours is moved aside. Before
    /// anything is touched `provide` is asked to see to it that the store has those files that have to be put there.
    ///
    /// # Errors
    /// The file system's; those of `provide`; a blob that is not in the store.
    pub fn sync(
        &mut self,
        store: &Store,
        manifest: &Digest,
        wanted: &[Wanted],
        damage: &Damage,
        provide: impl FnOnce(&[&Wanted]) -> Result<()>,
    ) -> Result<()> {
        if self.shows(manifest) && damage.is_none() {
            return Ok(());
        }
        let mut wanted: Vec<&Wanted> = wanted.iter().collect();
        wanted.sort_by(|a, b| a.name.cmp(&b.name));
        let broken: HashSet<&str> = damage.missing.iter().chain(&damage.tampered).map(String::as_str).collect();
        let before = std::mem::take(&mut self.index);
        let Change { announced, mut after, fresh, gone } = Change::new(&before, &wanted, &broken);
        let to_put: Vec<&Wanted> = fresh.iter().map(|at| wanted[*at]).collect();
        if let Err(error) = provide(&to_put) {
            self.index = before;
            return Err(error);
        }
        // Announce before touching: every name that is there now or may be there soon.
        self.save(Index::new(None, &announced))?;

        for path in &damage.foreign {
            // Without an index (somebody deleted it) our own files look foreign, and their content tells. What the store holds,
            // or is about to show here again, need not be kept twice.
            let content = Digest::of_file(&self.folder.join(path)).ok();
            let wanted = path.to_str().and_then(|name| find(&after, name)).map(|entry| entry.digest);
            if is_part(path) || content.is_some_and(|content| wanted == Some(content) || store.cas.path(&content).exists()) {
                remove(&self.folder.join(path))?;
            } else {
                self.move_aside(path)?;
            }
        }
        for name in &damage.tampered {
            // One of ours that a kill left unindexed has the right content: only what somebody changed is worth keeping.
            if !find(&announced, name).is_some_and(|entry| self.holds(Path::new(name), entry)) {
                self.move_aside(Path::new(name))?;
            }
        }
        for name in &gone {
            remove(&self.folder.join(name))?;
        }
        // Also those that stand where a file belongs.
        self.remove_empty_folders(&gone, damage);
        fs::create_dir_all(&self.folder).map_err(Error::io("create", &self.folder))?;
        let folders: HashSet<&Path> = to_put.iter().filter_map(|file| Path::new(&file.name).parent()).collect();
        for folder in folders {
            let path = self.folder.join(folder);
            fs::create_dir_all(&path).map_err(Error::io("create", path))?;
        }
        let (linker, look) = (Linker::new(&self.folder), Looker::open(&self.folder));
        let seen: Vec<Option<Seen>> = to_put
            .par_iter()
            .map(|file| {
                let path = self.folder.join(&file.name);
                linker.link(&store.cas.path(&file.digest), &path).map_err(Error::io("link", &path))?;
                Ok(look.at(&file.name))
            })
            .collect::<Result<_>>()?;
        for (at, seen) in fresh.into_iter().zip(seen) {
            after[at].1.seen = seen;
        }
        self.save(Index::new(Some(manifest), &after))
    }

    /// The name of every file in the folder; clutter of file managers is passed over.
    fn walk(&self) -> Result<Found> {
        let walk = WalkDir::new(&self.folder).min_depth(1).into_iter();
        let walk = walk.filter_entry(|entry| is_part(entry.path()) || !catgen_original::is_clutter(entry.file_name().as_encoded_bytes()));
        let mut found = Found::default();
        for entry in walk {
            match entry {
                Ok(entry) if entry.file_type().is_dir() => {}
                Ok(entry) => {
                    let Ok(path) = entry.path().strip_prefix(&self.folder) else { continue };
                    let Some(name) = path.to_str() else {
                        found.odd.push(path.to_owned());
                        continue;
                    };
                    match std::path::MAIN_SEPARATOR {
                        '/' => found.names.push_str(name),
                        other => found.names.push_str(&name.replace(other, "/")),
                    }
                    found.ends.push(found.names.len());
                }
                Err(error) if error.io_error().is_some_and(|error| error.kind() == io::ErrorKind::NotFound) => {}
                Err(error) => {
                    let path = error.path().unwrap_or(&self.folder).to_owned();
                    return Err(Error::io("read", path)(error.into()));
                }
            }
        }
        Ok(found)
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
        fault::point();
        match fs::rename(&from, &to) {
            Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
                fs::copy(&from, &to).and_then(|_| fs::remove_file(&from)).map_err(Error::io("move aside", from))
            }
            result => result.map_err(Error::io("move aside", from)),
        }
    }

    /// Removes the folders that are empty now: those of files that are gone, and where somebody changed something, any.
    fn remove_empty_folders(&self, gone: &[&str], damage: &Damage) {
        // Removing fails where something is still in it, which is what is wanted.
        if !damage.is_none() {
            let folders = WalkDir::new(&self.folder).min_depth(1).contents_first(true).into_iter().filter_map(Result::<_, _>::ok);
            folders.filter(|entry| entry.file_type().is_dir()).for_each(|entry| drop(fs::remove_dir(entry.path())));
            return;
        }
        let above = |name: &&'_ str| {
            Path::new(*name).ancestors().skip(1).filter(|path| *path != Path::new("")).map(Path::to_owned).collect::<Vec<_>>()
        };
        let mut folders: Vec<PathBuf> = gone.iter().flat_map(above).collect::<HashSet<_>>().into_iter().collect();
        folders.sort_by_key(|path| std::cmp::Reverse(path.components().count()));
        folders.iter().for_each(|path| drop(fs::remove_dir(self.folder.join(path))));
    }

    fn save(&mut self, index: Index) -> Result<()> {
        self.index = index;
        self.index.save(&self.index_path)
    }
}

/// What has to be done to a folder, names in order.
struct Change<'a> {
    /// Every file that is there or will be.
    announced: Vec<(&'a str, Entry)>,
    /// Every file that will be there.
    after: Vec<(&'a str, Entry)>,
    /// Of those, the ones to be put there, by position.
    fresh: Vec<usize>,
    /// Those to be removed.
    gone: Vec<&'a str>,
}

impl<'a> Change<'a> {
    /// Both lists are in the order of their names, so they are gone through once, side by side.
    fn new(before: &'a Index, wanted: &[&'a Wanted], broken: &HashSet<&str>) -> Self {
        let mut change = Self {
            announced: Vec::with_capacity(before.len().max(wanted.len())),
            after: Vec::with_capacity(wanted.len()),
            fresh: Vec::new(),
            gone: Vec::new(),
        };
        let mut before = before.iter().peekable();
        for file in wanted {
            while let Some((name, entry)) = before.next_if(|(name, _)| *name < file.name.as_str()) {
                change.announced.push((name, entry));
                change.gone.push(name);
            }
            let was = before.next_if(|(name, _)| *name == file.name).map(|(_, entry)| entry);
            let keeps = |entry: &Entry| entry.digest == file.digest && entry.seen.is_some() && !broken.contains(file.name.as_str());
            let entry = was.filter(keeps).unwrap_or_else(|| {
                change.fresh.push(change.after.len());
                Entry { digest: file.digest, seen: None }
            });
            change.announced.push((&file.name, entry));
            change.after.push((&file.name, entry));
        }
        for (name, entry) in before {
            change.announced.push((name, entry));
            change.gone.push(name);
        }
        change
    }
}

/// What is said of a file in a list in name order.
fn find<'a>(entries: &'a [(&str, Entry)], name: &str) -> Option<&'a Entry> {
    entries.binary_search_by(|(other, _)| (*other).cmp(name)).ok().map(|at| &entries[at].1)
}

/// Looks at the files of one folder. On Linux relative to the opened folder, which spares the kernel the way to it for each
/// file: a quarter of what looking costs.
struct Looker<'a> {
    folder: &'a Path,
    opened: Option<File>,
}

impl<'a> Looker<'a> {
    fn open(folder: &'a Path) -> Self {
        Self { folder, opened: File::open(folder).ok().filter(|_| cfg!(target_os = "linux")) }
    }

    /// What the file looks like; `None` if it is not there.
    fn at(&self, name: &str) -> Option<Seen> {
        #[cfg(target_os = "linux")]
        if let Some(folder) = &self.opened {
            let stat = rustix::fs::statat(folder, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW).ok()?;
            let mtime = stat.st_mtime.saturating_mul(1_000_000_000).saturating_add_unsigned(stat.st_mtime_nsec);
            return Some(Seen { size: stat.st_size.cast_unsigned(), mtime, inode: stat.st_ino });
        }
        let stat = super::memo::Stat::of(&fs::symlink_metadata(self.folder.join(name)).ok()?);
        let mtime = i64::try_from(stat.mtime).unwrap_or(if stat.mtime < 0 { i64::MIN } else { i64::MAX });
        Some(Seen { size: stat.size, mtime, inode: stat.inode })
    }
}

fn remove(path: &Path) -> Result<()> {
    fault::point();
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", path)(error)),
        _ => Ok(()),
    }
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
            view.sync(&self.store, &digest, &wanted, &damage, |_| Ok(())).unwrap();
            let view = self.view();
            assert!(view.shows(&digest) && view.damage().unwrap().is_none());
            let mut found: Vec<_> = {
                let found = view.walk().unwrap();
                (0..found.ends.len()).map(|at| found.name(at).to_owned()).collect()
            };
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
        let mut view = bench.view();
        let before = std::mem::take(&mut view.index);
        let announced: Vec<_> = before.iter().map(|(name, entry)| (name, Entry { seen: None, ..entry })).collect();
        view.save(Index::new(None, &announced)).unwrap();
        fs::write(bench.root.path().join("data/a/b/.catgen-part-7"), "half").unwrap();
        fs::remove_file(bench.root.path().join("data/a/b/b.png")).unwrap();
        bench.check(&files, &Damage { missing: names(&["b.png"]), tampered: names(&["a.png"]), foreign: vec![".catgen-part-7".into()] });
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
        view.sync(&bench.store, &Digest::of(b"m"), &wanted, &damage, |_| Ok(())).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "1");
        assert_eq!(fs::read_to_string(bench.root.path().join(".catgen/set-aside/a%2Fb/a.png")).unwrap(), "scribble");
    }
}
