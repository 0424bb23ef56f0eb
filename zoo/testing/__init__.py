"""For plugin authors: the contract that every plugin is held to, and a project to start from."""

from zoo.testing.checks import Answer, Check, Settings, Skip
from zoo.testing.contract import check_plugin, contract, plugin_contract

__all__ = [
    "Answer",
    "Check",
    "Settings",
    "Skip",
    "check_plugin",
    "contract",
    "plugin_contract",
]
