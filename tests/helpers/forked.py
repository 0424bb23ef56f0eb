"""Commands of Python in a process that has the libraries loaded already.

``import torch`` takes seconds, a command that a test types often less. :func:`run` is
:func:`subprocess.run` for such commands: this file, run as a script, imports the libraries once per
test worker and forks for each command. The command is a process of its own, with its own arguments,
environment, folder, umask, streams and session; its exit code is the system's, a signal included.
What zoo does at its start it does in that process, except for what :data:`LOADED` names, and for
parsing the registry files of this repository (:mod:`catalogues`).

Whatever is about the start of a process (what is imported, threads, limits, signals, memory,
torchrun) needs :mod:`subprocess` itself, and so does a command whose environment is read by Python
or by a library while it starts: :func:`run` takes a plain process then, and where there is no fork.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import types
import warnings
from collections.abc import Mapping
from importlib import import_module, invalidate_caches
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
LOADED = (
    "torch", "torchvision.transforms.v2", "torch.utils.data", "numpy", "PIL.Image",
    "safetensors.torch", "click", "rich.console", "rich.progress", "rich.table", "pluggy", "msgspec",
    "tomlkit", "filelock", "yaml", "httpx", "httpx2", "tqdm.auto", "importlib.metadata",
    "torch.fx.experimental.symbolic_shapes", "zoo.cli.training", "zoo.engine.resume",
)  # fmt: skip
"""What is imported before anything forks: not the Hub's client, which reads the environment."""
AT_START = (
    "PYTHON", "LC_", "LANG", "LD_", "OMP_", "KMP_", "MKL_", "OPENBLAS_", "MALLOC_", "GLIBC_",
    "TORCH_", "PYTORCH_", "CUDA_", "RANK", "WORLD_SIZE", "LOCAL_RANK",
)  # fmt: skip
"""How the variables begin that Python and the libraries read once; they have to be the server's."""
LATER = ("PYTHONPATH", "PYTHONWARNINGS", "TORCH_HOME", "TORCH_ELASTIC_SHUTDOWN_TIMEOUT")
"""Those among them that are read when they are needed, or set in a fork as at a start."""


def run(
    argv: list[str], *, env: Mapping[str, str], cwd: Any, timeout: float = 120
) -> subprocess.CompletedProcess[str]:
    """Run ``python *argv`` with nothing to read, and give its exit code and what it wrote.

    Args:
        argv: ``-m MODULE ...``, ``-c CODE ...`` or ``FILE ...``.
        env: The whole environment.
        cwd: The folder.
        timeout: Seconds after which it is killed.

    Raises:
        subprocess.TimeoutExpired: It took longer.
    """
    server = _server()
    if server is not None and _at_start(env) == server.environment:
        return server.run(argv, dict(env), Path(cwd), timeout)
    return plain(argv, env=env, cwd=cwd, timeout=timeout)


def plain(
    argv: list[str], *, env: Mapping[str, str], cwd: Any, timeout: float = 120
) -> subprocess.CompletedProcess[str]:
    """As :func:`run`, in a process that begins at its beginning."""
    return subprocess.run(
        [sys.executable, *argv], env=dict(env), cwd=cwd, timeout=timeout, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, errors="replace", check=False,
    )  # fmt: skip


def _at_start(env: Mapping[str, str]) -> dict[str, str]:
    return {k: v for k, v in env.items() if k.startswith(AT_START) and k not in LATER}


class Server:
    """The process that has everything loaded, as seen from the tests."""

    def __init__(self) -> None:
        kept = {k: v for k, v in os.environ.items() if k not in LATER}
        env = {**kept, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        self.environment, self.owner = _at_start(env), os.getpid()
        self.line, other = socket.socketpair()
        with other:
            self.process = subprocess.Popen(
                [sys.executable, __file__, str(other.fileno())], env=env, pass_fds=[other.fileno()],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip

    def run(
        self, argv: list[str], env: dict[str, str], cwd: Path, timeout: float
    ) -> subprocess.CompletedProcess[str]:
        """As :func:`run`."""
        umask = os.umask(0)
        os.umask(umask)
        asked = json.dumps([argv, env, str(cwd.absolute()), umask]).encode()
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            socket.send_fds(self.line, [len(asked).to_bytes(8)], [out.fileno(), err.fileno()])
            self.line.sendall(asked)
            pid = int.from_bytes(self._got())
            self.line.settimeout(timeout)
            try:
                code = int.from_bytes(self._got(), signed=True)
            except TimeoutError:
                os.killpg(pid, signal.SIGKILL)
                self.line.settimeout(None)
                self._got()
                raise subprocess.TimeoutExpired(argv, timeout) from None
            finally:
                self.line.settimeout(None)
            said = []
            for file in (out, err):
                file.seek(0)
                said.append(file.read().decode(errors="replace").replace("\r\n", "\n"))
        return subprocess.CompletedProcess([sys.executable, *argv], code, *said)

    def _got(self) -> bytes:
        found = self.line.recv(8, socket.MSG_WAITALL)
        if not found:
            raise RuntimeError("the process that forks for tests has ended")
        return found

    def close(self) -> None:
        """End it."""
        if os.getpid() == self.owner:
            self.line.close()
            self.process.wait()


_started: list[Server] = []


def _server() -> Server | None:
    """The worker's server, or nothing where forking after ``import torch`` is not safe."""
    if sys.platform != "linux":
        return None
    if not _started:
        _started.append(Server())
        atexit.register(_started[0].close)
    return _started[0] if _started[0].owner == os.getpid() else None


def _serve(line: socket.socket) -> list[Any]:
    """Fork for each command that comes; returns in the forks, with what they have to be."""
    while True:
        head, files, _, _ = socket.recv_fds(line, 8, 2)
        if not head:
            os._exit(0)
        asked = json.loads(line.recv(int.from_bytes(head), socket.MSG_WAITALL))
        pid = os.fork()
        if pid == 0:
            os.setsid()
            for file, stream in zip(files, (1, 2), strict=True):
                os.dup2(file, stream)
                os.close(file)
            line.close()
            return asked
        for file in files:
            os.close(file)
        line.sendall(pid.to_bytes(8))
        _, status = os.waitpid(pid, 0)
        line.sendall(os.waitstatus_to_exitcode(status).to_bytes(8, signed=True))


def _become(argv: list[str], env: dict[str, str], cwd: str, umask: int, base: list[str]) -> None:
    """Be the Python that was asked for."""
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    os.umask(umask)
    mode = argv[0]
    own = [entry for entry in env.get("PYTHONPATH", "").split(os.pathsep) if entry]
    first = {"-m": cwd, "-c": ""}.get(mode, os.path.dirname(mode))
    sys.path[:] = [first, *own, *base]
    sys.orig_argv[1:] = argv
    sys.warnoptions[:] = [w for w in env.get("PYTHONWARNINGS", "").split(",") if w]
    getattr(warnings, "_processoptions", lambda _: None)(sys.warnoptions)
    for module in {"random", "numpy.random"} & set(sys.modules):
        sys.modules[module].seed()  # type: ignore[attr-defined]
    sys.modules["torch"].default_generator.seed()  # type: ignore[attr-defined]
    invalidate_caches()
    code: object = None
    try:
        if mode == "-m":
            sys.argv[:] = ["-m", *argv[2:]]
            runpy.run_module(argv[1], run_name="__main__", alter_sys=True)
        elif mode == "-c":
            sys.argv[:] = ["-c", *argv[2:]]
            main = sys.modules["__main__"] = types.ModuleType("__main__")
            exec(compile(argv[1], "<string>", "exec"), main.__dict__)
        else:
            sys.argv[:] = argv
            runpy.run_path(mode, run_name="__main__")
    except SystemExit as end:
        code = end.code
    _leave(code)


def _leave(code: object) -> None:
    """End as Python does, but without taking torch apart, which takes a second."""
    if code is not None and not isinstance(code, int):
        print(code, file=sys.stderr)
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit((code or 0) & 255)


if __name__ == "__main__":
    from zoo.cli.compiler import postpone

    postpone()
    for name in LOADED:
        with contextlib.suppress(ImportError):  # one HTTP library or the other
            import_module(name)
    from catalogues import read_once

    from zoo.core import discovery, plugins, registry

    read_once()
    plugins.builtin(registry.builtin_path())
    for point in discovery.find():
        plugins.look(point.name)  # which runs no code of it
    path = [entry for entry in sys.path[1:] if entry != str(ROOT)]
    gc.collect()
    gc.freeze()
    _become(*_serve(socket.socket(fileno=int(sys.argv[1]))), path)
