#!/usr/bin/env python3
"""Runs every stage's evaluation and prints one table: stage, data set, metric, ours, reference.

    make eval
    python3 tools/eval.py [--only CRATE …] [--tsv FILE]

A stage has an evaluation if its crate has an example whose name begins with `evaluate` (evaluate_resize.rs: a name of its own,
because cargo puts all examples of a workspace into one folder). That program prints rows of five columns, separated by tabs, on
standard output, and on standard error what it had to leave out and why. Last comes `whole-job` (tools/job.py): photos to pictures, beside
a script of Python's libraries. The shared data are looked for where CATGEN_SHARED says, else beside the checkout; CATGEN_PYTHON may name a
Python with the peers' libraries (`make eval-python`), so that they run beside ours.
"""

import argparse
import os
import pathlib
import re
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
JOB = "whole-job"
CARGO = [os.environ.get("CARGO", "cargo")]
COLUMNS = ["stage", "data set", "metric", "ours", "reference"]


def evaluations():
    """Crates with an evaluation, in the order of the pipeline, and those without."""
    found, without = [], []
    for folder in sorted((ROOT / "stages").iterdir()):
        manifest = folder / "Cargo.toml"
        if not manifest.is_file():
            continue
        name = re.search(r'^name = "(.+)"$', manifest.read_text(encoding="utf-8"), re.MULTILINE).group(1)
        examples = sorted((folder / "examples").glob("evaluate*.rs"))
        found += [(name, example.stem) for example in examples]
        if not examples:
            without.append(name)
    return found, without


def shared():
    folder = pathlib.Path(os.environ.get("CATGEN_SHARED", ROOT.parent / "shared"))
    return folder if (folder / "data" / "README.md").is_file() else None


def table(rows):
    """A Markdown table, its columns as wide as what is in them."""
    lines = [COLUMNS, *rows]
    widths = [max(len(line[at]) for line in lines) for at in range(len(COLUMNS))]
    show = lambda line: "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |"
    return "\n".join([show(COLUMNS), "|" + "|".join("-" * (width + 2) for width in widths) + "|", *map(show, rows)])


def evaluate(crate, example, environment):
    """The rows of one crate, and what it said besides; None where it failed."""
    command = [sys.executable, example] if crate == JOB else [*CARGO, "run", "--release", "--quiet", "-p", crate, "--example", example]
    ran = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8", errors="replace")
    rows, other = [], ran.stderr.splitlines()
    for line in ran.stdout.splitlines():
        cells = [cell.strip().replace("|", "\\|") for cell in line.split("\t")]
        if len(cells) == len(COLUMNS):
            rows.append(cells)
        elif line.strip():
            other.append(line)
    return (rows if ran.returncode == 0 else None), other


def main():
    parser = argparse.ArgumentParser(description="Runs every stage's evaluation and prints one table.")
    parser.add_argument("--only", nargs="+", metavar="CRATE", help="only these crates")
    parser.add_argument("--tsv", type=pathlib.Path, help="write the rows to this file, too")
    options = parser.parse_args()
    found, without = evaluations()
    found.append((JOB, str(ROOT / "tools/job.py")))
    notes = [f"{crate}: has no evaluation (examples/evaluate_….rs)" for crate in without] if not options.only else []
    if options.only:
        names = [crate for crate, _ in found]
        unknown = [crate for crate in options.only if crate not in names]
        if unknown:
            sys.exit(f"no evaluation in {', '.join(unknown)}; there are {', '.join(names)}")
        found = [(crate, example) for crate, example in found if crate in options.only]
    environment = dict(os.environ)
    if shared() is None:
        notes.append("the shared data are not here (CATGEN_SHARED names their folder): whatever needs them is left out")
    else:
        environment["CATGEN_SHARED"] = str(shared().resolve())
    if not environment.get("CATGEN_PYTHON"):
        notes.append("CATGEN_PYTHON names no Python with the usual tools (make eval-python): where they would run beside ours, they are quoted or left out")
        environment.pop("CATGEN_PYTHON", None)
    # Some evaluations run the program itself.
    if subprocess.run([*CARGO, "build", "--release", "--quiet"], cwd=ROOT).returncode != 0:
        sys.exit("the program cannot be built")
    rows, failed = [], False
    for crate, example in found:
        print(f"{crate} …", file=sys.stderr, flush=True)
        began = time.monotonic()
        own, said = evaluate(crate, example, environment)
        if own is None:
            failed = True
            notes.append(f"{crate}: FAILED: " + " / ".join(said[-3:]))
            continue
        rows += own
        notes += [f"{crate}: {line}" for line in said if line.strip()]
        if not own:
            notes.append(f"{crate}: printed no rows")
        print(f"{crate}: {len(own)} rows, {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    print(table(rows))
    if notes:
        print("\nLeft out, and other words:\n")
        for note in notes:
            print(f"- {note}")
    if options.tsv:
        options.tsv.write_text("".join("\t".join(row) + "\n" for row in rows), encoding="utf-8")
    sys.exit(1 if failed else 0)


main()
