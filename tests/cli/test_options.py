import typing

import click
import pytest

from zoo.cli.options import (
    METAVARS,
    TITLES,
    RecipeCommand,
    RecipeOption,
    complete_model,
    complete_trained,
    keyword_values,
    recipe_options,
)
from zoo.core.compose import compose, to_dict
from zoo.core.fields import fields
from zoo.core.flags import KEYWORDS, layer
from zoo.errors import UsageError


@pytest.fixture
def parse():
    """What a line of recipe flags means, as a checked recipe."""
    got = {}

    @recipe_options()
    @click.command("try", cls=RecipeCommand)
    @click.option("--dry-run", type=click.Choice(["plan", "full"]))
    def command(**options):
        got.clear()
        got.update(options)

    def call(*args):
        command.main(list(args), standalone_mode=False)
        call.dry_run = got.pop("dry_run")
        return compose("finetune", [("flags", layer(keyword_values(got)))]).recipe

    call.command = command
    return call


def example(key):
    """A text that a flag takes, and the value that must arrive."""
    info = fields()[key]
    kind, default = str(info.type), info.default
    special = {
        "device.parallel": ("fsdp", "fsdp"),
        "freeze.frozen_bn": ("update", "update"),
        "data.on_bad_image": ("skip", "skip"),
        "optim.on_nan": ("rollback", "rollback"),
        "device.precision": ("bf16", "bf16"),
        "data.cache": ("disk", "disk"),
        "data.cache_dtype": ("bf16", "bf16"),
        "data.views": ("7", 7),
    }
    if key in special:
        return special[key]
    if isinstance(default, dict):
        return "a=0.5", {"a": 0.5}
    if "bool" in kind:
        return None, True
    if isinstance(default, tuple):
        return ("7,8", (7, 8)) if "int" in kind else ("x", ("x",))
    if "float" in kind:
        return "0.25", 0.25
    if "int" in kind:
        return "7", 7
    return "word", "word"


@pytest.mark.parametrize("keyword", KEYWORDS)
def test_every_flag_reaches_its_recipe_field(parse, keyword):
    key = KEYWORDS[keyword]
    text, value = example(key)
    flag = "--" + keyword.replace("_", "-")
    recipe = parse(flag) if text is None else parse(flag, text)
    section, _, item = key.partition(".")
    assert getattr(getattr(recipe, section), item) == value
    plain = to_dict(parse())
    changed = to_dict(recipe)
    assert {s: changed[s] for s in changed if s != section} == {
        s: plain[s] for s in plain if s != section
    }


@pytest.mark.parametrize("keyword", KEYWORDS)
def test_every_flag_shows_its_fields_description_and_default(keyword):
    info = fields()[KEYWORDS[keyword]]
    option = RecipeOption(keyword)
    assert option.help.startswith(info.help)
    if info.default not in (None, "", (), {}, False):
        shown = f"{info.default:g}" if isinstance(info.default, float) else str(info.default)
        assert option.help.endswith(f"[{shown}]")


def test_literal_fields_are_choices(parse):
    with pytest.raises(click.BadParameter, match="eval"):
        parse("--frozen-bn", "off")
    assert RecipeOption("precision").type.choices == ("auto", "fp32", "bf16", "fp16")


def test_flags_that_may_be_neither_on_nor_off(parse):
    assert parse().device.channels_last is None
    assert parse("--channels-last").device.channels_last is True
    assert parse("--no-channels-last").device.channels_last is False


def test_flags_that_may_be_given_several_times(parse):
    recipe = parse("--unfreeze", "*.bn1.*", "--unfreeze", "a,b", "--unfreeze-at", "3:layer3")
    assert recipe.freeze.unfreeze == ("*.bn1.*", "a,b")
    assert recipe.freeze.unfreeze_at == ("3:layer3",)


def test_flags_that_take_commas(parse):
    assert parse("--project", "400,300").surgery.project == (400, 300)
    assert parse("--project", "400", "--project", "300").surgery.project == (400, 300)
    assert parse("--tracker", "a,b", "--tracker", "c").output.trackers == ("a", "b", "c")


def test_options_are_read_as_toml_or_text(parse):
    recipe = parse(
        "--loss-option", "gamma=2", "--loss-option", "mode = mean", "--loss-option", "w=[1,2]"
    )
    assert recipe.loss.options == {"gamma": 2, "mode": "mean", "w": [1, 2]}
    with pytest.raises(UsageError, match="--loss-option 'gamma' is not NAME=VALUE"):
        parse("--loss-option", "gamma")


def test_a_bare_dry_run_is_the_plan(parse):
    parse("--dry-run", "--lr", "0.1")
    assert parse.dry_run == "plan"
    parse("--dry-run=full")
    assert parse.dry_run == "full"
    parse()
    assert parse.dry_run is None


def test_wrong_numbers_are_told_by_click(parse):
    for args in (["--lr", "fast"], ["--epochs", "2.5"]):
        with pytest.raises(click.BadParameter):
            parse(*args)


def test_help_stands_in_the_recipes_sections(parse, capsys):
    assert parse.command.main(["-h"], standalone_mode=False) == 0
    out = capsys.readouterr().out
    places = [out.index(f"{title}:") for title in TITLES.values()]
    assert places == sorted(places)
    freezing = out[out.index("Freezing:") : out.index("Data:")]
    assert "--freeze-upto STAGE" in freezing
    assert "--lr" not in freezing
    assert max(map(len, out.splitlines())) <= 100


def test_sections_and_metavars_name_what_exists():
    assert set(TITLES) == {key.partition(".")[0] for key in fields()}
    assert set(METAVARS) <= set(KEYWORDS)


def test_flags_may_be_left_out():
    @recipe_options(without=["nproc"])
    @click.command("try")
    def command():
        pass

    assert "nproc" not in {p.name for p in command.params}
    assert len(command.params) == len(KEYWORDS) - 1


def test_what_is_not_a_recipe_keyword_is_passed_over():
    assert keyword_values({"retries": 3, "lr": None, "unfreeze": (), "seed": 1}) == {"seed": 1}


def test_models_complete_by_name_and_by_qualified_name(fresh):
    def complete(text):
        found = complete_model(typing.cast(click.Context, None), None, text)
        return [item.value for item in found]

    assert complete("resnet1")[:2] == ["resnet18", "resnet101"] or "resnet18" in complete("resnet1")
    assert "tutorials/lenet" in complete("tutorials/")
    assert "tutorials/lenet" in complete("lenet")
    assert complete("zzz") == []


def test_completion_of_trained_models_begins_with_runs(tmp_path, monkeypatch):
    run = tmp_path / "runs" / "resnet18-photos-001"
    run.mkdir(parents=True)
    (run / "recipe.toml").write_text("")
    monkeypatch.chdir(tmp_path)
    context = click.Context(click.Command("predict"))
    found = complete_trained(context, context.command, "resnet18")
    assert [item.value for item in found[:2]] == ["resnet18-photos-001", "resnet18"]
