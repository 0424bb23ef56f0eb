"""zoo.engine.judging.judge: a trained model measured, and asked."""

import math
from dataclasses import replace

import pytest
import torch
from PIL import Image
from torch import nn
from torchvision.transforms import v2

from zoo.core import registry
from zoo.core.recipe import DataPart, DevicePart
from zoo.engine.judging.judge import judge, predict
from zoo.engine.result import read_result
from zoo.engine.start.loading import load_run
from zoo.errors import DataError, UnknownNameError, UsageError

CPU = DevicePart(device="cpu", precision="fp32", threads=1)


@pytest.fixture
def loaded(finished_run):
    return load_run(str(finished_run), registry.load())


def test_the_runs_own_images_give_the_runs_own_numbers(loaded, finished_run):
    found = judge(loaded, registry.load(), device=CPU)
    result = read_result(finished_run)
    assert found.evaluation.n == result.metrics["n"]
    assert found.evaluation.top1 == pytest.approx(result.metrics["top1"])
    assert found.evaluation.loss == pytest.approx(result.metrics["loss"], abs=1e-5)


def test_a_run_without_test_images_says_what_it_has(loaded):
    with pytest.raises(
        DataError, match="no test images beside those that the run trains"
    ) as raised:
        judge(loaded, registry.load(), split="test", device=CPU)
    assert raised.value.hint == "--split val"


def test_classes_are_matched_by_name(loaded, photos, tmp_path):
    import shutil

    (tmp_path / "some").mkdir()
    name = loaded.classes[-1]
    source = next(path for path in photos.rglob(name) if path.is_dir())
    shutil.copytree(source, tmp_path / "some" / name)
    found = judge(
        loaded, registry.load(), data=DataPart(source=str(tmp_path / "some"), workers=0), device=CPU
    )
    assert found.counts[name] == found.evaluation.n > 0
    table = found.to_dict()["per_class"]
    assert table[name]["recall"] is not None
    assert [n for n in table if table[n]["recall"] is None] == list(loaded.classes[:-1])


def test_classes_that_the_model_does_not_know_are_refused(loaded, photos, tmp_path):
    import shutil

    source = next(path for path in photos.rglob(loaded.classes[0]) if path.is_dir())
    shutil.copytree(source, tmp_path / "some" / "unicorn")
    with pytest.raises(DataError, match="unicorn"):
        judge(loaded, registry.load(), data=DataPart(source=str(tmp_path / "some")), device=CPU)


def test_predictions_come_in_order_with_what_the_folder_says(loaded, photos):
    files = sorted(path for path in photos.rglob("*") if path.suffix in (".jpg", ".png"))[:5]
    found = list(predict(loaded, registry.load(), files, top=2, device=CPU))
    assert [one.image for one in found] == [str(path) for path in files]
    for one, path in zip(found, files, strict=True):
        assert one.actual == path.parent.name
        assert len(one.top) == 2
        assert one.top[0][1] >= one.top[1][1]
        assert one.label in loaded.classes


def test_an_image_that_is_a_link_belongs_to_the_folder_of_the_link(loaded, photos, tmp_path):
    (tmp_path / "light").mkdir()
    (tmp_path / "light" / "x.png").symlink_to(photos / "dark" / "0.png")
    (found,) = predict(loaded, registry.load(), [tmp_path / "light"], device=CPU)
    assert found.actual == "light"


def test_a_missing_image_is_named(loaded, tmp_path):
    with pytest.raises(DataError, match=r"nope\.jpg"):
        list(predict(loaded, registry.load(), [tmp_path / "nope.jpg"], device=CPU))


def test_further_metrics_by_name(loaded):
    found = judge(loaded, registry.load(), metrics=["f1", "top1"], device=CPU)
    assert set(found.evaluation.metrics) == {"f1", "top1"}
    assert found.evaluation.metrics["top1"] == pytest.approx(found.evaluation.top1)
    table = found.to_dict()
    assert 0 <= table["f1"] <= 1
    assert isinstance(table["n"], int)
    with pytest.raises(UnknownNameError, match="unknown metric 'f11'"):
        judge(loaded, registry.load(), metrics=["f11"], device=CPU)


def test_fields_of_the_recipe_may_be_other_now(loaded):
    """Other batches give the same numbers; a wrong value is refused."""
    known = registry.load()
    whole = judge(loaded, known, device=CPU)
    small = judge(loaded, known, device=CPU, changes={"data.batch_size": 1})
    assert small.evaluation.loss == pytest.approx(whole.evaluation.loss, rel=1e-5)
    with pytest.raises(UsageError, match=r"data\.batch_size"):
        judge(loaded, known, device=CPU, changes={"data.batch_size": 0})


def test_its_own_precision_unless_another_is_asked_for(loaded):
    found = judge(loaded, registry.load()).evaluation
    own = loaded.info.metrics
    assert found.loss == pytest.approx(own["loss"], abs=1e-5)


def test_a_file_that_is_wrong_about_its_input_is_told_of(finished_run, tmp_path):
    """One channel is wanted, three are said: torch's words become a line with the file's name."""
    from dataclasses import replace

    from pictures import png, put

    from zoo.core.specs import InputSpec
    from zoo.engine.saving.checkpoint import load_weights, save_weights
    from zoo.engine.start.loading import load_run
    from zoo.errors import CheckpointError

    tensors, info = load_weights(finished_run / "model.safetensors")
    path = tmp_path / "w.safetensors"
    save_weights(path, tensors, replace(info, input=InputSpec(size=(3, 32, 32))))
    loaded = load_run(str(path), registry.load())
    image = put(tmp_path / "a.png", png())
    with pytest.raises(CheckpointError, match=r"w\.safetensors says of its input is wrong"):
        list(predict(loaded, registry.load(), [image]))


def test_a_run_on_reduced_images_is_judged_and_asked_on_reduced_ones(tmp_path):
    """And its outputs of the frozen part are not another run's on the same files."""
    from pictures import folder, png
    from torchvision.transforms.v2.functional import to_pil_image

    import zoo
    from zoo.data.decode import read_image
    from zoo.data.shrink import shrink

    folder(tmp_path / "data", each=6, make=lambda seed: png(seed, height=90, width=120))
    shared = {
        "data": str(tmp_path / "data"), "size": 32, "epochs": 1, "freeze_upto": "layer3",
        "weights": "none", "allow_random_frozen": True, "device": "cpu", "precision": "fp32",
        "threads": 1, "batch_size": 4, "out": str(tmp_path),
    }  # fmt: skip
    whole, small = (
        zoo.finetune("resnet18", **shared, name=name, **more)
        for name, more in (("whole", {}), ("small", {"shrink": 40}))
    )
    assert whole.metrics["loss"] != small.metrics["loss"]
    known = registry.load()
    loaded = load_run(str(small.dir), known)
    found = judge(loaded, known, device=CPU)
    assert found.evaluation.loss == pytest.approx(small.metrics["loss"], abs=1e-5)
    one = next(path for path in sorted((tmp_path / "data").rglob("*")) if path.is_file())
    copy = str(tmp_path / "copy.png")
    to_pil_image(shrink(read_image(str(one)), 40)).save(copy)
    asked, expected = predict(loaded, known, [one, copy], device=CPU)
    assert asked.top == expected.top
    given = DataPart(source=str(tmp_path / "data"))
    apart = judge(loaded, known, data=given, device=CPU).evaluation
    own = judge(load_run(str(whole.dir), known), known, data=given, device=CPU).evaluation
    assert (apart.n, own.n) == (12, 12)
    assert apart.loss != own.loss


def test_what_is_kept_is_what_will_be_looked_at(loaded, photos):
    known = registry.load()
    data = DataPart(source=str(photos), workers=0)
    little = judge(loaded, known, data=data, device=CPU)
    assert little.answers is None
    assert little.images is None
    assert little.calibration.temperature is None
    closely = judge(loaded, known, data=data, device=CPU, closely=True)
    assert len(closely.answers.indices) == len(closely.images) == 24
    assert closely.answers.logits.shape == (24, 2)
    mean = float(closely.answers.losses.double().mean())
    assert mean == pytest.approx(closely.evaluation.loss, abs=1e-5)
    assert closely.calibration.ece == little.calibration.ece
    assert closely.calibration.temperature.n == 24
    assert (closely.split, closely.place) == ("all", "cpu, fp32")
    assert judge(loaded, known, device=CPU).split == "val"


def test_a_model_whose_outputs_are_no_numbers_recognises_nothing(loaded, photos):
    import torch

    with torch.no_grad():
        list(loaded.model.parameters())[-1].fill_(float("nan"))
    data = DataPart(source=str(photos), workers=0)
    found = judge(loaded, registry.load(), data=data, device=CPU)
    assert found.evaluation.top1 == 0
    assert [(s.n, s.recall, s.precision) for s in found.scores] == [(12, 0.0, None)] * 2
    assert found.macro_f1 == 0
    assert int(found.evaluation.confusion.sum()) == 0
    assert found.calibration is None


def test_images_that_are_skipped_are_in_no_count(loaded, tmp_path):
    """One is whole by all its checksums, and turns out not to be when it is decoded."""
    import zlib

    from pictures import folder, png, put

    data = folder(tmp_path / "some", classes=loaded.classes, each=5, make=png)
    whole = (data / loaded.classes[0] / "1.png").read_bytes()
    at = whole.index(b"IDAT")
    size = int.from_bytes(whole[at - 4 : at], "big")
    chunk = b"IDAT" + bytes(size)
    spoilt = whole[:at] + chunk + zlib.crc32(chunk).to_bytes(4, "big") + whole[at + 8 + size :]
    put(data / loaded.classes[0] / "1.png", spoilt)
    part = DataPart(source=str(data), workers=0, on_bad_image="skip")
    told = judge(loaded, registry.load(), data=part, device=CPU).to_dict()
    assert told["n"] == 9
    assert told["per_class"][loaded.classes[0]]["n"] == 4


def test_spoilt_images_are_measured_if_asked_for(loaded):
    told = []
    found = judge(
        loaded, registry.load(), device=CPU, corruptions=True, progress=lambda *n: told.append(n)
    )
    n = found.evaluation.n
    assert found.robustness.n == n
    assert found.robustness.clean == pytest.approx(found.evaluation.top1)
    assert told[-1] == (n, n)
    assert found.to_dict()["robustness"] == found.robustness.to_dict()
    plain = judge(loaded, registry.load(), device=CPU)
    assert plain.robustness is None
    assert "robustness" not in plain.to_dict()
    assert plain.to_dict()["loss"] == found.to_dict()["loss"]


@pytest.fixture
def slanted(loaded, tmp_path):
    """Images that grow brighter to one side, two of each class."""
    for number, name in enumerate(loaded.classes * 2):
        folder = tmp_path / "slanted" / name
        folder.mkdir(parents=True, exist_ok=True)
        shades = torch.linspace(0, 250 - 60 * number, 32).to(torch.uint8)
        Image.fromarray(shades.expand(32, 32).contiguous().numpy()).save(folder / f"{number}.png")
    return tmp_path / "slanted"


def test_mirror_images_are_asked_about_if_that_is_wanted(loaded, slanted):
    files, known = sorted(slanted.rglob("*.png")), registry.load()
    plain, both = (
        {one.image: dict(one.top) for one in predict(loaded, known, files, device=CPU, tta=tta)}
        for tta in (False, True)
    )
    assert not loaded.model.training
    flipped = nn.Sequential(v2.RandomHorizontalFlip(p=1.0), loaded.model).eval()
    mirrored = list(predict(replace(loaded, model=flipped), known, files, device=CPU))
    apart = 0.0
    for one in mirrored:
        for name, share in one.top:
            mean = (plain[one.image][name] + share) / 2
            assert both[one.image][name] == pytest.approx(mean, abs=1e-6)
            apart = max(apart, abs(plain[one.image][name] - share))
    assert apart > 1e-3
    found = judge(loaded, known, data=DataPart(source=str(slanted)), device=CPU, tta=True)
    assert "answers are the mean over each image and its mirror image" in found.notes


def test_a_model_that_looks_at_one_side_knows_nothing_of_both(loaded, slanted):
    class Sides(nn.Module):
        def forward(self, images):
            left, right = images.chunk(2, dim=3)
            return torch.stack([left.mean((1, 2, 3)), right.mean((1, 2, 3))], dim=1)

    sides, data = replace(loaded, model=Sides().eval()), DataPart(source=str(slanted))
    plain = judge(sides, registry.load(), data=data, device=CPU).evaluation.loss
    found = judge(sides, registry.load(), data=data, device=CPU, tta=True, corruptions=True)
    assert plain != pytest.approx(math.log(2), abs=0.01)
    assert found.evaluation.loss == pytest.approx(math.log(2), abs=1e-5)
    assert found.robustness.n == 4


def test_images_that_it_was_trained_on_are_told_of(loaded, photos, tmp_path):
    import shutil

    known = registry.load()
    whole = judge(loaded, known, data=DataPart(source=str(photos), workers=0), device=CPU)
    assert whole.split == "all"
    assert "trained on" in whole.notes[-1]
    shutil.copytree(photos, tmp_path / "some")
    next((tmp_path / "some").rglob("*.png")).unlink()
    others = judge(loaded, known, data=DataPart(source=str(tmp_path / "some")), device=CPU)
    assert others.split == ""
    assert "trained on" not in " ".join(others.notes)
