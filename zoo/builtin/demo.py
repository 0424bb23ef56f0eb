"""The generated demo set: any number of classes up to 1,008, no file, no download.

A class is a shape, a texture and a colour (``striped-teal-ring``). Place, scale, turn, light,
background and noise vary from image to image, so a network has something to learn and can learn
it. Image ``(class, index)`` is a pure function of ``seed``: the same pixels on every machine,
whatever was generated before.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from zoo.plugin import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    Field = Any

SHAPES: Final = (
    "disc", "ring", "square", "frame", "triangle", "star",
    "cross", "saltire", "hexagon", "crescent", "bar", "dome",
)  # fmt: skip
TEXTURES: Final = ("plain", "striped", "banded", "checked", "dotted", "hatched", "ringed")
COLOURS: Final[dict[str, tuple[int, int, int]]] = {
    "red": (214, 39, 40),
    "orange": (245, 130, 32),
    "yellow": (240, 212, 40),
    "lime": (150, 212, 40),
    "green": (34, 140, 60),
    "teal": (20, 150, 140),
    "cyan": (60, 210, 235),
    "blue": (40, 80, 215),
    "violet": (125, 60, 190),
    "magenta": (225, 50, 170),
    "pink": (250, 165, 190),
    "brown": (120, 72, 36),
}
LIMIT: Final = len(SHAPES) * len(TEXTURES) * len(COLOURS)
_MIX: Final = 0x9E3779B97F4A7C15


def traits(label: int) -> tuple[str, str, str]:
    """Texture, colour and shape of a class; neighbouring classes differ in all three.

    Args:
        label: Class index, below :data:`LIMIT`.
    """
    shape, rest = label % len(SHAPES), label // len(SHAPES)
    row, block = rest % len(COLOURS), rest // len(COLOURS)
    colour = (row + 5 * shape) % len(COLOURS)
    texture = (block + shape + row) % len(TEXTURES)
    return TEXTURES[texture], tuple(COLOURS)[colour], SHAPES[shape]


class Demo:
    """Generated images, map-style: ``(H, W, 3)`` uint8 arrays and class indices.

    Args:
        root: Not used; every data set takes it.
        split: ``train`` or ``val``.
        transform: Applied to the array if given.
        download: Not used; nothing is downloaded.
        classes: Number of classes, 1 to :data:`LIMIT`.
        per_class: Images per class, both splits together; a fifth of them (at least one) is
            ``val``.
        size: Height and width in pixels.
        seed: Other images of the same classes.

    Raises:
        UsageError: An option is out of range or the split is unknown.
    """

    def __init__(
        self,
        root: str | None = None,
        split: str = "train",
        transform: Callable[[Any], Any] | None = None,
        download: bool = False,
        *,
        classes: int = 10,
        per_class: int = 5,
        size: int = 96,
        seed: int = 0,
    ) -> None:
        del root, download
        _check(split, classes, per_class, size)
        held_out = max(1, round(per_class * 0.2))
        kept = per_class - held_out
        span = range(kept) if split == "train" else range(kept, per_class)
        self.split, self.size, self.seed, self.transform = split, size, seed, transform
        self.classes = tuple("-".join(traits(label)) for label in range(classes))
        self.numbers = [number for _ in range(classes) for number in span]
        self.labels = [label for label in range(classes) for _ in span]
        self.keys = [
            f"demo/{split}/{self.classes[label]}/{number}"
            for label, number in zip(self.labels, self.numbers, strict=True)
        ]
        self.fingerprint = f"demo-1:{split}:{classes}:{per_class}:{size}:{seed}"

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        """Give image ``(H, W, 3)`` and class index."""
        label = self.labels[index]
        image: Any = render(label, self.numbers[index], size=self.size, seed=self.seed)
        return (self.transform(image) if self.transform else image), label


def _check(split: str, classes: int, per_class: int, size: int) -> None:
    if split not in ("train", "val"):
        raise UsageError(f"demo has no split {split!r}", hint="it has train and val")
    if not 1 <= classes <= LIMIT:
        raise UsageError(
            f"demo draws 1 to {LIMIT} classes, not {classes}",
            hint="--data FOLDER for your own images",
        )
    if per_class < 2:
        raise UsageError(
            f"demo needs 2 images per class or more (one to train on, one to validate), "
            f"not {per_class}",
            hint="--data-option per_class=5",
        )
    if not 8 <= size <= 4096:
        raise UsageError(f"demo draws 8 to 4096 pixels, not {size}")


def render(label: int, number: int, *, size: int = 96, seed: int = 0) -> NDArray[np.uint8]:
    """Draw one image.

    Args:
        label: Class index.
        number: Which image of the class.
        size: Height and width in pixels.
        seed: Seed of all images.

    Returns:
        uint8 ``(size, size, 3)``.
    """
    import numpy as np

    bits = np.random.Philox(key=[seed * _MIX % 2**64, (label << 32) + number])
    draws = (bits.random_raw(16) >> np.uint64(40)).astype(np.float32) / np.float32(2**24)
    texture, colour, shape = traits(label)
    x, y = _grid(size)
    turn = (draws[0] - 0.5) * 0.5
    scale = 0.5 + 0.3 * draws[1]
    dx, dy = ((draws[2:4] * 2 - 1) * (1 - scale) * 0.9).tolist()
    cos, sin = float(np.cos(turn)) / scale, float(np.sin(turn)) / scale
    u = (x - dx) * cos + (y - dy) * sin
    v = (y - dy) * cos - (x - dx) * sin
    soft = size * float(scale) / 2
    inside = np.clip(_shape(shape, u, v) * soft + 0.5, 0, 1)[..., None]
    weave = np.clip(_texture(texture, u, v) * soft * 0.3 + 0.5, 0, 1)[..., None]
    ink = np.array(COLOURS[colour], np.float32) * (0.85 + 0.3 * draws[4])
    thread = ink * 0.35 if draws[5] < 0.5 else ink * 0.3 + 178
    figure = ink + (thread - ink) * weave
    ground = 70 + 130 * draws[6] + (draws[7:10] - 0.5) * 50
    slope = (x * (draws[10] - 0.5) + y * (draws[11] - 0.5))[..., None] * 60
    light = 0.9 + 0.2 * draws[12]
    raw = bits.random_raw((size * size * 3 + 7) // 8).view(np.uint8)[: size * size * 3]
    grain = (raw.reshape(size, size, 3).astype(np.float32) - 127.5) * (0.02 + 0.1 * draws[13])
    image = (ground + slope) * (1 - inside) + figure * inside
    drawn: NDArray[np.uint8] = np.clip(image * light + grain, 0, 255).astype(np.uint8)
    return drawn


@lru_cache(maxsize=4)
def _grid(size: int) -> tuple[Field, Field]:
    """Pixel centres in -1..1: x ``(1, size)`` and y ``(size, 1)``."""
    import numpy as np

    line = ((np.arange(size, dtype=np.float32) + 0.5) * 2 / size - 1).astype(np.float32)
    return line[None, :], line[:, None]


def _shape(name: str, u: Field, v: Field) -> Field:
    """How far inside the shape a point is: above 0 inside; ``(H, W)`` each."""
    import numpy as np

    r = np.hypot(u, v)
    box = np.maximum(np.abs(u), np.abs(v))
    if name == "disc":
        return 0.9 - r
    if name == "ring":
        return 0.26 - np.abs(r - 0.66)
    if name == "square":
        return 0.78 - box
    if name == "frame":
        return 0.17 - np.abs(box - 0.66)
    if name == "triangle":
        return np.minimum(0.7 - v, (v + 0.9) * 0.45 - np.abs(u) * 0.87)
    if name == "star":
        angle = np.arctan2(u, -v)
        return 0.62 + 0.3 * np.cos(5 * angle) - r
    if name == "cross":
        return np.minimum(0.26 - np.minimum(np.abs(u), np.abs(v)), 0.88 - box)
    if name == "saltire":
        arm = np.minimum(np.abs(u - v), np.abs(u + v)) * 0.7
        return np.minimum(0.22 - arm, 0.8 - box)
    if name == "hexagon":
        return 0.78 - np.maximum(np.abs(u) * 0.87 + np.abs(v) * 0.5, np.abs(v))
    if name == "crescent":
        return np.minimum(0.9 - r, np.hypot(u - 0.45, v) - 0.68)
    if name == "bar":
        return np.minimum(0.92 - np.abs(u), 0.32 - np.abs(v))
    return np.minimum(0.92 - np.hypot(u, v - 0.4), 0.4 - v)  # dome


def _texture(name: str, u: Field, v: Field) -> Field:
    """Above 0 where the second tone is; ``(H, W)`` each."""
    import numpy as np

    k = np.float32(14.0)
    if name == "plain":
        return np.full_like(u * v, -9.0)
    if name == "striped":
        return np.sin(k * u) + 0 * v
    if name == "banded":
        return np.sin(k * v) + 0 * u
    if name == "checked":
        return np.sin(k * 0.8 * u) * np.sin(k * 0.8 * v)
    if name == "dotted":
        return np.cos(k * u) + np.cos(k * v) - 0.7
    if name == "hatched":
        return np.sin(k * 0.8 * (u + v))
    return np.sin(k * np.hypot(u, v))  # ringed
