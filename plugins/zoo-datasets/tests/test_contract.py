"""Everything that zoo asks of a plugin; what is listed costs neither torch nor the library."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from zoo.testing import plugin_contract

HERE = Path(tempfile.gettempdir(), f"zoo-datasets-contract-{os.getpid()}")
OPTIONS = {
    "parquet": {"files": str(HERE / "shards")},
    "webdataset": {"files": str(HERE / "tars"), "names": "blue,green,red"},
    "saved": {"folder": str(HERE / "saved")},
}
test_contract = plugin_contract(
    "datasets", roots={name: str(HERE / "root") for name in OPTIONS}, options=OPTIONS
)


@pytest.fixture(scope="module", autouse=True)
def files(written):
    shutil.copytree(written, HERE)
    yield
    shutil.rmtree(HERE)


def test_importing_the_plugin_costs_nothing():
    probe = (
        "import sys, zoo_datasets, zoo_datasets.parts; "
        "print([m for m in ('torch', 'datasets', 'pyarrow', 'huggingface_hub') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_listing_does_not_need_the_library():
    probe = """
import sys
from importlib import metadata
sys.modules.update(datasets=None, pyarrow=None)
version = metadata.version
def without(name):
    if name == "datasets":
        raise metadata.PackageNotFoundError(name)
    return version(name)
metadata.version = without
from zoo.cli.main import run
sys.exit(run(sys.argv[1:]))
"""

    def zoo(*argv):
        command = [sys.executable, "-c", probe, *argv]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    listed = json.loads(zoo("list", "--kind", "dataset", "--plugin", "datasets", "--json").stdout)
    assert {row["name"] for row in listed} == {"hub", "parquet", "saved", "webdataset"}
    assert "repo=" in zoo("info", "datasets/hub").stdout
    folder = ("--data-option", f"folder={HERE / 'saved'}")
    opened = zoo("doctor", "datasets/saved", *folder)
    assert opened.returncode == 4, opened.stderr
    assert "hint: pip install 'datasets>=4'" in opened.stderr
