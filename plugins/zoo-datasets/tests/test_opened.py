"""Splits are named with the one that trains first."""

from __future__ import annotations

from zoo_datasets.opened import Opened


def test_training_comes_first():
    def names(*splits):
        opened = Opened(dict.fromkeys(splits), "x", "f", (), "n")
        return opened.names()

    assert names("test", "validation", "train") == ("train", "test", "validation")
    assert names("test", "trainval") == ("trainval", "test")
    assert names("test", "dev") == ("test", "dev")
