//! Groups of photos that show the same, or may: what `duplicates` decided, as something to look at.

use std::collections::HashMap;

use catgen_api::{Item, Manifest, Rejection, SIMILAR};
use serde_json::{Value, json};

use crate::sheet::Tone;

/// A photo that went on, and those that are like it.
pub(super) struct Group<'a> {
    /// The kept item's name.
    pub(super) kept: &'a str,
    /// The others, nearest first: dropped ones, then those that went on as well.
    pub(super) others: Vec<Other<'a>>,
}

/// A photo that is like a kept one.
pub(super) struct Other<'a> {
    pub(super) name: &'a str,
    pub(super) tone: Tone,
    /// Why it is there, in a few words.
    pub(super) words: String,
}

/// Two items that both went on and that a person may want to compare.
pub(super) struct Pair<'a> {
    /// The less good one.
    name: &'a str,
    like: &'a str,
    distance: Option<u64>,
    agreement: Option<f64>,
}

impl Pair<'_> {
    pub(super) fn row(&self) -> Vec<String> {
        let agreement = self.agreement.map_or(String::new(), |agreement| format!("{:.0} %", 100.0 * agreement));
        let distance = self.distance.map_or(String::new(), |bits| format!("{bits} bits"));
        vec![self.name.to_owned(), self.like.to_owned(), distance, agreement]
    }

    pub(super) fn line(&self) -> Value {
        json!({ "name": self.name, "like": self.like, "distance": self.distance, "agreement": self.agreement })
    }
}

/// The pairs that items themselves name, the likest first.
pub(super) fn pairs(items: &[Item]) -> Vec<Pair<'_>> {
    let mut pairs = Vec::new();
    for item in items {
        for other in item.facts.get(SIMILAR).and_then(Value::as_array).into_iter().flatten() {
            let Some(like) = other.get("name").and_then(Value::as_str) else { continue };
            let distance = other.get("distance").and_then(Value::as_u64);
            let agreement = other.get("agreement").and_then(Value::as_f64);
            pairs.push(Pair { name: &item.name, like, distance, agreement });
        }
    }
    pairs.sort_by(|a, b| b.agreement.unwrap_or(0.0).total_cmp(&a.agreement.unwrap_or(0.0)));
    pairs
}

/// Every kept item that has others like it, in name order; `photos` names the item that a photo's path belongs to.
pub(super) fn groups<'a>(manifest: &'a Manifest, photos: &'a HashMap<String, String>) -> Vec<Group<'a>> {
    let mut of: HashMap<&str, Vec<Other<'_>>> = HashMap::new();
    let mut dropped: Vec<(&Rejection, &str)> = Vec::new();
    for rejection in &manifest.rejections {
        if let Some(kept) = rejection.of.as_ref().and_then(|photo| photos.get(photo)) {
            dropped.push((rejection, kept));
        }
    }
    dropped.sort_by_key(|(rejection, _)| rejection.distance);
    for (rejection, kept) in dropped {
        let words = match rejection.distance {
            Some(bits) => format!("dropped: {bits} bits"),
            None => "dropped".to_owned(),
        };
        of.entry(kept).or_default().push(Other { name: &rejection.name, tone: Tone::Bad, words });
    }
    for pair in pairs(&manifest.items) {
        let words = match pair.agreement {
            Some(agreement) => format!("possible: {:.0} %", 100.0 * agreement),
            None => "possible".to_owned(),
        };
        of.entry(pair.like).or_default().push(Other { name: pair.name, tone: Tone::Doubtful, words });
    }
    let mut groups: Vec<Group<'_>> = of.into_iter().map(|(kept, others)| Group { kept, others }).collect();
    groups.sort_by_key(|group| group.kept);
    groups
}
