//! The files that a program is made of: in the key by the digest of their content.

use std::path::{Component, Path, PathBuf};

use catgen_api::{Digest, StageError};
use walkdir::WalkDir;

/// A file or folder that changes what the program does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Declared {
    /// As it was written in `pipeline.toml`.
    pub(crate) word: String,
    /// Where it is.
    pub(crate) path: PathBuf,
    /// Of its content as it was when the stage was built.
    pub(crate) digest: Digest,
}

/// What `run` and `files` declare: of `run`, every word that names a file below the workspace; of `files`, every word.
///
/// # Errors
/// A word of `files` that names nothing, or a file that cannot be read.
pub(crate) fn declared(run: &[String], files: &[String], workspace: &Path) -> Result<Vec<Declared>, StageError> {
    let mut found: Vec<Declared> = Vec::new();
    let named = run.iter().filter(|word| file_of_workspace(word, workspace).is_some());
    for word in named.chain(files) {
        if found.iter().any(|declared| declared.word == *word) {
            continue;
        }
        let path = workspace.join(word);
        if word.is_empty() || !path.exists() {
            return Err(StageError::Missing {
                what: format!("`files` names {word:?}, and there is no such file or folder in the workspace"),
                hint: "correct the path: it is relative to the folder of pipeline.toml".to_owned(),
            });
        }
        let digest = digest(&path)?;
        found.push(Declared { word: word.clone(), path, digest });
    }
    Ok(found)
}

/// The file below the workspace that `word` names, if it does.
pub(crate) fn file_of_workspace(word: &str, workspace: &Path) -> Option<PathBuf> {
    let path = workspace.join(word);
    let stays = !path.components().any(|part| part == Component::ParentDir);
    (!word.is_empty() && stays && path.starts_with(workspace) && path.is_file()).then_some(path)
}

/// The digest of a file's content, or of all files below a folder with their paths.
///
/// What programs leave behind while they run is passed over, or every run would begin anew: names that begin with a dot, and
/// Python's `__pycache__`.
pub(crate) fn digest(path: &Path) -> Result<Digest, StageError> {
    let unreadable = |path: &Path, error: &dyn std::fmt::Display| StageError::Broken {
        what: format!("cannot read {}, which the program needs: {error}", path.display()),
        hint: "check the file's permissions".to_owned(),
    };
    if !path.is_dir() {
        return Digest::of_file(path).map_err(|error| unreadable(path, &error));
    }
    let is_made = |name: &std::ffi::OsStr| name.as_encoded_bytes().starts_with(b".") || name == "__pycache__";
    let walk = WalkDir::new(path).follow_links(true).sort_by_file_name().into_iter();
    let mut listing = Vec::new();
    for entry in walk.filter_entry(|entry| entry.depth() == 0 || !is_made(entry.file_name())) {
        let entry = entry.map_err(|error| unreadable(path, &error))?;
        if entry.file_type().is_dir() {
            continue;
        }
        let below = entry.path().strip_prefix(path).expect("a walk stays below where it began");
        // Length before content: no two folders have the same listing.
        for part in below.components() {
            let name = part.as_os_str().as_encoded_bytes();
            listing.extend((name.len() as u64).to_le_bytes());
            listing.extend(name);
        }
        listing.extend(u64::MAX.to_le_bytes());
        listing.extend(Digest::of_file(entry.path()).map_err(|error| unreadable(entry.path(), &error))?.as_bytes());
    }
    Ok(Digest::of(&listing))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// The words declared by `run` and `files` in a workspace with a program, a folder, and a file beside the workspace.
    fn check(run: &[&str], files: &[&str], expect: Result<&[&str], &str>) {
        let folder = tempfile::tempdir().unwrap();
        let workspace = folder.path().join("home");
        fs::create_dir_all(workspace.join("parts/deep")).unwrap();
        for name in ["home/blur.py", "home/parts/a.py", "home/parts/deep/b.py", "outside.py"] {
            fs::write(folder.path().join(name), name).unwrap();
        }
        let words = |words: &[&str]| words.iter().map(|word| word.replace("HOME", &workspace.to_string_lossy())).collect::<Vec<_>>();
        let found = declared(&words(run), &words(files), &workspace);
        let found = found.map(|found| found.into_iter().map(|declared| declared.word).collect()).map_err(|error| error.to_string());
        assert_eq!(found, expect.map(words).map_err(str::to_owned), "{run:?} {files:?}");
    }

    #[test]
    fn words_that_name_files_of_the_workspace_are_declared() {
        check(&["python3", "blur.py", "--strength", "3"], &[], Ok(&["blur.py"]));
        check(&["HOME/blur.py"], &[], Ok(&["HOME/blur.py"]));
        check(&["python3", "../outside.py", "parts", ".", ""], &[], Ok(&[]));
        check(&["python3", "blur.py"], &["parts", "../outside.py", "blur.py"], Ok(&["blur.py", "parts", "../outside.py"]));
        check(&["python3"], &["part"], Err("`files` names \"part\", and there is no such file or folder in the workspace"));
        check(&["python3"], &[""], Err("`files` names \"\", and there is no such file or folder in the workspace"));
    }

    #[test]
    fn a_folder_is_known_by_all_that_is_in_it_but_not_by_what_programs_leave_behind() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("a.py", "1");
        write("deep/b.py", "2");
        let base = digest(folder.path()).unwrap();
        write("__pycache__/a.cpython.pyc", "x");
        write("deep/.b.py.swp", "x");
        assert_eq!(digest(folder.path()).unwrap(), base);
        let mut seen = vec![base];
        for (name, text) in [("deep/b.py", "3"), ("c.py", ""), ("deep/b.pyc", "2")] {
            write(name, text);
            seen.push(digest(folder.path()).unwrap());
        }
        fs::rename(folder.path().join("c.py"), folder.path().join("deep/c.py")).unwrap();
        seen.push(digest(folder.path()).unwrap());
        assert_eq!(seen.iter().collect::<std::collections::HashSet<_>>().len(), 5, "{seen:?}");
    }
}
