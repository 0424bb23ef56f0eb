"""90 to 103: disks, locks, signals, numbers, the Hub."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from bad_inputs.case import DEMO, LENET, SMALL, Answer, Case, Kitchen
from bad_inputs.images import nothing_was_made
from filelock import FileLock

SEALED = "/sys/zoo-runs"
"""A place where not even root can make a folder."""
LONG = ("train", LENET, "--data", "demo", "--classes", 3, "--name", "one", *SMALL)
LONG += ("--epochs", 400, "--save-every", 20)


def sealed(kitchen: Kitchen):
    return ("train", LENET, *DEMO, "--out", SEALED)


def in_use(kitchen: Kitchen) -> Answer:
    run = kitchen.larder.copy_run(kitchen.here)
    with FileLock(run / ".lock", timeout=0):
        return kitchen.zoo("resume", "one")


def other_files(kitchen: Kitchen):
    kitchen.write("runs/mine/notes.txt", "keep me")
    return ("train", LENET, "--name", "mine", *DEMO)


def kept(kitchen: Kitchen, answer: Answer) -> None:
    assert [p.name for p in (kitchen.here / "runs" / "mine").iterdir()] == ["notes.txt"]


def states(kitchen: Kitchen) -> list[Path]:
    return sorted((kitchen.here / "runs" / "one" / "checkpoints").glob("step-*.safetensors"))


def full_disk(kitchen: Kitchen) -> Answer:
    """A file system of its own that fills up between two saves."""
    disk = kitchen.here / "runs"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)]
    assert subprocess.run(mount, check=False).returncode == 0, "cannot mount"
    try:
        process = kitchen.start(*LONG)
        _until(lambda: states(kitchen), process)
        status = os.statvfs(disk)
        with (disk / "filler").open("wb") as file:
            file.write(b"x" * (status.f_bavail * status.f_frsize - 4096))
        answer = _end(process)
        left = [p.name for p in states(kitchen)]
        broken = [n for n in left if _broken(disk / "one" / "checkpoints" / n)]
        staged = list((disk / "one" / ".staging").glob("*"))
        rest = f"\nleft {len(left)} states, {len(broken)} broken, {len(staged)} unfinished\n"
        return Answer(answer.code, answer.out, answer.err + rest)
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=False)


def _broken(path: Path) -> bool:
    from zoo.engine.saving.tensorfile import verify
    from zoo.errors import CheckpointError

    try:
        verify(path)
    except CheckpointError:
        return True
    return False


def _until(true, process: subprocess.Popen[str], seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not true():
        if process.poll() is not None:
            said, _ = process.communicate()
            raise AssertionError(f"it ended early, {process.returncode}: {said}")
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.01)


def _end(process: subprocess.Popen[str]) -> Answer:
    """What a process said (both streams in one) and its code."""
    try:
        said, _ = process.communicate(timeout=90)
    finally:
        process.kill()
    return Answer(process.returncode, "", said)


def stopped_by(number: int):
    def make(kitchen: Kitchen) -> Answer:
        process = kitchen.start(*LONG)
        _until(lambda: states(kitchen), process)
        process.send_signal(number)
        return _end(process)

    return make


def saved(kitchen: Kitchen, answer: Answer) -> None:
    found = states(kitchen)
    assert found, "nothing was saved"
    assert not _broken(found[-1])


def killed(kitchen: Kitchen) -> Answer:
    """Killed while it saves often, then resumed for one more epoch than it had."""
    process = kitchen.start(*LONG)
    _until(lambda: states(kitchen), process)
    process.kill()
    process.communicate()
    assert process.returncode == -9
    text = (kitchen.here / "runs/one/recipe.toml").read_text()
    done = json.loads((kitchen.here / "runs/one/metrics.jsonl").read_text().splitlines()[-1])
    epochs = done["epoch"] + 2
    kitchen.write("runs/one/recipe.toml", text.replace("epochs = 400", f"epochs = {epochs}"))
    return kitchen.zoo("resume", "one")


def finished(kitchen: Kitchen, answer: Answer) -> None:
    assert (kitchen.here / "runs/one/result.json").is_file(), answer.said


def worker_killed(kitchen: Kitchen) -> Answer:
    """One of the processes that load images dies."""
    command = list(LONG)
    command[command.index("--workers") + 1] = "1"
    process = kitchen.start(*command)
    _until(lambda: states(kitchen), process)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    workers = [c for c in children if b"resource_tracker" not in _command_line(c)]
    assert workers, "there is no worker"
    for worker in workers:
        os.kill(int(worker), signal.SIGKILL)
    return _end(process)


def _command_line(pid: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def closed_pipe(kitchen: Kitchen) -> Answer:
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m zoo list | head -1; exit ${{PIPESTATUS[0]}}"],
        cwd=kitchen.here, env=kitchen.environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    return Answer(done.returncode, done.stdout, done.stderr)


def diverging(kitchen: Kitchen):
    return ("train", LENET, "--name", "one", *DEMO, "--epochs", 9, "--lr", "1e30",
            "--optimizer", "sgd", "--set", "optim.warmup=0")  # fmt: skip


def finite(kitchen: Kitchen, answer: Answer) -> None:
    import torch
    from safetensors.torch import load_file

    for path in (kitchen.here / "runs" / "one").rglob("*.safetensors"):
        tensors = load_file(path).values()
        bad = [t for t in tensors if t.is_floating_point() and not torch.isfinite(t).all()]
        assert not bad, f"{path.name} holds what is not finite"


def no_network(kitchen: Kitchen):
    kitchen.env["HF_HUB_DOWNLOAD_TIMEOUT"] = "2"
    return ("pull", "hub:ann/net")


def no_token(kitchen: Kitchen):
    kitchen.larder.copy_run(kitchen.here, finished=True)
    kitchen.env |= {"HF_TOKEN": None, "HF_TOKEN_PATH": str(kitchen.here / "none")}
    return ("push", "one", "ann/net", "--licence", "mit")


def wrong_bytes(kitchen: Kitchen) -> Answer:
    """The Hub gives as many bytes as it said, but not those."""
    from loopback_hub import LoopbackHub
    from loopback_weights import ours, repository

    with LoopbackHub() as hub:
        repository(hub, "ann/net", {"model.safetensors": ours()})
        hub.fault("flip", path="/lfs/", times=99, after=150_000, least=150_001)
        kitchen.env |= {"HF_ENDPOINT": hub.endpoint, "HF_HUB_DISABLE_XET": "1"}
        return kitchen.zoo("pull", "hub:ann/net", alone=True)


def removed(kitchen: Kitchen, answer: Answer) -> None:
    left = [p for p in (kitchen.here / ".hf").rglob("*.safetensors") if p.exists()]
    assert not left, f"kept {left}"


CASES = [
    Case(90, "a folder that cannot be written", sealed, 8, (SEALED,)),
    Case(91, "a disk that fills up while saving", full_disk, 8,
         ("the disk is full", "0 broken, 0 unfinished")),
    Case(92, "a run that another process has", in_use, 10, ("is in use by", "wait")),
    Case(93, "a folder with other files", other_files, 2, ("is not a run folder",), after=kept),
    Case(94, "Ctrl-C", stopped_by(signal.SIGINT), 130,
         ("stopped by SIGINT", "zoo resume runs/one"), after=saved),
    Case(95, "SIGTERM", stopped_by(signal.SIGTERM), 143,
         ("stopped by SIGTERM", "zoo resume runs/one"), after=saved),
    Case(96, "kill -9, then zoo resume", killed, 0, (), after=finished),
    Case(97, "a killed loader process", worker_killed, 3, ("worker", "zoo resume runs/one"),
         after=saved),
    Case(98, "zoo list | head -1", closed_pipe, 0, ("MODEL",), hint=False),
    Case(99, "a learning rate of 1e30", diverging, 9, ("the loss is nan at step", "in the batch of", "--lr"), after=finite),
    Case(100, "no network", no_network, 6, ("127.0.0.1:9",), alone=True),
    Case(101, "no token", no_token, 6, ("not logged in", "HF_TOKEN"), alone=True),
    Case(102, "a malformed repository", lambda _: ("pull", "hub:a/b/c"), 2, ("hub:a/b/c",),
         after=nothing_was_made),
    Case(103, "the right size, wrong bytes", wrong_bytes, 6, ("came damaged twice; it was removed",), after=removed),
]  # fmt: skip
