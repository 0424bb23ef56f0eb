"""A Hugging Face Hub on loopback: the API on 127.0.0.1, its CDN on 127.0.0.2, faults on demand.

``python loopback_hub.py`` serves one repository ``zoo/demo`` until it is stopped.
"""

from __future__ import annotations

import contextlib
import re
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from loopback_api import Answer, Api, Request, error
from loopback_store import Store, sha256

BLOCK = 1 << 18


@dataclass
class Fault:
    """What goes wrong with requests that match, ``times`` times.

    kind: status (answer ``status`` with ``headers``), reset (RST after ``after`` body bytes), cut
    (FIN after ``after``), flip (one bit at ``after``), stall (sleep ``seconds`` after ``after``),
    hang (accept, then nothing for ``seconds``), before (run ``action``, then answer), norange (ignore Range), short (announce less)
    """

    kind: str
    method: str = "GET"
    path: str = ".*"
    times: int = 1
    status: int = 503
    headers: dict[str, str] = field(default_factory=dict)
    after: int = 0
    seconds: float = 5.0
    least: int = 0  # only bodies of so many bytes
    action: Callable[[], Any] | None = None

    def hits(self, method: str, path: str, size: int) -> bool:
        meant = self.times > 0 and method == self.method and size >= self.least
        return meant and re.search(self.path, path) is not None


@dataclass(frozen=True)
class Seen:
    """One request as the server saw it."""

    server: str
    method: str
    path: str
    range: str
    authorized: bool
    status: int
    agent: str = ""


class LoopbackHub:
    """Two servers and their shared state; use as a context manager."""

    def __init__(self) -> None:
        self.store = Store()
        self.api = Api(self.store)
        self.faults: list[Fault] = []
        self.seen: list[Seen] = []
        self.body_bytes = 0
        self.throttle = 0.0  # seconds a block
        self._servers: list[ThreadingHTTPServer] = []

    def __enter__(self) -> LoopbackHub:
        return self.start()

    def __exit__(self, *error: object) -> None:
        self.stop()

    def start(self, ports: tuple[int, int] = (0, 0)) -> LoopbackHub:
        for index, (kind, host) in enumerate((("hub", "127.0.0.1"), ("cdn", "127.0.0.2"))):
            handler = type("Bound", (_Handler,), {"hub": self, "kind": kind})
            server = _Server((host, ports[index]), handler)
            self._servers.append(server)
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        hub, cdn = (f"http://{s.server_address[0]}:{s.server_address[1]}" for s in self._servers)
        self.api.base, self.api.cdn = hub, cdn
        return self

    @property
    def endpoint(self) -> str:
        return self.api.base

    @property
    def ports(self) -> tuple[int, int]:
        one, two = self._servers
        return one.server_address[1], two.server_address[1]

    def stop(self) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()
            for connection in list(server.connections):
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        self._servers.clear()

    def fault(self, kind: str, **how: Any) -> Fault:
        made = Fault(kind, **how)
        self.faults.append(made)
        return made

    def take(self, method: str, path: str, kinds: tuple[str, ...], size: int = 0) -> Fault | None:
        with self.store.lock:
            for fault in self.faults:
                if fault.kind in kinds and fault.hits(method, path, size):
                    fault.times -= 1
                    return fault
        return None

    def asked(self, pattern: str, method: str = "GET") -> list[Seen]:
        return [s for s in self.seen if s.method == method and re.search(pattern, s.path)]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, *where: Any) -> None:
        self.connections: set[socket.socket] = set()
        super().__init__(*where)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away in the middle is part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    hub: LoopbackHub
    kind: str
    protocol_version = "HTTP/1.1"
    wbufsize = 0

    def log_message(self, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._serve()

    do_HEAD = do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815 - the names http.server wants

    def _serve(self) -> None:
        split = urlsplit(self.path)
        length = int(self.headers.get("content-length") or 0)
        body = self.rfile.read(length) if length else self._chunked()
        fault = self.hub.take(self.command, split.path, ("status", "hang", "before"))
        if fault and fault.kind == "before":
            fault.action()
            fault = None
        if fault and fault.kind == "hang":
            time.sleep(fault.seconds)
            self.close_connection = True
            return
        query = parse_qs(split.query, keep_blank_values=True)
        request = Request(self.command, split.path, query, self.headers, body)
        if fault:
            answer = error(fault.status, "injected")
            answer.headers.update(fault.headers)
        else:
            answer = self.hub.api(request) if self.kind == "hub" else self._cdn(request)
        self._send(answer, split.path)

    def _chunked(self) -> bytes:
        if "chunked" not in self.headers.get("transfer-encoding", ""):
            return b""
        whole = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            whole += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return whole

    def _cdn(self, request: Request) -> Answer:
        if self.headers.get("authorization"):
            return Answer(400, b"<Error>Only one auth mechanism allowed</Error>")
        if not request.query.get("signature"):
            return Answer(403, b"<Error>no signature</Error>")
        digest = request.path.rpartition("/")[2]
        if request.method == "PUT":
            if sha256(request.body) != digest:
                return Answer(400, b"<Error>BadDigest</Error>")
            self.hub.store.large[digest] = request.body
            return Answer(200)
        held = self.hub.store.large.get(digest)
        if held is None:
            return Answer(404, b"<Error>NoSuchKey</Error>")
        return Answer(200, held, {"Accept-Ranges": "bytes", "ETag": f'"{digest[:32]}"'})

    def _send(self, answer: Answer, path: str) -> None:
        body, status, headers = memoryview(answer.body), answer.status, dict(answer.headers)
        asked = self.headers.get("range", "")
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", asked)
        whole = status == 200 and self.command in ("GET", "HEAD") and "Accept-Ranges" in headers
        if match and whole and not self.hub.take(self.command, path, ("norange",)):
            first, total = int(match[1]), len(body)
            last = min(int(match[2] or total - 1), total - 1)
            if first >= total:
                status, body = 416, memoryview(b"")
                headers["Content-Range"] = f"bytes */{total}"
            else:
                status, body = 206, body[first : last + 1]
                headers["Content-Range"] = f"bytes {first}-{last}/{total}"
        fault = None
        if self.command != "HEAD" and status in (200, 206):
            kinds = ("reset", "cut", "flip", "stall", "short")
            fault = self.hub.take(self.command, path, kinds, len(body))
        if fault and fault.kind == "flip":
            changed = bytearray(body)
            changed[fault.after % max(1, len(changed))] ^= 1
            body = memoryview(bytes(changed))
        if fault and fault.kind == "short":
            body = body[: fault.after]
        self.hub.seen.append(
            Seen(
                self.kind,
                self.command,
                path,
                asked,
                bool(self.headers.get("authorization")),
                status,
                self.headers.get("user-agent", ""),
            )
        )
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self._body(body, fault)

    def _body(self, body: memoryview, fault: Fault | None) -> None:
        sent = 0
        while sent < len(body):
            block = body[sent : sent + BLOCK]
            if fault and fault.kind in ("reset", "cut", "stall"):
                block = block[: max(0, fault.after - sent)]
            if block:
                self.wfile.write(block)
                sent += len(block)
                self.hub.body_bytes += len(block)
            if self.hub.throttle:
                time.sleep(self.hub.throttle)
            if fault and fault.kind in ("reset", "cut", "stall") and sent >= fault.after:
                if fault.kind == "stall":
                    time.sleep(fault.seconds)
                if fault.kind == "reset":
                    linger = struct.pack("ii", 1, 0)
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                self.connection.shutdown(socket.SHUT_RDWR) if fault.kind != "reset" else None
                self.connection.close()
                self.close_connection = True
                if fault.action:
                    fault.action()
                return


if __name__ == "__main__":
    hub = LoopbackHub().start()
    hub.store.create("zoo/demo")
    print(f"HF_ENDPOINT={hub.endpoint} HF_TOKEN={hub.store.token('zoo')}")
    threading.Event().wait()
