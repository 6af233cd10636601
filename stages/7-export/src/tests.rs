use std::{
    collections::HashMap,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use catgen_api::{Digest, Draw, Photo};
use catgen_picture::{RgbImage, Rgba, RgbaImage, decode, encode_png};

use super::*;

/// A picture that no other seed gives, of 6 × 4 pixels.
fn picture(seed: u32) -> Picture {
    Picture::Rgb(RgbImage::from_fn(6, 4, |x, y| Rgb([seed as u8, (40 * x) as u8, (60 * y) as u8])))
}

fn item(name: &str, picture: &Picture) -> (Item, Vec<u8>) {
    let file = encode_png(picture);
    let stem = name.split('.').next().unwrap();
    let stem = stem.rsplit_once("_0").map_or(stem, |(photo, _)| photo);
    // Photos called `twin-…` are byte-equal.
    let photo_digest = Digest::of(stem.split('-').next().unwrap().as_bytes());
    let photo = Photo { path: format!("{stem}.jpg"), digest: photo_digest, size: [1, 1] };
    let [width, height] = picture.size();
    let (digest, bytes) = (Digest::of(&file), file.len() as u64);
    (Item { name: name.to_owned(), digest, width, height, bytes, photo: Arc::new(photo), input: digest, facts: Facts::new() }, file)
}

struct Packed {
    folder: tempfile::TempDir,
    files: Vec<PackFile>,
}

fn pack(imagefolder: bool, pictures: &[(&str, Picture)]) -> Result<Packed, StageError> {
    pack_holding(0.1, imagefolder, pictures)
}

fn pack_holding(held_out: f64, imagefolder: bool, pictures: &[(&str, Picture)]) -> Result<Packed, StageError> {
    let mut params = Params::defaults(KIND.params);
    params.set(KIND.params, "imagefolder", &imagefolder.into()).unwrap();
    params.set(KIND.params, "held_out", &held_out.into()).unwrap();
    let (items, files): (Vec<Item>, Vec<Vec<u8>>) = pictures.iter().map(|(name, picture)| item(name, picture)).unzip();
    let cas: HashMap<Digest, Vec<u8>> = items.iter().map(|item| item.digest).zip(files).collect();
    let folder = tempfile::tempdir().unwrap();
    let finished = AtomicUsize::new(0);
    let files = build(&params, &BuildContext::default())?.pack(
        &items,
        &|item| Ok(decode(&cas[&item.digest], None).unwrap().picture),
        folder.path(),
        &|count| _ = finished.fetch_add(count, Ordering::Relaxed),
    )?;
    assert_eq!(finished.into_inner(), items.len(), "every item is reported done");
    Ok(Packed { folder, files })
}

impl Packed {
    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.folder.path().join(name)).unwrap()
    }

    fn lines(&self, name: &str) -> Vec<serde_json::Value> {
        String::from_utf8(self.read(name)).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn array(&self) -> ([usize; 4], Vec<u8>) {
        self.array_of("train.npy")
    }

    /// Shape and values of an array, by a reader of our own that follows the format's text and not our writer.
    fn array_of(&self, name: &str) -> ([usize; 4], Vec<u8>) {
        let file = self.read(name);
        assert_eq!(&file[..8], b"\x93NUMPY\x01\x00");
        let start = 10 + usize::from(u16::from_le_bytes([file[8], file[9]]));
        assert_eq!(start % 64, 0, "the values start at {start}");
        let header = std::str::from_utf8(&file[10..start]).unwrap();
        assert!(header.starts_with("{'descr': '|u1', 'fortran_order': False, 'shape': (") && header.ends_with('\n'), "{header:?}");
        let shape = header.split(['(', ')']).nth(1).unwrap().split(", ").map(|number| number.parse().unwrap()).collect::<Vec<_>>();
        (shape.try_into().unwrap(), file[start..].to_vec())
    }
}

fn cats() -> Vec<(&'static str, Picture)> {
    vec![("a.png", picture(1)), ("b/c.png", picture(2)), ("d.png", picture(3)), ("again.png", picture(1))]
}

#[test]
fn rows_are_the_pictures_in_the_order_of_their_content() {
    let packed = pack(true, &cats()).unwrap();
    let (shape, values) = packed.array();
    assert_eq!(shape, [4, 3, 4, 6]);
    assert_eq!(values.len(), 4 * 3 * 4 * 6);
    let index = packed.lines("index.jsonl");
    assert_eq!(index.len(), 4);
    for (at, line) in index.iter().enumerate() {
        assert_eq!(line["row"], at);
        let (_, Picture::Rgb(image)) = cats().into_iter().find(|(name, _)| line["item"] == *name).unwrap() else { unreachable!() };
        for (x, y, pixel) in image.enumerate_pixels() {
            let value = |channel: usize| values[((at * 3 + channel) * 4 + y as usize) * 6 + x as usize];
            assert_eq!([value(0), value(1), value(2)], pixel.0, "row {at} at {x}, {y}");
        }
    }
    let keys: Vec<(String, String)> = index.iter().map(|line| (line["digest"].to_string(), line["item"].to_string())).collect();
    assert!(keys.is_sorted(), "{keys:?}");
    assert!(index.iter().any(|line| line["item"] == "b/c.png" && line["photo"] == "b/c.jpg"));
    assert_eq!(serde_json::Value::Object(packed.files[0].facts.clone()), json!({"count": 4, "shape": [4, 3, 4, 6]}));
}

#[test]
fn the_array_depends_on_the_pictures_and_not_on_their_names() {
    let one = pack(false, &cats()).unwrap();
    let renamed: Vec<(&str, Picture)> =
        ["z.png", "y.png", "x.png", "w.png"].into_iter().zip(cats()).map(|(name, (_, picture))| (name, picture)).collect();
    let other = pack(false, &renamed).unwrap();
    assert_eq!(one.read("train.npy"), other.read("train.npy"));
    let changed: Vec<(&str, Picture)> = cats().into_iter().take(3).chain([("again.png", picture(9))]).collect();
    assert_ne!(one.read("train.npy"), pack(false, &changed).unwrap().read("train.npy"));
}

#[test]
fn the_imagefolder_lists_every_picture_with_its_path() {
    let packed = pack(true, &cats()).unwrap();
    let names: Vec<(&str, &PackedFile)> = packed.files.iter().map(|file| (file.name.as_str(), &file.content)).collect();
    assert_eq!(
        names,
        [
            ("train.npy", &PackedFile::Written),
            ("index.jsonl", &PackedFile::Written),
            ("imagefolder/metadata.jsonl", &PackedFile::Written),
            ("imagefolder/a.png", &PackedFile::Item(0)),
            ("imagefolder/b/c.png", &PackedFile::Item(1)),
            ("imagefolder/d.png", &PackedFile::Item(2)),
            ("imagefolder/again.png", &PackedFile::Item(3)),
        ]
    );
    let metadata = packed.lines("imagefolder/metadata.jsonl");
    assert_eq!(metadata.len(), 4);
    assert_eq!(metadata[1], json!({"file_name": "b/c.png", "photo": "b/c.jpg", "split": "train"}));

    let without = pack(false, &cats()).unwrap();
    assert_eq!(without.files.len(), 2);
    assert!(!without.folder.path().join("imagefolder").exists());
}

/// Forty photos of which each became three pictures, the first as it is; of `odd` ones only augmented pictures are there.
fn augmented(odd: bool) -> Vec<(String, Picture)> {
    let pictures = (0..40u8).flat_map(|photo| {
        [(0, "No_Trans"), (1, "Post"), (2, "Flip_Hor-Post")].map(|(k, tag)| {
            let tag = if odd { "Post" } else { tag };
            let value = |x: u32, y: u32| Draw::new(u64::from(photo), "test", &Digest::of(&[x as u8 / 2, y as u8]), 0).below(240) as u8;
            let image = RgbImage::from_fn(8, 8, |x, y| Rgb([value(x, y), value(y, x), value(x, x + y).saturating_add(k)]));
            (format!("p{photo}x_0{k}_{tag}.png"), Picture::Rgb(image))
        })
    });
    pictures.collect()
}

fn pack_augmented(share: f64, pictures: &[(String, Picture)]) -> Packed {
    pack_holding(share, true, &pictures.iter().map(|(name, picture)| (name.as_str(), picture.clone())).collect::<Vec<_>>()).unwrap()
}

fn photos_in(packed: &Packed, file: &str) -> Vec<String> {
    let index = packed.lines("index.jsonl");
    index.iter().filter(|line| line["file"] == file).map(|line| line["photo"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn everything_made_from_a_photo_is_on_one_side() {
    let packed = pack_augmented(0.2, &augmented(false));
    let (train, held) = (photos_in(&packed, "train.npy"), photos_in(&packed, "held_out.npy"));
    assert!((5..=14).contains(&held.len()), "{} of 40 photos", held.len());
    assert!(held.iter().all(|photo| !train.contains(photo)));
    assert_eq!(train.len(), 3 * (40 - held.len()), "of those trained on, every copy; of the others, the picture as it is");
    assert_eq!(packed.array_of("held_out.npy").0, [held.len(), 3, 8, 8]);
    let index = packed.lines("index.jsonl");
    assert!(index.iter().filter(|line| line["file"] == "held_out.npy").all(|line| line["plain"] == true));
    assert_eq!(index.iter().filter(|line| line["plain"] == true).count(), 40);
    for line in packed.lines("imagefolder/metadata.jsonl") {
        let is_held = held.iter().any(|photo| line["photo"] == **photo);
        assert_eq!(line["split"], if is_held { "held_out" } else { "train" });
    }
    // Where nothing tells which picture is as it was, all are packed.
    let odd = pack_augmented(0.2, &augmented(true));
    assert_eq!(photos_in(&odd, "held_out.npy").len(), 3 * held.len());
}

#[test]
fn the_split_is_the_photos_and_not_their_names_or_the_seeds() {
    let pictures = augmented(false);
    let packed = pack_augmented(0.2, &pictures);
    // Renamed within the order and out of it: the arrays are the same bytes. The test's photos have the digest of their names,
    // up to the first dash.
    let renamed: Vec<_> = pictures.iter().rev().map(|(name, picture)| (name.replacen("x_", "x-moved_", 1), picture.clone())).collect();
    let other = pack_augmented(0.2, &renamed);
    for name in ["train.npy", "held_out.npy"] {
        assert!(packed.read(name) == other.read(name), "{name}");
    }
    // Fewer photos: nobody changes sides.
    let fewer = pack_augmented(0.2, &pictures[30..]);
    let left: Vec<String> =
        photos_in(&packed, "held_out.npy").into_iter().filter(|photo| photos_in(&fewer, "train.npy").contains(photo)).collect();
    assert_eq!(left, [""; 0]);
    // None held out, no file.
    let none = pack_augmented(0.0, &pictures);
    assert_eq!(none.array().0[0], 120);
    assert!(!none.folder.path().join("held_out.npy").exists() && none.files.iter().all(|file| file.name != "held_out.npy"));
}

#[test]
fn white_lies_under_what_is_transparent() {
    let glass = Picture::Rgba(RgbaImage::from_fn(8, 8, |x, _| Rgba([0, 0, 0, if x < 4 { 255 } else { 0 }])));
    let packed = pack(false, &[("glass.png", glass)]).unwrap();
    assert_eq!(packed.array().1, [[0, 0, 0, 0, 255, 255, 255, 255]; 24].concat());
    assert_eq!(packed.files[0].facts["side"], 8);
}

#[test]
fn many_pictures_are_packed_chunk_by_chunk() {
    // 3 MB a picture: five or a few more to a chunk.
    let large = |seed: u8| Picture::Rgb(RgbImage::from_pixel(1024, 1024, Rgb([seed, 0, 255 - seed])));
    let names: Vec<String> = (0..40).map(|seed| format!("{seed}.png")).collect();
    let pictures: Vec<(&str, Picture)> = names.iter().zip(0..).map(|(name, seed)| (name.as_str(), large(seed))).collect();
    let packed = pack(false, &pictures).unwrap();
    let (shape, values) = packed.array();
    assert_eq!((shape, values.len()), ([40, 3, 1024, 1024], (40 * 3) << 20));
    for (row, line) in packed.lines("index.jsonl").iter().enumerate() {
        let seed: u8 = line["item"].as_str().unwrap().trim_end_matches(".png").parse().unwrap();
        let first = |plane: usize| values[(3 * row + plane) << 20];
        assert_eq!([first(0), first(1), first(2)], [seed, 0, 255 - seed], "row {row}");
    }
}

#[test]
fn what_cannot_be_packed_is_said_in_words() {
    let check = |pictures: &[(&str, Picture)], said: &str| {
        assert_eq!(pack(true, pictures).err().unwrap().to_string(), said);
    };
    check(&[], "nothing to pack: no picture has come this far");
    let wide = Picture::Rgb(RgbImage::new(7, 4));
    check(
        &[("a.png", picture(1)), ("b.png", picture(2)), ("c.png", wide.clone()), ("d.png", wide)],
        "pictures of different sizes cannot be packed: a.png is 6 × 4 pixels, c.png is 7 × 4",
    );

    // A file that is not what its manifest says, and a folder that is not there.
    let (one, _) = item("a.png", &picture(1));
    let stage = build(&Params::defaults(KIND.params), &BuildContext::default()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let error = stage.pack(std::slice::from_ref(&one), &|_| Ok(Picture::Rgb(RgbImage::new(2, 2))), folder.path(), &|_| ()).unwrap_err();
    assert_eq!(error.to_string(), "pictures of different sizes cannot be packed: a.png is 2 × 2 pixels, its manifest says 6 × 4");
    let error = stage.pack(&[one], &|_| Ok(picture(1)), &folder.path().join("gone"), &|_| ()).unwrap_err();
    assert!(error.to_string().starts_with("cannot write ") && error.to_string().contains("train.npy"), "{error}");
}

#[test]
fn the_header_is_padded_whatever_the_shape() {
    for count in [1, 9, 10, 123_456_789, usize::MAX] {
        for side in [8, 64, 1024] {
            let header = npy::header([count, 3, side, side]);
            assert_eq!(header.len() % 64, 0, "{count} {side}");
            assert_eq!(usize::from(u16::from_le_bytes([header[8], header[9]])), header.len() - 10);
        }
    }
}

#[test]
fn numpy_reads_the_array() {
    let packed = pack(false, &cats()).unwrap();
    let script = "import sys, numpy; a = numpy.load(sys.argv[1], mmap_mode='r'); print(a.dtype, a.shape, a.sum(), a.flags.c_contiguous)";
    let python = std::env::var("CATGEN_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let output = Command::new(python).args(["-c", script]).arg(packed.folder.path().join("train.npy")).output();
    let Some(output) = output.ok().filter(|output| !String::from_utf8_lossy(&output.stderr).contains("No module named")) else {
        return println!("skipped: no python3 with numpy (CATGEN_PYTHON may name one)");
    };
    let sum: u64 = packed.array().1.iter().map(|value| u64::from(*value)).sum();
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(said.trim(), format!("uint8 (4, 3, 4, 6) {sum} True"), "{}", String::from_utf8_lossy(&output.stderr));
}
