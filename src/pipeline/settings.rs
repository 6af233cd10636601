//! What `pipeline.toml` says apart from its stages: nothing of it is in a key, because nothing of it changes a picture.

use serde_json::Value;

use super::parse::unknown;

/// Why a key of a table cannot be set, and which side of the `=` is to blame.
pub(super) enum Wrong {
    Key(String),
    Value(String),
}

/// `[cache]`: where results are shared with others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheSettings {
    /// The address of the shared cache, if there is one.
    pub remote: Option<String>,
    /// Whether what is computed here is put there at the end of each stage.
    pub push: bool,
}

impl Default for CacheSettings {
    fn default() -> Self {
        Self { remote: None, push: true }
    }
}

impl CacheSettings {
    /// Sets one key.
    pub(super) fn set(&mut self, key: &str, value: &Value) -> Result<(), Wrong> {
        match key {
            "remote" => self.remote = Some(text(key, value)?),
            "push" => self.push = value.as_bool().ok_or_else(|| Wrong::Value("push: expected true or false".to_owned()))?,
            other => return Err(Wrong::Key(unknown("key", other, &["remote", "push"]))),
        }
        Ok(())
    }
}

/// Who computes what is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    /// This process.
    #[default]
    Local,
    /// Worker processes on this machine: what a cluster does, without one.
    Processes,
    /// Jobs of a Slurm cluster.
    Slurm,
}

const KINDS: &[(&str, Kind)] = &[("local", Kind::Local), ("processes", Kind::Processes), ("slurm", Kind::Slurm)];

/// `[executor]`: who computes what is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecutorSettings {
    /// Who.
    pub kind: Kind,
    /// Into how many parts the work is cut.
    pub shards: usize,
    /// Fewer missing pictures than this are computed here.
    pub min_items: usize,
    /// Seconds for which facts are looked for here before the rest is handed in.
    pub head_start: u64,
    /// How often a part is tried.
    pub attempts: usize,
    /// Minutes after which nobody waits any more.
    pub deadline: u64,
    /// Seconds after which a worker puts what it has into the shared cache.
    pub publish_every: u64,
    /// Slurm's partition.
    pub partition: Option<String>,
    /// Slurm's account.
    pub account: Option<String>,
    /// Processors of each job.
    pub cpus: Option<u64>,
    /// Graphics processors of a training.
    pub gpus: Option<u64>,
    /// Time limit of each job, as Slurm takes it.
    pub time: Option<String>,
    /// More of `sbatch`'s options.
    pub options: Vec<String>,
}

impl Default for ExecutorSettings {
    fn default() -> Self {
        Self {
            kind: Kind::Local,
            shards: 16,
            min_items: 16,
            head_start: 5,
            attempts: 3,
            deadline: 24 * 60,
            publish_every: 10,
            partition: None,
            account: None,
            cpus: None,
            gpus: None,
            time: None,
            options: Vec::new(),
        }
    }
}

impl ExecutorSettings {
    const KEYS: &[&str] = &[
        "kind",
        "shards",
        "min_items",
        "head_start",
        "attempts",
        "deadline",
        "publish_every",
        "partition",
        "account",
        "cpus",
        "gpus",
        "time",
        "options",
    ];

    /// Sets one key.
    pub(super) fn set(&mut self, key: &str, value: &Value) -> Result<(), Wrong> {
        let count = || {
            let number = value.as_u64().filter(|number| *number > 0 && *number <= u64::from(u32::MAX));
            number.ok_or_else(|| Wrong::Value(format!("{key}: expected a whole number from 1 up")))
        };
        match key {
            "kind" => {
                let word = text(key, value)?;
                let names: Vec<&str> = KINDS.iter().map(|(name, _)| *name).collect();
                let kind = KINDS.iter().find(|(name, _)| *name == word).map(|(_, kind)| *kind);
                self.kind = kind.ok_or_else(|| Wrong::Value(unknown("kind of executor", &word, &names)))?;
            }
            "shards" => self.shards = count()? as usize,
            "min_items" => self.min_items = count()? as usize,
            "head_start" => {
                let seconds = value.as_u64().filter(|seconds| *seconds <= u64::from(u32::MAX));
                self.head_start = seconds.ok_or_else(|| Wrong::Value("head_start: expected a whole number of seconds".to_owned()))?;
            }
            "attempts" => self.attempts = count()? as usize,
            "deadline" => self.deadline = count()?,
            "publish_every" => self.publish_every = count()?,
            "partition" => self.partition = Some(text(key, value)?),
            "account" => self.account = Some(text(key, value)?),
            "cpus" => self.cpus = Some(count()?),
            "gpus" => self.gpus = Some(count()?),
            "time" => self.time = Some(text(key, value)?),
            "options" => {
                let words = value.as_array().and_then(|words| words.iter().map(|word| word.as_str().map(str::to_owned)).collect());
                self.options = words.ok_or_else(|| Wrong::Value("options: expected a list of texts".to_owned()))?;
            }
            other => return Err(Wrong::Key(unknown("key", other, Self::KEYS))),
        }
        Ok(())
    }
}

pub(super) fn text(key: &str, value: &Value) -> Result<String, Wrong> {
    value.as_str().map(str::to_owned).ok_or_else(|| Wrong::Value(format!("{key}: expected a text in quotes")))
}
