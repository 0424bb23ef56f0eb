"""The contract as one list, as one line of pytest, and as a pytest flag."""

from __future__ import annotations

import os
import sys
import textwrap

import forked
from oddplugin import LOSS, PARTS

from zoo.testing import Settings, check_plugin, contract


def test_asking_for_the_list_imports_nothing_of_the_plugin(site):
    site.manifest("odd", LOSS, **{"zoo_odd_parts.py": PARTS})
    assert len(contract("odd")) > 8
    assert "zoo_odd_parts" not in sys.modules


def test_parts_are_chosen_by_glob(site):
    site.manifest("odd", LOSS, **{"zoo_odd_parts.py": PARTS})
    chosen = {check.subject for check in contract("odd", Settings(parts=("goo*",)))}
    assert chosen == {"plugin", "loss good"}
    qualified = {check.subject for check in contract("odd", Settings(parts=("odd/bad",)))}
    assert qualified == {"plugin", "loss bad"}


def test_answers_come_one_by_one(site):
    site.manifest("odd", LOSS, **{"zoo_odd_parts.py": PARTS})
    answers = list(check_plugin("odd"))
    assert [a.subject for a in answers if a.state == "failed"] == ["loss bad"]
    assert all(a.seconds >= 0 for a in answers)


def pytest_in(folder, *args):
    command = ["-m", "pytest", "-q", "-p", "no:cacheprovider", *args]
    return forked.run(command, cwd=folder, env=os.environ, timeout=240)


def test_one_line_in_an_authors_test_file(site, tmp_path):
    site.manifest("odd", LOSS, **{"zoo_odd_parts.py": PARTS})
    (tmp_path / "test_it.py").write_text(
        textwrap.dedent("""
        from zoo.testing import plugin_contract

        test_contract = plugin_contract("odd")
        """)
    )
    done = pytest_in(tmp_path, "test_it.py")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "1 failed" in done.stdout
    assert "loss bad: gives one number that can be differentiated" in done.stdout
    assert "it gives a tensor (6,), not one number" in done.stdout
    assert "Traceback" not in done.stdout
