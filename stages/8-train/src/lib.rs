//! The trainer, seen from outside: its options, what it says while it works, and the dataset it reads.
//!
//! This library is all that the engine needs in order to start `catgen-train` and follow it, and it builds on any
//! machine. The program itself is `src/bin/catgen-train`; it needs libtorch and is built with the feature `torch`.
//! The two speak in [`Event`]s, one JSON object a line on the program's standard output.
//!
//! What it refuses to do: train. Nothing in here touches libtorch, a device or a checkpoint.

mod events;
mod loss;
pub mod npy;
mod options;
mod presets;

pub use events::{Event, Measures, Status};
pub use options::{Augment, Change, Device, Flip, Game, KIND, LossKind, OptionsError, Penalty, Precision, Preset, Switch, TrainOptions};
