"""zoo.engine.preview: the images that training will be shown, drawn as the run draws them."""

import pytest
import torch
from pictures import folder, jpeg, png, put
from starts import overlay

from zoo.core import registry
from zoo.core.request import request
from zoo.engine.assemble import assemble, early_place, freeze_model
from zoo.engine.parts import build
from zoo.engine.plan import open_recipe_data
from zoo.engine.preview import look_ahead, spread
from zoo.engine.processes.distributed import ALONE
from zoo.engine.start.weights import find_start
from zoo.errors import DataError, FreezeError, HubError

QUICK = {
    "weights": "none", "workers": 0, "threads": 1, "precision": "fp32", "device": "cpu",
    "batch_size": 4,
}  # fmt: skip
BEHIND = {"freeze_upto": "layer3", "allow_random_frozen": True}


@pytest.fixture
def photos(tmp_path):
    return str(folder(tmp_path / "photos", ["cat", "dog", "owl"], each=5))


def recipe_of(model="resnet18", verb="finetune", **values):
    return request(verb, model, {**QUICK, **values}, registry=registry.load()).recipe


def look(*args, **values):
    return look_ahead(recipe_of(*args, **values), registry.load())


def the_run(recipe):
    """Loaders of the run itself: of training images whole, uncut, and of validation."""
    known = registry.load()
    splits = open_recipe_data(recipe, known, recipe.surgery.in_channels or 3)
    built = build(find_start(recipe, known), recipe, known, splits.classes)
    frozen = freeze_model(built, recipe, pretrained=False)
    place = early_place(recipe, ALONE)
    made = assemble(recipe, known, built, frozen, splits, place=place, world=ALONE)
    return splits, made


def drawn(loader, epoch, view):
    """Index -> pixels of one epoch of a run."""
    source = getattr(loader, "loader", loader)  # behind a cut, and behind a watch
    source = getattr(source, "loader", source)
    return {
        index: image
        for batch in source.epoch(epoch, view=view)
        for index, image in zip(batch.indices.tolist(), batch.images, strict=True)
    }


@pytest.mark.parametrize(
    "values",
    [
        {"size": 64},
        {"size": 64, "transform": "randaugment", "seed": 5, "fold": "2/3"},
        {"size": 32},
        {"size": 64, "epochs": 8, "views": 2, **BEHIND},
        {"size": 224, "epochs": 6, **BEHIND},
    ],
    ids=["crops", "randaugment", "shifts", "kept", "smaller"],
)
def test_every_pixel_is_the_runs_own(photos, values):
    recipe = recipe_of(data=photos, **values)
    found = look_ahead(recipe, registry.load())
    splits, made = the_run(recipe)
    kept = made.live.position.views or 0
    assert kept == values.get("views", 0)
    keys = list(splits.train.keys)
    for epoch in range(6):
        there = drawn(made.train, epoch, epoch % kept if kept else epoch)
        for row in found.rows:
            assert torch.equal(row.training[epoch], there[keys.index(row.key)])
    seen = tuple(made.seen.size)
    assert {tuple(view.shape) for row in found.rows for view in row.training} == {seen}
    assert (seen[1] < values["size"]) == (values["size"] == 224)
    assert {tuple(row.evaluation.shape) for row in found.rows} == {(3, *[values["size"]] * 2)}
    made.train.close()
    made.val.close()


def test_images_are_spread_over_the_classes(photos):
    found = look(data=photos, size=64)
    assert [row.name for row in found.rows] == ["cat"] * 3 + ["dog"] * 3 + ["owl"] * 2
    assert len({row.key for row in found.rows}) == 8
    assert all(row.key.startswith(f"{row.name}/") for row in found.rows)
    assert found.title == "resnet18 on photos: transform standard, seed 0"


def test_epochs_are_called_what_they_are(photos):
    found = look(data=photos, size=64, epochs=4)
    assert found.epochs == ("epoch 1", "epoch 2", "epoch 3", "epoch 4", "(epoch 5)", "(epoch 6)")
    assert found.notes == (
        "the run ends after 4 epochs; in brackets, what a longer one would show",
    )
    kept = look(data=photos, size=64, epochs=9, views=2, **BEHIND)
    assert kept.epochs[1:4] == ("epoch 2", "epoch 3 as 1", "epoch 4 as 2")
    assert "2 views of each image are kept and shown again, in random parts" in kept.notes[0]
    assert torch.equal(kept.rows[0].training[3], kept.rows[0].training[1])


def test_a_transform_that_draws_nothing_keeps_no_views(photos):
    found = look(data=photos, size=64, epochs=9, transform="center-crop", **BEHIND)
    assert (found.epochs[5], found.notes) == ("epoch 6", ())
    assert torch.equal(found.rows[0].training[5], found.rows[0].evaluation)


def test_what_is_mixed_by_batch_is_said(photos):
    found = look(data=photos, size=64, epochs=6, batch_transform=["mixup", "cutmix"])
    assert found.notes == ("mixup + cutmix mix whole batches of these: not in the picture",)


def test_grey_digits_from_memory():
    found = look("tutorials/lenet", "train", data="digits", epochs=6)
    assert [row.name for row in found.rows] == ["0", "1", "2", "3", "5", "6", "7", "8"]
    assert found.rows[0].evaluation.shape == (1, 32, 32)
    recipe = recipe_of("tutorials/lenet", "train", data="digits", in_channels=1, epochs=6)
    splits, made = the_run(recipe)
    there = drawn(made.train, 3, 3)
    for row in found.rows:
        at = int(row.key.rpartition("/")[2])
        index = list(splits.train.rows or range(len(splits.train))).index(at)
        assert torch.equal(row.training[3], there[index])


def test_nothing_is_fetched_and_nothing_is_written(photos, tmp_path, monkeypatch):
    """The weights lie on a server that is not there; their input is known all the same."""
    monkeypatch.chdir(tmp_path)
    cache = tmp_path / "cache"
    monkeypatch.setenv("ZOO_CACHE", str(cache))
    monkeypatch.setenv(
        "ZOO_REGISTRY", str(overlay(tmp_path / "r.toml", source="url:https://x.invalid/w"))
    )
    registry.load.cache_clear()
    try:
        assert look(data=photos, weights="default", size=64, freeze_upto="layer3").rows
        assert look(data=photos, weights="local").rows[0].evaluation.shape == (3, 224, 224)
    finally:
        registry.load.cache_clear()
    assert {p.name for p in cache.iterdir()} <= {"guard", "parsed"}
    assert not (tmp_path / "runs").exists()


def test_a_repository_that_is_not_here_is_not_asked(photos):
    with pytest.raises(HubError, match="a preview downloads nothing") as caught:
        look("hub:org/nobody", data=photos, weights=None)
    assert caught.value.hint == "zoo pull hub:org/nobody"


def test_data_that_is_not_here_is_not_fetched(tmp_path):
    with pytest.raises(DataError) as caught:
        look(data="cifar10", data_root=str(tmp_path), download=True)
    assert "--dry-run=full" in caught.value.hint


def test_what_would_keep_the_run_from_beginning_is_said(photos):
    with pytest.raises(FreezeError, match="random weights"):
        look(data=photos, size=64, freeze_upto="layer3")


def test_several_processes_are_drawn_by_one(photos):
    one, two = look(data=photos, size=64), look(data=photos, size=64, nproc=2, parallel="fsdp")
    assert torch.equal(one.rows[3].training[2], two.rows[3].training[2])


def test_images_that_cannot_be_read_are_passed_over_where_they_may_be(tmp_path):
    root = folder(tmp_path / "set", ["cat", "dog"], each=6, make=png)
    recipe = recipe_of(data=str(root), size=64, on_bad_image="skip")
    images = open_recipe_data(recipe, registry.load(), 3).train
    broken = spread(images, 8)[0]
    put(images.reader.paths[images.rows[broken]], jpeg(3)[:200])
    assert broken not in spread(images, 8)
    assert len(spread(images, 8)) == 8
    for row in range(len(images)):
        put(images.reader.paths[images.rows[row]], jpeg(3)[:200])
    with pytest.raises(DataError, match="no image can be read"):
        spread(images, 8)
    strict = open_recipe_data(
        recipe_of(data=str(folder(tmp_path / "new", each=6)), size=64), registry.load(), 3
    ).train
    put(strict.reader.paths[strict.rows[0]], b"")
    with pytest.raises(DataError):
        spread(strict, 20)
