"""Publishing, and what others can do with it: with the real client and other people's loaders."""

import re

import pytest
import torch
from loopback_weights import built, ours

from zoo.core.metadata import CheckpointInfo
from zoo.core.specs import InputSpec
from zoo.engine.saving.checkpoint import save_weights

LABELS = ("cat", "dog", "emu")


@pytest.fixture
def ann(hub, home):
    home.environment["HF_TOKEN"] = hub.store.token("ann")
    return home


def put(home, name, data):
    folder = home.work / "runs" / name
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(data)


def test_two_clones_push_and_nobody_is_overwritten(hub, ann):
    put(ann, "one", ours())
    put(ann, "two", ours(num_classes=9))
    assert ann.zoo("push", "one", "ann/net", "--licence", "mit").code == 0
    theirs = []

    def other():
        theirs.append(hub.store.commit("ann/net", {"model.safetensors": b"theirs"}))

    hub.fault("before", method="POST", path="/commit/", action=other)
    done = ann.zoo("push", "two", "ann/net")
    assert done.code == 6
    assert "someone pushed to ann/net first; nothing was overwritten" in done.error
    assert hub.store.repos["ann/net"].head.oid == theirs[0]
    again = ann.zoo("push", "two", "ann/net")
    assert again.code == 0, again.err
    assert hub.store.repos["ann/net"].head.parent == theirs[0]


def test_an_upload_that_fails_leaves_the_repository_as_it_was(hub, ann):
    put(ann, "one", ours())
    hub.fault("status", method="PUT", path="/lfs/", status=403, times=99)
    done = ann.zoo("push", "one", "ann/net", "--licence", "mit")
    assert done.code == 6, done.err
    assert "Traceback" not in done.err
    assert set(hub.store.repos["ann/net"].head.files) == {".gitattributes"}
    hub.faults.clear()
    assert ann.zoo("push", "one", "ann/net", "--licence", "mit").code == 0


@pytest.mark.slow
def test_what_was_pushed_gives_equal_logits_everywhere(hub, ann, tmp_path):
    """timm, transformers' TimmWrapper, plain safetensors and zoo, as the card says."""
    model = built("resnet18", 3)
    info = CheckpointInfo(
        model="resnet18", num_classes=3, classes=LABELS, metrics={"top1": 0.5, "n": 4.0},
        input=InputSpec(size=(3, 64, 64), mean=(0.5,) * 3, std=(0.2,) * 3, resize=73, crop=64),
    )  # fmt: skip
    folder = ann.work / "runs" / "one"
    folder.mkdir(parents=True)
    save_weights(folder / "model.safetensors", model.state_dict(), info)
    assert ann.zoo("push", "one", "ann/pets", "--licence", "mit").code == 0
    card = hub.store.read("ann/pets", "README.md").decode()
    snippets = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    assert len(snippets) == 3
    snippets.append(
        "from transformers import AutoModelForImageClassification as Auto\n"
        "wrapped = Auto.from_pretrained('ann/pets').eval()\n"
        "assert wrapped.config.id2label == {0: 'cat', 1: 'dog', 2: 'emu'}\n"
        "model = lambda image: wrapped(image).logits\n"
    )
    image = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = model(image)
    torch.save((image, expected), tmp_path / "expected.pt")
    check = (
        f"import torch\nimage, expected = torch.load({str(tmp_path / 'expected.pt')!r})\n"
        "with torch.no_grad(): got = model(image)\n"
        "assert torch.allclose(got, expected, atol=1e-5), (got, expected)\nprint('equal')\n"
    )
    whole = "\n".join(f"{snippet}\n{check}" for snippet in snippets)
    done = ann.run("-c", whole)
    assert done.code == 0, done.err
    assert done.out.split() == ["equal"] * 4


def xet_store(hub, tmp_path):
    cas = tmp_path / "cas"
    cas.mkdir()
    hub.api.xet_cas = f"local://{cas}"
    return cas


@pytest.mark.parametrize("verb", ["push"])
def test_a_hub_with_xet(hub, ann, tmp_path, verb):
    """The client's default path: content goes to the CAS, and comes back from it."""
    import hf_xet

    cas = xet_store(hub, tmp_path)
    put(ann, "one", ours())
    done = ann.zoo(verb, "one", "ann/net", "--licence", "mit", env={"HF_HUB_DISABLE_XET": None})
    assert done.code == 0, done.err
    assert sum(f.stat().st_size for f in cas.rglob("*") if f.is_file()) > 100_000
    assert not hub.asked("/lfs/", "PUT")
    source = ann.work / "runs" / "one" / "model.safetensors"
    (told,) = hf_xet.hash_files([str(source)])
    entry = hub.store.repos["ann/net"].head.files["model.safetensors"]
    hub.store.xet[entry.sha256] = told.hash
    code = (
        "from huggingface_hub import hf_hub_download as d; print(d('ann/net', 'model.safetensors'))"
    )
    theirs = ann.run("-c", code, env={"HF_HUB_DISABLE_XET": None})
    assert theirs.code == 0, theirs.err
    with open(theirs.out.strip(), "rb") as file:
        assert file.read() == source.read_bytes()
    assert not hub.asked("/lfs/", "GET")
    # zoo finds what another tool brought over xet, verifies it, and asks for no body
    hub.store.large[entry.sha256] = source.read_bytes()
    done = ann.zoo("pull", "hub:ann/net")
    assert done.code == 0, done.err
    assert not hub.asked("/lfs/", "GET")
    assert ann.zoo("verify").code == 0


def test_a_hub_without_xet_names_the_switch(hub, ann):
    put(ann, "one", ours())
    done = ann.zoo("push", "one", "ann/net", "--licence", "mit", env={"HF_HUB_DISABLE_XET": None})
    assert done.code == 6, done.err
    assert "xet" in done.error
    assert "HF_HUB_DISABLE_XET=1" in done.hint
    assert "Traceback" not in done.err
    done = ann.zoo("push", "one", "ann/net", "--licence", "mit", env={"HF_HUB_DISABLE_XET": "1"})
    assert done.code == 0, done.err
