#!/usr/bin/env python3
"""How much of a run's processor time is the engine, from a recording by callers.

    perf record -e cpu-clock -F 199 --call-graph dwarf,16384 -o run.perf catgen-pipe run --until STAGE …
    perf script -i run.perf -F tid,ip,sym,dso | python3 tools/overhead.py

A sample belongs to the stage whose code is among its callers, else to decoding a photo, to encoding a picture that is kept, or to the engine. What
hand-written assembly leaves without callers (libjpeg-turbo, BLAKE3) is told by its name. Build with `strip = "debuginfo"` at most: names are needed.
"""
import collections
import re
import sys

STAGE = re.compile(r"catgen_(original|duplicates|background|zoom|verify|augment|resize|export|command|onnx)\b")
FRAME = re.compile(r"\s+[0-9a-f]+ (.*) \((.*)\)$")


def whose(frames):
    """The part that a sample belongs to; frames are (function, library) from the innermost outwards."""
    for function, library in reversed(frames):
        if STAGE.search(function) or "onnxruntime" in library:
            return "stages"
        if "catgen_picture::encode" in function:
            return "encoding what is kept"
        if "catgen_picture" in function:
            return "decoding and fitting"
    if any("catgen_pipe" in function or "catgen_api" in function for function, _ in frames):
        return "engine"
    innermost = frames[0][0]
    return "engine" if innermost.startswith("blake3") else "decoding and fitting" if innermost.startswith("jsimd") else "nobody's"


def main():
    parts, functions, frames = collections.Counter(), collections.Counter(), []
    for line in [*sys.stdin, ""]:
        found = FRAME.match(line.rstrip("\n"))
        if found:
            frames.append(found.groups())
        elif not line.strip() and frames:
            part = whose(frames)
            parts[part] += 1
            if part == "engine":
                functions[next((function for function, _ in frames if "catgen_" in function), frames[0][0])] += 1
            frames = []
    whole = sum(parts.values())
    if not whole:
        sys.exit("no samples: pipe `perf script -F tid,ip,sym,dso` into this")
    own = parts["stages"] + parts["decoding and fitting"]
    for part, samples in parts.most_common():
        print(f"{part:24} {samples:7}  {100 * samples / whole:6.2f} %")
    print(f"engine over the stages' own work: {100 * parts['engine'] / own:.2f} %, with the encoding: "
          f"{100 * (parts['engine'] + parts['encoding what is kept']) / own:.2f} %")
    for function, samples in functions.most_common(12):
        print(f"  {function:90} {100 * samples / whole:6.2f} %")


if __name__ == "__main__":
    main()
