import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from zoo.engine.processes import launch as launch_module
from zoo.engine.processes.launch import FINAL, launch
from zoo.errors import UsageError

ROOT = Path(__file__).parents[3]


@pytest.fixture
def fake_zoo(tmp_path, monkeypatch):
    """A stand-in for ``python -m zoo`` so that only the launching is tested."""

    def make(body):
        (tmp_path / "zoo_main").mkdir(exist_ok=True)
        script = tmp_path / "zoo_main" / "ranks.py"
        script.write_text(
            f"import os, signal, sys, time\nROOT = {str(ROOT)!r}\n" + textwrap.dedent(body)
        )
        agent = tmp_path / "agent.py"
        text = Path(launch_module.__file__).read_text()
        agent.write_text(text.replace('("-m", "zoo", *argv)', f"({str(script)!r}, *argv)"))
        monkeypatch.setattr(launch_module, "AGENT", (sys.executable, str(agent)), raising=True)

    monkeypatch.chdir(tmp_path)
    return make


def test_one_process_is_not_several():
    with pytest.raises(UsageError, match="at least 2"):
        launch(1, ["train"])


def test_processes_of_processes_are_refused(monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    with pytest.raises(UsageError, match="processes of processes"):
        launch(2, ["train"])


@pytest.mark.slow
def test_every_rank_gets_its_place_and_the_arguments(fake_zoo, tmp_path):
    fake_zoo(
        """
        name = f"rank-{os.environ['RANK']}-of-{os.environ['WORLD_SIZE']}"
        open(name, "w").write(" ".join(sys.argv[1:]))
        """
    )
    assert launch(2, ["train", "lenet"]) == 0
    assert (tmp_path / "rank-0-of-2").read_text() == "train lenet"
    assert (tmp_path / "rank-1-of-2").read_text() == "train lenet"


@pytest.mark.slow
def test_the_exit_code_is_that_of_the_rank_that_failed(fake_zoo, capfd):
    fake_zoo(
        """
        if os.environ["RANK"] == "1":
            sys.exit(8)
        time.sleep(60)
        """
    )
    assert launch(2, []) == 8
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.slow
def test_a_crash_is_tried_again_by_resuming_the_run(fake_zoo, tmp_path):
    fake_zoo(
        """
        if sys.argv[1] == "first":
            if os.environ["RANK"] == "0":
                sys.path.insert(0, ROOT)
                from pathlib import Path
                from zoo.engine.processes.launch import note_run
                note_run(Path("runs/mine"))
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(60)
        open(f"done-{os.environ['RANK']}", "w").write(" ".join(sys.argv[1:]))
        """
    )
    assert launch(2, ["first"], retries=1, pause=0.0) == 0
    assert (tmp_path / "done-1").read_text() == f"resume {tmp_path / 'runs/mine'}"


@pytest.mark.slow
def test_an_error_that_would_come_again_is_not_tried_again(fake_zoo, tmp_path):
    fake_zoo("open(f'x{time.time_ns()}', 'w'); sys.exit(3)")
    assert launch(2, [], retries=3, pause=0.0) == 3
    assert 1 <= len(list(tmp_path.glob("x*"))) <= 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 143), (signal.SIGKILL, -9)],
)
def test_a_signal_reaches_the_ranks_and_they_may_save(fake_zoo, tmp_path, number, code):
    fake_zoo(
        f"""
        sys.path.insert(0, {str(ROOT)!r})
        from zoo.engine.processes.signals import Stop
        with Stop() as stop:
            open(f"ready-{{os.environ['RANK']}}", "w")
            while not stop:
                time.sleep(0.01)
            time.sleep(0.5)
            open(f"saved-{{os.environ['RANK']}}", "w")
            sys.exit(128 + stop.signal)
        """
    )
    agent = launch_module.AGENT[1]
    code_text = (
        "import signal, sys; from zoo.engine.processes import launch as m\n"
        "signal.signal(signal.SIGHUP, signal.SIG_DFL)\n"
        f"m.AGENT = (sys.executable, {agent!r})\n"
        "sys.exit(m.launch(2, []))"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code_text],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        start_new_session=True,
    )
    while len(list(tmp_path.glob("ready-*"))) < 2:
        time.sleep(0.05)
        assert child.poll() is None
    if number == signal.SIGINT:
        os.killpg(child.pid, number)  # as a terminal does
    else:
        child.send_signal(number)
    assert child.wait(60) == code
    patience = time.monotonic() + 30
    while len(list(tmp_path.glob("saved-*"))) < 2:  # a launcher that was killed waits for nobody
        time.sleep(0.05)
        assert time.monotonic() < patience


def test_final_codes_are_the_errors_that_repeat():
    assert {1, 137, 139} & FINAL == set()
    assert {0, 2, 8, 129, 130, 143} <= FINAL
