"""``zoo verify`` as it is typed."""

import torch
from loopback_weights import only, ours, repository

from zoo.core.metadata import CheckpointInfo
from zoo.engine.saving.checkpoint import save_weights


def flip(path):
    with path.open("r+b") as file:
        file.seek(-1, 2)
        last = file.read(1)
        file.seek(-1, 2)
        file.write(bytes([last[0] ^ 1]))


def test_the_cache_without_a_network(hub, home):
    repository(hub, "ann/net", {"model.safetensors": ours()})
    assert home.zoo("verify").out.strip() == "nothing is cached"
    home.zoo("pull", "hub:ann/net")
    hub.stop()
    done = home.zoo("verify")
    assert (done.code, done.out.splitlines()[1].split()[0]) == (0, "ok")
    flip(only(home.cache, "snapshots/*/model.safetensors"))
    done = home.zoo("verify", "hub:ann/net", "--json")
    assert (done.code, '"state": "damaged"' in done.out) == (11, True)
    done = home.zoo("verify", "--remove")
    assert (done.code, "removed 1 damaged files" in done.err) == (11, True)
    assert home.zoo("verify").code == 0


def test_a_run_and_a_file(home):
    run = home.work / "runs" / "one"
    (run / "checkpoints").mkdir(parents=True)
    info = CheckpointInfo(model="squeezenet1_1")
    for path in (run / "model.safetensors", run / "checkpoints" / "step-00000001.safetensors"):
        save_weights(path, {"a": torch.rand(9)}, info)
    done = home.zoo("verify", "one")
    assert (done.code, [line.split()[0] for line in done.out.splitlines()[1:]]) == (0, ["ok", "ok"])
    flip(run / "model.safetensors")
    done = home.zoo("verify", "runs/one", "--remove")
    assert done.code == 11
    assert "it is not what it states to be" in done.out
    assert "\nhint: restore it from a copy\n" in home.zoo("verify", "one").err  # no pull fetches it
    assert (run / "model.safetensors").exists()  # a run's files are never deleted
    done = home.zoo("verify", "nothing")
    assert (done.code, "no run is called nothing" in done.error) == (5, True)
