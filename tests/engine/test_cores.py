import os

import pytest

from zoo.engine import cores


@pytest.mark.parametrize(("quota", "expected"), [(0.0, None), (1.5, 2), (0.2, 1), (10_000.0, None)])
def test_cores_respect_affinity_and_quota(quota, expected, monkeypatch):
    here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    monkeypatch.setattr(cores, "cpu_quota", lambda: quota)
    assert cores.usable_cores() == (here if expected is None else min(here, expected))
