//! `preview`: what a stage makes of a few photos, on one sheet, without storing anything.

use std::path::PathBuf;

use serde_json::json;

use super::{Context, inspect::write_sheet, output, run::stage};
use crate::{
    Project, Result,
    preview::{After, Preview, Shown, preview},
    sheet::{Cell, Layout, Tone, sheet},
};

/// Show what a stage makes of a few photos, before and after, and store nothing
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The stage
    stage: String,
    /// How many photos, evenly over the folder
    #[arg(short = 'n', long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1000))]
    count: u32,
    /// Try a parameter: --set margin=0.2, or STAGE.KEY=VALUE for another stage; shown beside what is set now
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// The PNG file to draw
    #[arg(short, long, value_name = "FILE.png", default_value = "preview.png")]
    out: PathBuf,
}

/// Pictures of one photo, where a stage makes many.
const OUTPUTS: usize = 7;

pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    let plain = context.project(&[])?;
    let at = stage(&plain, &args.stage)?;
    let name = plain.pipeline.stages[at].name.clone();
    // `margin=0.2` means this stage; `STAGE.key=value` says which itself.
    let is_short = |text: &str| text.split_once('=').is_some_and(|(key, _)| !key.contains('.'));
    let set: Vec<String> = args.set.iter().map(|text| if is_short(text) { format!("{name}.{text}") } else { text.clone() }).collect();
    let changed = if set.is_empty() { None } else { Some(context.project(&set)?) };
    let tried = changed.as_ref().unwrap_or(&plain);
    let groups = match look(tried, at, args)? {
        Preview::Groups { photos, dropped, groups } => {
            let was = changed.is_some().then(|| look(&plain, at, args)).transpose()?;
            let was = was.and_then(|was| if let Preview::Groups { dropped, .. } = was { Some(dropped) } else { None });
            if context.json {
                output::json(&json!({ "stage": name, "photos": photos, "dropped": dropped, "dropped_as_set_now": was }));
            } else {
                let was = was.map_or(String::new(), |was| format!(" (as it is set now: {was})"));
                output::line(format!("{name}: {dropped} of {photos} photos would not go on{was}"));
            }
            groups
                .into_iter()
                .map(|group| {
                    let kept = Cell::new(group.kept.1, vec![group.kept.0, "kept".to_owned()], Tone::Good);
                    let dropped = group.dropped.into_iter().map(|(photo, picture, why)| Cell::new(picture, vec![photo, why], Tone::Bad));
                    std::iter::once(kept).chain(dropped).collect()
                })
                .collect()
        }
        Preview::Photos { shown, stopped } => {
            let now = changed.is_some().then(|| look(&plain, at, args)).transpose()?;
            let now = now.map(|now| if let Preview::Photos { shown, .. } = now { shown } else { Vec::new() });
            print(&shown, &stopped, context.json);
            for (photo, stage, reason) in &stopped {
                say!("{photo} does not come this far: {stage}: {reason}");
            }
            let tried = args.set.join(" ");
            shown.into_iter().map(|photo| cells(photo, now.as_deref(), &tried)).collect::<Vec<_>>()
        }
    };
    if groups.is_empty() {
        say!("nothing to draw: no photo of those looked at comes to {name}, or none is dropped by it");
        return Ok(());
    }
    let words = if set.is_empty() { String::new() } else { format!(" with {}", args.set.join(" ")) };
    let title = format!("preview of {name}{words}");
    write_sheet(&args.out, sheet(&title, &groups, layout(&groups)))?;
    say!("drew {}; nothing was stored", args.out.display());
    Ok(())
}

fn look(project: &Project, at: usize, args: &Args) -> Result<Preview> {
    preview(project, at, args.count as usize, OUTPUTS)
}

/// A row as long as the longest group, or of several short ones: about square, and no wider than a screen.
fn layout(groups: &[Vec<Cell>]) -> Layout {
    let longest = groups.iter().map(Vec::len).max().unwrap_or(1) as u32;
    let square = ((groups.len() as f64 * f64::from(longest) * 1.5).sqrt().ceil() as u32).div_ceil(longest) * longest;
    Layout::of_columns(if longest > 10 { 10 } else { square.min(if longest > 5 { longest } else { 12 / longest * longest }) })
}

/// The photo as it comes in, then what it is as things are set now if something is tried, then what becomes of it.
fn cells(photo: Shown, now: Option<&[Shown]>, tried: &str) -> Vec<Cell> {
    let mut cells = vec![Cell::new(photo.before, vec![photo.photo.clone(), "before".to_owned()], Tone::Good)];
    let one = |after: &After, words: &str| {
        let tag = if after.tag.is_empty() { format!("{} x {}", after.size[0], after.size[1]) } else { after.tag.clone() };
        let words = if words.is_empty() { vec!["after".to_owned(), tag] } else { vec![words.to_owned(), tag] };
        Cell::new(after.picture.clone(), words, Tone::Plain)
    };
    let dropped = |kind: &str, words: &str| {
        let words = if words.is_empty() { "does not go on" } else { words };
        Cell { picture: None, words: vec![words.to_owned(), kind.to_owned()], tone: Tone::Bad }
    };
    if let Some(now) = now {
        let was = now.iter().find(|other| other.photo == photo.photo).map(|was| &was.after);
        cells.push(match was {
            Some(Ok(after)) if !after.is_empty() => one(&after[0], "as set now"),
            Some(Err(reason)) => dropped(&reason.kind, "as set now: not"),
            _ => dropped("", "as set now: not"),
        });
    }
    match &photo.after {
        Ok(after) => cells.extend(after.iter().map(|after| one(after, tried))),
        Err(reason) => cells.push(dropped(&reason.kind, tried)),
    }
    cells
}

fn print(shown: &[Shown], stopped: &[(String, String, String)], json: bool) {
    let from = |cached: bool| if cached { "the store" } else { "computed now" };
    if json {
        for Shown { photo, before, after, cached } in shown {
            let outputs = after.as_ref().map_or(Vec::new(), |after| {
                after.iter().map(|After { tag, size, facts, .. }| json!({ "tag": tag, "size": size, "facts": facts })).collect()
            });
            let reason = after.as_ref().err().map(|reason| reason.text.clone());
            output::json(&json!({
                "photo": photo, "before": before.size(), "after": outputs, "rejected": reason, "cached": cached, "stopped_at": null
            }));
        }
        for (photo, stage, reason) in stopped {
            output::json(&json!({ "photo": photo, "before": null, "after": [], "rejected": reason, "cached": false, "stopped_at": stage }));
        }
        return;
    }
    let rows: Vec<Vec<String>> = shown
        .iter()
        .map(|photo| {
            let (becomes, facts) = match &photo.after {
                Ok(after) => {
                    let sizes: Vec<String> = after.iter().take(1).map(|after| format!("{}×{}", after.size[0], after.size[1])).collect();
                    let more = if after.len() > 1 { format!(" and {} more shown", after.len() - 1) } else { String::new() };
                    let facts = after.first().into_iter().flat_map(|after| &after.facts).map(|(name, value)| format!("{name}={value}"));
                    (format!("{}{more}", sizes.join("")), facts.collect::<Vec<_>>().join(" "))
                }
                Err(reason) => (format!("does not go on: {}", reason.kind), reason.text.clone()),
            };
            vec![photo.photo.clone(), becomes, from(photo.cached).to_owned(), facts]
        })
        .collect();
    output::table(&["photo", "becomes", "from", "facts"], &rows);
}
