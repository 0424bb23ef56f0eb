"""zoo.core.judging: what is asked of an evaluation."""

from pathlib import Path

import pytest

from zoo.core.judging import judging
from zoo.errors import UsageError

OWN = {"device": {"precision": "bf16"}}


def test_nothing_asked_is_as_in_the_run():
    found = judging(OWN, "auto", {"data.batch_size": None, "data.source": None})
    assert found["data"] is None
    assert (found["device"].device, found["device"].precision) == ("auto", "bf16")
    assert found["changes"] == {}
    assert judging({}, "cpu", {})["device"].precision == "auto"


def test_what_is_asked_is_taken():
    given = {"data.source": Path("photos"), "data.batch_size": 3, "device.precision": "fp32"}
    found = judging(OWN, "cpu", given)
    assert (found["data"].source, found["data"].batch_size) == ("photos", 3)
    assert (found["device"].device, found["device"].precision) == ("cpu", "fp32")
    assert found["changes"] == {"data.batch_size": 3, "device.precision": "fp32"}


def test_a_wrong_value_is_refused():
    with pytest.raises(UsageError, match=r"data\.batch_size"):
        judging({}, "cpu", {"data.source": "photos", "data.batch_size": 0})


def test_other_images_are_read_as_the_runs_own_were():
    own = {"data": {"batch_size": 7, "on_bad_image": "skip", "size": 64, "source": "photos"}}
    found = judging(own, "cpu", {"data.source": "others"})["data"]
    assert (found.source, found.batch_size, found.on_bad_image) == ("others", 7, "skip")
    assert found.size is None
    assert judging(own, "cpu", {"data.source": "o", "data.batch_size": 3})["data"].batch_size == 3
