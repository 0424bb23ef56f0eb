"""Tests mirror the code one to one: ``zoo/core/names.py`` and ``tests/core/test_names.py``."""

import ast

import pytest
from sources import PLUGINS, ROOT, ZOO, name_of, python_files, text, tree

TESTS = ROOT / "tests"
ROOMS = sorted(path.name for path in ZOO.iterdir() if path.is_dir() and path.name[0] != "_")
WITHOUT_OWN_TEST = {
    "zoo/__main__.py": "tests/cli/test_main.py starts every process through it",
}
TESTS_OF_SOMETHING_ELSE = {
    "tests/hub/test_loopback_hub.py": "the make-believe Hub is held to its own tests",
}


def has_code(path):
    """Whether a file does more than describe and re-export."""
    return any(
        not isinstance(node, ast.Expr | ast.Import | ast.ImportFrom)
        and not (isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__")
        for node in tree(path).body
    )


def test_of(path):
    """Where the test of a module lies."""
    stem = "init" if path.stem == "__init__" else path.stem
    if path.is_relative_to(ZOO):
        inner = path.relative_to(ZOO).parent
        return TESTS / inner / f"test_{stem}.py"
    tests = PLUGINS / path.relative_to(PLUGINS).parts[0] / "tests"
    own = tests / f"test_{stem}.py"
    return own if own.is_file() else tests / "test_contract.py"  # asks about every part


test_of.__test__ = False
MODULES = [
    path for path in python_files() if has_code(path) and name_of(path) not in WITHOUT_OWN_TEST
]


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_every_module_has_a_test_of_its_name(path):
    expected = test_of(path)
    assert expected.is_file(), f"write {name_of(expected)}"
    assert "def test_" in text(expected) or "test_contract" in text(expected)


@pytest.mark.parametrize("room", ROOMS)
def test_every_test_of_a_room_has_a_module_of_its_name(room):
    strangers = []
    for path in sorted((TESTS / room).rglob("test_*.py")):
        stem = path.stem.removeprefix("test_")
        module = (
            ZOO / path.relative_to(TESTS).parent / f"{'__init__' if stem == 'init' else stem}.py"
        )
        if not module.is_file() and name_of(path) not in TESTS_OF_SOMETHING_ELSE:
            strangers.append(name_of(path))
    assert strangers == []


def test_no_test_folder_is_a_package():
    assert [name_of(path) for path in TESTS.rglob("__init__.py")] == []


def test_no_test_is_empty():
    """A test asserts, expects an error, or calls something that does."""
    empty = []
    for path in sorted(TESTS.rglob("test_*.py")):
        for node in ast.walk(ast.parse(text(path))):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                body = [
                    n
                    for n in node.body
                    if not isinstance(n, ast.Expr | ast.Pass)
                    or isinstance(getattr(n, "value", None), ast.Call)
                ]
                if not body:
                    empty.append(f"{name_of(path)}: {node.name}")
    assert empty == []


def test_no_assert_is_always_true():
    always = [
        f"{name_of(path)}:{node.lineno}"
        for path in sorted(TESTS.rglob("test_*.py"))
        for node in ast.walk(ast.parse(text(path)))
        if isinstance(node, ast.Assert) and isinstance(node.test, ast.Constant | ast.Tuple)
    ]
    assert always == []
