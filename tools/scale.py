#!/usr/bin/env python3
"""What a pipeline of millions of photos on a cluster would cost, by what small parts of it cost here.

    python3 tools/scale.py [--photos 10000000] [--nodes 1000] [--copies 64]     a table, and what breaks first

Every number below that was measured says on what; see docs/scale.md. Nothing here asks a cluster: it counts bytes, requests and the
time of the one process that waits for all the others.
"""

from __future__ import annotations

import argparse
import math

# ---- measured or, where it says so, assumed: docs/scale.md
PHOTO = 2_500_000  # bytes of a phone photo as it comes from the phone
CUT_OUT_SECONDS = 0.42  # of a core: cut out, crop, check
PICTURE_SECONDS = 0.00055  # of a core: augment and make small, one picture
CUT_OUT = 1_180_000  # bytes of a cut-out and its crop, together
AUGMENTED = 22_600  # bytes, at most 128 px
SMALL = 5_350  # bytes, 64 px
INDEX_RESULT = 120  # bytes of a result in an index object, without its pictures
INDEX_PICTURE = 250  # bytes of a picture in an index object: in its result and its place in a pack
LIST_PICTURE = 400  # bytes of a picture in a stage's list
READ_INDEX = 6.6e-9  # seconds of a core a byte of index object, from the disk into the memory
MEMORY_INDEX = 1.0  # bytes of memory a byte of index object
LOOK_UP = 2e-5  # assumed: seconds of a core to ask what a result is (one stat, and a line of a file)
KNOWS = 2e-7  # assumed: seconds of a core to ask the memory whether somebody told of a result
PAGE = 1000  # names that an object store lists in one answer
LIST_SECONDS = 1.5e-8  # seconds of a core a byte of list, read or written
PACK = 8 << 20
BATCH = 64 << 20
REQUEST = 0.03  # assumed: seconds until an object store answers, when it is not next door
NETWORK = 1.0e9 / 8  # assumed: bytes a second of one machine's network
AT_ONCE = 8  # requests of one process at once
LOOK_EVERY = (0.5, 15)  # seconds between two looks at the shared cache: a hundredth of what was waited for so far, within these


def human(number: float, unit: str = "B") -> str:
    for step in ("", "k", "M", "G", "T", "P"):
        if number < 1000 or step == "P":
            return f"{number:.3g} {step}{unit}"
        number /= 1000
    raise AssertionError("the loop ends with P")


def hours(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.3g} min" if seconds < 7200 else f"{seconds / 3600:.3g} h"


def count_looks(seconds: float) -> float:
    often, rarely = LOOK_EVERY
    growing = 100 * math.log(max(1.0, min(seconds, 100 * rarely) / (100 * often)))
    return min(seconds, 100 * often) / often + growing + max(0.0, seconds - 100 * rarely) / rarely


def job(photos: int, nodes: int, cores: int, copies: int) -> dict:
    """All of one flow, in bytes, requests and seconds."""
    pictures = photos * copies
    work = photos * CUT_OUT_SECONDS + pictures * PICTURE_SECONDS
    made = photos * CUT_OUT + pictures * (AUGMENTED + SMALL)
    results = photos * 5 + pictures  # cut out, crop, check, augment, one fact; each small picture is a result of its own
    index = results * INDEX_RESULT + (2 * photos + 2 * pictures) * INDEX_PICTURE
    packs = made / PACK
    indexes = max(nodes, made / BATCH)
    inputs = photos * PHOTO
    lists = (4 * photos + 2 * pictures) * LIST_PICTURE
    looks = count_looks(work / (nodes * cores))
    return {
        "work, core-hours": work / 3600,
        "work on all nodes": work / (nodes * cores),
        "photos sent up": inputs,
        "pictures made": made,
        "puts: packs": packs + inputs / PACK,
        "puts: index objects": indexes,
        "puts: names of index objects": indexes,
        "gets of one worker for its inputs": inputs / nodes / PACK,
        "index objects, all bytes": index,
        "memory of the run's index": index * MEMORY_INDEX,
        "memory of a worker's index": (index + photos * INDEX_PICTURE) / nodes * MEMORY_INDEX,
        "lists of all stages": lists,
        "list of the largest stage": pictures * LIST_PICTURE,
        "coordinator: photos up": inputs / NETWORK,
        "coordinator: pictures down": made / NETWORK,
        "coordinator: index down": max(index / NETWORK, indexes * REQUEST / AT_ONCE),
        "coordinator: index read": index * READ_INDEX,
        "coordinator: results looked up": 3 * (photos * 4 + pictures) * LOOK_UP,
        "coordinator: one look, at the end": photos * KNOWS + indexes / PAGE * REQUEST,
        "coordinator: looks": looks,
        "coordinator: lists written and read": 3 * lists * LIST_SECONDS,
        "files below data/": photos * 3 + 2 * pictures,
    }


UNITS = {"work, core-hours": lambda v: f"{v:,.1f}", "files below data/": lambda v: human(v, "").strip(), "coordinator: looks": lambda v: f"{v:,.0f}"}


def show(value: float, name: str) -> str:
    if name in UNITS:
        return UNITS[name](value)
    if name.startswith(("puts", "gets")):
        return human(value, "").strip()
    return hours(value) if name.startswith(("coordinator", "work on")) else human(value)


LIMITS = [
    # what, from where on it hurts, what changes then
    ("memory of the run's index", 32e9, "one index for everything no longer fits: index objects by the leading byte of the key, read where needed"),
    ("list of the largest stage", 4e9, "a stage's list as one file: lists by shard, and a list of their digests; a stage is known by the digest of that"),
    ("coordinator: pictures down", 3600.0, "the coordinator fetches every picture for the folders below data/: `store = \"none\"` on the large stages, folders only where people look"),
    ("coordinator: photos up", 3600.0, "one machine sends all photos: they have to be in the object store to begin with, and `original` has to list them there"),
    ("coordinator: results looked up", 3600.0, "looking every result up, even once: workers tell of whole shards, with the lists of what they made, and the coordinator joins lists"),
    ("files below data/", 20e6, "one file a picture in folders: packs for the small ones, or nothing"),
    ("puts: index objects", 50_000, "a list of so many names takes minutes: merge index objects, in a tree"),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--photos", type=int, default=10_000_000)
    parser.add_argument("--nodes", type=int, default=1_000)
    parser.add_argument("--cores", type=int, default=16, help="of a node")
    parser.add_argument("--copies", type=int, default=64, help="augmented pictures of a photo")
    options = parser.parse_args()
    sizes = sorted({1_000, 100_000, 1_000_000, options.photos})
    nodes = {size: max(1, min(options.nodes, round(options.nodes * size / options.photos))) for size in sizes}
    columns = [job(size, nodes[size], options.cores, options.copies) for size in sizes]
    print("| photos | " + " | ".join(f"{size:,}" for size in sizes) + " |")
    print("|---" * (len(sizes) + 1) + "|")
    print("| nodes | " + " | ".join(f"{nodes[size]:,}" for size in sizes) + " |")
    for name in columns[0]:
        print(f"| {name} | " + " | ".join(show(column[name], name) for column in columns) + " |")
    print("\nWhere it breaks, and what changes then:\n")
    at = [(limit / columns[-1][name] * options.photos, name, change) for name, limit, change in LIMITS]
    for photos, name, change in sorted(at):
        print(f"* about {human(photos, '').strip()} photos, {name}: {change}")


if __name__ == "__main__":
    main()
