"""Pulling over a bad line, with the real client, the real command and real processes."""

import os
import signal
import time

import pytest
from loopback_weights import blob, only, ours, repository

MB = 1_000_000


@pytest.fixture(scope="module")
def large():
    return blob(40 * MB)


def wait_until(true, seconds=60.0):
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.01)


def partials(home):
    return list(home.cache.rglob("*.zoo-partial"))


def test_a_pull_that_is_killed_at_half_goes_on_where_it_was(hub, home, large):
    commit = repository(hub, "ann/net", {"model.safetensors": large})
    hub.throttle = 0.02  # 13 MB/s
    process = home.start_zoo("pull", "hub:ann/net")
    wait_until(lambda: any(p.stat().st_size > 20 * MB for p in partials(home)))
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    kept = partials(home)[0].stat().st_size
    assert 20 * MB < kept < 40 * MB
    hub.throttle = 0.0
    hub.seen.clear()
    sent = hub.body_bytes
    done = home.zoo("pull", f"hub:ann/net@{commit}")
    assert done.code == 0, done.err
    bodies = [s.range for s in hub.asked("/lfs/") if s.range != "bytes=0-99999"]
    assert bodies == [f"bytes={kept}-"]
    assert hub.body_bytes - sent < len(large) - kept + MB
    assert only(home.cache, f"snapshots/{commit}/model.safetensors").read_bytes() == large
    assert not partials(home)


def test_ctrl_c_keeps_what_came(hub, home, large):
    repository(hub, "ann/net", {"model.safetensors": large})
    hub.throttle = 0.1  # so slow that a busy machine is in time to stop it
    process = home.start_zoo("pull", "hub:ann/net")
    wait_until(lambda: any(p.stat().st_size > 5 * MB for p in partials(home)))
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert partials(home)[0].stat().st_size > 5 * MB


def test_two_processes_pull_the_same_file_once(hub, home, large):
    repository(hub, "ann/net", {"model.safetensors": large})
    hub.throttle = 0.005
    both = [home.start_zoo("pull", "hub:ann/net") for _ in range(2)]
    for process in both:
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
    bodies = [s for s in hub.asked("/lfs/") if s.range != "bytes=0-99999"]
    assert len(bodies) == 1


def test_resets_and_an_overloaded_server_on_the_way(hub, home, large):
    repository(hub, "ann/net", {"model.safetensors": large})
    hub.fault("reset", path="/lfs/", after=10 * MB, least=MB)
    hub.fault("cut", path="/lfs/", after=10 * MB, least=MB)
    hub.fault("status", path="/lfs/", status=503)
    done = home.zoo("pull", "hub:ann/net")
    assert done.code == 0, done.err
    assert len(hub.asked("/lfs/")) >= 4


def test_one_flipped_byte_is_noticed_and_mended(hub, home, large):
    repository(hub, "ann/net", {"model.safetensors": large})
    hub.fault("flip", path="/lfs/", after=30 * MB, least=MB)
    done = home.zoo("pull", "hub:ann/net")
    assert done.code == 0, done.err
    assert only(home.cache, "snapshots/*/model.safetensors").read_bytes() == large


def test_damaged_every_time_is_an_error_and_nothing_is_left(hub, home):
    repository(hub, "ann/net", {"model.safetensors": blob(MB)})
    hub.fault("flip", path="/lfs/", after=MB // 2, times=99, least=MB)
    done = home.zoo("pull", "hub:ann/net")
    assert done.code == 6
    assert "came damaged twice; it was removed" in done.error
    assert not list(home.cache.rglob("snapshots/*/model.safetensors"))
    code = "from huggingface_hub import try_to_load_from_cache as t; print(t('ann/net', 'model.safetensors'))"
    assert home.run("-c", code).out.strip() == "None"


def test_a_server_that_dies_for_good(hub, home, large):
    repository(hub, "ann/net", {"model.safetensors": large})
    hub.throttle = 0.02
    process = home.start_zoo("pull", "hub:ann/net")
    wait_until(lambda: any(p.stat().st_size > 5 * MB for p in partials(home)))
    hub.stop()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 6
    assert "error: ann/net: cannot reach" in err
    assert "hint: run it again: it goes on at" in err
    assert partials(home)[0].stat().st_size > 5 * MB


@pytest.mark.parametrize("kind", ["hang", "down"])
def test_a_hub_that_does_not_answer_is_an_error_within_seconds(hub, home, kind):
    repository(hub, "ann/net", {"model.safetensors": ours()})
    if kind == "down":
        hub.stop()
    else:
        hub.fault("hang", path="/api/models", times=99, seconds=9)
    done = home.zoo("pull", "hub:ann/net", env={"HF_HUB_DOWNLOAD_TIMEOUT": "1"})
    assert done.code == 6
    assert "cannot reach" in done.error
    assert "zoo mirror hub:ann/net --to DIR" in done.hint
    assert done.seconds < 20


def test_a_hub_that_is_down_and_a_full_cache(hub, home):
    commit = repository(hub, "ann/net", {"model.safetensors": ours()})
    assert home.zoo("pull", "hub:ann/net").code == 0
    hub.fault("status", path="/api/models", status=503, times=99)
    done = home.zoo("pull", "hub:ann/net")
    assert done.code == 0
    assert f"is HTTP 503: using the cached copy of hub:ann/net, commit {commit[:12]}" in done.err


def test_a_full_cache_and_no_network_at_all(hub, home):
    repository(hub, "ann/net", {"model.safetensors": ours(), "config.json": {}})
    assert home.zoo("pull", "hub:ann/net").code == 0
    hub.seen.clear()
    for argv in (["--offline", "pull", "hub:ann/net"], ["verify"], ["cache"]):
        assert home.zoo(*argv, env={"HF_HUB_OFFLINE": "1"}).code == 0
    assert not hub.seen
