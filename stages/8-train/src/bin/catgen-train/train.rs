//! The training: what is made ready, then the loop, then its helpers.

use std::{
    io,
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use catgen_api::Digest;
use catgen_train::{Event, Measures, Status, TrainOptions, alarms::Alarm};
use serde_json::{Value, json};
use tch::{Device, Tensor};

use crate::{
    alarm::{self, Best, Findings},
    checkpoint::{self, Card, Checkpoint},
    data::Dataset,
    device,
    error::{Failure, TROUBLE_HINT},
    evaluate::{Evaluator, Measured, Photos},
    grid,
    players::{Players, Sums},
    record::{self, Folder},
    showcase::Showcase,
};

/// How often the losses are read while an epoch runs: each time the host waits for the device.
const REPORT_EVERY: Duration = Duration::from_secs(1);

/// What to train, on what, and where to.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) options: TrainOptions,
    pub(crate) seed: u64,
    pub(crate) photos: Photos,
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
    let options = job.options.resolved();
    let device = device::choose(options.device)?;
    let (numbers, graph) = device::prepare(&options, device)?;
    let data = Dataset::open(&job.photos.dataset, job.digest, device)?;
    let plan = Plan::new(&options, data.len);
    let folder = Folder::claim(&job.out)?;

    let mut players = Players::new(&options, &data, plan.batch, numbers, graph, device);
    let evaluator = Evaluator::open(&job.photos, &options, plan.steps_per_epoch * plan.batch, &folder.path("features"), device)?;
    let mut session = Session::new(job, options, &data, plan, &folder, device);
    session.evaluator = evaluator;
    let resumed = checkpoint::latest(&folder.checkpoints(), &mut |warning| eprintln!("warning: {warning}"))?;
    match &resumed {
        Some(checkpoint) => session.resume(checkpoint, &mut players)?,
        None => players.begin(job.seed),
    }
    say(&session.start(resumed.is_some()));
    session.showcase.rewind(session.step);
    session.prepare_folder(&players)?;
    drop(resumed);

    // A training in trouble is taken back to its best checkpoint and goes on from there; a failure ends it.
    loop {
        match session.play(&mut players, say, stop) {
            Ok(()) => break,
            Err(Failure::Trouble { message }) => session.take_back(&message, &mut players, say)?,
            Err(failure) => return Err(failure),
        }
    }
    if session.step == plan.steps {
        session.showcase.reel(session.step > session.earlier.0);
    }
    say(&session.done());
    Ok(())
}

impl Session<'_> {
    /// The loop: steps until the end, until `stop` is set, until the time is up, or until something is wrong.
    fn play(&mut self, players: &mut Players, say: &mut dyn FnMut(&Event), stop: &AtomicBool) -> Result<(), Failure> {
        let (data, plan, seed) = (self.data, self.plan, self.job.seed);
        players.set_order(&data.order(seed, self.epoch()));
        let mut meter = Meter::new(self, players);
        while self.step < plan.steps && !stop.load(Ordering::Relaxed) && !self.is_time_up() {
            let place = self.step % plan.steps_per_epoch;
            if place == 0 && self.step > 0 {
                players.set_order(&data.order(seed, self.epoch()));
                players.sums.clear();
                meter = meter.next_epoch(self.step);
            }
            players.step(data, seed, self.step, place * plan.batch)?;
            self.step += 1;

            // About once a second, and at the end of an epoch, the sums are read: here the host waits for the device.
            let ended = self.step.is_multiple_of(plan.steps_per_epoch) || self.step == plan.steps;
            if ended || meter.is_due() {
                say(&Event::Progress(meter.read(self, players)?));
            }
            if ended {
                let measures = meter.epoch(self, players)?;
                let (findings, measured) = self.examine(&measures, players, say)?;
                say(&self.end_epoch(&measures, meter.epoch_seconds(), players, measured)?);
                if let Some(alarm) = findings.alarm {
                    return Err(Failure::Trouble { message: alarm });
                }
                if self.is_checkpoint_due(&findings) {
                    self.best = Some(alarm::better(self.best.as_ref(), self.step, findings.score));
                    say(&self.save(players)?);
                }
            }
        }
        if self.saved != Some(self.step) {
            say(&self.save(players)?);
        }
        Ok(())
    }

    /// What the end of an epoch shows of the training: where it is to be measured, how good its pictures are.
    fn examine(
        &mut self,
        measures: &Measures,
        players: &Players,
        say: &mut dyn FnMut(&Event),
    ) -> Result<(Findings, Option<Measured>), Failure> {
        let is_last = self.step == self.plan.steps;
        let Some(evaluator) = self.evaluator.as_mut().filter(|evaluator| evaluator.is_due(measures.epoch, is_last)) else {
            return Ok(Default::default());
        };
        let begun = Instant::now();
        let measured = evaluator.measure(players.best_generator(), &players.d.network)?;
        let (logits, evaluation) = (measured.logits, Box::new(measured.evaluation.clone()));
        let score = Some(evaluation.headline().kid);
        let (epoch, step, seconds) = (Some(measures.epoch), Some(measures.step), begun.elapsed().as_secs_f64());
        say(&Event::Evaluated { epoch, step, logits, evaluation, seconds });
        let alarm = evaluator.observe(measures, &measured);
        // What ends anyway is not taken back, and what can be lived with is said.
        let takes_back = |alarm: &Alarm| alarm.kind.takes_back() && !is_last;
        if let Some(alarm) = alarm.as_ref().filter(|alarm| !takes_back(alarm)) {
            eprintln!("alarm at step {}: {}; what helps: {}", self.step, alarm.sentence, alarm.advice);
            say(&Event::Alarm { step: self.step, message: alarm.sentence.clone(), action: format!("none; what helps: {}", alarm.advice) });
        }
        Ok((Findings { score, alarm: alarm.filter(takes_back).map(|alarm| alarm.sentence) }, Some(measured)))
    }

    /// Takes the training back to its best checkpoint, or to its beginning where there is none, to go on with half the rate.
    fn take_back(&mut self, trouble: &str, players: &mut Players, say: &mut dyn FnMut(&Event)) -> Result<(), Failure> {
        let (found_at, times) = (self.step, players.schedule.rollbacks);
        let folder = self.folder.checkpoints();
        let best = self.best.as_ref().and_then(|best| checkpoint::at_step(&folder, best.step));
        let checkpoint = match best {
            Some(best) => Some(best),
            None => checkpoint::latest(&folder, &mut |warning| eprintln!("warning: {warning}"))?,
        };
        let kept = checkpoint.as_ref().map_or(String::new(), |found| format!(", and the checkpoint of step {} is kept", found.card.step));
        if times >= self.options.rollbacks {
            let went = if times == 0 { String::new() } else { format!(" although it went back {}", counted(times)) };
            return Err(Failure::broken(
                format!("training broke down by step {found_at}{went}: {trouble}"),
                format!("{TROUBLE_HINT}{kept}"),
            ));
        }
        match &checkpoint {
            Some(checkpoint) => {
                self.step = checkpoint.card.step;
                self.last = checkpoint.card.metrics.clone();
                players.restore(checkpoint, times + 1)?;
            }
            None => {
                (self.step, self.last) = (0, None);
                players.schedule.rollbacks = times + 1;
                players.begin(self.job.seed);
            }
        }
        let action = format!(
            "going back to {} with {} of the learning rate and more changes to the pictures ({} of {})",
            if self.step == 0 { "the beginning".to_owned() } else { format!("step {}", self.step) },
            if times == 0 { "half".to_owned() } else { format!("1/{}", 1u64 << (times + 1)) },
            times + 1,
            self.options.rollbacks
        );
        eprintln!("alarm at step {found_at}: {trouble}; {action}");
        say(&Event::Alarm { step: found_at, message: trouble.to_owned(), action });
        // First the later checkpoints go, then the one that is left learns of the rollback. Killed in between, the training goes on from that
        // one as before, runs into the same trouble, and is taken back the same way.
        checkpoint::take_back(&folder, self.step).map_err(|error| self.cannot_write(&error))?;
        say(&self.save(players)?);
        self.showcase.rewind(self.step);
        self.rewind_stats().map_err(|error| self.cannot_write(&error))
    }
}

/// `once`, `twice`, `3 times`.
fn counted(times: u64) -> String {
    match times {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        _ => format!("{times} times"),
    }
}

/// Where this process is in the training.
#[derive(Debug)]
struct Session<'a> {
    job: &'a Job,
    /// The job's, resolved.
    options: TrainOptions,
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
    /// The checkpoint to go back to.
    best: Option<Best>,
    showcase: Showcase,
    begun: Instant,
    /// Judges the pictures, if anything does.
    evaluator: Option<Evaluator>,
}

impl<'a> Session<'a> {
    fn new(job: &'a Job, options: TrainOptions, data: &'a Dataset, plan: Plan, folder: &'a Folder, device: Device) -> Self {
        let latents = grid::latents(job.seed, options.samples, options.latent, device); // [samples, Z]
        let (showcase, begun) = (Showcase::new(&job.out), Instant::now());
        let (step, earlier, saved, last, best, evaluator) = (0, (0, 0.0), None, None, None, None);
        Self { job, options, data, plan, folder, device, latents, step, earlier, saved, last, best, showcase, begun, evaluator }
    }

    /// Goes on where a checkpoint stopped, if it is one of this training.
    fn resume(&mut self, checkpoint: &Checkpoint, players: &mut Players) -> Result<(), Failure> {
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
        if card.format < checkpoint::FORMAT {
            eprintln!(
                "note: the checkpoint of step {} was written by an earlier version; training goes on from it with other random numbers",
                card.step
            );
        }
        (self.step, self.saved, self.last) = (card.step, Some(card.step), card.metrics.clone());
        self.best = card.best.clone();
        self.earlier = (card.step, card.seconds);
        players.restore(checkpoint, card.rollbacks)
    }

    /// Whether this process has had the time it was given.
    fn is_time_up(&self) -> bool {
        self.options.time_budget > 0.0 && self.begun.elapsed().as_secs_f64() >= self.options.time_budget * 60.0
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
            epochs: self.options.epochs,
            steps_per_epoch: self.plan.steps_per_epoch,
            steps: self.plan.steps,
            resumed_from_step: resumed.then_some(self.step),
        }
    }

    /// Writes down what is about to be done, and what the pictures look like, before the first step.
    fn prepare_folder(&mut self, players: &Players) -> Result<(), Failure> {
        self.rewind_stats().map_err(|error| self.cannot_write(&error))?;
        let (Job { seed, .. }, Dataset { digest, len, side, .. }, options) = (self.job, self.data, &self.options);
        let about = json!({"options": options, "seed": seed, "dataset": digest, "images": len, "side": side, "steps": self.plan.steps});
        let write = || -> io::Result<()> {
            record::write(&self.folder.path("options.json"), &serde_json::to_vec_pretty(&about)?)?;
            // The first that training looks at: in the dataset's own order, copies of one photo lie side by side.
            let places = self.data.order(*seed, 0).narrow(0, 0, options.samples.min(*len) as i64); // [≤ samples]
            grid::write(&self.folder.path("reals.png"), &grid::sheet(&self.data.bytes(&places)))?;
            if self.step == 0 { self.draw_grid(0, players).map(|_| ()) } else { Ok(()) }
        };
        write().map_err(|error| self.cannot_write(&error))
    }

    /// Takes statistics, and what was observed, back to the step that the training is at.
    fn rewind_stats(&mut self) -> io::Result<()> {
        self.folder.rewind_stats(self.step, self.plan.steps_per_epoch, self.plan.steps)?;
        if let Some(evaluator) = &mut self.evaluator {
            let lines = self.folder.measured()?;
            evaluator.resume(&lines);
            // A score in the features of another network says nothing beside those to come.
            let is_other = |step: u64| lines.iter().any(|(measures, measured)| measures.step == step && !evaluator.compares_with(measured));
            if let Some(best) = self.best.as_mut().filter(|best| is_other(best.step)) {
                best.score = None;
            }
        }
        Ok(())
    }

    /// Draws the grid of samples after so many epochs with the averaged generator, and with the one that is still moving beside it.
    fn draw_grid(&self, epochs: u64, players: &Players) -> io::Result<(String, Tensor)> {
        let name = format!("samples/epoch-{epochs:04}.png");
        let pictures = grid::draw(players.best_generator(), &self.latents); // [samples, 3, S, S]
        grid::write(&self.folder.path(&name), &grid::sheet(&pictures))?;
        if players.average.is_some() {
            let raw = grid::draw(&players.g.network, &self.latents); // [samples, 3, S, S]
            grid::write(&self.folder.path(&format!("samples/raw/epoch-{epochs:04}.png")), &grid::sheet(&raw))?;
        }
        Ok((name, pictures))
    }

    /// Draws the grid and writes the lines of an epoch that has ended.
    fn end_epoch(&mut self, measures: &Measures, seconds: f64, players: &Players, measured: Option<Measured>) -> Result<Event, Failure> {
        let (grid, pictures) = self.draw_grid(measures.epoch, players).map_err(|error| self.cannot_write(&error))?;
        self.showcase.epoch(measures, &pictures, measured.as_ref());
        self.folder.add_epoch(measures, seconds, measured).map_err(|error| self.cannot_write(&error))?;
        self.last = Some(measures.clone());
        Ok(Event::Epoch { measures: measures.clone(), seconds, grid })
    }

    /// At the end, every so many epochs, and after the best epoch so far.
    fn is_checkpoint_due(&self, findings: &Findings) -> bool {
        let is_best = findings.score.is_some() && alarm::better(self.best.as_ref(), self.step, findings.score).step == self.step;
        self.step == self.plan.steps || self.epoch().is_multiple_of(self.options.checkpoint_every) || is_best
    }

    /// Saves a checkpoint, unless what it would hold is broken, and removes those that are too many.
    fn save(&mut self, players: &Players) -> Result<Event, Failure> {
        finite(&players.sums)?;
        if !players.are_finite() {
            return Err(diverged("a weight"));
        }
        let Value::Object(options) = json!(self.options) else { unreachable!("options are a JSON object") };
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
            best: self.best.clone(),
            rollbacks: players.schedule.rollbacks,
            libtorch: device::LIBTORCH.to_owned(),
            device: device::name(self.device).to_owned(),
            tensors: Digest::of(b""), // filled in by save
        };
        let folder = self.folder.checkpoints();
        let path = checkpoint::save(&folder, card, players.tensors()).map_err(|error| self.cannot_write(&error))?;
        checkpoint::prune(&folder, self.options.keep_checkpoints, self.best.as_ref().map(|best| best.step))
            .map_err(|error| self.cannot_write(&error))?;
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

    fn cannot_write(&self, error: &io::Error) -> Failure {
        let kept =
            self.saved.map_or(String::new(), |step| format!("; the checkpoint of step {step} is kept, and training goes on from it"));
        let hint = format!("see that the disk has room and the folder may be written to{kept}");
        Failure::broken(format!("cannot write to {}: {error}", self.job.out.display()), hint)
    }
}

/// The sums, if they are numbers. One loss of the epoch that was none leaves its mark in them.
fn finite(sums: &Sums) -> Result<[f64; Sums::COUNT], Failure> {
    let sums = sums.read();
    if sums.iter().all(|sum| sum.is_finite()) { Ok(sums) } else { Err(diverged("a loss")) }
}

fn diverged(what: &str) -> Failure {
    Failure::Trouble { message: format!("{what} is no longer a number") }
}

/// What was measured when the losses were last read, and since when the epoch runs.
#[derive(Debug)]
struct Meter {
    read_at: Instant,
    read_step: u64,
    read_sums: [f64; Sums::COUNT],
    epoch_at: Instant,
    /// The step at which this process took the epoch up.
    epoch_step: u64,
}

impl Meter {
    fn new(session: &Session<'_>, players: &Players) -> Self {
        let now = Instant::now();
        Self { read_at: now, read_step: session.step, read_sums: players.sums.read(), epoch_at: now, epoch_step: session.step }
    }

    fn next_epoch(self, step: u64) -> Self {
        Self { read_sums: [0.0; Sums::COUNT], epoch_at: Instant::now(), epoch_step: step, ..self }
    }

    fn is_due(&self) -> bool {
        self.read_at.elapsed() >= REPORT_EVERY
    }

    fn epoch_seconds(&self) -> f64 {
        self.epoch_at.elapsed().as_secs_f64()
    }

    /// Means over the steps since the last reading.
    fn read(&mut self, session: &Session<'_>, players: &Players) -> Result<Measures, Failure> {
        let (now, sums) = (Instant::now(), finite(&players.sums)?);
        let steps = session.step - self.read_step;
        let since: [f64; Sums::COUNT] = std::array::from_fn(|at| sums[at] - self.read_sums[at]);
        let measures = means(session, players, since, steps, steps, now - self.read_at);
        (self.read_at, self.read_step, self.read_sums) = (now, session.step, sums);
        Ok(measures)
    }

    /// Means over the epoch, its part in earlier processes included.
    fn epoch(&self, session: &Session<'_>, players: &Players) -> Result<Measures, Failure> {
        let steps = (session.step - 1) % session.plan.steps_per_epoch + 1;
        Ok(means(session, players, finite(&players.sums)?, steps, session.step - self.epoch_step, self.epoch_at.elapsed()))
    }
}

/// `sums` over `steps`, as measures after the session's last step; `here` of these steps took `time` in this process.
fn means(session: &Session<'_>, players: &Players, sums: [f64; Sums::COUNT], steps: u64, here: u64, time: Duration) -> Measures {
    let [loss_d, loss_g, d_real, d_fake, signs, penalty] = sums.map(|sum| sum / steps as f64);
    Measures {
        epoch: session.step.div_ceil(session.plan.steps_per_epoch),
        step: session.step,
        images_seen: session.images_seen(),
        loss_d,
        loss_g,
        d_real,
        d_fake,
        signs,
        penalty,
        augment: players.augment_probability(),
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
