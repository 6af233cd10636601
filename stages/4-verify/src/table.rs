//! Decisions as a table: out to a spreadsheet, and back.
//!
//! ```text
//! name,photo,digest,now,flags,decision,who,when
//! home/IMG_0001.png,home/IMG_0001.jpg,3f…,goes on,cut_off,reject,ada,2026-03-01T10:00:00Z
//! ```
//!
//! Coming back, only `decision` and one of `digest` and `name` are needed; the order of columns, other columns, and whether commas,
//! semicolons or tabs stand between them do not matter, because spreadsheets have their own ways. A row is about content: where it
//! has a digest, its name may be outdated.

use std::collections::BTreeMap;

use catgen_api::Digest;

use crate::decisions::{Choice, Decision};

/// One row on its way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The item.
    pub name: String,
    /// Its photo.
    pub photo: String,
    /// The item's content.
    pub digest: Digest,
    /// Whether it goes on as of the last run.
    pub goes_on: bool,
    /// Its flags.
    pub flags: Vec<String>,
    /// What was decided, by whom and when.
    pub decision: Option<Decision>,
}

/// What a table came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Imported {
    /// One per content, in the order of digests; `who` and `when` may be empty.
    pub decisions: Vec<Decision>,
    /// Rows whose decision is empty.
    pub undecided: usize,
}

/// A table that cannot be used; nothing of it is.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// Not what a spreadsheet writes as CSV in UTF-8.
    #[error("line {line}: {detail}")]
    Unreadable {
        /// Counted from 1.
        line: u64,
        /// What is wrong there.
        detail: String,
    },
    /// A column is missing.
    #[error("it has no column {0}; the first line names the columns")]
    Column(&'static str),
    /// Two rows about the same picture that say different things.
    #[error("line {first} says {said} and line {second} says {contradicted} of the same picture, {name}")]
    Conflict {
        /// The picture's name, or its digest.
        name: String,
        /// The earlier line.
        first: u64,
        /// What it says.
        said: &'static str,
        /// The later line.
        second: u64,
        /// What it says.
        contradicted: &'static str,
    },
}

/// The table, with a line of column names.
pub fn write(rows: &[Row]) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let mut line = |cells: [&str; 8]| writer.write_record(cells).expect("eight cells go into every line, and memory takes them");
    line(["name", "photo", "digest", "now", "flags", "decision", "who", "when"]);
    for row in rows {
        let digest = row.digest.to_string();
        let flags = row.flags.join(" ");
        let (word, who, when) =
            row.decision.as_ref().map_or(("", "", ""), |decision| (decision.decision.word(), &decision.who, &decision.when));
        line([&row.name, &row.photo, &digest, if row.goes_on { "goes on" } else { "stopped" }, &flags, word, who, when]);
    }
    let bytes = writer.into_inner().expect("memory takes what is left");
    String::from_utf8(bytes).expect("only text was written")
}

/// The decisions in a table. `find` answers the contents of the pictures with that name.
///
/// # Errors
/// A table that is not text or has no such columns, a word that is no decision, a name that nobody has, or two rows that contradict
/// each other. Then nothing of it may be used.
pub fn read(bytes: &[u8], find: impl Fn(&str) -> Vec<Digest>) -> Result<Imported, TableError> {
    // Excel begins UTF-8 with a byte order mark.
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter(bytes)).trim(csv::Trim::Headers).from_reader(bytes);
    let columns: Vec<String> = reader.headers().map_err(unreadable)?.iter().map(str::to_lowercase).collect();
    let column = |name: &str| columns.iter().position(|column| column == name);
    let decision = column("decision").ok_or(TableError::Column("\"decision\""))?;
    let (digest, name, who, when) = (column("digest"), column("name"), column("who"), column("when"));
    if digest.is_none() && name.is_none() {
        return Err(TableError::Column("\"digest\" or \"name\""));
    }

    let mut undecided = 0;
    let mut decided: BTreeMap<Digest, (u64, String, Decision)> = BTreeMap::new();
    for record in reader.records() {
        let record = record.map_err(unreadable)?;
        let line = record.position().map_or(0, csv::Position::line);
        let wrong = |detail: String| TableError::Unreadable { line, detail };
        let cell = |at: Option<usize>| at.and_then(|at| record.get(at)).unwrap_or("");
        let word = cell(Some(decision)).trim();
        if word.is_empty() {
            undecided += 1;
            continue;
        }
        let choice = Choice::ALL.into_iter().find(|choice| choice.word().eq_ignore_ascii_case(word));
        let choice = choice.ok_or_else(|| wrong(format!("{word:?} is no decision: accept, reject, undo, or nothing")))?;
        let (called, about) = match cell(digest).trim() {
            "" => {
                let name = cell(name);
                (name.to_owned(), find(name))
            }
            text => (text.to_owned(), vec![text.parse().map_err(|error: catgen_api::DigestError| wrong(error.to_string()))?]),
        };
        if about.is_empty() {
            return Err(wrong(format!("no picture of this stage is called {called:?}")));
        }
        for digest in about {
            let entry = Decision { digest, decision: choice, who: cell(who).to_owned(), when: cell(when).to_owned() };
            match decided.get(&digest) {
                Some((first, _, other)) if other.decision != choice => {
                    return Err(TableError::Conflict {
                        name: called,
                        first: *first,
                        said: other.decision.word(),
                        second: line,
                        contradicted: choice.word(),
                    });
                }
                Some(_) => {}
                None => {
                    decided.insert(digest, (line, called.clone(), entry));
                }
            }
        }
    }
    Ok(Imported { decisions: decided.into_values().map(|(_, _, decision)| decision).collect(), undecided })
}

/// What stands between the cells: whichever of comma, semicolon and tab the first line has most of.
fn delimiter(bytes: &[u8]) -> u8 {
    let first = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let count = |wanted: u8| first.iter().filter(|byte| **byte == wanted).count();
    b",;\t".iter().copied().rev().max_by_key(|byte| count(*byte)).unwrap_or(b',')
}

/// The parser's words, with the line first.
fn unreadable(error: csv::Error) -> TableError {
    let line = error.position().map_or(1, csv::Position::line);
    let detail = match error.kind() {
        csv::ErrorKind::Utf8 { .. } => "this is not UTF-8 text: save the table as CSV in UTF-8".to_owned(),
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("it has {len} cells where the first line has {expected_len}: a name with a comma in it needs quotes around it")
        }
        _ => error.to_string(),
    };
    TableError::Unreadable { line, detail }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(name: &str) -> Digest {
        Digest::of(name.as_bytes())
    }

    /// Reads a table where every picture but "nobody.png" exists; its decisions as `name word who when`, or what is wrong.
    fn check(text: &[u8], names: &[&str]) -> Result<Vec<String>, String> {
        let imported =
            read(text, |name| if name == "nobody.png" { Vec::new() } else { vec![digest(name)] }).map_err(|error| error.to_string())?;
        let called = |found: Digest| names.iter().find(|name| digest(name) == found).copied().unwrap_or("?");
        let told = |it: &Decision| format!("{} {} {} {}", called(it.digest), it.decision.word(), it.who, it.when).trim_end().to_owned();
        let mut told: Vec<String> = imported.decisions.iter().map(told).collect();
        told.sort();
        told.push(format!("{} undecided", imported.undecided));
        Ok(told)
    }

    #[test]
    fn what_goes_out_comes_back_whatever_the_names() {
        let names = ["plain.png", "a, b.png", "she said \"no\".png", "two\nlines.png", " spaces .png", "=1+2.png", "é;\t.png"];
        let rows: Vec<Row> = names
            .iter()
            .enumerate()
            .map(|(at, name)| Row {
                name: (*name).to_owned(),
                photo: format!("{name}.jpg"),
                digest: digest(name),
                goes_on: at > 0,
                flags: vec!["cut_off".to_owned(), "blurred".to_owned()],
                decision: (at > 0).then(|| Decision {
                    digest: digest(name),
                    decision: Choice::Reject,
                    who: "Ada, \"the cat\"".to_owned(),
                    when: "now".to_owned(),
                }),
            })
            .collect();
        let table = write(&rows);
        let mut expect: Vec<String> = names[1..].iter().map(|name| format!("{name} reject Ada, \"the cat\" now")).collect();
        expect.sort();
        expect.push("1 undecided".to_owned());
        assert_eq!(check(table.as_bytes(), &names).unwrap(), expect);
        // By their names alone, too: the names come through the table unharmed.
        let (head, rest) = table.split_once('\n').unwrap();
        let without = format!("{}\n{rest}", head.replace("digest", "old_digest"));
        assert_eq!(check(without.as_bytes(), &names).unwrap(), expect);
    }

    #[test]
    fn a_spreadsheets_ways_are_understood() {
        for text in [
            "name,decision\na.png,accept\nb.png,\n",
            "\u{feff}Decision;Note; NAME\r\nAccept;good;a.png\r\n;;b.png\r\n",
            "decision\tname\nACCEPT\ta.png\n \tb.png",
            "name,decision\na.png,accept\na.png,accept\nb.png,\n",
        ] {
            assert_eq!(check(text.as_bytes(), &["a.png", "b.png"]).unwrap(), ["a.png accept", "1 undecided"], "{text:?}");
        }
    }

    #[test]
    fn what_cannot_be_used_is_named_by_its_line() {
        let digest = digest("a.png");
        for (text, expect) in [
            ("name,decision\na.png,maybe\n".to_owned(), "line 2: \"maybe\" is no decision: accept, reject, undo, or nothing".to_owned()),
            ("name,decision\nnobody.png,accept\n".to_owned(), "line 2: no picture of this stage is called \"nobody.png\"".to_owned()),
            (
                "digest,decision\nabc,accept\n".to_owned(),
                "line 2: \"abc\" is not a digest: 64 hexadecimal characters are expected".to_owned(),
            ),
            ("name,verdict\na.png,accept\n".to_owned(), "it has no column \"decision\"; the first line names the columns".to_owned()),
            (
                "photo,decision\na.png,accept\n".to_owned(),
                "it has no column \"digest\" or \"name\"; the first line names the columns".to_owned(),
            ),
            (String::new(), "it has no column \"decision\"; the first line names the columns".to_owned()),
            (
                "name,decision\na.png,accept\na, b.png,reject\n".to_owned(),
                "line 3: it has 3 cells where the first line has 2: a name with a comma in it needs quotes around it".to_owned(),
            ),
            (
                format!("name,digest,decision\na.png,,accept\nb.png,,reject\nold name,{digest},reject\n"),
                format!("line 2 says accept and line 4 says reject of the same picture, {digest}"),
            ),
        ] {
            assert_eq!(check(text.as_bytes(), &[]).unwrap_err(), expect, "{text:?}");
        }
        assert!(check(b"name,decision\ncaf\xE9.png,accept\n", &[]).unwrap_err().starts_with("line 2: this is not UTF-8 text"));
    }
}
