//! What is flagged, do flags agree with what an owner threw away, and does the verdict depend on a photo's size?
//!
//! ```text
//! cargo build --release && cargo run --release -p catgen-verify --example evaluate_verify
//! ```
//!
//! Runs the shipped flow over the shared photos (minutes the first time; what it made is kept below `target` for the next). Rows come out
//! separated by tabs: stage, data set, metric, ours, reference. `photos.csv` says which photos their owners put aside; they did so for
//! reasons of their own (a cat looking away), so agreement is a hint and no score to reach. Every fourth photo is also judged opaque, at
//! 1024, 512 and 256 pixels, and blurred on purpose.
#![expect(clippy::print_stdout, reason = "printing is what it is for")]

#[path = "../../3-zoom/examples/flow/mod.rs"]
mod flow;

use std::{
    collections::{BTreeMap, HashMap},
    error::Error,
    fs,
};

use catgen_api::{BuildContext, Digest, Facts, Input, ItemStage, Params, Picture, Verdict};
use catgen_picture::{Filter, resize};
use catgen_verify::{KIND, build};
use serde_json::Value;

const DATA: &str = "cats-personal";

fn main() -> Result<(), Box<dyn Error>> {
    let Some(flow) = flow::Flow::run()? else { return Ok(()) };
    let row = |metric: &str, ours: f64, reference: &str| println!("verify\t{DATA}\t{metric}\t{ours:.4}\t{reference}");
    let mut flagged: HashMap<String, Vec<String>> = HashMap::new();
    let items = flow.items("4.Verified")?;
    for item in &items {
        let flags = item["facts"]["flags"].as_array().ok_or("a picture without flags")?;
        let flags = flags.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        flagged.insert(item["photo"].as_str().unwrap_or_default().to_owned(), flags);
    }
    let mut counts = BTreeMap::<&str, usize>::new();
    flagged.values().flatten().for_each(|flag| *counts.entry(flag).or_default() += 1);
    row("pictures", flagged.len() as f64, "-");
    row("pictures with a flag", flagged.values().filter(|flags| !flags.is_empty()).count() as f64, "-");
    counts.iter().for_each(|(flag, count)| row(&format!("flagged {flag}"), *count as f64, "-"));

    // file,cat,width,height,bytes,owner_discarded
    let (mut agreed, mut marked, mut discarded, mut all) = (0.0, 0.0, 0.0, 0.0);
    let text = fs::read_to_string(flow.shared.join("data/photos/photos.csv"))?;
    for line in text.lines().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        let Some(flags) = flagged.get(cells[0]) else { continue };
        let (is_marked, is_discarded) = (!flags.is_empty(), cells.last() == Some(&"1"));
        all += 1.0;
        marked += f64::from(u8::from(is_marked));
        discarded += f64::from(u8::from(is_discarded));
        agreed += f64::from(u8::from(is_marked && is_discarded));
    }
    row(
        "flagged among those the owner put aside (by chance: the reference)",
        agreed / f64::max(discarded, 1.0),
        &format!("{:.4}", marked / f64::max(all, 1.0)),
    );

    let stage = build(&Params::defaults(KIND.params), &BuildContext::default())?;
    let is_blurred = |picture: &Picture| -> Result<bool, Box<dyn Error>> {
        Ok(facts(&*stage, picture)?["flags"].as_array().is_some_and(|flags| flags.iter().any(|flag| flag == "blurred")))
    };
    let (mut same, mut caught, mut sharp, mut judged) = (0.0, 0.0, 0.0, 0.0);
    for photo in flow.items("0.ORIGINAL")?.iter().step_by(4) {
        let bytes = fs::read(photo["path"].as_str().unwrap_or_default())?;
        let large = catgen_picture::decode(&bytes, Some(1024))?.picture;
        let [width, height] = large.size();
        let at = |share: f64| resize(&large, (f64::from(width) * share) as u32, (f64::from(height) * share) as u32, Filter::Lanczos);
        let verdict = is_blurred(&large)?;
        judged += 1.0;
        same += f64::from(u8::from(is_blurred(&at(0.5))? == verdict && is_blurred(&at(0.25))? == verdict));
        if !verdict {
            sharp += 1.0;
            // Detail of less than a twentieth of the picture taken out: nobody would call that sharp.
            let blurred = resize(&at(0.02), width, height, Filter::Bilinear);
            caught += f64::from(u8::from(is_blurred(&blurred)?));
        }
    }
    row("same verdict on blur at full, half and quarter size", same / f64::max(judged, 1.0), "-");
    row("sharp photos that are flagged once blurred", caught / f64::max(sharp, 1.0), "-");
    Ok(())
}

fn facts(stage: &dyn ItemStage, picture: &Picture) -> Result<Facts, Box<dyn Error>> {
    match stage.apply(&Input { digest: Digest::of(b""), picture, inputs: &[] })? {
        Verdict::Keep(outputs) => Ok(outputs.into_iter().next().ok_or("verify puts out one picture")?.facts),
        Verdict::Reject(reason) => Err(reason.text.into()),
    }
}
