"""``zoo benchmark``: how fast models are on this machine."""

import json

import pytest

from zoo.cli.benchmark import _guess, _named
from zoo.errors import UnknownNameError

SMALL = ("--batch-size", "4", "--size", "32", "--device", "cpu", "--threads", "1", "--seconds", "0")


def test_one_model(zoo):
    code, out, err = zoo("benchmark", "tutorials/lenet", *SMALL)
    assert code == 0, err
    head, row = out.splitlines()
    assert head.split()[:4] == ["MODEL", "PIXELS", "PRECISION", "PARAMS"]
    assert row.startswith("tutorials/lenet  32 x 32  fp32")
    assert row.endswith(" MB")
    assert "cpu, 1 thread, batches of 4" in err


def test_as_json_and_without_training(zoo):
    code, out, _ = zoo("benchmark", "tutorials/lenet", "--no-train", "--json", *SMALL)
    (row,) = json.loads(out)
    assert code == 0
    assert row["train"] is None
    assert row["predict"] > 0
    assert row["size"] == [1, 32, 32]


def test_several_are_measured_apart_and_what_fails_is_named_at_the_end(shell):
    done = shell("benchmark", "tutorials/lenet", "alexnet", "--no-channels-last", *SMALL)
    assert done.returncode == 1
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["MODEL", "tutorials/lenet"]
    assert "1/2  tutorials/lenet" in done.stderr
    assert "alexnet: alexnet does not take images of 3 x 32 x 32" in done.stderr
    assert "(--size N with larger images, " in done.stderr
    assert "Traceback" not in done.stderr


def test_patterns_stand_for_models():
    assert _named(("tutorials/le*", "resnet18", "tutorials/lenet")) == [
        "tutorials/lenet",
        "resnet18",
    ]
    assert {"resnet18", "resnet101", "timm/resnet10t"} < set(_named(("resnet1*",)))
    with pytest.raises(UnknownNameError, match="called like 'nothing"):
        _named(("nothing*",))


def test_how_long_it_takes_is_said_before():
    assert _guess(2.0, train=True) == 12
    assert _guess(0.0, train=False) == 6


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("resnet81",), 2, "resnet18"),
        (("resnet18", "--device", "gpu"), 2, "is not a device"),
        (("resnet18", "--batch-size", "0"), 2, "--batch-size"),
        (("run:nobody",), 5, "no run 'nobody'"),
        (("resnet18:nope",), 2, "has no weights 'nope'"),
        ((), 2, "MODELS"),
    ],
)
def test_what_is_wrong_is_said_at_once(zoo, words, code, said):
    found, _, err = zoo("benchmark", *words)
    assert found == code
    assert said in err
