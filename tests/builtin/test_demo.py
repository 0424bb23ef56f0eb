import itertools
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from zoo.builtin.demo import COLOURS, LIMIT, SHAPES, TEXTURES, Demo, render, traits
from zoo.plugin import UsageError


def test_every_class_has_its_own_traits_and_neighbours_share_none():
    seen = [traits(label) for label in range(LIMIT)]
    assert len(set(seen)) == LIMIT == len(SHAPES) * len(TEXTURES) * len(COLOURS)
    for one, other in itertools.pairwise(seen):
        assert one[1] != other[1]
        assert one[2] != other[2]


def test_three_hundred_classes_give_1200_and_300_images():
    train, val = Demo(split="train", classes=300), Demo(split="val", classes=300)
    assert (len(train), len(val)) == (1200, 300)
    assert len(set(train.classes)) == 300
    assert train.classes == val.classes
    assert not set(train.keys) & set(val.keys)
    assert sorted(set(val.labels)) == list(range(300))


def test_an_image_depends_on_seed_class_and_number_only():
    first = render(7, 2, size=48, seed=1)
    render(3, 0, size=32)
    assert np.array_equal(first, render(7, 2, size=48, seed=1))
    for other in (
        render(7, 2, size=48, seed=2),
        render(7, 3, size=48, seed=1),
        render(8, 2, size=48, seed=1),
    ):
        assert not np.array_equal(first, other)


def test_items_are_uint8_and_transform_is_applied():
    image, label = Demo(classes=3, size=40)[5]
    assert image.shape == (40, 40, 3)
    assert image.dtype == np.uint8
    assert label == 1
    assert Demo(classes=3, transform=lambda x: x.ndim)[0] == (3, 0)


@pytest.mark.parametrize("label", range(12))
def test_every_shape_is_visible_and_leaves_ground_around_it(label):
    image = render(label, 0, size=96).astype(np.float32)
    colour = np.array(COLOURS[traits(label)[1]], np.float32)
    border = np.concatenate([image[0], image[-1]]).mean(0)
    assert np.abs(border - colour).max() > 20
    assert image.std() > 10


@pytest.mark.parametrize(
    "options", [{"classes": 0}, {"classes": LIMIT + 1}, {"per_class": 1}, {"size": 4}]
)
def test_options_out_of_range_are_refused(options):
    with pytest.raises(UsageError):
        Demo(**options)
    with pytest.raises(UsageError, match="no split"):
        Demo(split="test")


def test_drawing_is_fast():
    render(0, 0)
    begun = time.process_time()
    for number in range(40):
        render(number, 0)
    assert (time.process_time() - begun) / 40 < 0.01


def test_naming_the_classes_imports_neither_torch_nor_numpy():
    code = (
        "import sys; from zoo.builtin.demo import Demo; d = Demo(classes=300); len(d), d.keys[0];"
        "print([m for m in ('torch', 'numpy') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_a_small_network_learns_twenty_classes():
    torch.manual_seed(0)

    def tensors(split, per_class):
        demo = Demo(split=split, classes=20, per_class=per_class, size=32)
        images = np.stack([demo[i][0] for i in range(len(demo))])
        return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255, torch.tensor(demo.labels)

    x, y = tensors("train", 25)
    xv, yv = tensors("val", 25)
    model = torch.nn.Sequential(
        torch.nn.Conv2d(3, 24, 5, 2, 2),
        torch.nn.BatchNorm2d(24),
        torch.nn.ReLU(),
        torch.nn.Conv2d(24, 48, 3, 2, 1),
        torch.nn.BatchNorm2d(48),
        torch.nn.ReLU(),
        torch.nn.AdaptiveMaxPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(192, 20),
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for _ in range(12):
        for rows in torch.randperm(len(x)).split(50):
            loss = torch.nn.functional.cross_entropy(model(x[rows]), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    model.eval()
    with torch.no_grad():
        accuracy = (model(xv).argmax(1) == yv).float().mean().item()
    assert accuracy > 0.6
