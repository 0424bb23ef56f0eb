from dataclasses import replace

from tinyrun import CPU, TinyRun, fingerprint
from torch.nn import functional

from zoo.engine import breakeven
from zoo.engine.breakeven import BreakEven
from zoo.engine.feed import Feed
from zoo.engine.reports import EpochReport, Note, StepReport

STEP = StepReport(
    epoch=0, step=1, steps=9, batch=1, batches=9, n=4, loss=1.0, top1=None, top5=None, lr=0.1
)
EPOCH = EpochReport(
    epoch=0, epochs=1, step=1, n=4, loss=1.0, top1=None, top5=None, lr=0.1, val=None, value=None,
    best=False, waited=0, seconds=1.0,
)  # fmt: skip


def see(found, *seconds):
    said = [found.see(STEP, taken) for taken in seconds]
    assert not any(said)
    return found.see(EPOCH, 0.5)


def test_what_was_measured_is_said_after_the_first_epoch_and_once():
    found = BreakEven(0.5, steps=1000)
    assert see(found, 20.4, 0.4, 0.4, 0.4) == (
        "compiling took 20.0 s; a step takes 0.400 s, uncompiled 0.500 s: "
        "it pays after 200 steps, this run has 1,000"
    )
    assert see(found, 0.4, 0.4) == ""


def test_a_second_shape_that_is_compiled_counts_as_compiling():
    assert see(BreakEven(1.5, 10), 11.0, 1.0, 1.0, 1.0, 6.0).startswith("compiling took 15.0 s")


def test_a_second_shape_in_an_epoch_of_three_steps_is_no_step_either():
    said = see(BreakEven(1.5, 10), 11.0, 1.0, 6.0)
    assert said.startswith("compiling took 15.0 s; a step takes 1.000 s")


def test_compiling_that_does_not_help_is_said_so():
    said = see(BreakEven(0.3, 10), 9.0, 0.3, 0.3)
    assert said.endswith("it does not pay (leave --compile out)")


def test_too_few_steps_say_nothing():
    found = BreakEven(0.3, 10)
    assert see(found, 9.0, 0.1) == ""
    assert found.see(Note(text="x"), 1.0) == ""


def test_the_estimate_says_that_it_is_one():
    assert BreakEven(0.25, 60).line() == (
        "a step takes 0.250 s uncompiled; if compiling takes 30 s and saves 20 % (estimates), "
        "it pays after 600 steps; this run has 60"
    )


def test_steps_are_measured_uncompiled_and_leave_no_trace(tmp_path, monkeypatch):
    run = TinyRun(tmp_path / "unused", epochs=3)
    before = fingerprint(run.live)
    seen = []

    def watched(live, rules, **parts):
        seen.append(parts["place"])
        yield from fit(live, rules, **parts)

    fit = breakeven.fit
    monkeypatch.setattr(breakeven, "fit", watched)
    found = BreakEven.measure(
        run.live, run.rules, train=run.train, loss=functional.cross_entropy,
        feed=Feed(CPU, None), place=replace(CPU, compile=True),
    )  # fmt: skip
    assert [place.compile for place in seen] == [False]
    assert 0 < found.eager < 5
    assert found.steps == run.steps
    assert fingerprint(run.live) == before
    assert run.live.position.step == 0
