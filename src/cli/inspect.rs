//! `inspect`: what lies in a stage, as a table, as JSON lines, as a sheet to look at, or as histograms.

use std::path::{Path, PathBuf};

use catgen_api::{Facts, Item, Manifest, Picture, Rejection, SIMILAR, Shape};
use catgen_picture::RgbImage;
use rayon::prelude::*;
use serde_json::json;

use super::{Context, output, run::stage};
use crate::{
    Error, Project, Result,
    preview::{SHOWN_SIDE, distance},
    sheet::{Cell, Layout, Tone, sheet},
    shelf::{self, Shelf},
    stats,
};

mod groups;

/// Show what a stage put out or rejected
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The stage
    stage: String,
    /// Only items whose name or photo contains this
    item: Option<String>,
    /// What did not go on, and why, instead of what did
    #[arg(long)]
    rejected: bool,
    /// Pairs that are alike although both went on, for you to decide
    #[arg(long, conflicts_with = "rejected")]
    possible: bool,
    /// Draw the pictures with their names on one sheet into this PNG file; duplicates beside what was kept
    #[arg(long, value_name = "FILE.png")]
    sheet: Option<PathBuf>,
    /// How sizes, formats, light, sharpness and the rest are spread, as small histograms
    #[arg(long, conflicts_with_all = ["sheet", "rejected", "possible"])]
    stats: bool,
    /// At most so many pictures on the sheet, evenly over the stage; 96 if left out. With --stats, how many are decoded and
    /// measured: 400
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: Option<u32>,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    let project = context.project(&[])?;
    let at = stage(&project, &args.stage)?;
    let name = &project.pipeline.stages[at].name;
    if project.pipeline.stages[at].shape() == Shape::Train {
        return Err(Error::Usage {
            what: format!("{name} puts out a generator, not pictures in a folder"),
            hint: "look into runs/<id>/ (`catgen-pipe runs` lists them), or draw with `catgen-pipe generate`".to_owned(),
        });
    }
    let mut manifest = manifest(&project, at)?;
    if let Some(wanted) = &args.item {
        let wanted = wanted.strip_prefix(&format!("data/{name}/")).unwrap_or(wanted);
        manifest.items.retain(|item| item.name.contains(wanted) || item.photo.path.contains(wanted));
        manifest.rejections.retain(|rejection| rejection.name.contains(wanted) || rejection.photo.contains(wanted));
    }
    let looked = Looked { project: &project, stage: at };
    if let Some(file) = &args.sheet {
        let limit = args.limit.unwrap_or(96) as usize;
        // What a stage that compares all pictures has to show is what it found alike.
        if args.possible || !args.rejected && project.pipeline.stages[at].shape() == Shape::Set {
            let groups = looked.of_groups(&manifest, args.possible, limit)?;
            if args.possible || !groups.is_empty() {
                let count = groups.len();
                let what = "kept (green), dropped for it (red), alike and kept as well (yellow)";
                return draw(file, &|pictures| format!("{name}: {count} groups, {pictures} pictures: {what}"), &groups);
            }
        }
        let by_groups = args.rejected;
        let groups = if by_groups { looked.of_rejections(&manifest.rejections, limit)? } else { looked.of_items(&manifest.items, limit) };
        let (all, what) = if by_groups { (manifest.rejections.len(), "did not go on") } else { (manifest.items.len(), "went on") };
        return draw(file, &|count| format!("{name}: {count} pictures, {all} {what}"), &groups);
    }
    if args.stats {
        return looked.stats(&manifest.items, args.limit.unwrap_or(400) as usize, context.json);
    }
    if args.possible {
        let pairs = groups::pairs(&manifest.items);
        if context.json {
            pairs.iter().for_each(|pair| output::json(&pair.line()));
        } else {
            output::table(&["name", "like", "apart", "agree"], &pairs.iter().map(groups::Pair::row).collect::<Vec<_>>());
            say!("{} where both went on although they are alike; --sheet FILE.png shows them side by side", pairs.len());
        }
        return Ok(());
    }
    match (args.rejected, context.json) {
        (false, true) => manifest.items.iter().for_each(|item| output::json(&looked.line(item))),
        (true, true) => manifest.rejections.iter().for_each(|rejection| output::json(&rejection_line(rejection))),
        (false, false) => {
            let rows: Vec<Vec<String>> = manifest.items.iter().map(row).collect();
            output::table(&["name", "size", "bytes", "facts"], &rows);
            say!("{} items, {} rejected (--rejected shows them)", manifest.items.len(), manifest.rejections.len());
            match groups::pairs(&manifest.items).len() {
                0 => {}
                1 => say!("1 pair is alike and both went on (--possible shows it)"),
                pairs => say!("{pairs} pairs are alike and both went on (--possible shows them)"),
            }
        }
        (true, false) => {
            let rows: Vec<Vec<String>> = manifest
                .rejections
                .iter()
                .map(|rejection| vec![rejection.name.clone(), rejection.kind.clone(), rejection.reason.clone()])
                .collect();
            output::table(&["name", "kind", "reason"], &rows);
            say!("{} rejected, {} went on", manifest.rejections.len(), manifest.items.len());
        }
    }
    Ok(())
}

/// What the stage put out when it was last finished.
pub(super) fn manifest(project: &Project, stage: usize) -> Result<Manifest> {
    let name = &project.pipeline.stages[stage].name;
    let state = project.states.get(name).ok_or_else(|| Error::Usage {
        what: format!("{name} was never finished, so there is nothing to look at"),
        hint: format!("`catgen-pipe run --until {}` makes it", project.pipeline.stages[stage].short_name()),
    })?;
    project.store.manifest(&state.output).ok_or_else(|| Error::Usage {
        what: format!("the list of what {name} put out is gone from the store"),
        hint: "`catgen-pipe run` makes it again".to_owned(),
    })
}

/// The stage that is looked at.
struct Looked<'a> {
    project: &'a Project,
    stage: usize,
}

impl Looked<'_> {
    fn line(&self, item: &Item) -> serde_json::Value {
        let path = shelf::folder(self.project, self.stage).join(&item.name);
        json!({
            "name": item.name, "photo": item.photo.path, "path": self.project.workspace.relative(&path).to_string(), "digest": item.digest,
            "width": item.width, "height": item.height, "bytes": item.bytes, "facts": item.facts,
        })
    }

    /// Items with their names, as one group.
    fn of_items(&self, items: &[Item], limit: usize) -> Vec<Vec<Cell>> {
        let cells = spread(&pictures(items), limit).into_par_iter().filter_map(|item| {
            let picture = shelf::picture(self.project, self.stage, item, SHOWN_SIDE)?;
            Some(Cell::new(picture, caption(item), Tone::Plain))
        });
        vec![cells.collect()]
    }

    /// Each kept picture with those that are like it, as they came in; no group is cut in two.
    fn of_groups(&self, now: &Manifest, only_possible: bool, limit: usize) -> Result<Vec<Vec<Cell>>> {
        let Some(from) = self.project.pipeline.stages[self.stage].from else { return Ok(Vec::new()) };
        let before = manifest(self.project, from)?;
        let photos = before.items.iter().map(|item| (item.photo.path.clone(), item.name.clone())).collect();
        let mut groups = groups::groups(now, &photos);
        if only_possible {
            groups.iter_mut().for_each(|group| group.others.retain(|other| other.tone == Tone::Doubtful));
            groups.retain(|group| !group.others.is_empty());
        }
        let mut room = limit;
        groups.retain(|group| {
            let fits = group.others.len() < room;
            room = room.saturating_sub(group.others.len() + 1);
            fits
        });
        let shelf = Shelf::of(self.project, from);
        let cell = |name: &str, words: &str, tone| Cell {
            picture: shelf.named(name, SHOWN_SIDE),
            words: vec![name.to_owned(), words.to_owned()],
            tone,
        };
        let cells = |group: &groups::Group<'_>| {
            let others = group.others.iter().map(|other| cell(other.name, &other.words, other.tone));
            [cell(group.kept, "kept", Tone::Good)].into_iter().chain(others).collect()
        };
        Ok(groups.par_iter().map(cells).collect())
    }

    /// Rejected pictures as they came in; for each kept photo a group of its own: that photo, then what was dropped for it.
    fn of_rejections(&self, rejections: &[Rejection], limit: usize) -> Result<Vec<Vec<Cell>>> {
        let from = self.project.pipeline.stages[self.stage].from.unwrap_or(self.stage);
        if from != self.stage {
            manifest(self.project, from)?;
        }
        let shelf = Shelf::of(self.project, from);
        let names = shelf.by_photo();
        let mut order: Vec<&Rejection> = rejections.iter().collect();
        order.sort_by(|a, b| (&a.of, a.distance, &a.name).cmp(&(&b.of, b.distance, &b.name)));
        order.truncate(limit);
        type Shown<'a> = (&'a str, Vec<String>, Tone);
        let mut groups: Vec<(Option<&String>, Vec<Shown<'_>>)> = Vec::new();
        for rejection in order {
            if rejection.of.is_none() || groups.last().is_none_or(|(of, _)| *of != rejection.of.as_ref()) {
                let kept = rejection.of.as_ref().and_then(|of| names.get(of.as_str()));
                let kept = kept.map(|name| (*name, vec![(*name).to_owned(), "kept".to_owned()], Tone::Good));
                groups.push((rejection.of.as_ref(), kept.into_iter().collect()));
            }
            let words = if rejection.of.is_some() { distance(rejection) } else { rejection.kind.clone() };
            let dropped = (rejection.name.as_str(), vec![rejection.name.clone(), words], Tone::Bad);
            if let Some((_, group)) = groups.last_mut() {
                group.push(dropped);
            }
        }
        let cell = |(name, words, tone): Shown<'_>| Cell { picture: shelf.named(name, SHOWN_SIDE), words, tone };
        let groups: Vec<Vec<Cell>> = groups.into_par_iter().map(|(_, group)| group.into_iter().map(cell).collect()).collect();
        // What belongs to nothing needs no row of its own.
        let (groups, single): (Vec<_>, Vec<_>) = groups.into_iter().partition(|group| group.len() > 1);
        let single: Vec<Cell> = single.into_iter().flatten().collect();
        Ok(groups.into_iter().chain((!single.is_empty()).then_some(single)).collect())
    }

    /// Histograms of what is known of the items, and of what can be measured on `limit` of them.
    fn stats(&self, items: &[Item], limit: usize, as_json: bool) -> Result<()> {
        let items = pictures(items);
        if items.is_empty() {
            return Err(Error::Usage { what: "there is no picture to measure".to_owned(), hint: String::new() });
        }
        let chosen = spread(&items, limit);
        let pictures = chosen.par_iter().filter_map(|item| shelf::picture(self.project, self.stage, item, SHOWN_SIDE));
        let measure = |picture: Picture| {
            let mut facts = catgen_verify::measures(&picture);
            if !picture.has_alpha() {
                // Nobody has said yet what of it is subject.
                facts.retain(|name, _| !matches!(name.as_str(), "subject_share" | "soft_share" | "edge_share"));
            }
            facts
        };
        let measured: Vec<Facts> = pictures.map(measure).collect();
        let stats = stats::stats(&items, &measured);
        if as_json {
            stats.spreads.iter().for_each(output::json);
            stats.words.iter().for_each(output::json);
            return Ok(());
        }
        const WIDTH: usize = 32;
        let blocks = stats.spreads.iter().map(|spread| spread.lines(WIDTH)).chain(stats.words.iter().map(|words| words.lines(WIDTH)));
        for (at, lines) in blocks.enumerate() {
            if at > 0 {
                output::line("");
            }
            lines.into_iter().for_each(output::line);
        }
        if measured.len() < items.len() {
            say!("light, sharpness and subject were measured on {} of {} pictures (--limit)", measured.len(), items.len());
        }
        Ok(())
    }
}

/// Items that are pictures: files of a packed dataset have no size.
fn pictures(items: &[Item]) -> Vec<&Item> {
    items.iter().filter(|item| item.width > 0).collect()
}

/// What stands under a picture: its photo, and what tells it from the photo's other pictures.
fn caption(item: &Item) -> Vec<String> {
    let stem = |name: &str| name.rsplit_once('.').map_or(name, |(stem, _)| stem).to_owned();
    let (photo, name) = (stem(&item.photo.path), stem(&item.name));
    let tag = name.strip_prefix(&photo).map(|tag| tag.trim_start_matches('_')).filter(|tag| !tag.is_empty());
    let flags = item.facts.get("flags").and_then(|flags| flags.as_array()).filter(|flags| !flags.is_empty());
    let second = match (tag, flags) {
        (Some(tag), _) => tag.to_owned(),
        (None, Some(flags)) => flags.iter().filter_map(serde_json::Value::as_str).collect::<Vec<_>>().join(" "),
        (None, None) => format!("{} x {}", item.width, item.height),
    };
    vec![photo, second]
}

/// `limit` of the items, evenly over all of them; within each stretch another place each time, because augmented pictures come
/// in rows of equal length and a fixed step would show the same transform of each.
fn spread<T: Copy>(items: &[T], limit: usize) -> Vec<T> {
    let shown = items.len().min(limit);
    let stretch = |at: usize| at * items.len() / shown;
    (0..shown).map(|at| items[stretch(at) + (at * 7) % (stretch(at + 1) - stretch(at))]).collect()
}

/// Draws the groups, under the title for so many pictures, and says so.
fn draw(file: &Path, title: &dyn Fn(usize) -> String, groups: &[Vec<Cell>]) -> Result<()> {
    let count = groups.iter().flatten().filter(|cell| cell.picture.is_some()).count();
    if count == 0 {
        return Err(Error::Usage { what: "there is no picture to put on the sheet".to_owned(), hint: String::new() });
    }
    write_sheet(file, sheet(&title(count), groups, Layout::for_count(groups.iter().map(Vec::len).sum())))?;
    say!("drew {count} pictures onto {}", file.display());
    Ok(())
}

/// Writes a sheet as PNG.
pub(super) fn write_sheet(file: &Path, sheet: RgbImage) -> Result<()> {
    let bytes = catgen_picture::encode_png(&Picture::Rgb(sheet));
    std::fs::write(file, bytes).map_err(Error::io("write", file))
}

fn row(item: &Item) -> Vec<String> {
    let size = if item.width > 0 { format!("{}×{}", item.width, item.height) } else { String::new() };
    // Pairs have a list of their own, --possible.
    let facts = item.facts.iter().filter(|(name, _)| name.as_str() != SIMILAR);
    let facts: Vec<_> = facts.map(|(name, value)| format!("{name}={value}")).collect();
    vec![item.name.clone(), size, item.bytes.to_string(), facts.join(" ")]
}

fn rejection_line(rejection: &Rejection) -> serde_json::Value {
    let mut line = json!({ "name": rejection.name, "photo": rejection.photo, "kind": rejection.kind, "reason": rejection.reason });
    if let Some(of) = &rejection.of {
        line["of"] = json!(of);
        line["distance"] = json!(rejection.distance);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::spread;

    #[test]
    fn a_sheet_spreads_over_everything_and_over_every_transform() {
        let rows: Vec<usize> = (0..64 * 12).collect();
        let shown = spread(&rows, 48);
        assert_eq!(shown.len(), 48);
        assert!(shown.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(shown.iter().any(|n| n % 2 == 0) && shown.iter().any(|n| n % 2 == 1));
        assert_eq!(spread(&rows[..5], 48), [0, 1, 2, 3, 4]);
        assert_eq!(spread(&rows[..0], 48), [0; 0]);
    }
}
