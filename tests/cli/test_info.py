import json

import pytest

from zoo.core import registry
from zoo.core.hookspecs import KINDS


def test_a_model_on_one_page(zoo):
    code, out, _ = zoo("info", "resnet18")
    assert code == 0
    for piece in (
        "resnet18  (model, from zoo)",
        "11,689,512 with 1000 classes",
        "3 x 224 x 224",
        "stages, for --freeze-upto",
        "layer3",
        "weights (the first is the default)",
        "imagenet1k_v1",
        "69.76",
        "zoo finetune resnet18 --freeze-upto layer3 --data FOLDER",
        'zoo.create_model("resnet18:imagenet1k_v1", classes=300)',
    ):
        assert piece in out


def test_the_parameters_of_the_stages_add_up(zoo):
    _, out, _ = zoo("info", "resnet18")
    table = out.partition("MODULES\n")[2].partition("\n\n")[0]
    numbers = [int(line.split()[1].replace(",", "")) for line in table.splitlines()]
    assert sum(numbers) == 11_689_512


@pytest.mark.parametrize("kind", KINDS)
def test_one_part_of_every_kind(zoo, kind):
    shelf = registry.load().shelf(kind)
    if not shelf:
        pytest.skip(f"no {kind} is installed")
    for name in list(shelf)[:3]:
        code, out, _ = zoo("info", name, "--kind", kind)
        assert code == 0
        assert f"({kind}, from {shelf[name].plugin})" in out
        assert shelf[name].summary in out


@pytest.mark.parametrize(
    ("kind", "flag"),
    [
        ("loss", "--loss"),
        ("optimizer", "--optimizer"),
        ("scheduler", "--schedule"),
        ("dataset", "--data"),
        ("exporter", "--format"),
    ],
)
def test_a_part_says_how_it_is_used(zoo, kind, flag):
    name = next(iter(registry.load().shelf(kind)))
    assert f"{flag} {name}" in zoo("info", name, "--kind", kind)[1]


def test_what_can_be_downloaded_says_so(zoo):
    assert "--data cifar10 --download" in zoo("info", "cifar10")[1]
    assert "--download" not in zoo("info", "digits")[1]


def test_json_is_the_whole_record(zoo):
    found = json.loads(zoo("info", "resnet18", "--json")[1])
    assert (found["kind"], found["qualified"]) == ("model", "resnet18")
    assert found["stages"][0][0] == "stem"
    found = json.loads(zoo("info", "cross-entropy", "--json")[1])
    assert found["kind"] == "loss"


def test_an_alias_and_a_weights_tag_find_the_part(zoo):
    assert "cross-entropy  (loss" in zoo("info", "ce")[1]
    assert "resnet50  (model" in zoo("info", "resnet50:imagenet1k_v2")[1]


def test_a_model_without_weights_says_what_to_do(zoo, site):
    site.manifest("leaf", "[[model]]\nname = 'leaf'\ntarget = 'm:x'\ndeprecated = 'use oak'\n")
    registry.load.cache_clear()
    _, out, _ = zoo("info", "leaf")
    assert "no pretrained weights" in out
    assert "deprecated: use oak" in out
    assert "parameters  not stated" in out
    assert "input       not stated" in out
    assert "zoo train leaf/leaf --data FOLDER" in out


def test_nothing_of_a_plugin_is_imported(zoo, site):
    import sys

    site.manifest(
        "leaf",
        "[[model]]\nname = 'leaf'\ntarget = 'zoo_leaf:x'\n",
        **{"zoo_leaf/__init__.py": "raise RuntimeError"},
    )
    registry.load.cache_clear()
    assert zoo("info", "leaf/leaf")[0] == 0
    assert "zoo_leaf" not in sys.modules


@pytest.mark.parametrize(
    ("args", "error", "hint"),
    [
        (["resnt18"], "nothing is called 'resnt18'", "resnet18 (model)"),
        (["crossentropi"], "nothing is called 'crossentropi'", "cross-entropy (loss)"),
        (["zzzzzz"], "nothing is called 'zzzzzz'", "zoo list"),
        (["cross-entropy", "--kind", "model"], "unknown model 'cross-entropy'", "hint: "),
        (["./model.pth"], "looks like a path", "file:./model.pth"),
    ],
)
def test_what_is_not_there(zoo, args, error, hint):
    code, out, err = zoo("info", *args)
    assert (code, out) == (2, "")
    assert error in err
    assert hint in err


def test_layers_with_shapes_sizes_and_operations(zoo):
    code, out, err = zoo("info", "tutorials/lenet", "--layers")
    assert code == 0
    rows = {line.split()[0]: line.split()[1:] for line in out.splitlines()[1:]}
    assert rows["conv1"] == ["Conv2d", "6x28x28", "156", "0.2"]
    assert rows["fc3"] == ["Linear", "10", "850", "0.0"]
    assert "61,706 parameters" in err


def test_layers_down_to_a_level_as_json(zoo):
    _, out, _ = zoo("info", "resnet18", "--layers", "--depth", "1", "--json")
    found = json.loads(out)
    assert found["total"]["flops"] == 3_628_146_688
    assert [row["path"] for row in found["layers"]][-3:] == ["layer4", "avgpool", "fc"]
