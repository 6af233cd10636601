//! Words of a program, made fit for messages.

/// What was printed, as one line without control characters, cut to at most `most` characters.
pub(crate) fn shown(bytes: &[u8], most: usize) -> String {
    let text = String::from_utf8_lossy(bytes);
    let plain: String = text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).take(most + 1).collect();
    if plain.chars().count() > most { plain.chars().take(most).chain(['…']).collect() } else { plain }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_one_short_line() {
        for (bytes, words) in [
            (&b"  a model\r\n"[..], "a model"),
            (b"a\tb\x1b[1m", "a b [1m"),
            (b"0123456789", "0123456789"),
            (b"0123456789x", "0123456789…"),
            (b"\xFFcat", "\u{FFFD}cat"),
        ] {
            assert_eq!(shown(bytes, 10), words);
        }
    }
}
