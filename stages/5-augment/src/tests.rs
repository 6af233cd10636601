use std::collections::HashSet;

use catgen_api::Digest;
use catgen_picture::{Picture, Rgb, RgbImage, Rgba, RgbaImage};

use super::*;

/// Every colour of a coarse cube and a soft edge, so that clamping happens at both ends.
fn picture(width: u32, height: u32, alpha: bool) -> Picture {
    let mut draw = Draw::new(1, "picture", &Digest::of(b""), 0);
    let image = RgbaImage::from_fn(width, height, |x, _| {
        let [r, g, b, _] = draw.bits().to_le_bytes()[..4] else { unreachable!() };
        Rgba([r, g, b, (x * 255 / width.max(1)) as u8])
    });
    if alpha { Picture::Rgba(image) } else { Picture::Rgb(Picture::Rgba(image).over(Rgb([255, 200, 0])).into_owned()) }
}

fn stage(parameters: &[(&str, serde_json::Value)], seed: u64) -> Box<dyn ItemStage> {
    let mut params = Params::defaults(KIND.params);
    for (name, value) in parameters {
        params.set(KIND.params, name, value).unwrap();
    }
    build(&params, &BuildContext { seed, ..BuildContext::default() }).unwrap()
}

fn outputs(parameters: &[(&str, serde_json::Value)], seed: u64, content: &[u8], picture: &Picture) -> Vec<Output> {
    let stage = stage(parameters, seed);
    let verdict = stage.apply(&Input { digest: Digest::of(content), picture, inputs: &[] }).unwrap();
    let Verdict::Keep(outputs) = verdict else { panic!("rejected") };
    assert_eq!(outputs.len(), stage.fan_out());
    assert_eq!(outputs.iter().map(|output| &output.tag).collect::<HashSet<_>>().len(), outputs.len(), "tags are unique");
    outputs
}

fn pixels(output: &Output) -> &Picture {
    match &output.made {
        Made::Picture(picture) => picture,
        Made::Same => panic!("augment always makes pixels"),
    }
}

/// Red, green, blue and alpha, not rounded.
type Pixel = [f64; 4];

/// The definitions, pixel by pixel in floats, slow and plain, with width and height: only posterising rounds.
fn by_definition(picture: &Picture, steps: &[Step]) -> (Vec<Pixel>, [u32; 2]) {
    let rgba = picture.to_rgba();
    let (mut width, mut height) = rgba.dimensions();
    let mut pixels: Vec<Pixel> = rgba.pixels().map(|pixel| pixel.0.map(f64::from)).collect();
    let grey = |pixel: &Pixel| 0.2989 * pixel[0] + 0.587 * pixel[1] + 0.114 * pixel[2];
    for step in steps {
        let visible: f64 = pixels.iter().map(|pixel| pixel[3]).sum();
        let mean = pixels.iter().map(|pixel| pixel[3] * grey(pixel)).sum::<f64>() / visible;
        let colours = |pixels: &[Pixel], change: &dyn Fn(f64, &Pixel) -> f64| -> Vec<Pixel> {
            pixels.iter().map(|pixel| [change(pixel[0], pixel), change(pixel[1], pixel), change(pixel[2], pixel), pixel[3]]).collect()
        };
        pixels = match *step {
            Step::Flip => pixels.chunks(width as usize).flat_map(|row| row.iter().rev().copied()).collect(),
            Step::Brightness(factor) => colours(&pixels, &|value, _| value * factor),
            Step::Contrast(factor) => colours(&pixels, &|value, _| value * factor + mean * (1.0 - factor)),
            Step::Saturation(factor) => colours(&pixels, &|value, pixel| value * factor + grey(pixel) * (1.0 - factor)),
            Step::Posterise(bits) => {
                colours(&pixels, &|value, _| f64::from((value.round().clamp(0.0, 255.0) as u32) >> (8 - bits) << (8 - bits)))
            }
            Step::Crop { size, left, top } => {
                let (w, h) = ((f64::from(width) * size).round() as u32, (f64::from(height) * size).round() as u32);
                let x0 = (f64::from(width - w) * left).round() as u32;
                let y0 = (f64::from(height - h) * top).round() as u32;
                let cut = (0..w * h).map(|at| pixels[((y0 + at / w) * width + x0 + at % w) as usize]).collect();
                (width, height) = (w, h);
                cut
            }
        };
    }
    (pixels, [width, height])
}

/// The nearest whole numbers to the definitions; of a number in the very middle of two, either.
fn check(picture: &Picture, steps: &[Step]) {
    let made = Mip::new(picture).after(steps);
    let (expected, size) = by_definition(picture, steps);
    assert_eq!((made.size(), made.has_alpha()), (size, picture.has_alpha()), "{steps:?}");
    for (ours, exact) in made.to_rgba().pixels().zip(expected) {
        for (ours, exact) in ours.0.iter().zip(exact) {
            assert!((f64::from(*ours) - exact.clamp(0.0, 255.0)).abs() <= 0.5001, "{steps:?}: {ours} is not {exact}");
        }
    }
}

#[test]
fn folded_steps_are_the_definitions_one_after_the_other() {
    use Step::{Brightness, Contrast, Crop, Flip, Posterise, Saturation};
    let crop = Crop { size: 0.75, left: 0.3, top: 1.0 };
    let chains: &[&[Step]] = &[
        &[],
        &[Flip],
        &[crop],
        &[Brightness(1.4)],
        &[Brightness(0.7)],
        &[Contrast(1.3)],
        &[Contrast(0.0)],
        &[Saturation(1.7)],
        &[Saturation(0.0)],
        &[Posterise(5)],
        &[Posterise(1), Posterise(8)],
        // Nothing is clamped in between.
        &[Brightness(1.4), Brightness(0.7)],
        &[Flip, Brightness(1.31), Brightness(0.77), Contrast(1.21), Saturation(1.63), Posterise(5)],
        &[Posterise(3), Saturation(0.4), Contrast(0.8), crop, Contrast(1.29), Brightness(1.2), Flip, crop],
    ];
    for alpha in [false, true] {
        let picture = picture(46, 34, alpha);
        for steps in chains {
            check(&picture, steps);
        }
    }
}

/// The definitions themselves, on numbers worked out by hand.
#[test]
fn colours_are_the_numbers_worked_out_by_hand() {
    let check = |steps: &[Step], from: [[u8; 3]; 2], to: [[u8; 3]; 2]| {
        let image = RgbImage::from_raw(2, 1, from.concat()).unwrap();
        let expected = Picture::Rgb(RgbImage::from_raw(2, 1, to.concat()).unwrap());
        assert_eq!(Mip::new(&Picture::Rgb(image)).after(steps), expected, "{steps:?}");
    };
    let from = [[200, 100, 50], [10, 20, 255]];
    check(&[Step::Brightness(1.4)], from, [[255, 140, 70], [14, 28, 255]]);
    check(&[Step::Brightness(0.7)], from, [[140, 70, 35], [7, 14, 179]]);
    // Grey 124.18 and 43.799, mean 83.9895: that + 0.5 · (value − that).
    check(&[Step::Contrast(0.5)], from, [[142, 92, 67], [47, 52, 169]]);
    // 124.18 + 0.5 · (value − 124.18), and so on.
    check(&[Step::Saturation(0.5)], from, [[162, 112, 87], [27, 32, 149]]);
    check(&[Step::Saturation(2.0)], from, [[255, 76, 0], [0, 0, 255]]);
    check(&[Step::Posterise(5)], from, [[200, 96, 48], [8, 16, 248]]);
    check(&[Step::Flip], from, [[10, 20, 255], [200, 100, 50]]);
    // Where torchvision would clamp 200 · 1.4 to 255 and make 179 of it, the highlight comes back.
    check(&[Step::Brightness(1.4), Step::Brightness(0.7)], from, [[196, 98, 49], [10, 20, 250]]);
}

#[test]
fn contrast_pivots_on_the_subject_and_never_touches_alpha() {
    // A grey subject on transparent black: by its own mean it has no contrast to change.
    let image = RgbaImage::from_fn(8, 8, |x, _| if x < 4 { Rgba([115, 115, 115, 255]) } else { Rgba([0, 0, 0, 0]) });
    let Picture::Rgba(after) = Mip::new(&Picture::Rgba(image)).after(&[Step::Contrast(0.5), Step::Brightness(1.0)]) else {
        panic!("alpha was lost")
    };
    assert_eq!((after.get_pixel(0, 0).0, after.get_pixel(7, 0).0[3]), ([115, 115, 115, 255], 0));

    let picture = picture(40, 30, true);
    for output in outputs(&[("max_side", 0.into())], 7, b"", &picture) {
        let mut alpha = picture.alpha().unwrap().into_raw();
        if output.tag.contains("Flip_Hor") {
            alpha.chunks_mut(40).for_each(<[u8]>::reverse);
        }
        assert_eq!(pixels(&output).alpha().unwrap().into_raw(), alpha, "{}", output.tag);
    }
    // Nothing visible at all must not divide by zero.
    let empty = Picture::Rgba(RgbaImage::new(2, 2));
    assert_eq!(Mip::new(&empty).after(&[Step::Contrast(0.5)]), empty);
}

#[test]
fn the_powerset_is_every_subset_in_the_lists_order() {
    let picture = picture(64, 48, false);
    let all = outputs(&[], 7439, b"cat", &picture);
    assert_eq!(all.len(), 64);
    for (k, tag) in [
        (0, "00_No_Trans"),
        (1, "01_Flip_Hor"),
        (5, "05_Flip_Hor-Bright_Dim"),
        (63, "63_Flip_Hor-Bright_Light-Bright_Dim-Contrast-Satur-Post"),
    ] {
        assert_eq!(all[k].tag, tag);
    }
    assert_eq!(pixels(&all[0]), &picture);
    assert_eq!(all[0].facts["transforms"], serde_json::json!([]));

    // The list's order is the order of the work, and facts repeat it exactly.
    let reversed = outputs(&[("transforms", serde_json::json!(["Post", "Contrast", "Flip_Hor"]))], 7439, b"cat", &picture);
    assert_eq!(reversed.len(), 8);
    assert_eq!(reversed[7].tag, "07_Post-Contrast-Flip_Hor");
    let facts = &reversed[7].facts["transforms"];
    let factor = facts[1][1].as_f64().unwrap();
    assert_eq!(*facts, serde_json::json!([["Post", 5], ["Contrast", factor], ["Flip_Hor"]]));
    let steps = [Step::Posterise(5), Step::Contrast(factor), Step::Flip];
    assert_eq!(pixels(&reversed[7]), &Mip::new(&picture).after(&steps));
    check(&picture, &steps);

    let seven = outputs(&[("transforms", serde_json::json!(NAMES))], 7439, b"cat", &picture);
    assert_eq!((seven.len(), seven[3].tag.as_str()), (128, "003_Flip_Hor-Bright_Light"));
}

#[test]
fn each_and_random_make_what_they_say() {
    let picture = picture(64, 48, false);
    let each = outputs(&[("combine", "each".into())], 7439, b"cat", &picture);
    let tags: Vec<&str> = each.iter().map(|output| output.tag.as_str()).collect();
    assert_eq!(tags, ["00_No_Trans", "01_Flip_Hor", "02_Bright_Light", "03_Bright_Dim", "04_Contrast", "05_Satur", "06_Post"]);

    let random = outputs(&[("combine", "random".into()), ("copies", 200.into())], 7439, b"cat", &picture);
    assert!(random[7].tag.starts_with("007_"));
    let flipped = random.iter().filter(|output| output.tag.contains("Flip_Hor")).count();
    assert!((70..130).contains(&flipped), "half of 200 are flipped: {flipped}");
    // More copies leave the first ones as they are.
    let fewer = outputs(&[("combine", "random".into()), ("copies", 120.into())], 7439, b"cat", &picture);
    assert!(fewer.iter().zip(&random).all(|(a, b)| a.tag == b.tag && pixels(a) == pixels(b)));
}

#[test]
fn an_output_depends_on_seed_content_and_number_alone() {
    let picture = picture(64, 48, false);
    let facts = |seed, content: &[u8]| outputs(&[], seed, content, &picture).into_iter().map(|output| output.facts).collect::<Vec<_>>();
    let base = facts(1, b"a");
    assert_eq!(base, facts(1, b"a"));
    for other in [facts(2, b"a"), facts(1, b"b")] {
        assert!(base.iter().zip(&other).skip(2).filter(|(a, b)| a == b).count() < 4, "only flips and posterising have no value");
    }
    // The factor of one transform differs between outputs of a photo.
    assert_ne!(base[2]["transforms"][0], base[6]["transforms"][0]);
}

#[test]
fn values_stay_within_their_ranges() {
    let picture = picture(40, 30, false);
    let parameters = [
        ("transforms", serde_json::json!(NAMES)),
        ("combine", "random".into()),
        ("copies", 300.into()),
        ("satur", serde_json::json!([0.5, 0.5])),
        ("crop_size", serde_json::json!([0.5, 0.8])),
    ];
    let mut seen = HashSet::new();
    for output in outputs(&parameters, 3, b"x", &picture) {
        let mut width = 40;
        for transform in output.facts["transforms"].as_array().unwrap() {
            let name = transform[0].as_str().unwrap();
            let (low, high) = match name {
                "Bright_Light" => (1.0, 1.4),
                "Bright_Dim" => (0.7, 1.0),
                "Contrast" => (0.7, 1.3),
                "Satur" => (0.5, 0.5),
                "Post" => (5.0, 5.0),
                "Crop_Random" => (0.5, 0.8),
                _ => continue,
            };
            let value = transform[1].as_f64().unwrap();
            assert!((low..=high).contains(&value), "{transform}");
            seen.insert(format!("{name} {}", value > (low + high) / 2.0));
            if name == "Crop_Random" {
                width = (40.0 * value).round() as u32;
            }
        }
        assert_eq!(pixels(&output).width(), width, "{}", output.tag);
    }
    assert_eq!(seen.len(), 10, "both halves of every range: {seen:?}");
}

#[test]
fn pictures_are_made_small_first_and_only_then() {
    let size = |max_side: u32, picture: &Picture| {
        let parameters = [("max_side", max_side.into()), ("transforms", serde_json::json!([]))];
        assert_eq!(stage(&parameters, 0).working_side(), (max_side > 0).then_some(max_side));
        pixels(&outputs(&parameters, 0, b"", picture)[0]).size()
    };
    assert_eq!(size(128, &picture(400, 300, true)), [128, 96]);
    assert_eq!(size(128, &picture(100, 120, false)), [100, 120]);
    assert_eq!(size(0, &picture(400, 300, false)), [400, 300]);
    assert_eq!(size(8, &picture(400, 2, false)), [8, 1]);
}

/// Each output alone, from the last to the first, on threads that take turns: the same bytes as all of them in a row.
#[test]
fn an_output_is_the_same_alone_in_any_order_and_on_any_thread() {
    let mut params = Params::defaults(KIND.params);
    params.set(KIND.params, "transforms", &serde_json::json!(NAMES)).unwrap();
    let stage = Augment { options: params.read(), ranges: params.read(), seed: 7439 };
    let (picture, photo) = (picture(60, 44, true), Digest::of(b"cat"));
    let print = |output: &Output| (output.tag.clone(), pixels(output).clone(), output.facts.clone());
    let in_a_row: Vec<_> = outputs(&[("transforms", serde_json::json!(NAMES))], 7439, b"cat", &picture).iter().map(print).collect();
    for threads in [1, 2, 3, 8] {
        let mut made: Vec<_> = std::thread::scope(|scope| {
            let (stage, picture, photo) = (&stage, &picture, &photo);
            let ours = |thread: usize| (0..stage.fan_out()).rev().filter(move |k| k % threads == thread);
            // One small copy per output for odd threads, one for all of them for even ones: what it remembers is no input.
            let work = move |thread: usize| {
                let shared = Mip::new(picture);
                let mip = |k| if thread % 2 == 1 { stage.output(k, photo, &Mip::new(picture)) } else { stage.output(k, photo, &shared) };
                ours(thread).map(|k| (k, print(&mip(k)))).collect::<Vec<_>>()
            };
            let handles: Vec<_> = (0..threads).map(|thread| scope.spawn(move || work(thread))).collect();
            handles.into_iter().flat_map(|handle| handle.join().unwrap()).collect()
        });
        made.sort_by_key(|(k, _)| *k);
        assert!(made.into_iter().map(|(_, output)| output).eq(in_a_row.iter().cloned()), "{threads} threads");
    }
}
