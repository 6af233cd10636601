//! The training: what is made ready, then the loop, then its helpers.

use std::{
    io,
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use catgen_api::Digest;
use catgen_train::{Event, Flip, LossKind, Measures, Status, TrainOptions};
use serde_json::{Value, json};
use tch::{Device, Tensor};

use crate::{
    checkpoint::{self, Card, Checkpoint},
    data::{self, Dataset},
    device,
    error::Failure,
    grid,
    learner::{Learner, Sums},
    loss,
    network::{self, Mode},
    record::{self, Folder},
    rng,
};

/// How often the losses are read while an epoch runs: each time the host waits for the device.
const REPORT_EVERY: Duration = Duration::from_secs(1);

/// What to train, on what, and where to.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) options: TrainOptions,
    pub(crate) seed: u64,
    pub(crate) dataset: PathBuf,
    pub(crate) digest: Digest,
    pub(crate) out: PathBuf,
}

/// How many steps of what size that means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Plan {
    batch: u64,
    steps_per_epoch: u64,
    steps: u64,
}

impl Plan {
    /// What is left of an epoch after its last whole batch is not looked at; the next epoch has another order.
    fn new(options: &TrainOptions, images: u64) -> Self {
        let batch = options.batch.min(images);
        let steps_per_epoch = images / batch;
        let limit = if options.max_images == 0 { u64::MAX } else { options.max_images.div_ceil(batch) };
        Self { batch, steps_per_epoch, steps: (options.epochs * steps_per_epoch).min(limit) }
    }
}

/// Trains from the beginning, or from the newest checkpoint in the job's folder, until the end or until `stop` is set.
pub(crate) fn train(job: &Job, say: &mut dyn FnMut(&Event), stop: &AtomicBool) -> Result<(), Failure> {
    let (options, seed) = (&job.options.resolved(), job.seed);
    let LossKind::Is(game, _) = options.loss else { unreachable!("options are resolved") };
    let device = device::choose(options.device)?;
    tch::Cuda::cudnn_set_benchmark(device.is_cuda());
    let data = Dataset::open(&job.dataset, job.digest, device)?;
    let plan = Plan::new(options, data.len);
    let folder = Folder::claim(&job.out)?;

    let mut g = Learner::new("generator", network::generator(options, data.side, device), options);
    let mut d = Learner::new("discriminator", network::discriminator(options, data.side, device), options);
    let mut sums = Sums::zero(device);
    let mut session = Session::new(job, &data, plan, &folder, device);
    let resumed = checkpoint::latest(&folder.checkpoints(), &mut |warning| eprintln!("warning: {warning}"))?;
    if let Some(checkpoint) = &resumed {
        session.resume(checkpoint)?;
        g.restore(checkpoint)?;
        d.restore(checkpoint)?;
        checkpoint.restore("epoch_sums", &mut sums.0)?;
    } else {
        g.network.initialise(seed, 0);
        d.network.initialise(seed, 1);
    }
    say(&session.start(resumed.is_some()));
    session.prepare_folder(&g)?;
    let mut order = data.order(seed, session.epoch()); // [N] places of pictures
    let mut meter = Meter::new(&session, &sums);

    // B is the batch, Z the latent, S the side.
    while session.step < plan.steps && !stop.load(Ordering::Relaxed) {
        let (step, t, place) = (session.step, session.step + 1, session.step % plan.steps_per_epoch);
        if place == 0 {
            order = data.order(seed, session.epoch()); // [N]
            sums = Sums::zero(device);
            meter = meter.next_epoch(step);
        }

        // Real pictures, in the epoch's order, and generated ones.
        let places = order.narrow(0, (place * plan.batch) as i64, plan.batch as i64); // [B]
        let real = data.batch(&places); // [B, 3, S, S] in −1..1
        let real = if options.flip == Flip::On { data::mirror(&real, seed, step) } else { real }; // [B, 3, S, S]
        let z = rng::noise(seed, step, plan.batch, options.latent, device); // [B, Z]
        let fake = g.forward(&z, Mode::Train); // [B, 3, S, S]

        // Discriminator.
        // Real and generated pictures go in batches of their own, so that each has the batch norm of its kind.
        let on_real = d.forward(&real, Mode::Train); // [B] logits
        let on_fake = d.forward(&fake.detach(), Mode::Train); // [B] logits
        let loss_d = loss::discriminator(game, &on_real, &on_fake); // []
        d.descend(&loss_d, t);

        // Generator, through a discriminator that is held.
        let loss_g = loss::generator(game, Some(&on_real.detach()), &d.forward(&fake, Mode::Held)); // []
        g.descend(&loss_g, t);

        sums.add(&[loss_d, loss_g, loss::belief(&on_real), loss::belief(&on_fake)]); // [4]
        session.step += 1;

        // About once a second, and at the end of an epoch, the losses are read: here the host waits for the device.
        let ended = session.step.is_multiple_of(plan.steps_per_epoch) || session.step == plan.steps;
        if ended || meter.is_due() {
            say(&Event::Progress(meter.read(&session, &sums)?));
        }
        if ended {
            let measures = meter.epoch(&session, &sums)?;
            say(&session.end_epoch(&measures, meter.epoch_seconds(), &g)?);
            if session.is_checkpoint_due() {
                say(&session.save(&g, &d, &sums)?);
            }
        }
    }

    if session.saved != Some(session.step) {
        say(&session.save(&g, &d, &sums)?);
    }
    say(&session.done());
    Ok(())
}

/// Where this process is in the training.
#[derive(Debug)]
struct Session<'a> {
    job: &'a Job,
    data: &'a Dataset,
    plan: Plan,
    folder: &'a Folder,
    device: Device,
    /// What grids are drawn from: [samples, Z].
    latents: Tensor,
    /// Steps done since training began.
    step: u64,
    /// Steps and seconds that earlier processes did.
    earlier: (u64, f64),
    /// The step of the newest checkpoint.
    saved: Option<u64>,
    /// What the last epoch was like.
    last: Option<Measures>,
    begun: Instant,
}

impl<'a> Session<'a> {
    fn new(job: &'a Job, data: &'a Dataset, plan: Plan, folder: &'a Folder, device: Device) -> Self {
        let latents = grid::latents(job.seed, job.options.samples, job.options.resolved().latent, device); // [samples, Z]
        let begun = Instant::now();
        Self { job, data, plan, folder, device, latents, step: 0, earlier: (0, 0.0), saved: None, last: None, begun }
    }

    /// Goes on where a checkpoint stopped, if it is one of this training.
    fn resume(&mut self, checkpoint: &Checkpoint) -> Result<(), Failure> {
        let card = &checkpoint.card;
        let mut conflicts = self.job.options.conflicts(&card.options()?);
        if card.seed != self.job.seed {
            conflicts.push(format!("seed {}, not {}", card.seed, self.job.seed));
        }
        if card.dataset != self.data.digest {
            conflicts.push(format!("dataset {}, not {}", card.dataset.short(), self.data.digest.short()));
        }
        if !conflicts.is_empty() {
            return Err(Failure::unfit(
                format!("{} holds a training with {}", self.job.out.display(), conflicts.join("; ")),
                "train into another folder, or with the options of that training (its options.json)",
            ));
        }
        (self.step, self.saved, self.last) = (card.step, Some(card.step), card.metrics.clone());
        self.earlier = (card.step, card.seconds);
        Ok(())
    }

    /// Whole epochs done: the number of the one that runs, counted from 0.
    fn epoch(&self) -> u64 {
        self.step / self.plan.steps_per_epoch
    }

    fn images_seen(&self) -> u64 {
        self.step * self.plan.batch
    }

    fn start(&self, resumed: bool) -> Event {
        Event::Start {
            device: device::name(self.device).to_owned(),
            cuda_device: self.device.is_cuda().then(device::cuda_name).flatten(),
            threads: tch::get_num_threads().unsigned_abs().into(),
            libtorch: device::LIBTORCH.to_owned(),
            images: self.data.len,
            side: self.data.side,
            epochs: self.job.options.epochs,
            steps_per_epoch: self.plan.steps_per_epoch,
            steps: self.plan.steps,
            resumed_from_step: resumed.then_some(self.step),
        }
    }

    /// Writes down what is about to be done, and what the pictures look like, before the first step.
    fn prepare_folder(&self, g: &Learner) -> Result<(), Failure> {
        let (Job { options, seed, .. }, Dataset { digest, len, side, .. }) = (self.job, self.data);
        let about = json!({"options": options, "seed": seed, "dataset": digest, "images": len, "side": side, "steps": self.plan.steps});
        let write = || -> io::Result<()> {
            record::write(&self.folder.path("options.json"), &serde_json::to_vec_pretty(&about)?)?;
            self.folder.rewind_stats(self.step, self.plan.steps_per_epoch, self.plan.steps)?;
            // The first that training looks at: in the dataset's own order, copies of one photo lie side by side.
            let places = self.data.order(*seed, 0).narrow(0, 0, options.samples.min(*len) as i64); // [≤ samples]
            grid::write(&self.folder.path("reals.png"), &grid::sheet(&self.data.bytes(&places)))?;
            if self.step == 0 { self.draw_grid(0, g).map(|_| ()) } else { Ok(()) }
        };
        write().map_err(|error| self.cannot_write(&error))
    }

    /// Draws the grid of samples after so many epochs, and says where it is.
    fn draw_grid(&self, epochs: u64, g: &Learner) -> io::Result<String> {
        let name = format!("samples/epoch-{epochs:04}.png");
        grid::write(&self.folder.path(&name), &grid::sheet(&grid::draw(&g.network, &self.latents)))?;
        Ok(name)
    }

    /// Draws the grid and writes the lines of an epoch that has ended.
    fn end_epoch(&mut self, measures: &Measures, seconds: f64, g: &Learner) -> Result<Event, Failure> {
        let grid = self.draw_grid(measures.epoch, g).map_err(|error| self.cannot_write(&error))?;
        self.folder.add_epoch(measures, seconds).map_err(|error| self.cannot_write(&error))?;
        self.last = Some(measures.clone());
        Ok(Event::Epoch { measures: measures.clone(), seconds, grid })
    }

    fn is_checkpoint_due(&self) -> bool {
        self.step == self.plan.steps || self.epoch().is_multiple_of(self.job.options.checkpoint_every)
    }

    /// Saves a checkpoint, unless what it would hold is broken, and removes those that are too many.
    fn save(&mut self, g: &Learner, d: &Learner, sums: &Sums) -> Result<Event, Failure> {
        self.finite(sums)?;
        if !(g.is_finite() && d.is_finite()) {
            return Err(self.diverged("a weight"));
        }
        let Value::Object(options) = json!(self.job.options) else { unreachable!("options are a JSON object") };
        let card = Card {
            format: checkpoint::FORMAT,
            options,
            seed: self.job.seed,
            dataset: self.data.digest,
            images: self.data.len,
            side: self.data.side,
            step: self.step,
            epoch: self.epoch(),
            images_seen: self.images_seen(),
            seconds: self.seconds(),
            metrics: self.last.clone(),
            libtorch: device::LIBTORCH.to_owned(),
            device: device::name(self.device).to_owned(),
            tensors: Digest::of(b""), // filled in by save
        };
        let tensors = g.tensors().into_iter().chain(d.tensors()).chain([("epoch_sums".to_owned(), sums.0.shallow_clone())]);
        let folder = self.folder.checkpoints();
        let path = checkpoint::save(&folder, card, tensors).map_err(|error| self.cannot_write(&error))?;
        checkpoint::prune(&folder, self.job.options.keep_checkpoints).map_err(|error| self.cannot_write(&error))?;
        self.saved = Some(self.step);
        let name = path.file_name().expect("save names a file in the folder").to_string_lossy();
        Ok(Event::Checkpoint { path: format!("checkpoints/{name}"), step: self.step })
    }

    fn done(&self) -> Event {
        let here = self.begun.elapsed().as_secs_f64();
        Event::Done {
            status: if self.step < self.plan.steps { Status::Stopped } else { Status::Done },
            epochs: self.epoch(),
            steps: self.step,
            images_seen: self.images_seen(),
            seconds: self.seconds(),
            images_per_second: ((self.step - self.earlier.0) * self.plan.batch) as f64 / here,
        }
    }

    /// Training time, earlier processes' included.
    fn seconds(&self) -> f64 {
        self.earlier.1 + self.begun.elapsed().as_secs_f64()
    }

    /// The sums, if they are numbers. One loss of the epoch that was none leaves its mark in them.
    fn finite(&self, sums: &Sums) -> Result<[f64; 4], Failure> {
        let sums = sums.read();
        if sums.iter().all(|sum| sum.is_finite()) { Ok(sums) } else { Err(self.diverged("a loss")) }
    }

    fn diverged(&self, what: &str) -> Failure {
        let kept = match self.saved {
            Some(step) => format!("the checkpoint of step {step} is kept; "),
            None => String::new(),
        };
        let hint = format!("{kept}train again into another folder with a smaller learning_rate or a larger batch");
        Failure::broken(format!("training broke down by step {}: {what} is no longer a number", self.step), hint)
    }

    fn cannot_write(&self, error: &io::Error) -> Failure {
        Failure::file("write to", &self.job.out, error)
    }
}

/// What was measured when the losses were last read, and since when the epoch runs.
#[derive(Debug)]
struct Meter {
    read_at: Instant,
    read_step: u64,
    read_sums: [f64; 4],
    epoch_at: Instant,
    /// The step at which this process took the epoch up.
    epoch_step: u64,
}

impl Meter {
    fn new(session: &Session<'_>, sums: &Sums) -> Self {
        let now = Instant::now();
        Self { read_at: now, read_step: session.step, read_sums: sums.read(), epoch_at: now, epoch_step: session.step }
    }

    fn next_epoch(self, step: u64) -> Self {
        Self { read_sums: [0.0; 4], epoch_at: Instant::now(), epoch_step: step, ..self }
    }

    fn is_due(&self) -> bool {
        self.read_at.elapsed() >= REPORT_EVERY
    }

    fn epoch_seconds(&self) -> f64 {
        self.epoch_at.elapsed().as_secs_f64()
    }

    /// Means over the steps since the last reading.
    fn read(&mut self, session: &Session<'_>, sums: &Sums) -> Result<Measures, Failure> {
        let (now, sums) = (Instant::now(), session.finite(sums)?);
        let steps = session.step - self.read_step;
        let since: [f64; 4] = std::array::from_fn(|at| sums[at] - self.read_sums[at]);
        let measures = means(session, since, steps, steps, now - self.read_at);
        (self.read_at, self.read_step, self.read_sums) = (now, session.step, sums);
        Ok(measures)
    }

    /// Means over the epoch, its part in earlier processes included.
    fn epoch(&self, session: &Session<'_>, sums: &Sums) -> Result<Measures, Failure> {
        let steps = (session.step - 1) % session.plan.steps_per_epoch + 1;
        Ok(means(session, session.finite(sums)?, steps, session.step - self.epoch_step, self.epoch_at.elapsed()))
    }
}

/// `sums` over `steps`, as measures after the session's last step; `here` of these steps took `time` in this process.
fn means(session: &Session<'_>, sums: [f64; 4], steps: u64, here: u64, time: Duration) -> Measures {
    let [loss_d, loss_g, d_real, d_fake] = sums.map(|sum| sum / steps as f64);
    Measures {
        epoch: session.step.div_ceil(session.plan.steps_per_epoch),
        step: session.step,
        images_seen: session.images_seen(),
        loss_d,
        loss_g,
        d_real,
        d_fake,
        images_per_second: (here * session.plan.batch) as f64 / time.as_secs_f64(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_counts_whole_batches() {
        let plan = |epochs, batch, max_images, images| {
            let plan = Plan::new(&TrainOptions { epochs, batch, max_images, ..TrainOptions::default() }.resolved(), images);
            (plan.batch, plan.steps_per_epoch, plan.steps)
        };
        assert_eq!(plan(15, 64, 0, 76_000), (64, 1187, 17_805));
        assert_eq!(plan(3, 64, 0, 64), (64, 1, 3));
        assert_eq!(plan(3, 64, 0, 10), (10, 1, 3));
        assert_eq!(plan(15, 64, 1000, 76_000), (64, 1187, 16));
        assert_eq!(plan(1, 64, 1_000_000, 640), (64, 10, 10));
    }
}
