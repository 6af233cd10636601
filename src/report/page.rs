//! The page: from what a report shows to HTML.

use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde_json::Value;

use super::{
    Page, Parameters, Rejected, Section, Thumbnail, Training,
    chart::{Series, chart},
};
use crate::progress::{StageReport, Status};

/// The page's looks: one column that is as good on a phone, dark where the reader's system is.
const STYLE: &str = "
:root { color-scheme: light dark; --ink: #1c1c1e; --paper: #fff; --soft: #6b6b70; --line: #ddd; --panel: #f5f5f7; --bad: #b3261e; --s0: #b45309; --s1: #1d4ed8; --s2: #15803d; --s3: #9333ea; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8ea; --paper: #161618; --soft: #a0a0a6; --line: #38383c; --panel: #222226; --bad: #ff8a80; --s0: #f59e0b; --s1: #7aa2ff; --s2: #4ade80; --s3: #d8b4fe; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 70rem; font: 16px/1.45 system-ui, sans-serif; color: var(--ink); background: var(--paper); overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; margin: .2rem 0; } h2 { font-size: 1.15rem; margin: 2rem 0 .3rem; border-top: 1px solid var(--line); padding-top: 1rem; } h3 { font-size: 1rem; margin: 1rem 0 .3rem; }
p { margin: .3rem 0; } .soft, figcaption { color: var(--soft); font-size: .85rem; } .bad { color: var(--bad); } a { color: inherit; }
.wide { overflow-x: auto; } .wide table { min-width: 44rem; } .wide th, .wide td { white-space: nowrap; overflow-wrap: normal; } table { border-collapse: collapse; width: 100%; font-size: .9rem; } th, td { text-align: left; padding: .25rem .6rem .25rem 0; border-bottom: 1px solid var(--line); vertical-align: top; } td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
.pictures { display: grid; grid-template-columns: repeat(auto-fill, minmax(6rem, 1fr)); gap: .6rem; margin: .6rem 0; } .pictures.grids { grid-template-columns: repeat(auto-fill, minmax(min(100%, 18rem), 1fr)); }
figure { margin: 0; min-width: 0; } figure img { width: 100%; height: auto; display: block; border-radius: 4px; background: var(--panel); } .pictures:not(.grids) figure img { aspect-ratio: 1; object-fit: contain; }
figcaption { font-size: .72rem; line-height: 1.25; margin-top: .15rem; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 2px; } .rejected { grid-template-columns: repeat(auto-fill, minmax(11rem, 1fr)); }
details { margin: .4rem 0; } summary { cursor: pointer; }
svg { width: 100%; max-width: 44rem; height: auto; background: var(--panel); border-radius: 4px; } svg text { font-size: 11px; fill: var(--soft); } svg .grid { stroke: var(--line); } polyline { fill: none; stroke-width: 1.8; stroke-linejoin: round; }
polyline.s0 { stroke: var(--s0); } polyline.s1 { stroke: var(--s1); } polyline.s2 { stroke: var(--s2); } polyline.s3 { stroke: var(--s3); } span.s0 { color: var(--s0); } span.s1 { color: var(--s1); } span.s2 { color: var(--s2); } span.s3 { color: var(--s3); }
code { font-size: .85em; }
";

/// Nothing but this file: no script, no picture that is not in it.
const POLICY: &str = "default-src 'none'; img-src data:; style-src 'unsafe-inline'";

pub(super) fn html(page: &Page<'_>) -> String {
    let run = page.run;
    let title = format!("{} · run {}", page.project, run.id);
    let whole = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { (title) }
                p {
                    (status(run.status)) ", began " (run.started) ", worked " (seconds(run.seconds))
                    @if run.attempts > 1 { ", in " (run.attempts) " goes" }
                    span class="soft" { " · catgen-pipe " (run.version) }
                }
                @if let Some(error) = &run.error { p class="bad" { (error) } }
                @if !run.set.is_empty() { p { "Changed for this run: " @for set in &run.set { code { (set) } " " } } }
                @if let Some(note) = &page.note { p class="soft" { (note) } }
                (flow(&page.sections))
                @for training in &page.trainings { (trained(training)) }
                @for section in &page.sections { (stage(section)) }
                (parameters(&page.parameters))
            }
        }
    };
    whole.into_string()
}

fn status(status: Status) -> &'static str {
    match status {
        Status::Running => "At work, or killed at work",
        Status::Done => "Done",
        Status::Stopped => "Stopped; it goes on from there",
        Status::Failed => "Stopped by an error",
        Status::Interrupted => "Interrupted",
    }
}

/// Counts per stage: the whole run at a glance.
fn flow(sections: &[Section]) -> Markup {
    let reports: Vec<&StageReport> = sections.iter().filter_map(|section| section.report.as_ref()).collect();
    html! {
        div class="wide" {
            table {
                thead { tr { th { "stage" } @for head in ["in", "out", "computed", "reused", "removed", "rejected", "seconds"] { th class="n" { (head) } } } }
                tbody {
                    @for report in reports {
                        tr {
                            td { a href=(format!("#{}", anchor(&report.stage))) { (report.stage) } }
                            @for count in [report.items_in, report.items_out, report.computed, report.reused, report.removed, report.rejected] {
                                td class="n" { @if count > 0 { (count) } }
                            }
                            td class="n" { @if report.seconds > 0.0 { (format!("{:.1}", report.seconds)) } }
                        }
                    }
                }
            }
        }
    }
}

/// A stage's name as the target of a link: letters and digits stay, whatever else becomes its number.
fn anchor(stage: &str) -> String {
    stage
        .chars()
        .map(|letter| if letter.is_ascii_alphanumeric() { letter.to_string() } else { format!("-{:x}", u32::from(letter)) })
        .collect()
}

fn stage(section: &Section) -> Markup {
    html! {
        h2 id=(anchor(&section.name)) { (section.name) }
        p class="soft" {
            (section.summary)
            @if let Some(report) = &section.report { " · " (report.items_in) " in, " (report.items_out) " out" @if report.rejected > 0 { ", " (report.rejected) " rejected" } }
        }
        @if !section.pictures.is_empty() { div class="pictures" { @for picture in &section.pictures { (figure(picture)) } } }
        @for rejected in &section.rejections { (rejections(rejected)) }
    }
}

fn figure(picture: &Thumbnail) -> Markup {
    html! { figure { img loading="lazy" src=(picture.uri) alt=(picture.words) title=(picture.words); figcaption { (picture.words) } } }
}

fn rejections(rejected: &Rejected) -> Markup {
    let Rejected { kind, count, shown } = rejected;
    html! {
        details open[*count <= 8] {
            summary { span class="bad" { (kind) } ": " (count) @if shown.len() < *count { " (" (shown.len()) " shown)" } }
            div class="pictures rejected" {
                @for one in shown {
                    figure {
                        div class="pair" { @for picture in &one.pictures { img loading="lazy" src=(picture.uri) alt=(picture.words) title=(picture.words); } }
                        figcaption { (one.words) ": " (one.reason) }
                    }
                }
            }
        }
    }
}

fn trained(training: &Training) -> Markup {
    let number = |value: &Value| value.as_f64().map_or_else(|| value.to_string(), |n| format!("{}", (n * 1e4).round() / 1e4));
    html! {
        h2 id=(anchor(&training.stage)) { "Training: " (training.stage) }
        p class="soft" { (training.folder) }
        @if !training.measures.is_empty() { p { @for (name, value) in &training.measures { (name) " " b { (number(value)) } " · " } } }
        @for lines in curves(&training.epochs) { (chart(&lines)) }
        @if !training.grids.is_empty() { div class="pictures grids" { @for grid in &training.grids { (figure(grid)) } } }
    }
}

/// Losses together, opinions together, and every other measure in a drawing of its own.
fn curves(epochs: &[serde_json::Map<String, Value>]) -> Vec<Vec<Series>> {
    const TOGETHER: &[&[&str]] = &[&["loss_d", "loss_g"], &["d_real", "d_fake"]];
    const COUNTERS: &[&str] = &["epoch", "step", "images_seen"];
    let mut names: Vec<&str> = Vec::new();
    for (name, value) in epochs.iter().flatten() {
        if value.is_number() && !COUNTERS.contains(&name.as_str()) && !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let line = |name: &str| {
        let point = |epoch: &serde_json::Map<String, Value>| Some([epoch.get("epoch")?.as_f64()?, epoch.get(name)?.as_f64()?]);
        Series { name: name.to_owned(), points: epochs.iter().filter_map(point).collect() }
    };
    let groups = TOGETHER.iter().map(|group| group.iter().filter(|name| names.contains(name)).map(|name| line(name)).collect::<Vec<_>>());
    let others = names.iter().filter(|name| !TOGETHER.concat().contains(name)).map(|name| vec![line(name)]);
    groups.chain(others).filter(|group| !group.is_empty()).collect()
}

fn parameters(stages: &[Parameters]) -> Markup {
    html! {
        @if !stages.is_empty() {
            h2 { "Parameters" }
            p class="soft" { "Bold: not the default." }
            @for stage in stages {
                details {
                    summary { (stage.stage) span class="soft" { " " (stage.kind) } @for (name, value, is_default) in &stage.values { @if !is_default { " " code { b { (name) " = " (value) } } } } }
                    table { tbody { @for (name, value, is_default) in &stage.values { tr { td { (name) } td { code { @if *is_default { (value) } @else { b { (value) } } } } } } } }
                }
            }
        }
    }
}

fn seconds(seconds: f64) -> String {
    match seconds {
        s if s < 120.0 => format!("{s:.1} s"),
        s if s < 7200.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{record::RunRecord, report::RejectedPicture};

    fn record() -> RunRecord {
        serde_json::from_value(json!({
            "id": "0001-abcd", "status": "failed", "started": "2026-11-01T10:00:00+00:00", "seconds": 3.5,
            "asked": "00".repeat(32), "set": ["a.b=\"<i>\""], "error": "it & <b>broke</b>"
        }))
        .unwrap()
    }

    #[test]
    fn names_are_escaped_and_nothing_comes_from_outside() {
        let evil = "<script>alert('x')</script>\"&.jpg";
        let thumbnail = || Thumbnail { uri: "data:image/jpeg;base64,AAAA".to_owned(), words: evil.to_owned() };
        let shown = vec![RejectedPicture { reason: evil.to_owned(), pictures: vec![thumbnail()], words: evil.to_owned() }];
        let section = Section {
            name: format!("1.{evil}"),
            summary: "",
            report: None,
            pictures: vec![thumbnail()],
            rejections: vec![Rejected { kind: evil.to_owned(), count: 9, shown }],
        };
        let epochs =
            [(1, 0.5), (2, 0.25)].map(|(epoch, value)| json!({"epoch": epoch, "loss_d": value, evil: value}).as_object().unwrap().clone());
        let training = Training {
            stage: evil.to_owned(),
            folder: evil.to_owned(),
            measures: vec![(evil.to_owned(), json!(evil))],
            epochs: epochs.to_vec(),
            grids: vec![thumbnail()],
        };
        let parameters = vec![Parameters { stage: evil.to_owned(), kind: "zoom", values: vec![(evil.to_owned(), evil.to_owned(), false)] }];
        let run = record();
        let page =
            Page { project: evil, run: &run, note: Some(evil.to_owned()), sections: vec![section], trainings: vec![training], parameters };
        let made = html(&page);
        assert!(!made.contains("<script") && !made.contains("<b>broke") && made.contains("&lt;script&gt;"), "{made}");
        assert!(made.contains("it &amp; &lt;b&gt;broke"));
        for attribute in ["src=\"", "href=\""] {
            let starts: Vec<&str> = made.split(attribute).skip(1).map(|rest| &rest[..1]).collect();
            assert!(starts.iter().all(|start| *start == "d" || *start == "#"), "{attribute} {starts:?}");
        }
        assert!(!made.contains("url(") && !made.contains("@import") && !made.contains("http:") && !made.contains("https:"));
        assert_eq!(made.matches("<polyline").count(), 2, "loss, and the measure that no version knows");
    }

    #[test]
    fn a_run_that_did_nothing_has_a_page_too() {
        let run = record();
        let page = Page { project: "cats", run: &run, note: None, sections: Vec::new(), trainings: Vec::new(), parameters: Vec::new() };
        let made = html(&page);
        assert!(made.starts_with("<!DOCTYPE html>") && made.contains("Stopped by an error") && made.ends_with("</html>"), "{made}");
    }

    #[test]
    fn links_find_their_stage() {
        assert_eq!(anchor("data/1.No duplicates"), "data-2f1-2eNo-20duplicates");
        assert_ne!(anchor("a/b"), anchor("a.b"));
    }
}
