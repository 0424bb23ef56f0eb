import json

import pytest
import torch

from zoo.core import registry
from zoo.engine.saving import tensorfile
from zoo.engine.saving.checkpoint import load_weights
from zoo.engine.start.importing import import_weights, read_labels
from zoo.engine.start.loading import load_run
from zoo.errors import CheckpointError, UnknownNameError, UsageError

NAME = "squeezenet1_1"


@pytest.fixture(scope="module")
def known():
    return registry.load()


def model(known, classes=3, seed=0):
    torch.manual_seed(seed)
    return known.build("model", NAME, num_classes=classes).eval()


def test_the_import_is_a_checkpoint_like_any_other(known, tmp_path):
    theirs = model(known)
    torch.save({"model": theirs.state_dict(), "lr": 0.1}, tmp_path / "m.pth")
    labels = ("cat", "dog", "emu")
    done = import_weights(tmp_path / "m.pth", model=NAME, registry=known, labels=labels)
    assert done.path == tmp_path / "m.safetensors"
    assert (done.num_classes, done.classes, done.tensors) == (3, labels, len(theirs.state_dict()))
    tensorfile.verify(done.path)
    mine = load_run(str(done.path), known)
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(mine.model(image), theirs(image))
    assert mine.classes == labels
    assert mine.info.base == {"source": "file:m.pth", "sha256": done.source_sha256}
    assert mine.input == known.model(NAME).input


def test_safetensors_of_anybody_too(known, tmp_path):
    from safetensors.torch import save_file

    save_file(model(known).state_dict(), tmp_path / "m.safetensors")
    with pytest.raises(UsageError, match="would overwrite itself"):
        import_weights(tmp_path / "m.safetensors", model=NAME, registry=known)
    out = tmp_path / "x.safetensors"
    done = import_weights(tmp_path / "m.safetensors", model=NAME, registry=known, out=out)
    assert load_weights(done.path)[1].model == NAME


def test_what_lies_there_already_stays(known, tmp_path):
    torch.save(model(known).state_dict(), tmp_path / "m.pth")
    target = tmp_path / "m.safetensors"
    target.write_bytes(b"precious")
    with pytest.raises(UsageError, match="is there already and stays as it is") as raised:
        import_weights(tmp_path / "m.pth", model=NAME, registry=known)
    assert raised.value.hint == "--to FILE"
    assert target.read_bytes() == b"precious"
    target.unlink()
    import_weights(tmp_path / "m.pth", model=NAME, registry=known)
    again = import_weights(
        tmp_path / "m.pth", model=NAME, registry=known, labels=("cat", "dog", "emu")
    )
    assert load_weights(again.path)[1].classes == ("cat", "dog", "emu")
    torch.save(model(known, seed=1).state_dict(), tmp_path / "m.pth")
    with pytest.raises(UsageError, match="is there already"):
        import_weights(tmp_path / "m.pth", model=NAME, registry=known)


def test_numbers_must_agree(known, tmp_path):
    torch.save(model(known).state_dict(), tmp_path / "m.pth")
    for how in ({"classes": 4}, {"labels": ("a", "b")}):
        with pytest.raises(UsageError, match="the weights' head has 3 outputs"):
            import_weights(tmp_path / "m.pth", model=NAME, registry=known, **how)
    assert (
        import_weights(tmp_path / "m.pth", model=NAME, registry=known, classes=3).num_classes == 3
    )


def test_what_does_not_fit_is_named(known, tmp_path):
    state = model(known).state_dict()
    state["extra"] = state.pop("features.0.bias")
    torch.save(state, tmp_path / "m.pth")
    with pytest.raises(
        CheckpointError, match=r"1 missing \(features.0.bias\), 1 unexpected \(extra\)"
    ):
        import_weights(tmp_path / "m.pth", model=NAME, registry=known)
    with pytest.raises(UnknownNameError):
        import_weights(tmp_path / "m.pth", model="nothing", registry=known)
    with pytest.raises(CheckpointError, match="no file"):
        import_weights(tmp_path / "none.pth", model=NAME, registry=known)
    assert not list(tmp_path.glob("*.safetensors"))


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("l.txt", "\ufeffcat\r\ndog\n\n", ("cat", "dog")),
        ("l.json", json.dumps(["cat", "dog"]), ("cat", "dog")),
        ("l.json", json.dumps({"1": "dog", "0": "cat"}), ("cat", "dog")),
    ],
)
def test_labels(tmp_path, name, text, expected):
    (tmp_path / name).write_text(text)
    assert read_labels(tmp_path / name) == expected


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("l.json", "{", "cannot read labels"),
        ("l.json", '{"0": "a", "2": "b"}', "is not a list of labels"),
        ("l.txt", "a\nb\na\n", "has a label twice: a"),
    ],
)
def test_labels_that_are_wrong(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(UsageError, match=message):
        read_labels(tmp_path / name)
    with pytest.raises(UsageError):
        read_labels(tmp_path / "none")
