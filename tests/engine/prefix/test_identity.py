from __future__ import annotations

import importlib
import sys
import types

import pytest
import torch
from pictures import folder

from zoo.core import registry
from zoo.core.request import request
from zoo.core.specs import PluginInfo, TransformSpec
from zoo.engine.parts import build
from zoo.engine.plan import open_recipe_data
from zoo.engine.prefix.identity import code_of, code_of_layers, identity_of, version_of
from zoo.engine.start.weights import find_start

SPEC = TransformSpec(name="dim", target="code_case:Dim", plugin="case", options={"by": 2})
SOURCE = "import torch\nclass Dim(torch.nn.Module):\n    BY = 1\n"


@pytest.fixture
def module(tmp_path, monkeypatch):
    path = tmp_path / "code_case.py"
    path.write_text(SOURCE)
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    yield path, importlib.import_module("code_case")
    sys.modules.pop("code_case")


def plugins(version="1.0"):
    info = PluginInfo(name="case", distribution="zoo-case", version=version)
    return types.SimpleNamespace(plugins=(info,))


def test_a_parts_code_is_its_version_its_options_and_its_source(module):
    path, _ = module
    first = code_of(SPEC, plugins())
    assert "case/dim zoo-case==1.0 code_case:Dim" in first
    assert code_of(SPEC, plugins()) == first
    assert code_of(SPEC, plugins("1.1")) != first
    path.write_text(SOURCE.replace("1", "2"))
    changed = code_of(SPEC, plugins())
    assert changed != first
    path.unlink()  # unreadable: the version has to do
    assert code_of(SPEC, plugins()) not in (first, changed)


def test_a_models_code_is_that_of_its_layers(module):
    path, loaded = module
    model = torch.nn.Sequential(torch.nn.ReLU(), loaded.Dim())
    first = code_of_layers(model)
    assert "code_case" in first
    assert "torch" not in first
    path.write_text(SOURCE.replace("1", "2"))
    assert code_of_layers(model) != first
    assert code_of_layers(model[:1]) == code_of_layers(torch.nn.Linear(2, 2))


def test_versions_are_those_of_distributions():
    assert version_of("torch")
    assert version_of("no-such-thing") == ""


def identity(**values):
    known = registry.load()
    base = {
        "weights": "none",
        "allow_random_frozen": True,
        "classes": 3,
        "size": 32,
        "data": "demo",
    }
    recipe = request("finetune", "resnet18", {**base, **values}, registry=known).recipe
    splits = open_recipe_data(recipe, known, 3)
    built = build(find_start(recipe, known), recipe, known, splits.classes)
    return identity_of(recipe, known, built, built.input, splits)


def test_each_part_has_its_own_transform_and_both_have_the_libraries():
    plain, other = identity(), identity(transform="center-crop")
    assert plain == identity()
    assert plain["val"] == other["val"]
    assert plain["train"] != other["train"]
    assert "center-crop" in other["train"]
    for text in plain.values():
        assert version_of("torchvision") in text
        assert version_of("pillow") in text


def test_outputs_of_one_fold_are_not_those_of_another(tmp_path):
    """Of as many images, both of them: rows stand for other images."""
    photos = str(folder(tmp_path / "set", ["a", "b", "c"], each=6))
    texts = [identity(data=photos, fold=f"{n}/3") for n in (1, 2)]
    for part in ("train", "val"):
        assert texts[0][part] != texts[1][part]
    assert "fold" not in identity(data=photos)["train"].replace(photos, "")
