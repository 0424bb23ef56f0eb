import math

import pytest
import torch
from tinyrun import CPU, Batch, TinyLoader, tiny_model
from torch import nn
from torch.nn import functional

from zoo.builtin.losses import cross_entropy
from zoo.engine.ema import Ema
from zoo.engine.evaluate import Stopped, evaluate, has_classes, hits, infer, main_output
from zoo.engine.feed import Feed
from zoo.engine.processes.signals import Stop

FEED = Feed(CPU)


def run(model, loader, **more):
    more.setdefault("loss", functional.cross_entropy)
    return evaluate(model, loader.epoch(0), feed=FEED, place=CPU, **more)


def test_numbers_equal_scikit_learns_and_torchs():
    from sklearn.metrics import confusion_matrix, top_k_accuracy_score

    loader = TinyLoader(count=37, classes=7, train=False)
    model = tiny_model(classes=7).eval()
    found = run(model, loader)
    with torch.no_grad():
        outputs = model(loader.pixels / 255)
    labels = loader.labels
    assert found.n == 37
    assert found.loss == pytest.approx(float(functional.cross_entropy(outputs, labels)), abs=1e-6)
    assert found.top1 == pytest.approx(float((outputs.argmax(1) == labels).double().mean()))
    expected = top_k_accuracy_score(labels, outputs, k=5, labels=range(7))
    assert found.top5 == pytest.approx(expected)
    matrix = confusion_matrix(labels, outputs.argmax(1), labels=range(7))
    assert found.confusion.tolist() == matrix.tolist()
    recall = [row[i] / sum(row) if sum(row) else math.nan for i, row in enumerate(matrix.tolist())]
    assert found.per_class == pytest.approx(recall, nan_ok=True)


def test_batches_do_not_change_the_result():
    model = tiny_model()
    one = run(model, TinyLoader(count=23, batch_size=23, train=False))
    many = run(model, TinyLoader(count=23, batch_size=4, train=False))
    assert many.top1 == one.top1
    assert many.loss == pytest.approx(one.loss, abs=1e-6)


@pytest.mark.parametrize("how", [{"weight": [1.0, 0.2, 7.0]}, {"weight": [0.0, 1.0, 1.0]}])
def test_batches_do_not_change_a_weighted_loss(how):
    model = tiny_model()
    loss = cross_entropy(**how)
    loaders = [TinyLoader(count=23, batch_size=size, train=False) for size in (23, 4, 1)]
    found = [run(model, loader, loss=loss).loss for loader in loaders]
    with torch.no_grad():
        expected = float(loss(model.eval()(loaders[0].pixels / 255), loaders[0].labels))
    assert found == pytest.approx([expected] * 3, abs=1e-6)


def test_a_sum_is_told_per_image_whatever_the_batches_are():
    model = tiny_model()
    loaders = [TinyLoader(count=23, batch_size=size, train=False) for size in (23, 4)]
    found = [run(model, loader, loss=cross_entropy(reduction="sum")).loss for loader in loaders]
    assert found == pytest.approx([run(model, loaders[0]).loss] * 2, abs=1e-6)


def test_the_model_is_left_in_its_mode_and_untouched():
    model = tiny_model().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    run(model, TinyLoader(train=False))
    assert model.training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_a_model_that_says_the_same_for_everything_is_not_praised():
    outputs = torch.zeros(10, 10)
    targets = torch.arange(10)
    assert hits(outputs, targets).tolist() == [1, 5]
    assert hits(torch.full((10, 10), float("nan")), targets).tolist() == [0, 0]
    assert hits(torch.full((3, 3), float("nan")), torch.arange(3)).tolist() == [0, 0]


def test_hits_agree_with_argmax_also_on_ties():
    torch.manual_seed(0)
    outputs = torch.randint(0, 3, (200, 9)).float()
    targets = torch.randint(0, 9, (200,))
    assert hits(outputs, targets)[0] == (outputs.argmax(1) == targets).sum()


def test_regression_has_a_loss_and_no_classes():
    class Numbers(TinyLoader):
        def epoch(self, epoch, start_batch=0):
            for batch in super().epoch(epoch, start_batch):
                yield Batch(batch.images, batch.labels[:, None].float(), batch.indices)

    found = run(tiny_model(classes=1), Numbers(train=False), loss=functional.mse_loss)
    assert found.top1 is None
    assert found.confusion is None
    assert found.per_class == []
    assert found.to_dict().keys() == {"n", "loss"}
    assert found.loss > 0


def test_nothing_to_evaluate_gives_nan():
    found = run(tiny_model(), TinyLoader(count=0, train=False))
    assert found.n == 0
    assert math.isnan(found.loss)
    assert found.top1 is None


def test_further_metrics_are_computed_over_everything():
    class Count:
        def reset(self):
            self.n = 0

        def update(self, outputs, targets):
            self.n += len(outputs)

        def compute(self):
            return {"all": self.n, "half": self.n / 2}

    found = run(tiny_model(), TinyLoader(count=10, train=False), metrics={"count": Count()})
    assert found.to_dict()["count/all"] == 10
    assert found.metrics["count/half"] == 5


def test_asked_to_stop_it_gives_up():
    stop = Stop()
    stop.request()
    with pytest.raises(Stopped):
        run(tiny_model(), TinyLoader(train=False), stop=stop)


def test_the_main_output_is_found():
    x = torch.ones(2, 3)
    assert main_output(x) is x
    assert main_output((x, 1)) is x
    assert main_output({"features": 1, "logits": x}) is x
    assert main_output({"out": x}) is x
    assert main_output({"anything": x}) is x


def test_infer_gives_fp32_outputs_in_order():
    loader = TinyLoader(count=6, train=False)
    found = list(infer(nn.Flatten(), loader.epoch(0), feed=FEED, place=CPU))
    assert [len(outputs) for outputs, _, _ in found] == [4, 2]
    assert torch.cat([targets for _, targets, _ in found]).tolist() == loader.labels.tolist()
    assert found[0][0].dtype == torch.float32


class Keeping(nn.Module):
    """Keeps in eval mode what its weights came to, until train mode, as LeViT does."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(3))
        self.kept = None

    def train(self, mode=True):
        self.kept = None if mode else self.kept
        return super().train(mode)

    def forward(self, images):
        if self.training or self.kept is None:
            self.kept = self.weight * 2
        return images.mean((2, 3)) + self.kept


def test_what_a_model_keeps_of_earlier_weights_is_not_used():
    model = Keeping()
    average = Ema(model, 0.0)
    batches = list(TinyLoader(count=4, batch_size=4, train=False).epoch(0))
    for value in (1.0, 5.0):
        with torch.no_grad():
            model.weight.fill_(value)
        average.update(model)
        ((outputs, _, _),) = infer(average.module, batches, feed=FEED, place=CPU)
        expected = batches[0].images.float().div(255).mean((2, 3)) + 2 * value
        torch.testing.assert_close(outputs, expected)


def test_class_targets_are_recognised():
    assert has_classes(torch.zeros(2, 3), torch.zeros(2, dtype=torch.int64))
    assert not has_classes(torch.zeros(2, 3), torch.zeros(2, 3))
    assert not has_classes(torch.zeros(2), torch.zeros(2, dtype=torch.int64))


def test_every_batch_is_shown_to_a_recorder():
    shown = []
    loader = TinyLoader(count=10, train=False)
    run(tiny_model(), loader, record=lambda *batch: shown.append(batch))
    assert [tuple(outputs.shape) for outputs, _, _ in shown] == [(4, 3), (4, 3), (2, 3)]
    assert torch.cat([targets for _, targets, _ in shown]).tolist() == loader.labels.tolist()
    assert torch.cat([batch.indices for _, _, batch in shown]).tolist() == list(range(10))
