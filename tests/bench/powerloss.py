"""Cut the power at every moment of a run, leave every disk that POSIX allows, and resume.

A small real run (begun, left, resumed, finished) is recorded by strace: what it opens, writes,
flushes, renames, deletes. Then the power is cut between any two calls, and disks are built that
an operating system may leave, which is free to keep or lose whatever was not flushed:

- each write after the file's last fsync: kept, lost, zeroed, or torn;
- each name made, renamed or deleted after its folder's last fsync: done or not, name by name.

Whatever disk is left, the newest state whose save had returned must be found, its bytes right, its
lines in metrics.jsonl, and the run must go on to the bits of the run that was never cut. At the end
each flush is left out in turn, which the same disks must bring to light. Linux with strace only.

    python tests/bench/powerloss.py --random 40
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import json
import os
import random
import re
import shutil
import sys
import tempfile
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))
sys.path.insert(0, str(Path(__file__).parent))

import torch
from faults import traced
from tinyrun import TinyLoader, TinyRun, fingerprint

from zoo.core.metadata import WEIGHTS_FILE
from zoo.engine.reports import SavedReport
from zoo.engine.saving import atomic, keeper, tensorfile
from zoo.engine.saving.checkpoint import newest_state
from zoo.engine.saving.rundir import RunFolder
from zoo.errors import ZooError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from zoo.engine.saving.moment import Moment

CALLS = (
    "open,openat,creat,write,pwrite64,writev,pwritev,lseek,ftruncate,truncate,fallocate,close,"
    "dup,dup2,dup3,fsync,fdatasync,sync,rename,renameat,renameat2,link,linkat,unlink,unlinkat,"
    "mkdir,mkdirat,rmdir"
)
POLICIES = ("lost", "kept", "names only", "zeroed", "torn", "data only")
BLOCK = 512


@dataclass
class Inode:
    """A file or folder: what was written to it, and when it was flushed.

    ``writes`` are ``(time, offset, bytes)``, an offset of -1 cuts the file to ``len(bytes)``;
    ``flushes`` are ``(began, done)``.
    """

    number: int
    folder: bool = False
    size: int = 0
    writes: list[tuple[int, int, bytes]] = field(default_factory=list)
    flushes: list[tuple[int, int]] = field(default_factory=list)

    def durable(self, at: int, now: int) -> bool:
        """Whether what was done at a time was flushed before now."""
        return any(at < began and done < now for began, done in self.flushes)


@dataclass
class Recording:
    """What a process did to one folder."""

    root: Inode = field(default_factory=lambda: Inode(0, folder=True))
    inodes: list[Inode] = field(default_factory=list)
    names: dict[tuple[int, str], list[tuple[int, Inode | None]]] = field(default_factory=dict)
    saved: list[tuple[int, int, bool]] = field(default_factory=list)
    calls: Counter = field(default_factory=Counter)
    end: int = 0

    def __post_init__(self) -> None:
        self.inodes.append(self.root)

    def find(self, path: str) -> Inode | None:
        """The file or folder that a path (relative to the root) leads to now."""
        node: Inode | None = self.root
        for part in [p for p in path.split("/") if p]:
            if node is None:
                return None
            ops = self.names.get((node.number, part))
            node = ops[-1][1] if ops else None
        return node

    def point(self, path: str, at: int, node: Inode | None) -> None:
        """Let a name lead to a file from a time on; ``None`` deletes it."""
        above, _, name = path.rstrip("/").rpartition("/")
        folder = self.find(above)
        assert folder is not None, path
        self.names.setdefault((folder.number, name), []).append((at, node))

    def new(self, *, folder: bool = False) -> Inode:
        """A fresh file or folder."""
        self.inodes.append(Inode(len(self.inodes), folder=folder))
        return self.inodes[-1]

    def returned(self, now: int) -> tuple[int, bool]:
        """The newest step whose save had returned, and whether best weights had."""
        before = [(step, best) for at, step, best in self.saved if at < now]
        return max((s for s, _ in before), default=0), any(b for _, b in before)


class Reader:
    """Reads strace's log into a recording; stops at a call that it does not know."""

    def __init__(self, base: str) -> None:
        self.base = base.rstrip("/") + "/"
        self.found = Recording()
        self.open: dict[int, tuple[Inode, int, bool]] = {}
        self.waiting: dict[str, tuple[int, str]] = {}

    def read(self, text: str) -> Recording:
        """Read a whole log."""
        for time_, line in enumerate(text.splitlines()):
            thread, _, rest = line.partition(" ")
            rest = rest.strip()
            if rest.startswith(("+++", "---")):
                continue
            began = time_
            if rest.endswith("<unfinished ...>"):
                self.waiting[thread] = (time_, rest.removesuffix("<unfinished ...>"))
                continue
            if resumed := re.match(r"<\.\.\. \w+ resumed>", rest):
                began, start = self.waiting.pop(thread, (time_, ""))
                rest = start + rest[resumed.end() :]
            if match := re.fullmatch(r"(\w+)\((.*)\)\s+= (-?\d+).*", rest):
                self._call(match[1], _arguments(match[2]), int(match[3]), began, time_)
            self.found.end = time_ + 1
        return self.found

    def _inside(self, text: str) -> str | None:
        path = _bytes(text).decode() + "/"
        return path[len(self.base) : -1] if path.startswith(self.base) else None

    def _call(self, name: str, given: list[str], result: int, began: int, now: int) -> None:
        if name == "writev" and given[0] == "1":
            self._mark(" ".join(given), now)
            return
        if result < 0:
            return
        if name in ("openat", "renameat2", "renameat", "unlinkat", "mkdirat", "linkat"):
            given = [g for g in given if g != "AT_FDCWD"]
        if name in ("open", "openat", "creat"):
            self._open(given, result, now)
        elif name == "close":
            self.open.pop(int(given[0]), None)
        elif name in ("mkdir", "mkdirat", "rename", "renameat", "renameat2", "unlink", "unlinkat"):
            self._name(name, given, now)
        elif name in ("link", "linkat", "truncate", "rmdir"):
            assert all(self._inside(g) is None for g in given if g.startswith('"')), name
        elif int(given[0] or 0) in self.open:
            self._file(name, given, result, began, now)

    def _mark(self, text: str, now: int) -> None:
        said = b"".join(_bytes(part) for part in re.findall(r'"[^"]*"', text)).decode()
        for step, best in re.findall(r"saved (\d+) (\d)", said):
            self.found.saved.append((now, int(step), best == "1"))

    def _open(self, given: list[str], handle: int, now: int) -> None:
        path = self._inside(given[0])
        self.open.pop(handle, None)
        if path is None:
            return
        node = self.found.find(path)
        flags = given[1].split("|")
        if node is None:
            assert "O_CREAT" in flags, path
            node = self.found.new()
            self.found.point(path, now, node)
        elif "O_TRUNC" in flags and node.size:
            node.writes.append((now, -1, b""))
            node.size = 0
        self.open[handle] = (node, 0, "O_APPEND" in flags)

    def _name(self, name: str, given: list[str], now: int) -> None:
        paths = [self._inside(g) for g in given if g.startswith('"')]
        if None in paths:
            assert not any(paths), f"{name} in and out of the folder"
            return
        self.found.calls[name] += 1
        if name.startswith("mkdir"):
            self.found.point(str(paths[0]), now, self.found.new(folder=True))
        elif name.startswith("unlink"):
            self.found.point(str(paths[0]), now, None)
        else:
            self.found.point(str(paths[1]), now, self.found.find(str(paths[0])))
            self.found.point(str(paths[0]), now, None)

    def _file(self, name: str, given: list[str], result: int, began: int, now: int) -> None:
        handle = int(given[0])
        node, offset, appends = self.open[handle]
        self.found.calls[name] += 1
        if name in ("write", "pwrite64"):
            data = _bytes(given[1])[:result]
            assert len(data) == result, "strace shortened a write"
            at = int(given[3]) if name == "pwrite64" else node.size if appends else offset
            node.writes.append((now, at, data))
            node.size = max(node.size, at + len(data))
            offset = offset if name == "pwrite64" else at + len(data)
        elif name == "lseek":
            offset = result
        elif name in ("fsync", "fdatasync"):
            node.flushes.append((began, now))
        elif name == "ftruncate":
            node.writes.append((now, -1, b"\0" * int(given[1])))
            node.size = int(given[1])
        else:
            raise AssertionError(f"no model of {name}")
        self.open[handle] = (node, offset, appends)


def _arguments(text: str) -> list[str]:
    return [part.strip() for part in re.findall(r'"[^"]*"(?:\.\.\.)?|[^,]+', text) if part.strip()]


def _bytes(text: str) -> bytes:
    assert not text.endswith("..."), "strace shortened a text"
    return bytes(ast.literal_eval("b" + text))


Disk = dict[str, bytes | None]
"""Path -> content; ``None`` is a folder."""


def disk(found: Recording, now: int, policy: str, chance: random.Random) -> Disk:
    """A disk that a power cut at a time may leave."""
    here: Disk = {}

    def walk(folder: Inode, path: str) -> None:
        for (number, name), ops in found.names.items():
            if number != folder.number:
                continue
            done = [(at, node) for at, node in ops if at < now]
            least = sum(folder.durable(at, now) for at, _ in done)
            count = _count(least, len(done), policy, chance)
            node = done[count - 1][1] if count else None
            if node is None:
                continue
            if node.folder:
                here[path + name] = None
                walk(node, f"{path}{name}/")
            else:
                here[path + name] = _content(node, now, policy, chance)

    walk(found.root, "")
    return here


def _count(least: int, most: int, policy: str, chance: random.Random) -> int:
    """How many of the changes of one name arrived, of which the first were flushed."""
    if policy == "random":
        return chance.randint(least, most)
    return least if policy in ("lost", "data only") else most


def _content(node: Inode, now: int, policy: str, chance: random.Random) -> bytes:
    data = bytearray()
    for at, offset, given in node.writes:
        if at >= now:
            break
        fate = "kept" if node.durable(at, now) else policy
        if fate == "random":
            fate = chance.choice(("lost", "kept", "zeroed", "torn"))
        if fate in ("lost", "names only"):
            continue
        if offset < 0:
            del data[len(given) :]
            data.extend(b"\0" * (len(given) - len(data)))
            continue
        written = bytes(len(given)) if fate == "zeroed" else given
        if fate == "torn" and written:
            step = min(BLOCK, len(written))
            written = written[: chance.randrange(0, len(written), step)]
        data.extend(b"\0" * (offset + len(written) - len(data)))
        data[offset : offset + len(written)] = written
    return bytes(data)


@dataclass
class Count:
    """What was found on the disks."""

    cuts: int = 0
    disks: int = 0
    different: int = 0
    resumed: int = 0
    lost: int = 0
    torn: int = 0
    silent: int = 0
    failed: int = 0
    said: list[str] = field(default_factory=list)

    @property
    def bad(self) -> int:
        return self.lost + self.torn + self.silent + self.failed


def make(folder: Path) -> TinyRun:
    """The run: six optimizer steps, a state after each."""
    return TinyRun(folder, epochs=2, save_steps=1, loader=TinyLoader(count=22))


def scenario(folder: Path) -> None:
    """Begin the run, leave it, resume it, finish it; say what was saved on handle 1."""
    for last in (3, 99):
        reports = make(folder).go()
        for report in reports:
            if isinstance(report, SavedReport):
                os.writev(1, [f"saved {report.step} {report.best:d}\n".encode()])
                if report.step >= last:
                    break
        reports.close()


def record(base: Path) -> Recording:
    """Run the scenario under strace."""
    arguments = ("-xx", "-s", str(1 << 24), "-e", f"trace={CALLS}")
    code, text = traced(lambda: scenario(base / "runs" / "run"), *arguments)
    assert code == 0, f"the run that is recorded ended with {code}"
    return Reader(str(base)).read(text)


class Judge:
    """Looks at disks, given what the uncut run came to."""

    def __init__(self, place: Path) -> None:
        self.place, self.count = place, Count()
        self.states: dict[int, set[str]] = {}
        whole = make(place / "whole")
        write = keeper.save_state
        keeper.save_state = self._learning(write)
        for _ in whole.go():
            pass
        keeper.save_state = write
        self.bits, self.lines = fingerprint(whole.live), rows(place / "whole")
        self.seen: set[tuple[int, str]] = set()

    def _learning(self, write: Callable[..., str]) -> Callable[..., str]:
        def learn(path: Path, moment: Moment, *args: object, **kwargs: object) -> str:
            digest = write(path, moment, *args, **kwargs)
            self.states.setdefault(moment.step, set()).add(_tensors(path))
            return digest

        return learn

    def look(self, left: Disk, returned: int, best: bool, label: str, *, resume: bool) -> None:
        """Judge one disk; the same one is not judged twice."""
        self.count.disks += 1
        key = hashlib.sha256()
        for path in sorted(left):
            key.update(f"{path}\0".encode() + hashlib.sha256(left[path] or b"").digest())
        if (returned, key.hexdigest()) in self.seen:
            return
        self.seen.add((returned, key.hexdigest()))
        self.count.different += 1
        base = self.place / "cut"
        shutil.rmtree(base, ignore_errors=True)
        base.mkdir()
        for path, content in left.items():
            (base / path).parent.mkdir(parents=True, exist_ok=True)
            (base / path).mkdir(exist_ok=True) if content is None else (base / path).write_bytes(
                content
            )
        try:
            self._judge(base / "runs" / "run", returned, best, label, resume=resume)
        except (ZooError, OSError, ValueError) as error:
            self.count.failed += 1
            self.count.said.append(f"{label}: {type(error).__name__}: {error}")

    def _judge(self, run: Path, returned: int, best: bool, label: str, *, resume: bool) -> None:
        found = newest_state(run)
        step = found.state.step if found.state else 0
        if step < returned:
            self.count.lost += 1
            self.count.said.append(f"{label}: step {returned} had returned, the newest is {step}")
            return
        if found.state and _tensors(found.state.path) not in self.states[step]:
            self.count.silent += 1
            self.count.said.append(f"{label}: the state of step {step} has other bits")
        if (run / WEIGHTS_FILE).exists() or best:
            try:
                tensorfile.verify(run / WEIGHTS_FILE)
            except ZooError as error:
                self.count.torn += 1
                self.count.said.append(f"{label}: {error}")
        if returned and not (run / "recipe.toml").exists():
            self.count.lost += 1
            self.count.said.append(f"{label}: no recipe")
        have = Counter(r["step"] for r in rows(run) if r["kind"] == "step")
        if any(have[number] != 1 for number in range(1, step + 1)):
            self.count.lost += 1
            self.count.said.append(f"{label}: step {step}, lines of {sorted(have)}")
        if resume and (returned or (run / "checkpoints").is_dir()):
            self._resume(run, label)

    def _resume(self, run: Path, label: str) -> None:
        self.count.resumed += 1
        again = make(run)
        for _ in again.go():
            pass
        if fingerprint(again.live) != self.bits or rows(run) != self.lines:
            self.count.silent += 1
            self.count.said.append(f"{label}: resumed, it ended with other bits or lines")


def rows(run: Path) -> list[dict]:
    """The lines of the metrics that are whole, without what the clock says."""
    found = []
    path = run / "metrics.jsonl"
    for line in path.read_bytes().splitlines(keepends=True) if path.exists() else []:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if line.endswith(b"\n"):
            found.append(
                {k: v for k, v in row.items() if k not in ("images_per_second", "seconds")}
            )
    return found


def _tensors(path: Path) -> str:
    """Digest of a state's tensors; its header names the run's versions and times."""
    tensors, header = tensorfile.read(path)
    digest = hashlib.sha256(json.dumps(json.loads(header.metadata["state"])["live"]).encode())
    for name in sorted(tensors):
        digest.update(name.encode() + tensors[name].numpy().tobytes())
    return digest.hexdigest()


def sweep(*, randoms: int, every: int = 1, resume: int = 10, seed: int = 0) -> Count:
    """Cut at every n-th call; gives what was found.

    Args:
        randoms: Random disks for each cut, besides those of the policies.
        every: Cut after every n-th call only.
        resume: Resume every n-th different disk to the end.
        seed: Of the random disks.
    """
    torch.set_num_threads(1)
    memory = Path("/dev/shm")
    where = str(memory) if os.access(memory, os.W_OK) else None
    with (
        tempfile.TemporaryDirectory(prefix="zoo-power-") as real,
        tempfile.TemporaryDirectory(prefix="zoo-power-", dir=where) as fast,
    ):
        found = record(Path(real))
        assert len({step for _, step, _ in found.saved}) == 6, found.saved
        judge = Judge(Path(fast))
        moments = sorted(
            {at for ops in found.names.values() for at, _ in ops}
            | {at for node in found.inodes for at, *_ in node.writes}
            | {t for node in found.inodes for pair in node.flushes for t in pair}
            | {at for at, *_ in found.saved}
        )
        for number, moment in enumerate(moments[::every]):
            judge.count.cuts += 1
            chance = random.Random(seed * 1_000_003 + moment)
            for policy in (*POLICIES, *["random"] * randoms):
                left = disk(found, moment + 1, policy, chance)
                label = f"cut {number} ({policy})"
                again = judge.count.different % resume == 0
                judge.look(left, *found.returned(moment + 1), label, resume=again)
    return judge.count


@contextmanager
def without(what: str) -> Iterator[None]:
    """Leave a flush out of all that happens inside, to see that the sweep would find it."""
    owner, name = {
        "file": (atomic, "_flush"),
        "folder": (atomic, "sync_folder"),
        "metrics": (RunFolder, "flush"),
    }[what]
    real = getattr(owner, name)
    setattr(owner, name, lambda _: None)
    try:
        yield
    finally:
        setattr(owner, name, real)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--random", type=int, default=40, help="random disks for each cut")
    parser.add_argument("--every", type=int, default=1, help="cut after every n-th call only")
    parser.add_argument("--resume", type=int, default=10, help="resume every n-th disk to the end")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    start = time.monotonic()
    count = sweep(randoms=given.random, every=given.every, resume=given.resume, seed=given.seed)
    print(
        f"{count.disks} disks ({count.different} different) after {count.cuts} cuts in "
        f"{time.monotonic() - start:.0f} s: {count.lost} lost, {count.torn} torn, {count.silent} "
        f"silent, {count.failed} failed; {count.resumed} resumed to the end"
    )
    for line in count.said[:12]:
        print(f"  {line}")
    blind = False
    for what in ("file", "folder", "metrics"):  # the sweep must find what is missing
        with without(what):
            worse = sweep(randoms=1, every=5, resume=1000)
        print(f"without the flush of the {what}: {worse.bad} of {worse.different} disks are bad")
        blind = blind or not worse.bad
    return 1 if count.bad or blind else 0


if __name__ == "__main__":
    sys.exit(main())
