//! `runs`: what was run, when, with which result.

use super::{
    Context,
    output::{self, duration},
};
use crate::{
    Result,
    progress::Status,
    record::{self, RunRecord},
};

/// List what was run, when, and what came of it
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

pub(super) fn run(_: &Args, context: &Context) -> Result<()> {
    let runs = record::list(&context.workspace()?);
    if context.json {
        for run in &runs {
            let RunRecord { id, status, started, seconds, dataset, metrics, .. } = run;
            output::json(&serde_json::json!({
                "id": id, "status": status, "started": started, "seconds": seconds, "dataset": dataset, "metrics": metrics
            }));
        }
        return Ok(());
    }
    if runs.is_empty() {
        say!("nothing was run yet");
        return Ok(());
    }
    let rows: Vec<Vec<String>> = runs.iter().map(row).collect();
    output::table(&["run", "status", "started", "took", "computed", "result"], &rows);
    Ok(())
}

fn row(run: &RunRecord) -> Vec<String> {
    let status = match run.status {
        Status::Running => "running or killed",
        Status::Done => "done",
        Status::Stopped => "stopped",
        Status::Failed => "failed",
        Status::Interrupted => "interrupted",
    };
    let computed: usize = run.stages.iter().map(|stage| stage.computed).sum();
    let number = |value: &serde_json::Value, name: &str| value.get(name).and_then(serde_json::Value::as_f64).unwrap_or(f64::NAN);
    let trained = run.metrics.iter().filter(|(_, metrics)| metrics.get("epoch").is_some()).map(|(stage, metrics)| {
        let (epoch, d, g) = (number(metrics, "epoch"), number(metrics, "loss_d"), number(metrics, "loss_g"));
        format!("{stage}: epoch {epoch:.0}, loss D {d:.3} G {g:.3}")
    });
    let result =
        run.error.clone().map(|error| error.lines().next().unwrap_or_default().to_owned()).into_iter().chain(trained).collect::<Vec<_>>();
    vec![run.id.clone(), status.to_owned(), run.started.clone(), duration(run.seconds), computed.to_string(), result.join("; ")]
}
