"""What an image file is, from its bytes: format, size, mode, and whether it is whole.

No torch. JPEG, PNG and WebP are checked by their own structure (markers, checksums, lengths), a
few hundred megabytes a second; every other format is decoded once by Pillow.
"""

from __future__ import annotations

import io
import re
import struct
import warnings
import zlib
from dataclasses import dataclass, field
from typing import Final, Literal

Mode = Literal["rgb", "gray", "alpha", "palette", "cmyk", "bilevel", "gray16", "rgb16", "other"]

OVER: Final = "more than the limit of"
"""In the reason of a file that has too many pixels; how the limit is raised, the caller says."""

SUFFIXES: Final = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".gif", ".bmp", ".dib", ".webp", ".tif"}
    | {".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".avif", ".heic", ".heif", ".tga", ".jp2"}
)
"""File suffixes that are taken for images (lower case); files without suffix are looked into."""

_PNG: Final = b"\x89PNG\r\n\x1a\n"
_SIGNATURES: Final = {
    b"\xff\xd8": ("JPEG", "MPO"),
    _PNG: ("PNG",),
    b"GIF8": ("GIF",),
    b"RIFF": ("WEBP",),
    b"BM": ("BMP",),
    b"II": ("TIFF",),
    b"MM": ("TIFF",),
}
_UNSIGNED: Final = ("PPM", "DIB", "AVIF", "JPEG2000", "TGA")
_JPEG_FRAMES: Final = frozenset({0xC0, 0xC1, 0xC2, 0xC9, 0xCA})
_JPEG_REFUSED: Final = frozenset({0xC3, 0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCE, 0xCF})
_MARKER: Final = re.compile(rb"\xff[\x01-\xfe]")


class Damage(Exception):  # noqa: N818 - a finding about a file, collected, never shown as an error
    """Why a file cannot be used, in a few words."""


@dataclass(frozen=True, slots=True)
class Header:
    """What an image file holds.

    Attributes:
        format: ``jpeg``, ``png``, ``webp``, ``gif`` ...
        width: Pixels, as stored (before the EXIF orientation).
        height: Pixels, as stored.
        mode: How pixels are stored.
        animated: Whether there is more than one frame.
    """

    format: str
    width: int
    height: int
    mode: Mode
    animated: bool = False

    @property
    def pixels(self) -> int:
        """Width times height."""
        return self.width * self.height


def too_large(header: Header, max_pixels: int) -> str:
    """Why a file with more pixels than are allowed is refused, with both numbers."""
    return f"{header.width} x {header.height} = {header.pixels:,} pixels, {OVER} {max_pixels:,}"


def inspect(data: bytes, *, max_pixels: int = 2**62) -> Header:
    """Read the header of an image and check that the file is whole.

    Args:
        data: The whole file.
        max_pixels: Files that must be decoded to be checked are refused above this.

    Raises:
        Damage: It is no image, damaged, or of a kind that would be misread.
    """
    if not data:
        raise Damage("empty file (0 bytes)")
    if data[:2] == b"\xff\xd8":
        return _jpeg(data)
    if data[:8] == _PNG:
        return _png(data)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _webp(data)
    if foreign := _foreign(data):
        raise Damage(foreign)
    return _pillow(data, max_pixels)


def readers(data: bytes | bytearray) -> tuple[str, ...]:
    """The Pillow formats that may read these bytes, by their signature.

    Never all of Pillow's: some start other programs (EPS runs Ghostscript) or are read by nobody.
    """
    start = bytes(data[:16])
    for signature, names in _SIGNATURES.items():
        if start.startswith(signature):
            return names
    from PIL import Image

    Image.init()
    return tuple(name for name in _UNSIGNED if name in Image.OPEN)


def is_image(head: bytes) -> bool:
    """Whether a file that starts like this is an image, for files without a suffix."""
    if head[:2] == b"\xff\xd8" or head[:8] == _PNG or head[:6] in (b"GIF87a", b"GIF89a"):
        return True
    return head[:4] in (b"II*\0", b"MM\0*") or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")


def _foreign(data: bytes) -> str:
    start = data[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype html", b"<html", b"<head", b"<?xml", b"<svg")):
        return "an SVG drawing, not pixels" if b"<svg" in start else "an HTML or XML page, no image"
    if start.startswith(b"version https://git-lfs"):
        return "a git-lfs pointer, the image was not fetched (git lfs pull)"
    if data[4:12] in (b"ftypheic", b"ftypheix", b"ftypmif1", b"ftyphevc"):
        return "HEIC, which is not read (convert it to JPEG)"
    if not any(data):
        return "nothing but zero bytes"
    return ""


@dataclass(slots=True)
class _Jpeg:
    """What the segments of a JPEG have said so far."""

    header: Header | None = None
    parts: dict[int, int] = field(default_factory=dict)  # component -> quantisation table
    progressive: bool = False
    huffman: set[int] = field(default_factory=set)  # class << 4 | slot
    quantisation: set[int] = field(default_factory=set)


def _jpeg(data: bytes) -> Header:
    """Walk all segments; behind each scan's header, look at every marker in the coded picture."""
    state, at, size, scans = _Jpeg(), 2, len(data), 0
    while True:
        while data[at : at + 2] == b"\xff\xff":
            at += 1
        if scans and data[at : at + 2] == b"\xff\xd9":
            assert state.header is not None
            return state.header
        if at + 4 > size:
            raise Damage("truncated JPEG (ends in its header)")
        if data[at] != 0xFF:
            raise Damage("damaged JPEG (no marker where one must be)")
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        body = data[at + 4 : at + 2 + length]
        if length < 2 or len(body) != length - 2:
            raise Damage("truncated JPEG (ends in its header)")
        _jpeg_segment(state, marker, body)
        at += 2 + length
        if marker == 0xDA:
            scans += 1
            at = _jpeg_scan(data, at)


def _jpeg_segment(state: _Jpeg, marker: int, body: bytes) -> None:
    if marker in _JPEG_FRAMES:
        _jpeg_frame(state, marker, body)
    elif marker in _JPEG_REFUSED:
        raise Damage("JPEG of a kind that is not read (lossless or hierarchical)")
    elif marker == 0xC4:
        _jpeg_huffman(state, body)
    elif marker == 0xDB:
        _jpeg_quantisation(state, body)
    elif marker == 0xDA:
        _jpeg_scan_header(state, body)
    elif marker not in (0xCC, 0xDC, 0xDD, 0xFE) and not 0xE0 <= marker <= 0xEF:
        raise Damage(f"damaged JPEG (unknown marker {marker:#04x})")


def _jpeg_frame(state: _Jpeg, marker: int, body: bytes) -> None:
    if state.header is not None:
        raise Damage("damaged JPEG (two frame headers)")
    bits, height, width, count = struct.unpack(">BHHB", body[:6].ljust(6, b"\0"))
    modes: dict[int, Mode] = {1: "gray", 3: "rgb", 4: "cmyk"}
    if bits != 8:
        raise Damage(f"{bits}-bit JPEG, which is not read")
    if count not in modes or len(body) != 6 + 3 * count or not (width and height):
        raise Damage("damaged JPEG (frame header)")
    for part, sampling, table in struct.iter_unpack("3B", body[6:]):
        if not (1 <= sampling >> 4 <= 4 and 1 <= sampling & 15 <= 4):
            raise Damage("damaged JPEG (frame header)")
        state.parts[part] = table
    state.progressive = marker in (0xC2, 0xCA)
    state.header = Header("jpeg", width, height, modes[count])


def _jpeg_huffman(state: _Jpeg, body: bytes) -> None:
    """Each table: class and slot, 16 counts, as many symbols; no code may be all ones."""
    at = 0
    while at < len(body):
        counts = body[at + 1 : at + 17]
        total = sum(counts)
        symbols = body[at + 17 : at + 17 + total]
        room = sum(count << (16 - length) for length, count in enumerate(counts, 1))
        if len(symbols) < total or total > 256 or room >= 1 << 16 or body[at] & 0xEC:
            raise Damage("damaged JPEG (Huffman table)")
        if body[at] < 0x10 and symbols and max(symbols) > 15:
            raise Damage("damaged JPEG (Huffman table)")
        state.huffman.add(body[at])
        at += 17 + total


def _jpeg_quantisation(state: _Jpeg, body: bytes) -> None:
    at = 0
    while at < len(body):
        if body[at] & 0xEC:
            raise Damage("damaged JPEG (quantisation table)")
        state.quantisation.add(body[at] & 15)
        at += 129 if body[at] >> 4 else 65
    if at > len(body):
        raise Damage("damaged JPEG (quantisation table)")


def _jpeg_scan_header(state: _Jpeg, body: bytes) -> None:
    if state.header is None:
        raise Damage("damaged JPEG (no frame header)")
    count = body[0] if body else 0
    if not 1 <= count <= 4 or len(body) != 4 + 2 * count:
        raise Damage("damaged JPEG (scan header)")
    first, last, bits = body[-3:]
    for part, tables in struct.iter_unpack("2B", body[1 : 1 + 2 * count]):
        if part not in state.parts or state.parts[part] not in state.quantisation:
            raise Damage("damaged JPEG (scan header)")
        coarse = first == 0 and bits >> 4 == 0
        fine = last > 0
        if (coarse and tables >> 4 not in state.huffman and state.huffman) or (
            fine and 0x10 | (tables & 15) not in state.huffman and state.huffman
        ):
            raise Damage("damaged JPEG (scan header)")
    if state.progressive and (first > last or last > 63 or (first == 0) != (last == 0)):
        raise Damage("damaged JPEG (scan header)")


def _jpeg_scan(data: bytes, at: int) -> int:
    """Find the marker behind a scan; inside it there are only stuffed bytes and restarts."""
    while True:
        found = _MARKER.search(data, at)
        if found is None:
            raise Damage("truncated JPEG (no end-of-image marker)")
        marker, at = data[found.start() + 1], found.start()
        if not 0xD0 <= marker <= 0xD7:
            return at
        at += 2


def _png(data: bytes) -> Header:
    """Check every chunk's checksum, the first and the last chunk."""
    at, size, header = 8, len(data), b""
    kinds: set[bytes] = set()
    while b"IEND" not in kinds:
        if at + 12 > size:
            raise Damage("truncated PNG (no end chunk)")
        (length,) = struct.unpack_from(">I", data, at)
        kind, end = data[at + 4 : at + 8], at + 8 + length
        if end + 4 > size:
            raise Damage("truncated PNG (ends inside a chunk)")
        if zlib.crc32(memoryview(data)[at + 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
            raise Damage("damaged PNG (wrong checksum)")
        if not kinds and (kind != b"IHDR" or length != 13):
            raise Damage("damaged PNG (no header chunk)")
        header = header or data[at + 8 : end]
        kinds.add(kind)
        at = end + 4
    if b"IDAT" not in kinds:
        raise Damage("damaged PNG (no pixels)")
    width, height, bits, colour = struct.unpack(">IIBB", header[:10])
    if not (width and height) or colour not in (0, 2, 3, 4, 6):
        raise Damage("damaged PNG (header)")
    return Header("png", width, height, _png_mode(bits, colour, b"tRNS" in kinds), b"acTL" in kinds)


def _png_mode(bits: int, colour: int, transparent: bool) -> Mode:
    if bits == 16:
        return "gray16" if colour in (0, 4) else "rgb16"
    if transparent or colour in (4, 6):
        return "alpha"
    if colour == 3:
        return "palette"
    if colour == 0:
        return "bilevel" if bits == 1 else "gray"
    return "rgb"


def _webp(data: bytes) -> Header:
    """Check the length that the container states, then ask Pillow for the header."""
    if int.from_bytes(data[4:8], "little") + 8 > len(data):
        raise Damage("truncated WebP (shorter than it says)")
    return _pillow(data, 2**62, decode=False)


def _pillow(data: bytes, max_pixels: int, *, decode: bool = True) -> Header:
    from PIL import Image, UnidentifiedImageError

    from zoo.data.pillow import any_number_of_pixels, is_deep

    with warnings.catch_warnings(), any_number_of_pixels():
        warnings.simplefilter("ignore")
        try:
            with Image.open(io.BytesIO(data), formats=readers(data)) as image:
                animated = bool(getattr(image, "is_animated", False))
                name = (image.format or "unknown").lower()
                mode = "gray16" if is_deep(image) else _pillow_mode(image.mode)
                header = Header(name, image.width, image.height, mode, animated)
                if "transparency" in image.info:
                    header = Header(name, image.width, image.height, "alpha", animated)
                if decode and header.pixels <= max_pixels:
                    image.load()
        except UnidentifiedImageError:
            raise Damage("no image in any format that is read") from None
        except (Damage, MemoryError):
            raise
        except Exception as error:
            raise Damage(f"cannot be decoded ({_words(error)})") from None
    return header


def _pillow_mode(mode: str) -> Mode:
    if mode == "F":
        raise Damage("floating-point pixels, whose range nobody stated (convert to 8 or 16 bit)")
    if mode in ("I", "I;32", "I;32S", "I;16S"):
        raise Damage("32-bit integer pixels, whose range nobody stated (convert to 8 or 16 bit)")
    table: dict[str, Mode] = {
        "1": "bilevel",
        "L": "gray",
        "LA": "alpha",
        "PA": "alpha",
        "RGBA": "alpha",
        "RGBa": "alpha",
        "La": "alpha",
        "P": "palette",
        "RGB": "rgb",
        "CMYK": "cmyk",
    }
    return table.get(mode, "gray16" if mode.startswith("I;16") else "other")


def _words(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:80]
