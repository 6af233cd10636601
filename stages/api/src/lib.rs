//! The words every stage shares.
//!
//! A stage crate depends on this crate and on nothing else of the project: not on the engine, not on another stage.
//! What is deliberately absent: paths of the cache, threads, clocks, progress bars. A stage is a function from
//! pictures to pictures, and these are the types of its arguments and results.

pub mod decision_file;
mod digest;
mod draw;
mod item;
mod manifest;
mod nearest;
mod params;
mod stage;

pub use catgen_picture::Picture;
pub use digest::{Digest, DigestError};
pub use draw::Draw;
pub use item::{Facts, Item, Photo, SIMILAR};
pub use manifest::{Manifest, ManifestError, ManifestId, Rejection};
pub use nearest::nearest;
pub use params::{Param, ParamKind, Params};
pub use stage::{
    Batch, BatchItem, BatchStage, BuildContext, Input, ItemStage, KeyInput, Kind, Made, Output, PackFile, PackStage, PackedFile, Reason,
    SetStage, SetVerdict, Shape, StageError, Verdict, is_about_content, is_failure,
};
