"""zoo.core.unfreezing: what joins later joins before the run ends."""

import pytest

from zoo.core import registry
from zoo.core.request import request
from zoo.core.unfreezing import epochs_in_words, parse_unfreeze_at
from zoo.errors import FreezeError


def test_epochs_and_target():
    assert parse_unfreeze_at("3:layer3.*") == (3, "layer3.*")
    for text in ("layer3", "x:layer3", "-1:layer3", "3:", f"{'9' * 5000}:layer3"):
        with pytest.raises(FreezeError, match="not EPOCHS:TARGET"):
            parse_unfreeze_at(text)
    with pytest.raises(FreezeError, match="from the start"):
        parse_unfreeze_at("0:layer3")


def asked(epochs, at):
    values = {"freeze_upto": "layer4", "epochs": epochs, "unfreeze_at": at}
    return request("finetune", "resnet18", values, registry=registry.load())


@pytest.mark.parametrize(("epochs", "at"), [(1, "1:layer4"), (3, "3:layer4"), (3, "30:layer4")])
def test_what_would_never_train_is_refused_before_anything_is_read(epochs, at):
    with pytest.raises(
        FreezeError, match=f"the run ends after {epochs_in_words(epochs)}"
    ) as caught:
        asked(epochs, ["1:layer3", at] if epochs > 1 else [at])
    assert caught.value.exit_code == 2
    wanted = int(caught.value.hint.removeprefix("--epochs ").partition(" ")[0])
    assert asked(wanted, [at]).recipe.optim.epochs == wanted


def test_the_last_epoch_is_early_enough():
    assert asked(3, ["2:layer4"]).recipe.freeze.unfreeze_at == ("2:layer4",)
