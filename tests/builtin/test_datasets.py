"""torchvision's sets by name, on tiny data in each set's own file format."""

import bz2
import csv
import hashlib
import json
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import torch
import torchvision.datasets
from pictures import encode, jpeg, picture, png, put

from zoo.builtin.datasets import STYLES, torchvision_set
from zoo.core import registry
from zoo.core.recipe import DataPart
from zoo.data.loaders import make_loader
from zoo.data.sources import open_data
from zoo.plugin import DataError, UsageError

RNG = np.random.default_rng(0)


def md5(path):
    return hashlib.md5(Path(path).read_bytes()).hexdigest()


def idx(path, array):
    head = struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    put(path, head + array.astype(np.uint8).tobytes())


def mnist_like(root, patch, name="MNIST"):
    for prefix, count in (("train", 20), ("t10k", 10)):
        raw = root / name / "raw"
        idx(raw / f"{prefix}-images-idx3-ubyte", RNG.integers(0, 256, (count, 28, 28)))
        idx(raw / f"{prefix}-labels-idx1-ubyte", np.arange(count) % 10)


def cifar(root, patch, name="CIFAR10", classes=10, key="labels", names="label_names"):
    kind = getattr(torchvision.datasets, name)
    folder, lists = root / kind.base_folder, {}
    for attribute in ("train_list", "test_list"):
        listed = []
        for file, _ in getattr(kind, attribute):
            batch = {"data": RNG.integers(0, 256, (classes, 3072), np.uint8)}
            batch[key] = list(range(classes))
            put(folder / file, pickle.dumps(batch))
            listed.append([file, md5(folder / file)])
        lists[attribute] = listed
        patch.setattr(kind, attribute, listed)
    meta = {names: [f"class{n}" for n in range(classes)]}
    put(folder / kind.meta["filename"], pickle.dumps(meta))
    patch.setattr(kind, "meta", {**kind.meta, "md5": md5(folder / kind.meta["filename"])})


def svhn(root, patch):
    lists = {}
    for split in ("train", "test", "extra"):
        path = put(root / f"{split}_32x32.mat", b"")
        labels = np.arange(1, 11, dtype=np.uint8)[:, None]
        scipy.io.savemat(path, {"X": RNG.integers(0, 256, (32, 32, 3, 10), np.uint8), "y": labels})
        lists[split] = ["", path.name, md5(path)]
    patch.setattr(torchvision.datasets.SVHN, "split_list", lists)


def stl10(root, patch):
    kind = torchvision.datasets.STL10
    folder = root / kind.base_folder
    for attribute in ("train_list", "test_list"):
        listed = []
        for file, _ in getattr(kind, attribute):
            one = RNG.integers(0, 256, (10, 3, 96, 96), np.uint8)
            data = np.arange(1, 11, dtype=np.uint8) if "_y" in file else one
            put(folder / file, data.tobytes())
            listed.append([file, md5(folder / file)])
        patch.setattr(kind, attribute, listed)
    put(folder / kind.class_names_file, b"\n".join(b"c%d" % n for n in range(10)))


def usps(root, patch):
    for name in ("usps.bz2", "usps.t.bz2"):
        rows = [
            f"{n + 1} " + " ".join(f"{k}:{v:.3f}" for k, v in enumerate(RNG.uniform(-1, 1, 256), 1))
            for n in range(10)
        ]
        put(root / name, bz2.compress("\n".join(rows).encode()))


def semeion(root, patch):
    rows = np.concatenate([RNG.integers(0, 2, (20, 256)), np.eye(10)[np.arange(20) % 10]], 1)
    path = put(root / "semeion.data", b"")
    np.savetxt(path, rows, fmt="%.4f")
    patch.setattr(torchvision.datasets.SEMEION, "md5_checksum", md5(path))


def images(folder, names, each=2, make=jpeg, suffix="jpg"):
    for label, name in enumerate(names):
        for number in range(each):
            put(folder / name / f"{number}.{suffix}", make(10 * label + number))


def flowers(root, patch):
    base = root / "flowers-102"
    for number in range(1, 7):
        put(base / "jpg" / f"image_{number:05d}.jpg", jpeg(number))
    scipy.io.savemat(base / "imagelabels.mat", {"labels": np.array([1, 2, 1, 2, 1, 2])})
    splits = {"trnid": [1, 2], "valid": [3, 4], "tstid": [5, 6]}
    scipy.io.savemat(base / "setid.mat", splits)
    kind = torchvision.datasets.Flowers102
    files = {
        key: (name, md5(base / name) if (base / name).exists() else "")
        for key, (name, _) in kind._file_dict.items()
    }
    patch.setattr(kind, "_file_dict", files)


def food(root, patch):
    base = root / "food-101"
    images(base / "images", ["apple_pie", "sushi"], each=3)
    for split, numbers in (("train", (0, 1)), ("test", (2,))):
        listed = {name: [f"{name}/{n}" for n in numbers] for name in ("apple_pie", "sushi")}
        put(base / "meta" / f"{split}.json", json.dumps(listed).encode())


def dtd(root, patch):
    base = root / "dtd" / "dtd"
    images(base / "images", ["banded", "woven"], each=3)
    for number, split in enumerate(("train", "val", "test")):
        lines = [f"{name}/{number}.jpg" for name in ("banded", "woven")]
        put(base / "labels" / f"{split}1.txt", "\n".join(lines).encode())


def aircraft(root, patch):
    base = root / "fgvc-aircraft-2013b" / "data"
    put(base / "variants.txt", b"707-320\nA380\n")
    for number, split in enumerate(("train", "val", "test", "trainval")):
        for offset in (0, 1):
            put(base / "images" / f"{2 * number + offset}.jpg", jpeg(2 * number + offset))
        lines = f"{2 * number} 707-320\n{2 * number + 1} A380\n"
        put(base / f"images_variant_{split}.txt", lines.encode())


def pets(root, patch):
    base = root / "oxford-iiit-pet"
    for split, number in (("trainval", 1), ("test", 2)):
        for name in ("Abyssinian", "great_dane"):
            put(base / "images" / f"{name}_{number}.jpg", jpeg(number))
        lines = f"Abyssinian_{number} 1 1 1\ngreat_dane_{number} 2 2 1\n"
        put(base / "annotations" / f"{split}.txt", lines.encode())


def gtsrb(root, patch):
    base = root / "gtsrb"
    images(base / "GTSRB" / "Training", ["00000", "00001"], suffix="ppm", make=ppm)
    for number in range(2):
        put(base / "GTSRB" / "Final_Test" / "Images" / f"{number}.ppm", ppm(number))
    with (base / "GT-final_test.csv").open("w") as file:
        writer = csv.writer(file, delimiter=";")
        writer.writerows([["Filename", "ClassId"], ["0.ppm", 0], ["1.ppm", 1]])


def ppm(seed):
    return encode(picture(seed), "PPM")


def folders(*parts, names=("a", "b"), **options):
    def build(root, patch):
        for part in parts:
            images(root / part, names, **options)

    return build


def clevr(root, patch):
    base = root / "clevr" / "CLEVR_v1.0"
    for split in ("train", "val"):
        scenes = []
        for number in range(4):
            name = f"CLEVR_{split}_{number:06d}.png"
            put(base / "images" / split / name, png(number))
            scenes.append({"image_filename": name, "objects": [{}] * (3 + number % 2)})
        path = base / "scenes" / f"CLEVR_{split}_scenes.json"
        put(path, json.dumps({"scenes": scenes}).encode())


def sun(root, patch):
    base = root / "SUN397"
    put(base / "ClassName.txt", b"/a/abbey\n/a/apartment_building/outdoor\n")
    for number in (3, 1, 2):
        put(base / "a" / "abbey" / f"sun_{number}.jpg", jpeg(number))
        put(
            base / "a" / "apartment_building" / "outdoor" / f"sun_{number + 5}.jpg",
            jpeg(number + 5),
        )


def caltech(name, categories):
    def build(root, patch):
        base = root / name.lower() / f"{name[-3:]}_ObjectCategories"
        for place, category in enumerate(categories):
            number = category[:3]
            for i in (1, 2):
                file = f"image_{i:04d}.jpg" if name == "Caltech101" else f"{number}_{i:04d}.jpg"
                put(base / category / file, jpeg(10 * place + i))
        if name == "Caltech101":
            put(root / "caltech101" / "Annotations" / "x", b"")

    return build


BUILDERS = {
    "mnist": mnist_like,
    "fashion-mnist": lambda root, patch: mnist_like(root, patch, "FashionMNIST"),
    "kmnist": lambda root, patch: mnist_like(root, patch, "KMNIST"),
    "cifar10": cifar,
    "cifar100": lambda r, p: cifar(r, p, "CIFAR100", 100, "fine_labels", "fine_label_names"),
    "svhn": svhn,
    "stl10": stl10,
    "usps": usps,
    "semeion": semeion,
    "flowers102": flowers,
    "food101": food,
    "dtd": dtd,
    "fgvc-aircraft": aircraft,
    "oxford-pets": pets,
    "gtsrb": gtsrb,
    "country211": folders("country211/train", "country211/valid", "country211/test"),
    "rendered-sst2": folders(
        "rendered-sst2/train",
        "rendered-sst2/valid",
        "rendered-sst2/test",
        names=("negative", "positive"),
        make=png,
        suffix="png",
    ),
    "imagenette": folders(
        "imagenette2/train",
        "imagenette2/val",
        names=("n01440764", "n02102040"),
        suffix="JPEG",
    ),
    "clevr-count": clevr,
    "eurosat": folders("eurosat/2750", names=("Forest", "River"), each=4),
    "sun397": sun,
    "caltech101": caltech("Caltech101", ["BACKGROUND_Google", "Faces", "ant"]),
    "caltech256": caltech("Caltech256", ["001.ak47", "002.american-flag"]),
}


@pytest.fixture
def opened(tmp_path, monkeypatch):
    def call(name, build=True, **options):
        if build:
            BUILDERS[name](tmp_path, monkeypatch)
        channels = options.pop("channels", 3)
        data = DataPart(source=name, root=str(tmp_path), **options)
        return open_data(data, registry=registry.load(), channels=channels)

    return call


@pytest.mark.parametrize("name", BUILDERS)
def test_labels_pixels_and_splits_are_torchvisions(name, opened, tmp_path):
    splits = opened(name)
    spec = registry.load().find("dataset", name)
    kind = spec.options["dataset"]
    style = STYLES[kind]
    own = {"train": spec.splits[0]} | ({"val": splits.val.name.rpartition("/")[2]})
    for role, images_ in (("train", splits.train), ("val", splits.val)):
        assert len(images_) > 0
        image = images_.load(0)
        assert image.dtype == torch.uint8
        assert image.shape[0] == 3
        if own[role] not in style.splits or images_.rows is not None or style.files:
            continue
        download = {"download": False} if style.downloads else {}
        theirs = getattr(torchvision.datasets, kind)(
            str(tmp_path), **style.splits[own[role]], **download
        )
        assert list(images_.labels) == [int(theirs[i][1]) for i in range(len(theirs))]
        truth = np.asarray(theirs[0][0].convert("RGB"))
        assert np.array_equal(image.permute(1, 2, 0).numpy(), truth)
        whole = images_.whole()
        if whole is not None:
            assert torch.equal(whole[0], image)
            assert torch.equal(whole[-1], images_.load(len(images_) - 1))
    assert len(opened(name, build=False).fingerprint) == 32
    assert opened(name, build=False).fingerprint == splits.fingerprint


@pytest.mark.parametrize("name", sorted(set(BUILDERS) - {"semeion"}))
def test_what_is_not_there_says_how_to_get_it(name, opened):
    with pytest.raises(DataError) as raised:
        opened(name, build=False)
    assert "--download" in raised.value.hint
    assert raised.value.exit_code == 3


def test_a_download_that_failed_is_not_told_to_download(opened, tmp_path, monkeypatch):
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "url", "http://127.0.0.1:9/cifar.tar.gz")
    with pytest.raises(DataError, match="refused") as raised:
        opened("cifar10", build=False, download=True)
    assert raised.value.hint.startswith(f"download it by hand into {tmp_path}: https://")


@pytest.mark.parametrize("name", ["imagenet", "stanford-cars"])
def test_what_cannot_be_downloaded_says_where_it_goes(name, opened, tmp_path):
    for download in (False, True):
        with pytest.raises(DataError) as raised:
            opened(name, build=False, download=download)
        assert "by hand" in raised.value.hint
        assert str(tmp_path) in raised.value.hint


def test_damaged_files_are_an_error_of_the_data(opened, tmp_path, monkeypatch):
    cifar(tmp_path, monkeypatch)
    path = tmp_path / "cifar-10-batches-py" / "data_batch_3"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError, match="corrupted"):
        opened("cifar10", build=False)
    mnist_like(tmp_path, monkeypatch)
    path = tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError, match="MNIST"):
        opened("mnist", build=False)


def test_small_sets_lie_in_memory_and_load_fast(opened):
    splits = opened("cifar10")
    loader = make_loader(splits.train, batch_size=8, seed=1)
    batch = next(iter(loader.epoch(0)))
    assert batch.images.shape == (8, 3, 32, 32)
    for row, index in enumerate(batch.indices.tolist()):
        assert torch.equal(batch.images[row], splits.train.load(index))
    assert opened("fashion-mnist", channels=1).train.load(0).shape == (1, 28, 28)


def test_files_in_the_order_of_the_disk_are_sorted(opened, tmp_path, monkeypatch):
    sun(tmp_path, monkeypatch)
    ours = torchvision_set(str(tmp_path), dataset="SUN397")
    assert ours.labels == [0, 0, 0, 1, 1, 1]
    assert [ours[i][1] for i in range(6)] == ours.labels
    first = np.asarray(ours[0][0])
    theirs = torchvision.datasets.SUN397(str(tmp_path))
    path = next(p for p in theirs._image_files if p.name == "sun_1.jpg")
    assert np.array_equal(first, np.asarray(theirs[theirs._image_files.index(path)][0]))


def test_emnist_and_qmnist(tmp_path):
    for split, count in (("train", 12), ("test", 6)):
        raw = tmp_path / "EMNIST" / "raw"
        idx(
            raw / f"emnist-letters-{split}-images-idx3-ubyte", RNG.integers(0, 256, (count, 28, 28))
        )
        idx(raw / f"emnist-letters-{split}-labels-idx1-ubyte", 1 + np.arange(count) % 3)
    letters = torchvision_set(str(tmp_path), "train", dataset="EMNIST", part="letters")
    assert letters.labels[:4] == [1, 2, 3, 1]
    assert len(letters.classes) == 27
    with pytest.raises(DataError, match="EMNIST"):
        torchvision_set(str(tmp_path), dataset="EMNIST")


def test_wrong_names_and_options():
    with pytest.raises(UsageError, match="'Nothing' is unknown"):
        torchvision_set("x", dataset="Nothing")
    with pytest.raises(UsageError, match="no split 'val'"):
        torchvision_set("x", "val", dataset="CIFAR10")
    with pytest.raises(UsageError, match=r"CIFAR10: .*colour"):
        torchvision_set("x", dataset="CIFAR10", colour=1)


def test_every_style_is_in_the_catalogue_and_names_the_same_splits():
    shelf = registry.load().shelf("dataset").values()
    specs = {s.options["dataset"]: s for s in shelf if s.target.endswith(":torchvision_set")}
    assert set(specs) == set(STYLES)
    for name, spec in specs.items():
        assert set(spec.splits) == set(STYLES[name].splits)
        assert spec.splits[0] == "train"
        assert hasattr(torchvision.datasets, name)
