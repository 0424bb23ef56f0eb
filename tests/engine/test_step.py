import math

import pytest
import torch
from tinyrun import CPU, Batch, TinyLoader, TinyRun
from torch import nn
from torch.nn import functional

from zoo.builtin.losses import cross_entropy
from zoo.engine.feed import Feed
from zoo.engine.processes.distributed import ALONE, World
from zoo.engine.saving.live import Live
from zoo.engine.schedule import Schedule
from zoo.engine.step import Stepper, auxiliary, on_its_way, out_of_memory
from zoo.errors import DataError, NumericsError


def linear(seed=0, **more):
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Flatten(), nn.Linear(192, 3)).double()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    return Live(model=model, optimizer=optimizer, schedule=Schedule(optimizer), **more)


class Double(Feed):
    def __call__(self, batch, *, train):
        images, targets = super().__call__(batch, train=train)
        return images.double(), targets


def stepper(live, **more):
    more = {"loss": functional.cross_entropy, "feed": Double(CPU), "world": ALONE} | more
    return Stepper(live, place=CPU, seed=1, **more)


def batches(*sizes):
    loader = TinyLoader(count=sum(sizes), train=False)
    images, labels = loader.pixels.split(sizes), loader.labels.split(sizes)
    return [Batch(x, y, torch.arange(len(x))) for x, y in zip(images, labels, strict=True)]


def gradient(window):
    """Of the mean over all images at once."""
    live = linear()
    images = torch.cat([b.images for b in window]).double() / 255
    labels = torch.cat([b.labels for b in window])
    functional.cross_entropy(live.model(images), labels).backward()
    return live.model[1].weight.grad


@pytest.mark.parametrize("sizes", [(4,), (4, 4), (4, 4, 2), (4, 1), (5, 3, 2, 1)])
@pytest.mark.parametrize("pieces", [1, 2, 3])
def test_the_gradient_is_that_of_the_mean_over_the_window(sizes, pieces):
    window = batches(*sizes)
    live = linear()
    live.position.pieces = pieces
    before = live.model[1].weight.detach().clone()
    outcome = stepper(live).step(live.model, window)
    taken = before - live.model[1].weight.detach()
    expected = gradient(window)
    assert float((taken - expected).norm() / expected.norm()) < 1e-6
    assert outcome.n == sum(sizes)
    assert outcome.updated


def test_loss_and_hits_are_those_of_the_images():
    window = batches(4, 3)
    live = linear()
    images = torch.cat([b.images for b in window]).double() / 255
    labels = torch.cat([b.labels for b in window])
    outputs = live.model(images).detach()
    outcome = stepper(live).step(live.model, window)
    assert outcome.loss == pytest.approx(float(functional.cross_entropy(outputs, labels)), abs=1e-6)
    assert outcome.top1 == (outputs.argmax(1) == labels).sum()
    assert outcome.top5 == 7


def test_gradients_are_gone_afterwards():
    live = linear()
    stepper(live).step(live.model, batches(4))
    assert all(p.grad is None for p in live.model.parameters())


def test_clipping_bounds_the_update_and_tells_the_norm():
    live = linear()
    before = live.model[1].weight.detach().clone()
    outcome = stepper(live, clip=0.01).step(live.model, batches(4))
    assert outcome.norm > 0.01
    assert float((before - live.model[1].weight).detach().norm()) <= 0.0101


def broken_gradient(outputs, targets):
    """A loss of an ordinary value whose gradient is nan: the slope of a root at zero, times zero."""
    return functional.cross_entropy(outputs, targets) + (outputs * 0).abs().sum().sqrt()


@pytest.mark.parametrize("careful", [False, True])
def test_a_broken_gradient_behind_a_finite_loss_is_left_out_if_somebody_looks(careful):
    live = linear()
    before = live.model[1].weight.detach().clone()
    outcome = stepper(live, loss=broken_gradient, careful=careful).step(live.model, batches(4))
    assert math.isfinite(outcome.loss)
    assert outcome.updated is not careful
    assert torch.equal(live.model[1].weight, before) == careful
    assert (outcome.norm is not None) == careful


def test_looking_at_the_gradient_changes_nothing():
    live, other = linear(), linear()
    window = batches(4, 3)
    plain = stepper(live).step(live.model, window)
    assert stepper(other, careful=True).step(other.model, window) == plain
    assert torch.equal(live.model[1].weight, other.model[1].weight)


def test_soft_targets_have_hits_too():
    def soften(images, labels):
        return images, functional.one_hot(labels, 3).float() * 0.9 + 0.03

    live = linear()
    plain = stepper(linear()).step(linear().model, batches(6))
    mixed = stepper(live, feed=Soft(CPU, None, (soften,))).step(live.model, batches(6))
    assert mixed.top1 == plain.top1


class Soft(Double):
    def __call__(self, batch, *, train):
        images, targets = super().__call__(batch, train=train)
        return images, targets.double()


def test_regression_has_no_hits():
    live = linear()
    window = [
        Batch(b.images, b.labels[:, None].double().repeat(1, 3), b.indices) for b in batches(4)
    ]
    outcome = stepper(live, loss=functional.mse_loss).step(live.model, window)
    assert outcome.top1 is None
    assert outcome.loss > 0


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_changes_nothing(broken):
    live = linear()
    before = live.model[1].weight.detach().clone()
    window = batches(4, 4)
    poisoned = torch.full(window[1].images.shape, broken)
    window[1] = Batch(poisoned, window[1].labels, window[1].indices)
    outcome = stepper(live).step(live.model, window)
    assert not outcome.updated
    assert not math.isfinite(outcome.loss)
    assert torch.equal(before, live.model[1].weight)


def test_a_gradient_that_is_not_finite_changes_nothing():
    class Root(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.sum() * 0 + 1

        @staticmethod
        def backward(ctx, grad):
            return torch.full((4, 3), float("nan"), dtype=torch.float32)

    live = linear()
    outcome = stepper(live, clip=1.0, loss=lambda o, t: Root.apply(o)).step(live.model, batches(4))
    assert math.isfinite(outcome.loss)
    assert not outcome.updated


def test_a_window_marked_bad_is_left_out():
    live = linear()
    live.position.bad = [(0, 0)]
    outcome = stepper(live).step(live.model, batches(4))
    assert not outcome.updated
    assert outcome.n == 4


def test_batches_without_images_count_nothing():
    empty = Batch(torch.empty(0, dtype=torch.uint8), *(torch.empty(0, dtype=torch.int64),) * 2)
    window = batches(4)
    live, plain = linear(), linear()
    outcome = stepper(live).step(live.model, [*window, empty])
    stepper(plain).step(plain.model, window)
    assert torch.equal(live.model[1].weight, plain.model[1].weight)
    assert outcome.n == 4
    nothing = stepper(live).step(live.model, [empty])
    assert (nothing.n, nothing.updated) == (0, False)


def test_a_rank_without_images_still_joins_the_backward(monkeypatch):
    two = World(0, 2)
    monkeypatch.setattr(World, "sum", lambda self, values: [float(v) for v in values])
    empty = Batch(torch.empty(0, dtype=torch.uint8), *(torch.empty(0, dtype=torch.int64),) * 2)
    live = linear()
    made = stepper(live, world=two)
    with pytest.raises(DataError, match="no readable image"):
        made._gradient(live.model, [empty], 4.0, [])
    made._gradient(live.model, batches(4), 4.0, [])
    live.optimizer.zero_grad()
    assert made._gradient(live.model, [empty], 4.0, [])[0] == 0.0
    assert float(live.model[1].weight.grad.abs().sum()) == 0.0


class Hungry(nn.Module):
    """Runs out of memory above a number of images, as a device does."""

    def __init__(self, inner, most, error):
        super().__init__()
        self.inner, self.most, self.error = inner, most, error

    def forward(self, x):
        if len(x) > self.most:
            raise self.error
        return self.inner(x)


CPU_OOM = RuntimeError(
    "[enforce fail at alloc_cpu.cpp:121] err == 0. DefaultCPUAllocator: can't allocate memory: you "
    "tried to allocate 99 bytes. Error code 12 (Cannot allocate memory)"
)


@pytest.mark.parametrize("error", [CPU_OOM, MemoryError(), torch.OutOfMemoryError("CUDA oom")])
def test_out_of_memory_halves_the_pieces_and_keeps_the_step(error):
    window = batches(8, 8)
    live, plain = linear(), linear()
    made = stepper(live)
    outcome = made.step(Hungry(live.model, 2, error), window)
    stepper(plain).step(plain.model, window)
    assert outcome.updated
    assert live.position.pieces == 4
    torch.testing.assert_close(live.model[1].weight, plain.model[1].weight, rtol=1e-6, atol=1e-8)
    notes = made.remarks()
    assert len(notes) == 2
    assert "with 4 images at a time; going on with 2" in notes[1]
    assert made.remarks() == []
    made.step(Hungry(live.model, 2, error), window)
    assert made.remarks() == []


def test_out_of_memory_with_one_image_is_the_end():
    live = linear()
    with pytest.raises(NumericsError, match="out of memory") as caught:
        stepper(live).step(Hungry(live.model, 0, CPU_OOM), batches(4))
    assert caught.value.exit_code == 9
    assert "data.batch_size" in caught.value.hint


def test_other_errors_are_not_mistaken_for_it():
    assert not out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    live = linear()
    with pytest.raises(RuntimeError, match="shapes"):
        stepper(live).step(Hungry(live.model, 0, RuntimeError("shapes")), batches(4))


def test_auxiliary_outputs_train_too():
    class Aux(nn.Module):
        def __init__(self):
            super().__init__()
            self.main, self.side = nn.Linear(192, 3).double(), nn.Linear(192, 3).double()

        def forward(self, x):
            x = x.flatten(1)
            return (self.main(x), self.side(x)) if self.training else self.main(x)

    torch.manual_seed(0)
    model = Aux()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    live = Live(model=model, optimizer=optimizer, schedule=Schedule(optimizer))
    before = model.side.weight.detach().clone()
    stepper(live).step(model, batches(4))
    assert not torch.equal(before, model.side.weight)
    x = torch.ones(2, 3, requires_grad=True)
    assert auxiliary(x, x) == []
    assert auxiliary((x, torch.ones(5, requires_grad=True)), x) == []
    assert len(auxiliary({"out": x, "aux": x * 2}, x)) == 1


def test_dropout_is_a_function_of_the_position_alone(tmp_path):
    def weights(noise):
        run = TinyRun(tmp_path / "unused")
        made = Stepper(
            run.live, loss=functional.cross_entropy, feed=Feed(CPU), place=CPU, world=ALONE, seed=3
        )
        torch.rand(noise)
        made.step(run.live.model.train(), list(run.train.epoch(0))[:2])
        return run.live.model[0].weight

    assert torch.equal(weights(1), weights(50))


@pytest.mark.parametrize("trouble", ["nan", "memory"])
def test_a_forward_that_came_to_nothing_leaves_no_trace_in_running_statistics(tmp_path, trouble):
    def after(trouble):
        run = TinyRun(tmp_path / "unused")
        live, window = run.live, list(run.train.epoch(0))[:2]
        live.model[3].p = 0.0
        made = Stepper(
            live, loss=functional.cross_entropy, feed=Feed(CPU), place=CPU, world=ALONE, seed=3
        )
        live.model.train()
        made.begin_epoch()
        before = {name: value.clone() for name, value in live.model.named_buffers()}
        if trouble == "nan":
            window[1].images = torch.full(window[1].images.shape, float("nan"))
            made.step(live.model, window)
        else:
            with pytest.raises(NumericsError):
                made.step(nn.Sequential(live.model, Hungry(nn.Identity(), 0, CPU_OOM)), window)
        return before, dict(live.model.named_buffers())

    before, found = after(trouble)
    assert before.keys() == found.keys()
    assert all(torch.equal(before[name], value) for name, value in found.items())


def test_a_scaler_changes_nothing_but_skips_what_overflows():
    scaled = linear(scaler=torch.amp.GradScaler("cpu", init_scale=2.0**10))
    plain = linear()
    for _ in range(3):
        stepper(scaled, clip=0.5).step(scaled.model, batches(4, 4))
        stepper(plain, clip=0.5).step(plain.model, batches(4, 4))
    torch.testing.assert_close(scaled.model[1].weight, plain.model[1].weight, rtol=1e-6, atol=1e-8)

    huge = linear(scaler=torch.amp.GradScaler("cpu", init_scale=3e38))
    before = huge.model[1].weight.detach().clone()
    steep = stepper(huge, loss=lambda o, t: functional.cross_entropy(o, t) * 100)
    outcome = steep.step(huge.model, batches(4))
    assert math.isfinite(outcome.loss)
    assert torch.equal(before, huge.model[1].weight)
    assert huge.scaler.get_scale() < 3e38


def test_a_step_left_out_does_not_trip_the_scaler_over_the_next_one():
    live = linear(scaler=torch.amp.GradScaler("cpu", init_scale=2.0**10))
    made = stepper(live, clip=0.5)
    bad = Batch(torch.full((4, 3, 8, 8), float("nan")), torch.zeros(4).long(), torch.arange(4))
    outcome = made.step(live.model, [bad])
    assert (outcome.updated, outcome.norm) == (False, None)
    live.position.bad = [(0, 0)]
    assert not made.step(live.model, batches(4)).updated
    live.position.bad = []
    assert made.step(live.model, batches(4)).updated


WEIGHED = cross_entropy(weight=[1.0, 0.2, 7.0], label_smoothing=0.1)


@pytest.mark.parametrize("loss", [WEIGHED, cross_entropy(reduction="sum")], ids=["weights", "sum"])
@pytest.mark.parametrize("clip", [None, 0.1])
def test_the_gradient_of_a_loss_that_does_not_divide_by_images(loss, clip):
    window = batches(4, 3, 1)
    live, whole = linear(), linear()
    live.position.pieces = 2
    outcome = stepper(live, loss=loss, clip=clip).step(live.model, window)
    images = torch.cat([b.images for b in window]).double() / 255
    labels = torch.cat([b.labels for b in window])
    expected = loss(whole.model(images).float(), labels)
    expected.backward()
    if clip:
        nn.utils.clip_grad_norm_(whole.model.parameters(), clip)
    whole.optimizer.step()
    per_image = 8 if loss.reduction == "sum" else 1
    assert outcome.loss == pytest.approx(float(expected.detach()) / per_image, abs=1e-6)
    torch.testing.assert_close(live.model[1].weight, whole.model[1].weight, rtol=1e-5, atol=1e-7)


def test_numbers_on_their_way_are_those_that_were_sent():
    row = torch.tensor([0.5, 2.0, float("nan")])
    ask = on_its_way(row)
    got = ask()
    assert got[:2] == [0.5, 2.0]
    assert got[2] != got[2]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_asking_waits_for_the_numbers_and_for_nothing_later():
    row = torch.arange(3.0, device="cuda") * 2
    ask = on_its_way(row)
    later = torch.cuda.Event()
    torch.cuda._sleep(2_000_000_000)
    later.record()
    assert ask() == [0.0, 2.0, 4.0]
    assert not later.query()
