"""zoo.engine.parts: from a start to a live model, and back from a checkpoint."""

import dataclasses

import pytest
import torch
from torch import nn

from zoo.core import registry
from zoo.core.metadata import CheckpointInfo
from zoo.core.recipe import ModelPart, Recipe, SurgeryPart
from zoo.engine.parts import (
    build,
    headless,
    is_convolutional,
    restore,
    skeleton,
    surgery_record,
)
from zoo.engine.start.start import Start, input_of
from zoo.errors import CheckpointError, PluginError, UsageError

NAMES = tuple("abc")


def start(name="tutorials/lenet", **changes):
    spec = registry.load().model(name)
    return Start(spec=spec, input=input_of(spec), **changes)


def made(begin, classes=NAMES, **surgery):
    recipe = Recipe(model=ModelPart(name=begin.spec.qualified), surgery=SurgeryPart(**surgery))
    return build(begin, recipe, registry.load(), classes)


def filled(classes, **surgery):
    """A trained model's tensors, and a start from them."""
    built = made(start(), classes, **surgery)
    tensors = {n: t.clone() for n, t in built.model.state_dict().items()}
    again = start(tensors=tensors, num_classes=len(classes), classes=classes, surgery=built.surgery)
    return tensors, again


def test_random_weights_depend_on_the_seed_alone():
    torch.manual_seed(1)
    one = made(start()).model.state_dict()
    torch.manual_seed(2)
    other = made(start()).model.state_dict()
    assert all(torch.equal(one[n], other[n]) for n in one)


def test_building_leaves_the_random_state_alone():
    before = torch.get_rng_state()
    made(start())
    assert torch.equal(before, torch.get_rng_state())


def test_a_head_of_the_same_classes_is_kept():
    tensors, again = filled(NAMES)
    built = made(again)
    assert torch.equal(built.model.state_dict()["fc3.weight"], tensors["fc3.weight"])
    assert built.report.fresh == ()


def test_a_head_of_other_classes_starts_anew_and_that_is_said():
    tensors, again = filled(NAMES)
    built = made(again, ("x", "y", "z"))
    assert not torch.equal(built.model.state_dict()["fc3.weight"], tensors["fc3.weight"])
    assert torch.equal(built.model.state_dict()["fc1.weight"], tensors["fc1.weight"])
    assert any("other classes" in note for note in built.notes)


def test_another_number_of_classes_makes_another_head():
    _, again = filled(NAMES)
    built = made(again, tuple("vwxyz"))
    assert built.model(torch.zeros(2, 1, 32, 32)).shape == (2, 5)
    assert built.report.outputs == 5


def test_weights_that_do_not_fit_are_refused_whole():
    tensors, _ = filled(NAMES)
    tensors.pop("fc1.weight")
    with pytest.raises(CheckpointError, match=r"1 missing \(fc1.weight\)"):
        made(start(tensors=tensors, num_classes=3, classes=NAMES))


def test_weights_that_are_not_numbers_are_refused_where_they_are_used():
    tensors, _ = filled(NAMES)
    tensors["fc1.weight"][0, 0] = float("nan")
    with pytest.raises(CheckpointError, match=r"NaN or infinite values in fc1\.weight"):
        made(start(tensors=tensors, num_classes=3, classes=NAMES))


def test_two_projections_are_refused():
    _, again = filled(NAMES, project=(7, 3))
    with pytest.raises(UsageError, match="projection already"):
        made(again, project=(5, 3))


@pytest.mark.parametrize("surgery", [{}, {"project": (7, 3)}, {"in_channels": 4}])
def test_a_checkpoint_gives_its_model_back(surgery):
    built = made(start(), **surgery)
    info = CheckpointInfo(
        model="tutorials/lenet",
        num_classes=3,
        classes=NAMES,
        surgery=surgery_record(built.surgery),
        input=built.input,
    )
    tensors = dict(built.model.state_dict())
    images = torch.rand(2, *built.input.size)
    again = restore(info, tensors, registry.load())
    assert not again.training
    assert torch.equal(again(images), built.model.eval()(images))
    empty, begun = skeleton(info, registry.load())
    assert begun.pretrained
    assert [p.shape for p in empty.model.parameters()] == [p.shape for p in again.parameters()]


def test_features_come_out_without_the_last_layer():
    built = made(start(), (), drop_last=True)
    assert built.model(torch.zeros(2, 1, 32, 32)).shape == (2, 84)


def test_what_is_convolutional():
    import torchvision

    assert is_convolutional(torchvision.models.resnet18())
    assert not is_convolutional(torchvision.models.vit_b_32())
    assert not is_convolutional(nn.Linear(2, 2))


def test_a_surgery_record_is_short():
    assert surgery_record(SurgeryPart()) == {}
    part = SurgeryPart(project=(4, 2), in_channels=1, drop_last=False)
    assert surgery_record(part) == {"project": [4, 2], "in_channels": 1}


def test_a_resumed_run_knows_which_layers_were_its_head():
    """A projection is the head of the run that made it, its last layer that of a later one."""
    surgery = {"project": [40, 3]}
    info = CheckpointInfo(model="tutorials/lenet", num_classes=3, classes=NAMES, surgery=surgery)
    assert skeleton(info, registry.load())[0].report.head == "fc3.2"
    own = dataclasses.replace(info, recipe={"surgery": surgery})
    assert skeleton(own, registry.load())[0].report.head == "fc3"


def test_a_projection_is_gone_on_from_by_its_last_layer():
    tensors, again = filled(NAMES, project=(40, 3))
    built = made(again, tuple("vwxyz"))
    assert built.report.head == "fc3.2"
    assert built.surgery.project == (40, 5)
    assert torch.equal(built.model.fc3[0].weight, tensors["fc3.0.weight"])
    assert built.model.fc3[2].weight.shape == (5, 40)
    with pytest.raises(UsageError, match="end in a projection already"):
        made(again, NAMES, drop_last=True)


def test_features_take_a_head_again_or_stay_features():
    tensors, again = filled(NAMES, drop_last=True)
    assert not [name for name in tensors if name.startswith("fc3")]
    built = made(again, NAMES)
    assert built.model.fc3.out_features == 3
    assert built.surgery == SurgeryPart()
    assert any("fc3 is new, for 3 classes" in note for note in built.notes)
    bare = made(again, NAMES, drop_last=True)
    assert isinstance(bare.model.fc3, nn.Identity)
    assert bare.surgery == SurgeryPart(drop_last=True)
    assert any("features" in note for note in bare.notes)


BACKBONE = """
from torch import nn

class Backbone(nn.Module):
    def __init__(self, num_classes=0):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 6, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Identity()  # whatever it is asked for

    def forward(self, images):
        return self.head(self.body(images))
"""


def test_a_backbone_that_only_gives_features_is_trained_and_restored(site, fresh):
    entry = "[[model]]\nname='back'\ntarget='zoo_bare:Backbone'\nhead='head'\ntask='features'\n"
    site.manifest("bare", entry + "input = {size = [3, 16, 16]}")
    (site.path / "zoo_bare" / "__init__.py").write_text(BACKBONE)
    fresh.cache_clear()
    features = fresh().build("model", "bare/back").state_dict()
    built = made(start("bare/back", tensors=dict(features)))
    assert built.report.changes == ("head: added, Linear(6, 3)",)
    assert torch.equal(built.model.state_dict()["body.0.weight"], features["body.0.weight"])
    tensors = {n: t.clone() for n, t in built.model.state_dict().items()}
    info = CheckpointInfo(model="bare/back", num_classes=3, classes=NAMES)
    images = torch.rand(2, 3, 16, 16)
    again = restore(info, tensors, fresh())
    with torch.inference_mode():
        assert torch.equal(again(images), built.model.eval()(images))


def test_a_target_that_gives_no_model_is_named(site, fresh):
    site.manifest("bare", "[[model]]\nname='odd'\ntarget='builtins:dict'\nhead='fc'\n")
    fresh.cache_clear()
    with pytest.raises(PluginError, match="model bare/odd: builtins:dict gave a dict"):
        made(start("bare/odd"))


@pytest.mark.parametrize("project", [(), (5, 3)])
def test_a_model_without_its_last_layer_shares_the_rest(project):
    built = made(start(), project=project)
    info = CheckpointInfo(
        model="tutorials/lenet", num_classes=3, surgery=surgery_record(built.surgery)
    )
    model = built.model.eval()
    bare = headless(model, info, registry.load())
    last = model.fc3[2] if project else model.fc3
    images = torch.randn(2, 1, 32, 32)
    features = bare(images)
    assert features.shape == (2, 5 if project else 84)
    torch.testing.assert_close(last(features), model(images))
    assert isinstance(last, nn.Linear)
    assert bare.conv1.weight is model.conv1.weight
    assert {id(p) for p in bare.parameters()} < {id(p) for p in model.parameters()}


def test_a_model_that_gives_features_already_is_left_as_it_is():
    built = made(start(), drop_last=True)
    info = CheckpointInfo(model="tutorials/lenet", surgery={"drop_last": True})
    images = torch.randn(2, 1, 32, 32)
    found = headless(built.model.eval(), info, registry.load())(images)
    torch.testing.assert_close(found, built.model(images))
