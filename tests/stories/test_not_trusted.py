"""Nothing from a file runs, leaves its folder, or steers the terminal: names, tables, metadata."""

from __future__ import annotations

import json
import os
import sys

import pytest
from bad_inputs.case import LENET, QUICK, Kitchen
from bad_inputs.larder import Larder
from fuzzing import check
from pictures import folder, jpeg, png, put

from zoo.core.metadata import read_header
from zoo.engine.saving import tensorfile

NASTY = ["\x1b[2J\x1b[31mcat", "dog\nerror: forged", "emu\x9b31m", "yak\u202ekay", "ox\r\x08\x07"]


@pytest.fixture(scope="module")
def larder(tmp_path_factory):
    return Larder(tmp_path_factory.mktemp("larder"))


@pytest.fixture
def kitchen(tmp_path, larder):
    return Kitchen(tmp_path, larder)


def harmless(answer, code=0):
    check(answer, frozenset({code}))
    for sign in ("\x1b", "\x9b", "\u202e", "\r", "\x08", "\x07"):
        assert sign not in answer.said, repr(sign)
    assert not any(line.startswith("error: forged") for line in answer.said.splitlines())


def test_class_names_do_not_reach_the_terminal_as_they_are(kitchen):
    """Folders with such names are made, examined, trained on, judged and predicted."""
    folder(kitchen.here / "set", NASTY, each=3)
    train = ("train", LENET, "--data", "set", "--size", 32, "--batch-size", 5, "--epochs", 1)
    harmless(kitchen.zoo("doctor", "set"))
    harmless(kitchen.zoo(*train, "--dry-run"))
    harmless(kitchen.zoo(*train, *QUICK, "--name", "one", "--metric", "f1"))
    harmless(kitchen.zoo("eval", "one", "--device", "cpu"))
    harmless(kitchen.zoo("predict", "one", "set", "--device", "cpu"))
    harmless(kitchen.zoo("runs"))
    told = kitchen.zoo("predict", "one", "set", "--device", "cpu", "--json")
    harmless(told)
    assert {row["actual"] for row in json.loads(told.out)} == set(NASTY)
    harmless(kitchen.zoo("explain", "one", "set", "--device", "cpu"))
    harmless(kitchen.zoo("explain", "one", "set", "--class", NASTY[0], "--device", "cpu"))
    like = ("--like", f"set/{NASTY[0]}/0.jpg", "--out", "e.csv")
    harmless(kitchen.zoo("embed", "one", "set", *like, "--device", "cpu"))
    put(kitchen.here / "set" / NASTY[0] / "bad.jpg", b"")
    harmless(kitchen.zoo("doctor", "set"), 3)
    harmless(kitchen.zoo(*train), 3)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_names_that_are_no_text_are_spelled_out(kitchen):
    """A folder from an old disk: its names are not UTF-8."""
    folder(kitchen.here / "set", each=3)
    odd = os.path.join(os.fsencode(kitchen.here / "set"), b"caf\xe9")
    os.mkdir(odd)
    for number in range(3):
        with open(os.path.join(odd, b"\xff%d.jpg" % number), "wb") as file:
            file.write(jpeg(60 + number))
    train = ("train", LENET, "--data", "set", "--size", 32, "--batch-size", 5, "--epochs", 1)
    for command in (("doctor", "set"), (*train, "--dry-run"), (*train, *QUICK, "--name", "one")):
        answer = kitchen.zoo(*command)
        check(answer, frozenset({0, 3}))
    if answer.code == 0:
        check(kitchen.zoo("predict", "one", "set", "--device", "cpu"), frozenset({0}))


def test_a_terminal_without_the_letters_gets_their_numbers(kitchen):
    folder(kitchen.here / "set", ["猫", "犬"])
    kitchen.env |= {"PYTHONIOENCODING": "ascii", "ZOO_PLUGINS": ""}
    answer = kitchen.zoo("train", "resnet18", "--data", "set/nowhere-猫", "--dry-run", alone=True)
    check(answer, frozenset({3}))
    assert "\\u732b" in answer.err


@pytest.mark.parametrize(
    "entry", ["../secret.jpg", "/etc/hostname", "cat/../../secret.jpg", "cat/\0.jpg", "~/x.jpg"]
)
def test_paths_of_a_table_stay_below_its_folder(kitchen, entry):
    folder(kitchen.here / "set", each=2)
    put(kitchen.here / "secret.jpg", jpeg(77))
    kitchen.write("set/set.csv", f"path,label\ncat/0.jpg,cat\ndog/0.jpg,dog\n{entry},dog\n")
    answer = kitchen.zoo("doctor", "set/set.csv")
    check(answer, frozenset({3}))
    if not entry.startswith("~"):
        assert "leads out of the table's folder" in answer.said
        assert "line 4" in answer.said


def test_links_and_roundabout_paths_inside_a_table_are_followed(kitchen):
    folder(kitchen.here / "set", each=2)
    put(kitchen.here / "store" / "a.jpg", jpeg(77))
    (kitchen.here / "set" / "cat" / "l.jpg").symlink_to(kitchen.here / "store" / "a.jpg")
    rows = ("cat/l.jpg,cat", "dog/../cat/0.jpg,cat", f"{kitchen.here}/set/dog/1.jpg,dog")
    kitchen.write("set/set.csv", "\n".join(["path,label", *rows, "dog/0.jpg,dog"]))
    answer = kitchen.zoo("doctor", "set/set.csv")
    check(answer, frozenset({0}))
    assert "4 images in 2 classes" in answer.out


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 32 24\n%%EndComments\n(x) print\n%%EOF\n"


def test_no_other_program_is_started_for_an_image(kitchen):
    """Pillow would hand an EPS to Ghostscript, whatever the file is called."""
    kitchen.write("bin/gs", f"#!/bin/sh\ntouch {kitchen.here}/ran\n").chmod(0o755)
    kitchen.env |= {"PATH": f"{kitchen.here}/bin:{os.environ['PATH']}", "ZOO_PLUGINS": ""}
    root = folder(kitchen.here / "set", each=2)
    for name in ("a.jpg", "a.png", "a.tif", "a"):
        put(root / "cat" / name, EPS)
    answer = kitchen.zoo("doctor", "set", alone=True)
    check(answer, frozenset({3}))
    assert "'a.jpg'" in answer.out or "a.jpg: no image in any format" in answer.out
    assert not (kitchen.here / "ran").exists()


def rewritten(kitchen, change):
    """The run's weights with another record in them."""
    path = kitchen.larder.run / "model.safetensors"
    info = json.loads(read_header(path).metadata["zoo"])
    change(info)
    tensors, _ = tensorfile.read(path)
    tensorfile.write(kitchen.here / "w.safetensors", tensors, {"zoo": json.dumps(info)})


EVIL = [
    ("model", lambda info: info.update(model="evil:boom")),
    ("model path", lambda info: info.update(model="evil/boom")),
    ("plugin", lambda info: info.update(plugin="evil==1")),
    ("loss", lambda info: info["recipe"]["loss"].update(name="evil:boom")),
    ("optimizer", lambda info: info["recipe"]["optim"].update(name="evil:boom")),
    ("transform", lambda info: info["recipe"]["data"].update(eval_transform="evil:boom")),
    ("metric", lambda info: info["recipe"]["output"].update(metrics=["evil:boom"])),
    ("data", lambda info: info["recipe"]["data"].update(source="evil:boom")),
]


@pytest.mark.parametrize(("what", "change"), EVIL, ids=[name for name, _ in EVIL])
def test_metadata_imports_nothing(kitchen, what, change, monkeypatch):
    """The module that it names lies where Python would find it."""
    mark = kitchen.here / "imported"
    kitchen.write("evil.py", f"open({str(mark)!r}, 'w').close()\ndef boom(*a, **k): pass\n")
    monkeypatch.syspath_prepend(str(kitchen.here))
    rewritten(kitchen, change)
    folder(kitchen.here / "set", each=1)
    check(kitchen.zoo("predict", "w.safetensors", "set", "--device", "cpu"))
    check(kitchen.zoo("eval", "w.safetensors", "--device", "cpu"))
    assert not mark.exists(), what
    assert "evil" not in sys.modules


@pytest.mark.parametrize(
    "options", [{"weights": "DEFAULT"}, {"checkpoint_path": "evil.pth"}, {"pretrained": True}]
)
def test_metadata_makes_no_library_load_files(kitchen, options):
    rewritten(kitchen, lambda info: info.update(options=options))
    put(kitchen.here / "a.png", png())
    answer = kitchen.zoo("predict", "w.safetensors", "a.png", "--device", "cpu")
    check(answer, frozenset({5}))
    assert "would load something else" in answer.error
    assert answer.hint == "do not trust this file"
