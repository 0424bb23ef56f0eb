"""Images as vectors: what the last layer is given, written and compared."""

import csv
import json
import threading

import pytest
import torch
from safetensors import safe_open

from zoo.core import registry
from zoo.core.metadata import CheckpointInfo
from zoo.core.recipe import DevicePart
from zoo.engine.judging.showing import show
from zoo.engine.start.loaded import Loaded
from zoo.engine.start.loading import load_run
from zoo.errors import DataError, DiskError, UsageError
from zoo.explaining.embeddings import Embeddings, embed, write
from zoo.hub.files import sha256_file

CPU = DevicePart(device="cpu", precision="fp32", threads=1)


@pytest.fixture
def loaded(finished_run):
    return load_run(str(finished_run), registry.load())


def embedded(loaded, paths, **wish):
    return embed(loaded, registry.load(), paths, device=CPU, **wish)


def some(vectors, paths=None):
    paths = paths or tuple(f"{row}.png" for row in range(len(vectors)))
    return Embeddings(vectors=vectors, paths=paths, labels=("a", "") * (len(paths) // 2), model="m")


def test_the_head_makes_the_models_answers_of_them(loaded, photos, finished_run):
    found = embedded(loaded, [photos])
    assert found.vectors.shape == (24, 84)
    assert found.vectors.dtype == torch.float32
    shown = show(loaded, registry.load(), [photos], device=CPU)
    with torch.no_grad():
        batches = [shown.feed.images(batch.images) for batch in shown.loader.epoch(0)]
        answers = torch.cat([loaded.model(images) for images in batches])
        torch.testing.assert_close(loaded.model.fc3(found.vectors), answers)
    assert found.paths == tuple(shown.images.keys)
    assert found.model == "light"
    assert found.digest == sha256_file(finished_run / "model.safetensors")


def test_labels_are_folders_below_the_one_that_was_named(loaded, photos, tmp_path):
    assert embedded(loaded, [photos]).labels == ("dark",) * 12 + ("light",) * 12
    source = (photos / "dark" / "1.png").read_bytes()
    for name in ("a.png", "deep/kind/b.png", "light/c.png"):
        path = tmp_path / "some" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(source)
    some = tmp_path / "some"
    found = embedded(loaded, [some, some / "a.png", some / "light", some / "deep" / "kind"])
    named = dict(zip(found.paths, found.labels, strict=True))
    assert named[str(some / "a.png")] == ""
    assert named[str(some / "light" / "c.png")] == "light"
    assert embedded(loaded, [some / "light"]).labels == ("light",)  # the model knows it
    assert embedded(loaded, [some / "deep" / "kind"]).labels == ("",)
    assert embedded(loaded, [some / "deep"]).labels == ("kind",)


def test_images_that_cannot_be_read(loaded, photos, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no image")
    paths = [tmp_path / "bad.png", photos / "dark"]
    with pytest.raises(DataError, match=r"bad\.png"):
        embedded(loaded, paths)
    notes, steps = [], []
    found = embedded(
        loaded, paths, on_bad_image="skip", note=notes.append,
        progress=lambda done, total: steps.append((done, total)),
    )  # fmt: skip
    assert len(found.paths) == len(found.vectors) == 12
    assert any("left out 1 of 13" in text for text in notes)
    assert steps == [(6, 12), (12, 12)]


def test_the_nearest_are_those_at_the_smallest_angle():
    found = some(torch.tensor([[1.0, 0], [0, 2], [3, 3], [-1, 0]]))
    near = found.like(torch.tensor([5.0, 0.1]), 3)
    assert [one.image for one in near] == ["0.png", "2.png", "1.png"]
    assert near[1].similarity == pytest.approx(5.1 / (50.02**0.5), abs=1e-5)
    assert near[0].label == "a"
    assert len(found.like(torch.tensor([1.0, 0]), 10)) == 4
    assert [n.similarity for n in found.like(torch.zeros(2), 4)] == [0, 0, 0, 0]


def test_a_vector_that_is_no_number_is_like_nothing():
    found = some(torch.tensor([[1.0, 0], [float("nan"), 0], [-1, 0], [float("inf"), 1]]))
    near = found.like(torch.tensor([1.0, 0]), 4)
    assert [one.image for one in near[:2]] == ["0.png", "2.png"]
    assert {one.image for one in near[2:]} == {"1.png", "3.png"}
    assert not any(one.similarity == one.similarity for one in near[2:])


def test_an_image_is_not_its_own_neighbour(tmp_path):
    for name in ("0.png", "1.png"):
        (tmp_path / name).write_text("")
    (tmp_path / "link.png").symlink_to(tmp_path / "0.png")
    paths = tuple(str(tmp_path / name) for name in ("0.png", "1.png"))
    found = some(torch.eye(2), paths)
    (near,) = found.like(torch.eye(2)[0], 5, but=str(tmp_path / "link.png"))
    assert near.image == paths[1]


def test_a_safetensors_file(loaded, photos, tmp_path):
    found = embedded(loaded, [photos])
    write(found, tmp_path / "e.safetensors")
    with safe_open(tmp_path / "e.safetensors", "pt") as file:
        assert torch.equal(file.get_tensor("embeddings"), found.vectors)
        told = file.metadata()
    assert json.loads(told["paths"]) == list(found.paths)
    assert json.loads(told["labels"]) == list(found.labels)
    assert (told["model"], told["digest"]) == ("light", found.digest)


@pytest.mark.parametrize("labelled", [True, False])
def test_a_csv_file(labelled, tmp_path):
    found = some(torch.randn(4, 3), ("a,1.png", 'b"\n.png', "狗.png", "d\udcff.png"))
    if not labelled:
        found = Embeddings(vectors=found.vectors, paths=found.paths, labels=("",) * 4, model="")
    write(found, tmp_path / "e.csv")
    with (tmp_path / "e.csv").open(newline="", errors="surrogateescape") as file:
        head, *rows = csv.reader(file)
    assert head == ["path", *["label"] * labelled, "0", "1", "2"]
    assert tuple(row[0] for row in rows) == found.paths
    values = torch.tensor([[float(value) for value in row[1 + labelled :]] for row in rows])
    assert torch.equal(values, found.vectors)


def test_nothing_is_written_over(tmp_path):
    (tmp_path / "e.csv").write_text("mine")
    with pytest.raises(UsageError, match="not written over"):
        write(some(torch.eye(2)), tmp_path / "e.csv")
    assert (tmp_path / "e.csv").read_text() == "mine"


@pytest.mark.parametrize("name", ["e.csv", "e.safetensors"])
def test_of_two_at_once_one_is_refused(tmp_path, name):
    together = threading.Barrier(2)
    refused = []

    def run(value):
        many = some(torch.full((3000, 300), value))
        together.wait()
        try:
            write(many, tmp_path / name)
        except UsageError as error:
            refused.append(error.message)

    threads = [threading.Thread(target=run, args=(value,)) for value in (1.5, 2.5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert refused == [f"{tmp_path / name} is there; it is not written over"]
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_what_the_system_refuses_is_said(tmp_path, monkeypatch):
    with pytest.raises(UsageError, match="is longer than the name of a file may be"):
        write(some(torch.eye(2)), tmp_path / f"{'e' * 260}.csv")

    def full(*_args, **_options):
        raise DiskError("cannot write it: the disk is full")

    monkeypatch.setattr("zoo.explaining.embeddings.atomic.write_bytes", full)
    with pytest.raises(DiskError, match="cannot write") as caught:
        write(some(torch.eye(2)), tmp_path / "full.csv")
    assert "--out FILE" in caught.value.hint


def test_a_model_without_a_vector_an_image(tmp_path, photos):
    import zoo

    spec = registry.load().model("tutorials/upsampler")
    info = CheckpointInfo(model=spec.qualified, plugin=spec.plugin, input=spec.input)
    loaded = Loaded(zoo.create_model("tutorials/upsampler"), info, tmp_path / "none")
    with pytest.raises(UsageError, match=r"gives \(N, 16, 64, 64\), not one vector an image"):
        embedded(loaded, [photos / "dark"])
