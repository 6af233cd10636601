//! Tests of the whole program: the engine with counting stages, the binary as users run it, faults with real processes.
//!
//! One binary, so that it is linked once.

mod bench;
mod cli;
mod engine;
#[cfg(unix)]
mod faults;
mod home;
mod readme;
mod real_photos;
