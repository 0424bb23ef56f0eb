"""``zoo train``: from scratch."""

from __future__ import annotations

from zoo.cli.training import training_command

command = training_command(
    "train",
    "Train MODEL from scratch.\n\n"
    "As zoo finetune, but from random weights and with longer defaults.\n\n\b\n"
    "zoo train lenet --data digits",
)
