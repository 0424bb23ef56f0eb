"""zoo.core.devices: names of devices, told from slips without torch."""

import re

import pytest
import torch

from zoo.core import devices
from zoo.core.devices import check_device
from zoo.errors import UsageError


@pytest.mark.parametrize("name", ["auto", "cpu", "cuda", "cuda:3", "mps", "xpu:1", "xla"])
def test_names_of_devices(name):
    check_device(name)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("cud", "did you mean cuda?"),
        ("gpu", "did you mean cuda?"),
        ("cuda0", "did you mean cuda?"),
        ("CUDA", "did you mean cuda?"),
        ("mps:", "did you mean mps?"),
        ("auto:0", "did you mean auto?"),
        ("meta", "--device auto, cpu"),
        ("tpu9", "--device auto, cpu"),
        ("", "--device auto, cpu"),
        ("cuda:-1", "cuda:0"),
    ],
)
def test_slips(name, hint):
    with pytest.raises(UsageError, match="is not a device") as caught:
        check_device(name)
    assert hint in caught.value.hint


def test_every_type_that_torch_names_is_known():
    with pytest.raises(RuntimeError) as caught:
        torch.device("nonsense")
    named = re.search(r"one of (.*) device type", str(caught.value))[1].split(", ")
    for name in {*named} - {"meta"}:
        check_device(name)


def test_a_backend_that_is_installed_may_name_its_own(site, monkeypatch):
    with pytest.raises(UsageError):
        check_device("npu")
    info = site.install("backend", {"zoo_backend.py": ""})
    (info / "entry_points.txt").write_text("[torch.backends]\nnpu = zoo_backend:load\n")
    check_device("npu")
    assert devices.USUAL[0] == "auto"
