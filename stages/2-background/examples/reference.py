#!/usr/bin/env python3
"""What rembg's own steps reach on the photos that evaluate_background.rs looks at, as rows `data set, metric, value`.

    python3 reference.py MODEL.onnx FEED.tsv

Needs onnxruntime, numpy and Pillow. The steps are those of rembg 2.0 (sessions/u2netp.py, sessions/base.py): the photo resized to
320 x 320 by Lanczos, divided by its largest value, normalised; the first output stretched to 0..255, cut off to whole numbers,
and resized to the photo by Lanczos. FEED.tsv names the photos: data set, photo, mask, the mask's share of the photo.
"""

import sys
import time
from collections import defaultdict

import numpy
import onnxruntime
from PIL import Image, ImageOps

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def main() -> None:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def alpha(photo: Image.Image) -> Image.Image:
        small = numpy.asarray(photo.resize((320, 320), Image.Resampling.LANCZOS), dtype=numpy.float64)
        small = (small / max(small.max(), 1e-6) - MEAN) / DEVIATION
        found = session.run(None, {name: small.transpose(2, 0, 1)[None].astype(numpy.float32)})[0][0, 0]
        found = (found - found.min()) / (found.max() - found.min())
        return Image.fromarray((found * 255).astype(numpy.uint8)).resize(photo.size, Image.Resampling.LANCZOS)

    scores = defaultdict(list)
    seconds = defaultdict(list)
    for line in open(sys.argv[2], encoding="utf-8"):
        data, path, mask, share = line.rstrip("\n").split("\t")
        photo = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
        start = time.process_time()
        found = alpha(photo)
        seconds[data].append(time.process_time() - start)
        truth = numpy.asarray(Image.open(mask).convert("L").resize(photo.size)) >= 128
        found = numpy.asarray(found) >= 128
        scores[data].append(((found & truth).sum() / max(1, (found | truth).sum()), float(share) > 0.08))
    for data, values in scores.items():
        print(data, "IoU", f"{numpy.mean([score for score, _ in values]):.4f}", sep="\t")
        print(data, "IoU over 8 %", f"{numpy.mean([score for score, is_large in values if is_large]):.4f}", sep="\t")
        print(data, "CPU ms a photo", f"{1000 * numpy.median(seconds[data]):.0f}", sep="\t")


main()
