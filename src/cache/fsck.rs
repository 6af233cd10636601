//! `fsck`: reads everything in the store and compares it with what it should be.
//!
//! | looked at | how | `--repair` |
//! |---|---|---|
//! | blobs | hashed: the name is the hash | dropped, so that the next run makes them again |
//! | `actions.log` | every record's check | written anew without what is damaged |
//! | manifests | hashed and parsed | dropped |
//! | `stages.json`, `memo`, view indexes | parsed, checked | dropped: the next run looks everything up |
//! | stage folders | compared with their index, copies hashed | the next run restores them |
//! | `runs/<id>/run.json` | parsed | left alone: it is a record, nothing depends on it |
//!
//! Repair only takes away what is wrong. What is missing then is what any run makes again, by the same code as always.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs, io,
    path::Path,
};

use catgen_api::{Digest, Manifest};
use rayon::prelude::*;
use serde::Serialize;

use super::{Store, actions, memo::Memo, states::States, views::View};
use crate::{
    Error, Workspace,
    error::Result,
    progress::{Progress, Report as Said},
};

/// What kind of thing is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// A stored picture or file.
    Blob,
    /// The action log.
    Log,
    /// The list of what a stage put out.
    Manifest,
    /// What is known of stages, photos and folders: `stages.json`, `memo`, `views/…`.
    Index,
    /// A file in a stage's folder.
    Folder,
    /// The record of a run.
    Record,
}

/// One thing that is not as it should be; the names are a contract of `fsck --json`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// What it is.
    pub part: Part,
    /// The file, as people see it.
    pub path: String,
    /// What is wrong with it.
    pub problem: String,
    /// The files in stage folders, or the stages, that it belongs to.
    pub items: Vec<String>,
    /// What was done, or what the next run will do.
    pub repair: &'static str,
}

/// What was read and what was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Blobs read.
    pub blobs: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Records of the action log.
    pub records: usize,
    /// Manifests read.
    pub manifests: usize,
    /// Files in stage folders.
    pub files: usize,
    /// Everything that is wrong, in the order of the table above.
    pub findings: Vec<Finding>,
}

/// Reads everything. With `repair`, which needs the workspace's lock, also takes away what is wrong.
///
/// # Errors
/// The file system's, where it keeps a folder from being read.
pub fn check(workspace: &Workspace, store: &Store, stages: &[&str], repair: bool, progress: &dyn Progress) -> Result<Report> {
    let mut fsck = Fsck { workspace, store, repair, report: Report::default() };
    let views = fsck.views()?;
    fsck.blobs(&views, progress)?;
    fsck.log()?;
    fsck.manifests()?;
    fsck.states()?;
    fsck.folders(views.into_iter().filter(|(stage, _)| stages.contains(&stage.as_str())))?;
    fsck.records()?;
    fsck.report.findings.sort();
    Ok(fsck.report)
}

struct Fsck<'a> {
    workspace: &'a Workspace,
    store: &'a Store,
    repair: bool,
    report: Report,
}

/// The views of all stages that ever had one.
type Views = Vec<(String, View)>;

impl Fsck<'_> {
    fn find(&mut self, part: Part, path: &Path, problem: impl Into<String>, items: Vec<String>, repair: &'static str) {
        let path = self.workspace.relative(path).to_string();
        self.report.findings.push(Finding { part, path, problem: problem.into(), items, repair });
    }

    /// Takes a file of the store away, if that is what was asked for.
    fn drop(&self, path: &Path) -> Result<&'static str> {
        if !self.repair {
            return Ok("`fsck --repair` drops it");
        }
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", path)(error)),
            _ => Ok("dropped"),
        }
    }

    fn views(&mut self) -> Result<Views> {
        let mut views = Vec::new();
        for stage in self.store.indexed_stages()? {
            let view = View::load(self.store, &stage, self.workspace.stage_folder(&stage));
            if view.is_damaged() {
                let path = self.store.path("views").join(View::index_of(&stage));
                let repair = self.drop(&path)?;
                self.find(Part::Index, &path, "is damaged: what lies in the stage's folder is not known", vec![stage], repair);
            } else {
                views.push((stage, view));
            }
        }
        Ok(views)
    }

    /// Hashes every blob, and looks for those that folders show and that are not there.
    fn blobs(&mut self, views: &Views, progress: &dyn Progress) -> Result<()> {
        let listed = self.store.cas.list()?;
        (self.report.blobs, self.report.bytes) = (listed.len(), listed.iter().map(|(_, bytes)| bytes).sum());
        progress.report(Said::Begin { stages: &["fsck"], items: listed.len() });
        let look = |(digest, bytes): &(Digest, u64)| {
            let problem = match Digest::of_file(&self.store.cas.path(digest)) {
                Ok(found) if found == *digest => None,
                Ok(_) if *bytes == 0 => Some("is empty".to_owned()),
                Ok(_) => Some("its content is not what its name says".to_owned()),
                Err(error) => Some(format!("cannot be read: {error}")),
            };
            progress.report(Said::Advance(1));
            Some((*digest, problem?))
        };
        let mut bad: BTreeMap<Digest, String> = listed.par_iter().filter_map(look).collect();
        let there: HashSet<Digest> = listed.iter().map(|(digest, _)| *digest).collect();
        for (_, view) in views {
            for (_, digest) in view.files().filter(|(_, digest)| !there.contains(digest)) {
                bad.entry(digest).or_insert_with(|| "is gone, and a folder shows it".to_owned());
            }
        }
        if bad.is_empty() {
            return Ok(());
        }
        let owners = self.owners(views, &bad);
        for (digest, problem) in &bad {
            let path = self.store.cas.path(digest);
            let repair = if there.contains(digest) { self.drop(&path)? } else { "the next run makes it again" };
            self.find(Part::Blob, &path, problem, owners.get(digest).cloned().unwrap_or_default(), repair);
        }
        if self.repair {
            // A folder's file may be the same inode as the blob, with its times as they should be: only its content tells.
            let bad: HashSet<Digest> = bad.into_keys().collect();
            for (stage, _) in views {
                View::load(self.store, stage, self.workspace.stage_folder(stage)).distrust(&bad)?;
            }
        }
        Ok(())
    }

    /// What the bad blobs are called in folders, else in manifests.
    fn owners(&self, views: &Views, bad: &BTreeMap<Digest, String>) -> HashMap<Digest, Vec<String>> {
        let mut owners: HashMap<Digest, Vec<String>> = HashMap::new();
        for (stage, view) in views {
            for (name, digest) in view.files().filter(|(_, digest)| bad.contains_key(digest)) {
                owners.entry(digest).or_default().push(format!("data/{stage}/{name}"));
            }
        }
        let states = States::load(&self.store.path("stages.json"));
        for (stage, state) in states.iter() {
            let items = self.store.manifest(&state.output).unwrap_or_default().items;
            for item in items.iter().filter(|item| bad.contains_key(&item.digest)) {
                let name = format!("data/{stage}/{}", item.name);
                let known = owners.entry(item.digest).or_default();
                if !known.contains(&name) {
                    known.push(name);
                }
            }
        }
        owners
    }

    fn log(&mut self) -> Result<()> {
        let path = self.store.path("actions.log");
        let survey = actions::survey(&path)?;
        self.report.records = survey.actions.len() + survey.superseded;
        for place in &survey.damaged {
            let repair = if self.repair { "dropped" } else { "`fsck --repair` drops it" };
            let problem = format!("is damaged from byte {} to {}: what was done there is done again", place.start, place.end);
            self.find(Part::Log, &path, problem, Vec::new(), repair);
        }
        if self.repair && (!survey.damaged.is_empty() || survey.torn > 0) {
            actions::rewrite(&path, |_| true)?;
        }
        Ok(())
    }

    fn manifests(&mut self) -> Result<()> {
        let states = States::load(&self.store.path("stages.json"));
        let stages_of = |digest: &Digest| -> Vec<String> {
            states.iter().filter(|(_, state)| state.output == *digest).map(|(name, _)| name.to_owned()).collect()
        };
        let listed = self.store.manifests()?;
        self.report.manifests = listed.len();
        for (digest, _) in listed {
            let path = self.store.path("manifests").join(digest.to_string());
            let problem = match fs::read(&path) {
                Ok(bytes) if Digest::of(&bytes) != digest => "its content is not what its name says".to_owned(),
                Ok(bytes) => match Manifest::from_bytes(&bytes) {
                    Ok(_) => continue,
                    Err(error) => error.to_string(),
                },
                Err(error) => format!("cannot be read: {error}"),
            };
            let repair = self.drop(&path)?;
            self.find(Part::Manifest, &path, problem, stages_of(&digest), repair);
        }
        Ok(())
    }

    fn states(&mut self) -> Result<()> {
        let path = self.store.path("stages.json");
        if States::read(&path).is_err() {
            let repair = self.drop(&path)?;
            self.find(Part::Index, &path, "is damaged: how each stage was last finished is not known", Vec::new(), repair);
        }
        let path = self.store.path("memo");
        if Memo::is_damaged(&path) {
            let repair = self.drop(&path)?;
            self.find(Part::Index, &path, "is damaged: every photo is read again", Vec::new(), repair);
        }
        Ok(())
    }

    /// Compares the folders of the pipeline's stages with what should lie in them.
    fn folders(&mut self, views: impl Iterator<Item = (String, View)>) -> Result<()> {
        for (stage, view) in views {
            let folder = self.workspace.stage_folder(&stage);
            self.report.files += view.files().count();
            let damage = view.damage()?;
            let again = "the next run restores them";
            let known: HashSet<&String> = damage.missing.iter().chain(&damage.tampered).collect();
            let rotten = view.rotten_copies(self.store);
            let rotten: Vec<(String, Digest)> = rotten.into_iter().filter(|(name, _)| !known.contains(name)).collect();
            if self.repair && !rotten.is_empty() {
                let contents = rotten.iter().map(|(_, digest)| *digest).collect();
                View::load(self.store, &stage, folder.clone()).distrust(&contents)?;
            }
            let rotten = rotten.into_iter().map(|(name, _)| name).collect();
            let foreign = damage.foreign.iter().map(|path| path.display().to_string()).collect();
            let copies = if self.repair { again } else { "`fsck --repair` and the next run restore them" };
            for (names, problem, repair) in [
                (damage.missing, "files are missing", again),
                (damage.tampered, "files are not as they were put there", again),
                (rotten, "files have other content than was put there", copies),
                (
                    foreign,
                    "files are not ours (photos belong into the folder of the first stage)",
                    "the next run moves them to .catgen/set-aside",
                ),
            ] {
                if !names.is_empty() {
                    self.find(Part::Folder, &folder, format!("{} {problem}", names.len()), names, repair);
                }
            }
        }
        Ok(())
    }

    fn records(&mut self) -> Result<()> {
        let Ok(runs) = fs::read_dir(self.workspace.runs()) else { return Ok(()) };
        for run in runs.filter_map(std::result::Result::ok) {
            let path = run.path().join("run.json");
            let Ok(bytes) = fs::read(&path) else { continue };
            if let Err(error) = serde_json::from_slice::<crate::record::RunRecord>(&bytes) {
                self.find(Part::Record, &path, format!("is damaged: {error}"), Vec::new(), "nothing depends on it: delete it if you like");
            }
        }
        Ok(())
    }
}
