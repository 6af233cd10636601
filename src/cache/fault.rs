//! `fault`: where tests let a process die, as `kill -9` or a power cut would.
//!
//! Moments between two changes of the disk are counted. `CATGEN_DIE_AT=17` ends the process at the 17th, by the signal that
//! nobody can catch. Only builds with debug assertions count: in a release there is nothing here.

/// A moment between two changes of the disk.
#[inline]
pub(crate) fn point() {
    #[cfg(all(debug_assertions, unix))]
    counted::point();
}

#[cfg(all(debug_assertions, unix))]
mod counted {
    use std::sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    };

    static DIE_AT: LazyLock<u64> =
        LazyLock::new(|| std::env::var("CATGEN_DIE_AT").ok().and_then(|text| text.parse().ok()).unwrap_or(u64::MAX));
    static PASSED: AtomicU64 = AtomicU64::new(0);

    pub(super) fn point() {
        if *DIE_AT == u64::MAX || PASSED.fetch_add(1, Ordering::Relaxed) + 1 != *DIE_AT {
            return;
        }
        let killed = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        // The signal may take a moment to arrive, and nothing must happen meanwhile.
        loop {
            assert!(killed.is_ok(), "a process may kill itself");
            std::thread::park();
        }
    }
}
