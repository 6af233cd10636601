//! `export` and `import`: trained generators to and from other programs. `features`: what is inside.

use std::path::PathBuf;

use super::{
    Context,
    trained::{Asked, GeneratorArgs},
};
use crate::{Error, Result};

/// The kinds of files, as the trainer calls them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// The weights by name; `generate --checkpoint FILE` draws with them
    Safetensors,
    /// A program for torch.jit.load and libtorch
    Torchscript,
    /// A graph for onnxruntime
    Onnx,
}

impl Format {
    fn word_and_ending(self) -> [&'static str; 2] {
        match self {
            Self::Safetensors => ["safetensors", "safetensors"],
            Self::Torchscript => ["torchscript", "pt"],
            Self::Onnx => ["onnx", "onnx"],
        }
    }
}

/// Write a trained generator for other programs, with a JSON card that says what it is and how to load it
#[derive(Debug, clap::Args)]
pub(super) struct ExportArgs {
    #[command(flatten)]
    generator: GeneratorArgs,
    /// The kind of file
    #[arg(long, value_enum)]
    to: Format,
    /// The file; `generator.<kind>` in the training's own folder if left out
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(super) fn export(args: &ExportArgs, context: &Context) -> Result<()> {
    let generator = args.generator.find(context)?;
    let [word, ending] = args.to.word_and_ending();
    let out = args.out.clone().unwrap_or_else(|| generator.beside(&format!("export/{word}/generator.{ending}")));
    let mut asked = Asked::new("export", &generator);
    asked.value("--to", word).path("--out", &out);
    if let Some(run) = &generator.run {
        asked.value("--note", format!("run={}", run.id));
    }
    if let Some(photos) = generator.photos(context) {
        asked.value("--note", format!("photos={photos}"));
    }
    asked.run_and_report(context)
}

/// Take over a generator of PyTorch's DCGAN tutorial, as `torch.save` or safetensors wrote it
///
/// A state dict or the whole pickled module, `main.0.weight` and so on. No code in the file is run. The model that is written can
/// be drawn with, explained and exported: `catgen-pipe generate --checkpoint FILE`.
#[derive(Debug, clap::Args)]
pub(super) struct ImportArgs {
    /// The file: .pth, .pt or .safetensors
    file: PathBuf,
    /// The model that is written; the file's name with the ending .safetensors, in this folder, if left out
    #[arg(long, value_name = "FILE.safetensors")]
    out: Option<PathBuf>,
}

pub(super) fn import(args: &ImportArgs, context: &Context) -> Result<()> {
    if !args.file.is_file() {
        return Err(Error::Usage { what: format!("there is no file {}", args.file.display()), hint: String::new() });
    }
    let out = match &args.out {
        Some(out) => out.clone(),
        None => PathBuf::from(args.file.file_stem().unwrap_or_default()).with_extension("safetensors"),
    };
    if out.exists() && out.canonicalize().ok() == args.file.canonicalize().ok() {
        return Err(Error::Usage {
            what: "the model would be written over the file".to_owned(),
            hint: "name another with --out".to_owned(),
        });
    }
    let mut asked = Asked::plain("import");
    asked.file(&args.file).path("--out", &out);
    asked.run_and_report(context)
}

/// Show what every layer of a generator makes of one seed, on one sheet
#[derive(Debug, clap::Args)]
pub(super) struct FeaturesArgs {
    #[command(flatten)]
    generator: GeneratorArgs,
    /// The seed
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Maps of each layer: those that vary most
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u64).range(1..=256))]
    maps: u64,
    /// The sheet; in the training's own folder if left out
    #[arg(long, value_name = "FILE.png")]
    out: Option<PathBuf>,
}

pub(super) fn features(args: &FeaturesArgs, context: &Context) -> Result<()> {
    let generator = args.generator.find(context)?;
    let out = args.out.clone().unwrap_or_else(|| generator.beside(&format!("features-seed-{:06}.png", args.seed)));
    let mut asked = Asked::new("features", &generator);
    asked.value("--seed", args.seed).value("--maps", args.maps).path("--out", &out);
    asked.run_and_report(context)
}
