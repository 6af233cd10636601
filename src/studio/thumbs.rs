//! Pictures by digest, re-encoded at a size for the page and kept, so that a gallery is quick the second time.
//!
//! They lie in `.catgen/thumbs`, at most [`ROOM`] bytes of them: the oldest go when the studio starts and whenever some hundreds came.
//! The folder may be deleted at any time, and `gc` does.

use std::{
    fs,
    io::Cursor,
    path::PathBuf,
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{
    extract::{Path, Query, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use catgen_api::{Digest, Item, Picture};
use maud::{Markup, html};
use serde::Deserialize;

use super::{Desk, desk::away};
use crate::{Project, run};

/// How many bytes of thumbnails are kept: those of 76,000 pictures, and a few thousand large ones.
const ROOM: u64 = 1 << 30;

/// After so many new ones it is looked at how many there are.
const MANY: usize = 500;

/// The sizes that pages ask for, in pixels of the longest side.
const SIDES: [u32; 3] = [128, 384, 1024];

#[derive(Deserialize)]
pub(super) struct Ask {
    /// The stage that put the picture out.
    stage: String,
    /// The item's name there: a stage may put out equal pictures, and the way to one that is not kept goes by its item.
    #[serde(default)]
    side: Option<u32>,
}

/// A picture of a stage, by its digest: no path of the file system is ever taken from a request.
pub(super) async fn thumb(State(desk): State<Arc<Desk>>, Path(digest): Path<String>, Query(ask): Query<Ask>) -> Response {
    let Ok(digest) = Digest::from_str(&digest) else { return (StatusCode::BAD_REQUEST, "not a digest").into_response() };
    let side = SIDES.into_iter().find(|side| ask.side.is_none_or(|wanted| *side >= wanted)).unwrap_or(SIDES[2]);
    match away(move || make(&desk, digest, &ask.stage, side)).await {
        Some(bytes) => {
            let kind = if bytes.starts_with(b"\x89PNG") { "image/png" } else { "image/jpeg" };
            // What a digest names never changes.
            ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "private, max-age=31536000, immutable")], bytes).into_response()
        }
        None => (StatusCode::NOT_FOUND, "there is no such picture any more").into_response(),
    }
}

fn make(desk: &Desk, digest: Digest, stage: &str, side: u32) -> Option<Vec<u8>> {
    let kept = file(desk, &digest, side);
    if let Ok(bytes) = fs::read(&kept) {
        return Some(bytes);
    }
    let project = desk.project().ok()?;
    let at = desk.stage(&project, stage).ok()?;
    let manifest = desk.manifest(&project, at)?;
    let item = manifest.items.iter().find(|item| item.digest == digest)?;
    let picture = run::picture_of(&project, at, item, Some(side)).ok()?.ok()?;
    let bytes = encode(&picture)?;
    keep(&kept, &bytes);
    static FRESH: AtomicUsize = AtomicUsize::new(0);
    if FRESH.fetch_add(1, Ordering::Relaxed) % MANY == MANY - 1 {
        trim(desk);
    }
    Some(bytes)
}

/// JPEG for what is opaque; PNG where the page's checkerboard is to show through, and where pixels are to be counted.
fn encode(picture: &Picture) -> Option<Vec<u8>> {
    let [width, height] = picture.size();
    match picture {
        Picture::Rgb(rgb) if width.max(height) > 128 => {
            let mut bytes = Cursor::new(Vec::new());
            image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 85).encode_image(rgb).ok()?;
            Some(bytes.into_inner())
        }
        _ => Some(catgen_picture::encode_png(picture)),
    }
}

/// Removes the oldest thumbnails if there are more than there is room for.
pub(super) fn trim(desk: &Desk) {
    trim_to(&desk.workspace().store().join("thumbs"), ROOM);
}

/// What cannot be removed stays: the next time is soon.
fn trim_to(folder: &std::path::Path, room: u64) {
    let entries = walkdir::WalkDir::new(folder).into_iter().filter_map(std::result::Result::ok).filter(|entry| entry.file_type().is_file());
    let mut files: Vec<_> = entries
        .filter_map(|entry| {
            let about = entry.metadata().ok()?;
            Some((about.modified().ok()?, about.len(), entry.into_path()))
        })
        .collect();
    let mut bytes: u64 = files.iter().map(|(_, bytes, _)| bytes).sum();
    if bytes <= room {
        return;
    }
    files.sort();
    for (_, size, path) in files {
        // A little more than needed, so that it is not done again for the next picture.
        if bytes <= room / 4 * 3 {
            break;
        }
        if fs::remove_file(&path).is_ok() {
            bytes -= size;
        }
    }
}

fn file(desk: &Desk, digest: &Digest, side: u32) -> PathBuf {
    let hex = digest.to_string();
    desk.workspace().store().join("thumbs").join(&hex[..2]).join(format!("{}-{side}", &hex[2..]))
}

/// A thumbnail that cannot be kept is made again the next time: no reason to show nothing.
fn keep(path: &std::path::Path, bytes: &[u8]) {
    let write = || -> std::io::Result<()> {
        let folder = path.parent().unwrap_or(path);
        fs::create_dir_all(folder)?;
        let mut part = tempfile::NamedTempFile::new_in(folder)?;
        std::io::Write::write_all(&mut part, bytes)?;
        part.persist(path)?;
        Ok(())
    };
    if let Err(error) = write() {
        tracing::debug!(%error, "a thumbnail was not kept");
    }
}

/// An item's picture in a box that its class gives a size.
pub(super) fn boxed(project: &Project, stage: usize, item: &Item, side: u32, alt: &str) -> Markup {
    let shape = if item.height > item.width { "tall" } else { "wide" };
    // Few pixels are shown as what they are.
    let pixels = if item.width.max(item.height) <= 64 { " pixels" } else { "" };
    html! {
        span.boxed {
            img class={ "board " (shape) (pixels) } src=(address(project, stage, item, side)) alt=(alt) width=(item.width) height=(item.height) loading="lazy";
        }
    }
}

/// The address of an item's picture.
pub(super) fn address(project: &Project, stage: usize, item: &Item, side: u32) -> String {
    format!("/thumb/{}?stage={}&side={side}", item.digest, encoded(&project.pipeline.stages[stage].name))
}

/// A text as part of a query.
pub(super) fn encoded(text: &str) -> String {
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if safe(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_go_when_there_is_no_room() {
        let folder = tempfile::tempdir().unwrap();
        let long_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(1000);
        for nth in 0..8u64 {
            let path = folder.path().join(format!("{:02}", nth % 2)).join(nth.to_string());
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, [0; 100]).unwrap();
            let file = fs::File::options().write(true).open(&path).unwrap();
            file.set_modified(long_ago + std::time::Duration::from_secs(nth)).unwrap();
        }
        let left = || -> Vec<u64> { (0..8).filter(|nth| folder.path().join(format!("{:02}/{nth}", nth % 2)).exists()).collect() };
        trim_to(folder.path(), 800);
        assert_eq!(left().len(), 8);
        trim_to(folder.path(), 799);
        assert_eq!(left(), [3, 4, 5, 6, 7]);
        trim_to(&folder.path().join("nowhere"), 0);
    }

    #[test]
    fn a_text_in_an_address_is_nothing_but_text() {
        for (text, expected) in [("4.Verified", "4.Verified"), ("a b&c=d/../é", "a%20b%26c%3Dd%2F..%2F%C3%A9"), ("", "")] {
            assert_eq!(encoded(text), expected);
        }
    }
}
