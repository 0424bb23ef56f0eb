"""One bad input, and the place in which it is cooked: a folder, an environment, the real command."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
import textwrap
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import forked

ROOT = Path(__file__).resolve().parents[3]
QUICK = ("--workers", "0", "--threads", "1", "--precision", "fp32", "--device", "cpu")
SMALL = ("--size", "32", "--epochs", "1", "--batch-size", "6", *QUICK)
DEMO = ("--data", "demo", "--classes", "3", *SMALL)
LENET = "tutorials/lenet"


@dataclass(frozen=True)
class Answer:
    """What came out: exit code, stdout, stderr."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        """Everything that was printed."""
        return self.out + self.err

    @property
    def error(self) -> str:
        """The first line behind ``error:``, or empty."""
        return _after(self.err, "error: ")

    @property
    def hint(self) -> str:
        """The first line behind ``hint:``, or empty."""
        return _after(self.said, "hint: ")


def _after(text: str, mark: str) -> str:
    return next((s.removeprefix(mark) for s in text.splitlines() if s.startswith(mark)), "")


@dataclass(frozen=True)
class Case:
    """One row.

    Attributes:
        number: Its number in the list of bad inputs.
        has: What the user has.
        make: Prepares it, and gives the command line, or the answer if it had to act itself.
        code: The exit code that has to come out.
        words: Pieces of what has to be said, on either stream.
        alone: Whether the command runs in a process of its own (those that touch the process do).
        after: Looks at what is left; gives nothing, asserts.
        hint: Whether the error must name a way on.
    """

    number: int
    has: str
    make: Callable[[Kitchen], Any]
    code: int
    words: tuple[str, ...] = ()
    alone: bool = False
    after: Callable[[Kitchen, Answer], None] | None = None
    hint: bool = True

    @property
    def label(self) -> str:
        """For test ids and tables."""
        return f"{self.number:03d} {self.has}"

    def run(self, kitchen: Kitchen) -> Answer:
        """Prepare it and run the command."""
        made = self.make(kitchen)
        return made if isinstance(made, Answer) else kitchen.zoo(*made, alone=self.alone)

    def problems(self, kitchen: Kitchen, answer: Answer) -> list[str]:
        """What is wrong with an answer; empty = as it has to be."""
        wrong = []
        if answer.code != self.code:
            wrong.append(f"exit {answer.code}, not {self.code}")
        wrong += [f"does not say {w!r}" for w in self.words if w not in answer.said]
        if "Traceback" in answer.said:
            wrong.append("shows a trace")
        if "\x1b" in answer.said:
            wrong.append("prints an escape character")
        if self.code and not answer.error and "problem: " not in answer.out:
            wrong.append("no line that starts with error:")
        if self.code and self.hint and not answer.hint:
            wrong.append("no hint")
        if not wrong and self.after is not None:
            try:
                self.after(kitchen, answer)
            except AssertionError as error:
                wrong.append(f"afterwards: {error}")
        return wrong


def _shown(argv: list[str]) -> str:
    """A command line without the flags that only make it small."""
    line = " ".join(["zoo", *argv])
    for flags in (QUICK, ("--batch-size", "6"), ("--epochs", "1"), ("--size", "32")):
        line = line.replace(" " + " ".join(flags), "")
    return line


@dataclass
class Kitchen:
    """A clean folder to work in.

    Attributes:
        here: The folder; commands run in it.
        larder: Things that many cases need, made once.
        env: What the environment has besides; ``None`` takes a variable away.
        site: Where plugins are installed, once one is.
        last: The command that was typed last.
    """

    here: Path
    larder: Any = None
    env: dict[str, str | None] = field(default_factory=dict)
    site: str = ""
    last: str = ""

    def environment(self) -> dict[str, str]:
        """The whole environment of a command: nothing of the user's settings."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("ZOO_", "HF_", "_ZOO"))}
        for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
            kept.pop(name, None)
        own: dict[str, str | None] = {
            "ZOO_CACHE": str(self.here / ".cache"),
            "ZOO_CONFIG": str(self.here / ".config"),
            "HF_HOME": str(self.here / ".hf"),
            "HF_ENDPOINT": "http://127.0.0.1:9",
            "OMP_NUM_THREADS": "1",
            "PYTHONWARNINGS": "ignore",
            **self.env,
        }
        own["PYTHONPATH"] = os.pathsep.join([str(ROOT), *([self.site] if self.site else [])])
        return {k: v for k, v in {**kept, **own}.items() if v is not None}

    def zoo(self, *arguments: object, alone: bool = False, timeout: float = 120) -> Answer:
        """Run the command line, here or in a process of its own."""
        argv = [str(argument) for argument in arguments]
        self.last = _shown(argv)
        if not alone:
            return self._inside(argv)
        done = forked.run(
            ["-m", "zoo", *argv], cwd=self.here, env=self.environment(), timeout=timeout
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    def start(self, *arguments: object) -> subprocess.Popen[str]:
        """Start the command line in a process of its own, stderr with stdout."""
        self.last = _shown([str(argument) for argument in arguments])
        return subprocess.Popen(
            [sys.executable, "-m", "zoo", *map(str, arguments)],
            cwd=self.here, env=self.environment(), text=True, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def _inside(self, argv: list[str]) -> Answer:
        """The same entry, ``zoo.cli.main.main``, in this process and a fresh state."""
        from zoo.cli.main import main
        from zoo.core import registry

        out, err = io.StringIO(), io.StringIO()
        before, where = dict(os.environ), Path.cwd()
        registry.load.cache_clear()
        code: Any = 0
        try:
            os.environ.clear()
            os.environ.update(self.environment())
            os.chdir(self.here)
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                try:
                    main(argv)
                except SystemExit as stop:
                    code = stop.code
                except BaseException:  # what Python itself does with it
                    traceback.print_exc()
                    code = 1
        finally:
            os.chdir(where)
            os.environ.clear()
            os.environ.update(before)
            registry.load.cache_clear()
        return Answer(code or 0, out.getvalue(), err.getvalue())

    def write(self, name: str, content: str | bytes) -> Path:
        """Write a file below the folder."""
        path = self.here / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            content = textwrap.dedent(content).encode()
        path.write_bytes(content)
        return path

    def install(
        self, name: str, files: dict[str, str | bytes], *, distribution: str = "", entry: str = ""
    ) -> None:
        """Lay a plugin down as an installer would, and let only such plugins load."""
        site = self.here / "site"
        distribution = distribution or f"zoo-{name}"
        for file, content in files.items():
            self.write(f"site/{file}", content)
        info = f"site/{distribution.replace('-', '_')}-1.0.dist-info"
        self.write(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1\n")
        self.write(f"{info}/entry_points.txt", f"[zoo]\n{name} = {entry or f'zoo_{name}'}\n")
        self.site = str(site)
        allowed = str(self.env.get("ZOO_PLUGINS") or "")
        self.env["ZOO_PLUGINS"] = ",".join(filter(None, [allowed, name]))

    def code(self, name: str, text: str) -> None:
        """Install a plugin of one file."""
        self.install(name, {f"zoo_{name}.py": text})

    def manifest(self, name: str, text: str | bytes) -> None:
        """Install a plugin that is data only."""
        if isinstance(text, str):
            text = "schema = 1\n" + textwrap.dedent(text)
        self.install(name, {f"zoo_{name}/__init__.py": "", f"zoo_{name}/registry.toml": text})
