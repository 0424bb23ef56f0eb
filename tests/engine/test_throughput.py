"""zoo.engine.throughput: how fast a model is on this machine."""

import time

import pytest
import torch
from torch import nn

import zoo
from zoo.engine import throughput
from zoo.engine.place import Place
from zoo.errors import NumericsError, UnknownNameError, UsageError

CPU = Place(device=torch.device("cpu"))
SMALL = {"batch_size": 4, "size": 32, "device": "cpu", "threads": 1, "seconds": 0.0}


def test_what_is_said_of_a_model():
    found = zoo.benchmark("resnet18", classes=7, **SMALL)
    assert (found.model, found.size, found.batch_size) == ("resnet18", (3, 32, 32), 4)
    assert found.params == 11_176_512 + 7 * 513
    stem, first, others = 16 * 16 * 64 * 147, 4 * 64 * 64 * 576, 8 * 8 * 64 * 2_048
    assert found.macs == stem + first + 3 * others + 7 * 512
    assert found.place["device"] == "cpu"
    assert found.place["threads"] == 1
    assert found.note == ""
    assert found.train is not None
    assert 0 < found.train < found.predict
    assert 1000 / found.latency < found.predict * 2
    assert found.memory is not None
    assert 100 < found.memory < 100_000


def test_training_may_be_left_out():
    assert zoo.benchmark("tutorials/lenet", train=False, **SMALL).train is None


def test_a_model_that_does_not_train_says_why():
    found = zoo.benchmark("resnet18", batch_size=1, size=32, device="cpu", seconds=0.0)
    assert found.train is None
    assert found.note.startswith("training: Expected more than 1 value per channel")
    assert found.predict > 0


def test_the_median_of_calls_and_as_long_as_was_asked():
    calls = []

    def call():
        calls.append(time.perf_counter())
        time.sleep(0.02 if len(calls) != 4 else 0.3)

    assert 0.02 <= throughput._pace(call, CPU, 0.0) < 0.1
    assert len(calls) == throughput.WARM + throughput.LEAST
    begun = time.perf_counter()
    throughput._pace(call, CPU, 0.4)
    assert 0.4 <= time.perf_counter() - begun < 2


def test_a_step_trains_and_an_answer_does_not():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 3))
    images, before = torch.rand(4, 3, 2, 2), model[1].weight.detach().clone()
    answer = throughput._forward(model, images, CPU)
    assert not model.training
    assert not answer().requires_grad
    assert torch.equal(model[1].weight, before)
    step = throughput._training(model, images, CPU)
    assert model.training
    step()
    assert not torch.equal(model[1].weight, before)
    assert model[1].weight.grad is None


def test_maps_are_trained_on_as_they_are():
    model = nn.Conv2d(3, 2, 1)
    before = model.weight.detach().clone()
    throughput._training(model, torch.rand(2, 3, 4, 4), CPU)()
    assert not torch.equal(model.weight, before)


def test_too_large_a_batch_is_an_error_with_a_way_out():
    refused = pytest.raises(NumericsError, match="out of memory with 64 images")
    with refused as caught, throughput._enough_memory(64):
        raise torch.OutOfMemoryError("CUDA out of memory")
    assert caught.value.hint == "--batch-size 32"
    with pytest.raises(RuntimeError, match="something else"), throughput._enough_memory(64):
        raise RuntimeError("something else")


def test_what_is_wrong_is_said():
    with pytest.raises(UnknownNameError):
        zoo.benchmark("resnet81")
    with pytest.raises(UsageError, match="does not take images of"):
        zoo.benchmark("alexnet", size=16, device="cpu")
