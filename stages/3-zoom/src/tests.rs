use std::sync::Arc;

use catgen_api::{Digest, Photo};
use catgen_picture::{Rgb, Rgba};

use super::*;

/// A picture of the size of its photo and what `zoom` is to say of it, with parameters that differ from the defaults.
struct Case<'a> {
    picture: Picture,
    photo: [u32; 2],
    set: &'a [(&'a str, Value)],
}

impl Case<'_> {
    fn of(picture: impl Into<Picture>) -> Self {
        let picture = picture.into();
        let photo = picture.size();
        Case { picture, photo, set: &[] }
    }
}

/// Runs the stage the way the engine does; answers the facts and the picture that came out.
fn check(case: &Case<'_>, window: Window) -> (Facts, Picture) {
    let mut outputs = run(case);
    let (tag, facts, made) = outputs.pop().unwrap();
    assert!(outputs.is_empty() && tag.is_empty(), "one picture becomes one picture");
    assert_eq!(facts["window"], json!(window));
    (facts, made)
}

/// Tag, facts and picture of everything that came out.
fn run(case: &Case<'_>) -> Vec<(String, Facts, Picture)> {
    let mut params = Params::defaults(KIND.params);
    for (name, value) in [("margin", json!(0))].iter().chain(case.set) {
        params.set(KIND.params, name, value).unwrap();
    }
    let stage = build(&params, &BuildContext::default()).unwrap();
    let digest = Digest::of(b"picture");
    let photo = Arc::new(Photo { path: "a.jpg".to_owned(), digest, size: case.photo });
    let [width, height] = case.picture.size();
    let item = Item { name: "a.png".to_owned(), digest, width, height, bytes: 0, photo, input: digest, facts: Facts::new() };
    let inputs = stage.item_inputs(&item);
    let Verdict::Keep(outputs) = stage.apply(&Input { digest, picture: &case.picture, inputs: &inputs }).unwrap() else {
        panic!("zoom rejects nothing")
    };
    let made = |made| match made {
        Made::Picture(picture) => picture,
        Made::Same => case.picture.clone(),
    };
    outputs.into_iter().map(|output| (output.tag, output.facts, made(output.made))).collect()
}

/// Transparent but for these boxes, each pixel with a colour of its own.
fn cut_out(width: u32, height: u32, boxes: &[Window]) -> RgbaImage {
    RgbaImage::from_fn(width, height, |x, y| {
        let inside = boxes.iter().any(|[bx, by, w, h]| (*bx..bx + w).contains(&x) && (*by..by + h).contains(&y));
        Rgba([x as u8, y as u8, 7, if inside { 255 } else { 0 }])
    })
}

/// Grey but for these boxes.
fn opaque(width: u32, height: u32, boxes: &[Window]) -> RgbImage {
    let inside = cut_out(width, height, boxes);
    RgbImage::from_fn(width, height, |x, y| Rgb([if inside.get_pixel(x, y)[3] > 0 { 190 } else { 150 }, 150, 150]))
}

#[test]
fn the_crop_is_the_subjects_box_pixel_for_pixel() {
    let picture = cut_out(100, 80, &[[30, 20, 25, 40]]);
    let (facts, made) = check(&Case::of(picture), [30, 20, 25, 40]);
    let expected = RgbaImage::from_fn(25, 40, |x, y| Rgba([x as u8 + 30, y as u8 + 20, 7, 255]));
    assert_eq!(made, Picture::Rgba(expected));
    assert_eq!(facts["subject_share"], json!(0.125));
    assert!(!facts.contains_key("no_subject"));
}

#[test]
fn what_is_only_faintly_there_is_not_subject() {
    let mut picture = cut_out(50, 50, &[[20, 20, 10, 10]]);
    for (x, alpha) in [(0, 127), (31, 128)] {
        (0..50).for_each(|y| picture.get_pixel_mut(x, y)[3] = alpha);
    }
    let set = [("max_soft", json!(1.0))];
    check(&Case { set: &set, ..Case::of(picture) }, [20, 0, 12, 50]);
}

#[test]
fn specks_are_left_out_and_pieces_of_the_subject_are_not() {
    check(&Case::of(cut_out(200, 100, &[[20, 20, 40, 50], [180, 90, 6, 6], [0, 0, 3, 1]])), [20, 20, 40, 50]);
    // Too small for a subject of its own, and a half that something stands before.
    check(&Case::of(cut_out(200, 100, &[[20, 20, 40, 50], [150, 40, 20, 20]])), [20, 20, 150, 50]);
    check(&Case::of(cut_out(200, 100, &[[20, 20, 40, 50], [62, 20, 40, 50]])), [20, 20, 82, 50]);
}

/// Two cats apart, the right one larger, with an ear of the left one reaching into the right one's crop.
fn two() -> RgbaImage {
    let mut picture = cut_out(200, 100, &[[20, 40, 40, 40], [80, 20, 60, 70]]);
    // Faint enough not to join them.
    (60..80).for_each(|x| picture.put_pixel(x, 50, Rgba([9, 9, 9, 60])));
    picture
}

#[test]
fn of_several_subjects_the_largest_is_kept() {
    let set = [("margin", json!(0.5))];
    let (facts, made) = check(&Case { set: &set, ..Case::of(two()) }, [45, 0, 130, 100]);
    assert_eq!((&facts["subjects"], &facts["subject_share"]), (&json!(2), &json!(0.21)));
    let Picture::Rgba(made) = made else { panic!("alpha was lost") };
    assert_eq!(made.get_pixel(50 - 45, 60)[3], 0, "the other cat is not in the picture");
    assert_eq!((made.get_pixel(65 - 45, 50)[3], made.get_pixel(75 - 45, 50)[3]), (0, 60), "its haze goes with it, ours stays");
    assert_eq!(made.get_pixel(100 - 45, 60), two().get_pixel(100, 60));
}

#[test]
fn or_each_subject_becomes_a_picture() {
    let set = [("one_per_subject", json!(true))];
    let outputs = run(&Case { set: &set, ..Case::of(two()) });
    let told: Vec<_> = outputs.iter().map(|(tag, facts, made)| (tag.as_str(), facts["window"].clone(), made.size())).collect();
    assert_eq!(told, [("1", json!([80, 20, 60, 70]), [60, 70]), ("2", json!([20, 40, 40, 40]), [40, 40])]);
    // One subject keeps its name.
    check(&Case { set: &set, ..Case::of(cut_out(100, 80, &[[30, 20, 25, 40]])) }, [30, 20, 25, 40]);
}

#[test]
fn subjects_of_an_opaque_picture_are_told_apart_without_touching_a_pixel() {
    let picture = opaque(200, 100, &[[20, 40, 40, 40], [80, 20, 60, 70]]);
    let set = [("margin", json!(0.5))];
    let (facts, made) = check(&Case { set: &set, ..Case::of(picture.clone()) }, [45, 0, 130, 100]);
    let Picture::Rgb(made) = made else { panic!("alpha was made up") };
    assert_eq!((&facts["subjects"], made.get_pixel(5, 60)), (&json!(2), picture.get_pixel(50, 60)));
}

#[test]
fn a_cut_out_that_is_unsure_of_itself_goes_on_whole_and_says_so() {
    let mut picture = cut_out(100, 80, &[[30, 20, 40, 40]]);
    picture.pixels_mut().filter(|pixel| pixel[3] > 0).enumerate().for_each(|(at, pixel)| pixel[3] = if at % 2 == 0 { 150 } else { 255 });
    let (facts, made) = check(&Case::of(picture.clone()), [0, 0, 100, 80]);
    assert_eq!((&facts["unsure"], made), (&json!(true), Picture::Rgba(picture.clone())));
    let set = [("max_soft", json!(1.0))];
    let (facts, _) = check(&Case { set: &set, ..Case::of(picture) }, [30, 20, 40, 40]);
    assert!(!facts.contains_key("unsure"));
}

#[test]
fn the_margin_is_a_share_of_the_longer_side_and_ends_with_the_frame() {
    let set = [("margin", json!(0.1))];
    let case = |boxes: &[Window]| Case { set: &set, ..Case::of(cut_out(200, 100, boxes)) };
    check(&case(&[[60, 30, 60, 20]]), [54, 24, 72, 32]);
    check(&case(&[[2, 30, 60, 68]]), [0, 23, 69, 77]);
}

#[test]
fn a_square_grows_around_the_subject_and_moves_where_the_frame_is_in_the_way() {
    let set = [("square", json!(true))];
    let case = |boxes: &[Window]| Case { set: &set, ..Case::of(cut_out(200, 100, boxes)) };
    check(&case(&[[60, 40, 40, 20]]), [60, 30, 40, 40]);
    check(&case(&[[0, 10, 10, 80]]), [0, 10, 80, 80]);
    check(&case(&[[195, 10, 5, 80]]), [120, 10, 80, 80]);
    check(&case(&[[10, 40, 150, 10]]), [10, 0, 150, 100]);
}

#[test]
fn an_opaque_picture_is_cropped_to_what_differs_from_its_border() {
    for picture in [
        Picture::Rgb(opaque(100, 80, &[[30, 20, 25, 40]])),
        Picture::Rgba(Picture::from(opaque(100, 80, &[[30, 20, 25, 40]])).to_rgba().into_owned()),
    ] {
        let (_, made) = check(&Case::of(picture.clone()), [30, 20, 25, 40]);
        assert_eq!(made.has_alpha(), picture.has_alpha());
    }
    // A time stamp in the corner, and a subject that touches the edge, leave the border's colour what it is.
    check(&Case::of(opaque(100, 80, &[[0, 0, 3, 3], [40, 0, 30, 60]])), [40, 0, 30, 60]);
    let mut stamped = opaque(100, 80, &[[30, 20, 25, 40]]);
    [(0, 0), (1, 0), (0, 1)].iter().for_each(|(x, y)| stamped.put_pixel(*x, *y, Rgb([0; 3])));
    check(&Case::of(stamped), [30, 20, 25, 40]);
    let set = [("colour_threshold", json!(40))];
    check(&Case { set: &set, ..Case::of(opaque(100, 80, &[[30, 20, 25, 40]])) }, [0, 0, 100, 80]);
}

#[test]
fn a_picture_without_a_subject_goes_on_whole_and_says_so() {
    for picture in [Picture::from(cut_out(100, 80, &[])), cut_out(100, 80, &[[50, 50, 6, 6]]).into(), opaque(100, 80, &[]).into()] {
        let (facts, made) = check(&Case::of(picture.clone()), [0, 0, 100, 80]);
        assert_eq!((&facts["no_subject"], made), (&json!(true), picture));
    }
}

#[test]
fn the_window_is_told_in_pixels_of_the_photo() {
    let case = Case { photo: [401, 320], ..Case::of(cut_out(100, 80, &[[30, 20, 25, 40]])) };
    check(&case, [120, 80, 101, 160]);
    let case = Case { photo: [401, 320], ..Case::of(cut_out(100, 80, &[[0, 0, 100, 80]])) };
    check(&case, [0, 0, 401, 320]);
}

#[test]
fn the_key_holds_the_photos_size() {
    // Two photos may shrink to the same pixels: their windows differ all the same.
    let stage = build(&Params::defaults(KIND.params), &BuildContext::default()).unwrap();
    let picture = Picture::from(cut_out(10, 10, &[]));
    let error = stage.apply(&Input { digest: Digest::of(b""), picture: &picture, inputs: &[] }).unwrap_err();
    assert!(error.to_string().contains("photo_size"), "{error}");
}
