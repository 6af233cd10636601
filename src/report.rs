//! `Report`: what a run did, as one HTML file that opens from disk.
//!
//! It holds everything it shows: thumbnails and grids as data URIs, curves as SVG, no script, nothing from the network; a
//! policy in its head forbids browsers to fetch anything, and every name in it is escaped. Pictures are of the stages as they
//! are when it is written, so only the newest run's report shows them.

pub(crate) mod chart;
mod page;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use catgen_api::{Item, Manifest, Rejection, Shape};
use catgen_picture::{Picture, Rgb, decode, encode_jpeg, fit_within};
use rayon::prelude::*;
use serde_json::Value;

use crate::{
    Pipeline, Project,
    cache::write_whole,
    error::Result,
    pipeline::Override,
    preview::evenly,
    progress::StageReport,
    record::{self, RunRecord},
    registry::STAGES,
    sheet::on_checkerboard,
    shelf::{self, Shelf},
};

/// The file in a run's folder.
pub const FILE: &str = "report.html";

/// Pictures shown of each stage.
const PICTURES: usize = 12;

/// Rejections shown of each kind, with their pictures; the rest are counted.
const REJECTIONS: usize = 8;

/// The longest side of a thumbnail in pixels, and JPEG's quality: about 5 KB each.
const THUMBNAIL: (u32, u8) = (128, 82);

/// The same for a training's grid.
const GRID: (u32, u8) = (768, 85);

/// Everything a report shows.
struct Page<'a> {
    project: &'a str,
    run: &'a RunRecord,
    /// Why there are no pictures, if there are none.
    note: Option<String>,
    sections: Vec<Section>,
    trainings: Vec<Training>,
    parameters: Vec<Parameters>,
}

/// One stage.
struct Section {
    name: String,
    summary: &'static str,
    report: Option<StageReport>,
    pictures: Vec<Thumbnail>,
    rejections: Vec<Rejected>,
}

/// A small picture as a data URI, with what stands under it.
struct Thumbnail {
    uri: String,
    words: String,
}

/// What did not go on for one kind of reason.
struct Rejected {
    kind: String,
    count: usize,
    shown: Vec<RejectedPicture>,
}

struct RejectedPicture {
    reason: String,
    /// The picture, then the one kept in its place.
    pictures: Vec<Thumbnail>,
    words: String,
}

/// One training: its last measures, its curves, its grids.
struct Training {
    stage: String,
    folder: String,
    measures: Vec<(String, Value)>,
    /// One line of `stats.jsonl` each.
    epochs: Vec<serde_json::Map<String, Value>>,
    grids: Vec<Thumbnail>,
}

/// A stage's parameters, as the run had them.
struct Parameters {
    stage: String,
    kind: &'static str,
    /// Name, value, whether it is the default.
    values: Vec<(String, String, bool)>,
}

/// Writes the report of a run into its folder and answers where.
///
/// # Errors
/// The file system's.
pub fn write(project: &Project, run: &RunRecord) -> Result<PathBuf> {
    let newest = record::list(&project.workspace).pop();
    let is_newest = newest.is_none_or(|newest| newest.id == run.id);
    let note = (!is_newest)
        .then(|| "Stages have changed since this run, so their pictures are not shown here: the newest run's report has them.".to_owned());
    let page = Page {
        project: &project.pipeline.name,
        run,
        note,
        sections: sections(project, run, is_newest),
        trainings: run.metrics.iter().map(|(stage, metrics)| training(project, stage, metrics)).collect(),
        parameters: parameters(project, run),
    };
    let path = path(project, run);
    write_whole(&path, page::html(&page).as_bytes())?;
    Ok(path)
}

/// Where the report of a run is, or would be.
pub fn path(project: &Project, run: &RunRecord) -> PathBuf {
    project.workspace.runs().join(&run.id).join(FILE)
}

/// The stages of the run, with pictures if they are still those of the run.
fn sections(project: &Project, run: &RunRecord, with_pictures: bool) -> Vec<Section> {
    let of_run = |report: &StageReport| {
        let at = project.pipeline.stages.iter().position(|stage| stage.name == report.stage);
        let Some(at) = at.filter(|_| with_pictures) else {
            return Section {
                name: report.stage.clone(),
                summary: "",
                report: Some(report.clone()),
                pictures: Vec::new(),
                rejections: Vec::new(),
            };
        };
        let stage = &project.pipeline.stages[at];
        let state = project.states.get(&stage.name).filter(|_| stage.shape() != Shape::Train);
        let manifest = state.and_then(|state| project.store.manifest_sample(&state.output, PICTURES)).unwrap_or_default();
        Section {
            name: stage.name.clone(),
            summary: stage.entry.kind.summary,
            report: Some(report.clone()),
            pictures: pictures(project, at, &manifest),
            rejections: rejections(project, at, &manifest.rejections),
        }
    };
    run.stages.iter().map(of_run).collect()
}

fn pictures(project: &Project, stage: usize, manifest: &Manifest) -> Vec<Thumbnail> {
    // What a packed dataset links is the same as in the stage before it.
    if project.pipeline.stages[stage].shape() == Shape::Pack {
        return Vec::new();
    }
    let shown: Vec<&Item> = manifest.items.iter().filter(|item| item.width > 0).collect();
    shown
        .into_par_iter()
        .filter_map(|item| Some(thumbnail(&shelf::picture(project, stage, item, THUMBNAIL.0)?, &item.name, THUMBNAIL)))
        .collect()
}

fn rejections(project: &Project, stage: usize, all: &[Rejection]) -> Vec<Rejected> {
    if all.is_empty() {
        return Vec::new();
    }
    let from = project.pipeline.stages[stage].from.unwrap_or(stage);
    let shelf = Shelf::of(project, from);
    let names = shelf.by_photo();
    let mut by_kind: BTreeMap<&str, Vec<&Rejection>> = BTreeMap::new();
    for rejection in all {
        by_kind.entry(&rejection.kind).or_default().push(rejection);
    }
    let named = |name: &str, words: &str| Some(thumbnail(&shelf.named(name, THUMBNAIL.0)?, words, THUMBNAIL));
    let picture = |rejection: &&Rejection| {
        let own = named(&rejection.name, &rejection.name);
        // The photo kept for a duplicate, as the stage before calls it.
        let kept = rejection.of.as_deref().and_then(|of| names.get(of)).and_then(|name| named(name, &format!("kept: {name}")));
        RejectedPicture { reason: rejection.reason.clone(), pictures: own.into_iter().chain(kept).collect(), words: rejection.name.clone() }
    };
    let kinds = by_kind.into_iter().map(|(kind, rejections)| Rejected {
        kind: kind.to_owned(),
        count: rejections.len(),
        shown: evenly(&rejections, REJECTIONS).par_iter().map(picture).collect(),
    });
    kinds.collect()
}

/// A picture made small, as a data URI.
fn thumbnail(picture: &Picture, words: &str, (side, quality): (u32, u8)) -> Thumbnail {
    let picture = fit_within(std::borrow::Cow::Borrowed(picture), Some(side));
    let opaque = if picture.has_alpha() { on_checkerboard(&picture) } else { picture.over(Rgb([255; 3])).into_owned() };
    let uri = format!("data:image/jpeg;base64,{}", STANDARD.encode(encode_jpeg(&Picture::Rgb(opaque), quality)));
    Thumbnail { uri, words: words.to_owned() }
}

/// A training's grid; `None` where there is none.
fn grid(path: &Path, words: &str) -> Option<Thumbnail> {
    let picture = decode(&fs::read(path).ok()?, Some(GRID.0)).ok()?.picture;
    Some(thumbnail(&picture, words, GRID))
}

fn training(project: &Project, stage: &str, metrics: &Value) -> Training {
    let folder = metrics.get("folder").and_then(Value::as_str).unwrap_or_default().to_owned();
    let root = project.workspace.root().join(&folder);
    let lines = if folder.is_empty() { String::new() } else { fs::read_to_string(root.join("stats.jsonl")).unwrap_or_default() };
    let measures = metrics.as_object().into_iter().flatten().filter(|(name, value)| *name != "folder" && !value.is_null());
    let samples = samples(&root.join("samples"));
    // The first that shows anything, one in the middle, the last: `epoch-0000` is from before the first step.
    let picked: Vec<&PathBuf> = match samples.len() {
        0..=3 => samples.iter().collect(),
        count => [1, count / 2, count - 1].iter().map(|at| &samples[*at]).collect(),
    };
    let name = |path: &Path| path.file_stem().map_or(String::new(), |stem| stem.to_string_lossy().into_owned());
    let grids = picked.into_iter().filter_map(|path| grid(path, &name(path)));
    let reals = (!folder.is_empty()).then(|| grid(&root.join("reals.png"), "real pictures")).flatten();
    Training {
        stage: stage.to_owned(),
        measures: measures.map(|(name, value)| (name.clone(), value.clone())).collect(),
        epochs: lines.lines().filter_map(|line| serde_json::from_str(line).ok()).collect(),
        grids: grids.chain(reals).collect(),
        folder,
    }
}

/// The grids of a training, by epoch.
fn samples(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "png"));
    files.sort();
    files
}

/// The parameters of the run, from its own copy of `pipeline.toml`; none where this version cannot read it any more.
fn parameters(project: &Project, run: &RunRecord) -> Vec<Parameters> {
    let file = project.workspace.runs().join(&run.id).join("pipeline.toml");
    let Ok(text) = fs::read_to_string(&file) else { return Vec::new() };
    let overrides: Vec<Override> = run.set.iter().filter_map(|text| Override::parse(text).ok()).collect();
    let Ok(pipeline) = Pipeline::parse("pipeline.toml", &text, &overrides, STAGES) else { return Vec::new() };
    let stages = pipeline.stages.iter().map(|stage| {
        let kind = stage.entry.kind;
        let default = |name: &str| kind.params.iter().find(|param| param.name == name).map(catgen_api::Param::default_value);
        let values = stage.params.iter().map(|(name, value)| (name.to_owned(), value.to_string(), default(name).as_ref() == Some(value)));
        Parameters { stage: stage.name.clone(), kind: kind.name, values: values.collect() }
    });
    stages.collect()
}

/// The run that a person means, with its report: written now, unless it is an older run's that shows what is gone since.
///
/// # Errors
/// There is no such run, or the file system's.
pub fn find_or_write(project: &Project, word: &str) -> Result<PathBuf> {
    let run = record::find(&project.workspace, word)?;
    let newest = record::list(&project.workspace).pop().is_some_and(|newest| newest.id == run.id);
    let path = path(project, &run);
    if !newest && path.is_file() {
        return Ok(path);
    }
    write(project, &run)
}
