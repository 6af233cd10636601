//! From a program's answer to a verdict: the files that it made, read and checked.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

use catgen_api::{Facts, Made, Output, Picture, Reason, Verdict};
use catgen_picture::{Format, decode};

use crate::{
    protocol::{Said, Told, is_tag},
    text::shown,
};

/// More pictures than this of one are refused.
const MOST_OUTPUTS: usize = 4096;

/// A file larger than this, in bytes, is refused before it is read.
const LARGEST: u64 = 1 << 30;

/// What the answer of the program `name` about a picture comes to; `out` is the folder that it was given.
pub(crate) fn verdict(said: Said, out: &Path, name: &str) -> Verdict {
    let outputs = match said {
        Said::Reject(reason) => return Verdict::Reject(reason),
        Said::Error(text) => Err(format!("could not do this picture: {text}")),
        Said::Outputs(told) => outputs(told, out),
        Said::Folder => in_folder(out).and_then(|told| outputs(told, out)),
    };
    match outputs {
        Ok(outputs) => Verdict::Keep(outputs),
        Err(what) => Verdict::Reject(Reason::new("failed", format!("{name} {what}"))),
    }
}

/// Every picture file directly in the folder, by name; a tag for each where they are several.
fn in_folder(out: &Path) -> Result<Vec<Told>, String> {
    let unreadable = |error: std::io::Error| format!("left a folder that cannot be read: {error}");
    let mut names = Vec::new();
    for entry in fs::read_dir(out).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let name = entry.file_name();
        let name = name.to_str().ok_or_else(|| format!("made a file whose name is no UTF-8: {}", name.to_string_lossy()))?;
        if !name.starts_with('.') && entry.path().is_file() && is_picture(&entry.path()).map_err(unreadable)? {
            names.push(name.to_owned());
        }
    }
    if names.is_empty() {
        return Err("put no picture into its folder `out`, and gave no reason".to_owned());
    }
    names.sort_unstable();
    let told = |name: String| Told { file: Some(name), same: false, tag: None, facts: Facts::new() };
    Ok(names.into_iter().map(told).collect())
}

fn is_picture(path: &Path) -> std::io::Result<bool> {
    let mut start = Vec::new();
    std::io::Read::read_to_end(&mut std::io::Read::take(fs::File::open(path)?, 4096), &mut start)?;
    Ok(Format::sniff(&start).is_some())
}

fn outputs(told: Vec<Told>, out: &Path) -> Result<Vec<Output>, String> {
    if told.len() > MOST_OUTPUTS {
        return Err(format!("made {} pictures of this one, more than the {MOST_OUTPUTS} allowed", told.len()));
    }
    let several = told.len() > 1;
    if told.iter().filter(|told| told.same).count() > 1 {
        return Err("answered with the picture as it is twice".to_owned());
    }
    let mut tags = HashSet::new();
    let mut outputs = Vec::with_capacity(told.len());
    for told in told {
        let tag = tag(&told, several)?;
        // Some file systems do not tell small letters from large ones.
        if !tags.insert(tag.to_lowercase()) {
            return Err(format!("gave two pictures the tag {tag:?}: their files would have the same name"));
        }
        let made = match &told.file {
            None => Made::Same,
            Some(file) => Made::Picture(read(out, file)?),
        };
        outputs.push(Output { tag, made, facts: told.facts });
    }
    Ok(outputs)
}

/// The tag given, else that of a file's stem where there are several.
fn tag(told: &Told, several: bool) -> Result<String, String> {
    if let Some(tag) = &told.tag {
        if several && tag.is_empty() && !told.same {
            return Err("gave one of several pictures an empty tag: their files would have the same name".to_owned());
        }
        return Ok(tag.clone());
    }
    let Some(file) = told.file.as_deref().filter(|_| several) else { return Ok(String::new()) };
    let stem = Path::new(file).file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    if is_tag(&stem) {
        return Ok(stem);
    }
    Err(format!("made {:?}, whose name is no tag: use letters, digits, - _ and ., or answer with a `tag`", shown(file.as_bytes(), 120)))
}

fn read(out: &Path, file: &str) -> Result<Picture, String> {
    let shown = shown(file.as_bytes(), 120);
    let path = inside(out, file)?;
    let about = |error: std::io::Error| format!("made {shown:?}, which cannot be read: {error}");
    let metadata = fs::metadata(&path).map_err(about)?;
    if !metadata.is_file() {
        return Err(format!("answered with {shown:?}, which is no file"));
    }
    if metadata.len() > LARGEST {
        return Err(format!("made {shown:?} of {} bytes, more than the {LARGEST} allowed", metadata.len()));
    }
    let bytes = fs::read(&path).map_err(about)?;
    decode(&bytes, None).map(|decoded| decoded.picture).map_err(|error| format!("made {shown:?}, which cannot be used: {error}"))
}

/// The file's path with all links followed, if it ends in the folder.
fn inside(out: &Path, file: &str) -> Result<PathBuf, String> {
    let shown = shown(file.as_bytes(), 120);
    let out = out.canonicalize().map_err(|error| format!("removed its folder `out`: {error}"))?;
    let path = out.join(file);
    match path.canonicalize() {
        Ok(path) if path.starts_with(&out) => Ok(path),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && path.starts_with(&out) && !file.contains("..") => {
            Err(format!("answered with {shown:?}, and there is no such file in its folder `out`"))
        }
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(format!("answered with {shown:?}, which cannot be read: {error}"))
        }
        _ => Err(format!(
            "answered with {shown:?}, which is not in its folder `out` (for the picture as it is, answer {{\"same\": true}} in place of a file)"
        )),
    }
}
