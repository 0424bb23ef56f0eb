import json

import pytest

from zoo.core import registry
from zoo.core.hookspecs import KINDS
from zoo.core.names import natural_key

PLUGIN = """
[[model]]
name = "resnet18"
target = "zoo_leaf:x"
family = "leaf"
params = 5
task = "features"
[[model]]
name = "vague"
target = "zoo_leaf:x"
"""


def names(zoo, *args):
    code, out, _ = zoo("list", "--names", *args)
    assert code == 0
    return out.split()


def test_models_are_sorted_as_people_sort_the_built_in_ones_first(zoo, site):
    site.manifest("leaf", PLUGIN)
    registry.load.cache_clear()
    found = names(zoo)
    own = [n for n in found if "/" not in n]
    assert found[: len(own)] == sorted(own, key=natural_key)
    assert found[len(own) :] == ["leaf/resnet18", "leaf/vague"]
    assert found.index("resnet18") < found.index("resnet101")


def test_the_table_has_sizes_and_numbers(zoo):
    _, out, err = zoo("list", "resnet18")
    head, row, *_ = out.splitlines()
    assert head.split() == ["MODEL", "PARAMS", "FAMILY", "INPUT", "WEIGHTS", "TOP-1", "SUMMARY"]
    assert row.split()[:4] == ["resnet18", "11.7M", "resnet", "3x224x224"]
    assert "69.76" in row
    assert "zoo info NAME says more" in err


def test_one_is_counted_as_one(zoo):
    assert zoo("list", "densenet121", "--plugin", "zoo")[2].startswith("1 model; ")
    assert zoo("list", "densenet*", "--plugin", "zoo")[2].startswith("4 models; ")


def test_patterns(zoo):
    own = ("--plugin", "zoo")
    assert names(zoo, "resnet??", *own) == ["resnet18", "resnet34", "resnet50"]
    assert names(zoo, "RESNET18")[0] == "resnet18"
    assert "wide_resnet50_2" in names(zoo, "resnet50")
    assert names(zoo, "vgg1[13]", *own) == ["vgg11", "vgg13"]


def test_filters(zoo, site):
    site.manifest("leaf", PLUGIN)
    registry.load.cache_clear()
    assert names(zoo, "--family", "alexnet") == ["alexnet"]
    assert names(zoo, "--plugin", "leaf") == ["leaf/resnet18", "leaf/vague"]
    assert names(zoo, "--task", "features") == ["leaf/resnet18"]
    small = names(zoo, "--max-params", "3M", "--plugin", "zoo")
    assert small
    assert all(registry.load().model(n).params <= 3_000_000 for n in small)
    assert names(zoo, "--max-params", "5", "--plugin", "leaf") == ["leaf/resnet18"]
    assert not set(names(zoo, "--weights")) & {"leaf/resnet18", "leaf/vague"}


@pytest.mark.parametrize("text", ["3M", "3000k", "3.0m", "3000000", "0.003B", "3 M"])
def test_numbers_of_parameters(zoo, text):
    assert names(zoo, "--max-params", text) == names(zoo, "--max-params", "3M")


@pytest.mark.parametrize("kind", [k for k in KINDS if k != "command"])
def test_every_kind_is_listed(zoo, kind):
    shelf = registry.load().shelf(kind)
    if not shelf:
        pytest.skip(f"no {kind} is installed")
    assert set(names(zoo, "--kind", kind)) == set(shelf)


def test_json_is_the_whole_record(zoo):
    _, out, err = zoo("list", "resnet18", "--json")
    found = json.loads(out)
    (one,) = [m for m in found if m["name"] == "resnet18" and m["plugin"] == "zoo"]
    assert one["params"] == 11_689_512
    assert one["weights"][0]["name"] == "imagenet1k_v1"
    assert err == ""


@pytest.mark.parametrize(
    ("args", "error", "hint"),
    [
        (["resnt18"], "no model matches 'resnt18'", "did you mean resnet18"),
        (["zzzz*"], "no model matches 'zzzz*'", "zoo list --kind model"),
        (["--family", "resnt"], "no family 'resnt'", "did you mean resnet"),
        (["--family", "zzzz"], "no family 'zzzz'", "families: "),
        (["--plugin", "zzz"], "no plugin 'zzz'", "zoo plugins"),
        (["--max-params", "many"], "--max-params 'many' is not a number", "20M"),
        (["--max-params", "1", "--weights"], "no model fits these filters", "take one away"),
        (["resnet*", "--max-params", "1"], "no model fits these filters", "take one away"),
        (["--kind", "loss", "zzzz"], "no loss matches 'zzzz'", "zoo list --kind loss"),
        (["datasets"], "no model matches 'datasets'", "zoo list --kind dataset"),
        (["loss"], "no model matches 'loss'", "zoo list --kind loss"),
        (["adamw"], "no model matches 'adamw'", "zoo list adamw --kind optimizer"),
        (["--kind", "datasets"], "'datasets' is not one of", "did you mean dataset?"),
        (["--kind", "zzzz"], "'zzzz' is not one of", "zoo list --help"),
    ],
)
def test_what_is_not_there(zoo, args, error, hint):
    code, out, err = zoo("list", *args)
    assert (code, out) == (2, "")
    assert error in err
    assert hint in err


LOSSY = """
[[loss]]
name = "one"
target = "zoo_lossy:x"
tags = ["Wonderful"]
[[metric]]
name = "two"
target = "zoo_lossy:x"
"""


@pytest.mark.parametrize(
    ("plugin", "error", "hint"),
    [
        (
            "lossy",
            "plugin lossy has no model; it has: 1 loss, 1 metric",
            "zoo list --kind loss --p",
        ),
        ("bad", "plugin bad is out of order: ZeroDivisionError", "zoo plugins show bad"),
        ("bare", "plugin bare has no model\n", "zoo plugins show bare"),
        ("off", "plugin off is switched off", "ZOO_DISABLE_PLUGINS names off"),
    ],
)
def test_a_plugin_without_a_model_says_what_it_has(zoo, site, monkeypatch, plugin, error, hint):
    site.manifest("lossy", LOSSY)
    site.manifest("bare", "")
    site.manifest("off", LOSSY)
    site.code("bad", "1 / 0")
    monkeypatch.setenv("ZOO_DISABLE_PLUGINS", "off")
    registry.load.cache_clear()
    code, _, err = zoo("list", "--plugin", plugin)
    assert code == 2
    assert error in err
    assert f"hint: {hint}" in err


def test_tags_are_words_for_searching(zoo, site):
    site.manifest("lossy", LOSSY)
    registry.load.cache_clear()
    assert names(zoo, "--kind", "loss", "wonderful") == ["lossy/one"]
    assert names(zoo, "--kind", "loss", "wonder*") == ["lossy/one"]


def test_a_kind_that_nobody_brings(zoo, site):
    code, out, err = zoo("list", "--kind", "command")
    assert (code, out) == (0, "")
    assert "no plugin has a command" in err
    assert zoo("list", "--kind", "command", "--names") == (0, "", err)
    assert zoo("list", "--kind", "command", "--json") == (0, "[]\n", "")


def test_the_hub_is_searched_and_what_fits_is_marked(hub, home):
    from loopback_weights import ours, repository

    card = "---\nlicense: mit\nlibrary_name: {}\npipeline_tag: image-classification\n---\n"
    repository(hub, "ann/net", {"model.safetensors": ours(), "README.md": card.format("zoo")})
    repository(hub, "bob/net", {"pytorch_model.bin": b"x", "README.md": card.format("timm")})
    rows = [line.split() for line in home.zoo("list", "--hub", "net").out.splitlines()]
    assert rows[0] == ["REPOSITORY", "TASK", "LICENCE", "DOWNLOADS", "LOADABLE"]
    assert {row[0]: row[-1] for row in rows[1:]} == {"ann/net": "yes", "bob/net": "7"}
    assert sorted(home.zoo("list", "--hub", "net", "--names").out.split()) == ["ann/net", "bob/net"]
