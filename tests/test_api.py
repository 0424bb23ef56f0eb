import json
import shutil
from dataclasses import replace

import pytest
import torch
from torch import nn

import zoo
from zoo.core.request import request as ask
from zoo.errors import FreezeError, UnknownNameError, UsageError


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_models_are_listed_as_on_the_command_line(command_line):
    _, out, _ = command_line("list", "--names")
    assert zoo.list_models() == out.split()
    assert zoo.list_models("resnet??", plugin="zoo") == ["resnet18", "resnet34", "resnet50"]
    assert (
        zoo.list_models(plugin="tutorials")
        == command_line("list", "--names", "--plugin", "tutorials")[1].split()
    )
    assert zoo.list_models("none*") == []
    assert "tutorials/lenet" in zoo.list_models("quickstart") + zoo.list_models("small")


def test_a_models_record():
    assert zoo.model_info("resnet18").params == 11_689_512
    with pytest.raises(UnknownNameError):
        zoo.model_info("resnt18")


def test_a_created_model_is_a_plain_module():
    model = zoo.create_model("resnet18", classes=7)
    assert type(model).__module__.startswith("torchvision.")
    assert not model.training
    assert model(torch.zeros(2, 3, 64, 64)).shape == (2, 7)
    assert zoo.create_model("resnet18", classes=["a", "b"]).fc.out_features == 2


def test_a_created_model_depends_on_its_seed_only():
    torch.manual_seed(1)
    one = zoo.create_model("tutorials/lenet", seed=5)
    torch.manual_seed(2)
    two = zoo.create_model("tutorials/lenet", seed=5)
    other = zoo.create_model("tutorials/lenet", seed=6)
    assert torch.equal(one.conv1.weight, two.conv1.weight)
    assert not torch.equal(one.conv1.weight, other.conv1.weight)


def test_surgery_by_keywords():
    model = zoo.create_model("resnet18", project=(400, 300))
    assert model(torch.zeros(1, 3, 64, 64)).shape == (1, 300)
    assert zoo.create_model("resnet18", drop_last=True)(torch.zeros(1, 3, 64, 64)).shape == (1, 512)
    grey = zoo.create_model("resnet18", in_channels=1)
    assert grey(torch.zeros(1, 1, 64, 64)).shape == (1, 1000)
    with pytest.raises(UsageError, match="no keyword 'chanels'"):
        zoo.create_model("resnet18", chanels=1)


def test_freezing_any_module():
    class Mine(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 5, 3)

        def forward(self, images):
            return self.second(self.first(images)).mean(dim=(2, 3))

    model = Mine()
    plan = zoo.freeze_upto(model, "first")
    assert set(plan.frozen) == {"first.weight", "first.bias"}
    assert not model.first.weight.requires_grad
    assert model.second.weight.requires_grad
    with pytest.raises(FreezeError):
        zoo.freeze_upto(Mine(), "third")


def test_freezing_by_the_registrys_stages():
    model = zoo.create_model("resnet18", classes=300)
    zoo.freeze_upto(model, "layer3", name="resnet18")
    frozen = sum(p.numel() for p in model.parameters() if not p.requires_grad)
    assert frozen == 2_782_784


def test_a_finished_run_is_loaded_judged_asked_and_exported(finished_run, photos, tmp_path):
    loaded = zoo.load(finished_run)
    assert loaded.classes == ("dark", "light")
    judgement = zoo.evaluate(finished_run, data=photos, device="cpu")
    assert judgement.evaluation.n == 24
    answers = zoo.predict(finished_run, [photos / "dark" / "0.png"], device="cpu", top=2)
    assert {name for name, _ in answers[0].top} == {"dark", "light"}
    assert answers[0].actual == "dark"
    written = zoo.export(finished_run, format="safetensors", out=tmp_path / "out.safetensors")
    assert written.path.is_file()


def test_other_images_are_treated_as_the_runs_own_were(finished_run, photos, tmp_path):
    """Batches of its size, and bad images left out if it left them out, unless a keyword says so."""
    loaded = zoo.load(finished_run)
    data = {**loaded.info.recipe["data"], "on_bad_image": "skip"}
    info = replace(loaded.info, recipe={**loaded.info.recipe, "data": data})
    shutil.copytree(photos, tmp_path / "other")
    (tmp_path / "other" / "dark" / "bad.png").write_bytes(b"")
    found = zoo.evaluate(replace(loaded, info=info), data=tmp_path / "other")
    assert found.evaluation.n == 24
    assert any(note.startswith("left out 1 of 25") for note in found.notes)
    for model, how in ((loaded, None), (replace(loaded, info=info), "error")):
        with pytest.raises(zoo.ZooError, match="1 of 25 files cannot be used"):
            zoo.evaluate(model, data=tmp_path / "other", on_bad_image=how)


def test_the_command_line_judges_as_python_does(command_line, finished_run, photos):
    told = json.loads(command_line("eval", finished_run, "--data", photos, "--json")[1])
    judgement = zoo.evaluate(finished_run, data=photos)
    assert told["top1"] == judgement.evaluation.top1
    assert told["loss"] == judgement.evaluation.loss


def test_a_request_without_a_model(fresh):
    with pytest.raises(UsageError, match="needs a model"):
        ask("finetune", None, {}, registry=fresh())
    with pytest.raises(UsageError, match="needs a model"):
        zoo.finetune()


def test_one_name_is_not_a_list_of_letters(fresh):
    with pytest.raises(zoo.ZooError, match="classes is a number or a list of names") as caught:
        zoo.create_model("resnet18", classes="cat")
    assert caught.value.hint == "classes=['cat']"


def test_nothing_is_predicted_of_nothing(finished_run):
    with pytest.raises(zoo.ZooError, match="no images were given"):
        zoo.predict(finished_run, [])
