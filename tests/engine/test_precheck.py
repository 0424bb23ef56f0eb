"""What the recipe alone can tell is said before data is read and weights are fetched."""

import pytest

from zoo.core.registry import load
from zoo.core.request import request
from zoo.engine.plan import expected_input, model_spec
from zoo.engine.precheck import check_loss, check_parts
from zoo.errors import UsageError, ZooError


def recipe(**sets):
    keys = {key.replace("__", "."): value for key, value in sets.items()}
    return request("finetune", "resnet18", {}, registry=load(), sets=keys).recipe


def check(made):
    check_parts(made, load(), expected_input(made, model_spec(made, load())))


@pytest.mark.parametrize("kind", ["optimizer", "loss", "scheduler", "transform", "metric"])
def test_every_built_in_part_passes_with_its_defaults(kind):
    """What is refused here must be what would fail later: no part is refused by mistake."""
    keys = {
        "optimizer": "optim__name",
        "loss": "loss__name",
        "scheduler": "optim__schedule",
        "transform": "data__train_transform",
        "metric": "output__metrics",
    }
    for name, spec in load().shelf(kind).items():
        if spec.plugin != "zoo" or name == "lbfgs":
            continue
        if getattr(spec, "stage", "") == "batch":
            check(recipe(data__batch_transforms=[name]))
        else:
            check(recipe(**{keys[kind]: [name] if kind == "metric" else name}))


@pytest.mark.parametrize(
    ("sets", "said"),
    [
        ({"loss__options": {"gama": 1}}, "no option 'gama'"),
        ({"optim__options": {"nesterof": True}}, "no option 'nesterof'"),
        ({"optim__name": "adamw", "optim__options": {"betas": [2, 2]}}, "refuses its options"),
        ({"optim__name": "adamw", "optim__options": {"betas": "high"}}, "refuses its options"),
        ({"optim__options": {"lr": 1}}, "is set by optim.lr"),
        ({"optim__schedule_options": {"speed": 1}}, "no option 'speed'"),
        ({"optim__schedule": "multistep", "optim__schedule_options": {"milestones": "x"}}, "refus"),
        ({"data__train_options": {"zoom": 3}}, "no option 'zoom'"),
        ({"output__monitor": "per-class"}, "gives several numbers"),
        ({"output__save_every": "soon"}, "soon"),
        ({"data__views": "many"}, "many"),
    ],
    ids=str,
)
def test_what_cannot_work_is_refused(sets, said):
    with pytest.raises(UsageError, match=said) as raised:
        check(recipe(**sets))
    assert raised.value.exit_code == 2


def test_a_monitored_metric_of_several_numbers_says_the_way_out():
    with pytest.raises(UsageError) as raised:
        check(recipe(output__monitor="per-class"))
    assert "--monitor top1 --metric per-class" in raised.value.hint


def test_class_weights_of_another_number_are_refused_once_the_classes_are_known():
    made = recipe(loss__options={"weight": [1.0, 2.0]})
    check(made)
    check_loss(made, load(), 2)
    with pytest.raises(UsageError, match="does not work with 3 classes"):
        check_loss(made, load(), 3)


def test_a_value_that_only_the_call_refuses_is_found_with_the_classes():
    with pytest.raises(UsageError, match="label_smoothing"):
        check_loss(recipe(loss__options={"label_smoothing": 7}), load(), 3)


@pytest.mark.parametrize("count", [1, 2, 300])
def test_every_classification_loss_takes_any_number_of_classes(count):
    for name, spec in load().shelf("loss").items():
        if spec.plugin == "zoo" and spec.task == "classification":
            check_loss(recipe(loss__name=name), load(), count)


def test_nothing_is_fetched_for_a_recipe_that_cannot_work(tmp_path, zoo, monkeypatch):
    """The weights would come from an address at which nobody answers."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("zoo.engine.run.begin", lambda *a: pytest.fail("it fetched"))
    for flags, said in (
        (("--set", "loss.options.gama=1"), "no option 'gama'"),
        (("--optimizer", "adamw", "--optimizer-option", "betas=[2,2]"), "refuses its options"),
        (("--monitor", "per-class"), "several numbers"),
    ):
        code, _, err = zoo("finetune", "resnet18", "--data", ".", *flags)  # which holds no images
        assert code == 2, err
        assert said in err
        assert "hint: " in err


def test_a_loss_that_needs_an_option_says_so():
    with pytest.raises(ZooError):
        check(recipe(loss__options={"weight": "heavy"}))
