"""What averages gradients between ranks; with ranks: test_distributed."""

import torch
from tinyrun import CPU, tiny_model
from torch import nn

from zoo.engine.place import Place
from zoo.engine.processes.distributed import ALONE
from zoo.engine.processes.wrapping import quietly, wrap


def test_one_process_is_not_wrapped():
    model = tiny_model()
    assert wrap(model, ALONE, CPU) is model
    with quietly(model, last=False):
        pass


def test_a_compiled_forward_shares_the_models_parameters():
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 2))
    compiled = wrap(model, ALONE, Place(device=torch.device("cpu"), compile=True))
    assert compiled is not model
    assert [id(p) for p in compiled.parameters()] == [id(p) for p in model.parameters()]
