"""``zoo mirror`` as it is typed: one machine with a network, one without."""

import shutil
from dataclasses import replace

from loopback_weights import ours, repository


def test_from_one_machine_to_another(hub, home, tmp_path):
    repository(hub, "ann/net", {"model.safetensors": ours(), "config.json": {}})
    stick = tmp_path / "stick"
    done = home.zoo("mirror", "hub:ann/net", "--to", str(stick))
    assert done.code == 0, done.err
    assert (stick / "registry.toml").is_file()
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
