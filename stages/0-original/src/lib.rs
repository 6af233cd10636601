//! Stage 0: finds the photos and says of each file whether it is one.
//!
//! Formats are told by content, never by name, and from the header alone: no pixel is decoded here. The stage never
//! writes: `0.ORIGINAL` is the user's own folder.

use std::path::{Path, PathBuf};

use catgen_api::{Facts, Kind, Param, ParamKind, Params, Reason, Shape};
use walkdir::WalkDir;

/// What the registry knows of this stage.
pub const KIND: Kind = Kind {
    name: "original",
    version: 1,
    shape: Shape::Source,
    random: false,
    summary: "finds the photos: every file in the folder is a photo or a recorded rejection",
    params: &[Param {
        name: "folder",
        kind: ParamKind::Text(""),
        doc: "where the photos are, relative to the workspace; empty for the stage's own folder below `data/`",
    }],
};

/// The folder named in the parameters; empty for the stage's own.
pub fn folder(params: &Params) -> String {
    params.iter().find(|(name, _)| *name == "folder").and_then(|(_, value)| value.as_str()).unwrap_or_default().to_owned()
}

/// One file below the folder, or one place that could not be looked into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Path below the folder with `/` between parts; bytes that are not text are written as `%FF`.
    pub name: String,
    /// Where it really is.
    pub path: PathBuf,
    /// Why it cannot be read, for a link that leads nowhere, a loop, or a folder that is closed to us.
    pub problem: Option<Reason>,
}

/// Every file below `folder`, in name order. Hidden files and what file managers leave behind are passed over.
pub fn find(folder: &Path) -> Vec<Found> {
    let walk = WalkDir::new(folder).follow_links(true).min_depth(1);
    let mut found: Vec<Found> = walk
        .into_iter()
        .filter_entry(|entry| !is_clutter(entry.file_name().as_encoded_bytes()))
        .filter_map(|entry| match entry {
            Ok(entry) if entry.file_type().is_dir() => None,
            Ok(entry) => {
                let problem = (!entry.file_type().is_file()).then(|| Reason::new("not_a_file", "this is a device or a pipe, not a file"));
                Some(Found { name: name_below(folder, entry.path()), path: entry.into_path(), problem })
            }
            Err(error) => {
                let path = error.path().unwrap_or(folder).to_owned();
                let problem = match (error.loop_ancestor(), error.io_error()) {
                    (Some(ancestor), _) => {
                        let text = format!("this link leads back to its own folder {:?}", name_below(folder, ancestor));
                        Reason::new("link_loop", text)
                    }
                    (None, Some(io)) if path.is_symlink() => Reason::new("dead_link", format!("this link leads nowhere: {io}")),
                    (None, Some(io)) => unreadable(io),
                    (None, None) => Reason::new("unreadable", error.to_string()),
                };
                Some(Found { name: name_below(folder, &path), path, problem: Some(problem) })
            }
        })
        .collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

/// The reason for a file that the system would not let us read.
pub fn unreadable(error: &std::io::Error) -> Reason {
    Reason::new("unreadable", format!("the file could not be read: {error}"))
}

/// What a file says of itself: upright width and height in pixels and its format, or why it is not a photo.
///
/// # Errors
/// A reason for the photographer; it depends on the bytes alone.
pub fn look(bytes: &[u8]) -> Result<([u32; 2], Facts), Reason> {
    let probe = catgen_picture::probe(bytes).map_err(|error| Reason::new(error.kind(), error.to_string()))?;
    Ok(([probe.width, probe.height], Facts::from_iter([("format".to_owned(), probe.format.name().into())])))
}

/// Hidden files and the droppings of file managers.
pub fn is_clutter(file_name: &[u8]) -> bool {
    file_name.starts_with(b".") || file_name.eq_ignore_ascii_case(b"thumbs.db") || file_name.eq_ignore_ascii_case(b"desktop.ini")
}

/// The path below `folder` as text: parts joined by `/`; control characters, bytes that are not UTF-8 and a `%` that
/// could be mistaken for an escape are written as `%XX`, so that different files keep different names.
fn name_below(folder: &Path, path: &Path) -> String {
    let below = path.strip_prefix(folder).unwrap_or(path);
    let parts = below.components().map(|part| {
        let mut name = String::new();
        for chunk in part.as_os_str().as_encoded_bytes().utf8_chunks() {
            let valid = chunk.valid();
            for (at, letter) in valid.char_indices() {
                let looks_escaped =
                    letter == '%' && valid.as_bytes()[at + 1..].iter().take(2).filter(|b| b.is_ascii_hexdigit()).count() == 2;
                if letter.is_control() || looks_escaped {
                    name.extend(letter.to_string().bytes().map(|byte| format!("%{byte:02X}")));
                } else {
                    name.push(letter);
                }
            }
            name.extend(chunk.invalid().iter().map(|byte| format!("%{byte:02X}")));
        }
        name
    });
    parts.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Makes the files in a fresh folder and checks the names found and what is wrong with each.
    fn check(make: impl FnOnce(&Path), expect: &[(&str, Option<&str>)]) {
        let folder = tempfile::tempdir().unwrap();
        make(folder.path());
        let found = find(folder.path());
        let seen: Vec<_> = found.iter().map(|found| (found.name.as_str(), found.problem.as_ref().map(|reason| &*reason.kind))).collect();
        assert_eq!(seen, expect);
    }

    #[test]
    fn files_are_found_in_name_order_without_clutter() {
        let make = |folder: &Path| {
            fs::create_dir_all(folder.join("b c/.hidden")).unwrap();
            for name in ["z.jpg", "b c/a photo.png", "b c/.hidden/x.jpg", ".DS_Store", "Thumbs.db", "100%.jpg", "a%20b.jpg"] {
                fs::write(folder.join(name), b"x").unwrap();
            }
        };
        check(make, &[("100%.jpg", None), ("a%2520b.jpg", None), ("b c/a photo.png", None), ("z.jpg", None)]);
    }

    #[cfg(unix)]
    #[test]
    fn odd_names_loops_and_dead_links_are_accounted_for() {
        use std::os::unix::{ffi::OsStrExt, fs::symlink};
        let make = |folder: &Path| {
            fs::create_dir(folder.join("in")).unwrap();
            symlink(folder, folder.join("in/loop")).unwrap();
            symlink(folder.join("nowhere"), folder.join("dead.jpg")).unwrap();
            fs::write(folder.join(std::ffi::OsStr::from_bytes(b"caf\xE9.jpg")), b"x").unwrap();
            fs::write(folder.join("two\nlines.jpg"), b"x").unwrap();
        };
        let expect = [("caf%E9.jpg", None), ("dead.jpg", Some("dead_link")), ("in/loop", Some("link_loop")), ("two%0Alines.jpg", None)];
        check(make, &expect);
    }

    #[test]
    fn what_is_no_photo_says_why() {
        for (bytes, kind) in [(&b""[..], "empty"), (b"hello", "not_a_picture"), (b"\0\0\0\x0CJXL \r\n", "unsupported")] {
            assert_eq!(look(bytes).unwrap_err().kind, kind);
        }
        let png = catgen_picture::encode_png(&catgen_picture::Picture::Rgb(catgen_picture::RgbImage::new(7, 5)));
        let (size, facts) = look(&png).unwrap();
        assert_eq!((size, facts["format"].as_str()), ([7, 5], Some("PNG")));
    }
}
