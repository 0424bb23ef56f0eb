"""zoo.engine.allocator: memory that a step frees is there for the next step."""

from __future__ import annotations

import subprocess
import sys

import pytest

COUNT = """
import resource, sys
import torch
from zoo.engine.allocator import keep_freed

def faults(times=10):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        torch.ones(20_000_000)  # 80 MB: 19,532 pages
    return (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / times

given_back = faults()
kept = keep_freed()
faults(20)
print(kept, round(given_back), round(faults()))
"""


def run(env=None):
    import os

    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC_", "GLIBC_"))}
    done = subprocess.run(
        [sys.executable, "-c", COUNT], check=True, capture_output=True, text=True,
        env={**kept, "OMP_NUM_THREADS": "1", **(env or {})},
    )  # fmt: skip
    said, before, after = done.stdout.split()
    return said == "True", int(before), int(after)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator")
def test_freed_blocks_are_not_cleared_again():
    kept, before, after = run()
    assert kept
    assert before > 15_000
    assert after < 100


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator")
def test_freed_blocks_are_given_back_where_memory_is_spared():
    """One of 30 MB teaches glibc to keep blocks of 20 MB, unless it is told otherwise."""
    import os

    code = (
        "import sys, torch\n"
        "from zoo.engine.allocator import return_freed\n"
        "def rss():\n"
        "    return int(open('/proc/self/statm').read().split()[1]) >> 8\n"
        "told = return_freed() if sys.argv[1:] else False\n"
        "torch.ones(7_500_000)\n"
        "before, held = rss(), []\n"
        "for _ in range(10):\n"
        "    held += [torch.ones(5_000_000), torch.ones(500_000)]\n"  # 20 MB, and 2 between
        "held[::2] = [None] * 10\n"
        "print(told, rss() - before)"
    )
    env = {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC_", "GLIBC_"))}
    found = [
        subprocess.run(
            [sys.executable, "-c", code, *more],
            check=True, capture_output=True, text=True, env=env,
        ).stdout.split()
        for more in ([], ["spare"])
    ]  # fmt: skip
    assert found[0][0] == "False"
    assert int(found[0][1]) > 150
    assert found[1][0] == "True"
    assert int(found[1][1]) < 60


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator")
@pytest.mark.parametrize("name", ["MALLOC_ARENA_MAX", "GLIBC_TUNABLES"])
def test_who_says_how_in_the_environment_is_obeyed(name):
    value = "2" if name == "MALLOC_ARENA_MAX" else "glibc.malloc.arena_max=2"
    kept, _, after = run({name: value})
    assert not kept
    assert after > 15_000


def test_where_there_is_no_glibc_nothing_happens(monkeypatch):
    from zoo.engine import allocator

    for name in list(allocator.os.environ):
        if name.startswith("MALLOC_") or name == "GLIBC_TUNABLES":
            monkeypatch.delenv(name)
    monkeypatch.setattr(allocator.sys, "platform", "darwin")
    assert not allocator.keep_freed()
    assert not allocator.return_freed()
    monkeypatch.setattr(allocator.sys, "platform", "linux")
    monkeypatch.setattr(allocator.ctypes, "CDLL", lambda _name: object())  # musl has no mallopt
    assert not allocator.keep_freed()
    assert not allocator.return_freed()
