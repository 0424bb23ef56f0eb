"""Write the reference pages that say what the code says.

    python docs/generate.py           # rewrite docs/reference/
    python docs/generate.py --check   # exit 1 if that would change a page

``tests/house/test_docs.py`` fails while a page differs from the code.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import sys
import textwrap
import typing
from pathlib import Path
from typing import Any

import click

from zoo import errors
from zoo.cli.main import COMMANDS, zoo
from zoo.core.compose import VERB_DEFAULTS
from zoo.core.fields import fields
from zoo.core.flags import KEYWORDS
from zoo.core.hookspecs import KINDS, CatalogueHooks, RunHooks
from zoo.core.manifest import Known, Manifest
from zoo.core.metadata import CheckpointInfo
from zoo.core.recipe import Recipe
from zoo.core.resolve import resolve
from zoo.core.settings import VARIABLES
from zoo.core.specs import InputSpec, ModelSpec, PartSpec, WeightsSpec

FOLDER = Path(__file__).parent / "reference"
HEAD = "<!-- written by docs/generate.py; edit the code, then run it -->\n\n"


def pages() -> dict[str, str]:
    """File name -> text of every generated page."""
    made = {
        "cli.md": cli(),
        "recipe.md": recipe(),
        "errors.md": error_codes(),
        "environment.md": environment(),
        "hooks.md": hooks(),
        "registry-format.md": registry_format(),
        "checkpoint.md": checkpoint(),
    }
    return {name: HEAD + wrapped(text).strip() + "\n" for name, text in made.items()}


def wrapped(text: str) -> str:
    """Paragraphs of prose at 100 columns; tables, code and headings as they are."""
    made, inside = [], False
    for line in text.splitlines():
        inside ^= line.startswith("```")
        prose = len(line) > 100 and not inside and line[0] not in "|`#<"
        broken = textwrap.wrap(line, 100, break_long_words=False, break_on_hyphens=False)
        made += broken if prose else [line]
    return "\n".join(made)


def table(heads: list[str], rows: list[list[str]]) -> str:
    """A Markdown table; ``|`` in cells is escaped."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in lines
    )


def cli() -> str:
    """The help page of every command, sectioned as ``zoo --help`` is."""
    parts = [
        "# Commands",
        "Every command has `--help`. `zoo --completion bash|zsh|fish` prints a completion script. "
        "Commands that look something up print to stdout; progress, notes and errors go to "
        "stderr, so that `--json` can be piped. [Exit codes](errors.md), "
        "[environment](environment.md), [recipe fields](recipe.md).",
        block(help_of(zoo, "zoo")),
    ]
    for title, section in COMMANDS.items():
        parts.append(f"## {title}")
        for name, (target, _) in section.items():
            command = resolve(target)
            assert isinstance(command, click.Command)
            parts += command_pages(command, f"zoo {name}", 3)
    return "\n\n".join(parts)


def command_pages(command: click.Command, path: str, level: int) -> list[str]:
    """The help of a command and, below it, of its subcommands."""
    parts = [f"{'#' * level} {path}"]
    text = help_of(command, path)
    if path == "zoo train":
        text = text.partition("\nModel:")[0]
        parts += [block(text), "Flags: as [zoo finetune](#zoo-finetune)."]
    else:
        parts.append(block(text))
    if isinstance(command, click.Group):
        with click.Context(command, info_name=path) as context:
            names = command.list_commands(context)
            found = [(name, command.get_command(context, name)) for name in names]
        for name, inner in found:
            assert inner is not None
            parts += command_pages(inner, f"{path} {name}", level + 1)
    return parts


def help_of(command: click.Command, path: str) -> str:
    """A command's help at a width of 96, whatever terminal this runs in."""
    extra: dict[str, Any] = {"terminal_width": 96, "max_content_width": 96}
    extra["help_option_names"] = ["-h", "--help"]
    with click.Context(command, info_name=path, **extra) as context:
        return "\n".join(line.rstrip() for line in command.get_help(context).splitlines())


def block(text: str, language: str = "text") -> str:
    """A fenced code block."""
    return f"```{language}\n{text.strip()}\n```"


def recipe() -> str:
    """Every field of a recipe, section by section."""
    flags = {key: "--" + keyword.replace("_", "-") for keyword, key in KEYWORDS.items()}
    parts = [
        "# Recipe fields",
        "A recipe describes a run completely. Values come, low to high, from the field's default, "
        "the model's suggestion, plugins, `--recipe FILE.toml`, flags and `--set KEY=VALUE`. A "
        "field without a flag is reached by `--set` and by a file. In Python the flag "
        "`--freeze-upto` is the keyword `freeze_upto`.",
        '```toml\nschema = 1\nverb = "finetune"\n\n[model]\nname = "resnet18"\n\n'
        '[freeze]\nupto = "layer3"\n\n[surgery]\nclasses = 300\n```',
    ]
    changed = [
        f"`{key}` {show(value)}" for verb in VERB_DEFAULTS.values() for key, value in verb.items()
    ]
    parts.append(f"`zoo train` has other defaults: {', '.join(changed)}.")
    for section, part in typing.get_type_hints(Recipe).items():
        if not dataclasses.is_dataclass(part):
            continue
        rows = [
            [f"`{key}`", f"`{flags[key]}`" if key in flags else "", words(info.type),
             show(info.default), info.help]
            for key, info in fields().items()
            if key.startswith(f"{section}.")
        ]  # fmt: skip
        parts += [f"## {section}", str(inspect.getdoc(part)).partition("\n")[0]]
        parts.append(table(["field", "flag", "type", "default", "meaning"], rows))
    return "\n\n".join(parts)


def show(value: Any) -> str:
    """A default as TOML writes it; nothing for what is not set."""
    if value is None or value in ((), {}):
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f'`"{value}"`' if isinstance(value, str) else f"`{value}`"


def words(kind: Any) -> str:
    """A type in the words of a recipe file."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:
        return words(inner[0])
    if origin is typing.Literal:
        return ", ".join(f"`{choice}`" for choice in inner)
    if origin is tuple:
        if len(inner) == 2 and inner[1] is ... and typing.get_origin(inner[0]) is not tuple:
            return f"list of {words(inner[0])}"
        return "list"
    if origin is dict:
        return "table"
    if inner:
        return " or ".join(words(each) for each in inner if each is not type(None))
    names = {str: "text", int: "whole number", float: "number", bool: "true or false"}
    return names.get(kind, "table")


def error_codes() -> str:
    """Exit codes and the errors behind them."""
    rows = [["0", "", "Done."], ["1", "", "A bug of ours; please report the trace."]]
    for kind in all_errors(errors.ZooError):
        code = "130, 143" if kind is errors.Interrupted else str(kind.exit_code)
        first = " ".join(str(inspect.getdoc(kind)).split("\n\n")[0].split())
        rows.append([code, f"`{kind.__name__}`", markdown(re.sub(r" \(exit [^)]*\)", "", first))])
    tree = str(errors.__doc__).partition("::\n")[2].partition("\n\nA message")[0]
    return "\n\n".join(
        [
            "# Errors and exit codes",
            "An error is one line, `error: ...`, and where there is a way on, `hint: ...` with a "
            'command or an edit. With `--json` it is `{"error": ..., "hint": ..., '
            '"exit_code": ...}` on stdout. `ZOO_DEBUG=1` or `zoo --debug` adds the trace.',
            table(["exit", "error", "meaning"], rows),
            "In Python all of them are subclasses of `zoo.ZooError`, with `message`, `hint` and "
            "`exit_code`:",
            block(textwrap.dedent(tree)),
        ]
    )


def all_errors(kind: type[errors.ZooError]) -> list[type[errors.ZooError]]:
    """The subclasses of an error, depth first."""
    found = []
    for each in kind.__subclasses__():
        if each.__module__ == errors.__name__:
            found += [each, *all_errors(each)]
    return found


def environment() -> str:
    """Every variable that zoo reads."""
    foreign = {
        "HF_ENDPOINT": "Address of the Hub; default https://huggingface.co.",
        "HF_HUB_OFFLINE": "1 makes no network request, as ZOO_OFFLINE does.",
        "HF_TOKEN": "Token for private repositories; also the login of the `hf` command.",
        "RANK, LOCAL_RANK, WORLD_SIZE, LOCAL_WORLD_SIZE": "Set by torchrun: one process of many.",
        "XDG_CACHE_HOME, XDG_CONFIG_HOME": "Where `zoo/` lies if ZOO_CACHE or ZOO_CONFIG is unset.",
    }
    rows = [[f"`{name}`", text] for name, text in VARIABLES.items()]
    other = [[f"`{name.replace(', ', '`, `')}`", text] for name, text in foreign.items()]
    heads = ["variable", "meaning"]
    return "\n\n".join(
        [
            "# Environment variables",
            table(heads, rows),
            "## Of other programs",
            table(heads, other),
        ]
    )


def hooks() -> str:
    """Every hook with its arguments and an example."""
    rows = [[f"`{k}`", f"`{v.hook}()`", f"`{v.spec.__name__}`"] for k, v in KINDS.items()]
    parts = [
        "# Hooks",
        "A hook implementation is a function marked with `zoo.plugin.hookimpl`; it may take any "
        "subset of the hook's arguments. [Writing a plugin](../tutorial/write-a-plugin.md) shows "
        "them at work.",
        "## What a plugin brings",
        "Catalogue hooks are all of one shape: they take nothing, give records, and have no side "
        "effects. A plugin with a `registry.toml` needs none of them.",
        table(["kind", "hook", "gives any number of"], rows),
        *hook_pages(CatalogueHooks),
        "## What a plugin may do in a run",
        "`zoo_recipe_defaults` and `zoo_model_ready` influence the run: what they raise ends it. "
        "The others observe: one that fails is named once and muted, unless `--strict` is given. "
        "None is called inside a training step.",
        *hook_pages(RunHooks),
    ]
    return "\n\n".join(parts)


def hook_pages(group: type) -> list[str]:
    """A heading, a sentence and an example for every hook of a group."""
    parts = []
    for name, function in vars(group).items():
        if not name.startswith("zoo_"):
            continue
        arguments = ", ".join(n for n in inspect.signature(function).parameters if n != "self")
        text, _, example = str(inspect.getdoc(function)).partition("Example::")
        parts += [f"### {name}({arguments})", text.strip()]
        parts.append(block(textwrap.dedent(example), "python"))
    return parts


def registry_format() -> str:
    """Every key that a registry file may have."""
    parts = [
        "# registry.toml",
        "One format for the built-in catalogue, for plugins (`registry.toml` or `registry.json` "
        "beside the package) and for overlays (`registry.toml` in your configuration folder, then "
        "in the working directory, then the files of `ZOO_REGISTRY`; later ones win). An unknown "
        "key is an error that names the file, the entry and the key.",
        block(EXAMPLE, "toml"),
        "## Top level",
        table(
            ["key", "meaning"],
            [
                ["`schema`", "Version of this format: 1."],
                ["`[plugin]`", '`summary`, `api` (range, as `">=1,<2"`), `hooks` (module).'],
                ["`[input.NAME]`", 'A preset that `input = "NAME"` refers to.'],
                ["`[stages]`", 'Lists of stages by a name that `stages = "NAME"` refers to.'],
                *([f"`[[{kind}]]`", f"A {kind}."] for kind in KINDS),
                ["`[[known]]`", "A part of a plugin that may not be installed."],
                ["`[hub]`", "`endpoint`: address of an internal Hub; in overlays only."],
                [
                    "`[[pin]]`",
                    "A `hub:` reference held by `zoo lock`: `source`, `revision`, `file`, "
                    "`sha256`, `bytes`, `licence`.",
                ],
            ],
        ),
        "In an overlay, a `[[model]]` without `target` adds `weights` and a `recipe` to the model "
        "of that name; weights of a name that exists change only the keys that are given, and new "
        "ones come first, so that they are the default.",
        "## Every part",
        record(PartSpec, leave_out={"plugin"}),
    ]
    own = {f.name for f in dataclasses.fields(PartSpec)}
    for kind, (_, spec, _) in KINDS.items():
        parts += [f"## [[{kind}]]", " ".join(str(inspect.getdoc(spec)).split("\n\n")[0].split())]
        if {f.name for f in dataclasses.fields(spec)} - own:
            parts.append(record(spec, leave_out=own))
        if spec is ModelSpec:
            parts += ["### [[model.weights]]", record(WeightsSpec)]
            parts += ["### input", record(InputSpec)]
    parts += ["## [[known]]", record(Known)]
    assert {"patches", "known", "hub"} <= {f.name for f in dataclasses.fields(Manifest)}
    return "\n\n".join(parts)


EXAMPLE = """
schema = 1

[plugin]
summary = "Models for leaves"
api = ">=1,<2"

[input.small]
size = [3, 96, 96]
mean = [0.5, 0.5, 0.5]
std = [0.5, 0.5, 0.5]

[[model]]
name = "leafnet"
target = "zoo_leaf.models:leafnet"
head = "fc"
stages = [["stem", ["conv"]], ["body", ["block1", "block2"]]]
input = "small"
recipe = { "optim.lr" = 0.02 }

[[model.weights]]
name = "herbarium"
source = "hub:leaf/leafnet-herbarium"
file = "model.safetensors"
classes = 300
"""


def checkpoint() -> str:
    """What a checkpoint's metadata holds."""
    return "\n\n".join(
        [
            "# Checkpoint metadata",
            "A checkpoint is a safetensors file. Its header's `__metadata__` holds "
            '`{"format": "pt", "zoo": "<one JSON object>"}` with these keys. It is data: names, '
            "numbers and labels, never code or import paths.",
            record(CheckpointInfo),
        ]
    )


def record(spec: type, leave_out: typing.Container[str] = ()) -> str:
    """A table of a record's fields, described as its docstring does."""
    described = attributes(spec)
    hints = typing.get_type_hints(spec)
    rows = []
    for item in dataclasses.fields(spec):
        if item.name in leave_out:
            continue
        default = item.default if item.default is not dataclasses.MISSING else None
        needed = default is None and item.default_factory is dataclasses.MISSING
        needed = needed and item.default is dataclasses.MISSING
        rows.append(
            [f"`{item.name}`", words(hints[item.name]), "needed" if needed else show(default),
             described[item.name]]
        )  # fmt: skip
    return table(["key", "type", "default", "meaning"], rows)


def attributes(spec: type) -> dict[str, str]:
    """The ``Attributes:`` section of a docstring: name -> text, in Markdown."""
    text = str(inspect.getdoc(spec)).partition("Attributes:\n")[2]
    found: dict[str, str] = {}
    name = ""
    for line in textwrap.dedent(text).splitlines():
        match = re.match(r"(\w+): (.*)", line)
        if match:
            name = match[1]
            found[name] = match[2]
        elif line.strip() and name:
            found[name] += " " + line.strip()
    return {key: markdown(value) for key, value in found.items()}


def markdown(text: str) -> str:
    """Docstring markup to Markdown."""
    text = re.sub(r":\w+:`~?([^`]+)`", r"`\1`", text)
    return text.replace("``", "`")


def main(arguments: list[str]) -> int:
    """Write or check the pages; gives the exit code."""
    stale = []
    for name, text in pages().items():
        path = FOLDER / name
        if not path.is_file() or path.read_text("utf-8") != text:
            stale.append(name)
            if "--check" not in arguments:
                FOLDER.mkdir(exist_ok=True)
                path.write_text(text, "utf-8")
    print(f"{'stale' if '--check' in arguments else 'written'}: {', '.join(stale) or 'nothing'}")
    return int(bool(stale) and "--check" in arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
