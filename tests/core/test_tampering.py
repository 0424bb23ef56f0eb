"""A plugin that patches what everybody uses is named, and the patch is undone."""

import builtins
import json
import os
import sys

import pytest
import torch

from zoo.core.tampering import WATCHED, untouched
from zoo.errors import PluginError


def test_what_changes_nothing_passes():
    with untouched():
        json.loads("[1]")


@pytest.mark.parametrize(
    ("module", "name"), [(torch, "load"), (json, "loads"), (os, "replace"), (builtins, "eval")]
)
def test_a_replaced_function_is_named_and_put_back(module, name, monkeypatch):
    own = getattr(module, name)
    with pytest.raises(PluginError, match=f"it replaces {module.__name__}.{name}"), untouched():
        monkeypatch.setattr(module, name, lambda *a, **k: None)
    assert getattr(module, name) is own


def test_a_module_that_comes_in_already_patched_is_held_to_itself(monkeypatch):
    own = torch.load

    def import_and_patch():
        sys.modules["torch"] = torch
        monkeypatch.setattr(torch, "load", lambda *a, **k: {})

    monkeypatch.delitem(sys.modules, "torch")
    with pytest.raises(PluginError, match=r"torch\.load"), untouched():
        import_and_patch()
    assert torch.load is own


def test_a_module_that_comes_in_whole_passes(monkeypatch):
    monkeypatch.delitem(sys.modules, "pickle")
    with untouched():
        __import__("pickle")


def test_every_watched_function_exists():
    import pickle

    import safetensors.torch

    del pickle, safetensors
    for name in WATCHED:
        module, _, attribute = name.rpartition(".")
        assert callable(getattr(sys.modules[module], attribute)), name
