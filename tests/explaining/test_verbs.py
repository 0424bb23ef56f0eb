"""zoo.explain and zoo.embed, as Python calls them."""

import pytest

import zoo
from zoo.errors import DataError, UsageError


def test_looks_by_name_or_by_what_was_loaded(finished_run, photos, tmp_path):
    image = photos / "dark" / "3.png"
    (one,) = zoo.explain(finished_run, [image], device="cpu", out=tmp_path / "maps")
    (same,) = zoo.explain(zoo.load(finished_run), [str(image)], device="cpu", label=one.label)
    (named,) = zoo.explain(finished_run.name, [image], device="cpu", runs=str(finished_run.parent))
    assert one.file == tmp_path / "maps" / "3.png"
    assert one.file.is_file()
    assert same.file is None
    assert one.heat.equal(same.heat)
    assert one.heat.equal(named.heat)


def test_vectors_and_neighbours(finished_run, photos, tmp_path):
    image = photos / "dark" / "3.png"
    found = zoo.embed(
        finished_run, [photos], device="cpu", out=tmp_path / "e.csv", like=image, top=4
    )
    assert found.vectors.shape == (24, 84)
    assert found.file == tmp_path / "e.csv"
    assert len(found.nearest) == 4
    assert {one.label for one in found.nearest} == {"dark"}
    assert str(image) not in {one.image for one in found.nearest}
    assert zoo.embed(finished_run, [image], device="cpu").nearest == ()


def test_nothing_is_made_of_nothing(finished_run):
    for verb in (zoo.explain, zoo.embed):
        with pytest.raises(UsageError, match="no images were given"):
            verb(finished_run, [])


def test_what_cannot_be_is_said_before_anything_is_read(tmp_path):
    with pytest.raises(UsageError, match=r"not to 'e\.npy'"):
        zoo.embed("no-such-run", ["x.png"], out=tmp_path / "e.npy")
    with pytest.raises(DataError, match="is a folder"):
        zoo.embed("no-such-run", ["x.png"], like=tmp_path)
