//! The names of what item stages put out.

use std::collections::{HashMap, HashSet};

use catgen_api::{Digest, Item};

use crate::cache::actions::Stored;

/// Each item's name without its extension; the whole name where two differ in the extension alone (or in case, which some
/// file systems ignore). So `a.jpg` becomes `a.png`, and beside an `a.heic` it becomes `a.jpg.png`.
pub(crate) fn stems(items: &[Item]) -> Vec<String> {
    let stem = |name: &str| match name.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() && !stem.ends_with('/') && !extension.contains('/') => stem.to_owned(),
        _ => name.to_owned(),
    };
    let stems: Vec<String> = items.iter().map(|item| stem(&item.name)).collect();
    let mut counts: HashMap<String, usize> = HashMap::with_capacity(stems.len());
    for stem in &stems {
        *counts.entry(stem.to_lowercase()).or_default() += 1;
    }
    stems.into_iter().zip(items).map(|(stem, item)| if counts[&stem.to_lowercase()] > 1 { item.name.clone() } else { stem }).collect()
}

/// The item that comes of `item` as `output`, and its name without extension.
pub(crate) fn follow(item: &Item, stem: &str, output: &Stored) -> (Item, String) {
    let (name, stem) = if output.same {
        (item.name.clone(), stem.to_owned())
    } else {
        let stem = if output.tag.is_empty() { stem.to_owned() } else { format!("{stem}_{}", output.tag) };
        let stem = short_enough(stem, &item.photo.path);
        (format!("{stem}.png"), stem)
    };
    let [width, height] = output.size;
    let made = Item {
        name,
        digest: output.digest,
        width,
        height,
        bytes: output.bytes,
        photo: item.photo.clone(),
        input: item.digest,
        facts: output.facts.clone(),
    };
    (made, stem)
}

/// File systems allow 255 bytes for a name. A longer one is cut, and told apart by its photo.
fn short_enough(stem: String, photo: &str) -> String {
    const LONGEST: usize = 240;
    let start = stem.rfind('/').map_or(0, |slash| slash + 1);
    if stem.len() - start <= LONGEST {
        return stem;
    }
    // The end holds what was done to the picture: cut out of the middle.
    let (mut head, mut tail) = (start + LONGEST / 3, stem.len() - LONGEST / 2);
    while !stem.is_char_boundary(head) {
        head -= 1;
    }
    while !stem.is_char_boundary(tail) {
        tail += 1;
    }
    format!("{}~{}~{}", &stem[..head], mark(photo), &stem[tail..])
}

/// Six characters that tell one photo's path from another's.
fn mark(photo: &str) -> String {
    Digest::of(photo.as_bytes()).short()[..6].to_owned()
}

/// Whether one of these items of a photo got its name because another had it, see [`make_unique`].
pub(super) fn is_marked(photo: &str, items: &[Item]) -> bool {
    let end = format!("~{}.png", mark(photo));
    items.iter().any(|item| item.name.ends_with(&end))
}

/// Gives every item a name of its own: a tag may turn one photo's name into another's (`a` with tag `1` beside a photo `a_1`), or into that of a folder: those
/// then carry a mark of their photo.
pub(super) fn make_unique(items: &mut [Item]) {
    let mut counts: HashMap<String, usize> = HashMap::with_capacity(items.len());
    let mut folders: HashSet<String> = HashSet::new();
    for item in items.iter() {
        let name = item.name.to_lowercase();
        for (slash, _) in name.match_indices('/') {
            if !folders.contains(&name[..slash]) {
                folders.insert(name[..slash].to_owned());
            }
        }
        *counts.entry(name).or_default() += 1;
    }
    for item in items.iter_mut() {
        let name = item.name.to_lowercase();
        if counts[&name] > 1 || folders.contains(&name) {
            let stem = item.name.strip_suffix(".png").unwrap_or(&item.name);
            item.name = format!("{}.png", short_enough(format!("{stem}~{}", mark(&item.photo.path)), &item.photo.path));
        }
    }
}
