"""The commands that take a trained model take a published one by its name."""

import json

import pytest
from starts import random_weights


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return random_weights(tmp_path_factory.mktemp("published") / "s.safetensors", "squeezenet1_1")


@pytest.fixture
def folder(file, tmp_path, monkeypatch, fresh):
    (tmp_path / "overlay.toml").write_text(
        'schema = 1\n[[model]]\nname = "squeezenet1_1"\n[[model.weights]]\nname = "mine"\n'
        f'source = "file:{file}"\nclasses = 1000\nlabels = "imagenet1k"\n',
        "utf-8",
    )
    monkeypatch.setenv("ZOO_REGISTRY", str(tmp_path / "overlay.toml"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_predict_eval_and_export_a_published_model(zoo, folder, photos):
    from zoo.builtin.labels import imagenet1k

    code, out, err = zoo("predict", "squeezenet1_1", photos / "light" / "3.png", "--json")
    assert code == 0, err
    assert json.loads(out)[0]["top"][0][0] in imagenet1k()

    code, _, err = zoo("eval", "squeezenet1_1:mine", "--data", photos)
    assert code == 3
    assert "classes that the model does not know: dark, light" in err
    (folder / "images" / "tench").mkdir(parents=True)
    (folder / "images" / "tench" / "a.png").write_bytes((photos / "dark" / "1.png").read_bytes())
    code, out, err = zoo("eval", "squeezenet1_1", "--data", folder / "images", "--json")
    assert code == 0, err
    assert json.loads(out)["per_class"]["tench"]["n"] == 1

    code, out, err = zoo("export", "squeezenet1_1", "--format", "safetensors")
    assert code == 0, err
    assert (folder / "squeezenet1_1.safetensors").is_file()


def test_a_published_model_is_looked_into_as_a_run_is(zoo, folder, photos):
    image = photos / "light" / "3.png"
    code, out, err = zoo("explain", "squeezenet1_1", image, "--class", "tench", "--json")
    assert code == 0, err
    (found,) = json.loads(out)
    assert (found["class"], found["layer"]) == ("tench", "features.12")
    assert (folder / "explained" / "3.png").is_file()
    code, out, err = zoo("embed", "squeezenet1_1:mine", image, "--out", "e.csv", "--json")
    assert code == 0, err
    told = json.loads(out)
    assert (told["features"], told["model"]) == (512, "squeezenet1_1:mine")
    code, _, err = zoo("explain", "squeezenet1_1", image, "--class", "tenck")
    assert code == 2
    assert "the model has no class 'tenck'\nhint: did you mean tench" in err


def test_a_name_that_is_nothing_is_said_with_what_is_close(zoo, folder, photos):
    code, _, err = zoo("predict", "squeezenet1_9", photos)
    assert code == 5
    assert "no run 'squeezenet1_9'" in err
    assert "did you mean squeezenet1_1, squeezenet1_0" in err
