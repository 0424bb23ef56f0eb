"""Strategies for files that somebody else wrote, and what every answer to them has to be."""

from __future__ import annotations

import json
import os
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

MORE = int(os.environ.get("ZOO_FUZZ", "1"))
"""A multiple of the usual number of examples: ``ZOO_FUZZ=50 pytest tests/stories/test_fuzz*``."""

GOOD = frozenset({0, 2, 3, 4, 5, 6, 7})
"""Exit codes that say whose fault it was; 1 is ours."""

_ODD = """.|..|/|../../etc/passwd|\x1b[31mred|a\nb|é|猫|0|-1|1e999|nan|none|default|true|resnet18
timm/resnet18|hub:|file:|run:..|hub:a/b@|url:http://127.0.0.1:9/x|package:zoo:x|a:b:c|\u202e|\0"""
odd = st.sampled_from(["", "x" * 3000, *_ODD.replace("18\n", "18|").split("|")])
text = st.one_of(st.text(max_size=20), odd)
scalar = st.one_of(
    st.none(), st.booleans(), st.integers(), st.sampled_from([0, 1, -1, 2**31, 2**63, 10**400]),
    st.floats(), text,
)  # fmt: skip
value = st.recursive(
    scalar,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(text, inner, max_size=4)),
    max_leaves=8,
)


def examples(count: int) -> Any:
    """So many examples, more where somebody asked for them; each may be slow."""
    quiet = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]
    return settings(max_examples=count * MORE, suppress_health_check=quiet, deadline=None)


def check(answer: Any, codes: frozenset[int] = GOOD) -> None:
    """No bug of ours, no trace, nothing that steers a terminal; an error has its line."""
    assert "Traceback" not in answer.said, answer.said[-3000:]
    assert answer.code in codes, (answer.code, answer.said[-3000:])
    assert "\x1b" not in answer.said
    if answer.code and "problem: " not in answer.out:
        assert answer.error, answer.said[-3000:]


@st.composite
def mutated(draw: Any, whole: bytes) -> bytes:
    """Bytes with a few of them changed, cut out, doubled or put elsewhere."""
    data = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        kind = draw(st.sampled_from(["flip", "byte", "cut", "end", "double", "zeros", "big"]))
        if kind == "flip" and data:
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == "byte" and data:
            data[at] = draw(st.integers(0, 255))
        elif kind == "cut":
            del data[at : at + draw(st.integers(1, 64))]
        elif kind == "end":
            del data[at:]
        elif kind == "double":
            data[at:at] = data[at : at + draw(st.integers(1, 64))]
        elif kind == "zeros":
            size = draw(st.integers(1, 32))
            data[at : at + size] = bytes(size)
        elif kind == "big":
            data[at : at + 4] = b"\xff\xff\xff\xff"
    return bytes(data)


@st.composite
def altered(draw: Any, whole: Any) -> Any:
    """A nested value in which one to three places hold something else."""
    found = json.loads(json.dumps(whole))
    for _ in range(draw(st.integers(1, 3))):
        places = list(_places(found))
        holder, key = places[draw(st.integers(0, len(places) - 1))]
        if draw(st.integers(0, 5)):
            holder[key] = draw(value)
        else:
            del holder[key]
        if not found:
            break
    return found


def _places(value: Any) -> Any:
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in list(pairs):
        yield value, key
        if isinstance(inner, dict | list):
            yield from _places(inner)
