"""The built-in parts are held to the contract that every plugin is held to."""

from __future__ import annotations

from zoo.testing import plugin_contract

KINDS = ("loss", "metric", "optimizer", "scheduler", "transform", "exporter")
DRAWN = ("dataset:demo", "dataset:digits")  # the others have to be fetched

test_contract = plugin_contract("zoo", parts=(*DRAWN, *(f"{kind}:*" for kind in KINDS)))
test_contract_of_a_small_model = plugin_contract("zoo", parts=("model:mobilenet_v3_small",))
