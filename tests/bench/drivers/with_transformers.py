"""Fine-tuning with transformers: its own ResNet, from a folder of weights, and its Trainer."""

from __future__ import annotations

import numpy as np
import torch
from job import finish, folders, read_job
from transformers import AutoModelForImageClassification, Trainer, TrainingArguments

FROZEN = {"none": 0, "layer3": 3, "backbone": 4}
"""Stages of its encoder that do not train; the embedder goes with them."""


def collate(examples):
    return {
        "pixel_values": torch.stack([image for image, _ in examples]),
        "labels": torch.tensor([label for _, label in examples]),
    }


def measure(prediction):
    return {"accuracy": float((np.argmax(prediction[0], axis=1) == prediction[1]).mean())}


def main() -> None:
    job = read_job()
    train, val = folders(job)
    model = AutoModelForImageClassification.from_pretrained(
        f"{job.out}/pretrained", num_labels=job.classes, ignore_mismatched_sizes=True
    )
    if FROZEN[job.freeze]:
        stages = model.resnet.encoder.stages[: FROZEN[job.freeze]]
        for part in (model.resnet.embedder, *stages):
            part.requires_grad_(False)
    arguments = TrainingArguments(
        output_dir=job.out,
        num_train_epochs=job.epochs,
        per_device_train_batch_size=job.batch,
        per_device_eval_batch_size=job.batch,
        learning_rate=job.lr,
        optim="sgd",
        optim_args="momentum=0.9",
        weight_decay=1e-4,
        max_grad_norm=0,  # it clips at 1 by default; nobody else here clips
        lr_scheduler_type="constant",
        eval_strategy="epoch",
        save_strategy="epoch",
        save_total_limit=1,
        dataloader_num_workers=job.workers,
        remove_unused_columns=False,
        report_to="none",
        disable_tqdm=True,
        seed=job.seed,
        use_cpu=job.device == "cpu",
    )
    trainer = Trainer(
        model=model, args=arguments, train_dataset=train, eval_dataset=val, data_collator=collate,
        compute_metrics=measure,
    )  # fmt: skip
    trainer.train()
    log = trainer.state.log_history
    finish(job, [row["eval_accuracy"] for row in log if "eval_accuracy" in row])


if __name__ == "__main__":
    main()
