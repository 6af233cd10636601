//! `Item`: one picture at one stage.

use std::sync::Arc;

use crate::Digest;

/// What a stage found out about an item, by name: shown by `inspect`, read by nobody's key unless declared.
pub type Facts = serde_json::Map<String, serde_json::Value>;

/// The fact under which a stage names other items that a person may want to compare this one with: a list of objects with a `name`
/// and, as far as they mean something, a `distance` in bits and an `agreement` from 0 to 1.
pub const SIMILAR: &str = "similar";

/// The original photo an item comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Photo {
    /// Its path below `0.ORIGINAL`, parts separated by `/`.
    pub path: String,
    /// The digest of the file's bytes.
    pub digest: Digest,
    /// Width and height in pixels, upright: after EXIF orientation.
    pub size: [u32; 2],
}

/// One picture at one stage.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// Its path below the stage's folder, parts separated by `/`; unique within the stage.
    pub name: String,
    /// The digest of the file's bytes.
    pub digest: Digest,
    /// Width in pixels, upright.
    pub width: u32,
    /// Height in pixels, upright.
    pub height: u32,
    /// The file's size in bytes.
    pub bytes: u64,
    /// The photo it comes from.
    pub photo: Arc<Photo>,
    /// The digest of the item of the stage before that it was made from.
    pub input: Digest,
    /// What the stages that made it found out: this stage's facts only.
    pub facts: Facts,
}
