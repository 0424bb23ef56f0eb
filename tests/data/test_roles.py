import pytest

from zoo.core.recipe import DataPart
from zoo.core.specs import DatasetSpec
from zoo.data.roles import choose, pick
from zoo.errors import DataError


def test_the_split_that_is_judged():
    assert pick(("train", "validation", "test"), "val") == "validation"
    assert pick(("train", "test", "extra"), "val") == "test"
    assert pick(("train",), "val") == "train"
    assert pick(("train", "test"), "test") == "test"
    assert pick(("train", "test"), "dev") is None


def test_roles_need_no_data():
    spec = DatasetSpec(name="odd", target="x:y", splits=())
    assert choose(spec, DataPart(), ("train", "val", "test")) == {
        "train": "train", "val": "val", "test": "test",
    }  # fmt: skip


def test_nothing_to_train_on():
    spec = DatasetSpec(name="odd", target="x:y", splits=())
    with pytest.raises(DataError, match="nothing to train on: it has test"):
        choose(spec, DataPart(), ("test",))
