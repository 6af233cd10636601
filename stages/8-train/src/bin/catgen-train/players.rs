//! `Players`: generator and discriminator, and one step of their game.
//!
//! A step reads everything that changes between steps from tensors on the device (the [`Dials`], the order of the pictures, the place in
//! it) and waits for nothing. So on a GPU it can be recorded once, as a CUDA graph, and replayed: some 300 launches become one. On the
//! CPU, and where no graph is wanted, the same function runs as it is.
//!
//! B is the batch, Z the latent, S the side.

use catgen_train::{Augment, Change, Flip, Game, LossKind, Penalty, Preset, TrainOptions};
use tch::{Device, Kind, Tensor};

use crate::{
    augment,
    checkpoint::Checkpoint,
    data::Dataset,
    dials::{Dials, Schedule},
    error::Failure,
    learner::Learner,
    loss,
    network::{self, Mode, Network},
    penalty,
    rng::{self, Purpose},
    shim::Recorder,
};

/// Steps that run as they are on the graph's stream before one is recorded: libraries choose their kernels in the first ones.
const WARM_STEPS: u32 = 3;

/// What does not change during a training.
#[derive(Debug)]
struct Rules {
    game: Game,
    penalty: Penalty,
    flip: bool,
    changes: Vec<Change>,
    /// ADA's target, and what p moves by in a step; none where p is fixed.
    adaptive: Option<(f64, f64)>,
    /// Both gradients are taken before either player moves, as the second seed does.
    together: bool,
    batch: i64,
    latent: i64,
}

/// How steps are run.
#[derive(Debug)]
enum Way {
    /// Kernel by kernel.
    Eager,
    /// As recordings.
    Graph(Recording),
}

/// The recordings of steps without and with penalty, and how many of each were run before.
#[derive(Debug, Default)]
struct Recording {
    recorder: Option<Recorder>,
    warm: [u32; 2],
    done: [bool; 2],
}

/// Both players, and all that a step changes.
#[derive(Debug)]
pub(crate) struct Players {
    pub(crate) g: Learner,
    pub(crate) d: Learner,
    /// The running mean of the generator's weights.
    pub(crate) average: Option<Network>,
    pub(crate) schedule: Schedule,
    pub(crate) sums: Sums,
    rules: Rules,
    dials: Dials,
    /// The probability of each kind of change: [].
    probability: Tensor,
    /// The order of this epoch: [N].
    order: Tensor,
    /// Where in it the batch begins: [1]; and 0, 1, … B − 1.
    place: Tensor,
    within: Tensor,
    way: Way,
}

impl Players {
    /// Both before their first step, without weights; `options` are resolved. `graph` asks for recordings, which need a GPU.
    pub(crate) fn new(options: &TrainOptions, data: &Dataset, batch: u64, compute: Kind, graph: bool, device: Device) -> Self {
        let LossKind::Is(game, penalty) = options.loss else { unreachable!("options are resolved") };
        let schedule = Schedule::new(options, batch);
        let [g, d] =
            [network::generator(options, data.side, device), network::discriminator(options, data.side, device)].map(|mut network| {
                network.compute_with(compute);
                network
            });
        let rules = Rules {
            game,
            penalty,
            flip: options.flip == Flip::On,
            changes: options.augment_with.clone(),
            adaptive: (options.augment == Augment::Adaptive)
                .then(|| (options.augment_target, batch as f64 / options.augment_images as f64)),
            together: options.preset == Preset::DcganKeras && penalty == Penalty::None,
            batch: batch as i64,
            latent: options.latent as i64,
        };
        Self {
            average: (options.ema_images > 0).then(|| g.copy()),
            g: Learner::new("generator", g, &schedule),
            d: Learner::new("discriminator", d, &schedule),
            sums: Sums::zero(device),
            dials: Dials::new(device),
            probability: Tensor::zeros([], (Kind::Float, device)),
            order: Tensor::zeros([data.len as i64], (Kind::Int64, device)),
            place: Tensor::zeros([1], (Kind::Int64, device)),
            within: Tensor::arange(batch as i64, (Kind::Int64, device)),
            way: if graph { Way::Graph(Recording::default()) } else { Way::Eager },
            schedule,
            rules,
        }
    }

    /// As before the first step, with the first weights of that seed.
    pub(crate) fn begin(&mut self, seed: u64) {
        self.g.begin(seed, 0);
        self.d.begin(seed, 1);
        self.average = self.average.take().map(|_| self.g.network.copy());
        let _ = self.probability.fill_(self.schedule.at(0).augment);
        self.sums.clear();
        self.forget();
    }

    /// Takes over what a checkpoint knows, for a training that went back so many times. One of format 1 knows neither average nor probability, and fewer sums.
    pub(crate) fn restore(&mut self, checkpoint: &Checkpoint, rollbacks: u64) -> Result<(), Failure> {
        self.schedule.rollbacks = rollbacks;
        self.g.restore(checkpoint)?;
        self.d.restore(checkpoint)?;
        let _ = self.probability.fill_(self.schedule.at(checkpoint.card.step).augment);
        self.sums.clear();
        if let Some(average) = &mut self.average {
            // A graph that was recorded holds the place in memory: write there, do not replace.
            average.flat.copy_(&self.g.network.flat);
            average.running.copy_(&self.g.network.running);
        }
        if checkpoint.card.format == 1 {
            let mut old = self.sums.0.narrow(0, 0, 4);
            checkpoint.restore("epoch_sums", &mut old)?;
        } else {
            for (name, mut view) in self.own_tensors() {
                checkpoint.restore(&name, &mut view)?;
            }
        }
        self.forget();
        Ok(())
    }

    /// After a rollback: changes may have begun, so what was recorded is of no use.
    fn forget(&mut self) {
        if let Way::Graph(recording) = &mut self.way {
            *recording = Recording::default();
        }
        // At least as probable as the rollback wants.
        let least = self.schedule.at(0).augment;
        let _ = self.probability.clamp_min_(least);
    }

    /// Everything both know, as views by name.
    pub(crate) fn tensors(&self) -> Vec<(String, Tensor)> {
        [self.g.tensors(), self.d.tensors(), self.own_tensors()].into_iter().flatten().collect()
    }

    /// What belongs to neither player.
    fn own_tensors(&self) -> Vec<(String, Tensor)> {
        let mut tensors = self.average.as_ref().map_or(Vec::new(), |average| average.tensors("ema"));
        tensors.push(("augment_probability".to_owned(), self.probability.shallow_clone()));
        tensors.push(("epoch_sums".to_owned(), self.sums.0.shallow_clone()));
        tensors
    }

    /// Whether every parameter of both is a number.
    pub(crate) fn are_finite(&self) -> bool {
        self.g.is_finite() && self.d.is_finite()
    }

    /// The generator that pictures are drawn with: the averaged one, where there is one.
    pub(crate) fn best_generator(&self) -> &Network {
        self.average.as_ref().unwrap_or(&self.g.network)
    }

    /// The probability of each kind of change; waits for the device.
    pub(crate) fn augment_probability(&self) -> f64 {
        if self.schedule.augments() { self.probability.double_value(&[]) } else { 0.0 }
    }

    /// The order in which the next steps look at the pictures: [N].
    pub(crate) fn set_order(&mut self, order: &Tensor) {
        self.order.copy_(order);
    }

    /// The step after `step` steps, on the pictures from `place` of the order.
    pub(crate) fn step(&mut self, data: &Dataset, seed: u64, step: u64, place: u64) -> Result<(), Failure> {
        self.dials.set(&self.schedule.at(step), self.schedule.epsilon());
        let _ = self.place.fill_(place as i64);
        let with_penalty = self.schedule.has_penalty(step);
        let mut way = std::mem::replace(&mut self.way, Way::Eager);
        let done = rng::seeded(seed, Purpose::Step, step, || match &mut way {
            Way::Eager => {
                self.play(data, with_penalty);
                Ok(())
            }
            Way::Graph(recording) => self.play_recorded(data, with_penalty, recording),
        });
        self.way = way;
        done
    }

    fn play_recorded(&mut self, data: &Dataset, with_penalty: bool, recording: &mut Recording) -> Result<(), Failure> {
        let Recording { recorder, warm, done } = recording;
        let recorder = match recorder {
            Some(recorder) => recorder,
            None => recorder.insert(Recorder::new()?),
        };
        let kind = usize::from(with_penalty);
        if warm[kind] < WARM_STEPS {
            warm[kind] += 1;
            return recorder.warm(|| self.play(data, with_penalty));
        }
        if !done[kind] {
            recorder.record(kind as u8, || self.play(data, with_penalty))?;
            done[kind] = true;
        }
        recorder.replay(kind as u8)
    }

    /// One step of the game, on the device alone.
    fn play(&mut self, data: &Dataset, with_penalty: bool) {
        let (game, batch, latent) = (self.rules.game, self.rules.batch, self.rules.latent);
        let slopes = with_penalty && self.rules.penalty == Penalty::R1r2;

        // Real pictures, in the epoch's order, and generated ones.
        let places = self.order.index_select(0, &(&self.within + &self.place)); // [B]
        let real = data.batch(&places, self.rules.flip).set_requires_grad(slopes); // [B, 3, S, S] in −1..1
        let z = Tensor::randn([batch, latent], (Kind::Float, real.device())); // [B, Z]
        let fake = self.g.forward(&z, Mode::Train); // [B, 3, S, S]

        // Discriminator. Real and generated pictures go in batches of their own, so that each has the batch norm of its kind.
        let shown = if self.rules.together { fake.shallow_clone() } else { fake.detach().set_requires_grad(slopes) }; // [B, 3, S, S]
        let on_real = self.d.forward(&self.changed(&real), Mode::Train); // [B] logits
        let on_fake = self.d.forward(&self.changed(&shown), Mode::Train); // [B] logits
        let loss_d = loss::discriminator(game, &on_real, &on_fake); // []
        let steepness = match self.rules.penalty {
            Penalty::R1r2 if slopes => Some(penalty::zero_centred(&on_real, &real, &on_fake, &shown)), // []
            Penalty::Gp if with_penalty => {
                let between = penalty::between(&real, &shown); // [B, 3, S, S]
                Some(penalty::one_centred(&self.d.forward(&self.changed(&between), Mode::Train), &between)) // []
            }
            _ => None,
        };
        let whole = steepness.as_ref().map_or(loss_d.shallow_clone(), |steepness| &loss_d + steepness * &self.dials.penalty); // []
        self.d.gather(&whole, self.rules.together);

        // Generator, through a discriminator that is held; it has moved already, except where both move together.
        let loss_g = if self.rules.together {
            loss::generator(game, Some(&on_real.detach()), &on_fake) // []
        } else {
            self.d.step(&self.dials);
            let on_real = loss::compares(game).then(|| tch::no_grad(|| self.d.forward(&self.changed(&real), Mode::Held))); // [B]
            loss::generator(game, on_real.as_ref(), &self.d.forward(&self.changed(&fake), Mode::Held)) // []
        };
        self.g.gather(&loss_g, false);
        self.g.step(&self.dials);
        if self.rules.together {
            self.d.step(&self.dials);
        }

        if let Some(average) = &mut self.average {
            let _ = average.flat.lerp_tensor_(&self.g.network.flat, &self.dials.renewal); // [P]
            let _ = average.running.lerp_tensor_(&self.g.network.running, &self.dials.renewal); // [Q]
        }
        // How often real pictures look real; where a game only compares, how often more real than a generated one.
        let lead = if loss::compares(game) { &on_real - &on_fake } else { on_real.shallow_clone() }; // [B]
        let signs = lead.detach().sign().mean(Kind::Float); // []
        if let Some((target, speed)) = self.rules.adaptive {
            augment::follow(&mut self.probability, &signs, target, speed, &self.dials.augment);
        }
        let steepness = steepness.unwrap_or_else(|| Tensor::zeros([], (Kind::Float, signs.device()))); // []
        self.sums.add(&[loss_d, loss_g, loss::belief(&on_real), loss::belief(&on_fake), signs, steepness]); // [6]
    }

    /// Pictures as the discriminator sees them: [B, 3, S, S].
    fn changed(&self, pictures: &Tensor) -> Tensor {
        if !self.schedule.augments() {
            return pictures.shallow_clone();
        }
        augment::changed(pictures, &self.rules.changes, &self.probability)
    }
}

/// The sums over an epoch of what a step measures, kept on the device: reading them is what costs time.
#[derive(Debug)]
pub(crate) struct Sums(Tensor);

impl Sums {
    /// What is summed: L_D without its penalty, L_G, mean σ(D(x)), mean σ(D(G(z))), mean sign(D(x)), the penalty without its weight.
    pub(crate) const COUNT: usize = 6;

    /// Of nothing yet.
    fn zero(device: Device) -> Self {
        Self(Tensor::zeros([Self::COUNT as i64], (Kind::Double, device)))
    }

    /// Of nothing again.
    pub(crate) fn clear(&mut self) {
        let _ = self.0.zero_();
    }

    fn add(&mut self, step: &[Tensor; Self::COUNT]) {
        let _ = self.0.g_add_(&Tensor::stack(step, 0).detach()); // [6]
    }

    /// Waits for the device and reads them.
    pub(crate) fn read(&self) -> [f64; Self::COUNT] {
        Vec::<f64>::try_from(&self.0).expect("numbers of 64 bits").try_into().expect("there are as many sums")
    }
}

#[cfg(test)]
mod tests;
