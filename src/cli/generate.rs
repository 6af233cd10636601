//! `generate` and `interpolate`: pictures from a trained generator.

use std::path::PathBuf;

use catgen_train::Event;
use indicatif::{ProgressBar, ProgressStyle};

use super::{
    Context, output,
    trained::{Asked, GeneratorArgs},
    usage,
};
use crate::{Error, Result};

/// Draw pictures with a trained generator; the same seed draws the same picture
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    generator: GeneratorArgs,
    /// The seed of the first picture; the next has the next seed
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// How many pictures
    #[arg(long, short = 'n', default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    count: u64,
    /// Of so many seeds in a row, keep the picture that the discriminator finds most real
    #[arg(long, default_value_t = 1, value_name = "K", value_parser = clap::value_parser!(u64).range(1..=1000))]
    best_of: u64,
    /// Draw from nearer the middle, where pictures are more usual and more alike: 0.7 to 1 is of use
    #[arg(long, default_value_t = 1.0, value_name = "PSI")]
    truncation: f64,
    /// Find the training picture most like each, and the photo it was made from
    #[arg(long)]
    nearest: bool,
    /// The folder of the pictures; the training's own if left out
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Write one file of NumPy arrays instead of a folder of pictures
    #[arg(long, value_name = "FILE.npz", conflicts_with = "out")]
    npz: Option<PathBuf>,
    /// The sheet with all of them; `grid.png` beside the pictures if left out
    #[arg(long, value_name = "FILE")]
    grid: Option<PathBuf>,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    let generator = args.generator.find(context)?;
    let mut asked = Asked::new("generate", &generator);
    asked.value("--seed", args.seed).value("--count", args.count).value("--best-of", args.best_of).value("--truncation", args.truncation);
    let place = match &args.npz {
        Some(npz) => {
            asked.path("--npz", npz);
            npz.clone()
        }
        None => {
            let out = args.out.clone().unwrap_or_else(|| generator.beside("generated"));
            std::fs::create_dir_all(&out).map_err(Error::io("create", &out))?;
            asked.path("--out", &out);
            out
        }
    };
    let grid = args.grid.clone().or_else(|| args.npz.is_none().then(|| place.join("grid.png")));
    if let Some(grid) = &grid {
        asked.path("--grid", grid);
    }
    if args.nearest {
        let dataset = generator.dataset(context)?;
        asked.path("--nearest-in", &dataset.train);
        match &dataset.index {
            Some(rows) => drop(asked.path("--rows", rows)),
            None => say!("note: which photos the dataset's rows were made from is no longer known; rows are shown instead"),
        }
    }
    let bar = ProgressBar::new(args.count);
    let style = ProgressStyle::with_template("drawing [{wide_bar}] {pos}/{len} {per_sec} {eta}").expect("the template is valid");
    bar.set_style(style);
    let mut done = None;
    let asked = asked.run(&mut |event| match event {
        Event::Drawn { done, .. } => bar.set_position(*done),
        Event::Generated { .. } => done = Some(event.clone()),
        _ => {}
    });
    bar.finish_and_clear();
    asked?;
    if let Some(Event::Generated { images_per_second, averaged, step, nearest, .. }) = &done {
        let weights = if *averaged { "averaged weights" } else { "weights as they were" };
        say!("drew {} pictures into {}, {images_per_second:.0} a second; step {step}, {weights}", args.count, place.display());
        if let Some(grid) = &grid {
            say!("all of them: {}", grid.display());
        }
        if let Some(nearest) = nearest {
            say!("those most like training pictures: {nearest}");
        }
    }
    // Only now: a reader that went away ends the program, and must not end the drawing.
    if context.json {
        done.iter().for_each(output::json);
    }
    Ok(())
}

/// Draw the way from one seed's picture to another's: frames and a GIF
#[derive(Debug, clap::Args)]
pub(super) struct InterpolateArgs {
    #[command(flatten)]
    generator: GeneratorArgs,
    /// The seeds that it passes: 3,8,21
    #[arg(long, value_delimiter = ',', required = true, num_args = 1..)]
    seeds: Vec<u64>,
    /// Frames from one seed to the next
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=1000))]
    frames: u64,
    /// Lead back to the first, so that it can be shown for ever
    #[arg(long = "loop")]
    closed: bool,
    /// As for `generate`
    #[arg(long, default_value_t = 1.0, value_name = "PSI")]
    truncation: f64,
    /// Frames a second
    #[arg(long, default_value_t = 20.0)]
    fps: f64,
    /// The folder of frames and GIF; below the training's own if left out
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub(super) fn interpolate(args: &InterpolateArgs, context: &Context) -> Result<()> {
    if args.seeds.len() < 2 {
        return Err(usage("one seed is no way: name at least two, --seeds 3,8".to_owned()));
    }
    if !(0.1..=50.0).contains(&args.fps) {
        return Err(usage("--fps: expected a number from 0.1 to 50".to_owned()));
    }
    let generator = args.generator.find(context)?;
    let words: Vec<String> = args.seeds.iter().map(u64::to_string).collect();
    let mut asked = Asked::new("interpolate", &generator);
    asked.value("--seeds", words.join(",")).value("--frames", args.frames).value("--truncation", args.truncation).value("--fps", args.fps);
    if args.closed {
        asked.flag("--loop");
    }
    let name = format!("interpolation-{}{}", words.join("-"), if args.closed { "-loop" } else { "" });
    asked.path("--out", &args.out.clone().unwrap_or_else(|| generator.beside(&name)));
    asked.run_and_report(context)
}
