"""Somebody's model looks at the corner instead of the thing; a look and a search tell them so.

Every photo of a "cat" has a red mark in one corner, which no "dog" has: what is learned is the mark.
"""

import json

import numpy as np
import torch
from PIL import Image

import zoo as library

MARK = slice(3, 11)


def photos(folder, count=40):
    """Grey noise of 32 x 32 pixels; of cats with a red mark at the upper left."""
    random = np.random.default_rng(0)
    for kind in ("cat", "dog"):
        (folder / kind).mkdir(parents=True)
        for number in range(count):
            pixels = random.integers(60, 190, (32, 32, 1)).repeat(3, 2).astype(np.uint8)
            if kind == "cat":
                pixels[MARK, MARK] = (230, 30, 30)
            Image.fromarray(pixels).save(folder / kind / f"{number}.png")
    return folder


def test_the_map_points_at_the_mark_and_the_search_finds_its_like(zoo, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    photos(tmp_path / "photos")
    code, _, err = zoo(
        "train", "tutorials/catdog", "--data", "photos", "--epochs", "6", "--lr", "0.003",
        "--optimizer", "adamw", "--batch-size", "16", "--transform", "none", "--device", "cpu",
        "--threads", "1", "--name", "cats", "--json",
    )  # fmt: skip
    assert code == 0, err

    code, out, err = zoo("explain", "cats", "photos/cat", "--json")
    assert code == 0, err
    told = json.loads(out)
    assert {one["class"] for one in told} == {"cat"}
    assert all((tmp_path / one["file"]).is_file() for one in told)

    looks = library.explain("cats", ["photos/cat"], label="cat", device="cpu")
    heat = torch.stack([one.heat for one in looks]).mean(0)  # 16 x 16 places of 2 x 2 pixels
    place = divmod(int(heat.argmax()), 16)
    assert all(MARK.start // 2 - 1 <= at <= MARK.stop // 2 + 1 for at in place), place
    inside = heat[:7, :7].mean() / heat.mean()
    assert inside > 2

    code, out, err = zoo("embed", "cats", "photos", "--like", "photos/cat/7.png", "--top", "39")
    assert code == 0, err
    assert sum(line.endswith(" cat") for line in out.splitlines()) >= 37
