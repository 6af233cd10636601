//! The frame of every page, and what is said when something is wrong.

use axum::{
    Json,
    http::StatusCode,
    response::{Html, IntoResponse, Response},
};
use maud::{DOCTYPE, Markup, html};
use serde_json::{Value, json};

use super::Desk;
use crate::{Error, error::Result};

/// A page with its title, the scripts it needs and its content.
pub(super) fn page(desk: &Desk, title: &str, scripts: &[&str], content: Markup) -> Response {
    frame(title, Some(desk.guard.token()), scripts, content).into_response()
}

fn frame(title: &str, token: Option<&str>, scripts: &[&str], content: Markup) -> Html<String> {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                @if let Some(token) = token { meta name="catgen-token" content=(token); }
                title { (title) " · catgen-pipe" }
                link rel="stylesheet" href="/studio.css";
                link rel="stylesheet" href="/play.css";
                link rel="icon" href="/icon.svg";
                @if !scripts.is_empty() { script src="/common.js" defer {} }
                @for script in scripts { script src=(script) defer {} }
            }
            body {
                a.skip href="#content" { "Skip to the content" }
                header {
                    a.brand href="/" { img src="/icon.svg" alt="" width="28" height="28"; strong { "catgen-pipe" } }
                    nav aria-label="Pages" {
                        @for (href, name) in [("/", "Flow"), ("/gallery", "Gallery"), ("/duplicates", "Duplicates"), ("/review", "Review"), ("/tuning", "Tuning"), ("/training", "Training"), ("/game", "Real or generated?"), ("/latent", "Latent explorer"), ("/draws", "How it draws")] {
                            a href=(href) aria-current=[(name == title).then_some("page")] { (name) }
                        }
                    }
                }
                main #content tabindex="-1" { (content) }
                div #says role="status" aria-live="polite" {}
            }
        }
    };
    Html(page.into_string())
}

/// A page that says that a request was turned away.
pub(super) fn refused(status: StatusCode, why: &str) -> Response {
    (status, frame("Refused", None, &[], html! { h1 { "Refused" } p { (why) } })).into_response()
}

/// What is answered for a path that no page has.
pub(super) async fn nothing_here() -> Response {
    let content = html! { h1 { "There is no such page" } p { a href="/" { "Back to the flow" } } };
    (StatusCode::NOT_FOUND, frame("Not found", None, &[], content)).into_response()
}

/// An error as a page of its own: what happened and what to do.
pub(super) fn error(error: &Error) -> Response {
    let content = html! {
        h1 { "That did not work" }
        pre.words { (error.to_string()) }
        @if let Some(hint) = error.hint() { p { (hint) } }
        p { a href="/" { "Back to the flow" } }
    };
    (StatusCode::OK, frame("Error", None, &[], content)).into_response()
}

/// What a script asked for, or why there is none.
pub(super) fn answer(result: Result<Value>) -> Response {
    match result {
        Ok(value) => Json(value).into_response(),
        Err(error) => json_error(&error),
    }
}

fn json_error(error: &Error) -> Response {
    let status = if error.exit_code() == 2 { StatusCode::BAD_REQUEST } else { StatusCode::INTERNAL_SERVER_ERROR };
    (status, Json(json!({ "error": error.to_string(), "hint": error.hint() }))).into_response()
}

/// A stage's name, which may break where a person would break it; the folder that several share stands back.
pub(super) fn stage_name(name: &str) -> Markup {
    let (prefix, last) = name.rsplit_once('/').map_or(("", name), |(prefix, last)| (prefix, last));
    html! {
        @if !prefix.is_empty() { span.prefix { (broken(prefix)) "/" } wbr; }
        (broken(last))
    }
}

/// A name that may break after its underscores, points and slashes, and not within a word.
fn broken(name: &str) -> Markup {
    html! { @for part in name.split_inclusive(['_', '.', '/', '-']) { (part) wbr; } }
}

/// Whole numbers as people write them: 76 000.
pub(super) fn number(count: usize) -> String {
    let digits = count.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn long_numbers_are_grouped() {
        for (count, written) in
            [(0, "0"), (999, "999"), (1000, "1\u{202f}000"), (76_000, "76\u{202f}000"), (1_234_567, "1\u{202f}234\u{202f}567")]
        {
            assert_eq!(super::number(count), written);
        }
    }
}
