"""LeNet on scanned digits by its own recipe: from nothing to 97 % and more in seconds."""

from __future__ import annotations

import pytest


@pytest.mark.slow
def test_lenet_reads_digits_that_it_has_never_seen(tmp_path):
    import zoo

    run = zoo.train("lenet", data="digits", set={"output.dir": str(tmp_path), "data.workers": 0})
    assert run.metrics["n"] == 397
    assert run.metrics["top1"] >= 0.97


def test_the_perceptron_learns_them_too(tmp_path):
    import zoo

    run = zoo.train(
        "tutorials/mlp",
        data="digits",
        epochs=4,
        set={
            "output.dir": str(tmp_path),
            "data.workers": 0,
            "device.threads": 1,
            "optim.name": "adamw",
            "optim.lr": 0.001,
        },
    )
    assert run.metrics["top1"] > 0.85
