use std::{fs, path::Path, sync::Arc};

use catgen_api::{Digest, Facts, Photo, Picture};
use catgen_picture::{Rgb, RgbImage, Rgba, RgbaImage};
use serde_json::Value;

use super::*;
use crate::decisions::{Decision, append, load};

/// A picture, what stands in the workspace about it, and parameters that differ from the defaults.
#[derive(Clone)]
struct Case<'a> {
    picture: Picture,
    workspace: &'a Path,
    facts: Facts,
    set: &'a [(&'a str, Value)],
}

impl Case<'_> {
    fn of(picture: impl Into<Picture>) -> Self {
        Case { picture: picture.into(), workspace: Path::new("/nowhere"), facts: Facts::new(), set: &[] }
    }

    fn stage(&self) -> Result<Box<dyn ItemStage>, StageError> {
        let mut params = Params::defaults(KIND.params);
        for (name, value) in self.set {
            params.set(KIND.params, name, value).unwrap();
        }
        build(&params, &BuildContext { workspace: self.workspace.to_owned(), ..BuildContext::default() })
    }

    fn item(&self) -> Item {
        let [width, height] = self.picture.size();
        let photo = Arc::new(Photo { path: "a.jpg".to_owned(), digest: photo(), size: [width, height] });
        Item { name: "a.png".to_owned(), digest: item(), width, height, bytes: 0, photo, input: item(), facts: self.facts.clone() }
    }

    /// Runs the stage the way the engine does: the facts of what goes on, or kind and reason of what does not.
    fn verdict(&self) -> Result<Facts, (String, String)> {
        let stage = self.stage().unwrap();
        let inputs = stage.item_inputs(&self.item());
        match stage.apply(&Input { digest: item(), picture: &self.picture, inputs: &inputs }).unwrap() {
            Verdict::Reject(reason) => Err((reason.kind.to_string(), reason.text)),
            Verdict::Keep(mut outputs) => {
                let output = outputs.pop().unwrap();
                assert!(outputs.is_empty() && output.tag.is_empty() && matches!(output.made, Made::Same), "it goes on unchanged");
                Ok(output.facts)
            }
        }
    }
}

/// Asks for these flags and no other; answers the facts.
fn check(case: &Case<'_>, flags: &[&str]) -> Facts {
    let facts = case.verdict().unwrap();
    assert_eq!(facts["flags"], json!(flags), "{facts:?}");
    assert_eq!(facts.get("flag_text").map_or(0, |texts| texts.as_array().unwrap().len()), flags.len());
    facts
}

fn item() -> Digest {
    Digest::of(b"item")
}

fn photo() -> Digest {
    Digest::of(b"photo")
}

/// A sharp pattern of these two greys.
fn fur(x: u32, y: u32, [dark, light]: [u8; 2]) -> [u8; 3] {
    [if (x / 4 + y / 4).is_multiple_of(2) { dark } else { light }; 3]
}

/// A furry ellipse of that many pixels to both sides of a centre; everything else is transparent.
fn cat(width: u32, height: u32, [cx, cy, rx, ry]: [f64; 4], greys: [u8; 2]) -> RgbaImage {
    RgbaImage::from_fn(width, height, |x, y| {
        let inside = ((f64::from(x) - cx) / rx).powi(2) + ((f64::from(y) - cy) / ry).powi(2) < 1.0;
        let [r, g, b] = fur(x, y, greys);
        if inside { Rgba([r, g, b, 255]) } else { Rgba([0; 4]) }
    })
}

fn good() -> RgbaImage {
    cat(300, 240, [150.0, 120.0, 120.0, 100.0], [60, 180])
}

#[test]
fn a_good_picture_has_no_flags() {
    let facts = check(&Case::of(good()), &[]);
    let share = facts["subject_share"].as_f64().unwrap();
    assert!((share - std::f64::consts::PI * 120.0 * 100.0 / (300.0 * 240.0)).abs() < 0.005, "{share}");
    assert_eq!((&facts["short_side"], &facts["edge_share"]), (&json!(240), &json!(0.0)));
    check(&Case::of(RgbImage::from_fn(300, 240, |x, y| Rgb(fur(x, y, [60, 180])))), &[]);
}

#[test]
fn every_doubt_has_its_flag() {
    check(&Case::of(cat(300, 240, [150.0, 120.0, 20.0, 15.0], [60, 180])), &["no_subject"]);
    let mut ghost = good();
    ghost.pixels_mut().filter(|pixel| pixel[3] > 0).enumerate().for_each(|(at, pixel)| pixel[3] = if at % 5 < 3 { 150 } else { 220 });
    check(&Case::of(ghost), &["unsure"]);
    check(&Case::of(cat(300, 240, [150.0, 240.0, 140.0, 200.0], [60, 180])), &["cut_off"]);
    check(&Case::of(cat(100, 60, [50.0, 30.0, 45.0, 28.0], [60, 180])), &["too_small"]);
    check(&Case::of(cat(300, 240, [150.0, 120.0, 120.0, 100.0], [118, 122])), &["blurred"]);
    check(&Case::of(cat(300, 240, [150.0, 120.0, 120.0, 100.0], [3, 40])), &["too_dark"]);
    check(&Case::of(cat(300, 240, [150.0, 120.0, 120.0, 100.0], [205, 252])), &["too_bright"]);
}

#[test]
fn a_tip_of_the_ear_at_the_edge_is_not_cut_off() {
    let facts = check(&Case::of(cat(300, 240, [150.0, 101.0, 120.0, 103.0], [60, 180])), &[]);
    assert!(facts["edge_share"].as_f64().unwrap() > 0.0);
}

#[test]
fn a_soft_outline_is_not_unsure() {
    let mut picture = good();
    // Every third row of the outline's box fades, as fur does.
    picture.enumerate_pixels_mut().filter(|(_, y, pixel)| y.is_multiple_of(3) && pixel[3] > 0).for_each(|(_, _, pixel)| pixel[3] = 120);
    let facts = Case::of(picture).verdict().unwrap();
    assert!((facts["soft_share"].as_f64().unwrap() - 1.0 / 3.0).abs() < 0.01, "{facts:?}");
    assert!(!facts["flags"].as_array().unwrap().contains(&json!("unsure")), "{facts:?}");
}

#[test]
fn the_cut_outs_own_edge_does_not_make_it_sharp() {
    // A flat subject with a hard outline, on black that nobody sees.
    check(&Case::of(cat(300, 240, [150.0, 120.0, 120.0, 100.0], [150, 150])), &["blurred"]);
}

#[test]
fn sharpness_does_not_depend_on_the_photos_size() {
    let of = |scale: u32| {
        let wave = |at: u32| (f64::from(at) / f64::from(scale)).sin();
        let image = RgbaImage::from_fn(256 * scale, 200 * scale, |x, y| {
            let grey = (128.0 + 60.0 * wave(x) * wave(y)) as u8;
            Rgba([grey, grey, grey, 255])
        });
        Measured::of(&image.into()).sharpness.unwrap()
    };
    let (small, large) = (of(1), of(4));
    assert!((small / large - 1.0).abs() < 0.1, "{small} {large}");
}

#[test]
fn an_opaque_picture_is_without_subject_where_zoom_said_so() {
    let picture = RgbImage::from_fn(300, 240, |x, y| Rgb(fur(x, y, [60, 180])));
    let mut case = Case::of(picture);
    case.facts.insert("no_subject".to_owned(), json!(true));
    check(&case, &["no_subject"]);
    assert_eq!(case.stage().unwrap().item_inputs(&case.item()).len(), 1, "what changes the answer is in the key");
}

#[test]
fn checks_can_be_switched_off() {
    let set = [("checks", json!(["too_small"]))];
    check(&Case { set: &set, ..Case::of(cat(300, 240, [150.0, 120.0, 120.0, 100.0], [3, 40])) }, &[]);
}

#[test]
fn flagged_pictures_wait_where_they_are_told_to() {
    let set = [("pending", json!("hold"))];
    let (kind, text) = Case { set: &set, ..Case::of(cat(300, 240, [150.0, 120.0, 120.0, 100.0], [3, 40])) }.verdict().unwrap_err();
    assert_eq!(kind, "held");
    assert!(text.contains("(too_dark)") && text.contains("very dark") && text.contains("catgen-pipe verify"), "{text}");
    check(&Case { set: &set, ..Case::of(good()) }, &[]);
}

fn decided(digest: Digest, decision: Choice) -> Decision {
    Decision { digest, decision, who: "ada".to_owned(), when: "2026-03-01T10:00:00Z".to_owned() }
}

/// The verdict on a dark picture that would be held, after these decisions.
fn after(decisions: &[Decision]) -> Result<Facts, (String, String)> {
    let folder = tempfile::tempdir().unwrap();
    for decision in decisions {
        append(&folder.path().join("data/decisions.jsonl"), std::slice::from_ref(decision)).unwrap();
    }
    let set = [("pending", json!("hold"))];
    Case { set: &set, workspace: folder.path(), ..Case::of(cat(300, 240, [150.0, 120.0, 120.0, 100.0], [3, 40])) }.verdict()
}

#[test]
fn a_decision_overrules_the_flags_either_way() {
    let facts = after(&[decided(item(), Choice::Accept)]).unwrap();
    assert_eq!((&facts["decision"], &facts["flags"]), (&json!("accept"), &json!(["too_dark"])));
    assert_eq!(after(&[decided(item(), Choice::Reject)]).unwrap_err().0, "decision");
    assert_eq!(after(&[decided(Digest::of(b"another"), Choice::Reject)]).unwrap_err().0, "held");
}

#[test]
fn the_last_word_counts_and_the_items_own_counts_more_than_its_photos() {
    assert!(after(&[decided(item(), Choice::Reject), decided(item(), Choice::Accept)]).is_ok());
    assert!(after(&[decided(photo(), Choice::Accept)]).is_ok());
    assert!(after(&[decided(item(), Choice::Accept), decided(photo(), Choice::Reject)]).is_ok());
    assert_eq!(after(&[decided(item(), Choice::Accept), decided(item(), Choice::Undo)]).unwrap_err().0, "held");
    assert!(after(&[decided(photo(), Choice::Accept), decided(item(), Choice::Reject), decided(item(), Choice::Undo)]).is_ok());
}

#[test]
fn a_decision_touches_only_its_own_items_key() {
    let folder = tempfile::tempdir().unwrap();
    append(&folder.path().join("data/decisions.jsonl"), &[decided(item(), Choice::Accept)]).unwrap();
    let case = Case { workspace: folder.path(), ..Case::of(good()) };
    let stage = case.stage().unwrap();
    assert_eq!(stage.item_inputs(&case.item()), [KeyInput { name: "decision".to_owned(), value: "accept".to_owned() }]);
    assert_eq!(stage.item_inputs(&Item { digest: Digest::of(b"another"), ..case.item() }), []);
    assert_eq!(stage.key_inputs(), []);
}

#[test]
fn a_line_that_is_no_decision_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data/decisions.jsonl");
    append(&path, &[decided(item(), Choice::Accept)]).unwrap();
    let good = fs::read_to_string(&path).unwrap();
    for bad in [
        "{\"digest\":\"",
        "accept",
        &good.replace("accept", "maybe"),
        &good.replace("who", "hwo"),
        &good.replace("digest\":\"", "digest\":\"x"),
    ] {
        fs::write(&path, format!("{good}\r\n\n{}\n{good}", bad.trim_end())).unwrap();
        let Err(error) = (Case { workspace: folder.path(), ..Case::of(RgbImage::new(9, 9)) }).stage() else { panic!("{bad} was accepted") };
        assert!(error.to_string().contains("decisions.jsonl, line 4: this is not a decision: "), "{error}");
    }
}

#[test]
fn decisions_survive_an_editor_that_leaves_the_last_newline_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("decisions.jsonl");
    fs::write(&path, format!("{{\"digest\":\"{}\",\"decision\":\"accept\"}}", item())).unwrap();
    append(&path, &[decided(photo(), Choice::Reject)]).unwrap();
    let decisions = load(&path).unwrap();
    assert_eq!(decisions.iter().count(), 2);
    assert_eq!(decisions.get(&photo()), Some(&decided(photo(), Choice::Reject)));
    assert_eq!(load(&folder.path().join("none.jsonl")).unwrap(), Decisions::default());
}
