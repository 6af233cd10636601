//! `gc`: make room, without losing anything that is in use.

use super::{
    Context,
    output::{self, Tagged},
};
use crate::{
    Result,
    cache::gc::{self, Report, RunLine, StageLine, Sum},
    disk::size,
};

/// Remove from the store what no folder and none of the last runs needs
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Keep what the last N runs put out, apart from pinned ones (`catgen-pipe runs pin`)
    #[arg(long, value_name = "N", default_value_t = 10)]
    keep_runs: usize,
    /// Keep the rest, too, as far as the store stays below SIZE, for instance 5GB; what was cheapest to compute goes first
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    max_size: Option<u64>,
    /// Say what would go, per stage and per run, and remove nothing
    #[arg(long)]
    dry_run: bool,
    /// Also delete the files that were found in stages' folders and moved to .catgen/set-aside: they are somebody's own
    #[arg(long)]
    set_aside: bool,
    /// Fail if a run works in this workspace, instead of waiting for it
    #[arg(long)]
    no_wait: bool,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    let project = context.project(&[])?;
    let options = gc::Options { keep_runs: args.keep_runs, max_size: args.max_size, dry_run: args.dry_run, set_aside: args.set_aside };
    let _lock = if args.dry_run {
        None
    } else {
        let waiting = |by: &str| say!("note: waiting for a run in this workspace: {by}");
        let lock = project.workspace.lock(!args.no_wait, waiting)?;
        project.store.prepare()?;
        Some(lock)
    };
    let report = gc::collect(&project.workspace, &project.store, &project.pipeline, &options)?;
    if context.json {
        json(&report, args);
    } else {
        people(&report, args);
    }
    Ok(())
}

/// The last line of `gc --json`; its names are a contract.
#[derive(serde::Serialize)]
struct Total {
    dry_run: bool,
    kept: Sum,
    freed: Sum,
    manifests: Sum,
    records: usize,
    set_aside: Sum,
    over: u64,
}

fn json(report: &Report, args: &Args) {
    report.stages.iter().for_each(|line| output::json(&Tagged { event: "stage", body: line }));
    report.runs.iter().for_each(|line| output::json(&Tagged { event: "run", body: line }));
    let Report { kept, freed, manifests, records, set_aside, over, .. } = *report;
    let total = Total { dry_run: args.dry_run, kept, freed, manifests, records, set_aside, over };
    output::json(&Tagged { event: "gc", body: &total });
}

fn people(report: &Report, args: &Args) {
    let goes = if args.dry_run { "would go" } else { "gone" };
    if !report.stages.is_empty() {
        let row = |line: &StageLine| {
            let name = line.stage.clone().unwrap_or_else(|| "(no listed run)".to_owned());
            vec![name, size(line.kept.bytes), size(line.freed.bytes)]
        };
        output::table(&["stage", "stays", goes], &report.stages.iter().map(row).collect::<Vec<_>>());
    }
    if args.dry_run && !report.runs.is_empty() {
        let row = |line: &RunLine| {
            let why = match (line.pinned, line.kept) {
                (true, _) => "pinned",
                (_, true) => "one of the last",
                _ => "",
            };
            vec![line.run.clone(), size(line.holds.bytes), size(line.alone.bytes), size(line.freed.bytes), why.to_owned()]
        };
        output::line("");
        output::table(&["run", "put out", "nothing else needs", goes, "kept as"], &report.runs.iter().map(row).collect::<Vec<_>>());
    }
    let freed = Sum { files: report.freed.files + report.manifests.files, bytes: report.freed.bytes + report.manifests.bytes };
    let verb = if args.dry_run { "would free" } else { "freed" };
    say!("{verb} {} ({} files); {} stay", size(freed.bytes), freed.files, size(report.kept.bytes));
    if report.over > 0 {
        say!(
            "note: that is {} more than --max-size: the folders below data/ and pinned runs need it (`catgen-pipe runs unpin` lets a run go)",
            size(report.over)
        );
    }
    for stage in &report.leftovers {
        say!("note: no stage is called {stage} any more; what data/{stage} shows stays until you delete that folder");
    }
    if report.set_aside.files > 0 && !args.set_aside {
        let Sum { files, bytes } = report.set_aside;
        say!("note: .catgen/set-aside holds {files} files of yours ({}); `gc --set-aside` deletes them", size(bytes));
    }
}

/// `5GB`, `500 MB`, `1.5g`, `4096`: powers of 1,000, with an `i` (`5GiB`) of 1,024.
fn parse_size(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is not a size, for instance 5GB or 500MB");
    let lower = text.trim().to_ascii_lowercase();
    let digits = lower.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(lower.len());
    let number: f64 = lower[..digits].parse().map_err(|_| wrong())?;
    let unit = lower[digits..].trim();
    let (letter, base) = match unit.trim_end_matches('b') {
        binary if binary.ends_with('i') => (binary.trim_end_matches('i'), 1024f64),
        decimal => (decimal, 1000f64),
    };
    let power = ["", "k", "m", "g", "t"].iter().position(|known| *known == letter).ok_or_else(wrong)?;
    Ok((number * base.powi(power as i32)) as u64)
}

#[cfg(test)]
mod tests {
    use super::parse_size;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, bytes) in [
            ("4096", 4096),
            ("500MB", 500_000_000),
            ("1.5 g", 1_500_000_000),
            ("5GiB", 5 << 30),
            ("2tb", 2_000_000_000_000),
            ("3k", 3000),
            ("7b", 7),
            ("0", 0),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in ["", "GB", "5X", "-1", "1.2.3", "5 cats", "i"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }
}
