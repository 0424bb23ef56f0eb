"""An evaluation of no model in particular: outputs that are drawn, pictures that lie in memory."""

import torch
from outputs import recorded
from torch.nn import functional

from zoo.core.metadata import CheckpointInfo
from zoo.core.specs import InputSpec
from zoo.data.images import ImageSet
from zoo.engine.evaluate import Evaluation, hits
from zoo.engine.judging.calibration import calibrate
from zoo.engine.judging.classwise import score_classes
from zoo.engine.judging.judgement import Judgement
from zoo.engine.start.loaded import Loaded

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(2)>&amp;',
    "right\u202eto left \x1b[31m \udcff " + "and on " * 40,
)


class Pictures:
    """A reader of coloured noise; one row cannot be read."""

    def read(self, row):
        if row == 3:
            raise OSError("gone")
        generator = torch.Generator().manual_seed(row)
        return torch.randint(0, 256, (3, 20, 30), dtype=torch.uint8, generator=generator)

    def whole(self):
        return None


def drawn(n, k, *, seed=0, skill=2.0, void=0):
    """Outputs ``(N, K)`` and labels; the first ``void`` outputs are no numbers."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(k, (n,), generator=generator)
    outputs = torch.randn(n, k, generator=generator)
    outputs[torch.arange(n), labels] += skill
    outputs[:void] = float("nan")
    return outputs, labels


def judged(names, outputs, labels, *, keys=None, **more):
    """What would be known of such outputs, looked at closely."""
    n, answers = len(labels), recorded(outputs, labels)
    confusion, (one, five) = answers.confusion(), (hits(outputs, labels) / n).tolist()
    loss = float(functional.cross_entropy(outputs, labels))
    more.setdefault("data", "photos/val")
    return Judgement(
        evaluation=Evaluation(n=n, loss=loss, top1=one, top5=five, confusion=confusion),
        classes=tuple(names),
        counts={},
        scores=score_classes(names, confusion, answers.unanswered()),
        calibration=calibrate(answers),
        place="cpu, fp32",
        answers=answers,
        images=ImageSet(
            name="photos",
            classes=tuple(names),
            labels=labels.tolist(),
            keys=keys or [f"some/{index}.jpg" for index in range(n)],
            reader=Pictures(),
        ),
        **more,
    )


def loaded_from(path, classes=(), **more):
    """A model without layers that came from a file."""
    shown = InputSpec(mean=(0.5, 0.4, 0.3), std=(0.2, 0.2, 0.2), resize=256, crop=224)
    info = CheckpointInfo(model="resnet18", classes=tuple(classes), input=shown, **more)
    return Loaded(torch.nn.Identity(), info, path)
