"""Public things are described and typed; what takes or gives tensors says their shapes."""

import ast
import re

import pytest
from sources import definitions, functions, name_of, python_files, text, tree

from zoo import errors

FILES = [path for path in python_files() if text(path).strip()]
SHAPE = re.compile(
    r"\((?:[A-Z]\w*|\d+|\.\.\.|\*)?(?:\s*[,x*]\s*(?:[A-Z]\w*|\d+|\.\.\.|\*|[+*/ -])*)*\)"
    r"|``\([a-z, ]+\)``|shape"
)
"""``(N, C, H, W)``, ``(N,)``, ``()``, or words about a shape."""


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_every_module_says_what_it_is_for(path):
    assert ast.get_docstring(tree(path)), "a module starts with a docstring"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_everything_public_has_a_docstring(path):
    missing = [
        name
        for name, node, public in definitions(path)
        if public and ast.get_docstring(node) is None and not _is_overload(node)
    ]
    assert missing == []


def _is_overload(node):
    marks = {ast.unparse(mark) for mark in getattr(node, "decorator_list", [])}
    return bool(marks & {"overload", "typing.overload"})


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_every_function_is_annotated(path):
    missing = []
    for name, node, _ in functions(path):
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        arguments += [a for a in (node.args.vararg, node.args.kwarg) if a]
        bare = [a.arg for a in arguments if a.annotation is None and a.arg not in ("self", "cls")]
        if bare or node.returns is None:
            missing.append(f"{name}({', '.join(bare)}){'' if node.returns else ' -> ?'}")
    assert missing == []


TABLES = ("dict", "Mapping", "MutableMapping", "Iterable", "Iterator", "list", "Sequence")


def _speaks_of_tensors(annotation):
    """Whether an annotation means tensors themselves; a table of named tensors has any shapes."""
    if isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value) in TABLES:
        return False
    if isinstance(annotation, ast.Name | ast.Attribute):
        return ast.unparse(annotation) in ("Tensor", "torch.Tensor")
    return any(_speaks_of_tensors(part) for part in ast.iter_child_nodes(annotation))


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_public_functions_with_tensors_say_their_shapes(path):
    silent = []
    for name, node, public in functions(path):
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        said = [a.annotation for a in arguments] + [node.returns]
        tensors = any(_speaks_of_tensors(each) for each in said if each is not None)
        if public and tensors and not SHAPE.search(ast.get_docstring(node) or ""):
            silent.append(name)
    assert silent == []


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_raised_errors_are_documented(path):
    """A public function that raises a zoo error itself names it under Raises."""
    silent = []
    for name, node, public in functions(path):
        if not public or any("command" in ast.unparse(m) for m in node.decorator_list):
            continue  # a command's docstring is its help page
        doc = ast.get_docstring(node) or ""
        for part in ast.walk(node):
            if isinstance(part, ast.Raise) and isinstance(part.exc, ast.Call):
                error = ast.unparse(part.exc.func)
                if error in ERRORS and not told(error, doc):
                    silent.append(f"{name}: {error}")
    assert silent == []


def told(error, doc):
    """Whether a docstring names an error or what it is a kind of."""
    kind = getattr(errors, error)
    return any(parent.__name__ in doc for parent in kind.__mro__[:-3])


ERRORS = {name for name in vars(errors) if name.endswith("Error")}
