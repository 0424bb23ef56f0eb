"""Every exception of the client's becomes one line with a way on, and the right exit code."""

import errno
import pickle

import pytest
from huggingface_hub import errors as hub
from loopback_fixtures import http

from zoo.errors import DiskError, HubError, UsageError
from zoo.hub import failures
from zoo.hub.failures import translate, translated
from zoo.hub.subject import Subject

ASKED = Subject(repo="ann/net", revision="v1", file="model.safetensors", ways="the ways on")


@pytest.fixture(autouse=True)
def settled(here):
    pass


def answer(kind, status, **headers):
    request = http.Request("GET", "https://x", headers={"authorization": "Bearer hf_secret"})
    response = http.Response(status, request=request, headers=headers)
    return kind("what the server\nsaid", response=response)


CASES = [
    (hub.HFValidationError("x"), UsageError, "'ann/net' is not a repository id", "expected user/name"),
    (hub.OfflineModeIsEnabled("x"), HubError, "offline mode: ann/net cannot be asked", "--offline"),
    (answer(hub.GatedRepoError, 403), HubError, "ann/net is gated", "ask for access at"),
    (answer(hub.RepositoryNotFoundError, 401), HubError, "no repository ann/net on", "hf auth login"),
    (answer(hub.RevisionNotFoundError, 404), HubError, "ann/net has no revision 'v1'", "/tree/main"),
    (answer(hub.RemoteEntryNotFoundError, 404), HubError, "no file 'model.safetensors' at v1", "see "),
    (answer(hub.DisabledRepoError, 403), HubError, "ann/net is disabled by the Hub", "see "),
    (answer(hub.BadRequestError, 400), HubError, "refused: what the server said", ""),
    (answer(hub.HfHubHTTPError, 401), HubError, "without a token, .* does not let you read ann/net", "hf auth login"),
    (answer(hub.HfHubHTTPError, 403), HubError, "without a token, .* does not let you read ann/net", "hf auth login"),
    (answer(hub.HfHubHTTPError, 409), HubError, "in conflict with what is there", ""),
    (answer(hub.HfHubHTTPError, 412), HubError, "nothing was overwritten", "push again"),
    (answer(hub.HfHubHTTPError, 429, **{"retry-after": "7"}), HubError, "limits requests", "wait 7 s"),
    (answer(hub.HfHubHTTPError, 429), HubError, "limits requests", "wait a while"),
    (answer(hub.HfHubHTTPError, 503, **{"x-request-id": "r9"}), HubError, r"HTTP 503 \(request r9\)", "the ways on"),
    (hub.LocalTokenNotFoundError("x"), HubError, "not logged in", "HF_TOKEN"),
    (hub.LocalEntryNotFoundError("x"), HubError, "cannot reach .*; model.safetensors is not cached", "the ways on"),
    (hub.FileMetadataError("x"), HubError, "does not answer like a Hub", "HF_ENDPOINT"),
    (hub.RevisionResolutionError("x"), HubError, "cannot reach", "the ways on"),
    (http.ConnectError("[Errno 111] Connection refused"), HubError, r"\(Connection refused\)", "ways"),
    (http.ReadTimeout("timed out"), HubError, r"\(timed out\)", "ways"),
    (ConnectionError("Network error: 404 /xet-write-token/main"), HubError, "xet transfer", "HF_HUB_DISABLE_XET=1"),
    (RuntimeError("Data processing error: xet CAS"), HubError, "xet transfer", "HF_HUB_DISABLE_XET=1"),
    (ConnectionError("reset"), HubError, "transfer with .* failed", "HF_HUB_DISABLE_XET=1"),
    (OSError("Consistency check failed: x"), HubError, "came damaged twice", "proxy or mirror"),
    (OSError(errno.ENOSPC, "No space", "/x"), DiskError, "disk full at /x", "zoo cache --prune"),
    (PermissionError(errno.EACCES, "Permission denied", "/x"), DiskError, "cannot write /x", "ZOO_CACHE"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("error", "kind", "message", "hint"), CASES, ids=lambda v: type(v).__name__
)
def test_one_line_and_a_way_on(error, kind, message, hint):
    with pytest.raises(kind, match=message) as told, translated(ASKED):
        raise error
    assert told.value.hint
    assert hint in told.value.hint
    assert "\n" not in str(told.value)
    assert told.value.exit_code == {UsageError: 2, HubError: 6, DiskError: 8}[kind]
    assert b"hf_secret" not in pickle.dumps(told.value)
    held = getattr(getattr(told.value.__cause__, "response", None), "request", None)
    assert held is None or "authorization" not in held.headers


def test_no_address_in_a_message_has_a_query_or_a_password():
    error = http.ConnectError("for url 'https://a:b@cdn.example/x?signature=abc'")
    assert "'https://cdn.example/x'" in str(translate(error, ASKED))
    failures.scrub(error)
    assert "abc" not in repr(error)


def test_a_file_that_may_not_grow_has_another_reason():
    told = failures.disk_error(OSError(errno.EFBIG, "File too large"), "/x")
    assert "ulimit -f" in told.hint


def test_known_names_are_offered():
    asked = Subject(repo="a/b", revision="v9", known=("branch main", "tag v1"), near=("a/bb",))
    assert (
        translate(answer(hub.RevisionNotFoundError, 404), asked).hint
        == "it has branch main, tag v1"
    )
    assert translate(answer(hub.RemoteEntryNotFoundError, 404), asked).hint.startswith(
        "it has branch"
    )
    assert "known here: a/bb" in translate(answer(hub.RepositoryNotFoundError, 404), asked).hint


def test_other_errors_pass_and_ours_stay_as_they_are():
    with pytest.raises(ZeroDivisionError), translated(ASKED):
        raise ZeroDivisionError
    own = HubError("own")
    with pytest.raises(HubError) as error, translated(ASKED):
        raise own
    assert error.value is own
    assert translate(ValueError("x"), ASKED) is None


def test_the_innermost_words_are_shown():
    outer = http.ConnectError("All connection attempts failed")
    outer.__cause__ = OSError(111, "Connection refused")
    assert failures.reason(outer) == "Connection refused"
    assert failures.is_unreachable(outer)
    assert failures.reason(http.ReadError("")) == "ReadError"
    assert not failures.is_unreachable(http.ReadError(""))


def test_a_circle_of_causes_ends():
    one, two = ValueError("one"), ValueError("two")
    one.__cause__, two.__cause__ = two, one
    failures.scrub(one)
    assert failures.reason(one) in ("one", "two")
