import json
import math
from pathlib import Path

import pytest

from zoo.cli.output import Out
from zoo.cli.rates import show_rates
from zoo.engine.rangetest import read

SMALL = ("--data", "digits", "--device", "cpu", "--threads", "1", "--optimizer", "adamw")
RATES = [1e-6 * 10 ** (7 * k / 99) for k in range(100)]


def shown(losses, capsys, *, diverged=False):
    show_rates(Out("table"), read(RATES[: len(losses)], losses, diverged=diverged))
    return capsys.readouterr().out.splitlines()


def test_the_curve_is_bars_and_the_suggestion_is_marked(capsys):
    losses = [2 - 1 / (1 + math.exp(-(k - 60) / 4)) + max(0, k - 80) * 0.2 for k in range(100)]
    lines = shown(losses, capsys)
    assert lines[0].split() == ["RATE", "LOSS"]
    bars = [line.count("#") for line in lines[1:-2]]
    assert bars[0] == max(bars) == 40
    assert min(bars) <= 2
    (marked,) = [line for line in lines if line.endswith("<-")]
    assert lines[-1].startswith("suggested  --lr ")
    taken = float(lines[-1].split()[-1])
    assert float(marked.split()[0]) == pytest.approx(taken, rel=0.1)
    assert any(line.endswith("#+") for line in lines)
    assert not any(line.startswith("ended") for line in lines)


def test_where_it_ended_and_that_nothing_is_suggested(capsys):
    lines = shown([2.0, 2.0, 2.1, 9.0], capsys, diverged=True)
    assert lines[-2].startswith("ended")
    assert "out of bounds" in lines[-2]
    assert lines[-1].startswith("suggested  none: at no rate did the loss fall")


def test_a_loss_that_falls_to_the_end_is_said(capsys):
    lines = shown([2 - 0.01 * k for k in range(100)], capsys)
    assert lines[-2] == "ended      at 10, where the loss was still falling"


def test_typed_it_says_what_to_take_and_leaves_nothing_behind(zoo, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = zoo("train", "tutorials/lenet", *SMALL, "--find-lr")
    assert code == 0
    assert "suggested  --lr 0.0" in out
    assert "100 steps with learning rates from 1e-06 to 10; no run is made" in err
    assert list(Path().iterdir()) == []
    rate = out.split()[-1]
    code, out, _ = zoo("train", "tutorials/lenet", *SMALL, "--lr", rate, "--epochs", "4", "--json")
    assert code == 0
    assert json.loads(out)["metrics"]["top1"] > 0.8
    assert "no run: a range test of the learning rate" in out + err
    assert "-NNN" not in out + err


def test_a_dry_run_finds_nothing(zoo):
    code, _, err = zoo("train", "tutorials/lenet", *SMALL, "--find-lr", "--dry-run")
    assert code == 2
    assert "--dry-run and --find-lr both stop before training" in err


@pytest.mark.parametrize("flag", ["--find-lr", "--dry-run", "--dry-run=full", "--preview=x.png"])
def test_what_is_no_run_is_not_timed(zoo, tmp_path, monkeypatch, flag):
    monkeypatch.chdir(tmp_path)
    code, _, err = zoo("train", "tutorials/lenet", *SMALL, flag, "--timings")
    assert code == 2
    assert f"--timings times a run, and {flag.partition('=')[0]} makes none" in err
    assert list(tmp_path.iterdir()) == []
