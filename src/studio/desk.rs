//! `Desk`: what all pages share.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use catgen_api::{Digest, Manifest};

use super::{game::Games, guard::Guard, jobs::Jobs, latent::Loaded, tuning::Previews};
use crate::{Error, Project, Workspace, error::Result, registry::STAGES, tools::Tools};

/// Manifests are kept in memory as long as they hold together at most so many lines: a kilobyte each, more or less.
const KEPT_LINES: usize = 300_000;

pub(crate) struct Desk {
    workspace: Workspace,
    pub(super) guard: Arc<Guard>,
    pub(super) jobs: Jobs,
    pub(super) games: Games,
    pub(super) previews: Previews,
    pub(super) loaded: Loaded,
    manifests: Mutex<VecDeque<(Digest, Arc<Manifest>)>>,
}

impl Desk {
    pub(super) fn new(workspace: Workspace, guard: Arc<Guard>) -> Self {
        let jobs = Jobs::new(workspace.root().to_owned());
        Self {
            workspace,
            guard,
            jobs,
            games: Games::default(),
            previews: Previews::default(),
            loaded: Loaded::default(),
            manifests: Mutex::default(),
        }
    }

    pub(super) fn workspace(&self) -> &Workspace {
        &self.workspace
    }

    /// The project as it is now: `pipeline.toml` and the states are read anew for every question, so that nothing can be stale.
    pub(super) fn project(&self) -> Result<Project> {
        Project::open(self.workspace.clone(), Vec::new(), STAGES, Tools::find())
    }

    /// What a stage put out when it was last finished, if it ever was.
    pub(super) fn manifest(&self, project: &Project, stage: usize) -> Option<Arc<Manifest>> {
        let output = project.states.get(&project.pipeline.stages[stage].name)?.output;
        let mut kept = self.manifests.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(at) = kept.iter().position(|(digest, _)| *digest == output) {
            let found = kept.remove(at)?;
            let manifest = Arc::clone(&found.1);
            kept.push_back(found);
            return Some(manifest);
        }
        let manifest = Arc::new(project.store.manifest(&output)?);
        kept.push_back((output, Arc::clone(&manifest)));
        let lines = |kept: &VecDeque<(Digest, Arc<Manifest>)>| -> usize {
            kept.iter().map(|(_, kept)| kept.items.len() + kept.rejections.len()).sum()
        };
        while kept.len() > 1 && lines(&kept) > KEPT_LINES {
            kept.pop_front();
        }
        Some(manifest)
    }

    /// The stage that a page was asked for.
    pub(super) fn stage(&self, project: &Project, name: &str) -> Result<usize> {
        project.pipeline.stages.iter().position(|stage| stage.name == name).ok_or_else(|| Error::Usage {
            what: format!("there is no stage {name:?} in pipeline.toml"),
            hint: "it may have been renamed since this page was made: go back to the flow".to_owned(),
        })
    }
}

/// Runs what reads files or computes away from the threads that answer.
pub(super) async fn away<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
