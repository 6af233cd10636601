//! The packed dataset: a NumPy `.npy` file of all pictures, so that anybody can open it with `numpy.load(…, mmap_mode="r")`.
//!
//! The format (NumPy's NEP 1): the magic `\x93NUMPY`, version as two bytes, the header's length as u16 (version 1) or u32
//! (2 and 3) little-endian, then a Python dictionary in text, padded with spaces and ended by a newline, then the numbers.
//! What is accepted: bytes (`|u1`), C order, shape (N, 3, H, W) with RGB planes.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

/// The first bytes of every `.npy` file.
pub const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// The type of the numbers: one byte each.
pub const DTYPE: &str = "|u1";
/// Colour planes of a picture.
pub const CHANNELS: u64 = 3;
/// A longer header is not one of ours.
const LONGEST: u64 = 64 * 1024;

/// What the header of a packed dataset says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Pictures in the file.
    pub images: u64,
    /// Their height in pixels.
    pub height: u64,
    /// Their width in pixels.
    pub width: u64,
    /// Where the first picture's bytes begin.
    pub data_at: u64,
}

impl Header {
    /// Bytes of all pictures together.
    pub fn data_len(&self) -> u64 {
        self.images * CHANNELS * self.height * self.width
    }
}

/// A file that is no packed dataset.
#[derive(Debug, thiserror::Error)]
pub enum NpyError {
    /// It cannot be read.
    #[error("cannot read it: {0}")]
    Read(#[from] io::Error),
    /// It does not begin like a `.npy` file, or ends within its header.
    #[error("it is not a NumPy file, or was cut short")]
    NotNpy,
    /// It is a `.npy` file of something else.
    #[error("it holds {found}, and pictures are {expected}")]
    Other {
        /// What the header says.
        found: String,
        /// What it must say.
        expected: &'static str,
    },
    /// Its length does not fit its header.
    #[error("it is {found} bytes long, and its header promises {expected}: it was cut short or something was added")]
    Length {
        /// Bytes of the file.
        found: u64,
        /// Bytes by the header.
        expected: u64,
    },
}

/// Reads the header from the first bytes of a file.
///
/// # Errors
/// Bytes that are not such a header, or end within it.
pub fn read_header(bytes: &[u8]) -> Result<Header, NpyError> {
    let rest = bytes.strip_prefix(MAGIC).ok_or(NpyError::NotNpy)?;
    let (length, begin) = match rest {
        [1, _, a, b, ..] => (u64::from(u16::from_le_bytes([*a, *b])), 10),
        [2 | 3, _, a, b, c, d, ..] => (u64::from(u32::from_le_bytes([*a, *b, *c, *d])), 12),
        _ => return Err(NpyError::NotNpy),
    };
    let data_at = begin as u64 + length;
    if length > LONGEST || data_at > bytes.len() as u64 {
        return Err(NpyError::NotNpy);
    }
    let text = std::str::from_utf8(&bytes[begin..data_at as usize]).map_err(|_| NpyError::NotNpy)?;
    let field = |name: &str| value_of(text, name).ok_or(NpyError::NotNpy);

    let descr = field("descr")?.trim_matches(['\'', '"']);
    if !matches!(descr, "|u1" | "u1" | "<u1" | ">u1" | "=u1" | "|B" | "B") {
        return Err(NpyError::Other { found: format!("numbers of type {descr}"), expected: "bytes (type |u1)" });
    }
    if field("fortran_order")? != "False" {
        return Err(NpyError::Other { found: "numbers in Fortran order".to_owned(), expected: "in C order" });
    }
    let shape = field("shape")?;
    let sides: Option<Vec<u64>> = shape
        .strip_prefix('(')
        .and_then(|list| list.strip_suffix(')'))
        .map(|list| list.split(',').map(|side| side.trim().trim_end_matches('L')).filter(|side| !side.is_empty()).collect::<Vec<_>>())
        .and_then(|list| list.into_iter().map(|side| side.parse().ok()).collect());
    match sides.as_deref() {
        Some(&[images, CHANNELS, height, width]) if [height, width].iter().all(|side| (1..=65_535).contains(side)) && images < 1 << 32 => {
            Ok(Header { images, height, width, data_at })
        }
        _ => Err(NpyError::Other { found: format!("an array of shape {shape}"), expected: "of shape (N, 3, height, width)" }),
    }
}

/// Reads the header of a file and compares the file's length with it.
///
/// # Errors
/// As [`read_header`], and a file that is too short or too long.
pub fn open(path: &Path) -> Result<Header, NpyError> {
    let file = File::open(path)?;
    let found = file.metadata()?.len();
    let mut begin = Vec::new();
    file.take(LONGEST + 12).read_to_end(&mut begin)?;
    let header = read_header(&begin)?;
    let expected = header.data_at + header.data_len();
    if found == expected { Ok(header) } else { Err(NpyError::Length { found, expected }) }
}

/// The text of the value of `name` in a Python dictionary of plain values: up to the comma or brace outside parentheses.
fn value_of<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let key = [format!("'{name}'"), format!("\"{name}\"")].into_iter().find_map(|key| text.find(&key).map(|at| at + key.len()))?;
    let value = text[key..].trim_start().strip_prefix(':')?.trim_start();
    let mut depth = 0;
    let end = value.find(|character| {
        match character {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        depth == 0 && matches!(character, ',' | '}')
    })?;
    Some(value[..end].trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file's first bytes with that dictionary, padded so that the numbers begin at a multiple of 64.
    fn header(version: u8, dictionary: &str) -> Vec<u8> {
        let begin = if version == 1 { 10 } else { 12 };
        let length = (begin + dictionary.len() + 1).next_multiple_of(64) - begin;
        let mut bytes = MAGIC.to_vec();
        bytes.extend([version, 0]);
        if version == 1 {
            bytes.extend((length as u16).to_le_bytes())
        } else {
            bytes.extend((length as u32).to_le_bytes())
        }
        bytes.extend(format!("{dictionary:<0$}\n", length - 1).bytes());
        bytes
    }

    #[test]
    fn every_way_numpy_writes_such_a_header_is_read() {
        let plain = "{'descr': '|u1', 'fortran_order': False, 'shape': (300, 3, 64, 48), }";
        let wanted = Header { images: 300, height: 64, width: 48, data_at: 128 };
        assert_eq!(wanted.data_len(), 300 * 3 * 64 * 48);
        for (version, dictionary) in
            [(1, plain), (2, plain), (3, plain), (1, r#"{"shape":(300,3,64,48),"fortran_order":False,"descr":"|u1"}"#)]
        {
            assert_eq!(read_header(&header(version, dictionary)).unwrap(), wanted, "version {version}, {dictionary}");
        }
    }

    #[test]
    fn anything_else_is_refused_in_words() {
        for (dictionary, said) in [
            (
                "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 3, 8, 8), }",
                "it holds numbers of type <f4, and pictures are bytes (type |u1)",
            ),
            (
                "{'descr': '|u1', 'fortran_order': True, 'shape': (3, 3, 8, 8), }",
                "it holds numbers in Fortran order, and pictures are in C order",
            ),
            (
                "{'descr': '|u1', 'fortran_order': False, 'shape': (3, 8, 8, 3), }",
                "it holds an array of shape (3, 8, 8, 3), and pictures are of shape (N, 3, height, width)",
            ),
            ("{'descr': '|u1', 'shape': (3, 3, 8, 8), }", "it is not a NumPy file, or was cut short"),
        ] {
            assert_eq!(read_header(&header(1, dictionary)).unwrap_err().to_string(), said);
        }
        let whole = header(1, "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3, 1, 1), }");
        for length in 0..whole.len() {
            assert!(read_header(&whole[..length]).is_err(), "cut after {length} bytes");
        }
    }

    #[test]
    fn the_files_length_must_fit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dataset.npy");
        let mut bytes = header(1, "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3, 1, 1), }");
        for (added, fits) in [(5, false), (1, true), (1, false)] {
            bytes.extend(vec![0; added]);
            std::fs::write(&path, &bytes).unwrap();
            assert_eq!(open(&path).is_ok(), fits, "{} bytes", bytes.len());
        }
    }
}
