//! `.npz`: arrays by name in one zip file, as `numpy.load` opens it. Stored, not packed: pictures of a generator do not pack.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

/// One that is being written: first the pictures, one by one, then their seeds. It gets its name when it is whole.
pub(crate) struct Npz {
    zip: ZipWriter<BufWriter<File>>,
    path: PathBuf,
    aside: PathBuf,
}

impl Npz {
    /// Begins one with `arr_0`: bytes, N × side × side × 3, as evaluation programs read samples.
    pub(crate) fn create(path: &Path, count: u64, side: u64) -> io::Result<Self> {
        let mut aside = path.as_os_str().to_owned();
        aside.push(".part");
        let aside = PathBuf::from(aside);
        let mut npz = Self { zip: ZipWriter::new(BufWriter::new(File::create(&aside)?)), path: path.to_owned(), aside };
        npz.begin("arr_0", "|u1", &[count, side, side, 3], count * side * side * 3)?;
        Ok(npz)
    }

    /// Adds a picture: side × side × 3 bytes.
    pub(crate) fn picture(&mut self, pixels: &[u8]) -> io::Result<()> {
        self.zip.write_all(pixels)
    }

    /// Adds the seeds, and gives the file its name.
    pub(crate) fn finish(mut self, seeds: &[u64]) -> io::Result<()> {
        self.begin("seeds", "<u8", &[seeds.len() as u64], seeds.len() as u64 * 8)?;
        seeds.iter().try_for_each(|seed| self.zip.write_all(&seed.to_le_bytes()))?;
        self.zip.finish()?.into_inner().map_err(|error| error.into_error())?.sync_all()?;
        fs::rename(&self.aside, &self.path)
    }

    /// Begins an array of that type and shape, of so many bytes.
    fn begin(&mut self, name: &str, dtype: &str, shape: &[u64], bytes: u64) -> io::Result<()> {
        // From 4 GB on, an entry needs longer numbers in its table.
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored).large_file(bytes > 0xf000_0000);
        self.zip.start_file(format!("{name}.npy"), options)?;
        let shape: String = shape.iter().map(|side| format!("{side}, ")).collect();
        let text = format!("{{'descr': '{dtype}', 'fortran_order': False, 'shape': ({}), }}", shape.trim_end());
        // NumPy wants what comes before the numbers to be a multiple of 64 bytes: here 10 + 118.
        let header = format!("{text:<117}\n");
        self.zip.write_all(b"\x93NUMPY\x01\x00")?;
        self.zip.write_all(&(header.len() as u16).to_le_bytes())?;
        self.zip.write_all(header.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn arrays_are_in_it_as_numpy_wants_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npz");
        let mut npz = Npz::create(&path, 2, 2).unwrap();
        npz.picture(&[7; 12]).unwrap();
        npz.picture(&[9; 12]).unwrap();
        assert!(!path.exists(), "not whole yet");
        npz.finish(&[5, 1 << 40]).unwrap();
        let mut zip = zip::ZipArchive::new(File::open(&path).unwrap()).unwrap();
        let mut read = |name: &str| {
            let mut bytes = Vec::new();
            zip.by_name(name).unwrap().read_to_end(&mut bytes).unwrap();
            bytes
        };
        let pictures = read("arr_0.npy");
        assert_eq!(pictures.len(), 128 + 24);
        let header = String::from_utf8_lossy(&pictures[10..128]);
        assert!(header.starts_with("{'descr': '|u1', 'fortran_order': False, 'shape': (2, 2, 2, 3,), }") && header.ends_with('\n'));
        assert_eq!((pictures[128], pictures[151]), (7, 9));
        let seeds = read("seeds.npy");
        assert_eq!(seeds[128..], [5u64.to_le_bytes(), (1u64 << 40).to_le_bytes()].concat());
    }

    #[test]
    fn numpy_itself_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let mut npz = Npz::create(&folder.path().join("a.npz"), 2, 1).unwrap();
        npz.picture(&[1, 2, 3]).unwrap();
        npz.picture(&[4, 5, 6]).unwrap();
        npz.finish(&[7, u64::MAX]).unwrap();
        let program =
            "import numpy; a = numpy.load('a.npz'); print(a['arr_0'].dtype, a['arr_0'].tolist(), a['seeds'].dtype, a['seeds'].tolist())";
        let Some(printed) = crate::python::run("numpy", folder.path(), program) else { return };
        assert_eq!(printed.trim(), "uint8 [[[[1, 2, 3]]], [[[4, 5, 6]]]] uint64 [7, 18446744073709551615]");
    }
}
