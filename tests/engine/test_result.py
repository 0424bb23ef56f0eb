import dataclasses
import json

import pytest

from zoo.engine.result import RESULT_FILE, RunResult, read_result


@pytest.fixture
def result(tmp_path):
    return RunResult(
        name="one", dir=tmp_path, weights=tmp_path / "model.safetensors", epochs=5, step=100,
        best_epoch=4, classes=3, seconds=12.5, proof="frozen: unchanged",
        metrics={"top1": 0.5, "top5": 1.0, "loss": 1.25, "n": 1200.0, "f1": 0.25},
    )  # fmt: skip


def test_written_and_read_it_is_the_same(result, tmp_path):
    (tmp_path / RESULT_FILE).write_text(result.write())
    assert read_result(tmp_path) == result


def test_a_run_that_was_moved_is_found_where_it_is(result, tmp_path):
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / RESULT_FILE).write_text(result.write())
    (tmp_path / "old").rename(tmp_path / "new")
    found = read_result(tmp_path / "new")
    assert found.dir == tmp_path / "new"
    assert found.weights == tmp_path / "new" / "model.safetensors"


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"weights": 3}', '{"weights": "x"}', "null"]
)
def test_what_is_no_result_is_an_unfinished_run(tmp_path, text):
    (tmp_path / RESULT_FILE).write_text(text)
    assert read_result(tmp_path) is None
    assert read_result(tmp_path / "gone") is None


def test_for_programs(result, tmp_path):
    table = json.loads(json.dumps(result.to_dict()))
    assert table["dir"] == str(tmp_path)
    assert table["metrics"]["n"] == 1200
    assert set(table) == {f.name for f in dataclasses.fields(RunResult)}


def test_a_run_without_a_best_epoch_says_why(result):
    lines = dict(dataclasses.replace(result, best_epoch=None, monitor="f1").lines())
    assert "best" not in lines
    assert lines["last"].startswith("epoch 5 of 5: top1 50.00 %")
    assert lines["last"].endswith("; f1 was never a finite number, so no epoch is the best")


def test_for_people(result, tmp_path):
    lines = dict(result.lines())
    assert lines["best"] == ("epoch 4 of 5: top1 50.00 %, loss 1.2500, f1 0.2500 on 1,200 images")
    assert lines["proof"] == "frozen: unchanged"
    assert lines["run"] == f"{tmp_path}/"
    assert f"zoo predict {tmp_path} IMAGE" in lines["next"]
    early = dict(dataclasses.replace(result, stopped_early=True, metrics={}).lines())
    assert early["best"] == "epoch 4 of 5 (stopped early):"
