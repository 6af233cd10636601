//! `inspect`: what lies in a stage, as a table, as JSON lines, or as a sheet to look at.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use catgen_api::{Item, Manifest, Picture, Rejection, SIMILAR, Shape};
use rayon::prelude::*;
use serde_json::json;

use super::{Context, output, run::stage};
use crate::{
    Error, Project, Result,
    run::{picture_of, source},
    sheet::{Labelled, Layout, Mark, grouped, sheet},
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
    /// Draw the pictures on one sheet into this PNG file; after a search for duplicates, its groups side by side
    #[arg(long, value_name = "FILE.png")]
    sheet: Option<PathBuf>,
    /// At most so many pictures on the sheet, evenly over the stage
    #[arg(long, default_value_t = 96, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
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
    let shelf = Shelf { project: &project, stage: at };
    if let Some(file) = &args.sheet {
        if args.possible || !args.rejected && project.pipeline.stages[at].shape() == Shape::Set {
            let groups = shelf.of_groups(&manifest, args.possible, args.limit)?;
            if args.possible || !groups.is_empty() {
                return draw_groups(file, groups);
            }
        }
        let pictures = if args.rejected {
            shelf.of_rejections(&manifest.rejections, args.limit)?
        } else {
            shelf.of_items(&manifest.items, args.limit)
        };
        return draw(file, pictures);
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
        (false, true) => manifest.items.iter().for_each(|item| output::json(&shelf.line(item))),
        (true, true) => manifest.rejections.iter().for_each(|rejection| output::json(&rejection_line(rejection))),
        (false, false) => {
            let rows: Vec<Vec<String>> = manifest.items.iter().map(row).collect();
            output::table(&["name", "size", "bytes", "facts"], &rows);
            say!("{} items, {} rejected (--rejected shows them)", manifest.items.len(), manifest.rejections.len());
            let possible = groups::pairs(&manifest.items).len();
            match possible {
                0 => {}
                1 => say!("1 pair is alike and both went on (--possible shows it)"),
                _ => say!("{possible} pairs are alike and both went on (--possible lists them)"),
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

/// Where a stage's pictures are.
struct Shelf<'a> {
    project: &'a Project,
    stage: usize,
}

impl Shelf<'_> {
    fn folder(&self, stage: usize) -> PathBuf {
        match self.project.pipeline.stages[stage].from {
            None => source::folder(self.project, stage),
            Some(_) => self.project.workspace.stage_folder(&self.project.pipeline.stages[stage].name),
        }
    }

    fn line(&self, item: &Item) -> serde_json::Value {
        let path = self.folder(self.stage).join(&item.name);
        json!({
            "name": item.name, "photo": item.photo.path, "path": self.project.workspace.relative(&path).to_string(), "digest": item.digest,
            "width": item.width, "height": item.height, "bytes": item.bytes, "facts": item.facts,
        })
    }

    fn of_items(&self, items: &[Item], limit: u32) -> Vec<Picture> {
        // Files of a packed dataset have no size: they are no pictures.
        let pictures: Vec<&Item> = items.iter().filter(|item| item.width > 0).collect();
        spread(&pictures, limit as usize).into_par_iter().filter_map(|item| self.open(self.stage, item)).collect()
    }

    fn open(&self, stage: usize, item: &Item) -> Option<Picture> {
        match self.project.pipeline.stages[stage].keeps {
            true => load(&self.folder(stage).join(&item.name)),
            false => picture_of(self.project, stage, item, Some(512)).ok()?.ok(),
        }
    }

    /// Each kept picture beside those that are like it, as they came in; no group is cut in two.
    fn of_groups(&self, manifest_now: &Manifest, only_possible: bool, limit: u32) -> Result<Vec<Vec<Labelled>>> {
        let Some(from) = self.project.pipeline.stages[self.stage].from else { return Ok(Vec::new()) };
        let before = manifest(self.project, from)?;
        let photos: HashMap<String, String> = before.items.iter().map(|item| (item.photo.path.clone(), item.name.clone())).collect();
        let by_name: HashMap<&str, &Item> = before.items.iter().map(|item| (item.name.as_str(), item)).collect();
        let mut groups = groups::groups(manifest_now, &photos);
        if only_possible {
            groups.iter_mut().for_each(|group| group.others.retain(|other| other.mark == Mark::Possible));
            groups.retain(|group| !group.others.is_empty());
        }
        let mut room = limit as usize;
        groups.retain(|group| {
            let fits = group.others.len() < room;
            room = room.saturating_sub(group.others.len() + 1);
            fits
        });
        let labelled = |name: &str, mark, words: String| {
            let picture = self.open(from, by_name.get(name)?)?;
            Some(Labelled { picture, mark, lines: [name.to_owned(), words] })
        };
        let labelled = |group: &groups::Group<'_>| {
            let kept = labelled(group.kept, Mark::Kept, "kept".to_owned());
            let others = group.others.iter().map(|other| labelled(other.name, other.mark, other.words.clone()));
            [kept].into_iter().chain(others).flatten().collect()
        };
        Ok(groups.par_iter().map(labelled).collect())
    }

    /// Rejected pictures as they came in; each kept photo once, followed by what was dropped for it.
    fn of_rejections(&self, rejections: &[Rejection], limit: u32) -> Result<Vec<Picture>> {
        let from = self.project.pipeline.stages[self.stage].from.unwrap_or(self.stage);
        let folder = self.folder(from);
        let names: HashMap<String, String> = match from == self.stage {
            true => HashMap::new(),
            false => manifest(self.project, from)?.items.into_iter().map(|item| (item.photo.path.clone(), item.name)).collect(),
        };
        let mut order: Vec<&Rejection> = rejections.iter().collect();
        order.sort_by(|a, b| (&a.of, &a.name).cmp(&(&b.of, &b.name)));
        let mut paths: Vec<PathBuf> = Vec::new();
        let mut kept: Option<&String> = None;
        for rejection in order {
            if rejection.of.is_some() && kept != rejection.of.as_ref() {
                kept = rejection.of.as_ref();
                paths.extend(kept.and_then(|of| names.get(of)).map(|name| folder.join(name)));
            }
            paths.push(folder.join(&rejection.name));
        }
        paths.truncate(limit as usize);
        Ok(paths.into_par_iter().filter_map(|path| load(&path)).collect())
    }
}

fn load(path: &Path) -> Option<Picture> {
    catgen_picture::decode(&std::fs::read(path).ok()?, Some(512)).ok().map(|decoded| decoded.picture)
}

/// `limit` of the items, evenly over all of them; within each stretch another place each time, because augmented pictures come
/// in rows of equal length and a fixed step would show the same transform of each.
fn spread<T: Copy>(items: &[T], limit: usize) -> Vec<T> {
    let shown = items.len().min(limit);
    let stretch = |at: usize| at * items.len() / shown;
    (0..shown).map(|at| items[stretch(at) + (at * 7) % (stretch(at + 1) - stretch(at))]).collect()
}

fn draw(file: &Path, pictures: Vec<Picture>) -> Result<()> {
    if pictures.is_empty() {
        return Err(Error::Usage { what: "there is no picture to put on the sheet".to_owned(), hint: String::new() });
    }
    let count = pictures.len();
    let sheet = sheet(pictures, Layout::for_count(count));
    let bytes = catgen_picture::encode_png(&Picture::Rgb(sheet));
    std::fs::write(file, bytes).map_err(Error::io("write", file))?;
    say!("drew {count} pictures onto {}", file.display());
    Ok(())
}

fn draw_groups(file: &Path, groups: Vec<Vec<Labelled>>) -> Result<()> {
    if groups.is_empty() {
        return Err(Error::Usage { what: "there are no such pairs to put on the sheet".to_owned(), hint: String::new() });
    }
    let count = groups.len();
    let bytes = catgen_picture::encode_png(&Picture::Rgb(grouped(groups)));
    std::fs::write(file, bytes).map_err(Error::io("write", file))?;
    say!("drew {count} groups onto {}: green went on, red was dropped for it, yellow is alike and went on as well", file.display());
    Ok(())
}

fn row(item: &Item) -> Vec<String> {
    let size = if item.width > 0 { format!("{}×{}", item.width, item.height) } else { String::new() };
    let shown = item.facts.iter().filter(|(name, _)| *name != SIMILAR);
    let facts: Vec<_> = shown.map(|(name, value)| format!("{name}={value}")).collect();
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
