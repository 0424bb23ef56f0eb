from __future__ import annotations

import pytest
import torchvision
from torch import nn

from zoo.core import registry
from zoo.core.specs import InputSpec, ModelSpec
from zoo.engine.freezing.cone import Tracer, owned
from zoo.engine.freezing.stages import Layout, guess_head, layout_of, problems
from zoo.errors import FreezeError

RESNET = registry.load().model("resnet18")
STAGES = RESNET.stages


def automatic(model, size=(3, 64, 64)):
    return layout_of(Tracer(model, InputSpec(size=size)))


def conv(width, out, stride=1):
    return nn.Sequential(nn.Conv2d(width, out, 3, stride, 1), nn.BatchNorm2d(out), nn.ReLU())


def test_aliases_numbers_and_module_paths_resolve():
    model = torchvision.models.resnet18()
    layout = Layout(STAGES, (), "fc")
    assert layout.resolve(model, "stem") == ("conv1", "bn1")
    assert layout.resolve(model, "stage3") == ("layer3",) == layout.resolve(model, "layer3")
    assert layout.resolve(model, "layer3.0") == ("layer3.0",)
    assert layout.resolve(model, "layer3.0.conv1.weight") == ("layer3.0.conv1.weight",)
    assert layout.resolve(model, "head") == ("fc",)


@pytest.mark.parametrize(("name", "hint"), [("layr3", "layer3"), ("qqq", "stem, layer1")])
def test_an_unknown_name_lists_stages_and_close_names(name, hint):
    with pytest.raises(FreezeError, match="no stage or module") as caught:
        Layout(STAGES, (), "fc").resolve(torchvision.models.resnet18(), name)
    assert hint in caught.value.hint


def test_a_missing_neck_is_said():
    with pytest.raises(FreezeError, match="no neck"):
        Layout(STAGES, (), "fc").resolve(torchvision.models.resnet18(), "neck")


def test_an_undeclared_model_gets_stages_by_output_size():
    model = torchvision.models.resnet18()
    layout = automatic(model)
    assert layout.automatic
    assert layout.head == "fc"
    assert dict(layout.stages) == {
        "stem": ("conv1", "bn1"),
        "stage1": ("layer1",),
        "stage2": ("layer2",),
        "stage3": ("layer3",),
        "stage4": ("layer4",),
    }


def test_the_dominating_container_is_opened_however_deep():
    class Wrapper(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = nn.ModuleDict(
                {
                    "features": nn.Sequential(*[conv(w, w * 2, 2) for w in (3, 6, 12, 24)]),
                    "top": nn.Sequential(nn.Linear(48, 16), nn.ReLU(), nn.Linear(16, 5)),
                }
            )

        def forward(self, x):
            return self.net["top"](self.net["features"](x).mean((2, 3)))

    layout = automatic(Wrapper())
    assert [paths for _, paths in layout.stages] == [(f"net.features.{i}",) for i in range(4)]
    assert layout.neck == ("net.top.0",)
    assert layout.head == "net.top.2"


def test_a_head_of_many_layers_does_not_hide_the_stages():
    model = nn.Sequential(
        conv(3, 4, 2),
        nn.Sequential(*[conv(4, 4, 2) for _ in range(4)]),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        *[nn.Linear(4, 4) for _ in range(4)],
    )
    layout = automatic(model)
    assert [paths for _, paths in layout.stages] == [("0",), *((f"1.{i}",) for i in range(4))]
    assert layout.neck == ("4", "5", "6")


@pytest.mark.parametrize(
    "model",
    [
        torchvision.models.googlenet(init_weights=False, aux_logits=True),
        torchvision.models.vit_b_32(),
        torchvision.models.swin_t(),
        torchvision.models.shufflenet_v2_x0_5(),
        nn.Sequential(nn.Flatten(), nn.Linear(784, 8), nn.ReLU(), nn.Linear(8, 3)),
    ],
    ids=["googlenet", "vit", "swin", "shufflenet", "mlp"],
)
def test_automatic_stages_are_nested_and_complete(model):
    tracer = Tracer(model)
    layout = layout_of(tracer)
    spec = ModelSpec(
        name="x",
        target="a:b",
        head=layout.head,
        stages=layout.stages,
        neck=layout.neck,
        aux=layout.aux,
    )
    assert problems(tracer, spec) == ()
    assert len(layout.stages) > 1 or isinstance(model, nn.Sequential)
    assert all(not path.startswith("aux") for _, paths in layout.stages for path in paths)


def test_train_only_heads_are_found():
    layout = automatic(torchvision.models.googlenet(init_weights=False), (3, 224, 224))
    assert layout.aux == ("aux1", "aux2")


def test_the_head_is_the_last_layer_that_the_whole_output_passes_through():
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Flatten(), nn.Linear(256, 2), nn.Softmax(1))
    assert guess_head(model, Tracer(model, InputSpec(size=(3, 8, 8))).trace()) == "2"


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"stages": (*STAGES[:2], ("layer9", ("layer9",)))}, "no module or parameter 'layer9'"),
        ({"stages": STAGES[1:]}, "parameter conv1.weight is in no stage"),
        ({"stages": (STAGES[0], STAGES[2], STAGES[1], *STAGES[3:])}, "does not come after layer2"),
        ({"neck": ("layer4",)}, "is in layer4 and neck"),
    ],
)
def test_a_layout_that_lies_is_found_out(changes, problem):
    fields = {"head": "fc", "stages": STAGES} | changes
    spec = ModelSpec(name="x", target="a:b", **fields)
    tracer = Tracer(torchvision.models.resnet18(), InputSpec(size=(3, 32, 32)))
    assert any(problem in text for text in problems(tracer, spec)), problems(tracer, spec)


def test_declared_layouts_are_taken_as_they_are():
    model = torchvision.models.resnet18()
    layout = layout_of(Tracer(model), RESNET)
    assert layout.stages == STAGES
    assert not layout.automatic
    assert len(owned(model, layout.paths("stage1"))) == 12
