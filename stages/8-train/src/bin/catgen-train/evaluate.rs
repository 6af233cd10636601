//! How good the generator's pictures are, while it trains and afterwards; see `catgen_train::metrics` for what the numbers are.
//!
//! Pictures are always those of the same seeds, from 0 on, so that what changes is the generator; `generate --seed` draws the same.

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use catgen_train::{
    Evaluation, Event, Gathered, Judge, JudgeError, Measures, Packed, Pictures, TrainOptions,
    alarms::{self, Alarm, Logits, Observation},
    features,
};
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use crate::{
    checkpoint, device,
    error::Failure,
    generate, grid,
    network::{Mode, Network},
    torchscript::TorchScript,
};

/// Training photos that are looked at while training: as many more as make no difference cost as much again.
const PHOTOS: usize = 2048;

/// Photos of each side that the discriminator is asked about.
const ASKED: usize = 128;

/// Pictures trained on for each one judged, on a CPU and on a GPU, where nothing is said.
///
/// Measured in one run on one core: judging a picture by EfficientNet-Lite0, its drawing and the discriminator's words included, costs as much as
/// training `dcgan` on 2.7, so that this is 7 % of a training, less of one with dearer steps. A GPU trains hundreds of times as fast as the
/// CPU beside it judges.
const TRAINED_PER_JUDGED: [u64; 2] = [40, 400];

/// The photos to compare with, and the network that says how.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Photos {
    /// The packed dataset: a NumPy file of bytes, N × 3 × H × W
    #[arg(long, value_name = "FILE.npy")]
    pub(crate) dataset: PathBuf,
    /// The same of photos that are not trained on but compared with
    #[arg(long, value_name = "FILE.npy")]
    held_out: Option<PathBuf>,
    /// Which rows of both are of which photo, and as the photo was: JSON lines
    #[arg(long, value_name = "FILE.jsonl")]
    index: Option<PathBuf>,
    /// What pictures are compared by: an ONNX or TorchScript file, or `random` [default: what the options say, or random]
    #[arg(long, value_name = "FILE")]
    features: Option<String>,
    /// libonnxruntime; a slower runtime is built in
    #[arg(long, value_name = "LIBRARY")]
    onnxruntime: Option<PathBuf>,
}

impl Photos {
    /// The judge by `--features`, or else by the network that `word` means.
    fn judge(&self, word: &str, most: usize, cache: Option<&Path>, device: Device) -> Result<Judge, Failure> {
        let unfit = |error: JudgeError| Failure::unfit(error.to_string(), error.hint());
        let network = features::find(self.features.as_deref().unwrap_or(word), &[], true).map_err(|error| unfit(error.into()))?;
        let extractor: Box<dyn features::Extractor> = match network.as_deref() {
            Some(path) if features::is_torchscript(path) => Box::new(TorchScript::open(path, device).map_err(|error| unfit(error.into()))?),
            path => features::open(path, self.onnxruntime.as_deref()).map_err(|error| unfit(error.into()))?,
        };
        let data = Packed { train: self.dataset.clone(), held_out: self.held_out.clone(), index: self.index.clone() };
        Judge::new(extractor, &data, most, cache).map_err(unfit)
    }
}

/// What `stats.jsonl` says of an evaluation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Measured {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) logits: Option<Logits>,
    pub(crate) evaluation: Evaluation,
}

/// Judges a training's pictures every so many epochs, and remembers what it saw.
#[derive(Debug)]
pub(crate) struct Evaluator {
    judge: Judge,
    every: u64,
    /// [n, Z]
    latents: Tensor,
    /// Bytes of as many training and held-out photos: [m, 3, S, S].
    photos: Option<[Tensor; 2]>,
    observed: Vec<Observation>,
}

impl Evaluator {
    /// For a training on `images` pictures an epoch; none where the options want none, or there are too few photos.
    ///
    /// Features of photos are kept in `cache`.
    pub(crate) fn open(
        photos: &Photos,
        options: &TrainOptions,
        images: u64,
        cache: &Path,
        device: Device,
    ) -> Result<Option<Self>, Failure> {
        let options = options.resolved();
        if options.evaluate_images == 0 {
            return Ok(None);
        }
        let judge = match photos.judge(&options.features, PHOTOS, Some(cache), device) {
            Ok(judge) => judge,
            Err(failure) if photos.held_out.is_none() && is_tiny(&photos.dataset) => {
                eprintln!("warning: nothing will be measured: {failure}");
                return Ok(None);
            }
            Err(failure) => return Err(failure),
        };
        let count = options.evaluate_images.max(4);
        let enough = (TRAINED_PER_JUDGED[usize::from(device.is_cuda())] * count).div_ceil(images.max(1));
        let tensors = judge.some_photos(ASKED).map(|pair| pair.map(|pictures| bytes(&pictures)));
        Ok(Some(Self {
            judge,
            every: if options.evaluate_every == 0 { enough } else { options.evaluate_every },
            latents: generate::latents(0, count, options.latent, device), // [n, Z]
            photos: tensors,
            observed: Vec::new(),
        }))
    }

    /// Whether that epoch, counted from 1, is to be measured; `last` where training ends with it.
    pub(crate) fn is_due(&self, epoch: u64, last: bool) -> bool {
        last || epoch.is_multiple_of(self.every)
    }

    /// Takes up what was observed before, from the lines of `stats.jsonl`. What pictures were like in the features of another network is forgotten: a
    /// recall that "fell" from the one to the other would be an alarm.
    pub(crate) fn resume<'a>(&mut self, lines: impl IntoIterator<Item = &'a (Measures, Measured)>) {
        let observed = lines.into_iter().map(|(measures, measured)| {
            let observed = observation(measures, measured);
            let is_other = !self.compares_with(measured);
            if is_other { Observation { spread: None, nearest: None, recall: None, ..observed } } else { observed }
        });
        self.observed = observed.collect();
    }

    /// Whether an evaluation's numbers can be compared with this one's: they are of the same features.
    pub(crate) fn compares_with(&self, measured: &Measured) -> bool {
        measured.evaluation.features == self.judge.features()
    }

    /// Judges the pictures of the generator to be used, and asks the discriminator about photos.
    pub(crate) fn measure(&mut self, g: &Network, d: &Network) -> Result<Measured, Failure> {
        let pictures = drawn(g, &self.latents);
        let evaluation = self.judge.judge(&pictures).map_err(|error| Failure::broken(error.to_string(), error.hint()))?;
        let fakes = bytes(&pictures.first(ASKED)); // [≤ 128, 3, S, S]
        let logits = self.photos.as_ref().map(|[training, held_out]| Logits {
            training: mean_logit(d, training),
            held_out: mean_logit(d, held_out),
            generated: mean_logit(d, &fakes),
        });
        // A logit that is no number cannot be written down; what is wrong then is said by the losses.
        let logits = logits.filter(|l| [l.training, l.held_out, l.generated].iter().all(|logit| logit.is_finite()));
        Ok(Measured { logits, evaluation })
    }

    /// Remembers an evaluation; the alarm that is due, if any.
    pub(crate) fn observe(&mut self, measures: &Measures, measured: &Measured) -> Option<Alarm> {
        self.observed.push(observation(measures, measured));
        alarms::look(&self.observed)
    }
}

fn observation(measures: &Measures, Measured { logits, evaluation }: &Measured) -> Observation {
    Observation {
        images_seen: measures.images_seen,
        losses: [measures.loss_d, measures.loss_g],
        belief: [measures.d_real, measures.d_fake],
        logits: *logits,
        spread: Some(evaluation.variety.spread),
        nearest: Some(evaluation.variety.nearest),
        recall: Some(evaluation.headline().recall),
    }
}

/// What to judge, by what.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) photos: Photos,
    pub(crate) of: Judged,
    pub(crate) count: u64,
    pub(crate) cache: Option<PathBuf>,
    pub(crate) device: catgen_train::Device,
}

/// What is judged.
#[derive(Debug)]
pub(crate) enum Judged {
    /// The pictures that a checkpoint draws, from this seed on.
    Checkpoint(PathBuf, u64),
    /// Pictures in a folder or a `.npy` file.
    Pictures(PathBuf),
}

/// Judges pictures against all photos of a dataset.
pub(crate) fn evaluate(order: &Order) -> Result<Event, Failure> {
    let begun = Instant::now();
    let device = device::choose(order.device)?;
    let judge = order.photos.judge("random", usize::MAX, order.cache.as_deref(), device)?;
    let (pictures, epoch, step) = match &order.of {
        Judged::Checkpoint(path, seed) => {
            let checkpoint = checkpoint::open(path, &mut |warning| eprintln!("warning: {warning}"))?;
            let latent = checkpoint.card.options()?.resolved().latent;
            if seed.checked_add(order.count).is_none() {
                return Err(Failure::unfit("there are no such seeds", "ask for seeds below 2^64"));
            }
            let generator = generate::generator_of(&checkpoint, device)?;
            let latents = generate::latents(*seed, order.count, latent, device); // [n, Z]
            (drawn(&generator, &latents), Some(checkpoint.card.epoch), Some(checkpoint.card.step))
        }
        Judged::Pictures(path) => {
            let Gathered { pictures, resized, skipped } = Gathered::read(path, judge.side(), order.count as usize)
                .map_err(|error| Failure::unfit(format!("{}: {error}", path.display()), "give a folder of pictures"))?;
            if resized > 0 {
                eprintln!("{resized} pictures were resized to {side} × {side} pixels, like the photos", side = judge.side());
            }
            if !skipped.is_empty() {
                eprintln!("{} files are no pictures", skipped.len());
            }
            (pictures, None, None)
        }
    };
    let evaluation = judge.judge(&pictures).map_err(|error| Failure::unfit(error.to_string(), error.hint()))?;
    Ok(Event::Evaluated { epoch, step, logits: None, evaluation: Box::new(evaluation), seconds: begun.elapsed().as_secs_f64() })
}

/// What the generator makes of `latents` ([n, Z]).
fn drawn(generator: &Network, latents: &Tensor) -> Pictures {
    let pictures = grid::draw(generator, latents); // [n, 3, S, S] bytes
    let side = pictures.size()[3] as usize;
    let values = Vec::<u8>::try_from(pictures.to_device(Device::Cpu).contiguous().reshape([-1])).expect("bytes are bytes");
    Pictures::new(side, values).expect("a generator draws whole pictures")
}

fn bytes(pictures: &Pictures) -> Tensor {
    let side = pictures.side() as i64;
    Tensor::from_slice(pictures.bytes()).view([-1, 3, side, side])
}

/// Mean D(x) over pictures of bytes ([m, 3, S, S]).
fn mean_logit(d: &Network, pictures: &Tensor) -> f64 {
    let sums = tch::no_grad(|| {
        let logits = |part: &Tensor| {
            let input = part.to_device(d.flat.device()).to_kind(Kind::Float) * (2.0 / 255.0) - 1.0; // [b, 3, S, S] in −1..1
            d.forward(&input, Mode::Eval).sum(Kind::Double).double_value(&[])
        };
        pictures.split(64, 0).iter().map(logits).sum::<f64>()
    });
    sums / pictures.size()[0] as f64
}

/// Whether the dataset has too few pictures for any comparison.
fn is_tiny(path: &Path) -> bool {
    catgen_train::npy::open(path).is_ok_and(|header| header.images < 4)
}
