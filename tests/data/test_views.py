import pickle
import random

import numpy as np
import pytest
import torch
from pictures import pixels

from zoo.core.specs import InputSpec
from zoo.data.images import ImageSet, ItemReader
from zoo.data.views import (
    View,
    _stacked,
    first_numbers,
    moved_on,
    number,
    order,
    seed_from,
    undisturbed,
    uniform,
)
from zoo.errors import DataError


class Items:
    def __init__(self, sizes=None):
        self.sizes = sizes or {}

    def __getitem__(self, index):
        if index == 3 and self.sizes == "bad":
            raise DataError("image 3 is bad", hint="look")
        side = self.sizes.get(index, 8) if isinstance(self.sizes, dict) else 8
        return pixels(index, height=side, width=side), index


def images(items=None, **options):
    keys = [f"k{i}" for i in range(6)]
    return ImageSet("set", tuple("abcdef"), range(6), keys, ItemReader(items or Items()), **options)


def draws():
    return torch.rand(()).item(), np.random.rand(), random.random()


def test_numbers_depend_on_every_counter_and_their_order():
    seen = {number(*key) for key in [(0, 1), (1, 0), (0, 0), (0, 1, 0), (2**64 - 1, 1)]}
    assert len(seen) == 5
    assert number(-1) == number(2**64 - 1)


def test_seeding_fixes_all_three_generators():
    seed_from(1, 2, 3)
    first = draws()
    draws()
    seed_from(1, 2, 3)
    assert draws() == first
    seed_from(1, 2, 4)
    assert draws() != first


def test_uniform_numbers_are_uniform_and_belong_to_their_image():
    rows = torch.arange(5000)
    draws = uniform(rows, 4, seed=1, epoch=2)
    assert draws.shape == (5000, 4)
    assert draws.dtype == torch.float32
    assert 0 <= draws.min() < 0.001
    assert 0.999 < draws.max() < 1
    assert draws.mean(0).sub(0.5).abs().max() < 0.02
    assert draws.var(0).sub(1 / 12).abs().max() < 0.01
    assert torch.corrcoef(draws.T).fill_diagonal_(0).abs().max() < 0.05
    assert torch.corrcoef(torch.stack([draws[:-1, 0], draws[1:, 0]]))[0, 1].abs() < 0.05
    some = torch.tensor([4999, 7, 7])
    assert torch.equal(uniform(some, 4, seed=1, epoch=2), draws[some])
    assert not torch.equal(uniform(some, 4, seed=1, epoch=3), draws[some])
    assert not torch.equal(uniform(some, 4, seed=2, epoch=2), draws[some])


STRIDES = (0.61678, 0.14948, 0.5)


def test_numbers_that_move_on_are_as_random_as_before_and_lie_more_evenly():
    rows = torch.arange(4000)
    anew = torch.stack([uniform(rows, 3, seed=1, epoch=e) for e in range(6)])
    even = torch.stack([uniform(rows, 3, seed=1, epoch=e, strides=STRIDES) for e in range(6)])
    assert torch.equal(even[0], anew[0])
    assert even.dtype == torch.float32
    assert 0 <= even.min() <= even.max() < 1
    for draws in even:  # in each epoch, over the images: uniform, and of no other number or image
        assert draws.mean(0).sub(0.5).abs().max() < 0.02
        assert draws.var(0).sub(1 / 12).abs().max() < 0.01
        assert torch.corrcoef(draws.T).fill_diagonal_(0).abs().max() < 0.05
        assert torch.corrcoef(torch.stack([draws[:-1, 0], draws[1:, 0]]))[0, 1].abs() < 0.05
    # of one image, over the epochs: the mean hits the middle far better; half of it is mirrored
    assert (even.mean(0).var(0) < 0.35 * anew.mean(0).var(0))[:2].all()
    assert ((even[..., 2] < 0.5).sum(0) == 3).all()
    some = torch.tensor([3999, 7, 7])
    assert torch.equal(uniform(some, 3, seed=1, epoch=5, strides=STRIDES), even[5][some])


def test_moving_on_never_reaches_one_and_needs_nothing_but_the_epoch():
    last = torch.tensor([[1 - 2**-24], [0.0], [0.5]])
    assert moved_on(last, torch.tensor([0, 0, 1]), (0.5,)).flatten().tolist() == [
        1 - 2**-24,
        0.0,
        0.0,
    ]
    many = moved_on(torch.full((300_000, 1), 0.3), torch.arange(300_000), (0.61678,))
    assert 0 <= many.min() <= many.max() < 1
    keys = [(7, 3), (0, 3), (2, 5)]
    together = first_numbers(keys, 3, 11, STRIDES)
    for row, key in zip(together, keys, strict=True):
        assert torch.equal(row, first_numbers([key], 3, 11, STRIDES)[0])
    assert torch.equal(together[1], first_numbers([(0, 3)], 3, 11)[0])


class Told:
    """Takes numbers, and draws behind them."""

    strides = STRIDES

    def __call__(self, image, numbers=None):
        drawn = torch.rand(3) if numbers is None else numbers
        return torch.cat([drawn, torch.rand(1)])


def test_a_transform_with_strides_is_told_its_numbers_and_seeded_for_what_else_it_draws():
    view = View(images(), Told(), seed=1)
    found = [view[epoch, 2] for epoch in range(4)]
    for epoch, row in enumerate(found):
        assert torch.equal(row[:3], first_numbers([(epoch, 2)], 3, 1, STRIDES)[0])
    assert len({float(row[3]) for row in found}) == 4
    assert torch.equal(view[2, 2], found[2])
    assert View(images(), Told(), seed=1, fixed=True).strides == ()
    assert View(images(), None, seed=1).strides == ()


def test_undisturbed_puts_all_three_back():
    seed_from(5)
    with undisturbed():
        seed_from(9)
        draws()
    after = draws()
    seed_from(5)
    assert draws() == after


def test_an_order_is_a_permutation_that_depends_on_seed_and_epoch():
    one = order(100, seed=1, epoch=2)
    assert sorted(one.tolist()) == list(range(100))
    assert torch.equal(one, order(100, seed=1, epoch=2))
    assert not torch.equal(one, order(100, seed=1, epoch=3))
    assert not torch.equal(one, order(100, seed=2, epoch=2))


def test_an_order_leaves_the_global_generator_alone():
    torch.manual_seed(3)
    order(10, seed=0, epoch=0)
    after = torch.rand(())
    torch.manual_seed(3)
    assert torch.rand(()) == after


def noisy(image):
    shift = int(torch.randint(100, ())) + random.randrange(50) + int(np.random.randint(50))
    return ((image.int() + shift) % 256).to(torch.uint8)


def test_randomness_is_a_function_of_seed_epoch_and_index():
    view = View(images(), noisy, seed=7)
    first = view[2, 4]
    _ = view[0, 0], view[9, 1]
    assert torch.equal(view[2, 4], first)
    assert not torch.equal(view[3, 4], first)
    assert not torch.equal(View(images(), noisy, seed=8)[2, 4], first)


def test_a_batch_holds_pixels_labels_and_indices():
    drawn = View(images(), None, seed=0).__getitems__([(0, 5), (0, 1)])
    assert drawn.batch.images.shape == (2, 3, 8, 8)
    assert drawn.batch.labels.tolist() == drawn.batch.indices.tolist() == [5, 1]
    assert drawn.batch.labels.dtype == torch.int64


def test_a_bad_image_ends_the_batch_or_is_left_out():
    keys = [(0, 1), (0, 3), (0, 4)]
    assert View(images(Items("bad")), None, 0).__getitems__(keys).failure == (
        "image 3 is bad",
        "look",
    )
    lenient = View(images(Items("bad"), on_bad="skip"), None, 0)
    drawn = lenient.__getitems__(keys)
    assert drawn.batch.indices.tolist() == [1, 4]
    assert drawn.skipped == ((3, "image 3 is bad"),)
    assert lenient.__getitems__([(0, 3)]).batch is None


def test_different_sizes_in_a_batch_are_explained():
    failure = View(images(Items({2: 9})), None, 0).__getitems__([(0, 1), (0, 2)]).failure
    assert "differ in shape: [(3, 8, 8), (3, 9, 9)]" in failure[0]


@pytest.mark.parametrize("fixed", [True, False])
def test_a_fixed_transform_is_not_seeded(fixed):
    torch.manual_seed(0)
    View(images(), lambda image: image, 0, fixed)[0, 0]
    drawn = torch.rand(()).item()
    torch.manual_seed(0)
    assert (torch.rand(()).item() == drawn) is fixed


@pytest.mark.parametrize("name", ["standard", "randaugment", "shift", "center-crop"])
def test_views_travel_to_processes_that_are_not_forked(name, known):
    transform = known.build("transform", name, InputSpec(size=(3, 16, 16)))
    view = View(images(), transform, 3)
    again = pickle.loads(pickle.dumps(view))
    keys = [(1, 0), (1, 4)]
    one, other = view.__getitems__(keys).batch, again.__getitems__(keys).batch
    assert torch.equal(one.images, other.images)


@pytest.mark.parametrize("last", [False, True])
def test_a_batch_lies_in_memory_as_its_images_do(last):
    drawn = torch.randint(0, 256, (4, 6, 5, 3), dtype=torch.uint8)
    images = [image.permute(2, 0, 1) for image in drawn]
    images = images if last else [image.contiguous() for image in images]
    found = _stacked(images)
    assert torch.equal(found, torch.stack(images))
    assert found.is_contiguous(memory_format=torch.channels_last) == last
