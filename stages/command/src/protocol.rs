//! The lines of the protocol: what a program is told, and what it may answer.

use catgen_api::{Digest, Facts, Reason, is_about_content};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::text::shown;

/// The version of the protocol; a program may refuse one that it does not know.
pub(crate) const VERSION: u32 = 1;

/// More facts than this, as JSON, are refused: they are for people to read.
const MOST_FACTS: usize = 16 << 10;

/// One request to a worker.
#[derive(Debug, Serialize)]
pub(crate) struct Request<'a> {
    pub(crate) protocol: u32,
    /// Repeated in the answer.
    pub(crate) id: u64,
    /// The picture: an upright PNG.
    pub(crate) input: &'a str,
    /// An empty folder for what the program makes of it.
    pub(crate) out: &'a str,
    /// Of the content of the picture's file in the stage before.
    pub(crate) digest: Digest,
    pub(crate) options: &'a Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) seed: Option<u64>,
}

impl Request<'_> {
    /// As a line, with its end.
    pub(crate) fn line(&self) -> Vec<u8> {
        let mut line = serde_json::to_vec(self).expect("texts, numbers and a checked table can be written as JSON");
        line.push(b'\n');
        line
    }
}

/// One answer.
#[derive(Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) id: u64,
    pub(crate) said: Said,
}

/// What became of a picture, in the program's words.
#[derive(Debug, PartialEq)]
pub(crate) enum Said {
    /// These came of it.
    Outputs(Vec<Told>),
    /// Whatever lies in the folder came of it.
    Folder,
    /// The program decided against it.
    Reject(Reason),
    /// The program could not do it.
    Error(String),
}

/// One picture that came of it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Told {
    /// Its path in the folder.
    #[serde(default)]
    pub(crate) file: Option<String>,
    /// In place of a file: the picture as it was.
    #[serde(default)]
    pub(crate) same: bool,
    #[serde(default)]
    pub(crate) tag: Option<String>,
    #[serde(default)]
    pub(crate) facts: Facts,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    id: u64,
    outputs: Option<Vec<Told>>,
    reject: Option<String>,
    kind: Option<String>,
    error: Option<String>,
}

/// A line that is no answer.
#[derive(Debug, PartialEq)]
pub(crate) struct NoAnswer {
    /// The request that it is about, as far as can be told.
    pub(crate) id: Option<u64>,
    /// What is wrong with it: the end of a sentence that begins with the program's name.
    pub(crate) what: String,
}

/// Reads one line of a program's standard output.
pub(crate) fn parse(line: &[u8]) -> Result<Answer, NoAnswer> {
    let said = shown(line, 120);
    let no = |id, what| Err(NoAnswer { id, what });
    if !line.trim_ascii_start().starts_with(b"{") {
        return no(None, format!("printed {said:?} where only answers belong: let it print to standard error"));
    }
    let value: Value = match serde_json::from_slice(line) {
        Ok(value) => value,
        Err(error) => return no(None, format!("printed a line that is no JSON ({}): {said}", in_line(&error))),
    };
    let id = value.get("id").and_then(Value::as_u64);
    let wrong = |what: String| no(id, format!("gave an answer that cannot be used ({what}): {said}"));
    let line: Line = match serde_json::from_value(value) {
        Ok(line) => line,
        Err(error) => return wrong(error.to_string()),
    };
    let said = match line {
        Line { reject: Some(text), outputs: None, error: None, kind, .. } => {
            let kind = kind.unwrap_or_else(|| "rejected".to_owned());
            if !is_word(&kind) {
                return wrong("`kind` is one word of small letters, digits and _".to_owned());
            }
            if !is_about_content(&kind) {
                return wrong(format!("`kind` {kind} is for pictures that may do better next time: answer `error` for those"));
            }
            match shown(text.as_bytes(), 500) {
                text if text.is_empty() => return wrong("`reject` is a sentence that says why".to_owned()),
                text => Said::Reject(Reason::new(kind, text)),
            }
        }
        Line { kind: Some(_), .. } => return wrong("`kind` belongs to `reject`".to_owned()),
        Line { error: Some(text), outputs: None, reject: None, .. } => Said::Error(shown(text.as_bytes(), 500)),
        Line { outputs: Some(outputs), error: None, reject: None, .. } => {
            if outputs.is_empty() {
                return wrong("no outputs: answer `reject` with the reason".to_owned());
            }
            for told in &outputs {
                if let Err(what) = told.check() {
                    return wrong(what);
                }
            }
            Said::Outputs(outputs)
        }
        Line { outputs: None, error: None, reject: None, .. } => Said::Folder,
        _ => return wrong("one of `outputs`, `reject` and `error`, not several".to_owned()),
    };
    Ok(Answer { id: line.id, said })
}

impl Told {
    fn check(&self) -> Result<(), String> {
        if self.file.is_some() == self.same {
            return Err("an output has either a `file` or \"same\": true".to_owned());
        }
        if let Some(tag) = self.tag.as_deref().filter(|tag| !is_tag(tag)) {
            return Err(format!("the tag {:?} is not of letters, digits, - _ and .", shown(tag.as_bytes(), 60)));
        }
        if let Some((name, _)) = self.facts.iter().find(|(_, value)| !(value.is_string() || value.is_number() || value.is_boolean())) {
            return Err(format!("the fact {:?} is no text, number, true or false", shown(name.as_bytes(), 60)));
        }
        if serde_json::to_vec(&self.facts).is_ok_and(|json| json.len() > MOST_FACTS) {
            return Err(format!("more than {MOST_FACTS} bytes of facts"));
        }
        Ok(())
    }
}

/// Whether a text can be part of a file's name on every system. Empty is fine: no tag.
pub(crate) fn is_tag(text: &str) -> bool {
    text.chars().count() <= 60 && text.chars().all(|c| c.is_alphanumeric() || "-_.".contains(c)) && !text.ends_with('.')
}

fn is_word(text: &str) -> bool {
    (1..=40).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// The parser's words without its count of lines, which is always 1 here.
fn in_line(error: &serde_json::Error) -> String {
    let words = error.to_string();
    words.split(" at line ").next().unwrap_or(&words).to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(line: &str, expect: Result<Said, (Option<u64>, &str)>) {
        match (parse(line.as_bytes()), expect) {
            (Ok(answer), Ok(said)) => assert_eq!(answer, Answer { id: 7, said }, "{line}"),
            (Err(found), Err((id, words))) => assert!(found.id == id && found.what.contains(words), "{line}: {found:?}"),
            (found, expect) => panic!("{line}: {found:?} instead of {expect:?}"),
        }
    }

    fn told(file: &str) -> Told {
        Told { file: Some(file.to_owned()), same: false, tag: None, facts: Facts::new() }
    }

    #[test]
    fn a_request_has_the_names_of_the_protocol() {
        let options = json!({"strength": 3});
        let digest = Digest::of(b"cat");
        let mut request = Request { protocol: VERSION, id: 7, input: "a.png", out: "a", digest, options: &options, seed: None };
        let line = format!(r#"{{"protocol":1,"id":7,"input":"a.png","out":"a","digest":"{digest}","options":{{"strength":3}}}}"#);
        assert_eq!(String::from_utf8(request.line()).unwrap(), format!("{line}\n"));
        request.seed = Some(9);
        assert!(String::from_utf8(request.line()).unwrap().ends_with("},\"seed\":9}\n"));
    }

    #[test]
    fn answers_are_read() {
        check(r#"{"id":7}"#, Ok(Said::Folder));
        check(r#" {"id":7,"outputs":[{"file":"a.png"}]}"#, Ok(Said::Outputs(vec![told("a.png")])));
        let facts = Facts::from_iter([("sharp".to_owned(), json!(0.5)), ("ok".to_owned(), json!(true)), ("by".to_owned(), json!("me"))]);
        let full = Told { tag: Some("left".to_owned()), facts: facts.clone(), ..told("b/c.jpg") };
        check(
            r#"{"id":7,"outputs":[{"file":"b/c.jpg","tag":"left","facts":{"sharp":0.5,"ok":true,"by":"me"}}]}"#,
            Ok(Said::Outputs(vec![full])),
        );
        let same = Told { file: None, same: true, tag: None, facts: Facts::new() };
        check(r#"{"id":7,"outputs":[{"same":true}]}"#, Ok(Said::Outputs(vec![same])));
        check(r#"{"id":7,"reject":"too dark"}"#, Ok(Said::Reject(Reason::new("rejected", "too dark"))));
        check(r#"{"id":7,"reject":"too\ndark","kind":"dark"}"#, Ok(Said::Reject(Reason::new("dark", "too dark"))));
        check(r#"{"id":7,"error":"no memory"}"#, Ok(Said::Error("no memory".to_owned())));
    }

    #[test]
    fn what_is_no_answer_is_said_with_the_program_s_own_words() {
        for (line, id, words) in [
            ("Loading model…", None, "printed \"Loading model…\" where only answers belong: let it print to standard error"),
            ("[7]", None, "let it print to standard error"),
            (r#"{"id":7,"outputs":[{"facts":{"x":NaN}}]}"#, None, "is no JSON (expected value)"),
            (r#"{"id":7,"outpts":[]}"#, Some(7), "unknown field `outpts`"),
            (r#"{"id":"7"}"#, None, "invalid type: string"),
            (r#"{"outputs":[{"file":"a.png"}]}"#, None, "missing field `id`"),
            (r#"{"id":7,"outputs":[]}"#, Some(7), "answer `reject` with the reason"),
            (r#"{"id":7,"outputs":[{}]}"#, Some(7), "either a `file` or"),
            (r#"{"id":7,"outputs":[{"file":"a.png","same":true}]}"#, Some(7), "either a `file` or"),
            (r#"{"id":7,"outputs":[{"file":"a.png","tag":"a/b"}]}"#, Some(7), "the tag \"a/b\""),
            (r#"{"id":7,"outputs":[{"file":"a.png","facts":{"x":[1]}}]}"#, Some(7), "the fact \"x\" is no text"),
            (r#"{"id":7,"outputs":[{"file":"a.png","facts":{"x":null}}]}"#, Some(7), "the fact \"x\" is no text"),
            (r#"{"id":7,"reject":" "}"#, Some(7), "says why"),
            (r#"{"id":7,"reject":"dark","kind":"Too dark"}"#, Some(7), "one word"),
            (r#"{"id":7,"reject":"dark","kind":"failed"}"#, Some(7), "answer `error`"),
            (r#"{"id":7,"reject":"dark","error":"x"}"#, Some(7), "not several"),
            (r#"{"id":7,"kind":"dark"}"#, Some(7), "`kind` belongs to `reject`"),
        ] {
            check(line, Err((id, words)));
        }
        let many = format!(r#"{{"id":7,"outputs":[{{"file":"a.png","facts":{{"x":"{}"}}}}]}}"#, "y".repeat(MOST_FACTS));
        check(&many, Err((Some(7), "bytes of facts")));
    }
}
