import pytest
import torch
from torch import nn

from zoo.core import registry
from zoo.core.recipe import OptimPart
from zoo.core.specs import ModelSpec
from zoo.engine.optim import as_stated, build_optimizer, build_schedule, parameter_groups, under
from zoo.errors import PluginError, UnknownNameError, UsageError

SPEC = ModelSpec(
    name="net",
    target="x:y",
    head="fc",
    stages=(("stem", ("stem",)), ("one", ("one",)), ("two", ("two",))),
    neck=("neck",),
)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 1)
        self.one = nn.Sequential(nn.Conv2d(4, 4, 1, bias=False), nn.BatchNorm2d(4))
        self.two = nn.Conv2d(4, 4, 1)
        self.neck = nn.LayerNorm([4, 1])
        self.fc = nn.Linear(4, 2)


def named(model, groups):
    names = {id(p): name for name, p in model.named_parameters()}
    return {group["name"]: [names[id(p)] for p in group["params"]] for group in groups}


def flat(model, groups):
    return [name for names in named(model, groups).values() for name in names]


def test_norms_and_biases_do_not_decay():
    model = Net()
    groups = parameter_groups(model, OptimPart(weight_decay=0.1))
    assert named(model, groups) == {
        "all/decay": ["stem.weight", "one.0.weight", "two.weight", "fc.weight"],
        "all/no-decay": [
            "stem.bias", "one.1.weight", "one.1.bias", "two.bias", "neck.weight", "neck.bias",
            "fc.bias",
        ],
    }  # fmt: skip
    assert {group["weight_decay"] for group in groups} == {0.1, 0.0}


def test_every_trainable_parameter_is_in_exactly_one_group():
    model = Net()
    for part in (OptimPart(), OptimPart(head_lr_mult=10.0, stage_lr_decay=0.5)):
        groups = parameter_groups(model, part, SPEC)
        found = [id(p) for group in groups for p in group["params"]]
        assert sorted(found) == sorted(id(p) for p in model.parameters())


def test_frozen_parameters_are_left_out_but_later_ones_are_in():
    model = Net()
    for name, parameter in model.named_parameters():
        parameter.requires_grad = name.startswith("fc")
    assert flat(model, parameter_groups(model, OptimPart())) == [
        "fc.weight",
        "fc.bias",
    ]
    later = flat(model, parameter_groups(model, OptimPart(), later=["two.weight"]))
    assert sorted(later) == ["fc.bias", "fc.weight", "two.weight"]


def test_the_heads_rate_and_the_stages_decay():
    model = Net()
    part = OptimPart(lr=1.0, head_lr_mult=10.0, stage_lr_decay=0.5)
    rates = {g["name"].partition("/")[0]: g["lr"] for g in parameter_groups(model, part, SPEC)}
    assert rates == {"head": 10.0, "neck": 1.0, "two": 0.5, "one": 0.25, "stem": 0.125}
    assert parameter_groups(model, part, SPEC)[0]["name"].startswith("head")


def test_decay_by_stage_needs_stages():
    with pytest.raises(UsageError, match="stages"):
        parameter_groups(Net(), OptimPart(stage_lr_decay=0.5))


def test_nothing_to_train_is_refused():
    with pytest.raises(UsageError, match="nothing trains"):
        parameter_groups(Net().requires_grad_(False), OptimPart())


def test_under_means_itself_or_below():
    assert under("layer1.0.conv", ("layer1",))
    assert under("layer1", ("layer1",))
    assert not under("layer10.conv", ("layer1",))


def test_the_recipes_optimizer_is_built_over_the_groups():
    part = OptimPart(
        name="sgd", lr=0.3, momentum=0.8, weight_decay=0.01, options={"nesterov": True}
    )
    optimizer = build_optimizer(registry.load(), part, parameter_groups(Net(), part))
    assert isinstance(optimizer, torch.optim.SGD)
    assert optimizer.param_groups[0]["nesterov"]
    assert optimizer.param_groups[0]["momentum"] == 0.8
    assert [g["weight_decay"] for g in optimizer.param_groups] == [0.01, 0.0]


def test_momentum_goes_only_where_there_is_momentum():
    part = OptimPart(name="adamw", lr=0.01)
    optimizer = build_optimizer(registry.load(), part, parameter_groups(Net(), part))
    assert "momentum" not in optimizer.param_groups[0]


def test_what_an_optimizers_entry_states_stays_unless_the_recipe_says_otherwise(site, fresh):
    site.code(
        "calm",
        """
from zoo.plugin import OptimizerSpec, hookimpl

@hookimpl
def zoo_optimizers():
    yield OptimizerSpec(
        name="sgd", target="torch.optim:SGD", options={"momentum": 0.0, "weight_decay": 0.3}
    )
    yield OptimizerSpec(name="nothing", target="zoo_calm:nothing")

def nothing(params, lr):
    pass
""",
    )
    fresh.cache_clear()
    known = fresh()

    def built(**values):
        part = as_stated(OptimPart(name="calm/sgd", **values), known)
        return build_optimizer(known, part, parameter_groups(Net(), part)).param_groups[0]

    assert (built()["momentum"], built()["weight_decay"]) == (0.0, 0.3)
    with pytest.raises(PluginError, match="zoo_calm:nothing gave a NoneType"):
        build_optimizer(known, OptimPart(name="calm/nothing"), parameter_groups(Net(), OptimPart()))
    mine = built(momentum=0.5, weight_decay=0.01)
    assert (mine["momentum"], mine["weight_decay"]) == (0.5, 0.01)


@pytest.mark.parametrize("name", sorted(registry.load().shelf("optimizer")))
def test_every_optimizer_of_the_catalogue_takes_a_step_and_can_be_saved(name):
    from zoo.engine.saving.state import pack_optimizer

    part = OptimPart(name=name, lr=0.01)
    model = Net()
    optimizer = build_optimizer(registry.load(), part, parameter_groups(model, part, SPEC))
    before = model.stem.weight.clone()
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    assert not torch.equal(before, model.stem.weight)
    assert pack_optimizer(optimizer, model, {})["class"] == type(optimizer).__name__


def test_a_wrong_option_or_name_is_said():
    groups = parameter_groups(Net(), OptimPart())
    with pytest.raises(UsageError, match="has no option 'betas'"):
        build_optimizer(registry.load(), OptimPart(options={"betas": [0, 1]}), groups)
    with pytest.raises(UnknownNameError):
        build_optimizer(registry.load(), OptimPart(name="sdg"), groups)
    with pytest.raises(UsageError, match=r"optim\.lr"):
        build_optimizer(registry.load(), OptimPart(options={"lr": 1}), groups)


@pytest.mark.parametrize("name", sorted(registry.load().shelf("scheduler")))
def test_every_schedule_of_the_catalogue_runs_its_length(name):
    part = OptimPart(schedule=name, epochs=3, warmup=1.0, lr=0.1)
    optimizer = build_optimizer(registry.load(), part, parameter_groups(Net(), part))
    schedule = build_schedule(registry.load(), part, optimizer, steps_per_epoch=5)
    assert 0 < schedule.rates[0] <= 0.1 * 0.2 + 1e-9
    for step in range(1, 16):
        optimizer.step()
        schedule.step()
        if step % 5 == 0:
            schedule.epoch(1.0)
        assert all(0 <= rate < 1 for rate in schedule.rates)


def test_cosine_ends_at_zero_after_the_warmup():
    part = OptimPart(schedule="cosine", epochs=4, warmup=1.0, lr=0.1)
    optimizer = build_optimizer(registry.load(), part, parameter_groups(Net(), part))
    schedule = build_schedule(registry.load(), part, optimizer, steps_per_epoch=5)
    seen = []
    for _ in range(20):
        seen.append(schedule.rates[0])
        optimizer.step()
        schedule.step()
    assert seen[:5] == pytest.approx([0.02, 0.04, 0.06, 0.08, 0.1])
    assert max(seen) == seen[5] == pytest.approx(0.1)
    assert schedule.rates[0] == pytest.approx(0.0, abs=1e-9)


def test_a_warmup_takes_at_most_half_of_the_run():
    part = OptimPart(epochs=1, warmup=5.0, lr=0.1)
    optimizer = build_optimizer(registry.load(), part, parameter_groups(Net(), part))
    schedule = build_schedule(registry.load(), part, optimizer, steps_per_epoch=6)
    assert schedule.warmup == 3
    one_step = build_schedule(registry.load(), part, optimizer, steps_per_epoch=1)
    assert one_step.warmup == 0
