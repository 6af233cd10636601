//! Changing parameters in the text of `pipeline.toml`, and nothing else of it: comments, order and spaces stay.

use catgen_api::{Param, ParamKind};
use toml_edit::{DocumentMut, Item, Table, Value};

use crate::{Error, Pipeline, error::Result, registry::STAGES, workspace::PIPELINE_FILE};

/// What somebody typed for a parameter: its name and the words.
pub(super) type Change = (String, String);

/// The text with a stage's parameters changed, checked by the parser that every command uses.
///
/// What is at its default and not in the file is not written into it.
///
/// # Errors
/// The parser's own words about the changed text; or a stage that is not there.
pub(super) fn edit(text: &str, declared: &str, changes: &[Change]) -> Result<String> {
    let mut document: DocumentMut = match text.parse() {
        Ok(document) => document,
        // In the words of every command.
        Err(error) => {
            Pipeline::parse(PIPELINE_FILE, text, &[], STAGES)?;
            return Err(Error::Usage { what: format!("{PIPELINE_FILE}: {error}"), hint: String::new() });
        }
    };
    let stages = document.get_mut("stage").and_then(Item::as_array_of_tables_mut);
    let stage = stages.and_then(|stages| stages.iter_mut().find(|stage| stage.get("name").and_then(Item::as_str) == Some(declared)));
    let stage = stage.ok_or_else(|| Error::Usage {
        what: format!("there is no [[stage]] called {declared:?} in {PIPELINE_FILE}"),
        hint: "it may have been renamed since this page was made, or be written in another form: change it by hand".to_owned(),
    })?;
    let kind = stage.get("use").and_then(Item::as_str).unwrap_or_default().to_owned();
    let params = STAGES.iter().find(|entry| entry.kind.name == kind).map_or(&[][..], |entry| entry.kind.params);
    for (name, typed) in changes {
        let param = params.iter().find(|param| param.name == name);
        set(stage, name, param, literal(param, typed));
    }
    let changed = document.to_string();
    Pipeline::parse(PIPELINE_FILE, &changed, &[], STAGES)?;
    Ok(changed)
}

/// Puts a value where it belongs. What stood around the old one (spaces, a comment at the end of the line) stays.
fn set(stage: &mut Table, name: &str, param: Option<&Param>, mut value: Value) {
    if let Some(old) = stage.get_mut(name).and_then(Item::as_value_mut) {
        if plain(old) != plain(&value) {
            *value.decor_mut() = old.decor().clone();
            *old = value;
        }
        return;
    }
    let is_default = param.is_some_and(|param| {
        let default: Option<Value> = param.default_value().to_string().parse().ok();
        default.is_some_and(|default| plain(&default) == plain(&value))
    });
    if !is_default {
        stage.insert(name, Item::Value(value));
    }
}

/// A value without what stands around it, in one form: 1 and 1.0, `'a'` and `"a"` are the same.
fn plain(value: &Value) -> String {
    match value {
        Value::Integer(number) => (*number.value() as f64).to_string(),
        Value::Float(number) => number.value().to_string(),
        Value::String(text) => format!("{:?}", text.value()),
        Value::Array(list) => format!("[{}]", list.iter().map(plain).collect::<Vec<_>>().join(",")),
        other => other.to_string().trim().to_owned(),
    }
}

/// What somebody typed as a value: text where the parameter is text, else as TOML where it is that. What is neither is left to the
/// parser, which says what was expected.
fn literal(param: Option<&Param>, typed: &str) -> Value {
    let typed = typed.trim();
    let is_text = param.is_some_and(|param| matches!(param.kind, ParamKind::Text(_) | ParamKind::Choice { .. }));
    let value = if is_text { None } else { typed.parse::<Value>().ok() };
    let mut value = value.unwrap_or_else(|| Value::from(typed));
    value.decor_mut().clear();
    value
}

/// The same for `--set`: `STAGE.key=value`, with the value as TOML.
pub(super) fn assignment(stage: &str, param: Option<&Param>, (name, typed): &Change) -> String {
    format!("{stage}.{name}={}", literal(param, typed))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r##"# Mine.
[pipeline]
seed = 1   # lucky

[[stage]]
name = "0.ORIGINAL" # photos
use = "original"

# Makes cats large.
[[stage]]
name = "3.Zoom"
use  = "zoom"
from = "0.ORIGINAL"
margin = 0.1            # not too near

[[stage]]
name = "6.Photos_64px"
use = "resize"
from = "3.Zoom"
fill = 'white'   # like paper
# the end
"##;

    fn check(stage: &str, changes: &[(&str, &str)], expected: &[(&str, &str)]) {
        let changes: Vec<Change> = changes.iter().map(|(name, typed)| ((*name).to_owned(), (*typed).to_owned())).collect();
        let expected = expected.iter().fold(TEXT.to_owned(), |text, (old, new)| {
            assert!(text.contains(old), "{old}");
            text.replacen(old, new, 1)
        });
        assert_eq!(edit(TEXT, stage, &changes).unwrap(), expected, "{stage} {changes:?}");
    }

    #[test]
    fn one_value_changes_and_every_comment_stays() {
        check("3.Zoom", &[("margin", "0.25")], &[("margin = 0.1  ", "margin = 0.25  ")]);
        check("6.Photos_64px", &[("fill", "black")], &[("'white'", "\"black\"")]);
        // A new one comes last in its own stage, before the next one's comment.
        check("6.Photos_64px", &[("side", "32")], &[("fill = 'white'   # like paper\n", "fill = 'white'   # like paper\nside = 32\n")]);
    }

    #[test]
    fn what_is_as_it_was_is_not_touched() {
        check("3.Zoom", &[("margin", "0.10")], &[]);
        check("6.Photos_64px", &[("fill", "white"), ("side", "64")], &[]);
        check("6.Photos_64px", &[], &[]);
    }

    #[test]
    fn a_mistake_is_told_in_the_words_of_the_command_line() {
        let said =
            |stage: &str, name: &str, typed: &str| edit(TEXT, stage, &[(name.to_owned(), typed.to_owned())]).unwrap_err().to_string();
        let words = said("6.Photos_64px", "fit", "expnd");
        assert!(
            words.starts_with("pipeline.toml:") && words.contains("did you mean \"expand\"?") && words.contains("fit = \"expnd\""),
            "{words}"
        );
        assert!(said("6.Photos_64px", "side", "big").contains("expected a whole number, found the text \"big\""));
        assert!(said("3.Zoom", "margin", "").contains("margin"));
        assert!(said("3.Zoom", "margn", "1").contains("margin"), "an unknown parameter names the nearest");
        assert!(said("nowhere", "margin", "1").contains("there is no [[stage]] called \"nowhere\""));
    }

    #[test]
    fn typed_words_become_assignments() {
        let params = STAGES.iter().find(|entry| entry.kind.name == "resize").unwrap().kind.params;
        let made = |name: &str, typed: &str| {
            let param = params.iter().find(|param| param.name == name);
            assignment("6.Photos", param, &(name.to_owned(), typed.to_owned()))
        };
        assert_eq!(made("side", " 32 "), "6.Photos.side=32");
        assert_eq!(made("fill", "#aabbcc"), "6.Photos.fill=\"#aabbcc\"");
        assert_eq!(made("fill", "64"), "6.Photos.fill=\"64\"");
    }
}
