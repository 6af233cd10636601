//! `reel`: the grids of a training as one moving picture.

use super::{Context, output, trained};
use crate::{Error, Result};

/// Make the moving picture of a training's epochs again (a training that ends makes it by itself)
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    run: trained::RunArgs,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    let folder = args.run.folder(context)?;
    let reel = catgen_train::reel::make(&folder).map_err(Error::io("make a reel in", &folder))?;
    let reel = reel.ok_or_else(|| Error::Usage {
        what: format!("there is no grid in {}", folder.join("samples").display()),
        hint: "a training draws one after each epoch: wait for its first".to_owned(),
    })?;
    say!("{}: {} of {} grids, {:.1} MB", reel.path.display(), reel.frames, reel.epochs, reel.bytes as f64 / 1e6);
    if context.json {
        output::json(&serde_json::json!({ "reel": reel.path, "epochs": reel.epochs, "frames": reel.frames, "bytes": reel.bytes }));
    }
    Ok(())
}
