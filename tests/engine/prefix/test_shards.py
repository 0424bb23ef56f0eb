from __future__ import annotations

import torch

from zoo.engine.prefix.shards import Shard, Shards
from zoo.engine.prefix.store import FileStore, MemoryStore


def filled(store, images, lacking=()):
    """Rows that hold ten times the number of their image."""
    rows = torch.tensor([r for r in range(len(images)) if r not in lacking])
    values = 10.0 * torch.tensor(images)[rows].float()[:, None].expand(-1, 2)
    store.write(0, rows, values)
    return Shard(torch.tensor(images), frozenset(store.missing), store.path)


def test_rows_come_from_whichever_file_has_them(tmp_path):
    mine = FileStore(tmp_path / "0", {}, [3], (2,), torch.float32)
    theirs = FileStore(tmp_path / "1", {}, [2], (2,), torch.float32)
    shards = [filled(mine, [4, 0, 2]), filled(theirs, [1, 3])]
    wanted = torch.tensor([3, 4, 1, 0, 2])
    for rank, store in ((0, mine), (1, theirs)):
        rows, images = Shards(store, shards, rank, 5).read(wanted)
        assert torch.equal(images, wanted)
        assert rows[:, 0].tolist() == [30, 40, 10, 0, 20]
    mine.close()
    theirs.close()


def test_images_that_could_not_be_read_are_left_out(tmp_path):
    mine = FileStore(tmp_path / "0", {}, [3], (2,), torch.float32)
    theirs = FileStore(tmp_path / "1", {}, [2], (2,), torch.float32)
    shards = [filled(mine, [4, 0, 2], lacking=[1]), filled(theirs, [1, 3], lacking=[0])]
    rows, images = Shards(mine, shards, 0, 5).read(torch.tensor([0, 1, 2, 3]))
    assert images.tolist() == [2, 3]
    assert rows[:, 0].tolist() == [20, 30]
    assert Shards(mine, shards, 0, 5).read(torch.tensor([0, 1]))[0].shape == (0, 2)
    mine.close()
    theirs.close()


def test_one_process_reads_its_own_memory():
    store = MemoryStore([3], (2,), torch.float32)
    shard = filled(store, [2, 0, 1])
    assert shard.path == ""
    rows, images = Shards(store, [shard], 0, 3).read(torch.tensor([1, 2, 0]))
    assert images.tolist() == [1, 2, 0]
    assert rows[:, 1].tolist() == [10, 20, 0]
