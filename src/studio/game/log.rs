//! What people answered: `data/answers.jsonl`, a file of JSON lines that is only ever appended to.
//!
//! It lies beside the decisions of `verify`, because it is of the same kind: nobody can compute it again.

use std::{
    fs::{self, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::Workspace;

/// One answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Answer {
    /// The game it belongs to.
    pub(super) game: String,
    /// Which of the game's pictures, counted from 0.
    pub(super) nth: usize,
    /// The training that drew the game's generated pictures, and after how many steps and epochs.
    pub(super) training: String,
    pub(super) step: u64,
    pub(super) epoch: u64,
    /// What was shown.
    #[serde(flatten)]
    pub(super) shown: Shown,
    /// Whether it was taken for real.
    pub(super) said_real: bool,
    /// From the picture's being there to the answer, by the page's clock.
    pub(super) milliseconds: u64,
    /// Who answered; may be empty.
    #[serde(default)]
    pub(super) who: String,
    /// RFC 3339.
    pub(super) when: String,
}

/// A picture of the game.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "shown", rename_all = "snake_case")]
pub(super) enum Shown {
    /// A photo that the training never saw.
    Real {
        /// Its path below the folder of photos.
        photo: String,
    },
    /// The generator's picture of a seed.
    Generated {
        /// The seed.
        seed: u64,
    },
}

impl Shown {
    pub(super) fn is_real(&self) -> bool {
        matches!(self, Self::Real { .. })
    }
}

pub(super) fn file(workspace: &Workspace) -> PathBuf {
    workspace.root().join("data/answers.jsonl")
}

/// All answers, oldest first. What is no answer (a line cut short by a crash, a note of somebody's) is passed over.
pub(super) fn load(workspace: &Workspace) -> Vec<Answer> {
    let text = fs::read_to_string(file(workspace)).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Adds an answer, and comes back when it is on the disk.
pub(super) fn append(path: &Path, answer: &Answer) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut file = OpenOptions::new().create(true).read(true).append(true).open(path)?;
    let mut line = Vec::new();
    // What a crash cut short must not swallow this answer, too.
    if file.metadata()?.len() > 0 {
        file.seek(SeekFrom::End(-1))?;
        let mut last = [0];
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            line.push(b'\n');
        }
    }
    serde_json::to_writer(&mut line, answer)?;
    line.push(b'\n');
    file.write_all(&line)?;
    file.sync_data()
}

/// All answers as a table that spreadsheets read (RFC 4180).
pub(super) fn csv(answers: &[Answer]) -> String {
    let mut out = "game,picture,training,step,epoch,shown,photo,seed,answer,right,milliseconds,who,when\r\n".to_owned();
    for answer in answers {
        let (shown, photo, seed) = match &answer.shown {
            Shown::Real { photo } => ("real", photo.as_str(), String::new()),
            Shown::Generated { seed } => ("generated", "", seed.to_string()),
        };
        let said = if answer.said_real { "real" } else { "generated" };
        let right = if answer.said_real == answer.shown.is_real() { "1" } else { "0" };
        let [nth, step, epoch, time] =
            [answer.nth as u64 + 1, answer.step, answer.epoch, answer.milliseconds].map(|number| number.to_string());
        let row = [&answer.game, &nth, &answer.training, &step, &epoch, shown, photo, &seed, said, right, &time, &answer.who, &answer.when];
        out.push_str(&row.map(field).join(","));
        out.push_str("\r\n");
    }
    out
}

/// A field of a row: in quotes where it has to be. What a spreadsheet would take for a formula gets an apostrophe.
fn field(text: impl AsRef<str>) -> String {
    let text = text.as_ref();
    let guarded = if text.starts_with(['=', '+', '-', '@', '\t']) { format!("'{text}") } else { text.to_owned() };
    if guarded.contains(['"', ',', '\n', '\r']) { format!("\"{}\"", guarded.replace('"', "\"\"")) } else { guarded }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(in super::super) fn answer(nth: usize, shown: Shown, said_real: bool) -> Answer {
        Answer {
            game: "g".to_owned(),
            nth,
            training: "0001-a/Train".to_owned(),
            step: 60,
            epoch: 30,
            shown,
            said_real,
            milliseconds: 812,
            who: String::new(),
            when: "2026-01-01T00:00:00Z".to_owned(),
        }
    }

    #[test]
    fn answers_come_back_and_a_torn_line_costs_only_itself() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("pipeline.toml"), "").unwrap();
        let workspace = Workspace::open(folder.path()).unwrap();
        assert_eq!(load(&workspace), []);
        let answers = [answer(0, Shown::Real { photo: "a.jpg".to_owned() }, true), answer(1, Shown::Generated { seed: 7 }, false)];
        append(&file(&workspace), &answers[0]).unwrap();
        let mut text = fs::read_to_string(file(&workspace)).unwrap();
        assert!(text.contains(r#""shown":"real","photo":"a.jpg","said_real":true"#), "{text}");
        text.push_str("{\"game\":\"cut sh");
        fs::write(file(&workspace), text).unwrap();
        append(&file(&workspace), &answers[1]).unwrap();
        assert_eq!(load(&workspace), answers);
    }

    #[test]
    fn a_table_has_a_row_for_each_answer_and_its_fields_stay_apart() {
        let table =
            csv(&[answer(0, Shown::Real { photo: "a, \"b\".jpg".to_owned() }, false), answer(1, Shown::Generated { seed: 7 }, false)]);
        let rows: Vec<&str> = table.split("\r\n").collect();
        assert_eq!(rows[1], "g,1,0001-a/Train,60,30,real,\"a, \"\"b\"\".jpg\",,generated,0,812,,2026-01-01T00:00:00Z");
        assert_eq!(rows[2], "g,2,0001-a/Train,60,30,generated,,7,generated,1,812,,2026-01-01T00:00:00Z");
        assert_eq!(rows.len(), 4);
        assert_eq!(field("=1+1"), "'=1+1");
    }
}
