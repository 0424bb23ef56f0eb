import inspect
import pickle
import re

import pytest

from zoo import errors

KINDS = [
    k for _, k in inspect.getmembers(errors, inspect.isclass) if issubclass(k, errors.ZooError)
]
CODES = {
    "UsageError": 2, "UnknownNameError": 2, "FreezeError": 2, "DataError": 3, "PluginError": 4,
    "CheckpointError": 5, "HubError": 6, "DeviceError": 7, "DiskError": 8, "NumericsError": 9,
    "BusyError": 10, "VerificationError": 11,
}  # fmt: skip


@pytest.mark.parametrize("name", CODES)
def test_every_error_has_its_exit_code(name):
    assert getattr(errors, name).exit_code == CODES[name]


def test_no_error_is_missing_above():
    assert {k.__name__ for k in KINDS} == {*CODES, "ZooError", "Interrupted"}


@pytest.mark.parametrize("kind", KINDS)
def test_the_drawn_tree_is_the_real_one(kind):
    lines = errors.__doc__.splitlines()
    (place,) = [n for n, line in enumerate(lines) if re.search(rf"\b{kind.__name__}\b +\d", line)]
    if kind is errors.ZooError:
        return
    depth = re.search(r"\w", lines[place]).start()
    above = [
        li for li in lines[:place] if re.search(r"\w", li) and re.search(r"\w", li).start() < depth
    ]
    parent = re.search(r"\w+", above[-1])[0]
    assert kind.__bases__[0].__name__ == parent
    if kind is not errors.Interrupted:
        assert int(re.search(r" (\d+) ", lines[place])[1]) == kind.exit_code


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_carries_message_and_hint_through_processes(kind):
    error = kind("wrong", hint="do this")
    assert (str(error), error.message, error.hint) == ("wrong", "wrong", "do this")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert (again.message, again.hint) == ("wrong", "do this")


def test_what_a_subclass_adds_survives_too():
    error = errors.UnknownNameError("x", suggestions=("a", "b"))
    assert pickle.loads(pickle.dumps(error)).suggestions == ("a", "b")
    stop = errors.Interrupted("x", signal=15)
    assert pickle.loads(pickle.dumps(stop)).code == 143


def test_a_signal_is_told_in_the_exit_code():
    assert errors.Interrupted("x").code == 130
    assert errors.Interrupted("x", signal=15).code == 143


@pytest.mark.parametrize("kind", KINDS)
def test_every_docstring_names_its_exit_code(kind):
    if kind is not errors.ZooError:
        assert "(exit " in kind.__doc__
