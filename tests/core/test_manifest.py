import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.core import limits, manifest
from zoo.core.hookspecs import KINDS
from zoo.core.specs import InputSpec
from zoo.errors import UsageError


@pytest.fixture
def read(tmp_path):
    """Read a manifest from text; ``schema = 1`` is put in front."""

    def call(text, *, name="registry.toml", schema="schema = 1\n", **options):
        path = tmp_path / name
        path.write_text(schema + text, "utf-8")
        return manifest.read(path, **options)

    return call


def wrong(read, text, **options):
    with pytest.raises(UsageError) as caught:
        read(text, **options)
    return f"{caught.value.message} | {caught.value.hint}"


FULL = """
[plugin]
summary = "Leaves"
api = ">=1,<2"
hooks = "zoo_leaf.hooks"

[input.small]
size = [3, 32, 32]
mean = [0.5, 0.5, 0.5]
std = [0.5, 0.5, 0.5]

[[model]]
name = "leaf"
target = "zoo_leaf:leaf"
head = "fc"
stages = [["stem", ["conv"]], ["body", ["a", "b"]]]
input = "small"
params = 10
recipe = { "optim.lr" = 0.5 }

[[model.weights]]
name = "v1"
source = "hub:org/leaf"
sha256 = "ab"
metrics = { "in/top1" = 70 }
input = { size = [3, 64, 64] }

[[loss]]
name = "focal"
target = "zoo_leaf:Focal"
options = { gamma = 2.0 }

[[known]]
name = "oak/*"
plugin = "oak"
install = "pip install zoo-oak"

[hub]
endpoint = "http://hub.internal"
"""


def test_everything_that_a_manifest_may_say(read):
    found = read(FULL)
    (model,) = found.parts["model"]
    assert (found.summary, found.api, found.hooks) == ("Leaves", ">=1,<2", "zoo_leaf.hooks")
    assert model.input == InputSpec(size=(3, 32, 32), mean=(0.5,) * 3, std=(0.5,) * 3)
    assert model.stages == (("stem", ("conv",)), ("body", ("a", "b")))
    assert model.recipe == {"optim.lr": 0.5}
    (weights,) = model.weights
    assert weights.input == InputSpec(size=(3, 64, 64))
    assert weights.metrics == {"in/top1": 70.0}
    (loss,) = found.parts["loss"]
    assert loss.options == {"gamma": 2.0}
    assert [known.install for known in found.known] == ["pip install zoo-oak"]
    assert found.hub == {"endpoint": "http://hub.internal"}
    assert set(found.parts) == {"model", "loss"}


def test_json_says_the_same(tmp_path, read):
    import tomllib

    path = tmp_path / "registry.json"
    path.write_text(json.dumps({"schema": 1, **tomllib.loads(FULL)}))
    assert manifest.read(path).parts == read(FULL).parts


def test_windows_files_are_read(tmp_path):
    path = tmp_path / "registry.toml"
    path.write_bytes(b"\xef\xbb\xbfschema = 1\r\n[[loss]]\r\nname = 'a'\r\ntarget = 'm:a'\r\n")
    assert manifest.read(path).parts["loss"][0].name == "a"


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_table(read, kind):
    found = read(f"[[{kind}]]\nname = 'a'\ntarget = 'm:a'\n")
    assert type(found.parts[kind][0]) is KINDS[kind].spec


@pytest.mark.parametrize("kind", KINDS)
def test_an_unknown_key_names_file_entry_and_key(read, kind):
    said = wrong(read, f"[[{kind}]]\nname = 'a'\ntarget = 'm:a'\nsumary = 'x'\n")
    assert "registry.toml" in said
    assert f"{kind} 'a': unknown key 'sumary'" in said
    assert "did you mean summary?" in said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("moddel = 1", "unknown key 'moddel' | did you mean model?"),
        ("[plugin]\nsumary = 'x'", "[plugin]: unknown key 'sumary'"),
        ("[plugin]\napi = 1", "[plugin]"),
        ("plugin = 1", "[plugin] must be a table"),
        ("[hub]\nendpoint = 1", "[hub]"),
        ("[model]\nname = 'a'", "[[model]] must be a list of tables"),
        ("model = [1]", "[[model]] must be a list of tables"),
        ("[[model]]\nname = 'a'", "model 'a'"),
        ("[[model]]\ntarget = 'm:a'", "model None: a name is letters"),
        ("[[model]]\nname = 'a/b'\ntarget = 'm:a'", "model 'a/b': a name is letters"),
        ("[[model]]\nname = 'a'\ntarget = 3", "model 'a'"),
        ("[[model]]\nname = 'a'\ntarget = 'm:a'\nparams = 'many'", "model 'a'"),
        ("[[model]]\nname = 'a'\ntarget = 'm:a'\nplugin = 'zoo'", "unknown key 'plugin'"),
        ("[[model]]\nname = 'a'\ntarget = 'm:a'\ninput = 'big'", "no input preset 'big'"),
        ("[[model]]\nname = 'a'\ntarget = 'm:a'\ninput = { sise = [1] }", "unknown key 'sise'"),
        ("[[model]]\nname = 'a'\ntarget = 'm:a'\ninput = { size = [1] }", "model 'a', input"),
        ("[[model]]\nname = 'a'\ntarget = 'm:a'\nweights = 1", "weights must be a list of tables"),
        (
            "[[model]]\nname = 'a'\ntarget = 'm:a'\nweights = [1]",
            "weights must be a list of tables",
        ),
        ("[[model]]\nname = 'a'\ntarget = 'm:a'\n[[model.weights]]\nname = 'v'", "weights 'v'"),
        ("[[loss]]\nname = 'a'\ntarget = 'm:a'\n" * 2, "loss 'a' is there twice"),
        ("[[loss]]\nname = 'a'\ntarget = 'm:a'\naliases = ['a']", "loss 'a' is there twice"),
        ("[input]\nsmall = 3", "small"),
        ("[[known]]\nplugin = 'x'", "known"),
        ("x = ", "Invalid value"),
    ],
)
def test_what_is_wrong_is_named(read, text, said):
    assert said in wrong(read, text)


@pytest.mark.parametrize("line", ["", "schema = 2\n", "schema = '1'\n"])
def test_the_schema_is_asked_for(read, line):
    assert "schema must be 1" in wrong(read, "", schema=line)


def test_entries_without_target_are_patches_in_overlays_only(read):
    text = "[[model]]\nname = 'resnet18'\nrecipe = { 'optim.lr' = 0.1 }\n"
    assert "model 'resnet18'" in wrong(read, text)
    found = read(text, patches=True)
    assert found.parts == {}
    assert found.patches == ({"name": "resnet18", "recipe": {"optim.lr": 0.1}, "kind": "model"},)


def test_a_file_that_is_not_there_or_not_text(tmp_path):
    with pytest.raises(UsageError, match="No such file"):
        manifest.read(tmp_path / "registry.toml")
    path = tmp_path / "other.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="not UTF-8"):
        manifest.read(path)
    path = tmp_path / "list.json"
    path.write_text("[1]")
    with pytest.raises(UsageError, match="expected a table"):
        manifest.read(path)
    path.write_text("[" * 100_000)
    with pytest.raises(UsageError, match=r"list\.json"):
        manifest.read(path)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["name", "target", "weights", "input", "options", "x"]), inner
        )
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["plugin", "input", "known", "hub", *KINDS]), VALUES))
def test_any_json_is_a_manifest_or_a_usage_error(tmp_path_factory, table):
    path = tmp_path_factory.getbasetemp() / "registry.json"
    path.write_text(json.dumps({"schema": 1, **table}))
    for patches in (False, True):
        try:
            manifest.read(path, patches=patches)
        except UsageError:
            continue


def test_stages_can_be_shared_by_name(read):
    made = read(
        "[stages]\nresnet = [['stem', ['conv1', 'bn1']], ['layer1', ['layer1']]]\n"
        "[[model]]\nname = 'a'\ntarget = 'm:a'\nstages = 'resnet'\n"
        "[[model]]\nname = 'b'\ntarget = 'm:b'\nstages = 'resnet'\n"
    )
    one, two = made.parts["model"]
    assert one.stages == (("stem", ("conv1", "bn1")), ("layer1", ("layer1",)))
    assert one.stages is two.stages


def test_stages_that_nobody_shares_are_named(read):
    said = wrong(read, "[stages]\nresnet = []\n[[model]]\nname='a'\ntarget='m:a'\nstages='resnt'")
    assert "no stages preset 'resnt' | did you mean resnet?" in said
    assert "stages 'odd'" in wrong(read, "[stages]\nodd = [['stem', 3]]")


def test_a_file_that_is_far_too_large_is_not_read(tmp_path):
    path = tmp_path / "registry.toml"
    with path.open("wb") as file:
        file.truncate(limits.MAX_BYTES + 1)
    with pytest.raises(UsageError, match="such a file ends at"):
        manifest.read_table(path)
