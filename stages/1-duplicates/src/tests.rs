use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use catgen_api::{Digest, Draw, Photo, Picture};
use catgen_picture::{Filter, Rgb, RgbImage, Rgba, RgbaImage, decode, resize};

use super::*;
use crate::decisions::Decision;

/// A scene of soft blobs of colour; other seeds are other scenes.
fn scene(seed: u64, width: u32, height: u32) -> RgbImage {
    let mut draw = Draw::new(seed, "scene", &Digest::of(b""), 0);
    let blobs: Vec<[f64; 6]> = (0..12).map(|_| std::array::from_fn(|_| draw.unit())).collect();
    RgbImage::from_fn(width, height, |x, y| {
        let (x, y) = (f64::from(x) / f64::from(width), f64::from(y) / f64::from(height));
        let mut colour = [110.0, 120.0, 100.0];
        for [u, v, size, r, g, b] in &blobs {
            let weight = (-((x - u).powi(2) + (y - v).powi(2)) / (0.004 + 0.03 * size)).exp();
            for (channel, target) in colour.iter_mut().zip([r, g, b]) {
                *channel += weight * (255.0 * target - *channel);
            }
        }
        Rgb(colour.map(|value| value.round() as u8))
    })
}

fn changed(image: &RgbImage, change: impl Fn(u32, u32, u8) -> f64) -> RgbImage {
    RgbImage::from_fn(image.width(), image.height(), |x, y| Rgb(image.get_pixel(x, y).0.map(|value| change(x, y, value) as u8)))
}

fn built(parameters: &[(&str, serde_json::Value)]) -> Result<Box<dyn SetStage>, StageError> {
    let mut params = Params::defaults(KIND.params);
    for (name, value) in parameters {
        params.set(KIND.params, name, value).unwrap();
    }
    build(&params, &BuildContext::default())
}

/// The stage in a workspace with these decisions.
fn built_with(decided: &[Decision]) -> Box<dyn SetStage> {
    let folder = tempfile::tempdir().unwrap();
    decisions::append(&folder.path().join("data/duplicates.jsonl"), decided).unwrap();
    let context = BuildContext { workspace: folder.path().to_owned(), ..BuildContext::default() };
    build(&Params::defaults(KIND.params), &context).unwrap()
}

/// The verdicts in words, in the order given: `kept, 2 copies`, or the reason.
fn check(parameters: &[(&str, serde_json::Value)], photos: &[(&str, Picture)], expected: &[&str]) {
    check_stage(built(parameters).unwrap().as_ref(), photos, expected);
}

fn check_stage(stage: &dyn SetStage, photos: &[(&str, Picture)], expected: &[&str]) {
    let facts: Vec<Facts> =
        photos.iter().map(|(_, picture)| stage.fact(&Input { digest: Digest::of(b"any"), picture, inputs: &[] }).unwrap()).collect();
    let items: Vec<Item> = photos.iter().map(|(name, picture)| item(name, picture)).collect();
    // Forwards and backwards: the order must not matter.
    for backwards in [false, true] {
        let mut order: Vec<usize> = (0..items.len()).collect();
        if backwards {
            order.reverse();
        }
        let given: Vec<(&Item, &Facts)> = order.iter().map(|&at| (&items[at], &facts[at])).collect();
        let verdicts = stage.decide(&given).unwrap();
        assert_eq!(verdicts.len(), photos.len());
        for (verdict, &at) in verdicts.iter().zip(&order) {
            let words = match verdict {
                SetVerdict::Keep(_) => {
                    let is_copy = |verdict: &&SetVerdict| matches!(verdict, SetVerdict::Drop { of: Some(of), .. } if order[*of] == at);
                    format!("kept, {} copies", verdicts.iter().filter(is_copy).count())
                }
                SetVerdict::Drop { reason, of, distance } => {
                    assert_eq!(reason.kind, "duplicate");
                    assert!(distance.is_some() && reason.text.contains(&given[of.unwrap()].0.name), "{reason:?}");
                    reason.text.clone()
                }
            };
            assert_eq!(words, expected[at], "{} (backwards: {backwards})", photos[at].0);
        }
    }
}

fn item(name: &str, picture: &Picture) -> Item {
    let [width, height] = picture.size();
    let pixels = match picture {
        Picture::Rgb(image) => image.as_raw(),
        Picture::Rgba(image) => image.as_raw(),
    };
    let digest = Digest::of(pixels);
    Item {
        name: name.to_owned(),
        digest,
        width,
        height,
        bytes: pixels.len() as u64,
        photo: Arc::new(Photo { path: name.to_owned(), digest, size: [width, height] }),
        input: digest,
        facts: Facts::new(),
    }
}

#[test]
fn the_largest_is_kept_and_copies_are_dropped_for_it() {
    let large = scene(1, 400, 300);
    let small = resize(&Picture::Rgb(large.clone()), 200, 150, Filter::Bilinear);
    let brighter = changed(&large, |_, _, value| (f64::from(value) * 1.2).min(255.0));
    check(
        &[],
        &[
            ("small.jpg", small),
            ("large.jpg", Picture::Rgb(large.clone())),
            ("copy.jpg", Picture::Rgb(large)),
            ("other.jpg", Picture::Rgb(scene(2, 400, 300))),
            ("brighter.jpg", Picture::Rgb(brighter)),
        ],
        &[
            "the same picture as brighter.jpg (0 of 64 bits differ)",
            "the same picture as brighter.jpg (0 of 64 bits differ)",
            "the same picture as brighter.jpg (0 of 64 bits differ)",
            "kept, 0 copies",
            "kept, 3 copies",
        ],
    );
}

#[test]
fn of_equal_sizes_the_sharpest_is_kept_and_then_the_first_by_name() {
    let soft = scene(1, 200, 150);
    let crisp = changed(&soft, |x, y, value| f64::from(value) + if (x + y) % 2 == 0 { 3.0 } else { -3.0 });
    check(
        &[],
        &[("a.jpg", Picture::Rgb(soft.clone())), ("c.jpg", Picture::Rgb(crisp.clone())), ("b.jpg", Picture::Rgb(crisp))],
        &["the same picture as b.jpg (0 of 64 bits differ)", "byte-equal copy of b.jpg", "kept, 2 copies"],
    );
    // Of byte-equal files the first by name, in whatever order they come.
    check(&[], &[("b.jpg", Picture::Rgb(soft.clone())), ("a.jpg", Picture::Rgb(soft))], &["byte-equal copy of a.jpg", "kept, 1 copies"]);
}

#[test]
fn what_people_decided_counts_more_than_what_is_better() {
    let large = scene(1, 400, 300);
    let small = resize(&Picture::Rgb(large.clone()), 200, 150, Filter::Bilinear);
    let tiny = resize(&small, 160, 120, Filter::Bilinear);
    let photos =
        [("large.jpg", Picture::Rgb(large)), ("small.jpg", small), ("tiny.jpg", tiny), ("other.jpg", Picture::Rgb(scene(2, 400, 300)))];
    let digest = |name: &str| photos.iter().find(|(own, _)| *own == name).map(|(own, picture)| item(own, picture).digest).unwrap();
    let said = |name: &str, other: Option<&str>, decision| Decision {
        digest: digest(name),
        other: other.map(digest),
        decision,
        who: String::new(),
        when: String::new(),
    };
    let keep = |name| said(name, None, Choice::Keep);
    let different = |a, b| said(a, Some(b), Choice::Different);
    let same_as = |name: &str| format!("the same picture as {name} (0 of 64 bits differ)");
    let (kept, alone, pair) = ("kept, 2 copies", "kept, 0 copies", "kept, 1 copies");
    let check = |decided: &[Decision], expected: [&str; 4]| check_stage(built_with(decided).as_ref(), &photos, &expected);

    check(&[], [kept, &same_as("large.jpg"), &same_as("large.jpg"), alone]);
    check(&[keep("tiny.jpg")], [&same_as("tiny.jpg"), &same_as("tiny.jpg"), kept, alone]);
    // Of two that somebody wants, the better one: no two kept show the same.
    check(&[keep("tiny.jpg"), keep("small.jpg")], [&same_as("small.jpg"), kept, &same_as("small.jpg"), alone]);
    check(&[keep("tiny.jpg"), said("tiny.jpg", None, Choice::Undo)], [kept, &same_as("large.jpg"), &same_as("large.jpg"), alone]);
    // The small one is no copy of the large one, but the tiny one still is one of both, and goes to the better.
    check(&[different("small.jpg", "large.jpg")], [pair, alone, &same_as("large.jpg"), alone]);
    check(&[different("large.jpg", "small.jpg"), different("large.jpg", "tiny.jpg")], [alone, pair, &same_as("small.jpg"), alone]);
    check(&[different("small.jpg", "tiny.jpg")], [kept, &same_as("large.jpg"), &same_as("large.jpg"), alone]);
    // What nobody would take for the same can be said to be different; it changes nothing.
    check(&[different("other.jpg", "large.jpg"), keep("other.jpg")], [kept, &same_as("large.jpg"), &same_as("large.jpg"), alone]);
}

#[test]
fn a_decision_is_watched_and_no_fact_depends_on_it() {
    let photo = Picture::Rgb(scene(1, 40, 30));
    let digest = item("a.jpg", &photo).digest;
    let keep = Decision { digest, other: None, decision: Choice::Keep, who: String::new(), when: String::new() };
    let [none, one] = [built_with(&[]), built_with(std::slice::from_ref(&keep))];
    assert_eq!(none.watched().len(), 1);
    assert_ne!(none.watched()[0].value, one.watched()[0].value);
    // Who said it and when is nobody's business.
    let again = built_with(&[Decision { who: "ada".to_owned(), when: "now".to_owned(), ..keep }]);
    assert_eq!(one.watched()[0].value, again.watched()[0].value);
    let fact = |stage: &dyn SetStage| stage.fact(&Input { digest, picture: &photo, inputs: &[] }).unwrap();
    assert_eq!(fact(none.as_ref()), fact(one.as_ref()));
    assert!(none.key_inputs().is_empty() && one.key_inputs().is_empty() && !none.fact_params().contains(&"decisions"));
}

#[test]
fn pictures_without_detail_are_only_the_same_if_their_colours_are() {
    let wall = |r, g, b| Picture::Rgb(RgbImage::from_pixel(64, 48, Rgb([r, g, b])));
    let noisy = changed(&RgbImage::from_pixel(64, 48, Rgb([100, 100, 100])), |x, y, value| f64::from(value) + f64::from((x * y) % 3));
    check(
        &[],
        &[
            ("black.png", wall(0, 0, 0)),
            ("white.png", wall(255, 255, 255)),
            ("green.png", wall(0, 170, 0)),
            ("grey.png", wall(101, 101, 101)),
            ("noisy.png", Picture::Rgb(noisy)),
            ("white again.png", wall(255, 255, 255)),
        ],
        &[
            "kept, 0 copies",
            "byte-equal copy of white again.png",
            "kept, 0 copies",
            "the same picture as noisy.png (0 of 64 bits differ)",
            "kept, 1 copies",
            "kept, 1 copies",
        ],
    );
}

#[test]
fn one_outline_in_two_colours_is_two_pictures() {
    let cat = |[r, g, b]: [u8; 3]| {
        Picture::Rgba(RgbaImage::from_fn(90, 90, |x, y| {
            let inside = (f64::from(x) - 40.0).hypot(f64::from(y) - 50.0) < 30.0 || (20..32).contains(&x) && y < 40;
            // Green under transparency must not count: it is laid on white.
            if inside { Rgba([r, g, b, 255]) } else { Rgba([0, 255, 0, 0]) }
        }))
    };
    let blue_grey = cat([60, 90, 190]);
    // Orange of the same luma as that blue.
    check(&[], &[("orange.png", cat([190, 64, 20])), ("blue.png", blue_grey)], &["kept, 0 copies", "kept, 0 copies"]);
}

#[test]
fn a_group_is_what_is_near_to_the_one_kept_not_a_chain() {
    // Fingerprints made by hand: each is 8 bits from its neighbours, 16 from the one after.
    let base = Hash::new(Hashing::Phash, 8).fingerprint(&Picture::Rgb(scene(3, 100, 100)));
    let candidates: Vec<Candidate<'_>> = [("a", 0u64), ("b", 0xFF), ("c", 0xFFFF)]
        .into_iter()
        .map(|(name, hash)| {
            // The largest is at one end of the chain.
            let pixels = if name == "a" { 200 } else { 100 };
            Candidate { name, digest: Digest::of(name.as_bytes()), pixels, fingerprint: base_of(base.clone(), &format!("{hash:016x}")) }
        })
        .collect();
    let kept = || Fate::Kept(Vec::new());
    let near = |of, distance| Fate::Dropped(Near { of, distance, agreement: None });
    let aligned = |of, distance| Fate::Dropped(Near { of, distance, agreement: Some(1.0) });
    let fates = |max_distance| group(&candidates, &Rules::new(Strictness::Default, 64, Some(max_distance)), &Decisions::default());
    assert_eq!(fates(16), [kept(), near(0, 8), near(0, 16)]);
    assert_eq!(fates(8), [kept(), near(0, 8), aligned(0, 16)], "thumbnails are equal: 8 bits more may differ");
    let mut other = candidates;
    let scene = base_of(Hash::new(Hashing::Phash, 8).fingerprint(&Picture::Rgb(scene(4, 100, 100))), "000000000000ffff");
    other[2].fingerprint = scene;
    let fates = |max_distance| group(&other, &Rules::new(Strictness::Default, 64, Some(max_distance)), &Decisions::default());
    assert_eq!(fates(16), [kept(), near(0, 8), kept()], "hashes alone prove nothing");
}

/// The fingerprint with another hash.
fn base_of(fingerprint: Fingerprint, hash: &str) -> Fingerprint {
    let mut facts = fingerprint.to_facts();
    facts.insert("hash".to_owned(), hash.into());
    Fingerprint::from_facts(&facts).unwrap()
}

#[test]
fn near_hashes_of_pictures_that_do_not_agree_are_a_coincidence() {
    let hash = Hash::new(Hashing::Phash, 8);
    let one = hash.fingerprint(&Picture::Rgb(scene(3, 100, 100)));
    let mut other = hash.fingerprint(&Picture::Rgb(scene(4, 100, 100))).to_facts();
    for own in ["hash", "colour"] {
        other.insert(own.to_owned(), one.to_facts()[own].clone());
    }
    let other = Fingerprint::from_facts(&other).unwrap();
    assert!(one.distance(&other) == 0 && one.colour_difference(&other) == 0.0 && one.correlation(&other) < 0.8);
    let rules = Rules::new(Strictness::Default, 64, None);
    assert_eq!(rules.judge(&one, &other, 0), Judgement::Different);
    assert_eq!(rules.judge(&one, &one, 0), Judgement::Same);
}

/// The part `[left, top, right, bottom]` of a scene, in shares of its sides.
fn part(image: &RgbImage, [left, top, right, bottom]: [f64; 4]) -> Picture {
    let (width, height) = (f64::from(image.width()), f64::from(image.height()));
    let cut = [left * width, top * height, (right - left) * width, (bottom - top) * height];
    catgen_picture::crop_resize(&Picture::Rgb(image.clone()), cut, cut[2] as u32, cut[3] as u32, Filter::Lanczos)
}

#[test]
fn a_crop_is_found_by_laying_it_onto_the_whole_and_what_is_only_alike_is_named() {
    let hash = Hash::new(Hashing::Phash, 8);
    // The first scene whose crop its hash alone does not find.
    let cut = |seed| (scene(seed, 400, 300), part(&scene(seed, 400, 300), [0.025, 0.05, 0.95, 0.975]));
    let prints = |(whole, crop): &(RgbImage, Picture)| [hash.fingerprint(&Picture::Rgb(whole.clone())), hash.fingerprint(crop)];
    let found = (1..200).map(cut).find(|pair| (11..=18).contains(&prints(pair)[0].distance(&prints(pair)[1]))).unwrap();
    let [a, b] = prints(&found);
    let (distance, (whole, crop)) = (a.distance(&b), found);
    assert!(a.aligned_correlation(&b) > 0.98 && a.aligned_correlation(&b) == b.aligned_correlation(&a));
    let photos = [("crop.jpg", crop), ("whole.jpg", Picture::Rgb(whole.clone()))];
    let text = format!(
        "the same picture as whole.jpg, cropped or taken a step aside ({distance} of 64 bits differ, laid over each other they agree to {:.0} %)",
        100.0 * a.aligned_correlation(&b)
    );
    check(&[], &photos, &[&text, "kept, 1 copies"]);
    // Strict does not drop it, but says so.
    check(&[("strictness", "strict".into())], &photos, &["kept, 0 copies", "kept, 0 copies"]);
    let stage = built(&[("strictness", "strict".into())]).unwrap();
    let items = photos.each_ref().map(|(name, picture)| item(name, picture));
    let facts = photos.each_ref().map(|(_, picture)| stage.fact(&Input { digest: Digest::of(b""), picture, inputs: &[] }).unwrap());
    let verdicts = stage.decide(&[(&items[0], &facts[0]), (&items[1], &facts[1])]).unwrap();
    let [SetVerdict::Keep(worse), SetVerdict::Keep(better)] = verdicts.as_slice() else { panic!("{verdicts:?}") };
    assert_eq!((worse[SIMILAR][0]["name"].as_str(), worse[SIMILAR][0]["distance"].as_u64()), (Some("whole.jpg"), Some(distance.into())));
    assert!(!better.contains_key(SIMILAR), "a pair is named once");
}

#[test]
fn presets_are_nested_and_scale_with_the_hash() {
    let rules = |strictness, bits| Rules::new(strictness, bits, None);
    let [strict, default, loose] = [Strictness::Strict, Strictness::Default, Strictness::Loose].map(|strictness| rules(strictness, 64));
    assert_eq!([strict, default, loose].map(|rules| rules.max_distance), [6, 10, 12]);
    assert_eq!([strict, default, loose].map(|rules| rules.look_distance), [18, 18, 20]);
    assert_eq!((rules(Strictness::Default, 256).max_distance, rules(Strictness::Default, 256).look_distance), (40, 72));
    assert_eq!(Rules::new(Strictness::Strict, 64, Some(20)).max_distance, 20);
}

#[test]
fn every_hash_finds_a_copy_and_tells_scenes_apart() {
    let photo = scene(5, 320, 240);
    let smaller = resize(&Picture::Rgb(photo.clone()), 240, 180, Filter::Lanczos);
    for hash in ["phash", "gradient", "vert_gradient", "double_gradient", "blockhash"] {
        for bits in [64, 256] {
            let stage = built(&[("hash", hash.into()), ("bits", bits.into()), ("max_distance", (bits / 6).into())]).unwrap();
            let photos = [item("a", &Picture::Rgb(photo.clone())), item("b", &smaller), item("c", &Picture::Rgb(scene(6, 320, 240)))];
            let fact = |picture: &Picture| stage.fact(&Input { digest: Digest::of(b""), picture, inputs: &[] }).unwrap();
            let facts = [fact(&Picture::Rgb(photo.clone())), fact(&smaller), fact(&Picture::Rgb(scene(6, 320, 240)))];
            let verdicts = stage.decide(&photos.iter().zip(&facts).collect::<Vec<_>>()).unwrap();
            let dropped: Vec<bool> = verdicts.iter().map(|verdict| matches!(verdict, SetVerdict::Drop { .. })).collect();
            assert_eq!(dropped, [false, true, false], "{hash} {bits}");
            let side = facts[0]["hash"].as_str().unwrap().len() * 4;
            let expected = if hash == "double_gradient" { [40, 144][usize::from(bits == 256)] } else { bits };
            assert_eq!(side, expected as usize, "{hash} {bits}");
        }
    }
}

#[test]
fn the_fingerprint_depends_little_on_the_size_of_the_decoded_picture() {
    let hash = Hash::new(Hashing::Phash, 8);
    let large = Picture::Rgb(scene(9, 1600, 1200));
    let [a, b] = [&large, &resize(&large, 480, 360, Filter::Lanczos)].map(|picture| hash.fingerprint(picture));
    assert!(a.distance(&b) <= 2 && (a.sharpness - b.sharpness).abs() < 0.2 * b.sharpness, "{a:?} {b:?}");
    // Tiny pictures have a fingerprint as well.
    assert_eq!(hash.fingerprint(&Picture::Rgb(RgbImage::new(1, 2))).sharpness, 0.0);
}

#[test]
fn nonsense_is_refused_in_words() {
    assert_eq!(built(&[("bits", 100.into())]).err().unwrap().to_string(), "bits: 100 is not possible: write 64 or 256");
    let photo = item("a.jpg", &Picture::Rgb(scene(1, 8, 8)));
    let error = built(&[]).unwrap().decide(&[(&photo, &Facts::new())]).unwrap_err();
    assert!(error.to_string().starts_with("what is known about a.jpg cannot be read: missing field"), "{error}");
}

/// The photos of `data/photos` of the shared data, read out of their archives with `unzip`.
fn shared_photo(folder: &Path, name: &str) -> Option<Vec<u8>> {
    ["cats-personal-1.zip", "cats-personal-2.zip"].iter().find_map(|archive| {
        let output = Command::new("unzip").arg("-p").arg(folder.join(archive)).arg(name).output().ok()?;
        output.status.success().then_some(output.stdout)
    })
}

#[test]
fn pairs_found_by_eye_among_real_photos_are_found_and_others_are_not_merged() {
    let shared = std::env::var_os("CATGEN_SHARED").map(PathBuf::from);
    let folder = shared.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared")).join("data/photos");
    let Ok(table) = fs::read_to_string(folder.join("near-duplicates.csv")) else {
        return println!("skipped: no near-duplicates.csv in {}", folder.display());
    };
    let (hash, rules) = (Hash::new(Hashing::Phash, 8), Rules::new(Strictness::Default, 64, None));
    let mut scored = 0;
    for line in table.lines().skip(1) {
        let [a, b, kind] = line.splitn(4, ',').take(3).collect::<Vec<_>>().try_into().unwrap();
        let (Some(x), Some(y)) = (shared_photo(&folder, a), shared_photo(&folder, b)) else {
            return println!("skipped: {a} or {b} cannot be unzipped from the archives in {}", folder.display());
        };
        let [x, y] = [x, y].map(|bytes| hash.fingerprint(&decode(&bytes, Some(WORKING_SIDE)).unwrap().picture));
        let distance = x.distance(&y);
        let judged = rules.judge(&x, &y, distance);
        let same = matches!(judged, Judgement::Same | Judgement::SameAligned(_));
        println!("{kind:12} {distance:2} bits, {:.3}, aligned {:.3}: {judged:?} {a} {b}", x.correlation(&y), x.aligned_correlation(&y));
        if kind != "same-session" {
            assert_eq!(same, kind != "different", "{a} {b}: {kind}, {distance} bits");
            scored += 1;
        }
    }
    assert_eq!(scored, 11);
}
