//! The stage traits. Three shapes; the shape decides the grain of the cache.
//!
//! | shape | looks at | is asked again when |
//! |---|---|---|
//! | [`ItemStage`] | one picture: 1→1, 1→K, or 1→0 with a reason | that picture or a parameter changed |
//! | [`SetStage`] | all items: a cached fact per picture, then one cheap decision | `fact`: that picture; `decide`: the set |
//! | [`PackStage`] | all items, writes files | the set or a parameter changed |
//!
//! Methods that make pictures are pure: no clock, no environment, no global random state, and no file but those
//! declared in [`ItemStage::key_inputs`] and its siblings. Random numbers come from [`crate::Draw`].

use std::{
    borrow::Cow,
    path::{Path, PathBuf},
};

use crate::{Digest, Facts, Item, Param, Picture};

/// The grain of a stage's cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Finds the photos; only `original` is one.
    Source,
    /// One picture at a time: [`ItemStage`].
    Item,
    /// All items at once: [`SetStage`].
    Set,
    /// All items into files: [`PackStage`].
    Pack,
    /// A packed dataset into a trained generator.
    Train,
}

/// What the registry knows of a stage kind before one is built.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    /// The word after `use =` in `pipeline.toml`.
    pub name: &'static str,
    /// Bumped in the commit that changes output bytes: it is in every key of this kind.
    pub version: u32,
    /// The grain of its cache.
    pub shape: Shape,
    /// Whether the pipeline's seed is in its key.
    pub random: bool,
    /// One line for the reference table.
    pub summary: &'static str,
    /// Its parameters, in the order in which they enter the key.
    pub params: &'static [Param],
}

/// What a stage may use while it is being built.
#[derive(Debug, Clone, Default)]
pub struct BuildContext {
    /// The workspace: paths in parameters are relative to it.
    pub workspace: PathBuf,
    /// Folders that may hold model files, in the order in which to look.
    pub models: Vec<PathBuf>,
    /// `libonnxruntime`, if it was found.
    pub onnxruntime: Option<PathBuf>,
    /// The pipeline's seed; only for kinds with `random`, or for a stage that declares it in its `key_inputs`.
    pub seed: u64,
    /// A folder for temporary files, cleared at the start of every run; made by whoever needs it, empty for the system's own.
    pub scratch: PathBuf,
}

/// Something besides parameters and pictures that changes what a stage puts out: a model, a runtime, a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyInput {
    /// How `why` calls it.
    pub name: String,
    /// Its digest or a short text that identifies it.
    pub value: String,
}

/// One picture on its way into [`ItemStage::apply`]: everything the stage may look at, and nothing that is not in its key.
#[derive(Debug)]
pub struct Input<'a> {
    /// The content digest of the picture's file: what [`crate::Draw`] wants.
    pub digest: Digest,
    /// The pixels, upright, no larger than the working size asked for.
    pub picture: &'a Picture,
    /// What [`ItemStage::item_inputs`] declared for this item.
    pub inputs: &'a [KeyInput],
}

impl Input<'_> {
    /// The value declared under `name` for this item.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.inputs.iter().find(|input| input.name == name).map(|input| input.value.as_str())
    }
}

/// What became of one picture.
#[derive(Debug)]
pub enum Verdict {
    /// It goes on, as these pictures.
    Keep(Vec<Output>),
    /// It does not go on.
    Reject(Reason),
}

/// One picture that a stage puts out.
#[derive(Debug)]
pub struct Output {
    /// Added to the file's stem where one item becomes several: unique per item, empty where it stays one.
    pub tag: String,
    /// The picture.
    pub made: Made,
    /// What was found out on the way: shown, not passed on.
    pub facts: Facts,
}

/// The picture of an [`Output`].
#[derive(Debug)]
pub enum Made {
    /// New pixels.
    Picture(Picture),
    /// The input's file, unchanged.
    Same,
}

/// Why a picture does not go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// One word for programs.
    pub kind: Cow<'static, str>,
    /// A sentence a photographer would understand.
    pub text: String,
}

impl Reason {
    /// A reason of that kind.
    pub fn new(kind: impl Into<Cow<'static, str>>, text: impl Into<String>) -> Self {
        Self { kind: kind.into(), text: text.into() }
    }
}

/// Kinds of rejections that say nothing about the picture's content: asked again in the next run, not remembered for the content.
const PASSING: &[&str] = &["unreadable", "changed", "failed", "crashed", "timeout"];

/// Kinds of rejections of a picture that could not be worked on, beside [`PASSING`]; all others are what a stage is there to decide.
const BROKEN: &[&str] =
    &["empty", "not_a_picture", "not_a_file", "unsupported", "too_large", "truncated", "damaged", "panic", "link_loop", "dead_link"];

/// Whether a rejection of that kind is about the picture's content, so that it may be remembered for it.
pub fn is_about_content(kind: &str) -> bool {
    !PASSING.contains(&kind)
}

/// Whether a rejection of that kind means that something went wrong with the picture: not a duplicate, not a decision.
pub fn is_failure(kind: &str) -> bool {
    PASSING.contains(&kind) || BROKEN.contains(&kind)
}

/// A stage that cannot do its work: never the fault of one picture.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StageError {
    /// A parameter's value is of the right type and still of no use.
    #[error("{name}: {message}")]
    Param {
        /// The parameter.
        name: &'static str,
        /// What is wrong with its value.
        message: String,
    },
    /// A file or library that the stage needs is not there.
    #[error("{what}")]
    Missing {
        /// What is missing and where it was looked for.
        what: String,
        /// What to do.
        hint: String,
    },
    /// Anything else.
    #[error("{what}")]
    Broken {
        /// What happened.
        what: String,
        /// What to do.
        hint: String,
    },
}

/// A stage that looks at one picture at a time.
pub trait ItemStage: Send + Sync {
    /// Models, runtimes and the like that go into every item's key.
    fn key_inputs(&self) -> Vec<KeyInput> {
        Vec::new()
    }

    /// The names of parameters that change how the work is done and never what comes of it, such as a number of processes:
    /// they are in no key.
    fn unkeyed_params(&self) -> &'static [&'static str] {
        &[]
    }

    /// What else about this one item goes into its key and is then readable through [`Input::get`].
    fn item_inputs(&self, item: &Item) -> Vec<KeyInput> {
        let _ = item;
        Vec::new()
    }

    /// What [`ItemStage::item_inputs`] depends on besides the item, such as a file of decisions: when it changes every
    /// item is asked for its inputs again, and only those whose own inputs changed are worked on.
    fn watched(&self) -> Vec<KeyInput> {
        Vec::new()
    }

    /// The longest side, in pixels, that the stage wants to see; `None` for full size.
    ///
    /// What arrives was made to fit by `catgen_picture::fit_within`, wherever it came from; a photo is decoded reduced,
    /// which makes a small side cheap. Derive it from parameters only: they are in the key, this method is not.
    fn working_side(&self) -> Option<u32> {
        None
    }

    /// How many pictures one becomes, as far as the parameters tell: what `plan` counts with.
    fn fan_out(&self) -> usize {
        1
    }

    /// The stage itself: a function from a picture to pictures.
    ///
    /// # Errors
    /// Only when the stage is broken. A picture that cannot be used is a [`Verdict::Reject`].
    fn apply(&self, input: &Input<'_>) -> Result<Verdict, StageError>;

    /// Told when there is nothing more to do for now: processes may end and memory may go. Another [`ItemStage::apply`] may follow.
    fn rest(&self) {}

    /// The same stage where it works on many pictures in one go; the engine then asks this and never [`ItemStage::apply`].
    fn batch(&self) -> Option<&dyn BatchStage> {
        None
    }
}

/// An item stage that is given all its missing pictures at once: an outside program that is too slow to start for each.
///
/// The grain of the cache stays the picture: what is finished is told one by one, and remembered at once.
pub trait BatchStage: Send + Sync {
    /// Works on all items, telling `done` of each as soon as it is finished; an item never told of stays missing.
    ///
    /// `open` answers the pixels of the item at a position of the list, fitted to [`ItemStage::working_side`], or why there are none
    /// (then the item is to be told as rejected for that reason). `stopping` turns true when the person at the keyboard wants to stop.
    ///
    /// # Errors
    /// When the stage is broken; what was told before is kept.
    fn apply_all(
        &self,
        batch: &Batch<'_>,
        open: &(dyn Fn(usize) -> Result<Result<Picture, Reason>, StageError> + Sync),
        done: &mut dyn FnMut(usize, Verdict) -> Result<(), StageError>,
        stopping: &(dyn Fn() -> bool + Sync),
    ) -> Result<(), StageError>;
}

/// What a [`BatchStage`] is asked to do.
#[derive(Debug)]
pub struct Batch<'a> {
    /// The items to work on, no two of the same key.
    pub items: &'a [BatchItem<'a>],
    /// The names of items that the stage put something out for the last time and that are gone now.
    pub removed: &'a [String],
}

/// One item of a [`Batch`].
#[derive(Debug)]
pub struct BatchItem<'a> {
    /// The item's name, for people and for the names of files.
    pub name: &'a str,
    /// The content digest of the picture's file.
    pub digest: Digest,
    /// Whether an item of that name, with other content, was there the last time.
    pub changed: bool,
    /// What [`ItemStage::item_inputs`] declared for this item.
    pub inputs: &'a [KeyInput],
}

/// A stage that decides over all items.
pub trait SetStage: Send + Sync {
    /// Models, runtimes and the like that go into the keys of facts and decision.
    fn key_inputs(&self) -> Vec<KeyInput> {
        Vec::new()
    }

    /// As [`ItemStage::working_side`], for [`SetStage::fact`].
    fn working_side(&self) -> Option<u32> {
        None
    }

    /// The names of the parameters that [`SetStage::fact`] reads: only those are in a fact's key, so that another
    /// threshold asks for another decision and not for the facts again.
    fn fact_params(&self) -> &'static [&'static str];

    /// What the decision over all items depends on besides the items, their facts and the parameters, such as a file of people's
    /// decisions: when it changes it is decided again, and no fact is found out again.
    fn watched(&self) -> Vec<KeyInput> {
        Vec::new()
    }

    /// What the decision needs to know about one picture; cached per picture.
    ///
    /// # Errors
    /// Only when the stage is broken.
    fn fact(&self, input: &Input<'_>) -> Result<Facts, StageError>;

    /// One verdict per item, in the order given. Must not depend on that order.
    ///
    /// # Errors
    /// Only when the stage is broken.
    fn decide(&self, items: &[(&Item, &Facts)]) -> Result<Vec<SetVerdict>, StageError>;
}

/// What a [`SetStage`] decided about one item.
#[derive(Debug, Clone, PartialEq)]
pub enum SetVerdict {
    /// It goes on unchanged, with these facts.
    Keep(Facts),
    /// It does not go on.
    Drop {
        /// Why.
        reason: Reason,
        /// For a duplicate: the position, in the list given, of the item kept in its place.
        of: Option<usize>,
        /// For a duplicate: the distance to that item, in bits.
        distance: Option<u32>,
    },
}

/// A stage that writes files made from all items.
pub trait PackStage: Send + Sync {
    /// Models, runtimes and the like that go into its key.
    fn key_inputs(&self) -> Vec<KeyInput> {
        Vec::new()
    }

    /// Writes its files below `out`, an empty folder, and says what belongs into the stage's folder.
    ///
    /// `open` answers an item's pixels; `done` is told how many items were finished since the last call.
    ///
    /// # Errors
    /// Items that do not fit together, or a file that cannot be written.
    fn pack(
        &self,
        items: &[Item],
        open: &(dyn Fn(&Item) -> Result<Picture, StageError> + Sync),
        out: &Path,
        done: &(dyn Fn(usize) + Sync),
    ) -> Result<Vec<PackFile>, StageError>;
}

/// One file of a [`PackStage`].
#[derive(Debug, Clone, PartialEq)]
pub struct PackFile {
    /// Its path below the stage's folder, parts separated by `/`.
    pub name: String,
    /// Where its bytes are.
    pub content: PackedFile,
    /// What to show about it.
    pub facts: Facts,
}

/// Where the bytes of a [`PackFile`] are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PackedFile {
    /// In a file of that name below `out`.
    Written,
    /// They are those of the item at this position of the list, unchanged.
    Item(usize),
}
