import dataclasses
import pickle
from typing import Any

import pytest

from zoo.core import specs
from zoo.core.hookspecs import KINDS

EVERY = [kind.spec for kind in KINDS.values()]


@pytest.mark.parametrize("spec", EVERY)
def test_a_part_is_frozen_and_has_no_room_for_strangers(spec):
    made = spec(name="a", target="m:a")
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.name = "b"
    with pytest.raises((AttributeError, TypeError)):
        object.__setattr__(made, "other", 1)


@pytest.mark.parametrize("spec", EVERY)
def test_arguments_have_names(spec):
    with pytest.raises(TypeError):
        spec("a", "m:a")


@pytest.mark.parametrize("spec", EVERY)
def test_every_field_is_described(spec):
    documented = "".join(cls.__doc__ or "" for cls in spec.__mro__)
    for item in dataclasses.fields(spec):
        assert f"{item.name}:" in documented or f"``{item.name}``" in documented, item.name


@pytest.mark.parametrize("spec", [specs.InputSpec, specs.WeightsSpec, specs.PluginInfo])
def test_the_other_records_are_described_too(spec):
    for item in dataclasses.fields(spec):
        assert f"{item.name}:" in spec.__doc__


def test_built_in_parts_have_bare_names_and_all_others_a_prefix():
    part = specs.LossSpec(name="focal", target="m:f")
    assert part.qualified == "focal"
    assert dataclasses.replace(part, plugin="zoo").qualified == "focal"
    assert dataclasses.replace(part, plugin="leaf").qualified == "leaf/focal"


@pytest.mark.parametrize("spec", [*EVERY, specs.InputSpec, specs.WeightsSpec, specs.PluginInfo])
def test_records_are_compared_and_written_as_dataclasses_are(spec):
    plain = dataclasses.make_dataclass(
        spec.__name__,
        [(f.name, Any, f) for f in dataclasses.fields(spec)],
        frozen=True,
        kw_only=True,
    )
    needed = {"name": "a", "target": "m:a", "source": "hub:a/b"}
    values = {f.name: needed[f.name] for f in dataclasses.fields(spec) if f.name in needed}
    made = spec(**values)
    assert repr(made) == repr(plain(**values))
    assert made == spec(**values)
    assert made != plain(**values)
    assert made != values
    for name in values:
        assert made != dataclasses.replace(made, **{name: "other"})
    if any(f.default_factory is not dataclasses.MISSING for f in dataclasses.fields(spec)):
        with pytest.raises(TypeError, match="unhashable"):
            hash(made)
    else:
        assert hash(made) == hash(spec(**values)) == hash(plain(**values))


def test_two_specs_never_share_a_default():
    one, other = specs.ModelSpec(name="a", target="m:a"), specs.ModelSpec(name="b", target="m:b")
    assert one.options is not other.options
    assert one.recipe is not other.recipe


def test_specs_travel_between_processes():
    spec = specs.ModelSpec(
        name="a",
        target="m:a",
        stages=(("stem", ("conv",)),),
        weights=(specs.WeightsSpec(name="v1", source="hub:a/b", input=specs.InputSpec()),),
    )
    assert pickle.loads(pickle.dumps(spec)) == spec
