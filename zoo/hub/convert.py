"""A pickle turned into safetensors, once, without running what it holds.

``torch.load(weights_only=True)`` builds tensors and plain containers only; anything else in the
file is refused by name. The converted file is what zoo loads from then on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from zoo.errors import CheckpointError
from zoo.hub.address import one_line
from zoo.hub.failures import disk_error
from zoo.hub.files import move_into_place, temporary_beside

if TYPE_CHECKING:
    from pathlib import Path

    import torch

CONTAINERS: Final = ("state_dict", "model_state_dict", "model", "net", "network", "weights")
"""Where whole checkpoints keep the weights, most usual first."""
PREFIXES: Final = ("module.", "_orig_mod.", "model.")
"""What wrappers put before every name: DataParallel, torch.compile, Lightning."""
_DENSE: Final = re.compile(r"(.*denselayer\d+\.(?:norm|relu|conv))\.([12]\..*)\Z")
_MLP: Final = re.compile(r"(.*encoder_layer_\d+\.mlp)\.linear_([12])\.(weight|bias)\Z")
_GLOBAL: Final = re.compile(r"GLOBAL ([\w.]+)")


@dataclass(frozen=True, slots=True)
class Unpacked:
    """Tensors that were found in a checkpoint.

    Attributes:
        tensors: Parameter or buffer name -> tensor of any shape.
        notes: What was done to find them, one line each.
    """

    tensors: dict[str, Any]
    notes: tuple[str, ...] = ()


def read_pickle(path: Path, *, key: str = "") -> Unpacked:
    """Read a ``torch.save`` file's weights without running code.

    Args:
        path: The file.
        key: Entry of a checkpoint dict that holds the weights; empty = find it.

    Raises:
        CheckpointError: It holds a whole module or other objects, no weights, or is damaged.
    """
    import pickle
    import warnings

    import torch

    _no_bomb(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of other pickle protocols: it reads them or raises
            found = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise _refused(path, error) from None
    except (RuntimeError, EOFError, ValueError, KeyError, AttributeError) as error:
        raise CheckpointError(f"{path.name} is damaged or is no torch.save file") from error
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror or error}") from error
    return unpack(found, name=path.name, key=key)


def _no_bomb(path: Path) -> None:
    """Refuse an archive whose entries are packed: ``torch.save`` stores them as they are.

    Raises:
        CheckpointError: What is inside is larger than the file.
    """
    import zipfile

    try:
        with zipfile.ZipFile(path) as archive:
            inside = sum(entry.file_size for entry in archive.infolist())
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile):
        return  # no archive, or a damaged one: torch says so
    if inside > path.stat().st_size:
        raise CheckpointError(
            f"{path.name} would unpack to {inside:,} bytes, more than the file has: "
            "torch.save packs nothing",
            hint="do not trust this file",
        )


def _refused(path: Path, error: Exception) -> CheckpointError:
    """Say what the pickle wanted to build, and how to save it so that it is data only."""
    text = one_line(error, limit=2000)
    match = _GLOBAL.search(text)
    resave = "torch.save(model.state_dict(), 'weights.pth')"
    if match is None:
        return CheckpointError(
            f"{path.name} is damaged, or a pickle that can only be read by letting it run its code",
            hint=f"re-save it where you trust it: {resave}",
        )
    wanted = match[1]
    if wanted.startswith(("torch.nn.", "torchvision.models.")) or wanted[:1].isupper():
        what, how = f"a whole pickled module ({wanted})", resave
    else:
        what = f"Python objects besides tensors ({wanted})"
        how = f"{resave}, or torch.save(checkpoint['state_dict'], 'weights.pth')"
    return CheckpointError(
        f"{path.name} holds {what}; loading it would run its code",
        hint=f"re-save it where you trust it: {how}",
    )


def unpack(found: Any, *, name: str, key: str = "") -> Unpacked:
    """Find the weights in what a ``torch.save`` file held.

    Args:
        found: A state dict, or a checkpoint dict that holds one.
        name: File name for messages.
        key: Entry that holds the weights; empty = find it.

    Raises:
        CheckpointError: There are none, or ``key`` is not there.
    """
    notes: list[str] = []
    if not isinstance(found, Mapping):
        raise CheckpointError(f"{name} holds {_kind(found)}, not weights")
    state = found
    if key:
        if not isinstance(found.get(key), Mapping):
            raise CheckpointError(f"{name} has no weights under {key!r}", hint=_entries(found))
        state = found[key]
    elif not _is_state(found):
        inside = [c for c in CONTAINERS if isinstance(found.get(c), Mapping)]
        if not inside:
            raise CheckpointError(
                f"{name} holds no weights that zoo can find", hint=_entries(found)
            )
        state = found[inside[0]]
        left = ", ".join(str(k) for k in found if k != inside[0])
        notes.append(f"took {inside[0]!r}" + (f", left {left}" if left else ""))
    tensors = _tensors(state, name, notes)
    for prefix in PREFIXES:
        if tensors and all(k.startswith(prefix) for k in tensors):
            tensors = {k.removeprefix(prefix): v for k, v in tensors.items()}
            notes.append(f"took {prefix!r} off every name")
    return Unpacked(_modern(tensors), tuple(notes))


def _is_state(found: Mapping[Any, Any]) -> bool:
    import torch

    return any(isinstance(v, torch.Tensor) for v in found.values())


def _tensors(state: Mapping[Any, Any], name: str, notes: list[str]) -> dict[str, Any]:
    import torch

    tensors = {str(k): v for k, v in state.items() if isinstance(v, torch.Tensor)}
    other = [str(k) for k in state if str(k) not in tensors]
    if other:
        notes.append(f"left what is no tensor: {', '.join(other[:5])}")
    if not tensors:
        raise CheckpointError(f"{name} holds no tensors")
    return tensors


def _modern(tensors: dict[str, Any]) -> dict[str, Any]:
    """Names that torchvision itself renames on loading (densenet of 2017, ViT of early 2022)."""
    changed = {}
    for key, tensor in tensors.items():
        name = key
        if match := _DENSE.match(key):
            name = match[1] + match[2]
        elif match := _MLP.match(key):
            name = f"{match[1]}.{3 * (int(match[2]) - 1)}.{match[3]}"
        changed[name] = tensor
    return changed


def _kind(found: Any) -> str:
    return f"a {type(found).__name__}"


def _entries(found: Mapping[Any, Any]) -> str:
    listed = ", ".join(str(k) for k in list(found)[:8])
    return (
        f"it has {listed}; name the one with the weights: --key NAME" if listed else "it is empty"
    )


def write_safetensors(tensors: Mapping[str, torch.Tensor], target: Path) -> None:
    """Write tensors atomically; shared and strided storage is copied first.

    Equal tensors give equal bytes: the header's free text has a single entry, since the library
    writes several in any order. Where the file came from is noted beside it.

    Args:
        tensors: Name -> tensor of any shape.
        target: The file.

    Raises:
        DiskError: The disk refuses.
    """
    from safetensors.torch import save_file

    temporary = temporary_beside(target)
    mode = temporary.stat().st_mode & 0o777
    try:
        save_file(_separate(tensors), temporary, {"format": "pt"})
        temporary.chmod(mode)
        move_into_place(temporary, target)
    except OSError as error:
        raise disk_error(error, str(target)) from error
    finally:
        temporary.unlink(missing_ok=True)


def _separate(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    seen: set[int] = set()
    apart: dict[str, torch.Tensor] = {}
    for name, tensor in tensors.items():
        whole = tensor.detach().to("cpu").contiguous()
        storage = whole.untyped_storage()
        shared = storage.data_ptr() in seen or storage.nbytes() != whole.nbytes
        apart[name] = whole.clone() if shared and whole.numel() else whole
        seen.add(storage.data_ptr())
    return apart


def convert(source: Path, target: Path) -> Unpacked:
    """Turn a pickle into ``target``.

    Raises:
        CheckpointError: The pickle is refused or damaged.
        DiskError: The disk refuses.
    """
    found = read_pickle(source)
    write_safetensors(found.tensors, target)
    return found
