"""Follow a run in Weights & Biases: ``zoo finetune ... --tracker wandb``.

Where the run goes is wandb's own variables' and ``wandb login``'s to say. Without them it is written
into the run's folder, nothing leaves the machine, and nobody is asked to log in.
"""

from __future__ import annotations

import contextlib
import json
import netrc
import os
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from zoo.plugin import Interrupted, PluginError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor

ID_FILE: Final = "wandb.json"
"""In the run's folder: which run of W&B's it is, so that a resumed run goes on in it."""
PROJECT: Final = "zoo"
FILES: Final = ("recipe.toml", "result.json", "metrics.jsonl", "log.txt")
"""What is handed over at the end, of the run's folder. The weights stay where they are."""
LARGEST: Final = 16_000_000
DEFAULTS: Final = {
    "WANDB_ERROR_REPORTING": "false",
    "WANDB_SILENT": "true",
    "WANDB_CONSOLE": "off",
    "WANDB_DISABLE_CODE": "true",
    "WANDB_SAVE_CODE": "false",
    "WANDB_DISABLE_GIT": "true",  # it would send what is not committed
    "WANDB_SYMLINK": "false",  # a run's folder may be moved before it is synchronized
    "WANDB_LOGIN_TIMEOUT": "5",
    "WANDB_INIT_TIMEOUT": "20",
    "WANDB_FINISH_TIMEOUT": "30",
    "WANDB_FINISH_TIMEOUT_RAISES": "true",
}
"""wandb's variables where the user set none: it reports nothing, captures nothing, waits seconds."""
OWN_HOSTS: Final = (".wandb.ai", ".coreweave.com")
OLD_HOST: Final = "api.wandb.ai"
"""W&B's own server had another name; keys of then are taken now."""


class Wandb:
    """Writes to the W&B server that the user is logged in to, or into ``wandb/`` in the run's folder.

    Args:
        run_dir: The run's folder; its name is the run's, its recipe the configuration.

    Raises:
        PluginError: The server does not answer, or refuses.
        UsageError: The run is to be online, and there is no key.
    """

    where: str
    """Where to look at the run."""

    def __init__(self, run_dir: str | Path) -> None:
        self._dir = Path(run_dir)
        for name, value in DEFAULTS.items():
            os.environ.setdefault(name, value)
        with _cache(self._dir / "wandb" / "cache"):
            import wandb

            settings = wandb.setup().settings
            try:
                self._run: Any = wandb.init(
                    dir=None if os.environ.get("WANDB_DIR") else str(self._dir),
                    project=settings.project or PROJECT,
                    name=self._dir.name,
                    id=_read_id(self._dir / ID_FILE) or settings.run_id,
                    resume="allow",
                    mode=_mode(settings),
                    config=_recipe(self._dir / "recipe.toml"),
                    allow_val_change=True,
                    reinit="create_new",
                )
            except (wandb.Error, OSError) as error:
                raise PluginError(
                    f"{type(error).__name__}: {' '.join(str(error).split())}",
                    hint="WANDB_MODE=offline logs into the run's folder",
                ) from error
        _write_id(self._dir / ID_FILE, self._run.id)
        self.where = self._place()
        self._exit_code = 0

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Log numbers at an optimizer step; a step that was logged before stays as it is."""
        self._run.log(dict(values), step=step, commit=True)

    def image(self, name: str, image: Tensor, step: int) -> None:
        """Log an image, uint8 (C, H, W); of other than three channels the first."""
        import wandb
        from PIL import Image

        shown = image if image.shape[0] == 3 else image[:1]
        pixels = shown.permute(1, 2, 0).squeeze(-1).contiguous().cpu().numpy()
        self._run.log({name: wandb.Image(Image.fromarray(pixels))}, step=step, commit=True)

    def graph(self, model: Any, example: Tensor) -> None:
        """Do nothing: W&B draws graphs from hooks in the model. ``example`` is an input (N, C, H, W)."""

    def ended(self, result: object) -> None:
        """Log how the run ended, and hand its small files over.

        Args:
            result: The run's result, or the error that ended it.
        """
        found: dict[str, Any] = {"status": _status(result), **_best(result)}
        if isinstance(result, BaseException):
            found["error"] = f"{type(result).__name__}: {result}".partition("\n")[0]
            self._exit_code = 1
        weights = self._dir / "model.safetensors"
        if weights.is_file():
            found["weights"] = str(weights.absolute())
        self._run.summary.update(found)
        for path in (self._dir / name for name in FILES):
            if path.is_file() and path.stat().st_size <= LARGEST:
                self._run.save(str(path), base_path=str(self._dir), policy="now")

    def close(self) -> None:
        """Send what is left.

        Raises:
            PluginError: The server does not take it; it lies in the run's folder.
        """
        try:
            self._run.finish(exit_code=self._exit_code)
        except TimeoutError as error:
            raise PluginError(
                "the server did not take all of it; it lies in the run's folder",
                hint=f"wandb sync {Path(self._run.dir).parent}",
            ) from error

    def _place(self) -> str:
        if self._run.disabled:
            return ""
        if not self._run.offline:
            return str(self._run.url)
        folder = os.environ.get("WANDB_DIR") or self._dir  # a resumed run has several
        return f"offline  (wandb sync {folder}/wandb/offline-run-*)"


def _mode(settings: Any) -> Any:
    """Online if it was asked for or somebody is logged in, else offline; never a question.

    Raises:
        UsageError: It was asked for, and nobody is logged in.
    """
    asked = os.environ.get("WANDB_MODE")
    if settings.mode not in ("online", "run"):
        return settings.mode
    if _has_key(settings):
        return "online"
    if asked:
        raise UsageError(
            f"WANDB_MODE={asked}, and there is no key for {settings.base_url}",
            hint="wandb login, or set WANDB_API_KEY, or WANDB_MODE=offline",
        )
    return "offline"


def _has_key(settings: Any) -> bool:
    """Whether wandb would find a key without asking for one; it keeps them in the netrc file."""
    if settings.api_key or settings.identity_token_file:
        return True
    netloc = urlsplit(settings.base_url).netloc
    hosts = {netloc, OLD_HOST} if netloc.endswith(OWN_HOSTS) else {netloc}
    for name in filter(None, (os.environ.get("NETRC"), "~/.netrc", "~/_netrc")):
        with contextlib.suppress(OSError, netrc.NetrcParseError):
            return bool(hosts & set(netrc.netrc(str(Path(name).expanduser())).hosts))
    return False


@contextlib.contextmanager
def _cache(folder: Path) -> Iterator[None]:
    """Have wandb's own process write its logs below the run, not in the home folder."""
    if "WANDB_CACHE_DIR" in os.environ:
        yield
        return
    os.environ["WANDB_CACHE_DIR"] = str(folder.absolute())
    try:
        yield
    finally:
        os.environ.pop("WANDB_CACHE_DIR", None)


def _status(result: object) -> str:
    if isinstance(result, Interrupted | KeyboardInterrupt | GeneratorExit):
        return "interrupted"
    return "failed" if isinstance(result, BaseException) else "finished"


def _best(result: object) -> dict[str, float]:
    """The best epoch's numbers of a result."""
    found = {f"best/{k}": float(v) for k, v in getattr(result, "metrics", {}).items()}
    epoch = getattr(result, "best_epoch", None)
    return found if epoch is None else found | {"best/epoch": epoch}


def _recipe(path: Path) -> dict[str, Any]:
    """The recipe as W&B takes it: nested, which it shows as ``optim.lr``."""
    return tomllib.loads(path.read_text("utf-8")) if path.is_file() else {}


def _read_id(path: Path) -> str | None:
    try:
        return str(json.loads(path.read_text("utf-8"))["id"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write_id(path: Path, run_id: str) -> None:
    """Whole or not at all: a run that is killed at this moment finds no half of a file."""
    unfinished = path.with_name(f".{path.name}.tmp")
    unfinished.write_text(json.dumps({"id": run_id}) + "\n", "utf-8")
    unfinished.replace(path)
