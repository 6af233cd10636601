//! `stages`: every stage kind with its parameters, from the lists that also check `pipeline.toml`.

use catgen_api::{Param, ParamKind};
use serde_json::json;

use super::{Context, output};
use crate::{Result, registry::STAGES};

/// List the kinds of stages that `use =` can name, with every parameter and its default
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only this kind
    kind: Option<String>,
    /// As the tables of the README
    #[arg(long)]
    markdown: bool,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    let is_meant = |name: &str| args.kind.as_ref().is_none_or(|kind| kind == name);
    let kinds: Vec<_> = STAGES.iter().map(|entry| entry.kind).filter(|kind| is_meant(kind.name)).collect();
    if kinds.is_empty() {
        let names: Vec<_> = STAGES.iter().map(|entry| entry.kind.name).collect();
        return Err(super::usage(format!("there is no such kind of stage; there are {}", names.join(", "))));
    }
    for kind in kinds {
        if context.json {
            let params: Vec<_> = kind
                .params
                .iter()
                .map(|param| json!({ "name": param.name, "default": param.default_value(), "values": values(param), "doc": param.doc }))
                .collect();
            output::json(&json!({ "kind": kind.name, "version": kind.version, "summary": kind.summary, "params": params }));
        } else if args.markdown {
            output::line(format!("**`{}`**: {}\n\n| parameter | default | values | |\n|---|---|---|---|", kind.name, kind.summary));
            for param in kind.params {
                let doc = param.doc.replace('|', "\\|");
                output::line(format!("| `{}` | `{}` | {} | {doc} |", param.name, param.default_value(), values(param).replace('|', "\\|")));
            }
            output::line("");
        } else {
            output::line(format!("{}: {}", kind.name, kind.summary));
            for param in kind.params {
                output::line(format!("  {} = {}    {}; {}", param.name, param.default_value(), values(param), param.doc));
            }
            output::line("");
        }
    }
    Ok(())
}

/// The valid values in words.
fn values(param: &Param) -> String {
    match param.kind {
        ParamKind::Flag(_) => "true or false".to_owned(),
        ParamKind::Whole { min, max, .. } => format!("{min} to {max}"),
        ParamKind::Number { min, max, .. } => format!("{min} to {max}"),
        ParamKind::Range { min, max, .. } => format!("[low, high] in {min} to {max}"),
        ParamKind::Text(_) => "text".to_owned(),
        ParamKind::Texts => "list of texts".to_owned(),
        ParamKind::Table => "table".to_owned(),
        ParamKind::Choice { of, .. } => of.join(", "),
        ParamKind::Words { of, .. } => format!("list of {}", of.join(", ")),
    }
}
