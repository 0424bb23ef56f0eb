"""From a file or a data set's item to pixels: uint8 ``(C, H, W)`` with the channels asked for.

JPEG goes through torchvision's operator where it has one (it is announced to go away): more than
twice as fast as Pillow, and equal to the bit. Everything else goes through Pillow: torchvision's
PNG reader dies of a damaged file instead of raising. One set of rules for all: the EXIF orientation is applied, transparency is laid over
white, 16 bits are scaled (never clipped), of an animation the first frame is used.
"""

from __future__ import annotations

import importlib.util
import io
import os
import sys
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader, FileFinder
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from PIL import Image, ImageOps

from zoo.core.recipe import MAX_PIXELS
from zoo.data.headers import Damage, inspect, readers, too_large
from zoo.data.pillow import allow, is_deep
from zoo.data.scan import quote
from zoo.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from torch import Tensor

_LUMA: Final = (0.299, 0.587, 0.114)
_GREY, _RGB = 1, 3  # torchvision's numbers of modes


def read_image(path: str, channels: int = 3, max_pixels: int = MAX_PIXELS) -> Tensor:
    """Read an image file.

    Args:
        path: The file.
        channels: 1 (grey), 2 (grey, alpha), 3 (RGB) or 4 (RGBA).
        max_pixels: What its number of pixels was checked against.

    Returns:
        uint8 ``(C, H, W)`` with C = ``channels``.

    Raises:
        DataError: It cannot be read or decoded; names the file.
    """
    try:
        with open(path, "rb", buffering=0) as stream:  # noqa: PTH123 - a string, and fast
            data = bytearray(os.fstat(stream.fileno()).st_size)
            data = data[: stream.readinto(data)]
    except OSError as error:
        raise DataError(
            f"cannot read {quote(path)}: {(error.strerror or str(error)).lower()}"
        ) from error
    if max_pixels > MAX_PIXELS:
        allow(max_pixels)
    try:
        return decode(data, channels)
    except DataError as error:
        raise DataError(f"{quote(path)}: {error.message}", hint=error.hint) from error


def decode_checked(data: bytes, channels: int = 3, max_pixels: int = MAX_PIXELS) -> Tensor:
    """Decode an image file's bytes that nobody has looked at: checked as files are before a run.

    Args:
        data: The whole file.
        channels: 1 to 4, as in :func:`read_image`.
        max_pixels: Files with more pixels are refused by the size that they state.

    Returns:
        uint8 ``(C, H, W)`` with C = ``channels``.

    Raises:
        Damage: It cannot be used.
    """
    header = inspect(data, max_pixels=max_pixels)
    if header.pixels > max_pixels:
        raise Damage(too_large(header, max_pixels))
    if max_pixels > MAX_PIXELS:
        allow(max_pixels)
    try:
        return decode(bytearray(data), channels, checked=True)
    except DataError as error:
        raise Damage(error.message) from error


def decode(data: bytearray, channels: int = 3, *, checked: bool = False) -> Tensor:
    """Decode an image file's bytes.

    Args:
        data: The whole file.
        channels: 1 to 4, as in :func:`read_image`.
        checked: Whether it has just been inspected.

    Returns:
        uint8 ``(C, H, W)`` with C = ``channels``.

    Raises:
        DataError: It cannot be decoded.
    """
    jpeg = fast_jpeg() if data[:2] == b"\xff\xd8" else None
    if jpeg is not None:
        mode = _GREY if channels < 3 else _RGB
        try:
            image = jpeg(torch.frombuffer(data, dtype=torch.uint8), mode, True)
        except RuntimeError as error:
            reason = str(error).rpartition(", ")[2].splitlines()[0].strip()
            raise DataError(f"cannot be decoded ({reason})") from error
        return with_channels(image, channels)
    try:
        if data[:4] == b"\x89PNG" and not checked:
            inspect(bytes(data))  # Pillow skips the checksums of the pixels
        with Image.open(io.BytesIO(data), formats=readers(data)) as picture:
            return from_pillow(picture, channels)
    except (DataError, MemoryError):
        raise
    except Exception as error:  # Pillow's plugins raise whatever they like on damaged files
        raise DataError(f"cannot be decoded ({str(error) or type(error).__name__})") from error


@cache
def fast_jpeg() -> Callable[[Tensor, int, bool], Tensor] | None:
    """Give torchvision's JPEG operator, if it has one: bytes ``(N,)``, mode, upright, to ``(C, H, W)``.

    The library that holds it is loaded by itself: importing torchvision would bring torch's
    compiler and every architecture along. Where that does not work, torchvision is imported.
    """
    for load in (_load_operators, _import_torchvision):
        try:
            load()
            found: Callable[[Tensor, int, bool], Tensor] = torch.ops.image.decode_jpeg
        except (ImportError, AttributeError, RuntimeError, OSError):
            continue
        return found
    return None


def _load_operators() -> None:
    spec = importlib.util.find_spec("torchvision")
    folders = (spec.submodule_search_locations if spec else None) or []
    library = find_library(str(folder) for folder in folders)
    if library and "torchvision" not in sys.modules:  # which has loaded it
        torch.ops.load_library(library)  # type: ignore[no-untyped-call]


def find_library(folders: Iterable[str]) -> str | None:
    """Find torchvision's library of image operators.

    Args:
        folders: Where the package lies.
    """
    endings = (ExtensionFileLoader, EXTENSION_SUFFIXES)
    for folder in folders:
        for name in ("image_stable", "image"):
            spec = FileFinder(folder, endings).find_spec(name)
            if spec is not None:
                return spec.origin
    return None


def _import_torchvision() -> None:
    import torchvision  # noqa: F401 - loads the operators


def from_pillow(picture: Image.Image, channels: int = 3) -> Tensor:
    """Convert a Pillow image.

    Args:
        picture: The image; of an animation, the frame it is at.
        channels: 1 to 4, as in :func:`read_image`.

    Returns:
        uint8 ``(C, H, W)`` with C = ``channels``.

    Raises:
        DataError: Pixels whose range nobody stated.
        Exception: What Pillow raises on damaged pixels, of whatever type.
    """
    deep_pixels = is_deep(picture)
    picture = _upright(picture)
    if deep_pixels:
        deep = np.array(picture).astype(np.uint32)
        grey = ((deep * 255 + 32767) // 65535).astype(np.uint8)
        return with_channels(torch.from_numpy(grey)[None], channels)
    if picture.mode in ("F", "I"):
        raise DataError(
            f"pixels of mode {picture.mode} have no stated range", hint="convert to 8 or 16 bit"
        )
    see_through = "transparency" in picture.info or picture.mode in (
        "LA",
        "La",
        "PA",
        "RGBA",
        "RGBa",
    )
    if see_through:
        picture = picture.convert("RGBA")
        if channels in (1, 3):
            ground = Image.new("RGBA", picture.size, (255, 255, 255, 255))
            picture = Image.alpha_composite(ground, picture).convert("RGB")
    elif picture.mode in ("1", "L"):
        picture = picture.convert("L")
    elif picture.mode != "RGB":
        picture = picture.convert("RGB")
    pixels = torch.from_numpy(np.array(picture))
    return with_channels(pixels[None] if pixels.ndim == 2 else pixels.permute(2, 0, 1), channels)


def _upright(picture: Image.Image) -> Image.Image:
    try:
        picture.load()
    except Exception:
        picture.close()  # Pillow would give what it has of the pixels when asked a second time
        raise
    try:
        return ImageOps.exif_transpose(picture)
    except Exception:  # a damaged EXIF block says nothing about the pixels
        return picture


def from_item(value: Any, channels: int = 3) -> Tensor:
    """Convert what a data set gives: a Pillow image, an array or a tensor.

    Arrays are ``(H, W)`` or ``(H, W, C)``, tensors ``(H, W)`` or ``(C, H, W)``; integers are 0 to
    255 (16 bits: 0 to 65535), floats 0 to 1.

    Args:
        value: The image.
        channels: 1 to 4, as in :func:`read_image`.

    Returns:
        uint8 ``(C, H, W)`` with C = ``channels``.

    Raises:
        DataError: Another type, shape or range.
    """
    if isinstance(value, Image.Image):
        return from_pillow(value, channels)
    if isinstance(value, np.ndarray):
        tensor = torch.from_numpy(np.array(value))
        tensor = tensor.permute(2, 0, 1) if tensor.ndim == 3 else tensor
    elif isinstance(value, torch.Tensor):
        tensor = value
    else:
        raise DataError(f"an image must be a Pillow image, an array or a tensor, not {type(value)}")
    tensor = tensor[None] if tensor.ndim == 2 else tensor
    if tensor.ndim != 3 or not 1 <= tensor.shape[0] <= 4:
        raise DataError(
            f"an image of shape {tuple(value.shape)} is not (C, H, W) with 1 to 4 channels"
        )
    return with_channels(_bytes(tensor), channels)


def _bytes(tensor: Tensor) -> Tensor:
    if tensor.dtype == torch.uint8:
        return tensor
    if tensor.dtype == torch.bool:
        return tensor.to(torch.uint8) * 255
    if tensor.dtype == torch.uint16:
        return ((tensor.to(torch.int64) * 255 + 32767) // 65535).to(torch.uint8)
    low, high = (float(v) for v in tensor.aminmax()) if tensor.numel() else (0.0, 0.0)
    if tensor.is_floating_point() and low >= 0 and high <= 1:
        return (tensor * 255).round().to(torch.uint8)
    if not tensor.is_floating_point() and low >= 0 and high <= 255:
        return tensor.to(torch.uint8)
    raise DataError(
        f"{tensor.dtype} pixels from {low:g} to {high:g}: expected uint8, or floats from 0 to 1"
    )


def with_channels(image: Tensor, channels: int) -> Tensor:
    """Convert between grey, grey with alpha, RGB and RGBA.

    Args:
        image: uint8 ``(..., C, H, W)`` with 1 to 4 channels.
        channels: Channels wanted, 1 to 4.

    Returns:
        uint8 ``(..., C, H, W)`` with C = ``channels``; alpha is 255 where there was none, and is laid over
        white where none is wanted.

    Raises:
        DataError: More than four channels are wanted.
    """
    has = image.shape[-3]
    if has == channels:
        return image
    if not 1 <= channels <= 4:
        raise DataError(
            f"images have 1 to 4 channels, the model wants {channels}",
            hint="--in-channels 3, or a data set of your own with that many channels",
        )
    colour, alpha = (
        (image[..., :-1, :, :], image[..., -1:, :, :]) if has in (2, 4) else (image, None)
    )
    if alpha is not None and channels in (1, 3):
        share = alpha.to(torch.int32)
        colour = ((colour * share + 255 * (255 - share) + 127) // 255).to(torch.uint8)
    wanted = 1 if channels < 3 else 3
    if colour.shape[-3] == 3 and wanted == 1:
        weights = torch.tensor(_LUMA).view(3, 1, 1)
        colour = (colour * weights).sum(-3, keepdim=True).round().to(torch.uint8)
    elif colour.shape[-3] != wanted:
        colour = colour.expand(*colour.shape[:-3], 3, *colour.shape[-2:])
    if channels in (2, 4):
        alpha = torch.full_like(colour[..., :1, :, :], 255) if alpha is None else alpha
        colour = torch.cat([colour, alpha], -3)
    return colour.contiguous()
