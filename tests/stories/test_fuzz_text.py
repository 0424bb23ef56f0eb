"""Recipes, registry files, names and tables of any content: an answer in time, and never a trace."""

from __future__ import annotations

import pytest
import tomlkit
from bad_inputs.case import Kitchen
from fuzzing import check, examples, mutated, odd, text, value
from hypothesis import given
from hypothesis import strategies as st
from pictures import folder

from zoo.core.fields import fields

pytestmark = pytest.mark.timeout(240)
KEYS = sorted(fields())
RECIPE = b"""
schema = 1
verb = "train"
[model]
name = "resnet18"
options = { zero_init_residual = true }
[data]
source = "set"
batch_size = 4
size = 32
options = { a = [1, 2], b = { c = 1.5 } }
[optim]
lr = 0.01
unfreeze_at = [1, "x"]
"""
REGISTRY = b"""
schema = 1
[input.small]
size = [3, 32, 32]
[[model]]
name = "mine"
target = "torchvision.models:resnet18"
input = "small"
options = { a = 1 }
stages = [["a", ["b", "c"]]]
[[model.weights]]
name = "w"
source = "file:w.safetensors"
[[model]]
name = "resnet18"
[[model.weights]]
name = "local"
source = "file:w.safetensors"
[[loss]]
name = "own"
target = "a:b"
[[pin]]
source = "hub:a/b"
revision = "0"
[hub]
endpoint = "http://127.0.0.1:9"
[[known]]
name = "x/*"
"""


@pytest.fixture(scope="module")
def kitchen(tmp_path_factory):
    made = Kitchen(tmp_path_factory.mktemp("fuzz"))
    made.env["ZOO_PLUGINS"] = ""
    folder(made.here / "set", each=2)
    return made


@pytest.fixture(scope="module")
def pantry(tmp_path_factory):
    """Another folder: what is in the one must not be read as an overlay in the other."""
    made = Kitchen(tmp_path_factory.mktemp("fuzz"))
    made.env["ZOO_PLUGINS"] = ""
    folder(made.here / "set", each=2)
    return made


def toml(table):
    try:
        return tomlkit.dumps(table)
    except Exception:  # what TOML cannot say is not written into TOML files
        return None


PLAN = ("train", "--recipe", "r.toml", "--dry-run")


@examples(60)
@given(mutated(RECIPE))
def test_recipes_with_damaged_text(kitchen, content):
    kitchen.write("r.toml", content)
    check(kitchen.zoo(*PLAN))


@examples(120)
@given(st.dictionaries(st.one_of(st.sampled_from(KEYS), text), value, max_size=4))
def test_recipes_with_any_values(kitchen, chosen):
    table = {"model": {"name": "resnet18"}, "data": {"source": "set"}}
    for key, one in chosen.items():
        section, _, item = key.partition(".")
        if item and isinstance(table.setdefault(section, {}), dict):
            table[section][item] = one
        else:
            table[section] = one
    written = toml(table)
    if written is not None:
        kitchen.write("r.toml", written)
        check(kitchen.zoo(*PLAN))


@examples(60)
@given(st.sampled_from(KEYS), st.one_of(odd, st.text(max_size=30)))
def test_any_assignment(kitchen, key, assigned):
    answer = kitchen.zoo(
        "train", "resnet18", "--data", "set", "--set", f"{key}={assigned}", "--dry-run"
    )
    check(answer)


@examples(60)
@given(mutated(REGISTRY))
def test_registry_files_with_damaged_text(pantry, content):
    pantry.write("registry.toml", content)
    check(pantry.zoo("list", "--names"), frozenset({0, 2}))


@examples(80)
@given(st.data())
def test_registry_files_with_any_values(pantry, data):
    from fuzzing import altered

    written = toml(data.draw(altered(tomlkit.parse(REGISTRY.decode()).unwrap())))
    if written is not None:
        pantry.write("registry.toml", written)
        check(pantry.zoo("info", "resnet18"), frozenset({0, 2}))


NAME = st.one_of(
    text,
    st.from_regex(r"(hub|file|run|url|package|x)?:?[a-z0-9/.@:_-]{0,30}", fullmatch=True),
)


@examples(60)
@given(
    NAME, st.sampled_from(["model", "--weights", "--loss", "--optimizer", "--freeze-upto", "info"])
)
def test_any_name(kitchen, name, where):
    kitchen.env |= {"ZOO_OFFLINE": "1", "HF_HUB_OFFLINE": "1"}
    rest = ("--data", "set", "--size", "32", "--dry-run")
    if where == "info":
        answer = kitchen.zoo("info", "--", name)
    elif where == "model":
        answer = kitchen.zoo("finetune", *rest, "--", name)
    else:
        answer = kitchen.zoo("finetune", "resnet18", f"{where}={name}", *rest)
    check(answer)


TABLE = b"path,label,split\ncat/0.jpg,cat,train\ncat/1.jpg,cat,val\ndog/2.jpg,dog,train\ndog/3.jpg,dog,val\n"


@examples(60)
@given(mutated(TABLE))
def test_tables_with_damaged_text(kitchen, content):
    kitchen.write("set/set.csv", content)
    check(kitchen.zoo("train", "resnet18", "--data", "set/set.csv", "--dry-run"), frozenset({0, 3}))


@examples(60)
@given(st.lists(st.tuples(text, text, text), max_size=5))
def test_tables_with_any_cells(kitchen, rows):
    import csv
    import io

    stream = io.StringIO()
    writer = csv.writer(stream)
    writer.writerows([("path", "label", "split"), ("cat/0.jpg", "cat", "train"), *rows])
    kitchen.write("set/set.csv", stream.getvalue().encode("utf-8", "surrogatepass"))
    check(kitchen.zoo("doctor", "set/set.csv"), frozenset({0, 3}))
