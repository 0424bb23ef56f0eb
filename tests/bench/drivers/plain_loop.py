"""Fine-tuning as PyTorch's tutorials write it: requires_grad = False, and a loop."""

from __future__ import annotations

import torch
from job import FROZEN, Clock, finish, loaders, read_job
from torch import nn
from torchvision.models import resnet18


def main() -> None:
    job = read_job()
    torch.manual_seed(job.seed)
    device = torch.device(job.device)
    model = resnet18(weights="IMAGENET1K_V1")
    for name in FROZEN[job.freeze]:
        for parameter in model.get_submodule(name).parameters():
            parameter.requires_grad = False
    model.fc = nn.Linear(model.fc.in_features, job.classes)
    model = model.to(device)
    train, val = loaders(job)
    criterion = nn.CrossEntropyLoss()
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=job.lr, momentum=0.9, weight_decay=1e-4)
    top1, clock = [], Clock(job, len(train.dataset))
    for _ in range(job.epochs):
        model.train()
        clock.start()
        for images, labels in train:
            loss = criterion(model(images.to(device)), labels.to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        clock.stop()
        model.eval()
        right = 0
        with torch.no_grad():
            for images, labels in val:
                right += (model(images.to(device)).argmax(1).cpu() == labels).sum().item()
        top1.append(right / len(val.dataset))
    torch.save(model.state_dict(), f"{job.out}/model.pth")
    finish(job, top1, clock.rate())


if __name__ == "__main__":
    main()
