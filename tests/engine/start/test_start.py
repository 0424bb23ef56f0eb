"""zoo.engine.start.start: what a model is built and filled from."""

from dataclasses import replace

import pytest

from zoo.core import registry
from zoo.core.metadata import CheckpointInfo
from zoo.core.specs import ModelSpec
from zoo.engine.start.start import from_info, input_of
from zoo.errors import CheckpointError

INFO = CheckpointInfo(model="tutorials/lenet", num_classes=7, classes=tuple("abcdefg"))


def start(info, spec=None, options=None):
    return from_info(info, {}, registry.load(), spec, options or {}, {"run": "", "source": "here"})


def test_a_checkpoint_says_what_it_starts_from():
    made = start(replace(INFO, options={"a": 1, "b": 1}), options={"b": 2})
    assert (made.spec.qualified, made.num_classes, made.classes) == (
        "tutorials/lenet",
        7,
        INFO.classes,
    )
    assert made.options == {"a": 1, "b": 2}
    assert made.record == {"source": "here"}
    assert made.input == input_of(made.spec)
    assert made.pretrained


def test_a_checkpoint_may_not_have_other_files_loaded():
    with pytest.raises(CheckpointError, match="asks for tutorials/lenet with checkpoint_path"):
        start(replace(INFO, options={"checkpoint_path": "/etc/passwd"}))


@pytest.mark.parametrize("surgery", [{"project": "x"}, {"project": [0]}, {"in_channels": 99_999}])
def test_a_damaged_record_of_surgery(surgery):
    with pytest.raises(CheckpointError, match="surgery record is damaged"):
        start(replace(INFO, surgery=surgery))


def test_weights_of_another_model():
    with pytest.raises(CheckpointError, match="are of tutorials/lenet, not of tutorials/mlp"):
        start(INFO, registry.load().model("tutorials/mlp"))


def test_a_model_without_an_input_takes_the_usual_one():
    assert input_of(ModelSpec(name="m", target="a:b")).size == (3, 224, 224)
