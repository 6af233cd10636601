//! `Learner`: a network with its optimiser, and both by name for checkpoints.

use catgen_train::TrainOptions;
use tch::{Kind, Tensor};

use crate::{
    adam::Adam,
    checkpoint::Checkpoint,
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
    pub(crate) fn new(name: &'static str, network: Network, options: &TrainOptions) -> Self {
        let adam = Adam::new(&network.flat, options);
        Self { name, network, adam }
    }

    /// The network's answer.
    pub(crate) fn forward(&self, input: &Tensor, mode: Mode) -> Tensor {
        self.network.forward(input, mode)
    }

    /// One step of Adam, the `t`-th counted from 1, down the gradient of `loss`.
    pub(crate) fn descend(&mut self, loss: &Tensor, t: u64) {
        let gradient = self.network.gradient(loss); // [P]
        self.adam.step(&mut self.network.flat, &gradient, t);
    }

    /// Whether every parameter is a number.
    pub(crate) fn is_finite(&self) -> bool {
        self.network.flat.isfinite().all().int64_value(&[]) == 1
    }

    /// Everything it knows, as views by name.
    pub(crate) fn tensors(&self) -> Vec<(String, Tensor)> {
        let (network, adam, player) = (&self.network, &self.adam, self.name);
        let weights = network.by_name(&network.flat).chain(network.statistics()).map(|(name, view)| (format!("{player}.{name}"), view));
        let moments = [("m", &adam.m), ("v", &adam.v)]
            .into_iter()
            .flat_map(|(moment, flat)| network.by_name(flat).map(move |(name, view)| (format!("adam.{moment}.{player}.{name}"), view)));
        weights.chain(moments).collect()
    }

    /// Takes over what a checkpoint knows.
    pub(crate) fn restore(&mut self, checkpoint: &Checkpoint) -> Result<(), Failure> {
        self.tensors().into_iter().try_for_each(|(name, mut view)| checkpoint.restore(&name, &mut view))
    }
}

/// The sums of a step's losses and beliefs over an epoch, kept on the device: reading them is what costs time.
#[derive(Debug)]
pub(crate) struct Sums(pub(crate) Tensor);

impl Sums {
    /// Of nothing yet.
    pub(crate) fn zero(device: tch::Device) -> Self {
        Self(Tensor::zeros([4], (Kind::Double, device)))
    }

    /// Adds a step's L_D, L_G, mean σ(D(x)) and mean σ(D(G(z))).
    pub(crate) fn add(&mut self, step: &[Tensor; 4]) {
        let _ = self.0.g_add_(&Tensor::stack(step, 0).detach()); // [4]
    }

    /// Waits for the device and reads them.
    pub(crate) fn read(&self) -> [f64; 4] {
        Vec::<f64>::try_from(&self.0).expect("four numbers of 64 bits").try_into().expect("there are four sums")
    }
}
