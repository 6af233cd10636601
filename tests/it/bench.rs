//! A workspace in a temporary folder and stages that count how often they really ran.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::{Path, PathBuf},
    sync::{LazyLock, Mutex},
    time::{Duration, SystemTime},
};

use catgen_api::{
    Batch, BatchItem, BatchStage, BuildContext, Facts, Input, Item, ItemStage, Kind, Made, Output, Param, ParamKind, Params, Picture,
    Reason, SetStage, SetVerdict, Shape, StageError, Verdict,
};
use catgen_picture::{Rgb, RgbImage};
use catgen_pipe::{
    Project, Result, Workspace,
    pipeline::Override,
    plan::{self, PlanLine},
    progress::{Progress, Report, Silent, StageReport},
    registry::{Entry, STAGES},
    run::{self, Options, Summary},
    tools::Tools,
};

/// How often stage code ran, by workspace and stage kind.
static RAN: LazyLock<Mutex<HashMap<(PathBuf, &'static str), usize>>> = LazyLock::new(Mutex::default);

fn ran(workspace: &Path, kind: &'static str) {
    // In a process that will be killed: one byte a time, which nothing can take back.
    if let Some(tally) = std::env::var_os("CATGEN_TEST_TALLY") {
        let mut tally = fs::OpenOptions::new().append(true).create(true).open(tally).unwrap();
        std::io::Write::write_all(&mut tally, b".").unwrap();
    }
    *RAN.lock().unwrap().entry((workspace.to_owned(), kind)).or_default() += 1;
}

const COPIES: Param = Param { name: "copies", kind: ParamKind::Whole { default: 3, min: 1, max: 50 }, doc: "pictures per item" };
const NOTHING: Param = Param { name: "nothing", kind: ParamKind::Whole { default: 0, min: 0, max: 9 }, doc: "read, and changes no pixel" };

const DARKEN: Kind =
    Kind { name: "darken", version: 1, shape: Shape::Item, random: false, summary: "halves every value", params: &[NOTHING] };
const COPY: Kind = Kind { name: "copy", version: 1, shape: Shape::Item, random: true, summary: "K pictures per item", params: &[COPIES] };
const TINY: Kind = Kind { name: "tiny", version: 1, shape: Shape::Item, random: false, summary: "8 × 8", params: &[] };
const GROUP: Kind =
    Kind { name: "group", version: 1, shape: Shape::Item, random: false, summary: "darkens many in one go", params: &[NOTHING] };
const UNIQUE: Kind =
    Kind { name: "unique", version: 1, shape: Shape::Set, random: false, summary: "one per red value", params: &[NOTHING] };

/// The real kinds and the fake ones.
pub(crate) fn kinds() -> Vec<Entry> {
    let mut kinds = STAGES.to_vec();
    kinds
        .push(Entry::of_item(&DARKEN, |_, context| Ok(Box::new(Fake { kind: "darken", copies: 1, workspace: context.workspace.clone() }))));
    kinds.push(Entry::of_item(&TINY, |_, context| Ok(Box::new(Fake { kind: "tiny", copies: 1, workspace: context.workspace.clone() }))));
    kinds.push(Entry::of_item(&GROUP, |_, context| Ok(Box::new(Group { workspace: context.workspace.clone() }))));
    kinds.push(Entry::of_item(&COPY, build_copy));
    kinds.push(Entry::of_set(&UNIQUE, |_, context| Ok(Box::new(Unique { workspace: context.workspace.clone() }))));
    kinds
}

fn build_copy(params: &Params, context: &BuildContext) -> std::result::Result<Box<dyn ItemStage>, StageError> {
    let copies = params.iter().find(|(name, _)| *name == "copies").and_then(|(_, value)| value.as_u64()).unwrap();
    Ok(Box::new(Fake { kind: "copy", copies: copies as usize, workspace: context.workspace.clone() }))
}

struct Fake {
    kind: &'static str,
    copies: usize,
    workspace: PathBuf,
}

impl ItemStage for Fake {
    fn fan_out(&self) -> usize {
        self.copies
    }

    fn apply(&self, input: &Input<'_>) -> std::result::Result<Verdict, StageError> {
        ran(&self.workspace, self.kind);
        let rgb = input.picture.over(Rgb([0; 3])).into_owned();
        assert_ne!(rgb.get_pixel(0, 0).0, [66, 66, 66], "this very picture makes the code panic");
        if rgb.get_pixel(0, 0).0 == [77, 77, 77] {
            return Ok(Verdict::Reject(Reason::new("grey", "this picture is grey")));
        }
        let outputs = (0..self.copies).map(|k| {
            let picture = match self.kind {
                "tiny" => RgbImage::from_pixel(8, 8, *rgb.get_pixel(0, 0)),
                "darken" => RgbImage::from_fn(rgb.width(), rgb.height(), |x, y| Rgb(rgb.get_pixel(x, y).0.map(|v| v / 2))),
                _ => {
                    let mut copy = rgb.clone();
                    copy.put_pixel(0, 0, Rgb([rgb.get_pixel(0, 0)[0], k as u8, 7]));
                    copy
                }
            };
            Output {
                tag: if self.copies > 1 { format!("{k:02}") } else { String::new() },
                made: Made::Picture(Picture::Rgb(picture)),
                facts: Facts::new(),
            }
        });
        Ok(Verdict::Keep(outputs.collect()))
    }
}

/// Darkens, all missing pictures in one go. Writes what it was told into `group.log`; a file `fail_after` in the workspace makes it
/// fail after so many.
struct Group {
    workspace: PathBuf,
}

impl ItemStage for Group {
    fn apply(&self, _: &Input<'_>) -> std::result::Result<Verdict, StageError> {
        unreachable!("a stage that works in batches is asked in batches")
    }

    fn batch(&self) -> Option<&dyn BatchStage> {
        Some(self)
    }
}

impl BatchStage for Group {
    fn apply_all(
        &self,
        batch: &Batch<'_>,
        open: &(dyn Fn(usize) -> std::result::Result<std::result::Result<Picture, Reason>, StageError> + Sync),
        done: &mut dyn FnMut(usize, Verdict) -> std::result::Result<(), StageError>,
        _: &(dyn Fn() -> bool + Sync),
    ) -> std::result::Result<(), StageError> {
        let told = |item: &BatchItem<'_>| format!("{}{}", if item.changed { "~" } else { "+" }, item.name);
        let removed = batch.removed.iter().map(|name| format!("-{name}"));
        fs::write(self.workspace.join("group.log"), batch.items.iter().map(told).chain(removed).collect::<Vec<_>>().join(" ")).unwrap();
        let fail_after = fs::read_to_string(self.workspace.join("fail_after")).map_or(usize::MAX, |text| text.trim().parse().unwrap());
        for at in 0..batch.items.len() {
            if at == fail_after {
                return Err(StageError::Broken { what: "it ran out of paint".to_owned(), hint: String::new() });
            }
            ran(&self.workspace, "group");
            let verdict = match open(at)? {
                Ok(picture) => {
                    let rgb = picture.over(Rgb([0; 3])).into_owned();
                    let dark = RgbImage::from_fn(rgb.width(), rgb.height(), |x, y| Rgb(rgb.get_pixel(x, y).0.map(|v| v / 2)));
                    let made = Made::Picture(Picture::Rgb(dark));
                    Verdict::Keep(vec![Output { tag: String::new(), made, facts: Facts::new() }])
                }
                Err(reason) => Verdict::Reject(reason),
            };
            done(at, verdict)?;
        }
        Ok(())
    }
}

struct Unique {
    workspace: PathBuf,
}

impl SetStage for Unique {
    fn fact_params(&self) -> &'static [&'static str] {
        &[]
    }

    fn fact(&self, input: &Input<'_>) -> std::result::Result<Facts, StageError> {
        ran(&self.workspace, "unique");
        let red = input.picture.over(Rgb([0; 3])).get_pixel(0, 0)[0];
        Ok(Facts::from_iter([("red".to_owned(), red.into())]))
    }

    fn decide(&self, items: &[(&Item, &Facts)]) -> std::result::Result<Vec<SetVerdict>, StageError> {
        let mut first: BTreeMap<u64, usize> = BTreeMap::new();
        let verdicts = items.iter().enumerate().map(|(at, (_, facts))| {
            let kept = *first.entry(facts["red"].as_u64().unwrap()).or_insert(at);
            if kept == at {
                return SetVerdict::Keep(Facts::new());
            }
            SetVerdict::Drop { reason: Reason::new("duplicate", "the same red"), of: Some(kept), distance: Some(0) }
        });
        Ok(verdicts.collect())
    }
}

/// The workspace in `root`, with the fake kinds.
pub(crate) fn project(root: &Path, set: &[&str]) -> Result<Project> {
    let set = set.iter().map(|text| Override::parse(text).unwrap()).collect();
    Project::open(Workspace::open(root).unwrap(), set, &kinds(), Tools::default())
}

/// A workspace with a pipeline of fake stages.
pub(crate) struct Bench {
    pub(crate) folder: tempfile::TempDir,
}

/// Photos → one per red value → darken → K copies → tiny.
pub(crate) const PIPELINE: &str = r#"
[pipeline]
seed = 1

[[stage]]
name = "0.ORIGINAL"
use = "original"

[[stage]]
name = "1.Unique"
use = "unique"
from = "0.ORIGINAL"

[[stage]]
name = "2.Dark"
use = "darken"
from = "1.Unique"

[[stage]]
name = "in/3.Copies"
use = "copy"
from = "2.Dark"
copies = 3

[[stage]]
name = "4.Tiny"
use = "tiny"
from = "in/3.Copies"
"#;

/// Counts per stage of [`PIPELINE`]: computed, reused, removed.
pub(crate) type Counts = Vec<(usize, usize, usize)>;

impl Bench {
    pub(crate) fn new(pipeline: &str) -> Self {
        let bench = Self { folder: tempfile::tempdir().unwrap() };
        bench.pipeline(pipeline);
        fs::create_dir_all(bench.path("data/0.ORIGINAL")).unwrap();
        bench
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn pipeline(&self, text: &str) {
        fs::write(self.path("pipeline.toml"), text).unwrap();
    }

    /// Writes a photo whose colour is `(red, green, blue)`, with times long past so that nothing is racy.
    pub(crate) fn photo(&self, name: &str, colour: [u8; 3]) {
        let path = self.path("data/0.ORIGINAL").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, catgen_picture::encode_png(&Picture::Rgb(RgbImage::from_pixel(20, 10, Rgb(colour))))).unwrap();
        self.touch(name, 100_000);
    }

    pub(crate) fn touch(&self, name: &str, seconds_ago: u64) {
        let file = fs::OpenOptions::new().write(true).open(self.path("data/0.ORIGINAL").join(name)).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(seconds_ago)).unwrap();
    }

    pub(crate) fn remove(&self, name: &str) {
        fs::remove_file(self.path("data/0.ORIGINAL").join(name)).unwrap();
    }

    pub(crate) fn project(&self, set: &[&str]) -> Result<Project> {
        project(self.folder.path(), set)
    }

    pub(crate) fn run(&self, set: &[&str]) -> Summary {
        self.try_run(set, &Silent).unwrap()
    }

    pub(crate) fn try_run(&self, set: &[&str], progress: &dyn Progress) -> Result<Summary> {
        run::run(&mut self.project(set)?, &Options::default(), progress)
    }

    /// Runs and answers computed, reused, removed per stage.
    pub(crate) fn counts(&self, set: &[&str]) -> Counts {
        self.run(set).stages.iter().map(|stage| (stage.computed, stage.reused, stage.removed)).collect()
    }

    pub(crate) fn plan(&self, set: &[&str]) -> Vec<PlanLine> {
        let project = self.project(set).unwrap();
        plan::plan(&project, &vec![true; project.pipeline.stages.len()], plan::LOOK_AHEAD).unwrap()
    }

    /// How often the code of a fake kind ran since the last time this was asked.
    pub(crate) fn ran(&self, kind: &'static str) -> usize {
        let root = self.folder.path().canonicalize().unwrap();
        RAN.lock().unwrap().remove(&(root, kind)).unwrap_or(0)
    }

    /// Every file below `data/` but the photos, with its content.
    pub(crate) fn views(&self) -> BTreeMap<String, Vec<u8>> {
        files(&self.path("data")).into_iter().filter(|(name, _)| !name.starts_with("0.ORIGINAL/")).collect()
    }
}

/// Every file below `root` with its content.
pub(crate) fn files(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in walkdir::WalkDir::new(root).into_iter().filter_map(std::result::Result::ok).filter(|entry| entry.file_type().is_file()) {
        let name = entry.path().strip_prefix(root).unwrap().to_string_lossy().into_owned();
        found.insert(name, fs::read(entry.path()).unwrap());
    }
    found
}

/// Keeps what the engine says.
#[derive(Default)]
pub(crate) struct Listener {
    pub(crate) stages: Mutex<Vec<StageReport>>,
    pub(crate) warnings: Mutex<Vec<String>>,
}

impl Progress for Listener {
    fn report(&self, report: Report<'_>) {
        match report {
            Report::Stage(stage) => self.stages.lock().unwrap().push(stage.clone()),
            Report::Warning(text) => self.warnings.lock().unwrap().push(text),
            _ => {}
        }
    }
}
