//! WebDataset: tar files that are read from front to back, as a stream.
//!
//! ```text
//! webdataset/shard-000000.tar
//!   000000000.json            {"row", "item", "photo", "digest"}, as in index.jsonl
//!   000000000.png             the picture: equal names up to the first dot make one sample
//!   …
//! ```
//!
//! Rows are in the order of their content, which is as good as shuffled: neighbours in a shard are of different photos.

use std::{
    fs::{self, File},
    io::{BufWriter, Write},
};

use catgen_api::{Facts, PackFile, PackedFile, StageError};
use serde_json::json;
use tar::{Builder, EntryType, Header};

use crate::{cannot_write, rows::Rows};

/// Writes the shards, of that many pictures each.
pub(crate) fn write(rows: &Rows<'_>, shard_pictures: usize) -> Result<Vec<PackFile>, StageError> {
    let folder = rows.out.join("webdataset");
    fs::create_dir_all(&folder).map_err(|error| cannot_write(&folder, error))?;
    let name = |shard: usize| format!("webdataset/shard-{shard:06}.tar");
    let failed = |row: usize| {
        let path = rows.out.join(name(row / shard_pictures));
        move |error| cannot_write(&path, error)
    };
    let mut files = Vec::new();
    let mut open: Option<Builder<BufWriter<File>>> = None;
    rows.each_png(|row, item, png| {
        if row.is_multiple_of(shard_pictures) {
            finish(open.take()).map_err(failed(row.saturating_sub(1)))?;
            let path = rows.out.join(name(row / shard_pictures));
            open = Some(Builder::new(BufWriter::new(File::create(path).map_err(failed(row))?)));
            let count = shard_pictures.min(rows.items.len() - row);
            let facts = Facts::from_iter([("count".to_owned(), count.into())]);
            files.push(PackFile { name: name(row / shard_pictures), content: PackedFile::Written, facts });
        }
        let shard = open.as_mut().expect("row 0 opened the first shard");
        let line = json!({"row": row, "item": item.name, "photo": item.photo.path, "digest": item.digest}).to_string();
        append(shard, &format!("{row:09}.json"), line.as_bytes()).map_err(failed(row))?;
        append(shard, &format!("{row:09}.png"), png).map_err(failed(row))
    })?;
    finish(open).map_err(failed(rows.items.len().saturating_sub(1)))?;
    Ok(files)
}

/// A file with nothing about the machine, the person or the time in its header.
fn append(shard: &mut Builder<impl Write>, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    let mut header = Header::new_ustar();
    header.set_entry_type(EntryType::Regular);
    header.set_path(name)?;
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    for number in [Header::set_uid, Header::set_gid, Header::set_mtime] {
        number(&mut header, 0);
    }
    header.set_cksum();
    shard.append(&header, bytes)
}

fn finish(shard: Option<Builder<BufWriter<File>>>) -> std::io::Result<()> {
    shard.map_or(Ok(()), |shard| shard.into_inner()?.flush())
}
