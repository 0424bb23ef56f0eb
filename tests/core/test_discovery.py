import sys

import pytest

from zoo.core import discovery


def found(*names):
    return [p for p in discovery.find() if p.name in names]


@pytest.mark.parametrize("way", ["path", "metadata"])
def test_both_ways_find_the_same(site, monkeypatch, way):
    site.install("leaf", version="2.1")
    site.install("acorn", entry="zoo_acorn.sub:thing", distribution="zoo-oak")
    monkeypatch.setenv("ZOO_DISCOVERY", way)
    assert found("leaf", "acorn") == [
        discovery.EntryPoint("acorn", "zoo_acorn.sub:thing", "zoo-oak", "1.0"),
        discovery.EntryPoint("leaf", "zoo_leaf", "zoo-leaf", "2.1"),
    ]


def test_nothing_is_imported(site):
    site.install("leaf", {"zoo_leaf/__init__.py": "raise RuntimeError"})
    assert found("leaf")
    assert "zoo_leaf" not in sys.modules


def test_a_distribution_that_lies_there_twice_counts_once(site, tmp_path, monkeypatch):
    site.install("leaf", version="1.0")
    other = tmp_path / "other"
    (other / "zoo_leaf-0.9.dist-info").mkdir(parents=True)
    (other / "zoo_leaf-0.9.dist-info" / "entry_points.txt").write_text("[zoo]\nleaf = old\n")
    monkeypatch.setattr(sys, "path", [*sys.path, str(other)])
    assert [(p.target, p.version) for p in found("leaf")] == [("zoo_leaf", "1.0")]


def test_two_distributions_with_one_name_are_both_found(site):
    site.install("leaf")
    site.install("leaf", distribution="zoo-leaf-copy")
    assert [p.distribution for p in found("leaf")] == ["zoo-leaf", "zoo-leaf-copy"]


def test_other_groups_comments_and_extras_are_read_as_pip_reads_them(site):
    info = site.install("leaf")
    (info / "entry_points.txt").write_text(
        "# a comment\n[console_scripts]\nleaf = no:no\n\n[zoo]\n leaf = zoo_leaf [gpu]  # why\n"
        "broken line\n[other]\nleaf = no\n"
    )
    assert [p.target for p in found("leaf")] == ["zoo_leaf"]


def test_what_cannot_be_read_is_left_out(site, monkeypatch, tmp_path):
    site.install("leaf")
    info = site.install("moss")
    (info / "entry_points.txt").write_bytes(b"[zoo]\nmoss = \xff\xfe")
    (site.path / "bare-1.0.dist-info").mkdir()
    (tmp_path / "x.zip").write_bytes(b"PK")
    monkeypatch.setattr(sys, "path", [str(tmp_path / "gone"), str(tmp_path / "x.zip"), *sys.path])
    assert [p.name for p in found("leaf", "moss")] == ["leaf"]


def test_an_egg_link_counts(site):
    info = site.path / "zoo_old-0.1.egg-info"
    info.mkdir()
    (info / "entry_points.txt").write_text("[zoo]\nold = zoo_old\n")
    assert found("old") == [discovery.EntryPoint("old", "zoo_old", "zoo-old", "0.1")]


def test_the_working_directory_counts_as_the_empty_path_entry(site, monkeypatch):
    site.install("leaf")
    monkeypatch.chdir(site.path)
    monkeypatch.setattr(sys, "path", [""])
    assert found("leaf")


@pytest.mark.parametrize("file", discovery.MANIFESTS)
def test_a_manifest_is_found_without_importing(site, file):
    site.install("leaf", {"zoo_leaf/__init__.py": "raise RuntimeError", f"zoo_leaf/{file}": ""})
    assert discovery.manifest_of("zoo_leaf") == site.path / "zoo_leaf" / file
    assert "zoo_leaf" not in sys.modules


def test_json_wins_over_toml(site):
    site.install("leaf", {f"zoo_leaf/{f}": "" for f in ("registry.toml", "registry.json")})
    assert discovery.manifest_of("zoo_leaf").name == "registry.json"


def test_a_manifest_in_a_package_inside_a_package(site):
    site.install("leaf", {"zoo_leaf/__init__.py": "", "zoo_leaf/deep/registry.toml": ""})
    assert discovery.manifest_of("zoo_leaf.deep").parent.name == "deep"
    assert discovery.manifest_of("zoo_leaf") is None


@pytest.mark.parametrize("target", ["zoo_leaf:plugin", "no_such_package", "json.decoder", "sys"])
def test_code_has_no_manifest(target):
    assert discovery.manifest_of(target) is None


def test_a_distribution_has_one_name_however_it_is_written(site):
    site.install("mine", distribution="Zoo.Mine", entry="zoo_mine")
    assert [p.distribution for p in discovery.find() if p.name == "mine"] == ["zoo-mine"]
