//! `Learner`: a network with its optimiser, and both by name for checkpoints.

use tch::Tensor;

use crate::{
    adam::Adam,
    checkpoint::Checkpoint,
    dials::{Dials, Schedule},
    error::Failure,
    network::{Mode, Network},
};

/// One of the two players.
#[derive(Debug)]
pub(crate) struct Learner {
    /// `generator` or `discriminator`: the first part of its tensors' names in a checkpoint.
    name: &'static str,
    pub(crate) network: Network,
    adam: Adam,
}

impl Learner {
    /// A player before its first step.
    pub(crate) fn new(name: &'static str, network: Network, schedule: &Schedule) -> Self {
        let adam = Adam::new(&network.flat, schedule);
        Self { name, network, adam }
    }

    /// The network's answer.
    pub(crate) fn forward(&self, input: &Tensor, mode: Mode) -> Tensor {
        self.network.forward(input, mode)
    }

    /// Gathers the gradient of `loss`; `keep` says that what led to the loss is still needed.
    pub(crate) fn gather(&mut self, loss: &Tensor, keep: bool) {
        let _ = self.network.gradient(loss, keep); // [P]
    }

    /// One step of Adam down the gradient that was gathered last.
    pub(crate) fn step(&mut self, dials: &Dials) {
        let (parameters, gradient) = self.network.parameters_and_gradient(); // [P], [P]
        self.adam.step(parameters, gradient, dials);
        self.network.refresh();
    }

    /// Whether every parameter is a number.
    pub(crate) fn is_finite(&self) -> bool {
        self.network.flat.isfinite().all().int64_value(&[]) == 1
    }

    /// As before the first step, with the first weights of that seed.
    pub(crate) fn begin(&mut self, seed: u64, number: u64) {
        self.network.initialise(seed, number);
        for moment in [&mut self.adam.m, &mut self.adam.v] {
            let _ = moment.zero_();
        }
    }

    /// Everything it knows, as views by name.
    pub(crate) fn tensors(&self) -> Vec<(String, Tensor)> {
        let (network, adam, player) = (&self.network, &self.adam, self.name);
        let moments = [("m", &adam.m), ("v", &adam.v)]
            .into_iter()
            .flat_map(|(moment, flat)| network.by_name(flat).map(move |(name, view)| (format!("adam.{moment}.{player}.{name}"), view)));
        network.tensors(player).into_iter().chain(moments).collect()
    }

    /// Takes over what a checkpoint knows.
    pub(crate) fn restore(&mut self, checkpoint: &Checkpoint) -> Result<(), Failure> {
        self.tensors().into_iter().try_for_each(|(name, mut view)| checkpoint.restore(&name, &mut view))?;
        self.network.refresh();
        Ok(())
    }
}
