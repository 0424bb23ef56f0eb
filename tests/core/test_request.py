import dataclasses

import pytest

from zoo.core import registry
from zoo.core.compose import digest, dump_recipe
from zoo.core.request import check_weights, request
from zoo.errors import DataError, PluginError, UnknownNameError, UsageError

LEAF = """
[plugin]
hooks = "zoo_leaf.hooks"
[[model]]
name = "leaf"
target = "zoo_leaf:leaf"
options = { width = 8 }
recipe = { "optim.lr" = 0.5, "optim.epochs" = 7, "data.batch_size" = 2 }
[[model.weights]]
name = "v1"
source = "hub:org/leaf"
[[model]]
name = "old"
target = "zoo_leaf:leaf"
deprecated = "use leaf"
[[model]]
name = "open"
target = "zoo_leaf:leaf"
[[loss]]
name = "leafy"
target = "zoo_leaf:loss"
[[transform]]
name = "rain"
target = "zoo_leaf:rain"
stage = "batch"
[[tracker]]
name = "board"
target = "zoo_leaf:board"
"""
HOOKS = """
from zoo.plugin import hookimpl
@hookimpl
def zoo_recipe_defaults(verb, model):
    return {"optim.epochs": 9, "data.batch_size": 4} if model.name == "leaf" else None
"""


@pytest.fixture
def known(site):
    site.manifest("leaf", LEAF, **{"zoo_leaf/hooks.py": HOOKS})
    return registry.load()


@pytest.fixture
def ask(known):
    def call(model="leaf", verb="finetune", file=None, sets=(), **values):
        return request(verb, model, values, registry=known, file=file, sets=sets)

    return call


def test_precedence_from_the_field_to_set(ask, tmp_path):
    file = tmp_path / "r.toml"
    file.write_text("[data]\nbatch_size = 8\nsize = 64\n[optim]\nmomentum = 0.5\n")
    found = ask(file=file, size=96, seed=3, sets=["device.seed=4", "optim.clip=1.0"])
    recipe = found.recipe
    assert recipe.optim.weight_decay == 1e-4, "field"
    assert recipe.optim.lr == 0.5, "model's suggestion over field"
    assert recipe.optim.epochs == 9, "plugin over model"
    assert recipe.data.batch_size == 8, "file over plugin"
    assert recipe.data.size == 96, "flag over file"
    assert recipe.device.seed == 4, "--set over flag"
    assert found.origin == {
        "optim.lr": "suggested by leaf",
        "optim.epochs": "plugin leaf.hooks",
        "optim.momentum": str(file),
        "optim.clip": "--set",
        "data.batch_size": str(file),
        "data.size": "flags",
        "device.seed": "--set",
        "model.name": "flags",
    }


def test_the_verbs_own_defaults_lie_below_the_models(ask):
    assert ask(verb="train").recipe.optim.warmup == 1.0
    assert ask(verb="train").recipe.optim.epochs == 9
    assert ask("open", verb="train").recipe.optim.epochs == 20


def test_the_verbs_own_warmup_gives_way_to_a_short_run(ask):
    assert ask("open", verb="train", epochs=1).recipe.optim.warmup == 0.2
    assert ask("open", verb="train", epochs=5).recipe.optim.warmup == 1.0
    assert ask("open", verb="train", epochs=1, warmup=1.0).recipe.optim.warmup == 1.0
    assert ask("open", epochs=1).recipe.optim.warmup == 0.0


def test_every_name_is_qualified(ask):
    recipe = ask(
        loss="leafy", batch_transform=["rain"], tracker=["board"], optimizer="adamw"
    ).recipe
    assert recipe.model.name == "leaf/leaf"
    assert recipe.loss.name == "leaf/leafy"
    assert recipe.data.batch_transforms == ("leaf/rain",)
    assert recipe.output.trackers == ("leaf/board",)
    assert recipe.optim.name == "adamw"
    assert recipe.data.train_transform == "auto"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"loss": "leafyy"}, "unknown loss 'leafyy'"),
        ({"optimizer": "sdg"}, "unknown optimizer 'sdg'"),
        ({"schedule": "cosin"}, "unknown scheduler 'cosin'"),
        ({"transform": "rains"}, "unknown transform 'rains'"),
        ({"eval_transform": "rains"}, "unknown transform 'rains'"),
        ({"batch_transform": ["mixupp"]}, "unknown transform 'mixupp'"),
        ({"tracker": ["bord"]}, "unknown tracker 'bord'"),
    ],
)
def test_an_unknown_part_is_an_error_before_anything_is_read(ask, values, said):
    with pytest.raises(UnknownNameError) as caught:
        ask(**values)
    assert caught.value.message == said
    assert caught.value.suggestions


def test_an_unknown_model_is_suggested(ask):
    with pytest.raises(UnknownNameError) as caught:
        ask("resnt18")
    assert caught.value.suggestions[0] == "resnet18"


def test_no_model_at_all(ask):
    with pytest.raises(UsageError, match="zoo finetune needs a model") as caught:
        ask(None)
    assert "zoo list" in caught.value.hint


def test_a_verb_that_trains_nothing(known):
    with pytest.raises(UsageError, match="'tune' is no verb that trains") as caught:
        request("tune", "resnet18", {}, registry=known)
    assert caught.value.hint == "one of finetune, train"


def test_the_model_may_stand_in_the_file(ask, tmp_path):
    file = tmp_path / "r.toml"
    file.write_text("[model]\nname = 'resnet18:imagenet1k_v1'\n")
    recipe = ask(None, file=file).recipe
    assert (recipe.model.name, recipe.model.weights) == ("resnet18", "imagenet1k_v1")
    assert ask("leaf", file=file).recipe.model.name == "leaf/leaf"
    assert ask("leaf", sets={"model.name": "resnet34"}).recipe.model.name == "resnet34"


def test_a_file_for_the_other_verb(ask, tmp_path):
    file = tmp_path / "r.toml"
    file.write_text("verb = 'train'\n")
    with pytest.raises(UsageError, match="recipe for zoo train") as caught:
        ask(file=file)
    assert caught.value.hint == f"zoo train --recipe {file}"


@pytest.mark.parametrize(
    ("weights", "model"),
    [
        ("default", "leaf"),
        ("none", "leaf"),
        ("v1", "leaf"),
        ("file:a.safetensors", "leaf"),
        ("hub:org/repo@main", "leaf"),
        ("run:base", "leaf"),
    ],
)
def test_weights_that_can_mean_something(ask, weights, model):
    assert ask(model, weights=weights).recipe.model.weights == weights


def test_weights_that_cannot(ask):
    with pytest.raises(UnknownNameError, match="leaf/leaf has no weights 'v2'") as caught:
        ask(weights="v2")
    assert "v1" in caught.value.hint
    with pytest.raises(UnknownNameError) as caught:
        ask("resnet18", weights="imagenet1k")
    assert caught.value.suggestions[0] == "imagenet1k_v1"
    with pytest.raises(UnknownNameError) as caught:
        ask(weights="imagenet")
    for way in ("v1", "default", "none", "file:PATH", "hub:ORG/REPO", "run:NAME"):
        assert way in caught.value.hint
    with pytest.raises(UsageError, match="looks like a path"):
        ask(weights="./model.pth")
    with pytest.raises(UnknownNameError, match="has no weights 'v3'"):
        ask(sets=["model.weights=v3"])
    with pytest.raises(UnknownNameError, match="has no weights 'v3'"):
        ask("leaf:v3")


def test_a_tag_and_a_flag_that_disagree(ask):
    assert ask("leaf:v1", weights="v1").recipe.model.weights == "v1"
    with pytest.raises(UsageError, match="name different weights"):
        ask("leaf:v1", weights="none")


def test_set_wins_over_a_weights_flag(ask):
    assert ask(weights="v1", sets=["model.weights=none"]).recipe.model.weights == "none"


@pytest.mark.parametrize("reference", ["hub:org/repo", "file:x.safetensors", "run:base"])
def test_a_model_from_elsewhere_brings_its_weights(ask, reference):
    recipe = ask(reference).recipe
    assert (recipe.model.name, recipe.model.weights) == (reference, reference)
    with pytest.raises(UsageError, match="already says which weights"):
        ask(reference, weights="none")


def test_a_url_is_no_model(ask):
    with pytest.raises(UsageError, match="does not name a model"):
        ask("url:https://example.org/x")


def test_options_of_the_model_are_checked(ask):
    assert ask(model_option={"width": 4}).recipe.model.options == {"width": 4}
    assert ask("open", model_option={"anything": 4}).recipe.model.options == {"anything": 4}
    with pytest.raises(UsageError, match="has no option 'widht'") as caught:
        ask(model_option={"widht": 4})
    assert caught.value.hint == "did you mean width?"


def test_a_deprecated_model_says_what_to_use(ask):
    with pytest.raises(UsageError, match="deprecated") as caught:
        ask("old")
    assert caught.value.hint == "use leaf"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("raise ValueError('no')", "plugin leaf: zoo_recipe_defaults failed: ValueError: no"),
        ("return 3", "plugin leaf: zoo_recipe_defaults failed: TypeError"),
        ("raise SystemExit(5)", "plugin leaf: zoo_recipe_defaults failed: SystemExit: 5"),
    ],
)
def test_a_failing_suggestion_names_the_plugin(site, line, said):
    head = HOOKS.partition("    return")[0]
    site.manifest("leaf", LEAF, **{"zoo_leaf/hooks.py": f"{head}    {line}\n"})
    with pytest.raises(PluginError) as caught:
        request("finetune", "leaf", {}, registry=registry.load())
    assert caught.value.message.startswith(said)
    assert caught.value.hint == "zoo plugins disable leaf"


def test_a_hook_module_that_does_not_load_stops_a_strict_run_only(site, capsys):
    site.manifest("leaf", LEAF, **{"zoo_leaf/hooks.py": "1 / 0"})
    known = registry.load()
    assert request("finetune", "leaf", {}, registry=known).recipe.optim.epochs == 7
    assert capsys.readouterr() == ("", "")
    with pytest.raises(PluginError, match="plugin leaf, run hooks: cannot import") as caught:
        request("finetune", "leaf", {"strict": True}, registry=known)
    assert caught.value.hint.startswith("zoo plugins disable leaf")


def test_a_plugins_own_error_passes(site):
    head = "from zoo.errors import DataError\n" + HOOKS.partition("    return")[0]
    site.manifest("leaf", LEAF, **{"zoo_leaf/hooks.py": f"{head}    raise DataError('no')\n"})
    with pytest.raises(DataError):
        request("finetune", "leaf", {}, registry=registry.load())


def test_a_wrong_suggestion_names_who_made_it(site):
    site.manifest(
        "leaf",
        LEAF.replace('"optim.lr" = 0.5', '"optim.lrr" = 0.5').partition("[[loss")[0],
        **{"zoo_leaf/hooks.py": HOOKS},
    )
    with pytest.raises(UsageError, match=r"suggested by leaf: unknown key 'optim\.lrr'"):
        request("finetune", "leaf", {}, registry=registry.load())


def test_asking_twice_gives_the_same_recipe_and_digest(ask, tmp_path):
    first = ask(lr=0.25, classes=3).recipe
    file = tmp_path / "recipe.toml"
    file.write_text(dump_recipe(first), "utf-8")
    again = ask(None, file=file).recipe
    assert dataclasses.asdict(again) == dataclasses.asdict(first)
    assert digest(again) == digest(first)


def test_check_weights_alone(known):
    check_weights(known.model("leaf"), "v1")
    with pytest.raises(UnknownNameError):
        check_weights(known.model("open"), "v1")


def test_metrics_are_qualified_and_what_is_watched_is_measured(ask):
    output = ask("resnet18", metric=["f1", "brier"]).recipe.output
    assert output.metrics == ("f1", "brier")
    assert output.monitor == "top1"
    output = ask("resnet18", metric="f1", monitor="calibration-error").recipe.output
    assert output.metrics == ("f1", "calibration-error")
    assert output.monitor == "calibration-error"
    assert ask("resnet18", metric="f1", monitor="f1").recipe.output.metrics == ("f1",)
    assert ask("resnet18", monitor="loss").recipe.output.metrics == ()


def test_nothing_is_watched_that_nobody_measures(ask):
    with pytest.raises(UnknownNameError, match="nothing called 'acuracy'") as caught:
        ask("resnet18", monitor="acuracy")
    assert "balanced-accuracy" in caught.value.hint
    with pytest.raises(UnknownNameError, match="unknown metric 'f11'"):
        ask("resnet18", metric="f11")


def test_a_transform_of_single_images_is_not_for_batches(ask):
    assert ask("resnet18", batch_transform=["rain"]).recipe.data.batch_transforms == ("leaf/rain",)
    with pytest.raises(UsageError, match="transform standard is for single images") as caught:
        ask("resnet18", batch_transform=["standard"])
    assert caught.value.hint == "--transform standard"
