"""Every question about a model catches the model that lies about it, and no other question does."""

from __future__ import annotations

import pytest

from zoo.testing import Settings, contract

ENTRY = """
[plugin]
api = ">=1,<2"

[[model]]
name = "net"
target = "zoo_odd_parts:Net"
summary = "For the test"
head = "head"
stages = [["stem", ["stem"]], ["body", ["body"]]]
classes = 4
params = 245
stage_params = { stem = 112, body = 117, head = 16 }

[model.input]
size = [3, 8, 8]
mean = [0.5, 0.5, 0.5]
std = [0.5, 0.5, 0.5]
"""
CODE = """
import random
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, num_classes=4):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3)
        self.body = nn.Sequential(nn.Conv2d(4, 3, 3), nn.BatchNorm2d(3))
        self.head = nn.Linear(3, num_classes)

    def forward(self, x):
        return self.head(self.body(self.stem(x).relu()).mean((2, 3)))
"""


def failures(site, entry=ENTRY, code=CODE, **settings):
    site.manifest("odd", entry, **{"zoo_odd_parts.py": code})
    given = Settings(**{"exports": (), **settings})
    asked = [check for check in contract("odd", given) if check.subject != "plugin"]
    answers = [check.answer() for check in asked]
    return {a.question: f"{a.text} | {a.hint}" for a in answers if a.state == "failed"}


def test_an_honest_model_passes_everything(site):
    assert failures(site, exports=("torch-export", "onnx")) == {}


LIES = {
    "builds with the declared size": {"params = 245": "params = 246"},
    "builds on the meta device with the declared size": {"params = 245": "params = 246"},
    "says what input it expects": {"mean = [0.5, 0.5, 0.5]": "mean = [0.5]"},
    "its declared stages, neck, head and aux are the real ones": {
        '[["stem", ["stem"]], ["body", ["body"]]]': '[["body", ["body"]], ["stem", ["stem"]]]'
    },
    "its stages have the declared sizes": {"body = 117": "body = 118"},
    "its head takes any number of classes": {'head = "head"': 'head = "classifier"'},
    "has a plain name and a summary": {'summary = "For the test"': ""},
    "its target can be imported": {"zoo_odd_parts:Net": "zoo_odd_parts:Gone"},
}


@pytest.mark.parametrize("question", LIES)
def test_an_entry_that_lies_is_caught(question, site):
    ((old, new),) = LIES[question].items()
    assert question in failures(site, entry=ENTRY.replace(old, new))


def test_a_parameter_in_no_stage_is_named(site):
    entry = ENTRY.replace(', ["body", ["body"]]', "")
    found = failures(site, entry=entry)
    assert "body" in found["its declared stages, neck, head and aux are the real ones"]


DEFECTS = {
    "the same seed builds the same weights": (
        "self.head = nn.Linear(3, num_classes)",
        "self.head = nn.Linear(3, num_classes); self.head.bias.data += random.random()",
    ),
    "answers one image as it answers it in a batch": (
        ".mean((2, 3)))",
        ".mean((2, 3)) - x.mean())",
    ),
    "evaluates the same twice and changes nothing": (
        "        return self.head",
        "        self.body[1].running_mean += 1\n        return self.head",
    ),
    "gradients reach every trainable parameter": (
        "self.stem(x).relu()",
        "self.stem(x).detach().relu()",
    ),
    "its weights survive safetensors bit for bit": (
        "        return self.head",
        "        x = x * self.factor\n        return self.head",
    ),
    "exports to torch-export and computes the same": (
        "        return self.head",
        "        x = x * (2 if x.sum() > 0 else 1)\n        return self.head",
    ),
    "exports to onnx and computes the same": (
        "        return self.head",
        "        x = x * (2 if x.sum() > 0 else 1)\n        return self.head",
    ),
    "stays frozen where it is frozen": (
        "        return self.head",
        "        if self.training: self.stem.weight.data.mul_(1.5)\n        return self.head",
    ),
    "takes a new head": (
        "self.head(",
        "(0 * self.head.weight.sum() + torch.ones(1, 4)) * self.head(",
    ),
}


@pytest.mark.parametrize("question", DEFECTS)
def test_a_defect_is_caught(question, site):
    old, new = DEFECTS[question]
    code = CODE.replace(old, new)
    assert code != CODE
    if "factor" in new:  # state that no state_dict holds
        code = code.replace(
            "super().__init__()", "super().__init__(); self.factor = float(torch.rand(()))"
        )
    exports = tuple(form for form in ("torch-export", "onnx") if f"exports to {form}" in question)
    assert question in failures(site, code=code, exports=exports)


def test_every_question_has_a_model_that_fails_it(site):
    site.manifest("odd", ENTRY, **{"zoo_odd_parts.py": CODE})
    asked = {c.question for c in contract("odd", Settings()) if c.subject == "model net"}
    assert asked - {*LIES, *DEFECTS} == {"what it requires is installed"}  # that one is skipped


def test_a_parameter_in_two_stages_is_named(site):
    entry = ENTRY.replace('["body", ["body"]]', '["body", ["body", "stem.bias"]]')
    found = failures(site, entry=entry)
    assert "stem.bias" in found["its declared stages, neck, head and aux are the real ones"]


@pytest.mark.parametrize("pooled", [True, False])
def test_features_take_a_head_where_an_identity_holds_its_place(pooled, site):
    entry = ENTRY.replace("classes = 4", 'task = "features"').replace(
        "params = 245", "params = 229"
    )
    code = CODE.replace("nn.Linear(3, num_classes)", "nn.Identity()")
    if not pooled:
        code = code.replace(".mean((2, 3))", "")
    found = failures(site, entry=entry.replace(", head = 16", ""), code=code)
    assert list(found) == ([] if pooled else ["takes a new head"])
    assert pooled or "not features (N, D)" in found["takes a new head"]


def test_a_model_that_is_no_module_is_caught(site):
    found = failures(site, code=CODE + "\nclass Net:\n    def __init__(self, num_classes=4): pass")
    assert "gave a Net" in found["builds with the declared size"]


def test_dropout_that_stays_on_in_eval_is_caught(site):
    code = CODE.replace(
        "return self.head(", "return self.head(nn.functional.dropout(torch.ones(3), 0.5) * "
    )
    assert "evaluates the same twice and changes nothing" in failures(site, code=code)


def test_a_large_model_is_only_built_on_the_meta_device(site):
    site.manifest("odd", ENTRY, **{"zoo_odd_parts.py": CODE})
    asked = {check.question for check in contract("odd", Settings(max_params=100))}
    assert "builds on the meta device with the declared size" in asked
    assert "builds with the declared size" not in asked


def test_asking_leaves_the_random_state_alone(site):
    import torch

    site.manifest("odd", ENTRY, **{"zoo_odd_parts.py": CODE})
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    for check in contract("odd", Settings(exports=())):
        if "seed" in check.question or "size" in check.question:
            check.answer()
    assert torch.equal(before, torch.random.get_rng_state())
