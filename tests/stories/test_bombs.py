"""Files that claim more than they are: refused by what they state, in little time and memory."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import time
import zipfile
import zlib
from dataclasses import dataclass

import pytest
from bad_inputs.case import Answer, Kitchen
from pictures import folder, jpeg, png, put

pytestmark = pytest.mark.skipif(not hasattr(os, "wait4"), reason="needs wait4")
LIGHT = 250_000_000
"""Bytes of memory of a command that needs no torch."""
HEAVY = 900_000_000
"""Bytes of memory of one that does; torch alone takes half of it."""


@dataclass
class Measured:
    """An answer, and what it took."""

    answer: Answer
    seconds: float
    memory: int


@pytest.fixture
def kitchen(tmp_path):
    made = Kitchen(tmp_path)
    made.env["ZOO_PLUGINS"] = ""
    return made


WATCHER = """
import os, sys
pid = os.fork()
if not pid:
    os.execv(sys.executable, [sys.executable, "-m", "zoo", *sys.argv[1:]])
_, status, usage = os.wait4(pid, 0)
print(usage.ru_maxrss, file=open(".memory", "w"))
sys.exit(os.waitstatus_to_exitcode(status) % 256)
"""


def measured(kitchen, *arguments):
    """Run a command and ask the system how much memory it had at its largest.

    A small process starts it: what a process had before it became another counts as well.
    """
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-S", "-c", WATCHER, *map(str, arguments)],
        cwd=kitchen.here, env=kitchen.environment(), capture_output=True, text=True, check=False,
        timeout=120,
    )  # fmt: skip
    scale = 1 if sys.platform == "darwin" else 1024
    memory = int((kitchen.here / ".memory").read_text()) * scale
    answer = Answer(done.returncode, done.stdout, done.stderr)
    return Measured(answer, time.monotonic() - began, memory)


def require(found, code, *words, memory=LIGHT):
    answer = found.answer
    assert answer.code == code, answer.said[-3000:]
    assert "Traceback" not in answer.said
    for word in words:
        assert word in answer.said, answer.said[-3000:]
    assert found.memory < memory, f"{found.memory:,} bytes"
    assert found.seconds < 60


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_of(width, height, pixels=b"", more=b""):
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", head) + more + chunk(b"IDAT", zlib.compress(pixels))
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b"")


def zeros(size):
    """Deflated zeros: a thousandth of their size."""
    packer = zlib.compressobj(9)
    block = bytes(1 << 20)
    pieces = [packer.compress(block) for _ in range(size >> 20)]
    return b"".join([*pieces, packer.flush()])


def gif_of(width, height):
    head = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes(6)
    return head + b"," + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\x02\x02\x44\x01\0;"


def bmp_of(width, height):
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + head


def tiff_of(width, height):
    tags = [(256, 4, width), (257, 4, height), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 8)]
    tags += [(277, 3, 1), (278, 4, height), (279, 4, 0xFFFFFF)]
    rows = b"".join(struct.pack("<HHII", tag, kind, 1, v) for tag, kind, v in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + rows + bytes(4)


def jpeg_of(width, height):
    data = bytearray(jpeg())
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(data)


CLAIMS = {
    "a.png": png_of(60_000, 60_000),
    "b.gif": gif_of(60_000, 60_000),
    "c.bmp": bmp_of(60_000, 60_000),
    "d.tif": tiff_of(60_000, 60_000),
    "e.jpg": jpeg_of(65_000, 65_000),
    "f.ppm": b"P6 60000 60000 255\n" + bytes(300),
    "g.pgm": b"P5 4000000000 4000000000 255\n" + bytes(300),
}


def test_images_that_claim_billions_of_pixels(kitchen):
    root = folder(kitchen.here / "set", each=2)
    for name, data in CLAIMS.items():
        put(root / "cat" / name, data)
    found = measured(kitchen, "train", "resnet18", "--data", "set", "--dry-run")
    require(found, 3, f"{len(CLAIMS)} of {len(CLAIMS) + 4} files cannot be used", "60000 x 60000")
    for name in CLAIMS:
        assert f"cat/{name}" in found.answer.err


@pytest.mark.slow
def test_small_images_that_unpack_to_a_gigabyte(kitchen):
    root = folder(kitchen.here / "set", each=2)
    bomb = zeros(1 << 30)
    put(root / "cat" / "pixels.png", png_of(8, 8).replace(zlib.compress(b""), bomb))
    put(root / "cat" / "text.png", png_of(8, 8, bytes(200), chunk(b"zTXt", b"a\0\0" + bomb)))
    put(root / "cat" / "profile.png", png_of(8, 8, bytes(200), chunk(b"iCCP", b"a\0\0" + bomb)))
    found = measured(kitchen, "doctor", "set")
    assert found.answer.code in (0, 3), found.answer.said
    assert "Traceback" not in found.answer.said
    assert found.memory < HEAVY, f"{found.memory:,} bytes"


def test_a_file_of_ten_gigabytes_called_an_image_is_not_read(kitchen):
    root = folder(kitchen.here / "set", each=2)
    with open(root / "cat" / "a.jpg", "wb") as file:
        file.truncate(10 * 10**9)  # sparse: it takes no room
    found = measured(kitchen, "train", "resnet18", "--data", "set", "--dry-run")
    require(found, 3, "'cat/a.jpg': 10,000,000,000 bytes, no image needs more")
    assert found.seconds < 20


def test_an_endless_line_in_a_table(kitchen):
    folder(kitchen.here / "set", each=2)
    path = kitchen.write("set/set.csv", "path,label\ncat/0.jpg,")
    with open(path, "r+b") as file:
        file.truncate(10**9)
    found = measured(kitchen, "train", "resnet18", "--data", "set/set.csv", "--dry-run")
    require(found, 3, "line 2 has more than 65,536 characters", "hint: ")


DEEP = 1_000_000
NESTED = "[" * DEEP + "]" * DEEP


@pytest.mark.parametrize(
    "text",
    [
        f"a = {'[' * 100_000}{']' * 100_000}",
        "a = " + "{a = " * 50_000 + "1" + "}" * 50_000,
        "data.options" + ".a" * 50_000 + " = 1",
        "[data.options" + ".a" * 50_000 + "]\nb = 1",
        "optim.lr = " + "9" * 1_000_000,
    ],
    ids=["lists", "tables", "keys", "headings", "digits"],
)
@pytest.mark.parametrize("name", ["r.toml", "registry.toml"])
def test_toml_of_great_depth(kitchen, name, text):
    kitchen.write(name, ("schema = 1\n" if name == "registry.toml" else "") + text)
    more = ("--recipe", name) if name == "r.toml" else ()
    found = measured(kitchen, "train", "resnet18", *more, "--dry-run")
    require(found, 2, name, memory=2 * LIGHT)


def test_a_deep_registry_file_of_a_plugin_breaks_only_itself(kitchen):
    kitchen.install("bad", {"zoo_bad/__init__.py": "", "zoo_bad/registry.json": NESTED})
    found = measured(kitchen, "list", "resnet18")
    require(found, 0, "resnet18", "plugin bad is out of order")


@pytest.mark.parametrize(
    "deep", ["[" * 60_000 + "]" * 60_000, "{a" + ".a" * 60_000 + "=1}"], ids=["lists", "keys"]
)
def test_an_assignment_of_great_depth(kitchen, deep):
    found = measured(kitchen, "train", "resnet18", "--set", f"data.options.a={deep}", "--dry-run")
    assert found.answer.code in (0, 2, 3), found.answer.said[-2000:]
    assert "Traceback" not in found.answer.said
    assert found.memory < LIGHT


def packed(table, rest=b""):
    head = table if isinstance(table, bytes) else json.dumps(table).encode()
    return len(head).to_bytes(8, "little") + head + rest


HEADERS = {
    "a header of ten gigabytes": (10**10).to_bytes(8, "little") + b"{}" * 50,
    "a header of 2 ** 64 bytes": b"\xff" * 8 + b"{}" * 50,
    "a tensor of ten gigabytes": packed(
        {"a": {"dtype": "F32", "shape": [2_500_000_000], "data_offsets": [0, 10**10]}}, bytes(64)
    ),
    "a tensor of more than all": packed(
        {"a": {"dtype": "F32", "shape": [2**62, 2**62], "data_offsets": [0, 64]}}, bytes(64)
    ),
    "lists in lists": packed(NESTED.encode()),
    "metadata of lists in lists": packed({"__metadata__": {"zoo": NESTED}}),
}


@pytest.mark.parametrize("name", HEADERS)
def test_checkpoint_headers_that_claim_too_much(kitchen, name):
    kitchen.write("w.safetensors", HEADERS[name])
    folder(kitchen.here / "set", each=1)
    answer = kitchen.zoo("predict", "w.safetensors", "set")
    assert answer.code == 5, answer.said[-2000:]
    assert answer.error
    assert "Traceback" not in answer.said


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a tensor of ten gigabytes", "metadata of lists in lists"])
def test_checkpoint_headers_that_claim_too_much_take_no_memory(kitchen, name):
    kitchen.write("w.safetensors", HEADERS[name])
    folder(kitchen.here / "set", each=1)
    require(measured(kitchen, "predict", "w.safetensors", "set"), 5, "error: ", memory=HEAVY)


@pytest.mark.slow
def test_a_packed_archive_called_a_checkpoint(kitchen):
    """torch would unpack it into memory; nothing that torch.save writes is packed."""
    with zipfile.ZipFile(kitchen.here / "w.pth", "w", zipfile.ZIP_DEFLATED) as bomb:
        with bomb.open("archive/data.pkl", "w", force_zip64=True) as entry:
            for _ in range(2000):
                entry.write(bytes(1 << 20))
        bomb.writestr("archive/version", "3\n")
    found = measured(kitchen, "import", "w.pth", "--as", "resnet18")
    require(found, 5, "would unpack to 2,09", "do not trust this file", memory=HEAVY)


@pytest.mark.slow
def test_a_checkpoint_that_asks_for_an_image_as_large_as_a_house(kitchen, tmp_path):
    """Sizes in the metadata are claims as well."""
    import torch

    from zoo.core.metadata import CheckpointInfo, dumps
    from zoo.core.specs import InputSpec
    from zoo.engine.saving import tensorfile

    for info in (
        CheckpointInfo(model="resnet18", num_classes=10**9),
        CheckpointInfo(model="resnet18", num_classes=2, input=InputSpec(size=(3, 10**5, 10**5))),
        CheckpointInfo(model="resnet18", num_classes=2, surgery={"project": [10**9, 2]}),
        CheckpointInfo(model="resnet18", num_classes=2, surgery={"in_channels": 10**8}),
    ):
        tensorfile.write(
            kitchen.here / "w.safetensors", {"a": torch.zeros(1)}, {"zoo": dumps(info)}
        )
        put(kitchen.here / "a.png", png())
        found = measured(kitchen, "predict", "w.safetensors", "a.png", "--device", "cpu")
        require(found, 5, "error: ", memory=HEAVY)
