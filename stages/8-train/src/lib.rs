//! The trainer, seen from outside: its options, what it says while it works, the dataset it reads, and how its pictures are judged.
//!
//! | module | what |
//! |---|---|
//! | `options`, `events` | what it is told, what it says |
//! | [`npy`], `pictures` | the packed dataset |
//! | [`features`], [`metrics`], `judge` | how good pictures are, in numbers |
//! | [`serve`] | what a generator that stays loaded is asked and answers |
//! | [`alarms`] | when a training goes wrong, in a sentence |
//!
//! This library is all that the engine needs in order to start `catgen-train` and follow it, and it builds on any
//! machine. The program itself is `src/bin/catgen-train`; it needs libtorch and is built with the feature `torch`.
//! The two speak in [`Event`]s, one JSON object a line on the program's standard output.
//!
//! What can be drawn without libtorch is here, too: the [`reel`] of a training's grids, and how a transposed convolution
//! works ([`explain`]).
//!
//! What it refuses to do: train. Nothing in here touches libtorch, a device or a checkpoint.

pub mod alarms;
pub mod canvas;
pub mod conv;
mod events;
pub mod explain;
pub mod features;
pub mod gif;
mod judge;
mod loss;
pub mod metrics;
pub mod npy;
mod options;
mod pictures;
mod presets;
pub mod reel;
pub mod serve;

pub use events::{Event, Measures, Status};
pub use judge::{Copied, Evaluation, Judge, JudgeError, Packed, Pair};
pub use options::{Augment, Change, Device, Flip, Game, KIND, LossKind, OptionsError, Penalty, Precision, Preset, Switch, TrainOptions};
pub use pictures::{Gathered, Pictures};
