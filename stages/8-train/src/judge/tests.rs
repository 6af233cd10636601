use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use catgen_api::Draw;

use super::*;

/// Features that are the pictures' own first bytes, with noise enough that no two are equal; counts the pictures it looked at.
struct Plain(Arc<AtomicUsize>);

impl Extractor for Plain {
    fn name(&self) -> &str {
        "plain-v1"
    }

    fn features(&self, pictures: &Pictures) -> Result<Vec<f32>, StageError> {
        self.0.fetch_add(pictures.len(), Ordering::Relaxed);
        Ok(pictures.bytes().iter().map(|byte| f32::from(*byte) / 64.0).collect())
    }
}

/// Pictures of 2 × 2 pixels, drawn alike.
fn drawn(seed: u64, count: usize) -> Vec<u8> {
    let mut draw = Draw::new(seed, "test pictures", &Digest::of(b""), 0);
    (0..count * 12).map(|_| draw.below(200) as u8).collect()
}

struct Bench {
    folder: tempfile::TempDir,
    looked: Arc<AtomicUsize>,
}

impl Bench {
    /// A dataset of 100 plain rows, each followed by an augmented one, and 30 held-out photos.
    fn new() -> Self {
        let bench = Self { folder: tempfile::tempdir().unwrap(), looked: Arc::default() };
        let plain = drawn(1, 100);
        let train: Vec<u8> = plain.chunks(12).flat_map(|picture| [picture.to_vec(), vec![255; 12]].concat()).collect();
        bench.write("train.npy", &train);
        bench.write("held_out.npy", &drawn(2, 30));
        let row = |file: &str, row: usize| {
            format!(
                r#"{{"file":"{file}","row":{row},"item":"i","photo":"{file} {}.jpg","plain":{}}}"#,
                if file == "train.npy" { row / 2 } else { row },
                file != "train.npy" || row.is_multiple_of(2)
            )
        };
        let lines: Vec<String> = (0..200).map(|at| row("train.npy", at)).chain((0..30).map(|at| row("held_out.npy", at))).collect();
        fs::write(bench.path("index.jsonl"), lines.join("\n")).unwrap();
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        let header =
            format!("{:<117}\n", format!("{{'descr': '|u1', 'fortran_order': False, 'shape': ({}, 3, 2, 2), }}", bytes.len() / 12));
        fs::write(self.path(name), [b"\x93NUMPY\x01\x00\x76\x00".as_slice(), header.as_bytes(), bytes].concat()).unwrap();
    }

    fn judge(&self, held_out: bool, index: bool, most: usize) -> Result<Judge, JudgeError> {
        let data = Packed {
            train: self.path("train.npy"),
            held_out: held_out.then(|| self.path("held_out.npy")),
            index: index.then(|| self.path("index.jsonl")),
        };
        Judge::new(Box::new(Plain(Arc::clone(&self.looked))), &data, most, Some(&self.path("features")))
    }

    fn looked(&self) -> usize {
        self.looked.swap(0, Ordering::Relaxed)
    }
}

fn fakes(bytes: Vec<u8>) -> Pictures {
    Pictures::new(2, bytes).unwrap()
}

#[test]
fn good_pictures_look_like_held_out_photos_and_copies_like_copies() {
    let bench = Bench::new();
    let judge = bench.judge(true, true, 1000).unwrap();
    assert_eq!((judge.features(), judge.side(), bench.looked()), ("plain-v1", 2, 130));
    let [training, held_out] = judge.some_photos(20).unwrap();
    assert_eq!((training.bytes(), held_out.bytes()), (&drawn(1, 100)[..240], &drawn(2, 30)[..240]), "plain ones, as many of each");
    let good = judge.judge(&fakes(drawn(3, 60))).unwrap();
    let held_out = good.held_out.as_ref().unwrap();
    assert_eq!((held_out.photos, good.training.photos, good.pictures), (30, 100, 60));
    assert!(held_out.kid.abs() < 4.0 * held_out.kid_error.unwrap(), "{good:?}");
    assert!(good.copied.share < 0.2 && (0.8..1.25).contains(&good.copied.ratio) && good.copied.by_held_out, "{:?}", good.copied);
    assert!((0.8..1.2).contains(&good.variety.spread), "{:?}", good.variety);
    assert!(good.sentence().contains("against 30 held-out photos (plain-v1), precision"), "{}", good.sentence());
    assert_eq!(good.frechet_name(), "Fréchet distance");

    // Training photos with one bit changed: as near to the photos as anything can be, and said to be copies of those.
    let copies = drawn(1, 100).into_iter().map(|byte| byte ^ 1).take(60 * 12).collect();
    let copied = judge.judge(&fakes(copies)).unwrap();
    assert!(copied.copied.share > 0.99 && copied.copied.ratio < 0.1, "{:?}", copied.copied);
    for pair in &copied.copied.nearest {
        assert_eq!(pair.row, 2 * pair.picture, "{pair:?}");
        assert_eq!(pair.photo, Some(format!("train.npy {}.jpg", pair.row / 2)));
    }
    assert!(copied.training.kid < held_out.kid + 3.0 * held_out.kid_error.unwrap());

    let far = judge.judge(&fakes(drawn(4, 60).into_iter().map(|byte| 255 - byte / 4).collect())).unwrap();
    assert!(far.headline().kid > 10.0 * held_out.kid.abs() && far.headline().precision < 0.1 && far.variety.spread < 0.5, "{far:?}");
    let text = serde_json::to_string(&far).unwrap();
    assert_eq!(serde_json::from_str::<Evaluation>(&text).unwrap(), far);
}

#[test]
fn a_photo_without_a_plain_picture_is_met_in_the_first_made_of_it() {
    let bench = Bench::new();
    let index = fs::read_to_string(bench.path("index.jsonl")).unwrap();
    // Of the first 40 training photos no plain picture was packed.
    let without: Vec<String> = index.lines().take(80).map(|line| line.replace("\"plain\":true", "\"plain\":false")).collect();
    let rest = index.lines().skip(80).map(str::to_owned);
    fs::write(bench.path("index.jsonl"), without.into_iter().chain(rest).collect::<Vec<_>>().join("\n")).unwrap();
    assert_eq!(bench.judge(true, true, 1000).unwrap().judge(&fakes(drawn(3, 20))).unwrap().training.photos, 100);
}

#[test]
fn features_of_photos_are_found_once_and_damage_is_seen() {
    let bench = Bench::new();
    let first = bench.judge(true, true, 1000).unwrap().judge(&fakes(drawn(3, 20))).unwrap();
    assert_eq!(bench.looked(), 150);
    let again = bench.judge(true, true, 1000).unwrap().judge(&fakes(drawn(3, 20))).unwrap();
    assert_eq!((bench.looked(), &again), (20, &first));
    for file in fs::read_dir(bench.path("features")).unwrap() {
        let path = file.unwrap().path();
        let mut bytes = fs::read(&path).unwrap();
        bytes[7] ^= 1;
        fs::write(path, bytes).unwrap();
    }
    assert_eq!(bench.judge(true, true, 1000).unwrap().judge(&fakes(drawn(3, 20))).unwrap(), first);
    assert_eq!(bench.looked(), 150);
}

#[test]
fn without_held_out_photos_or_an_index_it_says_so() {
    let bench = Bench::new();
    let judged = bench.judge(false, true, 50).unwrap().judge(&fakes(drawn(3, 20))).unwrap();
    assert_eq!((judged.held_out.as_ref(), judged.training.photos, judged.against()), (None, 50, "training photos"));
    assert!(!judged.copied.by_held_out && judged.copied.share < 0.3, "{:?}", judged.copied);
    let judged = bench.judge(true, false, 1000).unwrap().judge(&fakes(drawn(3, 20))).unwrap();
    assert_eq!(judged.training.photos, 200, "without an index every row is a photo");
    assert_eq!(judged.copied.nearest[0].photo, None);
    // Three held-out photos are no set.
    bench.write("held_out.npy", &drawn(2, 3));
    assert_eq!(bench.judge(true, false, 1000).unwrap().judge(&fakes(drawn(3, 20))).unwrap().held_out, None);
    assert!(bench.judge(true, false, 1000).unwrap().judge(&fakes(drawn(3, 3))).is_err());
    // The index is of another dataset.
    bench.write("train.npy", &drawn(1, 100));
    assert!(bench.judge(false, true, 1000).unwrap_err().to_string().contains("its index"));
    bench.write("train.npy", &drawn(1, 3));
    assert!(bench.judge(false, false, 1000).unwrap_err().to_string().contains("3 photos"));
}
