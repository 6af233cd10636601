//! Running a pack stage: all items into files, which become blobs like any picture.

use std::{
    sync::{Arc, Mutex},
    time::Instant,
};

use catgen_api::{Item, Manifest, PackFile, PackedFile, Photo, StageError};

use super::{Lazy, Listed, Made, Product, Run, bring};
use crate::{
    Error,
    cache::actions::Outcome,
    decide::{self, Freshness},
    error::Result,
    progress::Report,
    registry::Built,
};

pub(super) fn run(run: &mut Run<'_>, stage: usize) -> Result<Product> {
    let from = run.from(stage);
    let (input, items_in) = (run.shelved(from).id, run.shelved(from).items);
    let product = |made, busy| Ok(Product { stage, input, items_in, made, busy });
    if run.freshness(stage, &input)? == Freshness::Fresh {
        return product(Made::Nothing, Default::default());
    }
    let project = &*run.project;
    let name = &project.pipeline.stages[stage].name;
    bring::packed(project, stage, &input.items, run.progress)?;
    let (key, known) = decide::whole(project, stage, &input.items)?;
    if let Some(Outcome::Packed { manifest }) = known
        && let Some(manifest) = project.store.manifest(&manifest)
    {
        return product(Made::Manifest { listed: manifest.into(), computed: 0, reused: items_in }, Default::default());
    }
    let Built::Pack(code) = &project.node(stage)?.built else {
        return product(Made::Manifest { listed: Manifest::default().into(), computed: 0, reused: 0 }, Default::default());
    };
    let began = Instant::now();
    let manifest = run.manifest(from)?;
    run.progress.report(Report::Begin { stages: &[name], items: items_in });
    // An error of our own on its way through the stage's code: kept whole, because what the store lost can be made again.
    let engine_error: Mutex<Option<Error>> = Mutex::default();
    let open = |item: &Item| match Lazy::file(project, &run.originals, item.digest).look(None, Clone::clone) {
        Ok(Ok(picture)) => Ok(picture),
        Ok(Err(reason)) => Err(StageError::Broken { what: format!("{}: {}", item.name, reason.text), hint: String::new() }),
        Err(error) => {
            let stopped = StageError::Broken { what: error.to_string(), hint: String::new() };
            *engine_error.lock().expect("no thread panics while it holds this lock") = Some(error);
            Err(stopped)
        }
    };
    let scratch = project.store.scratch()?;
    let done = |n| run.progress.report(Report::Advance(n));
    let files = code.pack(&manifest.items, &open, scratch.path(), &done);
    let files = files.map_err(|error| engine_error.into_inner().ok().flatten().unwrap_or_else(|| Error::stage(name, error)))?;
    // Made from all photos, so from no one of them.
    let all = Arc::new(Photo { path: String::new(), digest: input.items, size: [0, 0] });
    let mut items = Vec::with_capacity(files.len());
    for PackFile { name, content, facts } in files {
        items.push(match content {
            PackedFile::Item(at) => {
                let item = &manifest.items[at];
                Item { name, facts, input: item.digest, ..item.clone() }
            }
            PackedFile::Written => {
                let (digest, bytes) = project.store.cas.adopt(&scratch.path().join(&name))?;
                Item { name, digest, width: 0, height: 0, bytes, photo: Arc::clone(&all), input: input.items, facts }
            }
        });
    }
    let packed = Manifest::new(items, Vec::new());
    let packed = Listed::from(packed);
    project.store.put_manifest_bytes(&packed.id.file, &packed.bytes)?;
    project.actions()?.put(&key, &Outcome::Packed { manifest: packed.id.file })?;
    product(Made::Manifest { listed: packed, computed: items_in, reused: 0 }, began.elapsed())
}
