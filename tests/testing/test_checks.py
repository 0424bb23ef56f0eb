"""Questions and answers: whatever happens, there is an answer."""

from __future__ import annotations

import pytest

from zoo.core.specs import LossSpec
from zoo.errors import UsageError, VerificationError
from zoo.testing.checks import Check, Settings, Skip, checks_of, require


def test_whatever_a_check_raises_is_an_answer():
    def skip():
        raise Skip("not here")

    def crash():
        raise ZeroDivisionError("by\nnothing")

    assert Check("x", "q", skip).answer().state == "skipped"
    found = Check("x", "q", crash).answer()
    assert (found.state, found.text) == ("failed", "ZeroDivisionError: by")


def test_our_own_errors_keep_their_hint():
    def refuse():
        raise UsageError("no", hint="yes")

    found = Check("x", "q", refuse).answer()
    assert (found.state, found.text, found.hint) == ("failed", "no", "yes")


def test_require_fails_with_the_exit_code_of_a_verification():
    require(1, "never said")
    with pytest.raises(VerificationError, match="said") as caught:
        require([], "said", hint="edit")
    assert (caught.value.exit_code, caught.value.hint) == (11, "edit")


def test_parts_are_wanted_by_name_or_kind():
    spec = LossSpec(name="focal", target="a:b", plugin="mine")
    assert Settings().wants("loss", spec)
    assert Settings(parts=("mine/*",)).wants("loss", spec)
    assert Settings(parts=("x", "foc?l")).wants("loss", spec)
    assert Settings(parts=("loss:*",)).wants("loss", spec)
    assert not Settings(parts=("other/*", "model:*")).wants("loss", spec)


def test_each_question_of_a_table_is_bound_to_its_own_part():
    asked = []
    table = [
        ("a", lambda spec, _: asked.append(("a", spec))),
        ("b", lambda spec, _: asked.append(("b", spec))),
    ]
    for check in [*checks_of("one", 1, Settings(), table), *checks_of("two", 2, Settings(), table)]:
        check.run()
    assert asked == [("a", 1), ("b", 1), ("a", 2), ("b", 2)]
