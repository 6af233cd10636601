//! Every format is opened by those it is for, and is the same bytes wherever it was packed.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails, and its helpers with it")]

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use catgen_api::{BuildContext, Digest, Facts, Item, PackFile, PackedFile, Params, Photo, StageError};
use catgen_export::{KIND, build};
use catgen_picture::{Picture, Rgb, RgbImage, Rgba, RgbaImage, decode, encode_png};

const SIDE: u32 = 8;

/// 25 pictures of 9 photos, in folders, with names that need care; one of them is half transparent.
fn pictures() -> Vec<(String, String, Picture)> {
    let name = |n: u32| match n % 5 {
        0 => format!("a.b/cat {n}"),
        1 => format!("café/{n}\"quoted\""),
        _ => format!("{n}"),
    };
    let picture = |n: u32| match n {
        7 => RgbaImage::from_fn(SIDE, SIDE, |x, y| Rgba([x as u8, 9, y as u8, if x < 4 { 255 } else { 0 }])).into(),
        _ => RgbImage::from_fn(SIDE, SIDE, |x, y| Rgb([(n * 10) as u8, (30 * x) as u8, (30 * y) as u8])).into(),
    };
    (0..25).map(|n| (format!("{}.png", name(n)), format!("{}.jpg", name(n % 9)), picture(n))).collect()
}

/// What a reader has to see: pixels with white under what is transparent.
fn seen(picture: &Picture) -> String {
    picture.over(Rgb([255; 3])).as_raw().iter().map(|byte| format!("{byte:02x}")).collect()
}

struct Packed {
    folder: tempfile::TempDir,
    files: Vec<PackFile>,
}

fn pack(pictures: &[(String, String, Picture)], set: &[(&str, serde_json::Value)]) -> Result<Packed, StageError> {
    let mut params = Params::defaults(KIND.params);
    // What is held out has tests of its own.
    params.set(KIND.params, "held_out", &0.0.into()).unwrap();
    for (name, value) in set {
        params.set(KIND.params, name, value).unwrap();
    }
    let mut blobs: HashMap<Digest, Vec<u8>> = HashMap::new();
    let items: Vec<Item> = pictures
        .iter()
        .map(|(name, photo, picture)| {
            let file = encode_png(picture);
            let digest = Digest::of(&file);
            let photo = Arc::new(Photo { path: photo.clone(), digest: Digest::of(photo.as_bytes()), size: [1, 1] });
            let ([width, height], bytes) = (picture.size(), file.len() as u64);
            blobs.insert(digest, file);
            Item { name: name.clone(), digest, width, height, bytes, photo, input: digest, facts: Facts::new() }
        })
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let open = |item: &Item| Ok(decode(&blobs[&item.digest], None).unwrap().picture);
    let files = build(&params, &BuildContext::default()).unwrap().pack(&items, &open, folder.path(), &|_| ())?;
    // The engine links what is an item's own file.
    for file in &files {
        if let PackedFile::Item(at) = file.content {
            let path = folder.path().join(&file.name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, &blobs[&items[at].digest]).unwrap();
        }
    }
    Ok(Packed { folder, files })
}

fn everything() -> Vec<(&'static str, serde_json::Value)> {
    vec![("webdataset", true.into()), ("npz", true.into()), ("stylegan", true.into()), ("shard_pictures", 10.into())]
}

impl Packed {
    /// The bytes of every file that was written, by name.
    fn written(&self) -> BTreeMap<String, Vec<u8>> {
        let written = self.files.iter().filter(|file| file.content == PackedFile::Written);
        written.map(|file| (file.name.clone(), fs::read(self.folder.path().join(&file.name)).unwrap())).collect()
    }

    /// Names in the order of rows.
    fn rows(&self) -> Vec<String> {
        let index = fs::read_to_string(self.folder.path().join("index.jsonl")).unwrap();
        let item = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["item"].as_str().unwrap().to_owned();
        index.lines().map(item).collect()
    }
}

/// A Python that has these modules: `CATGEN_PYTHON`, what `make test-python` made, or the system's.
fn python(modules: &str) -> Option<PathBuf> {
    let cache =
        std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(|| Some(Path::new(&std::env::var_os("HOME")?).join(".cache")));
    let made = cache.map(|cache| cache.join("catgen-pipe/test-python/bin/python"));
    let candidates = [std::env::var_os("CATGEN_PYTHON").map(PathBuf::from), made, Some("python3".into())];
    let has =
        |python: &PathBuf| Command::new(python).args(["-c", &format!("import {modules}")]).output().is_ok_and(|ran| ran.status.success());
    let found = candidates.into_iter().flatten().find(has);
    if found.is_none() {
        eprintln!("skipped: no Python with {modules} (`make test-python` gets one, CATGEN_PYTHON names another)");
    }
    found
}

/// What a reader prints, sorted; `expected` is given each picture's name, photo, row and number of its photo.
fn check(reader: &str, modules: &str, expected: impl Fn(&str, &str, usize, usize) -> String) {
    let Some(python) = python(modules) else { return };
    let pictures = pictures();
    let packed = pack(&pictures, &everything()).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/consumers.py");
    let output = Command::new(python).arg(script).arg(reader).arg(packed.folder.path()).output().unwrap();
    assert!(output.status.success(), "{reader}: {}", String::from_utf8_lossy(&output.stderr));
    let mut said: Vec<String> = String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
    let mut photos: Vec<&str> = pictures.iter().map(|(_, photo, _)| photo.as_str()).collect();
    photos.sort_unstable();
    photos.dedup();
    let rows = packed.rows();
    let mut lines: Vec<String> = pictures
        .iter()
        .map(|(name, photo, picture)| {
            let row = rows.iter().position(|row| row == name).unwrap();
            let number = photos.iter().position(|other| other == photo).unwrap();
            format!("{}\t{SIDE}x{SIDE}\t{}", expected(name, photo, row, number), seen(picture))
        })
        .collect();
    said.sort_unstable();
    lines.sort_unstable();
    assert_eq!(said, lines, "{reader}");
}

#[test]
fn numpy_reads_the_npz() {
    check("npz", "numpy", |_, _, row, number| format!("{row} {number}"));
}

#[test]
fn webdataset_reads_the_shards() {
    check("webdataset", "webdataset, PIL", |name, photo, _, _| format!("{name} {photo}"));
}

#[test]
fn datasets_reads_the_imagefolder() {
    check("datasets", "datasets, PIL, numpy", |_, photo, _, _| photo.to_owned());
}

#[test]
fn datasets_reads_the_shards() {
    check("datasets-webdataset", "datasets, PIL, numpy", |name, photo, _, _| format!("{name} {photo}"));
}

#[test]
fn the_rules_of_stylegan_read_its_zip() {
    check("stylegan", "PIL, numpy", |_, _, row, _| format!("{:05}/img{row:08}.png", row / 1000));
}

#[test]
fn the_same_pictures_are_the_same_bytes_in_any_order_and_on_any_number_of_threads() {
    let pictures = pictures();
    let one = pack(&pictures, &everything()).unwrap().written();
    assert_eq!(
        one.keys().map(String::as_str).collect::<Vec<_>>(),
        [
            "imagefolder/metadata.jsonl",
            "images.npz",
            "index.jsonl",
            "stylegan.zip",
            "train.npy",
            "webdataset/shard-000000.tar",
            "webdataset/shard-000001.tar",
            "webdataset/shard-000002.tar"
        ]
    );
    for threads in [1, 4] {
        let mut turned = pictures.clone();
        turned.rotate_left(threads);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let mut other = pool.install(|| pack(&turned, &everything())).unwrap().written();
        // The list for the folder is in the folder's order, which is the engine's and not ours.
        other.insert("imagefolder/metadata.jsonl".to_owned(), one["imagefolder/metadata.jsonl"].clone());
        assert!(one == other, "{threads} threads");
    }
}

#[test]
fn shards_hold_as_many_as_they_are_told_and_only_what_is_asked_for_is_written() {
    let pictures = pictures();
    let shards = |count: u64| {
        let packed = pack(&pictures, &[("webdataset", true.into()), ("shard_pictures", count.into())]).unwrap();
        let facts = packed.files.iter().filter(|file| file.name.ends_with(".tar")).map(|file| file.facts["count"].as_u64().unwrap());
        facts.collect::<Vec<_>>()
    };
    assert_eq!(shards(10), [10, 10, 5]);
    assert_eq!(shards(25), [25]);
    assert_eq!(shards(24), [24, 1]);
    let plain = pack(&pictures, &[]).unwrap().written();
    assert_eq!(plain.keys().map(String::as_str).collect::<Vec<_>>(), ["imagefolder/metadata.jsonl", "index.jsonl", "train.npy"]);
}

#[test]
fn sizes_that_stylegan_cannot_take_are_said_before_anything_is_written() {
    let stylegan = [("stylegan", true.into())];
    for (width, height) in [(8, 4), (24, 24)] {
        let wrong = vec![("a.png".to_owned(), "a.jpg".to_owned(), Picture::Rgb(RgbImage::new(width, height)))];
        let said = pack(&wrong, &stylegan).err().unwrap().to_string();
        let expected = format!("stylegan.zip needs square pictures with a side of 32, 64, 128, … pixels, these are {width} × {height}");
        assert_eq!(said, expected);
        assert!(pack(&wrong, &[]).is_ok());
    }
}
