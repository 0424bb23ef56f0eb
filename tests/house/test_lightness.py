"""The command line answers at once: it is counted in modules, which no busy machine can blur."""

import os
import subprocess
import sys

import pytest
from sources import ROOT

HEAVY = (
    "torch",
    "torchvision",
    "numpy",
    "PIL",
    "safetensors",
    "huggingface_hub",
    "httpx",
    "rich",
    "onnx",
    "timm",
)
LATER = 6 if sys.version_info >= (3, 12) else 0
"""Modules more that later Pythons import of themselves; all numbers here are of 3.11."""
PROBE = """
import contextlib, io, sys
from zoo.cli.main import run
with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
    code = run(sys.argv[1:])
print(code, *sys.modules)
"""


def modules(line, tmp_path):
    """Exit code and imported modules of one command, with the installed plugins."""
    env = {k: v for k, v in os.environ.items() if k not in ("ZOO_PLUGINS", "PYTHONPATH")}
    done = subprocess.run(
        [sys.executable, "-P", "-c", PROBE, *line.split()],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    code, *names = done.stdout.split()
    return int(code), names


@pytest.mark.parametrize(
    ("line", "most", "code"),
    [
        ("--help", 125, 0),
        ("--version", 125, 0),
        ("--completion bash", 135, 0),
        ("list", 160, 0),
        ("list --names", 160, 0),
        ("list --json", 170, 0),
        ("list --kind loss", 160, 0),
        ("info resnet18", 160, 0),
        ("info cross-entropy --json", 170, 0),
        ("plugins", 160, 0),
        ("plugins show zoo", 160, 0),
        ("runs", 170, 0),
        ("nope", 165, 2),
        ("list --nope", 175, 2),
        ("info resnt18", 165, 2),
        ("finetune resnet18 --nope", 190, 2),
        ("finetune resnet18 --lr fast", 190, 2),
        ("finetune --help", 190, 0),
        ("finetune resnet18 --freeze-upto layer3 --classes 300 --dry-run", 245, 0),
        ("train resnet18 --data demo --dry-run --json", 245, 0),
        ("predict resnet18 nope.jpg", 220, 3),
        ("finetune resnet18 --data nope", 240, 3),
        ("finetune resnet18 --data . --val nope", 240, 3),
        ("finetune resnet18 --data demo --weights file:nope.pth", 250, 5),
        ("eval nope", 220, 5),
        ("export runs/nope", 220, 5),
        ("finetune resnet18 --data demo --views x", 250, 2),
        ("finetune resnet18 --data demo --train-size 0", 250, 2),
        ("finetune resnet18 --data demo --save-every 10x", 250, 2),
        ("finetune resnet18 --data demo --name a/b", 250, 2),
        ("finetune resnet18 --data demo --cache-size 4X", 250, 2),
        ("finetune resnet18 --data demo --unfreeze-at x:layer3", 250, 2),
        ("finetune resnet18 --data demo --device cud", 250, 2),
        ("finetune resnet18 --data demo --shrink 10", 250, 2),
        ("predict resnet18 pyproject.toml --device cud", 265, 2),
        ("eval resnet18 --device cud", 265, 2),
        ("explain resnet18 nope.jpg", 230, 3),
        ("explain nope pyproject.toml", 230, 5),
        ("explain resnet18 pyproject.toml --out /dev/null/x", 230, 2),
        ("embed resnet18 nope.jpg --out x.csv", 230, 3),
        ("embed resnet18 pyproject.toml --out x.npy", 230, 2),
        ("embed resnet18 pyproject.toml", 230, 2),
        ("embed resnet18 . --like nope.jpg", 230, 3),
        ("doctor nope", 220, 3),
        ("eval resnet18 --metric nope", 230, 2),
        ("eval resnet18 --data nope", 230, 3),
        ("eval resnet18 --report nope/x.html", 230, 2),
        ("export resnet18 --format nope", 230, 2),
        ("benchmark resnet81", 200, 2),
        ("benchmark resnet18 --device cud", 265, 2),
        ("finetune resnet18 --data demo --lora-alpha 4", 250, 2),
    ],
)
def test_a_command_that_needs_no_torch_loads_none(line, most, code, tmp_path):
    found, names = modules(line, tmp_path)
    assert found == code
    assert [name for name in HEAVY if name in names] == []
    assert len(names) <= most + LATER, f"{len(names)} modules, {most} + {LATER} allowed"


def test_a_class_that_a_run_does_not_know_is_said_without_torch(finished_run, tmp_path):
    code, names = modules(f"explain {finished_run} . --class drak", tmp_path)
    assert code == 2
    assert [name for name in HEAVY if name in names] == []


@pytest.mark.parametrize(
    "command",
    [
        "list", "info", "plugins", "doctor", "finetune", "train", "resume", "runs", "diff", "eval",
        "predict", "explain", "embed", "benchmark", "export", "pull", "push", "import", "lock",
        "verify", "mirror", "cache",
    ],
)  # fmt: skip
def test_the_help_of_every_command_loads_no_torch(command, tmp_path):
    code, names = modules(f"{command} --help", tmp_path)
    assert code == 0
    assert [name for name in HEAVY if name in names] == []


def test_every_command_is_asked_above():
    from zoo.cli.main import COMMANDS

    listed = {name for section in COMMANDS.values() for name in section}
    (mark,) = [
        m
        for m in test_the_help_of_every_command_loads_no_torch.pytestmark
        if m.name == "parametrize"
    ]
    assert set(mark.args[1]) == listed


def test_importing_zoo_needs_nothing_but_python():
    probe = (
        "import sys; before = set(sys.modules); import zoo; zoo.__version__; "
        "print(*set(sys.modules) - before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, check=True
    )
    names = done.stdout.split()
    assert {n.partition(".")[0] for n in names} - sys.stdlib_module_names == {"zoo"}
    assert len(names) <= 30


@pytest.mark.parametrize("room", ["errors", "plugin", "core", "hub", "cli", "api"])
def test_torch_free_rooms_import_without_torch(room):
    """Every module of a torch-free room can be imported where torch is missing."""
    probe = f"""
import importlib, pkgutil, sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {HEAVY!r}:
            raise ModuleNotFoundError(name, name=name)
sys.meta_path.insert(0, Missing())
room = importlib.import_module("zoo.{room}")
for info in pkgutil.walk_packages(getattr(room, "__path__", []), "zoo.{room}."):
    importlib.import_module(info.name)
"""
    subprocess.run([sys.executable, "-c", probe], cwd=ROOT, check=True, timeout=120)


@pytest.mark.slow
def test_a_model_that_is_not_torchvisions_is_used_without_it(tmp_path):
    """Classifying an image needs torch; not its compiler, nor a catalogue of other models.

    (torch's optimizers import the compiler themselves, so a training run pays for it anyway; and
    an architecture of torchvision cannot be had without all of torchvision.)
    """
    from pictures import jpeg, put

    import zoo

    run = zoo.train(
        "tutorials/lenet", data="demo", data_option={"per_class": 2, "size": 28}, classes=2,
        epochs=1, batch_size=2, device="cpu", threads=1, out=str(tmp_path),
    )  # fmt: skip
    put(tmp_path / "a.jpg", jpeg(1, height=40, width=50))
    code, names = modules(f"predict {run.dir} a.jpg --device cpu", tmp_path)
    assert code == 0
    heavy = ("torchvision", "torch._dynamo", "torch._inductor", "sympy", "triton", "onnx", "rich")
    assert [name for name in heavy if name in names] == []
    bare = subprocess.run(
        [sys.executable, "-c", "import sys, torch; print(len(sys.modules))"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert len(names) <= int(bare.stdout) + 220 + LATER


def cpu(argv, tmp_path):
    """CPU seconds of one Python process, and what it printed."""
    resource = pytest.importorskip("resource")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-P", *argv],
        cwd=tmp_path,
        env={k: v for k, v in os.environ.items() if k not in ("ZOO_PLUGINS", "PYTHONPATH")},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    return now.ru_utime + now.ru_stime - before.ru_utime - before.ru_stime, done.stdout


@pytest.mark.parametrize(("line", "most", "lines"), [("--help", 1.8, 20), ("list", 4.2, 1400)])
def test_answering_costs_little_more_than_importing_click(line, most, lines, tmp_path):
    """The median of several, each beside click in the same moment: a slow machine slows both.

    Measured were 1.2 and 3.2 to 3.8 times as much. ``list`` shows all models of this repository's
    plugins; parsing the catalogue anew each time makes it 5 to 6.
    """
    cpu(["-m", "zoo", line], tmp_path)  # fills the caches of Python and of zoo
    ratios = []
    for _ in range(9):
        click = cpu(["-c", "import click"], tmp_path)[0]
        spent, said = cpu(["-m", "zoo", line], tmp_path)
        ratios.append(spent / click)
    assert len(said.splitlines()) > lines
    assert sorted(ratios)[4] < most, f"times as much as click: {sorted(ratios)}"
