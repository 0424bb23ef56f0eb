"""What was logged offline is read back from the file that ``wandb sync`` would send."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import struct
import subprocess
import sys
import time
from collections import deque
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import zoo
import zoo_wandb.tracker
from zoo.errors import Interrupted, PluginError
from zoo.testing import plugin_contract
from zoo_wandb.tracker import DEFAULTS, Wandb

test_contract = plugin_contract("wandb")
KEY = "0123456789" * 4
BLOCK = 32768


def settle():
    """Have wandb's own process write its files to the end, and leave."""
    if "wandb" in sys.modules:
        sys.modules["wandb"].teardown()


def settings(folder, **more):
    return {
        "output.dir": str(folder),
        "output.trackers": ("wandb",),
        "output.strict": True,
        "data.options": {"per_class": 10, "size": 20},
        "data.workers": 0,
        "device.threads": 1,
        **more,
    }


def train(folder, name, *, epochs=2, note=None, **more):
    return zoo.train(
        "tutorials/catdog", data="demo", classes=4, epochs=epochs, name=name, note=note,
        set=settings(folder, **more),
    )  # fmt: skip


def records(path):
    """The records of a ``.wandb`` file: a log as LevelDB writes it, in blocks."""
    from wandb.proto.wandb_internal_pb2 import Record

    data = path.read_bytes()
    assert data[:4] == b":W&B"
    at, whole = 7, b""
    while at + 7 <= len(data):
        left = BLOCK - at % BLOCK
        if left < 7:
            at += left
            continue
        _, size, kind = struct.unpack("<IHB", data[at : at + 7])
        whole += data[at + 7 : at + 7 + size]
        at += 7 + size
        if kind in (1, 4):  # the whole, or its last part
            record = Record()
            record.ParseFromString(whole)
            yield record
            whole = b""


def sittings(folder):
    """Of each sitting of a run: what ``wandb sync`` would send."""
    settle()
    return [read(path) for path in sorted(Path(folder, "wandb").glob("offline-run-*/*.wandb"))]


def read(path):
    found = SimpleNamespace(run=None, config={}, rows=[], summary={}, exit=None, folder=path.parent)
    for record in records(path):
        if record.HasField("run"):
            found.run = record.run
        for part in (record.run.config, record.config):
            found.config |= {each.key: json.loads(each.value_json) for each in part.update}
        if record.HasField("history"):
            found.rows.append(items(record.history.item))
        found.summary |= items(record.summary.update)
        if record.HasField("exit"):
            found.exit = record.exit.exit_code
    return found


def items(found):
    return {each.key or "/".join(each.nested_key): json.loads(each.value_json) for each in found}


def epochs_of(folder):
    lines = Path(folder, "metrics.jsonl").read_text().splitlines()
    return [row for row in map(json.loads, lines) if row["kind"] == "epoch"]


def digest(folder):
    """Of the weights themselves: a checkpoint also says when and where it was made."""
    from safetensors.torch import load_file

    found = hashlib.sha256()
    for name, tensor in sorted(load_file(Path(folder, "model.safetensors")).items()):
        found.update(name.encode() + tensor.numpy().tobytes())
    return found.hexdigest()


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "runs" / "one"
    made.mkdir(parents=True)
    return made


@pytest.fixture(scope="module")
def followed(tmp_path_factory):
    """A whole run, what it said, and one of the same recipe that nobody watches."""
    runs = tmp_path_factory.mktemp("runs")
    notes = []
    watched = train(runs, "watched", note=notes.append)
    alone = train(runs, "alone", **{"output.trackers": ()})
    (found,) = sittings(watched.dir)
    return watched.dir, alone.dir, found, notes


def test_a_runs_numbers_are_those_of_its_log(followed):
    rows = [row for row in followed[2].rows if "val/loss" in row]
    own = epochs_of(followed[0])
    assert len(own) == 2
    assert [row["_step"] for row in rows] == [row["step"] for row in own]
    for part in ("train", "val"):
        for name in ("loss", "top1"):
            assert [row[f"{part}/{name}"] for row in rows] == [
                pytest.approx(row[part][name]) for row in own
            ]


def test_the_recipe_the_result_and_the_files_are_there(followed):
    folder, _, found, _ = followed
    result = json.loads((folder / "result.json").read_text())
    assert (found.run.display_name, found.run.project) == ("watched", "zoo")
    assert found.config["model"]["name"] == "tutorials/catdog"
    assert found.config["optim"]["epochs"] == 2
    assert found.summary["best/top1"] == pytest.approx(result["metrics"]["top1"])
    assert found.summary["best/epoch"] == result["best_epoch"]
    assert (found.summary["status"], found.exit) == ("finished", 0)
    assert Path(found.summary["weights"]).samefile(folder / "model.safetensors")
    files = found.folder / "files"
    for name in ("recipe.toml", "result.json", "metrics.jsonl", "log.txt"):
        assert not (files / name).is_symlink()
        assert (files / name).read_bytes() == (folder / name).read_bytes()
    sent = {path.suffix for path in files.rglob("*") if path.is_file()}
    assert not sent & {".safetensors", ".py", ".patch"}
    assert not (files / "output.log").exists()  # what the terminal shows


def test_the_first_images_are_an_image(followed):
    (row,) = (row for row in followed[2].rows if "images/first/path" in row)
    size = row["images/first/width"], row["images/first/height"]
    assert (row["_step"], size) == (0, (4 * 32, 4 * 32))
    assert (followed[2].folder / "files" / row["images/first/path"]).is_file()


def test_it_says_how_to_send_it_and_nothing_lies_outside_of_the_run(followed, tmp_path):
    folder, _, _, notes = followed
    assert f"tracker wandb/wandb: offline  (wandb sync {folder}/wandb/offline-run-*)" in notes
    assert list((folder / "wandb" / "cache").rglob("*.log"))
    assert {path.name for path in folder.parent.iterdir()} == {"watched", "alone"}


def test_a_run_is_the_same_with_and_without(followed):
    watched, alone, _, _ = followed
    assert digest(watched) == digest(alone)


def test_an_interrupted_run_goes_on_as_the_same_run(tmp_path, capfd):
    events = zoo.fit(
        "train", "tutorials/catdog", data="demo", classes=4, epochs=3, name="cut",
        set=settings(tmp_path),
    )  # fmt: skip
    with pytest.raises(Interrupted):
        deque(
            os.kill(os.getpid(), signal.SIGINT)
            for event in events
            if type(event).__name__ == "EpochReport"
        )
    (cut,) = sittings(tmp_path / "cut")
    assert (cut.summary["status"], cut.exit) == ("interrupted", 1)
    assert cut.summary["error"].startswith("Interrupted: stopped by SIGINT")
    time.sleep(1)  # wandb's folders have the second in their names
    zoo.resume(tmp_path / "cut")
    first, second = sorted(sittings(tmp_path / "cut"), key=lambda each: each.rows[0]["_step"])
    assert first.run.run_id == second.run.run_id
    assert (second.summary["status"], second.exit) == ("finished", 0)
    steps = [row["_step"] for row in first.rows + second.rows if "val/top1" in row]
    assert steps == [row["step"] for row in epochs_of(tmp_path / "cut")]
    assert capfd.readouterr() == ("", "")


def test_a_step_that_was_logged_is_not_an_error(folder):
    tracker = Wandb(folder)
    tracker.scalars({"val/top1": 0.25}, 7)
    tracker.scalars({"val/top1": float("nan")}, 7)
    tracker.scalars({"val/top1": 0.5}, 14)
    tracker.close()
    (found,) = sittings(folder)
    assert [row["_step"] for row in found.rows] == [7, 14]
    assert found.exit == 0


def test_a_run_that_did_not_end_well_says_so(folder):
    tracker = Wandb(folder)
    tracker.ended(ValueError("no\nmore"))
    tracker.close()
    (found,) = sittings(folder)
    assert (found.summary["status"], found.summary["error"]) == ("failed", "ValueError: no")
    assert found.exit == 1


def test_gray_images_and_those_of_many_channels_are_taken(folder):
    tracker = Wandb(folder)
    tracker.image("gray", torch.full((1, 4, 5), 200, dtype=torch.uint8), 0)
    tracker.image("many", torch.zeros(6, 4, 5, dtype=torch.uint8), 1)
    tracker.close()
    (found,) = sittings(folder)
    gray, many = found.rows
    assert (gray["gray/width"], gray["gray/height"]) == (5, 4)
    assert (many["many/width"], many["many/height"]) == (5, 4)


def test_the_environment_says_which_project_and_id(folder, monkeypatch):
    monkeypatch.setenv("WANDB_PROJECT", "dogs")
    monkeypatch.setenv("WANDB_RUN_ID", "rex")
    Wandb(folder).close()
    (found,) = sittings(folder)
    assert (found.run.project, found.run.run_id) == ("dogs", "rex")
    assert json.loads((folder / "wandb.json").read_text()) == {"id": "rex"}


def test_it_can_be_switched_off(folder, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    tracker = Wandb(folder)
    tracker.scalars({"val/top1": 0.25}, 7)
    tracker.close()
    assert tracker.where == ""
    assert sittings(folder) == []


@pytest.mark.parametrize(
    ("url", "machine", "mode"),
    [
        ("https://api.wandb.ai", "api.wandb.ai", "online"),
        ("https://api.forge.coreweave.com", "api.wandb.ai", "online"),
        ("https://wandb.example.org", "wandb.example.org", "online"),
        ("https://wandb.example.org", "api.wandb.ai", "offline"),
        ("https://wandb.example.org", "", "offline"),
    ],
)
def test_who_is_logged_in_logs_online(tmp_path, monkeypatch, url, machine, mode):
    monkeypatch.setenv("NETRC", str(tmp_path / "keys"))
    if machine:
        (tmp_path / "keys").write_text(f"machine {machine}\n login user\n password {KEY}\n")
    told = {"mode": "online", "base_url": url, "api_key": None, "identity_token_file": None}
    assert zoo_wandb.tracker._mode(SimpleNamespace(**told)) == mode
    assert zoo_wandb.tracker._mode(SimpleNamespace(**{**told, "api_key": KEY})) == "online"
    assert zoo_wandb.tracker._mode(SimpleNamespace(**{**told, "mode": "offline"})) == "offline"


def test_nobody_is_asked_to_log_in(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "online")
    with pytest.raises(PluginError, match="there is no key for") as raised:
        train(tmp_path, "asked", epochs=1)
    assert "wandb login" in raised.value.hint


def test_a_server_that_is_not_there_costs_a_line(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("WANDB_INIT_TIMEOUT", "2")
    notes = []
    run = train(tmp_path, "alone", epochs=1, note=notes.append, **{"output.strict": False})
    (said,) = (note for note in notes if "wandb" in note)
    assert said.startswith("tracker wandb/wandb failed in opening and is muted: ")
    assert "WANDB_MODE=offline" in said
    assert "\n" not in said
    assert (run.dir / "result.json").is_file()
    assert capfd.readouterr() == ("", "")


def test_online_the_server_gets_the_numbers_and_the_address_is_shown(server, tmp_path, capfd):
    notes = []
    run = train(tmp_path, "served", note=notes.append)
    name = json.loads((run.dir / "wandb.json").read_text())["id"]
    assert f"tracker wandb/wandb: {os.environ['WANDB_BASE_URL']}/me/zoo/runs/{name}" in notes
    streams = [body for path, body in server.calls if path.endswith("/file_stream")]
    lines = [
        json.loads(line)
        for body in streams
        for line in body.get("files", {}).get("wandb-history.jsonl", {}).get("content", ())
    ]
    sent = [(row["_step"], row["val/loss"]) for row in lines if "val/loss" in row]
    assert sent == [(row["step"], pytest.approx(row["val"]["loss"])) for row in epochs_of(run.dir)]
    assert streams[-1]["complete"] is True
    assert streams[-1]["exitcode"] == 0
    begun = next(
        b["variables"] for _, b in server.calls if b.get("operationName") == "UpsertBucket"
    )
    assert (begun["displayName"], begun["project"]) == ("served", "zoo")
    assert json.loads(begun["config"])["optim"]["value"]["epochs"] == 2
    assert capfd.readouterr() == ("", "")


def test_a_server_that_dies_is_named_once_and_training_goes_on(server, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_FINISH_TIMEOUT", "1")
    notes = []
    for report in zoo.fit(
        "train", "tutorials/catdog", data="demo", classes=4, epochs=3, name="left", note=notes.append,
        set=settings(tmp_path, **{"output.strict": False}),
    ):  # fmt: skip
        if type(report).__name__ == "EpochReport" and report.epoch == 0:
            server.stop()
    (said,) = (note for note in notes if "muted" in note)
    assert said.startswith("tracker wandb/wandb failed in close and is muted: the server did not")
    (folder,) = (tmp_path / "left" / "wandb").glob("run-*")
    assert f"wandb sync {folder})" in said
    assert (tmp_path / "left" / "result.json").is_file()
    settle()
    found = read(next(folder.glob("*.wandb")))
    assert len([row for row in found.rows if "val/loss" in row]) == 3


def test_it_gives_up_in_seconds_and_what_the_user_set_stays(folder, monkeypatch):
    assert float(DEFAULTS["WANDB_INIT_TIMEOUT"]) <= 30
    assert float(DEFAULTS["WANDB_FINISH_TIMEOUT"]) <= 30
    monkeypatch.setenv("WANDB_FINISH_TIMEOUT", "99")
    Wandb(folder).close()
    kept = {name: os.environ[name] for name in DEFAULTS}
    assert kept == {**DEFAULTS, "WANDB_FINISH_TIMEOUT": "99"}
    assert "WANDB_CACHE_DIR" not in os.environ
    import wandb

    known = wandb.Settings.model_fields
    unknown = [name for name in DEFAULTS if name.removeprefix("WANDB_").lower() not in known]
    assert unknown == ["WANDB_ERROR_REPORTING"]  # which is no setting, and read beside them


PROBE = """
import sys, zoo_wandb.tracker
print([m for m in ("torch", "wandb") if m in sys.modules])
from pathlib import Path
tracker = zoo_wandb.tracker.Wandb(Path("runs/a"))
from wandb.env import error_reporting_enabled
print(error_reporting_enabled())
tracker.scalars({"x": 1.0}, 1)
print(tracker._run.settings.console)
tracker.close()
"""


def test_importing_the_plugin_costs_neither_torch_nor_wandb_and_nothing_is_reported(tmp_path):
    (tmp_path / "runs" / "a").mkdir(parents=True)
    (tmp_path / "home").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", PROBE], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.splitlines() == ["[]", "False", "off"]
    assert done.stderr == ""
    assert list((tmp_path / "home").iterdir()) == []
