//! Tests of the whole program: the engine with counting stages, the binary as users run it, faults with real processes.
//!
//! One binary, so that it is linked once.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails, and its helpers with it")]

mod bench;
mod cli;
mod duplicates;
mod engine;
mod explain;
#[cfg(unix)]
mod faults;
mod home;
mod keep;
mod readme;
mod real_photos;
