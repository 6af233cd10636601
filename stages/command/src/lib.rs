//! The stage `command`: a program of the user's own.
//!
//! The program is told pictures by path and answers with pictures, with a refusal, or with an error, in JSON lines;
//! `docs/command-stages.md` is the whole protocol. There are two ways to talk:
//!
//! | `mode` | the program | is told | use it for |
//! |---|---|---|---|
//! | `worker` | runs as long as there is work, one per thread | one line for each picture | everything that has something to load first |
//! | `batch` | is started once for up to 1,000 pictures | a file that lists what was added, changed and removed | shell scripts, tools that want a list |
//!
//! Either way the cache sees single pictures: what is answered is remembered at once, for the content of the picture.
//!
//! What it refuses to do: it never hands a program the store's own files, never takes a file from outside the folder that the
//! program was given, and never passes lists in arguments or in the environment, which end at 128 KiB.

mod batch;
mod files;
mod outputs;
mod pool;
mod process;
mod program;
mod protocol;
mod scratch;
mod text;

use std::{sync::atomic::AtomicU64, time::Duration};

use catgen_api::{
    BatchStage, BuildContext, Digest, Draw, Input, ItemStage, KeyInput, Kind, Param, ParamKind, Params, Shape, StageError, Verdict,
};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{pool::Pool, program::Program, protocol::Request, scratch::Scratch};

/// Where users read on: the end of most hints.
const GUIDE: &str = "docs/command-stages.md has the protocol and programs to start from";

/// What the registry knows of `command`.
pub const KIND: Kind = Kind {
    name: "command",
    version: 1,
    shape: Shape::Item,
    random: false,
    summary: "a program of your own makes, or refuses, the pictures: see docs/command-stages.md",
    params: &[
        Param {
            name: "run",
            kind: ParamKind::Texts,
            doc: "the program and its arguments, started in the workspace; a word that names a file of the workspace is watched like a parameter",
        },
        Param {
            name: "mode",
            kind: ParamKind::Choice { default: "worker", of: &["worker", "batch"] },
            doc: "worker: a running program is told one picture after the other; batch: it is started once and given a list",
        },
        Param {
            name: "files",
            kind: ParamKind::Texts,
            doc: "other files and folders that the program reads: when their content changes, all is made again",
        },
        Param { name: "options", kind: ParamKind::Table, doc: "handed to the program as it is" },
        Param {
            name: "max_side",
            kind: ParamKind::Whole { default: 1024, min: 0, max: 16384 },
            doc: "longest side of the pictures that the program is given, in pixels; 0 keeps their size",
        },
        Param {
            name: "random",
            kind: ParamKind::Flag(false),
            doc: "give the program a seed for each picture, drawn from the pipeline's seed and the picture's content",
        },
        Param {
            name: "timeout",
            kind: ParamKind::Number { default: 300.0, min: 0.0, max: 604_800.0 },
            doc: "seconds that one picture may take before the program is ended; 0 for any; changing it makes nothing again",
        },
        Param {
            name: "workers",
            kind: ParamKind::Whole { default: 0, min: 0, max: 1024 },
            doc: "at most so many programs at a time in mode worker; 0 for as many as `run --jobs`; changing it makes nothing again",
        },
    ],
};

#[derive(Deserialize)]
struct Options {
    run: Vec<String>,
    mode: Mode,
    files: Vec<String>,
    options: Map<String, Value>,
    max_side: u32,
    random: bool,
    timeout: f64,
    workers: usize,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum Mode {
    Worker,
    Batch,
}

/// The stage.
struct Command {
    mode: Mode,
    pool: Pool,
    scratch: Scratch,
    options: Value,
    max_side: u32,
    /// The pipeline's seed, where the program is random.
    seed: Option<u64>,
    timeout: Option<Duration>,
    /// Numbers of requests: never twice the same in one run.
    next: AtomicU64,
}

/// The stage with these parameters. Hashes the declared files; starts nothing.
///
/// # Errors
/// No program, a declared file that is not there, or an option that JSON has no words for.
pub fn build(params: &Params, context: &BuildContext) -> Result<Box<dyn ItemStage>, StageError> {
    let options: Options = params.read();
    let table = Value::Object(options.options);
    if has_null(&table) {
        let message = "a number in it is too large or no number: programs are told of options in JSON, which has neither".to_owned();
        return Err(StageError::Param { name: "options", message });
    }
    let program = Program::new(options.run, &options.files, &context.workspace)?;
    let timeout = (options.timeout > 0.0).then(|| Duration::from_secs_f64(options.timeout));
    Ok(Box::new(Command {
        mode: options.mode,
        pool: Pool::new(program, options.workers, timeout),
        scratch: Scratch::new(&context.scratch, &context.workspace),
        options: table,
        max_side: options.max_side,
        seed: options.random.then_some(context.seed),
        timeout,
        next: AtomicU64::new(1),
    }))
}

fn has_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.iter().any(has_null),
        Value::Object(table) => table.values().any(has_null),
        _ => false,
    }
}

impl Command {
    fn program(&self) -> &Program {
        self.pool.program()
    }

    /// The seed of one picture: 32 bits, the most that every language's random numbers take.
    fn seed_of(&self, digest: &Digest) -> Option<u64> {
        self.seed.map(|seed| Draw::new(seed, KIND.name, digest, 0).below(1 << 32))
    }
}

impl ItemStage for Command {
    fn key_inputs(&self) -> Vec<KeyInput> {
        let mut inputs = self.program().key_inputs();
        if let Some(seed) = self.seed {
            inputs.push(KeyInput { name: "seed".to_owned(), value: seed.to_string() });
        }
        inputs
    }

    fn unkeyed_params(&self) -> &'static [&'static str] {
        &["timeout", "workers"]
    }

    fn working_side(&self) -> Option<u32> {
        (self.max_side > 0).then_some(self.max_side)
    }

    fn apply(&self, input: &Input<'_>) -> Result<Verdict, StageError> {
        if self.mode == Mode::Batch {
            return batch::of_one(self, input);
        }
        let desk = self.scratch.desk(input.picture)?;
        let id = self.next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let line = Request {
            protocol: protocol::VERSION,
            id,
            input: desk.input(),
            out: desk.out(),
            digest: input.digest,
            options: &self.options,
            seed: self.seed_of(&input.digest),
        }
        .line();
        Ok(match self.pool.ask(id, &line, &desk)? {
            Ok(answer) => outputs::verdict(answer, desk.out_folder(), self.program().name()),
            Err(reason) => Verdict::Reject(reason),
        })
    }

    fn rest(&self) {
        self.pool.rest();
    }

    fn batch(&self) -> Option<&dyn BatchStage> {
        (self.mode == Mode::Batch).then_some(self)
    }
}

#[cfg(test)]
mod tests;
