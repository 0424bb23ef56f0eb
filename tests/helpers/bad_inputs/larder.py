"""What many cases start from, made once: a finished run, plain weights, damaged copies."""

from __future__ import annotations

import functools
import shutil
from dataclasses import dataclass
from pathlib import Path

from bad_inputs.case import DEMO, LENET, Kitchen
from starts import random_weights


@dataclass(eq=False)
class Larder:
    """Made on first use.

    Attributes:
        shelf: A folder to keep things in.
    """

    shelf: Path

    @functools.cached_property
    def run(self) -> Path:
        """The folder of a finished run of LeNet, two epochs, all states kept."""
        kitchen = Kitchen(self.shelf / "home")
        kitchen.here.mkdir(parents=True)
        done = kitchen.zoo("train", LENET, "--name", "one", *DEMO, "--epochs", 2)
        assert done.code == 0, done.said
        return kitchen.here / "runs" / "one"

    @functools.cached_property
    def plain(self) -> Path:
        """Plain weights of LeNet for ten classes, from nobody."""
        return random_weights(self.shelf / "lenet.safetensors", "lenet")

    def copy_run(self, here: Path, *, finished: bool = False) -> Path:
        """A copy of the run that can be resumed."""
        target = here / "runs" / "one"
        shutil.copytree(self.run, target)
        if not finished:
            (target / "result.json").unlink()
        return target
