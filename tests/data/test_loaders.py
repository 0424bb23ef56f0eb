import dataclasses
import os
import random
import signal

import numpy as np
import pytest
import torch
from pictures import folder, pixels

from zoo.builtin.transforms import Standard
from zoo.core.specs import InputSpec
from zoo.data.images import ImageSet, ItemReader
from zoo.data.loaders import default_workers, explain, make_loader
from zoo.errors import DataError

COUNT = 37


class Items:
    def __getitem__(self, index):
        if index == 11 and os.environ.get("KILL"):
            os.kill(os.getpid(), signal.SIGKILL)
        return pixels(index, height=20, width=20), index % 5


def images(count=COUNT, **options):
    labels = [i % 5 for i in range(count)]
    keys = [f"k{i}" for i in range(count)]
    return ImageSet("set", tuple("abcde"), labels, keys, ItemReader(Items()), **options)


def augment():
    return Standard(InputSpec(size=(3, 16, 16)), policy="trivialaugment", erase=0.3)


def noisy(image):
    """Draws on all three generators, as third-party augmentations do."""
    shift = int(torch.randint(100, ())) + random.randrange(50) + int(np.random.randint(50))
    return ((image.int() + shift) % 256).to(torch.uint8)


def epoch(loader, number, start=0):
    return [tuple(t.clone() for t in batch) for batch in loader.epoch(number, start)]


def same(one, other):
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_what_is_left_out_is_noted_once():
    class Broken(Items):
        def __getitem__(self, index):
            if index in (3, 8):
                raise DataError("odd")
            return super().__getitem__(index)

    given = dataclasses.replace(images(on_bad="skip"), reader=ItemReader(Broken()))
    loader = make_loader(given, augment(), batch_size=8, workers=0, seed=3)
    before = loader.notes
    for number in (0, 1):
        epoch(loader, number)
    (note,) = loader.notes[len(before) :]
    assert note in (
        "set: 2 images left out, undecodable: 'k3', 'k8'",
        "set: 2 images left out, undecodable: 'k8', 'k3'",
    )


@pytest.mark.parametrize("workers", [0, 1])
def test_an_epoch_can_show_the_pixels_of_another_in_its_own_order(workers):
    loader = make_loader(images(), augment(), batch_size=8, workers=workers, seed=3)
    pixels = {int(i): p for x, _, rows in epoch(loader, 1) for i, p in zip(rows, x, strict=True)}
    shown = list(loader.epoch(4, view=1))
    loader.close()
    assert [b.indices.tolist() for b in shown] == [r.tolist() for r in loader.indices(4)]
    for batch in shown:
        assert torch.equal(batch.images, torch.stack([pixels[int(i)] for i in batch.indices]))


@pytest.mark.parametrize("transform", [augment(), noisy], ids=["augment", "noisy"])
def test_workers_and_history_change_nothing(transform):
    plain = make_loader(images(), transform, batch_size=8, workers=0, seed=3)
    first, second = epoch(plain, 0), epoch(plain, 1)
    assert not torch.equal(first[0][0], second[0][0])
    for workers in (1, 2):
        loader = make_loader(images(), transform, batch_size=8, workers=workers, seed=3)
        same(epoch(loader, 1), second)
        same(epoch(loader, 0), first)
        same(epoch(loader, 1, 3), second[3:])
        loader.close()
        same(epoch(loader, 0, 1), first[1:])


@pytest.mark.parametrize("start", range(6))
def test_any_batch_can_be_the_first(start):
    whole = epoch(make_loader(images(), noisy, batch_size=7, seed=1), 4)
    same(epoch(make_loader(images(), noisy, batch_size=7, seed=1), 4, start), whole[start:])


def test_an_epoch_left_in_the_middle_does_not_disturb_the_next():
    loader = make_loader(images(), noisy, batch_size=4, workers=2, seed=1)
    taken = loader.epoch(0)
    next(taken)
    taken.close()
    same(epoch(loader, 1), epoch(make_loader(images(), noisy, batch_size=4, seed=1), 1))


@pytest.mark.parametrize("train", [True, False])
def test_an_epoch_shows_every_image_once(train):
    loader = make_loader(images(), batch_size=6, train=train, seed=2)
    seen = torch.cat([indices for _, _, indices in epoch(loader, 5)])
    assert sorted(seen.tolist()) == list(range(COUNT))
    assert (seen.tolist() == list(range(COUNT))) is not train
    assert len(loader) == loader.batches_per_epoch == len(epoch(loader, 5))


@pytest.mark.parametrize("world", [2, 3, 4])
@pytest.mark.parametrize("train", [True, False])
def test_processes_share_each_batch_without_padding(world, train):
    options = {"seed": 4, "train": train}
    loaders = [
        make_loader(images(), noisy, batch_size=3, rank=rank, world=world, **options)
        for rank in range(world)
    ]
    parts = [epoch(loader, 2) for loader in loaders]
    assert [len(part) for part in parts] == [loader.batches_per_epoch for loader in loaders]
    seen = torch.cat([indices for part in parts for _, _, indices in part])
    assert sorted(seen.tolist()) == list(range(COUNT))
    if train:
        assert len({len(part) for part in parts}) == 1
    alone = epoch(make_loader(images(), noisy, batch_size=3 * world, **options), 2)
    for number, (pixels_, labels, _) in enumerate(alone[:-2]):
        for rank in range(world):
            assert torch.equal(parts[rank][number][0], pixels_[rank::world])
            assert torch.equal(parts[rank][number][1], labels[rank::world])


@pytest.mark.parametrize("workers", [0, 2])
def test_the_callers_random_states_are_left_alone(workers):
    loader = make_loader(images(), noisy, batch_size=8, workers=workers, seed=1)
    torch.manual_seed(0)
    np.random.seed(0)
    random.seed(0)
    wanted = torch.rand(3).tolist(), np.random.rand(), random.random()
    torch.manual_seed(0)
    np.random.seed(0)
    random.seed(0)
    epoch(loader, 0)
    assert (torch.rand(3).tolist(), np.random.rand(), random.random()) == wanted


@pytest.mark.parametrize("workers", [0, 2])
def test_an_evaluation_is_the_same_in_every_epoch(workers):
    loader = make_loader(images(), noisy, batch_size=8, train=False, workers=workers)
    same(epoch(loader, 0), epoch(loader, 9))


@pytest.mark.parametrize("workers", [0, 2])
def test_bad_images_end_the_epoch_or_are_left_out_and_named(tmp_path, workers):
    from zoo.core import registry
    from zoo.core.recipe import DataPart
    from zoo.data.sources import open_data

    root = folder(tmp_path / "set", each=6)
    for policy in ("error", "skip"):
        data = DataPart(source=str(root), on_bad_image=policy)
        train = open_data(data, registry=registry.load()).train
        loader = make_loader(train, batch_size=4, workers=workers)
        key = train.keys[2]
        kept = (root / key).read_bytes()
        (root / key).write_bytes(b"\xff\xd8 damaged meanwhile")
        if policy == "error":
            with pytest.raises(DataError, match=key):
                epoch(loader, 0)
        else:
            assert sum(len(labels) for _, labels, _ in epoch(loader, 0)) == len(train) - 1
            assert list(loader.skipped) == [key]
        (root / key).write_bytes(kept)


def test_a_killed_worker_is_an_error_and_no_hang(monkeypatch):
    monkeypatch.setenv("KILL", "1")
    loader = make_loader(images(), noisy, batch_size=4, workers=1, train=False)
    with pytest.raises(DataError, match="loader process was killed") as raised:
        epoch(loader, 0)
    assert "--workers 0" in raised.value.hint
    assert explain(RuntimeError("something else")) is None
    monkeypatch.delenv("KILL")
    assert len(epoch(loader, 0)) == loader.batches_per_epoch


def test_a_transforms_own_mistake_keeps_its_trace():
    def wrong(image):
        raise RuntimeError("a mistake")

    for workers in (0, 1):
        with pytest.raises(RuntimeError, match="a mistake"):
            epoch(make_loader(images(), wrong, batch_size=4, workers=workers), 0)


def test_defaults_suit_the_machine():
    few, many = images(40), images(5000)
    assert default_workers(few, cores=64) == 0
    assert default_workers(many, cores=1, accelerator=True) == 0
    assert default_workers(many, cores=2) == 0
    assert default_workers(many, cores=16) == 4
    assert default_workers(many, cores=8, accelerator=True) == 8
    assert default_workers(many, cores=64, accelerator=True) == 16
    assert default_workers(many, cores=16, accelerator=True, world=8) == 2
    assert make_loader(few, batch_size=4)._workers == 0
