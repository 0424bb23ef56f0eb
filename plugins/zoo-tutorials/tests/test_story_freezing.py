"""Two ways to hold a middle block still, hooks on gradients, and embeddings compared.

``requires_grad_(False)`` on a block holds its parameters and still trains what lies before it;
``no_grad`` around the block cuts the gradient, so what lies before it does not train either.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import cosine_similarity

from zoo_tutorials.classifiers import Mlp, lenet
from zoo_tutorials.surgery import resnet18_projected


class Block(nn.Module):
    """before -> middle -> after."""

    def __init__(self, cut: bool = False) -> None:
        super().__init__()
        self.before = nn.Linear(4, 8)
        self.middle = nn.Linear(8, 8)
        self.after = nn.Linear(8, 2)
        self.cut = cut

    def forward(self, x):
        x = self.before(x).relu()
        if self.cut:
            with torch.no_grad():
                x = self.middle(x).relu()
        else:
            x = self.middle(x).relu()
        return self.after(x)


def moved_after_a_step(model: nn.Module) -> set[str]:
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    trainable = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(trainable, lr=0.1)
    torch.manual_seed(0)
    model(torch.randn(32, 4)).square().mean().backward()
    optimizer.step()
    moved = {n for n, p in model.named_parameters() if not torch.equal(before[n], p)}
    return {name.partition(".")[0] for name in moved}


def test_requires_grad_false_trains_what_lies_before_the_block():
    torch.manual_seed(0)
    model = Block()
    model.middle.requires_grad_(requires_grad=False)
    assert moved_after_a_step(model) == {"before", "after"}


def test_no_grad_around_the_block_cuts_off_what_lies_before_it():
    torch.manual_seed(0)
    assert moved_after_a_step(Block(cut=True)) == {"after"}


def test_a_hook_on_an_intermediate_result_sees_and_changes_its_gradient():
    torch.manual_seed(0)
    model = lenet()
    seen: list[torch.Tensor] = []

    def keep(module, inputs, output):
        output.register_hook(lambda gradient: (seen.append(gradient), gradient * 2)[1])

    images = torch.randn(2, 1, 32, 32)
    model(images).sum().backward()
    plain = model.conv1.weight.grad.clone()
    model.zero_grad()
    handle = model.conv2.register_forward_hook(keep)
    model(images).sum().backward()
    handle.remove()
    assert seen[0].shape == (2, 16, 10, 10)
    torch.testing.assert_close(model.conv1.weight.grad, plain * 2)


def test_the_gradient_of_an_intermediate_result_can_be_retained():
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    square = x**2
    square.retain_grad()
    (3 * square).sum().backward()
    assert square.grad.tolist() == [3, 3]
    assert x.grad.tolist() == [6, 12]


def test_an_image_is_more_like_its_noisy_copy_than_like_another_image():
    torch.manual_seed(0)
    model = resnet18_projected().eval()
    one, other = torch.rand(2, 3, 64, 64)
    other[:, :, :32] = 0
    noisy = one + 0.01 * torch.randn_like(one)
    with torch.no_grad():
        a, b, c = model(torch.stack([one, noisy, other]))
    assert cosine_similarity(a, b, dim=0) > 0.999
    assert cosine_similarity(a, b, dim=0) > cosine_similarity(a, c, dim=0)


def test_a_trained_net_learns_what_it_is_shown():
    torch.manual_seed(0)
    images = torch.rand(64, 1, 28, 28)
    labels = torch.arange(64) % 10
    images[torch.arange(64), 0, labels] += 1.0  # the row that is bright is the class
    model = Mlp(width=64)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(60):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()
    assert (model(images).argmax(1) == labels).float().mean() > 0.95
