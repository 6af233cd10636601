//! How it draws: a transposed convolution cell by cell, with numbers that a person changes; and what the layers of a trained generator
//! make of a seed.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Query, State},
    response::Response,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use catgen_train::{
    conv::{Geometry, GeometryError, Layer, Maps},
    serve::{Ask, Said},
};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Desk,
    desk::away,
    latent::{self, Which},
    page,
};
use crate::{Error, error::Result, trainings::Training};

/// Larger ones cannot be looked at number by number.
const MOST: usize = 6;

#[derive(Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    training: Option<String>,
}

pub(super) async fn page(State(desk): State<Arc<Desk>>, Query(asked): Query<Asked>) -> Response {
    let at = Arc::clone(&desk);
    let trainings = away(move || latent::generators(&at)).await;
    page::page(&desk, "How it draws", &["/draws.js"], content(&trainings, asked.training.as_deref()))
}

fn content(trainings: &[Training], wanted: Option<&str>) -> Markup {
    let whole = |id: &str, words: &str, least: usize, most: usize, value: usize| {
        html! { label { (words) " " input id=(id) type="number" min=(least) max=(most) step="1" value=(value); } }
    };
    html! {
        h1 { "How it draws" }
        p { "A generator makes a picture out of few numbers by layers of one kind: a transposed convolution. Each number of the input stamps the kernel onto a larger field, times itself; \
             the stamps lie a stride apart and are added up where they overlap; padding takes off the rim." }
        section #conv aria-labelledby="conv-title" {
            h2 #conv-title { "One input cell at a time" }
            form .bar autocomplete="off" {
                (whole("input-side", "Input", 1, MOST, 3)) (whole("kernel-side", "Kernel", 1, MOST, 3)) (whole("stride", "Stride", 1, MOST, 2)) (whole("padding", "Padding", 0, MOST, 0)) (whole("more", "Output padding", 0, MOST, 0))
                button type="button" #numbers { "Other numbers" }
            }
            pre #mistake .words role="alert" hidden {}
            label.slider { "Step " output #step-words {} input #step type="range" min="0" max="9" value="0"; }
            div.bar { button type="button" #before { "Back" } button type="button" #after { "On" } button type="button" #run-on { "Play" } }
            p #words aria-live="polite" {}
            div.fields {
                figure { figcaption { "Input: change its numbers" } table #input .numbers aria-label="Input" {} }
                figure { figcaption { "Kernel: change its numbers" } table #kernel .numbers aria-label="Kernel" {} }
                figure { figcaption #field-words { "Output" } div.scroll tabindex="0" role="region" aria-label="Output so far" { table #field .numbers {} } }
            }
            p.quiet { "Red is positive, blue negative. The newest stamp is framed; what padding takes away is hatched." }
        }
        section #maps aria-labelledby="maps-title" {
            h2 #maps-title { "What each layer makes of a seed" }
            @if trainings.is_empty() {
                p { "Nothing was trained here yet. " a href="/training" { "Train something" } " and its layers are shown here." }
            } @else {
                div.bar {
                    label { "Generator " (latent::choose(trainings, wanted)) }
                    label { "Seed " input #seed type="number" min="0" max="9007199254740991" step="1" value="1"; }
                    label { "Layer " select #layer {} }
                    span #state role="status" {}
                }
                p #layer-words .quiet {}
                ul #channels {}
            }
        }
    }
}

/// A layer of one channel, and what it is given: rows of numbers.
#[derive(Deserialize)]
pub(super) struct Stamped {
    input: Vec<Vec<f32>>,
    kernel: Vec<Vec<f32>>,
    stride: usize,
    padding: usize,
    more: usize,
}

/// The field after each stamp.
pub(super) async fn stamps(Json(ask): Json<Stamped>) -> Response {
    let said = stamped(&ask).map_err(|error| Error::Usage { what: error.to_string(), hint: String::new() });
    page::answer(said)
}

fn stamped(ask: &Stamped) -> Result<Value, GeometryError> {
    let (input, kernel) = (rows(&ask.input)?, rows(&ask.kernel)?);
    if ask.stride > MOST || ask.padding > MOST || ask.more > MOST {
        return Err(GeometryError::new(format!("more than {MOST} cannot be shown")));
    }
    let geometry = Geometry::new(kernel.size, [ask.stride; 2], [ask.padding; 2], [ask.more; 2])?;
    let output = geometry.output(input.size)?;
    let layer = Layer { geometry, channels: [1, 1], weights: kernel.values };
    let mut field = layer.canvas(&input);
    let mut steps = vec![json!({ "cell": null, "at": null, "field": field.values })];
    for row in 0..input.size[0] {
        for column in 0..input.size[1] {
            layer.stamp(&input, [row, column], &[0], &mut field);
            steps.push(json!({ "cell": [row, column], "at": [row * ask.stride, column * ask.stride], "field": field.values }));
        }
    }
    let crop = geometry.crop;
    Ok(json!({
        "size": field.size, "output": output, "first": [crop[0][0], crop[1][0]], "steps": steps, "result": layer.crop(&field, input.size)?.values,
    }))
}

/// Rows of numbers as one map.
fn rows(rows: &[Vec<f32>]) -> Result<Maps, GeometryError> {
    let columns = rows.first().map_or(0, Vec::len);
    let fits = (1..=MOST).contains(&rows.len()) && (1..=MOST).contains(&columns) && rows.iter().all(|row| row.len() == columns);
    if !fits {
        return Err(GeometryError::new(format!("expected rows of equally many numbers, at most {MOST} by {MOST}")));
    }
    let values = rows.concat();
    if values.iter().any(|value| !value.is_finite() || value.abs() > 1e6) {
        return Err(GeometryError::new("every cell needs a number, not above a million"));
    }
    Ok(Maps { channels: 1, size: [rows.len(), columns], values })
}

#[derive(Deserialize)]
pub(super) struct Looked {
    #[serde(flatten)]
    which: Which,
    seed: u64,
    layer: usize,
}

/// What a layer makes of a seed.
pub(super) async fn maps(State(desk): State<Arc<Desk>>, Json(ask): Json<Looked>) -> Response {
    let work = move || -> Result<Value> {
        let asked = Ask::Maps { seed: ask.seed, layer: ask.layer, channels: 32 };
        let said = latent::with(&desk, &ask.which, |worker| worker.ask(&asked))?;
        let Said::Maps { channels, full } = said else { return Err(latent::unexpected()) };
        let channels: Vec<Value> = channels
            .into_iter()
            .filter_map(|(channel, png)| Some(json!({ "channel": channel, "picture": desk.previews.add_file(STANDARD.decode(png).ok()?) })))
            .collect();
        Ok(json!({ "channels": channels, "full": full }))
    };
    page::answer(away(work).await)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(input: &[&[f32]], kernel: &[&[f32]], stride: usize, padding: usize, more: usize) -> Result<Value, GeometryError> {
        let rows = |rows: &[&[f32]]| rows.iter().map(|row| row.to_vec()).collect();
        stamped(&Stamped { input: rows(input), kernel: rows(kernel), stride, padding, more })
    }

    #[test]
    fn stamps_add_up_where_they_overlap_and_padding_takes_the_rim() {
        // Two cells, a kernel of three, stride two: they share one column. By hand: 2·(1 2 3) and 5·(1 2 3) two to the right.
        let said = ask(&[&[2.0, 5.0]], &[&[1.0, 2.0, 3.0]], 2, 0, 0).unwrap();
        assert_eq!(said["size"], json!([1, 5]));
        let fields: Vec<&Value> = said["steps"].as_array().unwrap().iter().map(|step| &step["field"]).collect();
        assert_eq!(fields[0], &json!([0.0, 0.0, 0.0, 0.0, 0.0]));
        assert_eq!(fields[1], &json!([2.0, 4.0, 6.0, 0.0, 0.0]));
        assert_eq!(fields[2], &json!([2.0, 4.0, 11.0, 10.0, 15.0]));
        assert_eq!((&said["steps"][2]["cell"], &said["steps"][2]["at"]), (&json!([0, 1]), &json!([0, 2])));
        // Padding takes a row, too: there have to be some.
        let said = ask(&[&[1.0]], &[&[1.0, 2.0, 3.0], &[4.0, 5.0, 6.0], &[7.0, 8.0, 9.0]], 1, 1, 0).unwrap();
        assert_eq!((&said["output"], &said["first"], &said["result"]), (&json!([1, 1]), &json!([1, 1]), &json!([5.0])));
        let said = ask(&[&[1.0]], &[&[1.0, 2.0], &[3.0, 4.0]], 2, 0, 1).unwrap();
        assert_eq!((&said["output"], &said["result"]), (&json!([3, 3]), &json!([1.0, 2.0, 0.0, 3.0, 4.0, 0.0, 0.0, 0.0, 0.0])));
    }

    #[test]
    fn what_makes_no_layer_is_said() {
        let check = |said: Result<Value, GeometryError>, words: &str| assert!(said.unwrap_err().to_string().contains(words), "{words}");
        check(ask(&[&[1.0]], &[&[1.0]], 1, 1, 0), "takes everything away");
        check(ask(&[&[1.0]], &[&[1.0]], 2, 0, 2), "less than the stride");
        check(ask(&[&[1.0], &[1.0, 2.0]], &[&[1.0]], 1, 0, 0), "equally many");
        check(ask(&[&[1.0; 7]], &[&[1.0]], 1, 0, 0), "at most 6");
        check(ask(&[], &[&[1.0]], 1, 0, 0), "equally many");
        check(ask(&[&[f32::NAN]], &[&[1.0]], 1, 0, 0), "needs a number");
        check(ask(&[&[1.0]], &[&[1.0]], 99, 0, 0), "cannot be shown");
        check(ask(&[&[1.0]], &[&[1.0]], 0, 0, 0), "at least 1");
    }
}
