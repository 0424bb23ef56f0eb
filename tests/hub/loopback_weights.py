"""Small weights and repositories of every layout, made as their own libraries make them."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from loopback_hub import LoopbackHub
from safetensors.torch import save

from zoo.core import registry
from zoo.core.metadata import CheckpointInfo, dumps
from zoo.core.specs import InputSpec

TIMM = {
    "architecture": "resnet18",
    "num_classes": 3,
    "label_names": ["cat", "dog", "emu"],
    "pretrained_cfg": {"crop_pct": 0.95, "interpolation": "bicubic", "mean": [0.1] * 3},
}
"""The config.json of a repository of timm's, of three classes."""


def built(name: str = "squeezenet1_1", num_classes: int = 7, seed: int = 0) -> torch.nn.Module:
    torch.manual_seed(seed)
    return registry.load().build("model", name, num_classes=num_classes).eval()


def as_bytes(model: torch.nn.Module | dict, **metadata: str) -> bytes:
    """A safetensors file, the same bytes every time (the library shuffles the header's text)."""
    state = model if isinstance(model, dict) else model.state_dict()
    data = save({k: v.contiguous() for k, v in state.items()}, {"format": "pt", **metadata})
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data[8 + length :]


def ours(name: str = "squeezenet1_1", num_classes: int = 7, **info: object) -> bytes:
    classes = tuple(f"class {i}" for i in range(num_classes))
    record = CheckpointInfo(
        model=name,
        num_classes=num_classes,
        classes=classes,
        input=InputSpec(mean=(0.5,) * 3, std=(0.25,) * 3, resize=256, crop=224),
        **info,  # type: ignore[arg-type]
    )
    return as_bytes(built(name, num_classes), zoo=dumps(record))


def repository(hub: LoopbackHub, name: str, files: dict[str, bytes | dict | str], **how) -> str:
    hub.store.create(name, **how)
    encoded = {
        path: content
        if isinstance(content, bytes)
        else (json.dumps(content) if isinstance(content, dict) else content).encode()
        for path, content in files.items()
    }
    return hub.store.commit(name, encoded)


def blob(size: int, seed: int = 0) -> bytes:
    """A safetensors file of about ``size`` bytes: one tensor of noise."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randint(0, 256, (size,), dtype=torch.uint8, generator=generator)
    return save({"noise": noise}, {"format": "pt"})


def only(folder: Path, pattern: str) -> Path:
    (found,) = folder.rglob(pattern)
    return found
