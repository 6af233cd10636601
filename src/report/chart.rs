//! Curves as inline SVG: lines over epochs, drawn in the page's own colours.

use maud::{Markup, PreEscaped, html};

/// The drawing's own units; it is scaled to the page.
const SIZE: [f64; 2] = [640.0, 220.0];

/// Room for the numbers at the left and below.
const MARGIN: [f64; 2] = [46.0, 22.0];

/// More points than this are more than the drawing has pixels.
const POINTS: usize = 600;

/// One line.
pub(crate) struct Series {
    pub(crate) name: String,
    /// Epoch and value.
    pub(crate) points: Vec<[f64; 2]>,
}

/// The lines in one drawing with a legend; nothing where there are not two points.
pub(crate) fn chart(series: &[Series]) -> Markup {
    let all = || series.iter().flat_map(|line| &line.points);
    let range = |at: usize| {
        all().map(|point| point[at]).fold([f64::INFINITY, f64::NEG_INFINITY], |[low, high], value| [low.min(value), high.max(value)])
    };
    let ([x0, x1], [low, high]) = (range(0), range(1));
    if x0 >= x1 {
        return html! {};
    }
    let [step, y0, y1] = scale(low, high);
    let place = |[x, y]: [f64; 2]| {
        let across = MARGIN[0] + (x - x0) / (x1 - x0) * (SIZE[0] - MARGIN[0] - 6.0);
        let down = 6.0 + (y1 - y) / (y1 - y0) * (SIZE[1] - MARGIN[1] - 6.0);
        [across, down]
    };
    let ticks: Vec<f64> = (0..).map(|at| y0 + step * f64::from(at)).take_while(|tick| *tick <= y1 + step / 1e6).collect();
    html! {
        figure {
            svg viewBox=(format!("0 0 {} {}", SIZE[0], SIZE[1])) role="img" aria-label=(names(series)) {
                @for tick in &ticks {
                    @let [_, y] = place([x0, *tick]);
                    line class="grid" x1=(MARGIN[0]) x2=(SIZE[0] - 6.0) y1=(number(y)) y2=(number(y)) {}
                    text x=(MARGIN[0] - 6.0) y=(number(y + 4.0)) text-anchor="end" { (short(*tick)) }
                }
                text x=(MARGIN[0]) y=(SIZE[1] - 4.0) { "epoch " (short(x0)) }
                text x=(SIZE[0] - 6.0) y=(SIZE[1] - 4.0) text-anchor="end" { (short(x1)) }
                @for (at, line) in series.iter().enumerate() {
                    polyline class=(format!("s{}", at % 4)) points=(path(&line.points, place)) {}
                }
            }
            figcaption { @for (at, line) in series.iter().enumerate() { span class=(format!("s{}", at % 4)) { (PreEscaped("&#9644; ")) (line.name) } " " } }
        }
    }
}

fn names(series: &[Series]) -> String {
    series.iter().map(|line| line.name.as_str()).collect::<Vec<_>>().join(", ")
}

fn path(points: &[[f64; 2]], place: impl Fn([f64; 2]) -> [f64; 2]) -> String {
    let shown = crate::preview::evenly(points, POINTS);
    shown.into_iter().map(place).map(|[x, y]| format!("{},{}", number(x), number(y))).collect::<Vec<_>>().join(" ")
}

/// A step of 1, 2 or 5 times a power of ten that makes about four stretches, and ends that are multiples of it.
fn scale(low: f64, high: f64) -> [f64; 3] {
    let span = if high > low { high - low } else { high.abs().max(1.0) };
    let power = 10_f64.powf((span / 4.0).log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|factor| factor * power).find(|step| span / step <= 5.0).unwrap_or(10.0 * power);
    let bottom = (low / step).floor() * step;
    let top = (high / step).ceil() * step;
    [step, bottom, if top > bottom { top } else { bottom + step }]
}

fn number(value: f64) -> String {
    format!("{:.1}", value)
}

/// A number as people write it on an axis.
fn short(value: f64) -> String {
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(name: &str, values: &[f64]) -> Series {
        Series { name: name.to_owned(), points: values.iter().zip(1..).map(|(y, x)| [f64::from(x), *y]).collect() }
    }

    #[test]
    fn lines_stay_inside_the_drawing_whatever_the_numbers() {
        for values in [&[0.7, 0.5, 0.1][..], &[3.0, 3.0, 3.0], &[-1e-4, 2e-4], &[0.0, 5e6], &[0.0, 0.0]] {
            let drawn = chart(&[line("loss", values)]).into_string();
            let points = drawn.split("points=\"").nth(1).unwrap().split('"').next().unwrap();
            for pair in points.split(' ') {
                let (x, y) = pair.split_once(',').unwrap();
                assert!(
                    (0.0..=SIZE[0]).contains(&x.parse().unwrap()) && (0.0..=SIZE[1]).contains(&y.parse().unwrap()),
                    "{values:?}: {pair}"
                );
            }
            assert!((2..=8).contains(&drawn.matches("class=\"grid\"").count()), "{values:?}: {drawn}");
        }
        // Higher is up.
        let drawn = chart(&[line("a", &[0.0, 1.0])]).into_string();
        let points: Vec<f64> =
            drawn.split("points=\"").nth(1).unwrap().split('"').next().unwrap().split([' ', ',']).map(|n| n.parse().unwrap()).collect();
        assert!(points[1] > points[3] && points[0] < points[2], "{points:?}");
    }

    #[test]
    fn one_epoch_makes_no_curve() {
        assert_eq!(chart(&[line("loss", &[0.5])]).into_string(), "");
        assert_eq!(chart(&[]).into_string(), "");
    }
}
