"""What was logged is read back with MLflow's own client, or is what its server was sent."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections import deque
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

import zoo
from zoo.errors import Interrupted, PluginError
from zoo.testing import plugin_contract
from zoo_mlflow.tracker import DEFAULTS, MLflow

test_contract = plugin_contract("mlflow")
DEAD = "http://somebody:secret@127.0.0.1:9"


@contextmanager
def nobody():
    """Nobody said where runs go, and what the plugin sets is taken back."""
    before = dict(os.environ)
    for name in [name for name in os.environ if name.startswith(("MLFLOW_", "_MLFLOW"))]:
        del os.environ[name]
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(autouse=True, scope="module")
def nobody_at_all():
    with nobody():
        yield


@pytest.fixture(autouse=True)
def unconfigured(nobody_at_all, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with nobody():
        yield


def settings(folder, **more):
    return {
        "output.dir": str(folder),
        "output.trackers": ("mlflow",),
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


def client(folder):
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=(Path(folder).absolute() / "mlruns").as_uri())


def run_of(folder):
    return json.loads((Path(folder) / "mlflow.json").read_text())["run_id"]


def logged(folder):
    """The run that a run's folder says is its own, as MLflow's client reads it."""
    return client(Path(folder).parent).get_run(run_of(folder))


def steps(folder, name):
    history = client(Path(folder).parent).get_metric_history(run_of(folder), name)
    return [(m.step, m.value) for m in sorted(history, key=lambda m: m.step)]


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
    """A whole run, and one of the same recipe that nobody watches."""
    runs = tmp_path_factory.mktemp("runs")
    watched = train(runs, "watched")
    alone = train(
        runs, "alone", **{"output.trackers": ()}
    )  # fmt: skip
    return watched.dir, alone.dir


def test_a_runs_numbers_are_those_of_its_log(followed):
    rows = epochs_of(followed[0])
    assert len(rows) == 2
    for part in ("train", "val"):
        for name in ("loss", "top1"):
            own = [(row["step"], pytest.approx(row[part][name])) for row in rows]
            assert steps(followed[0], f"{part}/{name}") == own


def test_the_recipe_the_result_and_the_files_are_there(followed):
    run, result = logged(followed[0]), json.loads((followed[0] / "result.json").read_text())
    assert (run.info.run_name, run.info.status) == ("watched", "FINISHED")
    assert client(followed[0].parent).get_experiment(run.info.experiment_id).name == "zoo"
    assert run.data.params["model.name"] == "tutorials/catdog"
    assert run.data.params["optim.epochs"] == "2"
    assert run.data.params["output.strict"] == "true"
    assert run.data.params["data.options.per_class"] == "10"
    assert run.data.metrics["best/top1"] == pytest.approx(result["metrics"]["top1"])
    assert run.data.metrics["best/epoch"] == result["best_epoch"]
    assert Path(run.data.tags["zoo.weights"]).samefile(followed[0] / "model.safetensors")
    files = {file.path for file in client(followed[0].parent).list_artifacts(run.info.run_id)}
    assert files == {"images", "recipe.toml", "result.json", "metrics.jsonl", "log.txt"}


def test_the_first_images_are_an_image(followed):
    found = client(followed[0].parent).list_artifacts(run_of(followed[0]), "images")
    (png,) = (file for file in found if file.path.endswith(".png"))
    assert "first+step+0" in png.path
    assert png.file_size > 1000


def test_a_run_is_the_same_with_and_without(followed):
    watched, alone = followed
    assert digest(watched) == digest(alone)


def test_an_interrupted_run_goes_on_in_the_same_run(tmp_path):
    """Steps 5 and 10 are epochs; the signal comes with the first."""
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
    cut = logged(tmp_path / "cut")
    assert cut.info.status == "KILLED"
    assert cut.data.tags["zoo.error"].startswith("Interrupted: stopped by SIGINT")
    zoo.resume(tmp_path / "cut")
    whole = logged(tmp_path / "cut")
    assert whole.info.run_id == cut.info.run_id
    assert whole.info.status == "FINISHED"
    assert "zoo.error" not in whole.data.tags
    assert [step for step, _ in steps(tmp_path / "cut", "val/top1")] == [
        row["step"] for row in epochs_of(tmp_path / "cut")
    ]
    assert len(client(tmp_path).search_runs([whole.info.experiment_id])) == 1


def test_a_killed_run_goes_on_and_logs_a_step_again(folder):
    MLflow(folder).scalars({"val/top1": 0.25}, 7)  # and nobody closes it
    again = MLflow(folder)
    again.scalars({"val/top1": 0.25}, 7)
    again.scalars({"val/top1": 0.5}, 14)
    again.close()
    assert steps(folder, "val/top1") == [(7, 0.25), (7, 0.25), (14, 0.5)]
    assert logged(folder).info.status == "FINISHED"


def test_a_run_that_was_deleted_there_begins_anew(folder):
    MLflow(folder).close()
    first = run_of(folder)
    client(folder.parent).delete_run(first)
    MLflow(folder).close()
    assert run_of(folder) != first


def test_what_mlflow_would_refuse_is_made_to_fit(folder):
    long = "x" * 7000
    table = "".join(f'key{n} = "{n}"\n' for n in range(250))
    (folder / "recipe.toml").write_text(
        f'long = "{long}"\nnone = ""\n[a."b c"]\nd = [1, "e"]\n{table}'
    )
    tracker = MLflow(folder)
    many = {f"val/recall/class {n} (é, <{n}>)": n / 3000 for n in range(2500)}
    tracker.scalars(
        {"val/loss": float("nan"), "train/loss": float("inf"), "val/../x": 1, **many}, 3
    )
    tracker.close()
    found = logged(folder).data
    assert found.params["long"] == "x" * 6000
    assert found.params["a.b c.d"] == '[1, "e"]'
    assert len(found.params) == 252
    assert "none" not in found.params
    assert len(found.metrics) == 2503
    assert (
        found.metrics["val/recall/class 3 (é, <3>)".translate(dict.fromkeys(b"(,<>)", "_"))]
        == 0.001
    )


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (KeyboardInterrupt(), "KILLED", "KeyboardInterrupt:"),
        (GeneratorExit(), "KILLED", "GeneratorExit:"),
        (ValueError("no\nmore"), "FAILED", "ValueError: no"),
    ],
)
def test_a_run_that_did_not_end_well_says_so(folder, error, status, line):
    tracker = MLflow(folder)
    tracker.ended(error)
    tracker.close()
    run = logged(folder)
    assert run.info.status == status
    assert run.data.tags["zoo.error"].rstrip() == line


def test_the_environment_says_which_experiment_and_run(folder, monkeypatch):
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "dogs")
    MLflow(folder).close()
    run = logged(folder)
    assert client(folder.parent).get_experiment(run.info.experiment_id).name == "dogs"
    (folder / "mlflow.json").write_text("torn")
    monkeypatch.setenv("MLFLOW_RUN_ID", run.info.run_id)
    MLflow(folder).close()
    assert run_of(folder) == run.info.run_id


def test_what_the_user_set_stays(folder, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "99")
    MLflow(folder).close()
    kept = {name: os.environ[name] for name in DEFAULTS}
    assert kept == {**DEFAULTS, "MLFLOW_HTTP_REQUEST_TIMEOUT": "99"}


def bodies(server, path):
    return [body for called, body, _ in server.calls if called == path]


def test_a_server_gets_one_call_an_epoch(server, tmp_path, monkeypatch, capsys):
    address = f"127.0.0.1:{server.server_port}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://{address}")
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "s3cret")
    notes = []
    run = train(tmp_path, "served", note=notes.append)
    assert f"tracker mlflow/mlflow: http://{address}/#/experiments/7/runs/{server.run_id}" in notes
    batches = bodies(server, "runs/log-batch")
    sent = [batch for batch in batches if batch.get("metrics")]
    by_step = [{m["key"]: (m["value"], m.get("step")) for m in batch["metrics"]} for batch in sent]
    rows = epochs_of(run.dir)
    assert len(sent) == len(rows) + 1  # the result's are the last
    for found, row in zip(by_step, rows, strict=False):
        assert found["val/loss"] == (pytest.approx(row["val"]["loss"]), row["step"])
        assert {"train/loss", "val/top1", "lr"} <= set(found)
    assert "best/top1" in by_step[-1]
    params = {p["key"]: p["value"] for batch in batches for p in batch.get("params", ())}
    assert params["optim.epochs"] == "2"
    assert all(len(batch.get("params", ())) <= 100 for batch in batches)
    assert [body["run_name"] for body in bodies(server, "runs/create")] == ["served"]
    assert [body["status"] for body in bodies(server, "runs/update")] == ["FINISHED"]
    assert {token for _, _, token in server.calls} == {"Bearer s3cret"}
    put = [path for path, _, _ in server.calls if path.startswith("-artifacts/")]
    assert any(path.endswith("/recipe.toml") for path in put)
    assert not any("safetensors" in path for path in put)
    assert capsys.readouterr() == ("", "")
    assert not (tmp_path / "mlruns").exists()


def test_a_server_that_dies_is_named_once_and_training_goes_on(server, tmp_path, monkeypatch):
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    notes = []
    for report in zoo.fit(
        "train", "tutorials/catdog", data="demo", classes=4, epochs=3, name="left", note=notes.append,
        set=settings(tmp_path, **{"output.strict": False}),
    ):  # fmt: skip
        if type(report).__name__ == "EpochReport" and report.epoch == 0:
            server.stop()
    said = [note for note in notes if "muted" in note]
    assert len(said) == 1
    assert said[0].startswith(f"tracker mlflow/mlflow failed in scalars and is muted: {address}: ")
    assert "Connection refused" in said[0]
    assert len(epochs_of(tmp_path / "left")) == 3
    assert (tmp_path / "left" / "result.json").is_file()


def test_a_server_that_is_not_there_costs_a_line(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", DEAD)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    notes = []
    run = train(tmp_path, "alone", epochs=1, note=notes.append, **{"output.strict": False})
    (said,) = (note for note in notes if "mlflow" in note)
    assert said.startswith("tracker mlflow/mlflow failed in opening and is muted: http://")
    assert "secret" not in said
    assert len(said) < 220
    assert not (run.dir / "mlflow.json").exists()
    with pytest.raises(PluginError, match="tracker mlflow/mlflow, opening: http") as raised:
        train(tmp_path, "strict", epochs=1)
    assert "MLFLOW_TRACKING_URI" in raised.value.hint


def test_it_gives_up_in_seconds():
    assert int(DEFAULTS["MLFLOW_HTTP_REQUEST_TIMEOUT"]) <= 10
    assert int(DEFAULTS["MLFLOW_HTTP_REQUEST_MAX_RETRIES"]) <= 2


def test_gray_images_and_those_of_many_channels_are_taken(folder):
    tracker = MLflow(folder)
    tracker.image("gray", torch.full((1, 4, 5), 200, dtype=torch.uint8), 0)
    tracker.image("many", torch.zeros(6, 4, 5, dtype=torch.uint8), 0)
    tracker.close()
    found = client(folder.parent).list_artifacts(run_of(folder), "images")
    assert sum(file.path.endswith(".png") for file in found) == 2


PROBE = """
import sys, zoo_mlflow.tracker
print([m for m in ("torch", "mlflow") if m in sys.modules])
from pathlib import Path
zoo_mlflow.tracker.MLflow(Path("runs/a"))
from mlflow.telemetry.client import get_telemetry_client
print(get_telemetry_client())
"""


def test_importing_the_plugin_costs_neither_torch_nor_mlflow_and_nothing_is_reported(tmp_path):
    (tmp_path / "runs" / "a").mkdir(parents=True)
    ci = (
        "CI",
        "GITHUB_ACTIONS",
        "PYTEST_CURRENT_TEST",
        "DO_NOT_TRACK",
    )  # MLflow reports nothing there
    env = {name: value for name, value in os.environ.items() if name not in ci}
    done = subprocess.run(
        [sys.executable, "-c", PROBE],
        capture_output=True,
        text=True,
        check=True,
        env=env,
        cwd=tmp_path,
    )
    assert done.stdout.splitlines() == ["[]", "None"]
    assert done.stderr == ""
