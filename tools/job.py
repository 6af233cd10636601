#!/usr/bin/env python3
"""The whole job, photos to 64 augmented pictures of 64 px each, beside a script that does the same work with Python's libraries.

    CATGEN_PYTHON=PYTHON python3 tools/job.py [--photos DIR] [--every N] [--jobs 2]

The last part of `make eval`.

Prints rows of five columns, separated by tabs, as the stages' evaluations do: stage, data set, metric, ours, reference. Times are CPU seconds of
all processes, user and system. The reference is `peers/images/reference_pipeline.py` of the shared data (CATGEN_SHARED), which keeps the
augmented pictures as our stage does; CATGEN_PYTHON names a Python with its libraries, see tools/eval-python.txt (`make eval-python`). Without it only ours is measured.
Ours runs twice: with `steps = []`, which is the reference's work, and as shipped. Both use the same u2netp file, one thread a photo.
"""

import argparse
import os
import pathlib
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import zipfile

ROOT = pathlib.Path(__file__).resolve().parent.parent

# The stages of the shipped flow without background that the reference has, too: nobody verifies there.
PIPELINE = """[pipeline]
name = "job"
seed = 7439

[[stage]]
name = "0.ORIGINAL"
use = "original"

[[stage]]
name = "1.No_duplicates"
use = "duplicates"
from = "0.ORIGINAL"

[[stage]]
name = "2.No_background"
use = "background"
from = "1.No_duplicates"
{background}

[[stage]]
name = "3.Zoom_photos"
use = "zoom"
from = "2.No_background"

[[stage]]
name = "5.Augmented_data"
use = "augment"
from = "3.Zoom_photos"

[[stage]]
name = "6.Photos_64px"
use = "resize"
from = "5.Augmented_data"
"""

# What is measured: its name, our last stage of it, the reference's name for it.
PARTS = [
    ("photos to hashes, duplicates dropped", "1.No_duplicates", "hash"),
    ("cut out and cropped", "3.Zoom_photos", "background+zoom"),
    ("augmented and made small", "6.Photos_64px", "augment+64px"),
]


def cpu():
    """CPU seconds of the processes that this one waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def ours(program, photos, background, jobs, environment):
    """CPU seconds of each part, and how many photos and pictures came of it."""
    with tempfile.TemporaryDirectory(prefix="catgen-job-") as folder:
        workspace = pathlib.Path(folder)
        (workspace / "pipeline.toml").write_text(PIPELINE.format(background=background), encoding="utf-8")
        shutil.copytree(photos, workspace / "data/0.ORIGINAL")
        seconds = []
        for _, stage, _ in PARTS:
            before = cpu()
            command = [program, "-C", folder, "run", "--jobs", str(jobs), "--until", stage]
            ran = subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, encoding="utf-8")
            if ran.returncode != 0:
                sys.exit(f"{' '.join(map(str, command))} failed:\n{ran.stderr}")
            seconds.append(cpu() - before)
        count = lambda stage: sum(path.is_file() for path in (workspace / "data" / stage).rglob("*.png"))
        return seconds, count("3.Zoom_photos"), count("6.Photos_64px")


def reference(python, shared, photos, jobs):
    """The same of the script; None where its Python has not what it needs."""
    script, model = shared / "peers/images/reference_pipeline.py", shared / "models/u2netp.onnx"
    if not python or subprocess.run([python, "-c", "import cv2, imagehash, numpy, onnxruntime, PIL"], capture_output=True).returncode != 0:
        print("skipped: the same job in Python needs CATGEN_PYTHON, a Python with tools/eval-python.txt (make eval-python)", file=sys.stderr)
        return None
    if not script.is_file():
        print(f"skipped: the same job in Python needs {script}", file=sys.stderr)
        return None
    with tempfile.TemporaryDirectory(prefix="catgen-job-") as folder:
        command = [python, script, photos, folder, "--model", model, "--jobs", str(jobs), "--keep-intermediate"]
        ran = subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, encoding="utf-8")
    if ran.returncode != 0:
        print(f"skipped: {script} failed: {ran.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
        return None
    used = {name: float(seconds) for name, seconds in re.findall(r"^(\S+): \d+ in [\d.]+ s wall, ([\d.]+) s CPU", ran.stdout, re.MULTILINE)}
    kept, pictures = int(re.search(r"kept (\d+)", ran.stdout)[1]), int(re.search(r"total: (\d+)", ran.stdout)[1])
    return [used[name] for _, _, name in PARTS], kept, pictures


def main():
    parser = argparse.ArgumentParser(description="The whole job beside the same in Python: CPU seconds.")
    parser.add_argument("--photos", type=pathlib.Path, help="a folder of photos (default: the shared ones)")
    parser.add_argument("--every", type=int, default=1, help="take every nth photo only")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    shared = pathlib.Path(os.environ.get("CATGEN_SHARED", ROOT.parent / "shared")).resolve()
    program = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release/catgen-pipe"
    if not (shared / "models/u2netp.onnx").is_file() or not program.is_file():
        print(f"skipped: needs {shared}/models/u2netp.onnx and {program} (CATGEN_SHARED; cargo build --release)", file=sys.stderr)
        return
    environment = {**os.environ, "CATGEN_MODELS": str(shared / "models")}
    with tempfile.TemporaryDirectory(prefix="catgen-photos-") as folder:
        every = pathlib.Path(folder) / "every"
        if options.photos:
            shutil.copytree(options.photos, every)
        else:
            for archive in ("cats-personal-1.zip", "cats-personal-2.zip"):
                with zipfile.ZipFile(shared / "data/photos" / archive) as opened:
                    opened.extractall(every)
        for at, path in enumerate(sorted(path for path in every.rglob("*") if path.is_file())):
            if at % options.every:
                path.unlink()
        count = sum(path.is_file() for path in every.rglob("*"))
        theirs = reference(os.environ.get("CATGEN_PYTHON"), shared, every, options.jobs)
        plain = ours(program, every, "steps = []", options.jobs, environment)
        shipped = ours(program, every, "", options.jobs, environment)
    data = f"{count} phone photos"
    show = lambda seconds: f"{seconds:.1f}"
    row = lambda metric, mine, other: print("whole job", data, metric, mine, other, sep="\t")
    for at, (what, _, _) in enumerate(PARTS):
        row(f"CPU s: {what}, steps = []", show(plain[0][at]), show(theirs[0][at]) if theirs else "-")
    row("CPU s: cut out and cropped, as shipped", show(shipped[0][1]), "-")
    totals = {"steps = []": plain, "as shipped": shipped}
    for name, (seconds, _, pictures) in totals.items():
        row(f"CPU s: all of it, {name}", show(sum(seconds)), show(sum(theirs[0])) if theirs else "-")
        # Hashing and cutting out go by the photo, the rest by the picture: 76 pictures of each of 1,000 kept photos.
        scaled = lambda run: sum(run[0][:2]) * 1000 / count + run[0][2] * 76_000 / run[2]
        row(
            f"CPU s: scaled to 1,000 photos and 76,000 pictures, {name}",
            f"{scaled((seconds, 0, pictures)):.0f}",
            f"{scaled(theirs):.0f}" if theirs else "-",
        )
    row("photos kept", plain[1], theirs[1] if theirs else "-")
    row("pictures made", plain[2], theirs[2] if theirs else "-")


main()
