"""What no file of the library may do."""

import ast
import re

import pytest
from sources import ZOO, calls, definitions, name_of, python_files, text, tree

from zoo.core.settings import VARIABLES

FILES = python_files()
LIBRARY = [path for path in FILES if not path.is_relative_to(ZOO / "cli")]
RUNS_CODE = {
    "eval",
    "exec",
    "compile",
    "__import__",
    "pickle.load",
    "pickle.loads",
    "marshal.loads",
}
LEAVES = {"sys.exit", "exit", "quit", "os._exit", "os.abort"}


def where(path, node):
    return f"{name_of(path)}:{node.lineno}"


def called(files, names):
    return [
        f"{where(path, node)} {name}"
        for path in files
        for name, node in calls(path)
        if name in names
    ]


def test_no_data_becomes_code():
    assert called(FILES, RUNS_CODE) == []


def test_torch_load_always_says_weights_only():
    for path in FILES:
        for name, node in calls(path):
            if name == "torch.load":
                said = {k.arg: ast.unparse(k.value) for k in node.keywords}
                assert said.get("weights_only") == "True", where(path, node)
    assert not [
        name_of(path) for path in FILES if re.search(r"weights_only\s*=\s*False", text(path))
    ]


def test_nothing_imports_pickle_and_its_relatives():
    banned = {"pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
    found = [
        f"{where(path, node)} {name}"
        for path in FILES
        for node, name in imports(path)
        if name.partition(".")[0] in banned
    ]
    assert [f for f in found if not f.startswith(tuple(ALLOWED_PICKLE))] == []


ALLOWED_PICKLE = {
    "zoo/hub/convert.py": "catches pickle.UnpicklingError of torch.load(weights_only=True)",
}


def imports(path):
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from ((node, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node, node.module


def test_the_library_never_prints_nor_leaves():
    assert called(LIBRARY, {"print", "input"}) == []
    guarded = {where(p, n) for p in LIBRARY for n in as_script(p)}
    assert [c for c in called(LIBRARY, LEAVES) if c.partition(" ")[0] not in guarded] == []
    found = [
        where(path, node)
        for path in LIBRARY
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Attribute)
        and ast.unparse(node) in ("sys.stdout.write", "sys.stderr.write")
    ]
    assert found == []


def as_script(path):
    """Nodes below ``if __name__ == "__main__"``."""
    for node in tree(path).body:
        if isinstance(node, ast.If) and "__main__" in ast.unparse(node.test):
            yield from (n for n in ast.walk(node) if hasattr(n, "lineno"))


def test_the_command_line_prints_through_one_sink():
    cli = [path for path in FILES if path.is_relative_to(ZOO / "cli")]
    assert called(cli, {"print", "click.secho"}) == []
    echoes = called(cli, {"click.echo"})
    assert all(line.startswith("zoo/cli/main.py") for line in echoes), echoes


def test_only_the_command_line_knows_click_and_rich():
    found = [
        f"{where(path, node)} {name}"
        for path in LIBRARY
        for node, name in imports(path)
        if name.partition(".")[0] in ("click", "rich")
    ]
    allowed = {"zoo/testing/data_checks.py": "asks whether a plugin's command is a click command"}
    allowed["zoo/testing/plugin_checks.py"] = allowed["zoo/testing/data_checks.py"]
    assert [f for f in found if f.partition(":")[0] not in allowed] == []


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_file_is_named_for_what_it_does(path):
    vague = {"utils", "util", "helpers", "helper", "misc", "common", "base", "stuff"}
    assert path.stem.strip("_") not in vague
    assert path.parent.name not in vague


def test_no_mixins_and_no_todos():
    classes = [
        f"{where(path, node)} {name}"
        for path in FILES
        for name, node, _ in definitions(path)
        if isinstance(node, ast.ClassDef) and "mixin" in name.lower()
    ]
    assert classes == []
    marks = re.compile(r"#\s*(TODO|FIXME|XXX|HACK)\b")
    assert [name_of(path) for path in FILES if marks.search(text(path))] == []


def test_every_environment_variable_is_in_the_one_table():
    """Nothing else of zoo's own is read; other programs' variables are named here."""
    foreign = {
        "HF_DATASETS_CACHE", "HF_ENDPOINT", "HF_HOME", "HF_HUB_OFFLINE", "HF_HUB_CACHE", "HF_TOKEN",
        "GOMP_SPINCOUNT", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR",
        "MASTER_PORT", "OMP_NUM_THREADS", "TORCH_HOME", "TORCHELASTIC_RESTART_COUNT", "TORCHELASTIC_RUN_ID",
        "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_RUN_ID", "MLFLOW_TRACKING_URI", "NETRC",
        "WANDB_CACHE_DIR", "WANDB_DIR", "WANDB_MODE",
    }  # fmt: skip
    known = {*VARIABLES, *foreign}
    strange = [
        f"{name_of(path)}: {name}"
        for path in FILES
        for name in sorted(variables_read(path))
        if name not in known
    ]
    assert strange == []


def variables_read(path):
    """Constant names given to os.environ[...], os.environ.get and os.getenv, and ZOO_* texts."""
    readers = ("os.environ.get", "os.getenv", "environ.get")
    for node in ast.walk(tree(path)):
        name = None
        if isinstance(node, ast.Call) and node.args and ast.unparse(node.func) in readers:
            name = node.args[0]
        elif isinstance(node, ast.Subscript) and ast.unparse(node.value).endswith("environ"):
            name = node.slice
        elif isinstance(node, ast.Constant) and re.fullmatch(r"ZOO_[A-Z_]+", str(node.value)):
            name = node
        if isinstance(name, ast.Constant) and name.value != "ZOO_API":
            yield name.value


def test_every_variable_in_the_table_is_read_somewhere():
    read = {name for path in FILES for name in variables_read(path)}
    assert set(VARIABLES) <= read


def parents_of(node):
    """Names of a class's bases, type arguments left out; ``pytest.Item`` keeps its module."""
    return [ast.unparse(base).partition("[")[0] for base in node.bases]


def test_classes_are_abstract_or_final():
    """No class of ours inherits from a concrete class of ours: records and errors excepted."""
    ours = {
        node.name: (path, node)
        for path in FILES
        for _, node, _ in definitions(path)
        if isinstance(node, ast.ClassDef)
    }
    allowed = {"PartSpec", "ZooError", "UsageError", "HubError", "DataError", "CheckpointError"}
    found = [
        f"{name_of(path)}: {name}({parent})"
        for name, (path, node) in ours.items()
        for parent in parents_of(node)
        if parent in ours and parent not in allowed and not is_abstract(parent, ours)
    ]
    assert found == []


def is_abstract(name, ours):
    """Declared so (ABC, Protocol), or a private class on the way from there to the final ones."""
    parents = parents_of(ours[name][1])
    if {"Protocol", "ABC", "NamedTuple"} & set(parents):
        return True
    return name.startswith("_") and any(p in ours and is_abstract(p, ours) for p in parents)
