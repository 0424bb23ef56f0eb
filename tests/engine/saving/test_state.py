import json
import math
from collections import Counter, OrderedDict

import pytest
import torch
from torch import nn, optim

from zoo.engine.saving.state import pack, pack_optimizer, unpack, unpack_optimizer
from zoo.errors import CheckpointError


def round_trip(value):
    tensors = {}
    skeleton = json.loads(json.dumps(pack(value, "x", tensors), allow_nan=False))
    return unpack(skeleton, tensors)


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        -3,
        2**70,
        0.1,
        -0.0,
        5e-324,
        float("inf"),
        "text",
        [1, [2.5, None]],
        (1, (2, "a")),
        {"a": {"b": (1,)}, "": 0},
        {1: "one", (2, 3): 4, None: 5},
        {"$t": "not a tensor"},
        Counter({30: 1, 60: 2}),
        torch.bfloat16,
        {},
        [],
        (),
    ],
)
def test_plain_values_come_back_with_their_types(value):
    back = round_trip(value)
    assert back == value
    assert type(back) is type(value)
    assert repr(back) == repr(value)


def test_nan_comes_back():
    assert math.isnan(round_trip([float("nan")])[0])


def test_tensors_keep_dtype_and_shape():
    value = {"a": [torch.tensor(3), torch.randn(2, 0)], "b": torch.arange(4).to(torch.bfloat16)}
    back = round_trip(value)
    assert back["a"][0].shape == ()
    assert back["a"][1].shape == (2, 0)
    assert torch.equal(back["b"], value["b"])


def test_ordered_dicts_become_dicts():
    assert round_trip(OrderedDict(a=1)) == {"a": 1}


@pytest.mark.parametrize("value", [object(), {1, 2}, 1j, b"x", lambda: 0, Exception("x")])
def test_anything_else_is_refused_while_saving(value):
    with pytest.raises(TypeError, match="x/deep"):
        pack({"deep": value}, "x", {})


@pytest.mark.parametrize(
    "skeleton",
    [{"$t": "missing"}, {"$f": "one"}, {"$what": 1}, {"$d": 3}, {"$dtype": "float99"}, {"$t": []}],
)
def test_a_damaged_skeleton_is_a_checkpoint_error(skeleton):
    with pytest.raises(CheckpointError, match="damaged"):
        unpack({"a": [skeleton]}, {})


def net(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 2, bias=False))


class Table(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.table = nn.Embedding(9, 3, sparse=True)

    def forward(self, x):
        return self.table(x.abs().long() % 9).sum((1, 2), keepdim=False)[:, None]


CASES = {
    "sgd": lambda p: optim.SGD(p, lr=0.1),
    "sgd-momentum": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
    "sgd-tensor-lr": lambda p: optim.SGD(p, lr=torch.tensor(0.1), momentum=0.9),
    "adam": lambda p: optim.Adam(p, lr=0.01, amsgrad=True),
    "adam-foreach": lambda p: optim.Adam(p, lr=0.01, foreach=True),
    "adam-fused": lambda p: optim.Adam(p, lr=0.01, fused=True),
    "adamw": lambda p: optim.AdamW(p, lr=0.01),
    "adamax": lambda p: optim.Adamax(p, lr=0.01),
    "adadelta": lambda p: optim.Adadelta(p, lr=1.0),
    "adagrad": lambda p: optim.Adagrad(p, lr=0.1),
    "asgd": lambda p: optim.ASGD(p, lr=0.1, t0=1),
    "nadam": lambda p: optim.NAdam(p, lr=0.01),
    "radam": lambda p: optim.RAdam(p, lr=0.01),
    "rmsprop": lambda p: optim.RMSprop(p, lr=0.01, momentum=0.9, centered=True),
    "rprop": lambda p: optim.Rprop(p, lr=0.01),
    "adafactor": lambda p: optim.Adafactor(p, lr=0.01),
}
"""Every optimizer of torch.optim but three, which have their own tests below."""


def train(model, optimizer, steps, start=0):
    for step in range(start, start + steps):
        torch.manual_seed(100 + step)
        x = torch.randn(8, 6)

        def closure(x=x):
            optimizer.zero_grad()
            loss = (model(x) ** 2).mean()
            loss.backward()
            return loss

        optimizer.step(closure)


def bits(model):
    return [p.detach().numpy().tobytes() for p in model.parameters()]


def resumed(make_model, make_optimizer, make_params=lambda m: list(m.parameters())):
    whole = make_model()
    optimizer = make_optimizer(make_params(whole))
    train(whole, optimizer, 3)
    tensors = {}
    skeleton = json.dumps(pack_optimizer(optimizer, whole, tensors), allow_nan=False)
    tensors = {name: value.clone() for name, value in tensors.items()}
    weights = {name: value.clone() for name, value in whole.state_dict().items()}
    train(whole, optimizer, 3, start=3)

    fresh = make_model()
    again = make_optimizer(make_params(fresh))
    unpack_optimizer(again, fresh, json.loads(skeleton), tensors)
    fresh.load_state_dict(weights)
    train(fresh, again, 3, start=3)
    return bits(whole), bits(fresh)


@pytest.mark.parametrize("name", CASES)
def test_every_optimizer_goes_on_bit_for_bit(name):
    whole, fresh = resumed(net, CASES[name])
    assert whole == fresh


def test_sparse_adam_goes_on_bit_for_bit():
    whole, fresh = resumed(Table, lambda p: optim.SparseAdam(p, lr=0.1))
    assert whole == fresh


def test_muon_goes_on_bit_for_bit():
    def matrices(model):
        return [p for p in model.parameters() if p.ndim == 2]

    whole, fresh = resumed(net, lambda p: optim.Muon(p, lr=0.01), matrices)
    assert whole == fresh


def test_lbfgs_state_comes_back():
    model = net()
    optimizer = optim.LBFGS(model.parameters(), lr=0.1, history_size=3)
    train(model, optimizer, 3)
    tensors = {}
    skeleton = json.loads(json.dumps(pack_optimizer(optimizer, model, tensors)))
    fresh = net()
    again = optim.LBFGS(fresh.parameters(), lr=0.1, history_size=3)
    unpack_optimizer(again, fresh, skeleton, tensors)
    old, new = (next(iter(o.state.values())) for o in (optimizer, again))
    assert len(old["old_dirs"]) == len(new["old_dirs"]) == 3
    assert all(torch.equal(a, b) for a, b in zip(old["old_dirs"], new["old_dirs"], strict=True))
    assert old["func_evals"] == new["func_evals"]


def test_every_optimizer_of_torch_is_tested():
    classes = {
        getattr(optim, name)
        for name in dir(optim)
        if isinstance(getattr(optim, name), type)
        and issubclass(getattr(optim, name), optim.Optimizer)
    }
    tested = {type(make([nn.Parameter(torch.ones(2, 2))])) for make in CASES.values()}
    assert classes - tested == {optim.Optimizer, optim.SparseAdam, optim.LBFGS, optim.Muon}


def test_groups_are_matched_by_name_not_by_position():
    def groups(model, order):
        first, second = list(model[0].parameters()), list(model[2].parameters())
        return [{"params": first[::order]}, {"params": second, "lr": 0.01}]

    whole = net()
    optimizer = optim.Adam(groups(whole, 1), lr=0.1)
    train(whole, optimizer, 3)
    tensors = {}
    skeleton = json.loads(json.dumps(pack_optimizer(optimizer, whole, tensors)))
    fresh = net()
    again = optim.Adam(groups(fresh, -1), lr=0.1)
    unpack_optimizer(again, fresh, skeleton, tensors)
    for name, parameter in fresh.named_parameters():
        old = dict(whole.named_parameters())[name]
        assert torch.equal(again.state[parameter]["exp_avg"], optimizer.state[old]["exp_avg"])


def test_another_freeze_set_is_refused_with_names():
    model = net()
    optimizer = optim.Adam(model.parameters(), lr=0.1)
    train(model, optimizer, 1)
    tensors = {}
    skeleton = pack_optimizer(optimizer, model, tensors)
    fewer = optim.Adam(model[2].parameters(), lr=0.1)
    with pytest.raises(CheckpointError, match=r"2 only saved \(0\.bias, 0\.weight\)"):
        unpack_optimizer(fewer, model, skeleton, tensors)


def test_other_groups_are_refused():
    model = net()
    optimizer = optim.Adam(model.parameters(), lr=0.1)
    skeleton = pack_optimizer(optimizer, model, {})
    split = optim.Adam(
        [{"params": list(model[0].parameters())}, {"params": list(model[2].parameters())}], lr=0.1
    )
    with pytest.raises(CheckpointError, match="other groups"):
        unpack_optimizer(split, model, skeleton, {})


def test_another_class_is_refused():
    model = net()
    skeleton = pack_optimizer(optim.SGD(model.parameters(), lr=0.1), model, {})
    with pytest.raises(CheckpointError, match="the state is of SGD, the run has Adam"):
        unpack_optimizer(optim.Adam(model.parameters()), model, skeleton, {})


def test_a_foreign_parameter_is_refused_while_saving():
    with pytest.raises(TypeError, match="not the model's"):
        pack_optimizer(optim.SGD(net().parameters(), lr=0.1), net(), {})


def test_state_tensors_of_another_dtype_stay_exact():
    class Counting(optim.SGD):
        def step(self, closure=None):
            for group in self.param_groups:
                for p in group["params"]:
                    state = self.state[p]
                    state["seen"] = state.get("seen", torch.zeros(2, dtype=torch.int64)) + 2**40 + 1
            return super().step(closure)

    model = net()
    optimizer = Counting(model.parameters(), lr=0.1)
    train(model, optimizer, 1)
    tensors = {}
    skeleton = pack_optimizer(optimizer, model, tensors)
    again = Counting(model.parameters(), lr=0.1)
    unpack_optimizer(again, model, skeleton, tensors)
    value = again.state[next(model.parameters())]["seen"]
    assert value.dtype == torch.int64
    assert value.tolist() == [2**40 + 1] * 2


@pytest.mark.parametrize(
    ("key", "value"), [("betas", {"$tuple": []}), ("betas", 0.9), ("lr", "fast"), ("eps", None)]
)
def test_settings_of_another_kind_are_refused_before_the_first_step(key, value):
    """The digest of such a file may be right: whoever changed it can compute one."""
    model = nn.Linear(3, 2)
    tensors = {}
    skeleton = pack_optimizer(optim.AdamW(model.parameters()), model, tensors)
    skeleton["groups"][0][key] = value
    with pytest.raises(CheckpointError, match=f"the optimizer's {key} is"):
        unpack_optimizer(optim.AdamW(model.parameters()), model, skeleton, tensors)


def test_moments_lie_in_memory_as_their_parameters_do():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(4, 8, 3), nn.Conv2d(8, 8, 1), nn.Flatten(), nn.Linear(32, 2)
    ).to(memory_format=torch.channels_last)
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    images = torch.randn(2, 4, 4, 4).to(memory_format=torch.channels_last)
    model(images).sum().backward()
    optimizer.step()
    tensors = {}
    skeleton = pack_optimizer(optimizer, model, tensors)
    skeleton = json.loads(json.dumps(skeleton))
    kept = {name: torch.empty(t.shape).copy_(t) for name, t in tensors.items()}  # as files do
    fresh = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    unpack_optimizer(fresh, model, skeleton, kept)
    for parameter in model.parameters():
        one, other = (o.state[parameter]["momentum_buffer"] for o in (optimizer, fresh))
        assert torch.equal(one, other)
        assert one.stride() == other.stride() == parameter.stride()
    for wrong in ([1, 1, 1, 1], [0, 0, 0, 0], [36, 9, 3], None, [36, 9, 3, -1]):
        bad = {**skeleton, "strides": {"optim/0.weight/momentum_buffer": wrong}}
        with pytest.raises((ValueError, TypeError, IndexError, RuntimeError)):
            unpack_optimizer(fresh, model, bad, kept)
