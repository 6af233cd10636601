//! The engine of `catgen-pipe`: from `pipeline.toml` to stage folders and runs. Start with `src/README.md`.

mod below;
pub mod cache;
pub mod cli;
pub mod decide;
pub mod disk;
pub mod duplicates;
mod error;
mod executor;
pub mod key;
pub mod lineage;
mod order;
pub mod pipeline;
pub mod plan;
pub mod preview;
pub mod progress;
pub mod project;
pub mod record;
pub mod registry;
pub mod report;
pub mod run;
pub mod shared;
pub mod sheet;
mod shelf;
pub mod stats;
pub mod studio;
pub mod tools;
pub mod trainer;
mod trainings;
mod worker;
pub mod workspace;

pub use error::{Error, Result};
pub use pipeline::Pipeline;
pub use project::Project;
pub use workspace::Workspace;
