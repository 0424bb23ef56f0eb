import sys

import pytest

from zoo.core.resolve import import_module, install, missing, resolve, target_of
from zoo.core.specs import LossSpec
from zoo.errors import PluginError


def test_a_target_becomes_its_object():
    import json

    assert resolve("json:dumps") is json.dumps
    assert resolve("zoo.core.specs:PartSpec.qualified") is not None


@pytest.mark.parametrize("target", ["json", "json:", ":dumps", "", "json.dumps"])
def test_a_malformed_target(target):
    with pytest.raises(PluginError, match="module:attribute"):
        resolve(target)


def test_a_missing_attribute_names_module_and_target():
    with pytest.raises(PluginError, match=r"json has no nope \(target json:nope\)"):
        resolve("json:nope")


def test_a_missing_dependency_says_what_to_install(site):
    (site.path / "zoo_needy.py").write_text("import none_such.deep")
    with pytest.raises(PluginError, match="cannot import zoo_needy") as caught:
        resolve("zoo_needy:thing")
    assert caught.value.hint == "pip install none_such"


def test_a_wrong_target_does_not_send_anybody_to_the_package_index():
    with pytest.raises(PluginError, match="cannot import zoo_none_such") as caught:
        resolve("zoo_none_such.models:Tiny")
    assert caught.value.hint == "zoo plugins"


@pytest.mark.parametrize("line", ["1 / 0", "import", "raise SystemError('x')", "int('x')"])
def test_a_module_that_fails_is_a_plugin_error(site, line):
    (site.path / "zoo_fails.py").write_text(line)
    with pytest.raises(PluginError, match="cannot import zoo_fails"):
        import_module("zoo_fails")


def test_a_module_that_exits_is_a_plugin_error(site):
    (site.path / "zoo_leaves.py").write_text("import sys; sys.exit(3)")
    with pytest.raises(PluginError, match="SystemExit: 3"):
        import_module("zoo_leaves")


def test_ctrl_c_during_an_import_stays_ctrl_c(site):
    (site.path / "zoo_slow.py").write_text("raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        import_module("zoo_slow")


def test_what_a_module_prints_goes_to_stderr(site, capsys):
    (site.path / "zoo_loud.py").write_text("print('hello'); thing = 1")
    assert resolve("zoo_loud:thing") == 1
    out, err = capsys.readouterr()
    assert (out, err) == ("", "hello\n")
    assert "zoo_loud" in sys.modules


def test_what_a_part_requires_is_the_hint_not_what_its_module_is_called(site):
    (site.path / "zoo_needy.py").write_text("import cv2none")
    spec = LossSpec(name="x", target="zoo_needy:x", requires=("opencv-python-none>=4", "click"))
    assert missing(spec) == ["opencv-python-none>=4"]
    with pytest.raises(PluginError, match="No module named 'cv2none'") as caught:
        target_of(spec)
    assert caught.value.hint == "pip install 'opencv-python-none>=4'"
    assert install(["a", "b"]) == "pip install a b"


def test_another_error_keeps_its_own_hint(site):
    (site.path / "zoo_needy.py").write_text("1 / 0")
    with pytest.raises(PluginError) as caught:
        target_of(LossSpec(name="x", target="zoo_needy:x", requires=("none-such",)))
    assert caught.value.hint == "zoo plugins"
    (site.path / "zoo_late.py").write_text("import none_such")
    with pytest.raises(PluginError) as caught:
        target_of(LossSpec(name="x", target="zoo_late:x", requires=("click", "pluggy>=1")))
    assert caught.value.hint == "pip install none_such"
