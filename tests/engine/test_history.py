"""zoo.engine.history: what a run wrote down of its epochs."""

import json

from zoo.engine.history import METRICS_FILE, epoch_rows


def test_epochs_are_read_and_steps_are_passed_over(finished_run):
    lines = [json.loads(line) for line in (finished_run / METRICS_FILE).read_text().splitlines()]
    epochs = [row for row in lines if row["kind"] == "epoch"]
    assert list(epoch_rows(finished_run)) == epochs
    assert 0 < len(epochs) < len(lines)


def test_torn_and_strange_lines_are_passed_over(tmp_path):
    good = {"kind": "epoch", "epoch": 1, "val": None}
    lines = [
        '{"kind":"epoch"', "[" * 100_000, "[]", '{"kind":"epoch","epoch":"1"}',
        '{"kind":"epoch","epoch":true}', json.dumps(good), '{"kind":"epoch","epoch":2',
    ]  # fmt: skip
    (tmp_path / METRICS_FILE).write_bytes("\n".join(lines).encode() + b"\n\xff\xfe\n")
    assert list(epoch_rows(tmp_path)) == [good]


def test_a_folder_without_the_file_has_none(tmp_path):
    assert list(epoch_rows(tmp_path)) == []
