//! `Lazy`: a picture that is decoded when somebody looks at it, at the size they want, once.

use std::{
    borrow::Cow,
    cell::{OnceCell, RefCell},
    rc::Rc,
};

use catgen_api::{Digest, Input, Item, KeyInput, Made, Manifest, Picture, Reason, Verdict};
use catgen_picture::{decode, encode_png, fit_within};

use super::Originals;
use crate::{
    Error, Project,
    cache::actions::{Outcome, Stored},
    decide,
    error::Result,
    registry::Built,
};

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
    Again { made: &'a Again<'a>, at: usize },
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

    /// A picture that was made before and not kept.
    pub(crate) fn again(made: &'a Again<'a>, at: usize) -> Self {
        Self { source: Source::Again { made, at }, decoded: RefCell::default() }
    }

    /// The picture with a longest side of at most `side`, or why there is none.
    pub(crate) fn look<T>(&self, side: Option<u32>, with: impl FnOnce(&Picture) -> T) -> Result<std::result::Result<T, Reason>> {
        match &self.source {
            Source::Pixels(picture) => Ok(Ok(with(&fit_within(Cow::Borrowed(picture), side)))),
            Source::Again { made, at } => Ok(made.picture(*at)?.map(|picture| with(&fit_within(Cow::Borrowed(picture), side)))),
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

/// What a stage that keeps no pictures makes of one item: made again when somebody looks, once for all that come of it.
pub(crate) struct Again<'a> {
    project: &'a Project,
    stage: usize,
    item: &'a Item,
    inputs: &'a [KeyInput],
    parent: &'a Lazy<'a>,
    /// What it was made into the first time.
    stored: &'a [Stored],
    pictures: OnceCell<Vec<Option<Picture>>>,
}

impl<'a> Again<'a> {
    pub(crate) fn new(
        project: &'a Project,
        stage: usize,
        item: &'a Item,
        inputs: &'a [KeyInput],
        parent: &'a Lazy<'a>,
        stored: &'a [Stored],
    ) -> Self {
        Self { project, stage, item, inputs, parent, stored, pictures: OnceCell::new() }
    }

    /// The picture at a position of what was made, or why the item it is made from cannot be looked at now.
    fn picture(&self, at: usize) -> Result<std::result::Result<&Picture, Reason>> {
        let pictures = match self.pictures.get() {
            Some(pictures) => pictures,
            None => match self.make()? {
                Ok(pictures) => self.pictures.get_or_init(|| pictures),
                Err(reason) => return Ok(Err(reason)),
            },
        };
        pictures.get(at).and_then(Option::as_ref).map(Ok).ok_or_else(|| self.differs())
    }

    fn make(&self) -> Result<std::result::Result<Vec<Option<Picture>>, Reason>> {
        let Built::Item(code) = &self.project.node(self.stage)?.built else { return Err(self.differs()) };
        let input = |picture: &Picture| code.apply(&Input { digest: self.item.digest, picture, inputs: self.inputs });
        let outputs = match self.parent.look(code.working_side(), |picture| caught(|| input(picture)))?.and_then(|applied| applied) {
            Ok(Ok(Verdict::Keep(outputs))) if outputs.len() == self.stored.len() => outputs,
            Ok(Ok(_)) => return Err(self.differs()),
            Ok(Err(error)) => return Err(Error::stage(&self.project.pipeline.stages[self.stage].name, error)),
            Err(reason) => return Ok(Err(reason)),
        };
        let pictures = outputs.into_iter().zip(self.stored).map(|(output, stored)| match output.made {
            Made::Same => Ok(None),
            // What comes after is known by this digest: another picture under it would poison the cache.
            Made::Picture(picture) if Digest::of(&encode_png(&picture)) == stored.digest => Ok(Some(picture)),
            Made::Picture(_) => Err(self.differs()),
        });
        pictures.collect::<Result<_>>().map(Ok)
    }

    fn differs(&self) -> Error {
        Error::Stage {
            stage: self.project.pipeline.stages[self.stage].name.clone(),
            what: format!("it made something else of {} than the first time, and its pictures are not kept", self.item.name),
            hint: "take `store = \"none\"` out of this stage: it is for stages that always make the same of the same".to_owned(),
        }
    }
}

/// A picture that a finished stage put out, wherever it is: in the store, among the photos, or not kept and made again.
pub(crate) fn picture_of(project: &Project, stage: usize, item: &Item, side: Option<u32>) -> Result<std::result::Result<Picture, Reason>> {
    let Some(from) = project.pipeline.stages[stage].from else {
        let photo = super::source::folder(project, stage).join(&item.name);
        let photos = Originals::new([(item.digest, photo)]);
        return Lazy::file(project, &photos, item.digest).look(side, Clone::clone);
    };
    let lost = || Error::Lost { what: format!("what {} was made from is gone", item.name) };
    let before = || {
        let manifest = project.states.get(&project.pipeline.stages[from].name).and_then(|state| project.store.manifest(&state.output));
        let parent =
            |manifest: Manifest| manifest.items.into_iter().find(|parent| parent.digest == item.input && parent.photo == item.photo);
        manifest.and_then(parent).ok_or_else(lost)
    };
    if project.store.cas.has(&item.digest, item.bytes) {
        return Lazy::file(project, &Originals::default(), item.digest).look(side, Clone::clone);
    }
    let parent = before()?;
    if parent.digest == item.digest {
        return picture_of(project, from, &parent, side);
    }
    let Built::Item(code) = &project.node(stage)?.built else { return Err(lost()) };
    let pixels = match picture_of(project, from, &parent, code.working_side())? {
        Ok(picture) => Lazy::pixels(picture),
        Err(reason) => return Ok(Err(reason)),
    };
    let decide::Asked { inputs, known, .. } = decide::item(project, stage, &parent)?;
    let Some(Outcome::Keep(stored)) = known else { return Err(lost()) };
    let at = stored.iter().position(|output| output.digest == item.digest).ok_or_else(lost)?;
    let again = Again::new(project, stage, &parent, &inputs, &pixels, &stored);
    Lazy::again(&again, at).look(side, Clone::clone)
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
