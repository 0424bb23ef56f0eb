import numpy as np
import torch
from pictures import pixels

from zoo.builtin.transforms import CenterCrop, Squash
from zoo.core.specs import InputSpec
from zoo.data import memory
from zoo.data.images import FileReader, ImageSet, ItemReader
from zoo.data.loaders import make_loader
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
    for kind in (CenterCrop, Squash):
        for limit in (memory.LIMIT, 0):
            monkeypatch.setattr(memory, "LIMIT", limit)
            fast = in_memory(images(), kind(SMALL), fixed=True)
            slow = View(images(), kind(SMALL), 0, fixed=True)
            keys = [(0, index) for index in (3, 19, 0, 3)]
            one, other = fast.__getitems__(keys).batch, slow.__getitems__(keys).batch
            assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_it_is_taken_only_where_it_can_be():
    assert isinstance(in_memory(images(), None, fixed=True), Memory)
    assert in_memory(images(), CenterCrop(SMALL), fixed=False) is None
    assert in_memory(images(), lambda image: image, fixed=True) is None
    files = ImageSet("set", ("a",), [0], ["k"], FileReader(("k",)))
    assert in_memory(files, None, fixed=True) is None


def test_a_loader_takes_it_by_itself_and_starts_no_processes():
    loader = make_loader(images(), CenterCrop(SMALL), batch_size=6, workers=2, seed=1)
    plain = make_loader(images(), CenterCrop(SMALL).__call__, batch_size=6, seed=1)
    assert loader._processes is None
    for one, other in zip(loader.epoch(3), plain.epoch(3), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    assert loader._processes is None
    assert len(Memory(images(), images().whole(), None)) == 20
