"""Fine-tuning with fastai: a learner, frozen to a parameter group.

Its own head (two linear layers) and its own treatment of frozen norms (they train) are kept: that
is what ``vision_learner`` gives its users. Backbone alone is frozen by its default groups; up to
layer3 by a splitter, as its documentation shows.
"""

from __future__ import annotations

from fastai.vision.all import (
    SGD,
    ImageDataLoaders,
    RandomResizedCrop,
    accuracy,
    aug_transforms,
    default_device,
    params,
    set_seed,
    vision_learner,
)
from job import finish, read_job
from torchvision.models import resnet18


def at_layer3(model):
    """Three groups: up to layer3, layer4, head."""
    return [params(model[0][:7]), params(model[0][7:]), params(model[1:])]


def main() -> None:
    job = read_job()
    set_seed(job.seed)
    default_device(use=job.device != "cpu")
    flips = aug_transforms(
        do_flip=True, max_rotate=0, max_zoom=1, max_lighting=0, max_warp=0, size=None
    )
    data = ImageDataLoaders.from_folder(
        job.data, train="train", valid="val", bs=job.batch, num_workers=job.workers,
        item_tfms=RandomResizedCrop(job.size, min_scale=0.08), batch_tfms=flips,
    )  # fmt: skip
    learn = vision_learner(
        data, resnet18, metrics=accuracy, opt_func=SGD, wd=1e-4, path=job.out,
        **({"splitter": at_layer3} if job.freeze == "layer3" else {}),
    )  # fmt: skip
    if job.freeze == "layer3":
        learn.freeze_to(1)
    elif job.freeze == "none":
        learn.unfreeze()
    with learn.no_bar(), learn.no_logging():
        learn.fit(job.epochs, job.lr)
    learn.save("model")
    names = learn.recorder.metric_names[1:]
    column = list(names).index("accuracy")
    finish(job, [float(row[column]) for row in learn.recorder.values])


if __name__ == "__main__":
    main()
