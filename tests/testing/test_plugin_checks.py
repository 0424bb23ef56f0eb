"""Questions about a plugin as a whole and about every part."""

from __future__ import annotations

import pytest

from zoo.errors import UnknownNameError
from zoo.testing import contract
from zoo.testing.plugin_checks import plugin_info


def answers(name):
    return {a.question: a for a in (check.answer() for check in contract(name))}


LOSS = """
[plugin]
api = ">=1,<2"

[[loss]]
name = "plain"
target = "zoo_odd_parts:plain"
summary = "For the test"
form = "function"
"""
PARTS = "from torch.nn.functional import cross_entropy as plain"


def test_a_plugin_that_is_right_passes(site):
    site.manifest("odd", LOSS, **{"zoo_odd_parts.py": PARTS})
    assert {a.state for a in answers("odd").values()} == {"ok", "skipped"}


def test_a_quarantined_plugin_fails_with_its_reason(site):
    site.code("odd", "raise RuntimeError('boom')")
    found = answers("odd")["loads"]
    assert (found.state, found.text) == ("failed", "quarantined: RuntimeError: boom")


def test_an_api_range_is_wanted_in_both_forms(site):
    site.manifest("odd", LOSS.replace('api = ">=1,<2"', ""), **{"zoo_odd_parts.py": PARTS})
    assert "[plugin]" in answers("odd")["says which plugin api it is for"].hint


def test_a_code_plugin_that_imports_torch_is_told_what_that_costs(site):
    site.code(
        "odd",
        """
        import torch
        from zoo.plugin import LossSpec, hookimpl
        ZOO_API = ">=1,<2"

        @hookimpl
        def zoo_losses():
            yield LossSpec(name="plain", target="zoo_odd:plain", summary="x", form="function")

        plain = torch.nn.functional.cross_entropy
        """,
    )
    found = answers("odd")["is listed without importing torch"]
    assert found.state == "failed"
    assert "torch" in found.text
    assert "registry.toml" in found.hint


def test_a_code_plugin_that_imports_late_is_light(site):
    site.code(
        "odd",
        """
        from zoo.plugin import LossSpec, hookimpl
        ZOO_API = ">=1,<2"

        @hookimpl
        def zoo_losses():
            target = "torch.nn.functional:cross_entropy"
            yield LossSpec(name="plain", target=target, summary="x", form="function")
        """,
    )
    assert {a.question for a in answers("odd").values() if a.state == "failed"} == set()


HOOKS = """
from zoo.plugin import hookimpl

@hookimpl
def {name}({argument}):
    pass
"""


@pytest.mark.parametrize(
    ("name", "argument", "state"),
    [
        ("zoo_run_started", "run", "ok"),
        ("zoo_progress", "report", "ok"),
        ("zoo_run_begun", "run", "failed"),
        ("zoo_progress", "epoch", "failed"),
    ],
)
def test_run_hooks_are_held_to_their_names_and_arguments(name, argument, state, site):
    manifest = LOSS.replace("[plugin]", '[plugin]\nhooks = "zoo_odd_hooks"')
    code = HOOKS.format(name=name, argument=argument)
    site.manifest("odd", manifest, **{"zoo_odd_parts.py": PARTS, "zoo_odd_hooks.py": code})
    assert answers("odd")["its run hooks are known ones"].state == state


def test_a_hook_module_that_cannot_be_imported_is_caught(site):
    site.manifest("odd", '[plugin]\napi = ">=1"\nhooks = "zoo_odd_gone"')
    assert "zoo_odd_gone" in answers("odd")["its run hooks are known ones"].text


def test_weights_are_well_formed_or_left_empty(site):
    entry = """
    [[model]]
    name = "net"
    target = "torch.nn:Identity"
    summary = "x"

    [[model.weights]]
    name = "main"
    source = "hub:somebody/something"
    revision = "main"
    """
    site.manifest("odd", entry)
    assert "40 hex" in answers("odd")["has a plain name and a summary"].text


def test_what_is_not_installed_is_skipped_not_failed(site):
    site.manifest(
        "odd",
        LOSS.replace("[[loss]]", "[[loss]]\nrequires = ['no-such-dist']"),
        **{"zoo_odd_parts.py": "import no_such_dist"},
    )
    found = answers("odd")
    assert found["what it requires is installed"].state == "skipped"
    assert found["its target can be imported"].state == "skipped"
    assert "gives one number that can be differentiated" not in found


def test_an_unknown_plugin_is_answered_with_close_names(site):
    site.manifest("oddly", LOSS)
    with pytest.raises(UnknownNameError) as caught:
        plugin_info("odly")
    assert caught.value.suggestions == ("oddly",)
