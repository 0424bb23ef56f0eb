"""registry.toml cannot lie about the other parts: targets exist, options are real, all of it runs."""

from __future__ import annotations

import importlib
import inspect
import math
import re

import pytest
import torch
import torchvision.datasets
from torch import nn

from zoo.core import registry
from zoo.core.hookspecs import KINDS
from zoo.core.names import natural_key
from zoo.core.resolve import resolve
from zoo.core.specs import InputSpec
from zoo.plugin import Metric

REGISTRY = registry.load()
BUILTIN = {
    kind: {name: spec for name, spec in REGISTRY.shelf(kind).items() if spec.plugin == "zoo"}
    for kind in KINDS
}
EVERY = [(kind, spec) for kind, specs in BUILTIN.items() for spec in specs.values()]
SET_BY_THE_RECIPE = {"lr", "weight_decay", "momentum"}
ENGINE_ROOM = {"maximize", "capturable", "differentiable"}  # no numbers depend on them
LABELS = torch.arange(12) % 3


def specs(kind):
    return pytest.mark.parametrize("spec", BUILTIN[kind].values(), ids=lambda spec: spec.name)


def defaults(target, *, without=()):
    """Keyword options of a callable that TOML can state (no None)."""
    parameters = inspect.signature(target).parameters.values()
    return {
        p.name: list(p.default) if isinstance(p.default, tuple) else p.default
        for p in parameters
        if p.default not in (inspect.Parameter.empty, None)
        and not (isinstance(p.default, tuple) and None in p.default)
        and p.name not in without
    }


@pytest.mark.parametrize(
    ("kind", "spec"),
    [pair for pair in EVERY if pair[0] != "model"],
    ids=lambda v: getattr(v, "name", v),
)
def test_every_target_exists_and_says_what_it_is(kind, spec):
    assert callable(resolve(spec.target))
    assert spec.summary
    assert not spec.summary.endswith(".")
    assert len(spec.summary) <= 110
    assert re.fullmatch("[a-z0-9._-]+", spec.name)
    assert spec.target.startswith(("zoo.builtin.", "torch."))


@pytest.mark.parametrize("kind", KINDS)
def test_names_and_aliases_lead_to_one_part(kind):
    for name, spec in BUILTIN[kind].items():
        assert REGISTRY.find(kind, name) is spec
        for alias in spec.aliases:
            assert REGISTRY.find(kind, alias) is spec


@pytest.mark.parametrize("kind", ["loss", "optimizer", "scheduler", "metric"])
def test_options_are_the_targets_own_defaults(kind):
    varied = {"metric": {"top5": {"k": 5}}}
    for name, spec in BUILTIN[kind].items():
        without = SET_BY_THE_RECIPE | ENGINE_ROOM if kind == "optimizer" else ()
        expected = defaults(resolve(spec.target), without=without)
        assert spec.options == expected | varied.get(kind, {}).get(name, {}), name


@pytest.mark.parametrize("kind", ["transform", "dataset", "exporter"])
def test_options_are_taken_by_the_target(kind):
    for name, spec in BUILTIN[kind].items():
        takes = inspect.signature(resolve(spec.target)).parameters
        open_ended = any(p.kind is p.VAR_KEYWORD for p in takes.values())
        assert open_ended or set(spec.options) <= set(takes), name


@pytest.mark.parametrize(
    ("name", "theirs", "ours_alone"),
    [
        ("cross-entropy", nn.CrossEntropyLoss, set()),
        ("bce-with-logits", nn.BCEWithLogitsLoss, {"label_smoothing"}),
        ("bce", nn.BCELoss, set()),
        ("multi-label-soft-margin", nn.MultiLabelSoftMarginLoss, set()),
        ("nll", nn.NLLLoss, set()),
        ("multi-margin", nn.MultiMarginLoss, set()),
        ("soft-margin", nn.SoftMarginLoss, set()),
        ("mse", nn.MSELoss, set()),
        ("l1", nn.L1Loss, set()),
        ("smooth-l1", nn.SmoothL1Loss, set()),
        ("huber", nn.HuberLoss, set()),
        ("poisson-nll", nn.PoissonNLLLoss, set()),
    ],
)
def test_losses_have_torchs_options_and_defaults(name, theirs, ours_alone):
    signature = inspect.signature(theirs).parameters
    stated = {k: p.default for k, p in signature.items() if k not in ("size_average", "reduce")}
    tensors = {k: [] for k, value in stated.items() if value is None}  # TOML has no None
    ours = BUILTIN["loss"][name].options
    assert {k: v for k, v in ours.items() if k not in ours_alone} == stated | tensors


@specs("loss")
def test_every_loss_takes_what_a_run_gives(spec):
    loss = REGISTRY.build("loss", spec.name)
    outputs = torch.rand(12, 3, generator=torch.Generator().manual_seed(0)) * 0.8 + 0.1
    outputs.requires_grad_()
    value = loss(outputs, LABELS)
    value.backward()
    assert value.shape == ()
    assert value.isfinite()
    assert outputs.grad.isfinite().all()
    assert isinstance(loss, nn.Module)
    assert spec.task in ("classification", "regression", "any")


def test_every_loss_of_torch_that_compares_outputs_with_targets_is_there():
    unfit = {  # they compare other things: pairs, triplets, sequences, or carry layers of their own
        "AdaptiveLogSoftmaxWithLoss", "LinearCrossEntropyLoss", "CTCLoss", "CosineEmbeddingLoss",
        "MarginRankingLoss", "TripletMarginLoss", "TripletMarginWithDistanceLoss",
        "GaussianNLLLoss", "HingeEmbeddingLoss", "MultiLabelMarginLoss",
    }  # fmt: skip
    theirs = {n for n in dir(nn) if n.endswith("Loss")} - unfit
    ours = {n.replace("-", "") + "loss" for n in BUILTIN["loss"]}
    assert {n.lower() for n in theirs} <= ours


@specs("optimizer")
def test_every_optimizer_trains_a_network_with_all_kinds_of_parameters(spec):
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 3)
    )
    rate = {"adadelta": 1.0, "lion": 0.003, "sgd": 0.1, "asgd": 0.1, "rprop": 0.001}
    groups = [{"params": [p], "weight_decay": 0.01 * (p.ndim > 1)} for p in model.parameters()]
    optimizer = REGISTRY.build("optimizer", spec.name, groups, lr=rate.get(spec.name, 0.02))
    images = torch.randn(12, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    losses = []
    for _ in range(25):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(images), LABELS)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_every_optimizer_of_torch_that_trains_whole_networks_is_there():
    unfit = {"Optimizer", "LBFGS", "SparseAdam"}  # wants a closure; wants sparse gradients
    theirs = {
        name.lower()
        for name, value in vars(torch.optim).items()
        if inspect.isclass(value) and issubclass(value, torch.optim.Optimizer)
        if name not in unfit
    }
    assert theirs <= set(BUILTIN["optimizer"])


@specs("scheduler")
def test_every_schedule_runs_to_its_end(spec):
    weight = nn.Parameter(torch.zeros(2))
    optimizer = torch.optim.SGD([weight], lr=0.5, momentum=0.9)
    schedule = REGISTRY.build("scheduler", spec.name, optimizer, total=10)
    rates = [optimizer.param_groups[0]["lr"]]
    for _ in range(10):
        optimizer.step()
        schedule.step(*([1.0] if spec.name == "plateau" else []))
        rates.append(optimizer.param_groups[0]["lr"])
    assert all(-1e-9 <= rate <= 0.5 + 1e-9 for rate in rates)
    assert rates[-1] <= rates[0]


@specs("metric")
def test_every_metric_reads_a_batch(spec):
    metric = REGISTRY.build("metric", spec.name, classes=3)
    assert isinstance(metric, Metric)
    metric.update(torch.randn(12, 3, generator=torch.Generator().manual_seed(0)), LABELS)
    value = metric.compute()
    assert all(math.isfinite(v) for v in (value.values() if isinstance(value, dict) else [value]))
    perfect = REGISTRY.build("metric", spec.name, classes=3)
    perfect.update(100 * nn.functional.one_hot(LABELS, 3).float(), LABELS)
    best, goal = perfect.compute(), {"max": 1.0, "min": 0.0}[spec.goal]
    if not isinstance(best, dict):
        assert best == pytest.approx(goal)
        assert (value - goal) * (1 if spec.goal == "min" else -1) >= 0


@specs("transform")
def test_every_transform_gives_the_inputs_size(spec):
    shown = InputSpec(size=(3, 24, 24), resize=28, crop=24)
    torch.manual_seed(0)
    if spec.stage == "batch":
        mix = REGISTRY.build("transform", spec.name, shown, classes=3)
        images, soft = mix(torch.rand(12, 3, 24, 24), LABELS)
        assert (images.shape, soft.shape) == ((12, 3, 24, 24), (12, 3))
        assert torch.allclose(soft.sum(1), torch.ones(12))
        return
    change = REGISTRY.build("transform", spec.name, shown)
    image = torch.randint(0, 256, (3, 40, 31), dtype=torch.uint8)
    made = change(image)
    assert (made.shape, made.dtype) == ((3, 24, 24), torch.uint8)
    if spec.stage == "eval":
        assert torch.equal(made, change(image))


@specs("dataset")
def test_every_data_set_states_splits_and_where_it_comes_from(spec):
    assert spec.splits[0] == "train"
    assert set(spec.size) <= set(spec.splits)
    assert spec.channels in (1, 3)
    assert spec.classes is None or spec.classes > 1
    if "dataset" not in spec.options:
        return
    theirs = getattr(torchvision.datasets, spec.options["dataset"])
    takes = {name for c in theirs.__mro__[:-1] for name in inspect.signature(c).parameters}
    assert spec.download == "manual" or "download" in takes
    if names := getattr(theirs, "classes", None):
        assert spec.classes in (None, len(names))
    styles = importlib.import_module("zoo.builtin.datasets").STYLES
    assert set(spec.splits) == set(styles[spec.options["dataset"]].splits)


def test_every_data_set_that_the_adapter_knows_is_named():
    styles = importlib.import_module("zoo.builtin.datasets").STYLES
    named = {s.options["dataset"] for s in BUILTIN["dataset"].values() if "dataset" in s.options}
    assert named == set(styles)


@pytest.mark.parametrize("name", ["demo", "digits"])
def test_data_sets_that_ship_have_the_stated_sizes(name):
    spec = BUILTIN["dataset"][name]
    for split in spec.splits:
        made = REGISTRY.build("dataset", name, split=split)
        assert spec.size.get(split) in (None, len(made))
        assert spec.classes in (None, len(made.classes))


@specs("exporter")
def test_every_exporter_has_a_suffix(spec):
    assert re.fullmatch(r"\.[a-z0-9]+", spec.suffix)


def test_known_parts_are_really_what_the_plugins_bring():
    """Of the plugins that are installed here: each part is known, each known part exists."""
    present = {info.name for info in REGISTRY.plugins if info.form != "builtin"}
    for plugin in present & {known.plugin for known in REGISTRY.known}:
        for kind in KINDS:
            theirs = {s.name for s in REGISTRY.shelf(kind).values() if s.plugin == plugin}
            said = {k.name for k in REGISTRY.known if (k.plugin, k.kind) == (plugin, kind)}
            if f"{plugin}/*" in said:
                said.discard(f"{plugin}/*")
                assert said <= theirs, (plugin, kind)
            else:
                assert said == theirs, (plugin, kind)


def test_hints_never_name_a_package_that_a_stranger_could_take():
    for known in REGISTRY.known:
        assert re.fullmatch(r"pip install -e plugins/zoo-[a-z]+ .*", known.install), known


def test_presets_stand_in_natural_order():
    text = registry.builtin_path().read_text(encoding="utf-8").partition("# ==== presets")[2]
    names = re.findall(r"^\[input\.(.+)\]$", text, flags=re.MULTILINE)
    assert names == sorted(names, key=natural_key)
