"""Outputs of no model in particular, and what is recorded of them."""

import torch
from tinyrun import Batch

from zoo.engine.judging.answers import Recorder


def recorded(outputs, labels, *, closely=True, batch=4, order=None):
    """Answers of outputs ``(N, K)``, given batch by batch."""
    recorder = Recorder(len(labels), closely=closely)
    indices = torch.arange(len(labels)) if order is None else order
    for at in range(0, len(labels), batch):
        rows = slice(at, at + batch)
        recorder.add(outputs[rows], labels[rows], Batch(None, labels[rows], indices[rows]))
    return recorder.answers()


def some(n=53, k=7, seed=0):
    generator = torch.Generator().manual_seed(seed)
    outputs = 3 * torch.randn(n, k, generator=generator)
    return outputs, torch.randint(k, (n,), generator=generator)
