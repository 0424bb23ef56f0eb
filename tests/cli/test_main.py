import json
import os
import subprocess
import sys

import pytest

from zoo import __version__
from zoo.cli import main
from zoo.core import registry
from zoo.errors import Interrupted


def test_help_lists_every_command_with_its_line(shell):
    done = shell("--help")
    assert done.returncode == 0
    for title, section in main.COMMANDS.items():
        assert f"{title}:" in done.stdout
        for name, (_, line) in section.items():
            assert f"  {name} " in done.stdout
            assert line in done.stdout
    assert shell("-h").stdout == done.stdout


def test_no_arguments_show_help_and_are_a_usage_error(shell):
    done = shell()
    assert done.returncode == 2
    assert "finetune" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_version(shell):
    assert shell("--version").stdout == f"zoo, version {__version__}\n"


@pytest.mark.parametrize("name", [n for s in main.COMMANDS.values() for n in s])
def test_every_command_of_the_table_is_there_and_helps(zoo, name):
    code, out, _ = zoo(name, "--help")
    assert code == 0
    assert out.startswith(f"Usage: zoo {name}")


@pytest.mark.parametrize("name", [n for s in main.COMMANDS.values() for n in s])
def test_the_one_line_help_is_a_short_sentence(name):
    (line,) = [s[name][1] for s in main.COMMANDS.values() if name in s]
    assert line.endswith(".")
    assert len(line) < 62


@pytest.mark.parametrize("shell_name", ["bash", "zsh", "fish"])
def test_completion_scripts(zoo, shell_name):
    code, out, _ = zoo("--completion", shell_name)
    assert code == 0
    assert "_ZOO_COMPLETE" in out


def test_bash_completion_offers_commands_and_models(shell):
    def complete(words):
        env = {"_ZOO_COMPLETE": "bash_complete", "COMP_WORDS": words}
        return shell(**env, COMP_CWORD=str(len(words.split()) - 1)).stdout

    assert "plain,finetune" in complete("zoo fine")
    assert "resnet18" in complete("zoo finetune resnet1")
    assert "--freeze-upto" in complete("zoo finetune --freeze")


def test_an_unknown_command_names_close_ones(zoo):
    code, out, err = zoo("finetun")
    assert (code, out) == (2, "")
    assert err == "error: no such command 'finetun'\nhint: did you mean finetune?\n"


def test_an_unknown_flag(zoo):
    code, out, err = zoo("list", "--famly", "x")
    assert (code, out) == (2, "")
    assert "--family" in err
    code, _, err = zoo("--nope")
    assert code == 2
    assert "--nope" in err


def test_errors_are_json_where_json_was_asked_for(zoo):
    code, out, err = zoo("info", "resnt18", "--json")
    assert code == 2
    assert err == ""
    found = json.loads(out)
    assert found["exit_code"] == 2
    assert "resnet18" in found["hint"]
    code, out, _ = zoo("list", "--json", "--nope")
    assert code == 2
    assert json.loads(out)["exit_code"] == 2
    code, out, _ = zoo("finetune", "--json")
    assert "needs a model" in json.loads(out)["error"]


def test_debug_adds_the_trace(shell):
    plain = shell("info", "resnt18")
    assert "Traceback" not in plain.stderr
    for done in (shell("--debug", "info", "resnt18"), shell("info", "resnt18", ZOO_DEBUG="1")):
        assert done.returncode == 2
        assert "Traceback" in done.stderr
        assert "error: nothing is called" in done.stderr


def test_offline_reaches_every_library(zoo, monkeypatch):
    monkeypatch.setenv("ZOO_OFFLINE", "")
    monkeypatch.setenv("HF_HUB_OFFLINE", "")
    zoo("--offline", "list", "--names")
    assert os.environ["ZOO_OFFLINE"] == os.environ["HF_HUB_OFFLINE"] == "1"


@pytest.mark.parametrize("line", ["list", "list --json", "info lenet", "--help", "train --help"])
@pytest.mark.parametrize("reader", ["true", "head -n 1 >/dev/null"])
def test_a_closed_pipe_ends_quietly(line, reader):
    """``zoo list | head`` must not complain, whoever reads."""
    command = f"set -o pipefail; {sys.executable} -m zoo {line} | {reader}"
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stderr in (
        "",
        f"{len(registry.load().shelf('model'))} models; zoo info NAME says more\n",
    )
    assert done.returncode == 0


def test_a_full_disk_is_not_silence(shell):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "zoo", "list"], stdout=full, stderr=subprocess.PIPE, text=True,
            check=False,
        )  # fmt: skip
    assert done.returncode == 8
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr


COMMAND_PLUGIN = """
import click, json
from zoo.errors import DiskError, Interrupted
from zoo.plugin import CommandSpec, hookimpl

@click.command("label")
@click.option("--fail", default="")
def label(fail):
    "Label images."
    if fail == "disk":
        raise DiskError("no room", hint="rm")
    if fail == "stop":
        raise Interrupted("saved", hint="zoo resume x", signal=15)
    if fail == "ctrl-c":
        raise KeyboardInterrupt
    if fail == "bug":
        raise RuntimeError("ours")
    if fail == "threads":
        import atexit, threading, time, torch
        def work():
            while True:
                torch.ones(300, 300) @ torch.ones(300, 300)
        def last():
            time.sleep(0.5)
            print("a thread ended")
        threading.Thread(target=work, daemon=True).start()
        threading.Thread(target=last).start()
        atexit.register(print, "left")
        label.file = open("open.txt", "w")
        label.file.write("in its buffer")
        time.sleep(0.2)
    click.echo("labelled")

@hookimpl
def zoo_commands():
    yield CommandSpec(name="label", target="zoo_labels:label", summary="Label images")
"""


@pytest.fixture
def labels(site):
    site.code("labels", COMMAND_PLUGIN)


def test_a_plugin_adds_a_command(labels, zoo):
    assert zoo("label") == (0, "labelled\n", "")
    assert zoo("labels/label")[1] == "labelled\n"
    assert "Label images." in zoo("label", "--help")[1]


@pytest.mark.parametrize(
    ("fault", "code", "said"),
    [
        ("disk", 8, "error: no room\nhint: rm\n"),
        ("stop", 143, "error: saved\nhint: zoo resume x\n"),
        ("ctrl-c", 130, "stopped"),
    ],
)
def test_errors_become_lines_and_codes(labels, zoo, fault, code, said):
    found, out, err = zoo("label", "--fail", fault)
    assert (found, out) == (code, "")
    assert said in err
    assert "Traceback" not in err


def test_a_bug_shows_its_trace(labels, shell):
    with pytest.raises(RuntimeError, match="ours"):
        main.run(["label", "--fail", "bug"])
    done = shell("label", "--fail", "bug")
    assert done.returncode == 1
    assert "Traceback" in done.stderr


def test_a_process_with_torch_ends_well_whatever_its_threads_do(labels, shell, tmp_path):
    """Once ``terminate called without an active exception``, and 134 for a run that succeeded."""
    done = shell("label", "--fail", "threads", cwd=tmp_path)
    said = "labelled\na thread ended\nleft\n"
    assert (done.returncode, done.stdout, done.stderr) == (0, said, "")
    assert (tmp_path / "open.txt").read_text() == "in its buffer"


def test_a_broken_plugin_breaks_no_command(site, zoo):
    site.code("bad", "1 / 0")
    code, out, err = zoo("list")
    assert code == 0
    assert "resnet18" in out
    assert "plugin bad is out of order: ZeroDivisionError" in err
    assert zoo("--help")[2] == ""


def test_strict_plugins_exit_with_4(site, zoo, monkeypatch):
    site.code("bad", "1 / 0")
    monkeypatch.setenv("ZOO_STRICT_PLUGINS", "1")
    code, _, err = zoo("list")
    assert code == 4
    assert "plugin bad" in err


def test_main_exits_with_the_code(capsys):
    with pytest.raises(SystemExit) as caught:
        main.main(["--version"])
    assert caught.value.code == 0
    with pytest.raises(SystemExit) as caught:
        main.main(["nope"])
    assert caught.value.code == 2


def test_interrupted_knows_its_code():
    assert Interrupted("x").code == 130
    assert Interrupted("x", signal=15).code == 143


def test_a_plugins_command_that_is_none_is_the_plugins_error(zoo, site):
    site.manifest("leaf", "[[command]]\nname = 'label'\ntarget = 'math:pi'\n")
    code, _, err = zoo("label")
    assert code == 4
    assert "command leaf/label: target math:pi is not a click command" in err
    assert "hint: zoo plugins check leaf" in err


@pytest.mark.parametrize(
    "line",
    [
        "predict {run} {long}.png", "predict {long} {photos}", "eval {run} --data {long}",
        "eval {run} --report {long}.html", "embed {run} {photos} --out {long}/a.csv",
        "train tutorials/lenet --data {photos} --preview {long}.png",
    ],
)  # fmt: skip
def test_a_name_that_no_file_can_have_is_no_trace(zoo, finished_run, photos, line):
    words = line.format(run=finished_run, photos=photos, long="x" * 300).split()
    code, out, err = zoo(*words)
    assert (code, out) == (2, "")
    assert err == f"error: '{'x' * 40}...' is longer than the name of a file may be\n"


@pytest.mark.skipif(sys.platform != "linux", reason="GNU's OpenMP is in torch's builds for Linux")
@pytest.mark.parametrize("name", ["GOMP_SPINCOUNT", "OMP_WAIT_POLICY", ""])
def test_threads_rest_soon_unless_the_environment_says_how(name, monkeypatch):
    for known in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.setenv(known, "passive")
        monkeypatch.delenv(known)
    if name:
        monkeypatch.setenv(name, "active")
    main._rest_soon()
    expected = {"GOMP_SPINCOUNT": "active", "OMP_WAIT_POLICY": None, "": "40000"}[name]
    assert os.environ.get("GOMP_SPINCOUNT") == expected
