"""Weights of the registry: by URL, from the Hub, from a file, from a package."""

import hashlib
import io
import time

import pytest
import torch
from loopback_weights import as_bytes, built, ours, repository

from zoo.core.specs import WeightsSpec
from zoo.errors import CheckpointError, HubError, UsageError
from zoo.hub.fetch import converted_path, fetch_weights, package_file


def spec(source, **how):
    return WeightsSpec(name="w", source=source, **how)


def pickled(state):
    file = io.BytesIO()
    torch.save(state, file)
    return file.getvalue()


@pytest.fixture
def published(here):
    """A .pth as torchvision publishes it: behind a URL, with a digest prefix in its name."""
    model = built()
    data = pickled(model.state_dict())
    digest = here.store.file("x.pth", data).sha256
    url = f"{here.api.cdn}/lfs/{digest}?signature=a"
    return here, model, spec(f"url:{url}", sha256=digest[:8], format="pickle")


def test_a_url_is_verified_and_converted_once(published):
    hub, model, weights = published
    got = fetch_weights(weights, model="squeezenet1_1")
    assert got.path.suffix == ".safetensors"
    assert got.sha256 == hashlib.sha256(got.path.read_bytes()).hexdigest()
    assert got.origin_sha256.startswith(weights.sha256)
    assert set(got.header.tensors) == set(model.state_dict())
    assert got.record()["source"] == weights.source
    assert "path" not in got.record()
    again = fetch_weights(weights, model="squeezenet1_1")
    assert again.sha256 == got.sha256
    assert len(hub.asked("/lfs/")) == 1
    assert [p.suffix for p in got.path.parent.iterdir() if p.name != got.path.name].count(
        ".pth"
    ) == 0


def test_a_converted_file_that_rotted_is_made_again(published):
    hub, _, weights = published
    got = fetch_weights(weights, model="m")
    data = bytearray(got.path.read_bytes())
    data[-5] ^= 1
    got.path.write_bytes(data)
    assert fetch_weights(weights, model="m").sha256 == got.sha256
    assert len(hub.asked("/lfs/")) == 2


def test_a_wrong_digest_is_fetched_once_more_then_refused(published):
    hub, _, weights = published
    wrong = spec(weights.source, sha256="00000000")
    with pytest.raises(HubError, match="came damaged twice"):
        fetch_weights(wrong, model="m")
    assert len(hub.asked("/lfs/")) == 2
    assert not list(converted_path(weights.source[4:]).parent.glob("*.safetensors"))


def test_a_url_without_a_digest_says_so(published):
    got = fetch_weights(spec(published[2].source), model="m")
    assert "states no digest" in got.notes[0]


def test_plain_http_is_refused():
    with pytest.raises(UsageError, match="https only"):
        fetch_weights(spec("url:http://example.org/x.pth"), model="m")


def test_offline_and_not_cached_spells_the_ways_on(published, monkeypatch):
    hub, _, weights = published
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    with pytest.raises(
        HubError, match=r"offline mode: .* for resnet18 is not in the cache"
    ) as error:
        fetch_weights(weights, model="resnet18")
    for way in ("--weights none", "file:PATH", "run:NAME", "HF_ENDPOINT", "zoo mirror resnet18"):
        assert way in error.value.hint
    assert not hub.seen


def test_no_network_is_an_error_within_seconds(here, tmp_path):
    started = time.monotonic()
    with pytest.raises(HubError, match=r"resnet18: cannot reach no-such-host.invalid") as error:
        fetch_weights(
            spec("url:https://no-such-host.invalid/r.pth", sha256="f37072fd"), model="resnet18"
        )
    assert time.monotonic() - started < 5
    assert "--allow-random-frozen" in error.value.hint
    assert error.value.exit_code == 6


def test_an_evil_pickle_never_runs(here, tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    digest = here.store.file("x.pth", pickled({"a": Evil()})).sha256
    url = f"url:{here.api.cdn}/lfs/{digest}?signature=a"
    with pytest.raises(CheckpointError, match="Python objects besides tensors"):
        fetch_weights(spec(url, sha256=digest), model="m")
    assert not (tmp_path / "ran").exists()


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
