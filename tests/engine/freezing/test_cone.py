"""Every stage of every classifier is looked at in tests/house/test_catalogue.py, which builds them."""

from __future__ import annotations

import pytest
from cones import feeds, unfilled
from torch import nn

from zoo.core import registry
from zoo.core.specs import InputSpec
from zoo.engine.freezing.cone import find_cone
from zoo.errors import FreezeError

SMALL = InputSpec(size=(3, 8, 8))


@pytest.mark.parametrize("name", ["resnet18", "vit_b_16", "inception_v3"])
def test_a_cone_is_minimal(name):
    found = registry.load()
    spec = found.model(name)
    with unfilled():
        model = found.build("model", name)
    path = {"resnet18": "layer2.0", "inception_v3": "Mixed_5b"}.get(
        name, "encoder.layers.encoder_layer_0"
    )
    cone = find_cone(model, path, spec.input).parameters
    for parameter in sorted(cone)[::3]:
        assert feeds(model, path, cone - {parameter}, spec.input)


class OutOfOrder(nn.Module):
    """Registered head first; runs c, a, b, head; ``aux`` only in training."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(4, 2)
        self.a, self.b = nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1)
        self.aux = nn.Linear(4, 2)
        self.c = nn.Conv2d(3, 4, 1)
        self.blocks = nn.ModuleList([nn.Conv2d(4, 4, 1) for _ in range(2)])

    def forward(self, x):
        x = self.a(self.c(x))
        aux = self.aux(x.mean((2, 3))) if self.training else None
        x = self.b(x)
        for block in self.blocks:
            x = block(x)
        x = self.head(x.mean((2, 3)))
        return (x, aux) if self.training else x


def modules_of(cone):
    return {name.rpartition(".")[0] for name in cone.parameters}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a", {"c", "a"}),
        ("b", {"c", "a", "b"}),
        ("aux", {"c", "a", "aux"}),  # only training calls it
        ("blocks", {"c", "a", "b", "blocks.0", "blocks.1"}),  # never called itself
        ("blocks.0", {"c", "a", "b", "blocks.0"}),
    ],
)
def test_the_graph_decides_not_the_order_of_registration(path, expected):
    assert modules_of(find_cone(OutOfOrder(), path, SMALL)) == expected


def test_before_leaves_the_target_out():
    assert modules_of(find_cone(OutOfOrder(), "b", SMALL, before=True)) == {"c", "a"}
    assert find_cone(OutOfOrder(), "c", SMALL, before=True).parameters == frozenset()


def test_a_tuple_output_and_a_module_called_twice():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.two, self.shared, self.late = nn.GRU(8, 4), nn.ReLU(), nn.Linear(4, 4)

        def forward(self, x):
            y, _ = self.two(self.shared(x).flatten(1, 2))
            return self.shared(self.late(y))

    cone = find_cone(Net(), "two", SMALL)
    assert modules_of(cone) == {"two"}
    assert "shared" not in cone.modules  # its second call is behind the target
    assert modules_of(find_cone(Net(), "shared", SMALL)) == {"two", "late"}


def test_tied_weights_have_one_name():
    model = nn.Sequential(first := nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1))
    model[2].weight = first.weight
    assert find_cone(model, "2.weight", SMALL).parameters == {"0.weight"}
    assert find_cone(model, "2", SMALL).parameters == {
        "0.weight", "0.bias", "1.weight", "1.bias", "2.bias",
    }  # fmt: skip


def test_modules_without_parameters_belong_to_the_cone():
    model = nn.Sequential(
        nn.BatchNorm2d(3, affine=False), nn.Dropout(), nn.Conv2d(3, 4, 1), nn.Dropout(), nn.ReLU()
    )
    assert find_cone(model, "2", SMALL).modules == {"0", "1", "2"}


def test_what_cannot_be_run_is_answered_by_the_declared_order_or_not_at_all():
    class Net(OutOfOrder):
        def forward(self, x):
            raise RuntimeError("not here")

    stages = (("stem", ("c",)), ("one", ("a", "b")), ("two", ("blocks",)))
    cone = find_cone(Net(), "b", SMALL, stages=stages)
    assert (modules_of(cone), cone.how) == ({"c", "a", "b"}, "declared order")
    with pytest.raises(FreezeError, match="not here"):
        find_cone(Net(), "b", SMALL)


def test_unknown_and_uncalled_paths_are_errors():
    with pytest.raises(FreezeError, match="neither a module nor a parameter"):
        find_cone(OutOfOrder(), "layer9", SMALL)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention, self.unused = nn.MultiheadAttention(8, 1), nn.Linear(1, 1)

        def forward(self, x):
            return self.attention(x[:, 0], x[:, 0], x[:, 0])[0]

    with pytest.raises(FreezeError, match="never called") as caught:
        find_cone(Net(), "attention.out_proj", SMALL)
    assert caught.value.hint.endswith("attention")
    with pytest.raises(FreezeError, match="never called"):
        find_cone(Net(), "unused", SMALL)
