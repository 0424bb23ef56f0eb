"""zoo.engine.liveplan: what is known once everything is built."""

import pytest

from zoo.core import registry
from zoo.core.request import request
from zoo.engine.plan import Plan
from zoo.engine.run import conduct


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def live(model, **values):
    known = registry.load()
    given = {
        "classes": 4, "data": "demo", "workers": 0, "threads": 1, "precision": "fp32",
        "device": "cpu", "weights": "none", **values,
    }  # fmt: skip
    recipe = request("finetune", model, given, registry=known).recipe
    found = list(conduct(recipe, known, dry=True))
    assert [type(event) for event in found] == [Plan, Plan]
    return dict(found[1].lines), found[1].facts


def test_it_says_what_is_frozen_what_trains_and_what_is_seen():
    lines, facts = live(
        "resnet18", freeze_upto="layer3", allow_random_frozen=True, size=128, train_size=96
    )
    assert "2,782,784 params" in lines["freeze"]
    assert facts["frozen"] == 2_782_784
    assert facts["trainable"] == 8_393_728 + 4 * 513
    assert lines["sizes"] == "96 x 96 in training, 128 x 128 in evaluation"
    assert lines["frozen part"].startswith("cut after layer3: 256x8x8 float32; train computed")
    assert lines["optimizer"].startswith("sgd, ")
    assert "run" not in lines  # nothing is written


def test_what_is_not_the_case_has_no_line():
    lines, _ = live("tutorials/lenet")
    assert not {"sizes", "sharded", "compiling", "frozen part"} & set(lines)
