import pytest
import torch

from zoo.builtin.transforms import CenterCrop, Standard
from zoo.core.specs import InputSpec
from zoo.data.images import ImageSet
from zoo.data.loaders import Loader
from zoo.engine import reading
from zoo.engine.place import Place
from zoo.engine.prefix.setting import CacheWish
from zoo.engine.reading import keep_images
from zoo.engine.timings import Waited

SHOWN = InputSpec(size=(3, 8, 8))


class Reader:
    def read(self, row):
        return torch.full((3, 10, 12), row, dtype=torch.uint8)

    def whole(self):
        return None


class Prefix:
    """Outputs of the frozen part, as far as the decision looks."""

    def __init__(self, loader, kept):
        self.loader, self.kept = loader, kept


def loader(count, transform, *, sizes=True, workers=0):
    images = ImageSet(
        "set", ("a", "b"), [n % 2 for n in range(count)], [str(n) for n in range(count)],
        Reader(), sizes=[(10, 12)] * count if sizes else None,
    )  # fmt: skip
    return Waited(Loader(images, transform, batch_size=2, workers=workers))


def kept(train, val, *, epochs=3, processes=1, device="cpu", **wish):
    place = Place(device=torch.device(device))
    return keep_images(
        train, val, SHOWN, wish=CacheWish(**wish), epochs=epochs, place=place, processes=processes
    )


@pytest.fixture(autouse=True)
def free_memory(monkeypatch):
    monkeypatch.setattr(reading, "memory_budget", lambda: 20_000)


def test_both_sets_are_kept_where_they_fit():
    said = kept(loader(6, Standard(SHOWN)), loader(4, CenterCrop(SHOWN)))
    assert said == "kept in memory once read: val 768 B, train 2.2 kB"


def test_of_what_does_not_fit_a_part_is_kept():
    train = loader(100, Standard(SHOWN))
    said = kept(train, loader(4, CenterCrop(SHOWN)))
    assert said == "kept in memory once read: val 768 B, train up to 9.2 kB"
    for _ in train.epoch(0):
        pass
    assert len(train._source.kept) == 9232 // 360
    halves = kept(loader(100, Standard(SHOWN)), loader(4, CenterCrop(SHOWN)), processes=2)
    assert halves.endswith("train up to 4.2 kB")


def test_without_sizes_nobody_knows_before():
    said = kept(loader(6, Standard(SHOWN), sizes=False), loader(4, CenterCrop(SHOWN)))
    assert said.endswith("train up to 9.2 kB")


def test_images_whose_outputs_are_kept_are_read_once_anyway():
    train, val = loader(6, Standard(SHOWN)), loader(4, CenterCrop(SHOWN))
    assert kept(Prefix(train, 0), Prefix(val, 1)) == "kept in memory once read: train 2.2 kB"
    assert val._source.kept is None
    assert kept(Prefix(train, 1), Prefix(val, 1)) == ""


def test_images_of_which_several_views_are_kept_are_read_as_often():
    train, val = loader(6, Standard(SHOWN)), loader(4, CenterCrop(SHOWN))
    assert kept(Prefix(train, 2), Prefix(val, 1)) == "kept in memory once read: train 2.2 kB"
    list(train.epoch(0))
    assert len(train._source.kept) == 6
    train.close()
    assert len(train._source.kept) == 0


@pytest.fixture
def resided(monkeypatch):
    """What loaders were asked to put onto a device; its free memory is made up."""
    asked = []

    def reside(self, device, limit, shape, *, threads):
        asked.append((str(device), limit, shape, threads))
        return 700 if limit >= 700 else 0

    monkeypatch.setattr(Loader, "reside", reside)
    monkeypatch.setattr(reading, "free_memory", lambda _device: 4000)
    monkeypatch.setattr(reading, "usable_cores", lambda: 6)
    return asked


def test_on_a_cuda_device_images_lie_in_its_memory(resided):
    pair = loader(6, Standard(SHOWN)), loader(4, CenterCrop(SHOWN))
    said = kept(*pair, device="cuda:0", processes=2)
    assert said == "kept in device memory once read: val 700 B"
    assert resided == [("cuda:0", 1000, (3, 8, 8), 3), ("cuda:0", 300, (3, 8, 8), 3)]
    assert kept(*pair, device="cuda:0", mode="off") == ""
    assert kept(*pair, device="cuda:0", epochs=1) == ""
    assert len(resided) == 2


def test_where_nothing_fits_there_memory_is_used(resided):
    pair = loader(6, Standard(SHOWN)), loader(4, CenterCrop(SHOWN))
    assert kept(*pair, device="cuda:0", size=600).startswith("kept in memory once read: val")


@pytest.mark.parametrize(
    "how", [{"epochs": 1}, {"mode": "off"}, {"mode": "disk"}], ids=["once", "off", "disk"]
)
def test_nothing_is_kept_where_it_would_not_help_or_was_not_wanted(how):
    train = loader(6, Standard(SHOWN))
    assert kept(train, loader(4, CenterCrop(SHOWN)), **how) == ""
    assert train._source.kept is None


def test_a_given_size_is_the_most_that_is_kept_of_everything():
    assert kept(loader(6, Standard(SHOWN)), loader(4, CenterCrop(SHOWN)), size=2000) == (
        "kept in memory once read: val 768 B, train up to 232 B"
    )
    train, val = loader(6, Standard(SHOWN)), loader(4, CenterCrop(SHOWN))
    assert kept(Prefix(train, 0), Prefix(val, 1), size=2000) == ""


def test_loader_processes_keep_nothing():
    assert (
        kept(loader(6, Standard(SHOWN), workers=1), loader(4, CenterCrop(SHOWN), workers=1)) == ""
    )
