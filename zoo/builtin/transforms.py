"""Transforms on uint8 tensors: what happens to an image before the model sees it.

Each is called as ``target(input: InputSpec, **options)`` and gives a callable from uint8
``(C, H, W)`` to uint8 ``(C, height, width)`` of ``input.size``. Casting and normalising happen
once per batch on the device. Randomness comes from torch's generator, seeded for each image.

A callable may say more, and zoo then works by batch where images lie in memory: ``deterministic``
(draws nothing at random), ``batched`` (takes ``(N, C, H, W)`` too), ``draws`` (above 0: it has
``many(images, draws)``, the same for a batch, given so many numbers in 0..1 for each image),
``numbers`` (above 0: given so many numbers, those that torch's generator draws first, it does what a
call does: ``given(image, numbers)`` to one, and ``padded(images, sizes, numbers)`` to images of any
sizes on canvases of one size, on any device), ``strides`` (that many numbers may be its second
argument, and from epoch to epoch an image's move on by these: :func:`zoo.data.views.moved_on`),
``magnifies`` (how many times larger than in the whole image things are shown on average, which
``--train-size auto`` makes up for by smaller images).

============== ======== =========================== =============================================
name           stage    target                      options
============== ======== =========================== =============================================
standard       train    Standard                    scale, ratio, flip, policy, magnitude, erase,
                                                    even
light          train    Standard                    scale = [0.5, 1.0] (gentler crops)
randaugment    train    Standard                    policy = "randaugment"
trivialaugment train    Standard                    policy = "trivialaugment"
autoaugment    train    Standard                    policy = "autoaugment"
augmix         train    Standard                    policy = "augmix"
random-crop    train    RandomCrop                  padding, flip, policy, erase, even
shift          train    Shift                       fraction, turn, zoom, even (no flip: digits)
center-crop    eval     CenterCrop
squash         eval     Squash
letterbox      eval     Letterbox                   fill
none           eval     CenterCrop
mixup, cutmix  batch    Mix                         classes, alpha (method = mixup or cutmix)
============== ======== =========================== =============================================
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from zoo.builtin.parts import NUMBERS, STRIDES, random_part, random_parts, strides_if
from zoo.builtin.pixels import PADDING, center_crop, on_canvas, pad, resize, resize_parts
from zoo.builtin.policies import after_it, probability
from zoo.plugin import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from zoo.plugin import InputSpec


class CenterCrop:
    """Resize the shorter edge, then cut the centre out: how ImageNet models are judged.

    The shorter edge becomes ``input.resize / input.crop`` times the input's size, so another
    input size keeps the proportion that the weights were judged with.

    Args:
        input: Gives size, resize, crop and interpolation.
    """

    deterministic = True
    batched = True

    def __init__(self, input: InputSpec) -> None:  # noqa: A002 - the contract's word
        _, self.height, self.width = input.size
        self.zoom = input.zoom
        self.interpolation = input.interpolation

    def __call__(self, image: Tensor) -> Tensor:
        """Transform uint8 ``(..., C, H, W)`` to the input's size."""
        high, wide = image.shape[-2:]
        if self.height * wide >= self.width * high:  # as torchvision rounds: the longer edge down
            h = round(self.height * self.zoom)
            w = max(self.width, int(h * wide / high))
        else:
            w = round(self.width * self.zoom)
            h = max(self.height, int(w * high / wide))
        resized = resize(image, h, w, self.interpolation)
        return center_crop(resized, self.height, self.width)


class Squash:
    """Resize to the input's size, proportions lost, nothing cut off.

    Weights that were judged squashed and cut (``crop_mode = "squash"`` with a larger ``resize``)
    are shown that cut.

    Args:
        input: Gives size, interpolation and crop mode.
    """

    deterministic = True
    batched = True

    def __init__(self, input: InputSpec) -> None:  # noqa: A002
        _, self.height, self.width = input.size
        self.zoom = input.zoom if input.crop_mode == "squash" else 1.0
        self.interpolation = input.interpolation

    def __call__(self, image: Tensor) -> Tensor:
        """Transform uint8 ``(..., C, H, W)`` to the input's size."""
        high, wide = round(self.height * self.zoom), round(self.width * self.zoom)
        return center_crop(resize(image, high, wide, self.interpolation), self.height, self.width)


class Letterbox:
    """Resize to fit and pad the rest: proportions kept, nothing cut off.

    Args:
        input: Gives size, interpolation and crop mode.
        fill: Value of the padding, 0 to 255; ``None`` = the mean's colour where the weights were
            judged like that (``crop_mode = "border"``), else black.
    """

    deterministic = True
    batched = True

    def __init__(self, input: InputSpec, fill: int | None = None) -> None:  # noqa: A002
        _, self.height, self.width = input.size
        self.interpolation = input.interpolation
        self.zoom = input.zoom if input.crop_mode == "border" else 1.0
        self.fill = input.padding if fill is None else (fill,)

    def __call__(self, image: Tensor) -> Tensor:
        """Transform uint8 ``(..., C, H, W)`` to the input's size."""
        high, wide = image.shape[-2:]
        factor = min(self.height / high, self.width / wide) * self.zoom
        high, wide = max(1, round(high * factor)), max(1, round(wide * factor))
        fitted = resize(image, high, wide, self.interpolation)
        return on_canvas(fitted, self.height, self.width, self.fill)


class Standard:
    """Cut a random part out, resize it, mirror every other one; then a policy, then an erasure.

    Args:
        input: Gives size and interpolation.
        scale: Least and most share of the area that is cut out.
        ratio: Least and most width by height of the cut.
        flip: Probability of mirroring.
        policy: ``none``, ``randaugment``, ``trivialaugment``, ``autoaugment`` or ``augmix``.
        magnitude: Strength of ``randaugment``, 0 to 30.
        erase: Probability of erasing a rectangle.
        even: Whether sizes and places of an image's parts are spread evenly over the epochs, each
            as random as before; else they are drawn anew.

    Raises:
        UsageError: An option is out of range.
    """

    def __init__(
        self,
        input: InputSpec,  # noqa: A002
        scale: Sequence[float] = (0.08, 1.0),
        ratio: Sequence[float] = (3 / 4, 4 / 3),
        flip: float = 0.5,
        policy: str = "none",
        magnitude: int = 9,
        erase: float = 0.0,
        even: bool = True,
    ) -> None:
        _, self.height, self.width = input.size
        self.interpolation = input.interpolation
        self.scale, self.ratio = _span("scale", scale), _span("ratio", ratio)
        self.flip = probability("flip", flip)
        self.after = after_it(policy, magnitude, erase)
        self.numbers = 0 if self.after or self.interpolation == "nearest" else NUMBERS
        self.strides = strides_if(even, STRIDES)

    @property
    def magnifies(self) -> float:
        """Mean of one over the edge of the part that is cut out, the whole being 1."""
        low, high = math.sqrt(self.scale[0]), math.sqrt(self.scale[1])
        return 2 / (low + high)

    def __call__(self, image: Tensor, numbers: Tensor | None = None) -> Tensor:
        """Transform uint8 ``(C, H, W)`` to the input's size, by ``numbers`` ``(23,)`` or drawn ones."""
        drawn = torch.rand(NUMBERS)  # in any case: what comes after draws behind them
        part = self.given(image, drawn if numbers is None else numbers)
        return self.after(part) if self.after else part

    def given(self, image: Tensor, numbers: Tensor) -> Tensor:
        """Cut, resize and mirror uint8 ``(C, H, W)`` as ``numbers`` ``(23,)`` in 0..1 say."""
        high, wide = image.shape[-2:]
        top, left, high, wide, mirror = random_part(
            high, wide, self.scale, self.ratio, numbers.tolist()
        )
        part = image[..., top : top + high, left : left + wide]
        part = resize(part, self.height, self.width, self.interpolation)
        return part.flip(-1) if mirror < self.flip else part

    def padded(self, images: Tensor, sizes: Tensor, numbers: Tensor) -> Tensor:
        """Transform images on canvases, all at once, as a call transforms each of them.

        Args:
            images: uint8 ``(N, C, H, W)``; each lies in the upper left corner.
            sizes: int64 ``(N, 2)``: height and width of each, on the CPU.
            numbers: float32 ``(N, numbers)`` on the CPU.

        Returns:
            uint8 ``(N, C, height, width)``, where ``images`` are.
        """
        parts, turned = random_parts(
            sizes.numpy(), numbers.numpy(), self.scale, self.ratio, self.flip
        )
        there = torch.cat([parts, turned[:, None]], 1)
        if images.is_cuda:  # else the copy waits for what the device still has to do
            there = there.pin_memory()
        there = there.to(images.device, non_blocking=True)
        return resize_parts(
            images, there[:, :4], there[:, 4] > 0, self.height, self.width, self.interpolation
        )


class RandomCrop:
    """Pad and cut at a random place: for small pictures such as CIFAR's.

    Args:
        input: Gives the size; images are resized to it first.
        padding: Pixels added on each side; default: an eighth of the size.
        flip: Probability of mirroring.
        policy: As in :class:`Standard`.
        magnitude: As in :class:`Standard`.
        erase: Probability of erasing a rectangle.
        mode: What the padding shows: ``constant`` (black), ``reflect`` or ``edge``.
        even: As in :class:`Standard`.

    Raises:
        UsageError: An option is out of range.
    """

    def __init__(
        self,
        input: InputSpec,  # noqa: A002
        padding: int = -1,
        flip: float = 0.5,
        policy: str = "none",
        magnitude: int = 9,
        erase: float = 0.0,
        mode: str = "constant",
        even: bool = True,
    ) -> None:
        if mode not in PADDING:
            raise UsageError(f"mode {mode!r} is unknown", hint="constant, reflect or edge")
        self.first = CenterCrop(input)
        self.first.zoom = 1.0
        self.padding = padding if padding >= 0 else max(1, min(input.size[1:]) // 8)
        self.flip, self.mode = probability("flip", flip), mode
        self.after = after_it(policy, magnitude, erase)
        self.draws = 0 if self.after else 3
        self.strides = strides_if(even, (0.6328, 0.2191, 0.5))

    def __call__(self, image: Tensor, numbers: Tensor | None = None) -> Tensor:
        """Transform uint8 ``(C, H, W)`` to the input's size, by ``numbers`` ``(3,)`` or drawn ones."""
        drawn = torch.rand(3)  # in any case: what comes after draws behind them
        part = self.many(image[None], (drawn if numbers is None else numbers)[None])[0]
        return self.after(part) if self.after else part

    def many(self, images: Tensor, draws: Tensor) -> Tensor:
        """Transform a batch, uint8 ``(N, C, H, W)``, by draws from 0..1, ``(N, 3)``."""
        images = self.first(images)
        high, wide = images.shape[-2:]
        padded = pad(images, [self.padding] * 4, mode=self.mode)
        top, left = (draws[:, :2] * (2 * self.padding + 1)).long().unbind(1)
        columns = torch.arange(wide, device=images.device)
        turned = draws[:, 2] < self.flip
        columns = torch.where(turned[:, None], columns.flip(0), columns) + left[:, None]
        rows = torch.arange(high, device=images.device) + top[:, None]
        each = torch.arange(len(images), device=images.device)
        return padded[
            each[:, None, None, None],
            torch.arange(images.shape[1], device=images.device)[:, None, None],
            rows[:, None, :, None],
            columns[:, None, None, :],
        ]


class Shift:
    """Move, turn and zoom a little, never mirror: for digits, letters and signs.

    Args:
        input: Gives size and interpolation; images are resized to it first.
        fraction: Furthest move, as a share of the size.
        turn: Furthest turn, in degrees.
        zoom: Furthest zoom, as a share (0.1 = 0.9 to 1.1 times).
        even: As in :class:`Standard`.
    """

    def __init__(
        self,
        input: InputSpec,  # noqa: A002
        fraction: float = 0.1,
        turn: float = 10.0,
        zoom: float = 0.1,
        even: bool = True,
    ) -> None:
        self.first = Squash(input)
        self.fraction = probability("fraction", fraction)
        self.zoom = probability("zoom", zoom)
        self.turn = turn
        self.draws = 4
        self.strides = strides_if(even, (0.7412, 0.1567, 0.5607, 0.3544))

    def __call__(self, image: Tensor, numbers: Tensor | None = None) -> Tensor:
        """Transform uint8 ``(C, H, W)`` to the input's size, by ``numbers`` ``(4,)`` or drawn ones."""
        drawn = torch.rand(4) if numbers is None else numbers
        return self.many(image[None], drawn[None])[0]

    def many(self, images: Tensor, draws: Tensor) -> Tensor:
        """Transform a batch, uint8 ``(N, C, H, W)``, by draws from 0..1, ``(N, 4)``."""
        images = self.first(images)
        high, wide = images.shape[-2:]
        down, right, turn, zoom = (draws.float() * 2 - 1).unbind(1)
        angle = torch.deg2rad(turn * self.turn)
        size = 1 + zoom * self.zoom
        cos, sin = torch.cos(angle) / size, torch.sin(angle) / size
        right, down = 2 * right * self.fraction, 2 * down * self.fraction  # the image is -1..1
        tilt, lean = sin * (high / wide), -sin * (wide / high)
        across = torch.stack([cos, tilt, -(cos * right + tilt * down)], 1)
        along = torch.stack([lean, cos, -(lean * right + cos * down)], 1)
        grid = torch.nn.functional.affine_grid(
            torch.stack([across, along], 1), list(images.shape), align_corners=False
        )
        moved = torch.nn.functional.grid_sample(images.float(), grid, align_corners=False)
        return moved.round_().to(torch.uint8)


class Mix:
    """Mix the images of a batch and their labels: mixup or cutmix.

    Args:
        input: Not used; every transform takes it.
        classes: Number of classes.
        method: ``mixup`` or ``cutmix``.
        alpha: Both parameters of the beta distribution that the shares are drawn from.

    Raises:
        UsageError: Unknown method, or ``alpha`` is not above 0.
    """

    def __init__(
        self,
        input: InputSpec,  # noqa: A002
        classes: int,
        method: str = "mixup",
        alpha: float = 0.2,
    ) -> None:
        del input
        if method not in ("mixup", "cutmix"):
            raise UsageError(f"method {method!r} is unknown", hint="mixup or cutmix")
        if alpha <= 0:
            raise UsageError(f"alpha must be above 0, not {alpha}")
        from torchvision.transforms import v2

        kind = v2.MixUp if method == "mixup" else v2.CutMix
        self.classes, self._mix = classes, kind(alpha=alpha, num_classes=classes)

    def __call__(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Mix floating images ``(N, C, H, W)`` and labels ``(N,)`` or ``(N, K)``; give ``(N, K)``."""
        mixed, soft = self._mix(images, labels)
        return mixed, soft


def _span(name: str, values: Sequence[float]) -> tuple[float, float]:
    if len(values) != 2 or not 0 < values[0] <= values[1]:
        raise UsageError(f"{name} must be two numbers above 0, the lower first, not {values}")
    return float(values[0]), float(values[1])
