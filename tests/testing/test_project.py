"""A project's folder seen as an installed plugin, for as long as it is asked about."""

from __future__ import annotations

import sys

import pytest

from zoo.core import registry
from zoo.errors import UsageError
from zoo.testing.project import as_installed
from zoo.testing.scaffold import new_plugin


def test_it_is_there_inside_and_gone_outside(tmp_path, fresh):
    new_plugin("passing", ["loss"], tmp_path)
    before = list(sys.path)
    with as_installed(tmp_path) as names:
        assert names == ("passing",)
        assert "passing/confidence-penalty" in registry.load().shelf("loss")
    assert "passing/confidence-penalty" not in registry.load().shelf("loss")
    assert sys.path == before


def test_a_src_layout_is_found(tmp_path, fresh):
    new_plugin("passing", ["loss"], tmp_path)
    (tmp_path / "src").mkdir()
    (tmp_path / "zoo_passing").rename(tmp_path / "src" / "zoo_passing")
    with as_installed(tmp_path):
        assert "passing/confidence-penalty" in registry.load().shelf("loss")


def test_a_folder_wins_over_its_installed_copy_however_the_name_is_written(tmp_path, site):
    site.manifest("passing", "[[loss]]\nname = 'old'\ntarget = 'm:x'\n")
    folder = tmp_path / "project"
    new_plugin("passing", ["loss"], folder)
    text = (folder / "pyproject.toml").read_text()
    (folder / "pyproject.toml").write_text(text.replace('"zoo-passing"', '"Zoo.Passing"', 1))
    with as_installed(folder):
        (info,) = [info for info in registry.load().plugins if info.name == "passing"]
        assert (info.state, info.error) == ("ok", "")
        assert "passing/confidence-penalty" in registry.load().shelf("loss")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "cannot read"),
        ("[project", "pyproject.toml"),
        ("[project]\nname = 'x'\n", "names no zoo plugin"),
    ],
)
def test_what_is_no_plugin_is_refused(text, reason, tmp_path):
    if text is not None:
        (tmp_path / "pyproject.toml").write_text(text)
    with pytest.raises(UsageError, match=reason), as_installed(tmp_path):
        pass
