from __future__ import annotations

import os

import pytest
import torch

from zoo.engine.prefix import rowfile
from zoo.engine.prefix.rowfile import RowFile, raw_bytes, runs
from zoo.errors import DiskError

VALUES = torch.arange(60.0).view(10, 2, 3)


@pytest.fixture(params=["mapped", "read", "read in pieces", "read without preadv"])
def rows(request, tmp_path, monkeypatch):
    if request.param != "mapped":
        monkeypatch.setattr(rowfile, "MAPPED", 0)
    if request.param == "read in pieces":
        monkeypatch.setattr(rowfile, "read_into", lambda f, part, at: os.preadv(f, [part[:5]], at))
    if request.param == "read without preadv":
        monkeypatch.delattr(os, "preadv")
    path = tmp_path / "rows"
    path.write_bytes(bytes(240))
    file = RowFile(path, 10, (2, 3), torch.float32)
    yield file
    file.close()


def test_rows_come_back_in_any_order_as_copies(rows):
    rows.write(4, VALUES[4:])
    rows.write(0, VALUES[:4])
    for wanted in ([3, 4, 5, 0, 9, 9, 1], [7], [], list(range(10))):
        found = rows.read(torch.tensor(wanted, dtype=torch.int64))
        assert torch.equal(found, VALUES[wanted])
        found.zero_()
    assert torch.equal(rows.read(torch.arange(10)), VALUES)


def test_a_file_that_ends_too_early_is_a_disk_error(tmp_path, monkeypatch):
    monkeypatch.setattr(rowfile, "MAPPED", 0)
    path = tmp_path / "rows"
    path.write_bytes(bytes(100))
    file = RowFile(path, 10, (2, 3), torch.float32)
    with pytest.raises(DiskError, match="ends too early") as caught:
        file.read(torch.tensor([9]))
    assert "computed again" in caught.value.hint
    file.close()
    with pytest.raises(DiskError, match="cannot read"):
        file.read(torch.tensor([0]))


def test_a_large_file_is_not_mapped(tmp_path):
    path = tmp_path / "rows"
    size = rowfile.MAPPED + 4
    with path.open("wb") as file:
        file.truncate(size)
    opened = RowFile(path, size // 4, (1,), torch.float32)
    assert opened._map is None
    assert opened.read(torch.tensor([size // 4 - 1])).tolist() == [[0.0]]
    opened.close()


def test_neighbours_are_read_together():
    assert list(runs([3, 4, 5, 0, 9, 9])) == [(0, 3, 3), (3, 0, 1), (4, 9, 1), (5, 9, 1)]
    assert list(runs([])) == []


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_bytes_are_those_of_the_tensor(dtype):
    assert raw_bytes(VALUES.to(dtype)).nbytes == 60 * dtype.itemsize
