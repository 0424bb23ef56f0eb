import pytest

from zoo.core import compose, registry
from zoo.core.folding import parse_fold
from zoo.core.request import request
from zoo.errors import UsageError


def asked(sets=(), file=None, **values):
    return request("finetune", "resnet18", values, registry=registry.load(), sets=sets, file=file)


def test_a_fold_is_a_number_and_how_many_there_are():
    assert parse_fold("2/5") == (2, 5)
    assert parse_fold("10/10") == (10, 10)


@pytest.mark.parametrize(
    ("text", "words", "hint"),
    [
        ("a/b", "'a/b' is not N/K", "--fold 2/5"),
        ("2", "'2' is not N/K", "--fold 2/5"),
        ("2/5/7", "is not N/K", "--fold 2/5"),
        ("-1/5", "is not N/K", "--fold 2/5"),
        ("02/5", "is not N/K", "--fold 2/5"),
        ("²/5", "is not N/K", "--fold 2/5"),
        ("", "is not N/K", "--fold 2/5"),
        ("0/5", "numbered from 1 to 5", "--fold 1/5"),
        ("6/5", "numbered from 1 to 5", "--fold 5/5"),
        ("2/1", "at least two folds", "--fold 1/5"),
        ("0/0", "at least two folds", "--fold 1/5"),
    ],
)
def test_what_is_no_fold_is_refused_with_one_that_is(text, words, hint):
    with pytest.raises(UsageError, match=words) as caught:
        parse_fold(text)
    assert caught.value.hint.startswith(hint)


def test_a_recipe_takes_it_from_every_layer(tmp_path):
    file = tmp_path / "r.toml"
    file.write_text('[data]\nfold = "3/4"\n', "utf-8")
    assert asked(fold="3/4").recipe.data.fold == "3/4"
    assert asked(sets=["data.fold=3/4"]).recipe == asked(fold="3/4").recipe
    assert asked(file=file).recipe == asked(fold="3/4").recipe
    assert asked(file=file, fold="1/4").recipe.data.fold == "1/4"
    assert 'fold = "3/4"' in compose.dump_recipe(asked(fold="3/4").recipe)
    assert "fold" not in compose.dump_recipe(asked().recipe)


@pytest.mark.parametrize("also", [{"val": "other"}, {"val_fraction": 0.2}])
def test_whatever_else_says_which_images_validate_is_refused(also):
    with pytest.raises(UsageError, match="and --val") as caught:
        asked(fold="2/5", **also)
    assert caught.value.hint == "leave one of them out"
    with pytest.raises(UsageError, match="and --val"):
        asked(sets={"data.fold": "2/5", **{f"data.{key}": v for key, v in also.items()}})


def test_a_fraction_that_an_earlier_run_wrote_out_is_no_wish(tmp_path):
    file = tmp_path / "recipe.toml"
    file.write_text(compose.dump_recipe(asked().recipe), "utf-8")
    assert "val_fraction = 0.2" in file.read_text("utf-8")
    assert asked(file=file, fold="2/5").recipe.data.fold == "2/5"


def test_a_malformed_one_is_refused_wherever_it_was_said():
    with pytest.raises(UsageError, match="numbered from 1 to 5"):
        asked(sets={"data.fold": "6/5"})
    with pytest.raises(UsageError, match="expected text"):
        asked(sets={"data.fold": 2})
