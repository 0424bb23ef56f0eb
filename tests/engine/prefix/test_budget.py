from __future__ import annotations

import os
import shutil

import torch

from zoo.engine.prefix import budget
from zoo.engine.prefix.budget import (
    disk_budget,
    folder_size,
    free_memory,
    memory_budget,
    prune,
)
from zoo.engine.prefix.store import ABOUT, LOCK, FileStore


def entry(root, name, size, age):
    folder = root / name
    folder.mkdir(parents=True)
    (folder / "features.bin").write_bytes(b"x" * size)
    (folder / ABOUT).write_text("{}")
    os.utime(folder / ABOUT, (age, age))
    return folder


def test_the_oldest_entries_go_first(tmp_path):
    for name, age in (("new", 300), ("old", 100), ("mid", 200)):
        entry(tmp_path, name, 40_960, age)
    total = folder_size(tmp_path)
    assert total >= 3 * 40_960
    assert prune(tmp_path, limit=total) == 0
    assert prune(tmp_path, limit=total - 1) > 0
    assert {p.name for p in tmp_path.iterdir()} == {"new", "mid"}
    prune(tmp_path, limit=0, keep=frozenset(("mid",)))
    assert {p.name for p in tmp_path.iterdir()} == {"mid"}


def test_an_entry_in_use_stays(tmp_path):
    from filelock import FileLock

    folder = entry(tmp_path, "open", 4096, 1)
    with FileLock(folder / LOCK):
        prune(tmp_path, limit=0)
        assert (folder / "features.bin").is_file()
    prune(tmp_path, limit=0)
    assert not folder.exists()


def test_a_run_that_takes_an_entry_while_it_is_deleted_keeps_what_it_writes(tmp_path, monkeypatch):
    entry(tmp_path, "old", 4096, 1)
    taken, delete = [], shutil.rmtree

    def take_first(path, **options):
        store = FileStore(tmp_path / "old", {}, [2], (3,), torch.float32)
        store.write(0, torch.arange(2), torch.ones(2, 3))
        store.close()
        taken.append(store)
        delete(path, **options)

    monkeypatch.setattr(shutil, "rmtree", take_first)
    assert prune(tmp_path, limit=0) > 0
    assert len(taken) == 1
    again = FileStore(tmp_path / "old", {}, [2], (3,), torch.float32)
    assert again.done == [True]
    again.close()
    assert [path.name for path in tmp_path.iterdir()] == ["old"]


def test_what_is_free_is_what_the_container_leaves(tmp_path, monkeypatch):
    monkeypatch.setattr(budget, "spare_memory", lambda: 3_000)
    assert free_memory() == 3_000
    monkeypatch.setattr(budget, "spare_memory", lambda: 1 << 62)
    assert 3_000 < free_memory() < 1 << 62
    monkeypatch.setattr(budget, "spare_memory", lambda: None)
    assert 3_000 < free_memory() < 1 << 62


def test_where_free_memory_is_not_told_a_part_of_all_is_taken(tmp_path):
    told = tmp_path / "meminfo"
    told.write_text("MemTotal: 9000 kB\nMemAvailable: 5000 kB\n")
    assert budget._available(told) == 5_000 * 1024
    pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    assert budget._available(tmp_path / "none") == max(2 << 30, pages * size // 4)


def test_budgets_are_parts_of_what_is_free(tmp_path):
    assert 0 < memory_budget() <= free_memory()
    assert disk_budget(tmp_path / "not" / "there" / "yet") > 0
