//! What came of games, as parts of pages.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::{
    log::Answer,
    score::{ANCHOR, Estimate, Tally},
};
use crate::studio::thumbs::encoded;

/// Answers about one generator, or of one game.
#[derive(Default)]
struct Summary {
    tally: Tally,
    milliseconds: Vec<u64>,
}

impl Summary {
    fn of<'a>(answers: impl IntoIterator<Item = &'a Answer>) -> Self {
        let mut summary = Self::default();
        for answer in answers {
            summary.tally.add(answer.shown.is_real(), answer.said_real);
            summary.milliseconds.push(answer.milliseconds);
        }
        summary.milliseconds.sort_unstable();
        summary
    }

    /// Seconds that the middle answer took.
    fn seconds(&self) -> f64 {
        self.milliseconds.get(self.milliseconds.len() / 2).map_or(0.0, |middle| *middle as f64 / 1000.0)
    }
}

/// The results of all games, a row for each generator, the newest first.
pub(super) fn all(answers: &[Answer]) -> Markup {
    let mut by_generator: BTreeMap<(&str, u64), Vec<&Answer>> = BTreeMap::new();
    for answer in answers {
        by_generator.entry((&answer.training, answer.step)).or_default().push(answer);
    }
    html! {
        section #results aria-labelledby="results-title" {
            h2 #results-title { "Results so far" }
            @if answers.is_empty() {
                p.quiet { "Nobody has played yet. Results of all games, of every run, are compared here." }
            } @else {
                div.scroll tabindex="0" role="region" aria-label="Results of all games" {
                    table.results {
                        thead { tr {
                            th scope="col" { "Generator" } th scope="col" { "Answers" }
                            th scope="col" { "Generated pictures taken for real" }
                            th scope="col" { "Photos called generated" } th scope="col" { "d′" } th scope="col" { "Time" }
                        } }
                        tbody {
                            @for ((training, _), answers) in by_generator.iter().rev() {
                                @let summary = Summary::of(answers.iter().copied());
                                tr {
                                    th scope="row" { a href={ "/game?training=" (encoded(training)) } { (training) } ", epoch " (answers[0].epoch) }
                                    td.number { (answers.len()) }
                                    td.number { (summary.tally.fooled) " of " (summary.tally.fakes) ", " (share(summary.tally.fooled())) " " (interval(summary.tally.fooled())) }
                                    td.number { (summary.tally.false_alarms) " of " (summary.tally.reals) ", " (share(summary.tally.false_alarms())) }
                                    td.number { (plain(summary.tally.d_prime())) }
                                    td.number { (format!("{:.1} s", summary.seconds())) }
                                }
                            }
                            tr.anchor {
                                th scope="row" { "The Keras project, by its own report" } td {} td.number { "1 in 7, 14 % "
                                (interval(Some(Estimate { value: ANCHOR, low: ANCHOR, high: ANCHOR }))) } td {} td {} td {}
                            }
                        }
                    }
                }
                p.quiet { "In brackets: 95 % intervals. The dashed line is that 1 in 7. A generator that nobody could tell from photos would have as many pictures taken for real as photos are, and a d′ of 0. \
                           Answers of one person, and about the same picture, belong together more than the interval knows." }
                p { a href="/answers.csv" download { "All answers as a table (CSV)" } }
            }
        }
    }
}

/// The result of one game, and all its pictures where they are still at hand.
pub(super) fn one(id: &str, answers: &[Answer], in_memory: bool) -> Markup {
    let summary = Summary::of(answers);
    let Tally { fakes, fooled, reals, false_alarms } = summary.tally;
    let [right, all] = [fakes - fooled + reals - false_alarms, fakes + reals];
    html! {
        h1 { "Result" }
        p { (answers[0].training) ", epoch " (answers[0].epoch) "; " (answers.len()) " answers, " (right) " of " (all) " right, " (format!("{:.1} s", summary.seconds())) " for the middle one." }
        dl.score {
            div { dt { "Generated pictures taken for real" } dd { strong { (fooled) " of " (fakes) } " " (share(summary.tally.fooled())) (interval(summary.tally.fooled())) } }
            div { dt { "Photos called generated" } dd { strong { (false_alarms) " of " (reals) } " " (share(summary.tally.false_alarms())) (interval(summary.tally.false_alarms())) } }
            div { dt { "d′, how well they were told apart" } dd { strong { (plain(summary.tally.d_prime())) } " " span.quiet { (words(summary.tally.d_prime())) } } }
        }
        p.quiet { "Intervals hold 95 %. The dashed line is at 1 in 7, which the Keras project reports of itself. " (format!("{} answers leave much open: that is what the interval says.", answers.len())) }
        p.bar { a.button href={ "/game?training=" (encoded(&answers[0].training)) } { "Play again" } a href="/game#results" { "All results" } a href="/answers.csv" download { "CSV" } }
        @if in_memory {
            h2 { "What was what" }
            ul.trials {
                @for answer in answers {
                    @let is_right = answer.said_real == answer.shown.is_real();
                    @let truth = if answer.shown.is_real() { "real" } else { "generated" };
                    li.right[is_right].wrong[!is_right] {
                        img src={ "/game/" (id) "/" (answer.nth) } alt={ "picture " (answer.nth + 1) } loading="lazy";
                        span { @if is_right { "✓ " (truth) } @else { "✗ " (truth) ", you said " (if answer.said_real { "real" } else { "generated" }) } }
                    }
                }
            }
        } @else {
            p.quiet { "The pictures of this game are no longer at hand; its answers are kept." }
        }
    }
}

fn percent(share: f64) -> String {
    format!("{:.0} %", 100.0 * share)
}

/// A share with its interval.
fn share(estimate: Option<Estimate>) -> String {
    let words = |Estimate { value, low, high }| format!("{} ({} to {})", percent(value), percent(low), percent(high));
    estimate.map_or_else(|| "none shown".to_owned(), words)
}

/// A number with its interval.
fn plain(estimate: Option<Estimate>) -> String {
    let signed = |value: f64| format!("{value:.2}").replace('-', "−");
    let words = |Estimate { value, low, high }| format!("{} ({} to {})", signed(value), signed(low), signed(high));
    estimate.map_or_else(|| "–".to_owned(), words)
}

fn words(d_prime: Option<Estimate>) -> &'static str {
    match d_prime {
        Some(Estimate { low, .. }) if low > 0.0 => "You told them apart: the interval lies above 0, which is guessing.",
        Some(Estimate { high, .. }) if high < 0.0 => "You took one kind for the other more often than guessing would.",
        Some(_) => "From these answers alone, guessing cannot be ruled out.",
        None => "",
    }
}

/// An interval on a line from 0 to 100 %, with the anchor.
fn interval(estimate: Option<Estimate>) -> Markup {
    const WIDE: f64 = 200.0;
    let at = |share: f64| format!("{:.1}", 4.0 + share * (WIDE - 8.0));
    html! {
        @if let Some(Estimate { value, low, high }) = estimate {
            svg.interval viewBox=(format!("0 0 {WIDE} 20")) role="img" aria-label=(format!("{}, from {} to {}", percent(value), percent(low), percent(high))) {
                line.scale x1=(at(0.0)) x2=(at(1.0)) y1="10" y2="10" {}
                line.anchor x1=(at(ANCHOR)) x2=(at(ANCHOR)) y1="1" y2="19" {}
                @if high > low { line.range x1=(at(low)) x2=(at(high)) y1="10" y2="10" {} circle cx=(at(value)) cy="10" r="4" {} }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::log::Shown, *};

    fn answers(training: &str, fooled: usize, false_alarms: usize) -> Vec<Answer> {
        let answer = |nth: usize| Answer {
            game: training.to_owned(),
            nth,
            training: training.to_owned(),
            step: 60,
            epoch: 30,
            shown: if nth < 10 { Shown::Generated { seed: nth as u64 } } else { Shown::Real { photo: format!("{nth}.jpg") } },
            said_real: if nth < 10 { nth < fooled } else { nth - 10 >= false_alarms },
            milliseconds: 100 * nth as u64,
            who: String::new(),
            when: String::new(),
        };
        (0..20).map(answer).collect()
    }

    #[test]
    fn a_game_of_twenty_has_its_interval_beside_it() {
        let page = one("g", &answers("0001-a/Train", 3, 1), true).into_string();
        // Wilson: 3 of 10 is 10.8 % to 60.3 %, 1 of 10 is 1.8 % to 40.4 %.
        for part in ["3 of 10", "30 % (11 % to 60 %)", "10 % (2 % to 40 %)", "16 of 20 right", "1.0 s", "You told them apart"] {
            assert!(page.contains(part), "{part}: {page}");
        }
        assert_eq!(page.matches("✗ ").count(), 4);
        assert!(!one("g", &answers("0001-a/Train", 3, 1), false).into_string().contains("/game/g/"));
    }

    #[test]
    fn generators_are_compared_row_by_row() {
        let both = [answers("0001-a/Train", 3, 1), answers("0002-b/Train", 9, 5)].concat();
        let page = all(&both).into_string();
        let [second, first] = ["0002-b/Train", "0001-a/Train"].map(|name| page.find(name).unwrap());
        assert!(second < first && page.contains("9 of 10, 90 % (60 % to 98 %)") && page.contains("1 in 7"), "{page}");
        assert!(all(&[]).into_string().contains("Nobody has played yet"));
    }
}
