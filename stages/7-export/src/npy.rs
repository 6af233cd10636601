//! The NumPy array file, version 1.0 (NumPy Enhancement Proposal 1): a short header, then the bare values.

/// The header of an array of unsigned bytes in C order; its length is a multiple of 64, so that a reader that maps the
/// file finds the values aligned.
pub(crate) fn header(shape: [usize; 4]) -> Vec<u8> {
    let [n, c, h, w] = shape;
    let mut text = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': ({n}, {c}, {h}, {w}), }}");
    // Magic, version and length take 10 bytes, the closing newline one.
    while (10 + text.len() + 1) % 64 != 0 {
        text.push(' ');
    }
    text.push('\n');
    let length = u16::try_from(text.len()).expect("four numbers are shorter than 65,535 characters");
    [b"\x93NUMPY\x01\x00".as_slice(), &length.to_le_bytes(), text.as_bytes()].concat()
}
