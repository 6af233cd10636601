//! Tests of the whole program: the engine with counting stages, the binary as users run it, faults with real processes.
//!
//! One binary, so that it is linked once.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails, and its helpers with it")]

mod bench;
mod cli;
#[cfg(target_os = "linux")]
mod cluster;
#[cfg(unix)]
mod command;
#[cfg(target_os = "linux")]
mod disks;
mod duplicates;
mod engine;
mod evaluate;
mod explain;
#[cfg(unix)]
mod faults;
mod gc;
#[cfg(unix)]
mod guard;
mod home;
mod keep;
mod outputs;
mod readme;
mod real_photos;
#[cfg(unix)]
mod served;
#[cfg(target_os = "linux")]
mod servers;
mod shared_cache;
mod studio;
mod verify;
#[cfg(unix)]
mod workers;
