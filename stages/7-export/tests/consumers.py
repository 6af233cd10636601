"""Opens a packed dataset the way its users do and prints, for each picture, a name and its pixels.

    python consumers.py npz|webdataset|datasets|datasets-webdataset|stylegan PACKED_FOLDER

One line a picture: name, tab, height x width, tab, red, green, blue of every pixel in hexadecimal.
"""

import glob
import io
import json
import os
import sys
import tempfile
import zipfile


def show(name, pixels):
    assert pixels.dtype == "uint8" and pixels.ndim == 3 and pixels.shape[2] == 3, (pixels.dtype, pixels.shape)
    print(name, f"{pixels.shape[0]}x{pixels.shape[1]}", pixels.tobytes().hex(), sep="\t")


def npz(folder):
    import numpy

    with numpy.load(os.path.join(folder, "images.npz")) as arrays:
        assert sorted(arrays) == ["images", "photo"], sorted(arrays)
        images, photo = arrays["images"], arrays["photo"]
    assert images.flags.c_contiguous and photo.dtype == "int64" and photo.shape == images.shape[:1]
    for row, pixels in enumerate(images):
        show(f"{row} {photo[row]}", pixels)


def webdataset(folder):
    import webdataset

    shards = sorted(glob.glob(os.path.join(folder, "webdataset", "*.tar")))
    for sample in webdataset.WebDataset(shards, shardshuffle=False).decode("rgb8"):
        assert int(sample["__key__"]) == sample["json"]["row"]
        show(f"{sample['json']['item']} {sample['json']['photo']}", sample["png"])


def loaded(kind, data):
    os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    import datasets

    datasets.disable_progress_bars()
    cache = tempfile.mkdtemp()
    return datasets.load_dataset(kind, split="train", cache_dir=cache, **data)


def hugging_face_folder(folder):
    import numpy
    import PIL.Image

    data = loaded("imagefolder", {"data_dir": os.path.join(folder, "imagefolder")})
    assert sorted(data.features) == ["image", "photo", "split"], data.features
    for sample in data:
        assert sample["split"] in ("train", "held_out"), sample
        # These are the stage's own files, transparency and all.
        picture = sample["image"].convert("RGBA")
        white = PIL.Image.new("RGBA", picture.size, "white")
        show(sample["photo"], numpy.asarray(PIL.Image.alpha_composite(white, picture).convert("RGB")))


def hugging_face_webdataset(folder):
    import numpy

    data = loaded("webdataset", {"data_files": {"train": sorted(glob.glob(os.path.join(folder, "webdataset", "*.tar")))}})
    for sample in data:
        show(f"{sample['json']['item']} {sample['json']['photo']}", numpy.asarray(sample["png"]))


def stylegan(folder):
    """By the rules of ImageFolderDataset in StyleGAN2-ADA's training/dataset.py, written anew."""
    import numpy
    import PIL.Image

    PIL.Image.init()
    path = os.path.join(folder, "stylegan.zip")
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        names = set(archive.namelist())
        assert len(names) == len(archive.namelist())
        pictures = sorted(name for name in names if os.path.splitext(name)[1].lower() in PIL.Image.EXTENSION)
        assert all(archive.getinfo(name).compress_type == zipfile.ZIP_STORED for name in names)
        labels = json.loads(archive.read("dataset.json"))["labels"] if "dataset.json" in names else None
        assert labels is None or all(dict(labels)[name] is not None for name in pictures)
        shape = None
        for name in pictures:
            pixels = numpy.array(PIL.Image.open(io.BytesIO(archive.read(name))))
            assert pixels.ndim == 3 and pixels.shape[2] == 3, pixels.shape
            assert shape in (None, pixels.shape), "all have one size"
            shape = pixels.shape
            assert shape[0] == shape[1] and shape[0] & (shape[0] - 1) == 0, shape
            show(name, pixels)


READERS = {
    "npz": npz,
    "webdataset": webdataset,
    "datasets": hugging_face_folder,
    "datasets-webdataset": hugging_face_webdataset,
    "stylegan": stylegan,
}
READERS[sys.argv[1]](sys.argv[2])
