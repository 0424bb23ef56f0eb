import random

import numpy as np
import pytest
import torch

from zoo.core.recipe import DevicePart
from zoo.engine import place as place_module
from zoo.engine.cores import usable_cores
from zoo.engine.place import (
    Place,
    autocast,
    available,
    choose,
    derive,
    make_scaler,
    seed_all,
    seed_step,
    settle,
    tune,
)
from zoo.errors import DeviceError, UsageError


def test_auto_takes_the_best_device_there_is(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    place = choose(DevicePart())
    assert str(place.device) == available()[0]
    assert place.threads == usable_cores()


@pytest.mark.parametrize("name", ["tpu9", "cuda:x", "", "cpu:one", "meta", "CUDA", "cuda:-1"])
def test_a_malformed_device_is_a_usage_error(name):
    with pytest.raises(UsageError, match="is not a device") as caught:
        choose(DevicePart(device=name))
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("name", ["cuda:77", "mps", "xpu"])
def test_a_missing_device_says_what_exists(name):
    if name in available():
        pytest.skip("this machine has it")
    with pytest.raises(DeviceError, match="cpu") as caught:
        choose(DevicePart(device=name))
    assert caught.value.exit_code == 7
    assert "--device auto" in caught.value.hint


def test_cpu_precision_follows_the_hardware():
    wanted = "bf16" if place_module.computes_bf16(torch.device("cpu")) else "fp32"
    assert choose(DevicePart(device="cpu")).precision == wanted
    assert choose(DevicePart(device="cpu", precision="bf16")).precision == "bf16"


def test_fp16_is_refused_on_the_cpu():
    with pytest.raises(DeviceError, match="fp16 is not for cpu"):
        choose(DevicePart(device="cpu", precision="fp16"))


def test_channels_last_is_the_convolutions_default():
    assert choose(DevicePart(device="cpu"), conv=True).channels_last
    assert not choose(DevicePart(device="cpu"), conv=False).channels_last
    assert choose(DevicePart(device="cpu", channels_last=True), conv=False).channels_last


def test_the_users_word_on_threads_counts_for_one_process(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert choose(DevicePart(device="cpu")).threads == 1
    monkeypatch.setenv("OMP_NUM_THREADS", "4096")
    assert choose(DevicePart(device="cpu")).threads == usable_cores()
    monkeypatch.setenv("OMP_NUM_THREADS", "2,1")  # a list of nested levels: no plain number
    assert choose(DevicePart(device="cpu")).threads == usable_cores()


def test_threads_are_shared_between_processes(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # as torchrun sets it for every rank
    place = choose(DevicePart(device="cpu"), local_rank=1, local_size=4)
    assert place.threads == max(1, usable_cores() // 4)
    assert choose(DevicePart(device="cpu", threads=3)).threads == 3


def test_one_numbered_device_is_not_for_many_processes():
    with pytest.raises(UsageError, match="names one device"):
        choose(DevicePart(device="cuda:0"), local_size=2)


@pytest.mark.parametrize(("deterministic", "tried"), [(False, True), (True, False)])
def test_algorithms_are_tried_out_on_cuda_once_training_begins(deterministic, tried, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", not tried)
    tune(Place(device=torch.device("cpu"), deterministic=deterministic))
    assert torch.backends.cudnn.benchmark is not tried
    tune(Place(device=torch.device("cuda:0"), deterministic=deterministic))
    assert torch.backends.cudnn.benchmark is tried


def test_settle_sets_threads_and_determinism():
    threads, before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    try:
        settle(Place(device=torch.device("cpu"), threads=1, deterministic=True))
        assert torch.get_num_threads() == 1
        assert torch.are_deterministic_algorithms_enabled()
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(before)


def test_autocast_computes_in_the_places_precision():
    weight = torch.randn(4, 4)
    with autocast(Place(device=torch.device("cpu"), precision="bf16")):
        assert (weight @ weight).dtype == torch.bfloat16
    with autocast(Place(device=torch.device("cpu"))):
        assert (weight @ weight).dtype == torch.float32


def test_no_scaler_on_the_cpu():
    assert make_scaler(Place(device=torch.device("cpu"), precision="bf16")) is None


def test_derive_depends_on_every_number_and_their_order():
    seeds = {derive(1, 2), derive(2, 1), derive(12), derive(1, 2, 0), derive(1, 20), derive(0)}
    assert len(seeds) == 6
    assert (
        derive(1, 2) == derive(1, 2) == 8854627303482016855
    )  # old runs resume only as long as this holds
    assert all(0 <= seed < 2**63 for seed in seeds)


def draw():
    return random.random(), float(np.random.rand()), float(torch.rand(()))


def test_seeding_repeats_every_stream():
    place = Place(device=torch.device("cpu"))
    for seed in (lambda: seed_all(3), lambda: seed_step(place, 3, 1, 4)):
        seed()
        first = draw()
        assert draw() != first
        seed()
        assert draw() == first
    seed_step(place, 3, 1, 5)
    assert draw() != first


def test_a_place_says_what_it_is():
    place = Place(device=torch.device("cpu"), precision="bf16", channels_last=True, threads=2)
    assert place.line() == "cpu, bf16, channels_last, 2 threads"
    assert place.to_dict()["device"] == "cpu"
