from dataclasses import replace

from zoo.core.specs import InputSpec
from zoo.engine.start.loading import load_run


def test_it_says_what_its_file_says(finished_run, fresh):
    found = load_run(str(finished_run), fresh())
    assert found.own
    assert found.classes == found.info.classes == ("dark", "light")
    assert found.input == found.info.input


def test_the_input_is_a_default_where_nobody_stated_it(finished_run, fresh):
    found = load_run(str(finished_run), fresh())
    assert replace(found, info=replace(found.info, input=None)).input == InputSpec()
