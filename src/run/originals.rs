//! Where the user's photos really are, by content.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use catgen_api::Digest;

/// Paths of photos by the digest of their bytes; of byte-equal photos, one.
#[derive(Debug, Default)]
pub(crate) struct Originals(HashMap<Digest, PathBuf>);

impl Originals {
    pub(crate) fn new(found: impl IntoIterator<Item = (Digest, PathBuf)>) -> Self {
        Self(found.into_iter().collect())
    }

    pub(crate) fn path(&self, digest: &Digest) -> Option<&Path> {
        self.0.get(digest).map(PathBuf::as_path)
    }
}
