import torch
from pictures import jpeg, put

from zoo.builtin.transforms import CenterCrop, Standard
from zoo.core.specs import InputSpec
from zoo.data.images import FileReader, ImageSet
from zoo.data.kept import Kept, bytes_of
from zoo.data.loaders import Loader

SMALL = InputSpec(size=(3, 8, 8))


class Counts:
    """A reader that counts how often each image is read."""

    def __init__(self, count):
        self.reads = [0] * count

    def read(self, row):
        self.reads[row] += 1
        return torch.full((3, 10, 12), row, dtype=torch.uint8)

    def whole(self):
        return None


def images(reader, count, sizes=None):
    return ImageSet("set", ("a", "b"), [n % 2 for n in range(count)],
                    [str(n) for n in range(count)], reader, sizes=sizes)  # fmt: skip


def all_of(loader, epoch):
    return torch.cat([batch.images for batch in loader.epoch(epoch)])


def test_each_image_is_read_once_and_each_epoch_is_what_it_would_be():
    for transform in (Standard(SMALL), CenterCrop(SMALL)):
        reader = Counts(7)
        keeps = Loader(images(reader, 7), transform, batch_size=3, seed=5)
        reads = Loader(images(Counts(7), 7), transform, batch_size=3, seed=5)
        assert keeps.keep(1 << 20)
        for epoch in range(3):
            assert torch.equal(all_of(keeps, epoch), all_of(reads, epoch))
        assert reader.reads == [1] * 7


def test_files_give_the_same_bytes_from_memory(tmp_path):
    paths = [str(put(tmp_path / f"{n}.jpg", jpeg(n, height=20 + n, width=30))) for n in range(4)]
    made = [
        Loader(images(FileReader(tuple(paths)), 4), Standard(SMALL), batch_size=2, seed=1)
        for _ in range(2)
    ]
    made[0].keep(1 << 20)
    for epoch in range(2):
        assert torch.equal(all_of(made[0], epoch), all_of(made[1], epoch))


def test_no_more_is_kept_than_fits():
    reader, kept = Counts(5), Kept(2 * 360 + 100)
    for _ in range(3):
        for index in range(5):
            assert int(kept.get(index, reader.read).amax()) == index
    assert len(kept) == 2
    assert reader.reads == [1, 1, 3, 3, 3]


def test_who_changes_an_image_changes_its_own_copy():
    kept = Kept(1 << 20)
    reader = Counts(1)
    kept.get(0, reader.read).fill_(9)
    kept.get(0, reader.read).fill_(9)
    assert int(kept.get(0, reader.read).amax()) == 0


def test_loader_processes_and_sets_in_memory_do_not_keep():
    reader = Counts(4)
    assert not Loader(images(reader, 4), Standard(SMALL), batch_size=2, workers=1).keep(1 << 20)

    class Whole(Counts):
        def whole(self):
            return torch.zeros(4, 3, 8, 8, dtype=torch.uint8)

    assert not Loader(images(Whole(4), 4), CenterCrop(SMALL), batch_size=2).keep(1 << 20)


def test_what_a_set_takes_is_known_where_sizes_are():
    made = images(Counts(2), 2, sizes=[(10, 20), (5, 5)])
    assert bytes_of(made, None, 3) == 3 * 225
    assert bytes_of(made, (3, 8, 8), 3) == 2 * 192
    assert bytes_of(images(Counts(2), 2), None, 3) is None


def test_an_image_is_lent_to_who_does_not_change_it():
    kept = Kept(1 << 20)
    lent = kept.get(0, Counts(1).read, lend=True)
    assert kept.get(0, Counts(1).read, lend=True) is lent
    given = kept.get(0, Counts(1).read)
    assert given is not lent
    given.fill_(9)
    assert int(lent.max()) == 0
