"""Preprocessing is compared with what timm and transformers themselves compute."""

import math

import numpy as np
import pytest
import torch
from PIL import Image
from timm.data import create_transform, resolve_data_config

from zoo.core import registry
from zoo.core.specs import InputSpec
from zoo.engine.transforms import auto_transform
from zoo.hub.preprocess import crop_fraction, from_timm, from_transformers, to_timm

CFG = {
    "input_size": [3, 224, 224], "interpolation": "bicubic", "crop_pct": 0.95,
    "crop_mode": "center", "mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6],
    "test_input_size": [3, 288, 288],
}  # fmt: skip


def test_timm():
    given, notes = from_timm(CFG)
    assert given == InputSpec(
        size=(3, 224, 224), mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6), resize=235, crop=224,
        interpolation="bicubic",
    )  # fmt: skip
    assert notes == ()


@pytest.mark.parametrize(
    ("crop", "resize"), [(224, 256), (224, 235), (224, 232), (64, 73), (299, 342)]
)
def test_what_we_write_makes_timm_compute_the_same_pixels(crop, resize):
    given = InputSpec(
        size=(3, crop, crop), mean=(0.5,) * 3, std=(0.25,) * 3, resize=resize, crop=crop
    )
    cfg = {**to_timm(given), "num_classes": 3}
    assert from_timm(cfg)[0] == given
    transform = create_transform(**resolve_data_config(cfg))
    first = transform.transforms[0]
    assert first.size in (resize, (resize, resize), [resize])
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (300, 400, 3), np.uint8))
    assert transform(image).shape == (3, crop, crop)


@pytest.mark.parametrize("size", [(90, 60), (61, 97), (300, 40)])
@pytest.mark.parametrize("resize", [32, 36])
@pytest.mark.parametrize("mode", ["center", "squash", "border"])
def test_each_crop_mode_shows_what_timm_shows(mode, resize, size):
    given = InputSpec(
        size=(3, 32, 32), mean=(0.5, 0.2, 0.7), std=(1.0,) * 3, resize=resize, crop=32,
        interpolation="bicubic", crop_mode=mode,
    )  # fmt: skip
    cfg = {**to_timm(given), "num_classes": 3}
    assert from_timm(cfg)[0] == given
    generator = np.random.default_rng(0)
    small = Image.fromarray(generator.integers(0, 255, (5, 7, 3), np.uint8))
    image = small.resize(size, Image.Resampling.BICUBIC)  # smooth, as photographs are
    theirs = (
        create_transform(**resolve_data_config(cfg))(image)
        + torch.tensor(given.mean)[:, None, None]
    )
    name = auto_transform(given, train=False)
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)
    ours = registry.load().build("transform", name, given)(pixels) / 255
    assert ours.shape == theirs.shape
    assert (ours - theirs).abs().mean() < 0.006  # Pillow's bicubic against torch's, in bytes
    flat = theirs.flatten(1).std()
    assert flat > 0.05


def test_crop_fractions_are_short_and_exact():
    for crop in (32, 64, 224, 299, 384):
        for resize in range(crop, crop * 2):
            fraction = crop_fraction(crop, resize)
            assert math.floor(crop / fraction) == resize
    assert crop_fraction(224, 256) == 0.875
    assert crop_fraction(224, 224) == 1.0


def test_odd_configs_are_read_and_said():
    given, notes = from_timm({"crop_mode": "warp", "interpolation": "lanczos", "mean": "x"})
    assert given.size == (3, 224, 224)
    assert given.mean == ()
    assert given.interpolation == "bicubic"
    assert notes == (
        "crop mode 'warp' is read as 'center'",
        "interpolation 'lanczos' is read as 'bicubic'",
    )
    assert from_timm({"interpolation": "random"})[1] == ()
    assert from_timm({"input_size": [1, 28, 28], "mean": [0.5]})[0].mean == (0.5,)


@pytest.mark.parametrize(
    ("processor", "resize", "crop", "interpolation"),
    [
        ({"size": {"shortest_edge": 224}, "crop_pct": 0.875, "resample": 3}, 256, 224, "bicubic"),
        ({"size": {"shortest_edge": 384}, "crop_pct": 0.875}, 384, 384, "bilinear"),
        ({"size": {"shortest_edge": 256}, "crop_size": {"height": 224, "width": 224}, "do_center_crop": True}, 256, 224, "bilinear"),
        ({"size": {"height": 224, "width": 224}, "resample": 2}, 224, 224, "bilinear"),
        ({"size": 224, "resample": 0}, 224, 224, "nearest"),
        ({}, 224, 224, "bilinear"),
    ],
)  # fmt: skip
def test_transformers(processor, resize, crop, interpolation):
    stated = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.1, 0.1, 0.1], **processor}
    given, _ = from_transformers(stated)
    assert (given.resize, given.crop, given.interpolation) == (resize, crop, interpolation)
    assert given.mean == (0.5, 0.5, 0.5)
    assert given.size == (3, crop, crop)


def test_transformers_oddities_are_said():
    given, notes = from_transformers(
        {"do_normalize": False, "rescale_factor": 1.0, "size": {"height": 20, "width": 30}},
        channels=1,
    )
    assert given.mean == (0.0,)
    assert given.std == (1.0,)
    assert given.size == (1, 20, 20)
    assert given.crop_mode == "squash"
    assert [n.split(" ")[0] for n in notes] == ["images", "rescale_factor"]


def test_the_real_resnet_processor_gives_the_same_pixels():
    from transformers import ConvNextImageProcessorPil as Processor

    processor = Processor(size={"shortest_edge": 224}, crop_pct=0.875)
    given, _ = from_transformers(processor.to_dict())
    assert (given.resize, given.crop) == (256, 224)
    image = Image.fromarray(np.full((300, 300, 3), 128, np.uint8))
    pixels = torch.as_tensor(np.array(processor(image)["pixel_values"][0]))
    expected = (128 / 255 - torch.tensor(given.mean)) / torch.tensor(given.std)
    assert torch.allclose(pixels.mean(dim=(1, 2)), expected, atol=1e-3)
