//! What decoding costs and what it can read: lines of `stage, data set, metric, ours, reference`, parted by tabs.
//!
//! `cargo run --release --example evaluate_decode -p catgen-picture -- [SHARED]`
//!
//! `SHARED` is the folder of shared data; without it `CATGEN_SHARED`, else `../shared` beside the workspace. Archives are unpacked
//! with `unzip`. References come from Pillow in the same run, if the Python named by `CATGEN_PYTHON` (else `python3`) has it, on the same
//! files, turn and turn about; else they are quoted. Times are CPU time of one thread: read their ratio.

#![expect(clippy::print_stdout, reason = "an example's result is what it prints")]

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use catgen_picture::{Probe, decode, probe};

type Failure = Box<dyn std::error::Error>;

/// How often each file is decoded; the median counts.
const ROUNDS: usize = 7;

/// Prints the median CPU milliseconds of Pillow's ways, and how many files it reads.
const PILLOW: &str = r#"
import io, sys, time, statistics as st
from PIL import Image, ImageOps
files = [open(f, "rb").read() for f in sys.argv[2:]]
def cpu(f):
    t = []
    for _ in range(int(sys.argv[1])):
        for b in files:
            c = time.process_time(); f(b); t.append(time.process_time() - c)
    return st.median(t) * 1e3
def draft(b):
    im = Image.open(io.BytesIO(b)); im.draft("RGB", (504, 504)); im.thumbnail((512, 512), Image.LANCZOS); return ImageOps.exif_transpose(im)
def whole(b):
    im = Image.open(io.BytesIO(b)); im.load(); return ImageOps.exif_transpose(im)
def plain(b):
    return ImageOps.exif_transpose(Image.open(io.BytesIO(b)).convert("RGB")).resize((512, 384), Image.LANCZOS)
print(cpu(draft), cpu(plain), cpu(whole))
"#;

const READABLE: &str = r#"
import sys
from PIL import Image
n = 0
for f in sys.stdin.read().splitlines():
    try:
        with Image.open(f) as im: im.load()
        n += 1
    except Exception: pass
print(n)
"#;

fn main() -> Result<(), Failure> {
    let shared = env::args_os().nth(1).or_else(|| env::var_os("CATGEN_SHARED")).map(PathBuf::from);
    let shared = shared.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"));
    if !shared.join("data/README.md").is_file() {
        eprintln!("skipped: there are no shared data in {} (CATGEN_SHARED names another place)", shared.display());
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    for archive in ["photos/cats-personal-1.zip", "photos/cats-personal-2.zip", "duplicates/peer-test-images.zip", "seed-tests.zip"] {
        let done = Command::new("unzip").args(["-q", "-o"]).arg(shared.join("data").join(archive)).arg("-d").arg(folder.path()).status()?;
        if !done.success() {
            return Err(format!("{archive} cannot be unpacked").into());
        }
    }
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in walkdir::WalkDir::new(folder.path()).sort_by_file_name() {
        let entry = entry?;
        let is_text = entry.path().extension().is_some_and(|end| ["md", "csv", "txt"].iter().any(|text| end == *text));
        if entry.file_type().is_file() && !is_text && entry.file_name() != "LICENSE" {
            files.push(entry.into_path());
        }
    }
    read(&files)?;
    time(&files)
}

fn line(set: &str, metric: &str, ours: impl std::fmt::Display, reference: impl std::fmt::Display) {
    println!("decode\t{set}\t{metric}\t{ours}\t{reference}");
}

fn python() -> Command {
    Command::new(env::var_os("CATGEN_PYTHON").unwrap_or_else(|| "python3".into()))
}

/// How many files can be read, broken ones among them.
fn read(files: &[PathBuf]) -> Result<(), Failure> {
    let mut readable = 0;
    for file in files {
        match decode(&fs::read(file)?, Some(512)) {
            Ok(decoded) => {
                readable += 1;
                assert_eq!(probe(&fs::read(file)?).as_ref(), Ok(&decoded.probe), "{}", file.display());
            }
            Err(error) => eprintln!("not read: {}: {error}", file.display()),
        }
    }
    let list: String = files.iter().map(|file| format!("{}\n", file.display())).collect();
    let pillow = piped(python().args(["-c", READABLE]), &list).unwrap_or_else(|| "-".to_owned());
    let metric = format!("files read of {} (one of them is broken on purpose)", files.len());
    line("photos and test images", &metric, readable, format!("{} (Pillow)", pillow.trim()));
    Ok(())
}

/// 12 MP JPEGs to a working picture, and in full.
fn time(files: &[PathBuf]) -> Result<(), Failure> {
    let is_large = |file: &&PathBuf| {
        let bytes = fs::read(file).unwrap_or_default();
        matches!(probe(&bytes), Ok(Probe { width, height, .. }) if width * height >= 11_500_000) && bytes.starts_with(b"\xFF\xD8")
    };
    let large: Vec<&PathBuf> = files.iter().filter(is_large).collect();
    let bytes: Vec<Vec<u8>> = large.iter().map(fs::read).collect::<Result<_, _>>()?;
    let milliseconds = |side: Option<u32>| -> f64 {
        let mut times: Vec<f64> = Vec::new();
        for _ in 0..ROUNDS {
            for file in &bytes {
                let began = cpu_milliseconds();
                let decoded = decode(file, side);
                times.push(cpu_milliseconds() - began);
                assert!(decoded.is_ok());
            }
        }
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    let names: Vec<String> = large.iter().map(|file| file.display().to_string()).collect();
    let pillow = python().args(["-c", PILLOW, &ROUNDS.to_string()]).args(&names).output().ok();
    let pillow = pillow.filter(|output| output.status.success()).map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let pillow: Vec<f64> = pillow.unwrap_or_default().split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let (small, full) = (milliseconds(Some(512)), milliseconds(None));
    let set = format!("{} JPEGs of 12 MP", large.len());
    let [draft, plain, whole] = match pillow.as_slice() {
        [draft, plain, whole] => [draft, plain, whole].map(|value| format!("{value:.1}")),
        _ => ["52", "229", "85"].map(|value| format!("{value} (quoted)")),
    };
    line(&set, "CPU ms to 512 px, upright, sRGB", format!("{small:.1}"), format!("{draft} (Pillow draft), {plain} (Pillow without)"));
    line(&set, "CPU ms in full, upright, sRGB", format!("{full:.1}"), format!("{whole} (Pillow, colours not converted)"));
    Ok(())
}

fn piped(command: &mut Command, text: &str) -> Option<String> {
    use std::{io::Write, process::Stdio};
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
    child.stdin.take()?.write_all(text.as_bytes()).ok()?;
    let output = child.wait_with_output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// CPU time of this process so far: the machine may have other work.
fn cpu_milliseconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    1e3 * time.tv_sec as f64 + time.tv_nsec as f64 / 1e6
}
