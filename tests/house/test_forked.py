"""A command that was forked comes out as the one that was started: tests/helpers/forked.py."""

from __future__ import annotations

import os
import subprocess

import forked
import pytest

CODES = {
    "arguments, folder, name": "import os, sys; print(sys.argv, os.getcwd(), __name__, sys.path[0])",
    "both streams": "import sys; print('ö out'); print('err', file=sys.stderr); sys.exit(3)",
    "nothing to read": "print(repr(open(0).read()))",
    "its environment": "import os; print(sorted(k for k in os.environ if k.startswith('ZOO_')), os.getenv('X'))",
    "what C sees of it": "import os; print(os.popen('echo $X $GONE').read())",
    "a module beside it": "import beside; print(beside.__file__)",
    "a module on its path": "import there; print(there.WHAT)",
    "no warnings": "import warnings; warnings.warn('hear me'); print('heard')",
    "its own session": "import os; print(os.getpid() == os.getpgid(0))",
    "one thread": "import torch, threading; print(torch.get_num_threads(), threading.active_count())",
    "no gradient or mode of others": "import torch; print(torch.is_grad_enabled(), torch.get_default_dtype())",
    "an exit code by a word": "raise SystemExit('said')",
    "a signal": "import os; os.kill(os.getpid(), 9)",
    "Ctrl-C": "import os, signal; os.kill(os.getpid(), signal.SIGINT); import time; time.sleep(9)",
    "at its end": "import atexit; atexit.register(print, 'bye'); print('hello')",
    "a mask": "import os; print(oct(os.umask(0)))",
    "who starts others": "import subprocess, sys; print(subprocess.run([sys.executable, '-c', 'print(1)']))",
}


@pytest.fixture
def place(tmp_path):
    (tmp_path / "beside.py").write_text("")
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "there.py").write_text("WHAT = 7")
    kept = {k: v for k, v in os.environ.items() if k != "GONE"}
    path = os.pathsep.join([str(tmp_path / "site"), str(forked.ROOT)])
    new = {"X": "yes", "OMP_NUM_THREADS": "1", "PYTHONPATH": path, "PYTHONWARNINGS": "ignore"}
    return {"cwd": tmp_path, "env": {**kept, **new}}


@pytest.mark.parametrize("case", list(CODES))
def test_a_fork_does_what_a_process_does(case, place):
    command = ["-c", CODES[case], "one", "--two"]
    mine, theirs = forked.run(command, **place), forked.plain(command, **place)
    if case == "its own session":
        assert mine.stdout == "True\n"
        return
    assert (mine.returncode, mine.stdout) == (theirs.returncode, theirs.stdout)
    assert mine.stderr.splitlines()[-1:] == theirs.stderr.splitlines()[-1:]


def test_forks_are_forks_and_know_nothing_of_each_other(place):
    code = "import sys, random, torch; print('mark' in vars(sys)); sys.mark = 1\n"
    code += "print(random.random(), torch.initial_seed())"
    first, second = (forked.run(["-c", code], **place).stdout.split() for _ in range(2))
    assert first[0] == second[0] == "False"
    assert first[1] != second[1]
    assert first[2] != second[2]
    loaded = ["-c", "import sys; print('torchvision' in sys.modules)"]
    assert forked.run(loaded, **place).stdout != forked.plain(loaded, **place).stdout
    code = "import sys; print([name for name in sys.modules if name.startswith('zoo_')])"
    assert forked.run(["-c", code], **place).stdout == "[]\n"


def test_a_file_is_run_as_one(place, tmp_path):
    (tmp_path / "script.py").write_text("import sys, beside; print(sys.argv, __name__, __file__)")
    command = [str(tmp_path / "script.py"), "one"]
    mine, theirs = forked.run(command, **place), forked.plain(command, **place)
    assert (mine.returncode, mine.stdout) == (0, theirs.stdout)


@pytest.mark.parametrize("name", ["OMP_NUM_THREADS", "PYTHONUTF8", "MALLOC_ARENA_MAX"])
def test_what_is_read_at_a_start_makes_a_start(name, place):
    place["env"][name] = "1" if name != "OMP_NUM_THREADS" else "2"
    loaded = ["-c", "import sys; print('torchvision' in sys.modules)"]
    assert forked.run(loaded, **place).stdout == "False\n"


def test_one_that_does_not_end_is_ended(place):
    with pytest.raises(subprocess.TimeoutExpired):
        forked.run(["-c", "import time; time.sleep(60)"], **place, timeout=0.3)
    assert forked.run(["-c", "print('next')"], **place).stdout == "next\n"


def test_the_command_line_says_the_same_either_way(place):
    for line in (["list", "resnet18*"], ["info", "resnt18"], ["train", "--help"]):
        mine, theirs = (how(["-m", "zoo", *line], **place) for how in (forked.run, forked.plain))
        assert (mine.returncode, mine.stdout, mine.stderr) == (
            theirs.returncode, theirs.stdout, theirs.stderr,
        )  # fmt: skip
