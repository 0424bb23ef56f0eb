import dataclasses

import pytest
import torch
from torch import nn

from zoo.core.recipe import DataPart, OutputPart, Recipe
from zoo.core.specs import InputSpec
from zoo.data.loaders import Loader
from zoo.data.sources import open_data
from zoo.engine.observers import Observers, first_images
from zoo.errors import PluginError, UnknownNameError

PLUGIN = """
from torch import nn
from zoo.plugin import TrackerSpec, UsageError, hookimpl

calls = []

@hookimpl
def zoo_progress(report):
    calls.append(("progress", report))
    if report == "bad":
        raise OSError("full")
    if report == "leave":
        raise SystemExit(7)

@hookimpl
def zoo_model_ready(model, run):
    calls.append(("ready", model, run))
    if model is None:
        raise ValueError("no model")
    if model == "leave":
        raise SystemExit(5)
    if run == "swap":
        model.act = nn.GELU()
    if run == "add":
        model.more = nn.Linear(2, 2)
    if run == "fill":
        model.fc.bias.data.fill_(7.0)

@hookimpl
def zoo_trackers():
    yield TrackerSpec(name="memory", target="zoo_watch:Memory")
    yield TrackerSpec(name="broken", target="zoo_watch:Broken")
    yield TrackerSpec(name="blind", target="zoo_watch:Blind")
    yield TrackerSpec(name="shut", target="zoo_watch:Shut")
    yield TrackerSpec(name="away", target="zoo_watch:Away")
    yield TrackerSpec(name="seen", target="zoo_watch:Seen")
    yield TrackerSpec(name="stuck", target="zoo_watch:Stuck")

class Memory:
    def __init__(self, run_dir):
        self.dir = run_dir
        calls.append(("open", run_dir))
    def scalars(self, values, step):
        calls.append(("scalars", values, step))
    def image(self, name, image, step):
        calls.append(("image", name, image, step))
    def graph(self, model, example):
        calls.append(("graph", model, example))
    def close(self):
        calls.append(("close",))

class Blind(Memory):
    def image(self, name, image, step):
        raise RuntimeError("no eyes")

class Shut:
    def __init__(self, run_dir):
        raise ConnectionError("nobody answers")

class Away:
    def __init__(self, run_dir):
        raise UsageError("no key", hint="board login")

class Seen(Memory):
    where = "http://board/runs/1"
    def ended(self, result):
        calls.append(("ended", result))

class Stuck(Memory):
    def close(self):
        super().close()
        raise TimeoutError("too slow")

class Broken(Memory):
    def scalars(self, values, step):
        raise RuntimeError("board is down")
"""


@pytest.fixture
def known(site, fresh):
    site.code("watch", PLUGIN)
    fresh.cache_clear()
    return fresh()


@pytest.fixture
def calls(known):
    import zoo_watch

    del known
    return zoo_watch.calls


def recipe(*trackers):
    return dataclasses.replace(Recipe(), output=OutputPart(trackers=trackers))


def test_a_hook_gets_the_arguments_that_it_asked_for(known, calls):
    Observers(known).influence("zoo_model_ready", run="run", model="model")
    Observers(known).observe("zoo_progress", run="run", report=1)
    assert calls == [("ready", "model", "run"), ("progress", 1)]


def test_an_influence_that_fails_aborts_and_is_named(known):
    with pytest.raises(
        PluginError, match="plugin watch, zoo_model_ready: ValueError: no model"
    ) as caught:
        Observers(known).influence("zoo_model_ready", run=None, model=None)
    assert caught.value.hint == "zoo plugins disable watch"


def test_an_observer_that_fails_is_named_once_and_muted(known, calls):
    notes = []
    observers = Observers(known, note=notes.append)
    for report in ("bad", "bad", "good"):
        observers.observe("zoo_progress", run=None, report=report)
    assert notes == ["plugin watch failed in zoo_progress and is muted: OSError: full"]
    assert calls == [("progress", "bad")]


def test_strict_raises_instead(known):
    with pytest.raises(PluginError, match="OSError: full"):
        Observers(known, strict=True).observe("zoo_progress", run=None, report="bad")


def test_trackers_get_the_numbers_and_are_closed_once(known, calls, tmp_path):
    observers = Observers(known)
    observers.open_trackers(recipe("watch/memory"), tmp_path)
    values = {"loss": 1.0}
    observers.scalars(values, 3)
    values["loss"] = 2.0
    observers.close()
    observers.close()
    assert calls == [("open", tmp_path), ("scalars", {"loss": 1.0}, 3), ("close",)]


def test_a_failing_tracker_does_not_silence_another(known, calls, tmp_path):
    notes = []
    observers = Observers(known, note=notes.append)
    observers.open_trackers(recipe("watch/broken", "watch/memory"), tmp_path)
    observers.scalars({"loss": 1.0}, 1)
    observers.scalars({"loss": 0.5}, 2)
    assert len(notes) == 1
    assert "tracker watch/broken failed in scalars" in notes[0]
    assert [call[0] for call in calls].count("scalars") == 2


def test_an_unknown_tracker(known, tmp_path):
    with pytest.raises(UnknownNameError, match="unknown tracker 'bord'"):
        Observers(known).open_trackers(recipe("bord"), tmp_path)


def test_trackers_are_shown_the_first_images_and_the_graph(known, calls, tmp_path):
    observers = Observers(known)
    assert not observers.tracked
    observers.open_trackers(recipe("watch/memory"), tmp_path)
    assert observers.tracked
    model, images = nn.Linear(4, 2), torch.arange(5).view(5, 1, 1, 1).expand(5, 3, 2, 4).byte()
    observers.show(model, images)
    (name, shown, step), (traced, example) = (call[1:] for call in calls[-2:])
    assert (name, step, traced) == ("images/first", 0, model)
    assert shown[0, ::2, ::4].tolist() == [[0, 1, 2], [3, 4, 0]]
    assert (example.shape, example.dtype) == ((1, 3, 2, 4), torch.float32)


def test_a_tracker_that_cannot_draw_goes_on_counting(known, calls, tmp_path):
    notes = []
    observers = Observers(known, note=notes.append)
    observers.open_trackers(recipe("watch/blind"), tmp_path)
    observers.show(nn.Linear(4, 2), torch.zeros(1, 3, 2, 2, dtype=torch.uint8))
    assert len(notes) == 1
    assert "what tracker watch/blind is shown first failed in image" in notes[0]
    observers.scalars({"loss": 1.0}, 1)
    assert calls[-1][0] == "scalars"


@pytest.fixture
def net():
    made = nn.Module()
    made.act, made.fc = nn.ReLU(), nn.Linear(2, 2)
    return made


def test_a_plugin_may_change_values_before_training(known, net):
    Observers(known).ready("fill", net)
    assert net.fc.bias.tolist() == [7.0, 7.0]


@pytest.mark.parametrize(
    ("change", "said"), [("swap", "act: ReLU -> GELU"), ("add", "more: nothing -> Linear")]
)
def test_a_plugin_may_not_change_what_a_checkpoint_is_built_by(change, said, known, net):
    with pytest.raises(PluginError, match=f"watch.* changed {said}") as raised:
        Observers(known).ready(change, net)
    assert "zoo plugins disable watch" in raised.value.hint


def test_a_tracker_that_cannot_be_opened_is_muted_or_ends_a_strict_run(known, tmp_path):
    said = []
    Observers(known, note=said.append).open_trackers(recipe("watch/shut", "watch/memory"), tmp_path)
    assert said == ["tracker watch/shut failed in opening and is muted: "
                    "ConnectionError: nobody answers"]  # fmt: skip
    with pytest.raises(PluginError, match="watch/shut, opening: ConnectionError"):
        Observers(known, strict=True).open_trackers(recipe("watch/shut"), tmp_path)


def test_what_a_tracker_says_to_people_keeps_its_hint(known, tmp_path):
    said = []
    Observers(known, note=said.append).open_trackers(recipe("watch/away"), tmp_path)
    assert said == ["tracker watch/away failed in opening and is muted: no key (board login)"]
    with pytest.raises(PluginError, match="tracker watch/away, opening: no key") as raised:
        Observers(known, strict=True).open_trackers(recipe("watch/away"), tmp_path)
    assert raised.value.hint == "board login"


def test_a_tracker_may_say_where_the_run_is_seen(known, tmp_path):
    said = []
    opened = recipe("watch/seen", "watch/memory")
    Observers(known, note=said.append).open_trackers(opened, tmp_path)
    assert said == ["tracker watch/seen: http://board/runs/1"]


def test_a_tracker_that_asks_is_told_how_the_run_ended(known, calls, tmp_path):
    for told in ("a result", None):
        observers = Observers(known)
        observers.open_trackers(recipe("watch/seen"), tmp_path)
        observers.close(told)
        observers.close("another")
    assert calls[1:3] == [("ended", "a result"), ("close",)]
    assert [call[0] for call in calls[3:]] == ["open", "close"]


def test_a_tracker_that_does_not_close_is_asked_once(known, calls, tmp_path):
    observers = Observers(known, strict=True)
    observers.open_trackers(recipe("watch/stuck"), tmp_path)
    with pytest.raises(PluginError, match="too slow"):
        observers.close()
    observers.close()
    assert [call[0] for call in calls] == ["open", "close"]


def test_a_hook_that_leaves_the_process_is_a_failing_hook(known):
    said = []
    Observers(known, note=said.append).observe("zoo_progress", report="leave")
    assert said == ["plugin watch failed in zoo_progress and is muted: SystemExit: 7"]
    with pytest.raises(PluginError, match="watch, zoo_model_ready: SystemExit: 5"):
        Observers(known).influence("zoo_model_ready", run=None, model="leave")


def test_hooks_that_do_not_load_are_named_once_or_end_a_strict_run(site, fresh):
    site.manifest("late", "[plugin]\nhooks = 'zoo_late.nowhere'\n")
    fresh.cache_clear()
    known, said = fresh(), []
    Observers(known, note=said.append)
    assert len(said) == 1
    assert "plugin late, run hooks: cannot import zoo_late.nowhere" in said[0]
    assert "zoo plugins disable late" in said[0]
    Observers(known, note=said.append)
    assert len(said) == 1
    with pytest.raises(PluginError, match="plugin late"):
        Observers(known, strict=True)


def test_trackers_are_shown_what_training_begins_with_also_from_memory(known):
    """Small sets lie in memory and are drawn from by another way than files are."""
    images = open_data(DataPart(source="digits"), registry=known, channels=1).train
    look = known.build("transform", "shift", InputSpec(size=(1, 28, 28)))
    loader = Loader(images, look, batch_size=16, seed=3)
    assert torch.equal(first_images(images, look, 3), next(loader.epoch(0)).images)
