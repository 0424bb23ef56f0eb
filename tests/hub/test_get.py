import pytest
from loopback_weights import ours, repository

from zoo.core import registry
from zoo.core.specs import ModelSpec
from zoo.errors import UnknownNameError, UsageError, VerificationError
from zoo.hub.get import find_weights, get


@pytest.fixture
def known():
    return registry.load()


def test_a_repository(here, known):
    commit = repository(here, "ann/net", {"model.safetensors": ours()})
    steps = []
    got = get("hub:ann/net", known, progress=lambda d, total: steps.append(d))
    assert (got.model, got.revision, got.classes) == ("squeezenet1_1", commit, 7)
    assert got.bytes == got.path.stat().st_size == steps[-1]
    with pytest.raises(VerificationError, match="hub:ann/net is not locked"):
        get("hub:ann/net", known, locked=True)


def test_weights_by_tag(known):
    spec = known.model("resnet18")
    assert find_weights(spec) is spec.weights[0]
    assert find_weights(spec, spec.weights[-1].name) is spec.weights[-1]
    with pytest.raises(UnknownNameError, match="has no weights 'imagenet1k_v9'") as error:
        find_weights(spec, "imagenet1k_v9")
    assert "imagenet1k_v1" in error.value.hint


def test_a_model_without_weights():
    with pytest.raises(UsageError, match="has no published weights"):
        find_weights(ModelSpec(name="bare", target="a:b"))


@pytest.mark.parametrize("reference", ["file:x", "run:x", "url:https://x/y"])
def test_what_is_here_already(known, reference):
    with pytest.raises(UsageError, match="is here already"):
        get(reference, known)
