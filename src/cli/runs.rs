//! `runs`: what was run, when, with which result; and which of it `gc` shall keep.

use super::{
    Context,
    output::{self, duration},
};
use crate::{
    Result, Workspace,
    progress::Status,
    record::{self, RunRecord},
};

/// List what was run, when, and what came of it
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Keep what a run put out, whatever `gc` removes
    Pin {
        /// Its id, its number, or `last`
        #[arg(required = true)]
        run: Vec<String>,
    },
    /// Let `gc` remove what a run put out once it is old
    Unpin {
        /// Its id, its number, or `last`
        #[arg(required = true)]
        run: Vec<String>,
    },
}

pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    let workspace = context.workspace()?;
    match &args.action {
        None => list(&workspace, context.json),
        Some(Action::Pin { run }) => pin(&workspace, run, true),
        Some(Action::Unpin { run }) => pin(&workspace, run, false),
    }
}

fn pin(workspace: &Workspace, words: &[String], pinned: bool) -> Result<()> {
    let runs = words.iter().map(|word| record::find(workspace, word)).collect::<Result<Vec<_>>>()?;
    for run in runs {
        let news = record::pin::set(workspace, &run.id, pinned)?;
        let done = if pinned { "pinned" } else { "not pinned" };
        say!("{} {} {done}", run.id, if news { "is now" } else { "was already" });
    }
    Ok(())
}

fn list(workspace: &Workspace, json: bool) -> Result<()> {
    let runs = record::list(workspace);
    if json {
        for run in &runs {
            let RunRecord { id, status, started, seconds, dataset, metrics, .. } = run;
            output::json(&serde_json::json!({
                "id": id, "status": status, "started": started, "seconds": seconds, "dataset": dataset, "metrics": metrics,
                "pinned": record::pin::is_pinned(workspace, id)
            }));
        }
        return Ok(());
    }
    if runs.is_empty() {
        say!("nothing was run yet");
        return Ok(());
    }
    let rows: Vec<Vec<String>> = runs.iter().map(|run| row(workspace, run)).collect();
    output::table(&["run", "status", "started", "took", "computed", "result"], &rows);
    Ok(())
}

fn row(workspace: &Workspace, run: &RunRecord) -> Vec<String> {
    let status = match run.status {
        Status::Running => "running or killed",
        Status::Done => "done",
        Status::Stopped => "stopped",
        Status::Failed => "failed",
        Status::Interrupted => "interrupted",
    };
    let pinned = if record::pin::is_pinned(workspace, &run.id) { ", pinned" } else { "" };
    let computed: usize = run.stages.iter().map(|stage| stage.computed).sum();
    let number = |value: &serde_json::Value, name: &str| value.get(name).and_then(serde_json::Value::as_f64).unwrap_or(f64::NAN);
    let trained = run.metrics.iter().filter(|(_, metrics)| metrics.get("epoch").is_some()).map(|(stage, metrics)| {
        let (epoch, d, g) = (number(metrics, "epoch"), number(metrics, "loss_d"), number(metrics, "loss_g"));
        let best = metrics.get("best").map(|best| {
            let kid = 1000.0 * number(best, "kid");
            format!(", best KID ×1000 {kid:.1} at epoch {:.0}", number(best, "epoch"))
        });
        format!("{stage}: epoch {epoch:.0}, loss D {d:.3} G {g:.3}{}", best.unwrap_or_default())
    });
    let result =
        run.error.clone().map(|error| error.lines().next().unwrap_or_default().to_owned()).into_iter().chain(trained).collect::<Vec<_>>();
    vec![run.id.clone(), format!("{status}{pinned}"), run.started.clone(), duration(run.seconds), computed.to_string(), result.join("; ")]
}
