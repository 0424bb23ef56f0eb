from pathlib import Path

import pytest

from zoo.core.fields import fields
from zoo.core.flags import COMMA, KEYWORDS, layer
from zoo.errors import UsageError


def test_every_keyword_means_a_field_and_no_two_mean_the_same():
    assert set(KEYWORDS.values()) <= set(fields())
    assert len(set(KEYWORDS.values())) == len(KEYWORDS)
    assert set(KEYWORDS) >= COMMA


def test_keywords_are_python_names_that_make_flags():
    for keyword in KEYWORDS:
        assert keyword.isidentifier()
        assert keyword == keyword.lower()


def test_what_is_comma_separated_holds_several():
    for keyword in COMMA:
        assert isinstance(fields()[KEYWORDS[keyword]].default, tuple)


def test_keywords_become_keys_and_none_is_not_given():
    assert layer({"lr": 0.1, "freeze_upto": "layer3", "classes": None}) == {
        "optim.lr": 0.1,
        "freeze.upto": "layer3",
    }
    assert layer({"download": False}) == {"data.download": False}


def test_one_value_is_a_list_of_one():
    assert layer({"unfreeze": "*.bn*"}) == {"freeze.unfreeze": ["*.bn*"]}
    assert layer({"project": 400}) == {"surgery.project": [400]}
    assert layer({"project": (400, 300)}) == {"surgery.project": [400, 300]}


def test_paths_become_text():
    assert layer({"data": Path("photos"), "out": Path("x")}) == {
        "data.source": "photos",
        "output.dir": "x",
    }


def test_an_unknown_keyword_names_close_ones():
    with pytest.raises(UsageError, match="no keyword 'freeze_up_to'") as caught:
        layer({"freeze_up_to": "layer3"})
    assert caught.value.hint.startswith("did you mean freeze_upto")
