//! `matrix`: one declared stage with several values of a parameter becomes several stages, and so does all that reads it.
//!
//! ```toml
//! [[stage]]
//! name = "6.Photos_64px"
//! use = "resize"
//! from = "5.Augmented_data"
//! matrix = { side = [64, 128], fit = ["expand", "crop"] }
//! ```
//!
//! makes `6.Photos_64px@side=64,fit=expand` and three more. A stage with `from = "6.Photos_64px"` is there four times too, each
//! with the same ending; one with `from = "6.Photos_64px@side=64,fit=crop"` reads that one alone. What comes before is there once,
//! and pictures that are the same in two variants are computed once, because the cache goes by content.

use catgen_api::{Param, Params};
use serde_json::Value;

/// The parameters that one stage varies, in the order of the file, each with its checked values.
pub(super) type Matrix = Vec<(String, Vec<Value>)>;

/// One way of choosing a value for every parameter varied: what is added to the stage's name, and its parameters.
pub(super) struct Choice {
    pub(super) label: String,
    pub(super) params: Params,
}

/// Checks what somebody wrote after `matrix =`.
///
/// # Errors
/// A sentence: not a table of lists, an unknown parameter, a value that it cannot have, or one that is there twice.
pub(super) fn check(written: &Value, specs: &[Param]) -> Result<Matrix, String> {
    let form = || "matrix: expected a table with a list of values for each parameter, such as { side = [64, 128] }".to_owned();
    let table = written.as_object().filter(|table| !table.is_empty()).ok_or_else(form)?;
    let mut matrix = Matrix::new();
    for (name, values) in table {
        let values = values.as_array().filter(|values| !values.is_empty()).ok_or_else(form)?;
        let mut checked: Vec<Value> = Vec::with_capacity(values.len());
        for value in values {
            let mut params = Params::defaults(specs);
            params.set(specs, name, value).map_err(|message| format!("matrix: {message}"))?;
            let value = params.iter().find(|(other, _)| other == name).map(|(_, value)| value.clone()).unwrap_or_default();
            if checked.contains(&value) {
                return Err(format!("matrix: {name}: {value} is there twice"));
            }
            checked.push(value);
        }
        matrix.push((name.clone(), checked));
    }
    Ok(matrix)
}

/// Every way of choosing, in the order of the lists; one with an empty label where nothing is varied.
///
/// # Errors
/// Values of [`check`] are always taken; an error would be that function's mistake.
pub(super) fn choices(params: &Params, matrix: &Matrix, specs: &[Param]) -> Result<Vec<Choice>, String> {
    let mut choices = vec![Choice { label: String::new(), params: params.clone() }];
    for (name, values) in matrix {
        let mut more = Vec::with_capacity(choices.len() * values.len());
        for choice in &choices {
            for value in values {
                let mut params = choice.params.clone();
                params.set(specs, name, value)?;
                more.push(Choice { label: joined(&choice.label, &format!("{name}={}", word(value))), params });
            }
        }
        choices = more;
    }
    Ok(choices)
}

/// Two labels as one.
pub(super) fn joined(a: &str, b: &str) -> String {
    if a.is_empty() || b.is_empty() { format!("{a}{b}") } else { format!("{a},{b}") }
}

/// A value as part of a folder's name.
fn word(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let allowed = |c: char| c.is_alphanumeric() || "._-".contains(c);
    let word: String = text.chars().map(|c| if allowed(c) { c } else { '-' }).collect();
    word.trim_matches(['-', '.']).to_owned()
}
