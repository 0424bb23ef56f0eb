import subprocess

import torch

import zoo
from zoo.engine.provenance import git_state, versions


def git(folder, *args):
    subprocess.run(
        ["git", "-c", "user.name=x", "-c", "user.email=x@example.org", *args],
        cwd=folder, check=True, capture_output=True,
    )  # fmt: skip


def test_versions_name_what_the_run_stands_on(site, fresh):
    site.code("leaf", "")
    site.code("bad", "1 / 0")
    found = versions(fresh())
    assert found["zoo"] == zoo.__version__
    assert found["torch"] == torch.__version__
    assert found["plugin leaf"] == "1.0"
    assert "plugin bad" not in found
    assert all(isinstance(value, str) for value in found.values())


def test_the_repository_is_told_by_commit_and_cleanliness(tmp_path):
    git(tmp_path, "init", "-q")
    (tmp_path / "a").write_text("1")
    git(tmp_path, "add", "a")
    git(tmp_path, "commit", "-qm", "one")
    found = git_state(tmp_path)
    assert len(found["commit"]) == 40
    assert found["dirty"] is False
    (tmp_path / "new").write_text("not tracked")
    assert git_state(tmp_path)["dirty"] is False
    (tmp_path / "a").write_text("2")
    assert git_state(tmp_path) == {"commit": found["commit"], "dirty": True}


def test_no_repository_and_no_git_say_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git_state(tmp_path) == {}
    assert git_state(tmp_path / "gone") == {}
    monkeypatch.setenv("PATH", "")
    assert git_state(tmp_path) == {}
