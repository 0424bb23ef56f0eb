"""Kill -9, failing system calls, power cuts, a full disk, for real; tests/bench goes on for longer."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import forked
import pytest
from tinyrun import TinyLoader, TinyRun, fingerprint

from zoo.engine.reports import SavedReport, StepReport
from zoo.engine.saving.checkpoint import list_states, newest_state
from zoo.engine.saving.keeper import Keeper
from zoo.errors import DiskError

BENCH = Path(__file__).parents[1] / "bench"
QUIET = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}

IN_PLACE = """
import sys; sys.path.insert(0, {bench!r})
from contextlib import contextmanager
import crash
from zoo.engine.saving import tensorfile

@contextmanager
def in_place(path, *, staging=None):
    with open(path, "w+b", buffering=0) as file:
        yield file

tensorfile.replacing = in_place
count = crash.soak(40)
print(count.torn, count.lost, count.silent)
sys.exit(0 if count.clean else 1)
"""


def run(*command):
    return forked.run([*map(str, command)], env=QUIET, cwd=Path.cwd(), timeout=280)


@pytest.mark.slow
def test_25_kills_lose_nothing():
    done = run(BENCH / "crash.py", "--kills", 25, "--seed", 7)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 torn, 0 lost, 0 silent" in done.stdout


@pytest.mark.slow
def test_whole_runs_killed_at_chosen_places_end_with_the_same_bits():
    done = run(BENCH / "stops.py", "--quick")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "8 kills of 5 recipes at 7 places" in done.stdout


@pytest.mark.slow
def test_the_kills_would_find_a_writer_that_writes_in_place():
    done = run("-c", IN_PLACE.format(bench=str(BENCH)))
    assert done.returncode == 1, done.stdout + done.stderr


def can_trace() -> bool:
    if sys.platform != "linux" or shutil.which("strace") is None:
        return False
    return subprocess.run(["strace", "-qq", "-o", "/dev/null", "true"], check=False).returncode == 0


@pytest.mark.slow
@pytest.mark.skipif(not can_trace(), reason="needs strace, and leave to trace")
def test_failing_system_calls_leave_the_old_save_or_the_new_one():
    done = run(BENCH / "faults.py", "--limit", 10)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 bad" in done.stdout


@pytest.mark.slow
@pytest.mark.skipif(not can_trace(), reason="needs strace, and leave to trace")
def test_whatever_disk_a_power_cut_leaves_the_run_goes_on_from_its_last_save():
    done = run(BENCH / "powerloss.py", "--random", 2, "--every", 2, "--resume", 25)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 lost, 0 torn, 0 silent, 0 failed" in done.stdout
    assert done.stdout.count("without the flush of the") == 3


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own, far too small."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=96k", "tmpfs", str(place)]
    if sys.platform != "linux" or os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root may mount")
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting is not allowed here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def fill(disk: Path, leave: int) -> None:
    status = os.statvfs(disk)
    with (disk / "filler").open("ab") as file:
        file.write(b"x" * max(0, status.f_bavail * status.f_frsize - leave))


def test_a_disk_that_fills_up_stops_the_run_and_keeps_the_last_save(small_disk, monkeypatch):
    make_room = Keeper._make_room

    def in_vain(self):  # somebody else takes what was freed
        gave = make_room(self)
        fill(small_disk, leave=4096)
        return gave

    monkeypatch.setattr(Keeper, "_make_room", in_vain)
    going = TinyRun(small_disk / "run", epochs=4, save_steps=1)
    with pytest.raises(DiskError) as caught:  # noqa: PT012 - the loop is what is tested
        for report in going.go():
            if isinstance(report, StepReport) and report.step >= 4:
                fill(small_disk, leave=4096)
    assert caught.value.exit_code == 8
    assert "the disk is full" in caught.value.message
    kept = newest_state(small_disk / "run")
    assert not kept.rejected
    assert f"the state of step {kept.state.step} stays valid" in caught.value.message
    assert not list((small_disk / "run" / ".staging").iterdir())
    (small_disk / "filler").unlink()
    again = TinyRun(small_disk / "run", epochs=4, save_steps=1)
    list(again.go())
    assert again.found.state.step == kept.state.step
    whole = TinyRun(small_disk.parent / "whole", epochs=4)
    list(whole.go())
    assert fingerprint(again.live) == fingerprint(whole.live)


def test_a_disk_with_room_for_one_state_makes_room_by_itself(small_disk):
    going = TinyRun(small_disk / "run", epochs=4, save_steps=1, ema=None, mixup=False)
    size = 0
    for report in going.go():
        if isinstance(report, SavedReport) and report.step >= 3 and not size:
            size = list_states(small_disk / "run")[0][1].stat().st_size
            fill(small_disk, leave=4096)
        elif isinstance(report, SavedReport) and size:
            assert size > 4096
            last = report.step
            break
    assert newest_state(small_disk / "run").state.step >= last >= 3


def test_nothing_starts_on_a_disk_that_cannot_hold_it(small_disk):
    from zoo.core.metadata import CheckpointInfo
    from zoo.engine.saving.rundir import RunFolder

    with RunFolder.create(small_disk) as folder:
        keeper = Keeper(folder, CheckpointInfo())
        keeper.require_space(TinyRun(small_disk / "unused").live)
        fill(small_disk, leave=8192)
        with pytest.raises(DiskError, match=r"has 0 MB free, the run needs"):
            keeper.require_space(TinyRun(small_disk / "unused").live)


def test_a_read_only_folder_is_said_before_the_first_step(small_disk):
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(DiskError, match="read-only") as caught:
        list(TinyRun(small_disk / "run").go())
    assert caught.value.exit_code == 8


def test_a_torn_line_of_metrics_is_no_obstacle(tmp_path):
    whole = TinyRun(tmp_path / "run", epochs=1, save_steps=1)
    for report in whole.go():
        if isinstance(report, StepReport) and report.step == 2:
            break
    with (tmp_path / "run" / "metrics.jsonl").open("a") as file:
        file.write('{"kind":"st')
    again = TinyRun(tmp_path / "run", epochs=1, loader=TinyLoader())
    list(again.go())
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2, 3, 3]
