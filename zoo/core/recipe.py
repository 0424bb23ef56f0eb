"""A recipe: everything that describes a run, as one frozen tree of plain dataclasses.

Each field has a default and a description; the description is the flag's help and the row in
the docs. The tree is stdlib dataclasses, the checks are msgspec's (:mod:`zoo.core.compose`
puts recipes together from layers, reads and writes them).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from msgspec import Meta

from zoo.core.recipe_data import MAX_PIXELS, Count, DataPart, Share

__all__ = [
    "MAX_PIXELS", "SCHEMA", "DataPart", "DevicePart", "FreezePart", "LossPart", "ModelPart",
    "OptimPart", "OutputPart", "Recipe", "SurgeryPart", "Verb",
]  # fmt: skip

SCHEMA = 1
Verb = Literal["train", "finetune"]
Fraction = Annotated[float, Meta(ge=0.0, le=1.0)]
NonNegative = Annotated[float, Meta(ge=0.0)]
Positive = Annotated[float, Meta(gt=0.0)]
Decay = Annotated[float, Meta(gt=0.0, lt=1.0)]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPart:
    """Which architecture, and the weights that it starts from."""

    name: Annotated[str, Meta(description="Model reference, e.g. resnet18 or timm/resnet18.")] = ""
    weights: Annotated[
        str,
        Meta(
            description="Starting weights: default, none, a tag of the model, "
            "file:PATH, hub:ORG/REPO[@REV] or run:NAME."
        ),
    ] = "default"
    options: Annotated[
        dict[str, Any], Meta(description="Options of the model's builder, name = value.")
    ] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SurgeryPart:
    """What is changed in the architecture before training."""

    classes: Annotated[
        Count | None, Meta(description="Number of classes; default: as many as the data has.")
    ] = None
    in_channels: Annotated[
        Count | None,
        Meta(description="Input channels; the first convolution is adapted, its weights kept."),
    ] = None
    drop_last: Annotated[
        bool, Meta(description="Drop the last layer: the model gives features (N, D).")
    ] = False
    project: Annotated[
        tuple[Count, ...],
        Meta(
            description="Layers in place of the head, e.g. 400,300: Linear 400, ReLU, Linear 300."
        ),
    ] = ()
    reset_head: Annotated[
        bool, Meta(description="Start the head anew even where the weights' head would fit.")
    ] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FreezePart:
    """What does not train. Names are inclusive; see docs/explanation/freezing.md."""

    upto: Annotated[
        str | None,
        Meta(description="Freeze everything that feeds this stage or module, itself included."),
    ] = None
    before: Annotated[
        str | None,
        Meta(description="Freeze everything that feeds this stage or module, itself excluded."),
    ] = None
    freeze: Annotated[
        tuple[str, ...],
        Meta(description="Freeze parameters whose dotted path matches GLOB, or a stage name."),
    ] = ()
    unfreeze: Annotated[
        tuple[str, ...],
        Meta(description="Train parameters whose dotted path matches GLOB; applied last."),
    ] = ()
    frozen_bn: Annotated[
        Literal["eval", "update", "affine"],
        Meta(
            description="Batch norm in the frozen part: eval (fully frozen), update (running "
            "statistics move), affine (statistics frozen, scale and shift train)."
        ),
    ] = "eval"
    allow_random_frozen: Annotated[
        bool, Meta(description="Allow freezing weights that nothing has trained.")
    ] = False
    unfreeze_at: Annotated[
        tuple[str, ...],
        Meta(
            description="EPOCHS:TARGET, e.g. 3:layer3: train it once 3 epochs are done (repeatable)."
        ),
    ] = ()
    lora: Annotated[
        Count | None,
        Meta(
            description="Rank of adapters (LoRA) that train in place of all layers but the head; "
            "their weights are frozen."
        ),
    ] = None
    lora_alpha: Annotated[
        Positive | None,
        Meta(description="What adapters add is scaled by alpha / rank; default: twice the rank."),
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LossPart:
    """What is minimised."""

    name: Annotated[str, Meta(description="Loss by name (zoo list --kind loss).")] = "cross-entropy"
    options: Annotated[dict[str, Any], Meta(description="Options of the loss.")] = field(
        default_factory=dict
    )
    label_smoothing: Annotated[
        Fraction, Meta(description="Label smoothing of the cross entropy, 0 to 1.")
    ] = 0.0
    teacher: Annotated[
        str | None,
        Meta(
            description="A trained model of the same classes to learn from as well (distillation): "
            "run:NAME, file:PATH, hub:ORG/REPO or a model with weights."
        ),
    ] = None
    teacher_share: Annotated[
        Share, Meta(description="Share of the teacher in the loss; 1 = the labels count nothing.")
    ] = 0.5
    temperature: Annotated[
        Positive,
        Meta(description="Both models' outputs are divided by it where they are compared."),
    ] = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimPart:
    """How it is minimised, and for how long."""

    epochs: Annotated[int, Meta(ge=1, description="Passes over the training images.")] = 5
    name: Annotated[str, Meta(description="Optimizer by name (zoo list --kind optimizer).")] = "sgd"
    lr: Annotated[float, Meta(gt=0.0, description="Learning rate at its peak.")] = 0.01
    weight_decay: Annotated[
        NonNegative, Meta(description="Weight decay; not applied to norms and biases.")
    ] = 1e-4
    momentum: Annotated[
        float, Meta(ge=0.0, lt=1.0, description="Momentum, where the optimizer has it.")
    ] = 0.9
    options: Annotated[dict[str, Any], Meta(description="Further options of the optimizer.")] = (
        field(default_factory=dict)
    )
    schedule: Annotated[
        str, Meta(description="Learning-rate schedule by name (zoo list --kind scheduler).")
    ] = "cosine"
    schedule_options: Annotated[dict[str, Any], Meta(description="Options of the schedule.")] = (
        field(default_factory=dict)
    )
    warmup: Annotated[
        NonNegative, Meta(description="Linear warm-up, in epochs; at most half of the run.")
    ] = 0.0
    accumulate: Annotated[int, Meta(ge=1, description="Micro-batches per optimizer step.")] = 1
    clip: Annotated[Positive | None, Meta(description="Clip the gradient's norm to this.")] = None
    head_lr_mult: Annotated[
        float, Meta(gt=0.0, description="Learning rate of the head, times this.")
    ] = 1.0
    stage_lr_decay: Annotated[
        float, Meta(gt=0.0, le=1.0, description="Each stage below the head: rate times this.")
    ] = 1.0
    ema: Annotated[
        Decay | None,
        Meta(description="Decay of an averaged copy of the weights (EMA)."),
    ] = None
    patience: Annotated[
        Count | None,
        Meta(description="Stop after this many epochs without a better monitored metric."),
    ] = None
    max_time: Annotated[
        str | None,
        Meta(
            description="End the run, evaluated and saved, within this time of training: 90s, 30m, "
            "2h."
        ),
    ] = None
    on_nan: Annotated[
        Literal["stop", "skip", "rollback"],
        Meta(description="Non-finite loss or gradient: stop, skip the step, or go back to a save."),
    ] = "stop"


@dataclass(frozen=True, slots=True, kw_only=True)
class DevicePart:
    """Where it runs, how precisely, and from which seed."""

    device: Annotated[
        str, Meta(description="auto, cpu, cuda, cuda:N or mps; auto takes the fastest there is.")
    ] = "auto"
    precision: Annotated[
        Literal["auto", "fp32", "bf16", "fp16"],
        Meta(
            description="Autocast precision; auto: bf16 where the device computes in it and the "
            "model gains by it."
        ),
    ] = "auto"
    channels_last: Annotated[
        bool | None,
        Meta(
            description="Memory format NHWC; default: for convolutional models, on a CPU from "
            "64 pixels on."
        ),
    ] = None
    compile: Annotated[bool, Meta(description="Compile the training step (torch.compile).")] = False
    deterministic: Annotated[
        bool, Meta(description="Only deterministic algorithms, even where slower.")
    ] = False
    seed: Annotated[int, Meta(ge=0, lt=2**53, description="Seed of everything random.")] = 0
    threads: Annotated[
        Count | None,
        Meta(
            description="CPU threads; default: `OMP_NUM_THREADS`, else the cores that zoo may use; "
            "1 for tiny steps."
        ),
    ] = None
    nproc: Annotated[int, Meta(ge=1, description="Processes, here unless torchrun does it.")] = 1
    parallel: Annotated[
        Literal["ddp", "fsdp"],
        Meta(description="Processes share gradients (ddp), or all state in slices (fsdp)."),
    ] = "ddp"
    sync_bn: Annotated[
        bool, Meta(description="Synchronise trainable batch norms between processes (CUDA).")
    ] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputPart:
    """Where results go and what is watched."""

    dir: Annotated[str, Meta(description="Folder that run folders are made in.")] = "runs"
    name: Annotated[
        str | None, Meta(description="Name of the run; default: model, data and a number.")
    ] = None
    monitor: Annotated[
        str,
        Meta(
            description="Metric that says which epoch is best: top1, top5, loss, "
            "or a further one (zoo list --kind metric)."
        ),
    ] = "top1"
    metrics: Annotated[
        tuple[str, ...],
        Meta(description="Further metrics on the validation images, e.g. f1,calibration-error."),
    ] = ()
    keep: Annotated[
        int, Meta(ge=1, description="Checkpoints kept besides the best; at least 2.")
    ] = 2
    save_every: Annotated[
        str | None,
        Meta(description="Also save inside an epoch: every N steps (200) or minutes (10m)."),
    ] = None
    verify_resume: Annotated[
        bool,
        Meta(
            description="Before training, prove on a few steps that resuming gives the same bits."
        ),
    ] = False
    trackers: Annotated[tuple[str, ...], Meta(description="Experiment trackers by name.")] = ()
    strict: Annotated[
        bool, Meta(description="A failing observer plugin stops the run instead of being muted.")
    ] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One run, described completely.

    Attributes:
        schema: Version of this format.
        verb: ``train`` (from scratch unless told otherwise) or ``finetune``.
    """

    schema: int = SCHEMA
    verb: Verb = "finetune"
    model: ModelPart = field(default_factory=ModelPart)
    surgery: SurgeryPart = field(default_factory=SurgeryPart)
    freeze: FreezePart = field(default_factory=FreezePart)
    data: DataPart = field(default_factory=DataPart)
    loss: LossPart = field(default_factory=LossPart)
    optim: OptimPart = field(default_factory=OptimPart)
    device: DevicePart = field(default_factory=DevicePart)
    output: OutputPart = field(default_factory=OutputPart)
