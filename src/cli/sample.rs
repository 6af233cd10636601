//! `sample`: cartoon cats to try everything with.

use std::path::PathBuf;

use super::{Context, output};
use crate::{Error, Result, registry::STAGES, run::source, tools::Tools};

/// Draw cartoon cats into the folder for photos, with planted exact and near duplicates
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// How many different cats
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    count: u32,
    /// Another seed draws other cats
    #[arg(long, default_value_t = 7439)]
    seed: u64,
    /// Also write the true masks, as PNG, into this folder
    #[arg(long, value_name = "DIR")]
    masks: Option<PathBuf>,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    let project = crate::Project::open(context.workspace()?, Vec::new(), STAGES, Tools::find())?;
    let stage = project.pipeline.stages.iter().position(|stage| stage.from.is_none()).ok_or_else(|| Error::Usage {
        what: "the pipeline has no `original` stage to draw for".to_owned(),
        hint: "`catgen-pipe init` writes a pipeline with one".to_owned(),
    })?;
    let folder = source::folder(&project, stage);
    let there = catgen_original::find(&folder).iter().filter(|file| file.problem.is_none()).count();
    if there > 0 {
        return Err(Error::Usage {
            what: format!(
                "{} holds {there} files already, and cartoons do not belong among your photos",
                project.workspace.relative(&folder)
            ),
            hint: "draw into a fresh workspace: `catgen-pipe init try` and `catgen-pipe -C try sample`".to_owned(),
        });
    }
    let sample =
        catgen_sample::write(&folder, args.masks.as_deref(), args.count as usize, args.seed).map_err(Error::io("draw into", &folder))?;
    if context.json {
        for photo in &sample.photos {
            let path = photo.path.display().to_string();
            let of = photo.of.as_ref().map(|of| of.display().to_string());
            output::json(
                &serde_json::json!({ "path": path, "index": photo.index, "of": of, "how": format!("{:?}", photo.how).to_lowercase() }),
            );
        }
    }
    let planted = sample.photos.iter().filter(|photo| photo.of.is_some()).count();
    say!(
        "drew {} photos of {} cats into {}: {planted} of them are exact or near duplicates, planted to be found",
        sample.photos.len(),
        args.count,
        project.workspace.relative(&folder)
    );
    Ok(())
}
