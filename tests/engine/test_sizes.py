"""zoo.engine.sizes: the size that a model sees."""

import pytest

from zoo.core import registry
from zoo.core.specs import InputSpec, ModelSpec
from zoo.engine.sizes import (
    agree,
    auto_train_size,
    check_shrink,
    fit_input,
    parse_train_size,
    size_option,
)
from zoo.errors import UsageError

PHOTO = InputSpec(
    size=(3, 224, 224), resize=256, crop=224, mean=(0.4, 0.5, 0.6), std=(0.1, 0.2, 0.3)
)


def test_resize_keeps_its_proportion_to_the_crop():
    made = fit_input(PHOTO, 112, None)
    assert (made.size, made.resize, made.crop) == ((3, 112, 112), 128, 112)
    assert made.mean == PHOTO.mean


def test_other_channels_take_the_average():
    made = fit_input(PHOTO, None, 1)
    assert made.size == (1, 224, 224)
    assert made.mean == pytest.approx((0.5,))
    assert made.std == pytest.approx((0.2,))
    assert fit_input(InputSpec(), None, 4).mean == ()


def test_what_is_not_asked_stays():
    assert fit_input(PHOTO, None, None) == PHOTO
    assert fit_input(PHOTO, None, 3) == PHOTO


@pytest.mark.parametrize(
    ("name", "option"), [("resnet18", ""), ("vit_b_16", "image_size"), ("maxvit_t", "input_size")]
)
def test_models_for_one_size_have_an_option(name, option):
    assert size_option(registry.load().model(name)) == option


def test_random_weights_are_built_for_the_size_that_is_asked():
    vit = registry.load().model("vit_b_16")
    options, _ = agree(vit, {}, vit.input, 64, pretrained=False)
    assert options == {"image_size": 64}
    maxvit = registry.load().model("maxvit_t")
    assert agree(maxvit, {}, maxvit.input, 64, pretrained=False)[0] == {"input_size": [64, 64]}


def test_weights_for_another_size_are_refused():
    vit = registry.load().model("vit_b_16")
    with pytest.raises(UsageError, match="take images of 224 x 224, not 64"):
        agree(vit, {}, vit.input, 64, pretrained=True)
    assert agree(vit, {}, vit.input, 224, pretrained=True) == ({}, vit.input)


def test_an_option_and_a_size_that_differ_are_refused():
    vit = registry.load().model("vit_b_16")
    with pytest.raises(UsageError, match="differ"):
        agree(vit, {"image_size": 128}, vit.input, 64, pretrained=False)


def test_a_model_of_any_size_is_left_alone():
    spec = ModelSpec(name="m", target="a:b", input=PHOTO)
    assert agree(spec, {"width": 2}, PHOTO, 64, pretrained=True) == ({"width": 2}, PHOTO)


@pytest.mark.parametrize(
    ("size", "zoom", "magnifies", "expected"),
    [
        (224, 256 / 224, 1.559, 192),  # random crops of 8 to 100 % of the area
        (224, 1.0, 1.559, 192),
        (256, 256 / 224, 1.559, 224),
        (299, 1.0, 1.559, 256),
        (384, 1.0, 1.559, 352),
        (128, 256 / 224, 1.559, 128),  # a step would be too much
        (224, 256 / 224, 1.17, 224),  # gentle crops: things look as they are judged
        (224, 256 / 224, 0.5, 224),  # never more than is judged
        (96, 1.0, 1.559, 96),  # maps would get too small
        (224, 1.0, None, 224),  # the transform does not say
    ],
)
def test_training_shows_things_as_large_as_evaluation(size, zoom, magnifies, expected):
    shown = InputSpec(size=(3, size, size), resize=round(size * zoom), crop=size)
    assert auto_train_size(shown, magnifies) == expected
    if expected != size:
        before, after = magnifies / zoom, magnifies / zoom * expected / size
        assert abs(after - 1) < abs(before - 1)


def test_an_input_that_is_no_square_stays():
    assert auto_train_size(InputSpec(size=(3, 224, 160)), 1.559) == 224


@pytest.mark.parametrize(
    ("given", "meant"), [(None, 0), ("same", 0), ("auto", None), (160, 160), ("160", 160)]
)
def test_a_training_size_is_pixels_or_a_word(given, meant):
    assert parse_train_size(given) == meant


@pytest.mark.parametrize("given", ["small", 0, -1, "1.5", ""])
def test_anything_else_is_an_error_with_examples(given):
    with pytest.raises(UsageError, match="is not a size") as caught:
        parse_train_size(given)
    assert "--train-size 192, same, or auto" in caught.value.hint


def test_images_are_not_reduced_to_less_than_is_shown():
    shown = InputSpec(size=(3, 224, 160))
    check_shrink(None, shown)
    check_shrink(160, shown)
    with pytest.raises(UsageError, match=r"--shrink 159 is smaller .* 160 pixels"):
        check_shrink(159, shown)
