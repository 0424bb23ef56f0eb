"""Throughput of ``zoo pull`` beside ``hf download``: one large file, loopback, cold caches.

::

    python tests/bench/pull.py [--size MB] [--rounds N]

Prints megabytes a second of both (whole process: start, request, body, verification) and their
ratio; exit code 1 below 0.9. ``hf download`` does not verify what it got, zoo hashes every byte.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "hub"))

from loopback_fixtures import ROOT, Home
from loopback_hub import LoopbackHub

GOAL = 0.9
SERVER = (
    "import sys; sys.path.insert(0, {hub!r});"
    "from loopback_hub import LoopbackHub; from loopback_weights import blob, repository;"
    "hub = LoopbackHub().start();"
    "repository(hub, 'ann/net', {{'model.safetensors': blob({size})}});"
    "print(hub.endpoint, flush=True); sys.stdin.read()"
)


def measure(home: Home, argv: list[str]) -> float:
    """Seconds of one cold download in a process of its own."""
    for folder in ("hf", "zoo"):
        shutil.rmtree(home.path / folder, ignore_errors=True)
    done = home.run(*argv, timeout=300)
    if done.code:
        raise SystemExit(done.err)
    return done.seconds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=200, help="MB")
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    code = SERVER.format(hub=str(ROOT / "tests" / "hub"), size=asked.size * 1_000_000)
    with tempfile.TemporaryDirectory() as folder:
        server = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
        )  # fmt: skip
        assert server.stdout is not None
        hub = LoopbackHub()
        hub.api.base = server.stdout.readline().strip()
        home = Home(Path(folder) / "home", hub)
        ours = ["-m", "zoo", "pull", "hub:ann/net"]
        theirs = ["-m", "huggingface_hub.cli.hf", "download", "ann/net", "model.safetensors"]
        times: dict[str, list[float]] = {"zoo pull": [], "hf download": []}
        for _ in range(asked.rounds):
            times["hf download"].append(measure(home, theirs))
            times["zoo pull"].append(measure(home, ours))
        server.kill()
        server.communicate()
    for name, seconds in times.items():
        middle, best = statistics.median(seconds), min(seconds)
        print(
            f"{name:12} median {asked.size / middle:6.0f} MB/s   best {asked.size / best:6.0f} MB/s"
        )
    ratio = statistics.median(times["hf download"]) / statistics.median(times["zoo pull"])
    print(f"ratio {ratio:.2f} (goal {GOAL})")
    return 0 if ratio >= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
