#!/usr/bin/env python3
"""A worker: takes the noise out of pictures, and refuses those with nothing sharp in them. Needs Pillow."""

import json
import os
import sys
import traceback

from PIL import Image, ImageFilter, ImageStat

LAPLACIAN = ImageFilter.Kernel((3, 3), [0, 1, 0, 1, -4, 1, 0, 1, 0], scale=1, offset=128)


def sharpness(picture):
    """The variance of the Laplacian, at 256 pixels, of what lies on white."""
    grey = Image.new("L", picture.size, 255)
    grey.paste(picture.convert("L"), mask=picture.getchannel("A") if picture.mode == "RGBA" else None)
    grey.thumbnail((256, 256))
    inner = (1, 1, grey.width - 1, grey.height - 1)  # Pillow leaves the outermost pixels unfiltered
    return ImageStat.Stat(grey.filter(LAPLACIAN).crop(inner)).var[0]


def work(request):
    options = request["options"]
    picture = Image.open(request["input"])  # a PNG, RGB or RGBA, upright
    sharp = round(sharpness(picture), 1)
    if sharp < options.get("least", 0):
        return {"reject": f"nothing in this picture is sharp ({sharp})", "kind": "not_sharp"}
    clean = picture.convert("RGB").filter(ImageFilter.MedianFilter(options.get("size", 3)))
    if picture.mode == "RGBA":
        clean.putalpha(picture.getchannel("A"))
    clean.save(os.path.join(request["out"], "clean.png"))
    return {"outputs": [{"file": "clean.png", "facts": {"sharpness": sharp}}]}


for line in sys.stdin:  # ends when there are no more pictures
    request = json.loads(line)
    try:
        answer = work(request)
    except Exception as error:  # this picture's fault: the next may do better
        traceback.print_exc()
        answer = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps({"id": request["id"], **answer}), flush=True)
