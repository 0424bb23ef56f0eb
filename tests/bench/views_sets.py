"""The image sets of :mod:`views`: drawn, or cut out of what comes with packages."""

from __future__ import annotations

from collections import defaultdict
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image

from zoo.builtin.demo import render
from zoo.builtin.digits import Digits

SIDE = 144
NO_PHOTOS = (
    "chessboard_GRAY", "chessboard_RGB", "color", "logo", "motorcycle_right", "phantom",
)  # fmt: skip


def grating(label: int, number: int) -> np.ndarray:
    """Two overlapping gratings, partly hidden by those of other classes; uint8 (SIDE, SIDE, 3)."""
    own = np.random.default_rng((7, 1, label))
    draw = np.random.default_rng((11, 1, label, number))
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE - 0.5

    def field(generator: np.random.Generator) -> np.ndarray:
        total = np.zeros((SIDE, SIDE))
        for _ in range(2):
            angle = generator.uniform(0, np.pi) + np.deg2rad(draw.normal(0, 5))
            pitch = generator.uniform(25, 75) * (1 + draw.normal(0, 0.05))
            wave = x * np.cos(angle) + y * np.sin(angle)
            total += np.sin(pitch * wave + draw.uniform(0, 2 * np.pi))
        return total

    pattern = field(own)
    for _ in range(3):  # patches of something else
        left, top = draw.uniform(-0.5, 0.3, 2)
        patch = (x > left) & (x < left + 0.3) & (y > top) & (y < top + 0.3)
        pattern = np.where(
            patch, field(np.random.default_rng(int(draw.integers(1 << 30)))), pattern
        )
    dark, light = draw.uniform(20, 120, 3), draw.uniform(130, 240, 3)
    share = (np.tanh(pattern * draw.uniform(0.6, 2.0)) + 1) / 2
    image = dark + (light - dark) * share[..., None] + draw.normal(0, 22, (SIDE, SIDE, 3))
    return image.clip(0, 255).astype(np.uint8)


def photographs() -> list[np.ndarray]:
    """The grey pictures that come with scikit-image, float (H, W) in 0..1; it is not imported."""
    found = find_spec("skimage")
    if found is None or not found.submodule_search_locations:
        raise SystemExit("photos: pip install --no-deps scikit-image")
    folder = Path(found.submodule_search_locations[0]) / "data"
    files = sorted(path for path in folder.iterdir() if path.suffix in (".png", ".jpg"))
    opened = {path.stem: Image.open(path).convert("L") for path in files}
    wanted = [o for name, o in opened.items() if min(o.size) >= 180 and name not in NO_PHOTOS]
    return [np.asarray(picture, dtype=np.float32) / 255 for picture in wanted]


def patch(picture: np.ndarray, part: str, draw: np.random.Generator) -> np.ndarray:
    """A turned, enlarged, badly lit part of a picture's left (train) or right; (SIDE, SIDE, 3)."""
    wide = picture.shape[1]
    edge = int(wide * 0.65)
    own = picture[:, :edge] if part == "train" else picture[:, edge:]
    size = int(min(*own.shape, SIDE) * draw.uniform(0.45, 1.0))
    top, left = (int(draw.integers(0, side - size + 1)) for side in own.shape)
    cut_out = np.rot90(own[top : top + size, left : left + size], int(draw.integers(4)))
    light = (cut_out - cut_out.mean()) / (cut_out.std() + 0.05) * draw.uniform(0.08, 0.25)
    light = (light + draw.uniform(0.35, 0.65) + draw.normal(0, 0.06, light.shape)).clip(0, 1)
    grey = Image.fromarray((255 * light).astype(np.uint8)).resize((SIDE, SIDE), 2)
    return np.stack([np.asarray(grey)] * 3, -1)


def draw_sets(root: Path, times: int) -> None:
    """Write every image: ``root/SET/train|val/CLASS/N.png``."""
    plans = {
        "base": (60, 40, 4, lambda k, n: render(300 + k, n, size=SIDE) if k < 36
                 else grating(100 + k, n)),
        "shapes": (60, 10 * times, 8, lambda k, n: render(k, n, size=SIDE)),
        "gratings": (24, 25 * times, 16, grating),
    }  # fmt: skip
    for name, (classes, few, many, make) in plans.items():
        for label in range(classes):
            for number in range(few + many):
                part = "train" if number < few else "val"
                _write(root / name / part / f"c{label:02d}" / f"{number}.png", make(label, number))
    for label, picture in enumerate(photographs()):
        for part, count in (("train", 600 * times // 18), ("val", 24)):
            for number in range(count):
                draw = np.random.default_rng((13, label, number, part == "val"))
                path = root / "photos" / part / f"c{label:02d}" / f"{number}.png"
                _write(path, patch(picture, part, draw))
    seen: dict[int, int] = defaultdict(int)
    for image, label in Digits(split="train"):
        seen[label] += 1
        part = "val" if seen[label] <= 40 else "train"
        if seen[label] <= 40 + min(60 * times, 95):
            grey = Image.fromarray(np.asarray(image)).resize((SIDE, SIDE), 3)
            path = root / "digits" / part / f"c{label:02d}" / f"{seen[label]}.png"
            _write(path, np.stack([np.asarray(grey)] * 3, -1))
    (root / "drawn").touch()


def _write(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
