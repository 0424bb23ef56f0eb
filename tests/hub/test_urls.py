"""Weights by URL: verified against the publisher's digest, converted once."""

import hashlib
import io
import shutil
import threading
import time

import pytest
import torch
from loopback_weights import as_bytes, built

from zoo.core.specs import WeightsSpec
from zoo.errors import CheckpointError, HubError, UsageError
from zoo.hub.urls import converted_path, fetch_url


def fetch_weights(weights, **how):
    return fetch_url(weights, **how)


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
    assert got.record()["source"] == weights.source.partition("?")[0]
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


def test_what_torchvision_downloaded_is_not_downloaded_again(published, tmp_path, monkeypatch):
    hub, model, weights = published
    name = weights.source.rsplit("/", 1)[-1].partition("?")[0]
    cached = tmp_path / "torch" / "hub" / "checkpoints" / name
    cached.parent.mkdir(parents=True)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    cached.write_bytes(b"another file of that name")
    with pytest.raises(HubError, match="is not in the cache"):
        fetch_weights(weights, model="m")
    cached.write_bytes(pickled(model.state_dict()))
    again = hub.store.file("x.pth", cached.read_bytes()).sha256
    weights = spec(weights.source, sha256=again)
    got = fetch_weights(weights, model="m")
    assert got.origin_sha256 == again
    assert cached.is_file()
    assert not hub.asked("/lfs/")


def test_safetensors_behind_a_url_are_kept_as_they_are(here):
    data = as_bytes(built())
    digest = here.store.file("x.safetensors", data).sha256
    got = fetch_weights(
        spec(f"url:{here.api.cdn}/lfs/{digest}?signature=a", sha256=digest), model="m"
    )
    assert got.path.read_bytes() == data
    assert got.sha256 == got.origin_sha256 == digest


def test_a_page_instead_of_a_file(here):
    digest = here.store.file("x.pth", b"<!doctype html><p>moved</p>").sha256
    with pytest.raises(CheckpointError, match="is an HTML page"):
        fetch_weights(spec(f"url:{here.api.cdn}/lfs/{digest}?signature=a"), model="m")


def test_two_at_once_download_once(published):
    hub, _, weights = published
    hub.throttle = 0.05
    said, got = [], []
    both = [
        threading.Thread(
            target=lambda: got.append(fetch_weights(weights, model="m", note=said.append))
        )
        for _ in range(2)
    ]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert got[0] == got[1]
    assert len(hub.asked("/lfs/")) == 1
    assert any("waiting for another process" in text for text in said)


def test_a_killed_conversion_is_done_again(published):
    _, _, weights = published
    got = fetch_weights(weights, model="m")
    shutil.copy(got.path, got.path.with_suffix(".half"))
    got.path.with_name(got.path.name + ".json").unlink()
    assert fetch_weights(weights, model="m").sha256 == got.sha256
