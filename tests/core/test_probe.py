"""Each plugin in a process of its own: whatever it does there is a row, not an end."""

import pytest

from zoo.core.discovery import find
from zoo.core.probe import probe

ENDS = {
    "": ("ok", ""),
    "raise RuntimeError('boom')": ("quarantined", "RuntimeError: boom"),
    "import os; os._exit(0)": ("died", "exit code 0"),
    "import os; os._exit(7)": ("died", "exit code 7"),
    "import os; os.kill(os.getpid(), 11)": ("died", "died of SIGSEGV"),
    "import sys; sys.stdout.write('zoo-probe:[')": ("ok", ""),
}


@pytest.mark.parametrize("text", ENDS)
def test_every_end_of_a_plugin_is_told(text, site):
    site.code("one", text)
    (point,) = [p for p in find() if p.name == "one"]
    found = probe(point, timeout=30)
    state, error = ENDS[text]
    assert found.state == state
    assert error in found.error
    assert found.ok == (state == "ok")
    assert found.seconds > 0


def test_one_that_never_returns_is_ended(site):
    site.code("one", "import time; time.sleep(60)")
    (point,) = [p for p in find() if p.name == "one"]
    found = probe(point, timeout=2)
    assert (found.state, found.ok) == ("hangs", False)
    assert "more than 2 s" in found.error
    assert found.seconds < 20


def test_hook_modules_are_tried_as_well(site):
    site.manifest(
        "one",
        '[plugin]\nhooks = "zoo_one.hooks"\n',
        **{"zoo_one/hooks.py": "raise RuntimeError('late')"},
    )
    (point,) = [p for p in find() if p.name == "one"]
    found = probe(point, timeout=30)
    assert (found.state, found.ok) == ("quarantined", False)
    assert found.error == "run hooks: cannot import zoo_one.hooks: RuntimeError: late"


def test_what_is_switched_off_is_not_started(site, monkeypatch):
    site.code("one", "import os; os._exit(7)")
    (point,) = [p for p in find() if p.name == "one"]
    monkeypatch.setenv("ZOO_DISABLE_PLUGINS", "one")
    assert probe(point, timeout=30).state == "disabled"
    monkeypatch.delenv("ZOO_DISABLE_PLUGINS")
    monkeypatch.setenv("ZOO_PLUGINS", "two")
    assert probe(point, timeout=30).ok
