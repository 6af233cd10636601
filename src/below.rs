//! Names of files below a folder, the same on every system: their parts with `/` between them.

use std::path::{Component, MAIN_SEPARATOR, Path, PathBuf};

/// Whether a name leads to something below the folder that it is joined to, and nowhere else.
pub(crate) fn is_below(name: &str) -> bool {
    !name.is_empty() && Path::new(name).components().all(|part| matches!(part, Component::Normal(_)))
}

/// A file's name below `folder`; none for one that lies elsewhere, or whose name is no text.
fn name_in(folder: &Path, file: &Path) -> Option<String> {
    Some(file.strip_prefix(folder).ok()?.to_str()?.replace(MAIN_SEPARATOR, "/"))
}

/// The files that `path` is or holds, however deep, with their names below `folder`. What cannot be read is left out.
pub(crate) fn files(folder: &Path, path: &Path) -> Vec<(String, PathBuf)> {
    let entries = walkdir::WalkDir::new(path).into_iter().filter_map(Result::ok);
    let files = entries.filter(|entry| entry.file_type().is_file()).map(walkdir::DirEntry::into_path);
    files.filter_map(|path| Some((name_in(folder, &path)?, path))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_below_or_is_refused() {
        for (name, below) in [("a", true), ("a/b.txt", true), ("", false), ("..", false), ("a/../../b", false), ("/etc", false)] {
            assert_eq!(is_below(name), below, "{name:?}");
        }
    }

    #[test]
    fn files_are_named_by_their_way_from_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("deep")).unwrap();
        ["one", "deep/two"].iter().for_each(|name| std::fs::write(folder.path().join(name), name).unwrap());
        let names = |path: &str| {
            let mut names: Vec<String> = files(folder.path(), &folder.path().join(path)).into_iter().map(|(name, _)| name).collect();
            names.sort();
            names
        };
        assert_eq!(names(""), ["deep/two", "one"]);
        assert_eq!((names("deep"), names("one")), (vec!["deep/two".to_owned()], vec!["one".to_owned()]));
        assert!(names("nothing").is_empty());
    }
}
