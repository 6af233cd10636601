//! `verify`: what waits for a person's eye, and what people decided.

use std::path::PathBuf;

use catgen_api::{Digest, Manifest};
use catgen_verify::decisions::{self, Choice, Decision, Decisions};
use serde_json::json;

use super::{Context, inspect, output, run::stage};
use crate::{Error, Project, Result, record};

/// List what was flagged, and accept or reject pictures; the next run obeys
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The `verify` stage; needed only if the pipeline has several
    #[arg(long, global = true)]
    stage: Option<String>,
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// What is flagged or decided (the default)
    List,
    /// These go on, whatever their flags
    Accept(Names),
    /// These do not go on
    Reject(Names),
    /// Forget what was decided about these
    Undo(Names),
}

#[derive(Debug, clap::Args)]
struct Names {
    /// Names as `verify list` shows them, photos, or digests; `*` stands for any text
    #[arg(required = true)]
    names: Vec<String>,
}

/// One picture that came to the stage.
struct Seen {
    name: String,
    photo: String,
    digest: Digest,
    flags: Vec<String>,
    on: bool,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    let project = context.project(&[])?;
    let at = the_stage(&project, args.stage.as_deref())?;
    let file = decisions_file(&project, at);
    let seen = seen(&inspect::manifest(&project, at)?);
    let decided = decisions::load(&file).map_err(|error| super::usage(error.to_string()))?;
    match &args.action {
        None | Some(Action::List) => {
            list(&seen, &decided, context.json);
            Ok(())
        }
        Some(Action::Accept(names)) => decide(&seen, &names.names, Choice::Accept, &file),
        Some(Action::Reject(names)) => decide(&seen, &names.names, Choice::Reject, &file),
        Some(Action::Undo(names)) => decide(&seen, &names.names, Choice::Undo, &file),
    }
}

fn the_stage(project: &Project, word: Option<&str>) -> Result<usize> {
    let is_verify = |at: &usize| project.pipeline.stages[*at].entry.kind.name == catgen_verify::KIND.name;
    if let Some(word) = word {
        let at = stage(project, word)?;
        return if is_verify(&at) { Ok(at) } else { Err(super::usage(format!("{word} is not a `verify` stage"))) };
    }
    let all: Vec<usize> = (0..project.pipeline.stages.len()).filter(is_verify).collect();
    match all.as_slice() {
        [only] => Ok(*only),
        [] => Err(Error::Usage {
            what: "the pipeline has no `verify` stage".to_owned(),
            hint: "add one where pictures should be looked at".to_owned(),
        }),
        several => {
            let names: Vec<_> = several.iter().map(|at| project.pipeline.stages[*at].name.as_str()).collect();
            Err(super::usage(format!("the pipeline has several `verify` stages: say --stage {}", names.join(" or --stage "))))
        }
    }
}

fn decisions_file(project: &Project, stage: usize) -> PathBuf {
    let params = &project.pipeline.stages[stage].params;
    let file = params.iter().find(|(name, _)| *name == "decisions").and_then(|(_, value)| value.as_str());
    project.workspace.root().join(file.unwrap_or("data/decisions.jsonl"))
}

fn seen(manifest: &Manifest) -> Vec<Seen> {
    let went_on = manifest.items.iter().map(|item| {
        let flags = item
            .facts
            .get("flags")
            .and_then(|flags| flags.as_array())
            .map(|flags| flags.iter().filter_map(|flag| flag.as_str()).map(str::to_owned).collect());
        Seen { name: item.name.clone(), photo: item.photo.path.clone(), digest: item.digest, flags: flags.unwrap_or_default(), on: true }
    });
    let stopped = manifest.rejections.iter().filter_map(|rejection| {
        let flags = vec![rejection.reason.clone()];
        Some(Seen { name: rejection.name.clone(), photo: rejection.photo.clone(), digest: rejection.input?, flags, on: false })
    });
    let mut all: Vec<Seen> = went_on.chain(stopped).collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

fn list(seen: &[Seen], decided: &Decisions, as_json: bool) {
    let doubtful: Vec<(&Seen, Option<&Decision>)> = seen
        .iter()
        .map(|seen| (seen, decided.get(&seen.digest)))
        .filter(|(seen, decision)| !seen.flags.is_empty() || decision.is_some())
        .collect();
    let word = |decision: Option<&Decision>| decision.map_or("", |decision| decision.decision.word()).to_owned();
    if as_json {
        for (seen, decision) in doubtful {
            let decision = decision.map(|decision| decision.decision.word());
            output::json(
                &json!({ "name": seen.name, "photo": seen.photo, "digest": seen.digest, "goes_on": seen.on, "flags": seen.flags, "decision": decision }),
            );
        }
        return;
    }
    let rows: Vec<Vec<String>> = doubtful
        .iter()
        .map(|(seen, decision)| {
            vec![seen.name.clone(), if seen.on { "goes on" } else { "stopped" }.to_owned(), word(*decision), seen.flags.join(" ")]
        })
        .collect();
    output::table(&["name", "now", "decision", "flags"], &rows);
    let open = doubtful.iter().filter(|(_, decision)| decision.is_none()).count();
    eprintln!("{open} flagged and undecided of {}; `catgen-pipe verify accept|reject NAME…` decides", seen.len());
}

/// Nothing is written unless every name means something.
fn decide(seen: &[Seen], names: &[String], choice: Choice, file: &std::path::Path) -> Result<()> {
    let mut meant: Vec<&Seen> = Vec::new();
    for name in names {
        let before = meant.len();
        let fits = |seen: &&Seen| {
            fits(name, &seen.name) || fits(name, &seen.photo) || (name.len() >= 8 && seen.digest.to_string().starts_with(name.as_str()))
        };
        meant.extend(seen.iter().filter(fits));
        if meant.len() == before {
            return Err(Error::Usage {
                what: format!("no picture of this stage is called {name:?}"),
                hint: "`catgen-pipe inspect` lists them all".to_owned(),
            });
        }
    }
    let who = std::env::var("USER").unwrap_or_default();
    for seen in &meant {
        let decision = Decision { digest: seen.digest, decision: choice, who: who.clone(), when: record::now() };
        decisions::append(file, &decision).map_err(Error::io("write", file))?;
    }
    eprintln!("{}: {} pictures; `catgen-pipe run` obeys", choice.word(), meant.len());
    Ok(())
}

/// Whether `text` is what `pattern` says, `*` standing for any text.
fn fits(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => text.strip_prefix(start).is_some_and(|text| {
            let ends = text.char_indices().map(|(at, _)| at).chain([text.len()]);
            ends.into_iter().any(|at| fits(rest, &text[at..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, text, expect) in [
            ("a*.png", "a/b.png", true),
            ("*", "", true),
            ("a", "ab", false),
            ("a*b*", "axbx", true),
            ("é*", "éa", true),
            ("a*c", "ab", false),
        ] {
            assert_eq!(super::fits(pattern, text), expect, "{pattern} {text}");
        }
    }
}
