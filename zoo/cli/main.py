"""``zoo``: one lazy group over a table of commands; errors become lines and exit codes.

Help needs no command's module: names and one-line helps stand in :data:`COMMANDS`, a command is
imported when it is typed. Plugins add commands through the registry.
"""

from __future__ import annotations

import errno
import gc
import io
import os
import sys
from typing import TYPE_CHECKING, Any, Final

import click

from zoo import __version__
from zoo.cli.output import Out
from zoo.core import settings
from zoo.core.names import did_you_mean, suggest
from zoo.core.resolve import resolve, target_of
from zoo.errors import (
    DiskError,
    Interrupted,
    PluginError,
    UnknownNameError,
    UsageError,
    ZooError,
    too_long,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zoo.core.specs import PartSpec

COMMANDS: Final[dict[str, dict[str, tuple[str, str]]]] = {
    "Look around": {
        "list": ("zoo.cli.list_:command", "List models, data sets, losses and every other part."),
        "info": ("zoo.cli.info:command", "Everything known about one part."),
        "plugins": ("zoo.cli.plugins:command", "Installed plugins: their state and parts."),
        "doctor": ("zoo.cli.doctor:command", "Check a folder of images before training on it."),
    },
    "Train": {
        "finetune": ("zoo.cli.finetune:command", "Fine-tune a pretrained model on your images."),
        "train": ("zoo.cli.train:command", "Train a model from scratch."),
        "resume": ("zoo.cli.resume:command", "Go on with an interrupted run."),
        "runs": ("zoo.cli.runs:command", "List runs with their results."),
        "diff": ("zoo.cli.diff:command", "Compare the recipes and results of two runs."),
    },
    "Use": {
        "eval": ("zoo.cli.eval_:command", "Measure a model on images."),
        "predict": ("zoo.cli.predict:command", "Classify images."),
        "explain": ("zoo.cli.explain:command", "Show where in images a model looks."),
        "embed": ("zoo.cli.embed:command", "Images as vectors; find those that are alike."),
        "benchmark": ("zoo.cli.benchmark:command", "Measure how fast models are here."),
        "export": ("zoo.cli.export:command", "Write a checked safetensors, .pt2 or ONNX file."),
    },
    "Weights": {
        "pull": ("zoo.cli.pull:command", "Fetch and verify weights."),
        "push": ("zoo.cli.push:command", "Publish a run on the Hub."),
        "import": ("zoo.cli.import_:command", "Turn a .pth file into a checkpoint."),
        "lock": ("zoo.cli.lock:command", "Pin weights by commit and digest."),
        "verify": ("zoo.cli.verify:command", "Check cached weights and runs, offline."),
        "mirror": ("zoo.cli.mirror:command", "Copy weights to a folder for offline machines."),
        "cache": ("zoo.cli.cache:command", "Show and prune what zoo has stored."),
    },
}
"""Section -> command -> (target, one-line help)."""


class _Closed(Exception):  # noqa: N818 - nobody reads on, which is no error
    """Stdout was closed; click would make of BrokenPipeError an exit with 1."""


class Commands(click.Group):
    """A group whose commands are imported when they are used."""

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        """Parse the arguments; prints help and version."""
        try:
            return super().make_context(*args, **extra)
        except BrokenPipeError as error:
            raise _Closed from error

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise _Closed from error

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of the built-in commands, in the order of the table."""
        del ctx
        return [name for section in COMMANDS.values() for name in section]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; an unknown one is looked up among the plugins' commands."""
        del ctx
        for section in COMMANDS.values():
            if cmd_name in section:
                return _command(section[cmd_name][0])
        from zoo.core import registry

        try:
            return _plugins_command(registry.load().find("command", cmd_name))
        except UnknownNameError:
            return None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that was typed; an unknown one names close commands.

        Raises:
            UnknownNameError: There is no such command.
        """
        name = args[0]
        command = self.get_command(ctx, name)
        if command is None:
            if name.startswith("-"):
                raise click.NoSuchOption(name, ctx=ctx)
            close = suggest(name, self.list_commands(ctx))
            hint = did_you_mean(close) or "zoo --help"
            raise UnknownNameError(f"no such command {name!r}", hint=hint, suggestions=close)
        return command.name, command, args[1:]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the help of all commands without importing any."""
        del ctx
        width = max(len(name) for section in COMMANDS.values() for name in section)
        for title, section in COMMANDS.items():
            with formatter.section(title):
                rows = [(name.ljust(width), help_line) for name, (_, help_line) in section.items()]
                formatter.write_dl(rows)


def _command(target: str) -> click.Command:
    found = resolve(target)
    assert isinstance(found, click.Command), f"{target} is not a click command"
    return found


def _plugins_command(spec: PartSpec) -> click.Command:
    found = target_of(spec)
    if not isinstance(found, click.Command):
        raise PluginError(
            f"command {spec.qualified}: target {spec.target} is not a click command",
            hint=f"zoo plugins check {spec.plugin}",
        )
    return found


@click.command(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="zoo COMMAND --help says more. Shell completion: zoo --completion bash|zsh|fish.",
)
@click.version_option(__version__, "--version", prog_name="zoo")
@click.option("--offline", is_flag=True, help="Make no network request (also ZOO_OFFLINE=1).")
@click.option("--debug", is_flag=True, help="Show the trace of an error (also ZOO_DEBUG=1).")
@click.option(
    "--completion",
    type=click.Choice(["bash", "zsh", "fish"]),
    is_eager=True,
    expose_value=False,
    callback=lambda ctx, _, shell: _completion(ctx, shell) if shell else None,
    help="Print the completion script of a shell; source it.",
)
def zoo(*, offline: bool, debug: bool) -> None:
    """Find, fine-tune, verify and ship image models."""
    if offline:
        os.environ["ZOO_OFFLINE"] = os.environ["HF_HUB_OFFLINE"] = "1"
    if debug:
        os.environ["ZOO_DEBUG"] = "1"


def _completion(ctx: click.Context, shell: str) -> None:
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(zoo, {}, "zoo", "_ZOO_COMPLETE").source())
    ctx.exit()


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code.

    Args:
        argv: Arguments without the program's name; default: the process's.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that lacks a letter gets its number
            stream.reconfigure(errors="backslashreplace")
    if argv is None:  # a process of zoo's own
        from zoo.cli.compiler import postpone

        postpone()
        _rest_soon()
    code = run(argv)
    if "torch" in sys.modules:
        if argv is None:  # this is the whole process, not a call from Python
            _leave(code)
    else:
        gc.freeze()  # nothing is left to do: Python need not look through thousands of records
    sys.exit(code)


def _rest_soon() -> None:
    """Have the threads that compute rest two milliseconds after their last work, not twenty.

    Those of GNU's OpenMP, in torch's builds for Linux, ask over and over for more work meanwhile,
    on a core that others need: the threads that read images. It is read when torch is loaded.
    """
    said = any(name.startswith(("GOMP_", "OMP_WAIT_")) for name in os.environ)
    if sys.platform == "linux" and not said:
        os.environ["GOMP_SPINCOUNT"] = "40000"


def _leave(code: int) -> None:
    """End the process without taking the interpreter and torch apart.

    That takes a second, and a thread that asks for Python's lock meanwhile calls
    ``std::terminate`` if it comes from torch's C++: a run that succeeded exits with 134. (gloo's
    threads outlive their process group; one of ours may be saving while a run fails.)
    """
    import atexit
    import threading

    getattr(threading, "_shutdown", int)()  # threads that are no daemons end first
    atexit._run_exitfuncs()
    for kind in (io.TextIOWrapper, io.BufferedWriter):
        for file in [found for found in gc.get_objects() if type(found) is kind]:
            _flush(file)
    for stream in (sys.stdout, sys.stderr):
        _flush(stream)
    os._exit(code)


def _flush(file: Any) -> None:
    """Write down what lies in a file's buffer, unless it is closed or its reader is gone."""
    try:
        if not file.closed and file.writable():
            file.flush()
    except (OSError, ValueError):
        pass


def run(argv: Sequence[str] | None = None) -> int:
    """Run the command line and give its exit code; only zoo's own errors are caught.

    Args:
        argv: Arguments without the program's name; default: the process's.
    """
    args = list(sys.argv[1:] if argv is None else argv)
    out = Out("json" if "--json" in args else "table")
    try:
        done: Any = zoo.main(args, prog_name="zoo", standalone_mode=False)
        sys.stdout.flush()
        return done if isinstance(done, int) else 0
    except ZooError as error:
        code = error.code if isinstance(error, Interrupted) else error.exit_code
        if settings.debug():
            import traceback

            traceback.print_exception(error)
        together = error.everywhere or isinstance(error, Interrupted)
        if not (together and os.environ.get("RANK", "0") != "0"):
            out.error(error, code)  # of a stop that all ranks made together, one speaks
        return code
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except click.ClickException as error:
        out.error(_as_ours(error), error.exit_code)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        out.note("stopped")
        return 130
    except (_Closed, BrokenPipeError):  # zoo list | head
        _mute()
        return 0
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            out.error(too_long(str(error.filename or "")), UsageError.exit_code)
            return UsageError.exit_code
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        _mute()
        where = f" for {error.filename}" if error.filename else ""
        out.error(DiskError(f"{error.strerror}{where}", hint="make room"), DiskError.exit_code)
        return DiskError.exit_code


def _mute() -> None:
    """Let nothing more go to a stdout that takes nothing, not even at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _as_ours(error: click.ClickException) -> UsageError:
    """What click complains about, in zoo's form: one line and a command that helps."""
    text = error.format_message().rstrip(".")
    context = getattr(error, "ctx", None)
    hint = f"{context.command_path} --help" if context else ""
    if isinstance(error, click.NoSuchOption):
        text = error.message.rstrip(".")
        hint = did_you_mean(suggest(error.option_name, error.possibilities or ())) or hint
    elif isinstance(error, click.BadParameter) and error.param is not None:
        words, typed = getattr(error.param.type, "choices", ()), error.message.split("'")
        close = suggest(typed[1], map(str, words)) if len(typed) > 2 else ()
        hint = did_you_mean(close) or hint
    return UsageError(text[:1].lower() + text[1:], hint=hint)
