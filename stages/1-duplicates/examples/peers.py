"""What other programs find on the data of evaluate_duplicates.rs: the numbers in its column of references.

    pip install imagededup czkawka pillow; python peers.py SHARED

Prints, per program and data set, precision and recall of pairs, by the same truth as evaluate_duplicates.rs. imagededup's PHash at its
default of 10 bits; czkawka (the PyPI binding of its core) at its similarities 5 and 10. Crops are made with Pillow.
"""

import csv, itertools, logging, os, re, subprocess, sys, tempfile

logging.disable(logging.INFO)
from PIL import Image, ImageOps

shared = sys.argv[1]
data = os.path.join(shared, "data")
home = tempfile.mkdtemp()
for name in ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
    os.environ[name] = home  # czkawka keeps a cache there
top = tempfile.mkdtemp()


def unpack(name, *archives):
    folder = os.path.join(top, name)
    for archive in archives:
        subprocess.run(["unzip", "-q", "-o", os.path.join(data, archive), "-d", folder], check=True)
    return folder


def files(folder):
    for at, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(at, name)
            if name.lower().endswith((".jpg", ".jpeg", ".png", ".gif", ".webp", ".bmp")):
                yield os.path.relpath(path, folder)


def pairs_of(groups):
    return {frozenset(pair) for names in groups for pair in itertools.combinations(sorted(set(names)), 2)}


def by(names, word):
    groups = {}
    for name in names:
        if word(name) is not None:
            groups.setdefault(word(name), []).append(name)
    return pairs_of(groups.values())


def table(path, kinds):
    with open(os.path.join(data, path)) as lines:
        return {frozenset((row["a"], row["b"])) for row in csv.DictReader(lines) if row["kind"] in kinds}


def closed(pairs):
    """With every pair that follows: what is the same as the same is the same."""
    groups = []
    for pair in pairs:
        near = [group for group in groups if group & pair]
        groups = [group for group in groups if group not in near] + [set(pair).union(*near)]
    return pairs_of(groups)


def peers_word(name):
    same = {
        "bridge": ["pdq/bridge-mods/", "pdq/misc-images/modes/", "dih/bridge-1-original"],
        "clown": ["ukbench00120.", "ukbench00120_resize", "ukbench00120_gray", "alpha_channel_image"],
        "bottle": ["ukbench09380"],
        "toothbrush": ["ukbench09268."],
        "forum": ["euclidean/distorted", "euclidean/large", "euclidean/small", "images4/resample/", "images4/rotate/0"],
        "forest": ["forest/"],
    }
    return next((word for word, parts in same.items() if any(part in name for part in parts)), None)


def sets():
    photos = unpack("photos", "photos/cats-personal-1.zip", "photos/cats-personal-2.zip")
    yield "photos", photos, closed(table("photos/near-duplicates.csv", ("exact", "near"))), table("photos/near-duplicates.csv", ("same-session",))
    faces = unpack("faces", "duplicates/cats64-natural.zip")
    full = {os.path.basename(name): name for name in files(faces)}
    rename = lambda pairs: {frozenset(full[name] for name in pair) for pair in pairs}
    pairs = "duplicates/cats64-natural-pairs.csv"
    yield "faces", faces, closed(rename(table(pairs, ("exact", "near")))), rename(table(pairs, ("ambiguous",)))
    triples = unpack("triples", "duplicates/feral-triples.zip")
    yield "triples", triples, by(files(triples), lambda name: os.path.basename(name).split("-")[0]), set()
    seeds = os.path.join(unpack("seeds", "seed-tests.zip"), "duplicate_photos")
    yield "seeds", seeds, by(files(seeds), lambda name: "_".join(name.removesuffix(".jpeg").split("_")[:2])), set()
    peers = unpack("peers", "duplicates/peer-test-images.zip")
    every = by(files(peers), peers_word)
    grey = {pair for pair in every if any(re.search(r"modes/(1|L|LA)\.png|_gray", name) for name in pair)}
    plain = by(files(peers), lambda name: "plain" if "proportions/" in name else "custom" if "images4/custom" in name else None)
    yield "peers", peers, every - grey, grey | plain
    crops = os.path.join(top, "crops")
    truth = set()
    for name in files(photos):
        image = ImageOps.exif_transpose(Image.open(os.path.join(photos, name))).convert("RGB")
        image.thumbnail((1024, 1024), Image.LANCZOS)
        width, height = image.size
        cut = image.crop((round(0.025 * width), round(0.05 * height), round(0.95 * width), round(0.975 * height)))
        for picture, to in ((image, name), (cut, name + " cropped.jpg")):
            os.makedirs(os.path.dirname(os.path.join(crops, to)), exist_ok=True)
            picture.save(os.path.join(crops, to), "JPEG", quality=80)
        truth.add(frozenset((name, name + " cropped.jpg")))
    first = lambda pair: {frozenset(a + end for a, end in zip(pair, ends)) for ends in itertools.product(("", " cropped.jpg"), repeat=2)}
    known = set().union(*(first(sorted(pair)) for pair in table("photos/near-duplicates.csv", ("exact", "near", "same-session"))))
    yield "crops", crops, truth, known


def imagededup(folder):
    from imagededup.methods import PHash

    names = list(files(folder))
    flat = tempfile.mkdtemp()  # it looks into one folder only
    for at, name in enumerate(names):
        os.symlink(os.path.join(folder, name), os.path.join(flat, f"{at:05}{os.path.splitext(name)[1]}"))
    hashes = PHash(verbose=False).encode_images(image_dir=flat, num_enc_workers=0)
    coded = [(names[int(os.path.splitext(name)[0])], int(value, 16)) for name, value in hashes.items() if value]
    return {frozenset((a, b)) for (a, x), (b, y) in itertools.combinations(coded, 2) if (x ^ y).bit_count() <= 10}


def czkawka(similarity):
    def find(folder):
        from czkawka import ImageSimilarity

        finder = ImageSimilarity()
        finder.set_directories([folder])
        finder.set_similarity(similarity)
        return pairs_of([os.path.relpath(str(path), folder) for path in group] for group in finder.find_similar())

    return find


programs = {"imagededup": imagededup, "czkawka 5": czkawka(5), "czkawka 10": czkawka(10)}
for name, folder, truth, unscored in sets():
    for program, find in programs.items():
        try:
            found = find(folder) - unscored
            hits = found & truth
            precision, recall = len(hits) / max(1, len(found)), len(hits) / len(truth)
            print(f"{name}\t{program}\tprecision {precision:.3f} of {len(found)}\trecall {recall:.3f} of {len(truth)}", flush=True)
        except Exception as error:
            print(f"{name}\t{program}\tfailed: {error!r}", flush=True)
