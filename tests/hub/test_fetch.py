"""Weights of the registry: by URL, from the Hub, from a file, from a package."""

import io

import pytest
import torch
from loopback_weights import as_bytes, built, ours, repository

from zoo.core.specs import WeightsSpec
from zoo.errors import CheckpointError, HubError, UsageError
from zoo.hub.fetch import fetch_weights, package_file


def spec(source, **how):
    return WeightsSpec(name="w", source=source, **how)


def pickled(state):
    file = io.BytesIO()
    torch.save(state, file)
    return file.getvalue()


def test_the_hub_by_commit_file_and_digest(here):
    commit = repository(here, "ann/net", {"model.safetensors": ours()})
    here.store.commit("ann/net", {"model.safetensors": ours(num_classes=9)})
    got = fetch_weights(spec("hub:ann/net", revision=commit), model="squeezenet1_1")
    assert got.revision == commit
    assert got.endpoint == here.endpoint
    assert got.file == "model.safetensors"
    assert got.header.info.num_classes == 7
    with pytest.raises(HubError, match="not the file that was named"):
        fetch_weights(spec("hub:ann/net", sha256=got.sha256), model="squeezenet1_1")


def test_a_pin_wins_over_the_tag_that_was_declared(here):
    commit = repository(here, "ann/net", {"model.safetensors": ours()})
    here.store.commit("ann/net", {"model.safetensors": ours(num_classes=9)})
    here.store.tag("ann/net", "v1")
    got = fetch_weights(spec("hub:ann/net@v1", revision=commit), model="squeezenet1_1")
    assert got.revision == commit


def test_what_does_not_fit_is_refused_before_the_download(here):
    repository(here, "ann/net", {"model.safetensors": ours()})
    with pytest.raises(
        CheckpointError, match=r"hub:ann/net \(model.safetensors\) does not fit resnet18"
    ):
        fetch_weights(spec("hub:ann/net"), model="resnet18")
    assert [s.range for s in here.asked("/lfs/")] == ["bytes=0-99999"]
    assert fetch_weights(spec("hub:ann/net"), model="nobody/knows").path.is_file()


def test_a_hub_that_is_gone_names_the_ways_on(here):
    here.stop()
    with pytest.raises(HubError, match="cannot reach") as error:
        fetch_weights(spec("hub:ann/net"), model="resnet18")
    assert "zoo mirror resnet18 --to DIR" in error.value.hint


def test_a_file_is_used_where_it_lies(tmp_path):
    path = tmp_path / "w.safetensors"
    path.write_bytes(ours())
    got = fetch_weights(spec(f"file:{path}"), model="m")
    assert got.path == path
    with pytest.raises(HubError, match="not the file that was named"):
        fetch_weights(spec(f"file:{path}", sha256="0" * 64), model="m")
    with pytest.raises(CheckpointError, match="no file"):
        fetch_weights(spec(f"file:{path}x"), model="m")


def test_a_pickle_on_disk_is_refused_with_the_command(tmp_path, here):
    path = tmp_path / "w.pth"
    path.write_bytes(pickled(built().state_dict()))
    with pytest.raises(CheckpointError, match="is a pickle") as error:
        fetch_weights(spec(f"file:{path}"), model="m")
    assert f"zoo import {path} --as MODEL" in error.value.hint
    got = fetch_weights(spec(f"file:{path}"), model="m", allow_pickle=True)
    assert got.path.suffix == ".safetensors"
    assert fetch_weights(spec(f"file:{path}"), model="m", allow_pickle=True) == got


def test_a_package_is_not_imported(tmp_path, monkeypatch):
    package = tmp_path / "withweights"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    (package / "w.safetensors").write_bytes(as_bytes({"a": torch.ones(2)}))
    monkeypatch.syspath_prepend(tmp_path)
    got = fetch_weights(spec("package:withweights/w.safetensors"), model="m")
    assert got.path == package / "w.safetensors"
    with pytest.raises(HubError, match="has no file"):
        package_file("withweights/../secret")
    with pytest.raises(HubError, match="is not installed"):
        package_file("no_such_package_x/w.safetensors")


def test_an_unknown_source():
    with pytest.raises(UsageError, match="is not a source"):
        fetch_weights(spec("ftp:x"), model="m")
