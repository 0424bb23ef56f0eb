"""Follow a run in MLflow: ``zoo finetune ... --tracker mlflow``.

The numbers of an epoch are one call: MLflow's calls for single numbers are slow. Where the run goes
is MLflow's own variables' to say; without them it is a folder beside the runs, and nothing leaves
the machine.
"""

from __future__ import annotations

import contextlib
import getpass
import json
import logging
import os
import posixpath
import re
import time
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from zoo.plugin import Interrupted, PluginError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mlflow.entities import Run
    from torch import Tensor

ID_FILE: Final = "mlflow.json"
"""In the run's folder: which run of MLflow's it is, so that a resumed run goes on in it."""
STORE: Final = "mlruns"
"""Beside the run's folder: where everything goes if nobody said where."""
EXPERIMENT: Final = "zoo"
FILES: Final = ("recipe.toml", "result.json", "metrics.jsonl", "log.txt")
"""What is handed over at the end, of the run's folder. The weights stay where they are."""
LARGEST: Final = 16_000_000
KEY, VALUE, TAG = 250, 6000, 5000
"""Characters that MLflow takes for a name, a parameter and a tag."""
PARAMS, METRICS = 100, 1000
"""How many of them it takes at once."""
DEFAULTS: Final = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ALLOW_FILE_STORE": "true",  # it is what works without a database
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
}
"""MLflow's variables where the user set none: no telemetry, no prints, seconds instead of minutes."""


class MLflow:
    """Writes to the tracking server of ``MLFLOW_TRACKING_URI``, or to ``mlruns/`` beside the run.

    Args:
        run_dir: The run's folder; its name is the run's, its recipe the parameters.

    Raises:
        PluginError: The server does not answer, or refuses.
    """

    where: str
    """Where to look at the run."""

    def __init__(self, run_dir: str | Path) -> None:
        for name, value in DEFAULTS.items():
            os.environ.setdefault(name, value)
        from mlflow.tracking import MlflowClient

        self._dir = Path(run_dir)
        self._local = not os.environ.get("MLFLOW_TRACKING_URI")
        store = self._dir.absolute().parent / STORE
        self._client = MlflowClient(tracking_uri=store.as_uri() if self._local else None)
        with self._plainly("is MLFLOW_TRACKING_URI right? without it, runs are logged here"):
            run = self._begun() or self._new()
            self._run_id = run.info.run_id
            _write_id(self._dir / ID_FILE, self._run_id)
            self._go_on(run)
        self.where = self._place(run)
        self._ended = False

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Log numbers at an optimizer step, all in one call.

        Raises:
            PluginError: The server does not answer.
        """
        with self._plainly():
            self._log(values, step)

    def image(self, name: str, image: Tensor, step: int) -> None:
        """Log an image, uint8 (C, H, W); of other than three channels the first.

        Raises:
            PluginError: The server does not answer, or does not take files.
        """
        from PIL import Image

        shown = image if image.shape[0] == 3 else image[:1]
        pixels = shown.permute(1, 2, 0).squeeze(-1).contiguous().cpu().numpy()
        with self._plainly():
            self._client.log_image(
                self._run_id, Image.fromarray(pixels), key=name, step=step, synchronous=True
            )

    def graph(self, model: Any, example: Tensor) -> None:
        """Do nothing: MLflow shows no graphs. ``example`` is an input (N, C, H, W)."""

    def ended(self, result: object) -> None:
        """Log how the run ended, and hand its small files over.

        Args:
            result: The run's result, the error that ended it, or ``None``.

        Raises:
            PluginError: The server does not answer, or does not take files.
        """
        self._ended = True
        weights = self._dir / "model.safetensors"
        tags = {"zoo.weights": str(weights.absolute())} if weights.is_file() else {}
        with self._plainly():
            if isinstance(result, BaseException):
                tags["zoo.error"] = _line(result)
            elif result is not None:
                self._log(_best(result), int(getattr(result, "step", 0)))
            self._tag(tags)
            self._client.set_terminated(self._run_id, _status(result))
            for path in (self._dir / name for name in FILES):
                if path.is_file() and path.stat().st_size <= LARGEST:
                    self._client.log_artifact(self._run_id, str(path))

    def close(self) -> None:
        """End the run, if it was not told how it ended."""
        if not self._ended:
            self.ended(None)

    def _begun(self) -> Run | None:
        """The run that this one goes on with: its own of before, or the one that it was given."""
        from mlflow.exceptions import MlflowException

        run_id = _read_id(self._dir / ID_FILE) or os.environ.get("MLFLOW_RUN_ID")
        if not run_id:
            return None
        try:
            found = self._client.get_run(run_id)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return None
        return found if found.info.lifecycle_stage == "active" else None

    def _new(self) -> Run:
        tags = {"mlflow.source.name": "zoo", "zoo.folder": str(self._dir.absolute())}
        with contextlib.suppress(OSError, KeyError, ImportError):
            tags["mlflow.user"] = getpass.getuser()
        experiment = os.environ.get("MLFLOW_EXPERIMENT_ID") or self._experiment()
        return self._client.create_run(experiment, tags=tags, run_name=self._dir.name)

    def _experiment(self) -> str:
        """The experiment's id; another run may make it at the same moment."""
        from mlflow.exceptions import MlflowException

        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT
        found = self._client.get_experiment_by_name(name)
        if found is None:
            try:
                return str(self._client.create_experiment(name))
            except MlflowException:
                found = self._client.get_experiment_by_name(name)
                if found is None:
                    raise
        return str(found.experiment_id)

    def _go_on(self, run: Run) -> None:
        """Log what of the recipe is missing (a parameter is written once); begin again if ended."""
        from mlflow.entities import Param

        table = self._dir / "recipe.toml"
        recipe = tomllib.loads(table.read_text("utf-8")) if table.is_file() else {}
        params = [
            Param(key, value[:VALUE])
            for key, value in _flat(recipe)
            if key not in run.data.params and value
        ]
        for some in _parts(params, PARAMS):
            self._client.log_batch(self._run_id, params=some, synchronous=True)
        if run.info.status != "RUNNING":
            self._client.update_run(self._run_id, status="RUNNING")
        if "zoo.error" in run.data.tags:
            self._client.delete_tag(self._run_id, "zoo.error")

    def _log(self, values: Mapping[str, float], step: int) -> None:
        from mlflow.entities import Metric

        now = time.time_ns() // 1_000_000
        rows = [Metric(_key(name), float(value), now, step) for name, value in values.items()]
        for some in _parts(rows, METRICS):
            self._client.log_batch(self._run_id, metrics=some, synchronous=True)

    def _tag(self, tags: Mapping[str, str]) -> None:
        from mlflow.entities import RunTag

        rows = [RunTag(key, value[:TAG]) for key, value in tags.items()]
        if rows:
            self._client.log_batch(self._run_id, tags=rows, synchronous=True)

    def _place(self, run: Run) -> str:
        if self._local:
            store = self._dir.parent / STORE
            return f"{store}/  (MLFLOW_ALLOW_FILE_STORE=true mlflow ui --backend-store-uri {store})"
        uri = urlsplit(os.environ["MLFLOW_TRACKING_URI"])
        if uri.scheme not in ("http", "https"):
            return f"run {self._run_id}"
        host = uri._replace(netloc=uri.netloc.rpartition("@")[2]).geturl().rstrip("/")
        return f"{host}/#/experiments/{run.info.experiment_id}/runs/{self._run_id}"

    @contextlib.contextmanager
    def _plainly(self, hint: str = "metrics.jsonl has all numbers") -> Iterator[None]:
        """Say in one line what went wrong between MLflow and its server."""
        from mlflow.exceptions import MlflowException
        from requests import RequestException

        quiet = logging.getLogger("urllib3.connectionpool")
        level = quiet.level
        quiet.setLevel(logging.ERROR)  # it warns of each attempt
        try:
            yield
        except (MlflowException, RequestException, OSError) as error:
            raise PluginError(_reason(error), hint=hint) from error
        finally:
            quiet.setLevel(level)


def _status(result: object) -> str:
    if isinstance(result, Interrupted | KeyboardInterrupt | GeneratorExit):
        return "KILLED"
    return "FAILED" if isinstance(result, BaseException) else "FINISHED"


def _best(result: object) -> dict[str, float]:
    """The best epoch's numbers of a result."""
    found = {f"best/{k}": float(v) for k, v in getattr(result, "metrics", {}).items()}
    epoch = getattr(result, "best_epoch", None)
    return found if epoch is None else found | {"best/epoch": float(epoch)}


def _line(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".partition("\n")[0]


def _reason(error: Exception) -> str:
    """MLflow's messages about a server hold the whole chain of causes; the last one is the reason."""
    text = re.sub(r"//[^/\s@]+@", "//", " ".join(str(error).split()))  # a password is not for logs
    if address := re.search(r"API request to (\S+?)/api/\S* failed", text):
        cause = re.split(r""": |\(["']""", text)[-1]
        cause = re.sub(r"""["']?\)+$""", "", cause)
        text = f"{address[1]}: {cause}"
    return text if len(text) <= 300 else f"{text[:300]}..."


def _key(name: str) -> str:
    """A number's name in the letters that MLflow takes."""
    parts = re.sub(r"[^\w\-. /]", "_", name).split("/")
    return posixpath.join(*(part for part in parts if part.strip(".")))[:KEY]


def _flat(table: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    """Dotted keys and texts of a nested table."""
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{above}{name}.")
        else:
            text = value if isinstance(value, str) else json.dumps(value, default=str)
            yield _key(above + name), text


def _parts(rows: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def _read_id(path: Path) -> str | None:
    try:
        return str(json.loads(path.read_text("utf-8"))["run_id"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write_id(path: Path, run_id: str) -> None:
    """Whole or not at all: a run that is killed at this moment finds no half of a file."""
    unfinished = path.with_name(f".{path.name}.tmp")
    unfinished.write_text(json.dumps({"run_id": run_id}) + "\n", "utf-8")
    unfinished.replace(path)
