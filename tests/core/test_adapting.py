"""zoo.core.adapting: what adapters cannot be asked for together with."""

import pytest

from zoo.core import compose
from zoo.core.adapting import check_adapters
from zoo.errors import FreezeError


def recipe(**values):
    keys = {f"freeze.{key}" if "." not in key else key: value for key, value in values.items()}
    return compose.compose("finetune", [("test", keys)]).recipe


def test_a_rank_with_or_without_an_alpha():
    check_adapters(recipe(lora=8))
    check_adapters(recipe(lora=8, lora_alpha=16.0, upto="layer3"))


@pytest.mark.parametrize(
    ("values", "said", "hint"),
    [
        ({"lora_alpha": 4.0}, "there are none", "--lora 8"),
        ({"lora": 8, "unfreeze_at": ["2:layer4"]}, "--unfreeze-at 2:layer4", "leave one of them"),
        ({"lora": 8, "device.parallel": "fsdp"}, "is not supported", "--parallel ddp"),
    ],
)
def test_what_makes_no_sense_is_said(values, said, hint):
    with pytest.raises(FreezeError, match=said) as caught:
        check_adapters(recipe(**values))
    assert hint in caught.value.hint
