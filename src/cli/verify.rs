//! `verify`: what waits for a person's eye, and what people decided.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::{Path, PathBuf},
};

use catgen_api::{Digest, Manifest};
use catgen_verify::decisions::{self, Choice, Decision, DecisionError, Decisions};
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
    /// Unknown for one that was stopped and that the stage before does not put out any more.
    photo_digest: Option<Digest>,
    flags: Vec<String>,
    on: bool,
}

impl Seen {
    /// The decisions about it: about itself, which is the stronger word, and about its photo.
    fn decisions<'a>(&self, decided: &'a Decisions) -> impl Iterator<Item = &'a Decision> {
        [Some(self.digest), self.photo_digest].into_iter().flatten().filter_map(|digest| decided.get(&digest))
    }

    /// Whether a person who writes `name` means it.
    fn is_called(&self, name: &str) -> bool {
        let starts = |digest: &Digest| name.len() >= 8 && digest.to_string().starts_with(name);
        fits(name, &self.name) || fits(name, &self.photo) || starts(&self.digest) || self.photo_digest.as_ref().is_some_and(starts)
    }
}

pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    let project = context.project(&[])?;
    let at = the_stage(&project, args.stage.as_deref())?;
    let file = decisions_file(&project, at);
    let seen = seen(&inspect::manifest(&project, at)?, &photo_digests(&project, at));
    let decided = decisions::load(&file).map_err(|error| unusable(&project.pipeline.stages[at].name, error))?;
    match &args.action {
        None | Some(Action::List) => {
            list(&seen, &decided, context.json);
            Ok(())
        }
        Some(Action::Accept(names)) => decide(&seen, &names.names, Choice::Accept, &file),
        Some(Action::Reject(names)) => decide(&seen, &names.names, Choice::Reject, &file),
        Some(Action::Undo(names)) => undo(&seen, &names.names, &decided, &file),
    }
}

/// A line that is no decision is a mistake that a person corrects; a file that cannot be read is the system's refusal.
fn unusable(stage: &str, error: DecisionError) -> Error {
    let what = error.to_string();
    match error {
        DecisionError::Line { .. } => {
            Error::Usage { what: format!("{stage}: {what}"), hint: "correct or delete that line; the others are kept".to_owned() }
        }
        DecisionError::Io { path, error } => Error::io("read", path)(error),
    }
}

/// What is wrong with a line of that stage's decisions file, if anything is.
pub(super) fn bad_line(stage: &str, file: &Path) -> Option<Error> {
    decisions::load(file).err().map(|error| unusable(stage, error)).filter(|error| matches!(error, Error::Usage { .. }))
}

/// The `verify` stages' names and decisions files.
pub(super) fn decisions_files(project: &Project) -> Vec<(String, PathBuf)> {
    let stages = (0..project.pipeline.stages.len()).filter(|at| is_verify(project, *at));
    stages.map(|at| (project.pipeline.stages[at].name.clone(), decisions_file(project, at))).collect()
}

fn is_verify(project: &Project, at: usize) -> bool {
    project.pipeline.stages[at].entry.kind.name == catgen_verify::KIND.name
}

fn the_stage(project: &Project, word: Option<&str>) -> Result<usize> {
    let is_verify = |at: &usize| is_verify(project, *at);
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

/// The digests of the photos of what the stage reads, by its items' names: a rejection only knows its photo's name.
fn photo_digests(project: &Project, stage: usize) -> HashMap<String, Digest> {
    let read = project.pipeline.stages[stage].from.and_then(|from| inspect::manifest(project, from).ok());
    read.map_or_else(HashMap::new, |read| read.items.into_iter().map(|item| (item.name, item.photo.digest)).collect())
}

fn seen(manifest: &Manifest, photo_digests: &HashMap<String, Digest>) -> Vec<Seen> {
    let went_on = manifest.items.iter().map(|item| {
        let flags = item
            .facts
            .get("flags")
            .and_then(|flags| flags.as_array())
            .map(|flags| flags.iter().filter_map(|flag| flag.as_str()).map(str::to_owned).collect());
        let (name, photo) = (item.name.clone(), item.photo.path.clone());
        let photo_digest = Some(item.photo.digest);
        Seen { name, photo, digest: item.digest, photo_digest, flags: flags.unwrap_or_default(), on: true }
    });
    let stopped = manifest.rejections.iter().filter_map(|rejection| {
        let flags = vec![rejection.reason.clone()];
        let (name, photo) = (rejection.name.clone(), rejection.photo.clone());
        let photo_digest = photo_digests.get(&name).copied();
        Some(Seen { name, photo, digest: rejection.input?, photo_digest, flags, on: false })
    });
    let mut all: Vec<Seen> = went_on.chain(stopped).collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

fn list(seen: &[Seen], decided: &Decisions, as_json: bool) {
    let doubtful: Vec<(&Seen, Option<&Decision>)> = seen
        .iter()
        .map(|seen| (seen, seen.decisions(decided).next()))
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
    output::say(format_args!("{open} flagged and undecided of {}; `catgen-pipe verify accept|reject NAME…` decides", seen.len()));
}

/// The pictures with these names, each once; nothing is to be written unless every name means something.
fn meant<'a>(seen: &'a [Seen], names: &[String]) -> Result<Vec<&'a Seen>> {
    let mut meant = BTreeMap::new();
    for name in names {
        let called: Vec<&Seen> = seen.iter().filter(|seen| seen.is_called(name)).collect();
        if called.is_empty() {
            return Err(Error::Usage {
                what: format!("no picture of this stage is called {name:?}"),
                hint: "`catgen-pipe inspect` lists them all".to_owned(),
            });
        }
        meant.extend(called.into_iter().map(|seen| (&seen.name, seen)));
    }
    Ok(meant.into_values().collect())
}

fn decide(seen: &[Seen], names: &[String], choice: Choice, file: &Path) -> Result<()> {
    let meant = meant(seen, names)?;
    write(meant.iter().map(|seen| seen.digest), choice, file)?;
    output::say(format_args!("{}: {} pictures; `catgen-pipe run` obeys", choice.word(), meant.len()));
    Ok(())
}

/// Takes back what was decided about the pictures themselves and about their photos, or one of the two would still count.
fn undo(seen: &[Seen], names: &[String], decided: &Decisions, file: &Path) -> Result<()> {
    let (mut pictures, mut digests) = (0, BTreeSet::new());
    for seen in meant(seen, names)? {
        let before: Vec<Digest> = seen.decisions(decided).map(|decision| decision.digest).collect();
        pictures += usize::from(!before.is_empty());
        digests.extend(before);
    }
    if digests.is_empty() {
        output::say("nothing to undo");
        return Ok(());
    }
    write(digests, Choice::Undo, file)?;
    output::say(format_args!("{}: {pictures} pictures; `catgen-pipe run` obeys", Choice::Undo.word()));
    Ok(())
}

fn write(digests: impl IntoIterator<Item = Digest>, choice: Choice, file: &Path) -> Result<()> {
    let (who, when) = (std::env::var("USER").unwrap_or_default(), record::now());
    digests.into_iter().try_for_each(|digest| {
        let decision = Decision { digest, decision: choice, who: who.clone(), when: when.clone() };
        decisions::append(file, &decision).map_err(Error::io("write", file))
    })
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
