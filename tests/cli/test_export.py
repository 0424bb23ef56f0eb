"""``zoo export`` as people type it."""

from __future__ import annotations

import json

import pytest


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    import zoo

    return zoo.train(
        "tutorials/lenet",
        data="digits",
        epochs=1,
        set={
            "output.dir": str(tmp_path_factory.mktemp("runs")),
            "optim.warmup": 0,
            "data.workers": 0,
            "device.threads": 1,
        },
    ).dir


def test_a_run_is_written_beside_its_weights(zoo, run):
    code, out, err = zoo("export", run)
    assert code == 0, err
    assert (run / f"{run.name}.pt2").is_file()
    assert "32 of 32 images get the same label" in out
    assert "at batch 1 and 5" in out


def test_json_is_one_document(zoo, run, tmp_path):
    code, out, _ = zoo(
        "export",
        run,
        "--format",
        "onnx",
        "--option",
        "opset=20",
        "--out",
        tmp_path,
        "--check",
        "4",
        "--json",
    )
    assert code == 0
    result = json.loads(out)
    assert result["format"] == "onnx"
    assert result["agreement"]["same"] == 4
    assert result["path"].endswith(".onnx")


def test_no_images_is_said(zoo, run, tmp_path):
    code, out, err = zoo("export", run, "--format", "safetensors", "--out", tmp_path, "--check", 0)
    assert code == 0
    assert "labels" not in out
    assert "not compared on images, as asked" in err


@pytest.mark.parametrize(
    ("flags", "code"),
    [
        (("--format", "onxx"), 2),
        (("--option", "opset"), 2),
        (("--option", "nothing=1"), 2),
        (("--format", "onnx", "--out", "m.pt2"), 2),
        (("--tolerance", "-1"), 2),
    ],
)
def test_wrong_requests_are_usage_errors(flags, code, zoo, run):
    assert zoo("export", run, *flags)[0] == code


def test_a_run_that_is_not_there_is_a_checkpoint_error(zoo, tmp_path):
    assert zoo("export", tmp_path / "nothing")[0] == 5
