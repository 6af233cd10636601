//! Which stage's file a path means.

use std::path::Path;

use crate::{Error, Project, Result, run::source};

/// The first stage on the way to this one.
pub(super) fn origin(project: &Project, stage: usize) -> usize {
    let mut at = stage;
    while let Some(from) = project.pipeline.stages[at].from {
        at = from;
    }
    at
}

/// Which stage's file this is, and its name there; a bare name is taken for a photo's.
pub(super) fn locate(project: &Project, file: &Path) -> Result<(usize, String)> {
    let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    // The workspace knows its folder by its real path, a person perhaps by one through a link. The file itself may be a link
    // too, or gone: it keeps its name.
    let real = |path: &Path| Some(path.parent()?.canonicalize().ok()?.join(path.file_name()?));
    let mut candidates = vec![absolute(file), project.workspace.root().join(file)];
    candidates.extend(real(&candidates[0]));
    let mut best: Option<(usize, usize, String)> = None;
    for (stage, declared) in project.pipeline.stages.iter().enumerate() {
        let folder = if declared.from.is_none() { source::folder(project, stage) } else { project.workspace.stage_folder(&declared.name) };
        for candidate in &candidates {
            if let Ok(below) = candidate.strip_prefix(&folder) {
                let name = below.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/");
                let depth = folder.components().count();
                if !name.is_empty() && best.as_ref().is_none_or(|(_, deepest, _)| depth > *deepest) {
                    best = Some((stage, depth, name));
                }
            }
        }
    }
    if let Some((stage, _, name)) = best {
        return Ok((stage, name));
    }
    let source = project.pipeline.stages.iter().position(|stage| stage.from.is_none());
    match source {
        Some(source) if file.is_relative() => Ok((source, file.to_string_lossy().replace('\\', "/"))),
        _ => Err(Error::Usage {
            what: format!("{} is in no folder of this pipeline", file.display()),
            hint: "name a file below data/, or a photo as it is called below 0.ORIGINAL".to_owned(),
        }),
    }
}
