"""Everything that zoo asks of a plugin, one test each."""

from __future__ import annotations

from zoo.testing import plugin_contract

test_contract = plugin_contract("template")
