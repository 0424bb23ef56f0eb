"""A make-believe plugin, named ``odd``, with a good part and a bad one, or with one part only."""

from __future__ import annotations

from zoo.testing import Settings, contract

LOSS = """
[plugin]
api = ">=1,<2"

[[loss]]
name = "good"
target = "zoo_odd_parts:good"
summary = "For the test"
form = "function"

[[loss]]
name = "bad"
target = "zoo_odd_parts:bad"
summary = "For the test"
form = "function"
"""
PARTS = """
from torch.nn.functional import cross_entropy as good

def bad(outputs, targets):
    return outputs.sum(1)
"""


def ask(site, kind, code, entry="", **settings):
    """Answers about one part ``odd`` whose target is ``Part`` in ``code``."""
    text = f"""
[plugin]
api = ">=1,<2"

[[{kind}]]
name = "odd"
target = "zoo_odd_parts:Part"
summary = "For the test"
{entry}
"""
    site.manifest("odd", text, **{"zoo_odd_parts.py": code})
    asked = [c for c in contract("odd", Settings(**settings)) if c.subject != "plugin"]
    answers = [check.answer() for check in asked]
    return {a.question: a.text for a in answers if a.state == "failed"}
