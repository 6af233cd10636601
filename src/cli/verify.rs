//! `verify`: what waits for a person's eye, and what people decided.

mod folder;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs,
    path::{Path, PathBuf},
};

use catgen_api::{Digest, Manifest};
use catgen_verify::{
    decisions::{self, Choice, Decision, DecisionError, Decisions},
    table,
};
use serde_json::json;

use super::{Context, inspect, output, run::stage};
use crate::{Error, Project, Result, record};

/// List what was flagged, and accept or reject pictures; the next run obeys
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The `verify` stage; needed only if the pipeline has several
    #[arg(long, global = true)]
    stage: Option<String>,
    /// Reject what you deleted from the stage's folder since the last run; say it before the next run, which puts back what is missing
    #[arg(long)]
    from_folder: bool,
    /// With --from-folder: also if so much is gone that it looks like cleaning up
    #[arg(long, requires = "from_folder")]
    yes: bool,
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
    /// Write all pictures with their flags and decisions as a CSV table
    Export {
        /// The file; standard output if left out
        file: Option<PathBuf>,
    },
    /// Take over the decisions of a CSV table: of `export`, or any with the columns `decision` and `name` or `digest`
    Import {
        /// The file
        file: PathBuf,
    },
}

#[derive(Debug, clap::Args)]
struct Names {
    /// Names as `verify list` shows them, photos, or digests (8 characters are enough); `*` stands for any text, `?` for one character
    #[arg(required = true)]
    names: Vec<String>,
    /// Decide about the photos they come from: that also holds when other parameters make other pictures of them
    #[arg(long)]
    photo: bool,
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
        // Names may hold stars themselves; what is written exactly is meant exactly, see `meant`.
        let starts = |digest: &Digest| name.len() >= 8 && digest.to_string().starts_with(name);
        fits(name, &self.name) || fits(name, &self.photo) || starts(&self.digest) || self.photo_digest.as_ref().is_some_and(starts)
    }
}

pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    let project = context.project(&[])?;
    let at = the_stage(&project, args.stage.as_deref())?;
    let file = decisions_file(&project, at);
    let manifest = inspect::manifest(&project, at)?;
    let seen = seen(&manifest, &photo_digests(&project, at));
    let name = &project.pipeline.stages[at].name;
    let decided = || decisions::load(&file).map_err(|error| unusable(name, error));
    if args.from_folder {
        if args.action.is_some() {
            return Err(super::usage("--from-folder stands alone: it is a decision itself".to_owned()));
        }
        // A run at work may be putting files back just now.
        let _lock = project.workspace.lock(false, |_| {})?;
        let deleted = folder::deleted(&project, at, &manifest, &decided()?, args.yes)?;
        return reject_deleted(&deleted, name, &file);
    }
    match &args.action {
        None | Some(Action::List) => list(&seen, &decided()?, context.json),
        Some(Action::Accept(names)) => decide(&seen, names, Choice::Accept, &decided()?, &file)?,
        Some(Action::Reject(names)) => decide(&seen, names, Choice::Reject, &decided()?, &file)?,
        Some(Action::Undo(names)) => undo(&seen, names, &decided()?, &file)?,
        Some(Action::Export { file: to }) => export(&seen, &decided()?, to.as_deref())?,
        Some(Action::Import { file: from }) => import(&seen, &decided()?, from, &file)?,
    }
    Ok(())
}

/// A line that is no decision is a mistake that a person corrects; a file that cannot be read is the system's refusal.
pub(super) fn unusable(stage: &str, error: DecisionError) -> Error {
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
        let exactly: Vec<&Seen> = seen.iter().filter(|seen| seen.name == *name || seen.photo == *name).collect();
        let called = if exactly.is_empty() { seen.iter().filter(|seen| seen.is_called(name)).collect() } else { exactly };
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

fn decide(seen: &[Seen], names: &Names, choice: Choice, decided: &Decisions, file: &Path) -> Result<()> {
    let meant = meant(seen, &names.names)?;
    let mut digests = BTreeSet::new();
    for seen in &meant {
        let photo = seen.photo_digest.ok_or_else(|| Error::Usage {
            what: format!("the photo of {} is not known any more", seen.name),
            hint: "`catgen-pipe run` looks at all photos again".to_owned(),
        });
        digests.insert(if names.photo { photo? } else { seen.digest });
    }
    write(digests, choice, file)?;
    // The word about a picture is the stronger one, and would stand.
    let other = |decision: &Decision| decision.decision != choice;
    let overruled = meant.iter().filter(|seen| names.photo && decided.get(&seen.digest).is_some_and(other)).count();
    if overruled > 0 {
        say!("note: of {overruled} of them the picture itself was decided otherwise, and that counts: `catgen-pipe verify undo` first");
    }
    let what = if names.photo { "photos of " } else { "" };
    say!("{}: {what}{} pictures; `catgen-pipe run` obeys", choice.word(), meant.len());
    Ok(())
}

/// Takes back what was decided about the pictures themselves and about their photos, or one of the two would still count.
fn undo(seen: &[Seen], names: &Names, decided: &Decisions, file: &Path) -> Result<()> {
    let (mut pictures, mut digests) = (0, BTreeSet::new());
    for seen in meant(seen, &names.names)? {
        let of_photo_only = |decision: &&Decision| !names.photo || Some(decision.digest) == seen.photo_digest;
        let before: Vec<Digest> = seen.decisions(decided).filter(of_photo_only).map(|decision| decision.digest).collect();
        pictures += usize::from(!before.is_empty());
        digests.extend(before);
    }
    if digests.is_empty() {
        say!("nothing to undo");
        return Ok(());
    }
    write(digests, Choice::Undo, file)?;
    say!("{}: {pictures} pictures; `catgen-pipe run` obeys", Choice::Undo.word());
    Ok(())
}

/// Records what was deleted from the folder, and says what became of each.
fn reject_deleted(deleted: &folder::Deleted, stage: &str, file: &Path) -> Result<()> {
    for name in &deleted.elsewhere {
        say!("note: {name} is gone, but the same picture is still in data/{stage} under another name, so it is not rejected");
    }
    if deleted.rejected.is_empty() {
        let before = if deleted.known.is_empty() { "" } else { " that was not rejected before" };
        say!("nothing{before} was deleted from data/{stage}");
        return Ok(());
    }
    write(deleted.rejected.keys().copied(), Choice::Reject, file)?;
    deleted.rejected.values().for_each(|name| say!("rejected: {name}"));
    say!(
        "{}: {} pictures; `catgen-pipe run` obeys, `catgen-pipe verify undo NAME…` takes it back",
        Choice::Reject.word(),
        deleted.rejected.len()
    );
    Ok(())
}

fn export(seen: &[Seen], decided: &Decisions, to: Option<&Path>) -> Result<()> {
    let row = |seen: &Seen| table::Row {
        name: seen.name.clone(),
        photo: seen.photo.clone(),
        digest: seen.digest,
        goes_on: seen.on,
        flags: seen.flags.clone(),
        decision: seen.decisions(decided).next().cloned(),
    };
    let rows: Vec<_> = seen.iter().map(row).collect();
    let text = table::write(&rows);
    match to {
        None => output::line(text.trim_end_matches('\n')),
        Some(to) => {
            fs::write(to, text).map_err(Error::io("write", to))?;
            say!("wrote {} pictures to {}; change the column `decision`, then `catgen-pipe verify import`", rows.len(), to.display());
        }
    }
    Ok(())
}

/// Takes over what a table says and the file does not.
fn import(seen: &[Seen], decided: &Decisions, from: &Path, file: &Path) -> Result<()> {
    let bytes = fs::read(from).map_err(|error| Error::Usage {
        what: format!("cannot read {}: {error}", from.display()),
        hint: "`catgen-pipe verify export FILE` writes such a table".to_owned(),
    })?;
    let called = |name: &str| seen.iter().filter(|seen| seen.name == name).map(|seen| seen.digest).collect();
    let imported = table::read(&bytes, called).map_err(|error| Error::Usage {
        what: format!("{}: {error}", from.display()),
        hint: "correct it and import it again; nothing of it was taken over".to_owned(),
    })?;
    let (who, when) = (std::env::var("USER").unwrap_or_default(), record::now());
    let (mut fresh, mut counts, mut unknown) = (Vec::new(), [0; Choice::ALL.len()], 0);
    let total = imported.decisions.len();
    for mut decision in imported.decisions {
        // The decision that an exported row shows may be that about the photo.
        let about = seen.iter().find(|seen| seen.digest == decision.digest);
        let now = about.map_or_else(|| decided.get(&decision.digest), |seen| seen.decisions(decided).next());
        if now.map_or(Choice::Undo, |now| now.decision) == decision.decision {
            continue;
        }
        unknown += usize::from(about.is_none());
        counts[Choice::ALL.iter().position(|choice| *choice == decision.decision).expect("it is one of all")] += 1;
        if decision.decision == Choice::Undo {
            let before: Vec<Digest> =
                about.map_or_else(|| vec![decision.digest], |seen| seen.decisions(decided).map(|it| it.digest).collect());
            fresh.extend(before.into_iter().map(|digest| Decision { digest, who: who.clone(), when: when.clone(), ..decision.clone() }));
            continue;
        }
        if decision.when.is_empty() {
            (decision.who, decision.when) = (who.clone(), when.clone());
        }
        fresh.push(decision);
    }
    decisions::append(file, &fresh).map_err(Error::io("write", file))?;
    let [accepted, rejected, undone] = counts;
    let kept = total - accepted - rejected - undone;
    say!("{accepted} accepted, {rejected} rejected, {undone} undone, {kept} as they were, {} without a decision", imported.undecided);
    if unknown > 0 {
        say!("note: {unknown} of them are about pictures that this stage does not have now; they count when those come");
    }
    if !fresh.is_empty() {
        say!("`catgen-pipe run` obeys");
    }
    Ok(())
}

fn write(digests: impl IntoIterator<Item = Digest>, choice: Choice, file: &Path) -> Result<()> {
    let (who, when) = (std::env::var("USER").unwrap_or_default(), record::now());
    let decision = |digest| Decision { digest, decision: choice, who: who.clone(), when: when.clone() };
    let decisions: Vec<Decision> = digests.into_iter().map(decision).collect();
    decisions::append(file, &decisions).map_err(Error::io("write", file))
}

/// Whether `text` is what `pattern` says, `*` standing for any text and `?` for one character.
fn fits(pattern: &str, text: &str) -> bool {
    let mut rest = pattern.chars();
    match rest.next() {
        None => text.is_empty(),
        Some('*') => text.char_indices().map(|(at, _)| at).chain([text.len()]).any(|at| fits(rest.as_str(), &text[at..])),
        Some(wanted) => {
            let mut text = text.chars();
            text.next().is_some_and(|found| wanted == '?' || wanted == found) && fits(rest.as_str(), text.as_str())
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_star_stands_for_any_text_and_a_question_mark_for_one_character() {
        for (pattern, text, expect) in [
            ("a*.png", "a/b.png", true),
            ("*", "", true),
            ("a", "ab", false),
            ("a*b*", "axbx", true),
            ("é*", "éa", true),
            ("a*c", "ab", false),
            ("IMG_000?.png", "IMG_0001.png", true),
            ("IMG_000?.png", "IMG_00010.png", false),
            ("?", "é", true),
            ("?", "", false),
        ] {
            assert_eq!(super::fits(pattern, text), expect, "{pattern} {text}");
        }
    }
}
