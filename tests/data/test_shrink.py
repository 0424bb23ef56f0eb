from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest
import torch
from pictures import folder, jpeg, png, put
from torchvision.transforms.v2 import functional

from zoo.core.recipe import DataPart
from zoo.data.images import FileReader, ImageSet, ItemReader
from zoo.data.shrink import LARGE, shrink, shrunk, shrunk_size, shrunk_splits
from zoo.data.sources import open_data


def files(tmp_path, sizes):
    paths = [
        str(put(tmp_path / f"{n}.jpg", jpeg(n, height=high, width=wide)))
        for n, (high, wide) in enumerate(sizes)
    ]
    count = len(paths)
    return ImageSet("set", ("a",), [0] * count, paths, FileReader(tuple(paths)), sizes=sizes)


@pytest.mark.parametrize(
    ("size", "edge", "expected"),
    [
        ((3000, 4000), 512, (512, 683)),
        ((4000, 3000), 512, (683, 512)),
        ((512, 9000), 512, (512, 9000)),
        ((400, 300), 512, (400, 300)),
        ((1000, 1), 1, (1000, 1)),
    ],
)
def test_the_shorter_side_is_reduced_and_nothing_is_enlarged(size, edge, expected):
    assert shrunk_size(size, edge) == expected


def test_pixels_are_those_of_torchvisions_resize():
    image = torch.randint(0, 256, (3, 90, 120), dtype=torch.uint8)
    there = functional.resize(image, [30], antialias=True)
    assert torch.equal(shrink(image, 30), there)
    assert torch.equal(shrink(torch.stack([image, image]), 30)[1], there)
    assert shrink(image, 90) is image


def test_a_set_gives_reduced_images_and_states_their_sizes(tmp_path):
    images = files(tmp_path, [(60, 80), (20, 30), (100, 40)])
    small = shrunk(images, 32)
    assert list(small.sizes) == [(32, 43), (20, 30), (80, 32)]
    assert [tuple(small.load(n).shape) for n in range(3)] == [(3, *size) for size in small.sizes]
    assert torch.equal(small.load(0), shrink(images.load(0), 32))
    assert torch.equal(small.load(1), images.load(1))
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:  # as loaders have it
        there = pool.submit(small.subset([2]).load, 0).result()
    assert torch.equal(there, small.load(2))


def test_a_set_stays_as_it_is_where_there_is_nothing_to_reduce(tmp_path):
    images = files(tmp_path, [(60, 80)])
    assert shrunk(images, None) is images
    assert shrunk(images, 60) is images
    assert shrunk(images, 59) is not images


def test_pixels_in_memory_are_reduced_at_once():
    class Held:
        images = torch.arange(2 * 8 * 12, dtype=torch.uint8).view(2, 8, 12)

        def __getitem__(self, row):
            return self.images[row], 0

    small = shrunk(ImageSet("set", ("a",), [0, 0], ["0", "1"], ItemReader(Held(), 1)), 4)
    assert small.whole().shape == (2, 1, 4, 6)
    assert torch.equal(small.whole()[1], small.load(1))


def test_all_splits_are_reduced_and_the_plan_says_so(tmp_path, known):
    folder(tmp_path, each=5, make=lambda seed: png(seed, height=48, width=64))
    part = DataPart(source=str(tmp_path), shrink=24)
    splits = open_data(part, registry=known)
    assert "10 of 10 images are reduced to 24 pixels on their shorter side" in splits.notes[-1]
    assert {tuple(s.load(0).shape) for s in (splits.train, splits.val)} == {(3, 24, 32)}
    whole = open_data(DataPart(source=str(tmp_path)), registry=known)
    assert whole.fingerprint == splits.fingerprint
    assert whole.notes == splits.notes[:-1]


def test_large_images_are_pointed_out(tmp_path, known):
    folder(tmp_path, each=3, make=lambda seed: png(seed, height=30, width=40))
    splits = open_data(DataPart(source=str(tmp_path)), registry=known)
    assert not any("--shrink" in note for note in splits.notes)
    big = [(3000, 4000)] * len(splits.train)
    assert LARGE < 3000 * 4000
    from dataclasses import replace

    told = shrunk_splits(replace(splits, train=replace(splits.train, sizes=big)), None)
    assert "large images (12 megapixels)" in told.notes[-1]
    assert "--shrink 512" in told.notes[-1]
