import pytest
import torch
from torch import nn

from zoo.engine.judging.mirrored import Mirrored
from zoo.errors import UsageError


def network(classes=5):
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 6 * 6, classes)).eval()


IMAGES = torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def test_the_softmax_is_the_mean_of_both_probabilities():
    model = network()
    with torch.no_grad():
        found = Mirrored(model)(IMAGES).softmax(1)
        wanted = (model(IMAGES).softmax(1) + model(IMAGES.flip(3)).softmax(1)) / 2
    torch.testing.assert_close(found, wanted)


def test_an_image_and_its_mirror_image_are_told_the_same():
    asked = Mirrored(network())
    with torch.no_grad():
        torch.testing.assert_close(asked(IMAGES), asked(IMAGES.flip(3)))


def test_of_several_outputs_the_main_one_counts():
    class Several(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = network()

        def forward(self, images):
            return {"logits": self.inner(images), "aux": images}

    with torch.no_grad():
        torch.testing.assert_close(Mirrored(Several())(IMAGES), Mirrored(network())(IMAGES))


def test_sure_answers_stay_finite():
    class Sure(nn.Module):
        def forward(self, images):
            return torch.tensor([[1000.0, -1000.0]]).expand(len(images), 2).bfloat16()

    found = Mirrored(Sure())(IMAGES)
    assert found.dtype == torch.float32
    assert found[:, 0].abs().max() < 1e-3
    assert torch.isfinite(found).all()


@pytest.mark.parametrize("shape", [(1,), (4, 4)])
def test_what_is_no_score_a_class_is_refused(shape):
    class Other(nn.Module):
        def forward(self, images):
            return images.new_zeros(len(images), *shape)

    with pytest.raises(UsageError, match="averages probabilities of classes"):
        Mirrored(Other())(IMAGES)


@pytest.mark.parametrize("mode", [True, False])
def test_it_is_in_the_mode_that_the_model_is_in(mode):
    model = network().train(mode)
    assert Mirrored(model).training is mode
    assert model.training is mode


def test_the_mode_of_the_model_follows():
    asked = Mirrored(network())
    asked.train()
    assert asked.model.training
    asked.eval()
    assert not asked.model[0].training
