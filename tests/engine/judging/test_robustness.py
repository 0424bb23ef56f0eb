import pytest
import torch
from torch import nn

from zoo.core.specs import InputSpec
from zoo.data.views import Batch
from zoo.engine.feed import Feed
from zoo.engine.judging.corruptions import CORRUPTIONS, STRENGTHS
from zoo.engine.judging.robustness import Robustness, measure
from zoo.engine.place import Place

CPU = Place(device=torch.device("cpu"))
FEED = Feed(CPU, InputSpec(size=(3, 24, 24), mean=(0.5,) * 3, std=(0.2,) * 3))


def batches(sizes=(5, 4, 0, 1), seed=0):
    drawn = torch.Generator().manual_seed(seed)
    at = 0
    for size in sizes:
        images = torch.randint(0, 256, (size, 3, 24, 24), dtype=torch.uint8, generator=drawn)
        labels = torch.randint(0, 4, (size,), generator=drawn)
        yield Batch(images, labels, torch.arange(at, at + size))
        at += size


def model():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, 2), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(),
        nn.Linear(32, 4), nn.Dropout(0.5),
    )  # fmt: skip


def test_each_share_is_what_the_model_gets_right_of_images_spoilt_by_hand():
    network = model().train()
    found = measure(network, batches(), channels=3, feed=FEED, place=CPU)
    assert network.training
    network.eval()

    def right(name, strength):
        hits = 0
        for batch in batches():
            if len(batch.labels):
                images = CORRUPTIONS[name](batch.images, strength) if name else batch.images
                with torch.no_grad():
                    outputs = network(FEED.images(images))
                hits += int((outputs.argmax(1) == batch.labels).sum())
        return hits / 10

    assert found.n == 10
    assert found.clean == right("", 0)
    assert list(found.spoilt) == list(CORRUPTIONS)
    for name, row in found.spoilt.items():
        assert row == tuple(right(name, strength) for strength in range(3))


def test_every_image_is_read_once_and_told_of():
    read, seen = [], []

    def watched():
        for batch in batches():
            read.append(len(batch.labels))
            yield batch

    measure(model(), watched(), channels=3, feed=FEED, place=CPU, seen=seen.append)
    assert read == [5, 4, 0, 1]
    assert seen == [5, 9, 10]


def test_no_image_is_nothing():
    assert measure(model(), batches(()), channels=3, feed=FEED, place=CPU) is None


def test_outputs_that_are_no_numbers_are_not_right():
    class Nowhere(nn.Module):
        def forward(self, images):
            return images.new_full((len(images), 4), float("nan"))

    found = measure(Nowhere(), batches(), channels=3, feed=FEED, place=CPU)
    assert (found.clean, found.mean) == (0.0, 0.0)


def test_the_mean_and_the_dictionary():
    found = Robustness(n=8, clean=0.9, spoilt={"blur": (0.8, 0.6, 0.1), "jpeg": (0.9, 0.6, 0.0)})
    assert found.mean == pytest.approx(0.5)
    assert found.to_dict()["corruptions"]["blur"] == dict(
        zip(STRENGTHS, (0.8, 0.6, 0.1), strict=True)
    )
