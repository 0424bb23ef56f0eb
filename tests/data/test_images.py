import numpy as np
import pytest
import torch
from pictures import encode, jpeg, picture, pixels, png, put

from zoo.data.images import FileReader, ImageSet, ItemReader, Splits
from zoo.errors import DataError


class Items:
    images = np.stack([pixels(n)[..., 0] for n in range(5)])

    def __getitem__(self, index):
        return self.images[index], index


def labelled(reader, count=5, **options):
    keys = [f"k{i}" for i in range(count)]
    return ImageSet("set", ("a", "b"), [i % 2 for i in range(count)], keys, reader, **options)


def test_files_are_read_on_demand(tmp_path):
    paths = tuple(str(put(tmp_path / f"{n}.jpg", jpeg(n))) for n in range(3))
    images = labelled(FileReader(paths, 1), 3)
    assert images.load(2).shape == (1, 24, 32)
    assert images.whole() is None
    assert len(images) == 3
    assert images.counts() == {"a": 2, "b": 1}


def test_items_are_read_one_by_one_or_as_a_whole():
    images = labelled(ItemReader(Items(), 3))
    whole = images.whole()
    assert whole.shape == (5, 3, 24, 32)
    for index in range(5):
        assert torch.equal(whole[index], images.load(index))


def test_tensors_and_colour_arrays_as_a_whole():
    class Colour:
        images = np.stack([pixels(n) for n in range(2)])

        def __getitem__(self, index):
            return self.images[index], 0

    class Tensors(Colour):
        images = torch.from_numpy(Colour.images).permute(0, 3, 1, 2)

        def __getitem__(self, index):
            return self.images[index], 0

    class Floats(Colour):
        images = np.zeros((2, 4, 4), np.float32)

    for kind in (Colour, Tensors):
        images = labelled(ItemReader(kind(), 3), 2)
        assert torch.equal(images.whole()[1], images.load(1))
    assert labelled(ItemReader(Floats()), 2).whole() is None


def test_subsets_of_subsets_keep_everything_together():
    images = labelled(ItemReader(Items(), 1), sizes=[(n, n) for n in range(5)])
    part = images.subset([4, 1, 3], "part").subset([2, 0])
    assert (part.name, part.keys, part.labels) == ("part", ["k3", "k4"], [1, 0])
    assert part.rows == [3, 4]
    assert part.sizes == [(3, 3), (4, 4)]
    assert torch.equal(part.load(1), images.load(4))
    assert torch.equal(part.whole()[0], images.load(3))


def test_an_item_that_fails_is_named():
    class Broken:
        def __getitem__(self, index):
            raise OSError("boom\nmore")

    with pytest.raises(DataError, match="set: image 'k1' cannot be read: boom") as raised:
        labelled(ItemReader(Broken())).load(1)
    assert "\n" not in raised.value.message


def test_splits_say_what_they_are():
    images = labelled(ItemReader(Items(), 1))
    splits = Splits("x", images, images.subset([0]), ("a", "b"), "f", ("note",))
    assert splits.to_dict() == {
        "name": "x",
        "classes": 2,
        "train": 5,
        "val": 1,
        "test": None,
        "fingerprint": "f",
        "notes": ["note"],
        "warnings": [],
    }


def test_pillow_items():
    class Pillow:
        def __getitem__(self, index):
            return picture(index), 0

    assert labelled(ItemReader(Pillow())).load(0).shape == (3, 24, 32)


class Encoded:
    """Hands out image files as they are."""

    def __init__(self, *files):
        self.files = files

    def __getitem__(self, index):
        raise AssertionError("decoded by the set itself")

    def encoded(self, index):
        return self.files[index]


def test_image_files_are_decoded_like_files(tmp_path):
    upright = picture(3)
    turned = encode(upright, "JPEG", exif=exif(6))
    files = (jpeg(1), png(2), turned)
    paths = [str(put(tmp_path / f"{n}.img", data)) for n, data in enumerate(files)]
    own, theirs = labelled(ItemReader(Encoded(*files)), 3), labelled(FileReader(tuple(paths)), 3)
    for index in range(3):
        assert torch.equal(own.load(index), theirs.load(index))
    assert own.load(2).shape == (3, 32, 24)
    assert labelled(ItemReader(Encoded(*files), 1), 3).load(0).shape[0] == 1


def exif(orientation):
    made = picture(0).getexif()
    made[274] = orientation
    return made


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty file"),
        (jpeg()[:60], "truncated JPEG"),
        (png()[:-20], "truncated PNG"),
        (b"%PDF-1.4 and more", "no image in any format"),
    ],
)
def test_image_files_that_are_none_are_named_by_their_key(data, words):
    with pytest.raises(DataError, match=f"set: image 'k1' cannot be read: {words}") as raised:
        labelled(ItemReader(Encoded(jpeg(), data)), 2).load(1)
    assert raised.value.hint == "--on-bad-image skip leaves such images out"


@pytest.mark.parametrize(
    "data", [jpeg(), png(), encode(picture(), "BMP"), encode(picture(), "GIF")]
)
def test_image_files_with_too_many_pixels_are_refused(data):
    with pytest.raises(
        DataError, match=r"32 x 24 = 768 pixels, more than the limit of 700"
    ) as raised:
        labelled(ItemReader(Encoded(data), 3, 700), 1).load(0)
    assert raised.value.hint.endswith("--set data.max_pixels=N allows larger ones")
