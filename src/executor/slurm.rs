//! Jobs of a Slurm cluster: one array for the shards of an order.
//!
//! Only `sbatch`, `squeue` and `scancel` are asked: accounting (`sacct`) is not there on every cluster. A node that is lost is Slurm's
//! to notice (`--requeue`); a time limit or another's priority is announced by a signal, upon which a worker puts what it has into the
//! shared cache.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output},
    time::Duration,
};

use super::{Executor, Job, State, Work};
use crate::{Error, cache::write_whole, error::Result, pipeline::ExecutorSettings};

/// A cluster.
#[derive(Debug)]
pub(crate) struct Slurm {
    settings: ExecutorSettings,
    folder: PathBuf,
}

/// Seconds before its time limit that a job is told of it.
const NOTICE: u64 = 60;

impl Slurm {
    pub(crate) fn new(settings: ExecutorSettings, folder: PathBuf) -> Self {
        Self { settings, folder }
    }

    /// What each element of the array runs. Slurm tells the shell, and the shell its child, which then ends by itself.
    fn script(&self, work: &Work) -> Result<String> {
        let program = std::env::current_exe().map_err(Error::io("find", "catgen-pipe"))?;
        let words: Vec<String> = work.arguments(SHARD, CPUS, &self.settings).iter().map(|word| quoted(word)).collect();
        let program = quoted(&program.to_string_lossy());
        Ok(format!(
            "#!/bin/bash\n\
             # Not more threads than this job was given, whatever else the node has.\n\
             export OMP_NUM_THREADS=\"${{OMP_NUM_THREADS:-${{SLURM_CPUS_ON_NODE:-1}}}}\"\n\
             {program} {} &\n\
             worker=$!\n\
             trap 'kill -TERM \"$worker\"' USR1 TERM\n\
             # Ends once when the signal comes, and again when the worker has ended.\n\
             wait \"$worker\"; code=$?\n\
             while kill -0 \"$worker\" 2>/dev/null; do wait \"$worker\"; code=$?; done\n\
             exit \"$code\"\n",
            words.join(" ")
        ))
    }

    fn options(&self, work: &Work) -> Vec<String> {
        let settings = &self.settings;
        let mut options = vec![
            "--parsable".to_owned(),
            "--requeue".to_owned(),
            format!("--array={}", ranges(&work.shards)),
            format!("--job-name={}", work.name()),
            format!("--output={}", self.folder.join(format!("{}-%a.log", work.name())).display()),
            "--open-mode=append".to_owned(),
            format!("--signal=B:USR1@{NOTICE}"),
        ];
        let with = [("partition", settings.partition.clone()), ("account", settings.account.clone()), ("time", settings.time.clone())];
        let with = with.into_iter().chain([("cpus-per-task", settings.cpus.map(|cpus| cpus.to_string()))]);
        options.extend(with.filter_map(|(name, value)| Some(format!("--{name}={}", value?))));
        if let Some(gpus) = settings.gpus.filter(|_| work.is_training) {
            options.push(format!("--gres=gpu:{gpus}"));
        }
        options.extend(settings.options.iter().cloned());
        options
    }
}

impl Executor for Slurm {
    fn submit(&self, work: &Work) -> Result<String> {
        fs::create_dir_all(&self.folder).map_err(Error::io("create", &self.folder))?;
        let script = self.folder.join(format!("{}.sh", work.name()));
        write_whole(&script, self.script(work)?.as_bytes())?;
        let output = ask("sbatch", Command::new("sbatch").args(self.options(work)).arg(&script))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(Error::Usage {
                what: format!("Slurm does not take the job: {}", said.trim()),
                hint: "correct `[executor]` in pipeline.toml; `sinfo` shows partitions, `sacctmgr show assoc` accounts".to_owned(),
            });
        }
        // `id`, or `id;cluster`.
        let said = String::from_utf8_lossy(&output.stdout);
        Ok(said.trim().split(';').next().unwrap_or_default().to_owned())
    }

    fn poll(&self, job: &Job) -> State {
        let format = "--format=%j %T";
        let Ok(output) = ask("squeue", Command::new("squeue").args(["--noheader", "--array", "--jobs", &job.id, "--states=all", format]))
        else {
            return State::Unknown;
        };
        let said = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            // Anything else is that the controller does not answer.
            return if said.contains("Invalid job id") { State::Over } else { State::Unknown };
        }
        alive(&String::from_utf8_lossy(&output.stdout), &job.name)
    }

    /// A controller that lost its memory uses numbers again, and takes a node that still knows one out of use: until then the jobs that
    /// it forgot should have ended.
    fn pause(&self) -> Duration {
        Duration::from_secs(20)
    }

    fn cancel(&self, job: &Job) -> Result<()> {
        // By its name, too: its number may be another's by now.
        ask("scancel", Command::new("scancel").args(["--quiet", "--name", &job.name, &job.id])).map(|_| ())
    }

    fn cancel_by_hand(&self, job: &Job) -> String {
        format!("scancel --name={} {}", job.name, job.id)
    }

    fn log(&self, job: &Job) -> PathBuf {
        self.folder.join(format!("{}-*.log", job.name))
    }
}

fn ask(program: &str, command: &mut Command) -> Result<Output> {
    command.output().map_err(|error| Error::Usage {
        what: format!("`{program}` cannot be started: {error}"),
        hint: "work on a machine of the cluster from which jobs can be submitted, or set `kind = \"local\"` in [executor]".to_owned(),
    })
}

/// What `squeue` says of a job's parts, as `name state` a line. Those of another name have taken its number over.
fn alive(said: &str, name: &str) -> State {
    let states = said.lines().filter_map(|line| line.trim().split_once(' ')).filter(|(of, _)| *of == name).map(|(_, state)| state.trim());
    let (mut waiting, mut working) = (0, 0);
    for state in states {
        match state {
            "PENDING" | "REQUEUED" | "REQUEUE_HOLD" | "REQUEUE_FED" | "SPECIAL_EXIT" | "RESV_DEL_HOLD" => waiting += 1,
            "CONFIGURING" | "RUNNING" | "COMPLETING" | "SUSPENDED" | "STOPPED" | "RESIZING" | "SIGNALING" | "STAGE_OUT" => working += 1,
            // COMPLETED, FAILED, CANCELLED, TIMEOUT, NODE_FAIL, PREEMPTED, OUT_OF_MEMORY, BOOT_FAIL, DEADLINE, REVOKED.
            _ => {}
        }
    }
    if waiting + working == 0 { State::Over } else { State::Alive { waiting, working } }
}

/// `0-3,7`: numbers in order, as Slurm takes them.
fn ranges(numbers: &[usize]) -> String {
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    for &number in numbers {
        match ranges.last_mut() {
            Some((_, end)) if *end + 1 == number => *end = number,
            _ => ranges.push((number, number)),
        }
    }
    let words = ranges.iter().map(|(from, to)| if from == to { from.to_string() } else { format!("{from}-{to}") });
    words.collect::<Vec<_>>().join(",")
}

/// What Slurm tells each element of an array: its number, and how many processors it was given.
const SHARD: &str = "${SLURM_ARRAY_TASK_ID}";
const CPUS: &str = "${SLURM_CPUS_ON_NODE:-1}";

/// A word as the shell takes it: whole, but for our own variables.
fn quoted(word: &str) -> String {
    if [SHARD, CPUS].contains(&word) { format!("\"{word}\"") } else { format!("'{}'", word.replace('\'', "'\\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_ranges() {
        for (numbers, said) in [(&[0][..], "0"), (&[0, 1, 2], "0-2"), (&[0, 2, 3, 9], "0,2-3,9"), (&[], "")] {
            assert_eq!(ranges(numbers), said);
        }
    }

    #[test]
    fn a_job_is_known_by_its_name() {
        for (said, state) in [
            ("", State::Over),
            ("mine RUNNING\nmine PENDING\nmine COMPLETED\n", State::Alive { waiting: 1, working: 1 }),
            ("mine COMPLETED\nmine NODE_FAIL\n", State::Over),
            ("another RUNNING\n", State::Over),
            ("  mine REQUEUED  \n", State::Alive { waiting: 1, working: 0 }),
        ] {
            assert_eq!(alive(said, "mine"), state, "{said:?}");
        }
    }

    #[test]
    fn a_training_asks_for_its_processors_and_pictures_do_not() {
        let settings = ExecutorSettings { gpus: Some(2), account: Some("lab".to_owned()), ..ExecutorSettings::default() };
        let slurm = Slurm::new(settings, PathBuf::from("/jobs"));
        let options = |is_training| {
            let order = catgen_api::Digest::of(b"order");
            slurm.options(&Work { order, shards: vec![0, 1], attempt: 1, remote: "file:///share".to_owned(), is_training })
        };
        let has = |is_training, option: &str| options(is_training).iter().any(|word| word == option);
        assert!(has(true, "--gres=gpu:2") && !has(false, "--gres=gpu:2"));
        assert!(has(false, "--account=lab") && has(false, "--array=0-1") && has(false, "--requeue") && has(false, "--signal=B:USR1@60"));
        assert!(!options(true).iter().any(|word| word.starts_with("--partition")));
    }

    #[test]
    fn words_reach_the_program_whole() {
        assert_eq!(quoted("it's $HOME"), "'it'\\''s $HOME'");
        assert_eq!(quoted(SHARD), "\"${SLURM_ARRAY_TASK_ID}\"");
    }
}
