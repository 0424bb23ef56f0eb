"""Questions about data sets, transforms, trackers, exporters and commands catch what is wrong."""

from __future__ import annotations

import pytest
from oddplugin import ask

from zoo.testing import contract

DATA = """
import random

class Part:
    classes = ("a", "b")
    targets = [0, 1, 0, 1]

    def __init__(self, root="", split="train", transform=None, download=False):
        self.transform = transform

    def __len__(self):
        return 4

    def __getitem__(self, index):
        if index >= 4:
            raise IndexError(index)
        from PIL import Image
        return Image.new("RGB", (8, 8), (10 * index, 0, 0)), self.targets[index]
"""
ENTRY = 'splits = ["train"]\nchannels = 3\nclasses = 2\nsize = { train = 4 }'
DATA_DEFECTS = {
    "another length each time": ("return 4", "return random.randrange(1, 10**6)", "length"),
    "fewer than declared": ("return 4", "return 3", "declared are 4"),
    "no end": ("if index >= 4", "if False", "exists although"),
    "another image each time": ("(10 * index, 0, 0)", "(random.randrange(256), 0, 0)", "again"),
    "grey": ('"RGB", (8, 8), (10 * index, 0, 0)', '"L", (8, 8)', "channels"),
    "an image alone": (", self.targets[index]\n", "\n", "(image, target)"),
}


def test_an_honest_data_set_passes(site):
    assert ask(site, "dataset", DATA, ENTRY) == {}


@pytest.mark.parametrize("kind", DATA_DEFECTS)
def test_a_data_set_that_cannot_be_read_by_index(kind, site):
    old, new, reason = DATA_DEFECTS[kind]
    code = DATA.replace(old, new).replace("targets[index]", "targets[index % 4]")
    if kind == "an image alone":
        code = DATA.replace(old, new)
    assert reason in ask(site, "dataset", code, ENTRY)["train: can be read by index"]


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("[0, 1, 0, 1]", "[0, 1, 2, 1]", "from 0 to 1"),
        ("self.targets[index]\n", "1 - self.targets[index]\n", "not its labels"),
        ('("a", "b")', '("a", "b", "c")', "declared are 2"),
    ],
)
def test_labels_that_are_not_what_they_should_be(old, new, reason, site):
    found = ask(site, "dataset", DATA.replace(old, new), ENTRY)
    assert reason in found["train: labels are class numbers"]


def test_a_data_set_to_be_fetched_by_hand_is_read_where_its_files_lie(site, tmp_path):
    code = DATA.replace(
        "        self.transform", "        assert root == ROOT\n        self.transform"
    )
    code = f"ROOT = {str(tmp_path)!r}\n{code}"
    entry = ENTRY + '\ndownload = "manual"'
    assert ask(site, "dataset", code, entry, roots={"odd": str(tmp_path)}) == {}


TRANSFORM = """
import random
import torch
from torchvision.transforms.v2 import functional as F

def Part(input):
    def apply(image):
        image = F.resize(image, list(input.size[1:]), antialias=True)
        return image if torch.rand(()) < 0.5 else image.flip(-1)
    return apply
"""
TRANSFORM_DEFECTS = {
    "floats": ("else image.flip(-1)", "else image / 255", "float32"),
    "another size": ("list(input.size[1:])", "[16, 16]", "becomes"),
    "writes into the image": (
        "        image = F",
        "        image.zero_(); image = F",
        "writes into",
    ),
}


def test_an_honest_transform_passes(site):
    assert ask(site, "transform", TRANSFORM) == {}


@pytest.mark.parametrize("kind", TRANSFORM_DEFECTS)
def test_a_transform_that_gives_something_else(kind, site):
    old, new, reason = TRANSFORM_DEFECTS[kind]
    code = TRANSFORM.replace(old, new).replace("torch.rand(()) < 0.5", "False")
    assert reason in ask(site, "transform", code)["gives the declared output"]


def test_randomness_that_no_seed_reaches_is_caught(site):
    code = TRANSFORM.replace("torch.rand(()) < 0.5", "random.random() < 0.5")
    code = code.replace("image.flip(-1)", "image.roll(random.randrange(30), -1)")
    for _ in range(5):
        found = ask_again(site, code)
        if "follows torch's seed" in found:
            return
    pytest.fail("never caught")


def ask_again(site, code):
    if not (site.path / "zoo_odd_parts.py").exists():
        return ask(site, "transform", code)
    asked = [check for check in contract("odd") if check.subject != "plugin"]
    answers = [check.answer() for check in asked]
    return {a.question: a.text for a in answers if a.state == "failed"}


MIX = """
import torch

def Part(input, classes):
    def apply(images, labels):
        order = torch.randperm(len(images))
        hot = torch.nn.functional.one_hot(labels, classes).float()
        return (images + images[order]) / 2, (hot + hot[order]) / 2
    return apply
"""


def test_a_batch_transform_gives_soft_targets_that_sum_to_one(site):
    assert ask(site, "transform", MIX, 'stage = "batch"') == {}


def test_soft_targets_that_do_not_sum_to_one_are_caught(site):
    found = ask(
        site, "transform", MIX.replace("(hot + hot[order]) / 2", "hot * 2"), 'stage = "batch"'
    )
    assert "do not sum" in found["gives the declared output"]


def test_a_tracker_without_close_is_caught(site):
    code = "class Part:\n    def __init__(self, run_dir): pass\n    def scalars(self, v, s): pass\n"
    assert "takes numbers, images and a graph, and closes" in ask(site, "tracker", code)


def test_an_exporter_that_writes_other_weights_is_caught(site):
    code = """
import torch
class Exporter:
    def __call__(self, model, example, path):
        torch.save({k: v + 1 for k, v in model.state_dict().items()}, path)
        return path
    def load(self, path, model):
        import copy
        twin = copy.deepcopy(model)
        twin.load_state_dict(torch.load(path, weights_only=True))
        return twin
Part = Exporter()
"""
    found = ask(site, "exporter", code, 'suffix = ".pt"')
    assert "differ by" in found["writes a file that computes the same"]


def test_a_command_that_is_none_is_caught(site):
    assert (
        "not a click command" in ask(site, "command", "def Part(): pass")["is a command with help"]
    )


ASKED = DATA.replace(
    "    def __len__",
    "    @staticmethod\n    def splits(root, download=False, last='test'):\n"
    "        return ['train', last]\n\n    def __len__",
).replace("download=False):", "download=False, last='test'):", 1)


def test_a_data_set_that_names_its_splits_itself(site):
    assert ask(site, "dataset", ASKED, "splits = []\nclasses = 2") == {}


@pytest.mark.parametrize(
    ("old", "new", "question", "reason"),
    [
        ("['train', last]", "[]", "names its splits, training first", "no names"),
        ("['train', last]", "['a', 'a']", "names its splits, training first", "one twice"),
        ("def splits", "def others", "names its splits, training first", "has no function splits"),
        ("return 4", "return 5", "every split: can be read by index", "4"),
    ],
)
def test_splits_that_are_wrong(old, new, question, reason, site):
    found = ask(site, "dataset", ASKED.replace(old, new), "splits = []\nclasses = 2")
    assert reason in found[question]


def test_options_that_a_data_set_needs(site):
    code = ASKED.replace(
        "        return ['train', last]", "        assert last == 'dev'; return [last]"
    )
    entry = "splits = []\nclasses = 2"
    assert ask(site, "dataset", code, entry, options={"odd": {"last": "dev"}}) == {}


def test_image_files_that_are_handed_out(site):
    code = DATA + "\n    def encoded(self, index):\n        return b'a file'\n"
    assert ask(site, "dataset", code, ENTRY) == {}


def test_image_files_that_are_no_bytes(site):
    code = DATA + "\n    def encoded(self, index):\n        return 'a file'\n"
    found = ask(site, "dataset", code, ENTRY)
    assert "gives the bytes of a file" in found["train: can be read by index"]
