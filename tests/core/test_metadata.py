import dataclasses
import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from zoo.core import metadata
from zoo.core.metadata import CheckpointInfo, foreign_kind, parse_header, read_header
from zoo.core.specs import InputSpec
from zoo.errors import CheckpointError

INFO = CheckpointInfo(
    model="timm/vit",
    plugin="timm==1.0",
    options={"depth": 3, "act": None},
    num_classes=2,
    classes=("cat", "dög"),
    input=InputSpec(size=(1, 28, 28), mean=(0.1,), std=(0.2,)),
    recipe={"optim": {"lr": 0.1}},
    metrics={"top1": 0.5, "n": 10.0},
    step=3,
)


def packed(table, tail=b""):
    raw = json.dumps(table).encode()
    return len(raw).to_bytes(8, "little") + raw + tail


def write(path, content):
    path.write_bytes(content)
    return path


def test_a_record_survives_the_way_through_text():
    assert metadata.loads(metadata.dumps(INFO)) == INFO
    assert metadata.loads(metadata.dumps(CheckpointInfo())) == CheckpointInfo()


def test_the_text_is_one_compact_line_of_plain_json():
    text = metadata.dumps(INFO)
    assert "\n" not in text
    assert json.loads(text)["classes"] == ["cat", "dög"]


def test_a_number_that_json_has_not_is_refused():
    with pytest.raises(ValueError, match="not JSON compliant"):
        metadata.dumps(dataclasses.replace(INFO, metrics={"loss": float("nan")}))


def test_keys_from_a_later_zoo_are_passed_over():
    table = {**json.loads(metadata.dumps(INFO)), "new_thing": 1}
    assert metadata.loads(json.dumps(table)) == INFO


def test_a_later_format_says_what_to_do():
    with pytest.raises(CheckpointError, match="newer than this zoo reads") as caught:
        metadata.loads('{"format_version": 99}')
    assert "pip install -U" in caught.value.hint


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "3", "null", '{"step": "x"}', '{"classes": [1]}', '{"input": 3}', "[" * 9999],
)
def test_a_damaged_record(text):
    with pytest.raises(CheckpointError):
        metadata.loads(text)


@pytest.mark.parametrize("length", [640, 896, 1152, 640 + 65536])
def test_a_header_whose_length_starts_like_a_pickle_is_none(tmp_path, length):
    """Its first two bytes are those of a pickle's; one checkpoint in 20,000 has such a header."""
    table = {"__metadata__": {"zoo": metadata.dumps(metadata.CheckpointInfo(model="m"))}}
    raw = json.dumps(table).encode().ljust(length)
    assert len(raw) == length
    path = write(tmp_path / "m.safetensors", length.to_bytes(8, "little") + raw)
    assert read_header(path).info.model == "m"


def test_a_header_is_read_without_tensors(tmp_path):
    table = {
        "__metadata__": {"format": "pt", "zoo": metadata.dumps(INFO)},
        "fc.weight": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
    }
    found = read_header(write(tmp_path / "m.safetensors", packed(table, b"\0" * 24)))
    assert found.tensors == {"fc.weight": ("F32", (2, 3))}
    assert found.metadata["format"] == "pt"
    assert found.info == INFO


def test_what_safetensors_itself_wrote_is_read(tmp_path):
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file

    path = tmp_path / "m.safetensors"
    save_file({"a": torch.zeros(2, 3, dtype=torch.bfloat16)}, path, {"x": "y"})
    found = read_header(path)
    assert found.tensors == {"a": ("BF16", (2, 3))}
    assert found.metadata == {"x": "y"}
    assert found.info is None


@pytest.mark.parametrize(
    ("content", "said", "hint"),
    [
        (b"", "is empty", ""),
        (b"PK\x03\x04rest", "is a pickle", "zoo import"),
        (b"\x80\x02cfoo\nbar", "is a pickle", "zoo import"),
        (b"  <!DOCTYPE html><html>", "is an HTML page", "download it again"),
        (b"<html><body>404", "is an HTML page", "download it again"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid",
            "is a git-lfs pointer",
            "git lfs pull",
        ),
        (b"abc", "truncated", ""),
        (b"\x10" + b"\0" * 7 + b"{}", "truncated", ""),
        ((10**12).to_bytes(8, "little") + b"{}", "truncated", ""),
        (packed([]), "damaged safetensors header", ""),
        (packed({"a": 3}), "damaged safetensors header", ""),
        (packed({"a": {"dtype": "F32"}}), "damaged safetensors header", ""),
        (packed({"a": {"dtype": "F32", "shape": ["x"]}}), "damaged safetensors header", ""),
        (packed({"a": {"dtype": "F32", "shape": [2.5]}}), "damaged safetensors header", ""),
        (packed({"a": {"dtype": "F32", "shape": [-1]}}), "damaged safetensors header", ""),
        (packed({"__metadata__": {"a": 1}}), "damaged safetensors header", ""),
        (packed({"__metadata__": [1]}), "damaged safetensors header", ""),
        ((2).to_bytes(8, "little") + b"\xff\xfe", "damaged safetensors header", ""),
    ],
)
def test_what_is_not_safetensors_is_told_by_its_name(tmp_path, content, said, hint):
    path = write(tmp_path / "m.safetensors", content)
    with pytest.raises(CheckpointError, match=said) as caught:
        read_header(path)
    assert str(path) in caught.value.message
    assert hint in caught.value.hint


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(CheckpointError, match="No such file"):
        read_header(tmp_path / "gone")
    with pytest.raises(CheckpointError, match="cannot read"):
        read_header(tmp_path)


def test_a_damaged_record_in_a_good_header():
    header = parse_header(b'{"__metadata__": {"zoo": "{"}}', name="x")
    with pytest.raises(CheckpointError, match="metadata is damaged"):
        _ = header.info


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)


@given(st.binary())
@example(b"{}")
@example(b'{"a":{"dtype":"F32","shape":[1e999]}}')
def test_any_bytes_are_a_header_or_a_checkpoint_error(raw):
    try:
        parse_header(raw, name="x")
    except CheckpointError:
        return


@given(st.dictionaries(st.sampled_from(["__metadata__", "a", "b"]), ANY))
def test_any_json_is_a_header_or_a_checkpoint_error(table):
    try:
        _ = parse_header(json.dumps(table).encode(), name="x").info
    except CheckpointError:
        return


@given(st.dictionaries(st.sampled_from([f.name for f in dataclasses.fields(CheckpointInfo)]), ANY))
def test_any_record_is_read_or_a_checkpoint_error(table):
    try:
        metadata.loads(json.dumps(table))
    except CheckpointError:
        return


@given(st.binary(max_size=64))
def test_any_file_is_a_header_or_a_checkpoint_error(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "fuzz.safetensors"
    path.write_bytes(content)
    try:
        read_header(path)
    except CheckpointError:
        return


@given(st.integers(0, 200), st.integers(0, 255))
def test_one_flipped_byte_never_escapes(tmp_path_factory, place, value):
    content = bytearray(packed({"__metadata__": {"zoo": metadata.dumps(INFO)}}, b"\0" * 8))
    content[place % len(content)] = value
    path = tmp_path_factory.getbasetemp() / "flip.safetensors"
    path.write_bytes(content)
    try:
        _ = read_header(path).info
    except CheckpointError:
        return


@given(st.binary(max_size=32))
def test_foreign_kind_takes_any_beginning(start):
    assert isinstance(foreign_kind(start), str)
