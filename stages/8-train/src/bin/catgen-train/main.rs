//! `catgen-train`: learns to draw pictures like those of a packed dataset, and draws them.
//!
//! Standard output carries events, one JSON object a line ([`catgen_train::Event`]); standard error is for people. Exit status:
//! 0 done or stopped as asked, 2 options or dataset of no use, 1 anything else.
//!
//! | module | what |
//! |---|---|
//! | `train` | the loop, and what is around it |
//! | `players` | one step of the game; eager, or recorded as a CUDA graph |
//! | `learner`, `network`, `adam` | a player: its layers and how it learns |
//! | `loss`, `penalty`, `augment` | what the two play for, and what the discriminator is shown |
//! | `dials` | what changes from step to step |
//! | `alarm` | what is wrong, and what follows |
//! | `data`, `rng` | what goes in: pictures and random numbers |
//! | `checkpoint`, `record`, `grid` | what comes out: files |
//! | `tensorboard`, `showcase` | what a training shows of itself besides: curves, and a reel of its grids |
//! | `model` | a trained generator, from a checkpoint or a file |
//! | `generate`, `interpolate`, `latent`, `nearest`, `npz` | pictures from it |
//! | `evaluate`, `torchscript` | how good they are |
//! | `export`, `onnx`, `import`, `pickle` | to and from other programs |
//! | `serve` | a generator that stays loaded, for who moves a slider |
//! | `look` | what its layers do |
//! | `bench` | what a step costs here |
//! | `device`, `shim`, `error` | where it runs, what `tch` lacks, how it fails |
//!
//! What it refuses to do: touch pictures other than the packed ones. Cleaning, cropping and augmenting are other stages.

mod adam;
mod alarm;
mod augment;
mod bench;
mod checkpoint;
mod data;
mod device;
mod dials;
mod error;
mod evaluate;
mod export;
mod generate;
mod grid;
mod import;
mod interpolate;
mod latent;
mod learner;
mod look;
mod loss;
mod model;
mod nearest;
mod network;
mod npz;
mod onnx;
mod penalty;
mod pickle;
mod players;
#[cfg(test)]
mod python;
mod record;
mod rng;
mod serve;
mod shim;
mod showcase;
mod tensorboard;
mod torchscript;
mod train;

use std::{
    env, fs, io,
    os::unix::process::CommandExt,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    process::{self, ExitCode},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use catgen_api::Digest;
use catgen_train::{Device, Event, TrainOptions};
use clap::{Args, Parser, Subcommand, ValueEnum};
use serde_json::{Map, Value, json};

use crate::{
    bench::Task,
    error::Failure,
    evaluate::{Judged, Photos},
    export::{Export, Format},
    generate::{Order, Target},
    interpolate::Way,
    look::{Explain, Features},
    model::{Chosen, Which},
    train::Job,
};

#[derive(Debug, Parser)]
#[command(name = "catgen-train", version = concat!(env!("CARGO_PKG_VERSION"), ", with libtorch ", env!("CATGEN_LIBTORCH_VERSION")))]
#[command(about = "Learns to draw pictures like those of a packed dataset, and draws them")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Train, or go on with the training in the folder
    Train {
        #[command(flatten)]
        photos: Photos,
        /// The BLAKE3 digest of that file; a file of other content is refused
        #[arg(long, value_name = "HEX")]
        dataset_digest: Digest,
        /// The options: a JSON object with the parameters of the stage kind `train`
        #[arg(long, value_name = "FILE.json")]
        options: PathBuf,
        /// What every random number depends on
        #[arg(long)]
        seed: u64,
        /// The folder of the training: grids, statistics, checkpoints
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// Threads to compute on; as many as the machine has where nothing is said
        #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
        threads: Option<u16>,
        /// Stop, with a checkpoint to go on from, after so many minutes; instead of the option `time_budget`
        #[arg(long, value_name = "MINUTES", value_parser = minutes)]
        time_budget: Option<f64>,
        /// Stop, with a checkpoint, when standard input says so or closes: it closes when the engine dies
        #[arg(long)]
        supervised: bool,
    },
    /// Draw pictures with a trained generator
    Generate {
        #[command(flatten)]
        generator: GeneratorArgs,
        /// The first picture's seed; the next ones count up
        #[arg(long, default_value_t = 0)]
        seed: u64,
        /// How many pictures
        #[arg(long, default_value_t = 64)]
        count: u64,
        /// Of so many seeds in a row, keep the one that the discriminator finds most real
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1000))]
        best_of: u64,
        /// Draw from nearer the middle: multiply latents by this
        #[arg(long, default_value_t = 1.0, value_parser = psi)]
        truncation: f64,
        /// Where `seed-000000.png` and so on go
        #[arg(long, value_name = "DIR", required_unless_present = "npz")]
        out: Option<PathBuf>,
        /// One file of arrays instead: `arr_0`, N × side × side × 3 bytes, and `seeds`
        #[arg(long, value_name = "FILE.npz", conflicts_with = "out")]
        npz: Option<PathBuf>,
        /// Where a sheet of all pictures goes [default: grid.png in the folder]
        #[arg(long, value_name = "FILE.png")]
        grid: Option<PathBuf>,
        /// Look for the most similar picture in this dataset
        #[arg(long, value_name = "FILE.npy")]
        nearest_in: Option<PathBuf>,
        /// What the dataset's rows are pictures of
        #[arg(long, value_name = "FILE.jsonl", requires = "nearest_in")]
        rows: Option<PathBuf>,
    },
    /// Load a generator once and answer questions on standard input, one JSON object a line, until it closes
    Serve {
        #[command(flatten)]
        generator: GeneratorArgs,
        /// Look for the most similar picture in this dataset
        #[arg(long, value_name = "FILE.npy")]
        nearest_in: Option<PathBuf>,
        /// What the dataset's rows are pictures of
        #[arg(long, value_name = "FILE.jsonl", requires = "nearest_in")]
        rows: Option<PathBuf>,
    },
    /// Draw the way from one seed's picture to another's
    Interpolate {
        #[command(flatten)]
        generator: GeneratorArgs,
        /// The seeds that it passes
        #[arg(long, value_delimiter = ',', required = true)]
        seeds: Vec<u64>,
        /// Frames from one seed to the next
        #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=1000))]
        frames: u64,
        /// Lead back to the first
        #[arg(long = "loop")]
        closed: bool,
        /// As for `generate`
        #[arg(long, default_value_t = 1.0, value_parser = psi)]
        truncation: f64,
        /// Frames a second
        #[arg(long, default_value_t = 20.0)]
        fps: f64,
        /// The folder of frames and GIF
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
    /// Write a trained generator for other programs, with a card beside it
    Export {
        #[command(flatten)]
        generator: GeneratorArgs,
        /// The kind of file
        #[arg(long, value_enum)]
        to: Format,
        /// The file
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// Goes into the card: run=0003
        #[arg(long, value_name = "KEY=VALUE", value_parser = note)]
        note: Vec<(String, String)>,
    },
    /// Take over a generator of PyTorch's DCGAN tutorial
    Import {
        /// What `torch.save` or safetensors wrote: a state dict, or the whole module
        file: PathBuf,
        /// The model, .safetensors, with a card beside it
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// Goes into the card
        #[arg(long, value_name = "KEY=VALUE", value_parser = note)]
        note: Vec<(String, String)>,
    },
    /// Show what every layer of the generator makes of a seed
    Features {
        #[command(flatten)]
        generator: GeneratorArgs,
        /// The seed
        #[arg(long, default_value_t = 0)]
        seed: u64,
        /// Maps of each layer
        #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u64).range(1..=256))]
        maps: u64,
        /// The sheet
        #[arg(long, value_name = "FILE.png")]
        out: PathBuf,
    },
    /// Draw how a transposed convolution of the generator builds its output
    ExplainConv {
        #[command(flatten)]
        generator: GeneratorArgs,
        /// The seed
        #[arg(long, default_value_t = 0)]
        seed: u64,
        /// Which of them, counted from 1
        #[arg(long)]
        layer: usize,
        /// Input channels that are shown
        #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=8))]
        inputs: u8,
        /// Output channels that are shown
        #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=8))]
        outputs: u8,
        /// Frames a second
        #[arg(long, default_value_t = 10.0)]
        fps: f64,
        /// The GIF; a PNG with all frames lies beside it
        #[arg(long, value_name = "FILE.gif")]
        out: PathBuf,
    },
    /// Measure how good pictures are: a generator's, or those in a folder
    Evaluate {
        #[command(flatten)]
        photos: Photos,
        /// A checkpoint, or the folder of a training: then its newest
        #[arg(long, value_name = "FILE|DIR", required_unless_present = "pictures", conflicts_with = "pictures")]
        checkpoint: Option<PathBuf>,
        /// Pictures to judge: a folder, or a NumPy file of bytes
        #[arg(long, value_name = "DIR|FILE.npy")]
        pictures: Option<PathBuf>,
        /// The first picture's seed; the next ones count up
        #[arg(long, default_value_t = 0)]
        seed: u64,
        /// How many pictures at most
        #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(4..=100_000))]
        count: u64,
        /// Where features of photos are kept for the next time
        #[arg(long, value_name = "DIR")]
        cache: Option<PathBuf>,
        /// Where to compute
        #[arg(long, value_enum, default_value = "auto")]
        device: DeviceWord,
        /// Threads to compute on; as many as the machine has where nothing is said
        #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
        threads: Option<u16>,
    },
    /// Measure how fast a step of training is on this machine; prints JSON
    Bench {
        /// The options of the training: a JSON object, inline
        #[arg(long, value_name = "JSON", default_value = "{}")]
        options: String,
        /// The side of the pictures
        #[arg(long, default_value_t = 64)]
        side: u64,
        /// How long to measure
        #[arg(long, default_value_t = 5.0)]
        seconds: f64,
        /// Threads to compute on; as many as the machine has where nothing is said
        #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
        threads: Option<u16>,
    },
    /// Print what libtorch is there and whether it sees a GPU, as JSON
    Doctor,
}

/// Which generator, and where it runs.
#[derive(Debug, Args)]
struct GeneratorArgs {
    /// A training's folder, a checkpoint, or an exported model
    #[arg(long, value_name = "FILE|DIR")]
    checkpoint: PathBuf,
    /// Which checkpoint of a folder: `last`, `best`, or the number of an epoch
    #[arg(long, default_value = "last")]
    which: Which,
    /// The weights as they are, where there is also their average
    #[arg(long)]
    raw: bool,
    /// Where to compute
    #[arg(long, value_enum, default_value = "auto")]
    device: DeviceWord,
    /// Threads to compute on; as many as the machine has where nothing is said
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
}

impl GeneratorArgs {
    fn chosen(self) -> Chosen {
        set_threads(self.threads);
        let device = match self.device {
            DeviceWord::Auto => Device::Auto,
            DeviceWord::Cpu => Device::Cpu,
            DeviceWord::Cuda => Device::Cuda,
        };
        Chosen { place: self.checkpoint, which: self.which, raw: self.raw, device }
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum DeviceWord {
    Auto,
    Cpu,
    Cuda,
}

impl From<DeviceWord> for Device {
    fn from(word: DeviceWord) -> Self {
        match word {
            DeviceWord::Auto => Self::Auto,
            DeviceWord::Cpu => Self::Cpu,
            DeviceWord::Cuda => Self::Cuda,
        }
    }
}

fn psi(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|psi| (0.0..=2.0).contains(psi)).ok_or_else(|| "expected a number from 0 to 2; 1 changes nothing".to_owned())
}

fn note(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

/// Notes as they go into a card: numbers as numbers.
fn notes(notes: Vec<(String, String)>) -> Map<String, Value> {
    notes.into_iter().map(|(key, value)| (key, value.parse::<u64>().map_or(Value::String(value), Value::from))).collect()
}

fn main() -> ExitCode {
    let command = Arguments::parse().command;
    wait_asleep();
    let cuda_half = device::open_cuda_half();
    if let Err(what) = &cuda_half {
        eprintln!("warning: no GPU can be used: {what}");
    }
    let stop = Arc::new(AtomicBool::new(false));
    // tch panics where libtorch throws: that must end in an event, too. Nothing is used afterwards that it may have broken.
    let ended = catch_unwind(AssertUnwindSafe(|| run(command, cuda_half.err(), &stop)));
    let failure = match ended {
        Ok(Ok(())) => return ExitCode::SUCCESS,
        Ok(Err(failure)) => failure,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
            Failure::broken(error::first_lines(text.unwrap_or("it failed without a word")), error::MEMORY_HINT)
        }
    };
    let event = failure.event();
    if let Event::Error { message, hint } = &event {
        eprintln!("error: {message}\nhint: {hint}");
    }
    // A reader that is gone cannot be told; the exit status says it as well.
    let _ = event.write(&mut io::stdout());
    ExitCode::from(failure.exit_status())
}

fn run(command: Command, cuda_error: Option<String>, stop: &Arc<AtomicBool>) -> Result<(), Failure> {
    // A reader that is gone is a reason to stop: its engine died, and another one may want to go on.
    let mut say = |event: &Event| {
        if event.write(&mut io::stdout()).is_err() {
            stop.store(true, Ordering::Relaxed);
        }
    };
    match command {
        Command::Train { photos, dataset_digest: digest, options, seed, out, threads, time_budget, supervised } => {
            stop_on_signal(stop)?;
            if supervised {
                stop_on_input(stop);
            }
            set_threads(threads);
            let text = fs::read_to_string(&options)
                .map_err(|error| Failure::unfit(format!("cannot read the options {}: {error}", options.display()), "give a JSON file"))?;
            let mut options = TrainOptions::from_json(&text).map_err(|error| {
                Failure::unfit(format!("the options {}: {error}", options.display()), "correct the `train` stage in pipeline.toml")
            })?;
            options.time_budget = time_budget.unwrap_or(options.time_budget);
            train::train(&Job { options, seed, photos, digest, out }, &mut say, stop)
        }
        Command::Generate { generator, seed, count, best_of, truncation, out, npz, grid, nearest_in, rows } => {
            let target = match (npz, out) {
                (Some(npz), _) => Target::Npz(npz),
                (None, out) => Target::Folder(out.expect("clap asks for one of the two")),
            };
            let album = nearest_in.map(|dataset| (dataset, rows));
            let order = Order { chosen: generator.chosen(), seed, count, best_of, truncation, target, grid, album };
            let done = generate::generate(&order, &mut say)?;
            say(&done);
            Ok(())
        }
        Command::Evaluate { photos, checkpoint, pictures, seed, count, cache, device, threads } => {
            set_threads(threads);
            let of = match (checkpoint, pictures) {
                (Some(checkpoint), _) => Judged::Checkpoint(checkpoint, seed),
                (None, Some(pictures)) => Judged::Pictures(pictures),
                (None, None) => unreachable!("one of the two is asked for"),
            };
            say(&evaluate::evaluate(&evaluate::Order { photos, of, count, cache, device: device.into() })?);
            Ok(())
        }
        Command::Serve { generator, nearest_in, rows } => {
            let order = serve::Order { chosen: generator.chosen(), album: nearest_in.map(|dataset| (dataset, rows)) };
            serve::serve(&order, io::stdin().lock(), io::stdout())
        }
        Command::Interpolate { generator, seeds, frames, closed, truncation, fps, out } => {
            let per_second = fps;
            let way = Way { chosen: generator.chosen(), seeds, frames, closed, truncation, per_second, out };
            say(&interpolate::interpolate(&way)?);
            Ok(())
        }
        Command::Export { generator, to: format, out, note } => {
            say(&export::export(&Export { chosen: generator.chosen(), format, out, notes: notes(note) })?);
            Ok(())
        }
        Command::Import { file, out, note } => {
            say(&import::import(&file, &out, notes(note))?);
            Ok(())
        }
        Command::Features { generator, seed, maps, out } => {
            say(&look::features(&Features { chosen: generator.chosen(), seed, maps, out })?);
            Ok(())
        }
        Command::ExplainConv { generator, seed, layer, inputs, outputs, fps, out } => {
            let channels = [usize::from(inputs), usize::from(outputs)];
            let order = Explain { chosen: generator.chosen(), seed, layer, channels, per_second: fps, out };
            say(&look::explain(&order)?);
            Ok(())
        }
        Command::Bench { options, side, seconds, threads } => {
            set_threads(threads);
            let options = TrainOptions::from_json(&options)
                .map_err(|error| Failure::unfit(format!("the options: {error}"), "give a JSON object, such as {\"batch\": 128}"))?;
            print(&bench::bench(&Task { options, side, seconds })?)
        }
        Command::Doctor => {
            let cuda = tch::Cuda::is_available();
            print(&json!({
                "catgen_train": env!("CARGO_PKG_VERSION"),
                "libtorch": device::LIBTORCH,
                "cuda": cuda,
                "cuda_devices": if cuda { tch::Cuda::device_count() } else { 0 },
                "cuda_device": cuda.then(device::cuda_name).flatten(),
                "cudnn": cuda && tch::Cuda::cudnn_is_available(),
                "cuda_error": cuda_error,
                "threads": tch::get_num_threads(),
            }))
        }
    }
}

/// One line of JSON on standard output.
fn print(report: &serde_json::Value) -> Result<(), Failure> {
    io::Write::write_all(&mut io::stdout(), format!("{report}\n").as_bytes())
        .map_err(|error| Failure::broken(format!("cannot print: {error}"), "look where the output goes"))
}

/// Makes the threads of libgomp sleep while they wait for one another, where nobody said otherwise.
///
/// By default they spin, which on a machine with other work doubles both the processor time and the time on the clock of a
/// step, and hardly helps on an idle one. libgomp reads the variable as it is loaded, before `main`: so the program
/// starts itself anew, as the same process. Where that fails it goes on as it is.
fn wait_asleep() {
    const POLICY: &str = "OMP_WAIT_POLICY";
    if env::var_os(POLICY).is_none()
        && let Ok(program) = env::current_exe()
    {
        let error = process::Command::new(program).args(env::args_os().skip(1)).env(POLICY, "PASSIVE").exec();
        eprintln!("warning: cannot set {POLICY}: {error}");
    }
}

/// A number of minutes above 0.
fn minutes(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|minutes: &f64| *minutes > 0.0 && minutes.is_finite()).ok_or("expected minutes, such as 90 or 0.5".to_owned())
}

fn set_threads(threads: Option<u16>) {
    if let Some(threads) = threads {
        tch::set_num_threads(threads.into());
        // Of features and metrics. Only the first call has an effect, and there is one.
        let _ = rayon::ThreadPoolBuilder::new().num_threads(threads.into()).build_global();
    }
}

/// Ctrl-C or SIGTERM end the training after the step that runs, with a checkpoint; a second one ends it at once.
fn stop_on_signal(stop: &Arc<AtomicBool>) -> Result<(), Failure> {
    let stop = Arc::clone(stop);
    ctrlc::set_handler(move || {
        if stop.swap(true, Ordering::Relaxed) {
            process::exit(130);
        }
        eprintln!("stopping after this step, with a checkpoint; once more to stop at once");
    })
    .map_err(|error| Failure::broken(format!("cannot listen for Ctrl-C: {error}"), "report this"))
}

/// A line on standard input, or its end, stops the training after the step that runs, with a checkpoint.
fn stop_on_input(stop: &Arc<AtomicBool>) {
    let stop = Arc::clone(stop);
    std::thread::spawn(move || {
        // Whatever comes, an error included, means the same.
        let _ = io::stdin().read_line(&mut String::new());
        stop.store(true, Ordering::Relaxed);
    });
}
