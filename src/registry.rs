//! The one list of stage kinds.

use catgen_api::{BuildContext, ItemStage, Kind, PackStage, Params, SetStage, StageError};

/// A kind and how to build a stage of it.
#[derive(Clone, Copy)]
pub struct Entry {
    /// Name, version, parameters.
    pub kind: &'static Kind,
    build: Build,
}

/// A stage crate's `build`.
pub type Builder<S> = fn(&Params, &BuildContext) -> Result<Box<S>, StageError>;

#[derive(Clone, Copy)]
enum Build {
    Source,
    Item(Builder<dyn ItemStage>),
    Set(Builder<dyn SetStage>),
    Pack(Builder<dyn PackStage>),
    Train,
}

/// A stage ready to work.
pub enum Built {
    /// `original`: the engine walks the folder with that crate's functions.
    Source,
    /// One picture at a time.
    Item(Box<dyn ItemStage>),
    /// All items at once.
    Set(Box<dyn SetStage>),
    /// All items into files.
    Pack(Box<dyn PackStage>),
    /// The trainer, another process.
    Train,
}

/// Every stage kind that `use =` can name, in the order of the pipeline.
pub const STAGES: &[Entry] = &[
    Entry { kind: &catgen_original::KIND, build: Build::Source },
    Entry { kind: &catgen_duplicates::KIND, build: Build::Set(catgen_duplicates::build) },
    Entry { kind: &catgen_background::KIND, build: Build::Item(catgen_background::build) },
    Entry { kind: &catgen_zoom::KIND, build: Build::Item(catgen_zoom::build) },
    Entry { kind: &catgen_verify::KIND, build: Build::Item(catgen_verify::build) },
    Entry { kind: &catgen_augment::KIND, build: Build::Item(catgen_augment::build) },
    Entry { kind: &catgen_resize::KIND, build: Build::Item(catgen_resize::build) },
    Entry { kind: &catgen_command::KIND, build: Build::Item(catgen_command::build) },
    Entry { kind: &catgen_export::KIND, build: Build::Pack(catgen_export::build) },
    Entry { kind: &catgen_train::KIND, build: Build::Train },
];

impl Entry {
    /// A kind that is not in [`STAGES`]: what the engine's own tests run with.
    pub fn of_item(kind: &'static Kind, build: Builder<dyn ItemStage>) -> Self {
        Self { kind, build: Build::Item(build) }
    }

    /// As [`Entry::of_item`], for a set stage.
    pub fn of_set(kind: &'static Kind, build: Builder<dyn SetStage>) -> Self {
        Self { kind, build: Build::Set(build) }
    }

    /// Builds a stage of this kind; cheap, because every command builds every stage.
    ///
    /// # Errors
    /// A parameter of no use, or something the stage needs that is missing.
    pub fn build(&self, params: &Params, context: &BuildContext) -> Result<Built, StageError> {
        Ok(match self.build {
            Build::Source => Built::Source,
            Build::Item(build) => Built::Item(build(params, context)?),
            Build::Set(build) => Built::Set(build(params, context)?),
            Build::Pack(build) => Built::Pack(build(params, context)?),
            Build::Train => Built::Train,
        })
    }
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Entry").field(&self.kind.name).finish()
    }
}
