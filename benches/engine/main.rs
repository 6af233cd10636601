//! What the engine itself costs, each line as a ratio to a reference taken in the same run.
//!
//! ```text
//! cargo bench --bench engine              1,000 photos + 50 copies → 75,000 augmented → 75,000 at 64 px: 152,050 files (minutes)
//! cargo bench --bench engine -- million   1,000,000 items of stages that do nearly nothing (minutes, 8 GB of disk)
//! ```
//!
//! Every command is a process of its own, as a user runs it. CPU seconds are user and system time of that process with all
//! its threads, which a busy machine disturbs least. The floor loads a list of the same files, looks at each of them once, and
//! compares: nobody who answers for the files can do less.

#![expect(clippy::print_stdout, reason = "what a benchmark prints is its result")]

#[cfg(target_os = "linux")]
mod floor;
#[cfg(target_os = "linux")]
mod job;
#[cfg(target_os = "linux")]
mod measure;
#[cfg(target_os = "linux")]
mod million;

#[cfg(target_os = "linux")]
fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        // What the processes below do; not for people.
        ["floor", list] => floor::check(list.as_ref()),
        ["work", root, out] => job::work(root.as_ref(), Some(out.as_ref())),
        ["work", root] => job::work(root.as_ref(), None),
        ["million-run", root] => million::run(root.as_ref()),
        ["million-plan", root] => million::plan(root.as_ref()),
        ["million"] => million::bench(),
        [] => job::bench(),
        // `cargo test --benches` and `cargo bench FILTER` ask for other things.
        other => println!("nothing is called {other:?} here"),
    }
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("this benchmark reads /proc: Linux only");
}
