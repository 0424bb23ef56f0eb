"""What a push would change is known before anything is written."""

import pytest
from loopback_runs import info, plan
from loopback_weights import built

from zoo.engine.saving.checkpoint import save_weights
from zoo.errors import CheckpointError, UsageError
from zoo.hub.pushplan import find_source


def test_looking_needs_no_token_and_writes_nothing(here, run):
    planned = plan(run)
    assert not planned.exists
    assert not planned.nothing_new
    assert planned.title == "Add resnet18 trained on pets (zoo)"
    assert {s.method for s in here.seen} == {"GET"}


def test_a_licence_must_be_known(here, run, tmp_path):
    with pytest.raises(UsageError, match="nobody states a licence") as error:
        plan(run, licence="")
    assert "--licence" in error.value.hint
    path = tmp_path / "based.safetensors"
    state = built("resnet18", 3).state_dict()
    save_weights(path, state, info(base={"source": "hub:a/b", "licence": "bsd-3-clause"}))
    assert plan(path, licence="").licence == "bsd-3-clause"


def test_what_cannot_be_pushed(here, run, tmp_path):
    from safetensors.torch import save_file

    save_file(built().state_dict(), tmp_path / "plain.safetensors")
    with pytest.raises(CheckpointError, match="was not written by zoo") as error:
        plan(tmp_path / "plain.safetensors")
    assert "zoo import" in error.value.hint
    for target in ("pets", "a/b/c", "ann/pets@v1"):
        with pytest.raises(UsageError):
            plan(run, target, branch="x")


def test_sources(run, tmp_path):
    assert find_source("one", str(tmp_path / "runs")) == run
    assert find_source(str(run)) == run
    assert find_source(f"run:{run.parent}") == run
    (tmp_path / "runs" / "two").mkdir()
    with pytest.raises(CheckpointError, match=r"has no model.safetensors yet"):
        find_source("two", str(tmp_path / "runs"))
    with pytest.raises(CheckpointError, match="no run and no file 'three'"):
        find_source("three", str(tmp_path / "runs"))
