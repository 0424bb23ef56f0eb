"""The contract as a flag of pytest."""

from __future__ import annotations

import os

import forked
from oddplugin import LOSS, PARTS


def pytest_in(folder, *args):
    command = ["-m", "pytest", "-q", "-p", "no:cacheprovider", *args]
    return forked.run(command, cwd=folder, env=os.environ, timeout=240)


def test_a_flag_of_pytest(site, tmp_path):
    site.manifest("odd", LOSS, **{"zoo_odd_parts.py": PARTS})
    (tmp_path / "test_other.py").write_text("def test_other():\n    assert False\n")
    flags = ["-p", "zoo.testing.pytest_plugin", "--zoo-plugin", "odd"]
    alone = pytest_in(tmp_path, *flags, "--zoo-part", "good")
    assert alone.returncode == 0, alone.stdout + alone.stderr
    both = pytest_in(tmp_path, *flags, "test_other.py")
    assert "2 failed" in both.stdout
    assert "it gives a tensor (6,), not one number" in both.stdout
