"""Prints what torchvision makes of small pictures, as the JSON that tests/torchvision.rs compares the stage with.

    pip install torch torchvision numpy
    python golden.py > golden.json          the committed table
    python golden.py --seed 5               other pictures, which the test asks for where torchvision is at hand

Colours come from torchvision.transforms.v2.functional on pictures of floats in 0..1, times 255: `expected` is not rounded, so
that a rounding on the edge can be told from a wrong value. `bytes` is what it makes of the same picture as 8-bit numbers.
"""

import argparse
import json

import numpy as np
import torch
import torchvision
from torchvision.transforms.v2 import functional as F

WIDTH, HEIGHT = 8, 4
CROP = {"size": 0.75, "left": 0.5, "top": 1.0}  # of 8 x 4: 6 x 3 pixels at 1, 1


def one(picture, step):
    """One step on a tensor of 3 x H x W, of floats or of bytes."""
    name, *values = step
    match name:
        case "Flip":
            return F.horizontal_flip(picture)
        case "Crop":
            return F.crop(picture, top=1, left=1, height=3, width=6)
        case "Brightness":
            return F.adjust_brightness(picture, values[0])
        case "Contrast":
            return F.adjust_contrast(picture, values[0])
        case "Saturation":
            return F.adjust_saturation(picture, values[0])
        case "Posterise":
            # Defined on whole numbers: a picture of floats is rounded to them first.
            bytes_ = picture if picture.dtype == torch.uint8 else (picture * 255).round().to(torch.uint8)
            made = F.posterize(bytes_, values[0])
            return made if picture.dtype == torch.uint8 else made.to(picture.dtype) / 255


def subject_contrast(picture, alpha, factor):
    """adjust_contrast with the mean of what is visible: torchvision has no alpha, so this is its formula by hand."""
    grey = F.rgb_to_grayscale(picture).double()[0]
    mean = float((grey * alpha).sum() / alpha.sum())
    return (factor * picture.double() + (1 - factor) * mean).clamp(0, 1)


def flat(picture):
    """Row after row of red, green, blue."""
    return picture.permute(1, 2, 0).reshape(-1)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=7439)
    random = np.random.default_rng(parser.parse_args().seed)
    wild = random.integers(0, 256, (3, HEIGHT, WIDTH), np.uint8)
    wild[:, 0, :4] = [[0, 255, 255, 0]] * 3  # both ends, where clamping shows
    mild = random.integers(70, 170, (3, HEIGHT, WIDTH), np.uint8)
    alpha = random.integers(0, 256, (HEIGHT, WIDTH), np.uint8)
    alpha[:, :2] = 0
    pictures = {"wild": wild, "mild": mild}

    single = [["Flip"], ["Crop"]]
    single += [["Brightness", f] for f in (0.0, 0.7, 0.9137, 1.0, 1.4)]
    single += [["Contrast", f] for f in (0.0, 0.5, 0.7311, 1.3)]
    single += [["Saturation", f] for f in (0.0, 0.3, 0.8254, 1.7)]
    single += [["Posterise", bits] for bits in range(1, 9)]
    # Where nothing is clamped on the way, several steps are torchvision's one after the other.
    chains = [
        [["Brightness", 1.31], ["Brightness", 0.77], ["Contrast", 1.21], ["Saturation", 1.4], ["Posterise", 5]],
        [["Flip"], ["Saturation", 0.4], ["Contrast", 0.8], ["Crop"], ["Contrast", 1.29], ["Brightness", 1.1]],
        [["Contrast", 0.7], ["Saturation", 0.3], ["Contrast", 1.3], ["Posterise", 3]],
        [["Saturation", 1.3], ["Saturation", 0.6], ["Brightness", 0.8], ["Flip"]],
    ]
    cases = []
    for name, steps in [("wild", [step]) for step in single] + [("mild", steps) for steps in chains]:
        picture = torch.from_numpy(pictures[name].astype(np.float32)) / 255
        for step in steps:
            picture = one(picture, step)
            assert name == "wild" or step[0] == "Posterise" or 0 < picture.min() and picture.max() < 1, f"{steps} clamps"
        case = {"picture": name, "alpha": False, "steps": steps, "expected": [round(float(v) * 255, 3) for v in flat(picture)]}
        if len(steps) == 1:
            case["bytes"] = flat(one(torch.from_numpy(pictures[name]), steps[0])).tolist()
        cases.append(case)
    for factor in (0.0, 0.6, 1.3):
        picture = torch.from_numpy(wild.astype(np.float32)) / 255
        made = subject_contrast(picture, torch.from_numpy(alpha.astype(np.float64)), factor)
        steps = [["Contrast", factor]]
        cases.append({"picture": "wild", "alpha": True, "steps": steps, "expected": [round(float(v) * 255, 3) for v in flat(made)]})

    golden = {"torchvision": torchvision.__version__, "torch": torch.__version__, "size": [WIDTH, HEIGHT], "crop": CROP}
    golden |= {name: flat(torch.from_numpy(picture)).tolist() for name, picture in pictures.items()}
    golden["alpha"] = alpha.reshape(-1).tolist()
    print(json.dumps(golden)[:-1] + ',\n"cases": [\n' + ",\n".join(json.dumps(case) for case in cases) + "\n]}")


main()
