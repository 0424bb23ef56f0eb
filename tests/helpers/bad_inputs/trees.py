"""27 to 46: folders, splits, labels, archives."""

from __future__ import annotations

import io
import os
import tarfile
import zipfile

from bad_inputs.case import LENET, QUICK, SMALL, Answer, Case, Kitchen
from bad_inputs.images import TRAIN, nothing_was_made
from pictures import folder, jpeg, put

LAYOUT = "FOLDER/<class>/<image>"
PLAN = (*TRAIN, "--dry-run")


def on(source: str, *more: object):
    return ("train", LENET, "--data", source, *SMALL, *more)


def tree(*names: str, sub: str = "", start: int = 0, each: int = 4):
    """A folder of these classes, made below ``set``."""

    def make(kitchen: Kitchen):
        folder(kitchen.here / "set" / sub, names, each=each, start=start)
        return TRAIN

    return make


def file_for_folder(kitchen: Kitchen):
    put(kitchen.here / "a.jpg", jpeg())
    return on("a.jpg")


def empty(kitchen: Kitchen):
    (kitchen.here / "set").mkdir()
    return TRAIN


def flat(kitchen: Kitchen):
    put(kitchen.here / "set" / "0.jpg", jpeg())
    return TRAIN


def hollow(kitchen: Kitchen):
    folder(kitchen.here / "set")
    (kitchen.here / "set" / "emu").mkdir()
    return TRAIN


def single(kitchen: Kitchen):
    folder(kitchen.here / "set", ["cat"])
    return PLAN


def differing(kitchen: Kitchen):
    folder(kitchen.here / "set" / "train", ["cat", "dog", "emu"])
    folder(kitchen.here / "set" / "val", ["cat", "emu", "yak"], start=50)
    return TRAIN


def system_folders(kitchen: Kitchen):
    root = folder(kitchen.here / "set")
    put(root / ".ipynb_checkpoints" / "0.jpg", jpeg(70))
    put(root / "__MACOSX" / "cat" / "0.jpg", jpeg(71))
    return PLAN


def loop(kitchen: Kitchen):
    root = folder(kitchen.here / "set", each=3)
    (root / "cat" / "up").symlink_to(root, target_is_directory=True)
    return PLAN


def numbers(kitchen: Kitchen):
    folder(kitchen.here / "set", ["1", "10", "2"])
    return PLAN


def twins(kitchen: Kitchen):
    folder(kitchen.here / "set", ["Cat", "cat", "dog"])
    return PLAN


def broken_link(kitchen: Kitchen):
    root = folder(kitchen.here / "set")
    (root / "cat" / "gone.jpg").symlink_to(kitchen.here / "nowhere.jpg")
    return TRAIN


def leak(kitchen: Kitchen):
    folder(kitchen.here / "set" / "train")
    folder(kitchen.here / "set" / "val", start=50)
    put(kitchen.here / "set" / "val" / "cat" / "copy.jpg", jpeg(0))
    return PLAN


def few(kitchen: Kitchen):
    folder(kitchen.here / "set")
    return ("train", LENET, "--data", "set", *SMALL, "--batch-size", 32)


def all_were_used(kitchen: Kitchen, answer: Answer) -> None:
    rows = list((kitchen.here / "runs").glob("*/metrics.jsonl"))
    assert rows, "nothing was trained"
    assert '"step": 1' in rows[0].read_text() or '"step":1' in rows[0].read_text()


def remainder(kitchen: Kitchen):
    folder(kitchen.here / "set", each=5)
    more = ("--size", 32, "--val-fraction", 0.1, "--batch-size", 7, *QUICK)
    return ("train", LENET, "--data", "set", *more, "--dry-run=full")


ODD_LABELS = """
from PIL import Image

class Odd:
    targets = [0, 1, 5]
    def __len__(self): return 3
    def __getitem__(self, index): return Image.new("RGB", (32, 32)), self.targets[index]

def odd(root=None, split="train", transform=None, download=False):
    return Odd()
"""


def out_of_range(kitchen: Kitchen):
    kitchen.install(
        "bad",
        {
            "zoo_bad/__init__.py": "",
            "zoo_bad/sets.py": ODD_LABELS,
            "zoo_bad/registry.toml": 'schema = 1\n[[dataset]]\nname = "odd"\nclasses = 3\n'
            'target = "zoo_bad.sets:odd"\n',
        },
    )
    plan = ("--dry-run", "--weights", "none")
    return ("finetune", "resnet18", "--data", "bad/odd", *plan)


def ignored_label(kitchen: Kitchen):
    put(kitchen.here / "a.jpg", jpeg())
    put(kitchen.here / "set.csv", b"path,label\na.jpg,-100\n")
    return on("set.csv")


def three_hundred(kitchen: Kitchen):
    folder(kitchen.here / "set")
    return (*TRAIN, "--classes", 300)


def hostile_tar(kitchen: Kitchen):
    with tarfile.open(kitchen.here / "set.tar", "w") as tar:
        for name in ("../escaped.jpg", "/tmp/zoo-escaped.jpg", "cat/0.jpg"):
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(jpeg()), 0o4755
            tar.addfile(info, io.BytesIO(jpeg()))
        for name, kind, link in (("cat/l", tarfile.SYMTYPE, "/etc"), ("n", tarfile.CHRTYPE, "")):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, link
            tar.addfile(info)
    return on("set.tar")


def zip_bomb(kitchen: Kitchen):
    with zipfile.ZipFile(kitchen.here / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as bomb:
        bomb.writestr("cat/0.png", b"\0" * 50_000_000)
    return on("bomb.zip")


def nothing_was_unpacked(kitchen: Kitchen, answer: Answer) -> None:
    left = [n for n in os.listdir(kitchen.here) if not n.startswith(".")]
    assert len(left) == 1, f"left {left}"
    assert not os.path.exists("/tmp/zoo-escaped.jpg")


CASES = [
    Case(27, "no such folder", lambda _: TRAIN, 3, ("no folder", "'set'")),
    Case(28, "a file for a folder", file_for_folder, 3, ("is a file, not a folder", LAYOUT)),
    Case(29, "an empty folder", empty, 3, ("no class folders", LAYOUT)),
    Case(30, "images without class folders", flat, 3, ("1 images but no class folders", LAYOUT)),
    Case(31, "a class without images", hollow, 3,
         ("1 of 3 classes: 'emu'", "--allow-empty"), after=nothing_was_made),
    Case(32, "a single class", single, 0, ("single class (cat)",)),
    Case(33, "other classes in val than in train", differing, 3,
         ("only in train: dog", "only in val: yak"), after=nothing_was_made),
    Case(34, ".ipynb_checkpoints and __MACOSX", system_folders, 0, ("2 classes", "hidden or system files and folders (2)")),
    Case(35, "a loop of links", loop, 0, ("links to folders that are listed already", "held out")),
    Case(36, "classes 1, 10, 2", numbers, 0, ("text order", "1, 10, 2")),
    Case(37, "classes Cat and cat", twins, 0, ("'Cat' and 'cat' differ in case",)),
    Case(38, "a link to nothing", broken_link, 3, ("'cat/gone.jpg': broken link",)),
    Case(39, "the same bytes in train and val", leak, 0,
         ("1 image is in more than one split", "cat/copy.jpg")),
    Case(40, "fewer images than a batch", few, 0,
         ("training images make one batch, not 32",), after=all_were_used),
    Case(41, "a last batch of one image", remainder, 0,
         ("the last batch of an epoch would have 1 image: joined to the one before",)),
    Case(42, "a label out of range", out_of_range, 3, ("outside of 0..2", "5 ("), alone=True),
    Case(43, "a label of -100", ignored_label, 3, ("-100", "line 2")),
    Case(44, "--classes 300 and 2 classes", three_hundred, 3,
         ("--classes 300, but 'set' has 2", "--classes 2"), after=nothing_was_made),
    Case(45, "an archive with .., /, links, devices", hostile_tar, 3, ("is an archive",),
         after=nothing_was_unpacked),
    Case(46, "a zip bomb", zip_bomb, 3, ("is an archive",), after=nothing_was_unpacked),
]  # fmt: skip
