"""Questions about losses, metrics, optimizers and schedules catch what is wrong with them."""

from __future__ import annotations

import pytest
from oddplugin import ask

FUNCTION = 'form = "function"'
LOSSES = {
    "a vector": ("return (o.softmax(1) - 0.1).square().sum(1)", "not one number"),
    "a constant": ("return 0 * o.sum()", "zero"),
    "cut off": ("return torch.tensor(1.0)", "cannot be differentiated"),
    "a number": ("return o.sum().item()", "gives a float"),
    "infinite": ("return (o / 0).abs().sum()", "inf"),
}


@pytest.mark.parametrize("kind", LOSSES)
def test_a_loss_that_is_no_loss(kind, site):
    body, reason = LOSSES[kind]
    code = f"import torch\ndef Part(o, t):\n    {body}\n"
    assert (
        reason in ask(site, "loss", code, FUNCTION)["gives one number that can be differentiated"]
    )


def test_a_loss_that_writes_into_its_targets(site):
    code = "def Part(o, t):\n    t.zero_()\n    return (o * o).mean()\n"
    assert "does not change what it is given" in ask(site, "loss", code, FUNCTION)


def test_a_loss_for_several_targets_of_an_image_is_asked_with_them(site):
    code = """
def Part(o, t):
    if t.ndim != 3:
        raise ValueError("targets are (N, M, D)")
    return (o.unsqueeze(1) - t).square().sum()
"""
    assert ask(site, "loss", code, FUNCTION + '\ntask = "regression"') == {}


def test_a_loss_that_takes_nothing_says_why(site):
    code = "def Part(o, t):\n    raise ValueError('never')\n"
    found = ask(site, "loss", code, FUNCTION)["gives one number that can be differentiated"]
    assert "never" in found


def test_an_optimizer_that_climbs_is_caught(site):
    code = """
import torch
class Part(torch.optim.SGD):
    def __init__(self, params, lr):
        super().__init__(params, lr=lr, maximize=True)
"""
    assert "lowers a loss" in ask(site, "optimizer", code)


def test_an_optimizer_that_forgets_its_state_is_caught(site):
    code = """
import torch
class Part(torch.optim.SGD):
    def __init__(self, params, lr):
        super().__init__(params, lr=lr, momentum=0.9)
    def load_state_dict(self, state):
        pass
"""
    assert "goes on from its saved state exactly" in ask(site, "optimizer", code)


def test_a_schedule_that_forgets_where_it_was_is_caught(site):
    code = """
from torch.optim.lr_scheduler import LambdaLR
class Part(LambdaLR):
    def __init__(self, optimizer, total):
        super().__init__(optimizer, lambda step: 1 - step / total)
    def load_state_dict(self, state):
        pass
"""
    assert "keeps the rate finite and resumes from its state" in ask(site, "scheduler", code)


def test_a_metric_that_averages_batches_is_caught(site):
    code = """
class Part:
    def __init__(self, classes=None): self.reset()
    def reset(self): self.values = []
    def update(self, o, t): self.values.append((o.argmax(1) == t).float().mean().item())
    def compute(self): return sum(self.values) / len(self.values)
"""
    found = ask(site, "metric", code)
    assert "in pieces differ" in found["counts batch by batch and forgets on reset"]
