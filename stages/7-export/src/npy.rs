//! The NumPy array file, version 1.0 (NumPy Enhancement Proposal 1): a short header, then the bare values.

/// The header of an array of unsigned bytes in C order; its length is a multiple of 64, so that a reader that maps the
/// file finds the values aligned.
pub(crate) fn header(shape: [usize; 4]) -> Vec<u8> {
    header_of("|u1", &shape)
}

/// The header of an array in C order whose values NumPy calls `descr`: `|u1` for unsigned bytes, `<i8` for 64-bit numbers.
pub(crate) fn header_of(descr: &str, shape: &[usize]) -> Vec<u8> {
    let lengths: Vec<String> = shape.iter().map(usize::to_string).collect();
    // One number in brackets is only a list to Python if a comma follows it.
    let lengths = if lengths.len() == 1 { format!("{},", lengths[0]) } else { lengths.join(", ") };
    let mut text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({lengths}), }}");
    // Magic, version and length take 10 bytes, the closing newline one.
    while (10 + text.len() + 1) % 64 != 0 {
        text.push(' ');
    }
    text.push('\n');
    let length = u16::try_from(text.len()).expect("four numbers are shorter than 65,535 characters");
    [b"\x93NUMPY\x01\x00".as_slice(), &length.to_le_bytes(), text.as_bytes()].concat()
}
