import pytest
from tinyrun import tiny_model
from torch import nn

from zoo.core.recipe import DataPart, DevicePart, Recipe
from zoo.data.cuts import cuts
from zoo.engine.processes.deal import change, deal, keep_batches, require_processes
from zoo.engine.processes.distributed import ALONE, World
from zoo.engine.saving.live import Position
from zoo.errors import UsageError


def recipe(batch_size=32, nproc=1, **data):
    return Recipe(data=DataPart(batch_size=batch_size, **data), device=DevicePart(nproc=nproc))


@pytest.mark.parametrize(
    ("size", "before", "now", "share", "pieces"),
    [
        (32, 1, 1, 32, 1),
        (32, 2, 2, 32, 1),
        (64, 1, 2, 32, 1),
        (32, 4, 1, 128, 4),
        (24, 2, 3, 16, 1),
    ],
)
def test_the_global_batch_is_dealt_again(size, before, now, share, pieces):
    found = deal(recipe(size, before), now, 1000)
    assert (found.batch_size, found.pieces) == (share, pieces)
    assert found.whole == size * before
    assert found.least == 2 * before


@pytest.mark.parametrize("count", [97, 98, 99, 100, 101, 128])
@pytest.mark.parametrize(("before", "now"), [(1, 2), (2, 1), (2, 4), (4, 2), (4, 1)])
def test_every_step_takes_the_same_images_or_it_is_refused(count, before, now):
    mine = cuts(count, 32 // before, world=before)
    last = mine[-1][1] - mine[-1][0]
    if last < 2 * now:
        said = f"has {last} images, too few for {now} processes"
        with pytest.raises(UsageError, match=said) as caught:
            deal(recipe(32 // before, before), now, count)
        assert "--nproc" in caught.value.hint
        return
    again = deal(recipe(32 // before, before), now, count)
    assert cuts(count, again.batch_size, world=now, least=again.least) == mine


def test_a_batch_that_cannot_be_shared_names_numbers_that_can():
    with pytest.raises(UsageError, match="batches of 64 images cannot be shared by 3") as caught:
        deal(recipe(64), 3, 1000)
    assert caught.value.exit_code == 2
    assert caught.value.hint == "--nproc 2 or 4"


def test_what_works_per_process_is_said():
    model = tiny_model()
    two = deal(recipe(8, 2), 1, 100)
    said = change(two, model, recipe(8, 2))
    assert said.startswith("begun with 2 processes, now 1 process with 16 of 16 images each")
    assert "batch norms, dropout work per process, so the weights will be others" in said
    held = change(two, model, recipe(8, 2, batch_transforms=("mixup",)), held={"1"})
    assert "dropout, mixup work per process" in held
    assert "batch norms" not in held
    plain = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.0), nn.SyncBatchNorm(2))
    assert "weights differ in the last bits" in change(two, plain, recipe(8, 2))


def test_positions_count_batches_of_one_size():
    at = Position(epoch=1, batch=3, world=2, whole=16)
    keep_batches(at, 16, 4)
    assert (at.world, at.whole) == (4, 16)
    with pytest.raises(UsageError, match="with batches of 16 images, now they are of 32"):
        keep_batches(at, 32, 4)
    keep_batches(at, 0, 4)
    assert at.whole == 16
    old = Position(batch=3, world=2)
    with pytest.raises(UsageError, match="with batches of 2 processes, now they are of 1"):
        keep_batches(old, 0, 1)
    keep_batches(Position(world=2), 8, 1)


def test_a_recipe_for_several_is_not_for_one():
    with pytest.raises(UsageError, match="wants 2 processes") as caught:
        require_processes(recipe(nproc=2), ALONE)
    assert "--nproc 2" in caught.value.hint
    require_processes(recipe(nproc=2), World(0, 4, 0, 4))
    require_processes(recipe(), ALONE)
