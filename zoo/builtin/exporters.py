"""Export formats: each writes one file that says how its input is made and what its outputs mean.

An exporter is called as ``exporter(model, example, path, metadata=..., **options) -> Path`` and
has ``load(path, model)``, which reads the file back with the format's own runtime. The model is on
the CPU and in eval mode; ``example`` is a float batch (N, C, H, W). ``metadata`` (str -> str) is
stored inside the file and read back by ``metadata(path)``.
"""

from __future__ import annotations

import copy
import importlib.util
import json
import warnings
from typing import TYPE_CHECKING, Any

import torch
from torch.export import Dim

from zoo.plugin import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from torch import Tensor, nn

RECORD = "zoo.json"
"""Name of the extra file inside a ``.pt2`` that holds the metadata as one JSON object."""


class Safetensors:
    """The weights alone, readable by everything that reads safetensors; needs the architecture."""

    def __call__(
        self, model: nn.Module, example: Tensor, path: Path, *, metadata: Mapping[str, str]
    ) -> Path:
        """Write the state dict; tied tensors are written under each of their names."""
        from safetensors.torch import save_file

        del example  # weights have no input
        tensors = {k: v.detach().clone().contiguous() for k, v in model.state_dict().items()}
        save_file(tensors, path, metadata={"format": "pt", **metadata})
        return path

    def load(self, path: Path, model: nn.Module) -> Callable[[Tensor], Tensor]:
        """Put the file's tensors into a blanked copy of the model, so that none can be missing.

        Returns:
            Images (N, C, H, W) to outputs (N, K).
        """
        from safetensors.torch import load_file

        twin = copy.deepcopy(model)
        with torch.no_grad():
            for tensor in twin.state_dict().values():
                tensor.fill_(float("nan") if tensor.is_floating_point() else 0)
        twin.load_state_dict(load_file(path), strict=True)
        return twin.eval()

    def metadata(self, path: Path) -> dict[str, str]:
        """Read what was stored beside the weights."""
        from safetensors import safe_open

        with safe_open(path, framework="pt") as file:
            return dict(file.metadata() or {})


class TorchExport:
    """A ``.pt2`` program of torch.export: the graph and the weights, any batch size."""

    def __call__(
        self, model: nn.Module, example: Tensor, path: Path, *, metadata: Mapping[str, str]
    ) -> Path:
        """Trace the model with a free batch dimension and save the program."""
        with torch.no_grad():
            program = torch.export.export(
                model, (example,), dynamic_shapes=({0: Dim("batch", min=1)},)
            )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's notes to itself about its archive format
            torch.export.save(program, path, extra_files={RECORD: json.dumps(dict(metadata))})
        return path

    def load(self, path: Path, model: nn.Module) -> Callable[[Tensor], Tensor]:
        """Read the program back: images (N, C, H, W) to outputs (N, K); the model is not used."""
        del model
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.export.load(path).module()

    def metadata(self, path: Path) -> dict[str, str]:
        """Read the record inside the archive."""
        files: dict[str, Any] = {RECORD: ""}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.export.load(path, extra_files=files)
        stored = json.loads(files[RECORD] or "{}")
        return {str(key): str(value) for key, value in stored.items()}


class Onnx:
    """An ONNX graph with its weights in one file, any batch size."""

    def __call__(
        self,
        model: nn.Module,
        example: Tensor,
        path: Path,
        *,
        metadata: Mapping[str, str],
        opset: int | None = None,
    ) -> Path:
        """Trace the model through torch.export and write the graph.

        Args:
            model: The model.
            example: Float batch (N, C, H, W).
            path: File to write.
            metadata: Goes into the graph's ``metadata_props``.
            opset: ONNX operator set; ``None`` = the exporter's own choice.

        Raises:
            UsageError: The packages for ONNX are not installed.
        """
        _need("onnx", "onnxscript", "onnxruntime")
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deprecations inside the converter
            program = torch.onnx.export(
                model,
                (example,),
                dynamo=True,
                dynamic_shapes=({0: Dim("batch", min=1)},),
                input_names=["images"],
                output_names=["outputs"],
                opset_version=opset,
                external_data=False,
                verbose=False,
            )
        if program is None:  # only the legacy path gives None
            raise UsageError("torch.onnx gave no program")
        program.model.metadata_props.update(metadata)
        program.save(path, external_data=False)
        return path

    def load(self, path: Path, model: nn.Module) -> Callable[[Tensor], Tensor]:
        """Open with onnxruntime on the CPU: images (N, C, H, W) to outputs (N, K)."""
        del model
        session = _session(path)
        name = session.get_inputs()[0].name

        def run(images: Tensor) -> Tensor:
            (outputs,) = session.run(None, {name: images.numpy()})
            return torch.from_numpy(outputs)

        return run

    def metadata(self, path: Path) -> dict[str, str]:
        """Read the graph's ``metadata_props``."""
        return dict(_session(path).get_modelmeta().custom_metadata_map)


def _session(path: Path) -> Any:
    _need("onnxruntime")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors; zoo reports the rest itself
    options.intra_op_num_threads = torch.get_num_threads()
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _need(*modules: str) -> None:
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(
            f"the ONNX format needs {', '.join(missing)}, which is not installed",
            hint=f"pip install {' '.join(missing)}  (or: pip install 'zoo-registry[onnx]')",
        )


safetensors = Safetensors()
torch_export = TorchExport()
onnx = Onnx()
