"""The project's own source files, parsed once: what the house rules read."""

import ast
import functools
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ZOO = ROOT / "zoo"
PLUGINS = ROOT / "plugins"


def python_files():
    """Every module of zoo and of the first-party plugins, tests left out."""
    own = list(ZOO.rglob("*.py"))
    theirs = list(PLUGINS.glob("*/zoo_*/**/*.py"))
    return sorted(own + theirs)


def name_of(path):
    """How messages name a file."""
    return path.relative_to(ROOT).as_posix()


@functools.cache
def text(path):
    """A file's text."""
    return path.read_text("utf-8")


@functools.cache
def tree(path):
    """A file's syntax tree."""
    return ast.parse(text(path), str(path))


def definitions(path):
    """``(dotted name, node, public)`` of every function and class, the nested ones included."""

    def walk(node, prefix, public, inside_function):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                open_name = not child.name.startswith("_")
                shown = public and open_name and not inside_function
                name = f"{prefix}{child.name}"
                yield name, child, shown
                function = inside_function or not isinstance(child, ast.ClassDef)
                yield from walk(child, f"{name}.", public and open_name, function)
            else:
                yield from walk(child, prefix, public, inside_function)

    yield from walk(tree(path), "", True, False)


def functions(path):
    """As :func:`definitions`, functions only."""
    for name, node, public in definitions(path):
        if not isinstance(node, ast.ClassDef):
            yield name, node, public


def length(node):
    """Lines of a function without its docstring and decorators."""
    doc = node.body[0] if ast.get_docstring(node, clean=False) is not None else None
    return node.end_lineno - node.lineno + 1 - (doc.end_lineno - doc.lineno + 1 if doc else 0)


def calls(path):
    """``(dotted name of what is called, node)`` of every call."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node
