//! How well duplicates are found, on real data: lines of `stage, data set, metric, ours, reference`, parted by tabs.
//!
//! `cargo run --release --example evaluate_duplicates -p catgen-duplicates -- [SHARED [strict|default|loose]]`
//!
//! `SHARED` is the folder of shared data; without it `CATGEN_SHARED`, else `../shared` beside the workspace. Archives are unpacked
//! with `unzip`. References are what imagededup 0.3.3 (PHash at its default of 10 bits) and czkawka (its PyPI binding 0.1.2 at similarity
//! 5) found in the same pictures, measured with `peers.py` beside this program in November 2026, or are quoted where they say so.

#![expect(clippy::print_stdout, reason = "an example's result is what it prints")]

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use catgen_api::{Digest, Draw, Picture};
use catgen_duplicates::{Candidate, Fate, Fingerprint, Hash, Hashing, Rules, Strictness, WORKING_SIDE, decisions::Decisions, group};
use catgen_picture::{Filter, Rgb, crop_resize, decode, encode_jpeg};

type Failure = Box<dyn std::error::Error>;

/// One picture of a set.
struct Photo {
    name: String,
    digest: Digest,
    pixels: u64,
    fingerprint: Fingerprint,
}

/// Pairs of names in name order.
type Pairs = BTreeSet<(String, String)>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let shared = arguments.first().map(PathBuf::from).or_else(|| env::var_os("CATGEN_SHARED").map(PathBuf::from));
    let shared = shared.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"));
    let strictness = match arguments.get(1).map(String::as_str) {
        None | Some("default") => Strictness::Default,
        Some("strict") => Strictness::Strict,
        Some("loose") => Strictness::Loose,
        Some(other) => return Err(format!("{other} is no strictness").into()),
    };
    let rules = Rules::new(strictness, 64, None);
    let data = shared.join("data");
    if !data.join("README.md").is_file() {
        eprintln!("skipped: there are no shared data in {} (CATGEN_SHARED names another place)", shared.display());
        return Ok(());
    }
    let hash = Hash::new(Hashing::Phash, 8);

    let photos = unpacked(&[data.join("photos/cats-personal-1.zip"), data.join("photos/cats-personal-2.zip")])?;
    let (own, files) = fingerprints(&hash, photos.path())?;
    let table = rows(&data.join("photos/near-duplicates.csv"))?;
    let of_kind = |kind: &str| pairs(table.iter().filter(|row| row[2] == kind).map(|row| (row[0].clone(), row[1].clone())));
    let truth = both(&of_kind("exact"), &of_kind("near"));
    score("251 phone photos", &own, &rules, &truth, &of_kind("same-session"), REFERENCE.photos);
    exact("251 phone photos", &own, &rules);

    let faces = unpacked(&[data.join("duplicates/cats64-natural.zip")])?;
    let (own_faces, _) = fingerprints(&hash, faces.path())?;
    let table = rows(&data.join("duplicates/cats64-natural-pairs.csv"))?;
    let bare = |name: &str| own_faces.iter().find(|photo| photo.name.ends_with(name)).map_or(name.to_owned(), |photo| photo.name.clone());
    let of_kind = |kind: &str| pairs(table.iter().filter(|row| row[2] == kind).map(|row| (bare(&row[0]), bare(&row[1]))));
    score("faces at 64 px", &own_faces, &rules, &both(&of_kind("exact"), &of_kind("near")), &of_kind("ambiguous"), REFERENCE.faces);
    exact("faces at 64 px", &own_faces, &rules);

    let triples = unpacked(&[data.join("duplicates/feral-triples.zip")])?;
    let (own_triples, _) = fingerprints(&hash, triples.path())?;
    let by_group =
        grouped(&own_triples, |name| name.rsplit('/').next().and_then(|file| file.split_once('-')).map(|(group, _)| group.to_owned()));
    score("exposures and noise", &own_triples, &rules, &by_group, &Pairs::new(), REFERENCE.triples);

    let seeds = unpacked(&[data.join("seed-tests.zip")])?;
    let (own_seeds, _) = fingerprints(&hash, &seeds.path().join("duplicate_photos"))?;
    let by_cat = grouped(&own_seeds, |name| Some(name.trim_end_matches(".jpeg").split('_').take(2).collect::<Vec<_>>().join("_")));
    score("the first project's test photos", &own_seeds, &rules, &by_cat, &Pairs::new(), REFERENCE.seeds);

    let peers = unpacked(&[data.join("duplicates/peer-test-images.zip")])?;
    let (own_peers, _) = fingerprints(&hash, peers.path())?;
    let (truth, unscored) = peers_truth(&own_peers);
    score("other programs' test images", &own_peers, &rules, &truth, &unscored, REFERENCE.peers);

    made(&hash, &rules, &own, &files)?;
    time(&hash, &own, &files)?;
    search(&rules, &own);
    Ok(())
}

/// Precision and recall that other programs reached.
struct Reference {
    photos: [&'static str; 2],
    faces: [&'static str; 2],
    triples: [&'static str; 2],
    seeds: [&'static str; 2],
    peers: [&'static str; 2],
}

const REFERENCE: Reference = Reference {
    photos: ["1.000 (imagededup), 1.000 (czkawka)", "0.875, 0.875"],
    faces: ["0.939 (imagededup), 0.989 (czkawka)", "0.989, 1.000"],
    triples: ["1.000 (imagededup), 1.000 (czkawka)", "0.987, 0.733"],
    seeds: ["1.000 (imagededup), 1.000 (czkawka)", "0.929, 0.929"],
    peers: ["0.876 (imagededup), 1.000 (czkawka)", "1.000, 0.403"],
};

fn line(set: &str, metric: &str, ours: impl std::fmt::Display, reference: &str) {
    println!("duplicates\t{set}\t{metric}\t{ours}\t{reference}");
}

/// Every pair of names, each in name order.
fn pairs(names: impl Iterator<Item = (String, String)>) -> Pairs {
    names.map(|(a, b)| if a < b { (a, b) } else { (b, a) }).collect()
}

/// Both, and every pair that follows from them: what is the same as the same is the same, though nobody wrote that line.
fn both(one: &Pairs, other: &Pairs) -> Pairs {
    let all: Pairs = one.union(other).cloned().collect();
    let mut group: BTreeMap<&str, &str> = all.iter().flat_map(|(a, b)| [(a.as_str(), a.as_str()), (b, b)]).collect();
    for (a, b) in &all {
        let (from, to) = (group[a.as_str()], group[b.as_str()]);
        group.values_mut().filter(|name| **name == from).for_each(|name| *name = to);
    }
    let same =
        group.iter().flat_map(|(a, of_a)| group.iter().filter(move |(b, of_b)| of_a == *of_b && a != *b).map(move |(b, _)| (*a, *b)));
    pairs(same.map(|(a, b)| (a.to_owned(), b.to_owned())))
}

/// All pairs of photos that the function gives the same word.
fn grouped(photos: &[Photo], word: impl Fn(&str) -> Option<String>) -> Pairs {
    let mut groups: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for photo in photos {
        if let Some(word) = word(&photo.name) {
            groups.entry(word).or_default().push(&photo.name);
        }
    }
    let within = groups.values().flat_map(|names| names.iter().flat_map(|a| names.iter().map(|b| ((*a).to_owned(), (*b).to_owned()))));
    pairs(within.filter(|(a, b)| a != b))
}

fn candidates(photos: &[Photo]) -> Vec<Candidate<'_>> {
    let candidates = photos.iter().map(|Photo { name, digest, pixels, fingerprint }| {
        let (digest, pixels, fingerprint) = (*digest, *pixels, fingerprint.clone());
        Candidate { name, digest, pixels, fingerprint }
    });
    candidates.collect()
}

/// The pairs within each group that was made, and how many pairs were only called possible.
fn found(photos: &[Photo], rules: &Rules) -> (Pairs, usize) {
    let fates = group(&candidates(photos), rules, &Decisions::default());
    let mut possible = 0;
    let head: HashMap<&str, usize> = photos
        .iter()
        .zip(fates.iter().enumerate())
        .map(|(photo, (at, fate))| match fate {
            Fate::Kept(similar) => {
                possible += similar.len();
                (photo.name.as_str(), at)
            }
            Fate::Dropped(near) => (photo.name.as_str(), near.of),
        })
        .collect();
    (grouped(photos, |name| Some(head[name].to_string())), possible)
}

fn score(set: &str, photos: &[Photo], rules: &Rules, truth: &Pairs, unscored: &Pairs, [precision, recall]: [&str; 2]) {
    let (found, possible) = found(photos, rules);
    let hits = found.intersection(truth).count();
    let wrong: Vec<_> = found.iter().filter(|pair| !truth.contains(*pair) && !unscored.contains(*pair)).collect();
    let missed: Vec<_> = truth.difference(&found).collect();
    for (a, b) in &wrong {
        eprintln!("{set}: wrongly merged: {a} and {b}");
    }
    for (a, b) in &missed {
        eprintln!("{set}: missed: {a} and {b}");
    }
    let share = |part: usize, whole: usize| if whole == 0 { 1.0 } else { part as f64 / whole as f64 };
    line(set, &format!("precision of {} pairs", hits + wrong.len()), format!("{:.3}", share(hits, hits + wrong.len())), precision);
    line(set, &format!("recall of {} pairs", truth.len()), format!("{:.3}", share(hits, truth.len())), recall);
    line(set, "pairs listed as possible", possible, "-");
}

/// Byte-equal files that were both kept: there must be none.
fn exact(set: &str, photos: &[Photo], rules: &Rules) {
    let equal = grouped(photos, |name| photos.iter().find(|photo| photo.name == name).map(|photo| photo.digest.to_string()));
    let missed = equal.difference(&found(photos, rules).0).count();
    line(set, &format!("byte-equal pairs missed of {}", equal.len()), missed, "0");
}

/// What the programs that these pictures come from call the same, without mirrored and turned ones, which are other pictures here.
/// Copies in grey are not scored: they are told apart by colour on purpose.
fn peers_truth(photos: &[Photo]) -> (Pairs, Pairs) {
    const SAME: [(&str, &[&str]); 5] = [
        ("bridge", &["pdq/bridge-mods/", "pdq/misc-images/modes/", "dih/bridge-1-original"]),
        ("clown", &["ukbench00120.", "ukbench00120_resize", "ukbench00120_gray", "alpha_channel_image"]),
        ("bottle", &["ukbench09380"]),
        ("toothbrush", &["ukbench09268."]),
        ("forum", &["euclidean/distorted", "euclidean/large", "euclidean/small", "images4/resample/", "images4/rotate/0"]),
    ];
    let word = |name: &str| {
        let named = SAME.iter().find(|(_, parts)| parts.iter().any(|part| name.contains(part))).map(|(word, _)| (*word).to_owned());
        named.or_else(|| name.contains("forest/").then(|| "forest".to_owned()))
    };
    let all = grouped(photos, word);
    let grey = |name: &str| ["modes/1.png", "modes/L.png", "modes/LA.png", "_gray"].iter().any(|part| name.contains(part));
    let (unscored, truth): (Pairs, Pairs) = all.into_iter().partition(|(a, b)| grey(a) || grey(b));
    // Pictures of one colour: whether two of them are the same picture is a matter of taste.
    let plain = grouped(photos, |name| {
        (name.contains("images4/proportions/") || name.contains("images4/custom/")).then(|| name.contains("custom").to_string())
    });
    (truth, unscored.union(&plain).cloned().collect())
}

/// Copies made here: turned by EXIF, and cropped.
fn made(hash: &Hash, rules: &Rules, photos: &[Photo], files: &HashMap<String, PathBuf>) -> Result<(), Failure> {
    let (mut turned, mut found_turned) = (0, 0);
    let mut with_crops: Vec<Photo> = Vec::new();
    let mut truth = Pairs::new();
    let (mut five, mut found_five) = (0, 0);
    for (at, photo) in photos.iter().enumerate() {
        let picture = decode(&fs::read(&files[&photo.name])?, Some(1024))?.picture;
        if at % 10 == 0 {
            for orientation in 1..=8 {
                let file = stored_turned(&picture, orientation);
                let copy = hash.fingerprint(&decode(&file, Some(WORKING_SIDE))?.picture);
                let distance = copy.distance(&photo.fingerprint);
                turned += 1;
                found_turned += usize::from(is_same(rules, &copy, &photo.fingerprint, distance));
            }
        }
        for (cut, scored) in [([0.025, 0.05, 0.95, 0.975], true), ([0.0125, 0.025, 0.975, 0.9875], false)] {
            let file = encode_jpeg(&part(&picture, cut), 80);
            let pixels = decode(&file, Some(WORKING_SIDE))?.picture;
            let fingerprint = hash.fingerprint(&pixels);
            if scored {
                let name = format!("{} cropped", photo.name);
                truth.extend(pairs([(photo.name.clone(), name.clone())].into_iter()));
                with_crops.push(Photo { name, digest: Digest::of(&file), pixels: photo.pixels / 2, fingerprint });
            } else {
                five += 1;
                found_five += usize::from(is_same(rules, &fingerprint, &photo.fingerprint, fingerprint.distance(&photo.fingerprint)));
            }
        }
    }
    line(
        "photos stored turned, 8 EXIF orientations",
        &format!("found of {turned}"),
        found_turned,
        "1 in 8 (imagededup, quoted: 0 of 8 turned)",
    );
    line("crops of 3.75 %", &format!("found of {five}"), found_five, "-");
    let mut all: Vec<Photo> = photos
        .iter()
        .map(|Photo { name, digest, pixels, fingerprint }| Photo {
            name: name.clone(),
            digest: *digest,
            pixels: *pixels,
            fingerprint: fingerprint.clone(),
        })
        .collect();
    all.extend(with_crops);
    let (found, _) = found(&all, rules);
    let hits = found.intersection(&truth).count();
    line("crops of 7.5 %", &format!("found of {}", truth.len()), hits, "184 (imagededup), 50 (czkawka), 203 (czkawka at 10)");
    let own = |name: &str| name.trim_end_matches(" cropped").to_owned();
    let apart = self::found(photos, rules).0;
    let strangers = found
        .iter()
        .filter(|(a, b)| own(a) != own(b) && !apart.contains(&pairs([(own(a), own(b))].into_iter()).pop_first().unwrap_or_default()));
    line("crops of 7.5 %", "pairs merged that are not of one photo", strangers.count(), "-");
    Ok(())
}

fn is_same(rules: &Rules, a: &Fingerprint, b: &Fingerprint, distance: u32) -> bool {
    use catgen_duplicates::Judgement::{Same, SameAligned};
    matches!(rules.judge(a, b, distance), Same | SameAligned(_))
}

fn part(picture: &Picture, [left, top, right, bottom]: [f64; 4]) -> Picture {
    let [width, height] = picture.size().map(f64::from);
    let cut = [left * width, top * height, (right - left) * width, (bottom - top) * height].map(f64::round);
    crop_resize(picture, cut, cut[2] as u32, cut[3] as u32, Filter::Lanczos)
}

/// What a camera held that way stores: the picture turned, and a tag that says how to turn it back.
fn stored_turned(picture: &Picture, orientation: u8) -> Vec<u8> {
    use image::metadata::Orientation;
    let mut image = image::DynamicImage::ImageRgb8(picture.over(Rgb([255; 3])).into_owned());
    let undo = match Orientation::from_exif(orientation) {
        Some(Orientation::Rotate90) => Orientation::Rotate270,
        Some(Orientation::Rotate270) => Orientation::Rotate90,
        Some(own_inverse) => own_inverse,
        None => Orientation::NoTransforms,
    };
    image.apply_orientation(undo);
    let file = encode_jpeg(&Picture::Rgb(image.into_rgb8()), 90);
    let mut exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0, 0]);
    let mut turned = vec![0xFF, 0xD8, 0xFF, 0xE1];
    turned.extend(((exif.len() + 2) as u16).to_be_bytes());
    turned.extend(exif);
    turned.extend(&file[2..]);
    turned
}

/// Prints Pillow's median CPU milliseconds from a JPEG to the grey 32 × 32 that a hash is made of.
const PILLOW: &str = r#"
import io, sys, time, statistics as st
from PIL import Image
files = [open(f, "rb").read() for f in sys.argv[1:]]
t = []
for _ in range(7):
    for b in files:
        c = time.process_time(); im = Image.open(io.BytesIO(b)); im.draft("L", (64, 64)); im.resize((32, 32), Image.LANCZOS); t.append(time.process_time() - c)
print(st.median(t) * 1e3)
"#;

/// What one photo of 12 MP costs: working picture, hash, sharpness, thumbnails. Pillow, where it is installed, in the same run.
fn time(hash: &Hash, photos: &[Photo], files: &HashMap<String, PathBuf>) -> Result<(), Failure> {
    let large: Vec<&PathBuf> = photos.iter().filter(|photo| photo.pixels >= 11_500_000).map(|photo| &files[&photo.name]).collect();
    let bytes: Vec<Vec<u8>> = large.iter().map(fs::read).collect::<Result<_, _>>()?;
    let mut times: Vec<f64> = Vec::new();
    for _ in 0..7 {
        for file in &bytes {
            let began = cpu_seconds();
            let fingerprint = hash.fingerprint(&decode(file, Some(WORKING_SIDE))?.picture);
            times.push(1e3 * (cpu_seconds() - began));
            assert_eq!(fingerprint.bits(), 64);
        }
    }
    times.sort_by(f64::total_cmp);
    let pillow =
        Command::new(env::var_os("CATGEN_PYTHON").unwrap_or_else(|| "python3".into())).args(["-c", PILLOW]).args(&large).output().ok();
    let pillow = pillow.and_then(|output| String::from_utf8_lossy(&output.stdout).trim().parse::<f64>().ok());
    let pillow = pillow.map_or("34 (Pillow draft, quoted)".to_owned(), |pillow| format!("{pillow:.1} (Pillow draft)"));
    let metric = "CPU ms to 512 px picture, hash and sharpness";
    line(&format!("{} JPEGs of 12 MP", large.len()), metric, format!("{:.1}", times[times.len() / 2]), &format!("{pillow}: hash only"));
    Ok(())
}

/// The search among 100,000 photos: hashes drawn, thumbnails those of real photos.
fn search(rules: &Rules, photos: &[Photo]) {
    let mut draw = Draw::new(7439, "search", &Digest::of(b""), 0);
    let many = 100_000;
    let mut hashes: Vec<u64> = (0..many).map(|_| draw.bits()).collect();
    for at in 0..many / 10 {
        // A tenth are near-duplicates, 4 bits apart.
        hashes[many - 1 - at] = (0..4).fold(hashes[at], |hash, _| hash ^ 1 << draw.below(64));
    }
    let names: Vec<String> = (0..many).map(|at| format!("{at:06}")).collect();
    let many: Vec<Candidate<'_>> = names
        .iter()
        .zip(&hashes)
        .enumerate()
        .map(|(at, (name, hash))| {
            let source = if at < names.len() - names.len() / 10 { at } else { names.len() - 1 - at };
            let mut facts = photos[source % photos.len()].fingerprint.to_facts();
            facts.insert("hash".to_owned(), format!("{:016x}", hash.swap_bytes()).into());
            let fingerprint = Fingerprint::from_facts(&facts).expect("these are the facts of a fingerprint");
            Candidate { name, digest: Digest::of(name.as_bytes()), pixels: 1_000_000 - at as u64, fingerprint }
        })
        .collect();

    let began = cpu_seconds();
    let mut near = 0u64;
    for (at, one) in hashes.iter().enumerate() {
        near += hashes[at + 1..].iter().map(|other| u64::from((one ^ other).count_ones() <= 10)).sum::<u64>();
    }
    let plain = cpu_seconds() - began;
    let reference = format!("{plain:.1} (a plain loop at 10 bits: {near} pairs); 3600 (imagededup, quoted)");
    // Every hash is compared with every other whatever the distance; so near, only those that are meant to be found are judged.
    let mut search = *rules;
    search.look_distance = 4;
    for rules in [&search, rules] {
        let began = cpu_seconds();
        let fates = group(&many, rules, &Decisions::default());
        let ours = cpu_seconds() - began;
        let dropped = fates.iter().filter(|fate| matches!(fate, Fate::Dropped(_))).count();
        let metric =
            format!("CPU seconds to compare all pairs and judge those up to {} bits apart; {dropped} dropped", rules.look_distance);
        line("100,000 photos", &metric, format!("{ours:.1}"), &reference);
    }
}

/// CPU seconds of this process so far: the machine may have other work.
fn cpu_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fn unpacked(archives: &[PathBuf]) -> Result<tempfile::TempDir, Failure> {
    let folder = tempfile::tempdir()?;
    for archive in archives {
        let done = Command::new("unzip").args(["-q", "-o"]).arg(archive).arg("-d").arg(folder.path()).status()?;
        if !done.success() {
            return Err(format!("{} cannot be unpacked", archive.display()).into());
        }
    }
    Ok(folder)
}

/// Every picture below the folder that can be read, and where it is, by its name.
fn fingerprints(hash: &Hash, folder: &Path) -> Result<(Vec<Photo>, HashMap<String, PathBuf>), Failure> {
    let (mut photos, mut files) = (Vec::new(), HashMap::new());
    for entry in walkdir::WalkDir::new(folder).sort_by_file_name() {
        let entry = entry?;
        if !entry.file_type().is_file() {
            continue;
        }
        let bytes = fs::read(entry.path())?;
        let Ok(decoded) = decode(&bytes, Some(WORKING_SIDE)) else { continue };
        let name = entry.path().strip_prefix(folder)?.display().to_string();
        files.insert(name.clone(), entry.path().to_owned());
        let pixels = u64::from(decoded.probe.width) * u64::from(decoded.probe.height);
        photos.push(Photo { name, digest: Digest::of(&bytes), pixels, fingerprint: hash.fingerprint(&decoded.picture) });
    }
    Ok((photos, files))
}

/// The fields of each line but the first.
fn rows(table: &Path) -> Result<Vec<Vec<String>>, Failure> {
    Ok(fs::read_to_string(table)?.lines().skip(1).map(|line| line.split(',').map(str::to_owned).collect()).collect())
}
