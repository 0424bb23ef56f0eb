"""Documentation that cannot rot: pages say what the code says, commands parse, links lead on."""

import ast
import importlib.util
import re
import shlex

import click
import pytest
from sources import ROOT

from zoo.cli.main import COMMANDS
from zoo.cli.main import zoo as group
from zoo.core.compose import compose, read_recipe
from zoo.core.fields import fields
from zoo.core.flags import KEYWORDS
from zoo.core.hookspecs import KINDS, RUN_HOOKS
from zoo.core.settings import VARIABLES

DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), ROOT / "README.md", *ROOT.glob("plugins/*/README.md")])
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def name_of(path):
    return path.relative_to(ROOT).as_posix()


def generator():
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


GENERATED = generator().pages()


@pytest.mark.parametrize("name", GENERATED)
def test_a_generated_page_says_what_the_code_says(name):
    stored = (DOCS / "reference" / name).read_text("utf-8")
    assert stored == GENERATED[name], "run: python docs/generate.py"


def test_every_command_and_flag_is_on_its_page():
    page = GENERATED["cli.md"]
    for section in COMMANDS.values():
        for name in section:
            assert f"### zoo {name}\n" in page
    for keyword in KEYWORDS:
        assert f"--{keyword.replace('_', '-')}" in page


def test_every_field_hook_variable_and_kind_is_on_its_page():
    for key in fields():
        assert f"| `{key}` |" in GENERATED["recipe.md"]
    for hook in (*RUN_HOOKS, *(kind.hook for kind in KINDS.values())):
        assert f"### {hook}(" in GENERATED["hooks.md"]
    for name in VARIABLES:
        assert f"| `{name}` |" in GENERATED["environment.md"]
    for kind in KINDS:
        assert f"## [[{kind}]]" in GENERATED["registry-format.md"]


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_links_lead_somewhere(path):
    text = FENCE.sub("", path.read_text("utf-8"))
    lost = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"\w+:", target):
            continue
        file, _, anchor = target.partition("#")
        found = (path.parent / file).resolve() if file else path
        if not found.exists() or (anchor and anchor not in anchors(found)):
            lost.append(target)
    assert lost == []


def anchors(path):
    """The anchors that GitHub makes from headings."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", path.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_a_page_has_one_title(path):
    text = FENCE.sub("", path.read_text("utf-8"))
    assert len(re.findall(r"^# ", text, re.MULTILINE)) == 1


def test_the_index_names_every_page():
    index = (DOCS / "README.md").read_text("utf-8")
    for path in DOCS.rglob("*.md"):
        if path != DOCS / "README.md":
            assert f"]({path.relative_to(DOCS).as_posix()})" in index, (
                f"{name_of(path)} is not linked"
            )


def command_lines():
    """``(page, zoo line)`` of every console block; continued lines are joined."""
    for path in PAGES:
        if path.name in GENERATED or path.name == "CHANGELOG.md":
            continue
        for language, block in FENCE.findall(path.read_text("utf-8")):
            joined = block.replace("\\\n", " ")
            for raw in joined.splitlines():
                line = raw.strip()
                if language in ("bash", "sh") or (language == "console" and line.startswith("$ ")):
                    yield from ((path, piece) for piece in zoo_pieces(line.removeprefix("$ ")))


def zoo_pieces(line):
    """The zoo commands of a shell line."""
    for piece in re.split(r"&&|\|\||[|;]", line):
        words = shlex.split(piece, comments=True)
        while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
            words = words[1:]
        if "-m" in words and words[words.index("-m") + 1 :][:1] == ["zoo"]:
            yield words[words.index("-m") + 2 :]
        elif words and (words[0] == "zoo" or words[0].endswith("/zoo")):
            yield words[1:]


LINES = list(command_lines())


def test_there_are_commands_to_look_at():
    assert len(LINES) > 30


@pytest.mark.parametrize(
    ("path", "words"), LINES, ids=[f"{name_of(p)}: zoo {' '.join(w)}" for p, w in LINES]
)
def test_every_command_in_the_docs_parses(path, words, fresh):
    """Names, flags and values of flags exist; placeholders in capitals stand for arguments."""
    words = [w for w in words if w != "..."]
    context = click.Context(group, info_name="zoo")
    while words and words[0] in ("--offline", "--debug"):
        words = words[1:]
    command = group
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.get_command(context, words[0])
        if found is None and words[0].isupper():
            return
        assert found is not None, f"no command {words[0]!r}"
        command, words = found, words[1:]
    context.params = {}
    if command is not group or words:
        with click.Context(command, info_name="x", help_option_names=["-h", "--help"]) as inner:
            command.parse_args(inner, words) if "--help" not in words else None


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_python_in_the_docs_compiles_and_uses_what_is_there(path):
    import zoo

    for language, block in FENCE.findall(path.read_text("utf-8")):
        if language in ("python", "py"):
            tree = ast.parse(block)
            for node in ast.walk(tree):
                if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "zoo":
                    assert node.attr in zoo.__all__, f"zoo.{node.attr}"
                if isinstance(node, ast.ImportFrom) and node.module == "zoo.plugin":
                    import zoo.plugin

                    assert {a.name for a in node.names} <= set(zoo.plugin.__all__)


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_recipes_in_the_docs_are_recipes(path, tmp_path):
    import tomllib

    for language, block in FENCE.findall(path.read_text("utf-8")):
        if language != "toml":
            continue
        table = tomllib.loads(block)
        if "verb" in table:
            file = tmp_path / "recipe.toml"
            file.write_text(block)
            verb, layer = read_recipe(file)
            compose(verb, [("docs", layer)])


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_registry_files_in_the_docs_are_registry_files(path, tmp_path):
    import tomllib

    from zoo.core import manifest

    for language, block in FENCE.findall(path.read_text("utf-8")):
        table = tomllib.loads(block) if language == "toml" else {}
        # of a recipe, or [[model.weights]] alone
        fragment = any(isinstance(table.get(kind), dict) for kind in KINDS)
        if not fragment and set(table) & {*KINDS, "known", "hub"}:
            file = tmp_path / "registry.toml"
            file.write_text(block if "schema" in table else f"schema = 1\n{block}")
            manifest.read(file, patches=True)


@pytest.mark.parametrize("name", [*RUN_HOOKS, *(kind.hook for kind in KINDS.values())])
def test_every_hook_has_a_test(name):
    tests = [p for p in (ROOT / "tests").rglob("test_*.py") if "house" not in p.parts]
    assert any(name in path.read_text("utf-8") for path in tests), f"no test speaks of {name}"


@pytest.mark.parametrize("name", VARIABLES)
def test_every_variable_has_a_test(name):
    tests = [p for p in (ROOT / "tests").rglob("*.py") if "house" not in p.parts]
    assert any(name in path.read_text("utf-8") for path in tests), f"no test speaks of {name}"


def test_the_changelog_has_the_usual_sections():
    import tomllib

    text = (DOCS / "CHANGELOG.md").read_text("utf-8")
    versions = re.findall(r"^## \[(.+)\]", text, re.MULTILINE)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert versions[0] == "Unreleased"
    assert project["version"] in versions
    sections = set(re.findall(r"^### (.+)$", text, re.MULTILINE))
    assert sections <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_contributing_fits_one_screen():
    lines = (DOCS / "CONTRIBUTING.md").read_text("utf-8").splitlines()
    assert len(lines) <= 40
    assert sum(line.startswith("$ ") for line in lines) == 4


def test_lines_of_hand_written_pages_fit():
    """About 100 columns; tables, links and commands may be longer."""
    for path in PAGES:
        inside = False
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            inside ^= line.startswith("```")
            free = inside or line[:1] in "|`<[" or "](" in line
            assert free or len(line) <= 108, f"{name_of(path)}:{number}"
