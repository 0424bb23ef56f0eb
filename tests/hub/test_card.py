import pytest
import yaml

from zoo.core.metadata import CheckpointInfo
from zoo.core.specs import InputSpec
from zoo.errors import HubError
from zoo.hub.card import BEGIN, END, Subject, interval, make_card, split

INFO = CheckpointInfo(
    model="resnet18",
    num_classes=2,
    classes=("cat", "dog"),
    input=InputSpec(mean=(0.5,) * 3, std=(0.25,) * 3, resize=256, crop=224),
    recipe={
        "optim": {"name": "sgd", "lr": 0.01, "epochs": 5, "schedule": "cosine", "weight_decay": 0.1},
        "data": {"batch_size": 32},
        "device": {"seed": 3},
    },
    recipe_digest="d" * 64,
    metrics={"top1": 0.75, "top5": 1.0, "loss": 0.5, "n": 8.0},
    freeze={"line": "frozen upto layer3"},
    base={
        "source": "hub:timm/resnet18.tv_in1k", "revision": "c" * 40, "sha256": "a" * 64,
        "weights": "resnet18:imagenet1k_v1",
    },
    data={"name": "pets", "train": 40, "val": 8, "fingerprint": "f00"},
    versions={"zoo": "0.1.0", "torch": "2.15"},
    epoch=4,
    step=100,
)  # fmt: skip


def card(info=INFO, existing="", **how):
    return make_card(Subject(repo="ann/pets", info=info, licence="mit", **how), existing)


def test_everything_of_the_run_is_in_it():
    text = card()
    for said in (
        "# pets", "`resnet18` for 2 classes", "at commit `" + "c" * 40, "a" * 64, "0 cat, 1 dog",
        "pets: 40 train, 8 val images", "`f00`", "shorter edge to 256 (bilinear)", "224 x 224",
        "| top-1 | 75.00% | 40.93% to 92.85% | 8 |", "| loss | 0.5000 | | 8 |", "sgd, learning rate 0.01",
        "4 of 5 epochs (100 steps), batch 32", "seed 3", "frozen upto layer3", "d" * 64, "torch 2.15",
    ):  # fmt: skip
        assert said in text, said
    assert "More Information Needed" not in text


def test_the_metadata_is_what_the_hub_reads():
    from huggingface_hub import ModelCard

    data = ModelCard(card()).data
    assert data.license == "mit"
    assert data.library_name == "timm"
    assert data.pipeline_tag == "image-classification"
    assert data.base_model == "timm/resnet18.tv_in1k"
    assert data.to_dict()["base_model_relation"] == "finetune"
    assert {"timm", "zoo", "pytorch"} <= set(data.tags)
    found = {r.metric_name: r.metric_value for r in data.eval_results}
    assert found == {"top-1 accuracy": 0.75}  # of three classes, all are among the top five
    assert data.eval_results[0].dataset_name == "pets"


def test_three_snippets_or_more():
    text = card(builder="torchvision.models:resnet18", options={"x": 1})
    assert 'zoo.create_model("hub:ann/pets")' in text
    assert 'timm.create_model("hf-hub:ann/pets", pretrained=True)' in text
    assert "from torchvision.models import resnet18" in text
    assert "resnet18(x=1, num_classes=2).eval()" in text
    assert "zoo finetune hub:ann/pets --data FOLDER" in text


def test_an_existing_cards_prose_is_kept():
    old = "---\nlicense: apache-2.0\ndatasets: [x/y]\ntags: [birds]\n---\n# Mine\n\nMy words.\n"
    text = card(existing=old)
    data, body = split(text)
    assert (data["license"], data["datasets"]) == ("mit", ["x/y"])
    assert data["tags"][0] == "birds"
    assert body.startswith("# Mine\n\nMy words.\n")
    assert body.count(BEGIN) == body.count(END) == 1
    later = card(existing=text.replace("My words.", "My new words."))
    assert "My new words." in later
    assert later.count(BEGIN) == 1
    assert card(existing=later) == later


def test_prose_behind_the_block_stays_there():
    text = card().replace(END, END + "\n\nAfterwards.")
    assert card(existing=text).endswith("Afterwards.\n")


def test_a_run_from_scratch_without_metrics():
    text = card(CheckpointInfo(model="squeezenet1_1"))
    assert "trained from random weights" in text
    assert "Results" not in text
    assert "model-index" not in text
    assert "base_model" not in text
    assert split(text)[0]["library_name"] == "zoo"


def test_many_labels_are_cut():
    names = tuple(f"c{i}" for i in range(1000))
    text = card(CheckpointInfo(model="resnet18", num_classes=1000, classes=names))
    assert "39 c39 and 960 more (`label_names` in config.json)" in text


@pytest.mark.parametrize("text", ["---\na: [\n---\n", "---\n- a\n---\n"])
def test_metadata_that_is_not_a_table(text):
    with pytest.raises(HubError, match="metadata is not"):
        split(text)


def test_no_metadata_at_all():
    assert split("# x\n") == ({}, "# x\n")
    assert split("---\nnever closed\n")[0] == {}
    assert split("")[1] == ""


def test_odd_names_survive_the_yaml():
    data = {**INFO.data, "name": "a: b # 'c'"}
    text = card(CheckpointInfo(model="resnet18", metrics=INFO.metrics, data=data))
    front = yaml.safe_load(text.split("---\n")[1])
    assert front["model-index"][0]["results"][0]["dataset"]["name"] == "a: b # 'c'"


def test_wilsons_interval():
    low, high = interval(0.5, 100)
    assert (round(low, 4), round(high, 4)) == (0.4038, 0.5962)
    assert interval(1.0, 10)[1] == pytest.approx(1.0)
    assert interval(0.0, 10)[0] == pytest.approx(0.0)
