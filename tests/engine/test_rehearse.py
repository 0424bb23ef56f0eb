import pytest
import torch
from tinyrun import CPU, TinyLoader, TinyRun, fingerprint, mix
from torch.nn import functional

from zoo.engine.feed import Feed
from zoo.engine.rehearse import Rehearsal, rehearse, require_exact
from zoo.engine.saving.checkpoint import read_state
from zoo.errors import VerificationError


def go(run, *, feed=None, **more):
    parts = {"train": run.train, "loss": functional.cross_entropy, "place": CPU}
    return rehearse(run.live, run.rules, **parts, feed=feed or Feed(CPU, None, (mix,)), **more)


def test_a_proper_run_is_exact_and_nothing_is_changed(tmp_path):
    run = TinyRun(tmp_path / "unused", optimizer="adamw")
    before = fingerprint(run.live)
    found = go(run)
    assert found.exact
    assert found.steps == 2
    assert found.compared > 10
    assert "same bits" in found.line()
    assert fingerprint(run.live) == before
    assert not list(tmp_path.iterdir())


def test_what_it_goes_back_to_is_read_from_a_file(tmp_path, monkeypatch):
    from zoo.engine import rehearse as module

    def forgetful(path):
        state = read_state(path)
        state.tensors["model/0.weight"].add_(1e-3)
        return state

    monkeypatch.setattr(module, "read_state", forgetful)
    found = go(TinyRun(tmp_path / "unused"))
    assert "model/0.weight" in found.differing


def test_it_looks_across_the_end_of_an_epoch(tmp_path):
    assert go(TinyRun(tmp_path / "unused", epochs=3), steps=4).exact


def test_a_run_shorter_than_the_rehearsal_is_rehearsed_as_far_as_it_goes(tmp_path):
    found = go(TinyRun(tmp_path / "unused", epochs=1), steps=2)
    assert found.exact
    assert found.steps == 1


def test_a_transform_with_a_generator_of_its_own_is_found(tmp_path):
    own = torch.Generator().manual_seed(0)

    def noisy(images, labels):
        return images + torch.randn(images.shape, generator=own), labels

    found = go(TinyRun(tmp_path / "unused"), feed=Feed(CPU, None, (noisy,)))
    assert not found.exact
    assert found.loss
    assert "not exact" in found.line()
    assert "model/0.weight" in found.differing


def test_a_run_that_could_not_be_resumed_exactly_is_refused(tmp_path):
    own = torch.Generator().manual_seed(0)

    def noisy(images, labels):
        return images + torch.randn(images.shape, generator=own), labels

    run = TinyRun(tmp_path / "unused")
    parts = {"train": run.train, "loss": functional.cross_entropy, "place": CPU}
    assert "exact" in require_exact(run.live, run.rules, **parts, feed=Feed(CPU)).text
    with pytest.raises(VerificationError, match="not exact") as caught:
        require_exact(run.live, run.rules, **parts, feed=Feed(CPU, None, (noisy,)))
    assert caught.value.exit_code == 11


def test_a_data_set_with_a_memory_is_found(tmp_path):
    class Counting(TinyLoader):
        def _image(self, epoch, index):
            self.calls = getattr(self, "calls", 0) + 1
            return super()._image(epoch, index) // (1 + self.calls % 5)

    assert not go(TinyRun(tmp_path / "unused", loader=Counting())).exact


def test_differences_in_counters_alone_are_differences():
    assert not Rehearsal(2, 5, ("counters",)).exact
    assert "losses are equal" in Rehearsal(2, 5, ("counters",)).line()
