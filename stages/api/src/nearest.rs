//! The nearest valid word, for errors that a typo caused.

/// The word of `valid` that `word` most likely meant, or `None` if nothing is near.
///
/// Near is a Damerau-Levenshtein distance of at most a third of the word (at least 1), case ignored.
pub fn nearest<'a>(word: &str, valid: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = word.to_lowercase();
    valid
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.chars().count().max(word.chars().count()) / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typos_find_their_word_and_nonsense_finds_none() {
        let words = ["max_distance", "hash", "bits"];
        for (typed, meant) in [("max_distnce", Some("max_distance")), ("Hash", Some("hash")), ("bit", Some("bits")), ("colour", None)] {
            assert_eq!(nearest(typed, words), meant, "{typed}");
        }
    }
}
