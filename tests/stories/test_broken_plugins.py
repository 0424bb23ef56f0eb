"""A plugin that is broken, in every way that plugins are, breaks only itself.

Each one lies on disk as an installer would leave it, beside a plugin that works, and the real
command line runs in a process of its own.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import pytest

GOOD = """
[plugin]
api = ">=1,<2"

[[model]]
name = "fine"
target = "zoo_good.models:fine"
summary = "Works"
"""
MODEL = """
[[model]]
name = "odd"
target = "zoo_bad.models:odd"
"""


@pytest.fixture
def good(site):
    """The plugin that has to go on working."""
    site.manifest("good", GOOD)
    return site


def write(site, name, files, **options):
    site.install(name, files, **options)


def code(text):
    return lambda site: site.code("bad", text)


def manifest(text):
    return lambda site: site.manifest("bad", text)


def raw(content: bytes):
    def install(site):
        site.manifest("bad", "")
        (site.path / "zoo_bad" / "registry.toml").write_bytes(content)

    return install


def a_folder(site):
    site.manifest("bad", "")
    (site.path / "zoo_bad" / "registry.toml").unlink()
    (site.path / "zoo_bad" / "registry.toml").mkdir()


def twice(site):
    site.manifest("bad", MODEL)
    site.install("bad", {}, distribution="zoo-worse")


BROKEN = {
    "raises at import": (code("raise RuntimeError('boom at import')"), "boom at import"),
    "has a syntax error": (code("def zoo_models(:"), "SyntaxError"),
    "leaves the interpreter": (code("import sys; sys.exit('out of here')"), "out of here"),
    "presses Ctrl-C itself": (code("raise KeyboardInterrupt"), "KeyboardInterrupt"),
    "needs what is not installed": (code("import no_such_thing_here"), "no_such_thing_here"),
    "is for another api": (manifest('[plugin]\napi = ">=7,<8"\n'), "api >=7,<8"),
    "is for another api, in code": (code("ZOO_API = '>=7'"), "api >=7"),
    "has a malformed api range": (manifest('[plugin]\napi = "seven"\n'), "malformed"),
    "has TOML that does not parse": (raw(b"schema = 1\n[[model]\n"), "line 2"),
    "has no schema": (raw(b"[plugin]\n"), "schema"),
    "has an unknown key": (manifest(MODEL + "heads = 'fc'\n"), "unknown key 'heads'"),
    "has a wrong type": (manifest(MODEL + "params = 'many'\n"), "params"),
    "has an impossible name": (manifest(MODEL.replace('"odd"', '"a b"')), "a name is"),
    "names a part twice": (manifest(MODEL + MODEL), "twice"),
    "is not UTF-8": (raw("schema = 1\n# Gr\xfc\xdfe".encode("latin-1")), "UTF-8"),
    "has a folder where its manifest should be": (a_folder, "registry.toml"),
    "is there twice": (twice, "zoo-worse"),
    "points at nothing": (lambda site: site.install("bad", {}, entry="zoo_nowhere"), "zoo_nowhere"),
    "points at a missing attribute": (
        lambda site: site.install("bad", {"zoo_bad.py": ""}, entry="zoo_bad:gone"),
        "gone",
    ),
    "has a hook that raises": (
        code("from zoo.plugin import hookimpl\n@hookimpl\ndef zoo_models():\n    return 1 / 0"),
        "ZeroDivisionError",
    ),
    "has a hook that raises half way": (
        code(
            "from zoo.plugin import ModelSpec, hookimpl\n@hookimpl\ndef zoo_models():\n"
            "    yield ModelSpec(name='odd', target='a:b')\n    raise ValueError('half way')"
        ),
        "half way",
    ),
    "has a hook that gives no specs": (
        code("from zoo.plugin import hookimpl\n@hookimpl\ndef zoo_models():\n    return ['odd']"),
        "not ModelSpec",
    ),
    "has a misspelt hook": (
        code("from zoo.plugin import hookimpl\n@hookimpl\ndef zoo_modles():\n    return []"),
        "zoo_modles",
    ),
    "wants an argument that its hook does not get": (
        code("from zoo.plugin import hookimpl\n@hookimpl\ndef zoo_progress(epoch):\n    pass"),
        "epoch",
    ),
}


@pytest.mark.parametrize("way", list(BROKEN))
def test_the_others_go_on_and_the_broken_one_is_named(way, good, shell):
    install, reason = BROKEN[way]
    install(good)
    listed = shell("list", "--names")
    assert listed.returncode == 0, listed.stderr
    assert {"resnet18", "good/fine"} <= set(listed.stdout.splitlines())
    assert "bad/odd" not in listed.stdout
    assert "Traceback" not in listed.stderr
    shown = shell("plugins", "--json")
    assert shown.returncode == 0, shown.stderr
    broken = [p for p in json.loads(shown.stdout) if p["name"] == "bad"]
    assert broken
    assert all(p["state"] == "quarantined" for p in broken)
    assert all(reason in p["error"] for p in broken), broken
    assert all("\n" not in p["error"] for p in broken)


@pytest.mark.parametrize("way", ["raises at import", "is not UTF-8", "has a hook that raises"])
def test_people_are_told_once_on_stderr(way, good, shell):
    BROKEN[way][0](good)
    done = shell("list", "fine")
    assert done.stderr.count("bad") >= 1
    assert "zoo plugins" in done.stderr
    assert "bad" not in done.stdout


def test_a_part_of_a_broken_plugin_leads_to_the_reason(good, shell):
    BROKEN["raises at import"][0](good)
    done = shell("info", "bad/odd")
    assert done.returncode == 2
    assert "zoo plugins" in done.stderr


def test_strict_plugins_make_it_an_error_for_ci(good, shell):
    BROKEN["has an unknown key"][0](good)
    done = shell("list", ZOO_STRICT_PLUGINS="1")
    assert done.returncode == 4
    assert "heads" in done.stderr


def test_what_a_plugin_prints_while_it_is_imported_does_not_spoil_json(good, shell):
    good.code("bad", "print('hello from a plugin')")
    done = shell("list", "--json")
    assert len(json.loads(done.stdout)) > 80
    assert "hello from a plugin" in done.stderr


def test_a_target_that_is_wrong_is_listed_and_fails_only_when_it_is_used(good, shell):
    good.manifest("bad", MODEL)
    assert "bad/odd" in shell("list", "--names").stdout
    done = shell("plugins", "check", "bad")
    assert done.returncode == 11
    assert "zoo_bad.models" in done.stdout


def test_disabling_a_plugin_never_imports_it(good, shell, tmp_path):
    mark = tmp_path / "imported"
    good.code("bad", f"open({str(mark)!r}, 'w').close(); raise SystemExit(3)")
    off = shell("plugins", "disable", "bad", ZOO_CONFIG=str(tmp_path / "config"))
    assert off.returncode == 0, off.stderr
    assert not mark.exists()
    shown = shell("plugins", "--json", ZOO_CONFIG=str(tmp_path / "config"))
    assert {p["name"]: p["state"] for p in json.loads(shown.stdout)}["bad"] == "disabled"
    assert not mark.exists()
    assert shell("plugins", "enable", "bad", ZOO_CONFIG=str(tmp_path / "config")).returncode == 0
    shell("list", ZOO_CONFIG=str(tmp_path / "config"))
    assert mark.exists()


HANGS = "import time\nprint('importing', flush=True)\ntime.sleep(600)"


def test_a_plugin_that_hangs_can_be_switched_off(good, shell, tmp_path):
    good.code("bad", HANGS)
    started = time.monotonic()
    assert shell("plugins", "disable", "bad", ZOO_CONFIG=str(tmp_path / "config")).returncode == 0
    listed = shell("list", "--names", ZOO_CONFIG=str(tmp_path / "config"))
    assert "good/fine" in listed.stdout
    assert "good/fine" in shell("list", "--names", ZOO_PLUGINS="good").stdout
    assert time.monotonic() - started < 60


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_plugin_that_hangs_can_be_interrupted(good):
    good.code("bad", HANGS)
    command = [sys.executable, "-m", "zoo", "list"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            seen = iter(process.stderr.readline, "")
            assert any("importing" in line for line in seen), "it never began"
            process.send_signal(signal.SIGINT)
            process.stderr.read()
            assert process.wait(timeout=30) == 130
        finally:
            process.kill()


def test_help_and_version_do_not_look_at_plugins(good, shell):
    good.code("bad", HANGS)
    assert shell("--help").returncode == 0
    assert shell("--version").returncode == 0
