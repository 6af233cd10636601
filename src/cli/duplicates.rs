//! `duplicates`: photos that show the same, and what people decided about them.

use std::path::{Path, PathBuf};

use catgen_api::Digest;
use catgen_duplicates::decisions::{self, Choice, Decision, Decisions};
use serde_json::json;

use super::{Context, inspect, output, run::stage};
use crate::{
    Error, Project, Result,
    duplicates::{self, Group, Photo},
    record,
};

/// List photos that show the same, keep another of them, or say that two are different; the next run obeys
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The `duplicates` stage; needed only if the pipeline has several
    #[arg(long, global = true)]
    stage: Option<String>,
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// What was dropped, and for what (the default)
    List,
    /// Of all photos that show the same as this one, keep this one
    Keep {
        /// Its name, or its digest (8 characters are enough)
        photo: String,
    },
    /// These two show different things: neither is dropped for the other
    Different {
        /// The one
        one: String,
        /// The other
        other: String,
    },
    /// Take back what was decided about one photo, or about two
    Undo {
        /// The photo
        one: String,
        /// The other one, if it was said of two that they are different
        other: Option<String>,
    },
}

/// What is known of the stage and its photos.
struct Looked {
    photos: Vec<Photo>,
    groups: Vec<Group>,
    decided: Decisions,
    file: PathBuf,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    let project = context.project(&[])?;
    let at = the_stage(&project, args.stage.as_deref())?;
    let looked = look(&project, at)?;
    match &args.action {
        None | Some(Action::List) => list(&looked, context.json),
        Some(Action::Keep { photo }) => {
            let photo = looked.photo(photo)?;
            let group = looked.groups.iter().find(|group| group.photos().any(|member| member.digest == photo.digest));
            let (who, when) = signature();
            let lines = match group {
                Some(group) => group.keep(photo.digest, &looked.decided, &who, &when),
                None => vec![duplicates::decision(photo.digest, None, Choice::Keep, &who, &when)],
            };
            write(&looked.file, &lines)?;
            say!("{} is kept of all that show the same; `catgen-pipe run` obeys", photo.name);
        }
        Some(Action::Different { one, other }) => {
            let (one, other) = (looked.photo(one)?, looked.photo(other)?);
            if one.digest == other.digest {
                return Err(super::usage(format!("{} and {} are byte-equal: they cannot show different things", one.name, other.name)));
            }
            let (who, when) = signature();
            write(&looked.file, &[duplicates::decision(one.digest, Some(other.digest), Choice::Different, &who, &when)])?;
            say!("{} and {} are different; `catgen-pipe run` obeys", one.name, other.name);
        }
        Some(Action::Undo { one, other }) => {
            let one = looked.photo(one)?;
            let other = other.as_deref().map(|other| looked.photo(other)).transpose()?;
            let is_decided = match other {
                Some(other) => looked.decided.are_different(&one.digest, &other.digest),
                None => looked.decided.keeps(&one.digest),
            };
            if !is_decided {
                say!("nothing was decided about {}", if other.is_some() { "these two" } else { &one.name });
                return Ok(());
            }
            let (who, when) = signature();
            write(&looked.file, &[duplicates::decision(one.digest, other.map(|other| other.digest), Choice::Undo, &who, &when)])?;
            say!("taken back; `catgen-pipe run` obeys");
        }
    }
    Ok(())
}

impl Looked {
    /// The one photo that a person calls so.
    fn photo(&self, word: &str) -> Result<&Photo> {
        let exactly = self.photos.iter().find(|photo| photo.name == word);
        let starts = |photo: &&Photo| word.len() >= 8 && photo.digest.to_string().starts_with(word);
        exactly.or_else(|| self.photos.iter().find(starts)).ok_or_else(|| Error::Usage {
            what: format!("there is no photo {word:?}"),
            hint: "`catgen-pipe duplicates list` names those of which one was dropped".to_owned(),
        })
    }

    fn name(&self, digest: &Digest) -> String {
        self.photos.iter().find(|photo| photo.digest == *digest).map_or_else(|| digest.short().to_string(), |photo| photo.name.clone())
    }
}

fn look(project: &Project, at: usize) -> Result<Looked> {
    let put_out = inspect::manifest(project, at)?;
    let from = project.pipeline.stages[at].from.unwrap_or(at);
    let read = inspect::manifest(project, from)?;
    let file = duplicates::decisions_file(project, at);
    let decided = decisions::load(&file).map_err(|error| super::verify::unusable(&project.pipeline.stages[at].name, error))?;
    let groups = duplicates::groups(&put_out, &read);
    let photo = |item: &catgen_api::Item| Photo { name: item.name.clone(), digest: item.digest, size: Some([item.width, item.height]) };
    Ok(Looked { photos: read.items.iter().map(photo).collect(), groups, decided, file })
}

fn the_stage(project: &Project, word: Option<&str>) -> Result<usize> {
    let all = duplicates::stages(project);
    match (word, all.as_slice()) {
        (Some(word), _) => {
            let at = stage(project, word)?;
            if all.contains(&at) { Ok(at) } else { Err(super::usage(format!("{word} is not a `duplicates` stage"))) }
        }
        (None, [only]) => Ok(*only),
        (None, []) => Err(Error::Usage { what: "the pipeline has no `duplicates` stage".to_owned(), hint: String::new() }),
        (None, several) => {
            let names: Vec<_> = several.iter().map(|at| project.pipeline.stages[*at].name.as_str()).collect();
            Err(super::usage(format!("the pipeline has several `duplicates` stages: say --stage {}", names.join(" or --stage "))))
        }
    }
}

fn list(looked: &Looked, as_json: bool) {
    let Looked { groups, decided, .. } = looked;
    let word = |group: &Group, digest: &Digest| {
        if decided.keeps(digest) {
            "keep"
        } else if decided.are_different(digest, &group.kept.digest) {
            "different"
        } else {
            ""
        }
    };
    if as_json {
        for group in groups {
            let dropped = |dropped: &duplicates::Dropped| {
                let digest = &dropped.photo.digest;
                let decision = Some(word(group, digest)).filter(|word| !word.is_empty());
                json!({ "name": dropped.photo.name, "digest": digest, "distance": dropped.distance, "reason": dropped.reason, "decision": decision })
            };
            let dropped: Vec<_> = group.dropped.iter().map(dropped).collect();
            output::json(&json!({ "kept": group.kept.name, "digest": group.kept.digest, "dropped": dropped }));
        }
        return;
    }
    let rows: Vec<Vec<String>> = groups
        .iter()
        .flat_map(|group| {
            group.dropped.iter().map(|dropped| {
                let decision = word(group, &dropped.photo.digest).to_owned();
                vec![dropped.photo.name.clone(), group.kept.name.clone(), dropped.distance.to_string(), decision]
            })
        })
        .collect();
    output::table(&["dropped", "kept", "bits", "decision"], &rows);
    for decision in decided.iter() {
        match decision.other {
            Some(other) => say!("decided: {} and {} are different", looked.name(&decision.digest), looked.name(&other)),
            None => say!("decided: keep {}", looked.name(&decision.digest)),
        }
    }
    say!("{} dropped for {} kept; `catgen-pipe duplicates keep|different NAME…` decides otherwise", rows.len(), groups.len());
}

fn signature() -> (String, String) {
    (std::env::var("USER").unwrap_or_default(), record::now())
}

fn write(file: &Path, lines: &[Decision]) -> Result<()> {
    decisions::append(file, lines).map_err(Error::io("write", file))
}

/// The `duplicates` stages' names and decisions files.
pub(super) fn decisions_files(project: &Project) -> Vec<(String, PathBuf)> {
    let name = |at: usize| project.pipeline.stages[at].name.clone();
    duplicates::stages(project).into_iter().map(|at| (name(at), duplicates::decisions_file(project, at))).collect()
}

/// What is wrong with a line of that stage's decisions file, if anything is.
pub(super) fn bad_line(stage: &str, file: &Path) -> Option<Error> {
    decisions::load(file).err().map(|error| super::verify::unusable(stage, error)).filter(|error| matches!(error, Error::Usage { .. }))
}
