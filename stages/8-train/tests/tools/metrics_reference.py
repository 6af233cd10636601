#!/usr/bin/env python3
"""The metrics of catgen_train::metrics once more, with NumPy and SciPy and by their textbook formulas.

    metrics_reference.py make > ../metrics.json     features of two sets, and what is expected of them
    metrics_reference.py < features.json            the same for features of one's own: {"real": [[…]], "fake": [[…]]}
"""
import json
import sys

import numpy as np
from scipy.linalg import sqrtm
from scipy.spatial.distance import cdist


def kid(x, y):
    d = x.shape[1]
    kernel = lambda a, b: (a @ b.T / d + 1) ** 3
    m, n = len(x), len(y)
    xx, yy = kernel(x, x), kernel(y, y)
    return (xx.sum() - np.trace(xx)) / (m * (m - 1)) + (yy.sum() - np.trace(yy)) / (n * (n - 1)) - 2 * kernel(x, y).mean()


def kid_error(x, y, blocks=10):
    left = [kid(x[np.arange(len(x)) % blocks != b], y[np.arange(len(y)) % blocks != b]) for b in range(blocks)]
    return np.sqrt((blocks - 1) / blocks * np.sum((left - np.mean(left)) ** 2))


def frechet(x, y):
    s, t = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    root = sqrtm(s @ t)
    return np.sum((x.mean(0) - y.mean(0)) ** 2) + np.trace(s) + np.trace(t) - 2 * np.trace(root).real


def reach(x, k):
    return np.sort(cdist(x, x), axis=1)[:, k]  # place 0 is the picture itself


def measures(real, fake):
    between = cdist(real, fake)
    pairs = lambda x: cdist(x, x)[np.triu_indices(len(x), 1)]
    few = min(len(real), len(fake))
    return {
        "kid": kid(real, fake),
        "kid_error": kid_error(real, fake),
        "frechet": frechet(real, fake),
        "precision": float((between <= reach(real, 3)[:, None]).any(0).mean()),
        "recall": float((between <= reach(fake, 3)[None]).any(1).mean()),
        "spread": float(np.sqrt((pairs(fake) ** 2).mean() / (pairs(real) ** 2).mean())),
        "nearest": float(np.median(reach(fake[:few], 1)) / np.median(reach(real[:few], 1))),
        "nearest_real": between.min(0).tolist(),
    }


def case(name, real, fake):
    real, fake = np.round(real, 4), np.round(fake, 4)
    return {"name": name, "real": real.tolist(), "fake": fake.tolist(), "expect": measures(real, fake)}


def make():
    r = np.random.default_rng(7439)
    cases = [
        case("more pictures than features", r.normal(size=(40, 6)), r.normal(0.5, 1.3, size=(31, 6))),
        case("fewer pictures than features", r.normal(size=(14, 20)), r.normal(0.2, 0.7, size=(18, 20))),
        case("a few pictures, each many times", r.normal(size=(30, 8)), r.normal(size=(3, 8))[np.arange(24) % 3] + 0.01 * r.normal(size=(24, 8))),
    ]
    print(json.dumps({"cases": cases}))


if __name__ == "__main__":
    if sys.argv[1:] == ["make"]:
        make()
    else:
        features = json.load(sys.stdin)
        print(json.dumps(measures(np.array(features["real"]), np.array(features["fake"]))))
