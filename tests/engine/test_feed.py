import pytest
import torch
from tinyrun import Batch

from zoo.core.specs import InputSpec
from zoo.engine.feed import Feed
from zoo.engine.place import Place
from zoo.errors import UsageError

CPU = Place(device=torch.device("cpu"))
SPEC = InputSpec(size=(3, 4, 4), mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))


def batch(images):
    return Batch(images, torch.zeros(len(images), dtype=torch.int64), torch.arange(len(images)))


def test_bytes_are_scaled_and_normalised_as_torchvision_does():
    from torchvision.transforms import functional

    images = torch.randint(0, 256, (5, 3, 4, 4), dtype=torch.uint8)
    mine, _ = Feed(CPU, SPEC)(batch(images), train=False)
    theirs = functional.normalize(images.float() / 255, SPEC.mean, SPEC.std)
    torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-6)


def test_floats_are_taken_as_0_to_1_and_not_changed_in_place():
    images = torch.rand(2, 3, 4, 4)
    kept = images.clone()
    plain, _ = Feed(CPU)(batch(images), train=False)
    assert torch.equal(plain, kept)
    Feed(CPU, SPEC)(batch(images), train=False)
    assert torch.equal(images, kept)


def test_without_statistics_bytes_become_0_to_1():
    images = torch.full((1, 3, 2, 2), 255, dtype=torch.uint8)
    assert Feed(CPU, InputSpec())(batch(images), train=False)[0].unique().tolist() == [1.0]


def test_channels_last_is_a_layout_not_other_values():
    place = Place(device=torch.device("cpu"), channels_last=True)
    images = torch.randint(0, 256, (2, 3, 4, 4), dtype=torch.uint8)
    ready = Feed(place, SPEC).images(images)
    assert ready.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(ready, Feed(CPU, SPEC).images(images))
    assert Feed(place).images(torch.rand(2, 5)).shape == (2, 5)


def test_batch_transforms_are_for_training_only():
    feed = Feed(CPU, None, (lambda images, labels: (images * 0, labels + 1),))
    some = batch(torch.ones(2, 3, 4, 4))
    images, targets = feed(some, train=True)
    assert images.sum() == 0
    assert targets.tolist() == [1, 1]
    images, targets = feed(some, train=False)
    assert images.sum() > 0
    assert targets.tolist() == [0, 0]


def test_a_deviation_of_zero_is_refused():
    with pytest.raises(UsageError, match="above 0"):
        Feed(CPU, InputSpec(mean=(0.5,), std=(0.0,)))


def test_images_of_another_size_than_the_model_is_shown_are_refused():
    feed = Feed(CPU, SPEC, sizes=((4, 4), (3, 3)))
    assert feed.images(torch.zeros(1, 3, 3, 3)).shape == (1, 3, 3, 3)
    with pytest.raises(UsageError, match="images of 2 x 5, and the model is shown 4 x 4 or 3 x 3"):
        feed.images(torch.zeros(1, 3, 2, 5))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(4, 4), (1, 5), (6, 1)])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_rows_of_pixels_are_normalised_to_the_bit_as_pixels_are(channels, size, dtype):
    spec = InputSpec(size=(channels, *size), mean=SPEC.mean[:channels], std=SPEC.std[:channels])
    images = torch.randint(0, 256, (5, channels, *size), dtype=torch.uint8).to(dtype)
    expected = Feed(CPU, spec).images(images)
    last = Feed(Place(device=torch.device("cpu"), channels_last=True), spec)
    for given in (images, images.contiguous(memory_format=torch.channels_last)):
        found = last.images(given)
        assert torch.equal(found, expected)
        assert found.is_contiguous(memory_format=torch.channels_last)
    assert last.images(images[:0]).shape == (0, channels, *size)
