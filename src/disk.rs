//! `Disk`: the file system that a path lies on, for messages about a full one.

use std::{
    fmt,
    path::{Path, PathBuf},
};

/// A mounted file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// Where it is mounted.
    pub mount: PathBuf,
    /// Its size in bytes; 0 where the system does not say.
    pub bytes: u64,
    /// What is left for this user, in bytes.
    pub free: u64,
}

impl Disk {
    /// The disk that `path`, or the nearest folder above it that exists, lies on.
    #[cfg(unix)]
    pub fn of(path: &Path) -> Option<Self> {
        use std::os::unix::fs::MetadataExt;
        let path = path.ancestors().find_map(|path| path.canonicalize().ok())?;
        let device = |path: &Path| path.metadata().ok().map(|metadata| metadata.dev());
        let here = device(&path)?;
        let mount = path.ancestors().take_while(|above| device(above) == Some(here)).last()?.to_owned();
        let stat = rustix::fs::statvfs(&path).ok()?;
        Some(Self { mount, bytes: stat.f_blocks * stat.f_frsize, free: stat.f_bavail * stat.f_frsize })
    }

    /// The disk that `path`, or the nearest folder above it that exists, lies on.
    #[cfg(not(unix))]
    pub fn of(path: &Path) -> Option<Self> {
        let mount = path.ancestors().last()?.to_owned();
        Some(Self { mount, bytes: 0, free: 0 })
    }
}

impl fmt::Display for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the disk mounted at {}", self.mount.display())?;
        if self.bytes > 0 { write!(f, " ({}, {} free)", size(self.bytes), size(self.free)) } else { Ok(()) }
    }
}

/// Bytes as people say them.
pub fn size(bytes: u64) -> String {
    match bytes {
        b if b < 1_000 => format!("{b} bytes"),
        b if b < 1_000_000 => format!("{:.0} kB", b as f64 / 1e3),
        b if b < 1_000_000_000 => format!("{:.1} MB", b as f64 / 1e6),
        b => format!("{:.1} GB", b as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_said_as_people_say_them() {
        for (bytes, said) in [(0, "0 bytes"), (1_500, "2 kB"), (12_340_000, "12.3 MB"), (5_000_000_000, "5.0 GB")] {
            assert_eq!(size(bytes), said);
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_path_that_is_not_there_lies_on_the_disk_of_what_is_above_it() {
        let proc = Disk::of(Path::new("/proc/self/no/such/file")).unwrap();
        assert_eq!(proc.mount, Path::new("/proc"));
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::of(&folder.path().join("a/b")).unwrap();
        assert!(folder.path().canonicalize().unwrap().starts_with(&disk.mount) && disk.bytes > disk.free, "{disk}");
    }
}
