//! `Project`: an opened workspace with its stages built, the starting point of every command.

use std::time::Duration;

use catgen_api::{BuildContext, Digest, Shape, StageError};
use once_cell::sync::OnceCell;

use crate::{
    Error, Pipeline, Workspace,
    cache::{
        Store,
        actions::{Actions, Outcome},
        states::States,
    },
    error::Result,
    key::{ActionKey, Components},
    pipeline::Override,
    registry::{Built, Entry},
    shared::SharedCache,
    tools::Tools,
};

/// An opened workspace: its pipeline, its stages ready to work, and its store.
pub struct Project {
    /// Where everything lies.
    pub workspace: Workspace,
    /// What is declared.
    pub pipeline: Pipeline,
    /// The text of `pipeline.toml`, for the record.
    pub pipeline_text: String,
    /// What was changed by `--set`.
    pub overrides: Vec<Override>,
    /// The stages, in the order of [`Pipeline::stages`]; an error is one stage's and stops only what needs it.
    nodes: Vec<std::result::Result<Node, catgen_api::StageError>>,
    /// Programs and files found on this machine.
    pub tools: Tools,
    /// The store.
    pub store: Store,
    /// What others share of what they computed, where the pipeline says where.
    pub shared: Option<SharedCache>,
    /// How each stage was when it was last finished.
    pub states: States,
    actions: OnceCell<Actions>,
    may_write: bool,
}

/// A stage ready to work, with what is in its keys.
pub struct Node {
    /// The stage.
    pub built: Built,
    /// What is in the keys of its items apart from the items.
    pub components: Components,
    /// For a set stage: what is in the keys of its facts.
    pub fact_components: Components,
    /// What must be as it was for the stage to be fresh: `components` and what the items' own inputs depend on.
    pub state_components: Components,
}

impl Project {
    /// Opens the workspace, parses its pipeline and builds its stages. Writes nothing.
    ///
    /// # Errors
    /// A mistake in `pipeline.toml` or in an override, or a store of another format.
    pub fn open(workspace: Workspace, overrides: Vec<Override>, kinds: &[Entry], tools: Tools) -> Result<Self> {
        let file = workspace.pipeline_file();
        let pipeline_text = std::fs::read_to_string(&file).map_err(Error::io("read", &file))?;
        let pipeline = Pipeline::parse(crate::workspace::PIPELINE_FILE, &pipeline_text, &overrides, kinds)?;
        let context = BuildContext {
            workspace: workspace.root().to_owned(),
            models: tools.models.clone(),
            onnxruntime: tools.onnxruntime.clone(),
            seed: pipeline.seed,
            scratch: workspace.store().join("tmp"),
        };
        let nodes = pipeline.stages.iter().map(|stage| {
            let built = stage.entry.build(&stage.params, &context)?;
            let (components, fact_components) = components(stage, &built, pipeline.seed);
            let mut state_components = components.clone();
            let watched = match &built {
                Built::Item(code) => code.watched(),
                Built::Set(code) => code.watched(),
                _ => Vec::new(),
            };
            watched.into_iter().for_each(|input| state_components.push(input.name, input.value));
            if stage.shape() == Shape::Item {
                // Not in the keys, because it changes no picture: it changes what is kept.
                state_components.push("store", if stage.keeps { "files" } else { "none" });
            }
            check_kept(&pipeline, stage, &built)?;
            Ok(Node { built, components, fact_components, state_components })
        });
        let nodes = nodes.collect();
        let store = Store::open(&workspace)?;
        let states = States::load(&store.path("stages.json"));
        let shared = pipeline.cache.remote.as_deref().map(|address| SharedCache::remembered(address, &store.path("shared")));
        let actions = OnceCell::new();
        Ok(Self { workspace, pipeline, pipeline_text, overrides, nodes, tools, store, shared, states, actions, may_write: false })
    }

    /// To be called once the workspace's lock is held: from here on actions may be recorded. Reads the stages' states again,
    /// because another run may have just finished. The shared cache is asked from here on.
    ///
    /// # Errors
    /// A shared cache that cannot be where the pipeline says.
    pub(crate) fn begin_writing(&mut self) -> Result<()> {
        self.may_write = true;
        self.states = States::load(&self.store.path("stages.json"));
        self.actions = OnceCell::new();
        self.ask_shared()
    }

    /// From here on the shared cache itself is asked, and not only what is known of it.
    ///
    /// # Errors
    /// A shared cache that cannot be where the pipeline says.
    pub(crate) fn ask_shared(&mut self) -> Result<()> {
        if let Some(address) = &self.pipeline.cache.remote {
            self.shared = Some(SharedCache::open(address, &self.store.path("shared"))?);
        }
        Ok(())
    }

    /// The stage at a position of [`Pipeline::stages`].
    ///
    /// # Errors
    /// What kept it from being built.
    pub fn node(&self, stage: usize) -> Result<&Node> {
        self.nodes[stage].as_ref().map_err(|error| Error::stage(&self.pipeline.stages[stage].name, error.clone()))
    }

    /// Whether the stage works on many pictures in one go. One that could not be built says so when it is asked.
    pub fn is_batch(&self, stage: usize) -> bool {
        matches!(&self.nodes[stage], Ok(Node { built: Built::Item(code), .. }) if code.batch().is_some())
    }

    /// The action cache, opened on first use: a command that recomputes nothing never reads it.
    ///
    /// By one thread while others wait: a second one that opens it for writing would take what the first one has half appended for the
    /// torn tail of an interrupted run.
    ///
    /// # Errors
    /// The file system's.
    pub fn actions(&self) -> Result<&Actions> {
        self.actions.get_or_try_init(|| Actions::open(&self.store.path("actions.log"), self.may_write))
    }

    /// What became of an action, here or where others share what they computed.
    ///
    /// # Errors
    /// The store's, or the shared cache's.
    pub fn outcome(&self, key: &ActionKey) -> Result<Option<Outcome>> {
        let actions = self.actions()?;
        if let Some(outcome) = actions.get(key) {
            return Ok(Some(outcome));
        }
        let Some(shared) = &self.shared else { return Ok(None) };
        let Some((outcome, micros)) = shared.outcome(key)? else { return Ok(None) };
        // What needs no file is known from now on without asking.
        if self.may_write && matches!(outcome, Outcome::Fact(_) | Outcome::Reject { .. }) {
            actions.put_timed(key, &outcome, Duration::from_micros(micros))?;
        }
        Ok(Some(outcome))
    }

    /// Whether a blob of that size is in the store, or can be brought there.
    ///
    /// # Errors
    /// The shared cache's.
    pub fn has(&self, blob: &Digest, bytes: u64) -> Result<bool> {
        if self.store.cas.has(blob, bytes) {
            return Ok(true);
        }
        self.shared.as_ref().map_or(Ok(false), |shared| shared.has(blob, bytes))
    }

    /// The actions recorded by this process since this was last asked.
    pub(crate) fn take_fresh(&self) -> Vec<ActionKey> {
        self.actions.get().map_or_else(Vec::new, Actions::take_fresh)
    }

    /// The digest of what a run is asked to do: the pipeline's text and the overrides.
    pub fn asked(&self) -> Digest {
        let overrides: Vec<_> = self.overrides.iter().map(|change| change.text.as_str()).collect();
        Digest::of(format!("{}\0{}", self.pipeline_text, overrides.join("\0")).as_bytes())
    }
}

/// Whether the stage gets at the pictures it reads: one picture at a time can be made again, all at once would be made many times.
fn check_kept(pipeline: &Pipeline, stage: &crate::pipeline::Stage, built: &Built) -> std::result::Result<(), StageError> {
    let is_batch = matches!(built, Built::Item(code) if code.batch().is_some());
    let broken = |what: String| Err(StageError::Broken { what, hint: "take out `store = \"none\"`".to_owned() });
    if is_batch && !stage.keeps {
        return broken("it works on many pictures in one go, so it cannot make one of them again: its pictures must be kept".to_owned());
    }
    match stage.from.map(|from| &pipeline.stages[from]).filter(|from| !from.keeps) {
        Some(from) if is_batch => broken(format!("it works on many pictures in one go, and {} keeps none", from.name)),
        _ => Ok(()),
    }
}

/// What is in the keys of a stage's items apart from the items, and in those of a set stage's facts.
fn components(stage: &crate::pipeline::Stage, built: &Built, seed: u64) -> (Components, Components) {
    let kind = stage.entry.kind;
    let (inputs, fact_params): (_, &[&str]) = match built {
        Built::Source | Built::Train => (Vec::new(), &[]),
        Built::Item(stage) => (stage.key_inputs(), &[]),
        Built::Set(stage) => (stage.key_inputs(), stage.fact_params()),
        Built::Pack(stage) => (stage.key_inputs(), &[]),
    };
    let unkeyed = if let Built::Item(stage) = built { stage.unkeyed_params() } else { &[] };
    // In the order in which `why` should name them: what a person changed before what that entails.
    let list = |read: &dyn Fn(&str) -> bool| {
        let mut parts = Components::default();
        parts.push("kind", kind.name);
        parts.push("version", kind.version);
        for (name, value) in stage.params.iter().filter(|(name, _)| read(name)) {
            parts.push(name, value);
        }
        if kind.random {
            parts.push("seed", seed);
        }
        for input in &inputs {
            parts.push(format!("{} in use", input.name), &input.value);
        }
        if matches!(kind.shape, Shape::Source | Shape::Item | Shape::Set | Shape::Pack) {
            parts.push("decoder version", catgen_picture::VERSION);
        }
        parts
    };
    let base = list(&|name| !unkeyed.contains(&name));
    let mut facts = list(&|name| fact_params.contains(&name));
    facts.push("part", "fact");
    (base, facts)
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{self, File},
        sync::{Arc, Barrier},
        thread,
    };

    use tracing::{Dispatch, dispatcher};

    use super::*;
    use crate::{registry::STAGES, workspace::PIPELINE_FILE};

    /// Whoever opens the log for writing says that it is damaged, so that can be counted; what a second one would cut off cannot.
    #[test]
    fn threads_that_ask_at_the_same_moment_open_the_log_once() {
        const THREADS: u8 = 8;
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(PIPELINE_FILE), "[pipeline]\nseed = 1\n[[stage]]\nname = \"0.ORIGINAL\"\nuse = \"original\"\n")
            .unwrap();
        let open = || {
            let workspace = Workspace::open(folder.path()).unwrap();
            let mut project = Project::open(workspace, Vec::new(), STAGES, Tools::default()).unwrap();
            project.store.prepare().unwrap();
            project.begin_writing().unwrap();
            project
        };
        let project = open();
        for n in 0..=u8::MAX {
            let outcome = Outcome::Reject { kind: "test".to_owned(), reason: "a sentence ".repeat(1000) };
            project.actions().unwrap().put(&ActionKey::from_bytes([n; 32]), &outcome).unwrap();
        }
        let path = project.store.path("actions.log");
        let mut bytes = fs::read(&path).unwrap();
        bytes[0] ^= 1;
        fs::write(&path, bytes).unwrap();

        let (project, start, said) = (open(), Barrier::new(THREADS.into()), folder.path().join("said"));
        let listener = Dispatch::new(tracing_subscriber::fmt().with_writer(Arc::new(File::create(&said).unwrap())).finish());
        let ask = || {
            dispatcher::with_default(&listener, || {
                start.wait();
                let actions = project.actions().unwrap();
                assert_eq!([0, 1].map(|n| actions.get(&ActionKey::from_bytes([n; 32])).is_some()), [false, true]);
            });
        };
        thread::scope(|scope| (0..THREADS).for_each(|_| drop(scope.spawn(ask))));
        let said = fs::read_to_string(&said).unwrap();
        assert_eq!(said.matches("actions.log is damaged in 1 places").count(), 1, "{said}");
    }
}
