//! `Params`: what a stage can be told in `pipeline.toml`.
//!
//! A stage lists its parameters once, as [`Param`]s. That list checks the file, fills in the defaults, orders the
//! values in the cache key, finds the nearest valid word for a typo, and is what the README's table is tested against.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::nearest;

/// One parameter of a stage.
#[derive(Debug, Clone, Copy)]
pub struct Param {
    /// The key in `pipeline.toml`.
    pub name: &'static str,
    /// Its type, default and limits.
    pub kind: ParamKind,
    /// One line for the reference table.
    pub doc: &'static str,
}

/// The type of a parameter, with its default and limits.
#[derive(Debug, Clone, Copy)]
pub enum ParamKind {
    /// `true` or `false`.
    Flag(bool),
    /// A whole number within limits (both included).
    Whole {
        /// Used where the file is silent.
        default: i64,
        /// Smallest allowed.
        min: i64,
        /// Largest allowed.
        max: i64,
    },
    /// A number within limits (both included).
    Number {
        /// Used where the file is silent.
        default: f64,
        /// Smallest allowed.
        min: f64,
        /// Largest allowed.
        max: f64,
    },
    /// Two numbers, low then high, within limits (both included).
    Range {
        /// Used where the file is silent.
        default: [f64; 2],
        /// Smallest allowed.
        min: f64,
        /// Largest allowed.
        max: f64,
    },
    /// Any text; the stage says on being built whether it can use it.
    Text(&'static str),
    /// Any texts, in the order given; none where the file is silent.
    Texts,
    /// A table of the user's own keys and values, in the order of the keys; empty where the file is silent.
    Table,
    /// One word of a list.
    Choice {
        /// Used where the file is silent.
        default: &'static str,
        /// The valid words.
        of: &'static [&'static str],
    },
    /// Several words of a list, each at most once, in the order given.
    Words {
        /// Used where the file is silent.
        default: &'static [&'static str],
        /// The valid words.
        of: &'static [&'static str],
    },
}

impl Param {
    /// The value used where the file is silent.
    pub fn default_value(&self) -> Value {
        match self.kind {
            ParamKind::Flag(default) => default.into(),
            ParamKind::Whole { default, .. } => default.into(),
            ParamKind::Number { default, .. } => default.into(),
            ParamKind::Range { default, .. } => default.to_vec().into(),
            ParamKind::Text(default) | ParamKind::Choice { default, .. } => default.into(),
            ParamKind::Texts => Value::Array(Vec::new()),
            ParamKind::Table => Value::Object(Map::new()),
            ParamKind::Words { default, .. } => default.to_vec().into(),
        }
    }

    /// `value` in the one form that goes into keys (`1` for a number becomes `1.0`), or what is wrong with it.
    ///
    /// # Errors
    /// A sentence without the parameter's name: wrong type, out of limits, or an unknown word with the nearest valid one.
    pub fn check(&self, value: &Value) -> Result<Value, String> {
        let mismatch = |wanted: &str| format!("expected {wanted}, found {}", described(value));
        let limited = |number: f64, min: f64, max: f64| {
            if (min..=max).contains(&number) { Ok(number) } else { Err(format!("{number} is outside {min} to {max}")) }
        };
        match self.kind {
            ParamKind::Flag(_) => value.as_bool().map(Value::from).ok_or_else(|| mismatch("true or false")),
            ParamKind::Whole { min, max, .. } => {
                let number = value.as_i64().ok_or_else(|| mismatch("a whole number"))?;
                if (min..=max).contains(&number) { Ok(number.into()) } else { Err(format!("{number} is outside {min} to {max}")) }
            }
            ParamKind::Number { min, max, .. } => limited(value.as_f64().ok_or_else(|| mismatch("a number"))?, min, max).map(Value::from),
            ParamKind::Range { min, max, .. } => {
                let pair: Option<Vec<f64>> =
                    value.as_array().filter(|a| a.len() == 2).map(|a| a.iter().filter_map(Value::as_f64).collect());
                let pair = pair.filter(|pair| pair.len() == 2).ok_or_else(|| mismatch("two numbers, [low, high]"))?;
                let (low, high) = (limited(pair[0], min, max)?, limited(pair[1], min, max)?);
                if low <= high { Ok(vec![low, high].into()) } else { Err(format!("{low} is above {high}: write [low, high]")) }
            }
            ParamKind::Text(_) => value.as_str().map(Value::from).ok_or_else(|| mismatch("a text in quotes")),
            ParamKind::Texts => {
                let wanted = || mismatch("a list of texts, [\"…\", \"…\"]");
                let list = value.as_array().ok_or_else(wanted)?;
                if list.iter().all(Value::is_string) { Ok(value.clone()) } else { Err(wanted()) }
            }
            ParamKind::Table => value.as_object().map(|_| in_key_order(value)).ok_or_else(|| mismatch("a table, { … = … }")),
            ParamKind::Choice { of, .. } => word(value.as_str().ok_or_else(|| mismatch("a text in quotes"))?, of).map(Value::from),
            ParamKind::Words { of, .. } => {
                let list = value.as_array().ok_or_else(|| mismatch("a list of words, [\"…\", \"…\"]"))?;
                let mut words: Vec<&str> = Vec::with_capacity(list.len());
                for entry in list {
                    let entry = word(entry.as_str().ok_or_else(|| mismatch("a list of words, [\"…\", \"…\"]"))?, of)?;
                    if words.contains(&entry) {
                        return Err(format!("{entry:?} is there twice"));
                    }
                    words.push(entry);
                }
                Ok(words.into())
            }
        }
    }
}

/// Tables with their keys in order, at every depth: the order in which somebody wrote them is not in the key.
fn in_key_order(value: &Value) -> Value {
    match value {
        Value::Object(table) => {
            let mut entries: Vec<_> = table.iter().collect();
            entries.sort_by_key(|(key, _)| key.as_str());
            Value::Object(entries.into_iter().map(|(key, value)| (key.clone(), in_key_order(value))).collect())
        }
        Value::Array(list) => list.iter().map(in_key_order).collect(),
        other => other.clone(),
    }
}

fn word<'a>(word: &str, of: &[&'a str]) -> Result<&'a str, String> {
    if let Some(found) = of.iter().find(|valid| **valid == word) {
        return Ok(found);
    }
    let hint = match nearest(word, of.iter().copied()) {
        Some(near) => format!("did you mean {near:?}?"),
        None => format!("valid are {}", of.join(", ")),
    };
    Err(format!("{word:?} is not known here; {hint}"))
}

fn described(value: &Value) -> String {
    match value {
        Value::String(text) => format!("the text {text:?}"),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a table".to_owned(),
        Value::Null => "nothing".to_owned(),
    }
}

/// The parameters of one stage: every one of its [`Param`]s with a checked value, in the list's order.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Params(Map<String, Value>);

impl Params {
    /// Every parameter at its default.
    pub fn defaults(specs: &[Param]) -> Self {
        Self(specs.iter().map(|spec| (spec.name.to_owned(), spec.default_value())).collect())
    }

    /// Replaces one value.
    ///
    /// # Errors
    /// An unknown name or a value that [`Param::check`] refuses: a sentence that names the parameter.
    pub fn set(&mut self, specs: &[Param], name: &str, value: &Value) -> Result<(), String> {
        let Some(spec) = specs.iter().find(|spec| spec.name == name) else {
            let hint = match nearest(name, specs.iter().map(|spec| spec.name)) {
                Some(near) => format!("did you mean {near:?}?"),
                None => format!("valid are {}", specs.iter().map(|spec| spec.name).collect::<Vec<_>>().join(", ")),
            };
            return Err(format!("unknown parameter {name:?}; {hint}"));
        };
        let value = spec.check(value).map_err(|error| format!("{name}: {error}"))?;
        self.0.insert(name.to_owned(), value);
        Ok(())
    }

    /// The values by name, in the order of the stage's list.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// The values as a stage's own struct with one field per parameter.
    ///
    /// # Panics
    /// When the struct does not fit the stage's own list: a mistake in the stage, found by its first test.
    pub fn read<T: DeserializeOwned>(&self) -> T {
        serde_json::from_value(Value::Object(self.0.clone())).expect("a stage's struct fits its own list of parameters")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPECS: &[Param] = &[
        Param { name: "side", kind: ParamKind::Whole { default: 64, min: 8, max: 1024 }, doc: "" },
        Param { name: "margin", kind: ParamKind::Number { default: 0.1, min: 0.0, max: 1.0 }, doc: "" },
        Param { name: "fit", kind: ParamKind::Choice { default: "expand", of: &["expand", "crop"] }, doc: "" },
        Param { name: "light", kind: ParamKind::Range { default: [1.0, 1.4], min: 0.0, max: 4.0 }, doc: "" },
        Param { name: "use", kind: ParamKind::Words { default: &["Flip"], of: &["Flip", "Post"] }, doc: "" },
        Param { name: "run", kind: ParamKind::Texts, doc: "" },
        Param { name: "options", kind: ParamKind::Table, doc: "" },
    ];

    #[test]
    fn values_are_brought_into_one_form_in_one_order() {
        let mut params = Params::defaults(SPECS);
        for (name, value) in [
            ("use", r#"["Post","Flip"]"#),
            ("margin", "1"),
            ("side", "128"),
            ("run", r#"["b","a"]"#),
            ("options", r#"{"z":1,"a":{"y":1,"b":2}}"#),
        ] {
            params.set(SPECS, name, &serde_json::from_str(value).unwrap()).unwrap();
        }
        let written: Vec<String> = params.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let now = [
            "side=128",
            "margin=1.0",
            "fit=\"expand\"",
            "light=[1.0,1.4]",
            "use=[\"Post\",\"Flip\"]",
            "run=[\"b\",\"a\"]",
            "options={\"a\":{\"b\":2,\"y\":1},\"z\":1}",
        ];
        assert_eq!(written, now);
    }

    #[test]
    fn what_is_wrong_is_said_with_the_nearest_word() {
        for (name, value, said) in [
            ("sid", "64", "unknown parameter \"sid\"; did you mean \"side\"?"),
            ("run", "[\"python3\", 3]", "run: expected a list of texts, [\"…\", \"…\"], found a list"),
            ("options", "3", "options: expected a table, { … = … }, found 3"),
            ("side", "\"64\"", "side: expected a whole number, found the text \"64\""),
            ("side", "4", "side: 4 is outside 8 to 1024"),
            ("fit", "\"corp\"", "fit: \"corp\" is not known here; did you mean \"crop\"?"),
            ("light", "[2, 1]", "light: 2 is above 1: write [low, high]"),
            ("use", "[\"Post\", \"Post\"]", "use: \"Post\" is there twice"),
        ] {
            assert_eq!(Params::defaults(SPECS).set(SPECS, name, &serde_json::from_str(value).unwrap()).unwrap_err(), said);
        }
    }
}
