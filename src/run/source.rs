//! Running `original`: which photos are there, and which content has each.

use std::{collections::HashMap, fs, path::PathBuf, sync::Arc, time::Instant};

use catgen_api::{Digest, Facts, Item, Manifest, ManifestId, Photo, Reason, Rejection};
use catgen_original::Found;
use rayon::prelude::*;

use super::{Made, Originals, Product, Run, pictures::caught};
use crate::{
    Error, Project,
    cache::{
        actions::Outcome,
        memo::{Memo, Stat},
    },
    decide,
    error::Result,
    progress::Report,
};

/// The photos as they are now: what `plan` and `run` both begin with.
pub(crate) struct Scan {
    pub(crate) manifest: Manifest,
    pub(crate) originals: Originals,
    /// Files whose header was looked at now, as it never was before.
    pub(crate) computed: usize,
    pub(crate) memo: Memo,
    /// Whether the memo says something that the one on disk does not.
    pub(crate) memo_is_news: bool,
}

pub(super) fn run(run: &mut Run<'_>, stage: usize) -> Result<Product> {
    let began = Instant::now();
    let project = &*run.project;
    let put = |key: &_, outcome: &_| project.actions()?.put(key, outcome);
    let progress = run.progress;
    let scan = scan(
        run.project,
        stage,
        &put,
        &|items| progress.report(Report::Begin { stages: &[&run.project.pipeline.stages[stage].name], items }),
        &|n| progress.report(Report::Advance(n)),
    )?;
    let files = scan.manifest.items.len() + scan.manifest.rejections.len();
    if scan.manifest.items.is_empty() {
        let folder = folder(run.project, stage);
        let none = scan
            .manifest
            .rejections
            .first()
            .map_or(String::new(), |first| format!(": none of its {files} files is one ({}: {})", first.name, first.reason));
        return Err(Error::Usage {
            what: format!("there are no photos in {}{none}", run.project.workspace.relative(&folder)),
            hint: "copy your photos there, or draw some cats with `catgen-pipe sample`".to_owned(),
        });
    }
    if scan.memo_is_news {
        scan.memo.save(&run.project.store.path("memo"))?;
    }
    run.originals = scan.originals;
    let (computed, reused) = (scan.computed, files - scan.computed);
    let made = Made::Manifest { listed: scan.manifest.into(), computed, reused };
    Ok(Product { stage, input: ManifestId::of(Digest::of(b"")), items_in: files, made, busy: began.elapsed() })
}

/// The folder of the photos.
pub(crate) fn folder(project: &Project, stage: usize) -> PathBuf {
    let stage = &project.pipeline.stages[stage];
    match catgen_original::folder(&stage.params).as_str() {
        "" => project.workspace.stage_folder(&stage.name),
        folder => project.workspace.root().join(folder),
    }
}

/// Looks at every file: by its times and size if it looks as it did, by its bytes if not.
pub(crate) fn scan(
    project: &Project,
    stage: usize,
    put: &(dyn Fn(&crate::key::ActionKey, &Outcome) -> Result<()> + Sync),
    begin: &dyn Fn(usize),
    advance: &(dyn Fn(usize) + Sync),
) -> Result<Scan> {
    let folder = folder(project, stage);
    // An unplugged disk must not look like a person who deleted every photo.
    fs::read_dir(&folder).map_err(|error| Error::Usage {
        what: format!("the folder of the photos, {}, cannot be read: {error}", project.workspace.relative(&folder)),
        hint: "put your photos there, or bring back the disk that it is on".to_owned(),
    })?;
    let found = catgen_original::find(&folder);
    let memo = Memo::load(&project.store.path("memo"));
    let now = Memo::new();
    let stats: Vec<_> = found.par_iter().map(|file| fs::metadata(&file.path).map(|metadata| Stat::of(&metadata)).ok()).collect();
    let unknown = found.iter().zip(&stats).filter(|(file, stat)| stat.is_some_and(|stat| memo.get(&file.name, &stat).is_none())).count();
    if unknown > 0 {
        begin(unknown);
    }
    let last = LastTime::load(project, stage)?;
    let looked: Vec<Looked> = found
        .par_iter()
        .zip(&stats)
        .map(|(file, stat)| {
            let known = stat.and_then(|stat| memo.get(&file.name, &stat));
            let looked = look(project, stage, file, stat.as_ref(), known, &last, put);
            if known.is_none() {
                advance(1);
            }
            looked
        })
        .collect::<Result<_>>()?;

    let (mut items, mut rejections, mut computed, mut memo_now, mut paths) = (Vec::new(), Vec::new(), HashMap::new(), now, HashMap::new());
    for (file, looked) in found.into_iter().zip(looked) {
        if let Some((stat, digest)) = looked.digest {
            memo_now.put(file.name.clone(), stat, digest);
            if looked.computed {
                computed.insert(digest, ());
            }
        }
        match looked.photo {
            Ok(item) => {
                paths.entry(item.digest).or_insert(file.path);
                items.push(item);
            }
            Err(reason) => rejections.push(Rejection {
                name: file.name.clone(),
                photo: file.name,
                kind: reason.kind.into_owned(),
                reason: reason.text,
                of: None,
                distance: None,
                input: looked.digest.map(|(_, digest)| digest),
            }),
        }
    }
    // A memo taken later makes young files trustworthy: worth writing even if it says the same.
    let memo_is_news = !memo_now.same_files(&memo) || memo.has_racy();
    let manifest = Manifest::new(items, rejections);
    Ok(Scan { manifest, originals: Originals::new(paths), computed: computed.len(), memo: memo_now, memo_is_news })
}

/// What is known of one file.
struct Looked {
    photo: std::result::Result<Item, Reason>,
    digest: Option<(Stat, Digest)>,
    computed: bool,
}

/// What was found when the photos were last looked at: a run with nothing new needs no more than this, and not the action log.
#[derive(Default)]
struct LastTime(HashMap<String, std::result::Result<Item, Rejection>>);

impl LastTime {
    /// Nothing, where the stage's key is another one now.
    fn load(project: &Project, stage: usize) -> Result<Self> {
        let Some(state) = project.states.get(&project.pipeline.stages[stage].name) else { return Ok(Self::default()) };
        if decide::parameters_changed(project, stage, state)?.is_some() {
            return Ok(Self::default());
        }
        let Manifest { items, rejections } = project.store.manifest(&state.output).unwrap_or_default();
        let items = items.into_iter().map(|item| (item.name.clone(), Ok(item)));
        let rejections = rejections.into_iter().map(|rejection| (rejection.name.clone(), Err(rejection)));
        Ok(Self(items.chain(rejections).collect()))
    }

    /// What was found out about the file of that name, if it had this content.
    fn photo(&self, name: &str, digest: &Digest) -> Option<std::result::Result<Item, Reason>> {
        match self.0.get(name)? {
            Ok(item) if item.digest == *digest => Some(Ok(item.clone())),
            Err(rejection) if rejection.input == Some(*digest) => Some(Err(Reason::new(rejection.kind.clone(), rejection.reason.clone()))),
            _ => None,
        }
    }
}

fn look(
    project: &Project,
    stage: usize,
    file: &Found,
    stat: Option<&Stat>,
    known: Option<Digest>,
    last: &LastTime,
    put: &(dyn Fn(&crate::key::ActionKey, &Outcome) -> Result<()> + Sync),
) -> Result<Looked> {
    let rejected = |reason: Reason| Ok(Looked { photo: Err(reason), digest: None, computed: false });
    if let Some(problem) = &file.problem {
        return rejected(problem.clone());
    }
    let Some(stat) = stat else {
        return rejected(Reason::new("unreadable", "the file vanished while the folder was being read: run again"));
    };
    let mut bytes = None;
    let digest = match known {
        Some(digest) => digest,
        None => match fs::read(&file.path) {
            Ok(read) => Digest::of(bytes.insert(read)),
            Err(error) => return rejected(catgen_original::unreadable(&error)),
        },
    };
    if let Some(photo) = last.photo(&file.name, &digest) {
        return Ok(Looked { photo, digest: Some((*stat, digest)), computed: false });
    }
    let (key, outcome) = decide::whole(project, stage, &digest)?;
    let (outcome, computed) = match outcome {
        Some(outcome) => (outcome, false),
        None => {
            let bytes = match bytes {
                Some(bytes) => bytes,
                None => match fs::read(&file.path) {
                    Ok(bytes) => bytes,
                    Err(error) => return rejected(catgen_original::unreadable(&error)),
                },
            };
            let outcome = match caught(|| catgen_original::look(&bytes)).and_then(|looked| looked) {
                Ok((size, mut facts)) => {
                    facts.insert("size".to_owned(), size.to_vec().into());
                    Outcome::Fact(facts)
                }
                Err(reason) => Outcome::Reject { kind: reason.kind.into_owned(), reason: reason.text },
            };
            put(&key, &outcome)?;
            (outcome, true)
        }
    };
    let photo = match outcome {
        Outcome::Fact(facts) => Ok(item(file, stat, digest, facts)),
        Outcome::Reject { kind, reason } => Err(Reason::new(kind, reason)),
        Outcome::Keep(_) | Outcome::Packed { .. } | Outcome::Training { .. } | Outcome::Trained { .. } => {
            Err(Reason::new("unreadable", "the store says something strange about this file: report it"))
        }
    };
    Ok(Looked { photo, digest: Some((*stat, digest)), computed })
}

fn item(file: &Found, stat: &Stat, digest: Digest, mut facts: Facts) -> Item {
    let side = |at: usize| facts.get("size").and_then(|size| size.get(at)?.as_u64()).unwrap_or(0) as u32;
    let size = [side(0), side(1)];
    facts.remove("size");
    let photo = Arc::new(Photo { path: file.name.clone(), digest, size });
    Item { name: file.name.clone(), digest, width: size[0], height: size[1], bytes: stat.size, photo, input: digest, facts }
}
