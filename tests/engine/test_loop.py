import json
import math
import time
from dataclasses import replace

import pytest
import torch
from tinyrun import CPU, TinyLoader, TinyRun, fingerprint
from torch.nn import functional

from zoo.core.metadata import WEIGHTS_FILE, CheckpointInfo
from zoo.engine.evaluate import evaluate
from zoo.engine.feed import Feed
from zoo.engine.loop import fit
from zoo.engine.processes.signals import Stop
from zoo.engine.reports import EpochReport, Note, SavedReport, StepReport
from zoo.engine.saving import keeper as keeper_module
from zoo.engine.saving.checkpoint import list_states, load_weights, read_state
from zoo.engine.saving.keeper import Keeper
from zoo.engine.saving.live import Position
from zoo.engine.saving.moment import Moment
from zoo.engine.saving.rundir import RunFolder
from zoo.errors import DataError, DiskError, Interrupted, NumericsError


def kinds(reports):
    short = {StepReport: "step", EpochReport: "epoch", SavedReport: "saved", Note: "note"}
    return [short[type(report)] for report in reports]


def test_a_run_is_steps_epochs_and_saves(tmp_path):
    run = TinyRun(tmp_path / "run", epochs=2)
    reports = list(run.go())
    heard = kinds(reports)  # a save is reported once it is on the disk, some steps later
    assert [kind for kind in heard if kind != "saved"] == ["step", "step", "step", "epoch"] * 2
    assert (heard.count("saved"), heard[-1]) == (2, "saved")
    assert [r.step for r in reports if isinstance(r, StepReport)] == [1, 2, 3, 4, 5, 6]
    assert run.live.position.finished
    assert [step for step, _ in list_states(run.folder)] == [6, 3]


def test_the_loss_of_a_tiny_run_is_the_same_to_the_digit(tmp_path):
    torch.set_num_threads(1)
    run = TinyRun(tmp_path / "run", epochs=2, mixup=False)
    reports = [r for r in run.go() if isinstance(r, EpochReport)]
    assert [round(r.loss, 5) for r in reports] == PINNED


PINNED = [1.08347, 0.99957]


def test_the_numbers_are_a_plain_loops_numbers(tmp_path):
    """Against twenty lines of ordinary torch, written here."""
    from zoo.engine.place import seed_step

    run = TinyRun(tmp_path / "a", epochs=2, ema=None, mixup=False, accumulate=1)
    list(run.go())
    plain = TinyRun(tmp_path / "b", epochs=2, ema=None, mixup=False, accumulate=1)
    model, optimizer = plain.live.model, plain.live.optimizer
    for epoch in range(2):
        model.train()
        for number, batch in enumerate(plain.train.epoch(epoch)):
            seed_step(CPU, 5, 1, epoch, number, 0)
            optimizer.zero_grad()
            functional.cross_entropy(model(batch.images.float() / 255), batch.labels).backward()
            optimizer.step()
            plain.live.schedule.step()
    for name, value in run.live.model.state_dict().items():
        torch.testing.assert_close(value, model.state_dict()[name], rtol=1e-5, atol=1e-6)


class NeverANumber:
    def reset(self):
        pass

    def update(self, outputs, targets):
        pass

    def compute(self):
        return math.nan


def test_where_no_epoch_can_be_judged_the_newest_weights_are_kept(tmp_path):
    run = TinyRun(tmp_path / "run", epochs=3, monitor="odd")
    reports = list(run.go(metrics={"odd": NeverANumber()}))
    assert not any(r.best for r in reports if isinstance(r, EpochReport))
    tensors, info = load_weights(tmp_path / "run" / "model.safetensors")
    assert all(torch.equal(tensors[k], v) for k, v in run.live.judged.state_dict().items())
    assert (info.epoch, run.live.position.best_epoch) == (3, None)
    assert "odd" not in info.metrics


def test_the_best_epochs_weights_are_kept(tmp_path):
    run = TinyRun(tmp_path / "run", epochs=3, monitor="loss")
    best = {}
    for report in run.go():
        if isinstance(report, EpochReport) and report.best:
            best = {k: v.clone() for k, v in run.live.judged.state_dict().items()}
            value = report.value
    tensors, info = load_weights(run.folder / WEIGHTS_FILE)
    assert all(torch.equal(tensors[k], v) for k, v in best.items())
    assert info.metrics["loss"] == value
    again = TinyRun(tmp_path / "again").live.model
    again.load_state_dict(tensors)
    found = evaluate(
        again, run.val.epoch(0), loss=functional.cross_entropy, feed=Feed(CPU), place=CPU
    )
    assert found.loss == value


def test_metrics_are_written_once_a_step(tmp_path):
    run = TinyRun(tmp_path / "run", epochs=2)
    list(run.go())
    rows = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows if row["kind"] == "step"] == [1, 2, 3, 4, 5, 6]
    assert [row["epoch"] for row in rows if row["kind"] == "epoch"] == [0, 1]


def test_the_position_is_right_at_every_yield(tmp_path):
    run = TinyRun(tmp_path / "run", epochs=2)
    for report in run.go():
        at = run.live.position
        if isinstance(report, StepReport):
            assert (at.epoch, at.batch, at.step) == (report.epoch, report.batch, report.step)
        elif isinstance(report, EpochReport):
            assert (at.epoch, at.batch) == (report.epoch + 1, 0)
        elif isinstance(report, SavedReport):
            assert read_state(report.path).skeleton["position"]["step"] == report.step <= at.step


def test_a_run_without_keeper_writes_nothing(tmp_path):
    run = TinyRun(tmp_path / "run", epochs=1)
    reports = list(
        fit(
            run.live, run.rules, train=run.train, loss=functional.cross_entropy,
            feed=Feed(CPU), place=CPU, val=run.val,
        )
    )  # fmt: skip
    assert kinds(reports) == ["step", "step", "step", "epoch"]
    assert not list(tmp_path.iterdir())


def test_without_validation_images(tmp_path):
    run = TinyRun(tmp_path / "run", epochs=1)
    reports = list(
        fit(
            run.live, run.rules, train=run.train, loss=functional.cross_entropy,
            feed=Feed(CPU), place=CPU,
        )
    )  # fmt: skip
    assert reports[-1].val is None
    assert reports[-1].value == reports[-1].loss


def test_a_finished_run_has_nothing_to_say(tmp_path):
    list(TinyRun(tmp_path / "run", epochs=1).go())
    assert list(TinyRun(tmp_path / "run", epochs=1).go()) == []


def test_hold_follows_every_train_and_thaw_precedes_every_epoch(tmp_path):
    run = TinyRun(tmp_path / "run", epochs=2)
    seen = []

    def hold(model):
        assert model.training
        model[1].eval()
        seen.append("hold")

    def thaw(epoch):
        seen.append(f"thaw {epoch}")
        return epoch == 1

    before = run.live.model[1].running_mean.clone()
    list(run.go(hold=hold, thaw=thaw))
    assert seen == ["thaw 0", "hold", "thaw 1", "hold"]
    assert torch.equal(before, run.live.model[1].running_mean)


def test_unfreezing_starts_the_moments_then(tmp_path):
    run = TinyRun(tmp_path / "run", epochs=2, optimizer="adamw")
    run.live.model[0].requires_grad_(False)
    weight = run.live.model[0].weight
    before = weight.clone()

    def thaw(epoch):
        if epoch == 1:
            run.live.model[0].requires_grad_(True)
        return epoch == 1

    for report in run.go(thaw=thaw):
        if isinstance(report, EpochReport) and report.epoch == 0:
            assert torch.equal(before, weight)
            assert weight not in run.live.optimizer.state
    assert not torch.equal(before, weight)
    assert run.live.optimizer.state[weight]["step"] == 3


def test_cut_is_what_runs(tmp_path):
    from torch import nn

    run = TinyRun(tmp_path / "run", epochs=1, mixup=False)

    class Prefixed(Feed):
        def images(self, images):
            with torch.no_grad():
                return run.live.model[:1](super().images(images))

    for parameter in run.live.model[0].parameters():
        parameter.requires_grad = False
    reports = list(
        fit(
            run.live, run.rules, train=run.train, loss=functional.cross_entropy, val=run.val,
            feed=Prefixed(CPU), place=CPU, cut=lambda model: nn.Sequential(*list(model)[1:]),
        )
    )  # fmt: skip
    assert kinds(reports) == ["step", "step", "step", "epoch"]
    assert math.isfinite(reports[-1].val.loss)


def test_early_stopping_stops(tmp_path):
    run = TinyRun(tmp_path / "run", epochs=9, patience=1, monitor="top1")
    reports = list(run.go())
    assert run.live.position.epoch < 9
    (note,) = (r for r in reports if isinstance(r, Note))
    assert "stopping early" in note.text
    assert list(TinyRun(tmp_path / "run", epochs=9, patience=1, monitor="top1").go()) == []


@pytest.mark.parametrize("step", [1, 3, 6])
def test_asked_to_stop_it_saves_and_leaves(tmp_path, step):
    run = TinyRun(tmp_path / "run", epochs=2)
    stop = Stop()
    with pytest.raises(Interrupted, match=f"after step {step}; saved") as caught:  # noqa: PT012 - the block is what is tested
        for report in run.go(stop=stop):
            if isinstance(report, StepReport) and report.step == step:
                stop.request()
    assert caught.value.code == 130
    assert list_states(run.folder)[0][0] == step


class Slow(TinyLoader):
    def epoch(self, epoch, start_batch=0):
        for batch in super().epoch(epoch, start_batch):
            time.sleep(0.04)
            yield batch


def limited(folder, seconds):
    run = TinyRun(folder, epochs=50, loader=Slow())
    run.rules = replace(run.rules, max_seconds=seconds)
    return run


def test_a_run_ends_within_its_time_judged_and_saved(tmp_path):
    began = time.monotonic()
    run = limited(tmp_path / "run", 1.2)
    reports = list(run.go())
    assert time.monotonic() - began < 2.4
    epochs = [r for r in reports if isinstance(r, EpochReport)]
    assert 1 < len(epochs) < 6
    assert all(r.val is not None for r in epochs)
    assert run.live.position.finished
    assert "is up after" in next(r.text for r in reports if isinstance(r, Note))
    assert (run.folder / WEIGHTS_FILE).is_file()
    again = limited(run.folder, 1.2)
    assert list(again.go()) == []


def test_a_resumed_run_has_the_time_that_was_left(tmp_path):
    stop = Stop()
    first = limited(tmp_path / "other", 1.2)
    heard = []

    def listen():
        for report in first.go(stop=stop):
            heard.append(report)
            if kinds(heard).count("step") == 9:
                stop.request(2)

    with pytest.raises(Interrupted):
        listen()
    spent = first.live.position.seconds
    assert 0.5 < spent < 1.2
    second = limited(first.folder, 1.2)
    more = [r for r in second.go() if isinstance(r, StepReport)]
    assert 1 <= len(more) <= 12


def test_asked_while_evaluating_it_saves_and_evaluates_again_later(tmp_path):
    run = TinyRun(tmp_path / "run", epochs=1)
    stop = Stop()

    class Asking(TinyLoader):
        def epoch(self, epoch, start_batch=0):
            stop.request()
            yield from super().epoch(epoch, start_batch)

    plain, run.val = run.val, Asking(count=10, seed=1, train=False)
    with pytest.raises(Interrupted):
        list(run.go(stop=stop))
    assert run.live.position.batch == 6
    again = TinyRun(tmp_path / "run", epochs=1)
    again.val = plain
    assert kinds(again.go()) == ["epoch", "saved"]


def test_saves_inside_the_epoch(tmp_path):
    run = TinyRun(tmp_path / "run", epochs=1, save_steps=2)
    saved = [r for r in run.go() if isinstance(r, SavedReport)]
    assert [(r.step, r.reason) for r in saved] == [(2, "interval"), (3, "epoch")]


def test_nan_stops_with_the_files_and_the_last_save(tmp_path):
    run = TinyRun(tmp_path / "run", loader=TinyLoader(poison=(4,)), mixup=False, save_steps=1)
    with pytest.raises(NumericsError) as caught:
        list(run.go())
    assert caught.value.exit_code == 9
    state = list_states(run.folder)
    if state:
        assert f"the last good save is step {state[0][0]}" in caught.value.message


def test_nan_skip_leaves_the_step_out_and_goes_on(tmp_path):
    run = TinyRun(
        tmp_path / "run", loader=TinyLoader(poison=(4,)), mixup=False, on_nan="skip", epochs=2
    )
    reports = list(run.go())
    skipped = [r for r in reports if isinstance(r, StepReport) and r.skipped]
    assert len(skipped) == 2
    notes = [r.text for r in reports if isinstance(r, Note)]
    assert notes == ["steps left out, their loss or gradient was not finite: 1"] * 2
    assert run.live.position.skipped == 2
    assert Moment.of(run.live).not_finite() == ""
    assert run.live.position.step == 6


@pytest.mark.parametrize("way", ["skip", "rollback"])
def test_a_broken_gradient_is_no_step_either(tmp_path, way):
    steps = []

    def loss(outputs, targets):
        value = functional.cross_entropy(outputs, targets)
        if torch.is_grad_enabled():
            steps.append(1)
            if len(steps) == 9:  # a loss of an ordinary value whose gradient is nan
                return value + (outputs * 0).abs().sum().sqrt()
        return value

    run = TinyRun(tmp_path / "run", accumulate=1, mixup=False, on_nan=way, loss=loss)
    reports = list(run.go())
    assert all(torch.isfinite(p).all() for p in run.live.model.parameters())
    assert run.live.position.finished
    if way == "skip":
        assert run.live.position.skipped == 1
    else:
        said = [r.text for r in reports if isinstance(r, Note)]
        assert any("the gradient is nan at step 9" in text for text in said)


def test_nan_rollback_goes_back_slower_and_leaves_the_window_out(tmp_path):
    run = TinyRun(
        tmp_path / "run", loader=TinyLoader(poison=(4,)), mixup=False, on_nan="rollback",
        epochs=1, save_steps=1,
    )  # fmt: skip
    bad_batch = next(
        number for number, b in enumerate(TinyLoader().epoch(0)) if 4 in b.indices.tolist()
    )
    if bad_batch < 2:
        pytest.skip("nothing is saved before the first step")
    reports = list(run.go())
    (note,) = (r.text for r in reports if isinstance(r, Note))
    assert f"back to step {bad_batch // 2} with the learning rate times 0.5" in note
    at = run.live.position
    assert (at.rollbacks, at.bad, at.finished) == (1, [(0, bad_batch // 2 * 2)], True)
    assert run.live.schedule.scale == 0.5
    rows = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows if row["kind"] == "step"] == [1, 2, 3]


def test_nan_rollback_without_a_save_is_the_end(tmp_path):
    loader = TinyLoader(poison=tuple(range(22)))
    run = TinyRun(tmp_path / "run", loader=loader, mixup=False, on_nan="rollback")
    with pytest.raises(NumericsError, match="nothing is saved"):
        list(run.go())


def test_a_consumer_may_save_and_leave_whenever_it_likes(tmp_path):
    run = TinyRun(tmp_path / "run", epochs=2)
    with RunFolder.create(tmp_path, name="mine") as folder:
        keeper = Keeper(folder, CheckpointInfo())
        for report in run.go():
            if isinstance(report, StepReport) and report.step == 4:
                keeper.save(run.live, reason="stop")
                kept = fingerprint(run.live)
                break
        fresh = TinyRun(tmp_path / "other", epochs=2)
        keeper.resume(fresh.live)
        assert fingerprint(fresh.live) == kept
    assert Position() != fresh.live.position


def test_an_unreadable_image_ends_the_run_but_not_what_was_trained(tmp_path):
    class Breaking(TinyLoader):
        def epoch(self, epoch, start_batch=0):
            for number, batch in enumerate(super().epoch(epoch, start_batch), start_batch):
                if (epoch, number) == (1, 3):
                    raise DataError("photos: image 'x.png' cannot be read", hint="zoo doctor")
                yield batch

    run = TinyRun(tmp_path / "run", epochs=2, loader=Breaking())
    reports = []
    with pytest.raises(DataError, match=r"x\.png"):
        reports.extend(iter(run.go()))
    state = read_state(list_states(run.folder)[0][1])
    position = state.skeleton["position"]
    assert (position["epoch"], position["batch"], state.step) == (1, 2, 4)
    again = TinyRun(tmp_path / "run", epochs=2)
    list(again.go())
    whole = TinyRun(tmp_path / "whole", epochs=2)
    list(whole.go())
    assert fingerprint(again.live) == fingerprint(whole.live)


def test_a_save_that_fails_ends_the_run_at_the_next_step(tmp_path, monkeypatch):
    def refuse(path, *_args, **_kwargs):
        raise DiskError(f"cannot write {path}: the disk is full", hint="free some space")

    run = TinyRun(tmp_path / "run", epochs=4, save_steps=2)
    monkeypatch.setattr(keeper_module, "save_state", refuse)
    seen = []
    with pytest.raises(DiskError, match="the disk is full"):
        seen.extend(iter(run.go()))
    steps = [r.step for r in seen if isinstance(r, StepReport)]
    assert steps[-1] in (3, 4)
    assert not [r for r in seen if isinstance(r, SavedReport)]


def test_who_leaves_waits_for_the_save_and_hears_of_its_failure(tmp_path, monkeypatch):
    run = TinyRun(tmp_path / "run", epochs=2, save_steps=1)
    reports = run.go()
    while not isinstance(next(reports), EpochReport):
        pass
    reports.close()
    assert list_states(run.folder)[0][0] >= 2

    def refuse(path, *_args, **_kwargs):
        raise DiskError(f"cannot write {path}: the disk is full")

    monkeypatch.setattr(keeper_module, "save_state", refuse)
    reports = TinyRun(tmp_path / "other", save_steps=1).go()
    for report in reports:
        if isinstance(report, StepReport) and report.step == 2:
            break
    with pytest.raises(DiskError, match="the disk is full"):
        reports.close()


def test_an_error_of_the_training_stands_before_one_of_the_save(tmp_path, monkeypatch):
    def refuse(path, *_args, **_kwargs):
        raise DiskError(f"cannot write {path}: the disk is full")

    class Dying(TinyLoader):
        def epoch(self, epoch, start_batch=0):
            for number, batch in enumerate(super().epoch(epoch, start_batch), start_batch):
                if number == 2:
                    raise ZeroDivisionError
                yield batch

    monkeypatch.setattr(keeper_module, "save_state", refuse)
    run = TinyRun(tmp_path / "run", save_steps=1, loader=Dying())
    with pytest.raises(ZeroDivisionError) as caught:
        list(run.go())
    assert "the disk is full" in caught.value.__notes__[0]


def test_saving_faster_than_the_disk_is_said_once(tmp_path, monkeypatch):
    real = keeper_module.save_state

    def slow(*args, **kwargs):
        time.sleep(0.03)
        return real(*args, **kwargs)

    monkeypatch.setattr(keeper_module, "save_state", slow)
    monkeypatch.setattr("zoo.engine.course.SLOW_DISK", 0.01)
    reports = list(TinyRun(tmp_path / "run", save_steps=1).go())
    (note,) = (r.text for r in reports if isinstance(r, Note))
    assert "slower than --save-every is often" in note
