"""registry.toml cannot lie about models: every statement is compared with torchvision itself."""

from __future__ import annotations

import copy
import gc
import importlib.util
import math
import re
import time
import tomllib
from pathlib import Path

import pytest
import torch
import torchvision
from cones import feeds, unfilled
from safetensors.torch import load_file

from zoo.core import registry
from zoo.core.names import natural_key
from zoo.engine.freezing.cone import Tracer, owned
from zoo.engine.freezing.stages import problems
from zoo.engine.saving.live import fill
from zoo.hub.convert import convert

HERE = Path(__file__).parent
_spec = importlib.util.spec_from_file_location("write_catalogue", HERE / "write_catalogue.py")
writer = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(writer)

MODELS = {n: s for n, s in registry.load().shelf("model").items() if s.plugin == "zoo"}
WEIGHTS = [(model, weights) for model in MODELS.values() for weights in model.weights]
SPDX = {"Apache-2.0", "BSD-3-Clause", "CC-BY-NC-4.0"}


def build(spec, classes=1000, options=None):
    return writer.build(
        {"target": spec.target},
        classes=classes,
        options=spec.options if options is None else options,
    )


def test_the_file_is_what_the_script_writes():
    text = writer.CATALOGUE.read_text(encoding="utf-8")
    assert writer.render(text) == text, "run: python tests/house/write_catalogue.py"


def test_the_script_measures_anew_and_keeps_what_people_wrote():
    entries = tomllib.loads(writer.CATALOGUE.read_text(encoding="utf-8"))["model"]
    entry = next(e for e in entries if e["name"] == "resnet18")
    hub = [w for w in entry["weights"] if w["source"].startswith("hub:")]
    spoilt = {**entry, "params": 1, "paper": "", "input": "", "summary": "mine", "weights": hub}
    again = writer.refresh(spoilt)
    assert {**again, "weights": 0} == {**entry, "summary": "mine", "weights": 0}
    assert [w["name"] for w in again["weights"]] == ["imagenet1k_v1", *(w["name"] for w in hub)]


def test_every_classifier_of_torchvision_is_there_in_natural_order():
    theirs = torchvision.models.list_models(module=torchvision.models)
    assert list(MODELS) == sorted(theirs, key=natural_key)
    assert len(MODELS) == 80
    assert [s.target for s in MODELS.values()] == [f"torchvision.models:{name}" for name in MODELS]


@pytest.fixture(scope="module", params=list(MODELS))
def spec(request):
    return MODELS[request.param]


@pytest.fixture(scope="module")
def model(spec):
    """As anybody builds it, in memory that nobody fills."""
    with unfilled():
        return registry.load().build("model", spec.name)


@pytest.fixture(scope="module")
def traced(spec, model):
    """Its graph, which is drawn once, and the seconds that this took."""
    tracer = Tracer(model, spec.input, stages=spec.stages)
    gc.disable()  # what thousands of other tests left behind is not looked through meanwhile
    try:
        start = time.process_time()
        tracer.trace()
        return tracer, time.process_time() - start
    finally:
        gc.enable()


def test_parameters_are_counted_exactly(spec, model):
    assert spec.params == sum(parameter.numel() for parameter in model.parameters())


def test_parameters_are_counted_by_stage(spec, model):
    own = dict(model.named_parameters())
    for alias, paths in spec.stages:
        counted = sum(
            p.numel() for n, p in own.items() if f"{n}.".startswith(tuple(f"{q}." for q in paths))
        )
        assert spec.stage_params[alias] == counted
    assert sum(spec.stage_params.values()) == spec.params


def test_options_are_the_defaults_of_the_builder(spec, model):
    needed = {k: v for k, v in spec.options.items() if k == "init_weights"}  # None means "warn"
    assert repr(build(spec, options=needed)) == repr(model)


def test_only_the_heads_know_the_number_of_classes(spec, model):
    seven = dict(build(spec, classes=7).named_parameters())
    changed = {n for n, p in model.named_parameters() if p.shape != seven[n].shape}
    heads = {n for n in changed if n.startswith(f"{spec.head}.")}
    assert {n.rpartition(".")[0] for n in heads} == {spec.head}
    assert all(any(n.startswith(f"{path}.") for path in spec.aux) for n in changed - heads)
    assert spec.classes == model.get_submodule(spec.head).weight.shape[0] == 1000
    assert seven[f"{spec.head}.weight"].shape[0] == 7


def test_every_parameter_has_exactly_one_place(spec, model):
    places = [path for _, paths in spec.stages for path in paths]
    places += [*spec.neck, spec.head, *spec.aux]
    for name, _ in model.named_parameters():
        homes = [p for p in places if name == p or name.startswith(f"{p}.")]
        assert len(homes) == 1, f"{name} belongs to {homes or 'nothing'}"


def test_the_graph_of_every_model_is_drawn_without_its_numbers(traced):
    tracer, seconds = traced
    assert tracer.how == "meta"
    assert seconds < 2.0


def test_stages_are_nested_cones(spec, model, traced):
    tracer, _ = traced
    assert problems(tracer, spec) == ()  # nested cones; every parameter in exactly one part
    seen = frozenset()
    for alias, paths in spec.stages:
        upstream = tracer.cone(paths).parameters
        assert upstream > seen, f"{alias} is not above the stage before it"
        seen |= owned(model, paths)
        assert upstream == seen, f"{alias}: {sorted(upstream ^ seen)[:4]}"
    seen |= owned(model, spec.neck)
    assert tracer.cone([spec.head]).parameters == seen | owned(model, [spec.head])


def test_nothing_else_reaches_a_stage(spec, model, traced):
    tracer, _ = traced
    outside = {n for n, _ in model.named_parameters() if n.startswith((spec.head, *spec.aux))}
    for _, paths in spec.stages:
        assert not tracer.cone(paths).parameters & outside
    if spec.stages:
        path = spec.stages[len(spec.stages) // 2][1][-1]
        assert not feeds(model, path, tracer.cone((path,)).parameters, spec.input)
    assert all(p.requires_grad for p in model.parameters())


def test_stage_names_are_distinct_and_modules_exist(spec, model):
    aliases = [alias for alias, _ in spec.stages]
    assert len(set(aliases)) == len(aliases)
    known = {n for n, _ in model.named_modules()} | {n for n, _ in model.named_parameters()}
    for alias, paths in (*spec.stages, ("neck", spec.neck), ("aux", spec.aux)):
        assert set(paths) <= known, alias
        # An alias that is also a module's path must mean that module.
        assert alias not in known or paths == (alias,)


def test_words_for_people(spec):
    assert spec.summary
    assert spec.family
    assert spec.tags
    assert spec.paper in (torchvision.models.get_model_builder(spec.name).__doc__ or "").replace(
        "http:", "https:"
    )


def test_weights_are_torchvisions_with_its_default_first(spec):
    enum = torchvision.models.get_model_weights(spec.name)
    ours = [w for w in spec.weights if w.source.startswith("url:")]
    assert {w.name: w.source for w in ours} == {m.name.lower(): f"url:{m.url}" for m in enum}
    assert spec.weights[0].name == enum.DEFAULT.name.lower()


@pytest.mark.parametrize(("spec", "weights"), WEIGHTS, ids=lambda v: v.name)
def test_weights_state_only_what_can_be_verified(spec, weights):
    assert re.fullmatch("[0-9a-f]{40}|", weights.revision)
    assert re.fullmatch("[0-9a-f]{8,64}|", weights.sha256)
    assert weights.licence in SPDX | {""}
    assert weights.classes == 1000
    assert weights.url.startswith("https://")
    assert weights.bytes is None, "torchvision states megabytes, rounded"
    assert (weights.input or spec.input).crop
    if weights.source.startswith("hub:"):
        assert re.fullmatch(r"hub:timm/[\w.-]+", weights.source)
        assert (weights.file, weights.format) == ("model.safetensors", "safetensors")
        assert not weights.sha256, "nobody has seen this file's digest"


@pytest.mark.parametrize(
    ("spec", "weights"),
    [(s, w) for s, w in WEIGHTS if w.source.startswith("url:")],
    ids=lambda v: v.name,
)
def test_torchvisions_weights_are_described_as_it_does(spec, weights):
    member = torchvision.models.get_model_weights(spec.name)[weights.name.upper()]
    assert weights.format == "pickle"
    assert member.url.endswith(f"/{weights.file}")
    assert f"-{weights.sha256}." in weights.file
    stated = {
        "imagenet1k/" + key.replace("acc@", "top"): value
        for key, value in member.meta["_metrics"]["ImageNet-1K"].items()
        if not math.isnan(value)
    }
    assert weights.metrics == stated
    assert bool(weights.licence) == ("license" in member.meta)
    assert (weights.labels == "imagenet1k") == (len(member.meta["categories"] or ()) == 1000)
    theirs, ours = member.transforms(), weights.input or spec.input
    assert ours.size == (3, *theirs.crop_size * 2)
    assert [ours.crop] == theirs.crop_size
    assert [ours.resize] == theirs.resize_size
    assert (ours.mean, ours.std) == (tuple(theirs.mean), tuple(theirs.std))
    assert ours.interpolation == theirs.interpolation.value


@pytest.mark.parametrize(
    ("spec", "weights"),
    [(s, w) for s, w in WEIGHTS if w.options],
    ids=lambda v: v.name,
)
def test_options_of_weights_make_the_model_that_they_fit(spec, weights):
    member = torchvision.models.get_model_weights(spec.name)[weights.name.upper()]
    made = build(spec, options={**spec.options, **weights.options})
    count = sum(p.numel() for p in made.parameters())
    if spec.name == "googlenet":  # torchvision counts it without the heads that it throws away
        count -= sum(p.numel() for path in spec.aux for p in made.get_submodule(path).parameters())
    assert count == member.meta["num_params"]
    if "image_size" in weights.options:
        assert weights.input.crop == weights.options["image_size"]


def test_twins_on_the_hub_have_the_keys_of_the_model():
    timm = pytest.importorskip("timm")
    for spec, weights in WEIGHTS:
        if not weights.source.startswith("hub:"):
            continue
        told = timm.get_pretrained_cfg(weights.source.removeprefix("hub:timm/"))
        assert weights.source == f"hub:{told.hf_hub_id}"
        assert weights.licence in (
            "",
            {"apache-2.0": "Apache-2.0"}.get(told.license, "BSD-3-Clause"),
        )
        with torch.device("meta"):
            theirs = timm.create_model(spec.name, pretrained=False)
        ours = build(spec)
        shapes = [{k: v.shape for k, v in m.state_dict().items()} for m in (theirs, ours)]
        assert shapes[0] == shapes[1]
        same_file = [w for w in spec.weights if told.url and w.source == f"url:{told.url}"]
        if "tv" in weights.name and told.url:
            assert same_file, f"{weights.source} is not torchvision's file"
            assert weights.metrics == same_file[0].metrics
        elif "tv" not in weights.name:
            size = math.floor(told.input_size[-1] / told.crop_pct)
            assert (weights.input.resize, weights.input.crop) == (size, told.input_size[-1])
            assert weights.input.interpolation == told.interpolation
            assert not weights.metrics


OLD_NAMES = {  # as in torchvision's own files: from -> to
    "densenet121": (r"(denselayer\d+\.(?:norm|conv))([12])", r"\1.\2"),
    "vit_b_32": (r"mlp\.(0|3)\.", lambda m: f"mlp.linear_{1 + int(m[1]) // 3}."),
}


@pytest.mark.parametrize("name", ["resnet18", "mnasnet0_5", *OLD_NAMES])
def test_files_as_old_as_torchvisions_load(name, tmp_path):
    made = copy.deepcopy(build(MODELS[name]))
    pattern, replacement = OLD_NAMES.get(name, ("$^", ""))
    old = {
        re.sub(pattern, replacement, key): torch.full(value.shape, 1.0, dtype=value.dtype)
        for key, value in made.state_dict().items()
        if not key.endswith("num_batches_tracked")
    }
    torch.save(old, tmp_path / "old.pth")
    convert(tmp_path / "old.pth", tmp_path / "new.safetensors")
    whole = made.to_empty(device="cpu")
    fill(whole, load_file(tmp_path / "new.safetensors"))
    assert all(bool((p == 1).all()) for p in whole.parameters())
