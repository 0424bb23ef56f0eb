import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.core import compose, flags
from zoo.core.compose import (
    VERB_DEFAULTS,
    changed,
    close_keys,
    digest,
    dump_recipe,
    fields,
    flatten,
    from_dict,
    parse_sets,
    parse_value,
    read_recipe,
    to_dict,
)
from zoo.core.recipe import Recipe
from zoo.errors import UsageError


def made(*layers, verb="finetune"):
    return compose.compose(verb, [(f"layer {n}", layer) for n, layer in enumerate(layers)])


def wrong(*layers):
    with pytest.raises(UsageError) as caught:
        made(*layers)
    return caught.value


def test_no_layers_give_the_verbs_defaults():
    assert made().recipe == Recipe()
    train = made(verb="train")
    assert train.recipe.model.weights == "none"
    assert train.recipe.optim.epochs == 20
    assert train.origin["optim.epochs"] == "zoo train"


def test_later_layers_win_key_by_key_and_say_so():
    found = made({"optim.lr": 1.0, "optim.epochs": 3}, {"optim.lr": 2})
    assert (found.recipe.optim.lr, found.recipe.optim.epochs) == (2.0, 3)
    assert found.origin == {"optim.lr": "layer 1", "optim.epochs": "layer 0"}


def test_options_grow_by_name_and_are_replaced_as_a_whole():
    found = made({"loss.options": {"a": 1, "b": 2}}, {"loss.options.b": 3})
    assert found.recipe.loss.options == {"a": 1, "b": 3}
    assert found.origin["loss.options.b"] == "layer 1"
    assert made({"loss.options.b": 3}, {"loss.options": {"c": 1}}).recipe.loss.options == {"c": 1}
    deep = made({"model.options.a.b": 1}).recipe.model.options
    assert deep == {"a.b": 1}


def test_lists_become_tuples():
    assert made({"surgery.project": [400, 300]}).recipe.surgery.project == (400, 300)
    assert made({"freeze.unfreeze": ["*.bn*"]}).recipe.freeze.unfreeze == ("*.bn*",)


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        ({"optim.lr": "fast"}, 'optim.lr = "fast": expected a number, got text'),
        ({"optim.lr": 0}, "optim.lr = 0: expected a number > 0.0"),
        ({"optim.lr": float("nan")}, "optim.lr = NaN: expected a number > 0.0"),
        ({"optim.lr": float("inf")}, "optim.lr = Infinity: expected a finite number"),
        ({"optim.epochs": 2.5}, "optim.epochs = 2.5"),
        ({"optim.epochs": True}, "optim.epochs = true"),
        ({"optim.epochs": None}, "optim.epochs = null"),
        ({"data.val_fraction": 1.0}, "data.val_fraction = 1.0"),
        ({"freeze.frozen_bn": "off"}, "freeze.frozen_bn"),
        ({"surgery.project": [0]}, "surgery.project = [0]"),
        ({"surgery.project": 400}, "surgery.project = 400"),
        ({"loss.options": 3}, "loss.options = 3"),
        ({"device.seed": -1}, "device.seed = -1"),
        ({"device.seed": 2**53}, "device.seed"),
    ],
)
def test_a_wrong_value_is_named_with_its_key(layer, said):
    error = wrong(layer)
    assert error.message.startswith(said)
    assert "`$" not in error.message


def test_a_wrong_value_says_where_it_is_from():
    assert wrong({"optim.lr": 1}, {"optim.lr": "x"}).hint == "from layer 1"
    assert wrong({"loss.options": 3, "optim.lr": 2}).hint == "from layer 0"


@pytest.mark.parametrize(
    ("layer", "said", "hint"),
    [
        ({"optim.epochs": 0}, "--epochs 0: expected a whole number >= 1", "--epochs 5 is"),
        ({"optim.lr": float("inf")}, "--lr inf: expected a finite number", ""),
        ({"data.view_crop": 2.0}, "--view-crop 2: expected a number", "--view-crop: Least share"),
        ({"optim.max_time": 90}, "--max-time 90: expected text", "--max-time: End the run, "),
        (
            {"freeze.frozen_bn": "off"},
            "--frozen-bn off: expected eval, update or affine",
            "--frozen-bn eval is the default",
        ),
    ],
)
def test_a_wrong_flag_is_named_as_it_was_typed(layer, said, hint):
    with pytest.raises(UsageError) as caught:
        compose.compose("finetune", [("flags", layer)])
    assert caught.value.message.startswith(said)
    assert (caught.value.hint or "").startswith(hint)


def test_options_over_a_value_that_is_no_table():
    assert made({"loss.options": 3}, {"loss.options.a": 1}).recipe.loss.options == {"a": 1}


@pytest.mark.parametrize(
    ("key", "close"),
    [
        ("optim.lrr", "optim.lr"),
        ("optimm.lr", "optim.lr"),
        ("lr", "optim.lr"),
        ("epochs", "optim.epochs"),
        ("batchsize", "data.batch_size"),
        ("options", "model.options"),
        ("freeze.up_to", "freeze.upto"),
        ("optim.lr.x", ""),
    ],
)
def test_an_unknown_key_names_close_ones(key, close):
    error = wrong({key: 1})
    assert error.message == f"layer 0: unknown key {key!r}"
    assert close in error.hint
    assert not close or close in close_keys(key)


def test_all_problems_are_reported_at_once():
    error = wrong({"optim.lr": "x", "nope": 1}, {"data.size": 0})
    assert error.message.splitlines()[0] == "3 problems in the recipe:"
    for piece in ("optim.lr", "'nope'", "data.size", "(from layer 1)"):
        assert piece in error.message


def test_set_reads_toml_or_text():
    assert parse_sets(
        ["optim.lr=0.5", "data.val=a b/c", "freeze.unfreeze=['x']", " a = true "]
    ) == {
        "optim.lr": 0.5,
        "data.val": "a b/c",
        "freeze.unfreeze": ["x"],
        "a": True,
    }
    assert parse_value("2024-1") == "2024-1"
    assert parse_value("") == ""
    assert parse_value("a=b") == "a=b"
    for text in ("optim.lr", "=3", " =3"):
        with pytest.raises(UsageError, match="is not KEY=VALUE"):
            parse_sets([text])


def test_a_text_field_takes_what_looks_like_a_number():
    assert parse_sets(["output.name=5", "output.save_every=200", "device.device='cpu'"]) == {
        "output.name": "5",
        "output.save_every": "200",
        "device.device": "cpu",
    }
    assert parse_sets(["freeze.unfreeze=5", "optim.epochs=5"]) == {
        "freeze.unfreeze": 5,
        "optim.epochs": 5,
    }


def test_none_takes_an_optional_number_back():
    layer = parse_sets(["optim.ema=none", "data.size=none", "model.weights=none"])
    assert layer == {"optim.ema": None, "data.size": None, "model.weights": "none"}
    assert made({"optim.ema": 0.9}, layer).recipe.optim.ema is None


@given(st.text())
def test_any_text_is_a_value(text):
    parse_value(text)


def test_a_recipe_file_may_be_partial(tmp_path):
    path = tmp_path / "r.toml"
    path.write_text("verb = 'train'\n[optim]\nlr = 0.5\n[loss.options]\nx = 1\n")
    assert read_recipe(path) == ("train", {"optim.lr": 0.5, "loss.options": {"x": 1}})
    path.write_text("lr = 1\n")
    assert read_recipe(path) == (None, {"lr": 1})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("schema = 2", "recipe schema 2; this zoo reads 1"),
        ("verb = 'fly'", "verb 'fly'"),
        ("verb = ['train']", r"verb \['train'\]"),
        ("optim = ", "Invalid value"),
    ],
)
def test_a_recipe_file_that_is_wrong(tmp_path, text, said):
    path = tmp_path / "r.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=said) as caught:
        read_recipe(path)
    assert "r.toml" in caught.value.message


def filled():
    """A recipe whose every field differs from its default."""
    values = {}
    for key, info in fields().items():
        default, kind = info.default, str(info.type)
        if isinstance(default, bool) or "bool" in kind:
            values[key] = not default
        elif "Literal" in kind:
            choices = [c for c in ("update", "skip", "fp32", "disk", "fsdp") if c in kind]
            values[key] = choices[0]
        elif isinstance(default, dict):
            values[key] = {"a": [1, 2], "b": {"c": 0.5}}
        elif isinstance(default, tuple):
            values[key] = [7, 8] if "int" in kind else ["x", "y"]
        elif "float" in kind:
            values[key] = 0.25
        elif "int" in kind:
            values[key] = 77
        else:
            values[key] = "other"
    return made(values).recipe


def test_filled_fills_everything():
    plain, full = flatten(to_dict(Recipe())), flatten(to_dict(filled()))
    assert set(fields()) < set(full)
    assert [k for k in fields() if plain.get(k) == full[k]] == []


def test_a_recipe_survives_toml_and_json(tmp_path):
    path = tmp_path / "recipe.toml"
    for recipe in (Recipe(), filled(), made(verb="train").recipe):
        path.write_text(dump_recipe(recipe), "utf-8")
        verb, layer = read_recipe(path)
        assert verb == recipe.verb
        assert compose.compose(verb, [("file", layer)]).recipe == recipe
        assert from_dict(to_dict(recipe)) == recipe


def test_train_values_that_equal_the_fields_defaults_survive_too():
    recipe = made({"optim.epochs": 5, "model.weights": "default"}, verb="train").recipe
    assert from_dict(to_dict(recipe)) == recipe


def test_what_is_not_a_recipe():
    for table in ({"verb": "fly"}, {"verb": ["x"]}, {"optim": {"lr": "x"}}, {"x": 1}, {"optim": 3}):
        with pytest.raises(UsageError):
            from_dict(table)
    with pytest.raises(UsageError, match="schema 9"):
        from_dict({"schema": 9})


def test_the_digest_is_of_what_decides_the_result():
    one = digest(Recipe())
    assert len(one) == 64
    assert digest(changed(Recipe(), {"optim.lr": 0.5})) != one
    for key, value in {
        "output.dir": "x",
        "output.name": "x",
        "data.workers": 3,
        "device.threads": 2,
    }.items():
        assert digest(changed(Recipe(), {key: value})) == one


def test_every_other_field_is_in_the_digest():
    full, plain = filled(), Recipe()
    left_out = {"output.dir", "output.name", "data.workers", "device.threads"}
    for key in fields():
        section, _, item = key.partition(".")
        part = dataclasses.replace(
            getattr(plain, section), **{item: getattr(getattr(full, section), item)}
        )
        same = digest(dataclasses.replace(plain, **{section: part})) == digest(plain)
        assert same == (key in left_out), key


def test_single_fields_change_and_are_checked():
    recipe = made({"optim.lr": 0.5}, verb="train").recipe
    after = changed(recipe, {"optim.epochs": 5, "surgery.classes": 3})
    assert (after.verb, after.optim.lr, after.optim.epochs) == ("train", 0.5, 5)
    assert changed(after, {"surgery.classes": None}).surgery.classes is None
    with pytest.raises(UsageError, match="unknown key"):
        changed(recipe, {"optim.lrr": 1})


def test_a_recipe_as_plain_values():
    table = to_dict(made({"surgery.project": [400, 300], "optim.lr": 2}).recipe)
    assert table["surgery"] == {"drop_last": False, "project": [400, 300], "reset_head": False}
    assert isinstance(table["optim"]["lr"], float)
    assert table["schema"] == 1


def test_flatten_goes_one_level_deep():
    assert flatten({"a": {"b": {"c": 1}}, "d": 2}) == {"a.b": {"c": 1}, "d": 2}


def test_a_list_is_quoted_as_it_was_typed():
    layer = (flags.ORIGIN, flags.layer({"project": ["a", "b"]}))
    with pytest.raises(UsageError, match="--project a,b: expected a whole number"):
        compose.compose("finetune", [layer])


@pytest.mark.parametrize("verb", VERB_DEFAULTS)
def test_what_a_verb_changes_are_fields(verb):
    assert set(VERB_DEFAULTS[verb]) <= set(fields())
