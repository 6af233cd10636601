//! CPU and wall time of child processes, and a table of them.

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

/// What one command cost.
pub(crate) struct Cost {
    /// User and system time, all threads; in steps of 10 ms.
    pub(crate) cpu: f64,
    pub(crate) wall: f64,
    pub(crate) output: Output,
}

impl Cost {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.output.stdout).into_owned()
    }

    /// A number that the child printed as `name number`.
    pub(crate) fn said(&self, name: &str) -> f64 {
        let text = self.text();
        let number = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        number.unwrap_or_else(|| panic!("the child did not say {name}: {text}"))
    }

    /// `computed` and `removed` by stage, from the lines of `run --json`.
    pub(crate) fn counts(&self) -> Vec<(String, u64, u64)> {
        let lines = self.text();
        let lines = lines.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("run --json prints JSON lines"));
        let number = |line: &serde_json::Value, name: &str| line[name].as_u64().unwrap_or(0);
        lines
            .filter(|line| line["event"] == "stage")
            .map(|line| (line["stage"].as_str().unwrap_or_default().to_owned(), number(&line, "computed"), number(&line, "removed")))
            .collect()
    }
}

/// Runs a command that must succeed.
pub(crate) fn cost(mut command: Command) -> Cost {
    let (before, began) = (children(), Instant::now());
    let output = command.stderr(Stdio::piped()).output().expect("the program can be started");
    let (cpu, wall) = (children() - before, began.elapsed().as_secs_f64());
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Cost { cpu, wall, output }
}

/// `catgen-pipe` in the workspace.
pub(crate) fn program(root: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_catgen-pipe"));
    command.current_dir(root).args(args).env_remove("CATGEN_LOG");
    command
}

/// This benchmark, called for one of its parts.
pub(crate) fn part(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("a running program has a path"));
    command.args(args);
    command
}

/// The median of several costs by CPU.
pub(crate) fn median(times: usize, mut command: impl FnMut() -> Command) -> Cost {
    let mut costs: Vec<Cost> = (0..times).map(|_| cost(command())).collect();
    costs.sort_by(|a, b| a.cpu.total_cmp(&b.cpu));
    costs.swap_remove(times / 2)
}

/// CPU seconds of all children that ended, from `/proc/self/stat` (fields 16 and 17, in hundredths of a second).
fn children() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").expect("Linux has /proc");
    let fields: Vec<&str> = stat.rsplit_once(')').expect("the name is in parentheses").1.split_whitespace().collect();
    let ticks = |at: usize| fields[at - 3].parse::<f64>().expect("a number of ticks");
    (ticks(16) + ticks(17)) / 100.0
}

/// The most memory that this process held at once, in MB.
pub(crate) fn peak_mb() -> f64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux has /proc");
    let kb = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix("kB")?.trim().parse::<f64>().ok());
    kb.expect("the kernel says how much") / 1000.0
}

/// One line of the result.
pub(crate) fn line(what: &str, cost: &Cost, beside: &str, reference: f64, more: &str) {
    let ratio = if reference > 0.0 { format!("{:.2} × {beside}", cost.cpu / reference) } else { String::new() };
    println!("{what:44} {:8.2} CPU s {:8.2} s  {ratio:24} {more}", cost.cpu, cost.wall);
}

/// Lets every time stamp grow older than the clock's grain, after which the memo of the photos trusts them.
pub(crate) fn let_times_settle() {
    std::thread::sleep(Duration::from_millis(2600));
}
