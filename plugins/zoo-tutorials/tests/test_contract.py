"""Everything that zoo asks of a plugin, with the data sets drawn in their own layout."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from pathlib import Path

from PIL import Image

from zoo.testing import plugin_contract

ROOT = Path(tempfile.mkdtemp(prefix="zoo-tutorials-"))
atexit.register(shutil.rmtree, ROOT, ignore_errors=True)


def draw() -> dict[str, str]:
    """Cats and dogs in one flat folder; ants and bees in a folder each."""
    (ROOT / "pets" / "train").mkdir(parents=True)
    for number in range(10):
        for kind, colour in (("cat", 200), ("dog", 60)):
            image = Image.new("RGB", (24, 20), (colour, 10 * number, 90))
            image.save(ROOT / "pets" / "train" / f"{kind}.{number}.jpg")
    for split in ("train", "val"):
        for kind, colour in (("ants", 60), ("bees", 220)):
            folder = ROOT / "insects" / split / kind
            folder.mkdir(parents=True)
            for number in range(3):
                Image.new("RGB", (24, 20), (colour, 9 * number, 9)).save(folder / f"{number}.jpg")
    return {"cats-dogs": str(ROOT / "pets"), "ants-bees": str(ROOT / "insects")}


test_contract = plugin_contract("tutorials", roots=draw())
