//! One million items: 2,000 photos → 250 copies of each → one tiny picture of each copy, by stages that do nearly nothing.

use std::{fs, path::Path};

use catgen_api::{BuildContext, Facts, Input, ItemStage, Kind, Made, Output, Params, Picture, Shape, StageError, Verdict};
use catgen_picture::{Rgb, RgbImage, encode_png};
use catgen_pipe::{Project, Workspace, plan, progress::Silent, registry::Entry, registry::STAGES, run, tools::Tools};

use crate::{floor, measure};

const PHOTOS: u32 = 2_000;
const COPIES: u32 = 250;

const PIPELINE: &str = r#"
[[stage]]
name = "0.ORIGINAL"
use = "original"

[[stage]]
name = "1.Copies"
use = "copy"
from = "0.ORIGINAL"

[[stage]]
name = "2.Tiny"
use = "tiny"
from = "1.Copies"
"#;

const COPY: Kind = Kind { name: "copy", version: 1, shape: Shape::Item, random: false, summary: "many of one", params: &[] };
const TINY: Kind = Kind { name: "tiny", version: 1, shape: Shape::Item, random: false, summary: "one of one", params: &[] };

/// Writes a number into a picture of its own.
struct Fake {
    copies: u32,
}

impl ItemStage for Fake {
    fn fan_out(&self) -> usize {
        self.copies as usize
    }

    fn apply(&self, input: &Input<'_>) -> Result<Verdict, StageError> {
        let Picture::Rgb(picture) = input.picture else { return Ok(Verdict::Keep(Vec::new())) };
        let outputs = (0..self.copies).map(|k| {
            let mut picture = picture.clone();
            let mark = u32::from_le_bytes([picture.get_pixel(1, 0)[0], picture.get_pixel(1, 0)[1], self.copies as u8, 1]) + k;
            picture.put_pixel(1, 0, Rgb([mark as u8, (mark >> 8) as u8, (mark >> 16) as u8]));
            let tag = if self.copies > 1 { format!("{k:03}") } else { String::new() };
            Output { tag, made: Made::Picture(Picture::Rgb(picture)), facts: Facts::new() }
        });
        Ok(Verdict::Keep(outputs.collect()))
    }
}

fn build_copy(_: &Params, _: &BuildContext) -> Result<Box<dyn ItemStage>, StageError> {
    Ok(Box::new(Fake { copies: COPIES }))
}

fn build_tiny(_: &Params, _: &BuildContext) -> Result<Box<dyn ItemStage>, StageError> {
    Ok(Box::new(Fake { copies: 1 }))
}

fn project(root: &Path) -> Project {
    let kinds = [STAGES, &[Entry::of_item(&COPY, build_copy), Entry::of_item(&TINY, build_tiny)]].concat();
    let workspace = Workspace::open(root).expect("it has a pipeline.toml");
    Project::open(workspace, Vec::new(), &kinds, Tools::default()).expect("the pipeline is valid")
}

/// In a process of its own: a `run`.
pub(crate) fn run(root: &Path) {
    let summary = run::run(&mut project(root), &run::Options::default(), &Silent).expect("nothing can fail");
    println!("computed {}", summary.stages.iter().map(|stage| stage.computed).sum::<usize>());
    println!("items {}", summary.stages.iter().map(|stage| stage.items_out).sum::<usize>());
    println!("peak_mb {:.0}", measure::peak_mb());
}

/// In a process of its own: a `plan`.
pub(crate) fn plan(root: &Path) {
    let project = project(root);
    let lines = plan::plan(&project, &vec![true; project.pipeline.stages.len()], plan::LOOK_AHEAD).expect("nothing can fail");
    println!("computed {}", lines.iter().map(|line| line.compute).sum::<usize>());
    println!("peak_mb {:.0}", measure::peak_mb());
}

pub(crate) fn bench() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let root = folder.path().to_str().expect("temporary folders have plain names");
    let photos = folder.path().join("data/0.ORIGINAL");
    fs::create_dir_all(&photos).expect("a folder can be made");
    fs::write(folder.path().join("pipeline.toml"), PIPELINE).expect("a file can be written");
    for n in 0..PHOTOS {
        let picture = RgbImage::from_fn(4, 4, |x, y| Rgb([n as u8, (n >> 8) as u8, if (x, y) == (1, 0) { 0 } else { 9 }]));
        fs::write(photos.join(format!("{n:04}.png")), encode_png(&Picture::Rgb(picture))).expect("a file can be written");
    }
    let cold = measure::cost(measure::part(&["million-run", root]));
    let items = cold.said("items");
    measure::line("first run", &cold, "", 0.0, &format!("{items} items, {} MB", cold.said("peak_mb")));
    measure::let_times_settle();
    measure::cost(measure::part(&["million-run", root]));
    let list = folder.path().join("list");
    let files = floor::list(&folder.path().join("data"), &list);
    let list = list.to_str().expect("temporary folders have plain names");
    let floor = measure::median(3, || measure::part(&["floor", list]));
    measure::line("floor: list, one stat a file, compare", &floor, "floor", floor.cpu, &format!("{files} files"));
    for (what, part) in [("run, nothing to do", "million-run"), ("plan, nothing to do", "million-plan")] {
        let cost = measure::median(3, || measure::part(&[part, root]));
        assert_eq!(cost.said("computed"), 0.0);
        measure::line(what, &cost, "floor", floor.cpu, &format!("{} MB", cost.said("peak_mb")));
    }
}
