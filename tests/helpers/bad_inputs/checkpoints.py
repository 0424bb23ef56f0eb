"""77 to 89: weights and states."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import torch
from bad_inputs.case import DEMO, LENET, Answer, Case, Kitchen
from bad_inputs.images import nothing_was_made
from pictures import folder
from safetensors.torch import load_file, save_file

MARK = "exploded"


def predict(name: str = "w.safetensors"):
    return ("predict", name, "set")


def start(name: str = "w.safetensors"):
    return ("finetune", LENET, "--weights", f"file:{name}", *DEMO)


def changed(change, command=start):
    """A copy of the run's best weights with its bytes changed."""

    def make(kitchen: Kitchen):
        data = bytearray((kitchen.larder.run / "model.safetensors").read_bytes())
        kitchen.write("w.safetensors", bytes(change(data)))
        folder(kitchen.here / "set", each=1)
        return command()

    return make


def flip(data: bytearray) -> bytearray:
    data[-1000] ^= 4
    return data


def newer(kitchen: Kitchen):
    """The same weights with a record of a later format."""
    from zoo.core.metadata import read_header

    path = kitchen.larder.run / "model.safetensors"
    text = read_header(path).metadata["zoo"].replace('"format_version":1', '"format_version":99')
    save_file(load_file(path), kitchen.here / "w.safetensors", {"zoo": text})
    return start()


def foreign(kitchen: Kitchen):
    save_file(load_file(kitchen.larder.plain), kitchen.here / "w.safetensors")
    folder(kitchen.here / "set", each=1)
    return predict()


def other_model(kitchen: Kitchen):
    path = kitchen.larder.run / "model.safetensors"
    return ("finetune", "resnet18", "--weights", f"file:{path}", *DEMO)


def other_head(kitchen: Kitchen):
    """Ten outputs, three classes: the head is replaced, and it is said."""
    weights = f"file:{kitchen.larder.plain}"
    return ("finetune", LENET, "--weights", weights, *DEMO, "--dry-run=full")


class Bomb:
    """Says so if anybody unpickles it."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


def renamed_pickle(kitchen: Kitchen):
    bomb = Bomb(kitchen.here / MARK)
    torch.save({"fc.weight": torch.zeros(2), "bomb": bomb}, kitchen.here / "w.safetensors")
    return start()


def evil_pickle(kitchen: Kitchen):
    kitchen.write("w.pth", pickle.dumps(Bomb(kitchen.here / MARK)))
    return ("import", "w.pth", "--as", LENET)


def not_run(kitchen: Kitchen, answer: Answer) -> None:
    assert not (kitchen.here / MARK).exists(), "the payload ran"
    nothing_was_made(kitchen, answer)


def damaged_state(kitchen: Kitchen):
    """The newest state of a run has a flipped bit: the one before it is used."""
    states = sorted((kitchen.larder.copy_run(kitchen.here) / "checkpoints").iterdir())
    assert len(states) > 1
    data = bytearray(states[-1].read_bytes())
    states[-1].write_bytes(flip(data))
    return ("resume", "one")


def went_on(kitchen: Kitchen, answer: Answer) -> None:
    assert (kitchen.here / "runs" / "one" / "result.json").is_file(), "it did not finish"


def lfs(data: bytearray) -> bytes:
    return b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"


def bad(number: int, has: str, change, *words: str) -> Case:
    said = ("w.safetensors", *words)
    return Case(number, has, changed(change), 5, said, after=nothing_was_made)


CASES = [
    bad(77, "truncated weights", lambda d: d[: len(d) // 2], "damaged"),
    bad(78, "weights of 0 bytes", lambda d: b"", "empty"),
    Case(79, "a flipped bit in the newest state of a run", damaged_state, 0,
         ("is not usable", "going back to step"), after=went_on),
    bad(80, "weights with a tail of zeros", lambda d: d[:-4096] + bytes(4096), "damaged"),
    bad(81, "a git-lfs pointer", lfs, "git-lfs pointer", "git lfs pull"),
    bad(82, "a web page", lambda d: b"<!DOCTYPE html><html>login</html>", "HTML page"),
    bad(83, "a header that claims 10 GB", lambda d: (10**10).to_bytes(8, "little") + d[8:],
        "truncated or not a safetensors file"),
    Case(84, "a pickle called .safetensors", renamed_pickle, 5, ("pickle", "zoo import"),
         after=not_run),
    Case(85, "weights that zoo did not write", foreign, 5,
         ("was not written by zoo", "zoo import")),
    Case(86, "a format of the future", newer, 5, ("format 99 is newer", "pip install -U")),
    Case(87, "weights of another model", other_model, 5,
         ("are of tutorials/lenet, not of resnet18", "zoo finetune tutorials/lenet"),
         after=nothing_was_made),
    Case(88, "weights with another head", other_head, 0, ("10", "3"), after=nothing_was_made),
    Case(89, "a pickle with a payload", evil_pickle, 5, ("w.pth", "pickle", "run its code"), after=not_run),
]  # fmt: skip
