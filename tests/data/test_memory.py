import numpy as np
import pytest
import torch
from pictures import pixels

from zoo.builtin.transforms import CenterCrop, RandomCrop, Shift, Squash, Standard
from zoo.core.specs import InputSpec
from zoo.data import memory
from zoo.data.images import FileReader, ImageSet, ItemReader
from zoo.data.loaders import Loader, make_loader
from zoo.data.memory import Memory, in_memory
from zoo.data.views import View

SMALL = InputSpec(size=(3, 12, 12), resize=14, crop=12)


class Items:
    images = np.stack([pixels(n, height=10, width=9) for n in range(20)])

    def __getitem__(self, index):
        return self.images[index], index % 3


def images():
    labels = [i % 3 for i in range(20)]
    return ImageSet("set", tuple("abc"), labels, [str(i) for i in range(20)], ItemReader(Items()))


def test_the_fast_way_gives_the_same_bytes_as_the_slow_way(monkeypatch):
    rows = torch.tensor([3, 19, 0, 3])
    for kind in (CenterCrop, Squash):
        for limit in (memory.LIMIT, 0):
            monkeypatch.setattr(memory, "LIMIT", limit)
            fast = in_memory(images(), kind(SMALL))
            slow = View(images(), kind(SMALL), 0, fixed=True)
            one = fast.take(rows).batch
            other = slow.__getitems__([(0, index) for index in rows.tolist()]).batch
            assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_it_is_taken_only_where_it_can_be():
    assert isinstance(in_memory(images(), None), Memory)
    assert isinstance(in_memory(images(), Shift(SMALL)), Memory)
    assert isinstance(in_memory(images(), RandomCrop(SMALL)), Memory)
    assert in_memory(images(), RandomCrop(SMALL, policy="randaugment")) is None
    assert in_memory(images(), Standard(SMALL)) is None
    assert in_memory(images(), lambda image: image) is None
    files = ImageSet("set", ("a",), [0], ["k"], FileReader(("k",)))
    assert in_memory(files, None) is None


def test_a_loader_takes_it_by_itself_and_starts_no_processes():
    loader = make_loader(images(), CenterCrop(SMALL), batch_size=6, workers=2, seed=1)
    plain = make_loader(images(), CenterCrop(SMALL).__call__, batch_size=6, seed=1)
    for one, other in zip(loader.epoch(3), plain.epoch(3), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    assert loader._processes is None
    assert len(Memory(images(), images().whole())) == 20


@pytest.mark.parametrize("kind", [Shift, RandomCrop])
def test_random_batches_depend_on_seed_epoch_and_index_only(kind):
    def pixels_by_index(epoch, batch_size, seed=5, start=0, rank=0, world=1):
        loader = make_loader(
            images(), kind(SMALL), batch_size=batch_size, seed=seed, rank=rank, world=world
        )
        return {
            index: image
            for batch in loader.epoch(epoch, start)
            for index, image in zip(batch.indices.tolist(), batch.images, strict=True)
        }

    whole = pixels_by_index(2, 4)
    assert len(whole) == 20
    for other in (
        pixels_by_index(2, 10),
        pixels_by_index(2, 4, start=3),
        pixels_by_index(2, 2, rank=1, world=2),
    ):
        assert all(torch.equal(image, whole[index]) for index, image in other.items())
    for epoch, seed in ((3, 5), (2, 6)):
        changed = pixels_by_index(epoch, 4, seed)
        assert sum(not torch.equal(changed[index], whole[index]) for index in whole) > 12


def test_random_batches_leave_torchs_generator_alone():
    state = torch.get_rng_state()
    list(make_loader(images(), Shift(SMALL), batch_size=4).epoch(0))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("kind", [None, CenterCrop, RandomCrop, Shift])
@pytest.mark.parametrize("limit", [memory.LIMIT, 0])
def test_a_set_on_a_device_is_indexed_and_augmented_there(kind, limit, monkeypatch):
    """``meta`` stands for the accelerator: a tensor left on the CPU by mistake is an error there."""
    monkeypatch.setattr(memory, "LIMIT", limit)
    monkeypatch.setattr(memory, "fits", lambda _pixels, _device: True)
    made = in_memory(images(), kind and kind(SMALL), device="meta")
    batch = made.take(torch.tensor([3, 0, 7, 3]), epoch=2).batch
    assert batch.images.device.type == batch.labels.device.type == "meta"
    assert batch.images.dtype == torch.uint8
    assert len(batch.images) == 4
    assert batch.indices.tolist() == [3, 0, 7, 3]


def test_a_set_that_is_too_large_for_the_device_stays_on_the_host(monkeypatch):
    monkeypatch.setattr(memory, "LIMIT", 100)
    assert in_memory(images(), None, device="meta").device == "cpu"
    monkeypatch.setattr(memory, "LIMIT", 1 << 30)
    count = images().whole().numel()
    for free, expected in ((4 * count, True), (4 * count - 4, False)):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda free=free: (free, 1 << 40))
        assert memory.fits(images().whole(), "cuda") is expected


def test_batches_on_a_device_are_not_pinned(monkeypatch):
    monkeypatch.setattr(memory, "fits", lambda _pixels, _device: True)
    made = Loader(images(), None, batch_size=4, device="meta")
    drawn = made._source.take(torch.arange(4))
    made._pin = True
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor.clone())
    assert made._pinned(drawn).batch.images is drawn.batch.images
