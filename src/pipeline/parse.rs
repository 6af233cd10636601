//! From the text of `pipeline.toml` to a checked [`Pipeline`].

use catgen_api::{Params, Shape, nearest};
use serde_json::Value;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    Override, Pipeline, PipelineError, Share, Span, Stage,
    matrix::{self, Matrix},
    settings::{self, CacheSettings, ExecutorSettings, Wrong},
};
use crate::registry::Entry;

type Result<T> = std::result::Result<T, Box<PipelineError>>;

/// A stage as written: before its `from` is looked up.
struct Written {
    name: String,
    entry: Entry,
    from: Option<(String, Span)>,
    params: Params,
    matrix: Matrix,
    keeps: Option<(bool, Span)>,
    max_rejected: Option<Share>,
    span: Span,
}

/// What a stage may say beside the parameters of its kind.
const COMMON: &[&str] = &["name", "use", "from", "store", "matrix", "max_rejected"];

pub(super) fn parse(file: &str, text: &str, overrides: &[Override], kinds: &[Entry]) -> Result<Pipeline> {
    let fail = |span: Span, message: String| PipelineError::at(file, text, Some(span), message);
    let document = DeTable::parse(text).map_err(|error| PipelineError::at(file, text, error.span(), error.message()))?;
    let mut pipeline = Pipeline {
        name: "catgen".to_owned(),
        seed: 7439,
        cache: CacheSettings::default(),
        executor: ExecutorSettings::default(),
        stages: Vec::new(),
    };
    let mut written = Vec::new();
    for (key, value) in document.get_ref() {
        match (key.get_ref().as_ref(), value.get_ref()) {
            (word @ ("pipeline" | "cache" | "executor"), DeValue::Table(table)) => {
                for (key, value) in table {
                    let (name, json) = (key.get_ref().as_ref(), json(value.get_ref()));
                    let set = match word {
                        "cache" => pipeline.cache.set(name, &json),
                        "executor" => pipeline.executor.set(name, &json),
                        _ => set_pipeline(&mut pipeline, name, &json),
                    };
                    set.map_err(|wrong| match wrong {
                        Wrong::Key(message) => fail(key.span(), message),
                        Wrong::Value(message) => fail(value.span(), message),
                    })?;
                }
            }
            ("stage", DeValue::Array(stages)) => {
                for stage in stages {
                    let DeValue::Table(table) = stage.get_ref() else {
                        return Err(fail(stage.span(), "a stage is a table: start it with [[stage]]".to_owned()));
                    };
                    written.push(read_stage(table, &stage.span(), kinds, &fail)?);
                }
            }
            ("stage", _) => return Err(fail(key.span(), "stages are a list: start each with [[stage]], in double brackets".to_owned())),
            (word @ ("pipeline" | "cache" | "executor"), _) => {
                return Err(fail(key.span(), format!("`{word}` is a table: start it with [{word}]")));
            }
            (other, _) => return Err(fail(key.span(), unknown("table", other, &["pipeline", "cache", "executor", "stage"]))),
        }
    }
    if written.is_empty() {
        return Err(PipelineError::at(
            file,
            text,
            None,
            "there is no [[stage]] in this file; `catgen-pipe init` writes one with all of them",
        ));
    }
    check_names(&written, &fail)?;
    pipeline.stages = in_order(written, &fail)?;
    for change in overrides {
        apply(&mut pipeline, change)?;
    }
    Ok(pipeline)
}

/// Sets a key of `[pipeline]`.
fn set_pipeline(pipeline: &mut Pipeline, key: &str, value: &Value) -> std::result::Result<(), Wrong> {
    match key {
        "name" => pipeline.name = settings::text(key, value)?,
        "seed" => pipeline.seed = value.as_u64().ok_or_else(|| Wrong::Value("seed: expected a whole number from 0 up".to_owned()))?,
        other => return Err(Wrong::Key(unknown("key", other, &["name", "seed"]))),
    }
    Ok(())
}

fn read_stage(table: &DeTable<'_>, span: &Span, kinds: &[Entry], fail: &impl Fn(Span, String) -> Box<PipelineError>) -> Result<Written> {
    let text_of = |key: &str| -> Result<Option<(String, Span)>> {
        let Some((_, value)) = table.iter().find(|(name, _)| name.get_ref() == key) else { return Ok(None) };
        match value.get_ref() {
            DeValue::String(text) => Ok(Some((text.to_string(), value.span()))),
            other => Err(fail(value.span(), format!("{key}: expected a text in quotes, found {}", other.type_str()))),
        }
    };
    let (name, name_span) = text_of("name")?.ok_or_else(|| fail(span.clone(), "this stage has no name: add `name = \"…\"`".to_owned()))?;
    let (kind, kind_span) = text_of("use")?.ok_or_else(|| {
        let names: Vec<_> = kinds.iter().map(|entry| entry.kind.name).collect();
        fail(span.clone(), format!("stage {name:?} has no kind: add `use = \"…\"`, one of {}", names.join(", ")))
    })?;
    check_path(&name).map_err(|message| fail(name_span, message))?;
    let entry = *kinds.iter().find(|entry| entry.kind.name == kind).ok_or_else(|| {
        let names: Vec<_> = kinds.iter().map(|entry| entry.kind.name).collect();
        fail(kind_span, unknown("stage kind", &kind, &names))
    })?;
    let from = text_of("from")?;
    match (&from, entry.kind.shape) {
        (None, Shape::Source) => {}
        (Some((_, from_span)), Shape::Source) => {
            return Err(fail(from_span.clone(), format!("`{kind}` finds the photos itself: it has no `from`")));
        }
        (None, _) => {
            return Err(fail(span.clone(), format!("stage {name:?} does not say where its pictures come from: add `from = \"…\"`")));
        }
        (Some(_), _) => {}
    }
    let mut params = Params::defaults(entry.kind.params);
    let (mut matrix, mut keeps, mut max_rejected) = (Matrix::new(), None, None);
    for (key, value) in table {
        let word = key.get_ref().as_ref();
        let wrong = |message: String| fail(value.span(), message);
        match word {
            "name" | "use" | "from" => continue,
            "store" => {
                keeps = Some((keeps_files(&json(value.get_ref())).map_err(wrong)?, value.span()));
                continue;
            }
            "matrix" => {
                matrix = matrix::check(&json(value.get_ref()), entry.kind.params).map_err(wrong)?;
                continue;
            }
            "max_rejected" => {
                max_rejected = Some(Share::parse(&json(value.get_ref())).map_err(|message| wrong(format!("max_rejected: {message}")))?);
                continue;
            }
            _ => {}
        }
        if !entry.kind.params.iter().any(|param| param.name == word) {
            let valid: Vec<_> = entry.kind.params.iter().map(|param| param.name).chain(COMMON.iter().copied()).collect();
            return Err(fail(key.span(), unknown(&format!("parameter of `{kind}`"), word, &valid)));
        }
        params.set(entry.kind.params, word, &json(value.get_ref())).map_err(|message| fail(value.span(), message))?;
    }
    if let (Some((false, span)), shape) = (&keeps, entry.kind.shape)
        && shape != Shape::Item
    {
        return Err(fail(
            span.clone(),
            format!("`{kind}` cannot make one picture again by itself, so it keeps what it puts out: take this line out"),
        ));
    }
    if let Some((name, span)) =
        matrix.iter().find_map(|(name, _)| table.iter().find(|(key, _)| key.get_ref() == name).map(|(key, _)| (name, key.span())))
    {
        return Err(fail(span, format!("{name} is varied by `matrix`: take out this line or that")));
    }
    Ok(Written { name, entry, from, params, matrix, keeps, max_rejected, span: span.clone() })
}

/// What `store = …` says.
fn keeps_files(value: &Value) -> std::result::Result<bool, String> {
    match value.as_str() {
        Some("files") => Ok(true),
        Some("none") => Ok(false),
        _ => Err(format!("store: expected \"files\" or \"none\", found {value}")),
    }
}

/// A stage's name is a folder below `data/`: it must stay below it on every system.
fn check_path(name: &str) -> std::result::Result<(), String> {
    let bad_part = |part: &str| {
        part.is_empty()
            || part.starts_with('.')
            || part.ends_with(['.', ' '])
            || part.contains(|c: char| c.is_control() || "\\:*?\"<>|".contains(c))
    };
    if name.contains('@') {
        return Err(format!("{name:?}: `@` is for the variants that `matrix` makes"));
    }
    if name.split('/').any(bad_part) {
        return Err(format!(
            "{name:?} cannot be a folder below `data/` on every system: use letters, digits, `_`, `-`, `.` and `/` between parts"
        ));
    }
    Ok(())
}

fn check_names(stages: &[Written], fail: &impl Fn(Span, String) -> Box<PipelineError>) -> Result<()> {
    let mut sources = stages.iter().filter(|stage| stage.entry.kind.shape == Shape::Source);
    if let (Some(first), Some(second)) = (sources.next(), sources.next()) {
        let message = format!(
            "there is already a stage that finds photos, {:?}: put them all into its folder, in sub-folders if you like",
            first.name
        );
        return Err(fail(second.span.clone(), message));
    }
    for (at, stage) in stages.iter().enumerate() {
        for other in &stages[..at] {
            let (a, b) = (stage.name.to_lowercase(), other.name.to_lowercase());
            if a == b {
                return Err(fail(stage.span.clone(), format!("there are two stages called {:?}", stage.name)));
            }
            if a.starts_with(&format!("{b}/")) || b.starts_with(&format!("{a}/")) {
                return Err(fail(
                    stage.span.clone(),
                    format!("the folder of {:?} would lie inside that of another stage: {:?}", stage.name, other.name),
                ));
            }
        }
    }
    Ok(())
}

/// Looks up every `from` and puts the stages into an order in which each comes after its `from`, training last.
fn in_order(written: Vec<Written>, fail: &impl Fn(Span, String) -> Box<PipelineError>) -> Result<Vec<Stage>> {
    let names: Vec<String> = written.iter().map(|stage| stage.name.clone()).collect();
    let mut from = Vec::with_capacity(written.len());
    for stage in &written {
        from.push(match &stage.from {
            None => None,
            Some((word, span)) => {
                let declared = word.split_once('@').map_or(word.as_str(), |(declared, _)| declared);
                let found = names.iter().position(|name| name == declared);
                let found = found
                    .ok_or_else(|| fail(span.clone(), unknown("stage", word, &names.iter().map(String::as_str).collect::<Vec<_>>())))?;
                let (giver, taker) = (&written[found], stage);
                fits(giver, taker).map_err(|message| fail(span.clone(), message))?;
                is_kept(giver, taker).map_err(|(span, message)| fail(span, message))?;
                Some(found)
            }
        });
    }
    let mut order: Vec<usize> = Vec::with_capacity(written.len());
    while order.len() < written.len() {
        let ready = |at: &usize| !order.contains(at) && from[*at].is_none_or(|from| order.contains(&from));
        let is_training = |at: &usize| written[*at].entry.kind.shape == Shape::Train;
        let next = (0..written.len()).filter(ready).find(|at| !is_training(at)).or_else(|| (0..written.len()).find(ready));
        let Some(next) = next else {
            let stuck = (0..written.len()).find(|at| !order.contains(at)).expect("the order is shorter than the list");
            let mut path = vec![stuck];
            while path.iter().filter(|at| **at == path[path.len() - 1]).count() < 2 {
                path.push(from[path[path.len() - 1]].expect("a stage that is never ready waits for another"));
            }
            let start = path.iter().position(|at| *at == path[path.len() - 1]).expect("the last one is there twice");
            let circle: Vec<_> = path[start..].iter().map(|at| names[*at].as_str()).collect();
            return Err(fail(
                written[path[start]].span.clone(),
                format!("these stages wait for each other in a circle: {}", circle.join(" ← ")),
            ));
        };
        order.push(next);
    }
    expand(&written, &from, &order, fail)
}

/// The stages in order, one for every variant. A stage is there once for every variant of the one it reads, and each of those
/// once for every choice of its own.
fn expand(
    written: &[Written],
    from: &[Option<usize>],
    order: &[usize],
    fail: &impl Fn(Span, String) -> Box<PipelineError>,
) -> Result<Vec<Stage>> {
    let mut stages: Vec<Stage> = Vec::new();
    // Per declared stage: the labels of its variants and where they are among `stages`.
    let mut variants: Vec<Vec<(String, usize)>> = written.iter().map(|_| Vec::new()).collect();
    for &at in order {
        let stage = &written[at];
        let choices =
            matrix::choices(&stage.params, &stage.matrix, stage.entry.kind.params).map_err(|message| fail(stage.span.clone(), message))?;
        for (read, from) in readings(stage, from[at].map(|from| variants[from].as_slice()), fail)? {
            for choice in &choices {
                let label = matrix::joined(&read, &choice.label);
                let name = if label.is_empty() { stage.name.clone() } else { format!("{}@{label}", stage.name) };
                if stages.iter().any(|other| other.name == name) {
                    let message = format!("two values of this stage's matrix would share the folder {name:?}: write them as two stages");
                    return Err(fail(stage.span.clone(), message));
                }
                variants[at].push((label, stages.len()));
                stages.push(Stage {
                    name,
                    declared: stage.name.clone(),
                    varied: stage.matrix.iter().map(|(name, _)| name.clone()).collect(),
                    entry: stage.entry,
                    from,
                    params: choice.params.clone(),
                    keeps: stage.keeps.as_ref().is_none_or(|(keeps, _)| *keeps),
                    max_rejected: stage.max_rejected,
                });
            }
        }
    }
    Ok(stages)
}

/// What a stage reads: the variants of the one before, or the one variant that it names, by label and position.
fn readings(
    stage: &Written,
    variants: Option<&[(String, usize)]>,
    fail: &impl Fn(Span, String) -> Box<PipelineError>,
) -> Result<Vec<(String, Option<usize>)>> {
    let (Some(variants), Some((word, span))) = (variants, &stage.from) else { return Ok(vec![(String::new(), None)]) };
    let all = |label: &String, at: usize| (label.clone(), Some(at));
    let Some((declared, wanted)) = word.split_once('@') else {
        return Ok(variants.iter().map(|(label, at)| all(label, *at)).collect());
    };
    // One variant alone is read like any stage: its label goes no further.
    match variants.iter().find(|(label, _)| label == wanted) {
        Some((_, at)) => Ok(vec![(String::new(), Some(*at))]),
        None => {
            let labels: Vec<_> = variants.iter().map(|(label, _)| label.as_str()).collect();
            Err(fail(span.clone(), unknown(&format!("variant of {declared:?}"), wanted, &labels)))
        }
    }
}

/// Whether the one can read what the other puts out.
fn fits(giver: &Written, taker: &Written) -> std::result::Result<(), String> {
    match (giver.entry.kind.shape, taker.entry.kind.shape) {
        (Shape::Train, _) => Err(format!("{:?} puts out no pictures: nothing can come from it", giver.name)),
        (Shape::Pack, Shape::Train) => Ok(()),
        (_, Shape::Train) => {
            Err(format!("training reads a packed dataset: put an `export` stage between {:?} and {:?}", giver.name, taker.name))
        }
        (Shape::Pack, _) => Err(format!("{:?} puts out files, not pictures: only training can come from it", giver.name)),
        _ => Ok(()),
    }
}

/// Whether the pictures that the one reads are kept, or may be made again one by one.
fn is_kept(giver: &Written, taker: &Written) -> std::result::Result<(), (Span, String)> {
    match &giver.keeps {
        Some((false, span)) if taker.entry.kind.shape != Shape::Item => {
            let message =
                format!("{:?} reads all pictures of {:?} at once, so they must be kept: take this line out", taker.name, giver.name);
            Err((span.clone(), message))
        }
        _ => Ok(()),
    }
}

fn apply(pipeline: &mut Pipeline, change: &Override) -> Result<()> {
    let fail = |message: String| PipelineError::at(&format!("--set {}", change.text), "", None, message);
    let set = match change.stage.as_str() {
        "pipeline" => Some(set_pipeline(pipeline, &change.key, &change.value)),
        "cache" => Some(pipeline.cache.set(&change.key, &change.value)),
        "executor" => Some(pipeline.executor.set(&change.key, &change.value)),
        _ => None,
    };
    if let Some(set) = set {
        return set.map_err(|(Wrong::Key(message) | Wrong::Value(message))| fail(message));
    }
    for at in pipeline.find_all(&change.stage).map_err(fail)? {
        let stage = &mut pipeline.stages[at];
        if stage.varied.contains(&change.key) {
            return Err(fail(format!("{} of {} is varied by its matrix", change.key, stage.declared)));
        }
        stage.params.set(stage.entry.kind.params, &change.key, &change.value).map_err(fail)?;
    }
    Ok(())
}

pub(super) fn unknown(what: &str, word: &str, valid: &[&str]) -> String {
    match nearest(word, valid.iter().copied()) {
        Some(near) => format!("unknown {what} {word:?}; did you mean {near:?}?"),
        None => format!("unknown {what} {word:?}; valid are {}", valid.join(", ")),
    }
}

/// The value after `=` of a `--set`: TOML where it is valid TOML, else the text as it stands.
pub(super) fn loose_value(text: &str) -> Value {
    match DeValue::parse(text) {
        Ok(value) => json(value.get_ref()),
        Err(_) => Value::from(text),
    }
}

fn json(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::from(text.as_ref()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).map_or(Value::Null, Value::from),
        DeValue::Float(number) => number.as_str().parse::<f64>().map_or(Value::Null, Value::from),
        DeValue::Boolean(flag) => Value::from(*flag),
        DeValue::Datetime(time) => Value::from(time.to_string()),
        DeValue::Array(list) => list.iter().map(|entry: &Spanned<_>| json(entry.get_ref())).collect(),
        DeValue::Table(table) => {
            Value::Object(table.iter().map(|(key, value)| (key.get_ref().to_string(), json(value.get_ref()))).collect())
        }
    }
}
