"""Published weights, used as they are; the "publisher" is a file that an overlay names."""

import pytest
import torch
from loopback_fixtures import here  # noqa: F401
from loopback_weights import TIMM, as_bytes, built, repository
from PIL import Image
from starts import random_weights

from zoo.core import registry as registries
from zoo.core.specs import WeightsSpec
from zoo.engine.judging.judge import judge, predict
from zoo.engine.start.loading import load_run
from zoo.engine.start.published import class_names, load_hub, load_named
from zoo.errors import CheckpointError, HubError, PluginError, UnknownNameError, UsageError

MODEL = "squeezenet1_1"  # the smallest with a thousand outputs


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return random_weights(tmp_path_factory.mktemp("published") / "squeeze.safetensors", MODEL)


@pytest.fixture
def known(file, tmp_path, monkeypatch, fresh):
    overlay = tmp_path / "overlay.toml"
    overlay.write_text(
        f'schema = 1\n[[model]]\nname = "{MODEL}"\n'
        f'[[model.weights]]\nname = "mine"\nsource = "file:{file}"\nclasses = 1000\n'
        'labels = "imagenet1k"\ninput = { size = [3, 48, 48], resize = 48 }\n',
        "utf-8",
    )
    monkeypatch.setenv("ZOO_REGISTRY", str(overlay))
    monkeypatch.chdir(tmp_path)
    return fresh()


def test_a_name_gives_the_published_model_with_its_labels_and_its_input(known):
    found = load_named(f"{MODEL}:mine", known)
    assert not found.model.training
    assert len(found.classes) == 1000
    assert found.classes[:2] == ("tench", "goldfish")
    assert found.input.size == (3, 48, 48)
    assert found.info.base["weights"] == f"{MODEL}:mine"
    assert not found.own
    torch.manual_seed(0)
    reference = known.build("model", MODEL).eval()
    with torch.inference_mode():
        image = torch.ones(1, 3, 48, 48)
        torch.testing.assert_close(found.model(image), reference(image), rtol=0, atol=0)


def test_the_default_is_the_first(known):
    assert load_run(MODEL, known).info.base["weights"] == f"{MODEL}:mine"


def test_it_classifies_images_by_name(known, tmp_path):
    Image.new("RGB", (60, 50), (200, 30, 30)).save(tmp_path / "red.png")
    (one,) = predict(load_run(MODEL, known), known, [tmp_path / "red.png"], top=3)
    assert len(one.top) == 3
    assert one.label in load_run(MODEL, known).classes


def test_a_run_comes_before_a_model_of_its_name(known, tmp_path, finished_run):
    (tmp_path / "runs" / MODEL).parent.mkdir()
    (tmp_path / "runs" / MODEL).symlink_to(finished_run)
    assert load_run(MODEL, known).classes == ("dark", "light")
    (tmp_path / "runs" / "alexnet").mkdir()
    with pytest.raises(CheckpointError, match=r"alexnet has no model\.safetensors"):
        load_run("alexnet", known)


def test_weights_that_cannot_be_had_give_no_hint_of_flags_that_are_not_there(known, monkeypatch):
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    with pytest.raises(HubError, match="not in the cache") as caught:
        load_run("resnet18", known)
    assert "zoo mirror resnet18" in caught.value.hint
    assert "--weights" not in caught.value.hint


def test_that_there_is_no_run_is_not_the_cause_of_what_the_network_says(known, monkeypatch):
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    with pytest.raises(HubError) as caught:
        load_run("resnet18", known)
    error = caught.value
    while error is not None:
        assert "no run" not in str(error)
        error = error.__cause__ or error.__context__


def test_it_has_no_images_of_its_own(known):
    with pytest.raises(UsageError, match="was not trained here") as caught:
        judge(load_run(MODEL, known), known)
    assert "--data" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        (f"{MODEL}:mien", UnknownNameError, "has no weights 'mien'"),
        ("tutorials/lenet", UsageError, "has no pretrained weights"),
    ],
)
def test_what_is_not_there_is_said(known, name, error, words):
    with pytest.raises(error, match=words):
        load_run(name, known)


def test_what_is_neither_run_nor_model_names_both(known):
    with pytest.raises(CheckpointError, match="no run 'squeezenet1_2'") as caught:
        load_run("squeezenet1_2", known)
    assert f"did you mean {MODEL}" in caught.value.hint
    assert "zoo runs" in caught.value.hint


def test_names_are_given_only_where_they_fit(known):
    def of(labels, count):
        return class_names(WeightsSpec(name="a", source="file:a", labels=labels), known, count)

    assert len(of("imagenet1k", 1000)) == len(of("imagenet", 1000)) == 1000
    assert of("imagenet1k", 999) == of("", 1000) == of("imagenet22k", 1000) == ()
    assert of("cifar10", 10) == ()  # a data set that states none


def test_a_list_that_is_none_is_the_plugins_fault(known, monkeypatch):
    from dataclasses import replace

    spec = replace(known.find("dataset", "imagenet"), labels="zoo.builtin.labels:__doc__")
    monkeypatch.setattr(registries.Registry, "find", lambda *_: spec)
    with pytest.raises(PluginError, match="not callable"):
        class_names(WeightsSpec(name="a", source="file:a", labels="imagenet1k"), known, 1000)


@pytest.fixture
def timm(here):  # noqa: F811
    model = built("resnet18", 3)
    repository(here, "ann/net", {"model.safetensors": as_bytes(model), "config.json": TIMM})
    return model


def test_a_repositorys_model_to_use(timm):
    image = torch.rand(2, 3, 64, 64)
    for loaded in (
        load_hub("hub:ann/net", registries.load()),
        load_run("hub:ann/net", registries.load()),
    ):
        assert not loaded.model.training
        assert torch.equal(loaded.model(image), timm(image))
        assert loaded.classes == ("cat", "dog", "emu")
        assert loaded.input.interpolation == "bicubic"
        assert loaded.info.base["source"] == "hub:ann/net"
