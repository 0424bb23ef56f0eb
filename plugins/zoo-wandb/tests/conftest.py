"""A W&B server on loopback, and who is logged in to it."""

import json
import os
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

KEY = "0123456789" * 4


@contextmanager
def nobody(folder):
    """Nobody is logged in or said where runs go, and what the plugin sets is taken back."""
    before = dict(os.environ)
    for name in [name for name in os.environ if name.startswith(("WANDB_", "NETRC"))]:
        del os.environ[name]
    os.environ["HOME"] = str(folder / "home")
    os.environ["WANDB_CONFIG_DIR"] = str(folder / "config")
    yield
    if "wandb" in sys.modules:  # it reads the environment once
        sys.modules["wandb"].teardown()
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(autouse=True, scope="module")
def nobody_at_all(tmp_path_factory):
    with nobody(tmp_path_factory.mktemp("nobody")):
        yield


@pytest.fixture(autouse=True)
def unconfigured(nobody_at_all, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with nobody(tmp_path):
        yield


class Answers(BaseHTTPRequestHandler):
    """As much of a W&B server as a run needs, which keeps what it was sent."""

    def do_POST(self):
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = json.loads(raw) if raw[:1] == b"{" else {}
        self.server.calls.append((self.path, body))
        entity = {"id": "E", "name": "me"}
        project = {"id": "P", "name": "zoo", "entity": entity}
        name = body.get("variables", {}).get("name")
        bucket = {"id": "B", "name": name, "displayName": "d", "config": "{}", "project": project}
        known = {
            "RunResumeStatus": {"model": {**project, "bucket": None}},
            "UpsertBucket": {"upsertBucket": {"bucket": bucket, "inserted": True}},
            "CreateRunFiles": {"createRunFiles": {"runID": "B", "uploadHeaders": [], "files": []}},
        }
        text = json.dumps({"data": known.get(body.get("operationName"), {})}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *args):
        """Say nothing."""


@pytest.fixture
def server(monkeypatch):
    made = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    made.calls = []
    thread = threading.Thread(
        target=made.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
    )
    thread.start()

    def stop():
        made.shutdown()
        made.server_close()
        thread.join()

    made.stop = stop
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{made.server_port}")
    yield made
    if thread.is_alive():
        stop()
