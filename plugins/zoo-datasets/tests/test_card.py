"""A card says which files a configuration has; one alone is shown to the library."""

from __future__ import annotations

import pytest
import yaml

from zoo.errors import UsageError
from zoo_datasets.card import Wanted, alone, choose

CONFIGS = """---
configs:
- config_name: small
  data_files: small/*.parquet
- config_name: large
  data_dir: big
- config_name: both
  data_files:
  - split: train
    path: ["small/*", "**/0.parquet"]
---
"""
NAMES = ["README.md", "big/a/0.parquet", "small/0.parquet", "small/1.parquet", "x/0.parquet"]


@pytest.mark.parametrize(
    ("config", "files"),
    [
        ("small", ["small/0.parquet", "small/1.parquet"]),
        ("large", ["big/a/0.parquet"]),
        ("both", NAMES[1:]),
    ],
)
def test_the_files_of_a_configuration(tmp_path, config, files):
    (tmp_path / "README.md").write_text(CONFIGS)
    assert choose(NAMES, Wanted("a/b", config, ""), tmp_path) == files


def test_several_configurations(tmp_path):
    (tmp_path / "README.md").write_text(CONFIGS)
    with pytest.raises(
        UsageError, match="has several configurations: small, large, both"
    ) as raised:
        choose(NAMES, Wanted("a/b", "", ""), tmp_path)
    assert raised.value.hint == "--data-option config=small"
    (tmp_path / ".huggingface.yaml").write_text(
        "configs:\n- {config_name: s, data_files: small/0*, default: true}\n- {config_name: t}\n"
    )
    assert choose(NAMES, Wanted("a/b", "", ""), tmp_path) == ["small/0.parquet"]


@pytest.mark.parametrize(
    "card", ["", "no front matter", "---\n- [\n---\n", "---\nconfigs: 3\n---\n"]
)
def test_a_card_that_says_nothing(tmp_path, card):
    (tmp_path / "README.md").write_text(card)
    assert choose(NAMES, Wanted("a/b", "", ""), tmp_path) == NAMES[1:]


def test_a_configuration_alone(tmp_path):
    """Links to the files that are here, and a card that names no others."""
    folder, view = tmp_path / "folder", tmp_path / "view"
    (folder / "small").mkdir(parents=True)
    (folder / "small" / "0.parquet").write_bytes(b"x")
    info = "dataset_info:\n- {config_name: small, license: a}\n- {config_name: large, license: b}\n"
    (folder / "README.md").write_text(CONFIGS.replace("configs:", f"{info}configs:"))
    files = ["README.md", "small/0.parquet"]
    for _ in range(2):
        assert alone(folder, Wanted("a/b", "small", ""), view, files) == view
        assert (view / "small" / "0.parquet").read_bytes() == b"x"
        said = yaml.safe_load((view / "README.md").read_text().split("---\n")[1])
        assert [each["config_name"] for each in said["configs"]] == ["small"]
        assert said["dataset_info"]["license"] == "a"
    moved = tmp_path / "moved"
    moved.mkdir()
    folder.rename(moved / "folder")
    view.rename(moved / "view")
    assert (moved / "view" / "small" / "0.parquet").read_bytes() == b"x"


@pytest.mark.parametrize("card", ["", "---\nconfigs:\n- {config_name: default}\n---\n"])
def test_one_configuration_is_alone_already(tmp_path, card):
    (tmp_path / "README.md").write_text(card)
    assert alone(tmp_path, Wanted("a/b", "", ""), tmp_path / "view", []) == tmp_path
