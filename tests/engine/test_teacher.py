"""zoo.engine.teacher: a trained model whose answers another one learns from."""

from pathlib import Path

import pytest
import torch
from torch import nn

from zoo.core import registry
from zoo.core.metadata import CheckpointInfo
from zoo.core.recipe import SurgeryPart
from zoo.core.request import request
from zoo.core.specs import InputSpec
from zoo.engine.parts import Built
from zoo.engine.place import Place
from zoo.engine.start.loaded import Loaded
from zoo.engine.surgery import SurgeryReport
from zoo.engine.teacher import Teacher, find_teacher
from zoo.errors import CheckpointError, UsageError

CPU = Place(device=torch.device("cpu"))
MINE = InputSpec(size=(3, 8, 8), mean=(0.5, 0.4, 0.3), std=(0.5, 0.25, 0.2))
OTHER = InputSpec(size=(3, 4, 4), mean=(0.1, 0.2, 0.3), std=(1.0, 0.5, 0.1))


class Means(nn.Module):
    """Answers with the mean of each channel, and remembers what it was shown."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3))

    def forward(self, x):
        self.shown = x
        return x.mean((2, 3)) * self.weight


def loaded(model=None, classes=("a", "b", "c"), shown=OTHER):
    info = CheckpointInfo(classes=classes, input=shown, num_classes=len(classes))
    return Loaded(model or Means(), info, Path("none"))


def teacher(given=None, classes=("a", "b", "c"), share=0.25, temperature=2.0, place=CPU):
    how = {"share": share, "temperature": temperature}
    return Teacher(given or loaded(), classes, MINE, place, **how)


def test_the_loss_is_the_one_that_is_written_down():
    torch.manual_seed(0)
    outputs, images, value = torch.randn(5, 3), torch.randn(5, 3, 8, 8), torch.tensor(1.7)
    made = teacher()
    p = torch.softmax(made.answers(images).double() / 2, 1)
    q = torch.softmax(outputs.double() / 2, 1)
    apart = (p * (p.log() - q.log())).sum(1).mean()
    wanted = 0.75 * 1.7 + 0.25 * 4 * apart
    assert float(made.mixed(value, outputs, images)) == pytest.approx(float(wanted), rel=1e-5)


def test_who_says_the_same_loses_nothing_and_a_share_of_one_forgets_the_labels():
    images = torch.randn(4, 3, 8, 8)
    made = teacher(share=1.0)
    found = made.mixed(torch.tensor(9.0), made.answers(images), images)
    assert float(found) == pytest.approx(0.0, abs=1e-6)


def test_it_sees_the_same_images_in_its_own_size_and_normalisation():
    pixels = torch.rand(2, 3, 8, 8)
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (MINE.mean, MINE.std))
    model = Means()
    teacher(loaded(model)).answers((pixels - mean) / std)
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (OTHER.mean, OTHER.std))
    small = nn.functional.interpolate(pixels, (4, 4), mode="bilinear", antialias=True)
    assert torch.allclose(model.shown, (small - mean) / std, atol=1e-5)


def test_it_is_known_by_what_its_tensors_are():
    def record(model):
        return Teacher(
            loaded(model), ("a", "b", "c"), MINE, CPU, share=0.5, temperature=1.0, source="x"
        ).record

    one, same, other = Means(), Means(), Means()
    other.weight.data[0] = 2
    assert record(one)["source"] == "x"
    assert record(one) == record(same)
    assert record(one)["sha256"] != record(other)["sha256"]


def test_models_that_are_shown_plain_numbers():
    model = Means()
    how = {"share": 0.5, "temperature": 1.0}
    plain = InputSpec(size=(3, 8, 8))
    images = torch.rand(2, 3, 8, 8)
    Teacher(loaded(model, shown=plain), ("a", "b", "c"), plain, CPU, **how).answers(images)
    assert torch.equal(model.shown, images)


def test_classes_are_told_apart_by_their_names():
    images = torch.randn(4, 3, 8, 8)
    straight, turned = teacher().answers(images), teacher(classes=("c", "a")).answers(images)
    assert torch.equal(turned, straight[:, [2, 0]])


def test_it_neither_trains_nor_is_in_train_mode():
    model = Means().train()
    made = teacher(loaded(model))
    outputs = torch.randn(2, 3, requires_grad=True)
    made.mixed(torch.tensor(0.0), outputs, torch.randn(2, 3, 8, 8)).backward()
    assert outputs.grad.abs().sum() > 0
    assert model.weight.grad is None
    assert not model.training


def test_it_answers_in_the_precision_of_the_place_and_is_compared_in_fp32():
    model = nn.Sequential(nn.Flatten(), nn.Linear(48, 3))
    place = Place(device=torch.device("cpu"), precision="bf16")
    assert (
        teacher(loaded(model), place=place).answers(torch.randn(2, 3, 8, 8)).dtype == torch.float32
    )


@pytest.mark.parametrize(
    ("given", "classes", "said"),
    [
        (loaded(), ("a", "d", "e", "f", "g"), "does not know the classes d, e, f and 1 more"),
        (loaded(classes=()), ("a",), "does not know the classes a"),
        (loaded(shown=InputSpec(size=(1, 8, 8))), ("a",), "images of 1 channels, the student of 3"),
    ],
)
def test_a_teacher_of_something_else_is_refused(given, classes, said):
    with pytest.raises(UsageError, match=said):
        teacher(given, classes)


def wish(outputs=2, loss=None, **values):
    recipe = request("train", "tutorials/lenet", values, registry=registry.load()).recipe
    spec = registry.load().model("tutorials/lenet")
    report = SurgeryReport("fc3", (), (), outputs)
    built = Built(nn.Identity(), spec, MINE, SurgeryPart(), report)
    loss = loss or nn.CrossEntropyLoss()
    how = (MINE, CPU, loss)
    return find_teacher(recipe, registry.load(), built, ("dark", "light"), *how)


def test_no_teacher_is_nobody():
    assert wish() is None


def test_a_run_is_a_teacher(finished_run):
    grey = InputSpec(size=(1, 28, 28))
    recipe = request(
        "train", "tutorials/lenet", {"teacher": str(finished_run)}, registry=registry.load()
    ).recipe
    spec = registry.load().model("tutorials/lenet")
    built = Built(nn.Identity(), spec, grey, SurgeryPart(), SurgeryReport("fc3", (), (), 2))
    how = (grey, CPU, nn.CrossEntropyLoss())
    found = find_teacher(recipe, registry.load(), built, ("light", "dark"), *how)
    assert (found.share, found.temperature) == (0.5, 4.0)
    assert found.answers(torch.rand(3, 1, 28, 28)).shape == (3, 2)


@pytest.mark.parametrize(
    ("values", "error", "said"),
    [
        ({"loss": nn.CrossEntropyLoss(weight=torch.ones(2))}, UsageError, "weighs classes"),
        ({"loss": nn.CrossEntropyLoss(reduction="sum")}, UsageError, "is a sum"),
        ({"outputs": 7}, UsageError, "the student has 7 outputs and the data 2 classes"),
        ({}, CheckpointError, "no run 'nobody'"),
    ],
)
def test_what_does_not_fit_is_said(values, error, said):
    with pytest.raises(error, match=said):
        wish(teacher="run:nobody", **values)
