//! `Stats`: how the pictures of a stage are spread over sizes, formats, light, sharpness and whatever else is known of them.
//!
//! Sizes and formats are of all pictures. What takes decoding is measured on some of them, evenly over the stage, unless the
//! stage noted it down itself: then its own numbers are shown.

use std::collections::BTreeMap;

use catgen_api::{Facts, Item};
use serde::Serialize;

/// How one number is spread over the pictures; the names are a contract of `inspect --stats --json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Spread {
    /// What was measured.
    pub measure: String,
    /// Its unit, if it has one.
    pub unit: &'static str,
    /// Pictures it is known of.
    pub count: usize,
    /// The smallest.
    pub min: f64,
    /// Half of the pictures have less.
    pub median: f64,
    /// The largest.
    pub max: f64,
    /// How many lie in each stretch, from `from` up to, not including, `to`; the last stretch includes its end.
    pub bins: Vec<Bin>,
}

/// One stretch of a [`Spread`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Bin {
    /// Where it begins.
    pub from: f64,
    /// Where the next begins.
    pub to: f64,
    /// Pictures in it.
    pub count: usize,
}

/// How often each word occurs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Words {
    /// What the words say.
    pub measure: String,
    /// Pictures it is known of; one picture may have several words, or none.
    pub count: usize,
    /// Each word and how many pictures have it, the most frequent first.
    pub words: Vec<(String, usize)>,
}

/// Everything there is to say about a stage's pictures.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Stats {
    /// Numbers.
    pub spreads: Vec<Spread>,
    /// Words.
    pub words: Vec<Words>,
}

/// What is known about measured facts: unit and whether stretches double instead of being equally long.
const KNOWN: &[(&str, &str, Scale)] = &[
    ("short_side", "px", Scale::Doubling),
    ("long_side", "px", Scale::Doubling),
    ("bytes", "bytes", Scale::Doubling),
    ("sharpness", "", Scale::Doubling),
    ("shadows", "luma, 0 to 255", Scale::Even(0.0, 256.0)),
    ("highlights", "luma, 0 to 255", Scale::Even(0.0, 256.0)),
    ("subject_share", "of the frame", Scale::Even(0.0, 1.0)),
    ("soft_share", "of the cut-out", Scale::Even(0.0, 1.0)),
    ("edge_share", "of an edge", Scale::Even(0.0, 1.0)),
    ("aspect", "width : height", Scale::Free),
];

/// Where stretches begin and end.
#[derive(Debug, Clone, Copy)]
enum Scale {
    /// Each twice as long as the one before: for what is as good as the same when it is a tenth larger.
    Doubling,
    /// Eight equal ones between these.
    Even(f64, f64),
    /// Eight equal ones from the smallest to the largest.
    Free,
}

/// Counts what is known of `items`. `measured` are facts about some of them, measured now, beside each item's own.
pub fn stats(items: &[&Item], measured: &[Facts]) -> Stats {
    let mut numbers: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    let mut words: BTreeMap<String, (usize, BTreeMap<String, usize>)> = BTreeMap::new();
    let mut note = |name: &str, value: f64| numbers.entry(name.to_owned()).or_default().push(value);
    for item in items {
        let [width, height] = [item.width, item.height].map(f64::from);
        note("short_side", width.min(height));
        note("long_side", width.max(height));
        note("aspect", width / height);
        note("bytes", item.bytes as f64);
    }
    let own: std::collections::HashSet<&str> = items.iter().flat_map(|item| item.facts.keys().map(String::as_str)).collect();
    let facts = items.iter().map(|item| (&item.facts, true)).chain(measured.iter().map(|facts| (facts, false)));
    for (name, value, is_own) in facts.flat_map(|(facts, is_own)| facts.iter().map(move |(name, value)| (name, value, is_own))) {
        if !is_own && own.contains(name.as_str()) || name == "short_side" {
            continue;
        }
        match value {
            serde_json::Value::Number(number) => note(name, number.as_f64().unwrap_or(f64::NAN)),
            serde_json::Value::String(word) => count(&mut words, name, std::iter::once(word.as_str())),
            // The two ends of light.
            serde_json::Value::Array(list) if name == "luma" && list.len() == 2 => {
                for (name, value) in ["shadows", "highlights"].into_iter().zip(list) {
                    note(name, value.as_f64().unwrap_or(f64::NAN));
                }
            }
            serde_json::Value::Array(list) if list.iter().all(serde_json::Value::is_string) => {
                count(&mut words, name, list.iter().filter_map(serde_json::Value::as_str));
            }
            _ => {}
        }
    }
    let place = |name: &str| KNOWN.iter().position(|(known, ..)| *known == name).unwrap_or(KNOWN.len());
    let mut spreads: Vec<Spread> = numbers.into_iter().filter_map(|(name, values)| spread(name, values)).collect();
    spreads.sort_by_key(|spread| place(&spread.measure));
    // What differs from picture to picture, such as a hash, is no word to count.
    let words = words.into_iter().filter(|(_, (_, words))| words.len() <= 24);
    let words = words.map(|(measure, (count, words))| {
        let mut words: Vec<(String, usize)> = words.into_iter().collect();
        words.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        Words { measure, count, words }
    });
    Stats { spreads, words: words.collect() }
}

fn count<'a>(words: &mut BTreeMap<String, (usize, BTreeMap<String, usize>)>, name: &str, found: impl Iterator<Item = &'a str>) {
    let (count, words) = words.entry(name.to_owned()).or_default();
    *count += 1;
    for word in found {
        *words.entry(word.to_owned()).or_default() += 1;
    }
}

/// The numbers in their stretches; `None` where there is no finite one.
fn spread(measure: String, mut values: Vec<f64>) -> Option<Spread> {
    values.retain(|value| value.is_finite());
    values.sort_by(f64::total_cmp);
    let (min, max) = (*values.first()?, *values.last()?);
    let (_, unit, scale) = KNOWN.iter().find(|(known, ..)| *known == measure).copied().unwrap_or(("", "", Scale::Free));
    let edges = match scale {
        // One value for all needs no stretches.
        _ if min == max => vec![min, max],
        Scale::Even(from, to) if from <= min && max <= to => even(from, to),
        Scale::Even(..) | Scale::Free => even(min, max),
        Scale::Doubling => doubling(min, max),
    };
    let last = edges.len() - 2;
    let bins = edges.windows(2).enumerate().map(|(at, edge)| {
        let inside = |value: &&f64| **value >= edge[0] && (**value < edge[1] || at == last && **value <= edge[1]);
        Bin { from: edge[0], to: edge[1], count: values.iter().filter(inside).count() }
    });
    let (count, median) = (values.len(), values[values.len() / 2]);
    Some(Spread { measure, unit, count, min, median, max, bins: bins.collect() })
}

fn even(from: f64, to: f64) -> Vec<f64> {
    (0..=8).map(|at| from + (to - from) * f64::from(at) / 8.0).collect()
}

/// Powers of two from below `min` to above `max`; a stretch from 0 in front where something is below 1.
fn doubling(min: f64, max: f64) -> Vec<f64> {
    let low = min.max(1.0).log2().floor();
    let high = (max.max(2.0).log2() + 1e-9).ceil().max(low + 1.0);
    let powers = (low as i32..=high as i32).map(|power| f64::from(power).exp2());
    (min < 1.0).then_some(min.min(0.0)).into_iter().chain(powers).collect()
}

impl Spread {
    /// The lines of a small histogram, `width` letters at the longest bar.
    pub fn lines(&self, width: usize) -> Vec<String> {
        let unit = if self.unit.is_empty() { String::new() } else { format!(" ({})", self.unit) };
        let [min, median, max] = [self.min, self.median, self.max].map(short);
        let range = if self.min < self.max { format!("{min} to {max}, median {median}") } else { format!("all {min}") };
        let mut lines = vec![format!("{}{unit}: {} pictures, {range}", self.measure, self.count)];
        if self.min < self.max {
            let most = self.bins.iter().map(|bin| bin.count).max().unwrap_or(0);
            let names: Vec<String> = self.bins.iter().map(|bin| format!("{} – {}", short(bin.from), short(bin.to))).collect();
            let longest = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
            lines.extend(self.bins.iter().zip(names).map(|(bin, name)| line(&name, longest, bin.count, most, width)));
        }
        lines
    }
}

impl Words {
    /// The lines of a small histogram, `width` letters at the longest bar; at most a dozen words.
    pub fn lines(&self, width: usize) -> Vec<String> {
        const MOST_WORDS: usize = 12;
        let mut lines = vec![format!("{}: {} pictures", self.measure, self.count)];
        let most = self.words.first().map_or(0, |(_, count)| *count);
        let shown = &self.words[..self.words.len().min(MOST_WORDS)];
        let longest = shown.iter().map(|(word, _)| word.chars().count()).max().unwrap_or(0);
        lines.extend(shown.iter().map(|(word, count)| line(word, longest, *count, most, width)));
        if self.words.len() > MOST_WORDS {
            lines.push(format!("  and {} other values", self.words.len() - MOST_WORDS));
        }
        lines
    }
}

/// A name, its bar in eighths of a letter, and the count.
fn line(name: &str, longest: usize, count: usize, most: usize, width: usize) -> String {
    let eighths = if most == 0 { 0 } else { (8 * width * count).div_ceil(most) };
    let mut bar = "█".repeat(eighths / 8);
    if eighths % 8 > 0 {
        bar.push(['▏', '▎', '▍', '▌', '▋', '▊', '▉'][eighths % 8 - 1]);
    }
    let pad = |text: &str, width: usize| " ".repeat(width.saturating_sub(text.chars().count()));
    format!("  {}{name}  {bar}{} {count}", pad(name, longest), pad(&bar, width)).trim_end().to_owned()
}

/// A number with as many digits as anybody reads.
fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 1e6 => format!("{:.1}M", value / 1e6),
        size if size >= 1e4 => format!("{:.0}k", value / 1e3),
        size if size >= 100.0 || value.fract() == 0.0 => format!("{value:.0}"),
        size if size >= 1.0 => format!("{value:.1}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use catgen_api::{Digest, Photo};
    use serde_json::json;

    use super::*;

    fn item(side: u32, facts: serde_json::Value) -> Item {
        let photo = Arc::new(Photo { path: "a.jpg".to_owned(), digest: Digest::of(b""), size: [1, 1] });
        let (digest, facts) = (Digest::of(b""), facts.as_object().unwrap().clone());
        Item { name: "a.png".to_owned(), digest, width: side, height: 2 * side, bytes: 100, photo, input: digest, facts }
    }

    fn find<'a>(stats: &'a Stats, measure: &str) -> &'a Spread {
        stats.spreads.iter().find(|spread| spread.measure == measure).unwrap()
    }

    #[test]
    fn every_picture_is_in_one_stretch_whatever_the_numbers() {
        for values in
            [vec![0.0, 0.5, 1.0], vec![3.0], vec![7.0; 5], vec![-2.0, 1e9], vec![1.0, 2.0, 4.0, 8.0], vec![0.2, 0.3], vec![64.0, 128.0]]
        {
            for measure in ["short_side", "subject_share", "anything"] {
                let spread = spread(measure.to_owned(), values.clone()).unwrap();
                assert_eq!(spread.bins.iter().map(|bin| bin.count).sum::<usize>(), values.len(), "{measure} {values:?} {:?}", spread.bins);
                assert!(spread.bins.windows(2).all(|pair| pair[0].to == pair[1].from), "{:?}", spread.bins);
            }
        }
        assert_eq!(spread("x".to_owned(), vec![f64::NAN]), None);
    }

    #[test]
    fn what_a_stage_noted_down_counts_and_not_what_was_measured_again() {
        let items = [item(64, json!({"sharpness": 10.0, "flags": ["blurred"]})), item(200, json!({"sharpness": 90.0, "flags": []}))];
        let items: Vec<&Item> = items.iter().collect();
        let measured = [json!({"sharpness": 1.0, "short_side": 3, "luma": [20, 230]}).as_object().unwrap().clone()];
        let stats = stats(&items, &measured);
        assert_eq!((find(&stats, "sharpness").count, find(&stats, "sharpness").max), (2, 90.0));
        assert_eq!((find(&stats, "short_side").min, find(&stats, "short_side").max), (64.0, 200.0));
        assert_eq!((find(&stats, "shadows").median, find(&stats, "highlights").median), (20.0, 230.0));
        assert_eq!(stats.words, [Words { measure: "flags".to_owned(), count: 2, words: vec![("blurred".to_owned(), 1)] }]);
        let order: Vec<&str> = stats.spreads.iter().map(|spread| spread.measure.as_str()).collect();
        assert_eq!(order, ["short_side", "long_side", "bytes", "sharpness", "shadows", "highlights", "aspect"]);
    }

    #[test]
    fn a_histogram_can_be_read() {
        let spread = spread("short_side".to_owned(), vec![100.0, 300.0, 300.0, 500.0]).unwrap();
        let expected = [
            "short_side (px): 4 pictures, 100 to 500, median 300",
            "   64 – 128  ██▊      1",
            "  128 – 256           0",
            "  256 – 512  ████████ 3",
        ];
        assert_eq!(spread.lines(8), expected);
        let all_one = super::spread("short_side".to_owned(), vec![64.0; 9]).unwrap();
        assert_eq!(all_one.lines(8), ["short_side (px): 9 pictures, all 64"]);
        let words = Words { measure: "format".to_owned(), count: 3, words: vec![("JPEG".to_owned(), 2), ("PNG".to_owned(), 1)] };
        assert_eq!(words.lines(4), ["format: 3 pictures", "  JPEG  ████ 2", "   PNG  ██   1"]);
        assert_eq!([0.0, 0.1234, 3.25, 70.0, 4032.0, 12_345.0, 2.5e6].map(short), ["0", "0.123", "3.2", "70", "4032", "12k", "2.5M"]);
    }
}
