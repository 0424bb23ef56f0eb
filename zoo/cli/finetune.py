"""``zoo finetune``: the main job."""

from __future__ import annotations

from zoo.cli.training import training_command

command = training_command(
    "finetune",
    "Fine-tune MODEL on your images.\n\n"
    "MODEL is a name (resnet18), a name with weights (resnet18:imagenet1k_v1), or hub:ORG/REPO. "
    "Without --data, ./data is used if it is a folder of images, else a generated demo set.\n\n\b\n"
    "zoo finetune resnet18 --freeze-upto layer3 --classes 300",
)
