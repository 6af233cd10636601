//! `PipelineError`: one mistake in `pipeline.toml`, with the line it is on.

use std::fmt;

use super::Span;

/// One mistake in `pipeline.toml` or in a `--set`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PipelineError {
    /// The file, or the `--set` it is in.
    pub file: String,
    /// Line and column counted from 1 and the line's text, where the mistake is in a file.
    pub place: Option<(usize, usize, String)>,
    /// What is wrong, with the nearest valid word.
    pub message: String,
}

impl PipelineError {
    /// A mistake at `span` of `text`.
    pub(super) fn at(file: &str, text: &str, span: Option<Span>, message: impl Into<String>) -> Box<Self> {
        let place = span.map(|span| {
            let start = span.start.min(text.len());
            let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
            let line = text[..start].matches('\n').count() + 1;
            let column = text[line_start..start].chars().count() + 1;
            (line, column, text[line_start..].lines().next().unwrap_or_default().to_owned())
        });
        Box::new(Self { file: file.to_owned(), place, message: message.into() })
    }
}

impl fmt::Display for PipelineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            None => write!(f, "{}: {}", self.file, self.message),
            Some((line, column, text)) => {
                let number = line.to_string();
                let gutter = " ".repeat(number.len());
                let pointer = " ".repeat(column - 1);
                write!(f, "{}:{line}:{column}: {}\n {gutter} |\n {number} | {text}\n {gutter} | {pointer}^", self.file, self.message)
            }
        }
    }
}

impl std::error::Error for PipelineError {}
