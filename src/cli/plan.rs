//! `plan` and `status`: what `run` would do, counted.

use super::{
    Context,
    output::{self, Tagged, duration},
    run::stages,
};
use crate::{
    Project, Result,
    executor::{self, JobLine},
    plan::{self, PlanLine, State},
};

/// Say what run would do, counted per stage, and do nothing
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only this stage and what it needs; may be given several times
    #[arg(long, value_name = "STAGE")]
    until: Vec<String>,
    /// Look at all new photos to know which are duplicates, however long that takes
    #[arg(long)]
    exact: bool,
    /// Change a parameter for this plan
    #[arg(long, value_name = "STAGE.KEY=VALUE")]
    set: Vec<String>,
}

/// Say how each stage is: fresh, stale or pending
#[derive(Debug, clap::Args)]
pub(super) struct StatusArgs {}

pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    show(context, &args.set, &args.until, if args.exact { usize::MAX } else { plan::LOOK_AHEAD })
}

pub(super) fn status(_: &StatusArgs, context: &Context) -> Result<()> {
    show(context, &[], &[], plan::LOOK_AHEAD)
}

fn show(context: &Context, set: &[String], until: &[String], look_ahead: usize) -> Result<()> {
    let project = context.project(set)?;
    let until = stages(&project, until)?;
    let mut selected = vec![until.is_empty(); project.pipeline.stages.len()];
    for stage in until {
        selected.iter_mut().zip(project.pipeline.ancestors(stage)).for_each(|(selected, needed)| *selected |= needed);
    }
    let lines = plan::plan(&project, &selected, look_ahead)?;
    let jobs = executor::alive(&project);
    if context.json {
        lines.iter().for_each(|line| output::json(&Tagged { event: "plan", body: line }));
        jobs.iter().for_each(|line| output::json(&Tagged { event: "job", body: line }));
        return Ok(());
    }
    let rows: Vec<Vec<String>> = lines.iter().map(row).collect();
    output::table(&["stage", "state", "reuse", "compute", "remove", "why"], &rows);
    for JobLine { job, stages, waiting, working, cancel, .. } in &jobs {
        let stages = stages.join(", ");
        say!("job {job} computes {stages}: {working} parts at work, {waiting} waiting; `catgen-pipe run` waits for it, `{cancel}` ends it");
    }
    let seconds: f64 = lines.iter().filter_map(|line| line.seconds).sum();
    if lines.iter().any(|line| line.compute > 0 && line.seconds.is_none()) {
        say!("how long that takes is known after the first run");
    } else if seconds > 0.0 {
        say!("about {} by what it took before", duration(seconds));
    }
    say_leftovers(&project);
    Ok(())
}

/// A stage that was renamed or taken out leaves its folder, which nothing fills or empties any more.
pub(super) fn say_leftovers(project: &Project) {
    for stage in plan::leftovers(project) {
        say!(
            "note: no stage is called {stage} any more; data/{stage} stays until you delete that folder, and `catgen-pipe gc` then frees its room"
        );
    }
}

fn row(line: &PlanLine) -> Vec<String> {
    let state = match line.state {
        State::Fresh => "fresh",
        State::Stale => "stale",
        State::Pending => "pending",
    };
    let at_most = if line.exact { "" } else { " at most" };
    vec![
        line.stage.clone(),
        state.to_owned(),
        line.reuse.to_string(),
        format!("{}{at_most}", line.compute),
        line.remove.to_string(),
        line.reason.clone().unwrap_or_default(),
    ]
}
