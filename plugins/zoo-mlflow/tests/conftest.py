"""A tracking server on loopback."""

import json
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest


class Recorder(BaseHTTPRequestHandler):
    """Answers as a tracking server does, and keeps what it was sent."""

    def do_GET(self):
        self._answer()

    def do_POST(self):
        self._answer()

    def do_PUT(self):
        self._answer()

    def _answer(self):
        size = int(self.headers.get("Content-Length") or 0)
        raw = self.rfile.read(size)
        path = urlsplit(self.path).path.partition("/mlflow")[2].lstrip("/")
        body = json.loads(raw) if raw[:1] == b"{" and self.command == "POST" else {}
        self.server.calls.append((path, body, self.headers.get("Authorization")))
        info = {"run_id": self.server.run_id, "experiment_id": "7", "status": "RUNNING", "lifecycle_stage": "active",
                "artifact_uri": "mlflow-artifacts:/7/artifacts", "run_name": "served"}  # fmt: skip
        known = {
            "experiments/create": {"experiment_id": "7"},
            "runs/create": {"run": {"info": info, "data": {}}},
            "runs/get": {"run": {"info": info, "data": {}}},
            "runs/log-batch": {}, "runs/set-tag": {}, "runs/update": {"run_info": info},
        }  # fmt: skip
        code = 200 if path in known or self.command == "PUT" else 404
        text = json.dumps(known.get(path, {"error_code": "RESOURCE_DOES_NOT_EXIST"})).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *args):
        """Say nothing."""


@pytest.fixture
def server():
    made = ThreadingHTTPServer(("127.0.0.1", 0), Recorder)
    made.calls, made.run_id = [], uuid.uuid4().hex
    thread = threading.Thread(
        target=made.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
    )
    thread.start()

    def stop():
        made.shutdown()
        made.server_close()
        thread.join()

    made.stop = stop
    yield made
    if thread.is_alive():
        stop()
