//! The floor: load a list of files, look at each of them once, compare. One thread, no engine.

use std::{
    collections::HashMap,
    fmt::Write,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use walkdir::WalkDir;

fn look(folder: &Path) -> Vec<(PathBuf, u64, i64, u64)> {
    let files = WalkDir::new(folder).into_iter().filter_map(Result::ok).filter(|entry| !entry.file_type().is_dir());
    let look = |path: PathBuf| {
        let metadata = fs::symlink_metadata(&path).ok()?;
        Some((path, metadata.len(), metadata.mtime() * 1_000_000_000 + metadata.mtime_nsec(), metadata.ino()))
    };
    files.filter_map(|entry| look(entry.into_path())).collect()
}

/// Writes the list of every file below `folder`; answers how many there are.
pub(crate) fn list(folder: &Path, list: &Path) -> usize {
    let files = look(folder);
    let mut text = format!("{}\n", folder.display());
    for (path, size, mtime, inode) in &files {
        writeln!(text, "{}\t{size}\t{mtime}\t{inode}", path.display()).expect("writing to memory cannot fail");
    }
    fs::write(list, text).expect("a file can be written");
    files.len()
}

/// Loads the list, walks, looks, compares; fails if a file is not as listed.
pub(crate) fn check(list: &Path) {
    let text = fs::read_to_string(list).expect("the list can be read");
    let mut lines = text.lines();
    let folder = Path::new(lines.next().expect("the first line names the folder"));
    let listed: HashMap<&Path, (u64, i64, u64)> = lines
        .map(|line| {
            let mut fields = line.split('\t');
            let path = Path::new(fields.next().expect("a path"));
            let mut number = || fields.next().expect("a number");
            let size = number().parse().expect("a size");
            (path, (size, number().parse().expect("a time"), number().parse().expect("an inode")))
        })
        .collect();
    let found = look(folder);
    let same = found.iter().filter(|(path, size, mtime, inode)| listed.get(path.as_path()) == Some(&(*size, *mtime, *inode))).count();
    assert_eq!((same, found.len()), (listed.len(), listed.len()), "files differ from the list");
    println!("same {same}");
}
