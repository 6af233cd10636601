//! `Lazy`: a picture that is decoded when somebody looks at it, at the size they want, once.

use std::{borrow::Cow, cell::RefCell, rc::Rc};

use catgen_api::{Digest, Picture, Reason};
use catgen_picture::{decode, fit_within};

use super::Originals;
use crate::{Project, error::Result};

/// A picture at the boundary of a group of stages (a file) or inside it (pixels handed on by the stage before).
///
/// Both ways give the same pixels: what a stage puts out is stored without loss, and fitting is the same function.
pub(crate) struct Lazy<'a> {
    source: Source<'a>,
    /// Decoded pictures by the side they were fitted to; two at most, one per kind of reader.
    decoded: RefCell<Vec<(Option<u32>, Rc<Picture>)>>,
}

enum Source<'a> {
    File { project: &'a Project, originals: &'a Originals, digest: Digest },
    Pixels(Picture),
}

impl<'a> Lazy<'a> {
    /// The picture in the blob or photo with that digest.
    pub(crate) fn file(project: &'a Project, originals: &'a Originals, digest: Digest) -> Self {
        Self { source: Source::File { project, originals, digest }, decoded: RefCell::default() }
    }

    /// A picture that was just made.
    pub(crate) fn pixels(picture: Picture) -> Self {
        Self { source: Source::Pixels(picture), decoded: RefCell::default() }
    }

    /// The picture with a longest side of at most `side`, or why there is none.
    pub(crate) fn look<T>(&self, side: Option<u32>, with: impl FnOnce(&Picture) -> T) -> Result<std::result::Result<T, Reason>> {
        match &self.source {
            Source::Pixels(picture) => Ok(Ok(with(&fit_within(Cow::Borrowed(picture), side)))),
            Source::File { project, originals, digest } => {
                let known = self.decoded.borrow().iter().find(|(at, _)| *at == side).map(|(_, picture)| Rc::clone(picture));
                let picture = match known {
                    Some(picture) => picture,
                    None => {
                        let bytes = read(project, originals, digest)?;
                        let bytes = match bytes {
                            Ok(bytes) => bytes,
                            Err(reason) => return Ok(Err(reason)),
                        };
                        let decoded = match caught(|| decode(&bytes, side)) {
                            Ok(Ok(decoded)) => decoded,
                            Ok(Err(error)) => return Ok(Err(Reason::new(error.kind(), error.to_string()))),
                            Err(reason) => return Ok(Err(reason)),
                        };
                        let picture = Rc::new(decoded.picture);
                        self.decoded.borrow_mut().push((side, Rc::clone(&picture)));
                        picture
                    }
                };
                Ok(Ok(with(&picture)))
            }
        }
    }
}

/// The bytes of the user's photo, or of the blob where the photo was changed meanwhile or the picture is no photo.
pub(crate) fn read(project: &Project, originals: &Originals, digest: &Digest) -> Result<std::result::Result<Vec<u8>, Reason>> {
    let Some(path) = originals.path(digest) else { return project.store.cas.read(digest).map(Ok) };
    let reason = match std::fs::read(path) {
        Ok(bytes) if Digest::of(&bytes) == *digest => return Ok(Ok(bytes)),
        Ok(_) => Reason::new("changed", "the file was changed while it was being worked on: run again"),
        Err(error) => catgen_original::unreadable(&error),
    };
    Ok(project.store.cas.read(digest).map_err(|_| reason))
}

/// Runs code that may panic on a broken picture; a panic costs that picture and nothing else.
pub(crate) fn caught<T>(work: impl FnOnce() -> T) -> std::result::Result<T, Reason> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).map_err(|panic| {
        let words = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
        let words = words.unwrap_or("no words");
        Reason::new("panic", format!("this picture broke the program's code ({words}): please report it"))
    })
}
