"""Steps that travel with an artefact: written from an input spec, followed to the pixel."""

from __future__ import annotations

import pytest
import torch
from PIL import Image

from zoo.core.specs import InputSpec
from zoo.errors import CheckpointError, DataError
from zoo.exporting.preprocess import apply, steps_of


def ops(spec: InputSpec, *args) -> list[str]:
    return [step["op"] for step in steps_of(spec, *args)]


IMAGENET = InputSpec(
    size=(3, 224, 224), resize=256, crop=224, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)
)


def test_an_imagenet_spec_resizes_crops_scales_and_normalises():
    assert ops(IMAGENET) == ["decode", "resize", "center_crop", "scale", "normalize"]
    assert steps_of(IMAGENET)[1]["zoom"] == pytest.approx(256 / 224)


def test_other_transforms_are_told_as_they_are_and_unknown_ones_not_at_all():
    assert ops(IMAGENET, "squash") == ["decode", "resize", "scale", "normalize"]
    assert ops(IMAGENET, "letterbox", {"fill": 9})[1:3] == ["resize", "pad"]
    assert steps_of(IMAGENET, "letterbox", {"fill": 9})[2]["fill"] == [9]
    assert steps_of(IMAGENET, "my/transform") == []


def test_unstated_mean_is_not_invented():
    assert "normalize" not in ops(InputSpec(size=(3, 8, 8)))


def test_channels_that_no_image_file_has_have_no_steps():
    assert steps_of(InputSpec(size=(5, 8, 8))) == []


def test_steps_are_followed_to_the_pixel(tmp_path):
    Image.new("RGB", (40, 20), (255, 0, 51)).save(tmp_path / "a.png")
    spec = InputSpec(size=(3, 16, 16), resize=18, crop=16, mean=(0.5, 0.5, 0.0), std=(0.5, 0.5, 1))
    image = apply(steps_of(spec), tmp_path / "a.png")
    assert image.shape == (1, 3, 16, 16)
    torch.testing.assert_close(image[0, :, 3, 3], torch.tensor([1.0, -1.0, 0.2]))


SPECS = {
    "imagenet": InputSpec(size=(3, 56, 56), resize=64, crop=56),
    "bicubic": InputSpec(size=(3, 40, 40), resize=43, crop=40, interpolation="bicubic"),
    "nearest": InputSpec(size=(3, 24, 24), interpolation="nearest"),
    "wide": InputSpec(size=(3, 20, 36)),
    "grey": InputSpec(size=(1, 32, 32), resize=32, crop=32),
    "other size": InputSpec(size=(3, 64, 64), resize=256, crop=224),
    "squashed": InputSpec(size=(3, 32, 32), resize=36, crop=32, crop_mode="squash"),
    "bordered": InputSpec(
        size=(3, 32, 32), mean=(0.4, 0.5, 0.6), std=(1.0,) * 3, resize=36, crop=32,
        crop_mode="border",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ["center-crop", "squash", "letterbox"])
@pytest.mark.parametrize("spec", SPECS.values(), ids=list(SPECS))
@pytest.mark.parametrize("size", [(90, 60), (61, 97), (8, 8), (5, 300)])
def test_the_steps_say_what_zoos_own_transform_does(name, spec, size, tmp_path):
    from zoo.core import registry
    from zoo.data.decode import read_image

    pixels = torch.randint(0, 256, (3, size[1], size[0]), dtype=torch.uint8)
    Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(tmp_path / "a.png")
    transform = registry.load().build("transform", name, spec)
    own = transform(read_image(str(tmp_path / "a.png"), spec.size[0]))
    told = apply(steps_of(spec, name), tmp_path / "a.png")
    if spec.mean:
        told = told + torch.tensor(spec.mean).view(-1, 1, 1)
    torch.testing.assert_close(told, own[None] / 255)


def test_auto_does_what_the_input_says():
    assert ops(SPECS["squashed"], "auto")[1:3] == ["resize", "center_crop"]
    assert steps_of(SPECS["squashed"])[1]["size"] == [36, 36]
    assert steps_of(SPECS["bordered"])[2]["fill"] == [102, 128, 153]


def test_the_camera_orientation_is_honoured(tmp_path):
    image = Image.new("L", (20, 10), 0)
    image.paste(255, (0, 0, 10, 10))
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees to view
    image.save(tmp_path / "a.png", exif=exif)
    pixels = apply(steps_of(InputSpec(size=(1, 20, 10))), tmp_path / "a.png")
    assert pixels[0, 0, :10].mean() == 1
    assert pixels[0, 0, 10:].mean() == 0


def test_colour_files_become_grey_for_one_channel(tmp_path):
    Image.new("RGB", (8, 8), (10, 200, 30)).save(tmp_path / "a.png")
    assert apply(steps_of(InputSpec(size=(1, 8, 8))), tmp_path / "a.png").shape == (1, 1, 8, 8)


def test_a_file_that_is_no_image_is_named(tmp_path):
    (tmp_path / "a.png").write_text("hello")
    with pytest.raises(DataError, match=r"a\.png"):
        apply(steps_of(InputSpec()), tmp_path / "a.png")


def test_an_unknown_step_is_an_error_and_not_skipped(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    with pytest.raises(CheckpointError, match="sharpen"):
        apply([*steps_of(InputSpec(size=(3, 8, 8))), {"op": "sharpen"}], tmp_path / "a.png")
