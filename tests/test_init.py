import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import zoo

ROOT = Path(zoo.__file__).resolve().parents[1]
TREE = ast.parse(Path(zoo.__file__).read_text("utf-8"))


def for_type_checkers():
    """Name -> module, as the imports under TYPE_CHECKING say."""
    (block,) = [
        n for n in TREE.body if isinstance(n, ast.If) and "TYPE_CHECKING" in ast.unparse(n.test)
    ]
    return {a.asname or a.name: n.module for n in block.body for a in n.names}


def test_the_lazy_table_is_what_type_checkers_see():
    assert for_type_checkers() == zoo._LAZY


def test_all_is_the_table_and_the_version():
    assert sorted(zoo.__all__) == sorted([*zoo._LAZY, "__version__"])
    assert dir(zoo) == sorted(zoo.__all__)


@pytest.mark.parametrize("name", zoo._LAZY)
def test_every_public_name_is_there_and_described(name):
    found = getattr(zoo, name)
    assert found is getattr(zoo, name)
    assert found.__doc__
    assert found.__module__ == zoo._LAZY[name]


def test_no_room_has_the_name_of_a_verb():
    """Importing a room binds its name to the package: it would take the verb's place."""
    rooms = {path.stem for path in (ROOT / "zoo").iterdir()}
    assert not rooms & set(zoo._LAZY)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'nope'"):
        _ = zoo.nope


def test_looking_and_listing_need_no_torch():
    code = "import sys, zoo; zoo.list_models('resnet*'); zoo.model_info('resnet18'); dir(zoo)"
    code += "; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_the_version_is_the_distributions():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert zoo.__version__ == project["version"]


def test_the_package_is_typed():
    assert (ROOT / "zoo" / "py.typed").is_file()


def test_python_dash_m_is_the_command():
    done = subprocess.run(
        [sys.executable, "-m", "zoo", "--version"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    assert done.stdout.startswith("zoo, version ")
