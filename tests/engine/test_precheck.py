"""What the recipe alone can tell is said before data is read and weights are fetched."""

import pytest

from zoo.core.registry import load
from zoo.core.request import request
from zoo.engine.plan import expected_input, model_spec
from zoo.engine.precheck import check_parts, check_with_classes, deprecated_parts
from zoo.errors import UsageError, ZooError


def recipe(**sets):
    keys = {key.replace("__", "."): value for key, value in sets.items()}
    return request("finetune", "resnet18", {}, registry=load(), sets=keys).recipe


def check(made):
    check_parts(made, load(), expected_input(made, model_spec(made, load())))


def check_classes(made, classes):
    shown = expected_input(made, model_spec(made, load()))
    check_with_classes(made, load(), shown, classes)


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
        ({"optim__options": {"params": 4}}, "zoo says what trains"),
        ({"optim__schedule_options": {"total": 4}}, "total is not an option"),
        ({"optim__schedule_options": {"speed": 1}}, "no option 'speed'"),
        ({"optim__schedule": "multistep", "optim__schedule_options": {"milestones": "x"}}, "refus"),
        ({"data__train_options": {"zoom": 3}}, "no option 'zoom'"),
        ({"output__monitor": "per-class"}, "gives several numbers"),
        ({"output__save_every": "soon"}, "soon"),
        ({"optim__max_time": "soon"}, "soon"),
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
    check_classes(made, 2)
    with pytest.raises(UsageError, match="does not work with 3 classes"):
        check_classes(made, 3)


@pytest.mark.parametrize("transform", ["mixup", "cutmix"])
def test_what_batch_transforms_make_of_labels_is_tried_too(transform):
    mixing = {"data__batch_transforms": [transform]}
    for name, spec in load().shelf("loss").items():
        made = recipe(loss__name=name, **mixing)
        if name in ("nll", "multi-margin"):
            with pytest.raises(UsageError, match=f"what {transform} makes of labels") as raised:
                check_classes(made, 3)
            assert raised.value.hint.startswith("--loss cross-entropy")
        elif spec.plugin == "zoo":
            check_classes(made, 3)
    with pytest.raises(UsageError, match="does not work with 3 classes"):
        check_classes(recipe(loss__options={"weight": [1.0, 2.0]}, **mixing), 3)
    bare = {"surgery__drop_last": True, **mixing}
    with pytest.raises(UsageError, match=f"{transform} makes targets of 3 classes") as raised:
        check_classes(recipe(**bare), 3)
    assert raised.value.hint.startswith("--project 3")
    check_classes(recipe(surgery__project=[8, 3], **bare), 3)


def test_weights_of_another_number_are_refused_for_losses_of_any_task():
    made = recipe(loss__name="bce-with-logits", loss__options={"weight": [1.0, 2.0]})
    with pytest.raises(UsageError, match="does not work with 3 classes"):
        check_classes(made, 3)


def test_a_value_that_only_the_call_refuses_is_found_with_the_classes():
    with pytest.raises(UsageError, match="label_smoothing"):
        check_classes(recipe(loss__options={"label_smoothing": 7}), 3)


@pytest.mark.parametrize("count", [1, 2, 300])
def test_every_classification_loss_takes_any_number_of_classes(count):
    for name, spec in load().shelf("loss").items():
        if spec.plugin == "zoo" and spec.task == "classification":
            check_classes(recipe(loss__name=name), count)


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


PARTS = """
from torch.nn import functional
from zoo.plugin import LossSpec, MetricSpec, hookimpl

@hookimpl
def zoo_metrics():
    yield MetricSpec(name="two-only", target="zoo_odd:TwoOnly")

@hookimpl
def zoo_losses():
    yield LossSpec(name="old", target="zoo_odd:rows", form="function", deprecated="use rows")
    for name in ("rows", "number", "cut"):
        yield LossSpec(name=name, target=f"zoo_odd:{name}", form="function")

class TwoOnly:
    def __init__(self, classes):
        if classes != 2:
            raise ValueError(f"two classes only, not {classes}")
    def reset(self):
        pass
    def update(self, outputs, labels):
        pass
    def compute(self):
        raise RuntimeError("more images are needed")

def rows(outputs, labels):
    return functional.cross_entropy(outputs, labels, reduction="none")

def number(outputs, labels):
    return 0.5

def cut(outputs, labels):
    return functional.cross_entropy(outputs.detach(), labels)
"""


@pytest.fixture
def odd(site, fresh):
    site.code("odd", PARTS)
    fresh.cache_clear()
    return fresh()


def test_a_metric_for_two_classes_is_tried_when_their_number_is_known(odd):
    sets = {"output.metrics": ["odd/two-only"], "output.monitor": "odd/two-only"}
    made = request("finetune", "resnet18", {}, registry=odd, sets=sets).recipe
    shown = expected_input(made, model_spec(made, odd))
    check_parts(made, odd, shown)
    check_with_classes(made, odd, shown, 2)
    with pytest.raises(UsageError, match="two classes only, not 5"):
        check_with_classes(made, odd, shown, 5)


def test_deprecated_parts_say_what_to_use(odd):
    made = request("finetune", "resnet18", {}, registry=odd, sets={"loss.name": "odd/old"}).recipe
    assert deprecated_parts(made, odd) == ("loss odd/old is deprecated: use rows",)
    assert deprecated_parts(recipe(), odd) == ()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("rows", r"a tensor of shape \(2,\) for a batch"),
        ("number", "a float for a batch"),
        ("cut", "a tensor without a gradient"),
    ],
)
def test_a_loss_gives_one_number_to_differentiate(name, said, odd):
    sets = {"loss.name": f"odd/{name}"}
    made = request("finetune", "resnet18", {}, registry=odd, sets=sets).recipe
    shown = expected_input(made, model_spec(made, odd))
    with pytest.raises(UsageError, match=said):
        check_with_classes(made, odd, shown, 3)
