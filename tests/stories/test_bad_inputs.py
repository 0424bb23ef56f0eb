"""The 103 bad inputs, each through the real command line: exit code, words, a way on, no trace.

The rows are in tests/helpers/bad_inputs; ``python tests/bench/inputs.py`` prints them with
what came out. Most commands run in this process through ``zoo.cli.main.main``, which is all that
``python -m zoo`` calls; those that are about the process itself run in one of their own.
"""

from __future__ import annotations

import pytest
from bad_inputs.case import Kitchen
from bad_inputs.larder import Larder
from bad_inputs.table import CASES, GROUPS, cannot

SLOW = {75, 91, 94, 95, 96, 97}


@pytest.fixture(scope="session")
def larder(tmp_path_factory):
    return Larder(tmp_path_factory.mktemp("larder"))


@pytest.fixture
def kitchen(tmp_path, larder):
    return Kitchen(tmp_path, larder)


def test_every_number_from_1_to_103_has_one_row():
    assert [case.number for case in CASES] == list(range(1, 104))


@pytest.mark.parametrize(
    "case",
    [pytest.param(c, marks=[pytest.mark.slow] if c.number in SLOW else []) for c in CASES],
    ids=lambda case: case.label,
)
def test_it_comes_out_as_it_has_to(case, kitchen):
    if why := cannot(case):
        pytest.skip(why)
    answer = case.run(kitchen)
    assert case.problems(kitchen, answer) == [], answer.said


@pytest.mark.parametrize("number", [1, 26, 47, 49])
def test_a_process_of_its_own_says_the_same(number, kitchen):
    """The sentence above, checked: both ways give the same code and the same text."""
    (case,) = [case for case in CASES if case.number == number]
    command = case.make(kitchen)
    here = kitchen.zoo(*command)
    alone = kitchen.zoo(*command, alone=True)
    assert alone == here


@pytest.mark.parametrize("group", GROUPS)
def test_no_group_expects_nothing(group):
    """A row without words must at least look at what is left."""
    for case in GROUPS[group]:
        assert case.words or case.after, case.label
