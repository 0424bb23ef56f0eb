"""Questions about a plugin as a whole and about every part."""

from __future__ import annotations

import importlib
import json

import pytest

from zoo.core import registry
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


def test_a_wrong_hook_says_what_is_wrong_and_what_was_meant(site):
    for text, said, hint in (
        (HOOKS.format(name="zoo_progress", argument="epoch"), "{'epoch'} are declared", ""),
        (HOOKS.format(name="zoo_progres", argument="report"), "unknown hook", "zoo_progress"),
        (HOOKS.format(name="zoo_losses", argument=""), "zoo_losses in zoo_odd", "registry."),
    ):
        name = f"odd{len(said)}"
        module = f"zoo_{name}_hooks"  # one of its own: compiled files know times to the second
        manifest = LOSS.replace("[plugin]", f'[plugin]\nhooks = "{module}"')
        site.manifest(name, manifest, **{"zoo_odd_parts.py": PARTS, f"{module}.py": text})
        registry.load.cache_clear()
        importlib.invalidate_caches()
        found = answers(name)["its run hooks are known ones"]
        assert found.state == "failed"
        assert said in found.text
        assert hint in found.hint
        assert "zoo.core" not in found.hint


def test_what_zoo_would_ignore_in_a_manifest_is_an_error(site):
    text = LOSS + "[hub]\nendpoint = 'http://x'\n"
    site.manifest("odd", text, **{"zoo_odd_parts.py": PARTS})
    found = answers("odd")["its manifest says nothing that zoo ignores"]
    assert (found.state, found.text) == ("failed", "[hub] is ignored: only overlays set it")


@pytest.mark.parametrize(
    ("recipe", "weights", "question", "said"),
    [
        ({"optim.lrr": 1}, {}, "its suggested recipe is one", "unknown key 'optim.lrr'"),
        ({"optim.epochs": "many"}, {}, "its suggested recipe is one", "optim.epochs"),
        ({"optim.lr": 0.1}, {}, "its suggested recipe is one", ""),
        ({}, {"source": "package:zoo_odd/gone.safetensors"}, "its weights fit what it is", "gone"),
        ({}, {"source": "package:zoo_odd/here.safetensors"}, "its weights fit what it is", ""),
        ({}, {"options": {"widht": 1}}, "its weights fit what it is", "no option 'widht'"),
        ({}, {"options": {"width": 1}}, "its weights fit what it is", ""),
    ],
)
def test_what_an_entry_promises_is_asked_for(site, recipe, weights, question, said):
    weights = {"source": "hub:somebody/something", **weights}
    table = {
        "name": "net",
        "target": "torch.nn:Identity",
        "summary": "x",
        "options": {"width": 3},
        "recipe": recipe,
        "weights": [{"name": "main", **weights}],
    }
    files = {"zoo_odd/registry.json": json.dumps({"schema": 1, "model": [table]})}
    site.manifest("odd", "", **files, **{"zoo_odd/here.safetensors": "x"})
    found = answers("odd")[question]
    assert said in found.text
    assert found.state == ("failed" if said else "ok"), found.text


@pytest.mark.parametrize(("target", "state"), [("math:sqrt", "ok"), ("zoo_gone:x", "failed")])
def test_the_labels_of_a_data_set_are_imported(site, target, state):
    entry = "[[dataset]]\nname = 'd'\ntarget = 'zoo_odd:x'\nsplits = []\ndownload = 'manual'\n"
    site.manifest("odd", f"{entry}labels = '{target}'\n")
    assert answers("odd")["its labels can be imported"].state == state


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
