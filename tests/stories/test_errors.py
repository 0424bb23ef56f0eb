"""What is wrong is said in one line, with a way on and an exit code, before anything is done."""

import json
import os
import pickle
import subprocess
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from starts import QUICK, pictures, random_weights

NOTHING = ("--weights", "none")
DEMO = ("--data", "demo", "--classes", "3", "--size", "32")
SMALL = (*DEMO, "--batch-size", "6", "--epochs", "1", *QUICK)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def lenet(tmp_path_factory):
    """Plain weights of LeNet for ten classes."""
    return random_weights(tmp_path_factory.mktemp("lenet") / "lenet.safetensors", "lenet")


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A folder with one finished run, ``one``."""
    from zoo.cli.main import run

    home = tmp_path_factory.mktemp("done")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        assert run(["train", "lenet", "--name", "one", *SMALL]) == 0
    return home


def complaint(call, code):
    """Check that an answer is an error of this code: one line, a hint, no trace; gives both."""
    found, out, err = call
    assert found == code, out + err
    lines = err.splitlines()
    (error,) = [line for line in lines if line.startswith("error: ")]
    hints = [line.removeprefix("hint: ") for line in lines if line.startswith("hint: ")]
    assert "Traceback" not in out + err
    return error.removeprefix("error: "), "\n".join(hints)


def no_run():
    return not Path("runs").exists()


@pytest.mark.parametrize(
    ("args", "said", "way"),
    [
        (["resnt18"], "unknown model 'resnt18'", "did you mean resnet18"),
        (["resnet18", "--loss", "crossentropi"], "unknown loss 'crossentropi'", "cross-entropy"),
        (["resnet18", "--transform", "standart"], "unknown transform 'standart'", "standard"),
        (["resnet18", "--optimizer", "adamv"], "unknown optimizer 'adamv'", "adam"),
        (["resnet18", "--schedule", "cosin"], "unknown scheduler 'cosin'", "cosine"),
        (["resnet18", "--metric", "f11"], "unknown metric 'f11'", "f1"),
        (["resnet18", "--monitor", "top2"], "nothing called 'top2' can be monitored", "top"),
        (["resnet18", "--tracker", "tensorbord"], "'tensorbord'", ""),
        (["resnet18:imagenet_v1"], "has no weights 'imagenet_v1'", "imagenet1k_v1"),
        (["models/resnet18.pth"], "looks like a path", "file:models/resnet18.pth"),
        (["resnet18", "--set", "optim.lrr=1"], "unknown key 'optim.lrr'", "optim.lr"),
        (["resnet18", "--set", "optim.lr"], "is not KEY=VALUE", "--set optim.lr=0.01"),
        (["resnet18", "--set", "optim.lr=fast"], 'optim.lr = "fast"', ""),
        (["resnet18", "--set", "loss.options.gama=1"], "has no option 'gama'", ""),
        (["resnet18", "--model-option", "zero_init=1"], "no option 'zero_init'", "zero_init_res"),
        (["resnet18", "--lr", "nan"], "--lr nan: expected a", "--lr 0.01 is the default"),
        (["resnet18", "--lr", "inf"], "--lr inf: expected a", "--lr 0.01 is the default"),
        (["resnet18", "--lr", "0"], "--lr 0: expected a", "--lr 0.01 is"),
        (["resnet18", "--epochs", "-1"], "--epochs -1: expected a", "--epochs 5 is"),
        (["resnet18", "--epochs", "0"], "--epochs 0: expected a", "--epochs 5 is"),
        (["resnet18", "--batch-size", "0"], "--batch-size 0: expected a", "--batch-size 32"),
        (["resnet18", "--val-fraction", "1"], "--val-fraction 1: expected a", "--val-fraction 0.2"),
        (["resnet18", "--classes", "0"], "--classes 0: expected a", ""),
        (["resnet18", "--project", "400,200"], "ends in 200 outputs but there are 3", "400,3"),
        (["resnet18", "--batch-transform", "standard"], "is for single images", "--transform"),
        (["resnet18", "--save-every", "soon"], "save_every", "200"),
        (["resnet18", "--max-time", "2"], "'2' is no time", "2h"),
        (["resnet18", "--name", "../x"], "cannot be a run's name", "letters"),
        (["resnet18", "--optimizer-option", "nesterov"], "is not NAME=VALUE", "NAME=VALUE"),
        (["resnet18", "--optimizer-option", "nesterof=true"], "no option 'nesterof'", "nesterov"),
        (["inception_v3", "--size", "32"], "does not take images of 3 x 32 x 32", "--size N"),
    ],
)  # fmt: skip
def test_words_that_mean_nothing(zoo, args, said, way):
    """Exit 2, and close names where there are some."""
    own = () if ":" in args[0] or "." in args[0] else NOTHING
    rest = [] if "--classes" in args else ["--classes", "3"]
    size = [] if "--size" in args else ["--size", "32"]
    error, hint = complaint(zoo("finetune", *args, *own, "--data", "demo", *rest, *size, *QUICK), 2)
    assert said in error
    assert way in hint
    assert no_run()


@pytest.mark.parametrize(
    ("args", "said", "way"),
    [
        (["--freeze-upto", "layer9"], "layer9", "layer4"),
        (["--freeze-upto", "fc"], "the head fc would be frozen", "backbone"),
        (["--freeze", "*"], "the head fc would be frozen", ""),
        (["--freeze", "nothing.*"], "matches no parameter", ""),
        (["--freeze-upto", "layer3", "--unfreeze", "layer7.*"], "matches no parameter", ""),
        (["--freeze-upto", "layer3", "--unfreeze-at", "layer3"], "layer3", ""),
    ],
)  # fmt: skip
def test_freezing_that_cannot_be_meant(zoo, args, said, way):
    line = ("finetune", "resnet18", *args, *NOTHING, "--allow-random-frozen", *SMALL)
    error, hint = complaint(zoo(*line), 2)
    assert said in error
    assert way in hint
    assert no_run()


def test_every_stage_is_listed_for_one_that_does_not_exist(zoo):
    call = zoo("finetune", "resnet18", "--freeze-upto", "layer9", *NOTHING, *SMALL)
    error, hint = complaint(call, 2)
    for stage in ("stem", "layer1", "layer2", "layer3", "layer4"):
        assert stage in error + hint


def test_random_weights_are_not_frozen_by_accident(zoo):
    line = ("finetune", "resnet18", "--freeze-upto", "layer3", *NOTHING, *SMALL)
    error, hint = complaint(zoo(*line), 2)
    assert "random weights" in error
    assert "--allow-random-frozen" in hint
    assert no_run()


@pytest.mark.parametrize("name", ["cuda", "cuda:7", "mps", "xpu"])
def test_a_device_that_is_not_there(zoo, name):
    if name.partition(":")[0] == "cuda" and torch.cuda.is_available():
        pytest.skip("there is one")
    if name == "mps" and torch.backends.mps.is_available():
        pytest.skip("there is one")
    rest = [arg for arg in SMALL if arg not in ("--device", "cpu")]
    line = ("finetune", "resnet18", *NOTHING, *rest, "--device", name)
    error, hint = complaint(zoo(*line), 7)
    assert name.partition(":")[0] in error
    assert "--device auto" in hint
    assert no_run()


def test_a_device_that_nobody_has(zoo):
    error, hint = complaint(zoo("finetune", "resnet18", *NOTHING, "--device", "tpu9"), 2)
    assert "'tpu9' is not a device" in error
    assert "auto, cpu, cuda" in hint


def test_both_ends_are_checked_against_each_other(zoo):
    line = ("finetune", "resnet18", *NOTHING, "--project", "400,200", "--classes", "300")
    error, hint = complaint(zoo(*line, "--data", "demo", "--size", "32"), 2)
    assert "the projection ends in 200 outputs but there are 300 classes" in error
    assert "--project 400,300" in hint
    assert no_run()


def test_weights_of_another_model(zoo, lenet, done):
    line = ("finetune", "resnet18", *SMALL, "--weights")
    error, _ = complaint(zoo(*line, f"file:{lenet}"), 5)
    assert "do not fit the model" in error
    assert "missing" in error
    error, hint = complaint(zoo(*line, f"file:{done}/runs/one/model.safetensors"), 5)
    assert "these weights are of tutorials/lenet, not of resnet18" in error
    assert "zoo finetune tutorials/lenet" in hint
    assert no_run()


def damaged(path, how, target):
    data = bytearray(Path(path).read_bytes())
    if how == "cut":
        data = data[: len(data) // 2]
    elif how == "cut in the header":
        data = data[:40]
    elif how == "one bit":
        data[-1000] ^= 4
    elif how == "empty":
        data = bytearray()
    target.write_bytes(data)
    return target


@pytest.mark.parametrize("how", ["cut", "cut in the header", "one bit", "empty"])
def test_a_damaged_file(zoo, done, how, tmp_path):
    broken = damaged(done / "runs/one/model.safetensors", how, tmp_path / "w.safetensors")
    error, _ = complaint(zoo("finetune", "lenet", "--weights", f"file:{broken}", *SMALL), 5)
    assert "w.safetensors" in error
    (tmp_path / "x.png").write_bytes(b"not looked at")
    complaint(zoo("predict", broken, tmp_path / "x.png"), 5)
    assert no_run()


def test_a_missing_file_is_said_before_the_data_is_opened(zoo):
    line = ("finetune", "lenet", "--weights", "file:gone.safetensors", "--data", "./nowhere")
    error, _ = complaint(zoo(*line), 5)
    assert "gone.safetensors" in error


class Bomb:
    """Says so if anybody unpickles it."""

    def __reduce__(self):
        return os.mkdir, ("exploded",)


@pytest.mark.parametrize("kind", ["torch", "pickle"])
def test_a_pickle_is_never_run(zoo, kind, tmp_path):
    path = tmp_path / "w.pth"
    if kind == "torch":
        torch.save({"fc.weight": torch.zeros(2), "bomb": Bomb()}, path)
    else:
        path.write_bytes(pickle.dumps(Bomb()))
    error, hint = complaint(zoo("finetune", "lenet", "--weights", f"file:{path}", *SMALL), 5)
    assert "pickle" in error
    assert "zoo import" in hint
    assert not Path("exploded").exists()
    assert no_run()


def test_weights_with_holes(zoo, tmp_path):
    from safetensors.torch import load_file, save_file

    path = random_weights(tmp_path / "w.safetensors", "lenet")
    tensors = load_file(path)
    tensors["conv2.weight"][0, 0, 0, 0] = float("nan")
    save_file(tensors, path)
    error, _ = complaint(zoo("finetune", "lenet", "--weights", f"file:{path}", *SMALL), 5)
    assert "NaN or infinite values in conv2.weight" in error
    assert no_run()


def test_holes_in_a_head_that_is_replaced_do_not_matter(zoo, tmp_path):
    from safetensors.torch import load_file, save_file

    path = random_weights(tmp_path / "w.safetensors", "lenet")
    tensors = load_file(path)
    tensors["fc3.bias"][:] = float("inf")
    save_file(tensors, path)
    code, _, err = zoo("finetune", "lenet", "--weights", f"file:{path}", "--dry-run=full", *SMALL)
    assert code == 0, err


def test_a_busy_run_is_left_alone(zoo, done, tmp_path):
    import shutil

    shutil.copytree(done / "runs", tmp_path / "runs")
    run = tmp_path / "runs" / "one"
    (run / "result.json").unlink()
    before = (run / "metrics.jsonl").read_bytes()
    with FileLock(run / ".lock", timeout=0):
        error, hint = complaint(zoo("resume", "one"), 10)
    assert "is in use by" in error
    assert "wait" in hint
    assert (run / "metrics.jsonl").read_bytes() == before


def test_a_name_that_is_taken(zoo, done, monkeypatch):
    monkeypatch.chdir(done)
    before = Path("runs/one/model.safetensors").read_bytes()
    error, hint = complaint(zoo("train", "lenet", "--name", "one", *SMALL), 2)
    assert "run one exists" in error
    assert "zoo resume" in hint
    assert Path("runs/one/model.safetensors").read_bytes() == before


def test_a_folder_that_is_no_run_is_not_written_to(zoo):
    Path("runs/mine").mkdir(parents=True)
    Path("runs/mine/notes.txt").write_text("keep me")
    error, _ = complaint(zoo("train", "lenet", "--name", "mine", *SMALL), 2)
    assert "is not a run folder" in error
    assert [p.name for p in Path("runs/mine").iterdir()] == ["notes.txt"]


@pytest.fixture
def sealed(tmp_path):
    """A folder that nobody can write to, not even root."""
    folder = tmp_path / "sealed"
    folder.mkdir()
    if os.geteuid() != 0:
        folder.chmod(0o500)
        yield folder
        folder.chmod(0o700)
        return
    sealing = subprocess.run(["chattr", "+i", folder], capture_output=True, check=False)
    if sealing.returncode:
        pytest.skip("root writes everywhere here")
    yield folder
    subprocess.run(["chattr", "-i", folder], check=True)


def test_an_output_folder_that_cannot_be_written(zoo, sealed):
    error, hint = complaint(zoo("train", "lenet", "--out", sealed / "runs", *SMALL), 8)
    assert str(sealed) in error
    assert hint


def test_an_output_folder_that_is_a_file(zoo):
    Path("runs").write_text("a file")
    error, hint = complaint(zoo("train", "lenet", *SMALL), 2)
    assert "runs is a file" in error
    assert "--out" in hint
    assert Path("runs").read_text() == "a file"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[optim\nlr = 1", "r.toml"),
        ("[optim]\nlrr = 1", "unknown key 'optim.lrr'"),
        ("[optim]\nlr = 'fast'", 'optim.lr = "fast"'),
        ("schema = 99", "schema 99"),
        ("verb = 'dance'", "verb 'dance'"),
        ("verb = 'train'", "r.toml is a recipe for zoo train"),
        ("[surgery]\nproject = 'wide'", "surgery.project"),
        ("[data]\nbatch_size = 2.5", "data.batch_size"),
        ("model = 'resnet18'", "model"),
    ],
)
def test_recipe_files(zoo, text, said):
    Path("r.toml").write_text(text, "utf-8")
    error, _ = complaint(zoo("finetune", "resnet18", "--recipe", "r.toml", *NOTHING, *DEMO), 2)
    assert said in error
    assert no_run()


def test_all_mistakes_of_a_recipe_are_named_at_once(zoo):
    Path("r.toml").write_text("[optim]\nlr = -1\nepoch = 3\n[device]\nseed = 'big'\n", "utf-8")
    code, _, err = zoo("finetune", "resnet18", "--recipe", "r.toml", *NOTHING, *DEMO)
    assert code == 2
    for piece in ("3 problems", "optim.lr", "optim.epoch", "device.seed"):
        assert piece in err


def test_as_json_an_error_is_an_object(zoo):
    code, out, _ = zoo("finetune", "resnt18", "--json")
    found = json.loads(out)
    assert code == found["exit_code"] == 2
    assert "did you mean resnet18" in found["hint"]
    assert found["error"] == "unknown model 'resnt18'"


def test_images_of_a_class_that_the_model_does_not_know(zoo, done, tmp_path, monkeypatch):
    pictures(tmp_path / "other", range(40, 42), 1, size=32)
    monkeypatch.chdir(done)
    error, hint = complaint(zoo("eval", "one", "--data", tmp_path / "other", "--device", "cpu"), 3)
    assert "classes that the model does not know" in error
    assert "it knows" in hint


def test_a_run_that_is_not_there_names_one_that_is(zoo, done, monkeypatch):
    monkeypatch.chdir(done)
    more = {"predict": ["x.png"], "explain": ["x.png"], "embed": ["x.png", "--out", "e.csv"]}
    for verb in ("eval", "predict", "explain", "embed", "resume", "export"):
        error, hint = complaint(zoo(verb, "onee", *more.get(verb, [])), 5)
        assert "no run 'onee'" in error
        assert "did you mean one?" in hint
