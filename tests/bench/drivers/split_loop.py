"""The plain loop of somebody who knows: frozen part apart, in eval mode, without gradients.

Both parts in bf16 and channels_last where that exists; nothing is cached.
"""

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
    model.fc = nn.Sequential(nn.Flatten(), nn.Linear(model.fc.in_features, job.classes))
    model = model.to(device, memory_format=torch.channels_last)
    parts = dict(model.named_children())
    names = list(parts)
    edge = names.index(FROZEN[job.freeze][-1]) + 1 if FROZEN[job.freeze] else 0
    frozen = nn.Sequential(*[parts[name] for name in names[:edge]]).requires_grad_(False).eval()
    tail = nn.Sequential(*[parts[name] for name in names[edge:]])
    train, val = loaders(job)
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(tail.parameters(), lr=job.lr, momentum=0.9, weight_decay=1e-4)

    def features(images: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return frozen(images.to(device, memory_format=torch.channels_last))

    probes = torch.cpu._is_avx512_bf16_supported, torch.cpu._is_amx_tile_supported
    fast = device.type != "cpu" or any(probe() for probe in probes)
    top1, clock = [], Clock(job, len(train.dataset))
    for _ in range(job.epochs):
        tail.train()
        clock.start()
        for images, labels in train:
            with torch.autocast(device.type, torch.bfloat16, enabled=fast):
                loss = criterion(tail(features(images)), labels.to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        clock.stop()
        tail.eval()
        right = 0
        with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=fast):
            for images, labels in val:
                right += (tail(features(images)).argmax(1).cpu() == labels).sum().item()
        top1.append(right / len(val.dataset))
    torch.save(model.state_dict(), f"{job.out}/model.pth")
    finish(job, top1, clock.rate())


if __name__ == "__main__":
    main()
