"""Models with other ends: no head, a projection, other channels; trained, kept and loaded again."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from starts import QUICK, random_weights
from torch.nn import functional

import zoo as library

DEMO = ("--data", "demo", "--size", "32", "--batch-size", "6", "--epochs", "1", *QUICK)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Weights of ResNet-18 for 1000 classes."""
    return random_weights(tmp_path_factory.mktemp("weights") / "resnet18.safetensors")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def images(channels=3, size=64, count=2):
    generator = torch.Generator().manual_seed(0)
    return torch.rand(count, channels, size, size, generator=generator)


def test_without_its_last_layer_a_model_gives_features(weights):
    """``drop_last`` gives exactly what the head would have been fed."""
    whole = library.create_model("resnet18", weights=f"file:{weights}")
    bare = library.create_model("resnet18", weights=f"file:{weights}", drop_last=True)
    with torch.no_grad():
        features = bare(images())
        assert features.shape == (2, 512)
        expected = functional.linear(features, whole.fc.weight, whole.fc.bias)
        torch.testing.assert_close(whole(images()), expected)
    assert type(bare) is type(whole)
    assert "fc.weight" not in bare.state_dict()


@pytest.mark.parametrize(
    ("name", "width"),
    [("mobilenet_v3_small", 1024), ("densenet121", 1024), ("squeezenet1_1", 512)],
)
def test_every_kind_of_head_comes_off(name, width):
    model = library.create_model(name, drop_last=True)
    with torch.no_grad():
        assert model(images(size=64)).shape == (2, width)


def test_a_projection_is_what_the_seed_meant(weights):
    """512 -> 400 -> ReLU -> 300 in place of the head, flatten included, the rest as it was."""
    model = library.create_model("resnet18", weights=f"file:{weights}", project=(400, 300))
    shapes = {n: tuple(t.shape) for n, t in model.state_dict().items() if n.startswith("fc.")}
    assert shapes == {
        "fc.0.weight": (400, 512),
        "fc.0.bias": (400,),
        "fc.2.weight": (300, 400),
        "fc.2.bias": (300,),
    }
    assert isinstance(model.fc[1], torch.nn.ReLU)
    with torch.no_grad():
        assert model(images()).shape == (2, 300)
    before = load_file(weights)
    after = model.state_dict()
    assert all(torch.equal(before[n], after[n]) for n in before if not n.startswith("fc."))


def test_a_projection_trains_freezes_and_comes_back(zoo, weights):
    flags = ("--weights", f"file:{weights}", "--project", "40,3", "--freeze-upto", "layer3")
    code, out, err = zoo("finetune", "resnet18", *flags, "--name", "proj", *DEMO)
    assert code == 0, out + err
    assert "fc: Linear(512, 1000) -> Linear(512, 40) ReLU Linear(40, 3)" in err
    assert "demo: 3 classes" in err
    loaded = library.load("proj")
    assert loaded.info.surgery == {"project": [40, 3]}
    assert loaded.model.fc[2].out_features == 3
    mine = load_file("runs/proj/model.safetensors")
    assert all(torch.equal(mine[n], t) for n, t in loaded.model.state_dict().items())
    again = library.create_model("run:proj")
    with torch.no_grad():
        assert torch.equal(again(images()), loaded.model.eval()(images()))


def test_from_a_projection_one_goes_on_to_other_classes(zoo, weights):
    flags = ("--weights", f"file:{weights}", "--project", "40,3")
    assert zoo("finetune", "resnet18", *flags, "--name", "proj", *DEMO)[0] == 0
    code, out, err = zoo(
        "finetune", "resnet18", "--weights", "run:proj", "--project", "50,3", *DEMO
    )
    assert code == 2, out
    assert "end in a projection already" in err


@pytest.mark.parametrize("channels", [1, 4])
def test_other_channels_keep_what_was_learned(weights, channels):
    """Equal channels give what three equal ones gave."""
    whole = library.create_model("resnet18", weights=f"file:{weights}")
    other = library.create_model("resnet18", weights=f"file:{weights}", in_channels=channels)
    assert other.conv1.weight.shape == (64, channels, 7, 7)
    grey = images(channels=1)
    with torch.no_grad():
        expected = whole(grey.expand(-1, 3, -1, -1))
        if channels == 1:
            torch.testing.assert_close(other(grey), expected, rtol=1e-3, atol=1e-4)
        assert other(grey.expand(-1, channels, -1, -1)).shape == (2, 1000)
    total = whole.conv1.weight.sum((1, 2, 3))
    if channels == 1:
        torch.testing.assert_close(other.conv1.weight.sum((1, 2, 3)), total, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("channels", [1, 4])
def test_other_channels_from_the_image_file_to_the_prediction(zoo, weights, channels):
    """Trained, judged and asked with the same number of channels, whatever the files have."""
    from starts import pictures

    pictures("photos", range(2), 5, size=32)
    line = ("--weights", f"file:{weights}", "--in-channels", channels, "--data", "photos")
    code, out, err = zoo(
        "finetune", "resnet18", *line, "--size", "32", "--batch-size", "4", "--epochs", "1",
        "--name", "c", *QUICK,
    )  # fmt: skip
    assert code == 0, out + err
    assert f"{channels} x 32 x 32" in err
    assert f"3 -> {channels} input channels" in err
    info = library.load("c").info
    assert info.input.size == (channels, 32, 32)
    assert len(info.input.mean) == channels
    trained = json.loads(Path("runs/c/result.json").read_text("utf-8"))["metrics"]
    found = library.evaluate("c", device="cpu").evaluation
    assert found.loss == pytest.approx(trained["loss"], rel=1e-5)
    code, out, err = zoo("predict", "c", "photos", "--device", "cpu", "--json")
    assert code == 0, err
    assert len(json.loads(out)) == 10


def test_a_grey_run_is_gone_on_from_in_grey(zoo, weights):
    """The next run takes the channels from the weights, not from the architecture."""
    line = ("--weights", f"file:{weights}", "--in-channels", "1", "--classes", "3")
    assert zoo("finetune", "resnet18", *line, "--name", "grey", *DEMO)[0] == 0
    small = [arg for arg in DEMO if arg not in ("--size", "32")]
    code, out, err = zoo(
        "finetune", "resnet18", "--weights", "run:grey", "--classes", "4", "--name", "on", *small
    )
    assert code == 0, out + err
    assert "1 x 32 x 32" in err
    assert library.load("on").info.input.size == (1, 32, 32)
    assert library.load("on").model.conv1.in_channels == 1
    assert library.load("on").info.surgery == {"in_channels": 1}


def test_dropping_the_last_layer_and_projecting_is_projecting(weights):
    one, other = (
        library.create_model("resnet18", weights=f"file:{weights}", project=(9, 3), drop_last=drop)
        for drop in (True, False)
    )
    mine, theirs = one.state_dict(), other.state_dict()
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)


def test_training_on_bare_features_is_warned_of(zoo):
    line = ("finetune", "resnet18", "--weights", "none", "--drop-last", "--classes", "3")
    code, _, err = zoo(*line, "--dry-run=full", *DEMO)
    assert code == 0
    assert "note: without its last layer the model gives 512 features" in err


def test_other_classes_of_the_same_number_start_a_new_head(zoo, tmp_path):
    """Ten classes are not ten other classes."""
    from starts import pictures

    pictures("one", range(3), 5, size=32)
    pictures("two", range(5, 8), 5, size=32)
    small = ("--size", "32", "--batch-size", "6", "--epochs", "1", *QUICK)
    assert zoo("train", "lenet", "--data", "one", "--name", "one", *small)[0] == 0
    code, out, err = zoo("finetune", "lenet", "--weights", "run:one", "--data", "two", *small)
    assert code == 0, out + err
    assert "the weights' head is for other classes of the same number: it starts anew" in err
    code, out, err = zoo("finetune", "lenet", "--weights", "run:one", "--data", "one", *small)
    assert code == 0, out + err
    assert "starts anew" not in err


def test_a_projection_learns_another_number_of_classes(zoo, weights):
    """The last layer is new, the one before it keeps what it learned."""
    flags = ("--weights", f"file:{weights}", "--project", "40,3")
    assert zoo("finetune", "resnet18", *flags, "--name", "proj", *DEMO)[0] == 0
    line = ("finetune", "resnet18", "--weights", "run:proj", "--freeze-upto", "layer4")
    code, out, err = zoo(*line, "--classes", "5", "--name", "five", *DEMO)
    assert code == 0, out + err
    assert "fc.2: Linear(40, 3) -> Linear(40, 5)" in err
    loaded = library.load("five")
    assert loaded.info.surgery == {"project": [40, 5]}
    assert loaded.info.num_classes == 5
    assert loaded.model.fc[2].weight.shape == (5, 40)
    with torch.no_grad():
        assert loaded.model(images()).shape == (2, 5)


def test_features_get_a_head_again(zoo, weights):
    flags = ("--weights", f"file:{weights}", "--drop-last", "--classes", "3")
    assert zoo("finetune", "resnet18", *flags, "--name", "bare", *DEMO)[0] == 0
    loaded = library.load("bare")
    with torch.no_grad():
        features = loaded.model(images())
        assert features.shape == (2, 512)
        assert torch.equal(library.create_model("run:bare")(images()), features)
        same = library.create_model("run:bare", drop_last=True, classes=3)
        assert torch.equal(same(images()), features)
    line = ("finetune", "resnet18", "--weights", "run:bare", "--classes", "4")
    code, out, err = zoo(*line, "--name", "four", *DEMO)
    assert code == 0, out + err
    assert "the weights give features: fc is new, for 4 classes" in err
    assert library.load("four").info.surgery == {}
    assert library.load("four").model.fc.out_features == 4
