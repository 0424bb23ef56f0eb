import pytest

from zoo.core import registry
from zoo.core.metadata import CheckpointInfo, Header
from zoo.errors import CheckpointError, UnknownNameError
from zoo.hub import fit
from zoo.hub.choose import choose, named
from zoo.hub.layouts import Layout


@pytest.fixture(scope="module")
def known():
    return registry.load()


def header(known, name, count=3, **more):
    shapes = fit.expected_shapes(known, name, num_classes=count, options={})
    return Header({n: ("F32", s) for n, s in {**shapes, **more}.items()}, {})


def test_the_head_tells_the_number_of_classes(known, here):
    layout = Layout(kind="timm", architecture="squeezenet1_1", num_classes=99)
    found = header(known, "squeezenet1_1", 3)
    name, made = choose(known, Layout(kind="plain"), found, wanted="squeezenet1_1", what="x")
    assert (name, made.num_classes) == ("squeezenet1_1", 3)
    with pytest.raises(CheckpointError):
        choose(known, layout, Header({}, {}), what="x")


def test_what_was_asked_for_wins_over_what_the_repository_says(known, here):
    layout = Layout(kind="timm", architecture="resnet18")
    with pytest.raises(CheckpointError, match="x does not fit squeezenet1_1"):
        choose(known, layout, header(known, "resnet18"), wanted="squeezenet1_1", what="x")


def test_names_with_other_tensors_in_timm_are_refused_by_naming_keys(known, here):
    layout = Layout(kind="timm", architecture="mnasnet0_5")
    found = Header({"stem.weight": ("F32", (3,))}, {})
    with pytest.raises(CheckpointError, match="hub:a/b does not fit mnasnet0_5") as error:
        choose(known, layout, found, what="hub:a/b")
    assert error.value.hint.startswith("pip install zoo-timm")


def test_a_model_that_was_cut_on_purpose_is_the_engines_to_rebuild(known, here):
    info = CheckpointInfo(model="resnet18", surgery={"drop_last": True})
    layout = Layout(kind="zoo", architecture="resnet18", info=info)
    assert choose(known, layout, Header({}, {}), what="x")[0] == "resnet18"


def test_ours_of_a_plugin_that_is_not_here(known, here):
    layout = Layout(
        kind="zoo", architecture="nowhere/net", info=CheckpointInfo(model="nowhere/net")
    )
    with pytest.raises(UnknownNameError):
        choose(known, layout, Header({}, {}), what="x")
    name, made = choose(known, layout, Header({}, {}), what="x", any_model=True)
    assert name == ""
    assert "nowhere/net" in made.notes[0]


def test_named_fills_in_tied_names_and_renames():
    assert named({"a": 1, "b": 2}, {"a": "x"}, {"c": "b", "d": "gone"}) == {"x": 1, "b": 2, "c": 2}
