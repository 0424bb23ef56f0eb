import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from zoo.engine.ema import Ema


def test_it_equals_torchs_averaged_model_bit_for_bit():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Linear(6, 2))
    theirs = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True)
    theirs.update_parameters(model)  # its first update copies, as our constructor does
    mine = Ema(model, 0.9)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(5):
        optimizer.zero_grad()
        model(torch.randn(8, 4)).square().mean().backward()
        optimizer.step()
        mine.update(model)
        theirs.update_parameters(model)
    for name, value in theirs.module.state_dict().items():
        if value.is_floating_point():
            assert torch.equal(mine.module.state_dict()[name], value), name


def test_counters_are_copied_and_frozen_tensors_stay():
    model = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 2))
    model[1].weight.data.fill_(0.1)
    ema = Ema(model, 0.3)
    model(torch.randn(4, 3))
    ema.update(model)
    assert ema.module[0].num_batches_tracked == 1
    assert torch.equal(ema.module[1].weight, model[1].weight)


def test_the_average_has_no_gradients_and_is_in_eval():
    ema = Ema(nn.Linear(2, 2).train(), 0.5)
    assert not ema.module.training
    assert not any(p.requires_grad for p in ema.module.parameters())
