import hashlib
import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file

from zoo.core.metadata import read_header
from zoo.engine.saving import tensorfile
from zoo.errors import CheckpointError, DiskError


def sample():
    return {
        "weight": torch.arange(24, dtype=torch.float32).reshape(2, 3, 4),
        "half": torch.randn(3, 5).bfloat16().t(),
        "count": torch.tensor(7),
        "empty": torch.zeros(0, 3),
        "flags": torch.tensor([True, False, True]),
        "nan": torch.tensor([float("nan"), -0.0, float("inf")], dtype=torch.float64),
        "nhwc": torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last),
        "bytes": torch.arange(5, dtype=torch.uint8),
    }


def same(one, other):
    return (
        one.dtype == other.dtype
        and one.shape == other.shape
        and one.contiguous()
        .reshape(-1)
        .view(torch.uint8)
        .equal(other.contiguous().reshape(-1).view(torch.uint8))
    )


def test_any_safetensors_reader_opens_it(tmp_path):
    path = tmp_path / "a.safetensors"
    tensors = sample()
    digest = tensorfile.write(path, tensors, {"zoo": '{"a":"ü\\n"}'})
    loaded = load_file(path)
    assert loaded.keys() == tensors.keys()
    assert all(same(loaded[name], value) for name, value in tensors.items())
    with safe_open(path, "pt") as file:
        signs = {"format": "pt", "verify": "sha256", "sha256": digest}
        assert file.metadata() == {**signs, "zoo": '{"a":"ü\\n"}'}


@pytest.mark.parametrize("dtype", list(tensorfile.DTYPES))
def test_every_dtype_comes_back(tmp_path, dtype):
    path = tmp_path / "a.safetensors"
    value = torch.tensor([0, 1, 2, 1]).to(dtype)
    tensorfile.write(path, {"x": value}, {})
    back, _ = tensorfile.read(path)
    assert same(back["x"], value)


def test_the_digest_is_that_of_the_file_with_the_field_zeroed(tmp_path):
    path = tmp_path / "a.safetensors"
    digest = tensorfile.write(path, sample(), {"other": '"sha256":"' + "0" * 64 + '"'})
    raw = path.read_bytes()
    assert raw.count(digest.encode()) == 1
    blank = raw.replace(digest.encode(), b"0" * 64)
    assert hashlib.sha256(blank).hexdigest() == digest
    assert tensorfile.verify(path).metadata["sha256"] == digest


def test_equal_content_gives_equal_bytes(tmp_path):
    tensors = sample()
    reverse = dict(reversed(tensors.items()))
    tensorfile.write(tmp_path / "a", tensors, {"b": "1", "a": "2"})
    tensorfile.write(tmp_path / "b", reverse, {"b": "1", "a": "2"})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_flipped_bit_anywhere_is_found(tmp_path):
    path = tmp_path / "a.safetensors"
    tensorfile.write(path, sample(), {"state": json.dumps({"step": 12})})
    raw = bytearray(path.read_bytes())
    for position in range(len(raw)):
        damaged = bytearray(raw)
        damaged[position] ^= 1 << (position % 8)
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError):
            tensorfile.verify(path)
        with pytest.raises(CheckpointError):
            tensorfile.read(path)


def test_a_torn_file_is_found(tmp_path):
    path = tmp_path / "a.safetensors"
    tensorfile.write(path, sample(), {})
    raw = path.read_bytes()
    for length in range(len(raw)):
        path.write_bytes(raw[:length])
        with pytest.raises(CheckpointError):
            tensorfile.read(path)
    path.write_bytes(raw[: len(raw) // 2] + bytes(len(raw) - len(raw) // 2))
    with pytest.raises(CheckpointError):
        tensorfile.read(path)


def test_a_foreign_file_is_named(tmp_path):
    path = tmp_path / "model.safetensors"
    torch.save({"a": torch.zeros(2)}, path)
    with pytest.raises(CheckpointError, match="pickle"):
        tensorfile.read(path)
    path.write_text("<!DOCTYPE html><html></html>" * 10)
    with pytest.raises(CheckpointError, match="HTML"):
        tensorfile.read(path)
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:1\n")
    with pytest.raises(CheckpointError, match="git-lfs"):
        tensorfile.read(path)
    with pytest.raises(CheckpointError, match="cannot read"):
        tensorfile.read(tmp_path / "missing")


def test_a_file_without_digest_is_read_but_cannot_be_verified(tmp_path):
    from safetensors.torch import save_file

    path = tmp_path / "a.safetensors"
    save_file({"x": torch.ones(2)}, path)
    assert tensorfile.read(path)[0]["x"].sum() == 2
    with pytest.raises(CheckpointError, match="no digest"):
        tensorfile.verify(path)


def test_what_the_format_cannot_hold_is_refused_before_writing(tmp_path):
    path = tmp_path / "a"
    with pytest.raises(TypeError, match="sparse_thing"):
        tensorfile.write(path, {"sparse_thing": torch.eye(2).to_sparse()}, {})
    with pytest.raises(TypeError, match="c:"):
        tensorfile.write(path, {"c": torch.zeros(1, dtype=torch.complex128)}, {})
    with pytest.raises(TypeError, match="__metadata__"):
        tensorfile.write(path, {"__metadata__": torch.zeros(1)}, {})
    assert not list(tmp_path.iterdir())


def test_a_header_beyond_the_formats_limit_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="100 MB"):
        tensorfile.write(tmp_path / "a", {}, {"x": "y" * 100_000_001})


def test_no_permission_is_a_disk_error(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DiskError):
        tensorfile.write(tmp_path / "file" / "a.safetensors", sample(), {})


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_a_broken_header_is_never_anything_but_a_checkpoint_error(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "fuzz.safetensors"
    tensorfile.write(path, {"x": torch.ones(3)}, {"zoo": "{}", "state": "{}"})
    raw = bytearray(path.read_bytes())
    end = 8 + int.from_bytes(raw[:8], "little")
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, end - 1))
        piece = data.draw(st.binary(max_size=9))
        raw[start : start + data.draw(st.integers(0, 9))] = piece
    path.write_bytes(raw)
    try:
        tensorfile.verify(path)
        assert raw == path.read_bytes()
    except CheckpointError:
        pass
    try:
        tensors, header = tensorfile.read(path, check=False)
        assert isinstance(tensors, dict)
        assert header.metadata is not None
    except CheckpointError:
        pass


def test_read_header_agrees(tmp_path):
    path = tmp_path / "a.safetensors"
    tensorfile.write(path, {"x": torch.ones(2, 3)}, {})
    assert read_header(path).tensors == {"x": ("F32", (2, 3))}
