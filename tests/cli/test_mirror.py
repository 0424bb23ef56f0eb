"""``zoo mirror`` as it is typed: one machine with a network, one without."""

import shutil
from dataclasses import replace
from pathlib import Path

from loopback_weights import ours, repository

from zoo.cli.mirror import _use
from zoo.hub.mirror import Item


def test_from_one_machine_to_another(hub, home, tmp_path):
    repository(hub, "ann/net", {"model.safetensors": ours(), "config.json": {}})
    stick = tmp_path / "stick"
    done = home.zoo("mirror", "hub:ann/net", "--to", str(stick))
    assert done.code == 0, done.err
    assert (stick / "registry.toml").is_file()
    assert done.err.splitlines()[-1] == f"use it: zoo mirror --from {stick}"
    hub.stop()
    other = replace(home, path=tmp_path / "other", environment={"ZOO_OFFLINE": "1"})
    shutil.copytree(home.path / "zoo" / "shapes", other.path / "zoo" / "shapes")
    assert other.zoo("pull", "hub:ann/net").code == 6
    done = other.zoo("mirror", "--from", str(stick))
    assert done.code == 0, done.err
    assert other.zoo("pull", "hub:ann/net").code == 0
    assert other.zoo("verify").code == 0


def test_what_was_left_out(home, tmp_path):
    for argv, hint in (
        (["resnet18"], "zoo mirror MODEL ... --to DIR"),
        (["--to", "x"], "zoo mirror MODEL ... --to DIR"),
        (["--to", "x", "--from", "y"], "zoo mirror --from DIR"),
    ):
        done = home.zoo("mirror", *argv)
        assert (done.code, hint in done.hint) == (2, True), done.err
    assert home.zoo("mirror", "--from", str(tmp_path)).code == 6


def test_only_weights_of_models_are_said_to_work_in_place(tmp_path):
    def item(kind, reference):
        return Item(reference=reference, kind=kind, path="x", digest="0" * 40, bytes=1, source="s")

    model, repo = item("weights", "resnet18:v1"), item("hub", "hub:ann/net")
    folder = Path("a b")
    taken = "zoo mirror --from 'a b'"
    placed = "ZOO_REGISTRY='a b/registry.toml'"
    assert _use([repo], folder) == f"use it: {taken}"
    assert _use([model], folder) == f"use it: {placed}, or {taken}"
    both = f"use it: {taken}; without that, {placed} serves resnet18:v1 only"
    assert _use([model, repo], folder) == both
