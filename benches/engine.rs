//! What a run with nothing to do costs, beside the floor: one `stat` for every file that it answers for.
//!
//! `cargo bench --bench engine`. 200 photos × (1 + 64 + 64) = 25,800 files; read the ratio of the lines, not the times.

use std::{fs, path::Path, sync::LazyLock};

use catgen_api::{Digest, Draw, Picture};
use catgen_picture::{Rgb, RgbImage, encode_png};
use catgen_pipe::{Project, Workspace, plan, progress::Silent, registry::STAGES, run, tools::Tools};

const PHOTOS: u64 = 200;
const PIPELINE: &str = r#"
[[stage]]
name = "0.ORIGINAL"
use = "original"

[[stage]]
name = "5.Augmented_data"
use = "augment"
from = "0.ORIGINAL"

[[stage]]
name = "6.Photos_64px"
use = "resize"
from = "5.Augmented_data"
side = 16
"#;

/// A workspace in which everything is done.
static DONE: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let photos = folder.path().join("data/0.ORIGINAL");
    fs::create_dir_all(&photos).expect("a folder can be made");
    fs::write(folder.path().join("pipeline.toml"), PIPELINE).expect("a file can be written");
    for n in 0..PHOTOS {
        let mut draw = Draw::new(7439, "photo", &Digest::of(b""), n);
        let picture = RgbImage::from_fn(32, 32, |_, _| Rgb([draw.below(256) as u8, draw.below(256) as u8, draw.below(256) as u8]));
        fs::write(photos.join(format!("{n:04}.png")), encode_png(&Picture::Rgb(picture))).expect("a file can be written");
    }
    engine_run(folder.path());
    // The memo trusts a file once it is older than the clock's grain.
    std::thread::sleep(std::time::Duration::from_millis(2500));
    engine_run(folder.path());
    folder
});

fn main() {
    LazyLock::force(&DONE);
    divan::main();
}

fn project(root: &Path) -> Project {
    let workspace = Workspace::open(root).expect("it has a pipeline.toml");
    Project::open(workspace, Vec::new(), STAGES, Tools::default()).expect("the pipeline is valid")
}

fn engine_run(root: &Path) -> usize {
    let summary = run::run(&mut project(root), &run::Options::default(), &Silent).expect("nothing can fail");
    summary.stages.iter().map(|stage| stage.computed).sum()
}

/// The floor: walk the folders and look at every file once.
#[divan::bench]
fn stat_every_file() -> u64 {
    let files = walkdir::WalkDir::new(DONE.path().join("data")).into_iter().filter_map(Result::ok);
    files.filter_map(|entry| entry.metadata().ok()).map(|metadata| metadata.len()).sum()
}

/// A whole `run` that finds nothing to do, its record included.
#[divan::bench]
fn run_with_nothing_to_do() -> usize {
    let computed = engine_run(DONE.path());
    assert_eq!(computed, 0);
    computed
}

/// A whole `plan` that finds nothing to do.
#[divan::bench]
fn plan_with_nothing_to_do() -> usize {
    let project = project(DONE.path());
    let lines = plan::plan(&project, &vec![true; project.pipeline.stages.len()], plan::LOOK_AHEAD).expect("nothing can fail");
    lines.iter().map(|line| line.compute).sum()
}
