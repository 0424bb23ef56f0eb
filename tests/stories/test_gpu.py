"""What runs on the processor runs on a GPU, and gives the same. Skipped where there is none."""

import dataclasses
import json

import pytest
import torch
from safetensors.torch import load_file
from starts import pictures, random_weights

import zoo
from zoo.builtin.transforms import CenterCrop, Standard
from zoo.core import registry
from zoo.core.recipe import FreezePart
from zoo.core.request import request
from zoo.core.specs import InputSpec
from zoo.data.loaders import Loader
from zoo.data.memory import Memory, in_memory
from zoo.engine.freezing.freeze import apply, plan_freeze
from zoo.engine.plan import open_recipe_data
from zoo.engine.prefix.cut import cut
from zoo.engine.reports import Note, StepReport
from zoo.engine.result import RunResult

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")

GPU = {"device": "cuda", "workers": 0, "size": 64, "batch_size": 16, "seed": 3, "classes": 4}
"""What runs have in common."""
FP32 = {"precision": "fp32", "train_size": "same", "transform": "trivialaugment"}
"""For comparisons: the same pixels too, which the processor makes; a policy is nothing for the device."""


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Four classes: 160 training images, 40 to validate on."""
    root = tmp_path_factory.mktemp("images")
    pictures(root / "train", range(4), 40, size=80)
    pictures(root / "val", range(4), 10, size=80, first=100)
    return root


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return f"file:{random_weights(tmp_path_factory.mktemp('weights') / 'resnet18.safetensors')}"


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def _exact():
    """Comparisons with the processor are in fp32, not in TF32."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cudnn.allow_tf32 = before


def events_of(images, weights, **values):
    found = {**GPU, "data": str(images), "weights": weights, "epochs": 2, **values}
    return list(zoo.fit("finetune", "resnet18", **found))


def labels(said):
    return [[name for name, _ in picture["top"][:1]] for picture in said]


def losses(events):
    return [event.loss for event in events if isinstance(event, StepReport)]


def test_the_main_job_says_where_it_computes(images, weights, shell, tmp_path):
    done = shell(
        "finetune", "resnet18", "--freeze-upto", "layer3", "--data", images, "--weights", weights,
        "--size", 64, "--epochs", 3, "--out", tmp_path, "--name", "gpu", "--timings",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "cuda:0, bf16, channels_last" in done.stderr
    assert "val in device memory" in done.stderr
    assert "kept in device memory once read: val" in done.stderr
    assert "unchanged" in done.stdout
    record = json.loads((tmp_path / "gpu/result.json").read_text())
    assert record["epochs"] == 3
    said = shell("eval", tmp_path / "gpu", "--json")
    assert said.returncode == 0, said.stderr
    assert json.loads(said.stdout)["top1"] == pytest.approx(record["metrics"]["top1"], abs=0.051)


@pytest.mark.parametrize("freeze_upto", [None, "layer3"])
def test_it_trains_as_on_the_processor(images, weights, freeze_upto):
    frozen = {"freeze_upto": freeze_upto} if freeze_upto else {}
    slow = {**FP32, **frozen, "lr": 1e-4}  # differences of rounding grow with every step
    here = losses(events_of(images, weights, **slow))
    there = losses(events_of(images, weights, **slow, device="cpu", threads=2))
    assert len(here) == len(there) == 20
    assert here == pytest.approx(there, rel=1e-2)


@pytest.mark.parametrize(
    "kept",
    [
        {"cache": "auto", "views": "fresh"},
        {"cache": "ram", "views": 2},
        {"cache": "disk", "views": 2},
        {"cache": "auto", "views": 2},
    ],
)
def test_kept_outputs_train_as_the_whole_model(images, weights, kept):
    whole = losses(events_of(images, weights, freeze_upto="layer3", cache="off", **FP32))
    cached = losses(events_of(images, weights, freeze_upto="layer3", **kept, **FP32))
    assert cached == pytest.approx(whole, rel=2e-2)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_views_come_back_from_device_memory_in_lower_precision(images, weights, precision):
    events = events_of(
        images, weights, freeze_upto="layer3", views=2, epochs=6, precision=precision, clip=5.0
    )
    result = events[-1]
    assert isinstance(result, RunResult)
    assert result.step == 60
    assert result.metrics["top1"] > 0.25
    assert losses(events)[-1] < losses(events)[0]


def test_the_same_bits_twice_and_after_a_resume(images, weights):
    exact = {"freeze_upto": "layer2", "deterministic": True, "epochs": 3, "precision": "bf16"}
    whole = events_of(images, weights, name="whole", **exact)[-1]
    again = events_of(images, weights, name="again", **exact)[-1]
    values = {**GPU, "data": str(images), "weights": weights, **exact}
    left = zoo.fit("finetune", "resnet18", **values, name="left")
    for event in left:
        if type(event).__name__ == "SavedReport":
            left.close()
            break
    resumed = zoo.resume("runs/left")
    one, other, third = (load_file(run.weights) for run in (whole, again, resumed))
    assert [name for name in one if not torch.equal(one[name], other[name])] == []
    assert [name for name in one if not torch.equal(one[name], third[name])] == []


def test_resume_is_proved_to_be_exact(images, weights):
    events = events_of(images, weights, verify_resume=True, deterministic=True, epochs=1)
    assert any("the same bits" in e.text for e in events if isinstance(e, Note))


def test_a_small_set_lies_on_the_device():
    result = zoo.train("tutorials/lenet", data="digits", epochs=4, seed=1, device="cuda")
    assert result.metrics["top1"] > 0.8
    known = registry.load()
    recipe = request("train", "tutorials/lenet", {"data": "digits"}, registry=known).recipe
    splits = open_recipe_data(recipe, known, 1)
    kept = in_memory(splits.train, None, device="cuda")
    assert isinstance(kept, Memory)
    assert kept.take(torch.tensor([1, 5])).batch.images.device.type == "cuda"


@pytest.mark.parametrize("transform", [Standard, CenterCrop])
def test_images_on_the_device_are_cut_as_on_the_processor(images, transform):
    known = registry.load()
    recipe = request("train", "resnet18", {"data": str(images)}, registry=known).recipe
    split = open_recipe_data(recipe, known, 3).train
    made = transform(InputSpec(size=(3, 48, 40)))
    usual, there = (Loader(split, made, batch_size=32, seed=4) for _ in range(2))
    assert there.reside(torch.device("cuda"), 1 << 30, (3, 48, 40), threads=4) > 0
    for epoch in range(2):
        for one, other in zip(usual.epoch(epoch), there.epoch(epoch), strict=True):
            assert other.images.device.type == "cuda"
            assert torch.equal(one.labels, other.labels.cpu())
            away = (one.images.int() - other.images.cpu().int()).abs()
            assert int(away.max()) <= (1 if transform is Standard else 0)
    there.close()


def test_memory_that_runs_out_halves_the_batch(images, weights):
    _, whole = torch.cuda.mem_get_info()
    torch.cuda.empty_cache()
    held = torch.cuda.memory_reserved()
    torch.cuda.set_per_process_memory_fraction((held + 900e6) / whole)
    try:
        events = events_of(images, weights, size=256, batch_size=128, epochs=1, **FP32)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    notes = [event.text for event in events if isinstance(event, Note)]
    assert any("out of memory with 128 images at a time; going on with 64" in n for n in notes)
    assert isinstance(events[-1], RunResult)


def test_averaged_weights_mixed_batches_and_accumulation(images, weights):
    events = events_of(
        images, weights, freeze_upto="layer1", ema=0.9, batch_transform=["mixup"], accumulate=2,
        optimizer="adamw", lr=1e-3, epochs=1,
    )  # fmt: skip
    assert isinstance(events[-1], RunResult)
    assert events[-1].step == 5


def test_a_run_of_the_gpu_predicts_and_exports_on_the_processor(images, weights, shell, tmp_path):
    events_of(images, weights, freeze_upto="layer3", name="gpu", out=str(tmp_path), epochs=1)
    picture = next((images / "val").rglob("*.png"))
    said = {}
    for device in ("cuda", "cpu"):
        done = shell("predict", tmp_path / "gpu", picture, "--device", device, "--json")
        assert done.returncode == 0, done.stderr
        said[device] = json.loads(done.stdout)
    assert labels(said["cuda"]) == labels(said["cpu"])
    done = shell("export", tmp_path / "gpu", cwd=tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_steps_are_compiled(images, shell, tmp_path):
    done = shell(
        "train", "tutorials/lenet", "--compile", "--epochs", 3, "--data", images, "--device", "cuda",
        "--out", tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "compiling took" in done.stderr


@pytest.mark.parametrize(
    ("name", "upto", "side"),
    [
        ("resnet18", "layer2", 64),
        ("mobilenet_v3_small", "backbone", 64),
        ("efficientnet_b0", "stage3", 64),
        ("densenet121", "stage2", 64),
        ("convnext_tiny", "stage2", 64),
        ("regnet_y_400mf", "stage2", 64),
        ("vit_b_16", "backbone", 224),
        ("swin_t", "stage2", 224),
        ("googlenet", "inception4c", 96),
        ("inception_v3", "stem", 299),
    ],
)
def test_a_cut_holds_on_the_device(name, upto, side):
    known = registry.load()
    spec = known.model(name)
    model = known.build("model", name).to("cuda")
    shown = dataclasses.replace(spec.input, size=(3, side, side))
    plan = plan_freeze(model, spec, FreezePart(upto=upto), shown)
    apply(model, plan)
    made = cut(model, plan, shown)
    assert made.possible, made.why


def test_two_processes_need_two_devices(images, shell, tmp_path):
    if torch.cuda.device_count() > 1:
        pytest.skip("there are two")
    done = shell(
        "finetune", "resnet18", "--data", images, "--weights", "none", "--size", 64, "--nproc", 2,
        "--device", "cuda", "--out", tmp_path,
    )  # fmt: skip
    assert done.returncode == 7, done.stderr
    assert "cuda:1 is not there" in done.stderr
