//! Making a stage's result the truth: blobs and actions flushed, manifest written, folder up to date, state noted, in that order.

use std::{
    collections::HashSet,
    sync::{Arc, OnceLock},
};

use catgen_api::{Digest, Item, Manifest, ManifestId, Shape};
use rayon::prelude::*;

use super::{Listed, Made, Product, Run, Shelved, photo_counts};
use crate::{
    Error, Project,
    cache::{
        states::State,
        views::{Damage, Wanted},
    },
    decide,
    error::Result,
    key::ActionKey,
    progress::{Report, StageReport, Traffic},
    record,
    shared::{Finished, Pushed},
};

impl Run<'_> {
    /// Publishes what became of one stage.
    pub(super) fn publish(&mut self, product: Product) -> Result<()> {
        let stage = product.stage;
        let declared = &self.project.pipeline.stages[stage];
        let (name, shape) = (declared.name.clone(), declared.shape());
        let before = self.project.states.get(&name).cloned();
        // The trainer's threads are its own: its time is the clock's.
        let threads = if shape == Shape::Train { 1 } else { rayon::current_num_threads().max(1) };
        let mut report = StageReport {
            stage: name.clone(),
            items_in: product.items_in,
            items_out: 0,
            reused: 0,
            computed: 0,
            removed: 0,
            rejected: 0,
            seconds: record::round(product.busy.as_secs_f64() / threads as f64),
        };
        let mut input = product.input;
        let asked = !matches!(product.made, Made::NotAsked);
        let (output, folder) = match product.made {
            Made::Nothing | Made::NotAsked => {
                let state = before.clone().expect("only a stage with a state is as it was");
                report.items_out = state.items;
                report.rejected = state.rejections;
                report.reused = if shape == Shape::Item { state.items + state.rejections } else { product.items_in };
                self.shelve_as_it_was(stage);
                self.show(stage)?;
                (state.put_out(), state.folder)
            }
            Made::Manifest { listed: Listed { manifest, bytes, id }, computed, reused } => {
                (report.items_out, report.rejected) = (manifest.items.len(), manifest.rejections.len());
                (report.computed, report.reused) = (computed, reused);
                let old = before.as_ref().filter(|state| state.output != id.file);
                if computed > 0 || old.is_some() || before.is_none() {
                    self.project.store.cas.sync()?;
                    self.project.actions()?.sync()?;
                }
                if let Some(old) = old.and_then(|state| self.project.store.photo_counts(&state.output)) {
                    let now = photo_counts(&manifest.items);
                    let gone = |(photo, count): (&String, &usize)| count.saturating_sub(now.get(photo.as_str()).copied().unwrap_or(0));
                    report.removed = old.iter().map(gone).sum();
                }
                self.project.store.put_manifest_bytes(&id.file, &bytes)?;
                if shape != Shape::Source && !is_lasting(&manifest) {
                    // The next run finds another input than this, and asks again.
                    input = ManifestId::of(Digest::of(b"not finished"));
                }
                let items = manifest.items.len();
                self.shelf[stage] = Some(Shelved { id, items, manifest: OnceLock::from(Arc::new(manifest)) });
                self.show(stage)?;
                (id, None)
            }
            Made::Training { folder, computed } => {
                (report.computed, report.reused) = if computed { (1, 0) } else { (0, 1) };
                report.items_out = 1;
                if computed {
                    self.project.actions()?.sync()?;
                }
                (ManifestId::of(Digest::of(folder.as_bytes())), Some(folder))
            }
        };
        // With `--from` a later stage, what it put out was made with what it was made with then.
        let as_before = before.as_ref().filter(|_| !asked).map(|before| before.components.clone());
        let made_with = as_before.map_or_else(|| self.project.node(stage).map(|node| node.state_components.clone()), Ok)?;
        if asked {
            let seconds_per_item = match (report.computed, &before) {
                (0, before) => before.as_ref().map_or(0.0, |before| before.seconds_per_item),
                (computed, _) => product.busy.as_secs_f64() / computed as f64,
            };
            let unchanged = before.as_ref().filter(|before| before.output == output.file && report.computed == 0);
            let state = State {
                components: made_with.clone(),
                input: input.file,
                input_items: Some(input.items),
                output: output.file,
                output_items: Some(output.items),
                items: report.items_out,
                rejections: report.rejected,
                run: unchanged.map_or_else(|| self.record.run.id.clone(), |before| before.run.clone()),
                folder,
                seconds_per_item,
            };
            if self.project.states.put(&name, state) {
                self.project.states.save(&self.project.store.path("stages.json"))?;
            }
        } else if let Some(difference) =
            before.map(|before| decide::parameters_changed(self.project, stage, &before)).transpose()?.flatten()
        {
            self.progress.report(Report::Warning(format!("{difference}, and {name} is taken as it was: a plain `run` makes it again")));
        }
        self.record.stage(&report, output.file, made_with)?;
        self.progress.report(Report::Stage(&report));
        self.share()
    }

    /// Puts what was computed since the last time where others find it.
    fn share(&self) -> Result<()> {
        let project = &*self.project;
        let wanted = self.options.push.unwrap_or(project.pipeline.cache.push);
        let Some(shared) = project.shared.as_ref().filter(|shared| wanted && !shared.is_lost()) else { return Ok(()) };
        let fresh = project.take_fresh();
        if fresh.is_empty() {
            return Ok(());
        }
        let pushed = finished(project, fresh).and_then(|finished| shared.push(finished, &project.store));
        match pushed {
            Ok(Pushed { blobs: 0, .. }) => Ok(()),
            Ok(Pushed { blobs, bytes, .. }) => {
                self.progress.report(Report::Traffic(Traffic { pulled: 0, pushed: blobs, bytes }));
                Ok(())
            }
            // `cache push` finds out later what is missing there.
            Err(error) => shared.without(error),
        }
    }

    /// Brings the stage's folder to what its manifest says.
    fn show(&mut self, stage: usize) -> Result<()> {
        let Some((view, damage)) = &self.views[stage] else { return Ok(()) };
        let name = self.project.pipeline.stages[stage].name.clone();
        let note = (!self.project.pipeline.stages[stage].keeps).then(|| note(&name));
        let digest = note.as_ref().map_or(self.shelved(stage).id.file, |note| Digest::of(note.as_bytes()));
        if view.shows(&digest) && damage.is_none() {
            return Ok(());
        }
        let mut healed = damage.clone();
        let known_before = self.project.states.get(&name).is_some_and(|state| view.shows(&state.output));
        let wanted = match note {
            Some(note) => {
                let digest = self.project.store.cas.put(note.as_bytes())?;
                vec![Wanted { name: NOTE.to_owned(), digest, bytes: note.len() as u64 }]
            }
            None => {
                let wanted = |item: &Item| Wanted { name: item.name.clone(), digest: item.digest, bytes: item.bytes };
                self.manifest(stage)?.items.iter().map(wanted).collect()
            }
        };
        if !healed.missing.is_empty() {
            // What is gone and not wanted any more was not restored.
            let names: HashSet<&str> = wanted.iter().map(|file| file.name.as_str()).collect();
            healed.missing.retain(|name| names.contains(name.as_str()));
        }
        let (mut view, damage) = self.views[stage].take().expect("it was there a moment ago");
        view.sync(&self.project.store, &digest, &wanted, &damage, |fresh| self.store_photos(&name, fresh))?;
        self.views[stage] = Some((view, Damage::default()));
        if known_before {
            self.tell_of(&name, &healed);
        }
        Ok(())
    }

    /// Photos that a folder shows are stored first, as a copy: the user may edit or delete the original at any time.
    fn store_photos(&self, stage: &str, wanted: &[&Wanted]) -> Result<()> {
        wanted.par_iter().filter(|file| !self.project.store.cas.has(&file.digest, file.bytes)).try_for_each(|file| {
            let Some(path) = self.originals.path(&file.digest) else {
                return Err(Error::Lost { what: format!("the stored picture of data/{stage}/{} is gone", file.name) });
            };
            if self.project.store.cas.adopt_copy(path, &file.digest, file.bytes)? {
                return Ok(());
            }
            Err(Error::Stage {
                stage: stage.to_owned(),
                what: format!("{} was changed while it was being worked on", file.name),
                hint: "run again: the photo as it is now will be taken".to_owned(),
            })
        })
    }

    fn tell_of(&self, stage: &str, damage: &Damage) {
        let tell = |names: &[String], what: &str| match names {
            [] => {}
            [only] => self.progress.report(Report::Warning(format!("data/{stage}: {what}: {only}"))),
            [first, rest @ ..] => self.progress.report(Report::Warning(format!("data/{stage}: {what}: {first} and {} more", rest.len()))),
        };
        let is_verify = self.project.pipeline.find(stage).is_ok_and(|at| self.project.pipeline.stages[at].entry.kind.name == "verify");
        let restored = if is_verify {
            "restored what was missing (`catgen-pipe verify --from-folder`, before a run, rejects what you deleted)"
        } else {
            "restored what was missing"
        };
        tell(&damage.missing, restored);
        tell(&damage.tampered, "restored what somebody changed (what was there is in .catgen/set-aside)");
        let foreign: Vec<String> = damage.foreign.iter().map(|path| path.display().to_string()).collect();
        tell(&foreign, "moved to .catgen/set-aside what is not ours (photos belong into the folder of the first stage)");
    }
}

/// What these actions came to, where that is of use to others.
pub(crate) fn finished(project: &Project, keys: Vec<ActionKey>) -> Result<Vec<Finished>> {
    let actions = project.actions()?;
    let finished = keys.into_iter().filter_map(|key| {
        let (outcome, took) = actions.get_timed(&key)?;
        Finished::of(key, outcome, took)
    });
    Ok(finished.collect())
}

/// The one file in the folder of a stage that keeps no pictures.
const NOTE: &str = "README.txt";

fn note(stage: &str) -> String {
    let short = stage.rsplit('/').next().unwrap_or(stage);
    format!(
        "The pictures of this stage are not kept: `store = \"none\"` in pipeline.toml.\n\
         They are made again whenever they are needed. To look at them:\n\n    catgen-pipe inspect {short} --sheet sheet.png\n"
    )
}

/// Whether the next run may take this result for finished: not if a file could only just not be read.
fn is_lasting(manifest: &Manifest) -> bool {
    manifest.rejections.iter().all(|rejection| catgen_api::is_about_content(&rejection.kind))
}
