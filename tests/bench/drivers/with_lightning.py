"""Fine-tuning with Lightning, the frozen part as its page on transfer learning writes it."""

from __future__ import annotations

import lightning
import torch
from job import FROZEN, finish, loaders, read_job
from torch import nn
from torchvision.models import resnet18


class Tuned(lightning.LightningModule):
    def __init__(self, job) -> None:
        super().__init__()
        self.job = job
        model = resnet18(weights="IMAGENET1K_V1")
        parts = dict(model.named_children())
        names = list(parts)
        frozen = FROZEN[job.freeze]
        edge = names.index(frozen[-1]) + 1 if frozen else 0
        self.extractor = nn.Sequential(*[parts[name] for name in names[:edge]])
        self.extractor.requires_grad_(False).eval()
        head = [nn.Flatten(), nn.Linear(model.fc.in_features, job.classes)]
        self.classifier = nn.Sequential(*[parts[name] for name in names[edge:-1]], *head)
        self.right, self.seen, self.top1 = 0, 0, []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.extractor.eval()
        with torch.no_grad():
            features = self.extractor(images)
        return self.classifier(features)

    def training_step(self, batch, index):
        images, labels = batch
        loss = nn.functional.cross_entropy(self(images), labels)
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch, index):
        images, labels = batch
        self.right += (self(images).argmax(1) == labels).sum().item()
        self.seen += len(labels)

    def on_validation_epoch_end(self):
        self.top1.append(self.right / self.seen)
        self.right = self.seen = 0

    def configure_optimizers(self):
        return torch.optim.SGD(
            self.classifier.parameters(), lr=self.job.lr, momentum=0.9, weight_decay=1e-4
        )


def main() -> None:
    job = read_job()
    lightning.seed_everything(job.seed, workers=True)
    tuned = Tuned(job)
    trainer = lightning.Trainer(
        max_epochs=job.epochs,
        accelerator="cpu" if job.device == "cpu" else "gpu",
        devices=1,
        default_root_dir=job.out,
        num_sanity_val_steps=0,
        enable_progress_bar=False,
        log_every_n_steps=10,
    )
    trainer.fit(tuned, *loaders(job))
    finish(job, tuned.top1)


if __name__ == "__main__":
    main()
